"""The ensemble of histograms by the book: one row, one sample, loops, no graph."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from models.bundles.tabled_kinds import EnsembleSpec

    F64 = NDArray[np.float64]


@dataclass
class EnsembleTwin:
    """State of one row, moved on by `step`. p: its parameters by name, present: (c,) bool."""

    spec: EnsembleSpec
    p: dict[str, F64]
    present: NDArray[np.bool_]
    run: int = 0
    means: dict[float, float] = field(default_factory=dict)
    squares: dict[float, float] = field(default_factory=dict)

    def step(self, x: F64, valid: NDArray[np.bool_]) -> float:
        """Score of one sample, NaN: not ready."""
        z: dict[int, float] = {}
        for i in range(self.spec.channels):
            if valid[i] and self.present[i]:
                z[i] = max(-30.0, min(30.0, (x[i] - self.p["center"][i]) * self.p["scale"][i]))
        self.run = self.run + 1 if z else 0
        ready = self.run > self.p["settle"][0]
        deviate = self._deviate(z) if ready else 0.0
        best = 0.0
        for k, rate in enumerate(self.spec.lambdas):
            mean = (1 - rate) * self.means.get(rate, 0.0) + rate * deviate
            square = (1 - rate) ** 2 * self.squares.get(rate, 0.0) + rate**2 * ready
            self.means[rate], self.squares[rate] = mean, square
            view = mean / math.sqrt(max(square, 1e-12))
            knots, slopes = self.p["tail_knots"][k], self.p["tail_slopes"][k]
            surprise = sum(s * max(view - knot, 0.0) for knot, s in zip(knots, slopes, strict=True))
            best = max(best, float(surprise))
        return max(best - float(self.p["fusion"][0]), 0.0) if ready else math.nan

    def _deviate(self, z: dict[int, float]) -> float:
        rare: dict[int, float] = {}
        for j in range(self.spec.members):
            parts = {i: w for i, w in enumerate(self.p["directions"][:, j].tolist()) if w != 0.0}
            if not parts or not parts.keys() <= z.keys():
                continue
            seen = sum(w * z[i] for i, w in parts.items())
            place = (seen - self.p["low"][j]) / self.p["width"][j]
            at = min(max(math.floor(place), 0), self.spec.bins - 1)
            beyond = max(-place, place - self.spec.bins, 0.0)
            rare[j] = float(self.p["table"][j, at]) + min(beyond, 100.0)
        variance = sum(float(self.p["spread"][i, j]) for i in rare for j in rare)
        return max(-1e4, min(1e4, sum(rare.values()) / math.sqrt(max(variance, 1e-6))))
