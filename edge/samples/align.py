"""Alignment: values by tag and time, as messages bring them, to closed samples.

    rows   each distinct time of an asset's channels is a sample; it closes when something later
           arrives, or `late_ms_max` later
    grid   a sample every period; at g each tag shows its newest value in (g - period, g], a cyclic
           tag is held a little longer, an on_change tag while its asset speaks; it closes when all
           cyclic tags have passed g, or `late_ms_max` later

Context tags ride along as further columns and come out as changes in time order. What cannot be
used is counted by reason, never dropped in silence. As long as each sender keeps its order and
nobody is later than `late_ms_max`, neither the cut into messages nor the times of ticks change a
sample.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

import msgspec
import numpy as np

from edge.batches import Batch
from edge.caps import PENDING_ROWS_MAX, TAG_SETS_TAGS_MAX
from edge.errors import ConfigError
from edge.samples.closing import fill, hold, mode_of, take_rows, told_changes, was_running
from edge.samples.pending import (
    F64,
    I64,
    NEVER,
    AssetAlign,
    Mask,
    count,
    put_late_context,
    put_row,
    put_rows,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge.batches import Readings
    from edge.settings import AssetSettings, ContextTag, EngineSettings, GatewaySettings
    from models.bundles.bundle import AssetModel, Bundle

MILLISECOND_NS: Final = 1_000_000
SECOND_NS: Final = 1_000_000_000
ALIVE_PERIODS_MIN: Final = 5  # a source that misses four samples still lives
TAG_SETS_MAX: Final = 4096  # ways to name an asset's tags together that are looked up only once
FLOAT32_MAX: Final = 2.0**128 - 2.0**103  # from here on rounding to float32 gives infinity


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
    on_change: Mask  # (c + k,) held while the source lives; context tags always

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


class AlignState(msgspec.Struct, kw_only=True):
    """All that alignment remembers."""

    assets: dict[str, AssetAlign] = {}
    counts: dict[str, int] = {}


@dataclass(frozen=True, slots=True)
class _TagSet:
    """Where a message's tags go: `sources` of it to `columns` of the layout; `others` nowhere."""

    sources: tuple[int, ...]
    columns: tuple[int, ...]
    others: tuple[int, ...]


class Aligner:
    """Takes readings, gives closed batches."""

    def __init__(
        self, layouts: Sequence[AssetLayout], settings: EngineSettings, *, state: AlignState
    ) -> None:
        self.state = state
        self._layouts = {layout.asset: layout for layout in layouts}
        self._late_ns = settings.late_ms_max * MILLISECOND_NS
        self._hold_ns = settings.hold_ms_max * MILLISECOND_NS
        self._gap_ns = settings.comms_gap_s * SECOND_NS
        self._tag_sets: dict[tuple[str, tuple[str, ...]], _TagSet] = {}
        self._tag_sets_tags = 0  # of all of them: names without end must not fill the memory
        for layout in layouts:
            state.assets.setdefault(layout.asset, AssetAlign.empty(layout.width))

    @property
    def counts(self) -> dict[str, int]:
        """Values that could not be used, by reason."""
        return self.state.counts

    def brings_channels(self, readings: Readings) -> bool:
        """Whether any tag is one of its asset's channels; a context tag is none."""
        layout = self._layouts.get(readings.asset)
        if layout is None:
            return False
        none = layout.channels
        return any(layout.columns.get(tag, none) < layout.channels for tag in readings.tags)

    # --- in ---

    def push(self, readings: Readings, *, future_ns: int, retain: bool = False) -> None:
        """Take the values of one message.

        Those later than `future_ns` are from a suspect clock: counted, not taken.
        """
        counts = self.state.counts
        count(counts, "text_value", len(readings.texts))
        count(counts, "bad_quality", readings.bad_quality)
        layout = self._layouts.get(readings.asset)
        if layout is None:
            count(counts, "unknown_asset", _given(readings.values))
            return
        tags = self._tag_set(layout, readings)
        if not tags.columns:
            return
        if len(readings.t_ns) == 1:
            self._push_one(layout, readings, tags, future_ns=future_ns, retain=retain)
        elif len(readings.t_ns):
            self._push_block(layout, readings, tags, future_ns=future_ns, retain=retain)

    def _tag_set(self, layout: AssetLayout, readings: Readings) -> _TagSet:
        """Where the tags of a message go; values that go nowhere are counted."""
        key = (layout.asset, readings.tags)
        found = self._tag_sets.get(key)
        if found is None:
            known = [i for i, tag in enumerate(readings.tags) if tag in layout.columns]
            found = _TagSet(
                tuple(known),
                tuple(layout.columns[readings.tags[i]] for i in known),
                tuple(i for i in range(len(readings.tags)) if i not in set(known)),
            )
            self._remember(key, found)
        if found.others:
            count(self.state.counts, "unknown_tag", _given(readings.values[:, found.others]))
        if not readings.units:
            return found
        fits = [
            readings.units.get(readings.tags[i], "") in ("", layout.units[column])
            or layout.units[column] == ""
            for i, column in zip(found.sources, found.columns, strict=True)
        ]
        if all(fits):
            return found
        pairs = list(zip(found.sources, found.columns, strict=True))
        wrong = [i for (i, _), fit in zip(pairs, fits, strict=True) if not fit]
        count(self.state.counts, "wrong_unit", _given(readings.values[:, wrong]))
        right = [pair for pair, fit in zip(pairs, fits, strict=True) if fit]
        return _TagSet(tuple(i for i, _ in right), tuple(column for _, column in right), ())

    def _remember(self, key: tuple[str, tuple[str, ...]], found: _TagSet) -> None:
        """Look up the same tags only once; where there is no room, begin anew."""
        count = len(key[1]) + 1
        if count > TAG_SETS_TAGS_MAX // 16:
            return
        self._tag_sets_tags += count
        if self._tag_sets_tags > TAG_SETS_TAGS_MAX or len(self._tag_sets) >= TAG_SETS_MAX:
            self._tag_sets, self._tag_sets_tags = {}, count
        self._tag_sets[key] = found

    def _push_one(
        self,
        layout: AssetLayout,
        readings: Readings,
        tags: _TagSet,
        *,
        future_ns: int,
        retain: bool,
    ) -> None:
        counts, state = self.state.counts, self.state.assets[layout.asset]
        t_ns = int(readings.t_ns[0])
        row = readings.values[0].tolist()
        shown = [
            (column, row[i])
            for i, column in zip(tags.sources, tags.columns, strict=True)
            if not math.isnan(row[i])
        ]
        given = [(column, value) for column, value in shown if -FLOAT32_MAX < value < FLOAT32_MAX]
        count(counts, "non_finite", len(shown) - len(given))
        if t_ns > future_ns:
            count(counts, "future", len(given))
            return
        slot = -(-t_ns // layout.period_ns) * layout.period_ns if layout.grid else t_ns
        if slot <= state.closed_ns:
            values = np.full((1, layout.width), np.nan)
            for column, value in given:
                values[0, column] = value
            self._late(layout, state, readings.t_ns, values, retain=retain)
            return
        put_row(
            state,
            given,
            t_ns=t_ns,
            slot=slot,
            channels=layout.channels,
            spoken=min(tags.columns) < layout.channels,
            retain=retain,
            counts=counts,
        )

    def _push_block(
        self,
        layout: AssetLayout,
        readings: Readings,
        tags: _TagSet,
        *,
        future_ns: int,
        retain: bool,
    ) -> None:
        counts, state = self.state.counts, self.state.assets[layout.asset]
        chosen = readings.values[:, tags.sources]
        finite = np.where(np.abs(chosen) < FLOAT32_MAX, chosen, np.nan)
        count(counts, "non_finite", _given(chosen) - _given(finite))
        t_ns = readings.t_ns
        values = np.full((len(t_ns), layout.width), np.nan)
        values[:, tags.columns] = finite
        if t_ns.max() > future_ns:
            usable = t_ns <= future_ns
            count(counts, "future", _given(values[~usable]))
            t_ns, values = t_ns[usable], values[usable]
        slots = -(-t_ns // layout.period_ns) * layout.period_ns if layout.grid else t_ns
        late = slots <= state.closed_ns
        if late.any():
            self._late(layout, state, t_ns[late], values[late], retain=retain)
            t_ns, slots, values = t_ns[~late], slots[~late], values[~late]
        if not len(t_ns):
            return
        put_rows(
            state,
            slots,
            t_ns,
            values,
            channels=layout.channels,
            spoken=min(tags.columns) < layout.channels,
            retain=retain,
            counts=counts,
        )

    def _late(
        self, layout: AssetLayout, state: AssetAlign, t_ns: I64, values: F64, *, retain: bool
    ) -> None:
        count(self.state.counts, "late", _given(values))
        put_late_context(
            state,
            t_ns,
            values,
            channels=layout.channels,
            retain=retain,
            counts=self.state.counts,
        )

    # --- out ---

    def close(self, *, now_ns: int, final: bool = False) -> list[Batch]:
        """Every sample that is complete by now, one batch an asset; a batch may hold changes only.

        `final`: nothing more will come.
        """
        batches = []
        for asset, layout in self._layouts.items():
            state = self.state.assets[asset]
            if not len(state.t_ns):
                continue
            complete = self._closable(layout, state, now_ns=now_ns, final=final)
            if complete:
                batches.append(self._close(layout, state, complete))
        return batches

    def _closable(self, layout: AssetLayout, state: AssetAlign, *, now_ns: int, final: bool) -> int:
        """How many of the waiting rows are complete."""
        waiting = len(state.t_ns)
        if final:
            return waiting
        overdue = int(state.t_ns.searchsorted(now_ns - self._late_ns, side="right"))
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

    def _close(self, layout: AssetLayout, state: AssetAlign, n: int) -> Batch:
        rows = take_rows(state, n)
        spoken = rows.spoken
        if layout.grid:
            rows, unfilled = fill(rows, period_ns=layout.period_ns, closed_ns=state.closed_ns)
            count(self.state.counts, "gap_unfilled", unfilled)
        heard = rows.spoken | (rows.stamps > NEVER).any(axis=1) if layout.grid else None
        changes = told_changes(
            state, rows, asset=layout.asset, channels=layout.channels, context=layout.context
        )
        values = hold(
            state,
            rows,
            on_change=layout.on_change,
            channels=layout.channels,
            cyclic_ns=(self._hold_ns or layout.period_ns * 3 // 2) if layout.grid else 0,
            alive_ns=max(self._gap_ns, ALIVE_PERIODS_MIN * layout.period_ns),
        )
        state.closed_ns = int(rows.t_ns[-1])
        t_ns = rows.t_ns
        told = values[:, layout.channels :]
        running, mode = was_running(told, layout.context), mode_of(told, layout.context)
        if not layout.grid and not spoken.all():  # a time at which only context spoke
            t_ns, values, running = t_ns[spoken], values[spoken], running[spoken]
            mode = None if mode is None else mode[spoken]
        return Batch(
            asset=layout.asset,
            t_ns=t_ns,
            values=values[:, : layout.channels].astype(np.float32),
            running=running,
            mode=mode,
            changes=changes,
            heard=heard,
        )


def _given(values: F64) -> int:
    """How many values are there at all, finite or not."""
    return int((~np.isnan(values)).sum())


def asset_layouts(settings: GatewaySettings, bundle: Bundle) -> tuple[AssetLayout, ...]:
    """How each asset's tags become its channels. Raises ConfigError naming what does not fit."""
    check_assets(settings, bundle)
    return tuple(AssetLayout.of(model, settings.of_asset(model.asset)) for model in bundle.assets)


def check_assets(settings: GatewaySettings, bundle: Bundle) -> None:
    """Raise ConfigError for an asset that is configured and not in the bundle."""
    known = {model.asset for model in bundle.assets}
    for asset in settings.asset:
        if asset.id not in known:
            raise ConfigError(
                f"asset {asset.id!r} is configured but the bundle has no parameters for it; "
                f"it has {', '.join(sorted(known))}. Fit it, or remove it from the configuration"
            )
