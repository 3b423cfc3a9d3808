"""Assets taken together: not a bit differs from one by one, whatever happens to whom."""

from __future__ import annotations

import os

import pytest

from benchmarks.speed.engine_tick import counts
from tests.edge.plant_of_many import ASSETS, ROWS, Both, counted

SEEDS = range(int(os.environ.get("TOGETHER_SEEDS", "3")))


@pytest.mark.parametrize("seed", SEEDS)
def test_by_columns_or_one_by_one_all_is_the_same(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Effects of every stimulus and all that is remembered; and most goes by columns."""
    both = Both(seed)
    counted(both, monkeypatch)
    while both.at < ROWS:
        both.step()
    both.compare()
    assert both.effects
    assert both.together > 0.3 * ROWS * len(ASSETS)
    assert both.stood > 0


def test_a_quiet_tick_does_as_much_for_many_assets_as_for_few() -> None:
    """One call of the graph, the same functions, and nothing left behind."""
    few, many = list(counts(8)), list(counts(40))
    assert all(one.reached for one in (*few, *many)), (few, many)
    assert few[1].figure == pytest.approx(many[1].figure, abs=12)
