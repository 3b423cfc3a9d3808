"""What simpler rules would have done with the same events: the figures to beat, and the ceiling.

window      quiet whenever any text speaks of work on the asset within an hour
similarity  quiet whenever a record of work (order, schedule, log) is like the event's own words
oracle      quiet exactly when true work disturbs the asset and no fault does; nobody can do better

They judge the events of the run without knowledge, each once, and never ring again, as such rules
do in other systems.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from edge.assessment.assess import assess
from edge.assessment.job_alarms import about_a_fault, false_alarms, of_a_job
from kb.records import Query
from kb.snapshots.snapshot import Snapshot

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from edge.assessment.assess import Episode
    from edge.assessment.truth import Truth

WINDOW_NS: Final = 3_600 * 1_000_000_000
SIMILARITY_MIN: Final = 0.45  # of cosines between a sentence and a record that fits it
RECORDS: Final = ("order", "schedule", "log")


class Baseline(msgspec.Struct, frozen=True, kw_only=True):
    """What a simpler rule leaves to hear, and what it hides."""

    false_alarms: int  # of witnessed jobs
    false_alarms_total: int
    faults_missed: int  # of those that opened an event at all


def baselines(episodes: Sequence[Episode], truth: Truth, *, snapshot: Path) -> dict[str, Baseline]:
    """Judge the events of a run without knowledge by each rule."""
    with Snapshot.open(snapshot) as opened:
        rules: dict[str, Callable[[Episode], bool]] = {
            "none": lambda _: False,
            "window": _window(opened),
            "similarity": _similarity(opened),
            "oracle": lambda e: of_a_job(e, truth) and not about_a_fault(e, truth.faults),
        }
        return {name: _judged(episodes, truth, quiet) for name, quiet in rules.items()}


def _judged(
    episodes: Sequence[Episode], truth: Truth, quiet: Callable[[Episode], bool]
) -> Baseline:
    told = [
        msgspec.structs.replace(e, rang_ns=0, rang_again_ns=(), suppressed=True) if quiet(e) else e
        for e in episodes
    ]
    figures = assess(told, truth)
    return Baseline(
        false_alarms=figures.calibration_false_alarms_with_kb,
        false_alarms_total=false_alarms(told, truth),
        faults_missed=figures.faults_missed,
    )


def _window(opened: Snapshot) -> Callable[[Episode], bool]:
    proposals = opened.proposals()

    def quiet(episode: Episode) -> bool:
        for proposal in proposals:
            if proposal.asset != episode.asset or proposal.recorded_at_ns > episode.opened_ns:
                continue
            begin_ns = proposal.valid_from_ns or proposal.recorded_at_ns
            end_ns = proposal.valid_to_ns or begin_ns
            if begin_ns - WINDOW_NS <= episode.opened_ns <= end_ns + WINDOW_NS:
                return True
        return False

    return quiet


def _similarity(opened: Snapshot) -> Callable[[Episode], bool]:
    def quiet(episode: Episode) -> bool:
        query = Query(text=episode.message, asset=episode.asset, kinds=RECORDS, limit=1)
        hits = opened.search(query, now_ns=episode.opened_ns)
        return bool(hits) and hits[0].similarity >= SIMILARITY_MIN

    return quiet
