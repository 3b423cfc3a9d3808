"""A question to sentences of the documents, each cited; or to nothing when they do not say.

Nothing is written here: every sentence of an answer stands word for word in a document. Whether the
documents say anything is judged by two figures of the best passage: how near it is to the question
in sense, and how much of the question's words it has, rare words counting more.
"""

from __future__ import annotations

import hashlib
import math
from typing import TYPE_CHECKING, Final

import msgspec

from kb.records import Citation, Query
from kb.retrieval import lexical, questions, sentences
from kb.retrieval.questions import Asked

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kb.records import Hit
    from kb.retrieval.rerank import Reranker
    from kb.snapshots.snapshot import Chunk, Snapshot

PASSAGES: Final = 8  # looked at
PASSAGES_QUOTED: Final = 5
SENTENCES_MAX: Final = 3  # or the steps of a list, where they are asked for
SENTENCES_WEIGHED: Final = 48  # each costs an embedding
# Measured on five folders of public manuals, each asked what it says and what the others say:
# support of 0.92 and more answers 94 % of the former and declines 93 % of the latter.
COVERAGE_WEIGHT: Final = 0.7
SUPPORT_MIN: Final = 0.92
NEARLY_BEST: Final = 0.85  # of the best sentence: what else is worth saying
# A sentence is worth its likeness below its headings, and these. Chosen on questions about weld
# cells, mills, pumps and robot drivers, and checked with others.
PLACE_WEIGHT: Final = 0.5  # of the question's words that it or the headings above it have
SAID_WEIGHT: Final = 0.2  # of those that it or the nearest heading has
HOLDING_WEIGHT: Final = 0.6  # it has what was asked for, as "weekly" for how often
AGREEMENT_WEIGHT: Final = 0.1  # neighbouring words; "too high" where the question says low is less
NO_NEWS: Final = 0.3  # less where it says nothing that the question or the headings do not
NEWS_MIN: Final = 2  # words
LEANING: Final = 0.2  # less where it goes on from another, or points elsewhere
HEADED_MIN: Final = 0.6  # of a question stands above a list that answers how to do it


class Quoted(msgspec.Struct, frozen=True, kw_only=True):
    """One sentence of an answer: `citation.quote`, and where it stands."""

    citation: Citation
    title: str
    section: str
    kind: str


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What the documents say; `sentences` is empty when they do not, with the reason."""

    question: str
    sentences: tuple[Quoted, ...]
    support: float  # of the best passage: similarity and covered words
    reason: str = ""

    @property
    def text(self) -> str | None:
        """The sentences, or None when the documents do not say."""
        return " ".join(said.citation.quote for said in self.sentences) or None


def ask(
    snapshot: Snapshot,
    question: str,
    *,
    now_ns: int,
    asset: str = "",
    reranker: Reranker | None = None,
) -> Answer:
    """Answer from what is known at `now_ns`, of `asset` and site-wide or, without one, of all.

    The same snapshot gives the same answer. Raises KnowledgeError for a snapshot that was closed.
    """
    query = Query(
        text=question, asset=asset, all_assets=not asset, limit=PASSAGES, per_document_max=0
    )
    hits = snapshot.search(query, now_ns=now_ns)
    if reranker is not None:
        hits = reranker.reordered(question, hits, snapshot)
    weights = _weights(snapshot, questions.subject_of(question))
    supported = [(_support(snapshot, hit, weights), hit) for hit in hits]
    best = max((support for support, _ in supported), default=0.0)
    if best < SUPPORT_MIN:
        reason = "no passage is near enough to the question" if hits else "no relevant passage"
        return Answer(question=question, sentences=(), support=best, reason=reason)
    told = [one for one in supported if one[0] >= SUPPORT_MIN]
    asked = questions.asked_by(question)
    chosen = _steps(snapshot, told, weights) if asked is Asked.STEPS else ()
    if not chosen:
        passages = [hit for _, hit in told[:PASSAGES_QUOTED]]
        chosen = _chosen(snapshot, question, passages, weights)
    if not chosen:
        reason = "the passages found have no whole sentence"
        return Answer(question=question, sentences=(), support=best, reason=reason)
    return Answer(question=question, sentences=chosen, support=best)


def _weights(snapshot: Snapshot, question: str) -> dict[str, float]:
    """How much each stem of a question tells, of 1 together: rare ones more, unknown ones most."""
    count = max(len(snapshot.index), 1)
    found: dict[str, float] = {}
    for word in lexical.words_of([question]):
        stem = lexical.stem(word)
        if stem not in lexical.GENERIC:
            told = math.log(1.0 + count / (0.5 + snapshot.frequency(word)))
            found[stem] = max(found.get(stem, 0.0), told)
    whole = sum(found.values())
    return {stem: told / whole for stem, told in found.items()}


def _covered(text: str, weights: Mapping[str, float]) -> float:
    stems = lexical.shared_stems(frozenset(weights), lexical.spread(text))
    return sum(weights[stem] for stem in sorted(stems))


def _support(snapshot: Snapshot, hit: Hit, weights: Mapping[str, float]) -> float:
    """How far a passage speaks of a question: 0 to about 1.7."""
    if not weights:
        return 0.0  # nothing but words of any text
    whole = snapshot.chunk(hit.citation.chunk_id)
    covered = _covered(f"{whole.title}\n{whole.section}\n{whole.text}", weights)
    alike = 0.0 if math.isnan(hit.similarity) else hit.similarity
    return alike + COVERAGE_WEIGHT * covered


def _steps(
    snapshot: Snapshot, told: list[tuple[float, Hit]], weights: Mapping[str, float]
) -> tuple[Quoted, ...]:
    """The steps of the first passage with a list below headings that name what is asked for."""
    best = max(support for support, _ in told)
    for support, hit in told:
        place = snapshot.chunk(hit.citation.chunk_id)
        listed = hit.steps if not place.text.startswith("|") else ()
        headed = _covered(f"{place.title}\n{place.section}", weights)
        if listed and headed >= HEADED_MIN and support >= NEARLY_BEST * best:
            at = place.start
            return tuple(_quoted(snapshot, hit, s.start - at, s.end - at) for s in listed)
    return ()


def _chosen(
    snapshot: Snapshot, question: str, hits: list[Hit], weights: Mapping[str, float]
) -> tuple[Quoted, ...]:
    """The sentences of passages that say most, best first."""
    worth_of = _Worth(snapshot, question, weights)
    weighed: list[tuple[float, int, int, int]] = []  # worth, passage, start, end
    seen: set[str] = set()  # documents repeat each other
    for k, hit in enumerate(hits):
        place = snapshot.chunk(hit.citation.chunk_id)
        for start, end in sentences.spans(place.text, 0, len(place.text)):
            if len(weighed) == SENTENCES_WEIGHED:
                break
            said = place.text[start:end]
            if said not in seen:
                seen.add(said)
                weighed.append((worth_of(said, place), k, start, end))
    weighed.sort(key=lambda one: (-one[0], one[1:]))
    best = weighed[0][0] if weighed else 0.0
    kept = [one for one in weighed if one[0] >= NEARLY_BEST * best][:SENTENCES_MAX]
    return tuple(_quoted(snapshot, hits[k], start, end) for _, k, start, end in kept)


class _Worth:
    """How much a sentence says of one question."""

    def __init__(self, snapshot: Snapshot, question: str, weights: Mapping[str, float]) -> None:
        self._embedder = snapshot.embedder
        self._vector = self._embedder.embed(question, question=True)
        self._weights = weights
        self._asked = questions.asked_by(question)
        self._pairs = lexical.pairs_of(questions.subject_of(question))

    def __call__(self, said: str, place: Chunk) -> float:
        """Of a sentence of a passage; a fact of a procedure stands below what it is about."""
        above = f"{place.title}\n{place.section}"
        nearest = place.section.rpartition(" > ")[2]
        worth = float(self._embedder.embed(f"{above}\n{said}") @ self._vector)
        worth += PLACE_WEIGHT * _covered(f"{above}\n{said}", self._weights)
        worth += SAID_WEIGHT * _covered(f"{nearest}\n{said}", self._weights)
        worth += HOLDING_WEIGHT * questions.holds(self._asked, said)
        worth += AGREEMENT_WEIGHT * lexical.agreement(self._pairs, said)
        known = lexical.stems_of(lexical.spread(above)) | self._weights.keys()
        news = lexical.stems_of(lexical.spread(said)) - known
        worth -= NO_NEWS * (len(news) < NEWS_MIN)
        return worth - LEANING * questions.leans(said)


def _quoted(snapshot: Snapshot, hit: Hit, start: int, end: int) -> Quoted:
    place = snapshot.chunk(hit.citation.chunk_id)
    quote = place.text[start:end]
    return Quoted(
        citation=Citation(
            doc_id=place.doc_id,
            revision=place.revision,
            chunk_id=place.chunk_id,
            start=place.start + start,
            end=place.start + end,
            sha256=hashlib.sha256(quote.encode()).hexdigest(),
            quote=quote,
        ),
        title=place.title,
        section=place.section,
        kind=place.kind,
    )
