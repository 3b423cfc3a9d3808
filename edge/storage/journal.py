"""The journal: every stimulus in the order in which the engine took it.

On disk before its effects leave.

A directory of segments `NNNNNNNN.journal`. A segment is an eight-byte magic, then records:

    u32 length | u32 crc32 of the body | body = msgpack [now_ns, stimulus]      (little-endian)

or, in segments of formats 2 and 4, body = 0xC1 and a group of such records, packed; in those of
format 4 also body = 0xC1 0x01 and messages by columns (`edge.storage.journal_columns`), packed.

A group is one write, so it survives a killed process whole or is cut at a record. A torn tail
(power cut) is cut off on opening and counted; damage before the tail is an error that names file
and offset, never skipped, and so is a segment that is missing between others: only a gateway that
has to start mends it (`edge.storage.mending`). One process writes a journal at a time. A recording
is the same thing, kept on purpose.
"""

from __future__ import annotations

import fcntl
import math
from typing import TYPE_CHECKING, Final

import msgspec

from edge.caps import PLAUSIBLE_NS
from edge.errors import UNREADABLE, JournalError
from edge.records import Stimulus
from edge.storage import journal_records
from edge.storage.formats import JOURNAL_SUFFIX
from edge.storage.journal_records import (
    DamagedJournalError,
    bodies,
    body_at,
    check_format,
    header_is_torn,
    is_header,
    next_whole,
    segment_bytes,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

MAGIC: Final = journal_records.MAGIC
SUFFIX: Final = JOURNAL_SUFFIX

_DECODER: Final = msgspec.msgpack.Decoder(tuple[int, Stimulus])


class Position(msgspec.Struct, frozen=True, order=True):
    """A place in a journal: everything before it was read or written."""

    segment: int = 0
    offset: int = 0


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One stimulus with the wall clock at which it was taken; `position` is just behind it.

    Of a packed group only the last one has a place behind it; the others stand where it begins.
    """

    now_ns: int
    stimulus: Stimulus
    position: Position


def segments(directory: Path) -> list[tuple[int, Path]]:
    """The segments of a journal by number."""
    paths = directory.glob(f"*{SUFFIX}")
    return sorted((int(path.stem), path) for path in paths if path.stem.isdigit())


def is_written(directory: Path) -> bool:
    """Whether a process holds the journal to write it."""
    found = segments(directory)
    if not found:
        return False
    try:
        with found[-1][1].open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def written_s(found: Sequence[tuple[int, Path]]) -> list[float]:
    """When each of these segments was last written, s since 1970; inf: nobody knows.

    One that was written while the clock was not set is at least as old as the next one that was
    not. Raises OSError.
    """
    times: list[float] = []
    known_s = math.inf
    for _, path in reversed(found):
        try:
            at_s = path.stat().st_mtime
        except FileNotFoundError:  # dropped meanwhile
            at_s = 0.0
        known_s = at_s if at_s * 1e9 >= PLAUSIBLE_NS else known_s
        times.append(known_s)
    return times[::-1]


def read_journal(path: Path, *, after: Position | None = None) -> Iterator[Entry]:
    """Entries of a journal directory, or of one segment file, behind `after`.

    A torn record at the very end of the last segment ends the reading. Raises JournalError for
    damage anywhere else, for a segment that is missing between others, for a path that holds no
    journal, and for an `after` that lies behind its end. Segments dropped by age are no damage:
    whoever must know compares `after` with the first of `segments`.
    """
    if path.is_dir():
        found = segments(path)
    else:
        found = [(int(path.stem) if path.stem.isdigit() else 0, path)]
    if not found:
        raise JournalError(f"{path}: no {SUFFIX} segments here; expected a journal directory")
    if after is not None and after.segment > found[-1][0]:
        raise _shorter(path, after)
    _check_contiguous(path, [n for n, _ in found if after is None or n >= after.segment])
    for number, segment in found:
        offset = len(MAGIC)
        if after is not None:
            if number < after.segment:
                continue
            if number == after.segment:
                offset = max(offset, after.offset)
                if number == found[-1][0] and offset > max(len(MAGIC), segment.stat().st_size):
                    raise _shorter(segment, after)
        yield from _read_segment(segment, number, offset, last=number == found[-1][0])


def _check_contiguous(path: Path, numbers: Sequence[int]) -> None:
    for expected, number in enumerate(numbers, start=numbers[0] if numbers else 0):
        if number != expected:
            missing = path / f"{expected:08d}{SUFFIX}"
            raise DamagedJournalError(missing, expected, 0, f"segment {missing.name} is missing")


def _shorter(path: Path, after: Position) -> JournalError:
    """What comes from now on would be skipped at the next start, without a word."""
    where = f"segment {after.segment}, byte {after.offset}"
    return JournalError(
        f"{path}: ends before {where}, where a checkpoint goes on; "
        "remove the checkpoints that are ahead of it"
    )


def _read_segment(path: Path, number: int, offset: int, *, last: bool) -> Iterator[Entry]:
    data = segment_bytes(path, number)
    # behind a checkpoint in its middle, what stands before does not matter
    if offset == len(MAGIC) and not is_header(data):
        if last and header_is_torn(data):
            return
        check_format(path, data)
        raise DamagedJournalError(path, number, 0, "not a journal of this version (bad magic)")
    while offset < len(data):
        body = body_at(data, offset)
        if body is None:
            if last and next_whole(data, offset) is None:
                return
            raise DamagedJournalError(path, number, offset, f"damaged record at byte {offset}")
        try:
            found = [_DECODER.decode(one) for one in bodies(body)]
        except UNREADABLE as error:
            raise JournalError(
                f"{path}: record at byte {offset} is whole and of no kind that this version knows"
                f" ({error}); start the newer version again that wrote it"
            ) from error
        begin, offset = offset, offset + journal_records.HEAD.size + len(body)
        for left, (now_ns, stimulus) in zip(range(len(found) - 1, -1, -1), found, strict=True):
            position = Position(number, begin if left else offset)
            yield Entry(now_ns=now_ns, stimulus=stimulus, position=position)
