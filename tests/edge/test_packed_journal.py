"""Packed groups: the same stimuli in fewer bytes, whole or not there at all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest

from edge.errors import JournalError
from edge.records import MessageReceived
from edge.storage.formats import JOURNAL_FORMAT
from edge.storage.journal import MAGIC, read_journal, segments
from edge.storage.journal_records import DamagedJournalError, header_format
from edge.storage.journal_writer import JournalWriter
from tests.edge.test_redelivery import tail_of

if TYPE_CHECKING:
    from pathlib import Path

    from edge.records import Stimulus

GROUP: Final = 20


def group(first: int) -> list[tuple[int, Stimulus]]:
    """Messages that pack well."""
    return [
        (
            i,
            MessageReceived(
                topic="plant/r1", payload=b'{"ts":1,"c":2.5}' * 4, received_ns=i, qos=1
            ),
        )
        for i in range(first, first + GROUP)
    ]


def write(directory: Path, groups: range, *, compress: bool = True) -> JournalWriter:
    """Write some groups, and close."""
    writer = JournalWriter(directory, compress=compress)
    for i in groups:
        writer.append(group(i * GROUP))
    writer.close()
    return writer


def numbers(directory: Path) -> list[int]:
    """Which messages are read."""
    return [entry.now_ns for entry in read_journal(directory)]


def test_packed_and_plain_segments_follow_each_other(tmp_path: Path) -> None:
    """A switch begins a segment of the other format; all is read in order, and its tail too."""
    for i, compress in enumerate((False, True, True, False)):
        write(tmp_path, range(i, i + 1), compress=compress)
    formats = [header_format(path.read_bytes()) for _, path in segments(tmp_path)]
    assert formats == [1, JOURNAL_FORMAT, 1]
    assert numbers(tmp_path) == list(range(4 * GROUP))
    assert [m.received_ns for m in tail_of(tmp_path)] == numbers(tmp_path)
    sizes = [path.stat().st_size for _, path in segments(tmp_path)]
    assert sizes[1] < sizes[0], "two groups packed are less than one"


def test_a_cut_at_any_byte_takes_whole_groups(tmp_path: Path) -> None:
    """Positions behind a group are where reading goes on; a torn group is not there."""
    write(tmp_path / "a", range(3))
    ((_, path),) = segments(tmp_path / "a")
    data = path.read_bytes()
    found = list(read_journal(tmp_path / "a"))
    ends = [entry.position.offset for entry in found[GROUP - 1 :: GROUP]]
    assert ends[-1] == len(data)
    for at, end in enumerate(found[GROUP - 1 :: GROUP], start=1):
        rest = read_journal(tmp_path / "a", after=end.position)
        assert [entry.now_ns for entry in rest] == list(range(at * GROUP, 3 * GROUP))
    for cut in range(len(MAGIC), len(data)):
        path.write_bytes(data[:cut])
        assert numbers(tmp_path / "a") == list(range(GROUP * sum(end <= cut for end in ends)))


def test_damage_in_a_packed_group_costs_that_group(tmp_path: Path) -> None:
    """Tools name it, a gateway mends it, and what stands behind it is taken."""
    write(tmp_path, range(3))
    ((_, path),) = segments(tmp_path)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0x10
    path.write_bytes(data)
    with pytest.raises(JournalError, match="damaged record at byte"):
        numbers(tmp_path)
    writer = JournalWriter(tmp_path, compress=True, mend=True)
    with pytest.raises(DamagedJournalError) as caught:
        numbers(tmp_path)
    loss = writer.mend(caught.value)
    writer.close()
    assert (loss.after_ns, loss.before_ns) == (GROUP - 1, 2 * GROUP)
    assert numbers(tmp_path) == [*range(GROUP), *range(2 * GROUP, 3 * GROUP)]
