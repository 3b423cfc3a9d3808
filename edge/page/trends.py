"""Scores of every asset over the newest time, for trends; bounded in points and in assets."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    from edge.wire.outgoing import ScorePayload

POINTS_MAX: Final = 1_500  # an asset: four hours of a point each ten seconds, 24 KB
ASSETS_MAX: Final = 10_000


class Trend(msgspec.Struct, frozen=True, kw_only=True):
    """Scores and thresholds over time, oldest first; null: not ready."""

    asset: str
    t_ms: list[int]
    score: list[float | None]
    threshold: list[float]


class _Points:
    """Of one asset, sorted by time."""

    __slots__ = ("score", "t_ms", "threshold")

    def __init__(self) -> None:
        self.t_ms, self.score, self.threshold = array("q"), array("f"), array("f")

    def take(self, t_ms: int, score: float | None, threshold: float) -> None:
        """Keep a point, in its place by time; the oldest goes."""
        place = bisect_left(self.t_ms, t_ms)
        if place < len(self.t_ms) and self.t_ms[place] == t_ms:
            return
        self.t_ms.insert(place, t_ms)
        self.score.insert(place, float("nan") if score is None else score)
        self.threshold.insert(place, threshold)
        if len(self.t_ms) > POINTS_MAX:
            for values in (self.t_ms, self.score, self.threshold):
                values.pop(0)


class Trends:
    """By asset."""

    def __init__(self) -> None:
        self._by_asset: dict[str, _Points] = {}
        self.refused_total = 0  # scores of assets beyond ASSETS_MAX

    def take(self, said: ScorePayload) -> None:
        """Keep a score; one of the same time again changes nothing."""
        points = self._by_asset.get(said.asset)
        if points is None:
            if len(self._by_asset) >= ASSETS_MAX:
                self.refused_total += 1
                return
            points = self._by_asset[said.asset] = _Points()
        points.take(said.ts_ms, said.score, said.threshold)

    def since(self, asset: str, after_ms: int) -> Trend:
        """Points of an asset later than a time; none of one that was never heard."""
        points = self._by_asset.get(asset) or _Points()
        first = bisect_left(points.t_ms, after_ms + 1)
        return Trend(
            asset=asset,
            t_ms=list(points.t_ms[first:]),
            score=[None if score != score else score for score in points.score[first:]],  # noqa: PLR0124 - NaN
            threshold=list(points.threshold[first:]),
        )

    def newest(self, asset: str) -> tuple[int, float | None, float] | None:
        """Time, score and threshold of the newest point."""
        points = self._by_asset.get(asset)
        if points is None or not points.t_ms:
            return None
        score = points.score[-1]
        return points.t_ms[-1], None if score != score else score, points.threshold[-1]  # noqa: PLR0124 - NaN
