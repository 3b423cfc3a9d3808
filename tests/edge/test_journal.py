"""The journal under cuts, damage, full disks and retention."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Any, Final
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.errors import JournalError
from edge.records import MessageReceived, RetrievalDone, ShellFault, Started, TickDue
from edge.storage.disk import Disk
from edge.storage.journal import MAGIC, Entry, Position, read_journal, segments
from edge.storage.journal_records import RECORD_BYTES_MAX
from edge.storage.journal_writer import JournalWriter
from edge.storage.volume import bytes_per_day

if TYPE_CHECKING:
    from pathlib import Path

    from edge.records import Stimulus


def message(i: int, size: int = 5) -> MessageReceived:
    """Make a message that is told from others by its topic."""
    return MessageReceived(topic=f"t/{i}", payload=b"\x92" * size, received_ns=i, qos=1)


def entries(count: int, size: int = 5) -> list[tuple[int, Stimulus]]:
    """Make some messages with their times."""
    return [(i, message(i, size)) for i in range(count)]


def write(directory: Path, count: int, *, size: int = 5, **options: Any) -> JournalWriter:  # noqa: ANN401
    """Write a journal, a record a group, and close it."""
    writer = JournalWriter(directory, **options)
    for entry in entries(count, size):
        writer.append([entry])
    writer.close()
    return writer


def numbers(path: Path, after: Position | None = None) -> list[int]:
    """Read which messages a journal holds."""
    return [entry.now_ns for entry in read_journal(path, after=after)]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, list[Entry]]:
    """Write one segment of ten records and read it back."""
    directory = tmp_path_factory.mktemp("whole")
    write(directory, 10)
    ((_, path),) = segments(directory)
    return path.read_bytes(), list(read_journal(directory))


def test_every_kind_of_stimulus_comes_back(tmp_path: Path) -> None:
    """What was appended is read, in order, with its time."""
    sent: list[tuple[int, Stimulus]] = [
        (1, Started(version="1", bundle_sha256="b", snapshot_sha256="", settings_sha256="s")),
        (2, MessageReceived(topic="t", payload=bytes(range(256)), received_ns=2, retain=True)),
        (3, TickDue(final=True)),
        (4, RetrievalDone(alert_id="a", hits=None, reason="r")),
        (5, RetrievalDone(alert_id="a", hits=())),
        (6, ShellFault(name="n", detail="d", active=False)),
    ]
    with_end = JournalWriter(tmp_path)
    end = with_end.append(sent)
    with_end.close()
    found = list(read_journal(tmp_path))
    assert [(entry.now_ns, entry.stimulus) for entry in found] == sent
    assert found[-1].position == end


def test_a_cut_at_any_byte_keeps_what_was_whole_and_invents_nothing(
    whole: tuple[bytes, list[Entry]], tmp_path: Path
) -> None:
    """Reading ends at the last whole record; a writer goes on behind it, and counts what it cut."""
    data, found = whole
    ends = [entry.position.offset for entry in found]
    path = tmp_path / "00000001.journal"
    for cut in range(len(data) + 1):
        path.write_bytes(data[:cut])
        kept = sum(end <= cut for end in ends)
        assert list(read_journal(tmp_path)) == found[:kept]
        writer = JournalWriter(tmp_path)
        last = max([len(MAGIC), *(end for end in ends if end <= cut)])
        assert writer.torn_bytes_total == max(0, cut - last)
        writer.append([(99, message(99))])
        writer.close()
        assert numbers(tmp_path) == [*range(kept), 99]


@pytest.mark.parametrize("tail", [b"\0" * 4096, b"\0" * 7, b"\xff" * 100, b"\x10\0\0\0" * 30])
def test_what_a_power_cut_leaves_at_the_end_is_cut_off(tail: bytes, tmp_path: Path) -> None:
    """Blocks of zeros have a right checksum of nothing; they are still no records."""
    write(tmp_path, 5)
    ((_, path),) = segments(tmp_path)
    with path.open("ab") as file:
        file.write(tail)
    assert numbers(tmp_path) == [0, 1, 2, 3, 4]
    writer = JournalWriter(tmp_path)
    assert writer.torn_bytes_total == len(tail)
    writer.append([(5, message(5))])
    writer.close()
    assert numbers(tmp_path) == [0, 1, 2, 3, 4, 5]


def test_damage_at_any_byte_before_the_end_is_named_and_never_skipped(
    whole: tuple[bytes, list[Entry]], tmp_path: Path
) -> None:
    """File and offset of the record are in the error, lengths included; nothing is cut away."""
    data, found = whole
    begins = [len(MAGIC), *(entry.position.offset for entry in found[:-1])]
    path = tmp_path / "00000001.journal"
    for at in range(len(MAGIC), begins[-1]):
        for flip in (0x01, 0x80, 0xFF):
            damaged = bytearray(data)
            damaged[at] ^= flip
            path.write_bytes(damaged)
            record = max(begin for begin in begins if begin <= at)
            read: list[Entry] = []
            with pytest.raises(JournalError) as caught:
                read.extend(read_journal(tmp_path))
            assert str(path) in str(caught.value)
            assert f"byte {record}" in str(caught.value)
        with pytest.raises(JournalError):
            JournalWriter(tmp_path)
        assert len(path.read_bytes()) == len(data), "nothing is cut away"


def test_damage_in_the_last_record_is_a_torn_tail(
    whole: tuple[bytes, list[Entry]], tmp_path: Path
) -> None:
    """It cannot be told from a write that did not finish."""
    data, found = whole
    path = tmp_path / "00000001.journal"
    for at in range(found[-2].position.offset, len(data)):
        damaged = bytearray(data)
        damaged[at] ^= 0xFF
        path.write_bytes(damaged)
        assert list(read_journal(tmp_path)) == found[:-1]


def test_a_torn_tail_of_an_earlier_segment_is_damage(tmp_path: Path) -> None:
    """Only the newest segment can have been cut by a crash."""
    write(tmp_path, 20, segment_bytes_max=200)
    _, first = segments(tmp_path)[0]
    first.write_bytes(first.read_bytes()[:-1])
    with pytest.raises(JournalError, match=first.name):
        numbers(tmp_path)


@pytest.mark.parametrize("name", ["nothing", "file.csv", "empty", "00000001.journal"])
def test_what_is_no_journal_is_refused_by_name(name: str, tmp_path: Path) -> None:
    """A missing path, an empty directory, another file."""
    path = tmp_path / name
    if name == "empty":
        path.mkdir()
    elif name != "nothing":
        path.write_text("time,value\n1,2\n")
    with pytest.raises(JournalError, match=name):
        numbers(path)


def test_segments_roll_and_read_in_order(tmp_path: Path) -> None:
    """No segment is longer than its cap, unless one record is; a group is never split."""
    write(tmp_path, 50, segment_bytes_max=300)
    found = segments(tmp_path)
    assert [number for number, _ in found] == list(range(1, len(found) + 1))
    assert len(found) > 5
    assert all(path.stat().st_size <= 300 for _, path in found)
    assert numbers(tmp_path) == list(range(50))
    writer = JournalWriter(tmp_path, segment_bytes_max=300)
    writer.append(entries(20))
    writer.close()
    assert numbers(segments(tmp_path)[-1][1]) == list(range(20))


def test_a_writer_goes_on_where_the_last_one_ended(tmp_path: Path) -> None:
    """Also after a start that wrote nothing."""
    for i in range(5):
        writer = JournalWriter(tmp_path, segment_bytes_max=100)
        writer.append([(i, message(i))])
        writer.close()
        JournalWriter(tmp_path, segment_bytes_max=100).close()
    assert numbers(tmp_path) == [0, 1, 2, 3, 4]


def test_retention_drops_the_oldest_and_counts_them(tmp_path: Path) -> None:
    """What is kept stays below the cap and is the newest, without a hole."""
    writer = write(tmp_path, 200, segment_bytes_max=300, bytes_max=1500)
    kept = numbers(tmp_path)
    assert kept == list(range(kept[0], 200))
    assert kept[0] > 0
    assert writer.bytes_kept() <= 1500
    assert writer.dropped_segments_total == segments(tmp_path)[0][0] - 1


def test_old_segments_go_by_age(tmp_path: Path) -> None:
    """Days count too, not bytes alone."""
    write(tmp_path, 20, segment_bytes_max=200)
    old = segments(tmp_path)
    for _, path in old[:2]:
        os.utime(path, (1_740_000_000, 1_740_000_000))
    writer = JournalWriter(tmp_path, segment_bytes_max=200, days_max=1)
    for entry in entries(20):
        writer.append([entry])
    writer.close()
    assert writer.dropped_segments_total == 2
    assert segments(tmp_path)[0] == old[2]


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=2, max_size=6))
def test_positions_are_ordered_as_they_were_written(pairs: list[tuple[int, int]]) -> None:
    """First by segment, then by offset."""
    positions = [Position(*pair) for pair in pairs]
    assert [(p.segment, p.offset) for p in sorted(positions)] == sorted(pairs)


def test_reading_after_any_position_gives_exactly_the_rest(tmp_path: Path) -> None:
    """A checkpoint's position resumes over segments without loss or repetition."""
    writer = JournalWriter(tmp_path, segment_bytes_max=200)
    positions = [writer.position] + [writer.append([entry]) for entry in entries(20)]
    writer.close()
    assert positions == sorted(positions)
    assert [entry.position for entry in read_journal(tmp_path)] == positions[1:]
    for i, position in enumerate(positions):
        assert numbers(tmp_path, after=position) == list(range(i, 20))


@pytest.mark.parametrize("ahead", [Position(1, 10_000), Position(2, 8)])
def test_a_position_behind_the_end_is_an_error(ahead: Position, tmp_path: Path) -> None:
    """A checkpoint of a journal that is gone would hide everything written from now on."""
    write(tmp_path, 3)
    with pytest.raises(JournalError, match="checkpoint"):
        numbers(tmp_path, after=ahead)


# --- a disk that fails ---


class FailingFile:
    """A raw file with `room` bytes left on its disk, as a kernel shows it: a short write first."""

    def __init__(self, file: Any, room: int) -> None:  # noqa: ANN401
        self._file = file
        self.room = room

    def write(self, data: memoryview) -> int:
        """Write what fits; nothing fits: ENOSPC."""
        part = bytes(data[: self.room])
        if not part:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.room -= len(part)
        return int(self._file.write(part))

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        return getattr(self._file, name)


def test_a_full_disk_at_any_byte_leaves_the_journal_as_it_was(tmp_path: Path) -> None:
    """The group that failed is not there at all, and once there is room the next one is."""
    group: list[tuple[int, Stimulus]] = [(7, message(7)), (8, message(8)), (9, message(9))]
    trial = JournalWriter(tmp_path / "trial")
    size: Final = trial.append(group).offset - len(MAGIC)
    trial.close()
    for room in range(size + 1):
        directory = tmp_path / str(room)
        writer = JournalWriter(directory)
        writer.append(entries(2))
        before = writer.position
        file = writer._file
        failing: Any = FailingFile(file, room)
        writer._file = failing
        try:
            writer.append(group)
        except JournalError:
            assert writer.position == before
            expected = [0, 1]
            assert room < size
        else:
            expected = [0, 1, 7, 8, 9]
            assert room == size
        assert numbers(directory) == expected
        failing.room = 10**6
        writer.append([(10, message(10))])
        writer.close()
        assert numbers(directory) == [*expected, 10]


def test_a_full_disk_when_a_segment_begins_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A segment that could not be begun is not left behind, and the next try begins it."""
    writer = JournalWriter(tmp_path, segment_bytes_max=100)
    writer.append([(0, message(0))])
    with monkeypatch.context() as patch:

        def full(*_: object, **_more: object) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        patch.setattr(Disk, "open", full)
        with pytest.raises(JournalError, match="free disk space"):
            writer.append([(1, message(1, 100))])
    assert numbers(tmp_path) == [0]
    writer.append([(2, message(2, 100))])
    writer.close()
    assert numbers(tmp_path) == [0, 2]
    assert len(segments(tmp_path)) == 2


def test_a_disk_that_does_not_sync_is_an_error_of_the_journal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A failing fsync is told as what it is, so that nobody acknowledges what it covers."""
    writer = JournalWriter(tmp_path, strict=True)

    def broken(_: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", broken)
        with pytest.raises(JournalError, match="sync"):
            writer.append([(0, message(0))])
    for again in (writer.sync, lambda: writer.append([(1, message(1))])):
        with pytest.raises(JournalError, match="sync"):  # though now it would say that all is well
            again()
    writer.resume()
    writer.append([(2, message(2))])
    writer.close()
    assert len(segments(tmp_path)) == 2, "what follows does not stand behind what may be lost"


def test_a_sync_behind_one_that_failed_fails_as_well(tmp_path: Path) -> None:
    """Asked for while the one before still ran, it has nothing to do: it must not say "safe"."""
    disk = Disk()
    writer = JournalWriter(tmp_path, disk=disk)
    writer.add([(0, message(0))])
    first, second = writer.syncing(), writer.syncing()
    with mock.patch.object(disk, "sync", side_effect=OSError(errno.EIO, os.strerror(errno.EIO))):
        for sync in (first, second):
            with pytest.raises(JournalError, match="sync"):
                sync()
        with pytest.raises(JournalError, match="sync"):
            writer.sync()
    with mock.patch.object(disk, "sync", wraps=disk.sync) as synced:
        writer.resume()
    safe = [os.path.basename(call.args[0].name) for call in synced.call_args_list]  # noqa: PTH119
    assert "00000001.journal" in safe, "a segment begins behind one that is safe"
    writer.close()


def test_a_record_that_could_not_be_read_again_is_not_written(tmp_path: Path) -> None:
    """One oversize message must not keep a gateway from starting."""
    writer = JournalWriter(tmp_path)
    with pytest.raises(JournalError, match=str(RECORD_BYTES_MAX)):
        writer.append([(0, message(0)), (1, message(1, RECORD_BYTES_MAX))])
    writer.append([(2, message(2, RECORD_BYTES_MAX - 100))])
    writer.close()
    assert numbers(tmp_path) == [2]


def test_strict_syncs_every_group_and_lax_ones_by_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`strict` pays a sync a group; otherwise `sync_s` decides."""
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", synced.append)
    for options, expected in (({"strict": True}, 3), ({"sync_s": 0.0}, 3), ({"sync_s": 1e9}, 0)):
        writer = JournalWriter(tmp_path / str(options), **options)
        synced.clear()
        for entry in entries(3):
            writer.append([entry])
        assert len(synced) == expected
        writer.close()


def test_bytes_a_day_are_about_what_is_written(tmp_path: Path) -> None:
    """The figure that `andon check` states is within a factor of two of the truth."""
    payload = b'{"ts":1760000000123,' + b",".join(b'"a%d":%d.25' % (i, i) for i in range(8)) + b"}"
    writer = JournalWriter(tmp_path)
    sent = MessageReceived(topic="plant/r1", payload=payload, received_ns=10**18, qos=1)
    writer.append([(10**18, sent)] * 1000)
    writer.close()
    a_day = writer.bytes_kept() / 1000 * 86_400
    assert 0.5 < bytes_per_day(8, values_per_message=8) / a_day < 2
