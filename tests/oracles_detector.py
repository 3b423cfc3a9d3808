"""A slow twin of the detector: one row, one sample at a time, in float64, by the book.

Conditional means come from the residual covariance by linear solves, not from a sweep of the
precision; nothing is whitened; the EWMAs are kept in channel units.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from scipy import optimize, stats

from models.bundles.bundle import Spec

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from models.bundles.bundle import Part

    F64 = NDArray[np.float64]

Z_MAX = 30.0
U_MAX = 100.0


@dataclass
class OracleRow:
    """One row's parameters and its memory.

    center, scale: (c,)   present: (c,) bool   lags: (p, c, c), lags[0] for the newest
    precision: (c, c)   knots, slopes: (V, J)   evenness: (K, c)
    """

    spec: Spec
    center: F64
    scale: F64
    present: NDArray[np.bool_]
    lags: F64
    precision: F64
    settle: int
    knots: F64
    slopes: F64
    evenness: F64
    fusion: float
    past: list[F64] = field(default_factory=list)  # newest first
    doubt: list[F64] = field(default_factory=list)
    run: int = 0

    def __post_init__(self) -> None:
        k, c = len(self.spec.lambdas), self.spec.channels
        self.m = np.zeros((k, c))
        self.v, self.n, self.q = np.zeros(k), np.zeros(k), np.zeros(k)
        self.reset()

    def reset(self) -> None:
        """Forget the lags, as after a gap."""
        zero = np.zeros(self.spec.channels)
        self.past = [zero.copy() for _ in range(self.spec.lags)]
        self.doubt = [zero.copy() for _ in range(self.spec.lags)]
        self.run = 0

    def step(self, x: F64, valid: NDArray[np.bool_]) -> tuple[float, F64]:
        """Take one sample (c,); returns its score (NaN: not ready) and the shares (c,)."""
        c = self.spec.channels
        seen = valid & self.present
        for k, rate in enumerate(self.spec.lambdas):
            self.m[k] *= 1 - rate
            for weight in (self.v, self.n, self.q):
                weight[k] *= (1 - rate) ** 2
        if not seen.any():
            self.reset()
            return np.nan, np.zeros(c)
        self.run += 1
        noise, information, fill, own = self._expected(x, seen)
        self.past = [fill, *self.past[:-1]]
        self.doubt = [own, *self.doubt[:-1]]
        if self.run <= self.spec.lags + self.settle:
            return np.nan, np.zeros(c)
        mean = float(np.trace(self.precision @ information))
        freedom = mean**2 / float(
            np.trace(self.precision @ information @ self.precision @ information)
        )
        views = len(self.spec.lambdas)
        surprise = np.empty(2 * views)
        own_sigma = np.sqrt(np.diag(np.linalg.inv(self.precision)))
        for k, rate in enumerate(self.spec.lambdas):
            self.m[k] += rate * noise
            self.v[k] += rate**2 * mean
            self.n[k] += rate**2 * freedom
            self.q[k] += rate**2
            distance = self.m[k] @ self.precision @ self.m[k]
            deviate = wilson_hilferty(distance / self.v[k], self.n[k] / self.q[k])
            surprise[k] = self._table(k, deviate)
            even = np.abs(self.m[k] / own_sigma * self.evenness[k])
            largest = float(even[seen].max()) / np.sqrt(self.q[k])
            surprise[views + k] = self._table(views + k, worst_deviate(largest, int(seen.sum())))
        score = max(0.0, float(surprise.max()) - self.fusion)
        return score, self._shares(self.m[int(surprise.argmax()) % views], seen)

    def _expected(self, x: F64, seen: NDArray[np.bool_]) -> tuple[F64, F64, F64, F64]:
        """Expected innovation (c,), its covariance (c, c), filled sample (c,), its variance (c,).

        The innovation has covariance S; the residual is it plus what the lags' errors add,
        covariance V.
        """
        z = np.zeros(self.spec.channels)
        z[seen] = np.clip((x[seen] - self.center[seen]) * self.scale[seen], -Z_MAX, Z_MAX)
        expected = sum(a @ old for a, old in zip(self.lags, self.past, strict=True))
        covariance = np.linalg.inv(self.precision)
        wide = covariance.copy()
        for a, doubt in zip(self.lags, self.doubt, strict=True):
            wide += a @ np.diag(doubt) @ a.T
        gone = self.present & ~seen
        inside = np.linalg.inv(wide[np.ix_(seen, seen)])
        e = z[seen] - expected[seen]
        noise = covariance[:, seen] @ inside @ e
        information = covariance[:, seen] @ inside @ covariance[seen]
        fill, own = z.copy(), np.zeros_like(z)
        guess = expected[gone] + wide[np.ix_(gone, seen)] @ inside @ e
        fill[gone] = np.clip(guess, -Z_MAX, Z_MAX)
        rest = (
            wide[np.ix_(gone, gone)] - wide[np.ix_(gone, seen)] @ inside @ wide[np.ix_(seen, gone)]
        )
        own[gone] = np.minimum(np.diag(rest), U_MAX)
        return noise, information, fill, own

    def _table(self, k: int, deviation: float) -> float:
        return float((self.slopes[k] * np.maximum(deviation - self.knots[k], 0.0)).sum())

    def _shares(self, m: F64, seen: NDArray[np.bool_]) -> F64:
        covariance = np.linalg.inv(self.precision)
        inside = np.linalg.inv(covariance[np.ix_(seen, seen)])
        shares = np.zeros(len(m))
        shares[seen] = (inside @ m[seen]) ** 2 / np.diag(inside) + 1e-12
        return np.asarray(shares / shares.sum())


def oracle_row(part: Part, row: int) -> OracleRow:
    """A row of a part of a VAR as its slow twin, which has seen nothing."""
    assert isinstance(part.spec, Spec)
    c, p = part.spec.channels, part.spec.lags
    own = {name: value[row].astype(np.float64) for name, value in part.parameters.items()}
    white = own["weights"][-c:, :c].T
    back = np.linalg.inv(white)
    lags = np.stack([-back @ own["weights"][j * c : (j + 1) * c, :c].T for j in range(p)])[::-1]
    return OracleRow(
        spec=part.spec,
        center=own["center"],
        scale=own["scale"],
        present=part.parameters["present"][row],
        lags=lags,
        precision=white.T @ white,
        settle=int(own["settle"][0]),
        knots=own["tail_knots"],
        slopes=own["tail_slopes"],
        evenness=own["evenness"],
        fusion=float(own["fusion"][0]),
    )


def worst_deviate(largest: float, count: int) -> float:
    """Deviate of the largest of `count` |normal deviates|: right at 1 in 2 and at 1 in 1,000."""
    half, rare = (
        optimize.brentq(lambda a, p=p: 1.0 - (1.0 - 2.0 * stats.norm.sf(a)) ** count - p, 0.0, 20.0)
        for p in (0.5, 1e-3)
    )
    return float((largest - half) / (rare - half) * stats.norm.isf(1e-3))


def wilson_hilferty(ratio: float, nu: float) -> float:
    """Normal deviate of chi-square / nu = ratio."""
    b = 2.0 / (9.0 * nu)
    return float((np.cbrt(ratio) - 1.0 + b) / np.sqrt(b))
