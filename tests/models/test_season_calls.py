"""What the hour adds to a fit and to loading, in calls: the same however long or wide it is.

How long it takes is printed by `python -m benchmarks.bundles`.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from models.bundles.assemble import make_bundle
from models.bundles.store import load, save
from models.detector import detectors_of
from models.fitting.fit import fit_asset
from tests.counting import calls_of
from tests.models.hours import STEP_S, follows, hourly_samples, times

if TYPE_CHECKING:
    from pathlib import Path

    from models.bundles.bundle import AssetFit
    from models.samples import TrainingSamples

DAYS = 14
FINER = 8


def finer() -> TrainingSamples:
    """The same two weeks with so many times the samples."""
    values = np.repeat(follows(DAYS, seed=1), FINER, axis=0)
    values += 0.1 * np.random.default_rng(3).normal(size=values.shape)
    step_ns = STEP_S * 10**9 // FINER
    t_ns = times(1)[0] + np.arange(len(values)) * step_ns
    return replace(hourly_samples(values, t_ns), period_ns=step_ns)


def coarse() -> TrainingSamples:
    """Two weeks of a plant that follows the hour."""
    values = follows(DAYS, seed=1)
    return hourly_samples(values, times(len(values)))


def test_no_loop_over_rows_tells_the_hour() -> None:
    """Eight times the rows of the same days are fitted with the same calls, but for some more."""
    few, many = coarse(), finer()
    assert fit_asset(few).season_row is not None
    assert fit_asset(many).season_row is not None
    assert calls_of(lambda: fit_asset(many)) <= 1.1 * calls_of(lambda: fit_asset(few))


def of_many(fit: AssetFit, assets: int, path: Path) -> Path:
    """A bundle of so many such assets, on disk."""
    return save(make_bundle([replace(fit, asset=f"a{i:04}") for i in range(assets)]), path)


def loaded(path: Path) -> None:
    """A bundle as who scores with it loads it, self-tests included."""
    detectors_of(load(path))


def test_more_assets_with_hours_are_loaded_with_no_more_work_for_each(tmp_path: Path) -> None:
    """The second forty take the calls of the first."""
    fit = fit_asset(coarse())
    assert fit.season_row is not None
    paths = [of_many(fit, assets, tmp_path / str(assets)) for assets in (40, 80, 120)]
    loaded(paths[0])  # what is read or opened at the first time only
    few, more, most = (calls_of(partial(loaded, path)) for path in paths)
    assert most - more <= 1.05 * (more - few)
