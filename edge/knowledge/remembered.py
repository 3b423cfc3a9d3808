"""Answers of a snapshot, remembered: the same question about the same asset is searched once.

A flood asks the same again and again. A question holds the asset and all of the event's shape that
is looked for; what it finds depends on time only by which passages are known then, and that changes
at a few moments alone, which the snapshot can name. So an answer is the one that a search would
give, and none lives on in another snapshot.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from kb.records import Hit, Query

ANSWERS_MAX: Final = 512  # of 6 passages, about 8 kB each


class Searcher(Protocol):
    """What retrieval needs of a snapshot; `kb.snapshots.snapshot.Snapshot` is one."""

    def search(self, query: Query, *, now_ns: int) -> tuple[Hit, ...]:
        """Passages, best first, that were known at `now_ns`."""

    def era(self, now_ns: int) -> int:
        """The same for all times at which the same passages are known."""


class Remembered:
    """One searcher, and what it found lately. For one thread. The oldest answers go first."""

    def __init__(self, searcher: Searcher) -> None:
        self._searcher = searcher
        self._found: dict[tuple[Query, int], tuple[Hit, ...]] = {}
        self._searches = self._cached = 0

    def search(self, query: Query, *, now_ns: int) -> tuple[Hit, ...]:
        """As `Searcher.search`; what it raises is not remembered."""
        key = (query, self._searcher.era(now_ns))
        hits = self._found.pop(key, None)
        if hits is None:
            self._searches += 1
            hits = self._searcher.search(query, now_ns=now_ns)
            if len(self._found) >= ANSWERS_MAX:
                del self._found[next(iter(self._found))]
        else:
            self._cached += 1
        self._found[key] = hits  # the newest is last
        return hits

    def counted(self) -> tuple[int, int]:
        """Searches, and answers without one, since this was last asked."""
        told = self._searches, self._cached
        self._searches = self._cached = 0
        return told
