"""Spreadsheets: each sheet as the text of a table, so that its rows are read and cited as any."""

from __future__ import annotations

import csv
import datetime as dt
import functools
import io
import re
import warnings
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from kb.reading.front_matter import SourceError
from kb.reading.hidden_cells import HIDDEN_NONE, hidden_parts
from kb.reading.pages import refuse_bomb

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from openpyxl.reader.excel import ExcelReader

    from kb.reading.hidden_cells import Hidden

WORKBOOKS: Final = (".xlsx", ".xlsm")
SHEETS_MAX: Final = 50
ROWS_MAX: Final = 200_000
COLUMNS_MAX: Final = 500
# Of a workbook. A sheet of few bytes may have blank cells before each of its own, and a text that
# is stored once may stand in every cell.
CELLS_MAX: Final = 10_000_000
CHARS_MAX: Final = 100_000_000
_CLOCK: Final = re.compile(r"[hs]", re.IGNORECASE)  # in how a cell is shown: a time of day
MARK: Final = "#"  # between a file's name and a sheet's


class _Sheet(NamedTuple):
    """Cells as text, hidden ones too, without what is blank behind the last row and column."""

    visible: bool
    rows: list[list[str]]


def sheets_of(path: Path) -> tuple[str, ...]:
    """Names of all sheets of a workbook; hidden ones are refused one by one.

    Raises SourceError, and OSError.
    """
    return tuple(_book(path.read_bytes()))


def forget_workbook() -> None:
    """Let go of the workbook that was read last; it is kept for its other sheets."""
    _book.cache_clear()
    _hidden.cache_clear()


def hidden_rows(stored: bytes, sheet: str) -> list[SourceError]:
    """What a sheet holds that nobody sees on it: it is told, and may only withdraw.

    Of each hidden row its line and text; hidden columns are one remark. Raises SourceError.
    """
    rows, columns = _hidden(stored).get(sheet, HIDDEN_NONE)
    told = _book(stored)[sheet].rows if sheet in _book(stored) else []
    width = max(map(len, told), default=0)
    columns = frozenset(k for k in columns if k <= width)  # the rest of a sheet is often hidden
    found = []
    for number, row in enumerate(told, 1):
        said = ",".join(cell for cell in row if cell)
        if number in rows and said:
            cause = "the row is hidden; show it or delete it"
            found.append(SourceError(number, cause, said=said))
        elif columns and any(row[k - 1] for k in columns if k <= len(row)):
            letters = ", ".join(map(_letter, sorted(columns)))
            cause = f"hidden columns are not read ({letters}); show them or delete them"
            found.append(SourceError(number, cause, said=" ".join(row)))
            columns = frozenset()
    return found


def _letter(column: int) -> str:
    from openpyxl.utils import get_column_letter  # noqa: PLC0415 - only where there are workbooks

    return str(get_column_letter(column))


def sheet_text(stored: bytes, sheet: str, *, unseen: bool = False) -> str:
    """One sheet as CSV, a line a row, so that a row's number is its line. Raises SourceError.

    Of a formula the value counts that was stored with it; dates have no zone, as on the sheet. What
    is hidden on the sheet is left out unless asked for (`unseen`).
    """
    read = _book(stored).get(sheet)
    if read is None or not (unseen or read.visible):
        raise SourceError(0, "the sheet is hidden; show it or delete it")
    rows = read.rows if unseen else _shown(read.rows, _hidden(stored).get(sheet, HIDDEN_NONE))
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    for row in rows:
        if any(row):
            writer.writerow([" ".join(cell.split()) for cell in row])
        else:
            out.write("\n")
    return out.getvalue()


@functools.lru_cache(maxsize=1)
def _hidden(stored: bytes) -> dict[str, Hidden]:
    return hidden_parts(stored)


@functools.lru_cache(maxsize=1)  # a workbook is asked for each of its sheets, several times
def _book(stored: bytes) -> dict[str, _Sheet]:
    """Every sheet of a workbook by its title; read once. Raises SourceError."""
    from openpyxl.reader.excel import ExcelReader  # noqa: PLC0415 - only where there are workbooks

    refuse_bomb(stored)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of styles and extensions that do not matter here
            reader = ExcelReader(
                io.BytesIO(stored), read_only=True, data_only=True, keep_links=False
            )
            try:
                return _sheets(reader)
            finally:
                reader.archive.close()
    except SourceError:
        raise
    except Exception as error:  # the reader breaks in many ways on what is no workbook
        cause = f"cannot be read as a workbook: {type(error).__name__}: {error}"
        raise SourceError(0, cause) from error


def _sheets(reader: ExcelReader) -> dict[str, _Sheet]:
    """As `_book`: sheets are counted before any is opened, and none is read twice."""
    from openpyxl.styles.stylesheet import apply_stylesheet  # noqa: PLC0415
    from openpyxl.worksheet._read_only import ReadOnlyWorksheet  # noqa: PLC0415

    reader.read_manifest()
    reader.read_workbook()
    named = [
        (sheet, relation.target)
        for sheet, relation in reader.parser.find_sheets()
        if relation.target in reader.valid_files and "chartsheet" not in relation.Type
    ]
    if len(named) > SHEETS_MAX:
        raise SourceError(0, f"{len(named)} sheets, at most {SHEETS_MAX}; split it")
    if len({target for _, target in named}) < len(named):
        raise SourceError(0, "two sheets are stored as one; save it anew")
    reader.read_strings()
    for read in (reader.read_properties, reader.read_custom, reader.read_theme):
        read()  # nothing of it is used: a book of which any part is damaged is not believed
    apply_stylesheet(reader.archive, reader.wb)
    found: dict[str, _Sheet] = {}
    room = _Room(CELLS_MAX, CHARS_MAX)
    for sheet, target in named:
        opened = ReadOnlyWorksheet(reader.wb, sheet.name, target, reader.shared_strings)
        opened.reset_dimensions()  # what a sheet says of its size, its cells may not fill
        rows = _cells(opened.rows, sheet.name, room)
        found[sheet.name] = _Sheet(sheet.state == "visible", rows)
    return found


class _Room:
    """Cells and characters that a workbook may still have."""

    def __init__(self, cells: int, chars: int) -> None:
        self.cells, self.chars = cells, chars

    def take(self, cells: int, chars: int) -> None:
        """Raises SourceError where so many have no room."""
        self.cells -= cells
        self.chars -= chars
        if self.cells < 0 or self.chars < 0:
            cause = f"over {CELLS_MAX} cells or {CHARS_MAX} characters; split it"
            raise SourceError(0, cause)


def _cells(rows: Iterable[tuple[Any, ...]], sheet: str, room: _Room) -> list[list[str]]:
    told: list[list[str]] = []
    for row in rows:
        if len(told) >= ROWS_MAX or len(row) > COLUMNS_MAX:
            raise SourceError(0, f"sheet {sheet} has over {ROWS_MAX} rows or {COLUMNS_MAX} columns")
        told.append([_said(cell) for cell in row])
        room.take(len(row), sum(map(len, told[-1])))
    width = max(map(len, told), default=0)
    room.take(sum(width - len(row) for row in told if any(row)), 0)  # they are made as wide
    return _trimmed(told)


def _shown(rows: list[list[str]], hidden: Hidden) -> list[list[str]]:
    """Rows without what is hidden: a hidden row is blank, a hidden column is left out."""
    return _trimmed(
        [
            [] if number in hidden[0] else [c for k, c in enumerate(row, 1) if k not in hidden[1]]
            for number, row in enumerate(rows, 1)
        ]
    )


def _trimmed(rows: list[list[str]]) -> list[list[str]]:
    """Rows of one width, blank ones empty, without those at the end and blank columns behind."""
    count = max((number for number, row in enumerate(rows, 1) if any(row)), default=0)
    width = max((k for row in rows for k, cell in enumerate(row, 1) if cell), default=0)
    return [row[:width] + [""] * (width - len(row)) if any(row) else [] for row in rows[:count]]


def _said(cell: Any) -> str:  # noqa: ANN401, PLR0911 - of several kinds, blank ones among them
    value = cell.value
    match value:
        case None:
            return ""
        case bool():
            return str(value).lower()
        case float() if value.is_integer():
            return str(int(value))
        case dt.datetime():
            if value.time() == dt.time() and not _CLOCK.search(cell.number_format):
                return str(value.date())  # a spreadsheet keeps a day as its midnight
            return value.isoformat(sep=" ", timespec="seconds")
        case dt.date() | dt.time():
            return value.isoformat()
    return str(value).strip()
