"""Figures of a time by ISA-18.2 and EEMUA 191: how much was heard, of what, and how it was met.

Pure. Times are plant time, ms; days are those of a calendar, whose begins are given.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from edge.alerts.load import FREQUENT_MAX, INTERVAL_NS, figures_of
from edge.reports.life import EVER_MS, events_of, horns_of
from edge.reports.transitions import GROUP_ASSET

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from edge.reports.life import Event, Horn
    from edge.reports.transitions import Transition

MS_NS: Final = 1_000_000
INTERVAL_MS: Final = INTERVAL_NS // MS_NS
DAY_MS: Final = 86_400_000
LISTED_MAX: Final = 50
PRIORITIES: Final = (1, 2, 3, 4)


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """The load of one operator position; "": of all of them, or of those that have no name."""

    name: str
    rings: int
    per_day: float
    per_10_min: float
    peak_10_min: int
    peak_ms: int  # when the interval of the peak began; 0 there was none
    flood_share: float
    flood_min: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """How often an alert topic has rung, and which part of all that is."""

    asset: str
    track: str
    rings: int
    share: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Stood:
    """An alert that stood for long, or chattered: since when, for how long, how often."""

    asset: str
    track: str
    id: str
    since_ms: int
    lasted_ms: int
    rings: int
    over: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    """A day of the calendar."""

    begin_ms: int
    rings: int
    avoided: int
    peak_10_min: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What is chattering and what is stale, as the gateway's settings have it."""

    chatter_rings: int = 3
    chatter_ms: int = 600_000
    stale_ms: int = DAY_MS


@dataclass(frozen=True, slots=True, kw_only=True)
class Month:
    """The figures. since_ms: from when on something is kept, where that is behind the begin."""

    begin_ms: int
    end_ms: int
    since_ms: int
    everywhere: Position
    positions: tuple[Position, ...]
    days: tuple[Day, ...]
    actors: tuple[Actor, ...]
    stale: tuple[Stood, ...]
    chattering: tuple[Stood, ...]
    priorities: dict[int, int]
    events: int  # that began
    rang: int  # of these
    avoided: int  # kept quiet by a job from begin to end
    late: int  # kept quiet at first, and rang all the same
    acked: int
    unacked: int
    ack_median_ms: int | None
    ack_p90_ms: int | None
    feedback: dict[str, int]


def month(
    transitions: Sequence[Transition],
    *,
    days: Sequence[int],
    positions: Mapping[str, str],
    rules: Rules,
    since_ms: int = 0,
    feedback: Mapping[str, int] | None = None,
) -> Month:
    """Figures from the first of `days` to the last, which is the end.

    transitions: in the order of decisions, also from before. since_ms: from when on all are kept;
    what is left of the time before stands, and counts for nothing, as a day is measured by all.
    """
    begin_ms, end_ms = days[0], days[-1]
    known_ms = max(begin_ms, since_ms)
    everything = [one for one in transitions if one.t_ms < end_ms]
    horns = [one for one in horns_of(everything, positions) if one.t_ms >= known_ms]
    events = [one for one in events_of(everything) if (one.over_ms or EVER_MS) >= begin_ms]
    began = [one for one in events if one.first_ms >= known_ms and one.asset != GROUP_ASSET]
    alone = [one for one in horns if one.asset != GROUP_ASSET]
    waits = sorted(one.ack_ms for one in began if one.ack_ms is not None)
    avoided = [one for one in began if one.avoided]
    by_name = sorted({one.position for one in horns})
    return Month(
        begin_ms=begin_ms,
        end_ms=end_ms,
        since_ms=known_ms,
        everywhere=_position("", _once(horns), known_ms, end_ms),
        positions=tuple(
            _position(name, [h for h in horns if h.position == name], known_ms, end_ms)
            for name in by_name
        ),
        days=_days(days, _once(horns), avoided, known_ms),
        actors=_actors(alone),
        stale=_stale(events, end_ms, rules),
        chattering=_chattering(alone, rules),
        priorities={p: sum(h.priority == p for h in _once(horns)) for p in PRIORITIES},
        events=len(began),
        rang=sum(one.rang_ms is not None for one in began),
        avoided=len(avoided),
        late=sum(one.suppressed_ms is not None and bool(one.horns_ms) for one in began),
        acked=len(waits),
        unacked=sum(bool(one.horns_ms) and one.acked_ms is None for one in began),
        ack_median_ms=percentile(waits, 50),
        ack_p90_ms=percentile(waits, 90),
        feedback=dict(feedback or {}),
    )


def percentile(values: Sequence[int], share: int) -> int | None:
    """The smallest of sorted values that is not below `share` % of them; None: there are none."""
    if not values:
        return None
    return values[max(0, -(-len(values) * share // 100) - 1)]


def _once(horns: Iterable[Horn]) -> list[Horn]:
    """A group that asks several positions sounds once in the plant."""
    found = {(one.t_ms, one.asset, one.track, one.id): one for one in reversed(list(horns))}
    return list(found.values())[::-1]


def _position(name: str, horns: Sequence[Horn], begin_ms: int, end_ms: int) -> Position:
    intervals = _intervals(horns, begin_ms)
    figures = figures_of(
        intervals, position=name, begin_ns=begin_ms * MS_NS, end_ns=max(begin_ms, end_ms) * MS_NS
    )
    peak = max(intervals, key=lambda n: (intervals[n], -n), default=None)
    count = max(-(-(end_ms - begin_ms) // INTERVAL_MS), len(intervals), 1)
    return Position(
        name=name,
        rings=figures.rings,
        per_day=figures.rings * DAY_MS / max(end_ms - begin_ms, 1),
        per_10_min=figures.per_10_min,
        peak_10_min=figures.peak_10_min,
        peak_ms=0 if peak is None else begin_ms + peak * INTERVAL_MS,
        flood_share=figures.flood_share,
        flood_min=round(figures.flood_share * count) * 10,
    )


def _intervals(horns: Iterable[Horn], begin_ms: int) -> dict[int, int]:
    found: dict[int, int] = {}
    for one in horns:
        number = (one.t_ms - begin_ms) // INTERVAL_MS
        found[number] = found.get(number, 0) + 1
    return found


def _days(
    days: Sequence[int], horns: Sequence[Horn], avoided: Sequence[Event], begin_ms: int
) -> tuple[Day, ...]:
    rung: list[list[Horn]] = [[] for _ in days[1:]]
    kept = [0] * (len(days) - 1)
    for horn in horns:
        rung[bisect_right(days, horn.t_ms) - 1].append(horn)
    for event in avoided:
        kept[bisect_right(days, event.first_ms) - 1] += 1
    return tuple(
        Day(
            begin_ms=begin,
            rings=len(mine),
            avoided=quiet,
            peak_10_min=max(_intervals(mine, begin_ms).values(), default=0),
        )
        for begin, mine, quiet in zip(days[:-1], rung, kept, strict=True)
    )


def _actors(horns: Sequence[Horn]) -> tuple[Actor, ...]:
    found: dict[tuple[str, str], int] = {}
    for one in _once(horns):
        found[one.asset, one.track] = found.get((one.asset, one.track), 0) + 1
    total = sum(found.values())
    most = sorted(found.items(), key=lambda each: (-each[1], each[0]))[:FREQUENT_MAX]
    return tuple(
        Actor(asset=asset, track=track, rings=count, share=count / total)
        for (asset, track), count in most
    )


def _stale(events: Iterable[Event], end_ms: int, rules: Rules) -> tuple[Stood, ...]:
    """What rang and stayed abnormal for longer than it may, the longest first."""
    found = [
        Stood(
            asset=one.asset,
            track=one.track,
            id=one.id,
            since_ms=one.begin_ms,
            lasted_ms=(one.over_ms or end_ms) - one.begin_ms,
            rings=len(one.horns_ms),
            over=one.over_ms is not None,
        )
        for one in events
        if one.rang_ms is not None and (one.over_ms or end_ms) - one.begin_ms > rules.stale_ms
    ]
    return tuple(sorted(found, key=lambda one: (-one.lasted_ms, one.asset, one.track)))[:LISTED_MAX]


def _chattering(horns: Iterable[Horn], rules: Rules) -> tuple[Stood, ...]:
    """Topics whose events began to ring so often within the window; each with all of its rings."""
    by_topic: dict[tuple[str, str], list[Horn]] = {}
    for one in horns:
        if not one.again:
            by_topic.setdefault((one.asset, one.track), []).append(one)
    found = []
    for (asset, track), mine in by_topic.items():
        times = [one.t_ms for one in mine]
        n = rules.chatter_rings
        chatters = [
            i for i in range(n - 1, len(times)) if times[i] - times[i - n + 1] <= rules.chatter_ms
        ]
        if n > 0 and chatters:
            first, last = chatters[0] - n + 1, chatters[-1]
            found.append(
                Stood(
                    asset=asset,
                    track=track,
                    id=mine[first].id,
                    since_ms=times[first],
                    lasted_ms=times[last] - times[first],
                    rings=last - first + 1,
                    over=True,
                )
            )
    return tuple(sorted(found, key=lambda one: (-one.rings, one.asset, one.track)))[:LISTED_MAX]
