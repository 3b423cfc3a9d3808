"""The book of acceptances: which named person put which asset into service, and took it out again.

    commissioning.jsonl       below [journal] dir, one line a word, each bound to the one before

A word counts from the moment it is written; a running gateway follows within seconds, one that
starts is told again, so that no change of its configuration puts an accepted asset back into the
shadow. Where signatures are required a word counts only with a valid one by its person's key of
[trust.operators]; it is of one site, asset, bundle and name.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import msgspec

from edge.append import append_whole
from edge.errors import ConfigError
from edge.signatures import verify

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from edge.config import GatewayConfig

FILE: Final = "commissioning.jsonl"
ACCEPTED: Final = "accepted"
WITHDRAWN: Final = "withdrawn"
NOTHING_SHA256: Final = "0" * 64


class Word(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One line of the book. what: accepted or withdrawn; bundle_sha256: what the person looked at.

    standing: what was shown of the asset when the word was given.
    """

    sequence: int
    previous: str
    what: str
    asset: str
    bundle_sha256: str
    by: str
    at_ns: int
    because: str = ""
    standing: str = ""
    signature: str = ""
    sha256: str = ""

    def sealed(self) -> Word:
        """The same with its own hash."""
        bare = msgspec.structs.replace(self, sha256="")
        digest = hashlib.sha256(msgspec.json.encode(bare)).hexdigest()
        return msgspec.structs.replace(self, sha256=digest)


class CommissionBook:
    """The book of one gateway. People write it, the gateway only reads."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def words(self) -> list[Word]:
        """Every word, oldest first. Raises ConfigError at the first line that does not fit."""
        try:
            lines = self.path.read_bytes().splitlines()
        except FileNotFoundError:
            return []
        except OSError as error:
            raise ConfigError(f"{self.path}: {error.strerror}") from error
        words: list[Word] = []
        previous = NOTHING_SHA256
        for number, line in enumerate(lines, start=1):
            where = f"{self.path}, line {number}"
            try:
                word = msgspec.json.decode(line, type=Word)
            except msgspec.MsgspecError as error:
                raise ConfigError(f"{where}: {error}; it was changed") from error
            if word.previous != previous or word.sealed() != word or word.sequence != number:
                raise ConfigError(f"{where} does not follow from the one before it")
            words.append(word)
            previous = word.sha256
        return words

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
        with self._alone():
            known = self.words()
            previous, sequence = (known[-1].sha256 if known else NOTHING_SHA256), len(known)
            lines = []
            for asset, standing, signature in zip(assets, standings, signatures, strict=True):
                sequence += 1
                word = Word(
                    sequence=sequence,
                    previous=previous,
                    what=what,
                    asset=asset,
                    bundle_sha256=bundle_sha256,
                    by=by,
                    at_ns=time.time_ns(),
                    because=because,
                    standing=standing,
                    signature=signature,
                ).sealed()
                lines.append(msgspec.json.encode(word) + b"\n")
                previous = word.sha256
            try:
                append_whole(self.path, b"".join(lines))
            except OSError as error:
                raise ConfigError(f"{self.path}: {error.strerror}; nothing has changed") from error

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """While somebody writes, nobody else does."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            handle = os.open(self.path.parent, os.O_RDONLY)
        except OSError as error:
            raise ConfigError(f"{self.path}: {error.strerror}; nothing has changed") from error
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)


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
