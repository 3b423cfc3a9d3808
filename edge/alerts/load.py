"""Load: how much an operator position hears, and which alerts ring too often or too long.

The measures are those of ISA-18.2-2016 clause 16 and IEC 62682:2022: annunciated alarms per ten
minutes, the peak, the share of ten-minute intervals in flood (more than ten), the most frequent
alarms, chattering and stale ones. What rings through its group is not counted again.

Pure. Times are plant time, ns.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from edge.alerts.alerts import AlertRecord
    from edge.settings import EngineSettings

SECOND_NS: Final = 1_000_000_000
INTERVAL_NS: Final = 600 * SECOND_NS
FLOOD_RINGS: Final = 10  # more in one interval are a flood
SHIFTS_KEPT: Final = 2  # this one and the one before
FREQUENT_MAX: Final = 10
LISTED_MAX: Final = 50  # alerts of a kind on health

Key = tuple[str, str]  # (asset, track)


class ShiftLoad(msgspec.Struct, kw_only=True):
    """Rings of one shift: of each position by number of the interval, and of each alert topic."""

    shift: int
    intervals: dict[str, dict[int, int]] = {}
    rings: dict[str, int] = {}  # by "asset/track"


class LoadState(msgspec.Struct, kw_only=True):
    """All that is remembered. By "asset/track": newest rings; ids told as chattering, as stale."""

    shifts: list[ShiftLoad] = []
    newest: dict[str, list[int]] = {}
    chattering: dict[str, str] = {}
    stale: dict[str, str] = {}
    since_ns: int = 0


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """The load of one operator position over a time that begins at `begin_ns`."""

    position: str
    begin_ns: int
    rings: int
    per_10_min: float
    peak_10_min: int
    flood_share: float


class Frequent(msgspec.Struct, frozen=True, kw_only=True):
    """How often an alert topic has rung."""

    asset: str
    track: str
    rings: int


class LoadReport(msgspec.Struct, frozen=True, kw_only=True):
    """The alarm load of a time. chattering, stale: alert ids."""

    load: tuple[Figures, ...] = ()
    frequent: tuple[Frequent, ...] = ()
    chattering: tuple[str, ...] = ()
    stale: tuple[str, ...] = ()


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """An alert has asked a position for attention. again: it had rung before in the same event."""

    t_ns: int
    position: str
    asset: str
    track: str
    alert_id: str
    again: bool = False


class Load:
    """Counts along a run."""

    def __init__(self, engine: EngineSettings, *, state: LoadState) -> None:
        self._engine = engine
        self._state = state

    def heard(self, ask: Ask) -> None:
        """Count an ask; of shifts that are over only the newest is kept."""
        shift = self._shift(ask.t_ns)
        known = {each.shift: each for each in self._state.shifts}
        if shift not in known:
            known[shift] = ShiftLoad(shift=shift)
            self._state.shifts = [known[number] for number in sorted(known)[-SHIFTS_KEPT:]]
        intervals = known[shift].intervals.setdefault(ask.position, {})
        number = (ask.t_ns - self._begin_ns(shift)) // INTERVAL_NS
        intervals[number] = intervals.get(number, 0) + 1
        key = f"{ask.asset}/{ask.track}"
        known[shift].rings[key] = known[shift].rings.get(key, 0) + 1

    def rang(self, asset: str, track: str, alert_id: str, *, t_ns: int) -> bool:
        """An event began to ring; returns whether its alert is now first found to chatter."""
        key, most = f"{asset}/{track}", max(self._engine.chatter_rings, 1)
        since_ns = t_ns - self._engine.chatter_window_s * SECOND_NS
        kept = [each for each in self._state.newest.get(key, []) if each >= since_ns]
        if not kept:  # it has kept still for as long: if it chatters again, that is told again
            self._state.chattering.pop(key, None)
        kept = [*kept, t_ns][-most:]
        self._state.newest[key] = kept
        if self._engine.chatter_rings <= 0 or len(kept) < most:
            return False
        news = key not in self._state.chattering
        self._state.chattering[key] = alert_id
        return news

    def look(self, records: Iterable[AlertRecord], *, now_ns: int) -> list[AlertRecord]:
        """Look for what has stood too long; returns what is now first found to be stale."""
        self._state.since_ns = self._state.since_ns or now_ns
        found = [record for record in records if self._is_stale(record, now_ns)]
        before = self._state.stale
        ids = {f"{record.asset}/{record.track}": record for record in found}
        self._state.stale = {key: record.alert_id for key, record in ids.items()}
        return [record for key, record in ids.items() if before.get(key) != record.alert_id]

    def _is_stale(self, record: AlertRecord, now_ns: int) -> bool:
        return record.active and now_ns - record.begin_ns > self._engine.stale_s * SECOND_NS

    def report(self, *, now_ns: int) -> LoadReport:
        """The load of this shift and the one before."""
        figures, rings = [], dict[str, int]()
        shift = self._shift(now_ns)
        since_ns = now_ns - self._engine.chatter_window_s * SECOND_NS
        for each in self._state.shifts:
            if each.shift <= shift - SHIFTS_KEPT:
                continue
            begin_ns = max(self._begin_ns(each.shift), min(self._state.since_ns, now_ns))
            end_ns = max(min(self._begin_ns(each.shift + 1), now_ns), begin_ns)
            for position, intervals in sorted(each.intervals.items()):
                figures.append(
                    figures_of(intervals, position=position, begin_ns=begin_ns, end_ns=end_ns)
                )
            for key, count in each.rings.items():
                rings[key] = rings.get(key, 0) + count
        newest = self._state.newest
        return LoadReport(
            load=tuple(figures),
            frequent=frequent_of(rings),
            chattering=tuple(
                alert_id
                for key, alert_id in sorted(self._state.chattering.items())
                if newest[key][-1] >= since_ns
            )[:LISTED_MAX],
            stale=tuple(alert_id for _, alert_id in sorted(self._state.stale.items()))[:LISTED_MAX],
        )

    def clock_stepped_back(self) -> None:
        """No time of the past can be held against the new one."""
        self._state.newest, self._state.chattering = {}, {}
        self._state.shifts, self._state.since_ns = [], 0

    def _shift(self, t_ns: int) -> int:
        begin_s, length_s = self._engine.shift_start_s, self._engine.shift_s
        return (t_ns - begin_s * SECOND_NS) // (length_s * SECOND_NS)

    def _begin_ns(self, shift: int) -> int:
        return (shift * self._engine.shift_s + self._engine.shift_start_s) * SECOND_NS


def figures_of(
    intervals: Mapping[int, int], *, position: str, begin_ns: int, end_ns: int
) -> Figures:
    """Figures of the rings of ten-minute intervals, by number, over a time.

    An interval that has begun counts; there is at least one.
    """
    rings = sum(intervals.values())
    count = max(-(-(end_ns - begin_ns) // INTERVAL_NS), len(intervals), 1)
    floods = sum(each > FLOOD_RINGS for each in intervals.values())
    return Figures(
        position=position,
        begin_ns=begin_ns,
        rings=rings,
        per_10_min=round(rings / count, 3),
        peak_10_min=max(intervals.values(), default=0),
        flood_share=round(floods / count, 4),
    )


def frequent_of(rings: Mapping[str, int]) -> tuple[Frequent, ...]:
    """The ten alert topics that have rung most, by "asset/track"; of equals by name."""
    found = sorted(rings.items(), key=lambda each: (-each[1], each[0]))[:FREQUENT_MAX]
    named = [(*key.rpartition("/")[::2], count) for key, count in found]
    return tuple(Frequent(asset=asset, track=track, rings=n) for asset, track, n in named)


def load_of(
    asks: Iterable[Ask], engine: EngineSettings, *, begin_ns: int, end_ns: int
) -> LoadReport:
    """The load of a whole run, each position's intervals counted from its begin.

    What is stale is for a gateway that goes on, and is left out.
    """
    intervals: dict[str, dict[int, int]] = {}
    rings: dict[str, int] = {}
    chatters = Load(engine, state=LoadState())
    chattering: dict[str, None] = {}
    for ask in sorted(asks, key=lambda each: (each.t_ns, each.asset, each.track)):
        of = intervals.setdefault(ask.position, {})
        number = (ask.t_ns - begin_ns) // INTERVAL_NS
        of[number] = of.get(number, 0) + 1
        key = f"{ask.asset}/{ask.track}"
        rings[key] = rings.get(key, 0) + 1
        if not ask.again and chatters.rang(ask.asset, ask.track, ask.alert_id, t_ns=ask.t_ns):
            chattering[ask.alert_id] = None
    return LoadReport(
        load=tuple(
            figures_of(of, position=position, begin_ns=begin_ns, end_ns=end_ns)
            for position, of in sorted(intervals.items())
        ),
        frequent=frequent_of(rings),
        chattering=tuple(chattering),
    )
