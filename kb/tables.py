"""Tables with the place of every cell: CSV of any usual delimiter, and JSON lines.

The csv module of the standard library does not say where a cell stood, and a citation has to.
A bad row is reported with its line and left out; the rest of the table stands.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from kb.errors import KnowledgeError

if TYPE_CHECKING:
    from collections.abc import Iterator

DELIMITERS: Final = (",", ";", "\t", "|")
COLUMNS_MAX: Final = 256
CELL_CHARS_MAX: Final = 16_384
ROWS_MAX: Final = 200_000

_ZONE: Final = re.compile(r"#\s*zone:\s*(\S+)\s*$", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One cell: its value, and the span in the text that shows it."""

    value: str
    start: int
    end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row: line of the file (1 is the first), span without the newline, cells by column."""

    line: int
    start: int
    end: int
    cells: dict[str, Cell]

    def value(self, column: str) -> str:
        """The cell's text, "" where the table has no such column."""
        cell = self.cells.get(column)
        return cell.value if cell else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class BadRow:
    """A row that is not read, and why."""

    line: int
    cause: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table as read. `zone` is "" where no `# zone:` line declares one."""

    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    bad: tuple[BadRow, ...]
    zone: str = ""


def read_csv(text: str) -> Table:
    """Read a table with a header. Lines above the header that begin with # are remarks.

    Column names are matched in lower case with underscores. Raises KnowledgeError for a header that
    cannot be used; a bad row goes to `bad`.
    """
    zone, begin = _remarks(text)
    line = text.count("\n", 0, begin) + 1
    head = text[begin : text.find("\n", begin) if "\n" in text[begin:] else len(text)]
    delimiter = max(DELIMITERS, key=head.count)
    raw, end = _cells(text, begin, delimiter)
    columns = tuple(column_name(cell.value) for cell in raw or ())
    if "" in columns or len(set(columns)) != len(columns) or not 1 <= len(columns) <= COLUMNS_MAX:
        message = f"line {line}: the header needs 1 to {COLUMNS_MAX} different, non-empty names"
        raise KnowledgeError(message)
    rows: list[Row] = []
    bad: list[BadRow] = []
    number = line + 1 + text.count("\n", begin, end)
    for record in _records(text, end + 1, delimiter):
        here, number = number, number + text.count("\n", record.start, record.end) + 1
        if not text[record.start : record.end].strip():
            continue
        cause = record.cause or _misfit(record.cells, columns, rows)
        if cause:
            bad.append(BadRow(line=here, cause=cause))
            continue
        named = dict(zip(columns, record.cells, strict=True))
        rows.append(Row(line=here, start=record.start, end=record.end, cells=named))
    return Table(columns=columns, rows=tuple(rows), bad=tuple(bad), zone=zone)


def read_jsonl(text: str) -> Table:
    """Read one JSON object a line: values are texts, numbers, truth values, null or lists of texts.

    The columns are all the names that occur. A line that is not such an object goes to `bad`.
    """
    zone, begin = _remarks(text)
    rows: list[Row] = []
    bad: list[BadRow] = []
    columns: dict[str, None] = {}
    at = begin
    for number, line in enumerate(text[begin:].split("\n"), start=text.count("\n", 0, begin) + 1):
        start, at = at, at + len(line) + 1
        if not line.strip():
            continue
        try:
            if len(rows) == ROWS_MAX:
                raise KnowledgeError(f"a file holds at most {ROWS_MAX} records; split it")
            cells = _json_cells(line, start)
        except KnowledgeError as error:
            bad.append(BadRow(line=number, cause=str(error)))
            continue
        columns.update(dict.fromkeys(cells))
        rows.append(Row(line=number, start=start, end=start + len(line), cells=cells))
    return Table(columns=tuple(columns), rows=tuple(rows), bad=tuple(bad), zone=zone)


def column_name(name: str) -> str:
    """Return a column's name as it is compared: lower case, words joined by underscores."""
    return re.sub(r"[\s_-]+", "_", name.strip().lower())


def _remarks(text: str) -> tuple[str, int]:
    """Zone declared by leading `#` lines, and where the first other line begins."""
    zone, at = "", 0
    while text.startswith("#", at) or text.startswith("\n", at):
        end = text.find("\n", at)
        end = len(text) if end < 0 else end
        match = _ZONE.match(text[at:end])
        zone = match.group(1) if match else zone
        at = end + 1
    return zone, min(at, len(text))


class _Record(NamedTuple):
    cells: tuple[Cell, ...]
    cause: str  # "" when it could be read
    start: int
    end: int


def _misfit(cells: tuple[Cell, ...], columns: tuple[str, ...], rows: list[Row]) -> str:
    if len(cells) != len(columns):
        return f"{len(cells)} cells, the header has {len(columns)}"
    return f"a table holds at most {ROWS_MAX} rows; split the file" if len(rows) == ROWS_MAX else ""


def _records(text: str, at: int, delimiter: str) -> Iterator[_Record]:
    """Yield each record from `at` on, its newline left out."""
    while at < len(text):
        cells, end = _cells(text, at, delimiter)
        cause = ""
        if cells is None:  # begin again at the next line: an open quote must not swallow the rest
            newline = text.find("\n", at)
            end = len(text) if newline < 0 else newline
            cause = "quotes do not match, or a cell is too long"
        yield _Record(cells or (), cause, at, end)
        at = end + 1


def _cells(text: str, at: int, delimiter: str) -> tuple[tuple[Cell, ...] | None, int]:
    """Cells of the record that begins at `at`, and where it ends; None when quotes do not match."""
    found: list[Cell] = []
    while True:
        start = at
        if text.startswith('"', at):
            at = _closing_quote(text, at + 1)
            if at < 0:
                return None, start
            cell = Cell(value=text[start + 1 : at].replace('""', '"').strip(), start=start + 1, end=at)
            at += 1
        else:
            stops = (text.find(mark, at, at + CELL_CHARS_MAX + 1) for mark in (delimiter, "\n"))
            at = min((stop for stop in stops if stop >= 0), default=len(text))
            raw = text[start:at]
            if '"' in raw or len(raw) > CELL_CHARS_MAX:
                return None, start
            lead = len(raw) - len(raw.lstrip())
            value = raw.strip()
            cell = Cell(value=value, start=start + lead, end=start + lead + len(value))
        found.append(cell)
        if at >= len(text) or text[at] == "\n":
            return tuple(found), at
        if text[at] != delimiter:
            return None, start
        at += 1


def _closing_quote(text: str, at: int) -> int:
    """Where the quoted cell that began before `at` closes; -1: nowhere within the cap."""
    limit = at + CELL_CHARS_MAX
    while True:
        at = text.find('"', at, limit)
        if at < 0 or not text.startswith('"', at + 1):
            return at
        at += 2


def _json_cells(line: str, start: int) -> dict[str, Cell]:
    try:
        pairs = json.loads(line, object_pairs_hook=list, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise KnowledgeError(f"not JSON: {error}") from error
    if not isinstance(pairs, list) or not line.lstrip().startswith("{"):
        raise KnowledgeError("not a JSON object")
    cells: dict[str, Cell] = {}
    for name, value in pairs:
        column = column_name(name)
        if column in cells or not column:
            raise KnowledgeError(f"the name {name!r} stands twice, or is empty")
        text = _json_text(name, value)
        place = line.find(json.dumps(value, ensure_ascii=False)) if isinstance(value, str) else -1
        shown = place >= 0 and line[place + 1 : place + 1 + len(text)] == text and text
        cells[column] = (
            Cell(value=text, start=start + place + 1, end=start + place + 1 + len(text))
            if shown
            else Cell(value=text.strip(), start=start, end=start + len(line))
        )
    return cells


def _json_text(name: str, value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, (bool, int, float)):
        return json.dumps(value)
    if isinstance(value, list) and value and all(isinstance(item, str) for item in value):
        return ";".join(value)
    raise KnowledgeError(f"{name!r} holds neither a text, a number nor a list of texts")


def _no_constant(name: str) -> object:
    raise ValueError(f"{name} is not a number")
