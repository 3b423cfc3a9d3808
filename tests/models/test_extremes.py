"""Peaks over threshold, against a slow twin and against tails that are known."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import signal, stats

from models.fitting.extremes import (
    APART_AFTER,
    EXCESS_MAX,
    OFF_SHARE,
    TAIL_SCALE,
    AlarmTail,
    alarm_tail,
    level_of,
    peaks,
    rate_at,
    shape_of,
    usual_excess,
)

SECOND_NS = 10**9


def _peaks_slowly(scores: list[float], level: float) -> list[float]:
    """The same, sample by sample."""
    found, best, under = [], -math.inf, 0
    for i, score in enumerate(scores):
        before = scores[i - 1] if i else -math.inf
        best = max(best, min(before, score))
        under = under + 1 if score < OFF_SHARE * level else 0
        if under == APART_AFTER:
            found.append(best)
            best = -math.inf
    return [each for each in [*found, best] if each >= level]


@given(
    seed=st.integers(0, 500),
    n=st.sampled_from([0, 1, 2, 15, 300]),
    level=st.sampled_from([1.0, 1.75, 2.5]),
)
def test_peaks_are_those_of_a_slow_twin(seed: int, n: int, level: float) -> None:
    """Two samples in a row count, and ten calm ones part episodes."""
    chance = np.random.default_rng(seed)
    white = chance.exponential(TAIL_SCALE, size=n)
    scores = np.where(chance.random(n) < 0.1, 4.0 * white, white).round(2)
    expected = _peaks_slowly(scores.tolist(), level)
    assert peaks(scores, level).tolist() == pytest.approx(expected)


def test_peaks_by_hand() -> None:
    """One sample opens nothing; nine calm samples part nothing."""
    calm = [0.0] * 10
    scores = [9.0, *calm, 2.0, 3.0, 2.5, *calm[:9], 4.0, 5.0, *calm, 2.0, 2.0]
    assert peaks(np.array(scores), 2.0).tolist() == [4.0, 2.0]


@pytest.mark.parametrize("shape", [-0.2, 0.0, 0.25])
def test_the_shape_is_found_in_many_peaks(shape: float) -> None:
    """Probability-weighted moments give the shape of a generalised Pareto back."""
    excess = stats.genpareto.rvs(shape, size=20_000, random_state=3)
    assert shape_of(excess) == pytest.approx(shape, abs=0.03)
    assert abs(shape_of(excess[:5])) < 0.03, "five peaks say nothing about it"
    assert shape_of(np.ones(5)) < 0.0, "a tail that ends"


@given(peak_count=st.integers(0, 500), rate=st.floats(1e-4, 1e3), shape=st.floats(-0.3, 0.3))
def test_level_and_rate_undo_each_other(peak_count: int, rate: float, shape: float) -> None:
    """Beyond the level of the tail."""
    tail = AlarmTail(
        score=1.5, episodes_per_day=1e4, peaks=peak_count, days=peak_count / 1e4, shape=shape
    )
    assert rate_at(tail, level_of(tail, rate)) == pytest.approx(rate)


def test_the_less_was_recorded_the_higher_the_level() -> None:
    """The same rate and excess from fewer peaks are less certain."""
    levels = [
        level_of(AlarmTail(score=2.0, episodes_per_day=100.0, peaks=n, days=n / 100.0), 0.1)
        for n in (1, 3, 10, 100, 10_000)
    ]
    assert levels == sorted(levels, reverse=True)
    assert levels[-1] == pytest.approx(5.0, abs=0.02)
    assert levels[0] < 6.0, "and yet it does not explode"


def test_a_short_record_leans_on_the_others() -> None:
    """Neighbours with wide tails raise the level of two peaks, within bounds."""
    wide = AlarmTail(score=2.0, episodes_per_day=10.0, peaks=300, days=30.0, excess=0.8)
    new = AlarmTail(score=2.0, episodes_per_day=10.0, peaks=2, days=0.2, excess=0.4)
    assert usual_excess([new]) == pytest.approx(TAIL_SCALE, abs=0.01)
    usual = usual_excess([wide, new])
    assert 0.7 < usual < 0.8
    assert level_of(new, 0.01, usual=usual) > level_of(new, 0.01) + 0.5
    assert level_of(new, 0.01, usual=10.0) < level_of(new, 0.01, usual=EXCESS_MAX) + 0.5


def test_a_level_from_one_record_holds_in_others() -> None:
    """Slow scores that resemble themselves: a level from an hour, kept for weeks."""

    def scores(seed: int, n: int) -> np.ndarray:
        white = np.random.default_rng(seed).normal(size=n)
        slow = signal.lfilter([0.05], [1.0, -0.95], white) / math.sqrt(0.05 / 1.95)
        return np.asarray(-stats.norm.logsf(slow) / math.log(10.0))

    days = 20
    long = scores(999, days * 86_400)
    ratios = []
    for seed in range(20):
        tail = alarm_tail(scores(seed, 3600), period_ns=SECOND_NS)
        ratios.append(len(peaks(long, level_of(tail, 6.0))) / days / 6.0)
    assert np.median(ratios) <= 1.0
    assert max(ratios) < 3.0, "an hour of record, and a rate of one in four hours"
    assert min(ratios) > 0.1


@given(
    shape=st.floats(0.0, 0.3),
    excess=st.floats(0.3, 0.8),
    days=st.floats(1.0, 2000.0),
    records=st.floats(1.0, 1000.0),
)
def test_beyond_what_a_record_shows_no_tail_is_heavier_than_the_widest(
    shape: float, excess: float, days: float, records: float
) -> None:
    """So many records without an episode ask for a score in proportion to their logarithm."""
    tail = AlarmTail(
        score=2.5,
        episodes_per_day=20.0,
        peaks=round(20 * days),
        days=days,
        excess=excess,
        shape=shape,
    )
    shown = level_of(tail, 1.0 / days)
    rarer = level_of(tail, 1.0 / days / records)
    assert shown <= rarer <= shown + EXCESS_MAX * math.log(records) + 1e-9


@given(shape=st.floats(0.0, 0.3), days=st.floats(1.0, 2000.0))
def test_a_tail_that_is_a_little_wider_asks_for_a_little_more(shape: float, days: float) -> None:
    """Where bursts begin that are not drawn on, thresholds do not jump."""
    levels = [
        level_of(
            AlarmTail(
                score=2.5, episodes_per_day=9.0, peaks=10_000, days=days, excess=excess, shape=shape
            ),
            1.0 / days / 30.0,
        )
        for excess in np.linspace(0.5, 0.6, 201).tolist()
    ]
    assert np.abs(np.diff(levels)).max() < 0.5
