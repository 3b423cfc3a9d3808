"""A report as PDF, black and grey, with numbered pages: the only importer of reportlab."""

from __future__ import annotations

import io
from html import escape
from typing import TYPE_CHECKING, Any, Final, assert_never

from reportlab.graphics.shapes import Drawing, Line, Rect, String
from reportlab.lib import colors
from reportlab.lib.enums import TA_RIGHT
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import (
    CondPageBreak,
    KeepTogether,
    Paragraph,
    SimpleDocTemplate,
    Spacer,
    TableStyle,
)
from reportlab.platypus import Table as Grid

from edge.reports.document import Bars, Figures, Heading, Table, Text
from edge.reports.html import nice

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge.reports.document import Block, Document

MARGIN: Final = 16 * mm
WIDTH: Final = A4[0] - 2 * MARGIN - 12  # a frame has 6 points on either side
GREY: Final = colors.Color(0.45, 0.45, 0.45)
LIGHT: Final = colors.Color(0.8, 0.8, 0.8)
BODY: Final = ParagraphStyle(
    "body", fontName="Helvetica", fontSize=8.5, leading=11, splitLongWords=1, wordWrap="LTR"
)
SMALL: Final = ParagraphStyle("small", BODY, fontSize=7.5, leading=9.5, textColor=GREY)
NUMBER: Final = ParagraphStyle("number", BODY, alignment=TA_RIGHT)
HEAD: Final = ParagraphStyle("head", BODY, fontName="Helvetica-Bold")
HEAD_NUMBER: Final = ParagraphStyle("head number", HEAD, alignment=TA_RIGHT)
TITLE: Final = ParagraphStyle("title", HEAD, fontSize=17, leading=21)
SECTION: Final = ParagraphStyle("section", HEAD, fontSize=11, leading=14, spaceBefore=9)
BIG: Final = ParagraphStyle("big", HEAD, fontSize=13, leading=16)


def pdf_file(document: Document, *, page_words: Callable[[int, int], str]) -> bytes:
    """The bytes of a PDF. page_words: "page 1 of 3" in the language of the report."""
    out = io.BytesIO()
    template = SimpleDocTemplate(
        out,
        pagesize=A4,
        leftMargin=MARGIN,
        rightMargin=MARGIN,
        topMargin=MARGIN,
        bottomMargin=MARGIN + 4 * mm,
        title=document.title,
        subject=document.lead,
        author="Andon",
        lang=document.language,
    )
    story: list[Any] = [
        Paragraph(_shown(document.title), TITLE),
        Paragraph(_shown(document.lead), BODY),
        Spacer(0, 3 * mm),
    ]
    for block in document.blocks:
        story += _flow(block)

    class _Numbered(Canvas):  # type: ignore[misc]  # reportlab ships no types
        """Knows how many pages there are when the last one is made."""

        def __init__(self, *arguments: Any, **options: Any) -> None:  # noqa: ANN401 - its own
            super().__init__(*arguments, **options)
            self._states: list[dict[str, Any]] = []

        def showPage(self) -> None:  # noqa: N802 - of reportlab
            """Keep the page until their number is known."""
            self._states.append(dict(self.__dict__))
            self._startPage()

        def save(self) -> None:
            """Number the pages, and write all."""
            states = self._states
            for number, state in enumerate(states, 1):
                self.__dict__.update(state)
                self.setFont("Helvetica", 7.5)
                self.setFillColor(GREY)
                self.drawString(MARGIN + 6, 10 * mm, _plain(document.footer)[:110])
                self.drawRightString(A4[0] - MARGIN - 6, 10 * mm, page_words(number, len(states)))
                super().showPage()
            super().save()

    template.build(story, canvasmaker=_Numbered)
    return out.getvalue()


def _flow(block: Block) -> list[Any]:
    match block:
        case Heading():
            return [CondPageBreak(28 * mm), Paragraph(_shown(block.text), SECTION)]
        case Text():
            space = Spacer(0, 14 * mm) if not block.text.strip() else Spacer(0, 1 * mm)
            return [Paragraph(_shown(block.text), SMALL if block.small else BODY), space]
        case Figures():
            return [_figures(block), Spacer(0, 2 * mm)]
        case Table():
            return [_table(block)]
        case Bars():
            return [KeepTogether([_bars(block)])]
        case _:
            assert_never(block)


def _figures(figures: Figures) -> Grid:
    width = WIDTH / max(len(figures.items), 1)
    cells = [
        [Paragraph(_shown(number), BIG), Paragraph(_shown(what), SMALL)]
        for number, what in figures.items
    ]
    return Grid(
        [cells],
        colWidths=[width] * len(cells),
        style=TableStyle(
            [("VALIGN", (0, 0), (-1, -1), "TOP"), ("LEFTPADDING", (0, 0), (-1, -1), 0)]
        ),
    )


def _table(table: Table) -> Any:  # noqa: ANN401 - a paragraph or a grid
    if not table.rows:
        return Paragraph(_shown(table.empty), BODY)
    head = [
        Paragraph(_shown(column.name), HEAD_NUMBER if column.number else HEAD)
        for column in table.columns
    ]
    rows = [
        [
            Paragraph(_shown(cell), NUMBER if column.number else BODY)
            for cell, column in zip(row, table.columns, strict=True)
        ]
        for row in table.rows
    ]
    return Grid(
        [head, *rows],
        colWidths=[column.share * WIDTH for column in table.columns],
        repeatRows=1,
        style=TableStyle(
            [
                ("VALIGN", (0, 0), (-1, -1), "TOP"),
                ("LINEBELOW", (0, 0), (-1, 0), 0.8, colors.black),
                ("LINEBELOW", (0, 1), (-1, -1), 0.3, LIGHT),
                ("LEFTPADDING", (0, 0), (-1, -1), 0),
                ("RIGHTPADDING", (0, 0), (-1, -1), 9),
                ("TOPPADDING", (0, 0), (-1, -1), 1.5),
                ("BOTTOMPADDING", (0, 0), (-1, -1), 2.5),
            ]
        ),
    )


def _bars(bars: Bars) -> Drawing:
    """Bars: what rang in grey, what was avoided as an empty frame on it."""
    height, left, below = 130.0, 28.0, 30.0
    drawing = Drawing(WIDTH, height)
    top = max((a + b for a, b in zip(bars.lower, bars.upper, strict=True)), default=0.0)
    tick = nice(top)
    scale = (height - below - 10) / tick
    step = (WIDTH - left) / max(len(bars.labels), 1)
    for value in (0.0, tick):
        y = below + value * scale
        drawing.add(Line(left, y, WIDTH, y, strokeWidth=0.4, strokeColor=LIGHT if value else GREY))
        drawing.add(_said(left - 4, y - 3, f"{value:g}", "end"))
    every = max(1, -(-len(bars.labels) // 31))
    for i, label in enumerate(bars.labels):
        x, width = left + (i + 0.15) * step, 0.7 * step
        low, high = bars.lower[i] * scale, bars.upper[i] * scale
        _rect(drawing, x, below, width, low, filled=True)
        _rect(drawing, x, below + low, width, high, filled=False)
        if i % every == 0:
            drawing.add(_said(x + width / 2, below - 9, label, "middle"))
    for i, name in enumerate(bars.names):
        _rect(drawing, left + 90.0 * i, 4, 7, 7, filled=i == 0)
        drawing.add(_said(left + 90.0 * i + 11, 5, name, "start"))
    return drawing


def _rect(
    drawing: Drawing, x: float, y: float, width: float, height: float, *, filled: bool
) -> None:
    if height > 0:
        fill = GREY if filled else colors.white
        drawing.add(Rect(x, y, width, height, fillColor=fill, strokeColor=GREY, strokeWidth=0.6))


def _said(x: float, y: float, text: str, anchor: str) -> String:
    return String(
        x, y, _plain(text), fontName="Helvetica", fontSize=7, textAnchor=anchor, fillColor=GREY
    )


def _shown(text: str) -> str:
    """A text as reportlab's markup takes it: nothing in it commands."""
    return escape(_plain(text), quote=False)


def _plain(text: str) -> str:
    """What the built-in fonts have; other letters become a question mark."""
    return text.encode("cp1252", "replace").decode("cp1252")
