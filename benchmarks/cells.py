"""Simulated cells over many seeds: what was found, what stayed quiet, by size of fault.

python -m benchmarks.cells --cells weld,cnc,pump --seeds 0:20
python -m benchmarks.cells --messy
"""

from __future__ import annotations

import argparse
import itertools
import sys
import tempfile
from collections import Counter, defaultdict
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Final

from simulator.cells import CELLS
from simulator.trial import run_trial

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge.assessment.assess import FaultOutcome, Figures

SIZES: Final = (1.5, 2.0, 3.0, 4.0, 6.0, float("inf"))


def trial(task: tuple[str, int, bool]) -> tuple[str, int, Figures]:
    """One shift of one seed of one cell. task: cell, seed, messy."""
    cell, seed, messy = task
    with tempfile.TemporaryDirectory(prefix=f"andon-{cell}-") as folder:
        scenario = CELLS[cell](seed=seed, messy=messy)
        return cell, seed, run_trial(scenario, Path(folder)).figures


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the seeds; exit code 1 when a fault was missed or a suppression wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cells", default="weld,cnc,pump", help="names, separated by commas")
    parser.add_argument("--seeds", default="0:4", help="half-open range, a:b")
    parser.add_argument("--messy", action="store_true", help="papers as plants have them")
    parser.add_argument("--processes", type=int, default=2, help="shifts at a time")
    options = parser.parse_args(arguments)
    first, last = map(int, options.seeds.split(":"))
    wanted = options.cells.split(",")
    if unknown := set(wanted) - set(CELLS):
        parser.error(f"no cell {', '.join(sorted(unknown))}; there are {', '.join(CELLS)}")
    tasks = [(cell, seed, options.messy) for cell in wanted for seed in range(first, last)]
    faults: list[FaultOutcome] = []
    totals: defaultdict[str, Counter[str]] = defaultdict(Counter)
    with ProcessPoolExecutor(options.processes) as pool:
        for cell, seed, figures in pool.map(trial, tasks):
            faults += figures.faults
            row = {
                "faults": figures.faults_total,
                "missed": figures.faults_missed,
                "undetected": figures.faults_undetected,
                "wrong": figures.wrong_suppressions,
                "job_alarms_without": figures.calibration_false_alarms_without_kb,
                "job_alarms_with": figures.calibration_false_alarms_with_kb,
                "alerts_without": figures.alerts_without_kb,
                "alerts_with": figures.alerts_with_kb,
            }
            totals[cell].update(row)
            totals[cell]["shifts"] += 1
            daily = {**row, "false_alarms_a_day": round(figures.false_alarms_per_day)}
            totals[cell]["false_alarms_a_day"] += daily["false_alarms_a_day"]
            print(f"{cell} {seed}: " + "  ".join(f"{k} {v}" for k, v in daily.items()), flush=True)
    for cell, total in totals.items():
        print_total(cell, total)
    by_size(faults)
    return int(any(total["missed"] or total["wrong"] for total in totals.values()))


def print_total(cell: str, total: Counter[str]) -> None:
    """Print the sums of one cell, and the share of job alarms that is gone."""
    shifts = total.pop("shifts")
    daily = total.pop("false_alarms_a_day") / max(shifts, 1)
    removed = 1 - total["job_alarms_with"] / max(total["job_alarms_without"], 1)
    print(f"{cell}, {shifts} shifts: " + "  ".join(f"{k} {v}" for k, v in total.items()))
    print(f"  job alarms removed {removed:.1%}, false alarms a day {daily:.1f}")


def by_size(faults: Sequence[FaultOutcome]) -> None:
    """Print found, missed and undetected by size, with the median delay."""
    for low, high in itertools.pairwise(SIZES):
        here = [f for f in faults if low <= f.size_sigma < high]
        outcomes = Counter(f.outcome for f in here)
        delays = sorted(f.delay_s for f in here if f.outcome == "found")
        median = f"{delays[len(delays) // 2]:.0f} s" if delays else "-"
        print(f"{low} to {high} sigma: {len(here)} faults, {dict(outcomes)}, median delay {median}")


if __name__ == "__main__":
    sys.exit(main())
