"""Alert budgets and tails."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.bundle import AlarmTail
from models.errors import ModelError
from models.tails import tail_table
from models.thresholds import ON_MIN, alarm_tail, episodes, thresholds


@given(
    rate=st.floats(0.01, 1e4),
    budget=st.floats(0.01, 100),
    more=st.floats(1.01, 50),
    assets=st.integers(1, 1000),
)
def test_more_budget_never_raises_a_threshold(
    rate: float, budget: float, more: float, assets: int
) -> None:
    """Thresholds fall with the budget and rise with the assets; off is never above on."""
    tail = AlarmTail(score=2.0, episodes_per_day=rate)
    on, off = thresholds(tail, alerts_per_day=budget, assets=assets)
    lower, _ = thresholds(tail, alerts_per_day=budget * more, assets=assets)
    higher, _ = thresholds(tail, alerts_per_day=budget, assets=assets + 1)
    assert lower <= on <= higher
    assert off <= on
    assert on >= ON_MIN


def test_a_threshold_meets_its_budget() -> None:
    """Ten times too many episodes at score 3 need a threshold of 4."""
    tail = AlarmTail(score=3.0, episodes_per_day=80.0)
    assert thresholds(tail, alerts_per_day=8.0, assets=1)[0] == pytest.approx(4.0)
    assert thresholds(tail, alerts_per_day=8.0, assets=10)[0] == pytest.approx(5.0)


@pytest.mark.parametrize("budget", [0.0, -1.0, float("nan"), float("inf")])
def test_a_budget_is_a_positive_number(budget: float) -> None:
    """Anything else is refused."""
    with pytest.raises(ModelError, match="above 0"):
        thresholds(AlarmTail(score=2.0, episodes_per_day=1.0), alerts_per_day=budget, assets=1)


def test_an_episode_is_a_stretch_not_a_sample() -> None:
    """Two samples over open one; it lasts until ten are under the lower; NaN does nothing."""
    #                 open........................ 9 under, over again: still the same
    scores = np.array([0, 3, 0, 3, 3, np.nan, *[0.1] * 9, 3, *[0.1] * 10, 3, 3, 2], float)
    assert episodes(scores, on=2.0, off=1.0) == 2
    assert episodes(np.array([3.0, np.nan, 3.0]), on=2.0, off=1.0) == 1


def test_the_alarm_tail_counts_per_day() -> None:
    """An hour with an episode every minute makes 1,440 a day."""
    minute = np.zeros(60)
    minute[:3] = 5.0
    tail = alarm_tail(np.tile(minute, 60), period_ns=10**9)
    assert tail.score == 3.0
    assert tail.episodes_per_day == pytest.approx(1440.0)


@given(
    seed=st.integers(0, 100),
    n=st.sampled_from([60, 400, 20_000]),
    rate=st.sampled_from([1.0, 0.05]),
)
def test_a_tail_table_rises(seed: int, n: int, rate: float) -> None:
    """Surprise never falls as the deviate grows, starts at 0 and has no end."""
    knots, slopes = tail_table(np.random.default_rng(seed).normal(size=n), rate)
    at = np.linspace(-5, 60, 500)
    surprise = (np.maximum(at[:, None] - knots, 0.0) * slopes).sum(axis=1)
    assert (np.diff(surprise) >= -1e-9).all()
    assert surprise[0] == 0
    assert surprise[-1] > 10


def test_the_less_was_seen_the_more_it_takes() -> None:
    """A slow average of few rows is given a longer tail than a fast one of many."""
    z = np.random.default_rng(0).normal(size=100_000)
    long_fast, slopes_fast = tail_table(z, 1.0)
    short_slow, slopes_slow = tail_table(z[:400], 0.05)

    def surprise(at: float, knots: np.ndarray, slopes: np.ndarray) -> float:
        return float((np.maximum(at - knots, 0.0) * slopes).sum())

    assert surprise(3.0902, long_fast, slopes_fast) == pytest.approx(3.0, abs=0.2)
    assert surprise(4.0, short_slow, slopes_slow) < surprise(4.0, long_fast, slopes_fast)
