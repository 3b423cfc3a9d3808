"""Alerts: what is published about the events of one track of one asset, and the life of its id.

An alert keeps its id until it was acknowledged and has cleared; a recurrence before that counts up.
Every change of a published field is a revision. Suppressed is a flag beside the state (OPC UA Part
9), never a state of its own.
"""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from typing import Final

import msgspec

from edge.records import Decision, Track, Verdict
from kb.records import Citation

HISTORY_MAX: Final = 64  # revisions an alert remembers of its own past


class AlertState(StrEnum):
    """The four states every SCADA system knows, and NORMAL."""

    NORMAL = "NORMAL"
    ACTIVE_UNACK = "ACTIVE_UNACK"
    ACTIVE_ACK = "ACTIVE_ACK"
    CLEARED_UNACK = "CLEARED_UNACK"
    CLEARED_ACK = "CLEARED_ACK"


class Contribution(msgspec.Struct, frozen=True, kw_only=True):
    """A channel's share of the score, with its engineering value against its usual range.

    NaN: not known.
    """

    channel: str
    unit: str
    share: float
    value: float
    usual_low: float
    usual_high: float
    direction: str  # high | low | within | stuck | missing


class Sentence(msgspec.Struct, frozen=True, kw_only=True):
    """One sentence of an explanation.

    `citation` None: it states what was measured, not what a text says.
    """

    role: str  # happened | considered | check_first | passage | none
    text: str
    citation: Citation | None = None


class Turn(msgspec.Struct, frozen=True, kw_only=True):
    """One step of an alert's history."""

    revision: int
    t_ns: int
    state: AlertState
    verdict: Verdict | None
    reason: str


class AlertRecord(msgspec.Struct, kw_only=True):
    """The alert of one track of one asset. Times are plant time, ns; 0: not yet."""

    asset: str
    track: Track
    alert_id: str = ""
    revision: int = 0
    klass: str = ""
    state: AlertState = AlertState.NORMAL
    suppressed: bool = False
    suppressed_before: bool = False  # in the revision before
    was_suppressed: bool = False  # this revision says that it is over
    decision: Decision | None = None
    job_id: str = ""
    rings_again_ns: int = 0
    begin_ns: int = 0
    open_ns: int = 0
    changed_ns: int = 0
    cleared_ns: int = 0
    count: int = 0
    score: float = 0.0
    threshold: float = 0.0
    contributions: tuple[Contribution, ...] = ()
    sentences: tuple[Sentence, ...] = ()
    explained: bool = False
    history: tuple[Turn, ...] = ()

    @property
    def active(self) -> bool:
        """Whether it rings now."""
        return self.state in (AlertState.ACTIVE_UNACK, AlertState.ACTIVE_ACK)

    @property
    def acked(self) -> bool:
        """Whether somebody has seen it."""
        return self.state in (AlertState.ACTIVE_ACK, AlertState.CLEARED_ACK)

    def turn(self, *, t_ns: int, reason: str) -> None:
        """Close a change of published fields as the next revision."""
        self.was_suppressed = self.suppressed_before
        self.suppressed_before = self.suppressed
        self.revision += 1
        self.changed_ns = t_ns
        verdict = self.decision.verdict if self.decision else None
        step = Turn(
            revision=self.revision, t_ns=t_ns, state=self.state, verdict=verdict, reason=reason
        )
        self.history = (*self.history, step)[-HISTORY_MAX:]

    def begin_event(self, *, begin_ns: int, t_ns: int, job_id: str) -> None:
        """An event opened: take a new id.

        Or count up the one that still waits for an acknowledgement.

        An event suppressed again by the same job also keeps its id: it is the same expected
        disturbance.
        """
        waiting = self.state is AlertState.CLEARED_UNACK
        same_job = self.job_id != "" and self.job_id == job_id and not self.acked
        if not (waiting or (same_job and self.alert_id)):
            taken, self.alert_id = self.alert_id, alert_id(self.asset, self.track, begin_ns)
            if self.alert_id != taken:  # two events may begin at one time: revisions go on
                self.revision, self.count, self.history = 0, 0, ()
            self.state = AlertState.NORMAL
        self.count += 1
        self.begin_ns, self.open_ns, self.cleared_ns = begin_ns, t_ns, 0
        self.sentences, self.explained = (), False

    def ring(self, decision: Decision) -> None:
        """ALERT or ANNOTATED: active, not acknowledged."""
        self.decision, self.suppressed, self.rings_again_ns = decision, False, 0
        self.job_id = decision.job_id
        self.state = AlertState.ACTIVE_UNACK
        self.cleared_ns = 0

    def suppress(self, decision: Decision, *, rings_again_ns: int) -> None:
        """Listed, not ringing. An unacknowledged alert before it stays unacknowledged."""
        self.decision, self.suppressed = decision, True
        self.job_id, self.rings_again_ns = decision.job_id, rings_again_ns
        if self.state is AlertState.CLEARED_ACK:
            self.state = AlertState.NORMAL

    def clear(self, *, t_ns: int) -> None:
        """The condition is gone."""
        self.cleared_ns = t_ns
        self.suppressed, self.rings_again_ns = False, 0
        if self.state is AlertState.ACTIVE_UNACK:
            self.state = AlertState.CLEARED_UNACK
        elif self.state is AlertState.ACTIVE_ACK:
            self.state = AlertState.CLEARED_ACK

    def acknowledge(self) -> bool:
        """Somebody has seen it; returns whether that changed anything."""
        if self.state is AlertState.ACTIVE_UNACK:
            self.state = AlertState.ACTIVE_ACK
        elif self.state is AlertState.CLEARED_UNACK:
            self.state = AlertState.CLEARED_ACK
        else:
            return False
        return True


def alert_id(asset: str, track: Track, begin_ns: int) -> str:
    """An id from what happened, not from when somebody computed it.

    The same journal gives the same ids.
    """
    begin = datetime.fromtimestamp(begin_ns // 1_000_000_000, tz=UTC)
    millis = begin_ns // 1_000_000 % 1000
    return f"{asset}-{track}-{begin:%Y%m%dT%H%M%S}.{millis:03d}Z"
