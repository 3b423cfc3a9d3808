"""The short way of the VAR for a single row: each operation counts, not its size.

Residuals, averages and the next state of a sample all depend linearly on the state and the clipped
sample, so one product with a matrix that is made once gives them all:

    (state, x - center clipped, 1) B = (next state, averages as the tails take them, sums)

What is left are a few numbers, and Python itself is quicker with those than arrays are. Blocks of
samples have windows of lags times the row's weights, and averages as a product with their decays by
age. A row is steady, and a value a number, as `VarWay` has it, told by the numbers that go by: the
sums of the state that was given are at their limits, and NaN times nothing is NaN.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from typing import TYPE_CHECKING, Any

import numpy as np

from models.steady.rows import TRIANGLE_MAX, decays_of

if TYPE_CHECKING:
    from models.asked import F32, Mask
    from models.bundles.bundle import Spec
    from models.steady.rows import Few, Rows

# what it stays below the fusion for, where lines begin (J,), and their offset and slope (J + 1,)
Tail = tuple[float, list[float], list[float], list[float]]


def matrix_cells(spec: Spec) -> int:
    """Cells of a row's matrix B."""
    s, c = spec.state_width, spec.channels
    return (s + c + 1) * (s + spec.views * c + spec.state_sizes[2] + 1)


class SteadyRow:
    """One row, scored a sample or a block at a time, by one thread."""

    def __init__(self, spec: Spec, row: Rows, few: Few, *, first: int, run: int) -> None:
        """row: of one asset, `ready` finite   first, run: where v, n, q and the run stand.

        few: the same row, for what is asked seldom: long blocks, or channels that it does not have
        """
        self._few = few
        self._spec, self._first, self._run = spec, first, run
        self._center, self._low, self._high, self._scale = (
            np.ascontiguousarray(row[name][:, 0]) for name in ("center", "low", "high", "scale")
        )
        self._shape = (1, 1, spec.channels)
        self._matrix = _matrix(spec, row, first=first, run=run)
        self._taken = np.ones(len(self._matrix), np.float32)  # the last stays 1
        self._before = self._taken[None, : spec.state_width]
        self._off = self._taken[spec.state_width : -1]
        self._product = self._taken.dot
        s, told = spec.state_width, spec.views * spec.channels
        self._after, self._told = slice(s), slice(s, -1)
        self._sums = slice(told, -2)  # of what is told of: as squares, like all of it
        self._limits = np.square(row["limits"][:, 0]).tolist()
        self._plain_limits = row["limits"][:, 0].tolist()
        self._ready, self._full = float(row["ready"][0]) ** 2, float(spec.lags) ** 2
        self._fusion = float(row["fusion"][0])
        self._tails = self._of_rates(row)
        self._weights = _weights(row)
        self._even = row["even"][..., 0] ** 2  # (K, c) of squares
        self._knots, self._slopes = row["knots"][..., 0], row["slopes"][..., 0]  # (V, J)
        self._rest = np.zeros(spec.state_width - first, np.float32)  # of a state, from sums on
        self._rest[: run - first] = row["limits"][:, 0]
        self._rest[run - first + 1] = spec.lags

    def _of_rates(self, row: Rows) -> list[tuple[Any, ...]]:
        """Of each rate, where its squares are that a tail is told of, and the tail: two of them."""
        told, c, k = [], self._spec.channels, len(self._spec.lambdas)
        tails = list(zip(row["knots"][..., 0], row["slopes"][..., 0], strict=True))
        for j in range(k):
            at = 2 * c * j
            together = _tail(*tails[j], power=3, fusion=self._fusion)
            worst = _tail(*tails[k + j], power=2, fusion=self._fusion)
            told.append((slice(at, at + c), slice(at + c, at + 2 * c), *together, *worst))
        return told

    def score(self, x: F32, valid: Mask, state: F32) -> tuple[F32, F32] | None:
        """Score samples x (1, n, c): score (1, n) and state (1, s). None: not by the short way.

        None where a value is missing or NaN, or the row is not steady.
        """
        if b"\0" in valid.tobytes():
            return self._few.scored(x, valid, state)
        if x.shape != self._shape:
            short = 1 < x.shape[1] <= TRIANGLE_MAX
            return self._block(x, state) if short else self._few.scored(x, valid, state)
        off = self._off
        self._before[...] = state
        np.subtract(x[0, 0], self._center, off)
        np.maximum(off, self._low, out=off)
        np.minimum(off, self._high, out=off)
        found = self._product(self._matrix)
        told = found[self._told]
        squares = np.multiply(told, told).tolist()
        if squares[self._sums] != self._limits:  # NaN too, as each is wherever a value is
            return None
        if squares[-2] < self._ready or squares[-1] < self._full:
            return None
        found[-1] = self._over(squares)
        return found[None, -1:], found[None, self._after]

    def _block(self, x: F32, state: F32) -> tuple[F32, F32] | None:
        """Score samples x (1, n, c), n from 2 to TRIANGLE_MAX, of a steady row."""
        spec, run = self._spec, self._run
        *sums, steps, full = state[0, self._first : run + 2].tolist()
        if sums != self._plain_limits or steps**2 < self._ready or full < spec.lags:
            return None
        n, c, p, k = x.shape[1], spec.channels, spec.lags, len(spec.lambdas)
        series = np.empty((p + n, c), np.float32)
        series[:p] = state[0, : p * c].reshape(p, c)
        z = series[p:]
        np.subtract(x[0], self._center, out=z)
        np.maximum(z, self._low, out=z)
        np.minimum(z, self._high, out=z)
        np.multiply(z, self._scale, out=z)
        windows = np.ndarray((n, (p + 1) * c), np.float32, series, strides=series.strides)
        residuals = np.dot(windows, self._weights)  # (n, 2 c)
        after = np.empty((1, spec.state_width), np.float32)
        stack = np.empty((n, k, 2, c), np.float32)
        for j, rate in enumerate(spec.lambdas):
            at, mean = p * c + 2 * c * j, residuals
            if rate != 1.0:
                decays, faded = decays_of(n, rate)
                mean = np.dot(decays, residuals)
                mean += faded * state[0, at : at + 2 * c]
            stack[:, j] = mean.reshape(n, 2, c)
            after[0, at : at + 2 * c] = mean[-1]
        t = np.empty((n, 2, k, 1), np.float32)
        np.multiply(stack, stack, out=stack)
        stack[:, :, 1] *= self._even
        np.cbrt(np.add.reduce(stack[:, :, 0], axis=2), out=t[:, 0, :, 0])
        np.sqrt(np.maximum.reduce(stack[:, :, 1], axis=2), out=t[:, 1, :, 0])
        over = np.maximum(t.reshape(n, 2 * k, 1), self._knots)
        over -= self._knots
        best = np.maximum.reduce(np.einsum("nvj,vj->nv", over, self._slopes), axis=1)
        best -= self._fusion
        score = np.maximum(best, np.float32(0.0))[None]
        if math.isnan(score.sum()):  # a value is
            return None
        after[0, : p * c] = series[n:].reshape(-1)
        after[0, self._first :] = self._rest
        after[0, self._run] = state[0, self._run] + n
        return score, after

    def _over(self, squares: list[float]) -> float:
        """How far the largest surprise is over the fusion, of averages squared (2 K c,), or 0."""
        best, bisect = self._fusion, bisect_right
        for whole, part, low, knots, offsets, slopes, least, others, begun, rises in self._tails:
            size = sum(squares[whole])
            if size > low:
                t = math.cbrt(size)
                i = bisect(knots, t)
                best = max(best, offsets[i] + slopes[i] * t)
            most = max(squares[part])
            if most > least:
                t = math.sqrt(most)
                i = bisect(others, t)
                best = max(best, begun[i] + rises[i] * t)
        return best - self._fusion


def _weights(row: Rows) -> F32:
    """What a window of z, oldest lag first, is multiplied with ((p + 1) c, 2 c)."""
    plain = np.vstack([row["reach"][..., 0], np.diag(row["own"][:, 0])]).astype(np.float64)
    white = plain @ row["white"][..., 0]
    return np.hstack([white, plain]).astype(np.float32)


def _matrix(spec: Spec, row: Rows, *, first: int, run: int) -> F32:
    """B: the next state, then averages, each channel's own made even; sums as they were; room."""
    s, c, p = spec.state_width, spec.channels, spec.lags
    scale = row["scale"][:, 0].astype(np.float64)
    plain = np.zeros((s + c + 1, c))
    plain[: p * c] = row["reach"][..., 0]
    plain[s : s + c] = np.diag(scale * row["own"][:, 0])
    residuals = np.hstack([plain @ row["white"][..., 0].astype(np.float64), plain])
    after = np.zeros((s + c + 1, s))
    told = []
    for j, rate in enumerate(spec.lambdas):
        at = p * c + 2 * c * j
        mean = rate * residuals
        mean[at : at + 2 * c] += (1.0 - rate) * np.eye(2 * c)
        after[:, at : at + 2 * c] = mean
        told += [mean[:, :c], mean[:, c:] * row["even"][j, :, 0]]
    keep = (p - 1) * c
    after[c : p * c, :keep] = np.eye(keep)
    after[s : s + c, keep : p * c] = np.diag(scale)
    after[-1, first:run] = row["limits"][:, 0]
    after[run:s, run:] = np.eye(s - run)
    after[-1, run] = 1.0
    sums = np.eye(len(after))[:, first : run + 2]
    return np.hstack([after, *told, sums, np.zeros((len(after), 1))]).astype(np.float32)


def _tail(knots: F32, slopes: F32, *, power: int, fusion: float) -> Tail:
    """A tail (J,) as lines; t is a root, of this power, of what it is told of."""
    order = np.argsort(knots, kind="stable")
    at, steps = knots[order].astype(np.float64), slopes[order].astype(np.float64)
    offsets = np.concatenate([[0.0], -np.cumsum(at * steps)])
    rises = np.concatenate([[0.0], np.cumsum(steps)])
    quiet = 0.0
    values = offsets[1:] + rises[1:] * at  # at the knots
    if (rises >= 0.0).all() and fusion > 0.0:
        i = int(np.searchsorted(values, fusion, side="right"))  # the line that it is reached on
        quiet = float((fusion - offsets[i]) / rises[i]) if rises[i] > 0.0 else np.inf
    return quiet**power, at.tolist(), offsets.tolist(), rises.tolist()
