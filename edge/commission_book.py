"""The book of acceptances: which named person put which asset into service, and took it out again.

    commissioning.jsonl       below [journal] dir, one line a word, each bound to the one before

A word counts from the moment it is written; a running gateway follows within seconds, one that
starts is told again, so that no change of its configuration puts an accepted asset back into the
shadow. Where signatures are required a word counts only with a valid one by its person's key of
[trust.operators]; it is of one site, asset, bundle and name.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from edge.sealed_chain import Sealed, SealedChain
from edge.signatures import verify

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from edge.config import GatewayConfig

FILE: Final = "commissioning.jsonl"
ACCEPTED: Final = "accepted"
WITHDRAWN: Final = "withdrawn"


class Word(Sealed, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One line of the book. what: accepted or withdrawn; bundle_sha256: what the person looked at.

    standing: what was shown of the asset when the word was given.
    """

    what: str
    asset: str
    bundle_sha256: str
    by: str
    at_ns: int
    because: str = ""
    standing: str = ""
    signature: str = ""
    sha256: str = ""


class CommissionBook:
    """The book of one gateway. People write it, the gateway only reads."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._chain = SealedChain(path, Word, lock=path.parent)

    def words(self) -> list[Word]:
        """Every word, oldest first. Raises ConfigError at the first line that does not fit."""
        return self._chain.whole()

    def write(
        self,
        what: str,
        assets: Sequence[str],
        *,
        bundle_sha256: str,
        by: str,
        because: str,
        standings: Sequence[str],
        signatures: Sequence[str],
    ) -> None:
        """Write a person's word on some assets, all or none of it. Raises ConfigError."""
        at_ns = time.time_ns()
        words = [
            Word(
                what=what,
                asset=asset,
                bundle_sha256=bundle_sha256,
                by=by,
                at_ns=at_ns,
                because=because,
                standing=standing,
                signature=signature,
            )
            for asset, standing, signature in zip(assets, standings, signatures, strict=True)
        ]
        with self._chain.alone():
            self._chain.add(words)


def book_of(config: GatewayConfig) -> CommissionBook:
    """The book of the gateway that a configuration describes."""
    return CommissionBook(config.path(config.journal.dir) / FILE)


def word_content(site: str, what: str, asset: str, bundle_sha256: str, by: str) -> bytes:
    """The bytes that a person signs."""
    return f"{what} asset\n{site}\n{asset}\n{bundle_sha256}\n{by}\n".encode()


def counting(config: GatewayConfig, words: Sequence[Word]) -> dict[str, Word]:
    """The newest word on each asset that counts."""
    return {word.asset: word for word in words if counts(config, word)}


def counts(config: GatewayConfig, word: Word) -> bool:
    """Whether a word counts: where signatures are required, only with its person's."""
    if not config.trust.require_signed:
        return True
    key = config.trust.operators.get(word.by)
    content = word_content(config.site, word.what, word.asset, word.bundle_sha256, word.by)
    return key is not None and verify(key, content, word.signature)
