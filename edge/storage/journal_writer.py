"""Writing a journal: groups of stimuli, synced in time, in segments that are bounded in number.

The format and who reads it: `edge.storage.journal`.
"""

from __future__ import annotations

import fcntl
import os
import zlib
from typing import TYPE_CHECKING, Final

import msgspec

from edge.errors import JournalError
from edge.storage import journal_records
from edge.storage.disk import CLOCK, DISK, write_whole
from edge.storage.journal import MAGIC, SUFFIX, Position, segments, written_s
from edge.storage.journal_columns import joined
from edge.storage.journal_records import RECORD_BYTES_MAX, whole_end
from edge.storage.mending import mend as mended

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from io import FileIO
    from pathlib import Path

    from edge.records import Stimulus
    from edge.storage.disk import Clock, Disk
    from edge.storage.journal_records import DamagedJournalError
    from edge.storage.mending import Loss

DAY_S: Final = 86_400
SEGMENT_BYTES_MAX: Final = 64 << 20
# dropping one must not drop most of what is kept, nor what the newest checkpoint needs
SEGMENTS_KEPT_MIN: Final = 8
AGED_MAX: Final = 2  # that go for their age with each new one: a clock that jumps empties nothing

_head, _crc32 = journal_records.HEAD.pack, zlib.crc32
_ENCODER: Final = msgspec.msgpack.Encoder()


class JournalWriter:
    """Appends groups of stimuli. One writer a directory."""

    def __init__(  # noqa: PLR0913 - every bound is a name of its own
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
        self._full: list[FileIO] = []  # segments that are full and not synced
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
            if "_file" in self.__dict__:  # whoever tries again must not meet itself
                self._file.close()
            raise JournalError(f"{directory}: {error.strerror}; is it writable?") from error

    @property
    def position(self) -> Position:
        """Behind the last record."""
        return Position(self._number, self._offset)

    def append(self, entries: Sequence[tuple[int, Stimulus]]) -> Position:
        """Write a group of (now_ns, stimulus), and wait for the disk where that is due.

        Returns the position behind it. Raises JournalError.
        """
        group = self._group(entries)
        if self._offset + len(group) > self._segment_bytes_max and self._offset > len(MAGIC):
            self.roll()
        self._write(group)
        if self.sync_due:
            self.sync()
        return self.position

    def add(self, entries: Sequence[tuple[int, Stimulus]]) -> Position:
        """Write a group and leave it at that; returns the position behind it.

        For whoever has a thread that waits for the disk: it begins a segment when this one
        `is_full`, and syncs when that is `sync_due`. Raises JournalError.
        """
        self._write(self._group(entries))
        return self.position

    def _group(self, entries: Sequence[tuple[int, Stimulus]]) -> bytes:
        """The bytes of a group. Raises JournalError."""
        if self._failed:
            raise JournalError(f"{self._directory}: {self._failed}; free disk space and restart")
        if self._magic != MAGIC:
            columns = joined(entries, bytes_max=RECORD_BYTES_MAX)
            if columns and (one := journal_records.as_one(columns, journal_records.COLUMNS)):
                return one
        bodies = [_ENCODER.encode(entry) for entry in entries]
        largest = max(map(len, bodies), default=0)
        if largest > RECORD_BYTES_MAX:  # written, it could never be read again
            raise JournalError(f"a record has {largest} B, more than {RECORD_BYTES_MAX} B")
        parts = [b""] * (2 * len(bodies))
        parts[::2] = map(_head, map(len, bodies), map(_crc32, bodies))
        parts[1::2] = bodies
        group = b"".join(parts)
        return group if self._magic == MAGIC else journal_records.as_one(group) or group

    @property
    def sync_due(self) -> bool:
        """Whether what is written has waited for `sync_s`, or must not wait."""
        return self._strict or self._clock.monotonic_s() - self._synced_s >= self._sync_s

    def sync(self) -> None:
        """Bring everything written to the disk. Raises JournalError."""
        self.syncing()()

    def syncing(self) -> Callable[[], None]:
        """What brings everything written so far to the disk; a thread beside the writer may do it.

        It raises JournalError. The writer may write on meanwhile, and begin another segment. Behind
        one that failed every other does, until `resume`: what it did not bring to the disk may be
        lost, and a system that is asked a second time says that all is well.
        """
        self._synced_s = self._clock.monotonic_s()
        full, newest = self._full, self._file if self._dirty else None
        self._full, self._dirty = [], False

        def sync() -> None:
            try:
                if self._failed:
                    self._dirty = True
                    raise JournalError(f"{self._directory}: {self._failed}")
                for file in full:
                    self._disk.sync(file)
                if newest is not None:
                    self._disk.sync(newest)
            except OSError as error:
                self._failed, self._dirty = f"cannot sync: {error.strerror}", True
                raise JournalError(f"{self._directory}: {self._failed}") from error
            finally:
                for file in full:  # safe since `roll`, whatever becomes of this
                    file.close()

        return sync

    def rewind(self, to: Position) -> None:
        """What stands behind a place in this segment does not count: `resume` cuts it off."""
        assert to.segment == self._number
        self._offset = to.offset

    def resume(self) -> None:
        """Go on behind a failure, in a new segment: what follows is whole, whatever came before.

        Raises JournalError while the disk still fails.
        """
        self._failed = ""
        self._cut()
        if self._failed:
            raise JournalError(f"{self._directory}: {self._failed}; free disk space")
        if self._offset > len(MAGIC):
            self.roll()

    def close(self) -> None:
        """Sync and close. Raises JournalError when it could not be synced; closed it is."""
        try:
            self.sync()
        finally:
            for file in (*self._full, self._file):
                file.close()

    def mend(self, damage: DamagedJournalError) -> Loss:
        """Put a damaged segment in order, and say what that cost. Raises JournalError."""
        if damage.number == self._number:
            self.roll()
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
        self._dirty = True

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
        # What a killed process wrote and did not sync counts from here on: alerts follow from it.
        self._disk.sync(self._file)
        self._disk.sync_directory(self._directory)
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

    @property
    def is_full(self) -> bool:
        """Whether a new segment is to be begun."""
        return self._offset >= self._segment_bytes_max

    def roll(self) -> None:
        """Begin a new segment, behind one that is safe: else its torn end would read as damage.

        Raises JournalError.
        """
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
                self._full.append(full)  # closed with the next sync, which may take its time

    def _retain(self) -> None:
        """Drop the oldest beyond the caps, few for their age; never the one being written."""
        found = segments(self._directory)[:-1]
        sizes = {path: path.stat().st_size for _, path in found}
        total = sum(sizes.values()) + self._segment_bytes_max
        oldest_s = self._clock.wall_ns() / 1e9 - self._days_max * DAY_S
        for i, ((_, path), last_s) in enumerate(zip(found, written_s(found), strict=True)):
            aged = i < AGED_MAX and last_s < oldest_s
            if total <= self._bytes_max and not aged:
                break
            total -= sizes[path]
            self._disk.unlink(path)
            self.dropped_segments_total += 1
