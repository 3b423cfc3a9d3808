"""Texts cut into sentences, each with its exact span: what an answer quotes."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

WORDS_MIN: Final = 3  # fewer say nothing by themselves, unless one of them is a label
CHARS_MAX: Final = 400  # a longer sentence is cut where a quote would be

# A sentence goes on after "e.g. ", "No. 7", "Fig. 3" and initials.
_END: Final = re.compile(
    r"(?<!\be\.g)(?<!\bi\.e)(?<!\betc)(?<!\bNo)(?<!\bFig)(?<!\bca)(?<!\b[A-Z])[.!?][\"')\]]*(?=\s)"
)
_BREAK: Final = re.compile(r"\n\s*\n|\n(?=\s*(?:[-*+|]|\d{1,3}[.)])\s?\S)|\n(?=\s*```)")
_LEAD: Final = re.compile(r"\s*(?:(?:[-*+>]|\d{1,3}[.)])\s+)?")
_LABELLED: Final = re.compile(r"[^\W\d_][\w -]{1,30}:\s+\S")
_WORD: Final = re.compile(r"[^\W\d_]{2,}")
_NO_PROSE: Final = re.compile(r"\s*(?:```|~~~|\.\. |\|\s*:?-|=\S*\s*$|#)")


def spans(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Start and end of each sentence of `text[start:end]`; list items and rows are sentences.

    Marks of lists stay outside; rules, fences and directives are no sentences.
    """
    at = start
    for stop in [*(m.start() for m in _BREAK.finditer(text, start, end)), end]:
        yield from _of_block(text, at, stop)
        at = stop


def _of_block(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    if _NO_PROSE.match(text[start:end].lstrip("\n")):
        return
    at = start
    for stop in [*(m.end() for m in _END.finditer(text, start, end)), end]:
        lead = _LEAD.match(text, at, stop)
        first = lead.end() if lead else at
        last = first + len(text[first:stop].rstrip())
        words = len(_WORD.findall(text, first, last))
        whole = words >= WORDS_MIN or _LABELLED.match(text, first, last) is not None
        if last - first <= CHARS_MAX and whole:
            yield first, last
        at = stop
