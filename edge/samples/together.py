"""Together: rows of many assets that wait to be closed, as arrays over all of them.

A plant that sends one value a message, or one row, brings little for each asset and much for all of
them. What is usual is done here for all assets at once; an asset with anything out of the ordinary
is given back, and goes its own way (`edge.samples.pending`, `edge.samples.closing`) with the same
outcome.

    (asset, column, time, value), as messages bring them
        -> slots, rows, newest of a place       put
        -> samples, with what is held           close
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

import numpy as np

from edge.caps import PENDING_ROWS_MAX
from edge.samples.arrays import Closed, Sorted, Waiting
from edge.samples.later import Later
from edge.samples.pending import FLOAT32_MAX, NEVER, AssetAlign, count

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge.samples.arrays import Cells, Forms
    from edge.samples.layouts import AssetLayout
    from edge.samples.pending import F64, I64, Indices, Mask

ROWS_BACK_MAX: Final = 64  # of an asset that waits on its own: with more it stays there
FOREVER: Final = 2**63 - 1


class Together:
    """The rows, and what each asset remembers: `states` see it too, through views of theirs."""

    def __init__(
        self, forms: Forms, states: Sequence[AssetAlign], layouts: Sequence[AssetLayout]
    ) -> None:
        self.forms, self._states = forms, states
        shape = len(states), forms.width
        self.newest_ns, self.held_ns = np.full((2, *shape), NEVER, np.int64)
        self.held, self.told = np.full((2, *shape), np.nan)
        self.closed_ns = np.full(len(states), NEVER, np.int64)
        self.rows = Waiting.empty(0, forms.width)
        self.own = np.zeros(len(states), bool)  # (a,) goes its own way: its state has its rows
        for i in np.flatnonzero(forms.fits).tolist():
            for name in ("newest_ns", "held", "held_ns", "told"):
                mine = getattr(self, name)[i, : layouts[i].width]
                mine[:] = getattr(states[i], name)
                setattr(states[i], name, mine)
        self.own[:] = True

    # --- to and from an asset's own state ---

    def give_back(self, assets: Indices) -> None:
        """From here on these assets (k,) go their own way; those that do already stay there."""
        assets = assets[~self.own[assets]]
        if not len(assets):
            return
        self.show(assets)
        for i in assets.tolist():  # else each would keep the arrays of all
            state = self._states[i]
            state.t_ns, state.spoken = state.t_ns.copy(), state.spoken.copy()
            state.values, state.value_t_ns = state.values.copy(), state.value_t_ns.copy()
        self.own[assets] = True
        kept = ~self.own[self.rows.asset]
        if not kept.all():
            self.rows = self.rows.of(kept)

    def show(self, assets: Indices) -> None:
        """Let the states of these assets (k,), which are here, hold what waits here.

        As parts of arrays that nobody changes any more: rows that come or go are in new ones.
        """
        rows = self.rows
        begins = np.searchsorted(rows.asset, assets).tolist()
        ends = np.searchsorted(rows.asset, assets, side="right").tolist()
        t_ns, values, stamps, spoken = rows.t_ns, rows.values, rows.stamps, rows.spoken
        closed_ns = self.closed_ns[assets].tolist()
        for k, i in enumerate(assets.tolist()):
            state, begin, end = self._states[i], begins[k], ends[k]
            state.closed_ns = closed_ns[k]
            if begin == end and not len(state.t_ns):
                continue
            width = len(state.newest_ns)
            state.t_ns, state.spoken = t_ns[begin:end], spoken[begin:end]
            state.values = values[begin:end, :width]
            state.value_t_ns = stamps[begin:end, :width]
            state.retained = np.zeros((end - begin, width), bool)

    def kept(self, widths: Sequence[int]) -> dict[int, Later]:
        """The states of the assets that are here, as `show` has them now, put together later.

        widths: of all assets.
        """
        rows = self.rows
        newest_ns, held, held_ns = self.newest_ns.copy(), self.held.copy(), self.held_ns.copy()
        told, closed_ns = self.told.copy(), self.closed_ns.tolist()
        ends = np.cumsum(np.bincount(rows.asset, minlength=len(self.own))).tolist()

        def made(i: int) -> AssetAlign:
            width, begin, end = widths[i], ends[i - 1] if i else 0, ends[i]
            return AssetAlign(
                t_ns=rows.t_ns[begin:end],
                values=rows.values[begin:end, :width],
                value_t_ns=rows.stamps[begin:end, :width],
                retained=np.zeros((end - begin, width), bool),
                spoken=rows.spoken[begin:end],
                newest_ns=newest_ns[i, :width],
                held=held[i, :width],
                held_ns=held_ns[i, :width],
                told=told[i, :width],
                closed_ns=closed_ns[i],
            )

        here = np.flatnonzero(~self.own).tolist()
        return {i: Later(partial(made, i)) for i in here}

    def take_back(self, assets: Indices) -> None:
        """Take assets (k,) that went their own way, where there is nothing odd about them."""
        found: list[Waiting] = []
        for i in assets[self.own[assets] & self.forms.fits[assets]].tolist():
            state = self._states[i]
            rows = len(state.t_ns)
            if state.asides or rows > ROWS_BACK_MAX or state.retained.any():
                continue
            self.own[i] = False
            self.closed_ns[i] = state.closed_ns
            if rows:
                part = Waiting.empty(rows, self.forms.width)
                part.asset[:], part.t_ns, part.spoken = i, state.t_ns, state.spoken
                part.values[:, : state.values.shape[1]] = state.values
                part.stamps[:, : state.values.shape[1]] = state.value_t_ns
                found.append(part)
        if found:
            self._insert(found)

    def _insert(self, found: Sequence[Waiting]) -> None:
        every = [self.rows, *found]
        joined = Waiting(
            np.concatenate([one.asset for one in every]),
            np.concatenate([one.t_ns for one in every]),
            np.concatenate([one.values for one in every]),
            np.concatenate([one.stamps for one in every]),
            np.concatenate([one.spoken for one in every]),
        )
        order = np.argsort(joined.asset, kind="stable")
        self.rows = Waiting(
            joined.asset[order],
            joined.t_ns[order],
            joined.values[order],
            joined.stamps[order],
            joined.spoken[order],
        )

    # --- in ---

    def put(self, cells: Cells, counts: dict[str, int]) -> Mask:
        """Take cells; returns assets (a,) that have to go their own way, of which none is taken."""
        odd = self.own.copy()
        found = self._sorted(cells, odd)
        if (apart := odd[cells.asset]).any():
            rest = cells.of(~apart)
            if not len(rest.asset):
                return odd
            found = self._sorted(rest, odd)
        self._commit(found, counts)
        return odd

    def _sorted(self, cells: Cells, odd: Mask) -> Sorted:
        """Cells by asset, slot and column, as they came where those are alike.

        Marks in `odd` (a,) assets with late or repeated context, or with anything out of order.
        """
        forms, asset, slot = self.forms, cells.asset, cells.t_ns
        if forms.any_grid:
            period_ns = forms.period_ns[asset]
            slot = np.where(forms.grid[asset], -(-slot // period_ns) * period_ns, slot)
        value = np.where(np.abs(cells.value) < FLOAT32_MAX, cells.value, np.nan)
        given = ~np.isnan(value)
        counted = {"non_finite": int((~np.isnan(cells.value)).sum()) - int(given.sum())}
        context = cells.column >= forms.channels[asset]
        late = slot <= self.closed_ns[asset]
        counted["late"] = int((late & given).sum())
        odd[asset[late & given & context]] = True
        live = np.flatnonzero(~late)
        order = live[np.lexsort((cells.column[live], slot[live], asset[live]))]
        asset, slot, context = asset[order], slot[order], context[order]
        again = np.zeros(len(order), bool)  # (k,) of the same row as the one before
        again[1:] = (asset[1:] == asset[:-1]) & (slot[1:] == slot[:-1])
        first, row = np.flatnonzero(~again), np.cumsum(~again) - 1
        newest = np.full(len(self.own), -1, np.intp)  # (a,) place of the newest row that waits
        newest[self.rows.asset] = np.arange(len(self.rows.asset))
        row_asset, row_t_ns = asset[first], slot[first]
        at = newest[row_asset]
        known = np.where(at >= 0, self.rows.t_ns[at], NEVER) if len(self.rows.asset) else NEVER
        odd[row_asset[row_t_ns < known]] = True
        at = np.where(row_t_ns == known, at, -1)
        spoken = np.zeros(len(first), bool)
        spoken[row[~context]] = True
        # from here on values only: what is absent has made its row
        told = given[order]
        order, row, context = order[told], row[told], context[told]
        column, t_ns = cells.column[order], cells.t_ns[order]
        before_ns = np.full(len(order), NEVER, np.int64)
        begun = at[row] >= 0
        before_ns[begun] = self.rows.stamps[at[row[begun]], column[begun]]
        twice = np.flatnonzero((row[1:] == row[:-1]) & (column[1:] == column[:-1])) + 1
        before_ns[twice] = t_ns[twice - 1]
        odd[row_asset[row[(t_ns < before_ns) | (context & (before_ns != NEVER))]]] = True
        duplicate = t_ns == before_ns
        counted["duplicate"] = int(duplicate.sum())
        return Sorted(row_asset, row_t_ns, at >= 0, spoken, row[~duplicate], column[~duplicate],
                       t_ns[~duplicate], value[order][~duplicate], counted)  # fmt: skip

    def _commit(self, cells: Sorted, counts: dict[str, int]) -> None:
        """Set sorted cells into their rows, of which those that there are not yet are made."""
        for reason, by in cells.counted.items():
            count(counts, reason, by)
        rows, new = self.rows, ~cells.begun
        had = np.bincount(rows.asset, minlength=len(self.own))
        come = np.bincount(cells.row_asset[new], minlength=len(self.own))
        begin = np.cumsum(had + come) - had - come  # (a,) of each asset's rows
        place = begin[cells.row_asset] + had[cells.row_asset] - 1  # (r,) of the newest it had
        nth = np.cumsum(new) - 1
        place[new] += (nth - (np.cumsum(come) - come)[cells.row_asset])[new] + 1
        made = Waiting.empty(len(rows.asset) + int(new.sum()), self.forms.width)
        old = np.arange(len(rows.asset)) + (begin - (np.cumsum(had) - had))[rows.asset]
        made.asset[old], made.t_ns[old], made.spoken[old] = rows.asset, rows.t_ns, rows.spoken
        made.values[old], made.stamps[old] = rows.values, rows.stamps
        made.asset[place], made.t_ns[place] = cells.row_asset, cells.row_t_ns
        made.spoken[place] |= cells.spoken
        at = place[cells.row]
        # where a place is named more than once, the last one counts: times never fall in one
        made.values[at, cells.column] = cells.value
        made.stamps[at, cells.column] = cells.t_ns
        asset = cells.row_asset[cells.row]
        newest_ns = np.maximum(self.newest_ns[asset, cells.column], cells.t_ns)
        self.newest_ns[asset, cells.column] = newest_ns
        self.rows = made

    # --- out ---

    def close(self, *, now_ns: int, late_ns: int, final: bool) -> tuple[Closed | None, Indices]:
        """Samples that are complete, and assets (k,) with some that go their own way from here."""
        none = np.zeros(0, np.intp)
        rows = self.rows
        if not len(rows.asset):
            return None, none
        due = self._due(rows, until_ns=now_ns - late_ns, final=final)
        if not due.any():
            return None, none
        odd = self._odd(rows, due)
        if len(odd):
            self.give_back(odd)
            rows, due = self.rows, due[~self.own[rows.asset]]
            if not due.any():
                return None, odd
        self.rows = rows.of(~due)
        return self._closed(rows.of(due)), odd

    def _due(self, rows: Waiting, *, until_ns: int, final: bool) -> Mask:
        """Which rows (r,) are complete: of each asset the oldest ones."""
        if final:
            return np.ones(len(rows.asset), bool)
        forms, asset = self.forms, rows.asset
        due = rows.t_ns <= until_ns
        followed = np.zeros(len(asset), bool)
        followed[:-1] = asset[1:] == asset[:-1]
        if not forms.any_grid:
            due |= followed
        else:
            passed = np.where(forms.cyclic, self.newest_ns, FOREVER).min(axis=1)
            # a tag reported by exception may still speak at the very time that a cyclic one shows
            passed = np.maximum(passed, NEVER + 1) - forms.some_on_change
            passed[forms.no_cyclic] = NEVER  # nothing tells that a time has passed
            due |= np.where(forms.grid[asset], rows.t_ns <= passed[asset], followed)
        waiting = np.bincount(asset, minlength=len(self.own))
        if waiting.max() > PENDING_ROWS_MAX:
            due |= np.arange(len(asset)) < (np.cumsum(waiting) - PENDING_ROWS_MAX)[asset]
        return due

    def _odd(self, rows: Waiting, due: Mask) -> Indices:
        """Assets with samples to be filled in, rows of context alone, or changes of context."""
        forms, asset = self.forms, rows.asset
        odd = due & ~rows.spoken & ~forms.grid[asset]
        if forms.any_grid:
            before_ns = np.empty_like(rows.t_ns)
            before_ns[1:] = rows.t_ns[:-1]
            first = np.flatnonzero(np.diff(asset, prepend=-1))
            closed_ns = self.closed_ns[asset[first]]
            begin_ns = rows.t_ns[first] - forms.period_ns[asset[first]]
            before_ns[first] = np.where(closed_ns > NEVER, closed_ns, begin_ns)
            steps = (rows.t_ns - before_ns) // forms.period_ns[asset]
            odd |= due & forms.grid[asset] & (steps != 1)
        if forms.any_context:
            told = self.told[asset]
            news = forms.context[asset] & ~np.isnan(rows.values) & (rows.values != told)
            odd |= due & news.any(axis=1)
        return np.unique(asset[odd])

    def _closed(self, rows: Waiting) -> Closed:
        """Rows (r, w) that are complete as samples; moves what is held and when was closed on."""
        forms = self.forms
        first = np.flatnonzero(np.diff(rows.asset, prepend=-1))
        assets = rows.asset[first]
        ends = np.append(first[1:], len(rows.asset))
        heard = rows.spoken | (rows.stamps > NEVER).any(axis=1)
        values, stamps = rows.values, rows.stamps
        if (np.isnan(values) & forms.own[rows.asset]).any():
            values, stamps, usable = self._held(rows, first, assets)
            held = values[ends - 1]
            values = np.where(usable, values, np.nan)
        else:
            held = values[ends - 1]
        self.held[assets], self.held_ns[assets] = held, stamps[ends - 1]
        self.closed_ns[assets] = rows.t_ns[ends - 1]
        return Closed(assets, first, ends, rows.t_ns, values, heard)

    def _held(self, rows: Waiting, first: Indices, assets: Indices) -> tuple[F64, I64, Mask]:
        """Values and stamps (r, w) with what is held in them, and which of them may be shown."""
        forms = self.forms
        # each asset's rows behind a row of what it held before
        before = first + np.arange(len(first))
        nth = np.zeros(len(rows.asset), np.intp)
        nth[first] = 1
        at = np.arange(len(rows.asset)) + np.cumsum(nth)
        shape = len(rows.asset) + len(first), forms.width
        carried, carried_ns = np.empty(shape), np.empty(shape, np.int64)
        carried[before], carried_ns[before] = self.held[assets], self.held_ns[assets]
        carried[at], carried_ns[at] = rows.values, rows.stamps
        index = np.broadcast_to(np.arange(shape[0])[:, None], shape)
        shown = ~np.isnan(carried)
        shown[before] = True
        newest = np.maximum.accumulate(np.where(shown, index, 0), axis=0)[at]
        column = np.arange(forms.width)
        values, stamps = carried[newest, column], carried_ns[newest, column]
        t_ns, asset = rows.t_ns[:, None], rows.asset
        usable = ~np.isnan(rows.values)
        if forms.any_grid:
            fresh = stamps >= t_ns - forms.cyclic_ns[asset][:, None]
            usable |= forms.grid[asset][:, None] & fresh
        alive = stamps.max(axis=1, keepdims=True) >= t_ns - forms.alive_ns[asset][:, None]
        usable |= forms.on_change[asset] & alive
        usable |= forms.context[asset]
        return values, stamps, usable
