"""One figure of a benchmark: what `andon bench speed --json` lists."""

from __future__ import annotations

import math

import msgspec


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """What was measured, and what it is to be compared with.

    ratio: of `figure` to the figure of `against`, both of the same run; NaN where nothing stands
    beside it. at_least, at_most: what the ratio, or without one the figure, is to reach; with
    `of_figure` the figure, though there is a ratio.
    """

    id: str
    figure: float
    unit: str
    ratio: float
    against: str
    note: str = ""
    at_least: float | None = None
    at_most: float | None = None
    of_figure: bool = False

    @property
    def told(self) -> float:
        """What the target is of: the ratio or the figure."""
        return self.figure if self.of_figure or math.isnan(self.ratio) else self.ratio

    @property
    def reached(self) -> bool | None:
        """Whether it is as it should be; None: nothing was asked of it."""
        if self.at_least is None and self.at_most is None:
            return None
        enough = self.at_least is None or self.told >= self.at_least
        return enough and (self.at_most is None or self.told <= self.at_most)


class Curve(msgspec.Struct, frozen=True, kw_only=True):
    """What something costs against something else: one plot. None: not measured there."""

    title: str
    x_name: str
    y_name: str
    x: tuple[float, ...]
    series: dict[str, tuple[float | None, ...]]


class Shares(msgspec.Struct, frozen=True, kw_only=True):
    """Where the time of something goes: names and shares that sum to 1, the largest first."""

    title: str
    of: str
    parts: tuple[tuple[str, float], ...]


class Measured(msgspec.Struct, kw_only=True):
    """What one part of the benchmark has to tell. not_measured: id -> why not."""

    figures: list[Figure] = []
    curves: list[Curve] = []
    shares: list[Shares] = []
    not_measured: dict[str, str] = {}
