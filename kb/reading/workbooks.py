"""Spreadsheets: each sheet as the text of a table, so that its rows are read and cited as any."""

from __future__ import annotations

import csv
import datetime as dt
import io
import re
import warnings
from typing import TYPE_CHECKING, Any, Final

from kb.reading.front_matter import SourceError
from kb.reading.hidden_cells import HIDDEN_NONE, hidden_parts
from kb.reading.pages import refuse_bomb

if TYPE_CHECKING:
    from pathlib import Path

    from kb.reading.hidden_cells import Hidden

WORKBOOKS: Final = (".xlsx", ".xlsm")
SHEETS_MAX: Final = 50
ROWS_MAX: Final = 200_000
COLUMNS_MAX: Final = 500
_CLOCK: Final = re.compile(r"[hs]", re.IGNORECASE)  # in how a cell is shown: a time of day
MARK: Final = "#"  # between a file's name and a sheet's


def sheets_of(path: Path) -> tuple[str, ...]:
    """Names of all sheets of a workbook; hidden ones are refused one by one. Raises SourceError."""
    return tuple(_open(path.read_bytes(), unseen=True))


def hidden_rows(stored: bytes, sheet: str) -> list[SourceError]:
    """What a sheet holds that nobody sees on it: it is told, and may only withdraw.

    Of each hidden row its line and text; hidden columns are one remark. Raises SourceError.
    """
    rows, columns = hidden_parts(stored).get(sheet, HIDDEN_NONE)
    found = []
    for number, row in enumerate(_open(stored, unseen=True).get(sheet, []), 1):
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
    rows = _open(stored, unseen=unseen).get(sheet)
    if rows is None:
        raise SourceError(0, "the sheet is hidden; show it or delete it")
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    for row in rows:
        if any(row):
            writer.writerow([" ".join(cell.split()) for cell in row])
        else:
            out.write("\n")
    return out.getvalue()


def _open(stored: bytes, *, unseen: bool = False) -> dict[str, list[list[str]]]:
    """Cells of every visible sheet as text, trailing blank columns left out.

    unseen: with hidden sheets, rows and columns.
    """
    from openpyxl import load_workbook  # noqa: PLC0415 - only where there are workbooks

    refuse_bomb(stored)
    found: dict[str, list[list[str]]] = {}
    hidden = {} if unseen else hidden_parts(stored)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of styles and extensions that do not matter here
            book = load_workbook(io.BytesIO(stored), read_only=True, data_only=True)
            try:
                if len(book.worksheets) > SHEETS_MAX:
                    _refuse_sheets(len(book.worksheets))
                for sheet in book.worksheets:
                    if unseen or sheet.sheet_state == "visible":
                        parts = hidden.get(sheet.title, HIDDEN_NONE)
                        found[sheet.title] = _cells(sheet.iter_rows(), sheet.title, parts)
            finally:
                book.close()
    except SourceError:
        raise
    except Exception as error:  # the reader breaks in many ways on what is no workbook
        cause = f"cannot be read as a workbook: {type(error).__name__}: {error}"
        raise SourceError(0, cause) from error
    return found


def _refuse_sheets(count: int) -> None:
    raise SourceError(0, f"{count} sheets, at most {SHEETS_MAX}; split it")


def _cells(rows: object, sheet: str, hidden: Hidden) -> list[list[str]]:
    told: list[list[str]] = []
    for row in rows:  # type: ignore[attr-defined]
        if len(told) >= ROWS_MAX or len(row) > COLUMNS_MAX:
            raise SourceError(0, f"sheet {sheet} has over {ROWS_MAX} rows or {COLUMNS_MAX} columns")
        if len(told) + 1 in hidden[0]:
            told.append([])
            continue
        told.append([_said(cell) for k, cell in enumerate(row, 1) if k not in hidden[1]])
    while told and not any(told[-1]):
        told.pop()
    width = max((k + 1 for row in told for k, cell in enumerate(row) if cell), default=0)
    return [row[:width] for row in told]


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
