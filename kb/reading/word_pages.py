"""DOCX into text with the headings, lists and tables that a reader sees.

What Word hides (`w:vanish`) and what a tracked change took out is not in it, and is counted; what a
tracked change put in is, since it stands on the page. Hidden words come back apart: they cannot be
quoted, and may still call something off.
"""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING, Final

import msgspec

from kb.reading.front_matter import SourceError
from kb.reading.pages import Page, refuse_bomb, table_lines, tidied

if TYPE_CHECKING:
    from collections.abc import Iterator
    from xml.etree.ElementTree import Element  # what the reader's own elements behave like

    from docx.document import Document as WordDocument

NESTED_MAX: Final = 40  # styles that are based on each other
_SPACE: Final = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_VALUE: Final = f"{_SPACE}val"
_TAKEN_OUT: Final = ("del", "moveFrom")
_WITHIN: Final = (
    "ins", "moveTo", "sdt", "sdtContent", "smartTag", "customXml", "hyperlink", "fldSimple",
)  # fmt: skip
_FALSE: Final = ("0", "false", "off")


class _Left(msgspec.Struct):
    """What was left out."""

    hidden: list[str]
    taken_out: int = 0


def docx_page(stored: bytes) -> Page:
    """Headings, paragraphs, lists and tables of a DOCX file. Raises SourceError."""
    from docx import Document  # noqa: PLC0415 - only where there is DOCX

    refuse_bomb(stored)
    lines: list[str] = []
    left = _Left([])
    try:
        document = Document(io.BytesIO(stored))
        reader = _Reader(document, left)
        for block in reader.blocks(document.element.body):
            lines.extend(reader.lines_of(block))
        title = (document.core_properties.title or "").strip()
        language = (document.core_properties.language or "").strip()
    except Exception as error:  # the reader breaks in many ways on what is no DOCX
        raise SourceError(0, f"cannot be read as DOCX: {type(error).__name__}: {error}") from error
    if not title:
        title = next((line.lstrip("# ") for line in lines if line.startswith("# ")), "")
    return Page(
        title=title,
        text=tidied("\n".join(lines)),
        language=language[:2].lower(),
        hidden="\n".join(left.hidden),
        notes=tuple(_notes(left)),
    )


def _notes(left: _Left) -> Iterator[str]:
    if left.hidden:
        yield f"{len(left.hidden)} stretches of hidden text are left out; show or delete them"
    if left.taken_out:
        yield f"{left.taken_out} tracked deletions are left out; accept or reject them"


class _Reader:
    """Walks one document. What it leaves out it notes in `left`."""

    def __init__(self, document: WordDocument, left: _Left) -> None:
        self._left = left
        self._styles = {style.style_id: style.element for style in document.styles}
        self._names = {style.style_id: style.name or "" for style in document.styles}
        defaults = document.styles.element.find(f"{_SPACE}docDefaults/{_SPACE}rPrDefault")
        self._by_default = _own(defaults) if defaults is not None else None

    def blocks(self, parent: Element) -> Iterator[Element]:
        """Paragraphs and tables below an element, in order."""
        for element in parent:
            name = _named(element)
            if name in ("p", "tbl"):
                yield element
            elif name in _WITHIN:
                yield from self.blocks(element)
            elif name in _TAKEN_OUT:
                self._take_out(element)

    def lines_of(self, block: Element) -> Iterator[str]:
        """One block as lines of Markdown."""
        if _named(block) == "tbl":
            yield from ("", *table_lines(self._rows(block)), "")
            return
        said = self._paragraph(block)
        if said:
            yield from _styled(said, self._names.get(self._style(block, "pPr/pStyle"), ""))

    def _rows(self, table: Element) -> list[list[str]]:
        rows: list[list[str]] = []
        for row in _below(table, "tr"):
            if row.find(f"{_SPACE}trPr/{_SPACE}del") is not None:
                self._take_out(row)
            elif _true(row.find(f"{_SPACE}trPr/{_SPACE}hidden")):
                said = " ".join(part.text or "" for part in row.iter(f"{_SPACE}t"))
                self._left.hidden.append(" ".join(said.split()))
            else:
                rows.append([self._cell(cell) for cell in _below(row, "tc")])
        return rows

    def _cell(self, cell: Element) -> str:
        parts: list[str] = []
        for block in self.blocks(cell):
            if _named(block) == "p":
                parts.append(self._paragraph(block))
            else:
                parts += [" ".join(row) for row in self._rows(block)]
        return " ".join(part for part in parts if part)

    def _paragraph(self, paragraph: Element) -> str:
        style = self._style(paragraph, "pPr/pStyle")
        return " ".join("".join(self._runs(paragraph, style)).split())

    def _runs(self, parent: Element, style: str) -> Iterator[str]:
        """Texts of the runs below an element that a reader sees."""
        hidden: list[str] = []
        for element in parent:
            name = _named(element)
            if name == "r" and self._hidden(element, style):
                hidden += _texts(element)
                continue
            if name == "r":
                yield from _texts(element)
            elif name in _TAKEN_OUT:
                self._take_out(element)
            elif name in _WITHIN:
                yield from self._runs(element, style)
        if said := " ".join("".join(hidden).split()):
            self._left.hidden.append(said)

    def _hidden(self, run: Element, style: str) -> bool:
        """Whether Word hides a run: by itself, else by its style, its paragraph's, or by default.

        Where two styles say so they do not undo each other: what may be hidden is.
        """
        own = _own(run)
        if own is not None:
            return own
        said = (self._of_style(self._style(run, "rPr/rStyle")), self._of_style(style))
        if any(one is not None for one in said):
            return any(said)
        return bool(self._by_default)

    def _of_style(self, style: str) -> bool | None:
        for _ in range(NESTED_MAX):
            element = self._styles.get(style)
            if element is None:
                return None
            own = _own(element)
            if own is not None:
                return own
            style = self._style(element, "basedOn")
        return None

    def _style(self, element: Element, path: str) -> str:
        found = element.find("/".join(f"{_SPACE}{part}" for part in path.split("/")))
        return "" if found is None else str(found.get(_VALUE, ""))

    def _take_out(self, element: Element) -> None:
        words = (_SPACE + name for name in ("t", "delText"))
        self._left.taken_out += any(part.text for part in element.iter(*words))


def _below(element: Element, name: str) -> Iterator[Element]:
    """Rows of a table, or cells of a row, also of those within a content control."""
    for part in element:
        if _named(part) == name:
            yield part
        elif _named(part) in _WITHIN:
            yield from _below(part, name)


def _own(element: Element) -> bool | None:
    """What an element itself says about being hidden."""
    found = element.find(f"{_SPACE}rPr/{_SPACE}vanish")
    return None if found is None else _true(found)


def _true(element: Element | None) -> bool:
    return element is not None and element.get(_VALUE, "1") not in _FALSE


def _texts(run: Element) -> Iterator[str]:
    """Text of a run; tabs and breaks are blanks. Drawings and fields have their text elsewhere."""
    for part in run:
        name = _named(part)
        if name == "t":
            yield part.text or ""
        elif name in ("tab", "ptab", "br", "cr"):
            yield " "
        elif name == "noBreakHyphen":
            yield "-"


def _named(element: Element) -> str:
    """Name of an element without its namespace; "" for what is of another, or a comment."""
    tag = str(element.tag)
    return tag.removeprefix(_SPACE) if tag.startswith(_SPACE) else ""


def _styled(said: str, style: str) -> tuple[str, ...]:
    level = re.fullmatch(r"(?:[Hh]eading|\u00dcberschrift) ([1-6])", style)
    if level or style == "Title":
        return ("", f"{'#' * int(level[1]) if level else '#'} {said}", "")
    if style.startswith("List"):
        return (f"{'1.' if 'Number' in style else '-'} {said}",)
    return (said, "")
