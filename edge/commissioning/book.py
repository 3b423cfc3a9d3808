"""The book of acceptances: which named person put which asset into service, and took it out again.

    commissioning.jsonl       below [journal] dir, one line a word, each bound to the one before

A word counts from the moment it is written; a running gateway follows within seconds, one that
starts is told again, so that neither a change of its configuration nor a journal that lost its
beginning puts an accepted asset back into the shadow. Where signatures are required a word counts
only with a valid one by its person's key of [trust.operators]; it is of one site and of all that
the line says, its time and its place in the chain too.

Words that were signed before that (of site, asset, bundle and name alone) go on counting up to the
first that is signed in its place: from there on nobody can say an old one again.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

import msgspec

from edge.audit.signatures import verify
from edge.storage.sealed_chain import Read, Sealed, SealedChain

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from edge.configuration.config import GatewayConfig

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

    def words(self) -> Read[Word]:
        """Every word up to where the chain breaks, oldest first, and where that is.

        Raises ConfigError for a file that cannot be read.
        """
        return self._chain.read()

    def write(
        self,
        what: str,
        standings: Mapping[str, str],
        *,
        bundle_sha256: str,
        by: str,
        because: str,
        finish: Callable[[Word], Word] | None = None,
    ) -> None:
        """Write a person's word on some assets, all or none of it.

        standings: what was shown of each; finish: signs a word that has its place. Raises
        ConfigError, also where the chain is broken.
        """
        with self._chain.alone():
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
                )
                for asset, standing in standings.items()
            ]
            self._chain.add(words, finish=finish)


def book_of(config: GatewayConfig) -> CommissionBook:
    """The book of the gateway that a configuration describes."""
    return CommissionBook(config.path(config.journal.dir) / FILE)


def word_content(site: str, word: Word) -> bytes:
    """The bytes that a person signs: of everything in a word that has its place."""
    bare = msgspec.structs.replace(word, signature="").sealed()
    return f"commissioning word\n{site}\n{bare.sha256}\n".encode()


def counting(config: GatewayConfig, words: Sequence[Word]) -> dict[str, Word]:
    """The newest word on each asset that counts; words: from the first on."""
    found: dict[str, Word] = {}
    bound = False
    for word in words:
        placed = counts(config, word)
        if placed or (not bound and _counted_before(config, word)):
            found[word.asset] = word
        bound = bound or placed
    return found


def counts(config: GatewayConfig, word: Word) -> bool:
    """Whether a word counts: where signatures are required, with its person's, in its place."""
    return _signed(config, word, word_content(config.site, word))


def _counted_before(config: GatewayConfig, word: Word) -> bool:
    """Whether it was signed as words were before their place was part of it."""
    said = (f"{word.what} asset", config.site, word.asset, word.bundle_sha256, word.by, "")
    return _signed(config, word, "\n".join(said).encode())


def _signed(config: GatewayConfig, word: Word, content: bytes) -> bool:
    if not config.trust.require_signed:
        return True
    return any(
        verify(key.public_key, content, word.signature)
        for key in config.trust.of_operator(word.by)
        if not key.lacks(word.at_ns)
    )
