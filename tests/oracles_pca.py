"""The detector of principal components by the book: one row, one sample, dense solves, no graph."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from models.bundles.tabled_kinds import PcaSpec

    F64 = NDArray[np.float64]


@dataclass
class PcaTwin:
    """State of one row, moved on by `step`. covariance: (c, c); components by hand from it."""

    spec: PcaSpec
    center: F64
    scale: F64
    present: NDArray[np.bool_]
    covariance: F64
    components: int
    knots: F64
    slopes: F64
    fusion: float
    settle: float
    run: int = 0
    means: list[F64] = field(default_factory=list)
    sums: list[F64] = field(default_factory=list)

    def __post_init__(self) -> None:
        c, k = self.spec.channels, len(self.spec.lambdas)
        self.means = [np.zeros(c) for _ in range(k)]
        self.sums = [np.zeros(5) for _ in range(k)]

    def step(self, x: F64, valid: NDArray[np.bool_]) -> float:
        """Score of one sample, NaN: not ready."""
        c = self.spec.channels
        seen = np.flatnonzero(valid & self.present)
        self.run = self.run + 1 if len(seen) else 0
        ready = self.run > self.settle
        filled, known = np.zeros(c), np.zeros(5)
        if ready:
            z = np.clip((x[seen] - self.center[seen]) * self.scale[seen], -30.0, 30.0)
            inner = self.covariance[np.ix_(seen, seen)]
            across = self.covariance[:, seen] * self.present[:, None]
            filled = across @ np.linalg.solve(inner, z)
            of_filled = across @ np.linalg.solve(inner, across.T)
            for i, form in enumerate(self._forms()):
                m = form @ of_filled
                power = float(np.trace(m @ m))
                known[2 * i : 2 * i + 2] = np.trace(m), np.trace(m) ** 2 / max(power, 1e-12)
            known[4] = 1.0
        surprises = [0.0] * self.spec.views
        for k, rate in enumerate(self.spec.lambdas):
            self.means[k] = (1 - rate) * self.means[k] + rate * filled
            self.sums[k] = (1 - rate) ** 2 * self.sums[k] + rate**2 * known
            for i, form in enumerate(self._forms()):
                view = i * len(self.spec.lambdas) + k
                z_view = self._deviate(form, k, i)
                surprises[view] = sum(
                    slope * max(z_view - knot, 0.0)
                    for knot, slope in zip(self.knots[view], self.slopes[view], strict=True)
                )
        return max(max(surprises) - self.fusion, 0.0) if ready else math.nan

    def _forms(self) -> tuple[F64, F64]:
        at = np.flatnonzero(self.present)
        values, vectors = np.linalg.eigh(self.covariance[np.ix_(at, at)])
        order = np.argsort(-values)[: self.components]
        p = np.zeros((len(self.present), self.components))
        p[at] = vectors[:, order]
        return p @ np.diag(1 / values[order]) @ p.T, np.diag(self.present * 1.0) - p @ p.T

    def _deviate(self, form: F64, k: int, i: int) -> float:
        mean, free = self.sums[k][2 * i : 2 * i + 2]
        q = self.sums[k][4]
        if free <= 1e-3 * q or q == 0.0:
            return -9.0
        b = 2.0 * q / (9.0 * free)
        size = float(self.means[k] @ form @ self.means[k])
        third = math.copysign(abs(size / float(mean)) ** (1 / 3), size)
        return (third - 1.0 + float(b)) / math.sqrt(b)
