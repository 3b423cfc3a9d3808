"""One process writes a journal at a time, and a journal with a hole is never read over it."""

from __future__ import annotations

import itertools
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

import pytest

from edge.errors import JournalError
from edge.records import MessageReceived
from edge.storage.journal import MAGIC, Position, read_journal, segments
from edge.storage.journal_writer import JournalWriter
from models.bundles.assemble import make_bundle
from models.bundles.store import save
from tests.edge.test_app import SYSTEM, World
from tests.models.plants import fitted

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT: Final = Path(__file__).resolve().parents[2]
SEGMENT_BYTES_MAX: Final = 300
# Opens a journal, says so or why not, and holds it until its input ends.
WRITER: Final = """
import sys
from pathlib import Path
from edge.errors import JournalError
from edge.storage.journal_writer import JournalWriter
try:
    writer = JournalWriter(Path(sys.argv[1]))
except JournalError as error:
    print(error, flush=True)
    sys.exit(3)
print("open", flush=True)
sys.stdin.read()
"""


def append(writer: JournalWriter, numbers: range) -> None:
    """Append messages that their time tells apart, a group each."""
    for i in numbers:
        message = MessageReceived(topic="plant/r1", payload=b"x" * 30, received_ns=i, qos=1)
        writer.append([(i, message)])


def written(directory: Path, count: int = 24) -> list[tuple[int, Path]]:
    """Write a journal of many segments; returns them."""
    writer = JournalWriter(directory, segment_bytes_max=SEGMENT_BYTES_MAX)
    append(writer, range(count))
    writer.close()
    return segments(directory)


def numbers(directory: Path, after: Position | None = None) -> list[int]:
    """Which messages it holds."""
    return [entry.now_ns for entry in read_journal(directory, after=after)]


def contents(directory: Path) -> dict[str, bytes]:
    """Every file of it, byte for byte."""
    return {path.name: path.read_bytes() for path in sorted(directory.iterdir())}


class Other:
    """Another process that tries to write a journal. A context manager; leaves none behind."""

    def __init__(self, directory: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(directory)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        self.said = self._process.stdout.readline().strip()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def kill(self) -> None:
        """End it as a power cut would."""
        self._process.kill()
        self._process.communicate()

    def exit_code(self) -> int:
        """How it ended by itself."""
        return self._process.wait(60)


# --- the lock ---


@pytest.mark.parametrize("count", [0, 24])
def test_a_second_process_is_told_who_has_the_journal_and_what_to_do(
    count: int, tmp_path: Path
) -> None:
    """Of a new journal and of one with segments; the first one goes on undisturbed."""
    writer = JournalWriter(tmp_path, segment_bytes_max=SEGMENT_BYTES_MAX)
    append(writer, range(count))
    before = contents(tmp_path)
    with Other(tmp_path) as other:
        assert other.exit_code() == 3
        assert str(tmp_path) in other.said
        assert "another process" in other.said
        assert "stop it first" in other.said
    assert contents(tmp_path) == before, "a refused process leaves no trace"
    append(writer, range(count, count + 10))
    writer.close()
    assert numbers(tmp_path) == list(range(count + 10))


def test_the_lock_follows_the_writer_into_its_next_segment(tmp_path: Path) -> None:
    """The first segment is free after a roll; the journal is not."""
    writer = JournalWriter(tmp_path, segment_bytes_max=SEGMENT_BYTES_MAX)
    refused = []
    for i in range(12):
        append(writer, range(i, i + 1))
        with pytest.raises(JournalError, match="another process"):
            JournalWriter(tmp_path)  # a lock is of an open file, so one process tells it too
        refused.append(len(segments(tmp_path)))
    assert len(set(refused)) > 2, "it rolled more than once"
    writer.close()
    assert numbers(tmp_path) == list(range(12))


def test_a_killed_process_leaves_no_lock_behind(tmp_path: Path) -> None:
    """Whoever comes next writes on, without a file that somebody has to remove first."""
    written(tmp_path, 5)
    with Other(tmp_path) as other:
        assert other.said == "open"
        with pytest.raises(JournalError, match="another process"):
            JournalWriter(tmp_path)
        other.kill()
        writer = JournalWriter(tmp_path)
    append(writer, range(5, 8))
    writer.close()
    assert numbers(tmp_path) == list(range(8))


def test_a_closed_writer_gives_the_journal_free_also_after_a_roll_that_failed(
    tmp_path: Path,
) -> None:
    """A segment that stands in the way is another process's; it is not ours to write into."""
    writer = JournalWriter(tmp_path, segment_bytes_max=SEGMENT_BYTES_MAX)
    append(writer, range(2))
    theirs = tmp_path / f"{writer.position.segment + 1:08d}.journal"
    theirs.write_bytes(b"theirs")
    with pytest.raises(JournalError, match="another process"):
        append(writer, range(2, 20))
    assert theirs.read_bytes() == b"theirs"
    writer.close()
    theirs.unlink()
    again = JournalWriter(tmp_path)
    append(again, range(50, 52))
    again.close()
    found = numbers(tmp_path)
    assert found == [*range(found.index(50)), 50, 51]


def test_a_journal_that_is_written_can_be_read(tmp_path: Path) -> None:
    """A backtest of a running gateway's journal needs no lock and sees whole records only."""
    writer = JournalWriter(tmp_path, segment_bytes_max=SEGMENT_BYTES_MAX)
    for i in range(12):
        append(writer, range(i, i + 1))
        assert numbers(tmp_path) == list(range(i + 1))
    writer.close()


# --- a gap ---


def between(found: list[tuple[int, Path]]) -> Iterator[set[int]]:
    """Every choice of one to three segments, the first and the last left alone."""
    inner = [number for number, _ in found[1:-1]]
    for count in (1, 2, 3):
        yield from map(set, itertools.combinations(inner, count))


def test_whichever_segments_are_missing_between_others_the_first_is_named(tmp_path: Path) -> None:
    """Where, which, and what to do; not one record is given out before, as if all were well."""
    found = written(tmp_path)
    assert len(found) >= 6
    whole = contents(tmp_path)
    for gone in between(found):
        for number, path in found:
            if number in gone:
                path.unlink()
        read: list[int] = []
        with pytest.raises(JournalError) as caught:
            read.extend(entry.now_ns for entry in read_journal(tmp_path))
        assert str(tmp_path) in str(caught.value)
        assert f"{min(gone):08d}.journal is missing" in str(caught.value)
        assert "restore it from a copy" in str(caught.value)
        assert read == []
        for name, data in whole.items():
            (tmp_path / name).write_bytes(data)
    assert numbers(tmp_path) == list(range(24)), "restored from a copy, it reads again"


def test_a_gap_behind_a_checkpoint_is_an_error_for_whoever_resumes(tmp_path: Path) -> None:
    """From any place before the gap: what is missing would never be heard of again."""
    found = written(tmp_path)
    positions = [Position(), *(entry.position for entry in read_journal(tmp_path))]
    number, path = found[-2]
    path.unlink()
    before = [position for position in positions if position.segment < number]
    assert len(before) > 10
    for position in before:
        with pytest.raises(JournalError, match=path.name):
            numbers(tmp_path, after=position)


def test_segments_missing_at_the_front_are_retention_and_no_error(tmp_path: Path) -> None:
    """However many are gone, the rest is read; so a number of the first one is no gap."""
    found = written(tmp_path)
    firsts = {
        number: numbers(path)[0]
        for number, path in found
        if path.stat().st_size > len(b"ANDONJ1\n")
    }
    for number, path in found[:-1]:
        path.unlink()
        assert numbers(tmp_path) == list(range(firsts[number + 1], 24))


def test_files_that_are_no_segments_are_neither_read_nor_missed(tmp_path: Path) -> None:
    """A note or a copy beside them is not part of the sequence."""
    written(tmp_path)
    (tmp_path / "notes.txt").write_text("x")
    (tmp_path / "copy-of-00000002.journal").write_text("x")
    (tmp_path / "00000002.journal.bak").write_text("x")
    assert numbers(tmp_path) == list(range(24))
    writer = JournalWriter(tmp_path)
    append(writer, range(24, 25))
    writer.close()
    assert numbers(tmp_path) == list(range(25))


# --- a gateway ---


def world_of(folder: Path, patch: pytest.MonkeyPatch) -> World:
    """A plant, a broker and a directory for gateways."""
    return World(folder, save(make_bundle([fitted()]), folder / "bundle"), patch)


def test_a_second_gateway_on_the_same_state_is_refused_and_disturbs_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two would acknowledge each other's messages; the first one goes on to its end."""
    world = world_of(tmp_path, monkeypatch)
    second = World(tmp_path, tmp_path / "bundle", monkeypatch)
    refused: list[str] = []
    begin = world.broker.start

    def meanwhile() -> None:
        with pytest.raises(JournalError) as caught:
            second.live()
        refused.append(str(caught.value))
        begin()

    world.broker.__dict__["start"] = meanwhile
    assert world.live() == 0
    assert len(refused) == 1
    assert "another process writes here; stop it first" in refused[0]
    assert second.broker.heard == []


def test_a_gateway_starts_over_a_gap_and_says_on_its_topic_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A segment that is gone keeps nobody from watching; all that is there stays as it is."""
    world = world_of(tmp_path, monkeypatch)
    assert world.live() == 0
    journal = world.broker.state / "journal"
    (first,) = journal.iterdir()
    shutil.copy(first, journal / "00000003.journal")
    shutil.rmtree(world.broker.state / "checkpoints")
    before = contents(journal)
    assert world.live() == 0
    told = world.broker.last(SYSTEM)
    assert (told["active"], told["name"]) == (1, "journal_damaged")
    assert "00000002.journal: segment 00000002.journal is missing: what was" in told["message"]
    after = contents(journal)
    assert after["00000002.journal"] == MAGIC
    assert all(after[name].startswith(data) for name, data in before.items())
