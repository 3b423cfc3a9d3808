"""Citations: a verbatim span, its hash, and the id of the passage it stands in."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Final

from kb.reading.cleaning import clean
from kb.records import Citation

if TYPE_CHECKING:
    from collections.abc import Sequence

QUOTE_CHARS_MAX: Final = 240  # what an operator reads beside an alert
STEPS_MAX: Final = 8  # of one passage
TABLE_LINES_MAX: Final = 200  # a row further below the names of its columns is not understood
_ITEM: Final = re.compile(r"[ \t]*(?P<mark>[-*+\u2022]|\(?\d{1,3}[.)])[ \t]+(?=\S)")
_ADVICE_COLUMN: Final = re.compile(
    r"check|action|remed|solution|what to do|\bmeasures?\b", re.IGNORECASE
)
_DOING: Final = re.compile(
    r"step|procedure|check|inspect|troubleshoot|remed|correct|instruction|how to|what to do",
    re.IGNORECASE,
)
_CELL: Final = re.compile(r"(?:[^|\\\n]|\\.)+")
_RULE: Final = re.compile(r"\|\s*:?-")  # of a table: says nothing
_SENTENCE: Final = re.compile(r"(?<=[.!?])\s+|\n+")


def chunk_id_of(*, doc_id: str, revision: str, section: str, text: str, occurrence: int) -> int:
    """Stable 63-bit id: unchanged while the passage itself is, wherever it moves in the document.

    `occurrence` counts equal passages of one section from 0.
    """
    parts = (doc_id, revision, section, text, str(occurrence))
    digest = hashlib.sha256("\x00".join(parts).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def cite(text: str, start: int, end: int, *, doc_id: str, revision: str, chunk_id: int) -> Citation:
    """Quote `text[start:end]`, at most 240 characters of it, cut between words."""
    assert 0 <= start < end <= len(text)
    end = _cut(text, start, end)
    quote = text[start:end]
    return Citation(
        doc_id=doc_id,
        revision=revision,
        chunk_id=chunk_id,
        start=start,
        end=end,
        sha256=hashlib.sha256(quote.encode()).hexdigest(),
        quote=quote,
    )


def plain(text: str, chars_max: int = QUOTE_CHARS_MAX) -> str:
    """Text of a document as it may stand in a sentence: one line, nothing hidden, capped.

    Control, zero-width and direction characters are gone, so that neither a terminal nor a reader
    sees anything else than what is there.
    """
    line = " ".join(clean(text).split())
    return line if len(line) <= chars_max else f"{line[: chars_max - 1].rstrip()}\u2026"


def holds(citation: Citation) -> bool:
    """Whether a citation is whole: its quote has its hash, its length and no more than it may."""
    quote = citation.quote
    whole = hashlib.sha256(quote.encode()).hexdigest() == citation.sha256
    return whole and len(quote) == citation.end - citation.start <= QUOTE_CHARS_MAX


def cite_words(text: str, start: int, end: int, words: str, *, whole: Citation) -> Citation | None:
    """The span of `words` in `text[start:end]`, the last of several, capped; of the same passage.

    None where they do not stand there verbatim, as a cell that was quoted with its quotes doubled.
    """
    at = text.rfind(words, start, end) if words.strip() else -1
    if at < 0:
        return None
    stop = at + len(words)
    return cite(
        text, at, stop, doc_id=whole.doc_id, revision=whole.revision, chunk_id=whole.chunk_id
    )


def best_start(text: str, start: int, end: int, stems: Sequence[str]) -> int:
    """Where in a long passage to begin the quote: the sentence whose 240 characters say most.

    `stems` are lower-case beginnings of words; the earliest sentence wins a tie.
    """
    if end - start <= QUOTE_CHARS_MAX or not stems:
        return start
    starts = [m.end() for m in _SENTENCE.finditer(text, start, end) if m.end() < end]
    starts = [start, *(at for at in starts if not _RULE.match(text, at))]

    def said(at: int) -> int:
        window = text[at : _cut(text, at, end)].lower()
        return sum(stem in window for stem in stems)

    return max(starts, key=lambda at: (said(at), -at))


def says_what_to_do(section: str) -> bool:
    """Whether the headings above a passage promise steps, so that bullets below them are such."""
    return _DOING.search(section) is not None


def steps_of(
    text: str, start: int, end: int, *, listed: bool, source: tuple[str, str, int]
) -> tuple[Citation, ...]:
    """The spans of the passage `text[start:end]` that say what to do, in order.

    Numbered items; bullets where `listed`; of a row of a table, the cells below a column of checks
    or remedies. source: (doc_id, revision, chunk_id). () where there are none.
    """
    doc_id, revision, chunk_id = source
    if text.startswith("|", start):
        spans = _advice_cells(text, start, end)
    else:
        spans = _items(text, start, end, bullets=listed)
    return tuple(
        cite(text, a, b, doc_id=doc_id, revision=revision, chunk_id=chunk_id)
        for a, b in spans[:STEPS_MAX]
    )


def _items(text: str, start: int, end: int, *, bullets: bool) -> list[tuple[int, int]]:
    """Items of a list without their marks; an item ends with the next one or an empty line."""
    spans: list[tuple[int, int]] = []
    inside = False
    at = start
    for line in text[start:end].splitlines(keepends=True):
        mark = _ITEM.match(line)
        body = len(line.rstrip())
        if mark:
            inside = bullets or mark["mark"][-1] in ".)"
            if inside:
                spans.append((at + mark.end(), at + body))
        elif not body:
            inside = False
        elif inside:
            spans[-1] = (spans[-1][0], at + body)
        at += len(line)
    return spans


def _advice_cells(text: str, start: int, end: int) -> list[tuple[int, int]]:
    """Cells of one row of a Markdown table that stand below a column of checks or remedies."""
    row = text[start:end]
    if "\n" in row:
        return []
    begin = start
    for _ in range(TABLE_LINES_MAX):
        above = text.rfind("\n", 0, max(begin - 1, 0)) + 1
        if begin == 0 or not text.startswith("|", above):
            break
        begin = above
    head = text[begin : text.find("\n", begin)].rstrip()
    names = [cell[0].strip() for cell in _CELL.finditer(head)]
    cells = [(start + cell.start(), start + cell.end()) for cell in _CELL.finditer(row)]
    if begin == start or len(names) != len(cells):
        return []
    return [
        (a + len(text[a:b]) - len(text[a:b].lstrip()), start + len(text[start:b].rstrip()))
        for name, (a, b) in zip(names, cells, strict=True)
        if _ADVICE_COLUMN.search(name) and text[a:b].strip(" -\t")
    ]


def _cut(text: str, start: int, end: int) -> int:
    """End of a quote from `start`: capped, between words, without trailing white space."""
    if end - start > QUOTE_CHARS_MAX:
        end = start + QUOTE_CHARS_MAX
        if not text[end].isspace():
            words = text[start:end].rsplit(maxsplit=1)
            if len(words) > 1:
                end -= len(words[1])
    return start + len(text[start:end].rstrip())
