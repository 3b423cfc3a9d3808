"""The evaluation of suppression, small: one messy shift at every level, and a turn of attacks.

`SIM_SEED=8127 pytest tests/sim` takes other seeds. The whole is `andon eval suppression`.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

import pytest

from simulator import adversary
from simulator.attack_families import FAMILIES, HONEST
from simulator.cells import CELLS
from simulator.evaluation import EvaluationRequest, part_of, summed
from simulator.operator import Habits
from simulator.suppression import KNOWN, Level, Trial, run_levels

if TYPE_CHECKING:
    from pathlib import Path

SEED: Final = int(os.environ.get("SIM_SEED", "31"))
VARIANTS: Final = len(FAMILIES)


@pytest.fixture(scope="module")
def trial(tmp_path_factory: pytest.TempPathFactory) -> Trial:
    """A messy shift of two machines, run without knowledge and with more and more of it."""
    scenario = CELLS["cnc"](seed=SEED, assets=2, hours=5.0, messy=True)
    folder: Path = tmp_path_factory.mktemp("messy")
    return run_levels(scenario, folder, cell="cnc", messy=True, habits=Habits(wrong_rate=0.0))


def test_knowledge_hides_no_fault_and_takes_alarms_away(trial: Trial) -> None:
    """Whatever Andon is told: no fault missed, no wrong suppression, never more to hear."""
    heard = []
    for level in (Level.NONE, *KNOWN):
        figures = trial.runs[level].figures
        assert figures.wrong_suppressions == 0
        assert level is Level.NONE or figures.faults_missed == 0
        heard.append(sum(e.rang for e in trial.runs[level].episodes))
    assert trial.without.figures.suppressions == 0
    assert heard[-1] <= heard[0]


def test_every_alarm_of_work_is_accounted_for(trial: Trial) -> None:
    """Prevented, covered, reclassified or rang; and the sums have the keys that are promised."""
    request = EvaluationRequest(cells=("cnc",), seeds=(SEED, SEED + 1), messy=True)
    result = summed([part_of(trial)], [], request)
    for level, counts in result["job_alarms"].items():
        assert sum(counts.values()) > 0, level
        assert set(counts) == {"prevented", "covered", "reclassified", "rang"}
    assert result["job_alarms"]["typed_jobs"]["covered"] == 0  # nobody confirms anything there
    assert result["faults_total"] == len(trial.scenario.truth.faults)
    assert result["baselines"]["oracle"]["false_alarms_total"] <= result["false_alarms_total_with"]
    for key in (
        "jobs_total", "false_alarms_without", "false_alarms_with", "false_alarms_total_without",
        "false_alarms_total_with", "faults_missed", "faults_undetected", "suppression_precision",
        "adversarial_total", "adversarial_wrong",
    ):  # fmt: skip
        assert key in result


def test_no_attack_suppresses_and_honest_jobs_do() -> None:
    """One variant of each family, with honest twins: the suite could have been suppressed."""
    outcomes = adversary.run(SEED, range(VARIANTS))
    assert [outcome for outcome in outcomes if outcome.wrong] == []
    honest = [outcome for outcome in outcomes if outcome.honest]
    assert {outcome.family for outcome in honest} == set(HONEST)
    assert all(outcome.quiet for outcome in honest)
    assert {o.family for o in outcomes if not o.honest and o.heard} == set(FAMILIES)
