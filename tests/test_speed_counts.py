"""The gate of speed: counts that are the same on every machine."""

from __future__ import annotations

import math

import msgspec
import numpy as np
import pytest

from andon.speed_report import asked, number
from benchmarks.speed import counts, engine_tick
from benchmarks.speed.allocations import made_by
from benchmarks.speed.parts import parts_of
from benchmarks.speed.run import run
from tests.counting import calls_of

SMALL = ("limits", "counts", "hot_loop")  # parts that take seconds
ASSETS = 200


@pytest.mark.parametrize(
    "counted", [lambda: engine_tick.counts(ASSETS), counts.measure], ids=["calls", "bytes"]
)
def test_a_tick_and_a_message_cost_no_more_than_they_may(counted: object) -> None:
    """Calls of graphs, functions and the socket; arrays and bytes: a loop or copy shows here."""
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


def test_arrays_that_are_made_are_counted_whether_they_stay_or_not() -> None:
    """Each of a chain of operations, zeros and copies too; a view is none."""
    x = np.ones(1_000)
    kept: list[np.ndarray] = []
    assert made_by(lambda: x[1:]) == (0, 0)
    assert made_by(lambda: (x + x) * x) == (2, 16_000)
    assert made_by(lambda: kept.append(np.zeros(3_000))) == (1, 24_000)
    assert made_by(lambda: kept.append(x.copy())) == (1, 8_000)
    assert made_by(lambda: np.empty(10).resize(1 << 20, refcheck=False)) == (2, 80 + (8 << 20))
    del kept[:]
    assert made_by(lambda: None) == (0, 0)


def test_a_quiet_tick_makes_as_many_arrays_for_many_assets_as_for_few(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """No array of one asset alone is among them; how they are cut into blocks makes a few."""
    seen = []
    for assets in (100, 300):
        monkeypatch.setattr(counts, "LOAD", msgspec.structs.replace(counts.LOAD, assets=assets))
        ticking = counts.Ticking()
        ticking.take()
        seen.append(made_by(ticking.tick).arrays)
    assert seen[0] > 100
    assert abs(seen[1] - seen[0]) < 100


@pytest.mark.not_counted
def test_parts_that_take_seconds_tell_what_they_owe() -> None:
    """Every figure of theirs, in figures; how good it is no test says, and the build prints."""
    parts = parts_of(",".join(SMALL))
    told = run(quick=True, parts=parts, progress=lambda *_: None)
    assert not told.not_measured
    assert all(math.isfinite(figure.figure) for figure in told.figures)
    assert {figure.id for figure in told.figures} >= {one for part in parts for one in part.ids}
