"""Small made-up plants for the tests of models: stationary VARs and bundles fitted on them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from models.bundles.assemble import make_bundle
from models.bundles.bundle import Channel
from models.fitting.fit import FitOptions, fit_asset
from models.samples import TrainingSamples

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from models.bundles.bundle import AssetFit, Bundle

SECOND_NS = 10**9


def plant(rows: int, *, seed: int, c: int = 4, memory: float = 0.5) -> NDArray[np.float64]:
    """A stationary VAR(1) of c channels with correlated noise, in odd units (rows, c)."""
    chance = np.random.default_rng(seed)
    turn = np.linalg.qr(np.random.default_rng(7).normal(size=(c, c)))[0] * memory
    mix = np.eye(c) + 0.3 * np.random.default_rng(8).normal(size=(c, c))
    noise = chance.normal(size=(rows, c)) @ mix.T
    x = np.zeros((rows, c))
    for t in range(1, rows):
        x[t] = turn @ x[t - 1] + noise[t]
    return np.asarray(x * np.geomspace(0.01, 50.0, c) + np.linspace(-3.0, 400.0, c))


def samples(values: NDArray[np.float64], *, asset: str = "r1", **more: object) -> TrainingSamples:
    """Training samples at 1 Hz over values (n, c)."""
    channels = tuple(Channel(name=f"c{i}", unit="bar") for i in range(values.shape[1]))
    return TrainingSamples(
        asset=asset,
        channels=channels,
        values=values,
        period_ns=SECOND_NS,
        **more,  # type: ignore[arg-type]
    )


def fitted(
    rows: int = 2000, *, seed: int = 1, c: int = 4, asset: str = "r1", memory: float = 0.5
) -> AssetFit:
    """One asset fitted on a made-up plant."""
    options = FitOptions(alignment="rows")
    return fit_asset(samples(plant(rows, seed=seed, c=c, memory=memory), asset=asset), options)


def two_assets() -> Bundle:
    """A bundle of a wide and a narrow asset, so that one row is padded."""
    return make_bundle([fitted(c=4, asset="r1"), fitted(c=3, asset="r2", seed=2)])
