"""How long something takes, as a distribution of bounded size: what health says in percentiles.

Counts in buckets that are each a sixteenth of a doubling wide. A percentile is told as the upper
edge of its bucket, and so at most a sixteenth of a doubling (4.4 %) too high, never too low.
"""

from __future__ import annotations

import math
from typing import Final

from edge.wire.timing import TimingPayload

PER_DOUBLING: Final = 16
LEAST_MS: Final = 1e-3  # what takes less counts as this much
DOUBLINGS: Final = 40  # up to twelve days
_BUCKETS: Final = PER_DOUBLING * DOUBLINGS


class Spread:
    """Times since it was last told, in ms."""

    def __init__(self) -> None:
        self._clear()

    def _clear(self) -> None:
        self._counts: dict[int, int] = {}  # by bucket
        self.total, self.max_ms = 0, 0.0

    def add(self, ms: float) -> None:
        """One more. ms: not NaN."""
        place = 0
        if ms > LEAST_MS:
            place = min(math.ceil(PER_DOUBLING * math.log2(ms / LEAST_MS)), _BUCKETS)
        self._counts[place] = self._counts.get(place, 0) + 1
        self.total += 1
        self.max_ms = max(self.max_ms, ms)

    def at(self, share: float) -> float | None:
        """The time that `share` of them did not exceed, ms; None: there were none."""
        left = math.ceil(share * self.total)
        for place in sorted(self._counts):
            left -= self._counts[place]
            if left <= 0:
                return min(LEAST_MS * math.exp2(place / PER_DOUBLING), self.max_ms)
        return None

    def told(self) -> TimingPayload:
        """What health says; from here on it counts anew."""
        p50, p99, p999 = (_rounded(self.at(share)) for share in (0.5, 0.99, 0.999))
        most = _rounded(self.max_ms) if self.total else None
        found = TimingPayload(count=self.total, p50=p50, p99=p99, p999=p999, max=most)
        self._clear()
        return found


def _rounded(ms: float | None) -> float | None:
    return None if ms is None else round(ms, 3)
