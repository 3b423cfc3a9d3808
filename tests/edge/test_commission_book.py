"""Words of acceptance: a signature is of a word in its place, and of no other."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Final

import msgspec
import pytest

from edge.audit.signatures import new_key, read_key
from edge.commissioning.book import (
    ACCEPTED,
    WITHDRAWN,
    CommissionBook,
    Word,
    book_of,
    counting,
    word_content,
)
from edge.configuration.config import GatewayConfig
from edge.storage.sealed_chain import SealedChain
from edge.trust import TrustSettings

if TYPE_CHECKING:
    from pathlib import Path

SHA256: Final = "ab" * 32


class Plant:
    """A gateway where signatures are required, and a person with a key."""

    def __init__(self, folder: Path) -> None:
        path, public = new_key(folder, "ann")
        self.key = read_key(path)
        trust = TrustSettings(require_signed=True, public_keys=(public,), operators={"ann": public})
        self.config = GatewayConfig(site="s", trust=trust, base=str(folder))
        self.book: CommissionBook = book_of(self.config)
        self.book.path.parent.mkdir(parents=True, exist_ok=True)
        self.chain = SealedChain(self.book.path, Word, lock=folder)

    def sign(self, word: Word) -> Word:
        """As `andon accept --key` does it."""
        signed = self.key.sign(word_content("s", word))
        return msgspec.structs.replace(word, signature=base64.b64encode(signed).decode())

    def say(self, what: str) -> None:
        """The person says it of r1."""
        self.book.write(
            what, {"r1": "{}"}, bundle_sha256=SHA256, by="ann", because="", finish=self.sign
        )

    def forge(self, word: Word) -> None:
        """Somebody who has the disk, and no key, adds a line with a signature that he found."""
        self.chain.add([word])

    def counts(self) -> list[str]:
        """What counts of r1 now."""
        found = counting(self.config, self.book.words().lines)
        return [word.what for word in found.values()]


@pytest.fixture
def ann(tmp_path: Path) -> Plant:
    """Her plant."""
    return Plant(tmp_path)


def as_before(ann: Plant, what: str) -> Word:
    """A word as it was signed when its place was no part of that."""
    word = Word(what=what, asset="r1", bundle_sha256=SHA256, by="ann", at_ns=7)
    signed = ann.key.sign(f"{what} asset\ns\nr1\n{SHA256}\nann\n".encode())
    return msgspec.structs.replace(word, signature=base64.b64encode(signed).decode())


def test_an_old_word_cannot_be_said_again_in_another_place(ann: Plant) -> None:
    """She accepts, and takes it back; her first word, written again at the end, is none."""
    ann.say(ACCEPTED)
    ann.say(WITHDRAWN)
    assert ann.counts() == [WITHDRAWN]
    ann.forge(ann.book.words().lines[0])
    assert len(ann.book.words().lines) == 3, "the chain itself is whole"
    assert ann.counts() == [WITHDRAWN]
    ann.say(ACCEPTED)
    assert ann.counts() == [ACCEPTED]


@pytest.mark.parametrize(
    "change",
    [
        {"at_ns": 1},
        {"asset": "r2"},
        {"what": WITHDRAWN},
        {"because": "x"},
        {"standing": ""},
        {"sequence": 2},
        {"previous": "1" * 64},
        {"bundle_sha256": "cd" * 32},
    ],
)
def test_nothing_in_a_signed_word_can_be_changed(ann: Plant, change: dict[str, object]) -> None:
    """Time, place and reason belong to it as much as asset and bundle."""
    ann.say(ACCEPTED)
    (word,) = ann.book.words().lines
    assert counting(ann.config, [word])
    assert not counting(ann.config, [msgspec.structs.replace(word, **change)])


def test_words_signed_before_count_until_one_is_signed_in_its_place(ann: Plant) -> None:
    """A book that stands on a disk goes on counting, and is closed to old words by the next."""
    ann.forge(as_before(ann, ACCEPTED))
    assert ann.counts() == [ACCEPTED]
    ann.forge(msgspec.structs.replace(as_before(ann, WITHDRAWN), by="eve"))
    assert ann.counts() == [ACCEPTED], "of somebody else"
    ann.say(WITHDRAWN)
    ann.forge(as_before(ann, ACCEPTED))
    assert ann.counts() == [WITHDRAWN]
