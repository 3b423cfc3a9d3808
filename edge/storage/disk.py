"""The calls by which a gateway changes files, and the clocks that it reads: one seam for both.

Files are read directly. What changes them goes through a `Disk`, so that a simulation can fail any
call, end the process at it, and forget what was written and not synced when the power goes.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import time
from io import FileIO
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

MODE: Final = 0o666  # less what the umask takes, as of any other file
DIRECTORY_MODE: Final = 0o750  # likewise: what plants send and people say is nobody else's


class Clock:
    """The clocks of this machine."""

    def wall_ns(self) -> int:
        """Nanoseconds since 1970; it may step."""
        return time.time_ns()

    def monotonic_s(self) -> float:
        """Seconds since some time; never backwards."""
        return time.monotonic()

    def busy_s(self) -> float:
        """Processor seconds of the calling thread."""
        return time.thread_time()


class Held:
    """A directory that nobody else may change, until `close` or the end of the process."""

    def __init__(self, path: Path) -> None:
        """Raises BlockingIOError when somebody else holds it, OSError otherwise."""
        self._handle = os.open(path, os.O_RDONLY)
        try:
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self.close()
            raise

    def close(self) -> None:
        """Let go; once more changes nothing."""
        if self._handle >= 0:
            os.close(self._handle)
        self._handle = -1


class Disk:
    """The disk of this machine. Every call raises OSError, a database sqlite3.Error.

    What `write` wrote survives a killed process, and a power cut only once `sync` has returned; a
    new, other or removed name only once `sync_directory` has. `replace` is one step for readers.
    """

    def make_directory(self, path: Path) -> None:
        """Make a directory and those above it, where they are not there."""
        path.mkdir(parents=True, exist_ok=True, mode=DIRECTORY_MODE)

    def open(self, path: Path, mode: str, *, permissions: int = MODE) -> FileIO:
        """Open a file for writing, unbuffered; mode: as `open` has it, binary."""
        return FileIO(path, mode, opener=lambda name, flags: os.open(name, flags, permissions))

    def give(self, file: FileIO, path: Path) -> None:
        """Where we are root, give a new file to the owner of a path: who may read it is theirs."""
        owner = path.stat()
        if os.geteuid() == 0 and owner.st_uid != 0:
            os.fchown(file.fileno(), owner.st_uid, owner.st_gid)

    def write(self, file: FileIO, data: bytes | memoryview) -> int:
        """Write where the file stands; returns how many bytes, which may be fewer."""
        return file.write(data)

    def truncate(self, file: FileIO, size: int) -> None:
        """Cut a file."""
        file.truncate(size)

    def sync(self, file: FileIO) -> None:
        """Return when what was written is safe from a power cut."""
        os.fsync(file.fileno())

    def sync_directory(self, path: Path) -> None:
        """Return when the names in a directory are."""
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)

    def replace(self, source: Path, target: Path) -> None:
        """Let a file take another's name, also where that is taken."""
        source.replace(target)

    def unlink(self, path: Path) -> None:
        """Remove a name; FileNotFoundError where it is not there."""
        path.unlink()

    def lock(self, path: Path) -> Held:
        """Hold a directory alone. Raises BlockingIOError when somebody else does."""
        return Held(path)

    def connect(self, path: Path) -> sqlite3.Connection:
        """Open a database, each statement its own transaction unless one was begun.

        More than one thread may use it, one at a time: one of its own writes where disks are slow.
        """
        return sqlite3.connect(path, isolation_level=None, check_same_thread=False)


def write_whole(disk: Disk, file: FileIO, data: bytes) -> None:
    """Write all of it: an unbuffered write may take only a part, as when the disk fills up.

    Raises OSError; then a part of it may be there.
    """
    left = memoryview(data)
    while left:
        left = left[disk.write(file, left) :]


DISK: Final = Disk()
CLOCK: Final = Clock()
