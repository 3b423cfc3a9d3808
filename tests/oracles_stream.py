"""Slow twins of the streaming parts: one value at a time, knowing all in advance."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge.samples.layouts import AssetLayout


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
    layout: AssetLayout, arrived: Sequence[Value], *, hold_ns: int, alive_ns: int
) -> tuple[list[Sample], list[Change]]:
    """All samples and changes of values in their order of arrival, none late or from the future.

    It knows nothing of messages, ticks and waiting, because none of them may show in the samples.
    """
    step = layout.period_ns
    if layout.grid:
        slots = [-(-v.t_ns // step) for v in arrived]
        times = [k * step for k in range(min(slots), max(slots) + 1)] if slots else []
    else:
        times = sorted({v.t_ns for v in arrived if v.column < layout.channels})
    samples = []
    for t_ns in times:
        row = [
            _cell(layout, arrived, column=c, t_ns=t_ns, hold_ns=hold_ns, alive_ns=alive_ns)
            for c in range(layout.width)
        ]
        running = True
        for i, tag in enumerate(layout.context):
            state = row[layout.channels + i]
            if tag.role == "run" and not math.isnan(state):
                running = running and state in tag.running
        samples.append(Sample(t_ns, tuple(row[: layout.channels]), running))
    return samples, _changes(layout, arrived)


def _history(arrived: Sequence[Value], column: int) -> list[Value]:
    """What a column showed, in time order; of two values of one time, the first that arrived."""
    first: dict[int, Value] = {}
    for v in arrived:
        if v.column == column and not math.isnan(v.value):
            first.setdefault(v.t_ns, v)
    return [first[t_ns] for t_ns in sorted(first)]


def _cell(
    layout: AssetLayout,
    arrived: Sequence[Value],
    *,
    column: int,
    t_ns: int,
    hold_ns: int,
    alive_ns: int,
) -> float:
    past = [v for v in _history(arrived, column) if v.t_ns <= t_ns]
    if not past:
        return math.nan
    newest, age_ns = past[-1], t_ns - past[-1].t_ns
    if column >= layout.channels:
        return newest.value
    if age_ns == 0 or (layout.grid and age_ns < layout.period_ns):
        return newest.value
    if layout.on_change[column]:
        heard_ns = max(v.t_ns for v in arrived if v.t_ns <= t_ns and not math.isnan(v.value))
        return newest.value if t_ns - heard_ns <= alive_ns else math.nan
    return newest.value if layout.grid and age_ns <= hold_ns else math.nan


def _changes(layout: AssetLayout, arrived: Sequence[Value]) -> list[Change]:
    changes = []
    for i, tag in enumerate(layout.context):
        previous = math.nan
        for v in _history(arrived, layout.channels + i):
            if v.value != previous:
                live = not math.isnan(previous) and not v.retained
                changes.append((v.t_ns, i, Change(v.t_ns, tag.tag, v.value, previous, live)))
            previous = v.value
    return [change for _, _, change in sorted(changes, key=lambda found: found[:2])]


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
