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

from kb import lexical, sentences
from kb.records import Citation, Query

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kb.records import Hit
    from kb.rerank import Reranker
    from kb.snapshot import Snapshot

PASSAGES: Final = 8  # looked at
PASSAGES_QUOTED: Final = 3
SENTENCES_MAX: Final = 3
SENTENCES_WEIGHED: Final = 48  # each costs an embedding
# Measured on five folders of public manuals, each asked what it says and what the others say:
# support of 0.92 and more answers 94 % of the former and declines 93 % of the latter.
COVERAGE_WEIGHT: Final = 0.7
SUPPORT_MIN: Final = 0.92
NEARLY_BEST: Final = 0.85  # of the best sentence: what else is worth saying


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
    weights = _weights(snapshot, question)
    supported = [(_support(snapshot, hit, weights), hit) for hit in hits]
    best = max((support for support, _ in supported), default=0.0)
    if best < SUPPORT_MIN:
        reason = "no passage is near enough to the question" if hits else "no relevant passage"
        return Answer(question=question, sentences=(), support=best, reason=reason)
    told = [hit for support, hit in supported if support >= SUPPORT_MIN][:PASSAGES_QUOTED]
    chosen = _chosen(snapshot, question, told, weights)
    if not chosen:
        reason = "the passages found have no whole sentence"
        return Answer(question=question, sentences=(), support=best, reason=reason)
    return Answer(question=question, sentences=chosen, support=best)


def _weights(snapshot: Snapshot, question: str) -> dict[str, float]:
    """How much each stem of a question tells, of 1 together: rare ones more, unknown ones most."""
    count = len(snapshot.index)
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


def _chosen(
    snapshot: Snapshot, question: str, hits: list[Hit], weights: Mapping[str, float]
) -> tuple[Quoted, ...]:
    """The sentences of passages that say most, in the order of the passages and their texts."""
    asked = snapshot.embedder.embed(question, question=True)
    weighed: list[tuple[float, int, int, int]] = []  # worth, passage, start, end
    seen: set[str] = set()  # documents repeat each other
    for k, hit in enumerate(hits):
        place = snapshot.chunk(hit.citation.chunk_id)
        for start, end in sentences.spans(place.text, 0, len(place.text)):
            if len(weighed) == SENTENCES_WEIGHED:
                break
            said = place.text[start:end]
            if said in seen:
                continue
            seen.add(said)
            worth = float(snapshot.embedder.embed(said) @ asked)
            worth += COVERAGE_WEIGHT * _covered(said, weights)
            weighed.append((worth, k, start, end))
    weighed.sort(key=lambda one: (-one[0], one[1:]))
    best = weighed[0][0] if weighed else 0.0
    kept = [one for one in weighed if one[0] >= NEARLY_BEST * best][:SENTENCES_MAX]
    return tuple(
        _quoted(snapshot, hits[k], start, end)
        for _, k, start, end in sorted(kept, key=lambda one: one[1:])
    )


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
