"""Chance rings nowhere, and the same thresholds hear a fault; `python -m benchmarks.quiet_nights`.

One machine, whose chance excursion of a slow average once rang in six weeks of nothing.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import numpy as np
import pytest

from models.fitting.season_words import hourly_channels
from simulator.calm_plant import DEAD_BANDS, ON_CHANGE, calm_plant
from simulator.quiet_nights import (
    FAULTS,
    LEARN_DAYS,
    MOMENTS,
    first_sample_at,
    found,
    held,
    part_of,
    quiet_bundle,
    sample_at,
    told,
    weeks_after,
)

if TYPE_CHECKING:
    from models.bundles.bundle import Bundle
    from simulator.calm_plant import CalmPlant

SEED: Final = 302
RANG_DAY: Final = 7  # at 18.2 h, with a threshold for no more than thirty records


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    """Fitted on two weeks, at the default budget."""
    return quiet_bundle(SEED)


@pytest.fixture(scope="module")
def plant() -> CalmPlant:
    """The six weeks after them."""
    return weeks_after(SEED)


def test_the_machine_is_judged_by_the_hour_as_in_a_gateway(bundle: Bundle) -> None:
    """Its record has times; the oil is warm by day."""
    assert hourly_channels(bundle.assets[0]) == ["oil temperature"]


def test_what_chance_does_once_in_months_rings_nowhere(bundle: Bundle, plant: CalmPlant) -> None:
    """The day of the excursion, with the night before it."""
    day = part_of(plant, sample_at(plant, RANG_DAY - 1, 20.0), sample_at(plant, RANG_DAY, 22.0))
    assert told(bundle, day) == []


@pytest.mark.parametrize("moment", MOMENTS[1:3], ids=["work", "night"])
def test_a_fault_rings_at_work_and_at_night(
    bundle: Bundle, plant: CalmPlant, moment: tuple[int, float]
) -> None:
    """Pressure, off by three of its sigmas."""
    assert found(bundle, plant, FAULTS[0], at=sample_at(plant, *moment))


@pytest.mark.parametrize("learned", [7, 10, 21])
def test_what_follows_begins_where_the_record_ended(learned: int) -> None:
    """However long it was; faults stay on their weekdays."""
    record, after = calm_plant(seed=SEED, days=learned), weeks_after(SEED, days=9, learned=learned)
    day_ns = 86_400 * 10**9
    assert after.begin_ns == record.begin_ns + learned * day_ns
    for weekday, hour in MOMENTS:
        at = first_sample_at(after, weekday, hour)
        t_ns = after.begin_ns + at * after.period_s * 10**9
        shown = datetime.fromtimestamp(t_ns // 10**9, UTC)
        assert (shown.weekday(), shown.hour) == (weekday, hour)
        assert 1440 <= at < 8 * 1440


def test_a_moment_of_the_usual_record_is_in_its_first_week(plant: CalmPlant) -> None:
    """Two weeks are learned, so what follows begins on a Monday as they do."""
    assert LEARN_DAYS % 7 == 0
    assert [first_sample_at(plant, *one) for one in MOMENTS] == [
        sample_at(plant, *one) for one in MOMENTS
    ]


def test_tags_on_change_are_held_as_they_are_told(plant: CalmPlant) -> None:
    """Against a walk along the samples of one day."""
    values = plant.values[:1440]
    expected = values.copy()
    for i in range(1, len(values)):
        for j, band in zip((-2, -1), DEAD_BANDS, strict=True):
            moved = abs(values[i, j] - expected[i - 1, j]) >= band
            expected[i, j] = values[i, j] if moved else expected[i - 1, j]
    assert len(ON_CHANGE) == 2
    np.testing.assert_array_equal(held(values), expected)
