"""Decimated scores: each asset's once in a period, and never those of all in one tick."""

from __future__ import annotations

from collections import Counter
from typing import Final

from benchmarks.speed.engine_tick import Ticking, bundle_for
from edge.records import Publish
from edge.taking import TOLD_AT_ONCE

ASSETS: Final = 3 * TOLD_AT_ONCE + 1
STEP_NS: Final = 100_000_000
STEPS: Final = 100  # in a period of publishing


def told(ticking: Ticking, after_ns: int) -> list[str]:
    """Topics of the scores that a tick publishes, so long after the one before."""
    engine = ticking.engine
    ticking.now_ns += after_ns
    engine._settle_time(ticking.now_ns)
    effects = [one for one in engine._desk.effects if isinstance(one, Publish)]
    engine._desk.effects.clear()
    return [one.topic for one in effects if "/score/" in one.topic]


def test_each_asset_has_its_place_in_the_period() -> None:
    """Once in each of three periods, about as many at a time."""
    ticking = Ticking(bundle_for(ASSETS))
    told(ticking, STEP_NS)
    ticks = [told(ticking, STEP_NS) for _ in range(3 * STEPS)]
    assert set(Counter(topic for tick in ticks for topic in tick).values()) == {3}
    assert max(map(len, ticks)) <= TOLD_AT_ONCE + 1
    assert sum(map(bool, ticks)) == 9


def test_behind_a_long_time_all_are_told_once() -> None:
    """In the order of the bundle."""
    ticking = Ticking(bundle_for(ASSETS))
    told(ticking, STEP_NS)
    topics = told(ticking, 1_000 * STEPS * STEP_NS)
    assert [topic.rsplit("/", 1)[1] for topic in topics] == list(ticking.names)
