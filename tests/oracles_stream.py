"""Slow twins of the streaming parts: one value at a time, knowing all in advance."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge.align import AssetLayout


class Value(NamedTuple):
    """One value as it arrived."""

    t_ns: int
    column: int
    value: float  # NaN: null
    retained: bool = False


class Sample(NamedTuple):
    """One closed sample."""

    t_ns: int
    values: tuple[float, ...]  # (c,)
    running: bool


class Change(NamedTuple):
    """One context change."""

    t_ns: int
    tag: str
    value: float
    previous: float
    live: bool


def align(
    layout: AssetLayout, arrived: Sequence[Value], *, hold_ns: int
) -> tuple[list[Sample], list[Change]]:
    """All samples and changes of values of which none was late, duplicate or from the future."""
    step = layout.period_ns
    slots = {v: -(-v.t_ns // step) * step if layout.grid else v.t_ns for v in arrived}
    times = sorted(set(slots.values()))
    if layout.grid and times:
        times = list(range(times[0], times[-1] + 1, step))
    samples = []
    for t_ns in times:
        row = [
            _cell(layout, arrived, slots, column=c, t_ns=t_ns, hold_ns=hold_ns)
            for c in range(layout.width)
        ]
        running = True
        for i, tag in enumerate(layout.context):
            state = row[layout.channels + i]
            if tag.role == "run" and not math.isnan(state):
                running = running and state in tag.running
        samples.append(Sample(t_ns, tuple(row[: layout.channels]), running))
    return samples, _changes(layout, arrived)


def _cell(
    layout: AssetLayout,
    arrived: Sequence[Value],
    slots: dict[Value, int],
    *,
    column: int,
    t_ns: int,
    hold_ns: int,
) -> float:
    newest: Value | None = None
    for v in arrived:
        if v.column != column or math.isnan(v.value) or slots[v] > t_ns:
            continue
        if newest is None or v.t_ns > newest.t_ns:
            newest = v
    if newest is None:
        return math.nan
    if layout.on_change[column]:
        return newest.value
    oldest_ns = t_ns - hold_ns if layout.grid else t_ns
    return newest.value if newest.t_ns >= oldest_ns else math.nan


def _changes(layout: AssetLayout, arrived: Sequence[Value]) -> list[Change]:
    changes = []
    for i, tag in enumerate(layout.context):
        previous = math.nan
        mine = [v for v in arrived if v.column == layout.channels + i and not math.isnan(v.value)]
        for v in sorted(mine, key=lambda v: v.t_ns):
            if v.value != previous:
                live = not math.isnan(previous) and not v.retained
                changes.append(Change(v.t_ns, tag.tag, v.value, previous, live))
            previous = v.value
    return sorted(changes, key=lambda change: change.t_ns)


class ChannelHealth:
    """Stuck and missing of one channel, a sample at a time."""

    def __init__(self, longest: int) -> None:
        self._longest = longest
        self._value = math.nan
        self._equal = 0
        self._absent = 0

    def step(self, value: float, *, running: bool) -> tuple[bool, bool]:
        """Whether the channel is stuck and whether it is missing, after this sample."""
        if math.isnan(value):
            self._absent += running
        else:
            self._absent = 0
            if value == self._value:
                self._equal += running
            else:
                self._equal = 0
            self._value = value
        return self._equal >= self._longest, self._absent >= self._longest
