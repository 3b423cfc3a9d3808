"""Bytes of a file of the source folder, and their text."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING, Final

from kb.reading.front_matter import SourceError
from kb.reading.glimpse import FILE_BYTES_MAX, decoded, is_windows

if TYPE_CHECKING:
    from pathlib import Path

BESIDE_BYTES_MAX: Final = 1 << 20  # of a file that says something about another
PAGE_BYTES_MAX: Final = 100_000_000  # of a manual with pictures
AS_WINDOWS: Final = "not UTF-8: read as Windows-1252; save it as UTF-8 if letters are wrong"


def stored_bytes(path: Path, *, paged: bool) -> bytes:
    """Content of a file; `paged`: a page or a workbook, which may be larger. Raises SourceError."""
    if path.is_symlink():
        raise SourceError(0, "a symbolic link; put the file itself here")
    most = PAGE_BYTES_MAX if paged else FILE_BYTES_MAX
    try:
        if path.stat().st_size > most:
            raise SourceError(0, f"over {most} bytes; split it")
        return path.read_bytes()
    except OSError as error:
        raise SourceError(0, f"cannot be opened: {error.strerror}") from error


def beside_bytes(path: Path) -> bytes | None:
    """Content of a file about another, None where there is none. Raises SourceError naming it.

    A pipe would be waited for, and a device has no end.
    """
    try:
        status = path.lstat()
        if not stat.S_ISREG(status.st_mode):
            raise SourceError(0, f"{path.name}: no plain file; put the file itself here")
        if status.st_size > BESIDE_BYTES_MAX:
            raise SourceError(0, f"{path.name}: over {BESIDE_BYTES_MAX} bytes")
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise SourceError(0, f"{path.name}: {error.strerror}") from error


def stored_text(stored: bytes) -> tuple[str, tuple[str, ...]]:
    """Text of bytes and what is to be told about it. Raises SourceError."""
    try:
        return decoded(stored), (AS_WINDOWS,) if is_windows(stored) else ()
    except UnicodeDecodeError as error:
        line = stored.count(b"\n", 0, error.start) + 1
        cause = "neither UTF-8 nor wholly Windows-1252; save it as UTF-8"
        raise SourceError(line, cause) from error
