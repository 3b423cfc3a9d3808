"""Adding to a file that is only ever added to: all of it, or none of it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

MODE: Final = 0o666  # less what the umask takes, as of any other file


def append_whole(path: Path, content: bytes) -> None:
    """Write bytes to the end of a file, synced. The caller keeps other writers away.

    Raises OSError, as of a full disk, and then the file is as long as it was: half a line would
    make all that stands before it unreadable. Nothing is buffered, or closing would write the rest.
    """
    handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, MODE)
    try:
        size = os.fstat(handle).st_size
        try:
            written = 0
            while written < len(content):
                written += os.write(handle, content[written:])
            os.fsync(handle)
        except OSError:
            os.ftruncate(handle, size)
            raise
    finally:
        os.close(handle)
