"""Marks of faults and jobs: shape, size, determinism."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.cells.weld_signals import CHANNEL_NAMES
from simulator.faults import (
    BURST_LOW,
    FORMS,
    FaultKind,
    Mark,
    Shape,
    fault_marks,
    feasible_kinds,
    ramp_s,
    render,
)

MARK = Mark(channel="Feed", shape=Shape.STEP, size=2.0, begin_s=100, end_s=1300, pattern=7)


@given(
    shape=st.sampled_from(list(Shape)),
    size=st.floats(-6.0, 6.0).filter(lambda x: abs(x) > 0.1),
    length=st.integers(300, 5000),
    pattern=st.integers(0, 2**31 - 1),
)
def test_no_mark_exceeds_its_size_and_every_mark_reaches_it(
    shape: Shape, size: float, length: int, pattern: int
) -> None:
    """The stated size is the largest deviation of the mean, on the stated side, and is reached."""
    mark = Mark(
        channel="Feed", shape=shape, size=size, begin_s=50, end_s=50 + length, pattern=pattern
    )
    offsets = render(mark)
    assert offsets.shape == (length,)
    assert np.abs(offsets).max() == pytest.approx(abs(size))
    assert (offsets * np.sign(size) >= 0.0).all()
    assert np.array_equal(offsets, render(mark))


def test_a_ramp_rises_evenly_and_stays() -> None:
    """A ramp grows by equal steps to its size, then holds it to the end."""
    offsets = render(replace(MARK, shape=Shape.RAMP))
    rise = ramp_s(1200)
    assert np.allclose(np.diff(offsets[:rise]), 2.0 / rise)
    assert np.allclose(offsets[rise:], 2.0)


def test_bursts_never_recover_fully() -> None:
    """Between two slips a share of the deviation stays, so that even the pauses are abnormal."""
    offsets = render(replace(MARK, shape=Shape.BURSTS))
    assert set(np.round(offsets, 6)) == {2.0, round(2.0 * BURST_LOW, 6)}


def test_extra_noise_leaves_the_mean_and_differs_by_channel() -> None:
    """Noise of a worn tip has zero mean, its stated spread, and is not shared between channels."""
    noisy = replace(MARK, noise=0.5, end_s=20100)
    deviation = render(noisy) - render(replace(noisy, noise=0.0))
    other = render(replace(noisy, channel="Pressure")) - render(replace(noisy, noise=0.0))
    assert abs(deviation.mean()) < 0.02
    assert deviation.std() == pytest.approx(0.5, rel=0.05)
    assert abs(np.corrcoef(deviation, other)[0, 1]) < 0.05


@given(chosen=st.sets(st.sampled_from(CHANNEL_NAMES), min_size=1), seed=st.integers(0, 2**32))
def test_a_fault_stays_within_the_channels_it_is_given(chosen: set[str], seed: int) -> None:
    """Each feasible kind marks only allowed channels; its first mark carries the whole size."""
    channels = sorted(chosen)
    kinds = feasible_kinds(channels)
    assert {FaultKind.DRIFTING_SENSOR, FaultKind.DEAD_SENSOR} <= set(kinds)
    for kind in kinds:
        rng = np.random.default_rng(seed)
        marks = fault_marks(kind, channels=channels, size=3.0, begin_s=0, end_s=600, rng=rng)
        assert {mark.channel for mark in marks} <= chosen
        assert len(marks) == max(1, len(FORMS[kind].signs))
        assert abs(marks[0].size) == 3.0
        assert all(abs(mark.size) <= 3.0 for mark in marks)


def test_kinds_that_need_two_channels_are_not_feasible_on_one() -> None:
    """Gas flow loss moves flow and pressure: a mask of one of them cannot hide it whole."""
    assert FaultKind.GAS_FLOW_LOSS not in feasible_kinds(["Pressure"])
    assert FaultKind.GAS_FLOW_LOSS in feasible_kinds(["Pressure", "CO2 Weld Flow"])
    assert feasible_kinds([]) == ()
