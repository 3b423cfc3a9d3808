"""Questions with what answers them: read from a file, or made from the titles of sections.

A file has one JSON object a line: `{"query": "...", "relevant": [...]}`. An item of `relevant` is a
document (`"MAN-1"`, or the path of a file), a passage by its number (`1184467440737095516`), a
section (`{"doc_id": "MAN-1", "section": "Calibration"}`); or all of them are one object of grades,
`{"MAN-1": 2, "MAN-7": 1}`. A grade also stands beside a section: `"grade": 2`. Without one it is 1.
"""

from __future__ import annotations

import re
from collections import defaultdict
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from kb.errors import UNREADABLE, KnowledgeError
from kb.retrieval import lexical

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

TITLE_WORDS_MAX: Final = 12  # more is a sentence, no title
SECTION_WORDS_MIN: Final = 20  # less is no passage that somebody looks for
# Words that say which part of a text a section is, not what it is about.
STRUCTURAL: Final = lexical.stems_of(
    """
    about acknowledgements additional advanced appendix author authors basic basics changelog
    changes chapter common conclusion contents copyright credits default defaults description
    descriptions detail details document documentation example examples explanation further
    general glossary history implementation index information intro introduction license link
    links manual miscellaneous more name names news note notes option options other overview
    parameter parameters part preface purpose reference references related release remarks
    resources scope section see step steps summary synopsis table tip tips topics usage use using
    various version versions warning warnings
    """
)
_LETTERS: Final = re.compile(r"[^\W\d_]{3,}")
_BULLET: Final = re.compile(r"^\s*(?:[-*+]|\d{1,3}[.)])\s+|[\s.·]*\d*\s*$")
_NUMBER: Final = re.compile(
    r"^(?:(?:chapter|section|appendix)\s+)?(?:[A-Z]\.|\d)[\d.]*[:)]?\s+(?=\S)", re.IGNORECASE
)
_LINK: Final = re.compile(
    r"`([^`<]+?)\s*<[^`>]*>`_{0,2}|\[([^\]]+)\]\([^)]*\)|:[\w:+-]+:`~?([^`<]*?)(?:\s*<[^`>]*>)?`"
)
_MARKS: Final = re.compile(r"[`*|]+|\{#[^}]*\}")
_ASIDE: Final = re.compile(r"\s*\([^()]*\)")


class Item(NamedTuple):
    """What can be relevant: a document, a section of it and what stands below, or one passage."""

    doc_id: str
    section: tuple[str, ...] = ()  # headings, outermost first; () is the whole document
    chunk_id: int = 0  # 0 is every passage


class Place(NamedTuple):
    """Where a passage stands."""

    doc_id: str
    section: tuple[str, ...]
    chunk_id: int


class Judged(msgspec.Struct, frozen=True, kw_only=True):
    """A question and what is relevant to it, with grades above 0."""

    query: str
    grades: dict[Item, float]
    answerable: bool = True  # of a title: its section has half of its words, at least

    def items(self, places: Iterable[Place]) -> list[Item]:
        """A ranking of passages as one of items: judged ones, and others of the same grain.

        Where a query is judged by documents, all passages of a document are one item.
        """
        whole = all(not item.section and not item.chunk_id for item in self.grades)
        single = all(item.chunk_id for item in self.grades)
        found: dict[Item, None] = {}
        for place in places:
            if single:
                item = Item(place.doc_id, (), place.chunk_id)
            elif whole:
                item = Item(place.doc_id)
            else:
                item = Item(place.doc_id, place.section)
            found.setdefault(self._judged(place) or item)
        return list(found)

    def _judged(self, place: Place) -> Item | None:
        """The judged item that a passage belongs to, the narrowest first."""
        passage = Item(place.doc_id, (), place.chunk_id)
        if passage in self.grades:
            return passage
        for depth in range(len(place.section), -1, -1):
            item = Item(place.doc_id, place.section[:depth])
            if item in self.grades:
                return item
        return None


def plain_title(heading: str) -> str:
    """A heading as a reader says it: without number, markup, targets of links and asides."""
    text = _LINK.sub(lambda m: m[1] or m[2] or m[3] or "", heading)
    text = " ".join(_MARKS.sub("", text).split())
    text = _NUMBER.sub("", text)
    return _ASIDE.sub("", text) or text


def folded_title(line: str) -> str:
    """A line as it compares with titles: also without the bullet or page number of a contents."""
    return plain_title(_BULLET.sub("", line)).casefold().strip(" .:")


def known_items(text_of: Mapping[Place, str]) -> list[Judged]:
    """Questions from section titles: what is relevant is the section that has the title.

    `text_of`: passages as they are indexed. A title is asked when it names one section: it says
    more than which part of a text it is ("Overview"), and no other title has all of its words.
    Sentences are left out, and sections with hardly a text. `answerable` marks those whose section
    has at least half of the title's words: nothing can find the others without their heading.
    """
    size: defaultdict[Item, int] = defaultdict(int)
    said: defaultdict[Item, set[str]] = defaultdict(set)
    for place, text in text_of.items():
        stems = lexical.stems_of(lexical.spread(text))
        for depth in range(1, len(place.section) + 1):
            item = Item(place.doc_id, place.section[:depth])
            size[item] += len(text.split())
            said[item] |= stems
    stems_of = {item: _title_stems(item) for item in size}
    holders: defaultdict[str, set[Item]] = defaultdict(set)
    for item, stems in stems_of.items():
        for stem in stems:
            holders[stem].add(item)
    judged = []
    for item, words in size.items():
        title, stems = plain_title(item.section[-1]), stems_of[item]
        short = _LETTERS.search(title) and len(title.split()) <= TITLE_WORDS_MAX
        if words < SECTION_WORDS_MIN or not short or not stems - STRUCTURAL:
            continue
        if len(set.intersection(*(holders[stem] for stem in stems))) == 1:
            own = stems - STRUCTURAL
            answerable = len(own & said[item]) >= len(own) / 2
            judged.append(Judged(query=title, grades={item: 1.0}, answerable=answerable))
    return judged


def _title_stems(item: Item) -> frozenset[str]:
    """Stems of a title, without numbers: those of releases and dates name nothing."""
    words = lexical.words_of([plain_title(item.section[-1])])
    return frozenset(lexical.stem(word) for word in words if not word.isdecimal())


def read_judgements(
    path: Path, places: Sequence[Place], *, paths: Mapping[str, str]
) -> list[Judged]:
    """Questions of a file; `paths` in the folder name documents as well as their ids do.

    Raises KnowledgeError with the line that is wrong or names nothing.
    """
    known = _Known(places, paths)
    judged = []
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise KnowledgeError(f"{path}: cannot be read: {error}") from error
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            judged.append(_judged(msgspec.json.decode(line), known))
        except (*UNREADABLE, TypeError) as error:
            raise KnowledgeError(f"{path}, line {number}: {error}") from error
    if not judged:
        raise KnowledgeError(f"{path}: no queries; expected one JSON object a line")
    return judged


class _Known:
    """What a file of judgements may name."""

    def __init__(self, places: Sequence[Place], paths: Mapping[str, str]) -> None:
        self.paths = paths
        self.chunks = {place.chunk_id: place.doc_id for place in places}
        self.sections: defaultdict[str, set[tuple[str, ...]]] = defaultdict(set)
        for place in places:
            self.sections[place.doc_id].update(
                place.section[:depth] for depth in range(len(place.section) + 1)
            )

    def item(self, named: object) -> Item:
        """One document or passage by its name. Raises ValueError."""
        if isinstance(named, int) or (isinstance(named, str) and named.isdecimal()):
            if int(named) in self.chunks:
                return Item(self.chunks[int(named)], (), int(named))
        elif isinstance(named, str):
            doc_id = named if named in self.sections else self.paths.get(named, "")
            if doc_id in self.sections:
                return Item(doc_id)
        raise ValueError(f"{named!r} is no document and no passage of the folder")

    def section(self, named: Mapping[str, Any]) -> Item:
        """One section by its own title, or by all headings joined by " > ". Raises ValueError."""
        whole = self.item(named.get("doc_id"))
        title = _fold(str(named.get("section", "")))
        if not title:
            return whole
        found = {
            path
            for path in self.sections[whole.doc_id]
            if path and title in (_fold(path[-1]), _fold(" > ".join(path)))
        }
        if len(found) != 1:
            raise ValueError(f"{len(found)} sections of {whole.doc_id} are {named['section']!r}")
        return Item(whole.doc_id, found.pop())


def _judged(line: object, known: _Known) -> Judged:
    if not isinstance(line, dict) or not isinstance(line.get("query"), str):
        raise ValueError('expected {"query": "...", "relevant": [...]}')  # noqa: TRY004 - of a file
    relevant = line.get("relevant")
    grades: dict[Item, float] = {}
    if isinstance(relevant, dict):
        grades = {known.item(named): float(grade) for named, grade in relevant.items()}
    elif isinstance(relevant, list):
        for named in relevant:
            if isinstance(named, dict):
                grades[known.section(named)] = float(named.get("grade", 1.0))
            else:
                grades[known.item(named)] = 1.0
    grades = {item: grade for item, grade in grades.items() if grade > 0}
    if not grades:
        raise ValueError("nothing is relevant to it: leave it out, or name what is")
    return Judged(query=line["query"], grades=grades)


def _fold(title: str) -> str:
    return " ".join(title.casefold().split())
