"""Floods: many assets that begin to ring within ten minutes and share a cause are one group alert.

More than ten alarms in ten minutes is a flood, which no operator can follow (ISA-18.2-2016 and IEC
62682:2022, annunciated alarms per operator position). The group names the asset whose event began
first, and its cause: a utility, a stretch of the line, an area, or as the weakest the time alone.
Its members stay listed and keep their alerts.

Pure. Rings and their ends are noted as the alerts say them and *folded* in steps of plant time, so
a group does not depend on how the stream was cut. What a fold decides counts from a fixed delay
after its step on: by then every asset's samples of the step are in. Times are plant time, ns.
"""

from __future__ import annotations

from bisect import insort
from typing import TYPE_CHECKING, Final

import msgspec

from edge.alerts.alerts import AlertState, alert_id
from edge.alerts.causes import FLOOD_ASSETS, KINDS, TIME, topic_of
from edge.alerts.group import GROUP, Group, Join, Member, Notice, Ring, Span
from edge.caps import RECENT_RINGS_MAX, SPANS_MAX

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from edge.alerts.causes import Cause

WINDOW_NS: Final = 600_000_000_000
STEP_NS: Final = 2_000_000_000  # what begins within one step is judged together
GRACE_NS: Final = 60_000_000_000  # a named cause has this long to show before time alone is named


class FloodState(msgspec.Struct, kw_only=True):
    """All that is remembered. folded_ns: everything before it has been judged.

    recent: rings of the newest ten minutes that are in no group. due_ns: when time alone is named,
    0 not yet. forgotten: rings beyond the cap.
    """

    notices: list[Notice] = []
    recent: list[Member] = []
    groups: dict[str, Group] = {}  # the newest of each cause, by `topic_of`
    folded_ns: int = 0
    due_ns: int = 0
    forgotten: int = 0
    revision_floor: int = 0  # of groups to come; see edge.alerts.numbering


class Flood:
    """Finds floods. causes: of each asset, the time left out.

    delay_ns: after the end of a step, before what it decided counts. time_quiets: whether a group
    of time alone rings for its members; time says when, not why.
    """

    def __init__(
        self,
        causes: Mapping[str, Sequence[Cause]],
        *,
        state: FloodState,
        delay_ns: int,
        time_quiets: bool = False,
        scada_acks: bool = False,
    ) -> None:
        self._causes = causes
        self._state = state
        self._delay_ns = delay_ns
        self._time_quiets, self._scada_acks = time_quiets, scada_acks
        self._population: dict[Cause, int] = {}
        for known in causes.values():
            for cause in known:
                self._population[cause] = self._population.get(cause, 0) + 1

    def note(self, notice: Notice) -> None:
        """Take what an alert has just said; it counts when its step is folded."""
        insort(self._state.notices, notice, key=lambda each: each.order)

    def rings_for(self, ring: Ring, *, kept: str = "") -> str:
        """The id of the group that rings for an alert that begins to ring; "": it rings by itself.

        kept: the group that it belonged to before it cleared, under the same id.
        """
        for group in self._open_to(ring.asset):
            again = group.group_id == kept != "" and not group.ended_by(ring.t_ns)
            known = group.known_at(ring.t_ns) or again
            if known and self._quiets(group) and ring.severity <= group.severity_then:
                return group.group_id
        return ""

    def fold(self, until_ns: int) -> tuple[list[Group], list[Join]]:
        """Judge all steps that end by a time.

        Returns each change of a group as it was then, and what becomes of its members.
        """
        changes: list[Group] = []
        joins: list[Join] = []
        while (end_ns := self._next_end_ns()) is not None and end_ns <= until_ns:
            changed, joined = self._fold_step(end_ns)
            changes += changed
            joins += joined
        return changes, joins

    def clock_stepped_back(self) -> None:
        """No time of the past can be held against the new one; groups stay until they clear."""
        self._state.recent, self._state.folded_ns, self._state.due_ns = [], 0, 0
        for group in self._state.groups.values():
            group.spans = []

    def _next_end_ns(self) -> int | None:
        """The end of the next step in which something happens."""
        ends = [self._state.due_ns] if self._state.due_ns else []
        if self._state.notices:
            first = self._state.notices[0].t_ns // STEP_NS * STEP_NS + STEP_NS
            ends.append(max(first, self._state.folded_ns))
        return min(ends, default=None)

    def _fold_step(self, end_ns: int) -> tuple[list[Group], list[Join]]:
        state = self._state
        k = sum(notice.t_ns < end_ns for notice in state.notices)
        due, state.notices = state.notices[:k], state.notices[k:]
        state.folded_ns = end_ns
        reasons: dict[str, str] = {}
        joins: list[Join] = []
        for notice in due:
            if notice.ring is None:
                self._over(notice, reasons)
            else:
                joins += self._rang(notice.ring, end_ns, reasons)
        state.recent = [m for m in state.recent if m.ring.t_ns >= end_ns - STEP_NS - WINDOW_NS]
        state.forgotten += max(len(state.recent) - RECENT_RINGS_MAX, 0)
        state.recent = state.recent[-RECENT_RINGS_MAX:]
        while (cause := self._flooded()) is not None:
            joins += self._form(cause, end_ns, reasons)
        if self._time_is_due(end_ns):
            joins += self._form(TIME, end_ns, reasons)
        return self._changed(reasons, end_ns), joins

    def _changed(self, reasons: Mapping[str, str], end_ns: int) -> list[Group]:
        """The groups that have changed in a step, as they are at its end."""
        changes = []
        for topic in sorted(reasons):
            group = self._state.groups[topic]
            over = group.active and all(member.over_ns for member in group.members)
            if over:
                group.end(counts_ns=end_ns + self._delay_ns)
            if self._scada_acks:
                group.acknowledge()  # none waits to be seen, as of its members
            group.turn(t_ns=end_ns, reason=reasons[topic] + ("; all have cleared" if over else ""))
            changes.append(msgspec.structs.replace(group, members=list(group.members)))
            group.began = False
        return changes

    # --- one notice ---

    def _over(self, notice: Notice, reasons: dict[str, str]) -> None:
        asset, track, t_ns = notice.asset, notice.track, notice.t_ns
        recent = self._state.recent
        self._state.recent = [m.over(t_ns) if m.of(asset, track) else m for m in recent]
        for topic, group in self._state.groups.items():
            i = group.place(asset, track)
            if group.active and i is not None and not group.members[i].over_ns:
                group.members[i] = group.members[i].over(t_ns)
                reasons.setdefault(topic, f"{asset} has cleared")

    def _rang(self, ring: Ring, end_ns: int, reasons: dict[str, str]) -> list[Join]:
        for group in self._open_to(ring.asset):
            again = group.active and group.group_id == ring.group_id
            if (again or group.takes(ring.t_ns)) and group.add(Member(ring=ring)):
                reasons[topic_of(group.cause)] = f"{ring.asset} has joined"
                return [self._join(group, ring, end_ns)]
        self._state.recent.append(Member(ring=ring))
        return [self._join(None, ring, end_ns)] if ring.group_id else []

    def _join(self, group: Group | None, ring: Ring, end_ns: int) -> Join:
        quiet = group is not None and self._quiets(group) and ring.severity <= group.severity_then
        return Join(
            t_ns=end_ns + self._delay_ns,
            asset=ring.asset,
            track=ring.track,
            alert_id=ring.alert_id,
            count=ring.count,
            group_id=group.group_id if group is not None else "",
            quiet=quiet,
        )

    def _quiets(self, group: Group) -> bool:
        return group.cause != TIME or self._time_quiets

    def _open_to(self, asset: str) -> list[Group]:
        """Groups that an asset may belong to by its causes, the strongest kind first."""
        causes = {*self._causes.get(asset, ()), TIME}
        found = [group for group in self._state.groups.values() if group.cause in causes]
        return sorted(found, key=lambda group: (KINDS.index(group.kind), group.name))

    # --- causes ---

    def _loose(self, *, timed: bool) -> list[Member]:
        """Rings of the window in no group; timed: or in that of time alone."""
        group = self._state.groups.get(topic_of(TIME))
        moved = group.members if timed and group is not None and group.active else []
        rings = [*self._state.recent, *moved]
        since_ns = max((m.ring.t_ns for m in rings), default=0) - WINDOW_NS
        return [member for member in rings if member.ring.t_ns >= since_ns]

    def _flooded(self) -> Cause | None:
        """The named cause that explains a flood best; None: none explains one.

        That of which most of the assets ring; of equals the one with more of them.
        """
        assets: dict[Cause, set[str]] = {}
        for member in self._loose(timed=True):
            for cause in self._causes.get(member.ring.asset, ()):
                assets.setdefault(cause, set()).add(member.ring.asset)
        flooded = {cause: len(of) for cause, of in assets.items() if len(of) > FLOOD_ASSETS}
        return min(
            flooded,
            key=lambda c: (-flooded[c] / self._population[c], -flooded[c], KINDS.index(c[0]), c[1]),
            default=None,
        )

    def _time_is_due(self, end_ns: int) -> bool:
        state = self._state
        if len({member.ring.asset for member in self._loose(timed=False)}) <= FLOOD_ASSETS:
            state.due_ns = 0
            return False
        state.due_ns = state.due_ns or end_ns + GRACE_NS
        due = end_ns >= state.due_ns
        state.due_ns = 0 if due else state.due_ns
        return due

    def _form(self, cause: Cause, end_ns: int, reasons: dict[str, str]) -> list[Join]:
        """All that rang in the window of this cause are one group; one that goes on takes them."""
        topic = topic_of(cause)
        group = self._state.groups.setdefault(topic, Group(kind=cause[0], name=cause[1]))
        group.revision_floor = self._state.revision_floor
        loose = self._loose(timed=cause != TIME)
        of_cause = [m for m in loose if cause in (TIME, *self._causes.get(m.ring.asset, ()))]
        if not group.active:
            self._begin(group, end_ns)
        span = Span(counts_ns=end_ns + self._delay_ns, until_ns=end_ns + WINDOW_NS)
        group.spans = [*group.spans, span][-SPANS_MAX:]
        self._take(of_cause, cause, reasons)
        added = [member.ring for member in of_cause if group.add(member)]
        group.severity_then = group.severity
        reasons[topic] = f"{len({ring.asset for ring in added})} assets within ten minutes"
        return [self._join(group, ring, end_ns) for ring in added]

    def _begin(self, group: Group, end_ns: int) -> None:
        """A new id, or what cleared and still waits to be acknowledged counts up."""
        if group.state is not AlertState.CLEARED_UNACK:
            taken, group.group_id = group.group_id, alert_id(GROUP, topic_of(group.cause), end_ns)
            if group.group_id != taken:
                group.revision = group.leap_due = group.said = group.count = 0
        group.count, group.began = group.count + 1, True
        group.members, group.spans, group.ended_ns, group.lost = [], [], 0, 0
        group.state = AlertState.ACTIVE_UNACK

    def _take(self, members: Sequence[Member], cause: Cause, reasons: dict[str, str]) -> None:
        """Take rings out of where they were: a named cause takes from time alone."""
        state = self._state
        state.recent = [member for member in state.recent if member not in members]
        timed = state.groups.get(topic_of(TIME))
        if cause == TIME or timed is None or not timed.active:
            return
        staying = [member for member in timed.members if member not in members]
        if len(staying) == len(timed.members):
            return
        told = f"{len(timed.members) - len(staying)} are explained by {cause[0]} {cause[1]}"
        reasons[topic_of(TIME)] = told
        if staying:
            timed.members = staying
        else:  # it goes on to name what it was about
            timed.members = [member.over(state.folded_ns) for member in timed.members]
            timed.end(counts_ns=state.folded_ns + self._delay_ns)
