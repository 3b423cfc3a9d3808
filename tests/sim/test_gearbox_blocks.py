"""The gearboxes by their waveforms: the same values, faults and limits as by finished features."""

from __future__ import annotations

from dataclasses import replace
from functools import cache, partial
from typing import TYPE_CHECKING, Final

import numpy as np
import pytest

from edge.assembly.assembly import Assembly, assemble_from
from edge.assessment.truth import Truth
from edge.bundles.training import fit_bundle, journal_samples, settings_beside
from edge.desk import Knowledge
from edge.replays.backtest import Backtest, with_ticks
from edge.storage.journal_table import journal_table
from kb.records import Citation, Limit
from models.bundles.store import load as load_bundle
from models.bundles.store import save as save_bundle
from simulator.cells import CELLS
from simulator.cells.gearbox import GEARBOX, GearboxFault
from simulator.cells.gearbox_blocks import block_messages
from simulator.cells.gearbox_signals import CHANNEL_NAMES, stricken
from simulator.cells.simulation import Wish, normal_cell
from simulator.faults import PlannedFault, fault_marks

if TYPE_CHECKING:
    from pathlib import Path

    from edge.assessment.assess import Episode
    from simulator.scenario import Scenario

SEED: Final = 4
N: Final = 5400
TRAINING_HOURS: Final = 3.0  # with a break
BEGIN_S, END_S = 2403, 4800
SIZE: Final = 6.0
KINDS: Final = (GearboxFault.BEARING_OUTER_RACE, GearboxFault.IMBALANCE)
S: Final = 10**9


def fault(kind: GearboxFault) -> PlannedFault:
    """One fault of the mechanics in the middle of the stretch."""
    marks = fault_marks(
        kind, channels=CHANNEL_NAMES, size=SIZE, begin_s=BEGIN_S, end_s=END_S,
        rng=np.random.default_rng(0), forms=GEARBOX.forms,
    )  # fmt: skip
    return PlannedFault(
        fault_id="F", robot=1, kind=kind, situation="alone", begin_s=BEGIN_S, end_s=END_S,
        size=SIZE, marks=marks,
    )  # fmt: skip


@cache
def scenario(kind: GearboxFault, *, waves: bool) -> Scenario:
    """An hour and a half of one machine that runs all the time, with the fault in its waveform."""
    base = CELLS["gearbox"](
        seed=SEED, assets=1, hours=N / 3600, faults=False, jobs=False, waves=waves
    )
    calm, faults = ((0, N),), [fault(kind)]
    course = stricken(SEED, 1, n=N, calm=calm, renewed=(), faults=faults)
    context = np.stack([course.running, np.zeros(N // 10), course.mode], axis=1)
    made = partial(
        block_messages, SEED, 1, phase=0, n=N, begin_ns=base.begin_ns, calm=calm, faults=faults
    )
    return replace(
        base,
        values={"g1": course.values},
        context={"g1": context.astype(np.float64)},
        blocks={"g1": made} if waves else {},
        normal=partial(
            normal_cell,
            GEARBOX,
            Wish(seed=SEED, machines=1, hours=TRAINING_HOURS, waves=waves),
            end_ns=base.begin_ns,
        ),
        truth=Truth(begin_ns=base.begin_ns, end_ns=base.begin_ns + N * S),
    )


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[bool, Path]:
    """Written and fitted, by whether waveforms were sent."""
    found = {}
    for waves in (False, True):
        folder = tmp_path_factory.mktemp("waves" if waves else "rows")
        scenario(KINDS[0], waves=waves).write(folder)
        settings = settings_beside(folder / "training", None)
        bundle = fit_bundle(journal_samples(folder / "training", settings=settings))
        save_bundle(bundle, folder / "bundle")
        found[waves] = folder
    return found


def assembly_of(folder: Path) -> Assembly:
    """A fresh engine of a folder."""
    return assemble_from(
        settings_beside(folder / "recording", None),
        bundle_path=folder / "bundle",
        snapshot_path=None,
    )


@cache
def episodes(folder: Path, kind: GearboxFault, *, waves: bool, step_s: int = 10) -> list[Episode]:
    """What rang on the process track, by a run over the messages."""
    backtest = Backtest(assembly_of(folder).engine)
    backtest.run(with_ticks(scenario(kind, waves=waves).messages(), step_ns=step_s * S))
    return [one for one in backtest.episodes() if one.rang and one.track == "process"]


def test_a_recording_of_waveforms_holds_the_values_that_the_monitor_publishes(
    folders: dict[bool, Path],
) -> None:
    """Every row of every channel while it runs; at rest lines of a still shaft are unknown."""
    tables = {}
    for waves, folder in folders.items():
        settings = settings_beside(folder / "training", None)
        channels = load_bundle(folder / "bundle").assets[0].channels
        tables[waves] = journal_table(
            folder / "training", settings.asset[0], sources=settings.source, channels=channels
        )
        assert {channel.name for channel in channels} == set(CHANNEL_NAMES)
    by_name = [channel.name for channel in tables[True].channels]
    columns = [by_name.index(channel.name) for channel in tables[False].channels]
    rows, blocks = tables[False].values, tables[True].values[:, columns]
    running = tables[False].running
    assert running is not None
    assert rows.shape == blocks.shape
    decimals = np.array([channel.decimals for channel in GEARBOX.channels])
    assert (np.abs(rows - blocks)[running] <= 0.51 * 10.0**-decimals + 1e-6).all()
    assert 0 < (~running).sum() < len(running)
    still = ~running & np.roll(~running, 1) & np.roll(~running, 2)  # values are held for a while
    at_rest = blocks[still]
    assert np.isnan(at_rest[:, CHANNEL_NAMES.index("Shaft 1x")]).all()
    assert np.isfinite(at_rest[:, CHANNEL_NAMES.index("Vibration Acceleration")]).all()


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_faults_are_found_by_waveforms_and_by_features(
    folders: dict[bool, Path], kind: GearboxFault
) -> None:
    """As soon, but for two rows."""
    first: dict[bool, Episode] = {}
    for waves, folder in folders.items():
        found = episodes(folder, kind, waves=waves)
        begin_ns = scenario(kind, waves=waves).begin_ns
        inside = [one for one in found if BEGIN_S <= (one.begin_ns - begin_ns) / S < END_S]
        assert inside
        first[waves] = inside[0]
    assert abs(first[True].begin_ns - first[False].begin_ns) <= 20 * S


def test_larger_batches_of_ticks_change_no_alert(folders: dict[bool, Path]) -> None:
    """Ticks every ten seconds or every minute: the same ids and begins."""
    runs = [episodes(folders[True], KINDS[0], waves=True, step_s=step) for step in (10, 60)]
    told = [[(one.alert_id, one.begin_ns) for one in run] for run in runs]
    assert told[0] == told[1] != []


def test_an_approved_limit_of_a_feature_rings(folders: dict[bool, Path]) -> None:
    """A zone boundary of ISO 20816 is a row of the limit table like any other: before any fault."""
    assembly = assembly_of(folders[True])
    made = scenario(KINDS[1], waves=True)
    usual = float(np.median(made.values["g1"][:100, CHANNEL_NAMES.index("Vibration Velocity")]))
    quote = Citation(
        doc_id="iso", revision="1", chunk_id=1, start=0, end=1, quote="x", sha256="0" * 64
    )
    zone = Limit(
        limit_id="iso-20816-c", asset="g1", channel="Vibration Velocity", unit="mm/s",
        low_low=None, low=None, high=1.1 * usual, high_high=None, recorded_at_ns=0,
        approved_by="qa", citation=quote,
    )  # fmt: skip
    known = Knowledge(sha256="x", verified=True, limits=(zone,))
    backtest = Backtest(assembly.engine_of(None, known))
    backtest.run(with_ticks(made.messages(), step_ns=10 * S))
    begin_ns = made.begin_ns + BEGIN_S * S
    beyond, else_ = (
        [e for e in run if e.top_channel == zone.channel and e.begin_ns < begin_ns]
        for run in (backtest.episodes(), episodes(folders[True], KINDS[1], waves=True))
    )
    assert beyond
    assert beyond[0].rang
    assert not else_
