"""Texts into passages: along headings, tables, lists and paragraphs, each with its exact span."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

TOKENS_TARGET: Final = 160  # a passage says one thing; quality does not grow beyond
TOKENS_MAX: Final = 240  # what the text model reads (256), less the breadcrumb
TABLE_OF_ADVICE: Final = re.compile(
    r"symptom|error|code|fault|alarm|message|cause|remedy|check|action|solution", re.IGNORECASE
)

_WORD: Final = re.compile(r"\w+")
_SYMBOLS: Final = re.compile(r"[^\w\s]+")
_PIECE: Final = re.compile(r"(\w{1,700})|[^\w\s]{1,80}")  # what is without end is cut as well
_SENTENCE_END: Final = re.compile(r"(?<=[.!?:;])\s+")
_ATX: Final = re.compile(r"(#{1,6})\s+(.*?)\s*#*\s*")
_FENCE: Final = re.compile(r"\s*(```|~~~)")
_ITEM: Final = re.compile(r"\s*(?:[-*+]|\d{1,3}[.)])\s+\S")
_RULE_CELL: Final = re.compile(r"\s*:?-+:?\s*")
_UNDERLINE: Final = re.compile(r"([=\-~^\"'`#*+:.<>_])\1{2,}")

assert TOKENS_TARGET <= TOKENS_MAX


class Span(msgspec.Struct, frozen=True, kw_only=True):
    """One passage of a text: `text[start:end]`, under `section`.

    `said` is the passage as the model of sense sees it: a table with its column names, else
    verbatim. `columns` are those names, of what comes out of a table.
    """

    section: str  # headings above it, outermost first, joined by " > "
    start: int
    end: int
    said: str
    columns: tuple[str, ...] = ()


class _Block(msgspec.Struct, frozen=True):
    """A stretch of text that is not cut further."""

    start: int
    end: int
    tokens: int
    alone: bool = False  # a row that is a passage of its own
    header: tuple[str, ...] = ()  # column names of the table it is from


class _Line(msgspec.Struct, frozen=True):
    """One line with its place in the text."""

    start: int
    end: int  # without the line feed
    text: str


def tokens_of(text: str) -> int:
    """About how many word pieces the text model makes of a text; rather too many than too few."""
    words = sum(1 + (len(word) - 1) // 7 for word in _WORD.findall(text))
    return words + sum(len(run) for run in _SYMBOLS.findall(text))


def markdown(text: str, start: int = 0) -> list[Span]:
    """Passages of Markdown from offset `start`."""
    return _passages(text, _markdown_sections(text, start))


def restructured(text: str) -> list[Span]:
    """Passages of reStructuredText: headings are underlined lines."""
    return _passages(text, _rst_sections(text))


def plain(text: str) -> list[Span]:
    """Passages of a text without markup: paragraphs."""
    return _passages(text, iter([("", _lines(text, 0))]))


# --- sections ---


def _lines(text: str, start: int) -> list[_Line]:
    lines = []
    for line in text[start:].split("\n"):
        lines.append(_Line(start, start + len(line), line))
        start += len(line) + 1
    return lines


def _markdown_sections(text: str, start: int) -> Iterator[tuple[str, list[_Line]]]:
    headings: list[tuple[int, str]] = []
    lines: list[_Line] = []
    fenced = False
    for line in _lines(text, start):
        fenced ^= bool(_FENCE.match(line.text))
        heading = None if fenced else _ATX.fullmatch(line.text)
        if not heading:
            lines.append(line)
            continue
        yield _section(headings), lines
        lines = []
        level = len(heading[1])
        headings = [*(h for h in headings if h[0] < level), (level, heading[2])]
    yield _section(headings), lines


def _rst_sections(text: str) -> Iterator[tuple[str, list[_Line]]]:
    headings: list[tuple[int, str]] = []
    styles: list[str] = []
    lines: list[_Line] = []
    for line in _lines(text, 0):
        above = lines[-1].text.strip() if lines else ""
        below = line.text.rstrip()
        rule = _UNDERLINE.fullmatch(below)
        if not (rule and above and len(below) >= len(above) and not _UNDERLINE.fullmatch(above)):
            lines.append(line)
            continue
        title = lines.pop().text.strip()
        style = rule[1]
        if lines and _UNDERLINE.fullmatch(lines[-1].text.strip()):  # ruled above too: another style
            lines.pop()
            style *= 2
        if style not in styles:
            styles.append(style)
        yield _section(headings), lines
        lines = []
        level = styles.index(style)
        headings = [*(h for h in headings if h[0] < level), (level, title)]
    yield _section(headings), lines


def _section(headings: Sequence[tuple[int, str]]) -> str:
    return " > ".join(title for _, title in headings if title)


# --- blocks ---


def _passages(text: str, sections: Iterator[tuple[str, list[_Line]]]) -> list[Span]:
    """Blocks of each section packed up to the target, never across a heading."""
    spans: list[Span] = []
    for section, lines in sections:
        packed: list[_Block] = []
        for block in _blocks(text, lines):
            size = sum(b.tokens for b in packed) + block.tokens
            apart = block.alone or (packed and packed[-1].alone)
            if packed and (apart or size > TOKENS_TARGET):
                spans.append(_span(text, section, packed))
                packed = []
            packed.append(block)
        if packed:
            spans.append(_span(text, section, packed))
    return spans


def _span(text: str, section: str, packed: Sequence[_Block]) -> Span:
    start, end = packed[0].start, packed[-1].end
    said = text[start:end]
    names = next((b.header for b in packed if b.header), ())
    cells = _cells(said) if packed[0].alone else []
    if names and len(cells) == len(names):
        said = "; ".join(f"{k}: {c}" for k, c in zip(names, cells, strict=True) if c)
    elif names and " | ".join(names) not in said:
        said = f"{' | '.join(names)}\n{said}"
    return Span(section=section, start=start, end=end, said=said, columns=names)


def _blocks(text: str, lines: list[_Line]) -> Iterator[_Block]:
    """Paragraphs, list items, code and table rows, none longer than the cap."""
    at = 0
    while at < len(lines):
        line = lines[at].text
        stop = at + 1
        if _is_table(lines, at):
            stop = _while(lines, at, lambda t: t.lstrip().startswith("|"))
            yield from _table_blocks(text, lines[at:stop])
        elif _FENCE.match(line):
            stop = min(_while(lines, at + 1, lambda t: not _FENCE.match(t)) + 1, len(lines))
            yield from _cut(text, lines[at].start, lines[stop - 1].end)
        elif line.strip():
            while stop < len(lines) and _continues(lines, stop):
                stop += 1
            yield from _cut(text, lines[at].start, lines[stop - 1].end)
        at = stop


def _continues(lines: list[_Line], at: int) -> bool:
    """Whether a line belongs to the paragraph or list item above it."""
    line = lines[at].text
    begins = _ITEM.match(line) or _FENCE.match(line) or _is_table(lines, at)
    return bool(line.strip()) and not begins


def _while(lines: list[_Line], at: int, holds: Callable[[str], bool]) -> int:
    while at < len(lines) and holds(lines[at].text):
        at += 1
    return at


def _is_table(lines: list[_Line], at: int) -> bool:
    """Whether a Markdown table begins here: a row of names above a row of rules."""
    if at + 1 >= len(lines) or not lines[at].text.lstrip().startswith("|"):
        return False
    rules = lines[at + 1].text.strip()
    if not rules.startswith("|"):
        return False
    return all(_RULE_CELL.fullmatch(cell) for cell in rules.strip("|").split("|"))


def _table_blocks(text: str, lines: list[_Line]) -> Iterator[_Block]:
    """Rows of a table, each a passage of its own where the columns speak of faults."""
    names = tuple(_cells(lines[0].text))
    alone = any(TABLE_OF_ADVICE.search(name) for name in names)
    for line in lines[2:] if alone else [lines[0], *lines[2:]]:
        size = tokens_of(line.text)
        if size > TOKENS_MAX:
            yield from _cut(text, line.start, line.end)
        else:
            block = _trimmed(text, line.start, line.end)
            yield _Block(block.start, block.end, size, alone, names)


def _cells(row: str) -> list[str]:
    parts = re.split(r"(?<!\\)\|", row.strip().removeprefix("|").removesuffix("|"))
    return [part.strip().replace("\\|", "|") for part in parts]


def _cut(text: str, start: int, end: int) -> Iterator[_Block]:
    """A stretch of text as one block, or where it is too long as several: sentences, else words."""
    whole = _trimmed(text, start, end)
    if whole.tokens <= TOKENS_MAX:
        if whole.tokens:
            yield whole
        return
    at, end = whole.start, whole.end
    start, total = at, 0
    stops = [*(m.end() for m in _SENTENCE_END.finditer(text, at, end)), end]
    for stop in stops:
        size = whole.tokens if len(stops) == 1 else tokens_of(text[at:stop])
        if total and total + size > TOKENS_TARGET:
            yield _trimmed(text, start, at)
            start, total = at, 0
        if size > TOKENS_MAX:
            yield from _cut_words(text, at, stop)
            start = stop
        else:
            total += size
        at = stop
    if total:
        yield _trimmed(text, start, end)


def _cut_words(text: str, start: int, end: int) -> Iterator[_Block]:
    """A sentence that is too long, cut between words; a word that is too long is cut too."""
    total = 0
    for piece in _PIECE.finditer(text, start, end):
        begin, stop = piece.span()
        size = 1 + (stop - begin - 1) // 7 if piece[1] else stop - begin  # as `tokens_of` has it
        if total and total + size > TOKENS_TARGET:
            yield _trimmed(text, start, begin)
            start, total = begin, 0
        total += size
    if total:
        yield _trimmed(text, start, end)


def _trimmed(text: str, start: int, end: int) -> _Block:
    """A stretch without white space around it."""
    part = text[start:end]
    start += len(part) - len(part.lstrip())
    end = start + len(part.strip())
    return _Block(start, end, tokens_of(text[start:end]))
