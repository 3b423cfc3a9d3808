"""Words to passages: SQLite FTS5 with the porter stemmer, over text that may contain anything."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Container, Iterable

TERMS_MAX: Final = 12  # more terms cost time and blur the ranking
TERM_CHARS_MAX: Final = 64

_WORD: Final = re.compile(r"\w+", re.UNICODE)
_STOP_WORDS: Final = """
    a an and are as at be been but by can could did do does for from had has have how i if
    in into is it its may me my no not of on one or our shall should so such than that the
    their them then there these they this those to too us was we were what when where which
    while who why will with would you your
"""
STOP_WORDS: Final = frozenset(_STOP_WORDS.split())

CREATE: Final = (
    "CREATE VIRTUAL TABLE passage USING fts5(words, content='', tokenize='porter unicode61')"
)


def words_of(texts: Iterable[str]) -> list[str]:
    """Search terms in order: lower case, no stop words, no repeats, at most 12.

    Only letters, digits and underscores come through, so that no syntax of FTS5 can.
    """
    found: dict[str, None] = {}
    for text in texts:
        for word in _WORD.findall(text.lower()):
            if word not in STOP_WORDS and len(word) <= TERM_CHARS_MAX:
                found.setdefault(word)
            if len(found) == TERMS_MAX:
                return list(found)
    return list(found)


def search(
    connection: sqlite3.Connection, words: list[str], *, among: Container[int], count: int
) -> list[int]:
    """Ids of passages with any of `words`, best first, at most `count`, only ids in `among`."""
    if not words:
        return []
    match = " OR ".join(f'"{word}"' for word in words)
    rows = connection.execute(
        "SELECT rowid FROM passage WHERE passage MATCH ? ORDER BY bm25(passage), rowid", (match,)
    )
    found: list[int] = []
    for (chunk_id,) in rows:
        if chunk_id in among:
            found.append(chunk_id)
            if len(found) == count:
                break
    return found
