"""Sensor faults in normal recordings: nearly all found, by class, and no process fault among them.

The whole table is `python -m benchmarks.sensor_faults`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np
import pytest

from simulator.sensor_faults import Kind, cell_faults, cell_plant, measure, plant_of

if TYPE_CHECKING:
    from pathlib import Path

    from simulator.sensor_faults import Plant

RECALL_MIN: Final = 0.95
SEEDS: Final = range(40, 43)
FAULTS: Final = 8


@pytest.fixture(scope="module")
def pump() -> Plant:
    """A machine of the pump cell."""
    return cell_plant("pump", 11, learn_h=3.0, hours=2.0)


@pytest.mark.parametrize("period_ms", [1000, 8])
def test_each_class_is_found_on_the_right_channel(pump: Plant, period_ms: int) -> None:
    """All kinds, on channels where they can be seen at all; also where looks are a window apart."""
    model = msgspec.structs.replace(pump.model, period_ns=period_ms * 1_000_000)
    rows = measure(replace(pump, model=model), SEEDS)
    assert {row.kind for row in rows if row.injected} == set(Kind)
    missed = [row for row in rows if row.found < RECALL_MIN * row.injected]
    assert missed == []


@pytest.mark.parametrize("cell", ["weld", "pump"])
@pytest.mark.not_counted
def test_no_fault_of_the_process_is_called_one_of_a_sensor(cell: str) -> None:
    """Leaks, slips and wear of 1.5 to 8 sigma, and normal operation itself."""
    plant = cell_plant(cell, 12, learn_h=3.0, hours=2.0)
    assert not plant.codes(plant.values).any()
    for fault in cell_faults(plant, cell, 12, FAULTS):
        assert not plant.codes(fault.values)[fault.begin : fault.end].any()


@pytest.mark.not_counted
def test_the_testbed_shows_the_same(data_dir: Path) -> None:
    """Real noise: every class is found, and normal rows call nothing."""
    path = data_dir / "skab" / "anomaly-free" / "anomaly-free.csv"
    values = np.genfromtxt(path, delimiter=";", skip_header=1, usecols=range(1, 9))
    names = [f"c{i}" for i in range(8)]
    plant = plant_of("skab", values, learn=4000, names=names, twin=5)
    assert not plant.codes(plant.values).any()
    rows = measure(plant, SEEDS)
    missed = [row for row in rows if row.found < RECALL_MIN * row.injected]
    assert missed == []


@pytest.mark.not_counted
def test_valve_faults_of_the_testbed_are_faults_of_the_process(data_dir: Path) -> None:
    """Fitted on the 400 rows before: no sensor is blamed for a closing valve."""
    for path in sorted((data_dir / "skab" / "valve1").glob("*.csv")):
        values = np.genfromtxt(path, delimiter=";", skip_header=1, usecols=range(1, 9))
        plant = plant_of(path.name, values, learn=400, names=[f"c{i}" for i in range(8)])
        assert not plant.codes(plant.values, ranges=False).any(), path.name
