"""Suppression, measured: what knowledge takes off an operator, and that it never hides a fault.

One scenario is run as often as there are levels of knowledge, over the same signals with the same
detector: without any, with typed jobs only (signals of the plant and people at the machine), with
orders and schedules, and with logs and an operator who confirms what they propose.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from edge.assembly.assembly import assemble_from
from edge.assessment.assess import assess
from edge.assessment.job_alarms import Ended, about_a_fault, endings, false_alarms
from edge.bundles.training import settings_beside
from edge.knowledge.retrieve import look_up
from edge.replays.backtest import Backtest, with_ticks
from kb.reading.document import Form
from kb.reading.documents import read_folder
from kb.snapshots.build import build
from simulator.baselines import Baseline, baselines
from simulator.operator import Habits, Operator
from simulator.trial import BUNDLE, fit_scenario

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from edge.assessment.assess import Episode, Figures
    from edge.records import RetrievalDone, Retrieve
    from kb.snapshots.snapshot import Snapshot
    from simulator.scenario import Scenario


class Level(StrEnum):
    """What Andon is told, each with all before it."""

    NONE = "none"
    TYPED = "typed_jobs"
    ORDERS = "orders"
    LOGS = "logs"


BATCH_S: Final = 20  # in a message: nobody waits for it live
KNOWN: Final = (Level.TYPED, Level.ORDERS, Level.LOGS)
# what a level does not read, by how it is written
_UNREAD: Final[dict[Level, frozenset[Form]]] = {
    Level.TYPED: frozenset({Form.ORDER, Form.SCHEDULE, Form.LOG}),
    Level.ORDERS: frozenset({Form.LOG}),
    Level.LOGS: frozenset(),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One scenario at one level. ended: how the alarms of jobs ended."""

    level: Level
    episodes: list[Episode]
    revisions: list[dict[str, Any]]
    figures: Figures
    ended: Mapping[Ended, int]
    taps: int = 0
    taps_wrong: int = 0


@dataclass(slots=True, kw_only=True)
class Trial:
    """A scenario at every level, with what simpler rules would have done with the same events."""

    cell: str
    seed: int
    messy: bool
    scenario: Scenario
    runs: dict[Level, Run] = field(default_factory=dict)
    simpler: dict[str, Baseline] = field(default_factory=dict)

    @property
    def without(self) -> Run:
        """The run without knowledge."""
        return self.runs[Level.NONE]

    @property
    def best(self) -> Run:
        """The run with all knowledge."""
        return self.runs[Level.LOGS]


def run_levels(
    scenario: Scenario, folder: Path, *, cell: str, messy: bool, habits: Habits
) -> Trial:
    """Write, fit and run a scenario at every level.

    Raises AndonError, ModelError or KnowledgeError.
    """
    scenario.write(folder)
    fit_scenario(folder)
    trial = Trial(cell=cell, seed=scenario.seed, messy=messy, scenario=scenario)
    trial.runs[Level.NONE] = _run(scenario, folder, Level.NONE, snapshot=None, habits=habits)
    parent = None
    for level in reversed(KNOWN):  # the fullest first: the others reuse its vectors
        snapshot = _read(folder, scenario, level, parent=parent)
        parent = parent or snapshot
        trial.runs[level] = _run(scenario, folder, level, snapshot=snapshot, habits=habits)
    assert parent is not None
    trial.simpler = baselines(trial.without.episodes, scenario.truth, snapshot=parent)
    return trial


def _read(folder: Path, scenario: Scenario, level: Level, *, parent: Path | None) -> Path:
    """A snapshot of what a level may read."""
    source, out = folder / f"kb-{level}", folder / f"snapshot-{level}"
    shutil.copytree(folder / "kb", source)
    unread = _UNREAD[level]
    for document in read_folder(source, now_ns=scenario.begin_ns).documents:
        if document.form in unread:
            (source / document.path).unlink()
    build(source, out, now_ns=scenario.begin_ns, parent=parent)
    return out


def _run(
    scenario: Scenario, folder: Path, level: Level, *, snapshot: Path | None, habits: Habits
) -> Run:
    assembly = assemble_from(
        settings_beside(folder / "recording", None),
        bundle_path=folder / BUNDLE,
        snapshot_path=snapshot,
    )
    searcher: Snapshot | None = assembly.snapshot

    def lookup(effect: Retrieve, now_ns: int) -> RetrievalDone:
        return look_up(searcher, effect, now_ns=now_ns)

    operator = Operator(
        truth=scenario.truth,
        site=scenario.site,
        seed=scenario.seed,
        habits=habits,
        confirms=level is Level.LOGS,
    )
    backtest = Backtest(assembly.engine, lookup=lookup, watch=operator.saw)
    batch_rows = scenario.rows_in(BATCH_S)
    messages = operator.among(scenario.messages(batch_rows=batch_rows))
    backtest.run(with_ticks(messages, step_ns=batch_rows * scenario.period_ns))
    episodes = backtest.episodes()
    if searcher is not None:
        searcher.close()
    return Run(
        level=level,
        episodes=episodes,
        revisions=backtest.revisions,
        figures=assess(episodes, scenario.truth),
        ended=endings(episodes, scenario.truth, tapped=operator.taps),
        taps=len(operator.taps),
        taps_wrong=operator.wrong,
    )


def counted(trial: Trial) -> dict[str, int]:
    """The counts of one trial that are added up over many."""
    best, without, truth = trial.best, trial.without, trial.scenario.truth
    figures = best.figures
    return {
        "jobs_total": figures.jobs_total,
        "jobs_witnessed": figures.jobs_witnessed,
        "false_alarms_without": without.figures.calibration_false_alarms_without_kb,
        "false_alarms_with": figures.calibration_false_alarms_with_kb,
        "false_alarms_total_without": false_alarms(without.episodes, truth),
        "false_alarms_total_with": false_alarms(best.episodes, truth),
        "faults_total": figures.faults_total,
        "faults_found": figures.faults_found,
        "faults_missed": figures.faults_missed,
        "faults_undetected": figures.faults_undetected,
        "suppressions": figures.suppressions,
        "suppressions_wrong": figures.wrong_suppressions,
        "taps": best.taps,
        "taps_wrong": best.taps_wrong,
    }


def explained(trial: Trial) -> dict[str, int]:
    """Of alerts about faults: how many, and where the fault's mode stood among what it resembles.

    The last revision counts, as an operator reads it.
    """
    counts = {"alerts": 0, "mode_first": 0, "mode_top_3": 0}
    last = {(e["id"], e["count"]): e for e in trial.best.revisions}
    faults = trial.scenario.truth.faults
    for episode in trial.best.episodes:
        about = [fault for fault in faults if about_a_fault(episode, [fault])]
        if not episode.rang or episode.track == "comms" or len(about) != 1:
            continue
        ranked = [m["mode_id"] for m in last[episode.alert_id, episode.count].get("resembles", ())]
        counts["alerts"] += 1
        counts["mode_first"] += ranked[:1] == [about[0].kind]
        counts["mode_top_3"] += about[0].kind in ranked[:3]
    return counts
