"""Records of a journal as bytes: where they begin and end, and what lies between whole ones."""

from __future__ import annotations

import errno
import re
import struct
import zlib
from typing import TYPE_CHECKING, Final

from edge.errors import JournalError
from edge.storage import journal_columns
from edge.storage.formats import (
    JOURNAL,
    JOURNAL_FORMAT,
    JOURNAL_FORMATS,
    MAGIC_BYTES,
    format_of,
    magic,
    newer,
)
from edge.storage.packing import packed, unpacked

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MAGIC: Final = magic(JOURNAL, 1)
MAGIC_PACKED: Final = magic(JOURNAL, JOURNAL_FORMAT)  # of a segment that may hold packed groups
HEAD: Final = struct.Struct("<II")
PAIR: Final = b"\x92"  # how msgpack begins a list of two
RECORD_BYTES_MAX: Final = 4 << 20  # a payload is at most 1 MiB; retrieval answers are smaller
PACKED: Final = b"\xc1"  # begins a packed group: a byte that msgpack never uses
COLUMNS: Final = PACKED + b"\x01"  # begins one of columns: nothing that is packed begins so
PACKED_BYTES_MIN: Final = 1_024  # of a group: less hardly becomes smaller
# Of checksums tried in looking for whole records behind a damaged one: a payload could be made of
# lengths that each ask for megabytes.
TRIED_BYTES_MAX: Final = 512 << 20


class DamagedJournalError(JournalError):
    """A segment is damaged before its tail, or missing. `offset`: of the first damaged byte."""

    def __init__(self, path: Path, number: int, offset: int, why: str) -> None:
        super().__init__(f"{path}: {why}; restore it from a copy")
        self.path = path
        self.number = number
        self.offset = offset
        self.why = why


_MARKS: Final = re.compile(b"[" + re.escape(PAIR + PACKED) + b"]")


def as_one(data: bytes, mark: bytes = PACKED) -> bytes | None:
    """A group of records, or columns by their mark, as one packed record.

    None where it does not become smaller by that.
    """
    if not PACKED_BYTES_MIN <= len(data) <= RECORD_BYTES_MAX:
        return None
    stream = packed(data)
    return record(mark + stream) if len(stream) < len(data) // 10 * 9 - len(mark) else None


def bodies(body: bytes) -> list[bytes]:
    """The bodies in a record: its own, or those of a packed group. Raises ValueError."""
    if not body.startswith(PACKED):
        return [body]
    if body.startswith(COLUMNS):
        columns = unpacked(body[len(COLUMNS) :], bytes_max=RECORD_BYTES_MAX)
        return journal_columns.parted(columns, bytes_max=RECORD_BYTES_MAX)
    group = unpacked(body[1:], bytes_max=RECORD_BYTES_MAX)
    found, offset, end = [], 0, len(group)
    while offset + HEAD.size <= end:  # as `body_at`, which a start would call very often
        length, crc = HEAD.unpack_from(group, offset)
        begin = offset + HEAD.size
        inner = group[begin : begin + length]
        if not 0 < length == len(inner) or zlib.crc32(inner) != crc:
            break
        found.append(inner)
        offset = begin + length
    if offset != end or not found:
        raise ValueError("a packed group that is not whole")
    return found


def record(body: bytes) -> bytes:
    """A body as it stands in a segment."""
    return HEAD.pack(len(body), zlib.crc32(body)) + body


def body_at(data: bytes, offset: int) -> bytes | None:
    """The record's body, None when it is not whole or does not match its checksum."""
    if offset + HEAD.size > len(data):
        return None
    length, crc = HEAD.unpack_from(data, offset)
    begin = offset + HEAD.size
    # Length 0 is never written; a power cut may leave zeros, whose checksum would be right.
    if not 0 < length <= RECORD_BYTES_MAX or begin + length > len(data):
        return None
    body = data[begin : begin + length]
    return body if zlib.crc32(body) == crc else None


def whole_until(data: bytes, offset: int) -> int:
    """Behind the last of the whole records that follow each other from `offset` on."""
    while (body := body_at(data, offset)) is not None:
        offset += HEAD.size + len(body)
    return offset


def next_whole(data: bytes, offset: int) -> int | None:
    """Where the next whole record behind a bad one at `offset` begins; None: there is none.

    The length of a damaged record may itself be wrong, so whole records are looked for anywhere
    behind it; each body begins with the mark of a pair or of a packed group. Where looking would
    take too long, the place that was come to: more must not be taken for a torn end, and it is read
    as damage.
    """
    tried = 0
    for found in _MARKS.finditer(data, offset + 1 + HEAD.size):
        at, begin = found.start(), found.start() - HEAD.size
        if body_at(data, begin) is not None:
            return begin
        length, _ = HEAD.unpack_from(data, begin)
        tried += length if length <= min(RECORD_BYTES_MAX, len(data) - at) else 0
        if tried > TRIED_BYTES_MAX:
            return begin
    return None


def salvaged(data: bytes, offset: int) -> Iterator[tuple[int, int]]:
    """Stretches [begin, end) of whole records at and behind `offset`, with what lies between."""
    begin: int | None = offset
    while begin is not None and begin < len(data):
        end = whole_until(data, begin)
        if end > begin:
            yield begin, end
        begin = next_whole(data, end) if end < len(data) else None


def header_is_torn(data: bytes) -> bool:
    """Whether the process, or the power, went before a new segment's header was whole."""
    head = data[:MAGIC_BYTES]
    begun = not is_header(head) and any(
        magic(JOURNAL, number).startswith(head.rstrip(b"\0")) for number in JOURNAL_FORMATS
    )
    return begun and not data[MAGIC_BYTES:].strip(b"\0")


def is_header(data: bytes) -> bool:
    """Whether a segment begins so."""
    return 0 < header_format(data) <= JOURNAL_FORMAT


def header_format(data: bytes) -> int:
    """Format of a segment; 0: it is none."""
    return format_of(data[:MAGIC_BYTES], JOURNAL)


def segment_bytes(path: Path, number: int) -> bytes:
    """All of a segment. Raises JournalError, for a disk that cannot read it as for damage."""
    try:
        return path.read_bytes()
    except OSError as error:
        if error.errno == errno.EIO:
            raise DamagedJournalError(path, number, 0, "the disk cannot read it") from error
        raise JournalError(f"{path}: {error.strerror}; expected a journal") from error


def check_format(path: Path, data: bytes) -> None:
    """Raise JournalError for a segment that a newer version wrote."""
    found = header_format(data)
    if found > JOURNAL_FORMAT:
        raise JournalError(newer(path, "journal", found=found, known=JOURNAL_FORMAT))


def whole_end(path: Path, begin: int, *, mend: bool) -> int | None:
    """Where the last whole record of the newest segment ends, 0 where its header is torn.

    begin: of what has to be looked at, the whole of it if that is no record's begin. None, with
    `mend`: it is damaged before its tail. Raises JournalError.
    """
    data = segment_bytes(path, int(path.stem))
    check_format(path, data)
    if begin > len(MAGIC):
        whole = whole_until(data, begin)
        if whole > begin or len(data) == begin:
            return whole if next_whole(data, whole) is None else None
    if not is_header(data):
        if header_is_torn(data):
            return 0
        offset, why = 0, "not a journal of this version (bad magic)"
    else:
        offset = whole_until(data, len(MAGIC))
        if next_whole(data, offset) is None:
            return offset
        why = f"damaged record at byte {offset}"
    if mend:
        return None
    raise DamagedJournalError(path, int(path.stem), offset, why)
