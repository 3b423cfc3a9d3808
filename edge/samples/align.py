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
from typing import TYPE_CHECKING, Final

import numpy as np

from edge.batches import Batch, sheaves_of
from edge.samples.arrays import Forms
from edge.samples.closing import (
    batches_of,
    closable,
    fill,
    hold,
    mode_of,
    sheaves_closed,
    take_rows,
    told_changes,
    was_running,
)
from edge.samples.pending import (
    F64,
    FLOAT32_MAX,
    I64,
    NEVER,
    AssetAlign,
    append_whole,
    count,
    kept_state,
    put_late_context,
    put_row,
    put_rows,
)
from edge.samples.tag_sets import TagSets, given_of
from edge.samples.together import FOREVER, Together
from edge.samples.whole import Block, Whole

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from edge.batches import ContextChange, Readings, Sheaf
    from edge.samples.arrays import Cells, Closed
    from edge.samples.layouts import AssetLayout
    from edge.samples.pending import AlignState, Mask
    from edge.samples.tag_sets import TagSet
    from edge.settings import EngineSettings

MILLISECOND_NS: Final = 1_000_000
SECOND_NS: Final = 1_000_000_000
ALIVE_PERIODS_MIN: Final = 5  # a source that misses four samples still lives


class Aligner:
    """Takes readings, gives closed batches."""

    def __init__(
        self, layouts: Sequence[AssetLayout], settings: EngineSettings, *, state: AlignState
    ) -> None:
        self._state = state
        self._layouts = tuple(layouts)
        self._numbers = {layout.asset: i for i, layout in enumerate(layouts)}
        self._late_ns = settings.late_ms_max * MILLISECOND_NS
        self._hold_ns = settings.hold_ms_max * MILLISECOND_NS
        self._gap_ns = settings.comms_gap_s * SECOND_NS
        self._tag_sets = TagSets()
        for layout in layouts:
            state.assets.setdefault(layout.asset, AssetAlign.empty(layout.width))
        self._states = [state.assets[layout.asset] for layout in layouts]
        alive_ns = [self._alive_ns(layout) for layout in layouts]
        forms = Forms(layouts, hold_ns=self._hold_ns, alive_ns=np.array(alive_ns, np.int64))
        self._together = Together(forms, self._states, layouts)
        # of assets that go their own way: which brought something, and when the oldest row is due
        self._touched = set(range(len(layouts)))
        self._oldest_ns = np.full(len(layouts), FOREVER, np.int64)
        self._whole = Whole(layouts, self._states, self._together, self._oldest_ns)

    def _alive_ns(self, layout: AssetLayout) -> int:
        return max(self._gap_ns, ALIVE_PERIODS_MIN * layout.period_ns)

    @property
    def state(self) -> AlignState:
        """All that it remembers, as a checkpoint keeps it."""
        self.show()
        return self._state

    def show(self) -> None:
        """Let the state hold all that waits."""
        self._each_its_way(self._whole.taken())
        self._together.show(np.flatnonzero(~self._together.own))

    def kept(self) -> AlignState:
        """The same as it is now, for whoever writes it: what waits is put together only then."""
        self._each_its_way(self._whole.taken())
        together = self._together.kept([layout.width for layout in self._layouts])
        later = {self._layouts[i].asset: one for i, one in together.items()}
        return kept_state(self._state, later)

    @property
    def counts(self) -> dict[str, int]:
        """Values that could not be used, by reason."""
        return self._state.counts

    @property
    def assets(self) -> int:
        """How many assets there are; they are numbered from 0."""
        return len(self._layouts)

    @property
    def columns_max(self) -> int:
        """Columns of the widest asset."""
        return max((layout.width for layout in self._layouts), default=1)

    def number_of(self, asset: str) -> int | None:
        """The number of an asset; None: it is none of ours."""
        return self._numbers.get(asset)

    def layout_of(self, number: int) -> AssetLayout:
        """How an asset's tags become columns."""
        return self._layouts[number]

    def brings_channels(self, readings: Readings) -> bool:
        """Whether any tag is one of its asset's channels; a context tag is none."""
        number = self._numbers.get(readings.asset)
        if number is None:
            return False
        layout = self._layouts[number]
        none = layout.channels
        return any(layout.columns.get(tag, none) < layout.channels for tag in readings.tags)

    # --- in ---

    def push(self, readings: Readings, *, future_ns: int, retain: bool = False) -> None:
        """Take the values of one message.

        Those later than `future_ns` are from a suspect clock: counted, not taken.
        """
        counts = self._state.counts
        count(counts, "text_value", len(readings.texts))
        count(counts, "bad_quality", readings.bad_quality)
        number = self._numbers.get(readings.asset)
        if number is None:
            count(counts, "unknown_asset", given_of(readings.values))
            return
        tags, layout = self.tag_set(readings), self._layouts[number]
        if not tags.columns:
            return
        if not self._together.own[number]:
            self._together.give_back(np.array([number]))
        self._touched.add(number)
        self._each_its_way(self._whole.taken(number))
        if len(readings.t_ns) == 1:
            row, t_ns = readings.values[0].tolist(), int(readings.t_ns[0])
            shown = [(column, row[i]) for i, column in zip(tags.sources, tags.columns, strict=True)]
            self._put_one(layout, shown, t_ns=t_ns, future_ns=future_ns, retain=retain)
        elif len(readings.t_ns):
            block = Block(readings, tags, future_ns)
            if retain or not self._whole.take(number, block):
                self._push_block(layout, block, retain=retain)

    def put(self, cells: Cells, alone: Mask) -> Mask:
        """Take cells of many assets; returns for which (a,) none were taken.

        None is later than its own bound. alone: assets (a,) that are to go their own way.
        """
        self._each_its_way(self._whole.taken())
        brings = np.zeros(self.assets, bool)
        brings[cells.asset] = True
        back = np.flatnonzero(brings & self._together.own & ~alone)
        if len(back):
            self._together.take_back(back)
            here = back[~self._together.own[back]]
            self._oldest_ns[here] = FOREVER
            self._touched.difference_update(here.tolist())
        return alone | self._together.put(cells, self._state.counts)

    def give_back(self, alone: Mask) -> None:
        """Let assets (a,) go their own way."""
        numbers = np.flatnonzero(alone & ~self._together.own)
        self._together.give_back(numbers)
        self._touched.update(numbers.tolist())

    def put_one(self, number: int, shown: Sequence[tuple[int, float]], *, t_ns: int) -> None:
        """One message of one time of an asset that goes its own way: pairs of column and value.

        Not later than its bound. NaN: absent.
        """
        self._touched.add(number)
        self._each_its_way(self._whole.taken(number))
        self._put_one(self._layouts[number], shown, t_ns=t_ns, future_ns=t_ns, retain=False)

    def tag_set(self, readings: Readings) -> TagSet:
        """Where the tags of a message of one of ours go; values that go nowhere are counted."""
        layout = self._layouts[self._numbers[readings.asset]]
        return self._tag_sets.of(layout, readings, self._state.counts)

    def _put_one(
        self,
        layout: AssetLayout,
        shown: Sequence[tuple[int, float]],
        *,
        t_ns: int,
        future_ns: int,
        retain: bool,
    ) -> None:
        counts, state = self._state.counts, self._state.assets[layout.asset]
        given = [(column, value) for column, value in shown if -FLOAT32_MAX < value < FLOAT32_MAX]
        if len(given) < len(shown):
            told = sum(not math.isnan(value) for _, value in shown)
            count(counts, "non_finite", told - len(given))
        if t_ns > future_ns:
            count(counts, "future", len(given))
            return
        slot = -(-t_ns // layout.period_ns) * layout.period_ns if layout.grid else t_ns
        if slot <= state.closed_ns:
            values = np.full((1, layout.width), np.nan)
            for column, value in given:
                values[0, column] = value
            self._late(layout, state, np.array([t_ns]), values, retain=retain)
            return
        put_row(
            state,
            given,
            t_ns=t_ns,
            slot=slot,
            channels=layout.channels,
            spoken=min(column for column, _ in shown) < layout.channels,
            retain=retain,
            counts=counts,
        )

    def _each_its_way(self, blocks: Mapping[int, Block]) -> None:
        """Blocks that waited to be closed with others, by asset: as if they had not."""
        for number, block in blocks.items():
            self._push_block(self._layouts[number], block, retain=False)

    def _push_block(self, layout: AssetLayout, block: Block, *, retain: bool) -> None:
        readings, tags, future_ns = block
        counts, state = self._state.counts, self._state.assets[layout.asset]
        every = tags.sources == tuple(range(len(readings.tags)))
        chosen = readings.values if every else readings.values[:, tags.sources]
        spoken = min(tags.columns) < layout.channels
        if (np.abs(chosen) < FLOAT32_MAX).all() and readings.t_ns[-1] <= future_ns:
            slots = self._slots(layout, readings.t_ns)
            begin_ns = max(state.closed_ns, int(state.t_ns[-1]) if len(state.t_ns) else NEVER)
            if slots[0] > begin_ns and (slots[1:] > slots[:-1]).all():
                append_whole(
                    state,
                    slots,
                    readings.t_ns,
                    chosen,
                    columns=tags.columns,
                    spoken=spoken,
                    retain=retain,
                )
                return
        finite = np.where(np.abs(chosen) < FLOAT32_MAX, chosen, np.nan)
        count(counts, "non_finite", given_of(chosen) - given_of(finite))
        t_ns = readings.t_ns
        values = np.full((len(t_ns), layout.width), np.nan)
        values[:, tags.columns] = finite
        if t_ns.max() > future_ns:
            usable = t_ns <= future_ns
            count(counts, "future", given_of(values[~usable]))
            t_ns, values = t_ns[usable], values[usable]
        slots = self._slots(layout, t_ns)
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
            spoken=spoken,
            retain=retain,
            counts=counts,
        )

    def _slots(self, layout: AssetLayout, t_ns: I64) -> I64:
        return -(-t_ns // layout.period_ns) * layout.period_ns if layout.grid else t_ns

    def _late(
        self, layout: AssetLayout, state: AssetAlign, t_ns: I64, values: F64, *, retain: bool
    ) -> None:
        count(self._state.counts, "late", given_of(values))
        put_late_context(
            state,
            t_ns,
            values,
            channels=layout.channels,
            retain=retain,
            counts=self._state.counts,
        )

    # --- out ---

    def close(self, *, now_ns: int, final: bool = False) -> list[Batch]:
        """Every sample that is complete by now, one batch an asset; a batch may hold changes only.

        `final`: nothing more will come.
        """
        closed, whole, due = self._due(now_ns=now_ns, final=final)
        batches = self._batches(closed, due, now_ns=now_ns, final=final)
        for numbers, sheaf in whole:
            batches |= {number: sheaf.batch(k) for k, number in enumerate(numbers)}
        return [batches[number] for number in sorted(batches)]

    def samples(self, *, now_ns: int, final: bool) -> tuple[list[ContextChange], Sequence[Sheaf]]:
        """The same of many assets at once: the changes of all, and samples put together."""
        closed, whole, due = self._due(now_ns=now_ns, final=final)
        blocks = [sheaf for _, sheaf in whole]
        if closed is not None and not due:  # as in the usual tick
            sheaves = sheaves_closed(closed, self._layouts, self._together.forms)
            if sheaves is not None:
                return [], [*sheaves, *blocks]
        found = self._batches(closed, due, now_ns=now_ns, final=final)
        batches = [found[number] for number in sorted(found)]
        changes = [change for batch in batches for change in batch.changes]
        return changes, [*sheaves_of(batches), *blocks]

    def _due(
        self, *, now_ns: int, final: bool
    ) -> tuple[Closed | None, list[tuple[list[int], Sheaf]], set[int]]:
        """What many assets have together that is complete, and who may have something alone."""
        closed, odd = self._together.close(now_ns=now_ns, late_ns=self._late_ns, final=final)
        overdue_ns = now_ns - self._late_ns
        whole = [] if final else self._whole.close(overdue_ns=overdue_ns)
        self._each_its_way(self._whole.taken())
        due = self._touched.difference(*(numbers for numbers, _ in whole)).union(odd.tolist())
        due.update(np.flatnonzero(self._oldest_ns <= overdue_ns).tolist())
        if final:
            due.update(np.flatnonzero(self._together.own).tolist())
        self._touched = set()
        return closed, whole, due

    def _batches(
        self, closed: Closed | None, due: set[int], *, now_ns: int, final: bool
    ) -> dict[int, Batch]:
        batches = {} if closed is None else batches_of(closed, self._layouts, self._together.forms)
        overdue_ns = now_ns - self._late_ns
        for number in due:
            layout, state = self._layouts[number], self._states[number]
            if complete := closable(layout, state, overdue_ns=overdue_ns, final=final):
                batches[number] = self._close(layout, state, complete)
            self._oldest_ns[number] = state.t_ns[0] if len(state.t_ns) else FOREVER
        return batches

    def _close(self, layout: AssetLayout, state: AssetAlign, n: int) -> Batch:
        rows = take_rows(state, n)
        spoken = rows.spoken
        if layout.grid:
            rows, unfilled = fill(rows, period_ns=layout.period_ns, closed_ns=state.closed_ns)
            count(self._state.counts, "gap_unfilled", unfilled)
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
            alive_ns=self._alive_ns(layout),
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
