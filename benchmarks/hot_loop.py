"""How fast the default detector scores, against what the same core can multiply.

    python -m benchmarks.hot_loop [--assets 1000] [--channels 8] [--samples 1]

Prints values scored per processor second, and the share of the core's own matrix-multiply rate
that the arithmetic of the detector comes to. Every figure is of one thread (set
OPENBLAS_NUM_THREADS=1). They are measured in turn, so that a busy machine slows all.
"""

from __future__ import annotations

import argparse
import sys
import time
from typing import TYPE_CHECKING

import numpy as np

from models.assemble import make_bundle
from models.bundle import Channel, Spec
from models.detector import detector_of
from models.fit import FitOptions, fit_asset
from models.samples import TrainingSamples

if TYPE_CHECKING:
    from collections.abc import Callable

    from models.bundle import Bundle

MATRIX = 512
ROUNDS = 15
ROUND_S = 0.1


def main() -> None:
    """Measure and print one line for each way through the detector."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--assets", type=int, default=1000)
    parser.add_argument("--channels", type=int, default=8)
    parser.add_argument("--samples", type=int, default=1, help="of each asset in a call")
    options = parser.parse_args()
    assets, channels, samples = options.assets, options.channels, options.samples
    part = _bundle(channels).only
    detector = detector_of(part.graph)
    parameters = {name: np.repeat(value, assets, axis=0) for name, value in part.parameters.items()}
    chance = np.random.default_rng(0)
    x = chance.normal(size=(assets, samples, channels)).astype(np.float32)
    valid = np.ones(x.shape, np.bool_)
    state = detector.initial_state(assets)
    for _ in range(5):
        _, state = detector.score(x, valid, state, parameters)
    one_dead = valid.copy()
    one_dead[: max(1, assets // 100), :, 0] = False
    a, b = (chance.normal(size=(MATRIX, MATRIX)).astype(np.float32) for _ in range(2))
    ways: dict[str, Callable[[], object]] = {
        "complete": lambda: detector.score(x, valid, state, parameters),
        "1 % of assets with a dead channel": lambda: detector.score(x, one_dead, state, parameters),
        "matrix multiply": lambda: a @ b,
    }
    seconds = _seconds_a_call(ways)
    peak = 2 * MATRIX**3 / seconds.pop("matrix multiply")
    out = sys.stdout.write
    out(f"{assets} assets x {channels} channels, {samples} samples a call, one thread\n")
    out(f"matrix multiply {peak / 1e9:.0f} GFLOP/s\n")
    for way, took in seconds.items():
        rate = assets * samples * channels / took
        assert isinstance(part.spec, Spec), "the default detector"
        share = assets * samples * _flops(part.spec) / took / peak
        out(
            f"{way}: {rate / 1e6:.1f} million values/s, {took * 1e6:.0f} us a call,"
            f" {share:.3f} of the matrix-multiply rate\n"
        )


def _bundle(channels: int) -> Bundle:
    values = np.random.default_rng(1).normal(size=(2000, channels))
    named = tuple(Channel(name=f"c{i}") for i in range(channels))
    samples = TrainingSamples(asset="a", channels=named, values=values, period_ns=10**9)
    return make_bundle([fit_asset(samples, FitOptions(alignment="rows"))])


def _flops(spec: Spec) -> float:
    """Multiplications and additions of a sample of one asset: residual, averages, tables."""
    c, k = spec.channels, len(spec.lambdas)
    return 2 * (spec.lags + 1) * c * c + 3 * c + k * (5 * c + 30 + 4 * spec.knots)


def _seconds_a_call(ways: dict[str, Callable[[], object]]) -> dict[str, float]:
    """Median processor time of each, measured in turn."""
    seen: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(ROUNDS):
        for name, way in ways.items():
            calls, begin, wall = 0, time.process_time(), time.monotonic()
            while time.monotonic() - wall < ROUND_S:
                way()
                calls += 1
            seen[name].append((time.process_time() - begin) / calls)
    return {name: float(np.median(times)) for name, times in seen.items()}


if __name__ == "__main__":
    main()
