"""Alerts: what is published about the events of one track of one asset, and the life of its id.

An alert keeps its id until it was acknowledged and has cleared; a recurrence before that counts up.
Every change of a published field is a revision. Suppressed is a flag beside the state (OPC UA Part
9), never a state of its own.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final

import msgspec

from edge.records import Decision, Track, Verdict
from kb.records import Citation

HISTORY_MAX: Final = 64  # revisions an alert remembers of its own past
HEARD_MAX: Final = 8  # events that rang under one id, of which the evidence is kept
CLASSES: Final = {
    Track.PROCESS: "process anomaly",
    Track.SENSOR: "sensor fault",
    Track.COMMS: "comms gap",
}


class AlertState(StrEnum):
    """The four states every SCADA system knows, and NORMAL."""

    NORMAL = "NORMAL"
    ACTIVE_UNACK = "ACTIVE_UNACK"
    ACTIVE_ACK = "ACTIVE_ACK"
    CLEARED_UNACK = "CLEARED_UNACK"
    CLEARED_ACK = "CLEARED_ACK"

    @property
    def seen(self) -> AlertState:
        """The state after somebody has acknowledged it."""
        return _SEEN.get(self, self)

    @property
    def over(self) -> AlertState:
        """The state after the condition is gone."""
        return _OVER.get(self, self)


_SEEN: Final = {
    AlertState.ACTIVE_UNACK: AlertState.ACTIVE_ACK,
    AlertState.CLEARED_UNACK: AlertState.CLEARED_ACK,
}
_OVER: Final = {
    AlertState.ACTIVE_UNACK: AlertState.CLEARED_UNACK,
    AlertState.ACTIVE_ACK: AlertState.CLEARED_ACK,
}


class Contribution(msgspec.Struct, frozen=True, kw_only=True):
    """A channel's share of the score, with its engineering value against its usual range.

    NaN: not known. shift: how far it has moved, in sigmas of normal operation, against its level
    before. flat: it has shown one value for longer than it did before. Of a sensor that is told by
    its noise or by its distance from a partner, value and usual range are of these. since_ns: when
    a sensor that stands still began to, 0: not known. hourly: the usual range is that of the hour.
    """

    channel: str
    unit: str
    share: float
    value: float
    usual_low: float
    usual_high: float
    direction: str  # high | low | within, or what is wrong with its sensor (`sensor_faults`)
    shift: float = math.nan
    flat: bool = False
    partner: str = ""
    since_ns: int = 0
    hourly: bool = False


class Sentence(msgspec.Struct, frozen=True, kw_only=True):
    """One sentence of an explanation.

    `citation` None: it states what was measured, not what a text says. quoted: the words of the
    text that it repeats; each stands verbatim in the cited quote, white space apart.
    """

    role: str  # happened | resembles | considered | check_first | passage | none
    text: str
    citation: Citation | None = None
    quoted: tuple[str, ...] = ()


class Resemblance(msgspec.Struct, frozen=True, kw_only=True):
    """What an event looks like, best first, with the reason for its rank.

    kind: failure_mode (a row of a table) or past_event (an alert of the same asset, by its id).
    score: 0 to 1, comparable within one list only. cause, action: as the table says them; advice:
    where it says the action, None where that is not known apart.
    """

    kind: str
    mode_id: str
    name: str
    score: float
    reason: str
    cause: str = ""
    action: str = ""
    citation: Citation | None = None
    advice: Citation | None = None


class PastEvent(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept of an event that rang and is over: its shape, and what a person said of it."""

    alert_id: str
    count: int
    begin_ns: int
    klass: str
    contributions: tuple[Contribution, ...]  # the largest few
    label: str = ""  # expected | nuisance | sensor | unsure | real; "" nobody said


class FaultClass(msgspec.Struct, frozen=True, kw_only=True):
    """The failure mode that the detector's head names, and how sure it is of it.

    windows: labelled ones that it learned from; samples: of the event that it has looked at.
    """

    name: str
    probability: float
    windows: int
    samples: int


class Turn(msgspec.Struct, frozen=True, kw_only=True):
    """One step of an alert's history."""

    revision: int
    t_ns: int
    state: AlertState
    verdict: Verdict | None
    reason: str


class Rest(msgspec.Struct, frozen=True, kw_only=True):
    """What the asset showed while an event rang, looked at without some channels.

    quiet: its score stayed below threshold; partners: redundant channels stayed as usual; limits:
    engineering limits of the others were kept. None: could not be judged.
    """

    channels: tuple[str, ...]
    quiet: bool | None
    partners: bool | None
    limits: bool | None


class Heard(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept of one event that rang, to be judged by a job that becomes known later.

    shares: the largest that each channel carried. rests: judged when the event had cleared, while
    its samples were there. level: mean of each channel before the event; shift: how far it was from
    that of the first event of its id as this one cleared, sigmas; () unknown.
    """

    begin_ns: int
    shares: dict[str, float]
    rests: tuple[Rest, ...] = ()
    level: tuple[float, ...] = ()
    shift: tuple[float, ...] = ()


class AlertRecord(msgspec.Struct, kw_only=True):
    """The alert of one track of one asset. Times are plant time, ns; 0: not yet.

    shelved, out_of_service: an operator keeps it from ringing, whatever its state. heard: events
    that rang under this id, the newest last; heard_lost: there were more. excused_by: the job that
    explains what rang, though it became known later; rang_as: what was decided before.
    level: mean of each channel before the newest event; () unknown. beyond: how far beyond its
    limits each channel was said to be in it.
    """

    asset: str
    track: Track
    alert_id: str = ""
    revision: int = 0
    revision_floor: int = 0  # behind it we count; see edge.alerts.numbering
    leap_due: int = 0  # by which the next revision leaps
    klass: str = ""
    state: AlertState = AlertState.NORMAL
    suppressed: bool = False
    suppressed_before: bool = False  # in the revision before
    was_suppressed: bool = False  # this revision says that it is over
    shelved: bool = False
    out_of_service: bool = False
    heard: tuple[Heard, ...] = ()
    heard_lost: bool = False
    excused_by: str = ""
    rang_as: Decision | None = None
    level: tuple[float, ...] = ()
    beyond: dict[str, int] = {}
    decision: Decision | None = None
    job_id: str = ""
    rings_again_ns: int = 0
    begin_ns: int = 0
    changed_ns: int = 0
    cleared_ns: int = 0
    count: int = 0
    rung: int = 0  # times that the newest event has asked for attention
    looked_ns: int = 0  # when it was last looked at for news
    waits_ns: int = 0  # since when it rings without an acknowledgement
    escalated: bool = False  # nobody answered in time: a class of severity higher
    group_id: str = ""  # of the group alert that it belongs to
    quiet: bool = False  # which rings for it
    shadow: bool = False  # its asset is not in service yet: it is for engineers, and rings for none
    told_rings: bool = False  # whether it rang when it was published last
    told_rung: int = 0  # as it was published last
    score: float = 0.0
    threshold: float = 0.0
    contributions: tuple[Contribution, ...] = ()
    sentences: tuple[Sentence, ...] = ()
    resembles: tuple[Resemblance, ...] = ()
    explained: bool = False
    history: tuple[Turn, ...] = ()
    label: str = ""  # what a person has said of it, as in `PastEvent`
    silence: str = ""  # of a comms gap: what its source said before; "" nothing
    fault: FaultClass | None = None  # None: no head, or it abstains
    samples: int = 0  # of the event so far
    classified: int = 0  # of these, seen when it was classified last

    @property
    def said(self) -> int:
        """The revision that was said last; `revision` may have leapt since. 0: none."""
        return self.history[-1].revision if self.history else self.revision

    @property
    def active(self) -> bool:
        """Whether the condition is there and not suppressed."""
        return self.state in (AlertState.ACTIVE_UNACK, AlertState.ACTIVE_ACK)

    @property
    def silenced(self) -> bool:
        """OPC UA's SuppressedOrShelved: whatever its state, it does not ring."""
        return self.suppressed or self.shelved or self.out_of_service

    @property
    def rings(self) -> bool:
        """Whether it rings now."""
        return self.active and not self.silenced

    @property
    def annunciates(self) -> bool:
        """Whether it rings now and by itself."""
        return self.sounds and not self.quiet

    @property
    def sounds(self) -> bool:
        """Whether it rings now for operators, or its group does for it."""
        return self.rings and not self.shadow

    @property
    def acked(self) -> bool:
        """Whether somebody has seen it."""
        return self.state in (AlertState.ACTIVE_ACK, AlertState.CLEARED_ACK)

    def turn(self, *, t_ns: int, reason: str) -> None:
        """Close a change of published fields as the next revision."""
        if self.active and not self.suppressed:
            self._hear()
        unanswered = self.sounds and not self.acked
        self.waits_ns = (self.waits_ns or t_ns) if unanswered else 0
        self.was_suppressed = self.suppressed_before
        self.suppressed_before = self.suppressed
        self.revision = max(self.revision + self.leap_due, self.revision_floor) + 1
        self.leap_due = 0
        self.changed_ns = t_ns
        verdict = self.decision.verdict if self.decision else None
        step = Turn(
            revision=self.revision, t_ns=t_ns, state=self.state, verdict=verdict, reason=reason
        )
        self.history = (*self.history, step)[-HISTORY_MAX:]

    def _hear(self) -> None:
        shares = {part.channel: part.share for part in self.contributions}
        rests: tuple[Rest, ...] = ()
        level, shift = self.level, tuple[float, ...]()
        kept = self.heard
        if kept and kept[-1].begin_ns == self.begin_ns:
            *others, newest = kept
            kept, rests = tuple(others), newest.rests
            level, shift = newest.level, newest.shift
            channels = shares.keys() | newest.shares.keys()
            shares = {
                name: max(shares.get(name, 0.0), newest.shares.get(name, 0.0))
                for name in sorted(channels)
            }
        self.heard_lost = self.heard_lost or len(kept) >= HEARD_MAX
        heard = Heard(begin_ns=self.begin_ns, shares=shares, rests=rests, level=level, shift=shift)
        self.heard = (*kept, heard)[-HEARD_MAX:]

    def begin_event(self, *, begin_ns: int, job_id: str, cooldown_ns: int = 0) -> None:
        """An event opened: take a new id.

        Or count up the one that still waits for an acknowledgement, or that cleared no longer than
        `cooldown_ns` before. It rings all the same.

        An event suppressed again by the same job also keeps its id: it is the same expected
        disturbance.
        """
        waiting = self.state is AlertState.CLEARED_UNACK or (
            self.state is AlertState.CLEARED_ACK and 0 <= begin_ns - self.cleared_ns < cooldown_ns
        )
        same_job = self.job_id != "" and self.job_id == job_id and not self.acked
        if not (waiting or (same_job and self.alert_id)):
            taken, self.alert_id = self.alert_id, alert_id(self.asset, self.track, begin_ns)
            if self.alert_id != taken:  # two events may begin at one time: revisions go on
                self.revision = self.leap_due = self.count = 0
                self.history, self.label = (), ""
            self.heard, self.heard_lost = (), False
            self.group_id = ""
            self.state = AlertState.NORMAL
        self.count += 1
        self.rung = self.looked_ns = 0
        self.escalated = self.quiet = self.told_rings = False
        self.told_rung = 0
        self.excused_by, self.rang_as, self.level, self.beyond = "", None, (), {}
        self.begin_ns, self.cleared_ns = begin_ns, 0
        self.fault, self.samples, self.classified = None, 0, 0
        self.sentences, self.resembles, self.explained = (), (), False

    def ring(self, decision: Decision) -> None:
        """ALERT or ANNOTATED: active, not acknowledged."""
        self.decision, self.suppressed, self.rings_again_ns = decision, False, 0
        self.job_id, self.excused_by, self.rang_as = decision.job_id, "", None
        self.state = AlertState.ACTIVE_UNACK
        self.rung += 1
        self.cleared_ns = 0

    def suppress(self, decision: Decision, *, rings_again_ns: int) -> None:
        """Listed, not ringing. An unacknowledged alert before it stays unacknowledged."""
        self.decision, self.suppressed = decision, True
        self.job_id, self.rings_again_ns = decision.job_id, rings_again_ns
        if self.state is AlertState.CLEARED_ACK:
            self.state = AlertState.NORMAL

    def unsilence(self) -> None:
        """An operator's silence is over: what is active then rings, whoever had seen it."""
        if self.rings:
            self.state = AlertState.ACTIVE_UNACK

    def excuse(self, decision: Decision) -> None:
        """A job that was told later explains what rang; it rang all the same, and stays seen."""
        self.rang_as, self.decision = self.decision, decision
        self.excused_by = self.job_id = decision.job_id

    def blame(self, decision: Decision) -> None:
        """The job that explained it does not: it rings again, or waits as cleared to be seen."""
        cleared_ns, over = self.cleared_ns, not self.active
        self.ring(decision)
        if over:
            self.clear(t_ns=cleared_ns)

    def clear(self, *, t_ns: int) -> None:
        """The condition is gone."""
        self.cleared_ns = t_ns
        self.suppressed, self.rings_again_ns = False, 0
        self.state = self.state.over

    def acknowledge(self) -> bool:
        """Somebody has seen it; returns whether that changed anything."""
        before, self.state = self.state, self.state.seen
        return self.state is not before


def alert_id(asset: str, track: str, begin_ns: int) -> str:
    """An id from what happened, not from when somebody computed it.

    The same journal gives the same ids.
    """
    begin = datetime.fromtimestamp(begin_ns // 1_000_000_000, tz=UTC)
    millis = begin_ns // 1_000_000 % 1000
    return f"{asset}-{track}-{begin:%Y%m%dT%H%M%S}.{millis:03d}Z"
