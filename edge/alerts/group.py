"""Groups: many alerts with one cause as one alert, and the records of what they are made of.

Times are plant time, ns.
"""

from __future__ import annotations

from typing import Final

import msgspec

from edge.alerts.alerts import AlertState
from edge.caps import GROUP_MEMBERS_MAX

GROUP: Final = "_group"  # in the place of an asset


class Ring(msgspec.Struct, frozen=True, kw_only=True):
    """An alert has begun to ring. group_id: of the group that rings for it already."""

    t_ns: int
    asset: str
    track: str
    alert_id: str
    count: int
    begin_ns: int
    channel: str
    severity: int
    respond_min: int
    group_id: str = ""


NOBODY: Final = Ring(
    t_ns=0, asset="", track="", alert_id="", count=0, begin_ns=0, channel="", severity=1,
    respond_min=0,
)  # fmt: skip


class Notice(msgspec.Struct, frozen=True, kw_only=True):
    """An alert has begun to ring, or does not any more (`ring` None)."""

    t_ns: int
    asset: str
    track: str
    ring: Ring | None = None

    @property
    def order(self) -> tuple[int, str, str, bool]:
        """Notices in the order of plant time; of one alert and time the end comes first."""
        return self.t_ns, self.asset, self.track, self.ring is not None


class Member(msgspec.Struct, frozen=True, kw_only=True):
    """An alert of a group. over_ns: when it ceased to ring, 0 not yet."""

    ring: Ring
    over_ns: int = 0

    def of(self, asset: str, track: str) -> bool:
        """Whether it is the alert of this track."""
        return (self.ring.asset, self.ring.track) == (asset, track)

    def over(self, t_ns: int) -> Member:
        """The same, over by a time at the latest."""
        return msgspec.structs.replace(self, over_ns=self.over_ns or t_ns)


class Span(msgspec.Struct, frozen=True, kw_only=True):
    """A group takes what rings until a time, and rings for it from the time that it counts on."""

    counts_ns: int
    until_ns: int


class Group(msgspec.Struct, kw_only=True):
    """The group alert of one cause. Severity 1 to 1000; `severity_then`: as its flood was found.

    ended_ns: from when on its end counts, 0 not ended. lost: members beyond the cap.
    """

    kind: str
    name: str
    group_id: str = ""
    revision: int = 0
    revision_floor: int = 0  # behind it we count; see edge.alerts.numbering
    leap_due: int = 0  # by which the next revision leaps
    said: int = 0  # the revision that was said last; `revision` may have leapt since
    count: int = 0
    state: AlertState = AlertState.NORMAL
    members: list[Member] = []
    spans: list[Span] = []
    severity_then: int = 0
    changed_ns: int = 0
    ended_ns: int = 0
    lost: int = 0
    began: bool = False  # in the step that is told
    reason: str = ""

    @property
    def active(self) -> bool:
        """Whether it rings."""
        return self.state in (AlertState.ACTIVE_UNACK, AlertState.ACTIVE_ACK)

    @property
    def acked(self) -> bool:
        """Whether somebody has seen it."""
        return self.state in (AlertState.ACTIVE_ACK, AlertState.CLEARED_ACK)

    @property
    def cause(self) -> tuple[str, str]:
        """Its kind and name."""
        return self.kind, self.name

    @property
    def first_out(self) -> Ring:
        """The member whose event began first."""
        return min(
            (member.ring for member in self.members),
            key=lambda ring: (ring.begin_ns, ring.t_ns, ring.asset, ring.track),
            default=NOBODY,
        )

    @property
    def severity(self) -> int:
        """The highest of its members."""
        return max((member.ring.severity for member in self.members), default=1)

    @property
    def respond_min(self) -> int:
        """The shortest of its members."""
        return min((member.ring.respond_min for member in self.members), default=0)

    def ended_by(self, t_ns: int) -> bool:
        """Whether its end counts by a time."""
        return 0 < self.ended_ns <= t_ns

    def known_at(self, t_ns: int) -> bool:
        """Whether it counts for what begins to ring at a time."""
        known = any(span.counts_ns <= t_ns <= span.until_ns for span in self.spans)
        return known and not self.ended_by(t_ns)

    def takes(self, t_ns: int) -> bool:
        """Whether what begins to ring at a time belongs to it."""
        return self.active and any(t_ns <= span.until_ns for span in self.spans)

    def end(self, *, counts_ns: int) -> None:
        """All have cleared; its end counts from a time on."""
        self.state = self.state.over
        self.ended_ns = counts_ns

    def acknowledge(self) -> bool:
        """Somebody has seen it; returns whether that changed anything."""
        before, self.state = self.state, self.state.seen
        return self.state is not before

    def place(self, asset: str, track: str) -> int | None:
        """Where an alert stands among the members; None: it is none of them."""
        found = (i for i, member in enumerate(self.members) if member.of(asset, track))
        return next(found, None)

    def add(self, member: Member) -> bool:
        """Take a member, in the place of an older one of its alert; False: there is no room.

        The older one's begin is kept, so that what was first out stays it.
        """
        i = self.place(member.ring.asset, member.ring.track)
        if i is not None:
            begin_ns = min(member.ring.begin_ns, self.members[i].ring.begin_ns)
            ring = msgspec.structs.replace(member.ring, begin_ns=begin_ns)
            self.members[i] = msgspec.structs.replace(member, ring=ring)
        elif len(self.members) < GROUP_MEMBERS_MAX:
            self.members.append(member)
        else:
            self.lost += 1
            return False
        return True

    def turn(self, *, t_ns: int, reason: str) -> None:
        """Close a change as the next revision."""
        self.revision = max(self.revision + self.leap_due, self.revision_floor) + 1
        self.leap_due, self.said = 0, self.revision
        self.changed_ns, self.reason = t_ns, reason


class Join(msgspec.Struct, frozen=True, kw_only=True):
    """From a time on an alert belongs to a group, or to none (""), which rings for it or not."""

    t_ns: int
    asset: str
    track: str
    alert_id: str
    count: int
    group_id: str
    quiet: bool
