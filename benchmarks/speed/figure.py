"""One figure of a benchmark: what `andon bench speed --json` lists."""

from __future__ import annotations

import math
import os
from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    from collections.abc import Sequence

# One spelling a kind: rates of scoring are of a processor second, times of clocks unless told.
UNITS: Final = (
    "M values/s", "GFLOP/s", "GB/s", "times", "% of a core", "% of a tick", "s", "ms",
    "us a message", "us a value", "ns a value", "MB", "kB", "calls a message", "bytes a value",
    "arrays a tick", "a tick",
)  # fmt: skip


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """What was measured, and what it is to be compared with.

    ratio: of `figure` to the figure of `against`, both of the same run; NaN where nothing stands
    beside it. A share has its fraction for a ratio. at_least, at_most: what the ratio, or without
    one the figure, is to reach; with `of_figure` the figure, though there is a ratio. eased: it was
    measured under less than what is asked for, as `note` says, and so it reaches nothing.
    """

    id: str
    figure: float
    unit: str
    ratio: float = math.nan
    against: str = ""
    note: str = ""
    at_least: float | None = None
    at_most: float | None = None
    of_figure: bool = False
    eased: bool = False

    @property
    def told(self) -> float:
        """What the target is of: the ratio or the figure."""
        return self.figure if self.of_figure or math.isnan(self.ratio) else self.ratio

    @property
    def reached(self) -> bool | None:
        """Whether it is as it should be; None: nothing was asked of it."""
        if self.at_least is None and self.at_most is None:
            return None
        enough = not self.eased and (self.at_least is None or self.told >= self.at_least)
        return enough and (self.at_most is None or self.told <= self.at_most)


def shown(found: Sequence[Figure]) -> str:
    """A line for each figure, one for the load of the machine, and last all as JSON."""
    lines = [
        f"{one.id}: {one.figure} {one.unit}, at most {one.at_most}; {one.note}" for one in found
    ]
    lines.append(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    return "\n".join([*lines, msgspec.json.encode(found).decode()])


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
