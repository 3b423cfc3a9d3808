"""Drift of many assets by columns: samples of normal operation counted together, as `drift` does.

Blocks of assets that began together are full together: they are closed and looked at in one go too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from edge.samples.columns import by_value, home
from edge.samples.drift import STOPPED
from models.fitting.drift import HELD_MAX, LEVELS
from models.fitting.drift_live import Reach, add_held, close_blocks

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from edge.asset import Asset
    from edge.samples.scoring import F32, Mask

    Rows = NDArray[np.intp]

ADDED_TOGETHER: Final = 64  # assets whose held samples stay in the cache


class DriftColumns:
    """What is counted of assets with c channels, a row each (a,); see `DriftState`."""

    def __init__(self, assets: Sequence[Asset]) -> None:
        self._assets = assets
        a, c = len(assets), len(assets[0].channels)
        self.held = np.empty((a, HELD_MAX, 1 + c), np.float32)
        self.sums, self.known = np.empty((a, LEVELS + 2 * c)), np.empty((a, 2 * c), np.int64)
        self.samples, self.waiting, self.begin_ns = np.zeros((3, a), np.int64)
        self.watched = np.zeros(a, bool)  # whether anything was learned to compare with
        references = [asset.model.drift for asset in assets]
        learned = [one for one in references if one is not None]
        self._block = np.array(
            [0 if one is None else one.block_samples for one in references], np.int64
        )
        self._reach = Reach.of([one or learned[0] for one in references]) if learned else None

    def read(self, i: int) -> bool:
        """Take over the state of an asset; whether samples can be counted here, or are not."""
        asset = self._assets[i]
        drift = asset.state.drift
        self.watched[i] = asset.model.drift is not None
        if asset.model.drift is None:
            return True
        if drift is None or drift.mark != asset.drift.mark:
            return False
        for name in ("held", "sums", "known"):
            home(drift, name, getattr(self, name), i)
        self.samples[i], self.waiting[i] = drift.samples, drift.waiting
        self.begin_ns[i] = drift.begin_ns
        return True

    def settle(self, rows: Rows) -> None:
        """Bring the numbers of some assets (k,) into their states."""
        rows = rows[self.watched[rows]]
        columns = self.samples[rows], self.waiting[rows], self.begin_ns[rows]
        for i, *told in zip(rows.tolist(), *(one.tolist() for one in columns), strict=True):
            drift = self._assets[i].state.drift
            if drift is not None:
                drift.samples, drift.waiting, drift.begin_ns = told

    def leave_out(self, rows: Rows, n: int) -> None:
        """Of some assets (k,) n samples each were of a machine that stands still."""
        for i in rows[self.watched[rows]].tolist():
            drift = self._assets[i].state.drift
            if drift is not None:
                drift.left_out[STOPPED] = drift.left_out.get(STOPPED, 0) + n

    def count(
        self, rows: Rows, t_ns: NDArray[np.int64], scores: F32, values: F32
    ) -> dict[int, Mask]:
        """Count scored samples (k, n), (k, n, c) of normal operation of some assets (k,).

        Returns what has begun or ended to drift (m,), by row.
        """
        watched = self.watched[rows]
        if not watched.all():
            rows, t_ns = rows[watched], t_ns[watched]
            scores, values = scores[watched], values[watched]
        at, n = np.zeros(len(rows), np.int64), t_ns.shape[1]
        before: dict[int, Mask] = {}  # what drifted, of whom it may have changed
        while len(rows):
            begins = self.samples[rows] == 0
            first_ns = t_ns[np.arange(len(rows)), at]
            self.begin_ns[rows] = np.where(begins, first_ns, self.begin_ns[rows])
            room = np.minimum(HELD_MAX - self.waiting[rows], self._block[rows] - self.samples[rows])
            end = np.minimum(n, at + room)
            self._hold(rows, at, end, scores, values)
            self._fill(rows, before)
            on = end < n
            if not on.any():
                break
            at = end
            if not on.all():
                rows, at, t_ns = rows[on], at[on], t_ns[on]
                scores, values = scores[on], values[on]
        now = ((i, self._assets[i].state.drift) for i in before)
        moved = {i: state.drifts != before[i] for i, state in now if state is not None}
        return {i: mask for i, mask in moved.items() if mask.any()}

    def _hold(
        self, rows: Rows, at: NDArray[np.int64], end: NDArray[np.int64], scores: F32, values: F32
    ) -> None:
        """Put samples [at, end) (k,) of each asset behind what is held of it."""
        waiting, first, last = self.waiting[rows], int(at[0]), int(end[0])
        begin = int(waiting[0])
        held = self.held.reshape(-1, self.held.shape[2])
        if (waiting == begin).all() and (at == first).all() and (end == last).all():
            told = np.concatenate([scores[:, first:last, None], values[:, first:last]], axis=2)
            self.held[rows, begin : begin + last - first] = told  # as of blocks of one length
            self.waiting[rows] += last - first
            self.samples[rows] += last - first
            return
        if scores.shape[1] == 1:
            place = rows * HELD_MAX + self.waiting[rows]
            told = np.concatenate([scores, values[:, 0]], axis=1)
        else:
            n = np.arange(scores.shape[1])
            k, i = np.nonzero((n >= at[:, None]) & (n < end[:, None]))
            place = rows[k] * HELD_MAX + self.waiting[rows[k]] + i - at[k]
            told = np.concatenate([scores[k, i, None], values[k, i]], axis=1)
        held[place] = told
        self.waiting[rows] += end - at
        self.samples[rows] += end - at

    def _fill(self, rows: Rows, before: dict[int, Mask]) -> None:
        """Sum up what is held where it is full, or a block is; close that block then."""
        full = self.samples[rows] == self._block[rows]
        due = rows[full | (self.waiting[rows] == HELD_MAX)]
        for part, waiting in by_value(self.waiting[due]):
            for first in range(0, len(part), ADDED_TOGETHER):
                self._add(due[part[first : first + ADDED_TOGETHER]], waiting)
        rows = rows[full]
        if not len(rows):
            return
        self.settle(rows)
        assets = [self._assets[i] for i in rows.tolist()]
        known = [(one.state.drift, one.model.drift) for one in assets]
        states = [state for state, _ in known if state is not None]
        drifted = [state.drifts for state in states]
        close_blocks(states, [reference for _, reference in known if reference is not None])
        self.samples[rows] = 0
        for i, state, old in zip(rows.tolist(), states, drifted, strict=True):
            if state.drifts is not old:
                before.setdefault(i, old)

    def _add(self, rows: Rows, waiting: int) -> None:
        assert self._reach is not None, "something was learned"
        reach = Reach(*(part[rows] for part in self._reach))
        held, sums, known = self.held[rows, :waiting], self.sums[rows], self.known[rows]
        self.sums[rows], self.known[rows] = add_held(held, sums, known, reach)
        self.waiting[rows] = 0
