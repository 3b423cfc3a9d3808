"""Collecting: what refers to itself is looked for where that makes no tick late.

A full collection looks at all that was made since the start, 8 to 30 ms at 1,000 assets, and comes
by itself in the middle of whatever makes the last object too many. So it is made before that comes,
behind a tick that closed much; one that finds no such moment comes by itself as before. What is
still there behind the first ones stays, as what was there at the start does: no other looks at it.
The price: what is in use at one of those moments and refers to itself is never given back, so they
are few, and of the first minutes.
"""

from __future__ import annotations

import gc
import math
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from edge.gateway.pace import Pace

YOUNG_MAX: Final = 5  # younger collections since the last full one; behind ten it comes by itself
SHARE_MAX: Final = 0.01  # of the time
KEEPS: Final = 16  # full ones, behind which what is left stays: a minute or so at a busy plant,
KEEPS_S_MAX: Final = 600.0  # and later than that of none


class Collecting:
    """For one loop."""

    def __init__(self) -> None:
        self._took_s = self._rests_until_s = 0.0
        self._keeps, self._keeps_until_s = KEEPS, math.inf

    def turn(self, pace: Pace, now_s: float) -> bool:
        """Collect where that is due and the moment suits; whether it did."""
        if self._keeps_until_s == math.inf:
            self._keeps_until_s = now_s + KEEPS_S_MAX
        if gc.get_count()[2] < YOUNG_MAX or now_s < self._rests_until_s:
            return False
        if not pace.suits(self._took_s):
            return False
        left_s = pace.left_s
        gc.collect()
        self._took_s = left_s - pace.left_s
        self._rests_until_s = now_s + self._took_s / SHARE_MAX
        if self._keeps and now_s < self._keeps_until_s:
            self._keeps -= 1
            gc.freeze()
        return True
