"""Few rows, by themselves: samples last in memory, so that operations over a block are long.

With assets last, an operation over a dozen assets is a dozen numbers long, and a block of samples
takes one for each sample. Here arrays are (a, .., n): what a row's samples are multiplied with is
one small product over all of them, and averages are a product with their decays by age, a piece of
the block at a time. A row's numbers are those of `models.steady.rows`, with assets first.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from copy import copy
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, Final, Self

import numpy as np

from models.steady.rows import decays_of, near

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from models.asked import F32, Mask
    from models.steady.rows import Few, Rows

PIECE_MAX: Final = 128  # samples whose averages are one product: it grows with their square
RATES_KEPT: Final = 16  # 64 kB each
VALUES_MAX: Final = 2**14  # a n c of a step: what it leaves in between stays in the L2 cache
READ: Final = (  # arrays of rows that every kind reads
    "center", "low", "high", "scale", "limits", "ready", "knots", "slopes", "fusion",
)  # fmt: skip


class FewRows(ABC):
    """What few rows of every kind share. A kind says how some samples are scored: `_step`.

    lines: (a, P) all that is read of each row, one number behind the other, so that some rows are
    taken out of many in one operation.
    """

    wide = 0  # numbers of a sample in between steps, where it is more than it has values

    def __init__(
        self, rows: Rows, lambdas: Sequence[float], *, width: int, first: int, run: int
    ) -> None:
        """width: of a state   first, run: where its sums begin and the run stands."""
        self._lambdas, self._width, self._first, self._run = lambdas, width, first, run
        arrays = {name: np.moveaxis(rows[name], -1, 0) for name in READ} | self._made(rows)
        absent = np.zeros_like(rows["center"])
        if rows.absent is not None:
            absent[rows.absent] = 1.0
        arrays["absent"] = absent.T
        flat = {name: value.reshape(len(rows), -1) for name, value in arrays.items()}
        ends = np.cumsum([value.shape[1] for value in flat.values()]).tolist()
        places = [slice(begin, end) for begin, end in pairwise([0, *ends])]
        shapes = [value.shape[1:] for value in arrays.values()]
        self._layout = list(zip(arrays, places, shapes, strict=True))
        self.lines = np.concatenate(list(flat.values()), axis=1, dtype=np.float32)
        self.read()

    def like(self, lines: F32) -> Self:
        """Other rows (a,) of the same detector, by their lines (a, P)."""
        found = copy(self)
        found.lines = lines
        found.read()
        return found

    @abstractmethod
    def _made(self, rows: Rows) -> dict[str, F32]:
        """What a kind makes of its own arrays (a, ..), by name."""

    def read(self) -> dict[str, F32]:
        """Find the arrays (a, ..) in the lines; those of a kind are returned."""
        a = len(self.lines)
        each = {name: self.lines[:, at].reshape(a, *shape) for name, at, shape in self._layout}
        self._shape, self._states = each["center"].shape, (a, self._width)
        self._center, self._low, self._high, self._scale = (
            each[name][:, :, None] for name in ("center", "low", "high", "scale")
        )
        self._limits, self._ready = each["limits"], each["ready"]
        self._limits_bytes, self._ready_last = self._limits.tobytes(), float(max(self._ready))
        absent = each["absent"]
        self._absent = absent != 0.0 if absent.any() else None
        self._knots_single, self._slopes_single = each["knots"], each["slopes"]  # (a, V, J)
        self._knots = each["knots"].swapaxes(0, 1)[..., None]
        self._slopes = each["slopes"].swapaxes(0, 1)[:, :, None]
        self._fusion = each["fusion"][:, None]
        return each

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


class Lines:
    """Lines of all rows of a detector, each made when it is first asked for, and kept.

    Assets report together by chance, and what a short way reads of a row is dearer to make than a
    tick is to score.
    """

    def __init__(self, make: Callable[[NDArray[np.intp]], Few]) -> None:
        """make: the short way of some rows (m,)."""
        self._make = make
        self._lines: dict[int, F32] = {}  # (P,) of a row
        self._one: Few | None = None  # of any rows

    def few(self, rows: NDArray[np.intp]) -> Few:
        """The short way of some rows (m,), in their order; m: above 0, and not many."""
        asked = rows.tolist()
        new = [row for row in asked if row not in self._lines]
        if self._one is None or new:
            self._one = self._make(np.array(new, np.intp))
            self._lines.update(zip(new, self._one.lines, strict=True))
        return self._one.like(np.stack([self._lines[row] for row in asked]))


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
