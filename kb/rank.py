"""Two rankings into one."""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

K: Final = 60  # Cormack, Clarke and Buettcher 2009, doi:10.1145/1571941.1572114
PER_DOCUMENT_MAX: Final = 2  # one long manual must not hide the others
# Below the floor a passage is about something else; one that shares words with it needs less
# Measured on weld manuals, robot manuals and aircraft repairs: questions about football, taxes and
# cakes reach 0.29, those about faults of a weld cell 0.38 to 0.74.
SIMILARITY_MIN: Final = 0.30
SIMILARITY_WITH_WORDS_MIN: Final = 0.15
WORDS_SHARE_MIN: Final = 0.5  # of a question's words; one alone may be any "rate" or "match"
WORDS_MIN: Final = 2  # or so many of them
AGREEMENT_WEIGHT: Final = 0.1  # of 0.1 to 1: more finds repairs better and faults worse


def fuse(rankings: Iterable[Sequence[int]], *, k: int = K) -> list[tuple[int, float]]:
    """Reciprocal rank fusion: (id, score), best first; equal scores in order of id."""
    scores: dict[int, float] = {}
    for ranking in rankings:
        for rank, chunk_id in enumerate(ranking, 1):
            scores[chunk_id] = scores.get(chunk_id, 0.0) + 1.0 / (k + rank)
    return sorted(scores.items(), key=lambda pair: (-pair[1], pair[0]))


def relevant(similarity: float, *, specific: bool) -> bool:
    """Whether a passage passes the floor; `specific`: it has enough of the query's own words.

    NaN is no similarity at all: of a query without a text, its words decide.
    """
    if math.isnan(similarity):
        return specific
    return similarity >= (SIMILARITY_WITH_WORDS_MIN if specific else SIMILARITY_MIN)


def lifted(
    ranked: Iterable[tuple[int, float]], agreement_of: Mapping[int, float]
) -> list[tuple[int, float]]:
    """A ranking with each score raised by how far the passage agrees with the query, best first."""
    scores = [(i, score * (1.0 + AGREEMENT_WEIGHT * agreement_of[i])) for i, score in ranked]
    return sorted(scores, key=lambda pair: (-pair[1], pair[0]))


def at_most_per_document(
    ranked: Iterable[tuple[int, float]], document_of: Mapping[int, str], *, limit: int
) -> list[tuple[int, float]]:
    """The first `limit` of a ranking with at most two passages of any document."""
    taken: Counter[str] = Counter()
    kept: list[tuple[int, float]] = []
    for chunk_id, score in ranked:
        if len(kept) >= limit:
            break
        if taken[document_of[chunk_id]] < PER_DOCUMENT_MAX:
            taken[document_of[chunk_id]] += 1
            kept.append((chunk_id, score))
    return kept
