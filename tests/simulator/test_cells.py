"""Every cell: the whole mix, tables that fit its signals, modes that a linear model can explain."""

from __future__ import annotations

import csv
import io
from collections import Counter
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import pytest

from simulator.cells import CELLS, TYPES, simulate
from simulator.cells.cell import reference
from simulator.cells.plan import plan
from simulator.cells.signals import SHIFT_S
from simulator.faults import Shape

if TYPE_CHECKING:
    from simulator.scenario import Scenario

NEW = ("cnc", "pump")
PLANNED = (*NEW, "gearbox")
OFFSETS = ("weld", *NEW)  # cells whose faults are offsets of channels; test_gearbox has the other
SEEDS = range(30)


@cache
def _cell(name: str, *, messy: bool = False) -> Scenario:
    return CELLS[name](seed=3, messy=messy)


def _table(scenario: Scenario, name: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(scenario.texts[name])))


@pytest.mark.parametrize("name", PLANNED)
def test_every_seed_has_the_whole_mix(name: str) -> None:
    """Six faults in every situation, work with every witness, a pair that looks alike."""
    kinds: set[str] = set()
    for seed in SEEDS:
        found = plan(TYPES[name], seed, machines=4, n=SHIFT_S)
        counts = Counter(fault.situation for fault in found.faults)
        assert counts == {"alone": 2, "during_job": 2, "neighbour": 1, "after_cancelled": 1}
        done = [job for job in found.jobs if not job.cancelled_by]
        assert {job.witness for job in done} == {"plant", "person", "order", ""}
        kinds |= {fault.kind for fault in found.faults}
        assert found.twins is not None
        (job,) = [job for job in found.jobs if job.job_id == found.twins[0]]
        (fault,) = [fault for fault in found.faults if fault.fault_id == found.twins[1]]
        assert [(m.channel, m.shape, m.size > 0) for m in job.marks] == [
            (m.channel, m.shape, m.size > 0) for m in fault.marks
        ]
        assert fault.marks[0].size == pytest.approx(job.marks[0].size, rel=0.05)
    assert kinds == set(TYPES[name].kinds)


@pytest.mark.parametrize("name", PLANNED)
def test_cells_share_no_random_numbers(name: str) -> None:
    """The same seed plans each cell by itself."""
    spans = [
        [(job.begin_s, job.end_s) for job in plan(TYPES[cell], 3, machines=4, n=SHIFT_S).jobs]
        for cell in ("weld", name)
    ]
    assert spans[0] != spans[1]


@pytest.mark.parametrize("name", OFFSETS)
def test_the_same_seed_gives_the_same_cell_and_another_hour_leaves_it(name: str) -> None:
    """Signals and texts are determined; without faults and jobs only their marks are gone."""
    first, again = _cell(name), CELLS[name](seed=3)
    bare = CELLS[name](seed=3, faults=False, jobs=False)
    assert first.cell == name
    for asset in first.assets:
        assert np.array_equal(first.values[asset], again.values[asset])
        assert np.array_equal(first.context[asset][:, 0], bare.context[asset][:, 0])
        untouched = np.ones(first.rows, bool)
        spans = [job for job in first.truth.jobs if job.asset == asset]
        for begin_ns, end_ns in [(j.begin_ns, j.end_ns) for j in spans] + [
            (f.begin_ns, f.end_ns) for f in first.truth.faults if f.asset == asset
        ]:
            begin, end = ((t - first.begin_ns) // 10**9 for t in (begin_ns, end_ns))
            untouched[begin : end + 1] = False
        shift = (first.values[asset] - bare.values[asset]) / first.sigma[asset]
        assert np.abs(shift[untouched]).max() < 0.25  # at most what work leaves behind
        assert np.abs(shift[~untouched]).max() > 1.0
    assert first.texts == again.texts


@pytest.mark.parametrize("name", TYPES)
@pytest.mark.not_counted
def test_limits_are_silent_in_normal_operation(name: str) -> None:
    """No value of a normal day, running or not, reaches an approved limit; a dead sensor may."""
    assets = 1 if name == "gearbox" else 2  # its day takes seconds a machine to make
    day = CELLS[name](seed=5, assets=assets).normal
    assert day is not None
    scenario = day()
    for row in _table(CELLS[name](seed=5, assets=assets, hours=1.0), "limits.csv"):
        k = [channel.name for channel in scenario.channels].index(row["channel"])
        assert row["unit"] == scenario.channels[k].unit
        values = scenario.values[row["asset"]][:, k]
        bounds = [float(row[b]) for b in ("low_low", "low", "high", "high_high") if row[b]]
        assert bounds == sorted(bounds)
        assert values.max() < float(row["high"])
        assert not row["low"] or values.min() > float(row["low"])


@pytest.mark.parametrize("name", TYPES)
def test_tables_know_every_channel_every_fault_and_all_that_work_disturbs(name: str) -> None:
    """Failure modes are the kinds of truth; scope rows list the channels of the marks."""
    scenario, cell = _cell(name), TYPES[name]
    modes = {row["mode"]: row["channels"] for row in _table(scenario, "failure_modes.csv")}
    assert set(modes) == {kind.value for kind in cell.kinds}
    for kind, form in cell.forms.items():
        signs = dict(part.strip().rsplit(":", 1) for part in modes[kind.value].split(";"))
        assert set(signs) <= set(cell.channel_names)
        for channel, way in form.signs:
            assert signs[channel] == ("high" if way > 0 else "low")
    sensors = _table(scenario, "sensors.csv")
    assert len(sensors) == len(scenario.assets) * len(cell.channels)
    scope = {
        (row["kind"], row["asset"], row["instrument"]): set(row["channels"].split(";"))
        for row in _table(scenario, "scope.csv")
    }
    planned = plan(cell, 3, machines=4, n=SHIFT_S)
    for job in planned.jobs:
        key = (job.work.kind, cell.asset(job.robot), job.work.instrument)
        assert {mark.channel for mark in job.marks} <= scope[key]


@pytest.mark.parametrize("name", PLANNED)
def test_manuals_name_every_channel_and_every_fault(name: str) -> None:
    """Each channel has a row of limits; each fault's channels stand in one row of symptoms."""
    texts = [text for path, text in _cell(name).texts.items() if path.startswith("manuals/")]
    rows = [line for text in texts for line in text.splitlines() if line.startswith("| ")]
    for channel in TYPES[name].channels:
        assert any(row.startswith(f"| {channel.name} | {channel.unit} |") for row in rows)
    for form in TYPES[name].forms.values():
        names = {channel for channel, _ in form.signs}
        assert any(all(part in row for part in names) for row in rows)
    assert not any("$" in text for text in texts)


@pytest.mark.parametrize("name", NEW)
def test_modes_differ_and_a_linear_model_explains_them(name: str) -> None:
    """Modes shift levels by more than noise; given the past, residuals do not know the mode."""
    scenario = CELLS[name](seed=7, assets=1, faults=False, jobs=False)
    asset = scenario.assets[0]
    values, running = scenario.values[asset], scenario.running(asset)
    mode = scenario.context[asset][:, 2]
    inside = running & np.roll(running, 30)  # well after a start
    first, second = sorted(set(mode[running].astype(int)))[:2]
    means = [values[inside & (mode == m)].mean(axis=0) for m in (first, second)]
    sigma = reference(TYPES[name], 7, 1)[1]
    assert np.abs((means[0] - means[1]) / sigma).max() > 1.0
    t = np.flatnonzero(inside[2:] & inside[1:-1] & inside[:-2]) + 2
    lagged = np.hstack([values[t - 1], values[t - 2], np.ones((len(t), 1))])
    weights, *_ = np.linalg.lstsq(lagged, values[t], rcond=None)
    residual = (values[t] - lagged @ weights) / sigma
    for m in (first, second):
        assert np.abs(residual[mode[t] == m].mean(axis=0)).max() < 0.08


@pytest.mark.parametrize("name", PLANNED)
def test_a_dead_sensor_reads_zero_and_a_stuck_one_does_not(name: str) -> None:
    """Both stand still; only the dead one at zero."""
    marks = {
        fault.kind.value: fault.marks[0]
        for seed in SEEDS
        for fault in plan(TYPES[name], seed, machines=4, n=SHIFT_S).faults
    }
    assert marks["dead_sensor"].zero
    assert not marks["stuck_sensor"].zero
    assert marks["dead_sensor"].shape is marks["stuck_sensor"].shape is Shape.FLAT


def test_an_unknown_cell_is_refused_with_the_known_ones() -> None:
    """The error names what there is."""
    with pytest.raises(ValueError, match="weld, cnc, pump"):
        simulate("lathe", seed=1)
