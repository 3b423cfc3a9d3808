"""The structure of a text: headings, sentences, list items, table rows, code, each with its span.

Markdown, and plain text whose headings are underlined (which is how reStructuredText looks too). Only what
decides where a passage may begin and end is read; emphasis, links and the like stay as they are written.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

from kb.text import stripped

if TYPE_CHECKING:
    from collections.abc import Iterator

HEADING_LEVELS: Final = 6

_ATX: Final = re.compile(r" {0,3}(#{1,6})[ \t]+(\S.*?)[ \t]*#*[ \t]*$")
_UNDERLINE: Final = re.compile(r"([=\-~^\"'*+#`:.<>_])\1{2,}[ \t]*$")
_FENCE: Final = re.compile(r" {0,3}(`{3,}|~{3,})")
_TABLE_RULE: Final = re.compile(r"\s*\|?\s*:?-{2,}:?\s*(\|\s*:?-{2,}:?\s*)*\|?\s*$")
_ITEM: Final = re.compile(r"\s{0,12}(?:[-*+•]|\d{1,3}[.)]|[a-z][.)])[ \t]+\S")
# A line of a list of codes: "E1042: gas flow low", "- C153A0 - joint limits", "Alarm 12. Servo off"
_CODE: Final = re.compile(
    r"\s{0,12}(?:[-*+•][ \t]+)?[`*]{0,3}(?:(?:alarm|error|fault|code|warning)[ \t]+)?"
    r"(?:[A-Z]{1,6}[-_ ]?\d{1,6}[A-Z]?\d*|\d{2,6})[`*]{0,3}[ \t]*(?::|–|—|-(?=[ \t])|\.(?=[ \t]))[ \t]*\S"
)
_SENTENCE: Final = re.compile(r"[.!?][\"')\]]*\s+(?=[\"'(\[]?[A-Z0-9`*])")
_ROW_WISE: Final = re.compile(
    r"symptom|fault|error|code|alarm|cause|remed|action|check|problem|message|meaning|solution|step", re.I
)


class Unit(NamedTuple):
    """A piece that is not divided without need. `solo`: a passage by itself, as a row of an error table is.

    kind: sentence, item, row, code. head: header cells of its table.
    """

    start: int
    end: int
    kind: str
    solo: bool
    path: tuple[str, ...]
    head: tuple[str, ...] = ()


class _Line(NamedTuple):
    text: str
    start: int

    @property
    def end(self) -> int:
        return self.start + len(self.text)


class _Headings:
    """The headings above the present line, and which underline stands for which level."""

    def __init__(self) -> None:
        self._titles: list[tuple[int, str]] = []
        self._marks: list[str] = []
        self._bare: _Line | None = None  # the last heading, while nothing stands under it

    @property
    def path(self) -> tuple[str, ...]:
        """Titles from the outermost to the innermost."""
        return tuple(title for _, title in self._titles)

    def enter(self, level: int, title: str, line: _Line) -> list[Unit]:
        """Begin a section; what is returned is the heading before it, if nothing stood under that."""
        left = self.leave() if self._titles and level <= self._titles[-1][0] else []
        while self._titles and self._titles[-1][0] >= level:
            self._titles.pop()
        self._titles.append((level, title))
        self._bare = line
        return left

    def leave(self) -> list[Unit]:
        """The last heading as a unit, if nothing stands under it."""
        if self._bare is None:
            return []
        begin = self._bare.start + len(self._bare.text) - len(self._bare.text.lstrip())
        end = self._bare.start + len(self._bare.text.rstrip())
        self._bare = None
        return [Unit(begin, end, "sentence", True, self.path)]

    def filled(self) -> None:
        """Something stands under the last heading."""
        self._bare = None

    def level_of(self, mark: str) -> int:
        """Level of an underline: those that come first are the higher ones."""
        if mark not in self._marks:
            self._marks.append(mark)
        return min(HEADING_LEVELS, self._marks.index(mark) + 1)


def read_blocks(text: str, begin: int = 0) -> list[Unit]:
    """Divide text[begin:] into units in their order; spans do not overlap and begin and end with a letter.

    Left out are white space, heading lines (they are the path), table headers (they are `head`), fences
    and rules. A heading with nothing under it is a unit itself, so that it can be found.
    """
    lines: list[_Line] = []
    at = begin
    for raw in text[begin:].split("\n"):
        lines.append(_Line(raw, at))
        at += len(raw) + 1
    headings = _Headings()
    units: list[Unit] = []
    i = 0
    while i < len(lines):
        entered = _heading(lines, i, headings)
        step, found = entered or _block(text, lines, i, headings.path)
        if found and not entered:
            headings.filled()
        units.extend(found)
        i += step
    return units + headings.leave()


def _block(
    text: str, lines: list[_Line], i: int, path: tuple[str, ...]
) -> tuple[int, list[Unit]]:
    """Read the block that begins at line i: how many lines it takes, and its units."""
    line = lines[i].text
    if fence := _FENCE.match(line):
        return _code_block(text, lines, i, fence.group(1), path)
    if not any(map(str.isalnum, line)):
        return 1, []  # blank, a rule, or the edge of a drawn table
    if line.lstrip().startswith("|") and i + 1 < len(lines) and _is_rule(lines[i + 1].text):
        return _table(text, lines, i, path)
    if _CODE.match(line) or _ITEM.match(line):
        return _item(text, lines, i, path)
    return _paragraph(text, lines, i, path)


def _heading(lines: list[_Line], i: int, headings: _Headings) -> tuple[int, list[Unit]] | None:
    """Enter a heading that begins at line i: how many lines it takes, and a bare one before it."""
    line = lines[i]
    if match := _ATX.match(line.text):
        return 1, headings.enter(len(match.group(1)), match.group(2), line)
    if i + 2 < len(lines) and _is_mark(line.text):  # overlined and underlined
        title, under = lines[i + 1], lines[i + 2]
        if under.text.rstrip() == line.text.rstrip() and any(map(str.isalnum, title.text)):
            level = headings.level_of("over" + line.text[0])
            return 3, headings.enter(level, title.text.strip(), title)
    if i + 1 < len(lines) and _is_mark(lines[i + 1].text) and _may_be_title(lines, i):
        level = headings.level_of(lines[i + 1].text[0])
        return 2, headings.enter(level, line.text.strip(), line)
    return None


def _is_mark(text: str) -> bool:
    return _UNDERLINE.match(text) is not None


def _is_rule(text: str) -> bool:
    return "-" in text and "|" in text and _TABLE_RULE.match(text) is not None


def _may_be_title(lines: list[_Line], i: int) -> bool:
    title, mark = lines[i].text.rstrip(), lines[i + 1].text.rstrip()
    alone = i == 0 or not lines[i - 1].text.strip()
    plain = not _ITEM.match(title) and not title.startswith((" ", "\t", "|", ">"))
    return alone and plain and any(map(str.isalnum, title)) and len(mark) >= 0.6 * len(title)


def _code_block(
    text: str, lines: list[_Line], i: int, fence: str, path: tuple[str, ...]
) -> tuple[int, list[Unit]]:
    last = i + 1
    while last < len(lines) and not lines[last].text.strip().startswith(fence):
        last += 1
    units = [_unit(text, line.start, line.end, "code", path) for line in lines[i + 1 : last] if line.text.strip()]
    return last + 1 - i, units


def _table(
    text: str, lines: list[_Line], i: int, path: tuple[str, ...]
) -> tuple[int, list[Unit]]:
    last = i + 2
    while last < len(lines) and lines[last].text.lstrip().startswith("|"):
        last += 1
    head = tuple(cell.strip() for cell in lines[i].text.strip().strip("|").split("|"))
    solo = any(_ROW_WISE.search(cell) for cell in head)
    units = []
    for line in lines[i + 2 : last]:
        start, end = stripped(text, line.start, line.end)
        while start < end and text[start] in "| \t":
            start += 1
        while end > start and text[end - 1] in "| \t":
            end -= 1
        if start < end:
            units.append(Unit(start, end, "row", solo, path, head))
    if not units:
        units = [_unit(text, lines[i].start, lines[i].end, "row", path)]
    return last - i, units


def _item(text: str, lines: list[_Line], i: int, path: tuple[str, ...]) -> tuple[int, list[Unit]]:
    """One list item with the lines that continue it."""
    coded = _CODE.match(lines[i].text) is not None
    last = i + 1
    while last < len(lines) and lines[last].text.strip():
        follows = lines[last].text
        if _ITEM.match(follows) or _CODE.match(follows) or _ATX.match(follows) or _FENCE.match(follows):
            break
        if follows.lstrip().startswith("|"):
            break
        last += 1
    unit = Unit(*stripped(text, lines[i].start, lines[last - 1].end), "item", coded, path)
    return last - i, [unit]


def _paragraph(
    text: str, lines: list[_Line], i: int, path: tuple[str, ...]
) -> tuple[int, list[Unit]]:
    last = i + 1
    while last < len(lines) and lines[last].text.strip():
        follows = lines[last].text
        if _ATX.match(follows) or _FENCE.match(follows) or _ITEM.match(follows) or _CODE.match(follows):
            break
        if follows.lstrip().startswith("|"):
            break
        last += 1
    spans = sentences(text, lines[i].start, lines[last - 1].end)
    return last - i, [Unit(start, end, "sentence", False, path) for start, end in spans]


def sentences(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Yield the spans of the sentences of text[start:end], without the white space between them."""
    at = start
    for match in _SENTENCE.finditer(text, start, end):
        yield stripped(text, at, match.end())
        at = match.end()
    if text[at:end].strip():
        yield stripped(text, at, end)


def _unit(text: str, start: int, end: int, kind: str, path: tuple[str, ...]) -> Unit:
    return Unit(*stripped(text, start, end), kind, False, path)
