"""Moments of stretches between stops, and what prediction leaves of them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from models.bundles.bundle import Channel
from models.fitting.fit import FitOptions, fit_asset
from models.fitting.var import lag_moments
from models.samples import TrainingSamples

LAGS = 2


@given(lengths=st.lists(st.integers(1, 6), min_size=1, max_size=5), seed=st.integers(0, 99))
def test_no_window_reaches_over_a_stop(lengths: list[int], seed: int) -> None:
    """Moments over stretches are those of the windows within them, and of no others."""
    assume(max(lengths) > LAGS)
    chance = np.random.default_rng(seed)
    stretches = [chance.normal(size=(n, 2)) for n in lengths]
    joined = np.vstack([np.vstack([part, np.full((1, 2), np.nan)]) for part in stretches])
    windows = [
        part[i : i + LAGS + 1].ravel() for part in stretches for i in range(len(part) - LAGS)
    ]
    expected = np.zeros((6, 6))
    for window in windows:
        expected += np.outer(window, window) / len(windows)
    assert lag_moments(joined, LAGS) == pytest.approx(expected)


def test_starts_do_not_bend_what_the_rest_leaves() -> None:
    """A machine that warms up after each of many stops: unseen residuals have unit variance."""
    chance = np.random.default_rng(5)
    n = 6000
    running = np.ones(n, bool)
    for at in range(200, n, 300):
        running[at : at + 90] = False
    warm = np.zeros(n)
    for i in range(1, n):
        warm[i] = warm[i - 1] + (running[i] - warm[i - 1]) / 8.0
    level = np.floor(12.0 * np.sin(np.cumsum(running) / 150.0)) / 2.0  # told when it has moved
    values = np.stack([30.0 * warm + 0.15 * chance.normal(size=n), level], axis=1)
    fit = fit_asset(
        TrainingSamples(
            asset="press",
            channels=(Channel(name="oil temperature"), Channel(name="level")),
            values=values,
            running=running,
            period_ns=60 * 10**9,
        ),
        FitOptions(alignment="rows"),
    )
    assert fit.metrics["unseen_residual_power"] == pytest.approx(1.0, abs=0.25)
