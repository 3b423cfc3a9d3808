"""Movement: which way channels went, and which stand still."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from edge.alerts import movement


def noise(n: int, *, seed: int = 0) -> np.ndarray:
    """Two channels of unit noise (n, 2)."""
    return np.random.default_rng(seed).normal(size=(n, 2)).astype(np.float32)


def moved(values: np.ndarray, calm: np.ndarray | None = None) -> np.ndarray:
    """Shifts of two channels of unit noise around zero (2,)."""
    calm = np.ones(len(values), bool) if calm is None else calm
    return movement.shifts(values, calm=calm, center=np.zeros(2), sigma=np.ones(2))


@given(st.integers(0, 50), st.integers(12, 200), st.sampled_from([-1.0, 1.0]))
def test_a_step_is_seen_with_its_sign(seed: int, lasting: int, sign: float) -> None:
    """Three sigmas, for twelve samples or for minutes; against the level that was there before."""
    values = noise(900, seed=seed) + np.float32(5.0)
    values[-lasting:, 0] += np.float32(3.0 * sign)
    found = moved(values)
    assert np.sign(found[0]) == sign
    assert 1.5 < abs(found[0]) < 5.0
    assert abs(found[1]) < 2.5


def test_the_level_before_leaves_out_what_a_job_has_disturbed() -> None:
    """Else the end of a calibration would look like a move the other way."""
    values = noise(900)
    values[100:600, 0] += np.float32(8.0)
    calm = np.ones(900, bool)
    assert moved(values, calm)[0] < -5.0
    calm[100:600] = False
    assert abs(moved(values, calm)[0]) < 1.5


def test_too_little_history_is_measured_against_the_usual_level() -> None:
    """And a channel that says nothing is not known."""
    values = noise(20) + np.float32(4.0)
    values[:, 1] = np.nan
    found = moved(values)
    assert found[0] > 2.5
    assert np.isnan(found[1])
    assert np.isnan(moved(noise(0))).all()


def test_what_stands_still_is_flat_and_what_is_coarse_is_not() -> None:
    """A value that is held, against one that repeats itself all day."""
    values = noise(300)
    values[-8:, 0] = values[-8, 0]
    values[:, 1] = np.repeat(np.arange(60), 5)
    assert movement.flat(values).tolist() == [True, False]
    assert movement.flat(values[:4]).tolist() == [False, False]


@given(st.integers(0, 30))
def test_noise_is_never_flat(seed: int) -> None:
    """Five equal values do not come by chance."""
    assert not movement.flat(noise(200, seed=seed)).any()
