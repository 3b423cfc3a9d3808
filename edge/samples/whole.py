"""Whole blocks: messages of many rows that bring every column of their assets, closed together.

A plant that sends blocks brings much for each asset, and in nearly every block nothing is odd: each
row is later than the one before, each value is there. Such blocks of many assets become samples in
a few operations, and so do last rows that have waited long enough. Whatever is not so goes its own
way (`edge.samples.pending`, `edge.samples.closing`) with the same outcome.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from edge.batches import Sheaf
from edge.caps import PENDING_ROWS_MAX
from edge.samples.columns import by_value
from edge.samples.pending import FLOAT32_MAX, NEVER
from edge.samples.together import FOREVER

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge.batches import Readings
    from edge.samples.layouts import AssetLayout
    from edge.samples.pending import F64, I64, AssetAlign, Indices, Mask
    from edge.samples.tag_sets import TagSet
    from edge.samples.together import Together

ROWS_MIN: Final = 2  # of a block: the last row that closes is one of its own
FEW: Final = 4  # blocks alike: fewer cost more together than each on its own


class Block(NamedTuple):
    """A block that waits. future_ns: its bound; a later one is from a suspect clock."""

    readings: Readings
    tags: TagSet
    future_ns: int


class _Rows(NamedTuple):
    """Rows of some assets (k,), m that waited and n of a block behind them, r = m + n.

    t_ns: (k, r) row times; stamps: (k, n, 1) when those of the block were measured, or without one
    (k, m, w) when those that waited were; values: (k, r, w).
    """

    t_ns: I64
    stamps: I64
    values: F64

    def of(self, chosen: Indices) -> _Rows:
        """Those of some of the assets (j,)."""
        return _Rows(self.t_ns[chosen], self.stamps[chosen], self.values[chosen])


class Whole:
    """Takes blocks, at most one an asset, and closes them; see `Aligner`, whose parts these are."""

    def __init__(
        self,
        layouts: Sequence[AssetLayout],
        states: Sequence[AssetAlign],
        together: Together,
        oldest_ns: I64,
    ) -> None:
        """oldest_ns: (a,) time of the oldest row that waits of an asset that goes its own way."""
        self._layouts, self._states, self._together = layouts, states, together
        self._oldest_ns = oldest_ns
        fits = together.forms.fits.tolist()
        # all columns of an asset, in order; None: what is held, or told as context, matters too
        self._columns = [
            tuple(range(layout.width))
            if fit and not layout.context and not layout.on_change.any()
            else None
            for layout, fit in zip(layouts, fits, strict=True)
        ]
        self.waiting: dict[int, Block] = {}

    def take(self, number: int, block: Block) -> bool:
        """Whether a block of an asset of which none waits can wait here; then it does."""
        columns, readings, tags = self._columns[number], block.readings, block.tags
        if columns is None or tags.columns != columns or tags.sources != columns:
            return False
        if len(readings.tags) != len(columns) or len(readings.t_ns) < ROWS_MIN:
            return False
        self.waiting[number] = block
        return True

    def taken(self, number: int | None = None) -> dict[int, Block]:
        """What waits of one asset, or of all, and waits no more."""
        if number is None:
            found, self.waiting = self.waiting, {}
            return found
        block = self.waiting.pop(number, None)
        return {} if block is None else {number: block}

    def close(self, *, overdue_ns: int) -> list[tuple[list[int], Sheaf]]:
        """Samples that are complete by now, with whose they are; what is not closed here waits on.

        overdue_ns: rows up to then are complete in any case.
        """
        waiting, told = self.waiting, []
        alike: dict[tuple[int, int, int, bool], list[int]] = {}
        odd = np.flatnonzero(self._oldest_ns <= overdue_ns).tolist()
        rest = [i for i in odd if i not in waiting and self._columns[i] is not None]
        for number in sorted([*waiting, *rest]):
            n = len(waiting[number].readings.t_ns) if number in waiting else 0
            m, layout = len(self._states[number].t_ns), self._layouts[number]
            alike.setdefault((n, m, layout.width, layout.grid), []).append(number)
        for (n, m, _, grid), numbers in alike.items():
            if len(numbers) < FEW or not 0 < m + n <= PENDING_ROWS_MAX:
                continue
            rows = self._rows(numbers, m, n, grid=grid)
            good = self._good(numbers, rows, m, grid=grid)
            complete = self._complete(numbers, rows, overdue_ns, grid=grid)
            chosen = np.flatnonzero(good & (complete > m if n else complete == m))
            for part, c in by_value(complete[chosen]):
                of = chosen[part]
                whose = [numbers[i] for i in of.tolist()]
                some = rows if len(of) == len(numbers) else rows.of(of)
                told.append((whose, self._closed(whose, some, c, grid=grid)))
        for number in (number for whose, _ in told for number in whose):
            waiting.pop(number, None)
        return told

    def _rows(self, numbers: Sequence[int], m: int, n: int, *, grid: bool) -> _Rows:
        k, states = len(numbers), [self._states[number] for number in numbers]
        width = states[0].values.shape[1]
        if not n:
            return _Rows(
                np.concatenate([state.t_ns for state in states]).reshape(k, m),
                np.concatenate([state.value_t_ns for state in states]).reshape(k, m, width),
                np.concatenate([state.values for state in states]).reshape(k, m, width),
            )
        blocks = [self.waiting[number].readings for number in numbers]
        stamps = np.concatenate([block.t_ns for block in blocks]).reshape(k, n)
        t_ns, values = stamps, [block.values for block in blocks]
        if grid:
            period_ns = self._together.forms.period_ns[numbers, None]
            t_ns = -(-stamps // period_ns) * period_ns
        if m:
            before = np.concatenate([state.t_ns for state in states]).reshape(k, m)
            t_ns = np.concatenate([before, t_ns], axis=1)
            both = zip(states, values, strict=True)
            values = [one for state, own in both for one in (state.values, own)]
        return _Rows(t_ns, stamps[:, :, None], np.concatenate(values).reshape(k, m + n, width))

    def _good(self, numbers: Sequence[int], rows: _Rows, m: int, *, grid: bool) -> Mask:
        """Of which assets (k,) there is nothing odd: no gap, nothing late or early.

        Without context a row with a value is spoken of, and what is retained matters to nobody.
        """
        states = [self._states[number] for number in numbers]
        closed_ns = np.array([state.closed_ns for state in states], np.int64)
        good: Mask = np.asarray((np.abs(rows.values) < FLOAT32_MAX).all(axis=(1, 2)))
        steps = np.diff(rows.t_ns, axis=1)
        good &= (steps > 0).all(axis=1) & (rows.t_ns[:, 0] > closed_ns)
        if rows.t_ns.shape[1] > m:
            future_ns = [self.waiting[number].future_ns for number in numbers]
            good &= rows.stamps[:, -1, 0] <= np.array(future_ns, np.int64)
        if grid:
            period_ns = self._together.forms.period_ns[numbers]
            good &= (steps == period_ns[:, None]).all(axis=1)
            follows: Mask = rows.t_ns[:, 0] - period_ns == closed_ns
            good &= (closed_ns == NEVER) | follows
        return good

    def _complete(self, numbers: Sequence[int], rows: _Rows, overdue_ns: int, *, grid: bool) -> I64:
        """How many rows of each asset (k,) are complete, as of one whose values are all there."""
        overdue: I64 = (rows.t_ns <= overdue_ns).sum(axis=1)
        complete: I64
        if not grid:
            complete = np.maximum(overdue, rows.t_ns.shape[1] - 1)
            return complete
        newest_ns = self._together.newest_ns[numbers, : rows.values.shape[2]]
        passed_ns = np.maximum(newest_ns, rows.stamps[:, -1]).min(axis=1)
        complete = np.maximum(overdue, (rows.t_ns <= passed_ns[:, None]).sum(axis=1))
        return complete

    def _closed(self, numbers: Sequence[int], rows: _Rows, c: int, *, grid: bool) -> Sheaf:
        """The first c samples of some assets (k,); what is left waits."""
        (k, r, width), together = rows.values.shape, self._together
        left = r - c
        newest_ns = together.newest_ns[numbers, :width]
        together.newest_ns[numbers, :width] = np.maximum(newest_ns, rows.stamps[:, -1])
        together.held[numbers, :width] = rows.values[:, c - 1]
        together.held_ns[numbers, :width] = rows.stamps[:, -1 - left]
        self._oldest_ns[numbers] = rows.t_ns[:, c] if left else FOREVER
        # copies: a view would keep all rows of all assets for as long as one of them is silent
        left_ns, values = rows.t_ns[:, c:].copy(), rows.values[:, c:].copy()
        stamps = np.empty((k, left, width), np.int64)
        stamps[:] = rows.stamps[:, rows.stamps.shape[1] - left :]
        retained, spoken = np.zeros(values.shape, bool), np.ones((k, left), bool)
        for i, (number, end_ns) in enumerate(
            zip(numbers, rows.t_ns[:, c - 1].tolist(), strict=True)
        ):
            state = self._states[number]
            state.t_ns, state.values, state.value_t_ns = left_ns[i], values[i], stamps[i]
            state.retained, state.spoken, state.closed_ns = retained[i], spoken[i], end_ns
        return Sheaf(
            assets=tuple([self._layouts[number].asset for number in numbers]),
            t_ns=rows.t_ns[:, :c],
            values=rows.values[:, :c].astype(np.float32),
            running=np.ones((k, c), bool),
            heard=np.ones((k, c), bool) if grid else None,
        )
