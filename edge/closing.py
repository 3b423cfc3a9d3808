"""Closing: complete rows of one asset become samples; pure functions on what `align` has gathered.

Grid samples in which nothing came are made, values are held as long as they may be, and context
columns become changes in time order.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np

from edge.caps import FILLED_ROWS_MAX, PENDING_ROWS_MAX
from edge.records import Batch, ContextChange

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge.align import AssetAlign, AssetLayout

NEVER: Final = -(2**63)


class Aside(msgspec.Struct, frozen=True, kw_only=True):
    """A context value without a place in a row: a newer one took it, or its row had closed."""

    t_ns: int
    column: int
    value: float
    retained: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """Rows in time order.

    t_ns (n,); values (n, w), NaN absent; stamps (n, w) when each was measured; retained (n, w).
    """

    t_ns: NDArray[np.int64]
    values: NDArray[np.float64]
    stamps: NDArray[np.int64]
    retained: NDArray[np.bool_]


def close_rows(
    layout: AssetLayout, state: AssetAlign, rows: Rows, *, hold_ns: int
) -> tuple[Batch, int]:
    """Close rows (n,), the oldest of an asset; moves on what `state` holds.

    Returns the batch and how many grid samples of long gaps were not made.
    """
    unfilled = 0
    if layout.grid:
        rows, unfilled = _fill(layout, state, rows)
    changes = _changes(layout, state, rows)
    values = _hold(layout, state, rows, hold_ns=hold_ns)
    state.closed_ns = int(rows.t_ns[-1])
    batch = Batch(
        asset=layout.asset,
        t_ns=rows.t_ns,
        values=values[:, : layout.channels].astype(np.float32),
        running=_running(layout, values),
        changes=changes,
    )
    return batch, unfilled


def _fill(layout: AssetLayout, state: AssetAlign, rows: Rows) -> tuple[Rows, int]:
    """Grid samples in which nothing came are samples too.

    Of a gap beyond the cap only the end is made.
    """
    t_ns, values, stamps, retained = rows.t_ns, rows.values, rows.stamps, rows.retained
    before = state.closed_ns if state.closed_ns > NEVER else int(t_ns[0]) - layout.period_ns
    steps = np.diff(t_ns, prepend=before) // layout.period_ns - 1  # (n,) missing before each
    # By gap, not by batch: how the rows were cut must not matter.
    made = np.minimum(steps, PENDING_ROWS_MAX - 1)
    made[np.cumsum(made[::-1])[::-1] > FILLED_ROWS_MAX] = 0  # sparse nonsense; the newest gaps stay
    place = np.cumsum(made + 1) - 1
    after = np.repeat(place, made + 1) - np.arange(len(t_ns) + int(made.sum()))
    grid = np.repeat(t_ns, made + 1) - after * layout.period_ns
    full = np.full((len(grid), layout.width), np.nan)
    full_stamps = np.full((len(grid), layout.width), NEVER, np.int64)
    full_retained = np.zeros((len(grid), layout.width), bool)
    full[place], full_stamps[place], full_retained[place] = values, stamps, retained
    filled = Rows(t_ns=grid, values=full, stamps=full_stamps, retained=full_retained)
    return filled, int((steps - made).sum())


def _hold(
    layout: AssetLayout, state: AssetAlign, rows: Rows, *, hold_ns: int
) -> NDArray[np.float64]:
    """Values with what is held from before filled in (n, w); moves what is held on."""
    carried = np.concatenate([state.held[None], rows.values])
    carried_ns = np.concatenate([state.held_ns[None], rows.stamps])
    places = np.arange(len(carried))[:, None]
    newest = np.maximum.accumulate(np.where(np.isfinite(carried), places, 0), axis=0)
    carried = np.take_along_axis(carried, newest, axis=0)
    carried_ns = np.take_along_axis(carried_ns, newest, axis=0)
    state.held, state.held_ns = carried[-1], carried_ns[-1]
    fresh = carried_ns[1:] >= rows.t_ns[:, None] - (hold_ns if layout.grid else 0)
    usable = fresh | layout.on_change
    return np.where(usable, carried[1:], np.nan)


def _running(layout: AssetLayout, values: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Whether the asset ran at each sample (n,).

    Without a run tag, or before its first value: yes.
    """
    running = np.ones(len(values), bool)
    for i, tag in enumerate(layout.context):
        if tag.role == "run":
            column = values[:, layout.channels + i]
            running &= np.isnan(column) | np.isin(column, tag.running)
    return running


def _changes(layout: AssetLayout, state: AssetAlign, rows: Rows) -> tuple[ContextChange, ...]:
    """New values of context tags up to the last sample, in time order.

    The first value of a tag and a retained one are not live.
    """
    t_ns, values, stamps, retained = rows.t_ns, rows.values, rows.stamps, rows.retained
    end_ns = int(t_ns[-1])
    found = [aside for aside in state.asides if aside.t_ns <= end_ns]
    if found:
        state.asides = [aside for aside in state.asides if aside.t_ns > end_ns]
    for i in range(len(layout.context)):
        column = layout.channels + i
        given = np.flatnonzero(np.isfinite(values[:, column]))
        shown = values[given, column]
        if not found:  # repeats say nothing new, unless something comes between them
            given = given[shown != np.concatenate([state.told[column, None], shown[:-1]])]
        found += [
            Aside(
                t_ns=int(stamps[row, column]),
                column=column,
                value=float(values[row, column]),
                retained=bool(retained[row, column]),
            )
            for row in given
        ]
    changes = []
    for aside in sorted(found, key=lambda aside: aside.t_ns):
        previous = float(state.told[aside.column])
        if aside.value == previous:
            continue
        state.told[aside.column] = aside.value
        changes.append(
            ContextChange(
                asset=layout.asset,
                tag=layout.context[aside.column - layout.channels].tag,
                t_ns=aside.t_ns,
                value=aside.value,
                previous=previous,
                live=not math.isnan(previous) and not aside.retained,
            )
        )
    return tuple(changes)
