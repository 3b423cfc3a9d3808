"""Assessment: what a run's alerts were worth against the truth. Pure; times are int ns, UTC.

Definitions, so that nobody has to guess what a figure means:

found        something rang (ALERT or ANNOTATED) on the fault's asset while the fault was there, or
             where a job's mask hid it, by the job's end plus settling, plus the delay budget.
undetected   no event opened for the fault at all, suppressed ones included.
missed       an event opened, and nothing rang in time. total = found + missed + undetected.
wrong        a suppression without a true job on that asset and channel at that time, or a fault
             that one hid until it was missed.
false alarm  a ring that overlaps no fault, its aftermath included.
"""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from edge.truth import Fault, TrueJob, Truth

SECOND_NS: Final = 1_000_000_000
DAY_NS: Final = 86_400 * SECOND_NS
DELAY_BUDGET_S: Final = 120  # after a mask has lifted, a hidden fault has this long to ring
AFTERMATH_S: Final = 300  # a ring this soon after a fault is about that fault
SETTLE_S_MAX: Final = 900


class Episode(msgspec.Struct, kw_only=True):
    """One event from opening to clearing, as the published revisions told it. 0: not (yet)."""

    alert_id: str
    count: int
    asset: str
    track: str
    begin_ns: int
    opened_ns: int
    rang_ns: int = 0
    ended_ns: int = 0
    suppressed: bool = False  # at any time
    decision: str = ""
    job_id: str = ""
    top_channel: str = ""
    message: str = ""

    @property
    def rang(self) -> bool:
        """Whether anybody heard it."""
        return self.rang_ns > 0


class FaultOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one fault. `delay_s` NaN-free: -1 when nothing rang."""

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
        wrong_suppressions=_wrong_suppressions(episodes, truth, missed),
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
    limit_ns = _limit_ns(fault, truth)
    mine = [
        e
        for e in episodes
        if e.asset == fault.asset and e.begin_ns <= limit_ns and _end(e) >= fault.begin_ns
    ]
    rings = [e.rang_ns for e in mine if e.rang and e.rang_ns <= limit_ns]
    delay_s = -1.0
    outcome = "missed" if mine else "undetected"
    if rings:
        outcome = "found"
        delay_s = max(0.0, (min(rings) - fault.begin_ns) / SECOND_NS)
    return FaultOutcome(
        fault_id=fault.fault_id,
        kind=fault.kind,
        asset=fault.asset,
        size_sigma=fault.size_sigma,
        situation=fault.situation,
        outcome=outcome,
        delay_s=delay_s,
    )


def _limit_ns(fault: Fault, truth: Truth) -> int:
    """Until when a ring counts.

    The fault's end, or where a job's mask hid it, the job's end plus settling.
    """
    limits = [fault.end_ns]
    for job in truth.jobs:
        hides = job.asset == fault.asset and not job.cancelled and bool(job.witness)
        if hides and set(job.channels) & set(fault.channels) and _overlap(fault, job):
            limits.append(job.end_ns + SETTLE_S_MAX * SECOND_NS)
    return max(limits) + DELAY_BUDGET_S * SECOND_NS


def _overlap(fault: Fault, job: TrueJob) -> bool:
    return fault.begin_ns <= job.end_ns and job.begin_ns <= fault.end_ns


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
        and episode.top_channel in job.channels
        and job.begin_ns <= episode.begin_ns <= job.end_ns + AFTERMATH_S * SECOND_NS
        for job in truth.jobs
    )


def _wrong_suppressions(episodes: Iterable[Episode], truth: Truth, missed: Sequence[str]) -> int:
    wrong = sum(e.suppressed and not _true_job(e, truth) for e in episodes)
    return wrong + len(missed)


def _true_job(episode: Episode, truth: Truth) -> bool:
    slack_ns = SETTLE_S_MAX * SECOND_NS
    return any(
        job.asset == episode.asset
        and not job.cancelled
        and episode.top_channel in job.channels
        and job.begin_ns <= episode.begin_ns <= job.end_ns + slack_ns
        for job in truth.jobs
    )
