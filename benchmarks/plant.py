"""The benchmark's plant: correlated channels that wander a little, with steps at known rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np
from scipy.signal import lfilter

from edge.bundles.training import fit_bundle
from models.bundles.bundle import Channel
from models.samples import TrainingSamples

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from models.bundles.bundle import Bundle

MILLISECOND_NS: Final = 1_000_000
TRAINING_ROWS: Final = 6_000
MEMORY: Final = 0.6  # of each channel from one sample to the next
STEP_SIGMA: Final = 15.0  # nobody argues about such a step; what is measured is the time
STEP_ROWS: Final = 12
DECIMALS: Final = 3


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """What is sent. A row is one sample of one asset; `t0_ms` is set when the sending begins."""

    assets: int
    channels: int
    period_ms: int
    rows: int  # of each asset
    batch_rows: int  # in one message; 1 goes wide, more go in columns
    seed: int = 1

    @property
    def values_per_s(self) -> float:
        """Sensor values that the whole plant sends in a second."""
        return self.assets * self.channels * 1000 / self.period_ms

    @property
    def messages(self) -> int:
        """Messages in all."""
        return self.assets * (self.rows // self.batch_rows)

    @property
    def values(self) -> int:
        """Sensor values in all."""
        return self.messages * self.batch_rows * self.channels


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A disturbance: rows [row, row + STEP_ROWS) of one asset leave their usual range."""

    asset: int
    row: int


def asset_name(index: int) -> str:
    """The id of an asset."""
    return f"m{index:03d}"


def channel_names(load: Load) -> list[str]:
    """The tags of every asset."""
    return [f"c{i}" for i in range(load.channels)]


def signals(load: Load, *, rows: int, training: bool) -> NDArray[np.float64]:
    """Values of all assets (a, n, c): a common cause, noise of each channel, and some memory."""
    random = np.random.default_rng((load.seed, int(training)))
    shape = (load.assets, rows, load.channels)
    drive = random.standard_normal(shape) + random.standard_normal((*shape[:2], 1))
    moved = np.asarray(lfilter([1.0], [1.0, -MEMORY], drive, axis=1), np.float64)
    level = 50.0 + 10.0 * np.arange(load.channels)
    values: NDArray[np.float64] = np.asarray(np.round(moved + level, DECIMALS), np.float64)
    return values


def steps(load: Load, *, warm_rows: int, gap_rows: int) -> list[Step]:
    """Where the disturbances are: one asset after another, each at rest long enough between two."""
    last = load.rows - 2 * STEP_ROWS
    found: list[Step] = []
    row = warm_rows
    while row < last:
        found.append(Step(asset=len(found) % load.assets, row=row))
        row += gap_rows
    return found


def disturb(values: NDArray[np.float64], found: list[Step]) -> None:
    """Add the steps to values (a, n, c), in place."""
    sigma = np.sqrt(2.0 / (1.0 - MEMORY**2))
    for step in found:
        rows = slice(step.row, step.row + STEP_ROWS)
        values[step.asset, rows, 0] += STEP_SIGMA * sigma


def bundle_for(load: Load, *, on_asset: Callable[[str], object]) -> Bundle:
    """Fit a detector for every asset on rows without steps."""
    values = signals(load, rows=TRAINING_ROWS, training=True)
    samples = [
        TrainingSamples(
            asset=asset_name(i),
            channels=tuple(Channel(name=name) for name in channel_names(load)),
            values=values[i],
            period_ns=load.period_ms * MILLISECOND_NS,
        )
        for i in range(load.assets)
    ]
    return fit_bundle([(one, "rows") for one in samples], on_asset=on_asset)
