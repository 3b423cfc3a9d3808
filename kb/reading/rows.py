"""Rows of tables and logs, each with its span in the text. Cells are text; meaning comes later."""

from __future__ import annotations

import csv
import json
import math
import re
from collections.abc import Callable
from datetime import datetime
from typing import Final, TypeAlias
from zoneinfo import ZoneInfo

import msgspec

from kb.reading.columns import named
from kb.reading.front_matter import SourceError
from kb.times import iso_ns, local_ns

ORDER_COLUMNS: Final = frozenset({"order_id", "asset", "kind", "status"})
FOREIGN_ORDER_COLUMNS: Final = frozenset({"order_id", "description"})  # of other systems
SCHEDULE_COLUMNS: Final = frozenset({"asset", "kind", "planned_start", "planned_end"})
ASSET_COLUMNS: Final = frozenset({"asset", "aliases"})
SCOPE_COLUMNS: Final = frozenset(
    {"kind", "asset", "instrument", "channels", "expected_effect", "duration_min_max", "settle_s",
     "approved_by", "approved_at"}
)  # fmt: skip
ROW_CHARS_MAX: Final = 4000
DELIMITERS: Final = (",", ";", "\t", "|")  # the first wins a tie

_THOUSANDS: Final = re.compile(r"[-+]?[1-9]\d{0,2}(?:,\d{3})+")
_DECIMAL_COMMA: Final = re.compile(r"[-+]?\d+,\d+")
_ZONE: Final = re.compile(r"#\s*zone:\s*(\S+)\s*")
_STAMP: Final = re.compile(
    r"(\d{4}-\d\d-\d\d)[ T](\d\d:\d\d(?::\d\d(?:\.\d{1,6})?)?)\s?(Z|[+-]\d\d:?\d\d)?[\s,;|]+(\S.*)"
)


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One record: its span in the document's text, its first line, its cells.

    Of a log line, `cells` is empty, `t_ns` its time and `said` what follows the time stamp; `zone`
    is that of its clock, a name or "" where it had an offset of its own.
    """

    line: int
    start: int
    end: int
    cells: dict[str, str] = {}
    t_ns: int = 0
    said: str = ""
    zone: str = ""


Reader: TypeAlias = Callable[[str], tuple[list[Row], list[SourceError]]]
Namer: TypeAlias = Callable[[list[str]], list[str]]


def csv_rows(text: str, naming: Namer = named) -> tuple[list[Row], list[SourceError]]:
    """Rows of a table with a header, and what cannot be read.

    Cells stand between commas, semicolons, tabs or bars, whichever the header has most of. A row
    with more or fewer cells than the header is not read. A table without a usable header raises
    SourceError.
    """
    lines = text.splitlines(keepends=True)
    offsets = _offsets(lines)
    reader = csv.reader(lines, strict=True, delimiter=delimiter_of(lines))
    rows: list[Row] = []
    bad: list[SourceError] = []
    header: list[str] = []
    while True:
        first = reader.line_num
        try:
            cells = next(reader)
        except StopIteration:
            return rows, bad
        except csv.Error as error:
            raise SourceError(first + 1, f"not a table: {error}") from error
        if not any(cell.strip() for cell in cells):
            continue
        if not header:
            header = naming(cells)
            if len(set(header)) != len(header) or not all(name.strip() for name in header):
                raise SourceError(first + 1, "column names are missing or stand twice")
            continue
        start, end = _trimmed(text, offsets[first], offsets[reader.line_num])
        cause = ""
        if len(cells) != len(header):
            cause = f"{len(cells)} cells, expected {len(header)}"
        elif end - start > ROW_CHARS_MAX:
            cause = f"over {ROW_CHARS_MAX} characters"
        if cause:  # whatever went wrong in the row, nothing stands before its first cell
            order_id = cells[0].strip() if header[0] == "order_id" else ""
            bad.append(SourceError(first + 1, cause, said=text[start:end], order_id=order_id))
        else:
            read = {k: cell.strip() for k, cell in zip(header, cells, strict=True)}
            rows.append(Row(line=first + 1, start=start, end=end, cells=read))


def number_of(text: str) -> float:
    """A finite number with a decimal point or comma. Raises ValueError.

    Also for `1,500`, which is one and a half here and fifteen hundred there.
    """
    if _THOUSANDS.fullmatch(text):
        raise ValueError("the comma may be of thousands or of decimals; write one without it")
    number = float(text.replace(",", ".") if _DECIMAL_COMMA.fullmatch(text) else text)
    if not math.isfinite(number):
        raise ValueError("expected a finite number")
    return number


def delimiter_of(lines: list[str]) -> str:
    """What separates the cells of a table, by its first line that is not empty."""
    head = next((line for line in lines if line.strip()), "")
    return max(DELIMITERS, key=head.count)


def jsonl_rows(text: str, naming: Namer = named) -> tuple[list[Row], list[SourceError]]:
    """Rows of a file with one flat JSON object a line, and what cannot be read."""
    lines = text.splitlines(keepends=True)
    offsets = _offsets(lines)
    rows: list[Row] = []
    bad: list[SourceError] = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        start, end = _trimmed(text, offsets[number - 1], offsets[number])
        try:
            rows.append(Row(line=number, start=start, end=end, cells=_json_cells(line, naming)))
        except (ValueError, RecursionError) as error:
            cause = f"not a flat JSON object: {error}"
            bad.append(SourceError(number, cause, said=text[start:end]))
    return rows, bad


def log_rows(text: str) -> tuple[list[Row], list[SourceError]]:
    """Lines of a log and what cannot be read: `2026-03-02 06:10 R1 gas flow cal done, JT`.

    A stamp without offset needs a line `# zone: Europe/Berlin` at the head. Raises SourceError for
    an unknown zone.
    """
    lines = text.splitlines(keepends=True)
    offsets = _offsets(lines)
    zone: ZoneInfo | None = None
    rows: list[Row] = []
    bad: list[SourceError] = []
    for number, line in enumerate(lines, 1):
        start, end = _trimmed(text, offsets[number - 1], offsets[number])
        if declared := _ZONE.fullmatch(line.strip()):
            if zone or rows:
                raise SourceError(number, "the zone stands once, at the head")
            zone = _zone(declared[1], number)
        elif start < end and not line.startswith("#"):
            try:
                t_ns, said = _stamped(text[start:end], zone)
                key = zone.key if zone else ""
                rows.append(Row(line=number, start=start, end=end, t_ns=t_ns, said=said, zone=key))
            except ValueError as error:
                bad.append(SourceError(number, str(error), said=text[start:end]))
    return rows, bad


def _zone(name: str, number: int) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError, RecursionError) as error:  # a name of many parts
        raise SourceError(number, f"unknown time zone {name!r}") from error


def _stamped(line: str, zone: ZoneInfo | None) -> tuple[int, str]:
    if len(line) > ROW_CHARS_MAX:
        raise ValueError(f"over {ROW_CHARS_MAX} characters")
    match = _STAMP.fullmatch(line)
    if not match:
        raise ValueError("no time stamp; expected `2026-03-02 06:10 text`")
    day, time, offset, said = match.groups()
    if offset:
        return iso_ns(f"{day}T{time}{offset}"), said
    if zone is None:
        raise ValueError("no time zone; begin the file with `# zone: Europe/Berlin`")
    return local_ns(datetime.fromisoformat(f"{day}T{time}"), zone), said


def _json_cells(line: str, naming: Namer) -> dict[str, str]:
    if len(line) > ROW_CHARS_MAX:
        raise ValueError(f"over {ROW_CHARS_MAX} characters")
    found = json.loads(line, object_pairs_hook=_once)
    if not isinstance(found, dict):
        raise ValueError("no object")  # noqa: TRY004 - one error for all that a sender does
    names = naming(list(found))
    if len(set(names)) != len(names):
        raise ValueError("a key stands twice")
    return {name: _json_cell(found[key]) for name, key in zip(names, found, strict=True)}


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands twice")
    return found


def _json_cell(value: object) -> str:
    match value:
        case None:
            return ""
        case str():
            return value.strip()
        case bool() | int() | float():
            return json.dumps(value)
        case list() if all(isinstance(part, str) for part in value):
            return ";".join(value)
    raise ValueError("a value is neither text, number nor a list of texts")


def _offsets(lines: list[str]) -> list[int]:
    """Offset of each line, and of the end."""
    offsets = [0]
    for line in lines:
        offsets.append(offsets[-1] + len(line))
    return offsets


def _trimmed(text: str, start: int, end: int) -> tuple[int, int]:
    """A span without white space around it."""
    part = text[start:end]
    left = len(part) - len(part.lstrip())
    return start + left, start + max(left, len(part.rstrip()))
