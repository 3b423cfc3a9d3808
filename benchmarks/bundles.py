"""How long a fit takes, and loading a bundle of many assets with its self-tests.

    python -m benchmarks.bundles [--rows 100000] [--channels 8] [--assets 1000] [--json]

The bundle has two kinds of detector: of four assets three have four channels (var) and one has one
(stream). Each figure is the median of the rounds, with what it comes to of its limit. Processor
time is of one thread (set OMP_NUM_THREADS=1) and says little of a machine that is busy with other
work; wall time is as long as somebody would have waited.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from models.bundles.assemble import make_bundle
from models.bundles.bundle import Channel
from models.bundles.store import load, save
from models.detector import detectors_of
from models.fitting.fit import FitOptions, fit_asset
from models.samples import TrainingSamples

if TYPE_CHECKING:
    from collections.abc import Callable

    from models.bundles.bundle import AssetFit

FIT_S_MAX: Final = 10.0  # of processor time, for 8 channels and 100,000 rows
LOAD_S_MAX: Final = 0.5  # of processor time, for 1,000 assets
TRAINED_ROWS: Final = 2_000  # of each asset of the bundle
OPTIONS: Final = FitOptions(alignment="rows")


def main() -> None:
    """Measure and print both."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--channels", type=int, default=8)
    parser.add_argument("--assets", type=int, default=1_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true", help="JSON alone on stdout")
    options = parser.parse_args()
    rows, channels, assets = options.rows, options.channels, options.assets
    record = _record(rows, channels)
    fit = _median_s(lambda: fit_asset(record, OPTIONS), options.rounds)
    with tempfile.TemporaryDirectory(prefix="andon-bundles-") as folder:
        path = save(make_bundle(_fits(assets)), Path(folder) / "bundle")
        opened = _median_s(lambda: detectors_of(load(path)), options.rounds)
    told = {
        "fit": {"rows": rows, "channels": channels, **_against(fit, FIT_S_MAX)},
        "load": {"assets": assets, **_against(opened, LOAD_S_MAX)},
        "rounds": options.rounds,
    }
    if options.json:
        sys.stdout.write(json.dumps(told, indent=1) + "\n")
        return
    for what, of in (
        ("fit", f"{rows} rows x {channels} channels"),
        ("load", f"{assets} assets of two kinds, self-tests included"),
    ):
        one = told[what]
        sys.stdout.write(
            f"{what}, {of}: {one['processor_s']:.3f} s of processor time, {one['wall_s']:.3f} s in"
            f" all; {one['of_limit']:.2f} of the limit of {one['limit_s']:g} s\n"
        )


def _against(seconds: tuple[float, float], limit_s: float) -> dict[str, float]:
    processor_s, wall_s = seconds
    return {
        "processor_s": processor_s,
        "wall_s": wall_s,
        "limit_s": limit_s,
        "of_limit": processor_s / limit_s,
    }


def _median_s(work: Callable[[], object], rounds: int) -> tuple[float, float]:
    """Processor and wall seconds of work, the median of so many rounds each, after one more."""
    work()
    seen = []
    for _ in range(rounds):
        processor, wall = time.process_time(), time.monotonic()
        work()
        seen.append((time.process_time() - processor, time.monotonic() - wall))
    processor_s, wall_s = np.median(seen, axis=0).tolist()
    return processor_s, wall_s


def _record(rows: int, channels: int) -> TrainingSamples:
    """Noise of so many channels at 1 Hz."""
    return TrainingSamples(
        asset="a",
        channels=tuple(Channel(name=f"c{i}") for i in range(channels)),
        values=np.random.default_rng(0).normal(size=(rows, channels)),
        period_ns=10**9,
    )


def _fits(assets: int) -> list[AssetFit]:
    """So many assets of two kinds, each kind fitted once."""
    wide, narrow = (fit_asset(_record(TRAINED_ROWS, c), OPTIONS) for c in (4, 1))
    return [replace(narrow if i % 4 == 0 else wide, asset=f"a{i:04}") for i in range(assets)]


if __name__ == "__main__":
    main()
