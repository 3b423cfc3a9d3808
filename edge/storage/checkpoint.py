"""Checkpoints: the engine's whole state with its place in the journal.

So that a restart replays seconds, not days.

    magic | u32 crc32 | msgpack {version, position, wall_ns, state}

Arrays are msgpack extensions (dtype, shape, bytes); nothing is pickled. Written beside and renamed;
the newest that reads back is used, an unreadable one is reported and left behind.
"""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING, Any, Final

import msgspec
import numpy as np

from edge.errors import JournalError
from edge.state import EngineState
from edge.storage.disk import DISK, write_whole
from edge.storage.journal import Position

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edge.storage.disk import Disk

MAGIC: Final = b"ANDONC1\n"
ARRAY: Final = 1  # msgpack extension code of an array
KEPT: Final = 2
SUFFIX: Final = ".checkpoint"
_CRC: Final = struct.Struct("<I")


class Checkpoint(msgspec.Struct, frozen=True, kw_only=True):
    """State of the engine after everything before `position`.

    `fingerprint` of the artifacts it belongs to.
    """

    position: Position
    fingerprint: str
    state: EngineState


class _ArrayBody(msgspec.Struct, frozen=True, array_like=True):
    """An array as msgpack holds it."""

    dtype: str
    shape: tuple[int, ...]
    data: bytes


def pack(value: object) -> bytes:
    """Bytes of a tree of structs and arrays."""
    return msgspec.msgpack.encode(value, enc_hook=_encode_array)


def unpack(data: bytes, kind: type[Any]) -> Any:  # noqa: ANN401 - as typed as `kind` is
    """A tree of `kind` from its bytes.

    Raises msgspec.MsgspecError or ValueError for anything else.
    """
    return msgspec.msgpack.decode(data, type=kind, dec_hook=_decode_array, ext_hook=_read_array)


def save(directory: Path, checkpoint: Checkpoint, *, disk: Disk = DISK) -> Path:
    """Write a checkpoint atomically and drop all but the newest few. Raises JournalError."""
    body = pack(checkpoint)
    at = checkpoint.position
    path = directory / f"{at.segment:08d}-{at.offset:012d}{SUFFIX}"
    scratch = path.with_suffix(".tmp")
    try:
        disk.make_directory(directory)
        with disk.open(scratch, "wb") as file:
            write_whole(disk, file, MAGIC + _CRC.pack(zlib.crc32(body)) + body)
            disk.sync(file)
        disk.replace(scratch, path)
        disk.sync_directory(
            directory
        )  # or a power cut could leave neither the new name nor the old
        for old in sorted(directory.glob(f"*{SUFFIX}"))[:-KEPT]:
            disk.unlink(old)
        for left in directory.glob("*.tmp"):  # of a process that was killed while it wrote
            disk.unlink(left)
    except OSError as error:
        raise JournalError(f"{path}: cannot write: {error.strerror}; free disk space") from error
    return path


def newest(
    directory: Path,
    *,
    fingerprint: str | Callable[[EngineState], str],
    before_ns: int | None = None,
) -> tuple[Checkpoint | None, list[str]]:
    """The newest checkpoint that reads back and belongs to these artifacts.

    And what was wrong with newer ones. fingerprint: of the artifacts that there are, or of those
    that a state names; "" has none. before_ns: only one of an engine that was not there yet.
    """
    troubles = []
    for path in sorted(directory.glob(f"*{SUFFIX}"), reverse=True):
        try:
            checkpoint = _read(path)
        except (ValueError, TypeError, msgspec.MsgspecError, OSError) as error:
            troubles.append(f"{path}: unreadable checkpoint: {error}")
            continue
        ours = fingerprint if isinstance(fingerprint, str) else fingerprint(checkpoint.state)
        if not ours or checkpoint.fingerprint != ours:
            troubles.append(f"{path}: belongs to another bundle or configuration")
            continue
        if before_ns is not None and checkpoint.state.now_ns >= before_ns:
            continue
        return checkpoint, troubles
    return None, troubles


def _read(path: Path) -> Checkpoint:
    data = path.read_bytes()
    begin = len(MAGIC) + _CRC.size
    if not data.startswith(MAGIC) or len(data) < begin:
        raise ValueError("bad magic")
    body = data[begin:]
    if _CRC.unpack_from(data, len(MAGIC))[0] != zlib.crc32(body):
        raise ValueError("checksum does not match")
    checkpoint: Checkpoint = unpack(body, Checkpoint)
    return checkpoint


def _encode_array(value: object) -> msgspec.msgpack.Ext:
    if not isinstance(value, np.ndarray):
        raise TypeError(f"{type(value).__name__} does not belong into a checkpoint")
    body = _ArrayBody(value.dtype.str, value.shape, np.ascontiguousarray(value).tobytes())
    return msgspec.msgpack.Ext(ARRAY, msgspec.msgpack.encode(body))


def _read_array(code: int, data: memoryview) -> np.ndarray:
    if code != ARRAY:
        raise ValueError(f"unknown extension {code}")
    body = msgspec.msgpack.decode(data, type=_ArrayBody)
    return np.frombuffer(body.data, np.dtype(body.dtype)).reshape(body.shape).copy()


def _decode_array(kind: type[Any], value: object) -> object:
    if kind is np.ndarray and isinstance(value, np.ndarray):
        return value
    raise ValueError(f"expected {kind}, found {type(value).__name__}")
