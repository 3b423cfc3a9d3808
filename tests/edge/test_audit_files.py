"""The files of an audit trail: each begins with a record of its own, and every kind is known."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import edge
from edge.audit.chain import KINDS, audit_files, verify
from edge.errors import JournalError
from edge.work.shelf import AUDITED
from tests.edge.test_audit import Trails, entry

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def trails(tmp_path: Path) -> Iterator[Trails]:
    """A place for a trail."""
    made = Trails(tmp_path / "audit")
    yield made
    made.close()


@pytest.mark.parametrize("files", [1, 3])
def test_an_emptied_file_is_a_break(trails: Trails, files: int) -> None:
    """Each begins with a record of its own: nothing left of it is no trail without entries."""
    for i in range(files):
        trails.open(bytes_max=4_000)  # a file for every start
        trails.opened[-1].write([entry(i)])
    trails.close()
    for at, (_, path) in enumerate(audit_files(trails.directory)):
        whole = path.read_bytes()
        path.write_bytes(b"")
        broken = verify(trails.directory).broken
        assert broken is not None
        assert (broken.file, broken.line) == (path.name, 1), at
        assert broken.expected != broken.found
        path.write_bytes(whole)
    assert verify(trails.directory).broken is None


def test_what_cannot_be_read_says_what_to_do(trails: Trails) -> None:
    """A trail of another user, or on a disk that fails: a folder in its place is as unreadable."""
    (trails.directory / "00000001.jsonl").mkdir(parents=True)
    with pytest.raises(JournalError, match="read it as the gateway's user, or mend the disk"):
        verify(trails.directory)


def test_a_file_without_its_first_record_is_a_break(trails: Trails) -> None:
    """Also where the sequence goes on: a file that began elsewhere was put together by hand."""
    trails.open().write([entry(i) for i in range(4)])
    trails.close()
    ((_, first),) = audit_files(trails.directory)
    lines = first.read_bytes().splitlines(keepends=True)
    first.write_bytes(b"".join(lines[:3]))
    second = first.with_name("00000002.jsonl")
    second.write_bytes(b"".join(lines[3:]))
    broken = verify(trails.directory).broken
    assert broken is not None
    assert (broken.file, broken.line) == (second.name, 1)
    assert "file_begins of file 2" in broken.expected
    first.rename(second)
    broken = verify(trails.directory).broken
    assert broken is not None
    assert broken.found == "file_begins of file 1"


def _words(argument: ast.expr) -> set[str]:
    """A word that is an argument, or either of two."""
    either = [argument.body, argument.orelse] if isinstance(argument, ast.IfExp) else [argument]
    return {str(one.value) for one in either if isinstance(one, ast.Constant)}


@pytest.mark.not_counted
def test_every_kind_that_is_written_is_known() -> None:
    """What `andon audit show --what` lists is what the core and its shells audit."""
    core = Path(edge.__file__).parent
    written = set()
    for path in core.rglob("*.py"):
        calls = (node for node in ast.walk(ast.parse(path.read_text("utf-8"))))
        for call in calls:
            name = getattr(getattr(call, "func", None), "attr", "") or getattr(
                getattr(call, "func", None), "id", ""
            )
            if isinstance(call, ast.Call) and name in {
                "audited",
                "audited_alert",
                "audit_job",
                "_audit",
            }:
                written |= set().union(*map(_words, call.args))
            if isinstance(call, ast.Call) and name == "Audited":
                written |= set().union(*(_words(k.value) for k in call.keywords if k.arg == "what"))
    written |= {what for pair in AUDITED.values() for what in pair}
    assert written == set(KINDS)
