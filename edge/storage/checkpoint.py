"""Checkpoints: the engine's whole state with its place in the journal.

So that a restart replays seconds, not days.

    magic | u32 crc32 of the rest | u32 bytes of the head | msgpack head | msgpack state, packed

The histories of the assets stand in files of their own (`edge.storage.history`), and so do their
states (`edge.storage.asset_states`); the head names them. Arrays stand behind the tree that they
are of (`edge.storage.apart`); nothing is pickled. Written beside and renamed; the newest that reads
back is used. What an older version wrote is migrated as it is read, what a newer one wrote is
refused (`edge.storage.formats`).
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import msgspec
import numpy as np

from edge.errors import UNREADABLE, JournalError
from edge.samples.later import Later
from edge.samples.times import Column
from edge.state import AssetState, EngineState
from edge.storage.apart import ARRAY, Copied, read, taken
from edge.storage.asset_states import Chain, States, joined
from edge.storage.disk import DISK, write_whole
from edge.storage.formats import (
    CHECKPOINT_SUFFIX,
    HISTORY,
    HISTORY_SUFFIX,
    LINK,
    LINK_SUFFIX,
    MAGIC_BYTES,
    STATE,
    STATE_FORMAT,
    format_of,
    magic,
    newer,
)
from edge.storage.history import Histories, HistoryPart, bare, filled
from edge.storage.journal import Position
from edge.storage.packing import packed, unpacked

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from edge.storage.disk import Disk

CRC_BYTES: Final = 4
KEPT: Final = 2
VERSION_OF_FIRST: Final = "0.1.0"  # wrote format 1
ASIDE: Final = "aside"  # folder of what could not be used
STATE_BYTES_MAX: Final = 1 << 30  # of a state without histories: ten thousand assets and more
ASIDE_MAX: Final = 4  # files in it; the oldest go
_HEAD: Final = struct.Struct("<II")


class Checkpoint(msgspec.Struct, frozen=True, kw_only=True):
    """State of the engine after everything before `position`.

    `fingerprint` of the artifacts it belongs to. written_by: version of Andon that took what stands
    behind it in the journal, "": not known. history: parts that it was read with, in order.
    """

    position: Position
    fingerprint: str
    state: EngineState
    written_by: str = ""
    history: tuple[str, ...] = ()


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """What stands before a state. history: names of the parts that it needs, in order.

    packed: which makes it less than half as large. links: with the states of the assets, in order;
    () they stand in the state itself.
    """

    position: Position
    fingerprint: str
    written_by: str = ""
    history: tuple[str, ...] = ()
    packed: bool = False
    links: tuple[str, ...] = ()


class _ArrayBody(msgspec.Struct, frozen=True, array_like=True):
    """An array as msgpack holds it."""

    dtype: str
    shape: tuple[int, ...]
    data: bytes


def pack(value: object) -> bytes:
    """Bytes of a tree of structs and arrays."""
    return msgspec.msgpack.encode(value, enc_hook=_encode_array)


def unpack(data: bytes | memoryview, kind: type[Any]) -> Any:  # noqa: ANN401 - as typed as `kind` is
    """A tree of `kind` from its bytes.

    Raises msgspec.MsgspecError, TypeError or ValueError for anything else.
    """
    return msgspec.msgpack.decode(data, type=kind, dec_hook=_decode_array, ext_hook=_read_array)


@dataclass(slots=True)
class Packed:
    """A checkpoint as bytes, still to be written.

    state: makes its own body; part: makes that of the histories, None: there is none; link: makes
    that of the states. names, links: of all that it needs.
    """

    path: Path
    head: bytes
    state: Callable[[], bytes]
    part: Callable[[], bytes] | None
    names: tuple[str, ...]
    link: Callable[[], bytes]
    links: tuple[str, ...]


@dataclass(slots=True)
class Packer:
    """Makes checkpoints into bytes, one after another, each with what the last one lacks."""

    directory: Path
    histories: Histories = field(default_factory=Histories)
    chain: Chain = field(default_factory=Chain)

    def forget(self) -> None:
        """The next checkpoint brings everything, as after one that was not written."""
        self.histories.forget()
        self.chain.forget()

    def packed(self, checkpoint: Checkpoint) -> Packed:
        """A checkpoint as it is now: all that needs the engine to stand still."""
        copied = Copied()
        made = self.begun(checkpoint, copied)
        copied.keep(checkpoint.state.assets)
        return made

    def begun(self, checkpoint: Checkpoint, copied: Copied) -> Packed:
        """The same without states and histories, which `copied` is to have as they are now."""
        at, state, parts = checkpoint.position, checkpoint.state, self.histories.parts
        name = f"{at.segment:08d}-{at.offset:012d}"
        part: Callable[[], bytes] | None = None
        if f"{name}{HISTORY_SUFFIX}" not in parts:  # else nothing was taken since the last one
            cuts = self.histories.cuts(state.ring)
            cuts.keep(asset for asset in state.ring.assets if asset not in state.assets)
            copied.also, part = cuts.keep, lambda: pack(cuts.part())
            parts.append(f"{name}{HISTORY_SUFFIX}")
        states = States(tuple(state.assets), partial(copied.made, tuple(state.assets)))
        link = self.chain.add(f"{name}{LINK_SUFFIX}", states)
        head = pack(
            Head(
                position=at,
                fingerprint=checkpoint.fingerprint,
                written_by=checkpoint.written_by,
                history=tuple(parts),
                packed=True,
                links=tuple(self.chain.names),
            )
        )
        ring = bare(state.ring)
        rest = taken([msgspec.structs.replace(state, ring=Later(lambda: ring), assets={})])
        path = self.directory / f"{name}{CHECKPOINT_SUFFIX}"
        return Packed(
            path, head, lambda: rest()[0], part, tuple(parts), link, tuple(self.chain.names)
        )


def save(
    directory: Path, checkpoint: Checkpoint, packer: Packer | None = None, *, disk: Disk = DISK
) -> Path:
    """Write a checkpoint atomically and drop all but the newest few. Raises JournalError.

    packer: of the process, so that only what is new of the histories is written.
    """
    made = (packer or Packer(directory)).packed(checkpoint)
    write(made, disk=disk)
    return made.path


def write(made: Packed, *, disk: Disk = DISK) -> None:
    """Bring a packed checkpoint to the disk. Raises JournalError."""
    path, directory = made.path, made.path.parent
    try:
        disk.make_directory(directory)
        if made.part is not None:
            _put(disk, directory / made.names[-1], HISTORY, made.part())
        _put(disk, directory / made.links[-1], LINK, made.link())
        size = len(made.head).to_bytes(4, "little")
        _put(disk, path, STATE, size + made.head + packed(made.state()))
        disk.sync_directory(
            directory
        )  # or a power cut could leave neither the new name nor the old
        _drop_old(disk, directory, made)
    except OSError as error:
        raise JournalError(f"{path}: cannot write: {error.strerror}; free disk space") from error


def newest(
    directory: Path,
    *,
    fingerprint: str | Callable[[EngineState, int], str],
    before_ns: int | None = None,
    aside: Disk | None = None,
) -> tuple[Checkpoint | None, list[str]]:
    """The newest checkpoint that reads back and belongs to these artifacts.

    And what was wrong with newer ones. fingerprint: of the artifacts that there are, or of those
    that a state names, as a state format has it; "" has none. before_ns: only one of an engine that
    was not there yet. aside: moves what cannot be used into a folder, for its owner alone.
    """
    troubles = []
    for path in sorted(directory.glob(f"*{CHECKPOINT_SUFFIX}"), reverse=True):
        try:
            found, number = _read(path)
            ours = fingerprint
            if not isinstance(ours, str):
                ours = ours(found.state, number)
        except (*UNREADABLE, TypeError, OSError) as error:
            troubles.append(f"{path}: unreadable checkpoint: {error}{_moved(path, aside)}")
            continue
        if not ours or found.fingerprint != ours:
            moved = _moved(path, aside)
            troubles.append(f"{path}: belongs to another bundle or configuration{moved}")
            continue
        if before_ns is not None and found.state.now_ns >= before_ns:
            continue
        return found, troubles
    return None, troubles


def newest_position(directory: Path) -> Position | None:
    """Where the newest checkpoint says that it stands; None: there is none.

    The journal was synced up to there before its name was written, whether it can be used or not.
    """
    for path in sorted(directory.glob(f"*{CHECKPOINT_SUFFIX}"), reverse=True):
        segment, _, offset = path.stem.partition("-")
        if segment.isdigit() and offset.isdigit():
            return Position(int(segment), int(offset))
    return None


def _read(path: Path) -> tuple[Checkpoint, int]:
    """A checkpoint as today's, and the format of its file."""
    found, body = _opened(path, STATE)
    return MIGRATIONS[found](body, path.parent), found


def _opened(path: Path, name: bytes) -> tuple[int, memoryview]:
    """Format number and body of a file. Raises ValueError or OSError for a damaged one."""
    data = path.read_bytes()
    found = format_of(data[:MAGIC_BYTES], name)
    if found > STATE_FORMAT:
        raise ValueError(newer(path, "state", found=found, known=STATE_FORMAT))
    begin = MAGIC_BYTES + CRC_BYTES
    if not found or len(data) < begin:
        raise ValueError("bad magic")
    body = memoryview(data)[begin:]
    if zlib.crc32(body) != int.from_bytes(data[MAGIC_BYTES:begin], "little"):
        raise ValueError("checksum does not match")
    return found, body


def _from_first(body: memoryview, _folder: Path) -> Checkpoint:
    """Format 1: all in one, histories in full. The version stood in the fingerprint."""
    checkpoint: Checkpoint = unpack(body, Checkpoint)
    return msgspec.structs.replace(checkpoint, written_by=VERSION_OF_FIRST)


def _from_second(body: memoryview, folder: Path) -> Checkpoint:
    """Format 4, the present one, and 2, which was packed with zlib."""
    head_end = 4 + int.from_bytes(body[:4], "little")
    head: Head = unpack(body[4:head_end], Head)
    data: bytes | memoryview = body[head_end:]
    if head.packed:
        data = unpacked(data, bytes_max=STATE_BYTES_MAX)
    state: EngineState = read(data, EngineState)
    if head.links:
        states = joined(_opened(folder / one, LINK)[1] for one in head.links)
        state.assets = {asset: read(one, AssetState) for asset, one in states.items()}
    parts = (unpack(_opened(folder / one, HISTORY)[1], HistoryPart) for one in head.history)
    state.ring = filled(state.ring, parts)
    return Checkpoint(
        position=head.position,
        fingerprint=head.fingerprint,
        state=state,
        written_by=head.written_by,
        history=head.history,
    )


# Format -> how its body is read. An upgrade goes on with open events, jobs and silences: a format
# never leaves this table while somebody may have it. Fingerprints stay as the old version made
# them; `edge.assembly.identity` knows how. Raises UNREADABLE, TypeError or OSError for damage.
MIGRATIONS: Final = {
    1: _from_first,
    2: _from_second,
    4: _from_second,
}


def _moved(path: Path, disk: Disk | None) -> str:
    """Move a file into the folder of what cannot be used; says where to."""
    if disk is None:
        return ""
    folder = path.parent / ASIDE
    try:
        disk.make_directory(folder)
        disk.replace(path, folder / path.name)
        for old in sorted(_files(folder), key=lambda one: one.stat().st_mtime)[:-ASIDE_MAX]:
            disk.unlink(old)
    except OSError as error:
        return f"; it could not be moved aside: {error.strerror}"
    return f"; moved to {folder}"


def _put(disk: Disk, path: Path, name: bytes, body: bytes) -> None:
    """Write a file whole, synced, under its name only then."""
    scratch = path.with_suffix(".tmp")
    with disk.open(scratch, "wb") as file:
        crc = zlib.crc32(body).to_bytes(CRC_BYTES, "little")
        write_whole(disk, file, magic(name, STATE_FORMAT) + crc)
        write_whole(disk, file, body)
        disk.sync(file)
    disk.replace(scratch, path)


def _drop_old(disk: Disk, directory: Path, made: Packed) -> None:
    kept = sorted(directory.glob(f"*{CHECKPOINT_SUFFIX}"))
    for old in kept[:-KEPT]:
        disk.unlink(old)
    needed = {*made.names, *made.links}
    for path in kept[-KEPT:]:
        if path != made.path:
            needed |= _named_by(path)
    for suffix in (HISTORY_SUFFIX, LINK_SUFFIX):
        for path in directory.glob(f"*{suffix}"):
            if path.name not in needed:
                disk.unlink(path)
    for left in directory.glob("*.tmp"):  # of a process that was killed while it wrote
        disk.unlink(left)


def _named_by(path: Path) -> set[str]:
    """Parts and links that a checkpoint names; none of a damaged or older one."""
    try:
        with path.open("rb") as file:
            if format_of(file.read(MAGIC_BYTES), STATE) < 2:  # histories stood in the file itself
                return set()
            _, size = _HEAD.unpack(file.read(_HEAD.size))
            head: Head = unpack(file.read(size), Head)
    except (*UNREADABLE, TypeError, struct.error, OSError):
        return set()
    return {*head.history, *head.links}


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in folder.iterdir() if path.is_file())


def _encode_array(value: object) -> msgspec.msgpack.Ext:
    if isinstance(value, Column):
        value = np.asarray(value)
    if not isinstance(value, np.ndarray):
        raise TypeError(f"{type(value).__name__} does not belong into a checkpoint")
    body = _ArrayBody(value.dtype.str, value.shape, value.tobytes())
    return msgspec.msgpack.Ext(ARRAY, msgspec.msgpack.encode(body))


def _read_array(code: int, data: memoryview) -> np.ndarray:
    if code != ARRAY:
        raise ValueError(f"unknown extension {code}")
    body = msgspec.msgpack.decode(data, type=_ArrayBody)
    try:
        kind = np.dtype(body.dtype)
    except SyntaxError as error:  # numpy parses what it does not know
        raise ValueError(f"unknown kind of array: {error}") from error
    return np.frombuffer(body.data, kind).reshape(body.shape).copy()


def _decode_array(kind: type[Any], value: object) -> object:
    if kind is np.ndarray and isinstance(value, np.ndarray):
        return value
    raise ValueError(f"expected {kind}, found {type(value).__name__}")
