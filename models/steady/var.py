"""The short way of the default detector. See `models.graphs.graph` for what it computes.

    e_t = D z_t - R_1 z_t-1 - ... - R_p z_t-p    each channel's own residual, of unit variance
    w_t = M e_t                                  whitened from it: half the numbers of the graph's
    m_k, d_k                                     EWMAs of w and e, as in the graph
    t_k, t_K+k = cbrt |m_k|^2, max_i |d_k,i| even_k,i
    score = max_v sum_j slopes_vj max(t_v - knots_vj, 0) - fusion

with knots and slopes of the stored tails in these units: the deviates that the graph makes of t
rise linearly with it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from models.bundles.bundle import PARAMETERS
from models.fitting.tails import worst_scale
from models.steady.few import FewRows
from models.steady.one import SteadyRow, matrix_cells
from models.steady.rows import (
    TAILS,
    average,
    chi_square_tails,
    made,
    near,
    normalise,
    of_z,
    surprise,
)

if TYPE_CHECKING:
    from models.asked import F32, Mask, Parameters
    from models.bundles.bundle import Spec
    from models.steady.rows import Few, Rows

CELLS_MAX: Final = 2**14  # of a row's matrix: a product with a larger one costs too much
LIKE: Final = 1e-5  # of the largest weight: how far M e may be from the graph's own weights


class VarWay:
    """The short way of a VAR; implements `models.steady.rows.Way`.

    Its arrays beside those of all: reach (p c, c, a), own (c, a) and white (c, c, a) are minus R,
    oldest lag first, D and M; even (K, c, a).
    """

    names: tuple[str, ...] = PARAMETERS

    def __init__(self, spec: Spec) -> None:
        self._spec = spec
        lags, means, sums, _ = spec.state_sizes
        self.first, self.run = lags + means, lags + means + sums - 2  # of v, n, q; behind them

    def rows(self, parameters: Parameters) -> Rows:
        """Parameters (a, ...) as it takes them."""
        spec, present = self._spec, parameters["present"]
        c, k, p = spec.channels, len(spec.lambdas), spec.lags
        wide = {name: value.astype(np.float64) for name, value in parameters.items()}
        with np.errstate(all="ignore"):  # of rows that nobody fitted
            weights = wide["weights"]
            plain, last = weights[:, :, c:], weights[:, p * c :]
            own = np.diagonal(last[:, :, c:], axis1=1, axis2=2)  # (a, c) of the newest z
            white = last[:, :, :c] / own[:, :, None]
            apart = np.abs(plain @ white - weights[:, :, :c]).max(axis=(1, 2), initial=0.0)
            alike = apart <= LIKE * np.abs(weights).max(axis=(1, 2), initial=0.0)
            count = present.sum(axis=1)
            rate = np.array(spec.lambdas)
            settled = np.repeat((rate / (2.0 - rate))[:, None], len(count), axis=1)  # (K, a)
            offset, gain = worst_scale(c)[count].T
            knots, slopes = (wide[name].transpose(1, 2, 0) for name in TAILS)
            freedom = np.broadcast_to(count, settled.shape)
            together = chi_square_tails(knots[:k], slopes[:k], settled * count, freedom)
            root = np.sqrt(settled)[:, None]
            worst = root * (offset + knots[k:] / gain), slopes[k:] * gain / root
            arrays = of_z(wide, present) | {
                "reach": plain[:, : p * c].transpose(1, 2, 0),
                "own": own.T,
                "white": white.transpose(1, 2, 0),
                "even": wide["evenness"].transpose(1, 2, 0),
                "knots": np.concatenate([together[0], worst[0]]),
                "slopes": np.concatenate([together[1], worst[1]]),
                "fusion": wide["fusion"][:, 0],
                "limits": np.concatenate([settled * count, settled * count, settled]),
            }
            ready = np.where(alike & (count > 0), wide["settle"][:, 0] + p, np.inf)
            return made(arrays, ready, present=present)

    def are_steady(self, rows: Rows, state: F32) -> Mask:
        """Which rows (a,) are steady. state: (s, a)."""
        run = self.run
        found = near(state[self.first : run], rows["limits"])
        found &= state[run] >= rows["ready"]
        found &= state[run + 1] >= self._spec.lags
        return found

    def few(self, rows: Rows) -> FewVars:
        """Some rows by themselves."""
        return FewVars(self._spec, rows, first=self.first, run=self.run)

    def one(self, row: Rows, few: Few) -> SteadyRow | None:
        """A single row for single samples; None where its matrix would be large."""
        spec = self._spec
        small = matrix_cells(spec) <= CELLS_MAX and bool(np.isfinite(row["ready"][0]))
        return SteadyRow(spec, row, few, first=self.first, run=self.run) if small else None

    def steady_state(self, rows: Rows, chance: np.random.Generator) -> F32:
        """Some steady state of each row (s, a)."""
        state = np.zeros((self._spec.state_width, len(rows)), np.float32)
        state[: self.first] = chance.normal(scale=0.5, size=(self.first, len(rows)))
        state[self.first : self.run] = rows["limits"]
        state[self.run], state[self.run + 1] = rows["ready"], self._spec.lags
        return state

    def score(self, rows: Rows, x: F32, state: F32, *, score: F32, after: F32) -> None:
        """Score samples x (n, c, a) after state (s, a), into score (n, a) and after (s, a).

        What becomes of a row that is not steady means nothing. NaN makes all scores after it NaN.
        """
        n, c, a = x.shape
        spec, first, run = self._spec, self.first, self.run
        p, k = spec.lags, len(spec.lambdas)
        if n == 1 and p:  # what is remembered is the window
            series, kept = state[: p * c], (p - 1) * c
            z = after[kept : p * c].reshape(1, c, a)
            after[:kept] = state[c : p * c]
        else:
            series = np.empty(((p + n) * c, a), np.float32)
            series[: p * c] = state[: p * c]
            z = series[p * c :].reshape(n, c, a)
        normalise(rows, x, out=z)
        before = state[p * c : first].reshape(k, 2 * c, a)
        means = after[p * c : first].reshape(k, 2 * c, a)
        stack = means[None] if n == 1 else np.empty((n, k, 2 * c, a), np.float32)
        at = spec.lambdas.index(1.0) if 1.0 in spec.lambdas else None  # it is its own average
        residuals = stack[:, at] if at is not None else np.empty((n, 2 * c, a), np.float32)
        _residuals(rows, series, z, out=residuals)
        for j, rate in enumerate(spec.lambdas):
            if j != at:
                average(residuals, before[j], rate, out=stack[:, j])
        self._surprise(rows, stack, out=score)
        if n > 1:
            after[: p * c] = series[n * c :]
            means[:] = stack[-1]
        after[first:run] = rows["limits"]
        np.add(state[run], np.float32(n), out=after[run])
        after[run + 1] = p
        after[run + 2 :] = 0.0  # no lag is uncertain

    def _surprise(self, rows: Rows, stack: F32, *, out: F32) -> None:
        """Scores (n, a) of EWMAs (n, K, 2 c, a)."""
        c, k, (n, a) = self._spec.channels, len(self._spec.lambdas), out.shape
        t = np.empty((n, 2 * k, a), np.float32)
        white, plain = stack[:, :, :c], stack[:, :, c:]
        np.cbrt(np.einsum("nkca,nkca->nka", white, white), out=t[:, :k])
        own = plain * rows["even"]
        np.maximum.reduce(np.abs(own, out=own), axis=2, out=t[:, k:])
        surprise(rows, t, out=out)


def _residuals(rows: Rows, series: F32, z: F32, *, out: F32) -> None:
    """Whitened residuals and each channel's own (n, 2 c, a) of samples z (n, c, a).

    series: (.., a) as many lags as there are, one behind the other, then those of z
    """
    n, c, a = z.shape
    plain, reach, white = out[:, c:], rows["reach"], rows["white"]
    np.multiply(z, rows["own"], out=plain)
    reached = np.empty((c, a), np.float32)
    for t in range(n):
        np.einsum("jca,ja->ca", reach, series[t * c : t * c + len(reach)], out=reached)
        np.add(plain[t], reached, out=plain[t])
        np.einsum("jca,ja->ca", white, plain[t], out=out[t, :c])


class FewVars(FewRows):
    """The short way of few rows of a VAR."""

    def __init__(self, spec: Spec, rows: Rows, *, first: int, run: int) -> None:
        self._lags = spec.lags
        self._rates = np.array(spec.lambdas, np.float32)[:, None]
        self._keep = np.float32(1.0) - self._rates
        super().__init__(rows, spec.lambdas, width=spec.state_width, first=first, run=run)

    def _made(self, rows: Rows) -> dict[str, F32]:
        plain, white = (
            np.ascontiguousarray(value.transpose(2, 0, 1), np.float64)
            for value in (np.concatenate([rows["reach"], _diagonal(rows["own"])]), rows["white"])
        )
        # a product a row: its bits do not depend on which rows it is made with
        both = np.concatenate([plain @ white, plain], axis=2)  # (a, (p + 1) c, 2 c)
        return {"weights": both.swapaxes(1, 2), "even": rows["even"].transpose(2, 0, 1) ** 2}

    def read(self) -> dict[str, F32]:
        """Find its own arrays too."""
        each = super().read()
        self._weights, self._even_single = each["weights"], each["even"]  # (a, K, c)
        self._even = self._even_single.swapaxes(0, 1)[..., None]
        return each

    def are_steady(self, state: F32) -> Mask:
        """Which rows (a,) are steady. state: (a, s)."""
        found = super().are_steady(state)
        found &= state[:, self._run + 1] >= self._lags
        return found

    def all_steady(self, state: F32) -> bool:
        """Whether all rows are steady. state: (a, s)."""
        return super().all_steady(state) and min(state[:, self._run + 1].tolist()) >= self._lags

    def _step(self, x: F32, state: F32, after: F32) -> F32:
        (a, n, c), p, k = x.shape, self._lags, len(self._lambdas)
        series = np.empty((a, c, p + n), np.float32)
        series[:, :, :p] = state[:, : p * c].reshape(a, p, c).swapaxes(1, 2)
        z = series[:, :, p:]
        z[...] = x.swapaxes(1, 2)
        self._normalise(z, out=z)
        asset, row, one = series.strides
        windows = np.ndarray((a, p + 1, c, n), np.float32, series, strides=(asset, one, row, one))
        stack, residuals = self._stack((a, 2 * c, 1 + n))
        np.matmul(self._weights, windows.reshape(a, -1, n), out=residuals[:, :, 1:])
        means = slice(p * c, self._first)
        self._averages(stack, residuals, state[:, means], after[:, means])
        newest = after[:, : p * c].reshape((a, p, c), copy=False)
        newest[...] = series[:, :, n:].swapaxes(1, 2)
        after[:, self._run + 1] = p
        np.multiply(stack, stack, out=stack)
        stack[:, :, c:] *= self._even
        t = np.empty((2 * k, a, 1 + n), np.float32)
        np.add.reduce(stack[:, :, :c], axis=2, out=t[:k])
        np.maximum.reduce(stack[:, :, c:], axis=2, out=t[k:])
        np.cbrt(t[:k], out=t[:k])
        np.sqrt(t[k:], out=t[k:])
        return self._surprise(t)[:, 1:]

    def _single(self, x: F32, state: F32, after: F32) -> F32:
        (a, c), k, lags = x.shape, len(self._lambdas), self._lags * x.shape[1]
        window = np.empty((a, lags + c, 1), np.float32)
        window[:, :lags, 0] = state[:, :lags]
        self._normalise(x[:, :, None], out=window[:, lags:])
        residuals = np.matmul(self._weights, window).reshape(a, 1, 2 * c)
        means = after[:, lags : self._first].reshape((a, k, 2 * c), copy=False)
        np.multiply(state[:, lags : self._first].reshape(means.shape), self._keep, out=means)
        means += residuals * self._rates
        after[:, :lags], after[:, self._run + 1] = window[:, c:, 0], self._lags
        squares = np.multiply(means, means)
        squares[:, :, c:] *= self._even_single
        t = np.empty((a, 2, k), np.float32)
        np.add.reduce(squares[:, :, :c], axis=2, out=t[:, 0])
        np.maximum.reduce(squares[:, :, c:], axis=2, out=t[:, 1])
        np.cbrt(t[:, 0], out=t[:, 0])
        np.sqrt(t[:, 1], out=t[:, 1])
        return self._surprise_single(t.reshape(a, 2 * k))


def _diagonal(values: F32) -> F32:
    """Matrices (c, c, a) of diagonals (c, a)."""
    told: F32 = np.eye(len(values), dtype=np.float32)[:, :, None] * values
    return told
