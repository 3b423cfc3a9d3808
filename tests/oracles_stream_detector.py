"""A slow twin of the detector of streams: one sample at a time, by the book, in float64.

Past samples are kept in a list and looked up by their age; medians are those of the standard
library; the tails are lists of bins that are walked through.
"""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from models.bundles.bundle import StreamSpec

    F64 = NDArray[np.float64]

BIN_LOW, BIN_HIGH = 1e-3, 1e4


@dataclass
class StreamTwin:
    """One row and its memory. bank: (B, w)   counts, sums: (V, bins), which go on counting."""

    spec: StreamSpec
    center: float
    scale: float
    bank: F64
    counts: F64
    sums: F64
    fusion: float
    past: list[float | None] = field(default_factory=list)  # oldest first
    averages: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.averages = [0.0] * len(self.spec.lambdas)

    def step(self, value: float | None) -> float:
        """Take one sample, None: no value; returns its score, NaN: not ready."""
        z = None if value is None else min(max((value - self.center) * self.scale, -1e6), 1e6)
        sizes = self._sizes(z)
        self.past.append(z)
        surprises = [
            self._surprise(view, size) for view, size in enumerate(sizes) if size is not None
        ]
        for view, size in enumerate(sizes):
            if size is not None:
                at = self._bin(size)
                self.counts[view, at] += 1.0
                self.sums[view, at] += size
        ready = [one for one in surprises if one is not None]
        return max(0.0, max(ready) - self.fusion) if ready else math.nan

    def _sizes(self, z: float | None) -> list[float | None]:
        near = [self.past[-back] for back in self.spec.offsets if back <= len(self.past)]
        usual = [one for one in near if one is not None]
        known = z is not None and len(usual) >= 5
        residual = z - statistics.median(usual) if z is not None and known else 0.0
        for k, rate in enumerate(self.spec.lambdas):
            tame = min(max(residual, -10.0), 10.0)
            self.averages[k] = (1.0 - rate) * self.averages[k] + rate * tame
        sizes: list[float | None] = [abs(residual) if known else None]
        sizes += [abs(average) if known else None for average in self.averages[1:]]
        before = self.past[-1] if self.past else None
        sizes.append(None if z is None or before is None else abs(z - before))
        return [*sizes, self._distance(z)]

    def _distance(self, z: float | None) -> float | None:
        window = [*self.past[len(self.past) - self.spec.window + 1 :], z]
        if len(window) < self.spec.window or any(one is None for one in window):
            return None
        squares = sorted(float(((np.array(window) - one) ** 2).sum()) for one in self.bank)
        return math.sqrt(statistics.fmean(squares[: self.spec.nearest]) / self.spec.window)

    def _bin(self, size: float) -> int:
        width = math.log(BIN_HIGH / BIN_LOW) / self.spec.bins
        place = math.floor(math.log(max(size, BIN_LOW) / BIN_LOW) / width)
        return min(max(place, 0), self.spec.bins - 1)

    def _surprise(self, view: int, size: float) -> float | None:
        """-log10 of the share of earlier samples that were as large; None: too few."""
        counts, sums = self.counts[view], self.sums[view]
        seen = counts.sum()
        if seen < 50.0:
            return None
        width = math.log(BIN_HIGH / BIN_LOW) / self.spec.bins
        own = self._bin(size)
        part = min(max(math.log(max(size, BIN_LOW) / BIN_LOW) / width - own, 0.0), 1.0)
        rank = counts[own:].sum() - counts[own] * part
        peaks = 5.0 if seen <= 100.0 else max(10.0, 0.02 * seen)
        if rank >= peaks:
            return math.log10(float((seen + 1.0) / (rank + 1.0)))
        at = self.spec.bins - 1
        while counts[at:].sum() < peaks:
            at -= 1
        more = peaks - counts[at + 1 :].sum()
        share = more / counts[at]
        edge = BIN_LOW * math.exp(at * width)
        begins = edge * math.exp(width * (1.0 - share))
        middle = edge * math.exp(width * (1.0 - share / 2.0))
        excess = (sums[at + 1 :].sum() + more * middle) / peaks - begins
        far = max(size - begins, 0.0) / max(excess, 1e-9)
        return math.log10(float(seen / peaks)) + float(far) / math.log(10.0)
