"""Sealed chains: what was written stays readable, and damage is told by its line."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Final

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.bundles.store import Act
from edge.commissioning.book import Word
from edge.errors import ConfigError
from edge.storage.sealed_chain import NOTHING_SHA256, SealedChain

# Written by the code before both files were read by one: what stands on disks must go on fitting.
HISTORY: Final = (
    b'{"sequence":1,"previous":"0000000000000000000000000000000000000000000000000000000000000000",'
    b'"what":"approved",'
    b'"bundle_sha256":"abababababababababababababababababababababababababababababababab",'
    b'"by":"ann","at_ns":1700000000000000001,"before_sha256":"","because":"\xc3\xa9 seen",'
    b'"signature":"sig",'
    b'"sha256":"fb024c3c647cd050f96fecea4d726b337e6ade4e19977db0caa7fc56572af70f"}\n'
)
BOOK: Final = (
    b'{"sequence":1,"previous":"0000000000000000000000000000000000000000000000000000000000000000",'
    b'"what":"accepted","asset":"r1",'
    b'"bundle_sha256":"efefefefefefefefefefefefefefefefefefefefefefefefefefefefefefefef",'
    b'"by":"ann","at_ns":1700000000000000001,"because":"q","standing":"{}","signature":"s",'
    b'"sha256":"e96b2b3359880f09bfab92547f92ac39d744c89c5512b7243753bd886f5fb64a"}\n'
)


def word(asset: str) -> Word:
    """A line without its place."""
    return Word(what="accepted", asset=asset, bundle_sha256="ab" * 32, by="ann", at_ns=1)


def chain(folder: Path) -> SealedChain[Word]:
    """A book below a folder."""
    return SealedChain(folder / "book.jsonl", Word, lock=folder)


def of(folder: Path, count: int) -> SealedChain[Word]:
    """One of so many lines, written in two turns."""
    made = chain(folder)
    for some in (range(count // 2), range(count // 2, count)):
        with made.alone():
            made.add([word(f"r{i}") for i in some])
    return made


@pytest.mark.parametrize(("stored", "kind"), [(HISTORY, Act), (BOOK, Word)])
def test_a_line_written_long_ago_still_fits(
    tmp_path: Path, stored: bytes, kind: type[Act | Word]
) -> None:
    """Byte for byte: a field that moved would change every hash."""
    path = tmp_path / "chain.jsonl"
    path.write_bytes(stored)
    (line,) = SealedChain(path, kind, lock=tmp_path).whole()
    assert msgspec.json.encode(line) + b"\n" == stored
    bare = msgspec.structs.replace(line, sequence=0, previous="", sha256="")
    again = SealedChain(tmp_path / "again.jsonl", kind, lock=tmp_path)
    assert again.add([bare]) == [line]
    assert again.path.read_bytes() == stored


def test_each_line_is_bound_to_the_one_before(tmp_path: Path) -> None:
    """Over several turns, numbered from 1; a file that is not there is a chain of nothing."""
    assert chain(tmp_path).whole() == []
    lines = of(tmp_path, 5).whole()
    assert [line.sequence for line in lines] == [1, 2, 3, 4, 5]
    assert [line.asset for line in lines] == ["r0", "r1", "r2", "r3", "r4"]
    assert [line.previous for line in lines] == [NOTHING_SHA256, *(x.sha256 for x in lines[:-1])]


@given(data=st.data())
def test_a_changed_byte_breaks_it_at_its_line_and_not_before(data: st.DataObject) -> None:
    """Whatever the byte: what stands before it is given, what follows is not."""
    with tempfile.TemporaryDirectory() as name:
        made = of(Path(name), 4)
        rows = made.path.read_bytes().splitlines()
        k = data.draw(st.integers(0, 3))
        at = data.draw(st.integers(0, len(rows[k]) - 1))
        byte = data.draw(st.integers(32, 126).filter(lambda b: b != rows[k][at]))
        rows[k] = rows[k][:at] + bytes([byte]) + rows[k][at + 1 :]
        whole = made.whole()
        made.path.write_bytes(b"\n".join(rows) + b"\n")
        found = made.read()
        assert found.lines == whole[:k]
        assert f"line {k + 1}" in found.broken
        with made.alone(), pytest.raises(ConfigError, match=f"line {k + 1}"):
            made.add([word("r9")])
        assert len(made.path.read_bytes().splitlines()) == 4


@pytest.mark.parametrize(
    ("order", "left"), [([0, 2], 1), ([1, 2], 0), ([0, 2, 1], 1), ([0, 1, 1, 2], 2)]
)
def test_lines_taken_out_moved_or_said_twice_do_not_fit(
    tmp_path: Path, order: list[int], left: int
) -> None:
    """The chain says which is the first."""
    made = of(tmp_path, 3)
    rows = made.path.read_bytes().splitlines(keepends=True)
    made.path.write_bytes(b"".join(rows[i] for i in order))
    found = made.read()
    assert len(found.lines) == left
    assert found.broken.endswith(f"line {left + 1} does not follow from the one before it")


def test_half_a_line_at_the_end_leaves_what_is_before_it(tmp_path: Path) -> None:
    """As of a copy that was cut off."""
    made = of(tmp_path, 3)
    made.path.write_bytes(made.path.read_bytes()[:-20])
    found = made.read()
    assert [line.asset for line in found.lines] == ["r0", "r1"]
    assert "line 3" in found.broken


@pytest.mark.parametrize("end", [b"", b"\n", b"\r\n"])
def test_the_next_word_stands_in_a_line_of_its_own(tmp_path: Path, end: bytes) -> None:
    """Also where the newest one has lost its newline: it is whole, and stays so."""
    made = of(tmp_path, 2)
    made.path.write_bytes(made.path.read_bytes().rstrip() + end)
    before = made.whole()
    with made.alone():
        made.add([word("r8")])
        made.add([word("r9")])
    assert made.whole()[:2] == before
    assert [line.asset for line in made.whole()] == ["r0", "r1", "r8", "r9"]
    assert len(made.path.read_bytes().split(b"\n")) == 5
