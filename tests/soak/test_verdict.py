"""What a soak says of series whose growth is known."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from tests.soak.usage import Usage, slope_of, warm
from tests.soak.verdict import MESSAGES_SHORT, SLOPE_MAX, faults, outcome

MILLIONS = 5.0


def looks(slope: float, *, seed: int = 0, count: int = 600, shock_mb: float = 0.2) -> list[Usage]:
    """A process that warms up to 300 MB, then grows by so many MB per million messages.

    Its noise remembers: what a process has taken, it gives back slowly.
    """
    chance = np.random.default_rng(seed)
    drift, made = 0.0, []
    for i in range(count):
        millions = MILLIONS * i / (count - 1)
        drift = 0.9 * drift + shock_mb * chance.normal()
        warmth = 60.0 * math.exp(-millions / 0.2)
        made.append(
            Usage(
                seconds=float(i),
                messages=round(1e6 * millions),
                rss_mb=300.0 - warmth + slope * millions + drift,
                handles=20,
                threads=9,
                outbox_mb=0.0,
                wal_mb=0.0,
                journal_mb=0.0,
                checkpoints_mb=0.0,
            )
        )
    return made


def figures(**changed: int) -> dict[str, Any]:
    """Of a soak in which nothing grew."""
    sound = {
        "exit_code": 0,
        "messages": MESSAGES_SHORT,
        "handles_begin": 20,
        "handles_end": 20,
        "threads_begin": 9,
        "threads_end": 9,
    }
    return sound | changed


@pytest.mark.parametrize("slope", [0.0, 3.0])
def test_the_interval_covers_what_a_process_grows_by(slope: float) -> None:
    """In most runs, though neighbouring looks resemble each other; and it says something."""
    covered = 0
    for seed in range(100):
        found = slope_of(warm(looks(slope, seed=seed)))
        covered += found.low <= slope <= found.high
        assert found.low < found.slope < found.high
        assert found.high - found.low < 1.0
    assert covered >= 85


def test_a_warm_up_is_no_slope() -> None:
    """Of all looks it is one; of those behind it, it is not."""
    made = looks(0.0, shock_mb=0.0)
    assert slope_of(made).slope > SLOPE_MAX
    assert abs(slope_of(warm(made)).slope) < 0.5


def test_growth_by_the_limit_fails_and_below_it_passes() -> None:
    """The limit itself is too much."""
    exact = slope_of(looks(SLOPE_MAX, shock_mb=0.0)[100:])
    more = slope_of(warm(looks(2.0)))
    less = slope_of(warm(looks(0.2)))
    assert exact.slope >= SLOPE_MAX
    assert len(faults(figures(), exact)) == len(faults(figures(), more)) == 1
    assert faults(figures(), less) == []


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"handles_end": 24}, "handles grew from 20 to 24"),
        ({"threads_end": 12}, "threads grew from 9 to 12"),
        ({"exit_code": 1}, "the gateway ended with 1"),
    ],
)
def test_handles_threads_and_the_end_of_a_gateway_count(changed: dict[str, int], told: str) -> None:
    """Each by itself fails a soak whose memory is flat."""
    wrong = faults(figures(**changed), slope_of(warm(looks(0.0))))
    assert len(wrong) == 1
    assert told in wrong[0]
    assert outcome(wrong, messages=MESSAGES_SHORT).startswith("failed: ")


def test_too_little_shows_nothing() -> None:
    """Neither a handful of looks, nor fewer messages than warm-up takes."""
    assert "too few looks" in faults(figures(), slope_of(looks(0.0, count=19)))[0]
    assert "passed" not in outcome([], messages=MESSAGES_SHORT - 1)
    assert outcome([], messages=MESSAGES_SHORT) == "passed: nothing grows"
