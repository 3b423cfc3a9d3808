"""HTML, PDF, DOCX, spreadsheets and calendars: what a reader sees, cited, and nothing else."""

from __future__ import annotations

import hashlib
import io
from typing import TYPE_CHECKING, Final

import pytest
from docx import Document as DocxDocument
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openpyxl import Workbook

from kb.reading.documents import read_folder
from kb.reading.front_matter import SourceError
from kb.reading.pages import html_page, pdf_page
from kb.reading.word_pages import docx_page
from kb.reading.workbooks import sheet_text
from kb.records import Query
from kb.snapshots.build import build
from kb.snapshots.snapshot import Snapshot

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

NOW_NS: Final = 1_772_427_600 * 1_000_000_000  # 2026-03-02T05:00Z
HTML: Final = """<!doctype html><html lang="en-GB"><head><title>Pump P-101</title>
<style>p {color: red}</style></head><body><nav>Home</nav>
<h1>Pump P-101</h1><p>Check the <b>seal</b> first.</p>
<script>suppress()</script><div style="display: none">hidden order</div>
<p hidden>approved</p><!-- a comment -->
<h2>Alarms</h2><table><tr><th>code</th><th>meaning</th></tr><tr><td>E12</td><td>low | no flow</td>
</tr></table><ol><li>Stop the pump<li>Vent</ol><pre>line 1
line 2</pre></body></html>"""


def pdf(*pages: str) -> bytes:
    """A small PDF, written by hand: one line of text after the other on each page."""
    objects = ["<< /Type /Catalog /Pages 2 0 R >>", ""]
    kids = []
    objects.append("<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>")
    for page in pages:
        shown = "".join(f"({line}) Tj T* " for line in page.splitlines())
        body = f"BT /F1 10 Tf 14 TL 40 760 Td {shown}ET"
        objects.append(f"<< /Length {len(body)} >>\nstream\n{body}\nendstream")
        objects.append(
            "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 600 800] /Resources << /Font <<"
            f" /F1 3 0 R >> >> /Contents {len(objects)} 0 R >>"
        )
        kids.append(f"{len(objects)} 0 R")
    objects[1] = f"<< /Type /Pages /Kids [{' '.join(kids)}] /Count {len(kids)} >>"
    out = "%PDF-1.4\n"
    places = []
    for number, body in enumerate(objects, 1):
        places.append(len(out))
        out += f"{number} 0 obj\n{body}\nendobj\n"
    start = len(out)
    out += f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n"
    out += "".join(f"{place:010d} 00000 n \n" for place in places)
    out += f"trailer << /Size {len(objects) + 1} /Root 1 0 R >>\nstartxref\n{start}\n%%EOF\n"
    return out.encode("latin-1")


def docx() -> bytes:
    """A small DOCX with a heading, a list and a table."""
    document = DocxDocument()
    document.core_properties.title = "Valve manual"
    document.add_heading("Valve V7", level=1)
    document.add_paragraph("The valve sticks when it is cold.")
    document.add_paragraph("Heat it slowly", style="List Bullet")
    table = document.add_table(rows=2, cols=2)
    for row, cells in zip(table.rows, (("code", "action"), ("V7-1", "grease it")), strict=True):
        for cell, text in zip(row.cells, cells, strict=True):
            cell.text = text
    out = io.BytesIO()
    document.save(out)
    return out.getvalue()


def xlsx(**sheets: list[list[object]]) -> bytes:
    """A workbook of these sheets."""
    book = Workbook()
    book.remove(book.worksheets[0])
    for name, rows in sheets.items():
        sheet = book.create_sheet(name)
        for row in rows:
            sheet.append(row)
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def test_html_is_what_a_reader_sees() -> None:
    """Headings, lists and tables stay; scripts, hidden elements and comments are gone."""
    page = html_page(HTML.encode())
    assert (page.title, page.language) == ("Pump P-101", "en")
    assert "# Pump P-101" in page.text
    assert "Check the seal first." in page.text
    assert "| E12 | low / no flow |" in page.text
    assert "1. Stop the pump\n1. Vent" in page.text
    assert "line 1\nline 2" in page.text
    for unseen in ("suppress", "hidden", "approved", "comment", "Home", "color"):
        assert unseen not in page.text


def test_html_deletions_are_left_out_and_told() -> None:
    """What replaced them stays."""
    page = html_page(b"<p>at most <del>50</del> <ins>40</ins> bar</p>")
    assert page.text == "at most 40 bar\n"
    assert page.notes == ("1 deletions (del) are left out",)


def test_pdf_has_its_pages_without_their_furniture() -> None:
    """Running heads go, words that were cut are joined, numbered titles are headings."""
    pages = [
        f"ACME pump manual\n{i}.1 Check {name}\nTurn the cali-\nbration knob.\nfoo\npage {i}"
        for i, name in enumerate("ABC", 1)
    ]
    text = pdf_page(pdf(*pages)).text
    assert "ACME" not in text
    assert "page 1" not in text
    assert "## Page 2" in text
    assert "### 2.1 Check B" in text
    assert "Turn the calibration knob." in text


def test_pdf_that_holds_no_text_says_so() -> None:
    """A scan, and what is no PDF at all."""
    with pytest.raises(SourceError, match="pictures"):
        pdf_page(pdf(""))
    with pytest.raises(SourceError, match="cannot be read as PDF"):
        pdf_page(b"%PDF-1.4 nonsense")


def test_docx_keeps_its_structure() -> None:
    """Heading, paragraph, list and table."""
    page = docx_page(docx())
    assert page.title == "Valve manual"
    assert "# Valve V7" in page.text
    assert "- Heat it slowly" in page.text
    assert "| V7-1 | grease it |" in page.text


@pytest.mark.parametrize(
    ("name", "stored", "question", "quoted"),
    [
        ("a.html", HTML.encode(), "what is E12, no flow", "E12"),
        ("b.pdf", pdf("1.1 Seal\nReplace the mechanical seal yearly."), "mechanical seal", "seal"),
        ("c.docx", docx(), "valve sticks when cold", "sticks"),
    ],
)
def test_pages_are_found_and_cited(
    tmp_path: Path, name: str, stored: bytes, question: str, quoted: str
) -> None:
    """Each quote is the verbatim span of the stored text."""
    source = tmp_path / "kb"
    source.mkdir()
    (source / name).write_bytes(stored)
    build(source, tmp_path / "out", now_ns=NOW_NS)
    with Snapshot.open(tmp_path / "out") as snapshot:
        hits = snapshot.search(Query(text=question), now_ns=NOW_NS)
        assert quoted in " ".join(hit.citation.quote for hit in hits)
        for hit in hits:
            cited = hit.citation
            assert snapshot.text(name, "")[cited.start : cited.end] == cited.quote
            assert hashlib.sha256(cited.quote.encode()).hexdigest() == cited.sha256


READERS: Final[tuple[tuple[Callable[[bytes], object], bytes], ...]] = (
    (html_page, HTML.encode()),
    (pdf_page, pdf("one", "two")),
    (docx_page, docx()),
    (lambda stored: sheet_text(stored, "s"), xlsx(s=[["a", "b"], [1, 2]])),
)


@pytest.mark.parametrize(("reader", "whole"), READERS, ids=["html", "pdf", "docx", "xlsx"])
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_damaged_files_are_refused_and_nothing_else(
    reader: Callable[[bytes], object], whole: bytes, data: st.DataObject
) -> None:
    """Flipped, cut and foreign bytes: a text, or one error that says so."""
    stored = bytearray(whole)
    places = st.integers(0, len(whole) - 1)
    for at, byte in data.draw(st.lists(st.tuples(places, st.integers(0, 255)), max_size=8)):
        stored[at] = byte
    cut = data.draw(st.integers(0, len(whole)))
    try:
        read = reader(bytes(stored[:cut] if cut % 3 else stored))
    except SourceError as error:
        assert error.cause  # noqa: PT017 - one of two
    else:
        assert read is not None


def test_a_damaged_workbook_still_withdraws(tmp_path: Path) -> None:
    """It may have called off any order."""
    (tmp_path / "orders.xlsx").write_bytes(b"PK\x03\x04 not a workbook")
    reading = read_folder(tmp_path, now_ns=NOW_NS)
    assert [item.path for item in reading.quarantined] == ["orders.xlsx"]
    assert [row.unseen for row in reading.unread] == [True]
