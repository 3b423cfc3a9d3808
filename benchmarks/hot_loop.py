"""How fast the default detector scores, against what the same core can multiply.

    python -m benchmarks.hot_loop [--assets 1000] [--channels 8] [--samples 1 8 64]
                                  [--beside model.onnx]

Prints, for each number of samples of an asset in a call, values scored per processor second and
the share of the core's own matrix-multiply rate that the arithmetic of the detector comes to.
`--beside` takes the graph of a bundle made earlier, of the same shape, and says how many times as
fast the present one is. Every figure is a median of one thread (set OPENBLAS_NUM_THREADS=1, and
`taskset -c 1` where others are at work). They are measured in turn, so that a busy machine slows
all.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from models.bundles.assemble import make_bundle
from models.bundles.bundle import Channel, Spec
from models.detector import detector_of
from models.fitting.fit import FitOptions, fit_asset
from models.samples import TrainingSamples

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from models.bundles.bundle import Bundle, Part
    from models.detector import AnyDetector

MATRIX: Final = 512
ROUNDS: Final = 15
ROUND_S: Final = 0.1
COMPLETE: Final = "complete"
BESIDE: Final = "the graph beside it, complete"
MULTIPLY: Final = "matrix multiply"


def main() -> None:
    """Measure and print one line for each way through the detector."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--assets", type=int, default=1000)
    parser.add_argument("--channels", type=int, default=8)
    parser.add_argument("--samples", type=int, nargs="+", default=[1, 8, 64], help="of an asset")
    parser.add_argument("--beside", type=Path, help="another graph of this shape")
    options = parser.parse_args()
    part = _bundle(options.channels).only
    assert isinstance(part.spec, Spec), "the default detector"
    beside = detector_of(options.beside.read_bytes()) if options.beside else None
    out = sys.stdout.write
    out(f"{options.assets} assets x {options.channels} channels, one thread\n")
    for samples in options.samples:
        ways = _ways(part, beside, assets=options.assets, samples=samples)
        rounds = _seconds_a_call(ways)
        seconds = {name: float(np.median(times)) for name, times in rounds.items()}
        peak = 2 * MATRIX**3 / seconds.pop(MULTIPLY)
        out(f"{samples} samples a call; matrix multiply {peak / 1e9:.0f} GFLOP/s\n")
        cells = options.assets * samples
        for way, took in seconds.items():
            share = cells * _flops(part.spec) / took / peak
            out(
                f"  {way}: {cells * options.channels / took / 1e6:.1f} million values/s,"
                f" {took * 1e6:.0f} us a call, {share:.3f} of the matrix-multiply rate\n"
            )
        if beside is not None:
            faster = np.median(rounds[BESIDE] / rounds[COMPLETE])
            out(f"  {faster:.2f} times as fast as the graph beside it\n")


def _ways(
    part: Part, beside: AnyDetector | None, *, assets: int, samples: int
) -> dict[str, Callable[[], object]]:
    """What is measured, by name."""
    detector = detector_of(part.graph)
    parameters = {name: np.repeat(value, assets, axis=0) for name, value in part.parameters.items()}
    chance = np.random.default_rng(0)
    x = chance.normal(size=(assets, samples, part.width)).astype(np.float32)
    valid = np.ones(x.shape, np.bool_)
    state = detector.initial_state(assets)
    for _ in range(5):
        _, state = detector.score(x, valid, state, parameters)
    one_dead = valid.copy()
    one_dead[: max(1, assets // 100), :, 0] = False
    a, b = (chance.normal(size=(MATRIX, MATRIX)).astype(np.float32) for _ in range(2))
    ways: dict[str, Callable[[], object]] = {
        COMPLETE: lambda: detector.score(x, valid, state, parameters),
        "1 % of assets with a dead channel": lambda: detector.score(x, one_dead, state, parameters),
        MULTIPLY: lambda: a @ b,
    }
    if beside is not None:
        ways[BESIDE] = lambda: beside.score(x, valid, state, parameters)
    return ways


def _bundle(channels: int) -> Bundle:
    values = np.random.default_rng(1).normal(size=(2000, channels))
    named = tuple(Channel(name=f"c{i}") for i in range(channels))
    samples = TrainingSamples(asset="a", channels=named, values=values, period_ns=10**9)
    return make_bundle([fit_asset(samples, FitOptions(alignment="rows"))])


def _flops(spec: Spec) -> float:
    """Multiplications and additions of a sample of one asset: residual, averages, tables."""
    c, k = spec.channels, len(spec.lambdas)
    return 2 * (spec.lags + 1) * c * c + 3 * c + k * (5 * c + 30 + 4 * spec.knots)


def _seconds_a_call(ways: dict[str, Callable[[], object]]) -> dict[str, NDArray[np.float64]]:
    """Processor time of each in every round (ROUNDS,), measured in turn."""
    seen: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(ROUNDS):
        for name, way in ways.items():
            calls, begin, wall = 0, time.process_time(), time.monotonic()
            while time.monotonic() - wall < ROUND_S:
                way()
                calls += 1
            seen[name].append((time.process_time() - begin) / calls)
    return {name: np.array(times) for name, times in seen.items()}


if __name__ == "__main__":
    main()
