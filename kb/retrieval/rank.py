"""Two rankings into one."""

from __future__ import annotations

import heapq
from collections import Counter
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

K: Final = 60  # Cormack, Clarke and Buettcher 2009, doi:10.1145/1571941.1572114
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


def relevant(similarity: float, specific: Callable[[], bool]) -> bool:
    """Whether a passage passes the floor; `specific`: it has enough of the query's own words.

    NaN is no similarity at all: of a query without a text, its words decide. They are looked at
    only where they make a difference, which takes time.
    """
    if similarity >= SIMILARITY_MIN:
        return True
    return not similarity < SIMILARITY_WITH_WORDS_MIN and specific()


def lifted(
    ranked: Iterable[tuple[int, float]], agreement_of: Callable[[int], float]
) -> Iterator[tuple[int, float]]:
    """A ranking with each score raised by how far the passage agrees with the query, best first.

    `ranked` is best first, with scores above 0. Agreement is at most 1 and takes time, so it is
    asked only of as many passages as could still come before the next one taken.
    """
    waiting: list[tuple[float, int]] = []  # a heap; equal scores come in order of id
    for chunk_id, score in ranked:
        while waiting and -waiting[0][0] > score * (1.0 + AGREEMENT_WEIGHT):
            raised, best = heapq.heappop(waiting)
            yield best, -raised
        raised = score * (1.0 + AGREEMENT_WEIGHT * agreement_of(chunk_id))
        heapq.heappush(waiting, (-raised, chunk_id))
    while waiting:
        raised, best = heapq.heappop(waiting)
        yield best, -raised


def at_most_per_document(
    ranked: Iterable[tuple[int, float]], document_of: Mapping[int, str], *, limit: int, most: int
) -> list[tuple[int, float]]:
    """The first `limit` of a ranking with at most `most` passages of any document; 0: no bound.

    So that one long manual does not hide the others.
    """
    taken: Counter[str] = Counter()
    kept: list[tuple[int, float]] = []
    if limit <= 0:
        return kept
    for chunk_id, score in ranked:
        if not most or taken[document_of[chunk_id]] < most:
            taken[document_of[chunk_id]] += 1
            kept.append((chunk_id, score))
            if len(kept) == limit:  # before another is asked for, which takes time
                break
    return kept
