"""How fast the default detector scores, and the kinds beside it: ring, score, threshold.

    python -m benchmarks.speed.hot_loop [--quick]

What is measured is what an engine does with the newest samples of all assets: they are written into
a ring, scored in one call of `edge.samples.scoring` with the parameters that it keeps, each asset
its own, and compared with thresholds. Samples are of a made-up plant, and differ from call to call.
Rates are of CPU seconds of one core. A ratio is the share of the rate at which the same core
multiplies matrices in ONNX Runtime, in the same rounds, that the arithmetic of the method comes to;
beside it stands what share of a plain copy's bytes the parameters and states are.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from benchmarks.speed.figure import Figure
from benchmarks.speed.interleaved import interleaved, pinned
from benchmarks.speed.limits import multiply
from edge.samples.scoring import Parts
from models.bundles.assemble import make_bundle
from models.bundles.bundle import Channel
from models.bundles.tabled_kinds import EnsembleSpec, PcaSpec
from models.detector import detectors_of
from models.fitting.fit import FitOptions, fit_asset
from models.samples import TrainingSamples

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.speed.interleaved import Timed
    from edge.samples.scoring import LoadedPart
    from models.bundles.bundle import AnySpec, Bundle

CHANNELS: Final = 8
MANY: Final = 1_000
MOST: Final = 10_000
RING: Final = 64  # samples of each asset
CALLS: Final = 16  # of differing samples
SETTLED: Final = 400  # samples before the first that is measured
PRODUCT: Final = (256, 512, 32)
COPIED: Final = 2**25  # float32: beyond any cache
MULTIPLY: Final = "matrix product"
COPY: Final = "copy"
SHAPES: Final = (  # id, kind, assets, samples of a call, million values/s to reach
    ("default_1000_assets", "var", MANY, 1, 30.0),
    ("default_1_asset_n1", "var", 1, 1, 0.8),
    ("default_1_asset_n16", "var", 1, 16, 2.0),
    ("default_10_assets", "var", 10, 1, None),
    ("default_12_assets_n100", "var", 12, 100, None),
    ("default_1000_assets_n8", "var", MANY, 8, None),
    ("default_1000_assets_n16", "var", MANY, 16, None),
    ("default_1000_assets_n64", "var", MANY, 64, None),
    ("default_10000_assets", "var", MOST, 1, None),
    ("pca_1000_assets", "pca", MANY, 1, None),
    ("pca_1000_assets_n16", "pca", MANY, 16, None),
    ("pca_1_asset_n1", "pca", 1, 1, None),
    ("ensemble_1000_assets", "ensemble", MANY, 1, None),
    ("ensemble_1000_assets_n16", "ensemble", MANY, 16, None),
    ("ensemble_1_asset_n1", "ensemble", 1, 1, None),
)


@dataclass(kw_only=True)
class Loop:
    """What an engine does with n new samples of each asset: `step` does it once.

    blocks: (CALLS, a, n, c)   ring: (a, RING or a call's, c)   thresholds: (a, 1)
    """

    part: LoadedPart
    blocks: np.ndarray
    ring: np.ndarray
    thresholds: np.ndarray
    state: np.ndarray
    at: int = 0
    flagged: int = 0

    def __post_init__(self) -> None:
        self._valid = np.ones(self.blocks.shape[1:], np.bool_)

    def step(self) -> None:
        """Append, score, compare."""
        x = self.blocks[self.at % CALLS]
        n = x.shape[1]
        first = self.at * n % self.ring.shape[1]
        self.ring[:, first : first + n] = x
        score, self.state = self.part.score(x, self._valid, self.state, self.part.parameters)
        self.flagged += int(np.count_nonzero(score >= self.thresholds))
        self.at += 1


def loop_of(kind: str, *, assets: int, samples: int) -> Loop:
    """A loop over so many assets, each with rows of its own, samples a call each; settled."""
    bundle = _bundle(kind)
    rows = np.zeros(assets, np.intp)
    part = Parts(replace(bundle, parts=(bundle.only.taken(rows),)), detectors_of(bundle)).every[0]
    chance = np.random.default_rng(0)
    blocks = chance.normal(size=(CALLS, assets, samples, CHANNELS)).astype(np.float32)
    loop = Loop(
        part=part,
        blocks=blocks,
        ring=np.zeros((assets, max(RING // samples, 1) * samples, CHANNELS), np.float32),
        thresholds=np.full((assets, 1), 4.0, np.float32),
        state=part.detector.initial_state(assets),
    )
    for _ in range(-(-SETTLED // samples)):
        loop.step()
    return loop


def measure(*, quick: bool = False) -> list[Figure]:
    """Figures of the loop: values a second, and how cost grows from MANY to MOST assets."""
    loops = {
        name: loop_of(kind, assets=assets, samples=samples)
        for name, kind, assets, samples, _ in SHAPES
    }
    copied = np.ones(COPIED, np.float32), np.empty(COPIED, np.float32)
    ways: dict[str, Callable[[], object]] = {name: loop.step for name, loop in loops.items()}
    ways |= {MULTIPLY: multiply(*PRODUCT), COPY: lambda: np.copyto(copied[1], copied[0])}
    with pinned():
        timed = interleaved(ways, rounds=3 if quick else 9, round_s=0.05 if quick else 0.1)
    peak = 2.0 * np.prod(PRODUCT) / timed[MULTIPLY].median_s
    told = [
        _figure(name, loops[name], timed, peak=peak, wanted=wanted) for name, *_, wanted in SHAPES
    ]
    return [*told, _linearity(timed)]


def _bundle(kind: str) -> Bundle:
    values = np.random.default_rng(1).normal(size=(2000, CHANNELS))
    named = tuple(Channel(name=f"c{i}") for i in range(CHANNELS))
    samples = TrainingSamples(asset="a", channels=named, values=values, period_ns=10**9)
    return make_bundle([fit_asset(samples, FitOptions(alignment="rows", detector=kind))])


def _figure(
    name: str, loop: Loop, timed: dict[str, Timed], *, peak: float, wanted: float | None
) -> Figure:
    """Values a second of one loop. peak: FLOP/s of the core."""
    _, assets, samples, _ = loop.blocks.shape
    took_s = timed[name].median_s
    copy_rate = 2.0 * 4 * COPIED / timed[COPY].median_s
    moved = sum(value.nbytes for value in loop.part.parameters.values()) + 2 * loop.state.nbytes
    spec = loop.part.detector.spec  # type: ignore[attr-defined]
    return Figure(
        id=name,
        figure=assets * samples * CHANNELS / took_s / 1e6,
        unit="M values/s",
        ratio=assets * samples * _flops(spec) / took_s / peak,
        against=f"matrix products, {peak / 1e9:.0f} GFLOP/s",
        note=f"{took_s * 1e6:.1f} us a call, {moved / took_s / copy_rate:.2f} of a copy's bytes"
        + ("" if wanted is None else f", to reach {wanted:g}"),
    )


def _linearity(timed: dict[str, Timed]) -> Figure:
    many, most = timed["default_1000_assets"], timed["default_10000_assets"]
    grown = float(np.median(most.cpu_s / many.cpu_s)) * MANY / MOST
    return Figure(
        id="linearity",
        figure=grown,
        unit="times",
        ratio=grown,
        against=f"the cost of an asset among {MANY:,}",
        note=f"of an asset among {MOST:,}",
        at_most=1.2,
    )


def _flops(spec: AnySpec) -> float:
    """Multiplications and additions that the method asks for, of a sample of one asset."""
    c, k = spec.channels, len(spec.lambdas)
    tails = 4.0 * 2 * k * 8
    if isinstance(spec, EnsembleSpec):
        return 2.0 * spec.channels * spec.members + 6.0 * spec.members + tails / 2
    if isinstance(spec, PcaSpec):
        return 3.0 * c + k * (3.0 * c + 4.0 * c * c) + tails
    own = getattr(spec, "lags", 0) * 2.0 * c * c + 2.0 * c * c
    return own + 5.0 * c + k * 10.0 * c + tails


def main() -> None:
    """Measure and print a line for each figure."""
    for one in measure(quick="--quick" in sys.argv):
        share = "" if np.isnan(one.ratio) else f", {one.ratio:.3f} of a {one.against}"
        sys.stdout.write(f"{one.id}: {one.figure:.2f} {one.unit}{share} {one.note}\n")


if __name__ == "__main__":
    main()
