"""Alarms of work, accounted for: which were prevented, covered, reclassified, or rang. Pure."""

from __future__ import annotations

from collections import Counter
from enum import StrEnum
from typing import TYPE_CHECKING

from edge.assessment.assess import AFTERMATH_S, DELAY_BUDGET_S, SECOND_NS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from edge.assessment.assess import Episode
    from edge.assessment.truth import Fault, Truth


class Ended(StrEnum):
    """How an event of a job, witnessed or not, ended for the operator."""

    PREVENTED = "prevented"  # suppressed before it could ring
    COVERED = "covered"  # suppressed because somebody had confirmed a proposal
    RECLASSIFIED = "reclassified"  # rang, and was found to be expected afterwards
    RANG = "rang"


def endings(
    episodes: Iterable[Episode], truth: Truth, *, tapped: Mapping[str, str]
) -> dict[Ended, int]:
    """Count how the alarms of all true work ended. tapped: proposals that were confirmed."""
    found: Counter[Ended] = Counter()
    for episode in episodes:
        if about_a_fault(episode, truth.faults) or not of_a_job(episode, truth):
            continue
        if not episode.rang:
            found[Ended.COVERED if episode.job_id in tapped else Ended.PREVENTED] += 1
        elif episode.klass == "expected":
            found[Ended.RECLASSIFIED] += 1
        else:
            found[Ended.RANG] += 1
    return {ended: found[ended] for ended in Ended}


def false_alarms(episodes: Sequence[Episode], truth: Truth) -> int:
    """Events of whatever cause but a fault that somebody heard (ALERT or ANNOTATED)."""
    return sum(e.rang and not about_a_fault(e, truth.faults) for e in episodes)


def about_a_fault(episode: Episode, faults: Iterable[Fault]) -> bool:
    """Whether an event overlaps a fault of its asset, the aftermath included."""
    heard_ns = episode.rang_ns or episode.opened_ns
    return any(
        episode.asset == fault.asset
        and heard_ns <= fault.end_ns + AFTERMATH_S * SECOND_NS
        and (episode.ended_ns or 2**63 - 1) >= fault.begin_ns
        for fault in faults
    )


def of_a_job(episode: Episode, truth: Truth) -> bool:
    """Whether an event began in true work of its asset, or while that settled."""
    return any(
        job.asset == episode.asset
        and not job.cancelled
        and job.begin_ns
        <= episode.begin_ns
        <= job.end_ns + (job.settle_s + DELAY_BUDGET_S) * SECOND_NS
        for job in truth.jobs
    )
