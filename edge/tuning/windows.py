"""Labelled windows of samples, for what learns to name a failure mode. Pure over opened tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

import numpy as np

from edge.assessment.label_words import NORMAL
from models.heads.heads import LabelledWindow

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from edge.assessment.assess import Episode
    from edge.assessment.labelled import Event
    from edge.recordings.recording import Table
    from edge.tuning.replay import Recorded, Replay

_T = TypeVar("_T")

WINDOW_ROWS: Final = 30  # of the labelled part: what an alert knows of its event when it explains
WINDOW_ROWS_MIN: Final = 5
WARM_ROWS: Final = 300  # before it, for averages to settle and for the level before
WINDOWS_AN_EVENT_MAX: Final = 20  # more say the same again
APART_NS: Final = (
    600 * 10**9
)  # of what is taken as normal from everything that was labelled or rang


def fault_windows(recorded: Sequence[Recorded], events: Iterable[Event]) -> list[LabelledWindow]:
    """Windows of every event that names a failure mode or is normal, each event one group."""
    windows = []
    for event in events:
        table = recorded[event.recording].tables.get(event.asset)
        if table is not None and (event.names_mode or event.label == NORMAL):
            rows = rows_of(table, event.begin_ns, event.end_ns)
            windows += _cut(table, rows, label=event.label, group=event.event_id)
    return windows


def quiet_windows(
    recorded: Sequence[Recorded],
    replays: Sequence[Replay],
    events: Sequence[Event],
    *,
    count: int,
) -> list[LabelledWindow]:
    """Stretches in which nothing was labelled and nothing rang, running, spread evenly.

    Nobody has said that they are normal; they are used where nobody has labelled any as such. At
    most `count` of each asset; each is a group of its own.
    """
    windows = []
    for at, (one, run) in enumerate(zip(recorded, replays, strict=True)):
        for asset, table in sorted(one.tables.items()):
            mine = [event for event in events if event.recording == at and event.asset == asset]
            calm = _calm(table, mine, [e for e in run.episodes if e.asset == asset])
            usable = [
                first
                for first in range(WARM_ROWS, len(calm) - WINDOW_ROWS, WINDOW_ROWS)
                if calm[first : first + WINDOW_ROWS].all()
            ]
            for first in _spread(usable, count):
                group = f"{asset} {table.t_ns[first]}"
                rows = (first, first + WINDOW_ROWS)
                windows.append(window_of(table, rows, label=NORMAL, group=group))
    return windows


def ring_window(table: Table, event: Event, begin_ns: int, rang_ns: int) -> LabelledWindow | None:
    """What an alert knows of its event soon after it rang: [begin, at least to the ring).

    None where too few samples are left of the event.
    """
    first, last = rows_of(table, begin_ns, max(event.end_ns, rang_ns))
    rang = int(np.searchsorted(table.t_ns, rang_ns))
    last = min(last, max(first + WINDOW_ROWS, rang + 1))
    if last - first < WINDOW_ROWS_MIN:
        return None
    return window_of(table, (first, last), label=event.label, group=event.event_id)


def rows_of(table: Table, begin_ns: int, end_ns: int) -> tuple[int, int]:
    """First row at or after the begin, first one at or after the end."""
    first, last = np.searchsorted(table.t_ns, [begin_ns, end_ns]).tolist()
    return first, last


def window_of(table: Table, rows: tuple[int, int], *, label: str, group: str) -> LabelledWindow:
    """Rows [first, last) of a table as a window, with what went before them."""
    first, last = rows
    warm = max(first - WARM_ROWS, 0)
    values = table.values[warm:last]
    if table.running is not None:  # a stop is neither the fault nor what went before it
        values = np.where(table.running[warm:last, None], values, np.nan)
    return LabelledWindow(
        values=values,
        begin=first - warm,
        label=label,
        group=group,
        asset=table.asset,
        mode=float("nan") if table.mode is None else float(table.mode[first]),
    )


def _cut(table: Table, rows: tuple[int, int], *, label: str, group: str) -> list[LabelledWindow]:
    """The event in windows one behind the other, a short one as a whole."""
    first, last = rows
    if last - first < WINDOW_ROWS_MIN:
        return []
    starts = list(range(first, max(last - WINDOW_ROWS, first) + 1, WINDOW_ROWS))
    cuts = [(start, min(start + WINDOW_ROWS, last)) for start in starts]
    windows = [
        window_of(table, cut, label=label, group=group)
        for cut in _spread(cuts, WINDOWS_AN_EVENT_MAX)
    ]
    return [window for window in windows if np.isfinite(window.values[window.begin :]).any()]


def _spread(items: Sequence[_T], count: int) -> list[_T]:
    """At most `count` of some items, evenly over all of them."""
    if len(items) <= count:
        return list(items)
    at = np.linspace(0, len(items) - 1, count).round().astype(int).tolist()
    return [items[i] for i in at]


def _calm(table: Table, events: Iterable[Event], episodes: Iterable[Episode]) -> NDArray[np.bool_]:
    """Which rows (n,) are running, and far from anything that was labelled or rang."""
    t_ns = table.t_ns
    calm: NDArray[np.bool_] = np.asarray(np.isfinite(table.values).any(axis=1))
    if table.running is not None:
        calm &= table.running
    spans = [(event.begin_ns, event.end_ns) for event in events]
    spans += [(one.begin_ns, one.ended_ns or int(t_ns[-1])) for one in episodes]
    for begin_ns, end_ns in spans:
        calm &= (t_ns < begin_ns - APART_NS) | (t_ns > end_ns + APART_NS)
    return calm
