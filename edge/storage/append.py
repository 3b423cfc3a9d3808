"""Adding to a file that is only ever added to: all of it, or none of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge.storage.disk import DISK, write_whole

if TYPE_CHECKING:
    from pathlib import Path

    from edge.storage.disk import Disk


def append_whole(path: Path, content: bytes, *, disk: Disk = DISK, synced: bool = True) -> None:
    """Write bytes to the end of a file. The caller keeps other writers away.

    synced: safe when this returns. Raises OSError, as of a full disk, and then the file is as long
    as it was: half a line would make all that stands before it unreadable.
    """
    file = disk.open(path, "ab")
    try:
        size = path.stat().st_size
        try:
            write_whole(disk, file, content)
            if synced:
                disk.sync(file)
        except OSError:
            disk.truncate(file, size)
            raise
    finally:
        file.close()
