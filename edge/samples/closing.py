"""Closing: rows that waited become samples; what context tags told becomes changes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from edge.batches import Batch, ContextChange, Sheaf
from edge.caps import FILLED_ROWS_MAX, PENDING_ROWS_MAX
from edge.samples.pending import NEVER, Aside

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge.samples.arrays import Closed, Forms
    from edge.samples.layouts import AssetLayout
    from edge.samples.pending import F64, I64, AssetAlign, Mask
    from edge.settings import ContextTag


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows that close together. t_ns, spoken: (n,); values, stamps, retained: (n, w)."""

    t_ns: I64
    values: F64
    stamps: I64
    retained: Mask
    spoken: Mask


def closable(layout: AssetLayout, state: AssetAlign, *, overdue_ns: int, final: bool) -> int:
    """How many of an asset's waiting rows are complete; those up to `overdue_ns` in any case."""
    waiting = len(state.t_ns)
    if final or not waiting:
        return waiting
    overdue = int(state.t_ns.searchsorted(overdue_ns, side="right"))
    if not layout.grid:
        complete = waiting - 1
    elif layout.on_change.all():
        complete = 0  # nothing tells that a time has passed
    else:
        cyclic = state.newest_ns[~layout.on_change]
        # A tag reported by exception may still speak at the very time that a cyclic one shows.
        passed_ns = int(cyclic.min()) - int(layout.on_change.any())
        complete = int(state.t_ns.searchsorted(passed_ns, side="right"))
    return max(overdue, complete, waiting - PENDING_ROWS_MAX)


def take_rows(state: AssetAlign, n: int) -> Rows:
    """The oldest n rows, which then no longer wait.

    Those that do are copied: a view would keep the ones that are gone.
    """
    rows = Rows(
        state.t_ns[:n],
        state.values[:n],
        state.value_t_ns[:n],
        state.retained[:n],
        state.spoken[:n],
    )
    state.t_ns, state.values = state.t_ns[n:].copy(), state.values[n:].copy()
    state.value_t_ns, state.retained = state.value_t_ns[n:].copy(), state.retained[n:].copy()
    state.spoken = state.spoken[n:].copy()
    return rows


def fill(rows: Rows, *, period_ns: int, closed_ns: int) -> tuple[Rows, int]:
    """Grid samples in which nothing came are samples too; of a gap beyond the cap only the end is.

    Returns all rows, and how many were not made.
    """
    t_ns = rows.t_ns
    before = closed_ns if closed_ns > NEVER else int(t_ns[0]) - period_ns
    steps = np.diff(t_ns, prepend=before) // period_ns - 1  # (m,) samples missing before each
    if not steps.any():
        return rows, 0
    made = np.minimum(steps, PENDING_ROWS_MAX - 1)  # by gap: how rows were cut must not matter
    sparse = np.cumsum(made[::-1])[::-1] > FILLED_ROWS_MAX
    made[sparse] = 0  # nonsense; the newest gaps stay
    place = np.cumsum(made + 1) - 1
    after = np.repeat(place, made + 1) - np.arange(len(t_ns) + int(made.sum()))
    shape = len(after), rows.values.shape[1]
    values, stamps = np.full(shape, np.nan), np.full(shape, NEVER, np.int64)
    retained, spoken = np.zeros(shape, bool), np.zeros(len(after), bool)
    values[place], stamps[place] = rows.values, rows.stamps
    retained[place], spoken[place] = rows.retained, rows.spoken
    grid = np.repeat(t_ns, made + 1) - after * period_ns
    return Rows(grid, values, stamps, retained, spoken), int((steps - made).sum())


def hold(
    state: AssetAlign,
    rows: Rows,
    *,
    on_change: Mask,
    channels: int,
    cyclic_ns: int,
    alive_ns: int,
) -> F64:
    """Values with what is held from before filled in (n, w); moves what is held on.

    on_change: (w,). A cyclic value is held for `cyclic_ns`; one reported by exception while any
    value of its asset came within `alive_ns`; context for ever.
    """
    usable = ~np.isnan(rows.values)
    if len(usable) and usable.all():  # the usual tick: nothing to hold
        state.held[:], state.held_ns[:] = rows.values[-1], rows.stamps[-1]  # others see them too
        return rows.values
    carried = np.concatenate([state.held[None], rows.values])
    carried_ns = np.concatenate([state.held_ns[None], rows.stamps])
    index = np.arange(len(carried))[:, None]
    newest = np.maximum.accumulate(np.where(np.isnan(carried), 0, index), axis=0)
    column = np.arange(carried.shape[1])
    carried, carried_ns = carried[newest, column], carried_ns[newest, column]
    state.held[:], state.held_ns[:] = carried[-1], carried_ns[-1]
    t_ns = rows.t_ns[:, None]
    if cyclic_ns:
        usable |= carried_ns[1:] >= t_ns - cyclic_ns
    if on_change.any():
        alive = carried_ns[1:].max(axis=1, keepdims=True) >= t_ns - alive_ns
        usable |= on_change & alive
        usable[:, channels:] = True
    return np.where(usable, carried[1:], np.nan)


def was_running(context_values: F64, context: Sequence[ContextTag]) -> Mask:
    """Whether the asset ran at each sample (n,), by its run tags; without any, or before one: yes.

    context_values: (n, k), a column a context tag.
    """
    running = np.ones(len(context_values), bool)
    for i, tag in enumerate(context):
        if tag.role == "run":
            column = context_values[:, i]
            running &= np.isnan(column) | np.isin(column, tag.running)
    return running


def mode_of(context_values: F64, context: Sequence[ContextTag]) -> F64 | None:
    """The value of the mode tag at each sample (n,), NaN: not told yet; None: there is no such tag.

    context_values: (n, k), a column a context tag.
    """
    for i, tag in enumerate(context):
        if tag.role == "mode":
            return context_values[:, i]
    return None


def told_changes(
    state: AssetAlign,
    rows: Rows,
    *,
    asset: str,
    channels: int,
    context: Sequence[ContextTag],
) -> tuple[ContextChange, ...]:
    """New values of context tags up to the last row, in time order.

    The first value of a tag and a retained one are not live.
    """
    end_ns = int(rows.t_ns[-1])
    found = [aside for aside in state.asides if aside.t_ns <= end_ns]
    if found:
        state.asides = [aside for aside in state.asides if aside.t_ns > end_ns]
    between = bool(found)
    for column in range(channels, channels + len(context)):
        shown = rows.values[:, column]
        given = np.flatnonzero(~np.isnan(shown))
        if not between:  # then repeats say nothing new
            shown = shown[given]
            given = given[shown != np.concatenate([state.told[column, None], shown[:-1]])]
        found += [
            Aside(
                t_ns=int(rows.stamps[row, column]),
                column=column,
                value=float(rows.values[row, column]),
                retained=bool(rows.retained[row, column]),
            )
            for row in given
        ]
    found.sort(key=lambda aside: (aside.t_ns, aside.measured_ns, aside.column))
    changes = []
    for aside in found:
        previous = float(state.told[aside.column])
        if aside.value == previous:
            continue
        state.told[aside.column] = aside.value
        changes.append(
            ContextChange(
                asset=asset,
                tag=context[aside.column - channels].tag,
                t_ns=aside.t_ns,
                value=aside.value,
                previous=previous,
                live=not math.isnan(previous) and not aside.retained,
            )
        )
    return tuple(changes)


def batches_of(closed: Closed, layouts: Sequence[AssetLayout], forms: Forms) -> dict[int, Batch]:
    """Samples of many assets as a batch each, by the asset's number, in order.

    Arrays of a batch are parts of arrays over all assets, each its own, in one piece.
    """
    asset = np.repeat(closed.assets, closed.ends - closed.begins)
    flat = closed.values[forms.channel[asset]].astype(np.float32)
    channels = forms.channels[closed.assets]
    ends = np.cumsum((closed.ends - closed.begins) * channels)
    ran = np.ones(len(asset), bool)
    batches: dict[int, Batch] = {}
    numbers, begins, ends_of = closed.assets.tolist(), closed.begins.tolist(), closed.ends.tolist()
    shown = 0
    for number, begin, end, shown_end in zip(numbers, begins, ends_of, ends.tolist(), strict=True):
        layout = layouts[number]
        running, mode = ran[begin:end], None
        if layout.context:
            told = closed.values[begin:end, layout.channels : layout.width]
            running, mode = was_running(told, layout.context), mode_of(told, layout.context)
        batches[number] = Batch(
            asset=layout.asset,
            t_ns=closed.t_ns[begin:end],
            values=flat[shown:shown_end].reshape(end - begin, layout.channels),
            running=running,
            mode=mode,
            heard=closed.heard[begin:end] if layout.grid else None,
        )
        shown = shown_end
    return batches


def sheaves_closed(
    closed: Closed, layouts: Sequence[AssetLayout], forms: Forms
) -> list[Sheaf] | None:
    """What `sheaves_of` makes of `batches_of`, where no asset has context; else None."""
    assets = closed.assets
    grid = forms.grid[assets]
    if forms.any_context and forms.context[assets].any():
        return None
    if grid.any() and not grid.all():
        return None
    many, width = closed.ends - closed.begins, forms.channels[assets]
    values, ran = closed.values.astype(np.float32), np.ones(len(closed.t_ns), bool)
    key = many * (forms.width + 1) + width
    found = []
    for one in dict.fromkeys(key.tolist()):
        of = np.flatnonzero(key == one)
        rows = closed.begins[of, None] + np.arange(many[of[0]])  # (k, n)
        found.append(
            Sheaf(
                assets=tuple([layouts[i].asset for i in assets[of].tolist()]),
                t_ns=closed.t_ns[rows],
                values=values[rows, : width[of[0]]],
                running=ran[rows],
                heard=closed.heard[rows] if grid.any() else None,
            )
        )
    return found
