"""Alignment: values by tag and time, as messages bring them, to closed samples in the bundle's channel order.

    rows   each distinct time of an asset is a sample; it closes when a later one arrives, or `late_ms_max` later
    grid   samples every period; each holds the newest value in (g - period, g], cyclic tags held a little longer,
           on_change tags held while the source lives; closes when all cyclic tags have passed g, or late_ms_max later

Context tags ride along as further columns and come out as changes in time order. What cannot be used is counted by
reason, never dropped in silence. How messages are cut and when ticks come changes nothing about the samples.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

import msgspec
import numpy as np
from numpy.typing import NDArray  # noqa: TC002 - msgspec reads the annotations at run time

from edge.caps import PENDING_ROWS_MAX
from edge.records import Batch, ContextChange

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge.records import Readings
    from edge.settings import AssetSettings, ContextTag, EngineSettings
    from models.bundle import AssetModel

MILLISECOND_NS: Final = 1_000_000
NEVER: Final = -(2**63)


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
    """Rows of one asset that wait to be closed, oldest first, and what is held from the closed ones.

    t_ns: (m,) sample times; values: (m, w) NaN absent; value_t_ns: (m, w) when each was measured;
    retained: (m,) came retained; newest_ns: (w,) newest time of each column; held, held_ns: (w,) newest closed value.
    """

    t_ns: np.ndarray
    values: np.ndarray
    value_t_ns: np.ndarray
    retained: np.ndarray
    newest_ns: np.ndarray
    held: np.ndarray
    held_ns: np.ndarray
    closed_ns: int = NEVER

    @classmethod
    def empty(cls, width: int) -> Self:
        """Nothing seen yet."""
        return cls(
            t_ns=np.empty(0, np.int64),
            values=np.empty((0, width)),
            value_t_ns=np.empty((0, width), np.int64),
            retained=np.empty(0, bool),
            newest_ns=np.full(width, NEVER, np.int64),
            held=np.full(width, np.nan),
            held_ns=np.full(width, NEVER, np.int64),
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
        """Take the values of one message. Values later than `future_ns` are from a suspect clock: counted, not taken."""
        layout = self._layouts.get(readings.asset)
        if layout is None:
            self._count("unknown_asset", readings.values.size)
            return
        self._count("text_value", len(readings.texts))
        sources, columns = self._find_columns(layout, readings)
        if not columns:
            return
        values = np.full((len(readings.t_ns), layout.width), np.nan)
        with np.errstate(over="ignore"):
            chosen = readings.values[:, sources]
            values[:, columns] = np.where(np.isfinite(chosen.astype(np.float32)), chosen, np.nan)
        self._count("non_finite", int((np.isfinite(values[:, columns]) < ~np.isnan(chosen)).sum()))
        t_ns = readings.t_ns
        usable = t_ns <= future_ns
        self._count("future", int(np.isfinite(values[~usable]).sum()))
        self._merge(layout, t_ns[usable], values[usable], retain=retain)

    def _find_columns(
        self, layout: AssetLayout, readings: Readings
    ) -> tuple[list[int], list[int]]:
        """Columns of the message and of the layout that belong together; unknown tags are counted each time."""
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
        self._count("unknown_tag", len(readings.tags) - len(sources))
        if readings.units:
            fits = [
                readings.units.get(readings.tags[i], "") in ("", layout.units[column])
                or layout.units[column] == ""
                for i, column in zip(sources, columns, strict=True)
            ]
            self._count("wrong_unit", fits.count(False) * len(readings.t_ns))
            sources = [i for i, fit in zip(sources, fits, strict=True) if fit]
            columns = [c for c, fit in zip(columns, fits, strict=True) if fit]
        return sources, columns

    def _merge(
        self, layout: AssetLayout, t_ns: NDArray[np.int64], values: NDArray[np.float64], *, retain: bool
    ) -> None:
        state = self.state.assets[layout.asset]
        slots = -(-t_ns // layout.period_ns) * layout.period_ns if layout.grid else t_ns
        late = slots <= state.closed_ns
        if late.any():
            self._count("late", int(np.isfinite(values[late]).sum()))
            t_ns, slots, values = t_ns[~late], slots[~late], values[~late]
        if not len(t_ns):
            return
        stamps = np.where(np.isfinite(values), t_ns[:, None], NEVER)
        np.maximum(state.newest_ns, stamps.max(axis=0), out=state.newest_ns)
        ordered = len(slots) == 1 or bool((np.diff(slots) > 0).all())
        if ordered and (not len(state.t_ns) or slots[0] > state.t_ns[-1]):
            self._append(state, slots, values, stamps, retain=retain)
            return
        for i in range(len(slots)):
            self._put(state, int(slots[i]), values[i], stamps[i], retain=retain)

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
        state.retained = np.concatenate([state.retained, np.full(len(slots), retain)])

    def _put(
        self,
        state: AssetAlign,
        slot: int,
        values: NDArray[np.float64],
        stamps: NDArray[np.int64],
        *,
        retain: bool,
    ) -> None:
        """One row into its place. Of two values in one place the newer wins; of two of one time, the first."""
        i = int(np.searchsorted(state.t_ns, slot))
        if i == len(state.t_ns) or state.t_ns[i] != slot:
            state.t_ns = np.insert(state.t_ns, i, slot)
            state.values = np.insert(state.values, i, values, axis=0)
            state.value_t_ns = np.insert(state.value_t_ns, i, stamps, axis=0)
            state.retained = np.insert(state.retained, i, retain)
            return
        given = np.isfinite(values)
        newer = given & (stamps > state.value_t_ns[i])
        self._count("duplicate", int((given & (stamps == state.value_t_ns[i])).sum()))
        state.values[i, newer] = values[newer]
        state.value_t_ns[i, newer] = stamps[newer]
        state.retained[i] &= retain

    # --- out ---

    def close(self, *, now_ns: int, final: bool = False) -> list[Batch]:
        """Every sample that is complete by now, one batch an asset. `final`: nothing more will come."""
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
        t_ns, values = state.t_ns[:count], state.values[:count]
        stamps, retained = state.value_t_ns[:count], state.retained[:count]
        state.t_ns, state.values = state.t_ns[count:], state.values[count:]
        state.value_t_ns, state.retained = state.value_t_ns[count:], state.retained[count:]
        if layout.grid:
            t_ns, values, stamps, retained = self._fill(layout, state, t_ns, values, stamps, retained)
        changes = self._changes(layout, state, t_ns, values, stamps, retained)
        batch = self._hold(layout, state, t_ns, values, stamps)
        state.closed_ns = int(t_ns[-1])
        return Batch(
            asset=layout.asset,
            t_ns=t_ns,
            values=batch[:, : layout.channels].astype(np.float32),
            running=self._running(layout, batch),
            changes=changes,
        )

    @staticmethod
    def _fill(
        layout: AssetLayout,
        state: AssetAlign,
        t_ns: NDArray[np.int64],
        values: NDArray[np.float64],
        stamps: NDArray[np.int64],
        retained: NDArray[np.bool_],
    ) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.int64], NDArray[np.bool_]]:
        """Grid samples in which nothing came are samples too; a gap beyond the cap is left out."""
        first = state.closed_ns + layout.period_ns if state.closed_ns > NEVER else int(t_ns[0])
        first = max(first, int(t_ns[-1]) - (PENDING_ROWS_MAX - 1) * layout.period_ns)
        grid = np.arange(first, int(t_ns[-1]) + 1, layout.period_ns, dtype=np.int64)
        grid = np.union1d(grid, t_ns)
        place = np.searchsorted(grid, t_ns)
        full = np.full((len(grid), layout.width), np.nan)
        full_stamps = np.full((len(grid), layout.width), NEVER, np.int64)
        full_retained = np.zeros(len(grid), bool)
        full[place], full_stamps[place], full_retained[place] = values, stamps, retained
        return grid, full, full_stamps, full_retained

    def _hold(
        self,
        layout: AssetLayout,
        state: AssetAlign,
        t_ns: NDArray[np.int64],
        values: NDArray[np.float64],
        stamps: NDArray[np.int64],
    ) -> NDArray[np.float64]:
        """Values with what is held from before filled in (n, w); moves what is held on."""
        carried = np.concatenate([state.held[None], values])
        carried_ns = np.concatenate([state.held_ns[None], stamps])
        rows = np.arange(len(carried))[:, None]
        newest = np.maximum.accumulate(np.where(np.isfinite(carried), rows, 0), axis=0)
        carried = np.take_along_axis(carried, newest, axis=0)
        carried_ns = np.take_along_axis(carried_ns, newest, axis=0)
        state.held, state.held_ns = carried[-1], carried_ns[-1]
        hold_ns = self._hold_ms_max * MILLISECOND_NS or layout.period_ns * 3 // 2
        fresh = carried_ns[1:] >= t_ns[:, None] - (hold_ns if layout.grid else 0)
        usable = fresh | layout.on_change
        return np.where(usable, carried[1:], np.nan)

    @staticmethod
    def _running(layout: AssetLayout, values: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Whether the asset ran at each sample (n,); without a run tag, or before its first value: yes."""
        running = np.ones(len(values), bool)
        for i, tag in enumerate(layout.context):
            if tag.role == "run":
                column = values[:, layout.channels + i]
                running &= np.isnan(column) | np.isin(column, tag.running)
        return running

    @staticmethod
    def _changes(
        layout: AssetLayout,
        state: AssetAlign,
        t_ns: NDArray[np.int64],
        values: NDArray[np.float64],
        stamps: NDArray[np.int64],
        retained: NDArray[np.bool_],
    ) -> tuple[ContextChange, ...]:
        """New values of context tags, in time order. The first value of a tag and a retained one are not live."""
        changes = []
        for i, tag in enumerate(layout.context):
            column = layout.channels + i
            previous = float(state.held[column])
            for row in np.flatnonzero(np.isfinite(values[:, column])):
                value = float(values[row, column])
                if value != previous:
                    live = not np.isnan(previous) and not retained[row]
                    changes.append(
                        ContextChange(
                            asset=layout.asset,
                            tag=tag.tag,
                            t_ns=int(min(stamps[row, column], t_ns[row])),
                            value=value,
                            previous=previous,
                            live=live,
                        )
                    )
                previous = value
        return tuple(sorted(changes, key=lambda change: change.t_ns))
