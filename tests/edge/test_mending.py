"""Damage that a gateway must start over: at the tail, before it, in files and in what they are."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
from typing import TYPE_CHECKING, Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge.audit.trail import must_stay
from edge.errors import JournalError
from edge.records import MessageReceived
from edge.storage import journal_records, mending
from edge.storage.checkpoint import newest
from edge.storage.disk import DISK
from edge.storage.formats import refuse_newer
from edge.storage.journal import MAGIC, Position, read_journal, segments
from edge.storage.journal_records import DamagedJournalError
from edge.storage.journal_writer import JournalWriter
from edge.storage.restore import restore
from models.bundles.store import save
from tests.edge.app_broker import decided
from tests.edge.test_app import World
from tests.edge.test_restore_retention import assembly_of, bundle, lived
from tests.edge.test_restore_retention import restored as restore_plainly

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from edge.records import Effect, Publish
    from edge.storage.restore import Restored
    from models.bundles.bundle import Bundle
    from tests.edge.test_restore_retention import Lived

__all__ = ["bundle", "lived"]

COUNT: Final = 30


def message(i: int) -> MessageReceived:
    """Make a message that is told from others by its topic."""
    return MessageReceived(topic=f"t/{i}", payload=b"\x92" * (i % 7), received_ns=i, qos=1)


def write(directory: Path, *, first: int = 0, segment_bytes_max: int = 400) -> list[Position]:
    """Write COUNT messages, a group each; returns where each begins, and the end."""
    writer = JournalWriter(directory, segment_bytes_max=segment_bytes_max, mend=True)
    places = [writer.position]
    places += [writer.append([(i, message(i))]) for i in range(first, first + COUNT)]
    writer.close()
    return places


def numbers(directory: Path, after: Position | None = None) -> list[int]:
    """Which messages are read."""
    return [entry.now_ns for entry in read_journal(directory, after=after)]


def mended(directory: Path, after: Position | None = None) -> tuple[list[int], list[mending.Loss]]:
    """What a gateway that starts reads, and what it says that it lost."""
    losses: list[mending.Loss] = []
    with contextlib.closing(
        JournalWriter(directory, segment_bytes_max=400, trusted=after, mend=True)
    ) as one:
        for _ in range(100):
            try:
                return numbers(directory, after), losses
            except DamagedJournalError as damage:
                losses.append(one.mend(damage))
    raise AssertionError("there is no end to it")


@given(
    tail=st.one_of(
        st.binary(max_size=300),
        st.integers(0, 20_000).map(bytes),
        st.binary(max_size=40).map(lambda some: some * 50),
    )
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_whatever_stands_behind_the_last_whole_record_is_cut_and_counted(
    tail: bytes, tmp_path: Path
) -> None:
    """Garbage of any length, zeros, anything twice: nothing before it goes, nothing is invented."""
    shutil.rmtree(tmp_path)
    write(tmp_path, segment_bytes_max=1 << 20)
    ((_, path),) = segments(tmp_path)
    with path.open("ab") as file:
        file.write(tail)
    assert numbers(tmp_path) == list(range(COUNT))
    writer = JournalWriter(tmp_path)
    assert writer.torn_bytes_total == len(tail)
    writer.append([(COUNT, message(COUNT))])
    writer.close()
    assert numbers(tmp_path) == list(range(COUNT + 1))


@pytest.mark.parametrize("head", [b"", b"A", b"ANDONJ2", b"ANDONJ4\0", bytes(4096), b"AND\0\0"])
def test_a_new_segment_whose_header_is_torn_is_begun_again(head: bytes, tmp_path: Path) -> None:
    """The power went as it was made: nothing was in it."""
    write(tmp_path)
    last = segments(tmp_path)[-1][0]
    (tmp_path / f"{last + 1:08d}.journal").write_bytes(head)
    assert numbers(tmp_path) == list(range(COUNT))
    write(tmp_path, first=COUNT)
    assert numbers(tmp_path) == list(range(2 * COUNT))


@pytest.mark.parametrize("seed", range(40))
def test_damage_anywhere_keeps_all_that_is_whole_and_says_what_it_cost(
    seed: int, tmp_path: Path
) -> None:
    """Bits, stretches, cuts, segments that are gone or empty: read in order, told, kept aside."""
    rng = random.Random(seed)
    places = write(tmp_path)
    found = segments(tmp_path)
    number, path = rng.choice(found[1:-1])  # the first may be gone because it is old
    data, kind = bytearray(path.read_bytes()), rng.choice(["bit", "zeros", "cut", "gone", "empty"])
    begin = rng.randrange(len(data))
    end = min(len(data), begin + rng.randrange(1, 60))
    if kind == "bit":
        data[begin] ^= 1 << rng.randrange(8)
        end = begin + 1
    elif kind == "zeros":
        data[begin:end] = bytes(end - begin)
    elif kind == "cut":
        del data[begin:]
        end = 1 << 30
    begin, end = (0, 1 << 30) if kind in {"gone", "empty"} else (begin, end)
    path.write_bytes(b"" if kind == "empty" else data)
    if kind == "gone":
        path.unlink()
    hit = {
        i
        for i in range(COUNT)
        for at in (_begin(places[i], places[i + 1]),)
        if at.segment == number and at.offset < end and places[i + 1].offset > begin
    }
    whole = told_where(tmp_path, path)
    read, losses = mended(tmp_path)
    assert read == sorted(read)
    assert set(range(COUNT)) - hit <= set(read) <= set(range(COUNT))
    assert whole == (not losses)
    for loss in losses:
        assert loss.segment == path.name
        assert (tmp_path / mending.ASIDE / f"{path.stem}.1.journal").exists() == (kind != "gone")
    assert numbers(tmp_path) == read, "tools go on from then"


def told_where(directory: Path, path: Path) -> bool:
    """Whether tools read all of it; where not, they say where it is damaged."""
    with contextlib.suppress(DamagedJournalError):
        return numbers(directory) == list(range(COUNT))
    with pytest.raises(JournalError, match=path.name):
        numbers(directory)
    return False


def _begin(at: Position, behind: Position) -> Position:
    """Where the record begins that ends there: a new segment began between."""
    return at if at.segment == behind.segment else Position(behind.segment, len(MAGIC))


@pytest.mark.parametrize("compress", [False, True])
def test_a_mended_segment_says_the_format_of_its_records(compress: bool, tmp_path: Path) -> None:  # noqa: FBT001
    """Its own header is damaged: an older version has to refuse it by that, not by a record."""
    writer = JournalWriter(tmp_path, segment_bytes_max=4_000, compress=compress)
    for first in range(0, 600, 100):
        writer.append([(i, message(i)) for i in range(first, first + 100)])
    writer.close()
    path = segments(tmp_path)[1][1]
    data = bytearray(path.read_bytes())
    format_before = journal_records.header_format(bytes(data))
    data[0] ^= 1
    path.write_bytes(data)
    told, losses = mended(tmp_path)
    assert (told, len(losses)) == (list(range(600)), 1)
    format_after = journal_records.header_format(path.read_bytes())
    assert format_after == format_before == (4 if compress else 1)


def test_what_is_behind_a_checkpoint_is_not_read_at_all(tmp_path: Path) -> None:
    """Damage before it costs nothing and is touched by nobody, in its own segment too."""
    places = write(tmp_path)
    at = places[20]
    before = {}
    for number, path in segments(tmp_path):
        data = bytearray(path.read_bytes())
        if number <= at.segment:
            begin = len(MAGIC) * (number % 2)
            until = len(data) if number < at.segment else at.offset
            data[begin:until] = os.urandom(until - begin)
            path.write_bytes(data)
        before[path.name] = path.read_bytes()
    read, losses = mended(tmp_path, at)
    assert (read, losses) == (list(range(20, COUNT)), [])
    assert all((tmp_path / name).read_bytes() == data for name, data in before.items())


def test_a_journal_that_ends_before_its_checkpoint_goes_on_in_a_new_segment(tmp_path: Path) -> None:
    """A disk that lost what it had promised: what comes from now on must not be skipped."""
    places = write(tmp_path)
    for left in (0, 1, len(segments(tmp_path)) - 1):
        folder = shutil.copytree(tmp_path, tmp_path.parent / f"{tmp_path.name}-{left}")
        for _, path in segments(folder)[left:]:
            path.unlink()
        writer = JournalWriter(folder, trusted=places[-1], mend=True)
        writer.append([(99, message(99))])
        writer.close()
        assert numbers(folder, places[-1]) == [99]


def test_the_times_around_a_loss_are_those_of_the_records_around_it(tmp_path: Path) -> None:
    """Also where a whole segment is gone: the one before says when."""
    places = write(tmp_path)
    (number, path), second = segments(tmp_path)[1], segments(tmp_path)[2]
    inside = [i for i, at in enumerate(places[1:]) if at.segment == number]
    path.unlink()
    _, (loss,) = mended(tmp_path)
    assert (loss.after_ns, loss.before_ns, loss.lost_bytes) == (inside[0] - 1, None, 0)
    data = bytearray(second[1].read_bytes())
    data[len(MAGIC) + 10] ^= 1
    second[1].write_bytes(data)
    _, (loss,) = mended(tmp_path)
    assert (loss.after_ns, loss.before_ns) == (None, inside[-1] + 2)
    assert loss.lost_bytes > 0
    (read,) = mending.losses_told(f"{loss}; and so on")
    assert (read.segment, read.why, read.lost_bytes) == (second[1].name, loss.why, loss.lost_bytes)
    assert (read.after_ns, read.before_ns) == (None, 0), "to the second"


def test_only_so_many_damaged_segments_are_kept_and_the_rest_is_named(tmp_path: Path) -> None:
    """A dying disk must not fill itself."""
    told = []
    for _ in range(mending.ASIDE_MAX + 3):
        shutil.rmtree(tmp_path / "x", ignore_errors=True)
        write(tmp_path)
        _, path = segments(tmp_path)[0]
        path.write_bytes(b"?" * 50)
        _, losses = mended(tmp_path)
        told += [name for loss in losses for name in loss.dropped]
    assert len(list((tmp_path / mending.ASIDE).iterdir())) == mending.ASIDE_MAX
    assert len(told) == 3


def test_a_mending_that_is_killed_at_any_step_leaves_all_that_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before the old one is kept, before the new one is there: the next start mends it."""

    class Killed(BaseException):
        """The end of a process."""

    def killed(*_: object, **_more: object) -> None:
        raise Killed

    write(tmp_path)
    _, path = segments(tmp_path)[1]
    data = bytearray(path.read_bytes())
    data[len(MAGIC) + 10] ^= 1
    path.write_bytes(data)
    for name in ("_keep", "_replace"):
        with monkeypatch.context() as patch:
            patch.setattr(mending, name, killed)
            with pytest.raises(Killed):
                mended(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(type(tmp_path), "replace", killed)
        with pytest.raises(Killed):
            mended(tmp_path)
    read, losses = mended(tmp_path)
    assert len(losses) == 1
    assert len(read) == COUNT - 1


def test_a_payload_made_of_lengths_does_not_stop_a_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Looking for whole records behind a torn one has a bound; beyond it, it counts as damage."""
    monkeypatch.setattr(journal_records, "TRIED_BYTES_MAX", 100_000)
    write(tmp_path, segment_bytes_max=1 << 20)
    ((_, path),) = segments(tmp_path)
    with path.open("ab") as file:
        file.write((5_000).to_bytes(4, "little") * 4_000 + (b"\x00\x10\0\0abcd\x92" * 4_000))
    read, losses = mended(tmp_path)
    assert read == list(range(COUNT))
    assert len(losses) == 1


# --- a gateway's restart ---


def restored(folder: Path, bundle: Bundle) -> tuple[Restored, list[Publish]]:
    """Restore as a gateway does, with a journal that it may mend."""
    kept: list[Publish] = []

    def keep(effects: Sequence[Effect]) -> None:
        kept.extend(must_stay(effects)[0])

    writer = JournalWriter(folder / "journal", segment_bytes_max=2_000, mend=True)
    done = restore(
        assembly_of(bundle),
        journal=folder / "journal",
        checkpoints=folder / "checkpoints",
        keep=keep,
        mend=writer.mend,
    )
    writer.close()
    return done, kept


def test_damage_behind_the_checkpoint_is_told_with_segment_bytes_and_times(
    lived: Lived, bundle: Bundle, tmp_path: Path
) -> None:
    """The gateway goes on, and the alert behind the damage rings under the id that it had."""
    folder = lived.without_first(0, tmp_path)
    (checkpoint,) = (folder / "checkpoints").glob("*.checkpoint")
    number = int(checkpoint.name.partition("-")[0]) + 2
    path = folder / "journal" / f"{number:08d}.journal"
    data = bytearray(path.read_bytes())
    data[100] ^= 0xFF
    path.write_bytes(data)
    with pytest.raises(JournalError, match=path.name):
        restore_plainly(assembly_of(bundle), folder)
    done, kept = restored(folder, bundle)
    assert done.from_checkpoint
    (loss,) = done.losses
    assert loss.lost_bytes > 0
    assert path.name in done.faults["journal_damaged"]
    assert "2026" in done.faults["journal_damaged"] or "1970" in done.faults["journal_damaged"]
    assert [note.name for note in done.notes] == ["journal_damaged"]
    assert {one.key for one in kept} == {one.key for one in lived.alerts}
    assert restored(folder, bundle)[0].losses == [], "it is told once"


@pytest.mark.parametrize("kind", ["flipped", "foreign", "history"])
def test_checkpoints_that_cannot_be_used_are_moved_aside_and_told_once(
    kind: str,
    lived: Lived,
    bundle: Bundle,
    tmp_path: Path,
) -> None:
    """Never fatal, never deleted without a word, and not in the way of the next ones."""
    folder = lived.without_first(0, tmp_path)
    (path,) = (folder / "checkpoints").glob("*.checkpoint")
    if kind == "history":
        next((folder / "checkpoints").glob("*.history")).unlink()
    else:
        data = bytearray(path.read_bytes())
        data[-1] ^= kind == "flipped"
        path.write_bytes(data)
    if kind == "foreign":
        _, troubles = newest(folder / "checkpoints", fingerprint="another", aside=DISK)
        assert "moved to" in troubles[0]
    else:
        done, _ = restored(folder, bundle)
        assert [note.name for note in done.notes] == ["checkpoint_skipped"]
    assert (folder / "checkpoints" / "aside" / path.name).exists()
    assert [note.name for note in restored(folder, bundle)[0].notes] == []


@pytest.mark.parametrize("what", ["journal", "checkpoints"])
def test_what_a_newer_version_wrote_is_refused_and_not_touched(
    what: str,
    bundle: Bundle,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The message says which format, and what to do; every byte is as it was."""
    world = World(tmp_path, save(bundle, tmp_path / "b"), monkeypatch)
    assert world.live() == 0
    state = world.broker.state
    path = max((state / what).glob("*.journal" if what == "journal" else "*.checkpoint"))
    path.write_bytes(path.read_bytes().replace(b"4\n", b"7\n", 1))
    before = {p: p.read_bytes() for p in sorted(state.rglob("*")) if p.is_file()}
    with pytest.raises(JournalError, match="of format 7, written by a newer Andon"):
        world.live()
    with pytest.raises(JournalError, match="start the newer version again"):
        refuse_newer(journal=state / "journal", checkpoints=state / "checkpoints")
    assert {p: p.read_bytes() for p in before} == before
    assert decided(state)


def test_a_record_of_a_kind_that_nobody_knows_is_refused_and_not_mended(tmp_path: Path) -> None:
    """It is whole: a newer version took it, and would take it again."""
    places = write(tmp_path, segment_bytes_max=1 << 20)
    ((_, path),) = segments(tmp_path)
    body = b"\x92\x01\x81\xa4type\xa5other"
    data = path.read_bytes()
    at = places[10].offset
    path.write_bytes(data[:at] + journal_records.record(body) + data[at:])
    with pytest.raises(JournalError, match="start the newer version again") as caught:
        mended(tmp_path)
    assert not isinstance(caught.value, DamagedJournalError)
