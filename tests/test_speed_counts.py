"""The gate of speed: counts that are the same on every machine."""

from __future__ import annotations

import math

import numpy as np
import pytest

from andon.speed_report import asked, number
from benchmarks.counting import calls_of
from benchmarks.speed import counts, engine_tick
from benchmarks.speed.parts import parts_of
from benchmarks.speed.run import run

SMALL = ("limits", "counts", "hot_loop")  # parts that take seconds
ASSETS = 200


@pytest.mark.parametrize(
    "counted", [lambda: engine_tick.counts(ASSETS), counts.measure], ids=["calls", "bytes"]
)
def test_a_tick_and_a_message_cost_no_more_than_they_may(counted: object) -> None:
    """Calls of graphs, of functions, of the socket; bytes at once: a loop or copy shows here."""
    assert callable(counted)
    told = list(counted())
    beyond = [f"{one.id}: {number(one.figure)}, {asked(one)}" for one in told if not one.reached]
    assert len(told) >= 2
    assert not beyond


def test_counts_count() -> None:
    """What is counted is seen: a call more, and bytes that are held for a moment only."""
    assert calls_of(lambda: [abs(-1) for _ in range(50)]) >= 50
    held = counts.bytes_of(lambda: np.zeros(1 << 20, np.uint8).sum())
    assert 1 << 20 <= held < (1 << 20) + (1 << 18)


def test_parts_that_take_seconds_tell_what_they_owe() -> None:
    """Every figure of theirs, in figures; how good it is no test says, and the build prints."""
    parts = parts_of(",".join(SMALL))
    told = run(quick=True, parts=parts, progress=lambda *_: None)
    assert not told.not_measured
    assert all(math.isfinite(figure.figure) for figure in told.figures)
    assert {figure.id for figure in told.figures} >= {one for part in parts for one in part.ids}
