"""Citations: a verbatim span, its hash, and the id of the passage it stands in."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Final

from kb.records import Citation

if TYPE_CHECKING:
    from collections.abc import Sequence

QUOTE_CHARS_MAX: Final = 240  # what an operator reads beside an alert
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


def _cut(text: str, start: int, end: int) -> int:
    """End of a quote from `start`: capped, between words, without trailing white space."""
    if end - start > QUOTE_CHARS_MAX:
        end = start + QUOTE_CHARS_MAX
        if not text[end].isspace():
            words = text[start:end].rsplit(maxsplit=1)
            if len(words) > 1:
                end -= len(words[1])
    return start + len(text[start:end].rstrip())
