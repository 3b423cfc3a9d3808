"""Rows that wait to be closed: values of one asset by time, in whatever order they came.

Of two values for one place the newer wins; of two of one time, the first. A context value that
gives way is set aside, because it may be an edge; a channel's is not, because a sample shows the
newest. Counting is by reason, into `counts`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Self, cast

import msgspec
import numpy as np
from numpy.typing import NDArray

from edge.caps import PENDING_CHANGES_MAX

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from edge.samples.later import Later

I64 = NDArray[np.int64]
F64 = NDArray[np.float64]
Mask = NDArray[np.bool_]
Indices = NDArray[np.intp]

NEVER: Final = -(2**63)  # the stamp of a value that is not there
FLOAT32_MAX: Final = 2.0**128 - 2.0**103  # from here on rounding to float32 gives infinity


class Aside(msgspec.Struct, frozen=True, kw_only=True):
    """A context value without a place in a row: a newer one took it, or its row had closed."""

    t_ns: int
    column: int
    value: float
    retained: bool
    measured_ns: int = 0  # of a late one, whose t_ns is when it may act


class AssetAlign(msgspec.Struct, kw_only=True):
    """Rows of one asset that wait to be closed, oldest first, and what is held from closed ones.

    t_ns: (m,) row times; values: (m, w) NaN absent; value_t_ns: (m, w) when each was measured,
    NEVER where absent; retained: (m, w) came retained; spoken: (m,) a channel was named, null or
    not; newest_ns: (w,) newest time of each column; held, held_ns: (w,) newest closed value; told:
    (w,) newest context value that a change has told; asides: see there.
    """

    t_ns: np.ndarray
    values: np.ndarray
    value_t_ns: np.ndarray
    retained: np.ndarray
    spoken: np.ndarray
    newest_ns: np.ndarray
    held: np.ndarray
    held_ns: np.ndarray
    told: np.ndarray
    asides: list[Aside] = []
    closed_ns: int = NEVER

    @classmethod
    def empty(cls, width: int) -> Self:
        """Nothing seen yet."""
        return cls(
            t_ns=np.empty(0, np.int64),
            values=np.empty((0, width)),
            value_t_ns=np.empty((0, width), np.int64),
            retained=np.empty((0, width), bool),
            spoken=np.empty(0, bool),
            newest_ns=np.full(width, NEVER, np.int64),
            held=np.full(width, np.nan),
            held_ns=np.full(width, NEVER, np.int64),
            told=np.full(width, np.nan),
        )


class AlignState(msgspec.Struct, kw_only=True):
    """All that alignment remembers."""

    assets: dict[str, AssetAlign] = {}
    counts: dict[str, int] = {}


def kept_state(state: AlignState, later: Mapping[str, Later]) -> AlignState:
    """What is to be written of a state. later: what stands for some of its assets."""
    assets = {**state.assets, **cast("Mapping[str, AssetAlign]", later)}
    return AlignState(assets=assets, counts=state.counts)


def count(counts: dict[str, int], reason: str, by: int) -> None:
    """Add to a count; nothing is counted as nothing."""
    if by:
        counts[reason] = counts.get(reason, 0) + by


def put_row(
    state: AssetAlign,
    given: Iterable[tuple[int, float]],
    *,
    t_ns: int,
    slot: int,
    channels: int,
    spoken: bool,
    retain: bool,
    counts: dict[str, int],
) -> None:
    """One message of one time: pairs of column and finite value, into the row `slot` (still open).

    The short way for live data, where array calls on a few values would be most of the cost.
    """
    at = _place(state, slot)
    state.spoken[at] |= spoken
    stamps, values, newest_ns = state.value_t_ns[at], state.values[at], state.newest_ns
    for column, value in given:
        old_ns = int(stamps[column])
        if t_ns > old_ns:
            if column >= channels and old_ns != NEVER:
                retained = bool(state.retained[at, column])
                old = Aside(
                    t_ns=old_ns, column=column, value=float(values[column]), retained=retained
                )
                set_aside(state, old, counts)
            values[column] = value
            stamps[column] = t_ns
            state.retained[at, column] = retain
            newest_ns[column] = max(newest_ns[column], t_ns)
        elif t_ns == old_ns:
            count(counts, "duplicate", 1)
        elif column >= channels:
            aside = Aside(t_ns=t_ns, column=column, value=value, retained=retain)
            set_aside(state, aside, counts)


def _place(state: AssetAlign, slot: int) -> int:
    """Where the row of a time is; makes an empty one where there is none."""
    end = len(state.t_ns)
    if not end or slot > state.t_ns[-1]:
        width = state.values.shape[1]
        _append(
            state,
            np.array([slot], np.int64),
            np.full((1, width), np.nan),
            np.full((1, width), NEVER, np.int64),
            spoken=False,
            retain=False,
        )
        return end
    if slot == state.t_ns[-1]:
        return end - 1
    _make_places(state, np.array([slot], np.int64))
    return int(np.searchsorted(state.t_ns, slot))


def put_rows(
    state: AssetAlign,
    slots: I64,
    t_ns: I64,
    values: F64,
    *,
    channels: int,
    spoken: bool,
    retain: bool,
    counts: dict[str, int],
) -> None:
    """A block of rows into their places, all still open.

    slots, t_ns: (n,) in any order; values: (n, w) finite or NaN.
    """
    stamps = np.where(np.isnan(values), NEVER, t_ns[:, None])
    np.maximum(state.newest_ns, stamps.max(axis=0), out=state.newest_ns)
    ordered = bool((np.diff(slots) > 0).all())
    if ordered and (not len(state.t_ns) or slots[0] > state.t_ns[-1]):
        _append(state, slots, values, stamps, spoken=spoken, retain=retain)
        return
    order = np.argsort(slots, kind="stable")
    slots, values, stamps = slots[order], values[order], stamps[order]
    first = np.diff(slots, prepend=slots[0] - 1) > 0  # (n,) first row of its slot
    _make_places(state, slots[first])
    state.spoken[np.searchsorted(state.t_ns, slots)] |= spoken
    # Rows of one slot one after the other, the first of each slot at once, then the second, ...
    begins = np.flatnonzero(first)
    rank = np.arange(len(slots)) - begins[np.cumsum(first) - 1]
    by_rank = np.argsort(rank, kind="stable")
    for rows in np.split(by_rank, np.cumsum(np.bincount(rank))[:-1]):
        _put(
            state,
            slots[rows],
            values[rows],
            stamps[rows],
            channels=channels,
            retain=retain,
            counts=counts,
        )


def append_whole(
    state: AssetAlign,
    slots: I64,
    t_ns: I64,
    values: F64,
    *,
    columns: Sequence[int],
    spoken: bool,
    retain: bool,
) -> None:
    """A block of rows, all later than those that wait, none with a gap: what a source mostly sends.

    slots, t_ns: (n,) increasing; values: (n, k) finite, of these columns.
    """
    shape = len(slots), state.values.shape[1]
    stamps, chosen = np.empty(shape, np.int64), list(columns)
    if chosen == list(range(shape[1])):
        stamps[:] = t_ns[:, None]
    else:
        every, values = values, np.full(shape, np.nan)
        values[:, chosen] = every
        stamps[:] = NEVER
        stamps[:, chosen] = t_ns[:, None]
    state.newest_ns[chosen] = np.maximum(state.newest_ns[chosen], t_ns[-1])
    _append(state, slots, values, stamps, spoken=spoken, retain=retain)


def put_late_context(
    state: AssetAlign,
    t_ns: I64,
    values: F64,
    *,
    channels: int,
    retain: bool,
    counts: dict[str, int],
) -> None:
    """A late context value that is news still counts, from now on and not backwards.

    A job must end. t_ns: (n,); values: (n, w), whose rows have closed.
    """
    order = np.argsort(t_ns, kind="stable")
    context = values[order, channels:]
    for row, i in zip(*np.nonzero(~np.isnan(context)), strict=True):
        at_ns, column = int(t_ns[order[row]]), channels + int(i)
        if at_ns <= state.held_ns[column]:
            continue
        value = float(context[row, i])
        state.held[column], state.held_ns[column] = value, at_ns
        aside = Aside(
            t_ns=state.closed_ns + 1,
            column=column,
            value=value,
            retained=retain,
            measured_ns=at_ns,
        )
        set_aside(state, aside, counts)


def set_aside(state: AssetAlign, aside: Aside, counts: dict[str, int]) -> None:
    """Keep a context value beside the rows, until they close."""
    if len(state.asides) >= PENDING_CHANGES_MAX:
        count(counts, "context_overflow", 1)
        return
    state.asides.append(aside)


def _append(
    state: AssetAlign, slots: I64, values: F64, stamps: I64, *, spoken: bool, retain: bool
) -> None:
    state.t_ns = np.concatenate([state.t_ns, slots])
    state.values = np.concatenate([state.values, values])
    state.value_t_ns = np.concatenate([state.value_t_ns, stamps])
    state.retained = np.concatenate([state.retained, np.full(values.shape, retain)])
    state.spoken = np.concatenate([state.spoken, np.full(len(slots), spoken)])


def _make_places(state: AssetAlign, slots: I64) -> None:
    """Empty rows for those of `slots` (k,), increasing, that have none yet."""
    missing = np.setdiff1d(slots, state.t_ns, assume_unique=True)
    if not len(missing):
        return
    at = np.searchsorted(state.t_ns, missing)
    state.t_ns = np.insert(state.t_ns, at, missing)
    state.values = np.insert(state.values, at, np.nan, axis=0)
    state.value_t_ns = np.insert(state.value_t_ns, at, NEVER, axis=0)
    state.retained = np.insert(state.retained, at, values=False, axis=0)
    state.spoken = np.insert(state.spoken, at, values=False)


def _put(
    state: AssetAlign,
    slots: I64,
    values: F64,
    stamps: I64,
    *,
    channels: int,
    retain: bool,
    counts: dict[str, int],
) -> None:
    """Rows (k, w) of distinct slots (k,) into their places, which there are."""
    at = np.searchsorted(state.t_ns, slots)
    old, old_stamps, old_retained = state.values[at], state.value_t_ns[at], state.retained[at]
    given = ~np.isnan(values)
    newer = given & (stamps > old_stamps)
    count(counts, "duplicate", int((given & (stamps == old_stamps)).sum()))
    for row, i in zip(*np.nonzero((newer & ~np.isnan(old))[:, channels:]), strict=True):
        place = row, channels + int(i)
        aside = Aside(
            t_ns=int(old_stamps[place]),
            column=place[1],
            value=float(old[place]),
            retained=bool(old_retained[place]),
        )
        set_aside(state, aside, counts)
    for row, i in zip(*np.nonzero((given & (stamps < old_stamps))[:, channels:]), strict=True):
        place = row, channels + int(i)
        aside = Aside(
            t_ns=int(stamps[place]), column=place[1], value=float(values[place]), retained=retain
        )
        set_aside(state, aside, counts)
    state.values[at] = np.where(newer, values, old)
    state.value_t_ns[at] = np.where(newer, stamps, old_stamps)
    state.retained[at] = np.where(newer, retain, old_retained)
