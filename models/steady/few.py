"""Few rows, by themselves: samples last in memory, so that operations over a block are long.

With assets last, an operation over a dozen assets is a dozen numbers long, and a block of samples
takes one for each sample. Here arrays are (a, .., n): what a row's samples are multiplied with is
one small product over all of them, and averages are a product with their decays by age, a piece of
the block at a time. A row's numbers are those of `models.steady.rows`, with assets first.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import lru_cache
from typing import TYPE_CHECKING, Final

import numpy as np

from models.steady.rows import Rows, decays_of, near

if TYPE_CHECKING:
    from collections.abc import Sequence

    from models.asked import F32, Mask

PIECE_MAX: Final = 128  # samples whose averages are one product: it grows with their square
RATES_KEPT: Final = 16  # 64 kB each
VALUES_MAX: Final = 2**14  # a n c of a step: what it leaves in between stays in the L2 cache


class FewRows(ABC):
    """What few rows of every kind share. A kind says how some samples are scored: `_step`."""

    wide = 0  # numbers of a sample in between steps, where it is more than it has values

    def __init__(
        self, rows: Rows, lambdas: Sequence[float], *, width: int, first: int, run: int
    ) -> None:
        """rows: as `assets_first` has them.

        width: of a state   first, run: where its sums begin and the run stands
        """
        each = {name: np.moveaxis(value, -1, 0) for name, value in rows.arrays.items()}
        self._lambdas, self._width, self._first, self._run = lambdas, width, first, run
        self._shape, self._states = each["center"].shape, (len(rows), width)
        self._center, self._low, self._high, self._scale = (
            each[name][:, :, None] for name in ("center", "low", "high", "scale")
        )
        self._limits, self._ready = each["limits"], rows["ready"]
        self._limits_bytes, self._ready_last = self._limits.tobytes(), float(max(self._ready))
        self._absent = None if rows.absent is None else np.ascontiguousarray(rows.absent.T)
        self._knots_single, self._slopes_single = each["knots"], each["slopes"]  # (a, V, J)
        self._knots = each["knots"].swapaxes(0, 1)[..., None]
        self._slopes = each["slopes"].swapaxes(0, 1)[:, :, None]
        self._fusion = each["fusion"][:, None]

    def scored(self, x: F32, valid: Mask, state: F32) -> tuple[F32, F32] | None:
        """Score x (a, n, c) where nothing is missing and all are steady: score (a, n) and state.

        None where that is not so, or shapes do not fit.
        """
        if x.shape != valid.shape or x.shape[::2] != self._shape or state.shape != self._states:
            return None
        if self._absent is not None:
            valid = valid | self._absent[:, None]
        if b"\0" in valid.tobytes() or not x.size or not self.all_steady(state):
            return None
        score, after = self.score(x, state)
        return None if np.isnan(score.sum()) else (score, after)  # a value is

    def all_steady(self, state: F32) -> bool:
        """Whether all rows are steady. state: (a, s). Faster than to ask which, most often."""
        if state[:, self._first : self._run].tobytes() != self._limits_bytes:
            return bool(self.are_steady(state).all())
        return bool(min(state[:, self._run].tolist()) >= self._ready_last)

    def are_steady(self, state: F32) -> Mask:
        """Which rows (a,) are steady. state: (a, s)."""
        found = near(state[:, self._first : self._run].T, self._limits.T)
        found &= state[:, self._run] >= self._ready
        return found

    def score(self, x: F32, state: F32) -> tuple[F32, F32]:
        """Score x (a, n, c) after state (a, s) of steady rows: score (a, n), state (a, s).

        n: above 0. What becomes of a row that is not steady means nothing. NaN makes all scores of
        its row NaN.
        """
        (a, n, c), run = x.shape, self._run
        step = max(PIECE_MAX, VALUES_MAX // (a * max(c, self.wide)))
        after = np.zeros(state.shape, np.float32)
        after[:, self._first : run] = self._limits
        np.add(state[:, run], np.float32(n), out=after[:, run])
        if n == 1:
            return self._single(x[:, 0], state, after)[:, None], after
        if n <= step:
            return self._step(x, state, after), after
        score = np.empty((a, n), np.float32)
        for begin in range(0, n, step):
            some = slice(begin, begin + step)
            score[:, some] = self._step(x[:, some], state, after)
            state = after  # each step reads what it changes before it does
        return score, after

    @abstractmethod
    def _step(self, x: F32, state: F32, after: F32) -> F32:
        """Scores (a, n) of x after state (a, s); averages and samples of the next into `after`."""

    def _single(self, x: F32, state: F32, after: F32) -> F32:
        """Likewise the scores (a,) of single samples x (a, c)."""
        return self._step(x[:, None], state, after)[:, 0]

    def _normalise(self, x: F32, *, out: F32) -> None:
        """Samples x (a, c, n) as z (a, c, n), as `models.steady.rows` has them."""
        np.subtract(x, self._center, out=out)
        np.maximum(out, self._low, out=out)
        np.minimum(out, self._high, out=out)
        np.multiply(out, self._scale, out=out)
        if self._absent is not None:
            np.copyto(out, np.float32(0.0), where=self._absent[:, :, None])

    def _stack(self, shape: tuple[int, int, int]) -> tuple[F32, F32]:
        """Room for EWMAs (K, a, w, 1 + n), and in it or beside it for their values (a, w, 1 + n).

        shape: (a, w, 1 + n)   The first of the values is room for what was before.
        """
        stack = np.empty((len(self._lambdas), *shape), np.float32)
        own = self._lambdas.index(1.0) if 1.0 in self._lambdas else None  # they are their average
        return stack, np.empty(shape, np.float32) if own is None else stack[own]

    def _averages(self, stack: F32, values: F32, state: F32, after: F32) -> None:
        """Fill the stack of the values (a, w, 1 + n); the last of it into `after`.

        state, after: (a, K w)   The first of what is in the stack means nothing, and is finite.
        """
        k, a, w, _ = stack.shape
        before = state.reshape(a, k, w)
        values[:, :, 0] = 0.0
        for j, rate in enumerate(self._lambdas):
            if rate != 1.0:
                average(values, before[:, j], rate, out=stack[j])
        after.reshape((a, k, w), copy=False)[...] = stack[..., -1].swapaxes(0, 1)

    def _surprise(self, t: F32) -> F32:
        """Scores (a, 1 + n) of statistics t (V, a, 1 + n) by their tails."""
        over = t[:, :, None] - self._knots
        np.maximum(over, np.zeros(t.shape[2], np.float32), out=over)  # quicker than with a number
        best: F32 = np.maximum.reduce(np.matmul(self._slopes, over), axis=0)[:, 0]
        best -= self._fusion
        return np.maximum(best, np.float32(0.0), out=best)

    def _surprise_single(self, t: F32) -> F32:
        """Scores (a,) of statistics t (a, V)."""
        over = t[:, :, None] - self._knots_single
        np.maximum(over, np.float32(0.0), out=over)
        best: F32 = np.maximum.reduce(np.einsum("avj,avj->av", over, self._slopes_single), axis=1)
        best -= self._fusion[:, 0]
        return np.maximum(best, np.float32(0.0), out=best)


def average(values: F32, old: F32, rate: float, *, out: F32) -> None:
    """EWMA out (a, w, 1 + n) of values (a, w, 1 + n) from its old value (a, w) on.

    The first of the values is room, and stays what was before.
    """
    (a, w, end), decays = values.shape, _decays(rate)
    values[:, :, 0] = old
    given, told = values.reshape(a * w, end), out.reshape(a * w, end)
    if end <= PIECE_MAX + 1:
        np.matmul(given, decays[:end, :end], out=told)
        return
    told[:, 0] = given[:, 0]
    for begin in range(0, end - 1, PIECE_MAX):
        piece, n = slice(begin, begin + PIECE_MAX + 1), min(PIECE_MAX + 1, end - begin)
        own = given[:, begin].copy()
        given[:, begin] = told[:, begin]  # all that was before counts as one value more
        np.matmul(given[:, piece], decays[:n, :n], out=told[:, piece])
        given[:, begin] = own


@lru_cache(maxsize=RATES_KEPT)
def _decays(rate: float) -> F32:
    """What an old average and PIECE_MAX values count for in itself and theirs (1 + n, 1 + n)."""
    fresh, before = decays_of(PIECE_MAX, rate)
    told = np.zeros((1 + PIECE_MAX, 1 + PIECE_MAX), np.float32)
    told[0, 0], told[0, 1:], told[1:, 1:] = 1.0, before[:, 0], fresh.T
    return told
