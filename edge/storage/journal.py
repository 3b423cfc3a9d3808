"""The journal: every stimulus in the order in which the engine took it.

On disk before its effects leave.

A directory of segments `NNNNNNNN.journal`. A segment is an eight-byte magic, then records:

    u32 length | u32 crc32 of the body | body = msgpack [now_ns, stimulus]      (little-endian)

A group is one write, so it survives a killed process whole or is cut at a record. A torn tail
(power cut) is cut off on opening and counted; damage before the tail is an error that names file
and offset, never skipped, and so is a segment that is missing between others. One process writes a
journal at a time. A recording is the same thing, kept on purpose.
"""

from __future__ import annotations

import fcntl
import os
import struct
import zlib
from typing import TYPE_CHECKING, Final

import msgspec

from edge.errors import JournalError
from edge.records import Stimulus
from edge.storage.disk import CLOCK, DISK, write_whole

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from io import FileIO
    from pathlib import Path

    from edge.storage.disk import Clock, Disk

MAGIC: Final = b"ANDONJ1\n"
HEAD: Final = struct.Struct("<II")
PAIR: Final = b"\x92"  # how msgpack begins a list of two
SUFFIX: Final = ".journal"
RECORD_BYTES_MAX: Final = 4 << 20  # a payload is at most 1 MiB; retrieval answers are smaller
DAY_S: Final = 86_400
TICK_BYTES: Final = 36  # of a record that holds a tick
SEGMENT_BYTES_MAX: Final = 64 << 20
# Dropping a segment must not drop most of what is kept, nor what the newest checkpoint needs.
SEGMENTS_KEPT_MIN: Final = 8

_ENCODER: Final = msgspec.msgpack.Encoder()
_DECODER: Final = msgspec.msgpack.Decoder(tuple[int, Stimulus])


class Position(msgspec.Struct, frozen=True, order=True):
    """A place in a journal: everything before it was read or written."""

    segment: int = 0
    offset: int = 0


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One stimulus with the wall clock at which it was taken; `position` is just behind it."""

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
    _check_contiguous(path, [number for number, _ in found])
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
    for expected, number in enumerate(numbers, start=numbers[0]):
        if number != expected:
            raise JournalError(
                f"{path}: segment {expected:08d}{SUFFIX} is missing; restore it from a copy"
            )


def _shorter(path: Path, after: Position) -> JournalError:
    """What comes from now on would be skipped at the next start, without a word."""
    where = f"segment {after.segment}, byte {after.offset}"
    return JournalError(
        f"{path}: ends before {where}, where a checkpoint goes on; "
        "remove the checkpoints that are ahead of it"
    )


def _read_segment(path: Path, number: int, offset: int, *, last: bool) -> Iterator[Entry]:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise JournalError(f"{path}: {error.strerror}; expected a journal") from error
    if not data.startswith(MAGIC):
        if last and MAGIC.startswith(data):
            return  # the process died before the header was whole: nothing was written
        raise JournalError(f"{path}: not a journal of this version (bad magic)")
    while offset < len(data):
        body = _body(data, offset)
        if body is None:
            if last and _is_torn(data, offset):
                return
            raise JournalError(f"{path}: damaged record at byte {offset}; restore it from a copy")
        try:
            now_ns, stimulus = _DECODER.decode(body)
        except msgspec.MsgspecError as error:
            raise JournalError(f"{path}: unreadable record at byte {offset}: {error}") from error
        offset += HEAD.size + len(body)
        yield Entry(now_ns=now_ns, stimulus=stimulus, position=Position(number, offset))


def _body(data: bytes, offset: int) -> bytes | None:
    """The record's body, None when it is not whole or does not match its checksum."""
    if offset + HEAD.size > len(data):
        return None
    length, crc = HEAD.unpack_from(data, offset)
    begin = offset + HEAD.size
    body = data[begin : begin + length]
    # Length 0 is never written; a power cut may leave zeros, whose checksum would be right.
    if not 0 < length <= RECORD_BYTES_MAX or len(body) < length or zlib.crc32(body) != crc:
        return None
    return body


def _is_torn(data: bytes, offset: int) -> bool:
    """Whether nothing readable follows a bad record: a write that did not finish, not damage.

    The length of a damaged record may itself be wrong, so whole records are looked for anywhere
    behind it; each body begins with the mark of a pair.
    """
    at = data.find(PAIR, offset + 1 + HEAD.size)
    while at >= 0:
        if _body(data, at - HEAD.size) is not None:
            return False
        at = data.find(PAIR, at + 1)
    return True


class JournalWriter:
    """Appends groups of stimuli. One writer a directory."""

    def __init__(
        self,
        directory: Path,
        *,
        segment_bytes_max: int = SEGMENT_BYTES_MAX,
        bytes_max: int = 2 << 30,
        days_max: int = 30,
        sync_s: float = 5.0,
        strict: bool = False,
        disk: Disk = DISK,
        clock: Clock = CLOCK,
    ) -> None:
        """Args: `strict` syncs every group before it counts as written.

        Otherwise `sync_s` bounds what a power cut
        can take. `bytes_max` and `days_max` bound what is kept. Raises JournalError.
        """
        self._directory = directory
        self._segment_bytes_max = min(segment_bytes_max, bytes_max // SEGMENTS_KEPT_MIN)
        self._bytes_max = bytes_max
        self._days_max = days_max
        self._sync_s = sync_s
        self._strict = strict
        self._disk, self._clock = disk, clock
        self._failed = ""
        self._synced_s = clock.monotonic_s()
        self._dirty = False
        self.torn_bytes_total = 0
        self.dropped_segments_total = 0
        try:
            disk.make_directory(directory)
            self._open_last()
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
            parts += [HEAD.pack(len(body), zlib.crc32(body)), body]
        if self._failed:
            raise JournalError(f"{self._directory}: {self._failed}; free disk space and restart")
        group = b"".join(parts)
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

    def close(self) -> None:
        """Sync and close. Raises JournalError when it could not be synced; closed it is."""
        try:
            self.sync()
        finally:
            self._file.close()

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

    def _open_last(self) -> None:
        found = segments(self._directory)
        if not found:
            self._start(1)
            return
        self._number, path = found[-1]
        self._file = self._disk.open(path, "r+b")
        try:
            self._lock(self._file)
            if segments(self._directory)[-1][0] != self._number:  # its writer began another one
                raise self._taken()
            whole = len(MAGIC)
            for entry in _read_segment(path, self._number, len(MAGIC), last=True):
                whole = entry.position.offset
        except JournalError:
            self._file.close()
            raise
        size = path.stat().st_size
        if size < len(MAGIC):
            write_whole(self._disk, self._file, MAGIC)
        elif size > whole:
            self.torn_bytes_total += size - whole
            self._disk.truncate(self._file, whole)
        self._file.seek(0, os.SEEK_END)
        self._offset = whole

    def _start(self, number: int) -> None:
        path = self._directory / f"{number:08d}{SUFFIX}"
        try:
            file = self._disk.open(path, "xb")
        except FileExistsError as error:
            raise self._taken() from error
        try:
            self._lock(file)
            write_whole(self._disk, file, MAGIC)
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


def bytes_per_day(
    values_per_s: float, *, values_per_message: float, ticks_per_s: float = 0.0
) -> float:
    """Roughly what a plant's messages and the engine's ticks take on disk a day.

    Numbers as JSON text, names once a message.
    """
    bytes_per_message = 90 + 11 * values_per_message
    messages_per_s = values_per_s / max(values_per_message, 1.0)
    return (messages_per_s * bytes_per_message + ticks_per_s * TICK_BYTES) * DAY_S
