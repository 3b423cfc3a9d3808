"""Nights, weekends, breaks and stops of a plant in which nothing is wrong: nobody is called."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from edge.assembly.assembly import assemble_from
from edge.bundles.training import fit_bundle, journal_samples, settings_beside
from edge.replays.backtest import Backtest, with_ticks
from models.bundles.store import save
from simulator.calm_plant import GATEWAY, SECOND_NS, CalmPlant, calm_plant
from simulator.scenario import _write_journal

if TYPE_CHECKING:
    from pathlib import Path

    from edge.assessment.assess import Episode

SEED: Final = 3  # with the most nuisance before starts were kept out of the moments
LEARN_DAYS: Final = 14
NIGHTS_DAYS: Final = 42  # thirty nights after work and six weekends
STEP_NS: Final = 600 * SECOND_NS
STARTED_NS: Final = 20 * 60 * SECOND_NS


def episodes(folder: Path, live: CalmPlant, *, switched_off: bool) -> list[Episode]:
    """Everything that a gateway of default budget tells, fitted on the two weeks before."""
    _write_journal(
        folder / "training",
        calm_plant(seed=SEED, days=LEARN_DAYS, switched_off=switched_off).messages(),
    )
    (folder / "gateway.toml").write_text(GATEWAY, encoding="utf-8")
    settings = settings_beside(folder / "training", None)
    samples = journal_samples(folder / "training", settings=settings)
    save(fit_bundle(samples), folder / "bundle")
    assembly = assemble_from(settings, bundle_path=folder / "bundle", snapshot_path=None)
    backtest = Backtest(assembly.engine)
    backtest.run(with_ticks(live.messages(), step_ns=STEP_NS))
    return backtest.episodes()


def test_thirty_nights_and_six_weekends_without_an_alert(tmp_path: Path) -> None:
    """Tags that report by exception, a run tag and a heartbeat: no alert of any track."""
    live = calm_plant(seed=SEED, days=NIGHTS_DAYS, first_day=LEARN_DAYS)
    assert episodes(tmp_path, live, switched_off=False) == []


def test_a_controller_that_is_off_at_night_is_no_fault_either(tmp_path: Path) -> None:
    """Only the heartbeat goes on: no sensor is missing, and no start rings."""
    live = calm_plant(seed=SEED, days=14, first_day=LEARN_DAYS, switched_off=True)
    told = episodes(tmp_path, live, switched_off=True)
    assert {one.track for one in told} <= {"process"}
    t_ns = live.begin_ns + np.arange(len(live.values)) * live.period_s * SECOND_NS
    for one in told:  # by chance, in the middle of work
        just_before = (t_ns > one.begin_ns - STARTED_NS) & (t_ns <= one.begin_ns)
        assert live.running[just_before].all(), one.message
    assert len(told) <= 2
