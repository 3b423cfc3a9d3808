"""Slow twin of the checks of sensors: one sample at a time, everything remembered, nothing clever.

It shares no code with what it checks, but the constants that define it.
"""

from __future__ import annotations

import math
import statistics
import zlib
from itertools import combinations
from typing import TYPE_CHECKING, Final

from edge.samples import looks
from edge.samples.quality import RANGE_SAMPLES
from models.fitting.health import KEPT, KNOWN_MIN, WHITE, WINDOW

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge.samples.looks import Bounds

BLANK: Final = None  # a row at which the asset did not run


class Sensors:
    """The sensors of one asset. Takes one sample after another."""

    def __init__(
        self, bounds: Bounds, span: tuple[Sequence[float], Sequence[float]], *, asset: str
    ) -> None:
        self._bounds = bounds
        self._span = span
        c = len(bounds.stuck)
        self._shown = [math.nan] * c
        self._equal, self._absent, self._beyond = [0] * c, [0] * c, [0] * c
        place = zlib.crc32(asset.encode()) % 16
        self._repeats, self._samples = 0, -bounds.hop * place // 16
        self._past: list[list[float] | None] = []  # the whole stream
        self._noise = [""] * c  # what is called so now: "", high, low
        self._sparse = [False] * c
        self._suspect = [""] * c
        m = len(bounds.pairs)
        self._apart, self._apart_once = [False] * m, [False] * m
        self._agreed = [False] * m  # when both were last seen together

    def step(self, row: Sequence[float], *, counted: bool) -> list[set[str]]:
        """What is wrong with each channel."""
        bounds, c = self._bounds, len(row)
        known = [not math.isnan(v) for v in row]
        same = [known[j] and row[j] == self._shown[j] for j in range(c)]
        for j in range(c):
            self._count(j, row[j], same=same[j], counted=counted)
        if any(known[j] and not same[j] for j in range(c)):
            self._repeats = 0
        elif any(same) and counted:
            self._repeats += 1
        self._shown = [row[j] if known[j] else self._shown[j] for j in range(c)]
        self._past.append([float(v) for v in row] if counted else BLANK)
        self._samples += counted
        if counted and self._samples % bounds.hop == 0 and self._samples >= WINDOW:
            self._look()
        said = [self._held(j) for j in range(c)]
        for j in range(c):
            missing = self._absent[j] >= bounds.absent[j]
            if self._equal[j] >= bounds.stuck[j]:
                said[j].add("stuck")
            if missing:
                said[j].add("missing")
            if self._beyond[j] >= RANGE_SAMPLES:
                said[j].add("out_of_range")
            if self._repeats >= bounds.repeats and not math.isnan(self._shown[j]) and not missing:
                said[j].add("stale")
        return said

    def _count(self, j: int, value: float, *, same: bool, counted: bool) -> None:
        if math.isnan(value):
            self._absent[j] += counted
            return
        self._absent[j] = 0
        self._equal[j] = self._equal[j] + counted if same else 0
        out = value < self._span[0][j] or value > self._span[1][j]
        self._beyond[j] = self._beyond[j] + counted if out else 0

    def _held(self, j: int) -> set[str]:
        said = {f"noise_{self._noise[j]}"} if self._noise[j] else set()
        said |= {"missing"} if self._sparse[j] else set()
        for group in self._bounds.groups if any(self._apart) else ():
            votes: dict[int, list[bool]] = {}
            for pair, a, b in group:
                if not math.isnan(self._distances[pair]):
                    votes.setdefault(a, []).append(self._apart[pair])
                    votes.setdefault(b, []).append(self._apart[pair])
            alone = [one for one, cast in votes.items() if 2 * sum(cast) > len(cast)]
            if alone and 2 * len(alone) < len(votes):
                said |= {"drift"} if j in alone else set()
            elif any(votes.get(j, ())):
                said.add("disagrees")
        return said

    # --- windows ---

    def _window(self) -> list[list[float] | None]:
        """The newest rows, of several blank ones in a row only the first."""
        kept: list[list[float] | None] = []
        for row in self._past:
            if row is not BLANK or (kept and kept[-1] is not BLANK):
                kept.append(row)
        return [BLANK] * (WINDOW - len(kept)) + kept[-WINDOW:]

    def _look(self) -> None:
        bounds, rows = self._bounds, self._window()
        c = len(bounds.stuck)
        columns = [[math.nan if row is None else row[j] for row in rows] for j in range(c)]
        ran = sum(row is not BLANK for row in rows)
        new = [""] * c
        for j, column in enumerate(columns):
            noise, level = _noise(column), _level(column)
            share = sum(not math.isnan(v) for v in column) / ran
            least = looks.SPARSE_STAYS if self._sparse[j] else looks.SPARSE
            self._sparse[j] = share < bounds.present[j] * least
            near = bounds.level_low[j] <= level <= bounds.level_high[j]
            spread = looks.MEDIAN_REACH * noise
            calm = bounds.calm_low[j] - spread <= level <= bounds.calm_high[j] + spread
            loud = noise > bounds.noise_high[j]
            faint = noise < bounds.noise_low[j] and self._equal[j] < looks.HELD
            faint = faint and _still(column) <= looks.FAINT_STILL
            stays = {
                "": False,
                "high": noise > looks.NOISE_STAYS * bounds.noise_high[j],
                "low": noise < bounds.noise_low[j] / looks.NOISE_STAYS,
            }[self._noise[j]]
            now = "high" if loud and calm else "low" if faint and near else ""
            new[j] = now if now != self._noise[j] else ""
            self._noise[j] = self._noise[j] if stays else ""
        watched = sum(not math.isnan(v) for v in bounds.noise_low)
        if sum(map(bool, new)) > max(1, looks.CROWD_SHARE * watched):
            new = [""] * c
        for j in range(c):
            if new[j] and new[j] == self._suspect[j]:
                self._noise[j] = new[j]
        self._suspect = new
        self._distances = [_distance(columns[a], columns[b]) for a, b in bounds.pairs.tolist()]
        for k, apart in enumerate(self._distances):
            far = [
                apart < bounds.apart[0][k] - reach or apart > bounds.apart[1][k] + reach
                for reach in (bounds.reach[k], looks.APART_STAYS * bounds.reach[k])
            ]
            agree = not math.isnan(apart) and not far[1]
            over = agree and self._agreed[k]
            self._apart[k] = (self._apart[k] and not over) or (far[0] and self._apart_once[k])
            self._apart_once[k] = far[0]
            if not math.isnan(apart):
                self._agreed[k] = agree


def _noise(column: Sequence[float]) -> float:
    jolts = sorted(
        abs(column[i + 1] - 2.0 * column[i] + column[i - 1])
        for i in range(1, len(column) - 1)
        if not any(math.isnan(v) for v in column[i - 1 : i + 2])
    )
    if len(jolts) < KNOWN_MIN * WINDOW:
        return math.nan
    kept = jolts[: max(int(KEPT * len(jolts)), 1)]
    return statistics.fmean(kept) / WHITE


def _still(column: Sequence[float]) -> float:
    jolts = [column[i + 1] - 2.0 * column[i] + column[i - 1] for i in range(1, len(column) - 1)]
    known = [jolt for jolt in jolts if not math.isnan(jolt)]
    return sum(jolt == 0.0 for jolt in known) / len(known) if known else math.nan


def _level(column: Sequence[float]) -> float:
    known = [v for v in column if not math.isnan(v)]
    return statistics.median_low(known) if known else math.nan


def _distance(a: Sequence[float], b: Sequence[float]) -> float:
    known = [x - y for x, y in zip(a, b, strict=True) if not math.isnan(x - y)]
    return statistics.median_low(known) if len(known) >= KNOWN_MIN * WINDOW else math.nan


def longest_run(column: Sequence[float]) -> int:
    """The longest run of one value in a channel; gaps do not end it."""
    known = [v for v in column if not math.isnan(v)]
    spans = [j - i for i, j in combinations(range(len(known) + 1), 2) if len(set(known[i:j])) == 1]
    return max(spans, default=0)
