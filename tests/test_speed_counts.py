"""The gate of speed: counts that are the same on every machine, and ratios that are only printed."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pytest

from andon.speed_report import asked, number
from benchmarks.speed import counts
from benchmarks.speed.parts import PARTS
from benchmarks.speed.run import run

if TYPE_CHECKING:
    from benchmarks.speed.figure import Figure

SMALL = ("limits", "hot_loop", "windows")  # parts that take seconds


@pytest.fixture(scope="module")
def counted() -> dict[str, Figure]:
    """What a tick costs in counts, by id."""
    return {figure.id: figure for figure in counts.measure(quick=True)}


@pytest.mark.parametrize(
    "name", [one for part in PARTS if part.module == "counts" for one in part.ids]
)
def test_a_tick_costs_no_more_than_it_may(name: str, counted: dict[str, Figure]) -> None:
    """Calls of the graph and of functions, bytes at once: a loop where none was shows here."""
    figure = counted[name]
    assert figure.reached is True, f"{name}: {number(figure.figure)}, may be {asked(figure)}"


def test_counts_count() -> None:
    """What is counted is seen: a call more, and bytes that are held for a moment only."""
    assert counts.calls_of(lambda: [abs(-1) for _ in range(50)]) >= 50
    held = counts.bytes_of(lambda: np.zeros(1 << 20, np.uint8).sum())
    assert 1 << 20 <= held < (1 << 20) + (1 << 16)


def test_ratios_are_printed_and_no_clock_is_asked(capsys: pytest.CaptureFixture[str]) -> None:
    """A small run of what takes seconds: every part tells what it owes; how much is only shown."""
    parts = tuple(part for part in PARTS if part.module in SMALL)
    told = run(quick=True, parts=parts, progress=lambda *_: None)
    with capsys.disabled():
        for figure in told.figures:
            ratio = "" if math.isnan(figure.ratio) else f", {number(figure.ratio)} of {figure.against}"
            print(f"\n{figure.id}: {number(figure.figure)} {figure.unit}{ratio}", end="")
    assert not told.not_measured
    assert all(math.isfinite(figure.figure) for figure in told.figures)
    assert {figure.id for figure in told.figures} >= {one for part in parts for one in part.ids}
