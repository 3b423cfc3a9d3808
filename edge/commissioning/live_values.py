"""Which values of an asset came while it ran: what a record holds to learn from.

By the words of its run tags, each held until the next; the record may be given in parts, the newest
first, so that no more of it is read than is needed.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from edge.storage.journal_table import times_by_tag

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from edge.batches import Readings
    from edge.settings import ContextTag

STOOD = -1


class LiveCount:
    """Counts values by tag, in parts from the newest on."""

    def __init__(self, context: Sequence[ContextTag], *, until_ns: int) -> None:
        """until_ns: what is later than that does not count."""
        self._context, self._until_ns = context, until_ns
        # by the run tags whose word is still looked for, a bit each
        self._waiting: dict[int, Counter[str]] = {}
        self._all: Counter[str] = Counter()

    def has(self, count: int, *, among: int) -> bool:
        """Whether a tag has so many values that came while it ran, or so many `among` all."""
        live = self._waiting.get(0, Counter())
        return max(live.values(), default=0) >= count or max(self._all.values(), default=0) >= among

    def older(self, readings: Sequence[Readings]) -> None:
        """Count what came before all that was counted so far."""
        words = _words(readings, self._context)
        found: dict[int, Counter[str]] = {}
        for missing, counts in self._waiting.items():
            now = missing
            for i, (_, runs) in enumerate(words):
                if now >= 0 and now >> i & 1 and runs.size:
                    now = now & ~(1 << i) if runs[-1] else STOOD
            if now != STOOD:
                found[now] = found.get(now, Counter()) + counts
        for tag, t_ns in _times(readings, self._context, self._until_ns).items():
            self._all[tag] += t_ns.size
            missing_of, counts_of = np.unique(_missing(t_ns, words), return_counts=True)
            for missing, count in zip(missing_of.tolist(), counts_of.tolist(), strict=True):
                if missing != STOOD:
                    found.setdefault(missing, Counter())[tag] += count
        self._waiting = found


def live_from_ns(
    readings: Sequence[Readings], context: Sequence[ContextTag], *, until_ns: int, count: int
) -> int:
    """The time from which on the tag with most values has so many while it ran, ns.

    0: no tag has. until_ns: what is later does not count.
    """
    words = _words(readings, context)
    live = [
        t_ns[_missing(t_ns, words) == 0] for t_ns in _times(readings, context, until_ns).values()
    ]
    return max((int(t_ns[-count]) for t_ns in live if len(t_ns) >= count), default=0)


def _times(
    readings: Sequence[Readings], context: Sequence[ContextTag], until_ns: int
) -> dict[str, NDArray[np.int64]]:
    told = times_by_tag(readings, ignore={tag.tag for tag in context})
    return {tag: t_ns[t_ns <= until_ns] for tag, t_ns in told.items()}


def _words(
    readings: Sequence[Readings], context: Sequence[ContextTag]
) -> list[tuple[NDArray[np.int64], NDArray[np.bool_]]]:
    """Of each run tag, when it spoke, in order of time, and whether it said that it runs."""
    words = []
    for one in context:
        if one.role != "run":
            continue
        parts = [
            (r.t_ns, r.values[:, r.tags.index(one.tag)]) for r in readings if one.tag in r.tags
        ]
        t_ns = np.concatenate([np.empty(0, np.int64), *(t for t, _ in parts)])
        values = np.concatenate([np.empty(0), *(v for _, v in parts)])
        order = np.argsort(t_ns, kind="stable")
        order = order[np.isfinite(values[order])]
        words.append((t_ns[order], np.isin(values[order], one.running)))
    return words


def _missing(
    t_ns: NDArray[np.int64], words: Sequence[tuple[NDArray[np.int64], NDArray[np.bool_]]]
) -> NDArray[np.int64]:
    """At each time (n,) the run tags that had not spoken, a bit each; STOOD: one said it stands."""
    missing = np.zeros(t_ns.size, np.int64)
    stood = np.zeros(t_ns.size, np.bool_)
    for i, (said_ns, runs) in enumerate(words):
        newest = np.searchsorted(said_ns, t_ns, side="right") - 1
        missing |= (newest < 0).astype(np.int64) << i
        if runs.size:
            stood |= (newest >= 0) & ~runs[np.maximum(newest, 0)]
    return np.where(stood, STOOD, missing)
