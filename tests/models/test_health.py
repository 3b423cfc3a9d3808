"""What a fit learns of sensors, by hand and against slow twins."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.bundles.bundle import Channel
from models.fitting.health import (
    HOP,
    STUCK_MARGIN,
    STUCK_NEVER,
    WINDOW,
    compact,
    learn_health,
    longest_runs,
    look,
)
from tests.oracles_sensors import longest_run

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from models.fitting.health import AssetHealth

CELL = st.sampled_from([1.0, 2.0, math.nan])
NO_PAIRS = np.empty((0, 2), np.int64)


def learn(x: NDArray[np.float64], units: str = "abcdefgh") -> AssetHealth:
    """What is learned of a record whose channels have these units."""
    channels = [Channel(name=f"c{i}", unit=units[i]) for i in range(x.shape[1])]
    usual = np.nanmin(x, axis=0), np.nanmax(x, axis=0)
    return learn_health(x, channels, usual=usual)


@given(st.lists(CELL, min_size=2, max_size=14))
def test_the_longest_run_is_that_of_the_slow_twin(column: list[float]) -> None:
    """Gaps do not end a run; one that fills half of the record says that it may stand still."""
    known = [v for v in column if not math.isnan(v)]
    found = longest_runs(np.array(column)[:, None])[0]
    run = longest_run(column)
    never = len(known) < 2 or run >= len(known) / 2
    assert found == (STUCK_NEVER if never else STUCK_MARGIN * run)


def test_values_that_float32_cannot_tell_apart_are_one_run() -> None:
    """A stream is compared as float32, so a fit counts as it will be counted."""
    x = 1e6 + np.repeat(np.arange(100.0), 3) + np.tile([0.0, 1e-3, 2e-3], 100)
    assert longest_runs(x[:, None])[0] == STUCK_MARGIN * 3


@pytest.mark.parametrize("shape", ["level", "ramp", "wave"])
def test_the_noise_floor_is_that_of_the_noise_whatever_the_signal_does(shape: str) -> None:
    """Deviation 0.3 is found within a tenth over many windows, and a few jolts do not move it."""
    n = 40 * WINDOW
    signal = {
        "level": np.full(n, 7.0),
        "ramp": np.linspace(0.0, 900.0, n),
        "wave": 5.0 * np.sin(np.arange(n) / 60.0),
    }[shape]
    x = signal + np.random.default_rng(1).normal(scale=0.3, size=n)
    x[::50] += 40.0
    windows = x.reshape(40, WINDOW, 1)
    found = look(windows, np.ones((40, WINDOW), bool), NO_PAIRS).noise
    assert np.median(found) == pytest.approx(0.3, rel=0.1)
    assert (np.abs(found / 0.3 - 1.0) < 0.5).all()


def test_differences_reach_over_no_stop() -> None:
    """A machine that comes back at another level has not trembled."""
    values = np.array([[1.0], [1.0], [50.0], [9.0], [9.0]], np.float32)
    rows, ran = compact(values, np.array([True, True, False, True, True]))
    assert ran.tolist() == [True, True, False, True, True]
    assert np.isnan(rows[2, 0])
    rows, ran = compact(values, np.array([False, False, False, True, True]), before=True)
    assert ran.tolist() == [False, True, True]


def test_what_is_usual_of_a_plain_record() -> None:
    """Noise within its range, every value present, no sample that repeats."""
    x = np.random.default_rng(2).normal(scale=[0.1, 10.0], size=(5000, 2))
    health = learn(x)
    assert health.windows == (5000 - WINDOW) // HOP + 1
    assert (health.noise_low < [0.1, 10.0]).all()
    assert (health.noise_high > [0.1, 10.0]).all()
    assert (health.noise_high < 2 * health.noise_low + [0.05, 5.0]).all()
    assert health.present_min.tolist() == [1.0, 1.0]
    assert health.repeats_max == STUCK_MARGIN
    assert health.pairs.shape == (0, 2)


def test_noise_below_the_resolution_or_held_by_exception_is_not_watched() -> None:
    """Rounded to steps as large as the noise, constant, held, or too short: NaN, not a guess."""
    chance = np.random.default_rng(3)
    x = chance.normal(size=(3000, 4))
    x[:, 1] = np.round(x[:, 1])
    x[:, 2] = 5.0
    x[:, 3] = np.repeat(x[::20, 3], 20)
    health = learn(x)
    assert np.isnan(health.noise_low).tolist() == [False, True, True, True]
    assert np.isnan(health.noise_high).tolist() == [False, True, True, True]
    assert np.isnan(learn(x[: WINDOW + 2 * HOP]).noise_low).all()


def test_a_quiet_and_a_noisy_regime_are_both_usual() -> None:
    """The range holds what normal operation showed, so neither will be called a fault."""
    x = np.random.default_rng(4).normal(size=(6000, 1))
    x[3000:] *= 8.0
    health = learn(x)
    assert health.noise_low[0] < 1.0
    assert health.noise_high[0] > 8.0


def test_channels_of_one_unit_are_compared_and_no_others() -> None:
    """With how far they are usually apart."""
    x = np.random.default_rng(5).normal([10.0, 12.0, 300.0], 0.1, size=(5000, 3))
    health = learn(x, units="aab")
    assert health.pairs.tolist() == [[0, 1]]
    assert health.apart_low[0] < -2.0 < health.apart_high[0]
    assert health.apart_high[0] - health.apart_low[0] < 0.2


def test_samples_that_repeat_every_value_are_counted_together() -> None:
    """One channel that moves ends the run of all; one that moves alone cannot tell of a source."""
    x = np.random.default_rng(6).normal(size=(1000, 2))
    x[500:507] = x[500]
    assert learn(x).repeats_max == STUCK_MARGIN * 7
    x[:, 1] = 3.0
    assert learn(x).repeats_max == STUCK_NEVER
