"""Questions with the passages that answer them: what a site's own text model learns from.

They stand in a file, one JSON object a line, `{"query": "...", "passage": "..."}`; in the orders of
a snapshot, as a problem with what was done about it; or in its documents, as the title of a section
with its text. Some questions are held back: the model never sees them, and is judged by them.
"""

from __future__ import annotations

import hashlib
import random
import re
from collections import defaultdict
from typing import TYPE_CHECKING, Final

import msgspec

from kb.errors import KnowledgeError
from kb.evaluation.judgements import Place, folded_title, known_items
from kb.reading import rows
from kb.reading.columns import key_of
from kb.reading.front_matter import SourceError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from kb.snapshots.snapshot import Snapshot

HELD_SHARE: Final = 0.2
PAIR_CHARS_MIN: Final = 3  # "ok" and "-" ask and answer nothing
PAIR_CHARS_MAX: Final = 4000
# Columns of an order that say what was wrong, and what was done about it, as systems name them.
PROBLEMS: Final = (
    "problem", "problemdescription", "symptom", "fault", "faultdescription", "failure",
    "failuredescription", "complaint", "discrepancy", "defect", "stoerung", "störung",
    "schadensbild", "description", "shorttext", "kurztext",
)  # fmt: skip
ACTIONS: Final = (
    "action", "actiontaken", "actions", "correctiveaction", "remedy", "resolution", "solution",
    "repair", "workdone", "workperformed", "massnahme", "maßnahme", "abhilfe", "behebung",
)  # fmt: skip
_NUMBER: Final = re.compile(r"\d+")


class Pair(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A question, and a passage that answers it."""

    query: str
    passage: str


class Split(msgspec.Struct, frozen=True, kw_only=True):
    """Pairs to learn from, and pairs that are held back; no question stands in both."""

    trained: tuple[Pair, ...]
    held_back: tuple[Pair, ...]


def read_pairs(path: Path) -> list[Pair]:
    """Pairs of a file, in its order. Raises KnowledgeError with the line that is wrong."""
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise KnowledgeError(f"{path}: cannot be read: {error}") from error
    pairs = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            pair = msgspec.json.decode(line, type=Pair)
        except ValueError as error:
            raise KnowledgeError(
                f"{path}, line {number}: {error}; expected"
                ' {"query": "what was asked", "passage": "what answers it"}'
            ) from error
        if not _telling(pair):
            raise KnowledgeError(
                f"{path}, line {number}: a query or a passage has fewer than {PAIR_CHARS_MIN} or"
                f" more than {PAIR_CHARS_MAX} characters; leave the line out"
            )
        pairs.append(pair)
    return pairs


def order_pairs(snapshot: Snapshot, *, problem: str = "", action: str = "") -> list[Pair]:
    """Problem and action of each order that has both, in the order of documents and rows.

    `problem`, `action`: names of the columns, else the first known name that a table has.
    """
    pairs = []
    for document in snapshot.documents():
        if document.kind != "order":
            continue
        read = rows.jsonl_rows if document.path.endswith(".jsonl") else rows.csv_rows
        try:
            found, _ = read(snapshot.text(document.doc_id, document.revision), list)
        except SourceError:
            continue  # such a table gave the snapshot no orders either
        for row in found:
            cells = {key_of(name): cell for name, cell in row.cells.items()}
            asked = _first(cells, (key_of(problem),) if problem else PROBLEMS)
            done = _first(cells, (key_of(action),) if action else ACTIONS)
            pairs.append(Pair(asked, done))
    return [pair for pair in pairs if _telling(pair)]


def document_pairs(snapshot: Snapshot) -> list[Pair]:
    """Titles of sections with the first passage of their text; titles leave the passages.

    Only titles that name one section, and of which that section has words itself.
    """
    text_of: dict[Place, str] = {}
    for number in sorted(snapshot.known_from()):
        chunk = snapshot.chunk(number)
        section = tuple(part for part in chunk.section.split(" > ") if part)
        if section and chunk.text.strip():
            text_of[Place(chunk.doc_id, section, number)] = chunk.text
    titles = {folded_title(title) for place in text_of for title in place.section}
    for place, text in text_of.items():
        kept = (line for line in text.split("\n") if folded_title(line) not in titles)
        text_of[place] = "\n".join(kept).strip()
    pairs = []
    for judged in known_items(text_of):
        if judged.answerable:
            item = next(iter(judged.grades))
            depth = len(item.section)
            below = [
                place
                for place in text_of
                if place.doc_id == item.doc_id and place.section[:depth] == item.section
            ]
            pairs.append(Pair(judged.query, text_of[below[0]][:PAIR_CHARS_MAX]))
    return [pair for pair in pairs if _telling(pair)]


def split(pairs: Iterable[Pair]) -> Split:
    """The same questions are held back whenever they come, whatever else comes with them.

    Questions that differ in case, punctuation and numbers only are one: "#2 intake leaking" and
    "#4 intake leaking" stand on one side.
    """
    trained: dict[Pair, None] = {}
    held_back: dict[Pair, None] = {}
    for pair in pairs:
        (held_back if _is_held_back(pair.query) else trained).setdefault(pair)
    return Split(trained=tuple(trained), held_back=tuple(held_back))


def question_key(query: str) -> str:
    """What is left of a question when case, punctuation and numbers do not count."""
    words = re.findall(r"\w+", _NUMBER.sub(" ", query.casefold()))
    return " ".join(words) or query.casefold().strip()


def batches(
    pairs: Sequence[Pair], *, size: int, epochs: int, steps_max: int, seed: int
) -> list[list[Pair]]:
    """What each step learns from: pairs in an order drawn by `seed`, at most `size` at once.

    No two pairs of a batch share a question or a passage: each is told that the passages of the
    others do not answer its question. A batch has two pairs at least.
    """
    draw = random.Random(seed)  # noqa: S311 - an order, no secret
    names_of = {p: {f"q {question_key(p.query)}", f"p {question_key(p.passage)}"} for p in pairs}
    found: list[list[Pair]] = []
    for _ in range(epochs):
        waiting = list(pairs)
        draw.shuffle(waiting)
        while waiting and len(found) < steps_max:
            batch: list[Pair] = []
            left: list[Pair] = []
            taken: set[str] = set()
            for place, pair in enumerate(waiting):
                if len(batch) == size:
                    left += waiting[place:]
                    break
                if names_of[pair] & taken:
                    left.append(pair)
                else:
                    batch.append(pair)
                    taken |= names_of[pair]
            if len(batch) < 2:  # what is left is one question, or one passage
                break
            found.append(batch)
            waiting = left
    return found


def answers_of(pairs: Iterable[Pair]) -> dict[str, set[str]]:
    """Question -> all passages that answer it, by its words without case and blanks."""
    found: defaultdict[str, set[str]] = defaultdict(set)
    for pair in pairs:
        found[" ".join(pair.query.casefold().split())].add(pair.passage)
    return dict(found)


def _is_held_back(query: str) -> bool:
    drawn = hashlib.sha256(question_key(query).encode()).digest()
    return int.from_bytes(drawn[:8], "big") < HELD_SHARE * 2**64


def _first(cells: dict[str, str], names: Sequence[str]) -> str:
    return next((cells[name] for name in names if cells.get(name)), "")


def _telling(pair: Pair) -> bool:
    return all(
        len(text.strip()) >= PAIR_CHARS_MIN and len(text) <= PAIR_CHARS_MAX
        for text in (pair.query, pair.passage)
    )
