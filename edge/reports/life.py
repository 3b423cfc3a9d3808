"""The life of events, told by their revisions: when each rang, was acknowledged, was kept quiet.

Pure. Times are plant time, ms.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from edge.reports.transitions import GROUP_ASSET

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from edge.reports.transitions import Transition

EVER_MS: Final = 1 << 62


@dataclass(frozen=True, slots=True, kw_only=True)
class Horn:
    """An operator position was asked for attention. again: once more in the same event."""

    t_ms: int
    position: str
    asset: str
    track: str
    id: str
    priority: int
    again: bool


@dataclass(slots=True, kw_only=True)
class Event:
    """One event of an alert. horns_ms: when it asked; over_ms: when it ceased to be, None not."""

    asset: str
    track: str
    id: str
    count: int
    begin_ms: int
    first_ms: int
    last: Transition
    horns_ms: list[int] = field(default_factory=list)
    acked_ms: int | None = None
    suppressed_ms: int | None = None  # first kept quiet by a job
    rang_ms: int | None = None  # first active, by itself or through its group
    over_ms: int | None = None
    silenced: bool = False  # shelved or out of service at some time
    shadow: bool = False

    @property
    def avoided(self) -> bool:
        """A job kept it quiet from its begin to its end: it would have rung, and never did."""
        kept = self.suppressed_ms is not None and self.rang_ms is None
        return kept and not self.silenced and not self.shadow and not self.horns_ms

    @property
    def ack_ms(self) -> int | None:
        """From the first horn to the acknowledgement; None: there was one of them only."""
        if not self.horns_ms or self.acked_ms is None:
            return None
        return max(0, self.acked_ms - self.horns_ms[0])


def horns_of(transitions: Iterable[Transition], positions: Mapping[str, str]) -> list[Horn]:
    """Every time that a position was asked: an alert that rings by itself, or rings once more.

    A group asks each position of its members once, as it begins. positions: of assets; "" others.
    """
    last: dict[tuple[str, str], Transition] = {}
    found: list[Horn] = []
    for one in transitions:
        before = last.get(one.topic)
        last[one.topic] = one
        if not one.annunciate:
            continue
        same = before is not None and before.event == one.event
        grew = same and before is not None and one.rings > before.rings
        began = before is None or not before.annunciate or (not same and one.rings > 0)
        if not (grew or began):
            continue
        if one.asset == GROUP_ASSET:
            asked = {positions.get(asset, "") for asset in one.members} or {""}
        else:
            asked = {positions.get(one.asset, "")}
        found += [
            Horn(
                t_ms=one.t_ms,
                position=position,
                asset=one.asset,
                track=one.track,
                id=one.id,
                priority=one.priority,
                again=bool(same and one.rings > 1),
            )
            for position in sorted(asked)
        ]
    return found


def events_of(transitions: Iterable[Transition]) -> list[Event]:
    """Events with what became of each, in the order in which they were first told."""
    found: dict[tuple[str, str, str, int], Event] = {}
    last: dict[tuple[str, str], Transition] = {}
    for one in transitions:
        before = last.get(one.topic)
        last[one.topic] = one
        event = found.get(one.event)
        if event is None:
            event = found[one.event] = Event(
                asset=one.asset,
                track=one.track,
                id=one.id,
                count=one.count,
                begin_ms=one.begin_ms,
                first_ms=one.t_ms,
                last=one,
            )
            if before is not None and before.event != one.event:
                _end(found[before.event], one.t_ms)
        _take(event, one, before if before is not None and before.event == one.event else None)
    return list(found.values())


def _take(event: Event, one: Transition, before: Transition | None) -> None:
    event.last = one
    if one.annunciate and (before is None or not before.annunciate or one.rings > before.rings):
        event.horns_ms.append(one.t_ms)
    if one.active and event.rang_ms is None and not one.shadow:
        event.rang_ms = one.t_ms
    if one.suppressed and event.suppressed_ms is None:
        event.suppressed_ms = one.t_ms
    event.silenced = event.silenced or bool(one.shelved or one.out_of_service)
    event.shadow = event.shadow or bool(one.shadow)
    if one.acked and event.acked_ms is None and event.rang_ms is not None:
        event.acked_ms = one.t_ms
    is_over = not one.state.startswith("ACTIVE")
    if is_over and event.over_ms is None:
        event.over_ms = one.t_ms
    elif not is_over:
        event.over_ms = None


def _end(event: Event, t_ms: int) -> None:
    if event.over_ms is None:
        event.over_ms = t_ms


def states_at(transitions: Iterable[Transition], t_ms: int) -> dict[tuple[str, str], Transition]:
    """What stood on each topic at a time."""
    return {one.topic: one for one in transitions if one.t_ms <= t_ms}
