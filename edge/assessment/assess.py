"""Assessment: what a run's alerts were worth against the truth. Pure; times are int ns, UTC.

Definitions, so that nobody has to guess what a figure means:

of a fault   an event on the fault's asset, of the process or of its sensors, that names one of the
             fault's channels (where these are known) and was there while the fault was.
found        an event of the fault began to ring (ALERT or ANNOTATED), or rang again for news, after
             the fault began and by its end; where a job hid it, by the job's end plus its settling;
             plus the delay budget.
undetected   no event of the fault opened at all, suppressed ones included.
missed       an event opened, and nothing rang in time. total = found + missed + undetected.
wrong        a suppression without a true job on that asset and channel at that time, or a fault
             that a suppression hid until it was missed.
false alarm  a ring that overlaps no fault, its aftermath included.
of a job     an event that is no fault's and began between a witnessed job's begin and its end plus
             settling, plus the delay budget, on whatever channel.
"""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from edge.assessment.truth import Fault, TrueJob, Truth

SECOND_NS: Final = 1_000_000_000
DAY_NS: Final = 86_400 * SECOND_NS
DELAY_BUDGET_S: Final = 120  # the longest that an operator may wait for a ring that is due
AFTERMATH_S: Final = 300  # a ring this soon after a fault is about that fault


class Episode(msgspec.Struct, kw_only=True):
    """One event from opening to clearing, as the published revisions told it. 0: not (yet)."""

    alert_id: str
    count: int
    asset: str
    track: str
    begin_ns: int
    opened_ns: int
    rang_ns: int = 0
    rang_again_ns: tuple[int, ...] = ()
    rings: int = 0  # times that it has asked for attention, as last said
    ended_ns: int = 0
    suppressed: bool = False  # at any time
    suppressed_channel: str = ""  # that carried most then
    decision: str = ""
    klass: str = ""  # as last said
    job_id: str = ""
    top_channel: str = ""
    channels: tuple[str, ...] = ()  # all that were named at any time
    message: str = ""

    @property
    def rang(self) -> bool:
        """Whether anybody heard it."""
        return self.rang_ns > 0


class FaultOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one fault. `delay_s` is -1 where nothing rang in time."""

    fault_id: str
    kind: str
    asset: str
    size_sigma: float
    situation: str
    outcome: str  # found | missed | undetected
    delay_s: float


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """The figures of one run with known truth."""

    events_total: int
    events_found: int
    delay_median_s: float | None
    false_alarms_per_day: float
    faults_total: int
    faults_found: int
    faults_missed: int
    faults_undetected: int
    wrong_suppressions: int
    jobs_total: int
    jobs_witnessed: int
    calibration_false_alarms_without_kb: int
    calibration_false_alarms_with_kb: int
    alerts_without_kb: int
    alerts_with_kb: int
    suppressions: int
    faults: tuple[FaultOutcome, ...]


def assess(episodes: Sequence[Episode], truth: Truth) -> Figures:
    """Judge episodes against the truth."""
    outcomes = tuple(_fault_outcome(fault, episodes, truth) for fault in truth.faults)
    missed = [o.fault_id for o in outcomes if o.outcome == "missed"]
    hidden = [f for f in truth.faults if f.fault_id in missed and _hidden_by(f, episodes, truth)]
    rung = [episode for episode in episodes if episode.rang]
    false_alarms = [e for e in rung if not _about_a_fault(e, truth.faults)]
    delays = [o.delay_s for o in outcomes if o.outcome == "found"]
    around = [e for e in episodes if _around_witnessed_job(e, truth)]
    days = max(truth.end_ns - truth.begin_ns, 1) / DAY_NS
    return Figures(
        events_total=len(truth.faults),
        events_found=sum(_rang_inside(fault, rung) for fault in truth.faults),
        delay_median_s=statistics.median(delays) if delays else None,
        false_alarms_per_day=len(false_alarms) / days,
        faults_total=len(outcomes),
        faults_found=sum(o.outcome == "found" for o in outcomes),
        faults_missed=len(missed),
        faults_undetected=sum(o.outcome == "undetected" for o in outcomes),
        wrong_suppressions=_wrong_suppressions(episodes, truth) + len(hidden),
        jobs_total=len(truth.jobs),
        jobs_witnessed=sum(bool(job.witness) and not job.cancelled for job in truth.jobs),
        calibration_false_alarms_without_kb=len(around),
        calibration_false_alarms_with_kb=sum(e.rang for e in around),
        alerts_without_kb=len(episodes),
        alerts_with_kb=len(rung),
        suppressions=sum(e.suppressed for e in episodes),
        faults=outcomes,
    )


def _fault_outcome(fault: Fault, episodes: Iterable[Episode], truth: Truth) -> FaultOutcome:
    hidden_until_ns = [
        job.end_ns + job.settle_s * SECOND_NS for job in _hidden_by(fault, episodes, truth)
    ]
    limit_ns = max([fault.end_ns, *hidden_until_ns]) + DELAY_BUDGET_S * SECOND_NS
    mine = [e for e in episodes if _of_fault(e, fault) and e.begin_ns <= limit_ns]
    heard = [t_ns for e in mine for t_ns in (e.rang_ns, *e.rang_again_ns)]
    rings = [t_ns for t_ns in heard if fault.begin_ns <= t_ns <= limit_ns]
    delay_s = -1.0
    outcome = "missed" if mine else "undetected"
    if rings:
        outcome = "found"
        delay_s = (min(rings) - fault.begin_ns) / SECOND_NS
    return FaultOutcome(
        fault_id=fault.fault_id,
        kind=fault.kind,
        asset=fault.asset,
        size_sigma=fault.size_sigma,
        situation=fault.situation,
        outcome=outcome,
        delay_s=delay_s,
    )


def _of_fault(episode: Episode, fault: Fault) -> bool:
    """Whether an event may be about a fault, by asset, kind, channels, and begin of the fault."""
    named = not fault.channels or bool(set(episode.channels) & set(fault.channels))
    there = episode.asset == fault.asset and _end(episode) >= fault.begin_ns
    return there and named and episode.track != "comms"


def _hidden_by(fault: Fault, episodes: Iterable[Episode], truth: Truth) -> list[TrueJob]:
    """Jobs during which an event of the fault was suppressed."""
    suppressed = [e for e in episodes if e.suppressed and _of_fault(e, fault)]
    return [
        job
        for job in truth.jobs
        if job.asset == fault.asset
        and not job.cancelled
        and fault.begin_ns <= job.end_ns
        and job.begin_ns <= fault.end_ns
        and any(_within(e.begin_ns, job) for e in suppressed)
    ]


def _within(t_ns: int, job: TrueJob, *, slack_s: int = 0) -> bool:
    """Whether a time lies in a job or its settling."""
    return job.begin_ns <= t_ns <= job.end_ns + (job.settle_s + slack_s) * SECOND_NS


def _end(episode: Episode) -> int:
    return episode.ended_ns or 2**63 - 1


def _rang_inside(fault: Fault, rung: Iterable[Episode]) -> bool:
    return any(e.asset == fault.asset and fault.begin_ns <= e.rang_ns <= fault.end_ns for e in rung)


def _about_a_fault(episode: Episode, faults: Iterable[Fault]) -> bool:
    after_ns = AFTERMATH_S * SECOND_NS
    return any(
        episode.asset == fault.asset
        and episode.rang_ns <= fault.end_ns + after_ns
        and _end(episode) >= fault.begin_ns
        for fault in faults
    )


def _around_witnessed_job(episode: Episode, truth: Truth) -> bool:
    """Whether an event belongs to a witnessed job and to no fault.

    Without knowledge, a false alarm.
    """
    if any(
        episode.asset == fault.asset
        and episode.begin_ns <= fault.end_ns + AFTERMATH_S * SECOND_NS
        and _end(episode) >= fault.begin_ns
        for fault in truth.faults
    ):
        return False
    return any(
        job.asset == episode.asset
        and bool(job.witness)
        and not job.cancelled
        and _within(episode.begin_ns, job, slack_s=DELAY_BUDGET_S)
        for job in truth.jobs
    )


def _wrong_suppressions(episodes: Iterable[Episode], truth: Truth) -> int:
    return sum(e.suppressed and not _true_job(e, truth) for e in episodes)


def _true_job(episode: Episode, truth: Truth) -> bool:
    return any(
        job.asset == episode.asset
        and not job.cancelled
        and (episode.track == "comms" or episode.suppressed_channel in job.channels)
        and _within(episode.begin_ns, job)
        for job in truth.jobs
    )
