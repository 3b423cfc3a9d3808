"""The gate of speed: counts that are the same on every machine."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pytest

from andon.speed_report import asked, number
from benchmarks.counting import calls_of
from benchmarks.speed import counts
from benchmarks.speed.parts import PARTS, parts_of
from benchmarks.speed.run import run

if TYPE_CHECKING:
    from benchmarks.speed.figure import Figure

SMALL = ("limits", "counts")  # parts that take seconds


@pytest.fixture(scope="module")
def counted() -> dict[str, Figure]:
    """What a tick costs in counts, by id."""
    return {figure.id: figure for figure in counts.measure()}


@pytest.mark.parametrize(
    "name", [one for part in PARTS if part.module == "counts" for one in part.ids]
)
def test_a_tick_costs_no_more_than_it_may(name: str, counted: dict[str, Figure]) -> None:
    """Calls of the graph and of functions, bytes at once: a loop where none was shows here."""
    figure = counted[name]
    assert figure.reached is True, f"{name}: {number(figure.figure)}, may be {asked(figure)}"


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
