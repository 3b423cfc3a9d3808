"""Signals of the weld cell: determinism, honest sizes, normal operation that can be learned."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import msgspec
import numpy as np
import pytest

from simulator.cells.weld import START_NS, simulate, training
from simulator.cells.weld_signals import CHANNEL_NAMES, CHANNELS, character, reference
from simulator.jobs import EXPECTED_EFFECT, LASTING_SIGMA_MAX, SECOND_NS, WORK_BY_KEY

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from edge.assessment.truth import Fault, TrueJob
    from simulator.scenario import Scenario

SHIFT_S = 8 * 3600
MARK_SEEDS = range(8)


@cache
def _cell(seed: int, *, faults: bool = True, jobs: bool = True) -> Scenario:
    return simulate(seed=seed, faults=faults, jobs=jobs)


def _rows(scenario: Scenario, item: Fault | TrueJob) -> slice:
    return slice(
        (item.begin_ns - scenario.begin_ns) // SECOND_NS,
        (item.end_ns - scenario.begin_ns) // SECOND_NS,
    )


def _difference(one: Scenario, other: Scenario, asset: str) -> NDArray[np.float64]:
    """What the marks add, in sigmas (n, c); NaN while stopped."""
    difference = (one.values[asset] - other.values[asset]) / one.sigma[asset]
    return np.where(one.running(asset)[:, None], difference, np.nan)


def _same(a: Scenario, b: Scenario, asset: str, rows: int) -> bool:
    return np.array_equal(a.values[asset][:rows], b.values[asset][:rows]) and np.array_equal(
        a.context[asset][:rows], b.context[asset][:rows]
    )


def test_a_seed_gives_one_cell() -> None:
    """Twice the same seed gives the same bytes, texts and truth; another seed another cell."""
    one, two, other = simulate(seed=4), simulate(seed=4), simulate(seed=5)
    assert all(_same(one, two, asset, SHIFT_S) for asset in one.assets)
    assert (one.truth, one.texts, one.commands, one.twins) == (
        two.truth,
        two.texts,
        two.commands,
        two.twins,
    )
    assert not np.array_equal(one.values["r1"], other.values["r1"])
    assert one.truth != other.truth


def test_a_robot_more_leaves_the_others() -> None:
    """Robots have streams of their own: r1 to r4 are the same in a cell of eleven."""
    small, large = _cell(2), simulate(seed=2, robots=11)
    assert all(_same(small, large, asset, SHIFT_S) for asset in small.assets)
    assert large.assets[-2:] == ("r10", "r11")
    assert [f for f in large.truth.faults if f.asset in small.assets] == list(small.truth.faults)


def test_a_shift_more_leaves_the_first() -> None:
    """What comes later only adds at the end."""
    short, long = _cell(6), simulate(seed=6, hours=16.0)
    assert all(_same(short, long, asset, SHIFT_S) for asset in short.assets)


def test_leaving_faults_or_jobs_out_leaves_everything_else() -> None:
    """Outside of faults and jobs the signals are equal to the last digit."""
    full, bare = _cell(1), _cell(1, faults=False, jobs=False)
    assert not (bare.truth.faults)
    assert not (bare.truth.jobs)
    assert not (bare.commands)
    touched = {asset: np.zeros((SHIFT_S, len(CHANNELS)), bool) for asset in full.assets}
    for fault in full.truth.faults:
        for name in fault.channels:
            touched[fault.asset][_rows(full, fault), CHANNEL_NAMES.index(name)] = True
    for job in full.truth.jobs:
        for name in job.channels:  # the small lasting effect stays
            touched[job.asset][_rows(full, job).start :, CHANNEL_NAMES.index(name)] = True
    for asset in full.assets:
        changed = full.values[asset] != bare.values[asset]
        assert changed.any()
        assert not (changed & ~touched[asset]).any()
        assert np.array_equal(full.running(asset), bare.running(asset))


@pytest.mark.parametrize("seed", MARK_SEEDS)
def test_faults_are_in_the_signals_with_the_size_they_state(seed: int) -> None:
    """The largest mean deviation, from the same noise without faults, is size_sigma.

    Elsewhere none.
    """
    with_faults, without = _cell(seed, jobs=False), _cell(seed, faults=False, jobs=False)
    for fault in with_faults.truth.faults:
        rows = _rows(with_faults, fault)
        difference = _difference(with_faults, without, fault.asset)
        names = [CHANNEL_NAMES.index(name) for name in fault.channels]
        lead = difference[rows, names[0]]
        if fault.kind == "dead_sensor":
            held = with_faults.values[fault.asset][rows, names[0]]
            assert np.ptp(held) == 0.0
            level, sigma = with_faults.level[fault.asset], with_faults.sigma[fault.asset]
            size = abs(held[0] - level[names[0]]) / sigma[names[0]]
            assert size == pytest.approx(fault.size_sigma, abs=0.03)
        else:
            smooth = np.convolve(lead[np.isfinite(lead)], np.full(10, 0.1), "valid")
            assert np.abs(smooth).max() == pytest.approx(fault.size_sigma, rel=0.25)
            assert abs(np.nanmedian(lead)) >= 0.55 * fault.size_sigma
        others = [k for k in range(len(CHANNELS)) if k not in names]
        assert np.nanmax(np.abs(difference[rows][:, others])) == 0.0


@pytest.mark.parametrize("seed", MARK_SEEDS)
def test_jobs_mark_their_channels_and_restore_them(seed: int) -> None:
    """A job reaches its size within its witness's times, and leaves less than the scope expects."""
    with_jobs, without = _cell(seed, faults=False), _cell(seed, faults=False, jobs=False)
    for job in with_jobs.truth.jobs:
        rows = _rows(with_jobs, job)
        names = [CHANNEL_NAMES.index(name) for name in job.channels]
        difference = _difference(with_jobs, without, job.asset)[:, names]
        before = difference[rows.start - 600 : rows.start + 15]
        after = difference[rows.stop : rows.stop + 900]
        left = np.nanmean(after, axis=0) - np.nanmean(before, axis=0)
        assert (np.abs(left) <= 2 * LASTING_SIGMA_MAX + 0.01).all()
        assert (np.abs(left) < EXPECTED_EFFECT).all()
        if job.cancelled:
            assert np.nanmax(np.abs(difference[rows] - before[np.isfinite(before[:, 0])][0])) < 0.5
            continue
        running = with_jobs.running(job.asset)[rows]
        assert running.mean() > 0.75  # the detector sees it: no stop falls into a job
        values = with_jobs.values[job.asset][rows, names[0]]
        flat = np.ptp(values[100:-100]) == 0.0
        lead = np.abs(difference[rows, 0][running])
        smooth = np.convolve(
            lead, np.full(10, 0.1), "valid"
        )  # without noise, but also without spikes
        error = min(abs(lead.max() - job.size_sigma), abs(smooth.max() - job.size_sigma))
        assert flat or error < LASTING_SIGMA_MAX + 0.25 * job.size_sigma


def test_a_hidden_fault_lasts_beyond_job_and_settling() -> None:
    """After its job has settled the fault is still in the signal, on running samples."""
    for seed in MARK_SEEDS:
        cell = _cell(seed)
        hidden = [
            (fault, job)
            for fault in cell.truth.faults
            for job in cell.truth.jobs
            if fault.situation == "during_job"
            and job.asset == fault.asset
            and job.begin_ns <= fault.begin_ns < job.end_ns
            and set(fault.channels) <= set(job.channels)
        ]
        ((fault, job),) = hidden
        settle_s = WORK_BY_KEY[job.kind, job.instrument].settle_s
        from_row = (job.end_ns - cell.begin_ns) // SECOND_NS + settle_s
        rows = slice(from_row, _rows(cell, fault).stop)
        assert cell.running(fault.asset)[rows].sum() >= 200
        k = CHANNEL_NAMES.index(fault.channels[0])
        values = cell.values[fault.asset][rows, k][cell.running(fault.asset)[rows]]
        shift = abs(values.mean() - cell.level[fault.asset][k]) / cell.sigma[fault.asset][k]
        assert shift > 0.6 * fault.size_sigma


def test_the_function_check_bit_is_up_exactly_while_the_plant_witnesses() -> None:
    """cal_mode rises at a plant-witnessed job's begin and falls at its end.

    And is zero otherwise.
    """
    for seed in MARK_SEEDS:
        cell = _cell(seed)
        expected = {asset: np.zeros(SHIFT_S) for asset in cell.assets}
        for job in cell.truth.jobs:
            if job.witness == "plant":
                expected[job.asset][_rows(cell, job)] = 1.0
                robot = int(job.asset.removeprefix("r"))
                assert character(seed, robot).wired.key == (job.kind, job.instrument)
        for asset in cell.assets:
            column = cell.context[asset][:, cell.context_tags.index("cal_mode")]
            assert np.array_equal(column, expected[asset])


@pytest.mark.not_counted
def test_training_is_the_same_robots_without_events() -> None:
    """Level and spread of training and of a quiet shift agree.

    The stretch ends where the shift begins.
    """
    for seed in (0, 9):
        cell, stretch = _cell(seed, faults=False, jobs=False), training(seed=seed)
        assert not (stretch.truth.faults)
        assert not (stretch.truth.jobs)
        assert not (stretch.commands)
        assert stretch.truth.end_ns == cell.begin_ns == START_NS
        for asset in cell.assets:
            own = stretch.values[asset][stretch.running(asset)]
            shift = cell.values[asset][cell.running(asset)]
            sigma = cell.sigma[asset]
            assert (np.abs(own.mean(axis=0) - shift.mean(axis=0)) < 0.25 * sigma).all()
            assert (np.abs(own.std(axis=0) / sigma - 1.0) < 0.05).all()
            assert not np.array_equal(own[:1000], shift[:1000])
            assert stretch.running(asset)[-SHIFT_S:].sum() == 0  # the night before
            assert not stretch.context[asset][:, 1].any()


def test_sigma_is_the_spread_of_normal_running() -> None:
    """The stated sigma is that of simulated normal running samples, wear and lots included."""
    quiet = [simulate(seed=3, hours=16.0, faults=False, jobs=False)]
    for asset in quiet[0].assets:
        pooled = np.concatenate([cell.values[asset][cell.running(asset)] for cell in quiet])
        assert np.allclose(pooled.std(axis=0), quiet[0].sigma[asset], rtol=0.04)
        assert (quiet[0].sigma[asset] >= 0.97 * character(3, int(asset[1:])).noise).all()


def test_normal_running_is_learnable() -> None:
    """Moderate memory, the coupling of real welds, small slow movement.

    Within a linear model's reach.
    """
    cell = _cell(8, faults=False, jobs=False)
    running = cell.running("r1")
    x = (cell.values["r1"] - cell.level["r1"]) / cell.sigma["r1"]
    pairs = running[1:] & running[:-1]
    lag_one = (x[1:] * x[:-1])[pairs].mean(axis=0)
    assert ((lag_one > 0.1) & (lag_one < 0.6)).all()
    corr = np.asarray(np.corrcoef(x[running].T))
    assert corr[3, 5] == pytest.approx(-0.5, abs=0.12)  # current against voltage
    assert corr[2, 4] == pytest.approx(0.5, abs=0.12)  # feed and wire
    assert corr[0, 1] > 0.35  # pressure and flow
    block = x[running][: len(x[running]) // 600 * 600].reshape(-1, 600, len(CHANNELS)).mean(axis=1)
    assert np.abs(block).max() < 0.65
    idle = cell.values["r1"][~running]
    assert np.abs(idle[:, 3]).max() < 2.0
    assert idle[:, 0].mean() == pytest.approx(1.56, abs=0.01)


def test_arcs_and_gaps_have_the_lengths_of_a_weld_cell() -> None:
    """Arcs of 40 to 90 s, short gaps; breaks and stops are rarer and longer; three recipes."""
    cell = _cell(8, faults=False, jobs=False)
    running = cell.running("r2").astype(int)
    edges = np.flatnonzero(np.diff(running))
    lengths = np.diff(edges)
    arcs = lengths[running[edges[:-1] + 1] == 1]
    gaps = lengths[running[edges[:-1] + 1] == 0]
    assert arcs.max() <= 90
    assert np.median(arcs) == pytest.approx(65, abs=6)
    assert (gaps <= 14).mean() > 0.9
    assert gaps.max() >= 30 * 60  # the meal
    assert set(cell.context["r2"][:, 2]) == {1.0, 2.0, 3.0}


def test_no_normal_value_stands_still_for_a_minute() -> None:
    """As published, a running channel never repeats itself for so long that it looks stuck."""
    cell = _cell(8, faults=False, jobs=False)
    for asset in cell.assets:
        x = cell.values[asset][cell.running(asset)]
        for k in range(x.shape[1]):
            changes = np.flatnonzero(np.diff(x[:, k]) != 0.0)
            assert np.diff(changes).max() < 20


def test_levels_follow_the_recordings(data_dir: Path) -> None:
    """Arc current and voltage, and how they go together, resemble the recorded welds."""
    table = np.genfromtxt(
        data_dir / "weld" / "good_weld_02-16-23-0081-00.csv", delimiter=",", skip_header=1
    )[110:320]
    level, sigma = reference(0, 1)
    for column, name in ((3, "Primary Weld Current"), (5, "Secondary Weld Voltage")):
        k = CHANNEL_NAMES.index(name)
        assert level[k] == pytest.approx(table[:, column].mean(), rel=0.05)
        assert 0.5 < sigma[k] / table[:, column].std() < 2.0


@pytest.mark.parametrize(
    ("arguments", "named"),
    [({"robots": 0}, "robots"), ({"hours": 0.0}, "hours"), ({"hours": 1e9}, "hours")],
)
def test_numbers_that_make_no_cell_are_refused(arguments: dict[str, float], named: str) -> None:
    """The message names the argument and what was expected."""
    with pytest.raises(ValueError, match=f"{named} is .* expected"):
        simulate(seed=1, **arguments)  # type: ignore[arg-type]


def test_one_robot_for_a_moment_is_a_cell_too() -> None:
    """The smallest cell has signals and an empty truth, not an error."""
    cell = simulate(seed=1, robots=1, hours=0.01)
    assert cell.rows == 36
    assert cell.truth.faults == ()
    assert cell.twins is None
    assert msgspec.json.encode(cell.truth)
