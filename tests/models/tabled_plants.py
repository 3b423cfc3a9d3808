"""Assets for the kinds of several channels whose views have stored tails: `pca`, `ensemble`."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import numpy as np

from models.bundles.assemble import make_bundle
from models.detector import detector_of
from models.detector_tabled import TabledDetector
from models.fitting.fit import FitOptions, fit_asset
from tests.models.plants import samples

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from models.bundles.bundle import Bundle

    F64 = NDArray[np.float64]
    F32 = NDArray[np.float32]


def options(kind: str) -> FitOptions:
    """How both assets are fitted."""
    return FitOptions(alignment="rows", detector=kind, settle_samples=3)


def line(rows: int, *, seed: int, c: int = 5) -> F64:
    """Five channels that two quantities move, with noise of their own (n, c)."""
    chance = np.random.default_rng(seed)
    loads = np.random.default_rng(0).normal(size=(2, c))
    moved = chance.normal(size=(rows, 2)) @ loads
    noise = 0.4 * chance.normal(size=(rows, c))
    return np.asarray((moved + noise) * np.geomspace(0.1, 10.0, c) + 5.0)


@functools.cache
def bundle(kind: str) -> Bundle:
    """A wide asset and a narrow one, so that one row is padded."""
    return make_bundle(
        [
            fit_asset(samples(line(3000, seed=1), asset="r1"), options(kind)),
            fit_asset(samples(line(3000, seed=2)[:, :3], asset="r2"), options(kind)),
        ]
    )


@functools.cache
def detector(kind: str) -> TabledDetector:
    """The real graph."""
    made = detector_of(bundle(kind).only.graph)
    assert isinstance(made, TabledDetector)
    return made


def block(rows: int, *, seed: int, holes: float) -> tuple[F32, NDArray[np.bool_]]:
    """Samples of both assets (2, n, c) with holes, a gap and a fault, and which are valid."""
    x = np.zeros((2, rows, 5), np.float32)
    for i in range(2):
        x[i] = line(rows, seed=seed + i)
    x[:, rows // 2 : rows // 2 + 8, 1] += 6.0
    valid = np.random.default_rng(seed).random(x.shape) >= holes
    valid[1, :, 3:] = False
    if holes:
        valid[:, rows // 3 : rows // 3 + 2] = False
    return x, valid
