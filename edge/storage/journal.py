"""The journal: every stimulus in the order in which the engine took it.

On disk before its effects leave.

A directory of segments `NNNNNNNN.journal`. A segment is an eight-byte magic, then records:

    u32 length | u32 crc32 of the body | body = msgpack [now_ns, stimulus]      (little-endian)

or, in segments of format 2, body = 0xC1 and a group of such records packed with zlib.

A group is one write, so it survives a killed process whole or is cut at a record. A torn tail
(power cut) is cut off on opening and counted; damage before the tail is an error that names file
and offset, never skipped, and so is a segment that is missing between others: only a gateway that
has to start mends it (`edge.storage.mending`). One process writes a journal at a time. A recording
is the same thing, kept on purpose.
"""

from __future__ import annotations

import fcntl
import os
import zlib
from io import FileIO
from typing import TYPE_CHECKING, Final

import msgspec

from edge.errors import JournalError
from edge.records import Stimulus
from edge.storage import journal_records
from edge.storage.disk import CLOCK, DISK, write_whole
from edge.storage.formats import JOURNAL_SUFFIX
from edge.storage.journal_records import (
    DamagedJournalError,
    bodies,
    body_at,
    check_format,
    header_is_torn,
    is_header,
    next_whole,
    segment_bytes,
    whole_end,
)
from edge.storage.mending import mend as mended

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from edge.storage.disk import Clock, Disk
    from edge.storage.mending import Loss

MAGIC: Final = journal_records.MAGIC
SUFFIX: Final = JOURNAL_SUFFIX
RECORD_BYTES_MAX: Final = journal_records.RECORD_BYTES_MAX
DAY_S: Final = 86_400
SEGMENT_BYTES_MAX: Final = 64 << 20
# Dropping a segment must not drop most of what is kept, nor what the newest checkpoint needs.
SEGMENTS_KEPT_MIN: Final = 8

_head, _crc32 = journal_records.HEAD.pack, zlib.crc32
_ENCODER: Final = msgspec.msgpack.Encoder()
_DECODER: Final = msgspec.msgpack.Decoder(tuple[int, Stimulus])


class Position(msgspec.Struct, frozen=True, order=True):
    """A place in a journal: everything before it was read or written."""

    segment: int = 0
    offset: int = 0


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One stimulus with the wall clock at which it was taken; `position` is just behind it.

    Of a packed group only the last one has a place behind it; the others stand where it begins.
    """

    now_ns: int
    stimulus: Stimulus
    position: Position


def segments(directory: Path) -> list[tuple[int, Path]]:
    """The segments of a journal by number."""
    paths = directory.glob(f"*{SUFFIX}")
    return sorted((int(path.stem), path) for path in paths if path.stem.isdigit())


def read_journal(path: Path, *, after: Position | None = None) -> Iterator[Entry]:
    """Entries of a journal directory, or of one segment file, behind `after`.

    A torn record at the very end of the last segment ends the reading. Raises JournalError for
    damage anywhere else, for a segment that is missing between others, for a path that holds no
    journal, and for an `after` that lies behind its end. Segments dropped by age are no damage:
    whoever must know compares `after` with the first of `segments`.
    """
    if path.is_dir():
        found = segments(path)
    else:
        found = [(int(path.stem) if path.stem.isdigit() else 0, path)]
    if not found:
        raise JournalError(f"{path}: no {SUFFIX} segments here; expected a journal directory")
    if after is not None and after.segment > found[-1][0]:
        raise _shorter(path, after)
    _check_contiguous(path, [n for n, _ in found if after is None or n >= after.segment])
    for number, segment in found:
        offset = len(MAGIC)
        if after is not None:
            if number < after.segment:
                continue
            if number == after.segment:
                offset = max(offset, after.offset)
                if number == found[-1][0] and offset > max(len(MAGIC), segment.stat().st_size):
                    raise _shorter(segment, after)
        yield from _read_segment(segment, number, offset, last=number == found[-1][0])


def _check_contiguous(path: Path, numbers: Sequence[int]) -> None:
    for expected, number in enumerate(numbers, start=numbers[0] if numbers else 0):
        if number != expected:
            missing = path / f"{expected:08d}{SUFFIX}"
            raise DamagedJournalError(missing, expected, 0, f"segment {missing.name} is missing")


def _shorter(path: Path, after: Position) -> JournalError:
    """What comes from now on would be skipped at the next start, without a word."""
    where = f"segment {after.segment}, byte {after.offset}"
    return JournalError(
        f"{path}: ends before {where}, where a checkpoint goes on; "
        "remove the checkpoints that are ahead of it"
    )


def _read_segment(path: Path, number: int, offset: int, *, last: bool) -> Iterator[Entry]:
    data = segment_bytes(path, number)
    # behind a checkpoint in its middle, what stands before does not matter
    if offset == len(MAGIC) and not is_header(data):
        if last and header_is_torn(data):
            return
        check_format(path, data)
        raise DamagedJournalError(path, number, 0, "not a journal of this version (bad magic)")
    while offset < len(data):
        body = body_at(data, offset)
        if body is None:
            if last and next_whole(data, offset) is None:
                return
            raise DamagedJournalError(path, number, offset, f"damaged record at byte {offset}")
        try:
            found = [_DECODER.decode(one) for one in bodies(body)]
        except (ValueError, msgspec.MsgspecError) as error:
            raise JournalError(
                f"{path}: record at byte {offset} is whole and of no kind that this version knows"
                f" ({error}); start the newer version again that wrote it"
            ) from error
        begin, offset = offset, offset + journal_records.HEAD.size + len(body)
        for left, (now_ns, stimulus) in zip(range(len(found) - 1, -1, -1), found, strict=True):
            position = Position(number, begin if left else offset)
            yield Entry(now_ns=now_ns, stimulus=stimulus, position=position)


class JournalWriter:
    """Appends groups of stimuli. One writer a directory."""

    def __init__(  # noqa: PLR0913 - one by one, as a configuration has them
        self,
        directory: Path,
        *,
        segment_bytes_max: int = SEGMENT_BYTES_MAX,
        bytes_max: int = 2 << 30,
        days_max: int = 30,
        sync_s: float = 5.0,
        strict: bool = False,
        trusted: Position | None = None,
        mend: bool = False,
        compress: bool = False,
        disk: Disk = DISK,
        clock: Clock = CLOCK,
    ) -> None:
        """Args: `strict` syncs every group before it counts as written.

        Otherwise `sync_s` bounds what a power cut
        can take. `bytes_max` and `days_max` bound what is kept. trusted: what a checkpoint covers,
        and nobody has to look at. mend: go on in a new segment where the last one is damaged; it
        stays as it is, for whoever needs what is in it. compress: pack groups, which older versions
        cannot read. Raises JournalError.
        """
        self._directory = directory
        self._segment_bytes_max = min(segment_bytes_max, bytes_max // SEGMENTS_KEPT_MIN)
        self._bytes_max = bytes_max
        self._days_max = days_max
        self._sync_s = sync_s
        self._strict = strict
        self._disk, self._clock = disk, clock
        self._failed = ""
        self._magic = journal_records.MAGIC_PACKED if compress else MAGIC
        self._synced_s = clock.monotonic_s()
        self._dirty = False
        self.torn_bytes_total = 0
        self.dropped_segments_total = 0
        self.damaged_segments_total = 0
        self.damaged_bytes_total = 0
        try:
            disk.make_directory(directory)
            self._open_last(trusted or Position(), mend=mend)
        except OSError as error:
            raise JournalError(f"{directory}: {error.strerror}; is it writable?") from error

    @property
    def position(self) -> Position:
        """Behind the last record."""
        return Position(self._number, self._offset)

    def append(self, entries: Sequence[tuple[int, Stimulus]]) -> Position:
        """Write a group of (now_ns, stimulus) in one go; returns the position behind it.

        Raises JournalError.
        """
        parts = []
        for entry in entries:
            body = _ENCODER.encode(entry)
            if len(body) > RECORD_BYTES_MAX:  # written, it could never be read again
                raise JournalError(f"a record has {len(body)} B, more than {RECORD_BYTES_MAX} B")
            parts += [_head(len(body), _crc32(body)), body]
        if self._failed:
            raise JournalError(f"{self._directory}: {self._failed}; free disk space and restart")
        group = b"".join(parts)
        if self._magic != MAGIC:
            group = journal_records.packed(group)
        if self._offset > len(MAGIC) and self._offset + len(group) > self._segment_bytes_max:
            self._roll()
        self._write(group)
        self._dirty = True
        if self._strict or self._clock.monotonic_s() - self._synced_s >= self._sync_s:
            self.sync()
        return self.position

    def sync(self) -> None:
        """Bring everything written to the disk. Raises JournalError."""
        if self._dirty:
            try:
                self._disk.sync(self._file)
            except OSError as error:
                raise JournalError(f"{self._directory}: cannot sync: {error.strerror}") from error
            self._dirty = False
        self._synced_s = self._clock.monotonic_s()

    def sync_later(self) -> Callable[[], None]:
        """What brings all that is written by now to the disk, from any thread, at any time.

        It must be called, once. Raises JournalError when it is.
        """
        file = FileIO(os.dup(self._file.fileno()))

        def sync() -> None:
            try:
                self._disk.sync(file)
            except OSError as error:
                raise JournalError(f"{self._directory}: cannot sync: {error.strerror}") from error
            finally:
                file.close()

        return sync

    def close(self) -> None:
        """Sync and close. Raises JournalError when it could not be synced; closed it is."""
        try:
            self.sync()
        finally:
            self._file.close()

    def mend(self, damage: DamagedJournalError) -> Loss:
        """Put a damaged segment in order, and say what that cost. Raises JournalError."""
        if damage.number == self._number:
            self._roll()
        loss = mended(damage, disk=self._disk)
        self.damaged_segments_total += 1
        self.damaged_bytes_total += loss.lost_bytes
        return loss

    def bytes_kept(self) -> int:
        """Bytes of all segments."""
        return sum(path.stat().st_size for _, path in segments(self._directory))

    def _write(self, data: bytes) -> None:
        try:
            write_whole(self._disk, self._file, data)
        except OSError as error:
            self._cut()
            raise JournalError(
                f"{self._directory}: cannot write: {error.strerror}; free disk space"
            ) from error
        self._offset += len(data)

    def _cut(self) -> None:
        """Cut off what may be half there: the next record must not follow a torn one."""
        try:
            self._disk.truncate(self._file, self._offset)
            self._file.seek(self._offset)
        except OSError as error:
            self._failed = f"cannot cut a torn record: {error.strerror}"

    def _open_last(self, trusted: Position, *, mend: bool) -> None:
        found = segments(self._directory)
        if not found or (mend and found[-1][0] < trusted.segment):
            self._start(trusted.segment + 1)  # what a checkpoint covers was there
            return
        self._number, path = found[-1]
        self._file = self._disk.open(path, "r+b")
        try:
            self._lock(self._file)
            if segments(self._directory)[-1][0] != self._number:  # its writer began another one
                raise self._taken()
            size = path.stat().st_size
            begin = trusted.offset if trusted.segment == self._number else 0
            whole = None if mend and begin > size else whole_end(path, begin, mend=mend)
        except JournalError:
            self._file.close()
            raise
        if whole is not None and size > whole:
            self.torn_bytes_total += size - max(whole, min(size, len(MAGIC)))
            self._disk.truncate(self._file, whole)
        if whole == 0:
            write_whole(self._disk, self._file, self._magic)
        self._offset = self._file.seek(0, os.SEEK_END)
        if whole is None or not self._continues(path):
            full = self._file
            self._start(self._number + 1)
            full.close()

    def _continues(self, path: Path) -> bool:
        """Whether the newest segment is of the format that is written."""
        with path.open("rb") as file:
            return file.read(len(MAGIC)) == self._magic

    def _start(self, number: int) -> None:
        path = self._directory / f"{number:08d}{SUFFIX}"
        try:
            file = self._disk.open(path, "xb")
        except FileExistsError as error:
            raise self._taken() from error
        try:
            self._lock(file)
            write_whole(self._disk, file, self._magic)
        except OSError:
            file.close()
            self._disk.unlink(path)
            raise
        self._file, self._number, self._offset = file, number, len(MAGIC)
        self._disk.sync_directory(self._directory)

    def _lock(self, file: FileIO) -> None:
        """Keep other writers out until the file is closed, by us or by the end of the process."""
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise self._taken() from error

    def _taken(self) -> JournalError:
        return JournalError(f"{self._directory}: another process writes here; stop it first")

    def _roll(self) -> None:
        self.sync()
        full = self._file
        try:
            self._start(self._number + 1)
            self._retain()
        except OSError as error:
            raise JournalError(
                f"{self._directory}: no new segment: {error.strerror}; free disk space"
            ) from error
        finally:
            if self._file is not full:
                full.close()

    def _retain(self) -> None:
        """Drop the oldest segments beyond the caps; never the one being written."""
        found = segments(self._directory)[:-1]
        sizes = {path: path.stat().st_size for _, path in found}
        total = sum(sizes.values()) + self._segment_bytes_max
        oldest_s = self._clock.wall_ns() / 1e9 - self._days_max * DAY_S
        for _, path in found:
            if total <= self._bytes_max and path.stat().st_mtime >= oldest_s:
                break
            total -= sizes[path]
            self._disk.unlink(path)
            self.dropped_segments_total += 1
