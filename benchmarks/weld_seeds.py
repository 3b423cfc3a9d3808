"""The weld cell over many seeds: what was found, what stayed quiet, by size of fault.

python -m benchmarks.weld_seeds --seeds 0:20
"""

from __future__ import annotations

import argparse
import itertools
import sys
import tempfile
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Final

from simulator.cells import weld
from simulator.trial import run_trial

if TYPE_CHECKING:
    from edge.assess import FaultOutcome, Figures

SIZES: Final = (1.5, 2.0, 3.0, 4.0, 6.0, float("inf"))


def trial(seed: int) -> tuple[int, Figures]:
    """One shift of one seed."""
    with tempfile.TemporaryDirectory(prefix="andon-weld-") as folder:
        return seed, run_trial(weld.simulate(seed=seed), Path(folder)).figures


def main() -> int:
    """Run the seeds; exit code 1 when a fault was missed or a suppression wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", default="0:20", help="half-open range, a:b")
    parser.add_argument("--processes", type=int, default=2, help="seeds at a time")
    options = parser.parse_args()
    first, last = map(int, options.seeds.split(":"))
    faults: list[FaultOutcome] = []
    total: Counter[str] = Counter()
    with ProcessPoolExecutor(options.processes) as pool:
        for seed, figures in pool.map(trial, range(first, last)):
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
            total.update(row)
            print(f"seed {seed}: " + "  ".join(f"{k} {v}" for k, v in row.items()), flush=True)
    print("total: " + "  ".join(f"{k} {v}" for k, v in total.items()))
    by_size(faults)
    without = max(total["job_alarms_without"], 1)
    print(f"job alarms removed: {1 - total['job_alarms_with'] / without:.1%}")
    return int(bool(total["missed"] or total["wrong"]))


def by_size(faults: list[FaultOutcome]) -> None:
    """Print found, missed and undetected by size, with the median delay."""
    for low, high in itertools.pairwise(SIZES):
        here = [f for f in faults if low <= f.size_sigma < high]
        outcomes = Counter(f.outcome for f in here)
        delays = sorted(f.delay_s for f in here if f.outcome == "found")
        median = f"{delays[len(delays) // 2]:.0f} s" if delays else "-"
        print(f"{low} to {high} sigma: {len(here)} faults, {dict(outcomes)}, median delay {median}")


if __name__ == "__main__":
    sys.exit(main())
