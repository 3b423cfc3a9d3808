"""The short way of the VAR for one sample of one row: each operation counts, not its size.

Residuals, averages and the next state all depend linearly on the state and the clipped sample, so
one product with a matrix that is made once gives them all:

    (state, x - center clipped, 1) B = (averages as the tails take them, next state)

What is left are a few numbers, and Python itself is quicker with those than arrays are. A row is
steady, and a value finite, as `VarWay` has it, told by the numbers that go by.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from models.asked import F32, Mask
    from models.bundles.bundle import Spec
    from models.steady.rows import Rows


def matrix_cells(spec: Spec) -> int:
    """Cells of a row's matrix B."""
    s, c = spec.state_width, spec.channels
    return (s + c + 1) * (s + spec.views * c)


class SteadyRow:
    """One row, scored a sample at a time."""

    def __init__(self, spec: Spec, row: Rows, *, first: int, run: int) -> None:
        """row: of one asset, `ready` finite   first, run: where v, n, q and the run stand."""
        self._first = first
        self._sums, self._end = run - self._first, run + 2
        self._width, self._c = spec.state_width, spec.channels
        self._shape = (1, 1, spec.channels)
        self._matrix = _matrix(spec, row, first=first, run=run)
        self._limits, self._ready = row["limits"][:, 0].tolist(), float(row["ready"][0])
        self._lags = spec.lags
        self._center, self._low, self._high = (
            np.ascontiguousarray(side[:, 0]) for side in (row["center"], row["low"], row["high"])
        )
        k = len(spec.lambdas)
        tails = [
            _tail(*one) for one in zip(row["knots"][..., 0], row["slopes"][..., 0], strict=True)
        ]
        self._tails = list(zip(tails[:k], tails[k:], strict=True))  # of each rate
        self._fusion = float(row["fusion"][0])

    def score(self, x: F32, valid: Mask, state: F32) -> tuple[F32, F32] | None:
        """Score one sample x (1, 1, c): score (1, 1) and state (1, s). None: not by the short way.

        None for more samples, where a value is missing or NaN, or the row is not steady.
        """
        if x.shape != self._shape or b"\0" in valid.tobytes():
            return None
        sums = self._sums
        before = state[0, self._first : self._end].tolist()
        if before[sums] < self._ready or before[sums + 1] < self._lags:
            return None
        if before[:sums] != self._limits:
            return None
        width = self._width
        taken = np.empty(len(self._matrix), np.float32)
        taken[:width] = state
        off = taken[width:-1]
        np.subtract(x[0, 0], self._center, off)
        np.maximum(off, self._low, out=off)
        np.minimum(off, self._high, out=off)
        taken[-1] = 1.0
        found = np.dot(taken, self._matrix)
        told = found[width:]
        best = self._surprise(np.multiply(told, told).tolist()) - self._fusion
        if math.isnan(best):  # a value is
            return None
        score = np.empty((1, 1), np.float32)
        score[0, 0] = max(best, 0.0)
        return score, found[None, :width]

    def _surprise(self, squares: list[float]) -> float:
        """The largest surprise, of averages squared (2 K c,); NaN where one is."""
        found, at, half = [0.0], 0, self._c
        for together, worst in self._tails:
            size = sum(squares[at : at + half])
            if math.isnan(size):
                return size
            found.append(_on(together, math.cbrt(size)))
            found.append(_on(worst, math.sqrt(max(squares[at + half : at + 2 * half]))))
            at += 2 * half
        return max(found)


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


def _on(tail: tuple[list[float], list[float], list[float]], t: float) -> float:
    """Surprise of t by a tail as lines."""
    knots, offsets, slopes = tail
    i = bisect_right(knots, t)
    return offsets[i] + slopes[i] * t
