"""Reading a backup with suspicion, whoever it came from.

Whatever does not fit its manifest, leads out of the target, is no plain file, comes twice or is too
large is refused before anything of it is written.
"""

from __future__ import annotations

import hashlib
import os
import stat
import struct
import zipfile
import zlib
from typing import IO, TYPE_CHECKING, Final, Self

import msgspec

from edge.boxes.archive import (
    BLOCK_BYTES,
    FORMAT,
    MANIFEST,
    MEMBERS_MAX,
    BackupError,
    Manifest,
    unsafe,
)
from edge.errors import UNREADABLE

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

BYTES_MAX: Final = 64 << 30  # of all files, unpacked
MANIFEST_BYTES_MAX: Final = 64 << 20
DIRECTORY_BYTES_MAX: Final = 128 << 20  # of the zip's own list, which is read into memory
ENCRYPTED: Final = 0x1  # a flag of a member
_END: Final = struct.Struct("<4s4H2LH")  # end of central directory
_END64: Final = struct.Struct("<4sQ2H2L4Q")
_LOCATOR64: Final = struct.Struct("<4sLQL")


class ArchiveReader:
    """A backup, looked over before anything of it is believed. A context manager."""

    def __init__(self, path: Path, *, bytes_max: int = BYTES_MAX) -> None:
        """Raises BackupError, and only that, for anything that is no whole and safe backup."""
        self._path = path
        try:
            self._file = path.open("rb")
        except OSError as error:
            raise BackupError(f"{path}: {error.strerror}") from error
        try:
            self._open(bytes_max)
        except BackupError:
            self._file.close()
            raise
        except OSError as error:
            self._file.close()
            raise BackupError(f"{path}: {error.strerror or error}") from error
        except _ZIP_ERRORS as error:
            self._file.close()
            raise BackupError(f"{path}: no whole zip: {error}; copy it again") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._zip.close()
        self._file.close()

    def _open(self, bytes_max: int) -> None:
        _check_directory(self._file, self._path)
        self._zip = zipfile.ZipFile(self._file)
        members = self._zip.infolist()
        if MANIFEST not in {one.filename for one in members}:
            raise BackupError(f"{self._path}: no {MANIFEST} in it; expected a backup of andon")
        packed_max = os.fstat(self._file.fileno()).st_size
        check_members(members, path=self._path, bytes_max=bytes_max, packed_bytes_max=packed_max)
        manifest = self._zip.getinfo(MANIFEST)
        if manifest.file_size > MANIFEST_BYTES_MAX:
            raise BackupError(f"{self._path}: {MANIFEST} is over {MANIFEST_BYTES_MAX} B")
        with self._zip.open(manifest) as file:
            content = file.read(MANIFEST_BYTES_MAX + 1)
        self.sha256 = hashlib.sha256(content).hexdigest()
        self.manifest = decode_manifest(content, path=self._path)
        check_listed(self.manifest, members, path=self._path)

    def extract(
        self, name: str, target: Path | None, *, on_bytes: Callable[[int], object] = int
    ) -> None:
        """Check one file, and write it where it did not exist; None: only check.

        Raises BackupError; what was written of it by then is for the caller to remove.
        """
        entry = self.manifest.files[name]
        digest, size = hashlib.sha256(), 0
        out = None
        try:
            if target is not None:
                target.parent.mkdir(parents=True, exist_ok=True)
                flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
                out = os.fdopen(os.open(target, flags, 0o600), "wb")
            with self._zip.open(name) as source:
                while block := source.read(BLOCK_BYTES):
                    size += len(block)
                    if size > entry.size_bytes:
                        raise BackupError(
                            f"{self._path}: {name} has more than its {entry.size_bytes} B"
                        )
                    digest.update(block)
                    if out is not None:
                        out.write(block)
                    on_bytes(len(block))
            if (size, digest.hexdigest()) != (entry.size_bytes, entry.sha256):
                raise BackupError(
                    f"{self._path}: {name} is not as it was written ({size} B, sha256"
                    f" {digest.hexdigest()[:12]}, expected {entry.size_bytes} B,"
                    f" {entry.sha256[:12]}); copy the backup again, or take another one"
                )
            if out is not None and target is not None:
                out.flush()
                os.fsync(out.fileno())
                os.fchmod(out.fileno(), entry.mode)
                os.utime(target, ns=(entry.mtime_ns, entry.mtime_ns))
        except OSError as error:
            raise BackupError(f"{target or self._path}: {error.strerror or error}") from error
        except _ZIP_ERRORS as error:
            raise BackupError(f"{self._path}: {name} is damaged: {error}") from error
        finally:
            if out is not None:
                out.close()


_ZIP_ERRORS: Final = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    OverflowError,
    RuntimeError,  # also of methods of packing that this Python does not know
    ValueError,
    KeyError,
)


def check_members(
    members: list[zipfile.ZipInfo], *, path: Path, bytes_max: int, packed_bytes_max: int
) -> None:
    """Refuse what must not be unpacked, before any of it is. Raises BackupError."""
    if len(members) > MEMBERS_MAX:
        raise BackupError(f"{path}: {len(members)} members, expected at most {MEMBERS_MAX}")
    seen: set[str] = set()
    for one in members:
        name = one.filename
        if why := _unfit(one) or ("there twice" if name in seen else ""):
            raise BackupError(f"{path}: member {name!r} is {why}; this is no backup to restore")
        seen.add(name)
    folders = {name[:i] for name in seen for i, c in enumerate(name) if c == "/"}
    if both := sorted(folders & seen):
        raise BackupError(f"{path}: {both[0]!r} is a file and a folder")
    total = sum(one.file_size for one in members)
    if total > bytes_max:
        raise BackupError(
            f"{path}: unpacks to {total} B, expected at most {bytes_max}; if it really is so large,"
            " raise --gigabytes-max"
        )
    if sum(one.compress_size for one in members) > packed_bytes_max:
        raise BackupError(f"{path}: its members overlap; this is no backup to restore")


def _unfit(member: zipfile.ZipInfo) -> str:
    """Why a member by itself must not be unpacked; "" it may."""
    kind = stat.S_IFMT(member.external_attr >> 16)
    if kind not in (0, stat.S_IFREG):
        return "a link" if kind == stat.S_IFLNK else "no plain file"
    if member.flag_bits & ENCRYPTED:
        return "encrypted"
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        return f"packed by method {member.compress_type}"
    return unsafe(member.orig_filename) or unsafe(member.filename)


def decode_manifest(content: bytes, *, path: Path) -> Manifest:
    """The manifest of a backup. Raises BackupError, for one of a newer format with what to do."""

    class _Format(msgspec.Struct):
        format: int
        andon: str = "?"

    try:
        found = msgspec.json.decode(content, type=_Format)
        if found.format > FORMAT:
            raise BackupError(
                f"{path}: written by andon {found.andon} in format {found.format}, this one reads"
                f" up to {FORMAT}; install that version here, then restore"
            )
        manifest = msgspec.json.decode(content, type=Manifest)
    except UNREADABLE as error:
        raise BackupError(f"{path}: {MANIFEST}: {error}") from error
    for name, entry in manifest.files.items():
        if not (0 <= entry.mode <= 0o777 and entry.size_bytes >= 0 and 0 <= entry.mtime_ns < 2**63):
            raise BackupError(f"{path}: {MANIFEST}: {name!r} has no size, mode or time that can be")
    for name in (manifest.state, *(one.name for one in manifest.left_out)):
        if why := unsafe(name):
            raise BackupError(f"{path}: {MANIFEST}: {name!r} is {why}")
    return manifest


def check_listed(manifest: Manifest, members: list[zipfile.ZipInfo], *, path: Path) -> None:
    """Every member is in the manifest, and the reverse. Raises BackupError."""
    there = {one.filename: one.file_size for one in members if one.filename != MANIFEST}
    if more := sorted(there.keys() - manifest.files.keys()):
        raise BackupError(f"{path}: {more[0]!r} is not in its manifest; it was added later")
    if gone := sorted(manifest.files.keys() - there.keys()):
        raise BackupError(f"{path}: {gone[0]!r} is missing; copy the backup again")
    for name, entry in manifest.files.items():
        if there[name] != entry.size_bytes:
            raise BackupError(
                f"{path}: {name!r} has {there[name]} B, expected {entry.size_bytes} B"
            )
    if manifest.config not in manifest.files:
        raise BackupError(f"{path}: its configuration {manifest.config!r} is missing")


def _check_directory(file: IO[bytes], path: Path) -> None:
    """Refuse a list of members that would fill the memory. Raises BackupError, OSError."""
    size = os.fstat(file.fileno()).st_size
    tail_bytes = min(size, _END.size + 0xFFFF)
    file.seek(size - tail_bytes)
    tail = file.read(tail_bytes)
    at = tail.rfind(b"PK\5\6")
    if at < 0 or at + _END.size > len(tail):
        raise BackupError(f"{path}: no zip, or cut off; copy it again")
    _, _, _, _, members, listed_bytes, _, _ = _END.unpack_from(tail, at)
    before = size - tail_bytes + at - _LOCATOR64.size
    if before >= 0:
        file.seek(before)
        mark, _, begin, _ = _LOCATOR64.unpack(file.read(_LOCATOR64.size))
        if mark == b"PK\6\7" and begin + _END64.size <= size:
            file.seek(begin)
            mark, _, _, _, _, _, _, more, more_bytes, _ = _END64.unpack(file.read(_END64.size))
            if mark == b"PK\6\6":
                members, listed_bytes = max(members, more), max(listed_bytes, more_bytes)
    if members > max(MEMBERS_MAX, 0xFFFF) or (
        listed_bytes > DIRECTORY_BYTES_MAX and listed_bytes != 0xFFFFFFFF
    ):
        raise BackupError(f"{path}: lists {members} members in {listed_bytes} B; that is too much")
    file.seek(0)
