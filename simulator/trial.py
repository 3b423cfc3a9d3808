"""A trial: a scenario written, fitted on its normal stretch, read, and put through the engine.

The demo prepares the same way and then runs a real gateway instead of the backtest.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge.assembly.assembly import assemble_from
from edge.assessment.assess import assess
from edge.bundles.training import fit_bundle, journal_samples, settings_beside
from edge.knowledge.retrieve import look_up
from edge.replays.backtest import Backtest, with_ticks
from kb.snapshots.build import build
from models.bundles.store import save as save_bundle

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

    from edge.assessment.assess import Episode, Figures
    from edge.records import RetrievalDone, Retrieve
    from kb.manifest import Manifest
    from models.bundles.bundle import Bundle
    from simulator.scenario import Scenario

BUNDLE = "bundle"
SNAPSHOT = "snapshot"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a trial showed: published event revisions, the events they tell of, and their worth."""

    revisions: list[dict[str, Any]]
    episodes: list[Episode]
    figures: Figures
    counts: dict[str, int]


def fit_scenario(folder: Path) -> Bundle:
    """Fit all robots on the normal stretch in `folder`/training; writes and returns the bundle."""
    settings = settings_beside(folder / "training", None)
    bundle = fit_bundle(journal_samples(folder / "training", settings=settings))
    save_bundle(bundle, folder / BUNDLE)
    return bundle


def read_texts(folder: Path, scenario: Scenario) -> Manifest:
    """Read the plant's texts in `folder`/kb into a snapshot, as known when the scenario begins."""
    return build(folder / "kb", folder / SNAPSHOT, now_ns=scenario.begin_ns)


def run_trial(scenario: Scenario, folder: Path) -> Outcome:
    """Write, fit, read and run a scenario. Raises AndonError, ModelError or KnowledgeError."""
    scenario.write(folder)
    fit_scenario(folder)
    read_texts(folder, scenario)
    return backtest_scenario(scenario, folder)


def backtest_scenario(scenario: Scenario, folder: Path) -> Outcome:
    """Run a scenario that is fitted and read already."""
    assembly = assemble_from(
        settings_beside(folder / "recording", None),
        bundle_path=folder / BUNDLE,
        snapshot_path=folder / SNAPSHOT,
    )

    def lookup(effect: Retrieve, now_ns: int) -> RetrievalDone:
        return look_up(assembly.snapshot, effect, now_ns=now_ns)

    backtest = Backtest(assembly.engine, lookup=lookup)
    backtest.run(with_ticks(scenario.messages()))
    episodes = backtest.episodes()
    return Outcome(
        revisions=backtest.revisions,
        episodes=episodes,
        figures=assess(episodes, scenario.truth),
        counts=assembly.engine.counts(),
    )
