"""One figure of a benchmark: what `andon bench speed --json` lists."""

from __future__ import annotations

import math

import msgspec


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """What was measured, and what it is to be compared with.

    ratio: of `figure` to the figure of `against`, both of the same run; NaN where nothing stands
    beside it. at_least, at_most: what the ratio, or without one the figure, is to reach.
    """

    id: str
    figure: float
    unit: str
    ratio: float
    against: str
    note: str = ""
    at_least: float | None = None
    at_most: float | None = None

    @property
    def reached(self) -> bool | None:
        """Whether it is as it should be; None: nothing was asked of it."""
        if self.at_least is None and self.at_most is None:
            return None
        told = self.figure if math.isnan(self.ratio) else self.ratio
        enough = self.at_least is None or told >= self.at_least
        return enough and (self.at_most is None or told <= self.at_most)
