"""Spread: percentiles of bounded size, never too low, and at most a bucket too high."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.spread import LEAST_MS, PER_DOUBLING, Spread
from edge.wire.timing import TimingPayload

TIMES = st.lists(st.floats(0.0, 1e8), min_size=1, max_size=200)
WIDTH = 2.0 ** (1 / PER_DOUBLING)


@given(TIMES, st.sampled_from([0.001, 0.3, 0.5, 0.99, 0.999, 1.0]))
def test_a_percentile_is_that_of_the_sorted_list(times: list[float], share: float) -> None:
    """At most a bucket above it, and never below."""
    spread = Spread()
    for ms in times:
        spread.add(ms)
    exact = sorted(times)[math.ceil(share * len(times)) - 1]
    told = spread.at(share)
    assert told is not None
    assert exact <= told * (1 + 1e-9)
    assert told <= max(exact, LEAST_MS) * WIDTH * (1 + 1e-9)
    assert told <= max(times)


@given(TIMES)
def test_what_was_told_counts_no_more(times: list[float]) -> None:
    """Each report is of its own time; of none there is no percentile, which is not 0."""
    spread = Spread()
    for ms in times:
        spread.add(ms)
    told = spread.told()
    assert told.count == len(times)
    assert told.max == pytest.approx(max(times), abs=1e-3)
    assert spread.told() == TimingPayload(count=0, p50=None, p99=None, p999=None, max=None)


def test_it_does_not_grow_with_what_it_counts() -> None:
    """A year of ticks needs as many buckets as there are, however far apart they are."""
    spread = Spread()
    for n in range(20_000):
        spread.add(1e-9 * 1.01**n if n < 5_000 else 1e300)
    assert len(spread._counts) <= 40 * PER_DOUBLING + 1
    assert spread.at(1.0) == LEAST_MS * 2.0**40
