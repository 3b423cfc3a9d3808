"""Alignment: values by tag and time become closed samples in the bundle's channel order.

    rows   each distinct time of an asset is a sample; it closes when a later one arrives, or
           `late_ms_max` later
    grid   a sample every period; each holds the newest value in (g - period, g], cyclic tags a
           little longer, on_change tags while the source lives; it closes when all cyclic tags
           have passed g, or `late_ms_max` later

Context tags ride along as further columns and come out as changes in time order. What cannot be
used is counted by reason, never dropped in silence. How messages are cut and when ticks come
changes nothing about the samples.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

import msgspec
import numpy as np
from numpy.typing import NDArray  # noqa: TC002 - msgspec reads the annotations at run time

from edge.caps import PENDING_CHANGES_MAX, PENDING_ROWS_MAX
from edge.closing import NEVER, Aside, Rows, close_rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge.records import Batch, Readings
    from edge.settings import AssetSettings, ContextTag, EngineSettings
    from models.bundle import AssetModel

MILLISECOND_NS: Final = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class AssetLayout:
    """How one asset's tags become columns: its channels first, then its context tags."""

    asset: str
    columns: dict[str, int]  # tag -> column
    units: tuple[str, ...]  # unit expected in each column, "" for any
    channels: int
    context: tuple[ContextTag, ...]
    period_ns: int
    grid: bool
    on_change: NDArray[np.bool_]  # (c + k,) held while the source lives; context tags always

    @classmethod
    def of(cls, model: AssetModel, settings: AssetSettings) -> Self:
        """The layout of a bundle's asset with its settings."""
        names = [channel.name for channel in model.channels]
        tags = {name: name for name in names if name not in settings.tags.values()}
        tags |= settings.tags
        columns = {tag: names.index(name) for tag, name in tags.items() if name in names}
        columns |= {c.tag: len(names) + i for i, c in enumerate(settings.context)}
        held = [name in settings.on_change for name in names] + [True] * len(settings.context)
        by_column = {column: tag for tag, column in columns.items()}
        units = [
            settings.units.get(by_column.get(i, ""), channel.unit)
            for i, channel in enumerate(model.channels)
        ]
        return cls(
            asset=model.asset,
            columns=columns,
            units=(*units, *[""] * len(settings.context)),
            channels=len(names),
            context=settings.context,
            period_ns=model.period_ns,
            grid=model.alignment == "grid",
            on_change=np.array(held, bool),
        )

    @property
    def width(self) -> int:
        """Columns in all."""
        return self.channels + len(self.context)


class AssetAlign(msgspec.Struct, kw_only=True):
    """Rows of one asset that wait to be closed, oldest first.

    And what is held from the closed ones.

    t_ns: (m,) sample times; values: (m, w) NaN absent; value_t_ns: (m, w) when each was measured;
    retained: (m, w) came retained; newest_ns: (w,) newest time of each column; held, held_ns: (w,)
    newest closed value; told: (w,) newest context value that a change has told; asides: see there.
    """

    t_ns: np.ndarray
    values: np.ndarray
    value_t_ns: np.ndarray
    retained: np.ndarray
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
            newest_ns=np.full(width, NEVER, np.int64),
            held=np.full(width, np.nan),
            held_ns=np.full(width, NEVER, np.int64),
            told=np.full(width, np.nan),
        )


class AlignState(msgspec.Struct, kw_only=True):
    """All that alignment remembers."""

    assets: dict[str, AssetAlign] = {}
    counts: dict[str, int] = {}


class Aligner:
    """Takes readings, gives closed batches."""

    def __init__(
        self, layouts: Sequence[AssetLayout], settings: EngineSettings, *, state: AlignState
    ) -> None:
        self.state = state
        self._layouts = {layout.asset: layout for layout in layouts}
        self._late_ns = settings.late_ms_max * MILLISECOND_NS
        self._hold_ms_max = settings.hold_ms_max
        self._columns: dict[tuple[str, tuple[str, ...]], tuple[list[int], list[int]]] = {}
        for layout in layouts:
            state.assets.setdefault(layout.asset, AssetAlign.empty(layout.width))

    @property
    def counts(self) -> dict[str, int]:
        """Values that could not be used, by reason."""
        return self.state.counts

    def _count(self, reason: str, by: int) -> None:
        if by:
            self.state.counts[reason] = self.state.counts.get(reason, 0) + by

    # --- in ---

    def push(self, readings: Readings, *, future_ns: int, retain: bool = False) -> None:
        """Take the values of one message.

        Values later than `future_ns` are from a suspect clock: counted, not taken.
        """
        layout = self._layouts.get(readings.asset)
        self._count("text_value", len(readings.texts))
        if layout is None:
            self._count("unknown_asset", _given(readings.values))
            return
        sources, columns = self._find_columns(layout, readings)
        if not columns:
            return
        values = np.full((len(readings.t_ns), layout.width), np.nan)
        chosen = readings.values[:, sources]
        with np.errstate(over="ignore"):
            finite = np.isfinite(chosen.astype(np.float32))
        if finite.all():  # the usual message: nothing to count, nothing to leave out
            values[:, columns] = chosen
        else:
            self._count("non_finite", int((~finite & ~np.isnan(chosen)).sum()))
            values[:, columns] = np.where(finite, chosen, np.nan)
        t_ns = readings.t_ns
        usable = t_ns <= future_ns
        if not usable.all():
            self._count("future", _given(values[~usable]))
            t_ns, values = t_ns[usable], values[usable]
        self._merge(layout, t_ns, values, retain=retain)

    def _find_columns(self, layout: AssetLayout, readings: Readings) -> tuple[list[int], list[int]]:
        """Columns of the message and of the layout that belong together.

        Values of others are counted.
        """
        key = (layout.asset, readings.tags)
        found = self._columns.get(key)
        if found is None:
            pairs = [
                (i, layout.columns[tag])
                for i, tag in enumerate(readings.tags)
                if tag in layout.columns
            ]
            found = [i for i, _ in pairs], [column for _, column in pairs]
            if len(self._columns) < PENDING_ROWS_MAX:
                self._columns[key] = found
        sources, columns = found
        if len(sources) < len(readings.tags):
            self._count("unknown_tag", _given(np.delete(readings.values, sources, axis=1)))
        if readings.units:
            fits = [
                readings.units.get(readings.tags[i], "") in ("", layout.units[column])
                or layout.units[column] == ""
                for i, column in zip(sources, columns, strict=True)
            ]
            wrong = [i for i, fit in zip(sources, fits, strict=True) if not fit]
            self._count("wrong_unit", _given(readings.values[:, wrong]))
            sources = [i for i, fit in zip(sources, fits, strict=True) if fit]
            columns = [c for c, fit in zip(columns, fits, strict=True) if fit]
        return sources, columns

    def _merge(
        self,
        layout: AssetLayout,
        t_ns: NDArray[np.int64],
        values: NDArray[np.float64],
        *,
        retain: bool,
    ) -> None:
        state = self.state.assets[layout.asset]
        slots = -(-t_ns // layout.period_ns) * layout.period_ns if layout.grid else t_ns
        late = slots <= state.closed_ns
        if late.any():
            self._count("late", _given(values[late]))
            self._late_context(layout, state, t_ns[late], values[late], retain=retain)
            t_ns, slots, values = t_ns[~late], slots[~late], values[~late]
        if not len(t_ns):
            return
        stamps = np.where(np.isfinite(values), t_ns[:, None], NEVER)
        np.maximum(state.newest_ns, stamps.max(axis=0), out=state.newest_ns)
        ordered = len(slots) == 1 or bool((np.diff(slots) > 0).all())
        if ordered and (not len(state.t_ns) or slots[0] > state.t_ns[-1]):
            self._append(state, slots, values, stamps, retain=retain)
            return
        order = np.argsort(slots, kind="stable")
        slots, values, stamps = slots[order], values[order], stamps[order]
        first = np.diff(slots, prepend=slots[0] - 1) > 0  # (n,) first row of its slot
        self._make_places(state, slots[first])
        # Rows of one slot one after the other, the first of each slot at once, then the second, ...
        begins = np.flatnonzero(first)
        rank = np.arange(len(slots)) - begins[np.cumsum(first) - 1]
        by_rank = np.argsort(rank, kind="stable")
        for rows in np.split(by_rank, np.cumsum(np.bincount(rank))[:-1]):
            self._put(layout, state, slots[rows], values[rows], stamps[rows], retain=retain)

    def _late_context(
        self,
        layout: AssetLayout,
        state: AssetAlign,
        t_ns: NDArray[np.int64],
        values: NDArray[np.float64],
        *,
        retain: bool,
    ) -> None:
        """A late context value that is news still counts, from now on and not backwards.

        A job must end.
        """
        order = np.argsort(t_ns, kind="stable")
        context = values[order, layout.channels :]
        for row, i in zip(*np.nonzero(np.isfinite(context)), strict=True):
            at_ns, column = int(t_ns[order[row]]), layout.channels + int(i)
            if at_ns <= state.held_ns[column]:
                continue
            value = float(context[row, i])
            state.held[column], state.held_ns[column] = value, at_ns
            self._set_aside(state, state.closed_ns + 1, column, value, retained=retain)

    def _set_aside(
        self, state: AssetAlign, t_ns: int, column: int, value: float, *, retained: bool
    ) -> None:
        if len(state.asides) >= PENDING_CHANGES_MAX:
            self._count("context_overflow", 1)
            return
        aside = Aside(t_ns=t_ns, column=column, value=value, retained=retained)
        state.asides.append(aside)

    @staticmethod
    def _append(
        state: AssetAlign,
        slots: NDArray[np.int64],
        values: NDArray[np.float64],
        stamps: NDArray[np.int64],
        *,
        retain: bool,
    ) -> None:
        state.t_ns = np.concatenate([state.t_ns, slots])
        state.values = np.concatenate([state.values, values])
        state.value_t_ns = np.concatenate([state.value_t_ns, stamps])
        state.retained = np.concatenate([state.retained, np.full(values.shape, retain)])

    @staticmethod
    def _make_places(state: AssetAlign, slots: NDArray[np.int64]) -> None:
        """Empty rows for those of `slots` (k,), increasing, that have none yet."""
        missing = np.setdiff1d(slots, state.t_ns, assume_unique=True)
        at = np.searchsorted(state.t_ns, missing)
        state.t_ns = np.insert(state.t_ns, at, missing)
        state.values = np.insert(state.values, at, np.nan, axis=0)
        state.value_t_ns = np.insert(state.value_t_ns, at, NEVER, axis=0)
        state.retained = np.insert(state.retained, at, values=False, axis=0)

    def _put(
        self,
        layout: AssetLayout,
        state: AssetAlign,
        slots: NDArray[np.int64],
        values: NDArray[np.float64],
        stamps: NDArray[np.int64],
        *,
        retain: bool,
    ) -> None:
        """Rows (k, w) of distinct slots (k,) into their places, which there are.

        Of two values in one place the newer wins; of two of one time, the first. A context value
        that gives way is set aside, because it may be an edge.
        """
        at = np.searchsorted(state.t_ns, slots)
        old, old_stamps, old_retained = state.values[at], state.value_t_ns[at], state.retained[at]
        given = np.isfinite(values)
        newer = given & (stamps > old_stamps)
        self._count("duplicate", int((given & (stamps == old_stamps)).sum()))
        context = slice(layout.channels, None)
        for row, i in zip(*np.nonzero((newer & np.isfinite(old))[:, context]), strict=True):
            column = layout.channels + int(i)
            self._set_aside(
                state,
                int(old_stamps[row, column]),
                column,
                float(old[row, column]),
                retained=bool(old_retained[row, column]),
            )
        for row, i in zip(*np.nonzero((given & (stamps < old_stamps))[:, context]), strict=True):
            column = layout.channels + int(i)
            value = float(values[row, column])
            self._set_aside(state, int(stamps[row, column]), column, value, retained=retain)
        state.values[at] = np.where(newer, values, old)
        state.value_t_ns[at] = np.where(newer, stamps, old_stamps)
        state.retained[at] = np.where(newer, retain, old_retained)

    # --- out ---

    def close(self, *, now_ns: int, final: bool = False) -> list[Batch]:
        """Every sample that is complete by now, one batch an asset.

        `final`: nothing more will come.
        """
        batches = []
        for asset, layout in self._layouts.items():
            state = self.state.assets[asset]
            if not len(state.t_ns):
                continue
            count = self._closable(layout, state, now_ns=now_ns, final=final)
            if count:
                batches.append(self._close(layout, state, count))
        return batches

    def _closable(self, layout: AssetLayout, state: AssetAlign, *, now_ns: int, final: bool) -> int:
        """How many of the waiting rows are complete."""
        waiting = len(state.t_ns)
        if final:
            return waiting
        overdue = int(np.searchsorted(state.t_ns, now_ns - self._late_ns, side="right"))
        if layout.grid:
            cyclic = state.newest_ns[~layout.on_change]
            seen = cyclic[cyclic > NEVER]  # a tag that never spoke makes nobody wait
            passed_ns = int(seen.min()) if len(seen) else NEVER
            complete = int(np.searchsorted(state.t_ns, passed_ns, side="right"))
        else:
            complete = waiting - 1
        return max(overdue, complete, waiting - PENDING_ROWS_MAX)

    def _close(self, layout: AssetLayout, state: AssetAlign, count: int) -> Batch:
        rows = Rows(
            t_ns=state.t_ns[:count],
            values=state.values[:count],
            stamps=state.value_t_ns[:count],
            retained=state.retained[:count],
        )
        state.t_ns, state.values = state.t_ns[count:], state.values[count:]
        state.value_t_ns, state.retained = state.value_t_ns[count:], state.retained[count:]
        hold_ns = self._hold_ms_max * MILLISECOND_NS or layout.period_ns * 3 // 2
        batch, unfilled = close_rows(layout, state, rows, hold_ns=hold_ns)
        self._count("gap_unfilled", unfilled)
        return batch


def _given(values: NDArray[np.float64]) -> int:
    """How many values are there at all, finite or not."""
    return int((~np.isnan(values)).sum())
