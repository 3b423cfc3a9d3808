"""Sensor faults put into normal recordings: found by class, and no process fault called one.

python -m benchmarks.sensor_faults [--data DIR] [--seeds 20] [--faults 60]

DIR holds skab/, cnc_mill/ and tep/ as their publishers give them; without it the simulated cells
alone are taken. Exit code 1 where less than 95 % of a class are found, or 1 % of the faults of the
process or more are called faults of a sensor.
"""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from simulator.sensor_faults import EXPECTED, cell_faults, cell_plant, measure, plant_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from simulator.sensor_faults import Plant, Row

RECALL_MIN: Final = 0.95
MISCALLED_MAX: Final = 0.01
SKAB_LEARN: Final = 400  # rows of each file before its fault
SKAB_CHANNELS: Final = 8
TEP_FAULT_ROW: Final = 160
CNC_LEARN_RUNS: Final = 3


def skab_table(path: Path) -> NDArray[np.float64]:
    """The signals (n, 8) of a file."""
    columns = range(1, SKAB_CHANNELS + 1)
    return np.genfromtxt(path, delimiter=";", skip_header=1, usecols=columns)


def recordings(data: Path, seed: int) -> Iterator[Plant]:
    """Real plants in normal operation."""
    values = skab_table(data / "skab" / "anomaly-free" / "anomaly-free.csv")
    names = [f"c{i}" for i in range(values.shape[1])]
    twin = (0, 1, 4, 5)[seed % 4]
    yield plant_of("skab", values, learn=4000, names=names, twin=twin, seed=seed)
    files = sorted((data / "cnc_mill").glob("experiment_*.csv"))
    runs = [np.genfromtxt(file, delimiter=",", skip_header=1)[:, :-1] for file in files]
    learn = sum(len(run) for run in runs[:CNC_LEARN_RUNS])
    values = np.concatenate(runs)
    names = [f"c{i}" for i in range(values.shape[1])]
    yield plant_of("cnc mill", values, learn=learn, names=names, seed=seed)


def real_faults(data: Path) -> Iterator[tuple[str, bool]]:
    """Faults of real and reference processes, each with whether a sensor was blamed for it.

    What their instruments can show is not known.
    """
    for file in sorted((data / "skab" / "valve1").glob("*.csv")):
        values = skab_table(file)
        names = [f"c{i}" for i in range(values.shape[1])]
        plant = plant_of(file.name, values, learn=SKAB_LEARN, names=names)
        yield "skab", bool(plant.codes(plant.values, ranges=False).any())
    normal = np.loadtxt(data / "tep" / "d00.dat").T
    names = [f"c{i}" for i in range(normal.shape[1])]
    tests = sorted((data / "tep").glob("d*_te.dat"))
    for file in tests:
        if file.name != "d00_te.dat":
            values = np.concatenate([normal, np.loadtxt(file)])
            plant = plant_of("tep", values, learn=len(normal), names=names)
            codes = plant.codes(plant.values, ranges=False)
            yield "tep", bool(codes[TEP_FAULT_ROW:].any())


def simulated_faults(seeds: Sequence[int], count: int) -> Iterator[tuple[str, bool]]:
    """The same of simulated cells; what is called without a fault too is not counted twice."""
    for seed in seeds:
        for cell in ("weld", "cnc", "pump"):
            plant = cell_plant(cell, seed)
            for fault in cell_faults(plant, cell, seed, count):
                codes = plant.codes(fault.values)
                yield f"{cell} cell", bool(codes[fault.begin : fault.end].any())


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="folder of recordings")
    parser.add_argument("--seeds", type=int, default=10, help="faults of each kind and plant (10)")
    parser.add_argument("--plants", type=int, default=2, help="machines of each cell (2)")
    parser.add_argument("--faults", type=int, default=20, help="of the process, a machine (20)")
    options = parser.parse_args(arguments)
    rows: list[Row] = []
    quiet: list[tuple[str, int, int]] = []
    for seed in range(options.plants):
        plants = [cell_plant(cell, seed) for cell in ("weld", "cnc", "pump")]
        plants += list(recordings(options.data, seed)) if options.data else []
        for plant in plants:
            codes = plant.codes(plant.values)
            quiet.append((plant.name, int(codes.any(axis=1).sum()), len(codes)))
            rows += measure(plant, range(100 * seed, 100 * seed + options.seeds))
    blamed: defaultdict[str, list[bool]] = defaultdict(list)
    for name, wrong in simulated_faults(range(options.plants), options.faults):
        blamed[name].append(wrong)
    for name, wrong in real_faults(options.data) if options.data else ():
        blamed[name].append(wrong)
    return report(rows, quiet, blamed)


def report(
    rows: Sequence[Row], quiet: Sequence[tuple[str, int, int]], blamed: dict[str, list[bool]]
) -> int:
    """Print the tables; returns the exit code."""
    failed = 0
    print("kind of fault      plant        channels  injected  found  recall  delay (samples)")
    for row in rows:
        recall = row.found / row.injected if row.injected else float("nan")
        print(
            f"{row.kind:18} {row.plant:12} {row.able:8} {row.injected:9} {row.found:6}"
            f" {recall:7.1%} {row.delay_median_samples:9.0f}"
        )
    for kind in EXPECTED:
        mine = [row for row in rows if row.kind is kind]
        injected, found = sum(r.injected for r in mine), sum(r.found for r in mine)
        failed |= found < RECALL_MIN * injected
        print(f"all: {kind:18} {found} of {injected} ({found / max(injected, 1):.1%})")
    for name, wrong, total in quiet:
        print(f"nothing broken: {name:12} {wrong} of {total} samples called wrong")
    every = [wrong for found in blamed.values() for wrong in found]
    for name, of_sensor in blamed.items():
        said = f"{sum(of_sensor)} of {len(of_sensor)}"
        print(f"faults of the process called a sensor's: {name:12} {said}")
    print(f"in all {sum(every)} of {len(every)} ({sum(every) / max(len(every), 1):.1%})")
    return int(failed or sum(every) >= MISCALLED_MAX * len(every))


if __name__ == "__main__":
    sys.exit(main())
