"""Mending a journal that a gateway needs and cannot read: bit rot, a segment that is gone.

The damaged segment is kept as it was, in a folder beside it; in its place comes one of the records
that are whole. What was lost is said, never skipped in silence. Tools never mend: they raise.
"""

from __future__ import annotations

import errno
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import msgspec

from edge.errors import UNREADABLE, JournalError
from edge.storage.disk import write_whole
from edge.storage.journal_records import (
    HEAD,
    MAGIC,
    MAGIC_PACKED,
    PACKED,
    bodies,
    body_at,
    salvaged,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from edge.storage.disk import Disk
    from edge.storage.journal_records import DamagedJournalError

ASIDE: Final = "aside"  # folder of damaged segments
ASIDE_MAX: Final = 8  # of them are kept, half a gigabyte; the oldest go, and that is said
SECOND_NS: Final = 1_000_000_000
_SAID: Final = re.compile(  # as Loss says it
    r"(?P<segment>\d+\.journal): (?P<why>[^;]*?)(?:, (?P<bytes>\d+) B)?: what was taken between"
    r" (?P<after>\(not known\)|\S+) and (?P<before>\(not known\)|\S+) is lost"
)
_UNKNOWN: Final = "(not known)"
_TIMES: Final = msgspec.msgpack.Decoder(tuple[int, msgspec.Raw])


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """What a damaged segment cost. lost_bytes: 0 of one that was gone.

    after_ns, before_ns: wall clock of the whole records around it; None: there is none.
    """

    segment: str
    why: str
    lost_bytes: int
    after_ns: int | None
    before_ns: int | None
    kept: str  # where the damaged one is, "" nowhere
    dropped: tuple[str, ...] = ()  # older ones that were deleted for it

    def __str__(self) -> str:
        span = f"what was taken between {_told(self.after_ns)} and {_told(self.before_ns)} is lost"
        size = f", {self.lost_bytes} B" if self.lost_bytes else ""
        kept = f"; it is kept as {self.kept}" if self.kept else ""
        dropped = f"; deleted for it: {', '.join(self.dropped)}" if self.dropped else ""
        return f"{self.segment}: {self.why}{size}: {span}{kept}{dropped}"


def losses_told(detail: str) -> list[Loss]:
    """What an alert of damage says was lost, in its own words; times are to the second."""
    return [
        Loss(
            segment=said["segment"],
            why=said["why"],
            lost_bytes=int(said["bytes"] or 0),
            after_ns=_read(said["after"]),
            before_ns=_read(said["before"]),
            kept="",
        )
        for said in _SAID.finditer(detail)
    ]


def mend(damage: DamagedJournalError, *, disk: Disk) -> Loss:
    """Put a segment in order, before whose `offset` all is whole. Raises JournalError.

    Nobody may be writing to it. Killed at any time, it leaves the segment as it was or mended.
    """
    path = damage.path
    try:
        data = _bytes_of(path)
        begun = data[: damage.offset] if data else b""
        stretches = list(salvaged(data, damage.offset or len(MAGIC)))
        rest = [data[begin:end] for begin, end in stretches]
        kept, dropped = _keep(disk, path, data) if path.exists() else ("", ())
        whole = b"".join([begun or _head_of(rest), *rest])
        _replace(disk, path, whole)
    except OSError as error:
        raise JournalError(f"{path}: cannot be mended: {error.strerror}") from error
    after_ns = _last_ns(begun)
    if after_ns is None:  # nothing is whole before it: the segment before ends where this begins
        after_ns = _last_ns(_before(path))
    return Loss(
        segment=path.name,
        why=damage.why,
        lost_bytes=max(0, len(data) - len(whole)),
        after_ns=after_ns,
        before_ns=_first_ns(rest[0]) if rest else None,
        kept=kept,
        dropped=dropped,
    )


def _head_of(rest: Sequence[bytes]) -> bytes:
    """The first bytes of a segment whose own are not whole: of the format that its records have."""
    packed = any(body.startswith(PACKED) for stretch in rest for body in _bodies_of(stretch))
    return MAGIC_PACKED if packed else MAGIC


def _bodies_of(stretch: bytes, offset: int = 0) -> Iterator[bytes]:
    """Of whole records that follow each other."""
    while (body := body_at(stretch, offset)) is not None:
        offset += HEAD.size + len(body)
        yield body


def _bytes_of(path: Path) -> bytes:
    """What can be read of a segment; nothing of one that is gone or that the disk cannot read."""
    try:
        return path.read_bytes()
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.EIO):
            raise
        return b""


def _keep(disk: Disk, path: Path, data: bytes) -> tuple[str, tuple[str, ...]]:
    """Have the damaged segment under another name too; returns it, and what was deleted for it."""
    folder = path.parent / ASIDE
    disk.make_directory(folder)
    number = 1
    while (name := folder / f"{path.stem}.{number}{path.suffix}").exists():
        number += 1
    if data:
        _replace(disk, name, data)
    else:  # empty, or the disk cannot read it: whatever is there stays there
        disk.replace(path, name)
    old = sorted(folder.iterdir(), key=lambda one: (one.stat().st_mtime, one.name))
    dropped = [one for one in old if one != name][: max(0, len(old) - ASIDE_MAX)]
    for one in dropped:
        disk.unlink(one)
    return str(name), tuple(one.name for one in dropped)


def _replace(disk: Disk, path: Path, data: bytes) -> None:
    scratch = path.with_suffix(".mended")
    with disk.open(scratch, "wb") as file:
        write_whole(disk, file, data)
        disk.sync(file)
    disk.replace(scratch, path)
    disk.sync_directory(path.parent)


def _before(path: Path) -> bytes:
    """The segment before, "" where it cannot be read."""
    try:
        return (path.parent / f"{int(path.stem) - 1:0{len(path.stem)}d}{path.suffix}").read_bytes()
    except OSError:
        return b""


def _last_ns(data: bytes) -> int | None:
    found = None
    for body in _bodies_of(data, len(MAGIC)):
        found = body
    return None if found is None else _time_ns(found, -1)


def _first_ns(data: bytes) -> int | None:
    body = body_at(data, 0)
    return None if body is None else _time_ns(body, 0)


def _time_ns(body: bytes, which: int) -> int | None:
    """Time of the first or the last stimulus in a record."""
    try:
        return _TIMES.decode(bodies(body)[which])[0]
    except UNREADABLE:
        return None


def _told(t_ns: int | None) -> str:
    if t_ns is None:
        return _UNKNOWN
    return datetime.fromtimestamp(t_ns / SECOND_NS, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _read(said: str) -> int | None:
    return None if said == _UNKNOWN else int(datetime.fromisoformat(said).timestamp()) * SECOND_NS
