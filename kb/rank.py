"""Two rankings into one."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

K: Final = 60  # Cormack, Clarke and Buettcher 2009, doi:10.1145/1571941.1572114
PER_DOCUMENT_MAX: Final = 2  # one long manual must not hide the others
# Below it, and without a shared word, a passage is about something else. Measured on manuals of a
# weld cell: queries about dogs, taxes and pancakes reach 0.29, about its faults 0.38 to 0.65.
SIMILARITY_MIN: Final = 0.30


def fuse(rankings: Iterable[Sequence[int]], *, k: int = K) -> list[tuple[int, float]]:
    """Reciprocal rank fusion: (id, score), best first; equal scores in order of id."""
    scores: dict[int, float] = {}
    for ranking in rankings:
        for rank, chunk_id in enumerate(ranking, 1):
            scores[chunk_id] = scores.get(chunk_id, 0.0) + 1.0 / (k + rank)
    return sorted(scores.items(), key=lambda pair: (-pair[1], pair[0]))


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
