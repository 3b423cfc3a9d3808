"""A backup as a file: an ordinary zip, with a manifest of every file in it.

    andon-backup.json     format, versions, who made it, and sha256 and size of every other member
    README.txt            what this is, for whoever opens it by hand
    gateway.toml, ...     the installation, as it runs from any directory

Written beside its name and renamed when it is whole; `edge.boxes.archive_reading` reads it.
"""

from __future__ import annotations

import hashlib
import os
import stat
import time
import zipfile
from contextlib import suppress
from typing import IO, TYPE_CHECKING, Final, Self

import msgspec

from edge.boxes.identity import Box
from edge.errors import AndonError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

FORMAT: Final = 1
MANIFEST: Final = "andon-backup.json"
MEMBERS_MAX: Final = 200_000
NAME_CHARS_MAX: Final = 1_000
PART_BYTES_MAX: Final = 250  # of a name between two slashes; file systems take 255
BLOCK_BYTES: Final = 1 << 20
PACK_LEVEL: Final = 1  # a journal becomes a fifth, at the pace of a small box's disk
ZIP_DATE_MIN: Final = (1980, 1, 1, 0, 0, 0)


class BackupError(AndonError):
    """A backup cannot be written, or what is to be restored is none that can be trusted."""


class Entry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One file. mode: its permissions, 0 to 0o777."""

    sha256: str
    size_bytes: int
    mode: int
    mtime_ns: int


class LeftOut(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Something that the installation needs and the backup has not: where it belongs, and why."""

    name: str  # below the restored directory
    what: str


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What a backup says of itself. Unknown fields are those of later minor versions.

    config, state: names in it. journal_from, journal_until: first segment, and segment and byte
    where it ends. left_out: what was not asked for; missed: what could not be read. environment:
    variables that counted on the old box and are in the configuration now.
    """

    format: int
    andon: str
    made_at_ns: int
    site: str
    box: Box
    config: str
    state: str
    files: dict[str, Entry]
    outbox_row: int = 0
    journal_from: int = 0
    journal_until: tuple[int, int] = (0, 0)
    left_out: tuple[LeftOut, ...] = ()
    missed: tuple[LeftOut, ...] = ()
    environment: tuple[str, ...] = ()
    moved: dict[str, str] = {}  # paths of the old box: where they are in here


class ArchiveWriter:
    """Writes a backup beside its name. A context manager: nothing stays without `finish`."""

    def __init__(self, path: Path, *, on_bytes: Callable[[int], object] = int) -> None:
        """on_bytes: told how many bytes were read, now and then. Raises BackupError."""
        self._path, self._on_bytes = path, on_bytes
        self._work = path.with_name(f".{path.name}.{os.getpid()}")
        self.files: dict[str, Entry] = {}
        try:
            handle = os.open(self._work, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
            self._file = os.fdopen(handle, "w+b")
        except OSError as error:
            raise BackupError(f"{path}: {error.strerror}; is its directory there?") from error
        self._zip = zipfile.ZipFile(self._file, "w", zipfile.ZIP_DEFLATED, compresslevel=PACK_LEVEL)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError, ValueError):
            self._zip.close()
        with suppress(OSError):  # a full disk refuses once more what is still to be written
            self._file.close()
        with suppress(OSError):
            self._work.unlink(missing_ok=True)

    def add(
        self, name: str, source: IO[bytes], *, size_max: int | None = None, secret: bool = False
    ) -> Entry:
        """Add a file as it is now, at most `size_max` bytes of it. Raises BackupError."""
        status = os.fstat(source.fileno())
        size = status.st_size if size_max is None else min(status.st_size, size_max)
        mode = 0o600 if secret else stat.S_IMODE(status.st_mode) & 0o755
        return self._add(name, source.read, size, mode=mode, mtime_ns=status.st_mtime_ns)

    def add_bytes(self, name: str, content: bytes, *, mode: int = 0o644) -> Entry:
        """Add a file that was made for it. Raises BackupError."""
        left = memoryview(content)

        def read(count: int) -> bytes:
            nonlocal left
            block, left = bytes(left[:count]), left[count:]
            return block

        return self._add(name, read, len(content), mode=mode, mtime_ns=time.time_ns())

    def _add(
        self, name: str, read: Callable[[int], bytes], size: int, *, mode: int, mtime_ns: int
    ) -> Entry:
        if why := unsafe(name):
            raise BackupError(f"{name!r}: {why}; rename it, or leave it out")
        if name in self.files:
            raise BackupError(f"{name!r} comes twice: two paths of the configuration meet there")
        if len(self.files) >= MEMBERS_MAX - 1:
            raise BackupError(f"more than {MEMBERS_MAX} files; leave folders out that it can miss")
        digest, left = hashlib.sha256(), size
        info = zipfile.ZipInfo(name, ZIP_DATE_MIN)
        info.compress_type, info.external_attr = zipfile.ZIP_DEFLATED, (stat.S_IFREG | mode) << 16
        try:
            with self._zip.open(info, "w", force_zip64=size > 1 << 30) as out:
                while left and (block := read(min(left, BLOCK_BYTES))):
                    digest.update(block)
                    out.write(block)
                    left -= len(block)
                    self._on_bytes(len(block))
        except OSError as error:
            raise BackupError(f"{self._path}: {name}: {error.strerror or error}") from error
        entry = Entry(
            sha256=digest.hexdigest(), size_bytes=size - left, mode=mode, mtime_ns=mtime_ns
        )
        self.files[name] = entry
        return entry

    def finish(self, manifest: Manifest) -> str:
        """Write the manifest and put the file in its place; returns the manifest's hash.

        Raises BackupError.
        """
        content = msgspec.json.format(msgspec.json.encode(manifest), indent=1)
        try:
            info = zipfile.ZipInfo(MANIFEST, ZIP_DATE_MIN)
            info.external_attr = (stat.S_IFREG | 0o644) << 16
            info.compress_type = zipfile.ZIP_DEFLATED
            self._zip.writestr(info, content)
            self._zip.close()
            self._file.flush()
            os.fsync(self._file.fileno())
            self._work.replace(self._path)
            handle = os.open(self._path.parent, os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)
        except OSError as error:
            raise BackupError(f"{self._path}: {error.strerror}; nothing was written") from error
        return hashlib.sha256(content).hexdigest()


def unsafe(name: str) -> str:
    """Why a name may not be that of a file of ours; "" it may."""
    parts = name.split("/")
    if not name or len(name) > NAME_CHARS_MAX or not parts[-1]:
        return "no name of a file"
    if any(character in "\\\0" or ord(character) < 32 for character in name):
        return "a name with backslashes or control characters"
    if any(part in ("", ".", "..") for part in parts):
        return "no plain path below a directory: it leads elsewhere"
    try:
        long = any(len(part.encode()) > PART_BYTES_MAX for part in parts)
    except UnicodeEncodeError:
        return "a name that is no text"
    return "a name that file systems do not take" if long else ""
