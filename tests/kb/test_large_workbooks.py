"""Workbooks of few bytes that ask for much work: refused with a cause, or read once."""

from __future__ import annotations

import io
import zipfile
from typing import TYPE_CHECKING

import pytest
from openpyxl.worksheet._read_only import ReadOnlyWorksheet

from kb.reading import hidden_cells, workbooks
from kb.reading.documents import read_folder
from kb.reading.front_matter import SourceError
from kb.reading.hidden_cells import COLUMNS_MAX, hidden_parts
from kb.reading.workbooks import forget_workbook, hidden_rows, sheet_text
from tests.kb.test_pages import xlsx

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BOOK = "xl/workbook.xml"
SHEET = "xl/worksheets/sheet1.xml"


@pytest.fixture(autouse=True)
def opened(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Titles of the sheets that are opened, in order."""
    titles: list[str] = []

    class Counted(ReadOnlyWorksheet):
        def __init__(self, book: object, title: str, *more: object) -> None:
            titles.append(title)
            super().__init__(book, title, *more)  # type: ignore[arg-type]

    monkeypatch.setattr("openpyxl.worksheet._read_only.ReadOnlyWorksheet", Counted)
    monkeypatch.setattr("openpyxl.reader.excel.ReadOnlyWorksheet", Counted)
    forget_workbook()
    yield titles
    forget_workbook()


def changed(stored: bytes, member: str, old: bytes, new: bytes) -> bytes:
    """A workbook with another text in one member."""
    out = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(stored)) as packed,
        zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as made,
    ):
        for name in packed.namelist():
            content = packed.read(name)
            if name == member:
                assert old in content
                content = content.replace(old, new)
            made.writestr(name, content)
    return out.getvalue()


def sheet_of(rows: str, before: str = "") -> bytes:
    """A workbook with one sheet, of which the XML is given."""
    stored = xlsx(orders=[["a"]])
    with zipfile.ZipFile(io.BytesIO(stored)) as packed:
        content = packed.read(SHEET)
    head, _, rest = content.partition(b"<sheetData>")
    tail = rest.partition(b"</sheetData>")[2]
    made = before.encode() + b"<sheetData>" + rows.encode() + b"</sheetData>"
    return changed(stored, SHEET, content, head + made + tail)


def test_sheets_are_counted_before_one_is_opened(opened: list[str]) -> None:
    """Three thousand entries for one stored sheet: none of them is read."""
    stored = xlsx(orders=[["a"]])
    with zipfile.ZipFile(io.BytesIO(stored)) as packed:
        entry = b"<sheet " + packed.read(BOOK).partition(b"<sheet ")[2].partition(b">")[0] + b">"
    with pytest.raises(SourceError, match="3000 sheets, at most 50"):
        sheet_text(changed(stored, BOOK, entry, entry * 3_000), "orders")
    with pytest.raises(SourceError, match="two sheets are stored as one"):
        sheet_text(changed(stored, BOOK, entry, entry * 2), "orders")
    assert opened == []


def test_a_workbook_is_read_once_for_all_its_sheets(tmp_path: Path, opened: list[str]) -> None:
    """The work grows with what is stored, not with that times the number of sheets."""
    names = [f"s{k}" for k in range(20)]
    rows: list[list[object]] = [["asset"], ["r1"]]
    (tmp_path / "a.xlsx").write_bytes(xlsx(**dict.fromkeys(names, rows)))
    (tmp_path / "b.xlsx").write_bytes(xlsx(notes=[["a"]]))
    assert len(read_folder(tmp_path, now_ns=0).quarantined) == 21
    assert sorted(opened) == sorted([*names, "notes"])


def test_blank_cells_and_repeated_texts_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """A cell behind blank ones costs as much as they do; so does a text that stands often."""
    monkeypatch.setattr(workbooks, "CELLS_MAX", 1_000)
    monkeypatch.setattr(workbooks, "CHARS_MAX", 5_000)
    wide = '<row><c r="{}"><v>1</v></c></row>'
    with pytest.raises(SourceError, match="over 1000 cells or 5000 characters; split it"):
        sheet_text(sheet_of("".join(wide.format(f"SF{k}") for k in range(1, 4))), "orders")
    forget_workbook()
    narrow = "".join(wide.format(f"A{k}") for k in range(2, 99))  # made as wide as the first row
    with pytest.raises(SourceError, match="over 1000 cells"):
        sheet_text(sheet_of(wide.format("SF1") + narrow), "orders")
    forget_workbook()
    with pytest.raises(SourceError, match="over 1000 cells"):
        sheet_text(xlsx(orders=[["x" * 600] for _ in range(9)]), "orders")


def test_what_a_sheet_says_of_its_size_makes_no_cells(monkeypatch: pytest.MonkeyPatch) -> None:
    """A dimension is a word: blank rows are not made by it, and cells outside it are read."""
    monkeypatch.setattr(workbooks, "CELLS_MAX", 10)
    rows = '<row r="1"><c r="A1"><v>1</v></c></row><row r="2"><c r="B2"><v>2</v></c></row>'
    for said in ("A1:SF200000", "A1:A1"):
        stored = sheet_of(rows)
        with zipfile.ZipFile(io.BytesIO(stored)) as packed:
            told = b"<dimension" + packed.read(SHEET).partition(b"<dimension")[2].partition(b">")[0]
        new = f'<dimension ref="{said}"/'.encode()
        assert sheet_text(changed(stored, SHEET, told, new), "orders") == "1,\n,2\n"


def test_hidden_columns_are_counted_once_and_looked_at_where_there_are_cells(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Spans over spans; and the blank rest of a sheet, which people hide."""
    steps: list[int] = []

    def counted(first: int, end: int) -> range:
        steps.append(max(end - first, 0))
        return range(first, end)

    monkeypatch.setattr(hidden_cells, "range", counted, raising=False)
    spans = "".join(f'<col min="{k}" max="16384" hidden="1"/>' for k in range(3, 9_000))
    stored = sheet_of(
        '<row r="1"><c r="A1"><v>1</v></c><c r="D1"><v>2</v></c></row>', f"<cols>{spans}</cols>"
    )
    assert hidden_parts(stored)["orders"][1] == frozenset(range(3, COLUMNS_MAX + 1))
    assert sum(steps) == COLUMNS_MAX - 2
    (found,) = hidden_rows(stored, "orders")
    assert "(C, D)" in found.cause
