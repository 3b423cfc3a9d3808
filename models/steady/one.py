"""The short way of the VAR for a single row: each operation counts, not its size.

Residuals, averages and the next state of a sample all depend linearly on the state and the clipped
sample, so one product with a matrix that is made once gives them all:

    (state, x - center clipped, 1) B = (next state, averages as the tails take them)

What is left are a few numbers, and Python itself is quicker with those than arrays are. Blocks of
samples have windows of lags times the row's weights, and averages as a product with their decays by
age. A row is steady, and a value a number, as `VarWay` has it, told by the numbers that go by.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from typing import TYPE_CHECKING

import numpy as np

from models.steady.rows import TRIANGLE_MAX, decays_of

if TYPE_CHECKING:
    from models.asked import F32, Mask
    from models.bundles.bundle import Spec
    from models.steady.rows import Rows


def matrix_cells(spec: Spec) -> int:
    """Cells of a row's matrix B."""
    s, c = spec.state_width, spec.channels
    return (s + c + 1) * (s + spec.views * c)


class SteadyRow:
    """One row, scored a sample or a block at a time, by one thread."""

    def __init__(self, spec: Spec, row: Rows, *, first: int, run: int) -> None:
        """row: of one asset, `ready` finite   first, run: where v, n, q and the run stand."""
        self._spec, self._first, self._run = spec, first, run
        self._limits, self._ready = row["limits"][:, 0].tolist(), float(row["ready"][0])
        self._center, self._low, self._high, self._scale = (
            np.ascontiguousarray(row[name][:, 0]) for name in ("center", "low", "high", "scale")
        )
        self._shape = (1, 1, spec.channels)
        self._matrix = _matrix(spec, row, first=first, run=run)
        self._taken = np.ones(len(self._matrix), np.float32)  # the last stays 1
        self._before = self._taken[None, : spec.state_width]
        self._off = self._taken[spec.state_width : -1]
        self._width, self._half = spec.state_width, spec.channels
        stored = list(zip(row["knots"][..., 0], row["slopes"][..., 0], strict=True))
        tails, k = [_tail(*one) for one in stored], len(spec.lambdas)
        self._tails = list(zip(tails[:k], tails[k:], strict=True))  # of each rate
        self._fusion = float(row["fusion"][0])
        self._weights = _weights(row)
        self._even = row["even"][..., 0] ** 2  # (K, c) of squares
        self._knots, self._slopes = row["knots"][..., 0], row["slopes"][..., 0]  # (V, J)
        self._rest = np.zeros(spec.state_width - first, np.float32)  # of a state, from sums on
        self._rest[: run - first] = row["limits"][:, 0]
        self._rest[run - first + 1] = spec.lags

    def score(self, x: F32, valid: Mask, state: F32) -> tuple[F32, F32] | None:
        """Score samples x (1, n, c): score (1, n) and state (1, s). None: not by the short way.

        None where a value is missing or NaN, the row is not steady, or the block is too long.
        """
        if b"\0" in valid.tobytes():
            return None
        sums = len(self._limits)
        before = state[0, self._first : self._run + 2].tolist()
        if before[sums] < self._ready or before[sums + 1] < self._spec.lags:
            return None
        if before[:sums] != self._limits:
            return None
        if x.shape != self._shape:
            return self._block(x, state) if 1 < x.shape[1] <= TRIANGLE_MAX else None
        off = self._off
        self._before[...] = state
        np.subtract(x[0, 0], self._center, off)
        np.maximum(off, self._low, out=off)
        np.minimum(off, self._high, out=off)
        found = np.dot(self._taken, self._matrix)
        told = found[self._width :]
        best = self._surprise(np.multiply(told, told).tolist())
        if math.isnan(best):  # a value is
            return None
        score = np.empty((1, 1), np.float32)
        score[0, 0] = max(best - self._fusion, 0.0)
        return score, found[None, : self._width]

    def _block(self, x: F32, state: F32) -> tuple[F32, F32] | None:
        """Score samples x (1, n, c), n from 2 to TRIANGLE_MAX, of a steady row."""
        spec = self._spec
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

    def _surprise(self, squares: list[float]) -> float:
        """The largest surprise, of averages squared (2 K c,); NaN where one is."""
        best, begin, half, size = 0.0, 0, self._half, 0.0
        for together, worst in self._tails:
            middle = begin + half
            end = middle + half
            size = sum(squares[begin:middle])
            t, (knots, offsets, slopes) = math.cbrt(size), together
            i = bisect_right(knots, t)
            if i:
                best = max(best, offsets[i] + slopes[i] * t)
            t, (knots, offsets, slopes) = math.sqrt(max(squares[middle:end])), worst
            i = bisect_right(knots, t)
            if i:
                best = max(best, offsets[i] + slopes[i] * t)
            begin = end
        return size if math.isnan(size) else best


def _weights(row: Rows) -> F32:
    """What a window of z, oldest lag first, is multiplied with ((p + 1) c, 2 c)."""
    plain = np.vstack([row["reach"][..., 0], np.diag(row["own"][:, 0])]).astype(np.float64)
    white = plain @ row["white"][..., 0]
    return np.hstack([white, plain]).astype(np.float32)


def _matrix(spec: Spec, row: Rows, *, first: int, run: int) -> F32:
    """B (s + c + 1, s + 2 K c): the next state, then averages, each channel's own made even."""
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
    return np.hstack([after, *told]).astype(np.float32)


def _tail(knots: F32, slopes: F32) -> tuple[list[float], list[float], list[float]]:
    """A tail (J,) as lines: where each begins (J,), and offset and slope (J + 1,) from below on."""
    order = np.argsort(knots, kind="stable")
    at, steps = knots[order].astype(np.float64), slopes[order].astype(np.float64)
    offsets = np.concatenate([[0.0], -np.cumsum(at * steps)])
    return at.tolist(), offsets.tolist(), np.concatenate([[0.0], np.cumsum(steps)]).tolist()
