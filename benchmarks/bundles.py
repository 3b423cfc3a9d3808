"""How long a fit takes, and loading a bundle of many assets with its self-tests.

    python -m benchmarks.bundles [--rows 100000] [--channels 8] [--assets 1000] [--json]

The bundle has two kinds of detector: of four assets three have four channels (var) and one has one
(stream). Both are measured also by the hour: a fit of two weeks with their times, a sample a
minute, whose channels follow the day, and a bundle whose assets of several channels were fitted so.
Each figure is the median of the rounds, with what it comes to of its limit. Processor time is of
one thread (set OMP_NUM_THREADS=1) and says little of a machine that is busy with other work; wall
time is as long as somebody would have waited.
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
from models.fitting.season_words import hourly_channels
from models.samples import TrainingSamples

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from models.bundles.bundle import AssetFit

FIT_S_MAX: Final = 10.0  # of processor time, for 8 channels and 100,000 rows
LOAD_S_MAX: Final = 0.5  # of processor time, for 1,000 assets
TRAINED_ROWS: Final = 2_000  # of each asset of the bundle
OPTIONS: Final = FitOptions(alignment="rows")
DAYS: Final = 14  # of a record with times
MINUTE_NS: Final = 60 * 10**9
MONDAY_NS: Final = 1_772_409_600 * 10**9  # 2026-03-02 00:00 UTC


def main() -> None:
    """Measure and print all four."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--channels", type=int, default=8)
    parser.add_argument("--assets", type=int, default=1_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true", help="JSON alone on stdout")
    options = parser.parse_args()
    rounds, channels, assets = options.rounds, options.channels, options.assets
    noise, daily = _record(options.rows, channels), _daily(channels)
    by_hour = hourly_channels(make_bundle([fit_asset(daily)]).assets[0])
    one, wide = (fit_asset(_record(TRAINED_ROWS, c), OPTIONS) for c in (1, 4))
    one_daily, wide_daily = (fit_asset(_daily(c)) for c in (1, 4))
    told = {
        "fit": _fitting(noise, OPTIONS, rounds),
        "load": _loading([one, *[wide] * 3], assets, rounds),
        "fit_by_hour": {
            **_fitting(daily, FitOptions(), rounds),
            "channels_by_hour": len(by_hour),
        },
        "load_by_hour": _loading([one_daily, *[wide_daily] * 3], assets, rounds),
    }
    if options.json:
        sys.stdout.write(json.dumps({**told, "rounds": rounds}, indent=1) + "\n")
        return
    for what, of in (
        ("fit", f"{options.rows} rows x {channels} channels"),
        ("load", f"{assets} assets of two kinds, self-tests included"),
        ("fit by hour", f"{len(daily.values)} rows x {channels}, {len(by_hour)} follow the hour"),
        ("load by hour", f"{assets} assets, three of four judged by the hour too"),
    ):
        figures = told[what.replace(" ", "_")]
        sys.stdout.write(
            f"{what}, {of}: {figures['processor_s']:.3f} s of processor time,"
            f" {figures['wall_s']:.3f} s in all; {figures['of_limit']:.2f} of the limit of"
            f" {figures['limit_s']:g} s\n"
        )


def _fitting(record: TrainingSamples, options: FitOptions, rounds: int) -> dict[str, float]:
    """How long a fit of a record takes."""
    rows, channels = record.values.shape
    taken = _median_s(lambda: fit_asset(record, options), rounds)
    return {"rows": rows, "channels": channels, **_against(taken, FIT_S_MAX)}


def _loading(fits: Sequence[AssetFit], assets: int, rounds: int) -> dict[str, float]:
    """How long loading a bundle of so many assets takes, that are of these fits in turn."""
    named = [replace(fits[i % len(fits)], asset=f"a{i:04}") for i in range(assets)]
    with tempfile.TemporaryDirectory(prefix="andon-bundles-") as folder:
        path = save(make_bundle(named), Path(folder) / "bundle")
        taken = _median_s(lambda: detectors_of(load(path)), rounds)
    return {"assets": assets, **_against(taken, LOAD_S_MAX)}


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


def _daily(channels: int) -> TrainingSamples:
    """Two weeks of a plant at work from seven to seven and less at weekends, a sample a minute."""
    chance = np.random.default_rng(1)
    hour = np.arange(DAYS * 24 * 60) / 60.0
    work = np.zeros(len(hour))
    for day in range(DAYS):
        begin, end = 24.0 * day + np.array([7.0, 19.0]) + 0.2 * chance.normal(size=2)
        rise = np.clip((hour - begin) / 0.5, 0.0, 1.0) - np.clip((hour - end) / 0.5, 0.0, 1.0)
        work += (2.0 if day % 7 >= 5 else 5.0) * (1.0 + 0.05 * chance.normal()) * rise
    noise = chance.normal(size=(len(hour), channels))
    return TrainingSamples(
        asset="a",
        channels=tuple(Channel(name=f"c{i}") for i in range(channels)),
        values=work[:, None] + noise,
        t_ns=MONDAY_NS + np.arange(len(hour)) * MINUTE_NS,
        period_ns=MINUTE_NS,
    )


if __name__ == "__main__":
    main()
