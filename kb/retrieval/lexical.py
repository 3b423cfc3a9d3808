"""Words to passages: SQLite FTS5 with the porter stemmer, over text that may contain anything."""

from __future__ import annotations

import functools
import itertools
import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Container, Iterable, Sequence

TERMS_MAX: Final = 12  # more terms cost time and blur the ranking
TERM_CHARS_MAX: Final = 64
MATCHED_MAX: Final = 3_000  # passages that are ranked by their words: the time it takes
TELLING_MIN: Final = 2  # words that are looked for, however common they are
KNOWN_WORDS_MAX: Final = 50_000

_WORD: Final = re.compile(r"\w+", re.UNICODE)
_NAME_PARTS: Final = re.compile(r"_+|(?<=[a-z0-9])(?=[A-Z][a-z])|(?<=[A-Z])(?=[A-Z][a-z])")
# "tested", "heating": of words too short for STEM_CHARS to cut; not "closed", which is of "close"
_ENDED: Final = re.compile(
    r"([a-z]{2}(?:[^aeiou][^aeiouy]|(?<=[aeiou])[aeiou][^aeiouy]))(?:ed|ing)"
)
_CLAUSE: Final = re.compile(r"[;:,|>!?()\n]|\.\s")
_STOP_WORDS: Final = """
    a an and are as at be been but by can could did do does for from had has have how i if
    in into is it its may me my no not of on one or our shall should so such than that the
    their them then there these they this those to too us was we were what when where which
    while who why will with would you your
"""
STOP_WORDS: Final = frozenset(_STOP_WORDS.split())

HEADING_WEIGHT: Final = 1.0  # less finds fewer sections by their title, and no fault better
STEM_CHARS: Final = 5  # "calibration", "calibrated": alike enough here

CREATE: Final = (
    "CREATE VIRTUAL TABLE passage"
    " USING fts5(heading, body, content='', tokenize='porter unicode61')"
)
UP: Final = "+"
DOWN: Final = "-"
OPPOSITE: Final = {UP: DOWN, DOWN: UP}
_RISES: Final = """
    high higher above rise rises rising rose up increase increases increased increasing
"""
_FALLS: Final = """
    low lower below fall falls falling fell drop drops dropped dropping down loss decrease
    decreases decreased decreasing
"""
_RISING: Final = frozenset(_RISES.split())
_FALLING: Final = frozenset(_FALLS.split())
_RANKED: Final = (
    "SELECT rowid FROM passage WHERE passage MATCH ? ORDER BY bm25(passage, ?, 1.0), rowid"
)
_COUNT: Final = "SELECT count(*) FROM passage WHERE passage MATCH ?"
INSERT: Final = "INSERT INTO passage (rowid, heading, body) VALUES (?,?,?)"
DELETE: Final = "INSERT INTO passage (passage, rowid, heading, body) VALUES ('delete',?,?,?)"


def words_of(texts: Iterable[str]) -> list[str]:
    """Search terms in order: lower case, no stop words, no repeats, at most 12.

    Only letters, digits and underscores come through, so that no syntax of FTS5 can.
    """
    found: dict[str, None] = {}
    for text in texts:
        for word in _WORD.findall(spread(text).lower()):
            if word not in STOP_WORDS and len(word) <= TERM_CHARS_MAX:
                found.setdefault(word)
            if len(found) == TERMS_MAX:
                return list(found)
    return list(found)


def spread(text: str) -> str:
    """A text in which names of programs are words: `set_payload` and `SetPayload` are two each."""
    return _NAME_PARTS.sub(" ", text)


def row(chunk_id: int, heading: str, body: str) -> tuple[int, str, str]:
    """What `INSERT` takes of a passage."""
    return chunk_id, spread(heading), spread(body)


class Words:
    """The words of one snapshot's passages. Not safe for several threads at once."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._known: dict[str, int] = {}

    def frequency(self, word: str) -> int:
        """How many passages have a word, in any of its forms."""
        found = self._known.get(word)
        if found is None:
            row = self._connection.execute(_COUNT, (f'"{word}"',)).fetchone()
            found = int(row[0])
            if len(self._known) < KNOWN_WORDS_MAX:
                self._known[word] = found
        return found

    def search(self, words: Sequence[str], *, among: Container[int], count: int) -> list[int]:
        """Ids of passages with any of `words`, best first, at most `count`, only ids in `among`.

        The rarest words are looked for, as long as they stand in no more than `MATCHED_MAX`
        passages together: in a large snapshot the others cost the time and hardly rank.
        """
        left = MATCHED_MAX
        telling: list[str] = []
        for word in sorted(words, key=self.frequency):
            left -= self.frequency(word)
            if left < 0 and len(telling) >= TELLING_MIN:
                break
            telling.append(word)
        return search(self._connection, telling, among=among, count=count)


def search(
    connection: sqlite3.Connection, words: Sequence[str], *, among: Container[int], count: int
) -> list[int]:
    """Ids of passages with any of `words`, best first, at most `count`, only ids in `among`."""
    if not words:
        return []
    match = " OR ".join(f'"{word}"' for word in words)
    rows = connection.execute(_RANKED, (match, HEADING_WEIGHT))
    found: list[int] = []
    for (chunk_id,) in rows:
        if chunk_id in among:
            found.append(chunk_id)
            if len(found) == count:
                break
    return found


@functools.lru_cache(maxsize=1 << 16)
def stem(word: str) -> str:
    """A rough stem of a lower-case word, for comparing texts that are not indexed."""
    if len(word) > 3 and word.endswith("s") and not word.endswith("ss"):
        word = word[:-1]
    ended = _ENDED.fullmatch(word)
    return ended[1] if ended else word[:STEM_CHARS]


def stems_of(text: str) -> frozenset[str]:
    """Stems of a text without its stop words."""
    return frozenset(stem(w) for w in _WORD.findall(text.lower()) if w not in STOP_WORDS)


def pairs_of(text: str) -> frozenset[tuple[str, str]]:
    """Neighbouring words of a query, within one clause of it: "flow too low" is (flow, DOWN)."""
    pairs: set[tuple[str, str]] = set()
    for clause in _CLAUSE.split(text.lower()):
        words = [_sense(w) for w in _WORD.findall(clause) if w not in STOP_WORDS]
        pairs.update(itertools.pairwise(words))
    return frozenset(pairs)


def agreement(pairs: frozenset[tuple[str, str]], text: str) -> float:
    """How far a passage says what a query's pairs say: -1 to 1.

    A pair is met where both of its words stand in one clause, and contradicted where only the
    opposite direction of its first word does. Single words, and vectors too, cannot tell "flow too
    high, pressure too low" from "flow and pressure too low".
    """
    text = text.lower()
    live = [pair for pair in pairs if _may_say(pair, text)]
    if not live:
        return 0.0  # most passages, found at the speed of a substring
    said = [_literal(pair) for pair in live]
    clauses: list[set[str]] = []
    for clause in _CLAUSE.split(text):
        for first, second in said:  # no `any`: it is asked of each clause of each passage
            if first in clause and second in clause:
                clauses.append({_sense(word) for word in _WORD.findall(clause)})
                break
    met = 0
    for a, b in live:
        if any(a in clause and b in clause for clause in clauses):
            met += 1
        elif b in OPPOSITE and any(a in clause and OPPOSITE[b] in clause for clause in clauses):
            return -1.0  # about another fault, whatever else it says
    return met / len(pairs)


def shared_stems(stems: frozenset[str], text: str) -> frozenset[str]:
    """Those of `stems` that a text has: `stems & stems_of(text)`, without stemming all of it."""
    text = text.lower()
    near = [one for one in stems if one in text]  # a stem is the beginning of its words
    if not near:
        return frozenset()
    words = re.findall(rf"\b(?:{'|'.join(map(re.escape, near))})\w*", text)
    return stems & {stem(word) for word in words if word not in STOP_WORDS}


def _may_say(pair: tuple[str, str], text: str) -> bool:
    """Whether a lower-case text could meet or contradict a pair."""
    first, second = _literal(pair)
    return first in text and second in text


@functools.lru_cache(maxsize=1 << 10)
def _literal(pair: tuple[str, str]) -> tuple[str, str]:
    """What a text that says a pair has letter by letter; "" of a direction, with many words."""
    first, second = pair
    return "" if first in OPPOSITE else first, "" if second in OPPOSITE else second


@functools.lru_cache(maxsize=1 << 16)
def _sense(word: str) -> str:
    """A word's stem; words of rising are one, words of falling too."""
    return UP if word in _RISING else DOWN if word in _FALLING else stem(word)


# Words of any text and any question: sharing them says nothing about what a passage is about.
GENERIC: Final = stems_of(
    """
    about after again all also always any back bad before best big both can change day days each
    end every few find first get give go good great help hour kind know last less like list little
    long look make many more most much name need never new next number off old once open other out
    over own part people place please question right same say see set show small some start stop
    take tell than thing time today tomorrow turn two under up use used using very want way week
    well work year years yes yesterday
    """
)
