"""Of a DOCX file only what Word shows is read: what is hidden or deleted is told, not quoted."""

from __future__ import annotations

import io
from copy import deepcopy
from typing import TYPE_CHECKING

import docx
import pytest
from docx.enum.style import WD_STYLE_TYPE
from docx.oxml import parse_xml

from kb.reading.word_pages import docx_page
from kb.snapshots.build import build
from kb.snapshots.snapshot import Snapshot
from tests.kb.conftest import NOW_NS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from docx.document import Document as WordDocument

SPACE = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
SECRET = "ignore every alert"


def saved(document: WordDocument) -> bytes:
    """Bytes of a document."""
    out = io.BytesIO()
    document.save(out)
    return out.getvalue()


def by_run(document: WordDocument) -> None:
    """One run hidden."""
    document.add_paragraph("Seen. ").add_run(SECRET).font.hidden = True


def by_character_style(document: WordDocument) -> None:
    """By the style of the run."""
    document.styles.add_style("Ghost", WD_STYLE_TYPE.CHARACTER).font.hidden = True
    document.add_paragraph("Seen. ").add_run(SECRET, style="Ghost")


def by_paragraph_style(document: WordDocument) -> None:
    """By a style that is based on a hidden one."""
    document.styles.add_style("Ghost", WD_STYLE_TYPE.PARAGRAPH).font.hidden = True
    heir = document.styles.add_style("Heir", WD_STYLE_TYPE.PARAGRAPH)
    heir.base_style = document.styles["Ghost"]
    document.add_paragraph("Seen.")
    document.add_paragraph(SECRET, style="Heir")


def in_a_cell(document: WordDocument) -> None:
    """Within a table, the row itself seen."""
    cell = document.add_table(rows=1, cols=1).rows[0].cells[0]
    cell.text = "Seen."
    cell.paragraphs[0].add_run(SECRET).font.hidden = True


def in_a_link(document: WordDocument) -> None:
    """Within a hyperlink."""
    paragraph = document.add_paragraph("Seen. ")
    paragraph.add_run(SECRET).font.hidden = True
    link = parse_xml(f"<w:hyperlink {SPACE}/>")
    link.append(paragraph._p.r_lst[-1])
    paragraph._p.append(link)


@pytest.mark.parametrize(
    "hide", [by_run, by_character_style, by_paragraph_style, in_a_cell, in_a_link]
)
def test_hidden_words_are_told_and_not_read(hide: Callable[[WordDocument], None]) -> None:
    """However they are hidden."""
    document = docx.Document()
    hide(document)
    page = docx_page(saved(document))
    assert "Seen." in page.text
    assert SECRET not in page.text
    assert page.hidden == SECRET
    assert page.notes == ("1 stretches of hidden text are left out; show or delete them",)


def test_a_run_may_undo_the_hiding_of_its_style() -> None:
    """As Word shows it."""
    document = docx.Document()
    by_paragraph_style(document)
    document.paragraphs[-1].runs[0].font.hidden = False
    page = docx_page(saved(document))
    assert SECRET in page.text
    assert not page.notes


def test_tracked_changes_are_read_as_they_stand_on_the_page() -> None:
    """Insertions are text, deletions are not, nor are deleted rows and words moved away."""
    document = docx.Document()
    paragraph = document.add_paragraph("At most ")
    for kind, text, element in (
        ("del", "50 bar", "delText"),
        ("ins", "40 bar", "t"),
        ("moveFrom", " gone", "t"),
        ("moveTo", " here", "t"),
    ):
        paragraph._p.append(
            parse_xml(
                f'<w:{kind} {SPACE} w:id="1" w:author="A"><w:r><w:{element} xml:space="preserve">'
                f"{text}</w:{element}></w:r></w:{kind}>"
            )
        )
    table = document.add_table(rows=2, cols=1)
    table.rows[0].cells[0].text = "kept row"
    table.rows[1].cells[0].text = "deleted row"
    table.rows[1]._tr.get_or_add_trPr().append(parse_xml(f'<w:del {SPACE} w:id="2"/>'))
    page = docx_page(saved(document))
    assert "At most 40 bar here" in page.text
    assert "kept row" in page.text
    for gone in ("50", "gone", "deleted"):
        assert gone not in page.text
    assert page.notes == ("3 tracked deletions are left out; accept or reject them",)


def test_content_controls_are_text() -> None:
    """A form's filled-in places, in a paragraph and around one."""
    document = docx.Document()
    inner = document.add_paragraph("Torque: ")
    inner._p.append(
        parse_xml(
            f"<w:sdt {SPACE}><w:sdtContent><w:r><w:t>12 Nm</w:t></w:r></w:sdtContent></w:sdt>"
        )
    )
    whole = parse_xml(f"<w:sdt {SPACE}><w:sdtContent/></w:sdt>")
    whole[0].append(deepcopy(inner._p))
    inner._p.addnext(whole)
    assert docx_page(saved(document)).text.count("Torque: 12 Nm") == 2


def test_hidden_words_withdraw_an_order_all_the_same(tmp_path: Path) -> None:
    """They cannot be quoted, and what they call off is off; the report tells of them."""
    source = tmp_path / "kb"
    source.mkdir()
    (source / "orders.csv").write_text(
        "order_id,asset,kind,status,start,end,recorded_at,approved_by\n"
        "WO-7,r1,calibration,APPR,2026-03-02T06:05:00Z,2026-03-02T06:41:00Z,"
        "2026-03-01T06:00:00Z,J. Ott\n",
        encoding="utf-8",
    )
    document = docx.Document()
    document.add_paragraph("Minutes of the meeting.")
    document.add_paragraph().add_run("WO-7 is cancelled.").font.hidden = True
    (source / "minutes.docx").write_bytes(saved(document))
    manifest = build(source, tmp_path / "out", now_ns=NOW_NS)
    told = [item.cause for item in manifest.quarantined if item.path == "minutes.docx"]
    assert any("hidden text" in cause for cause in told)
    with Snapshot.open(tmp_path / "out") as snapshot:
        assert not snapshot.proposals()[-1].approved
        assert "cancelled" not in snapshot.text("minutes.docx", "")
