"""What is usual at an hour: by local clocks, by slow twins, and only where it is so."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.samples.mode_rows import given as rows_given
from edge.samples.mode_rows import of_baseline, rows_at
from models.bundles.assemble import make_bundle
from models.bundles.rows import without
from models.bundles.store import load, save
from models.detector import detectors_of
from models.errors import ModelError
from models.fitting.fit import fit_asset
from models.fitting.season import (
    BINS,
    UTC_CLOCKS,
    Hours,
    Season,
    clocks_of,
    local_s,
    moved,
    off_season,
    usual_at,
    usual_range,
)
from models.fitting.season_fit import hours_of, learn_season
from models.fitting.season_words import hourly_channels, season_lines
from tests.models.hours import DAY_ROWS, MONDAY_NS, NIGHT, follows, hourly_samples, times

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from models.bundles.bundle import Bundle

    F64 = NDArray[np.float64]

HOUR_NS = 3600 * 10**9
ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu")


@cache
def two_weeks() -> Bundle:
    """A bundle of a plant that follows the hour."""
    values = follows(14, seed=1)
    return make_bundle([fit_asset(hourly_samples(values, times(len(values))))])


def scored(bundle: Bundle, values: F64, first: int) -> tuple[F64, F64]:
    """Scores (n,) of the asset over values (n, c) from a day on; and of its VAR alone."""
    model, t_ns = bundle.assets[0], times(len(values), first=first)
    at, found = rows_at(model, np.ones(len(values), bool), None), []
    detector, parameters = detectors_of(bundle)[0], bundle.only.parameters
    for row, x, valid in rows_given(model, values.astype(np.float32), t_ns, at, width=3):
        own = {name: value[row : row + 1] for name, value in parameters.items()}
        score, _ = detector.score(x[None], valid[None], detector.initial_state(1), own)
        found.append(score[0])
    return of_baseline(found, at, model=model).astype(np.float64), found[0].astype(np.float64)


def table(days: tuple[int, ...], *, zone: str = "UTC", seed: int = 0) -> Season:
    """Some season of two channels; the second follows only some hours."""
    chance = np.random.default_rng(seed)
    shape = (max(days) + 1, BINS, 2)
    spread = chance.uniform(0.1, 1.0, size=shape)
    spread[:, :20, 1] = 0.0
    return Season(
        clocks=clocks_of(zone, 1_600_000_000 * 10**9),
        days=days,
        middle=chance.normal(size=shape),
        spread=spread,
    )


def slow(season: Season, t_ns: int) -> tuple[list[float], list[float]]:
    """`usual_at` of one time, with the calendar of the standard library."""
    place = ZoneInfo(season.clocks.zone)
    shown = (datetime.fromtimestamp(t_ns // 10**9, UTC).astimezone(place)).replace(tzinfo=None)
    early = shown - timedelta(minutes=15)
    half = early.replace(minute=early.minute // 30 * 30, second=0)
    share = (early - half).total_seconds() / 1800.0
    middle, spread, known = [0.0, 0.0], [0.0, 0.0], [True, True]
    for at, weight in ((half, 1.0 - share), (half + timedelta(minutes=30), share)):
        of, k = season.days[at.weekday()], at.hour * 2 + at.minute // 30
        for j in range(2):
            middle[j] += weight * float(season.middle[max(of, 0), k, j])
            spread[j] += weight * float(season.spread[max(of, 0), k, j])
            known[j] = known[j] and of >= 0 and season.spread[max(of, 0), k, j] > 0
    return middle, [one if is_so else 0.0 for one, is_so in zip(spread, known, strict=True)]


@given(
    st.sampled_from(ZONES),
    st.lists(st.integers(1_600_000_000, 1_900_000_000), min_size=1, max_size=20),
    st.sampled_from([(0,) * 7, (0, 0, 0, 0, 0, 1, 1), (0, 0, 0, 0, 0, -1, -1)]),
)
def test_the_usual_is_read_as_by_a_calendar(
    zone: str, seconds: list[int], days: tuple[int, ...]
) -> None:
    """Any place, daylight saving, midnight and weekends: as the slow twin reads it."""
    season, t_ns = table(days, zone=zone), np.array(seconds, np.int64) * 10**9
    middle, spread = usual_at(season, local_s(t_ns, season.clocks))
    slowly = [slow(season, t) for t in t_ns.tolist()]
    np.testing.assert_allclose(spread, [s for _, s in slowly], atol=1e-12)
    seen = spread > 0.0
    np.testing.assert_allclose(middle[seen], np.array([m for m, _ in slowly])[seen], atol=1e-12)


def test_a_plants_day_follows_its_clocks_over_daylight_saving() -> None:
    """Eight in Berlin is seven by UTC in winter and six in summer."""
    winter, summer = datetime(2026, 3, 28, 7, tzinfo=UTC), datetime(2026, 3, 29, 6, tzinfo=UTC)
    t_ns = np.array([int(one.timestamp()) * 10**9 for one in (winter, summer)])
    assert (local_s(t_ns, clocks_of("Europe/Berlin", MONDAY_NS)) % 86_400 / 3600.0).tolist() == [
        8.0,
        8.0,
    ]


def test_half_way_between_two_half_hours_is_half_way_between_their_levels() -> None:
    """By hand: bin 0 has its middle at 00:15, so midnight is between 23:45 and it."""
    middle = np.zeros((2, BINS, 1))
    middle[0, :2, 0], middle[1, -1, 0] = (10.0, 20.0), 4.0
    days = (0, 0, 0, 0, 0, 1, 1)  # the day before this Monday is of the second table
    season = Season(clocks=UTC_CLOCKS, days=days, middle=middle, spread=np.full((2, BINS, 1), 2.0))
    t_ns = MONDAY_NS + np.array([0, 900, 1800, 2700]) * 10**9
    assert usual_at(season, local_s(t_ns, UTC_CLOCKS))[0][:, 0].tolist() == [7.0, 10.0, 15.0, 20.0]
    assert off_season(season, np.array([[11.0]] * 4), t_ns)[:, 0].tolist() == [2.0, 0.5, -2.0, -4.5]
    wild = np.array([[np.inf], [np.nan], [3e38], [-3e38]], np.float32)
    far = off_season(season, wild, t_ns).astype(np.float32)[:, 0]
    np.testing.assert_array_equal(far, np.array([np.nan, np.nan, 1e6, -1e6], np.float32))
    assert [one.tolist() for one in usual_range(season, int(t_ns[1]))] == [[5.0], [15.0]]


@settings(max_examples=8)
@given(st.integers(0, 2**32 - 1))
def test_a_level_is_the_median_over_days_of_their_means(seed: int) -> None:
    """With holes, whole hours of which no day has values, and any first row."""
    chance = np.random.default_rng(seed)
    first, n = int(chance.integers(DAY_ROWS)), int(chance.integers(300, 800))
    values = chance.normal(size=(n, 2))
    values[chance.random((n, 2)) < 0.3] = np.nan
    local = local_s(MONDAY_NS + (first + np.arange(n)) * 600 * 10**9, UTC_CLOCKS)
    values[local % 86_400 // 3600 == 5] = np.nan
    season = learn_season(values, local, days=(0,) * 7)
    for k in range(BINS):
        for j in range(2):
            means = [
                np.nanmean(part)
                for day in np.unique(local // 86_400)
                if np.isfinite(
                    part := values[(local // 1800 == day * 48 + k) & np.isfinite(values[:, j]), j]
                ).any()
            ]
            assert (season.spread[0, k, j] > 0.0) == bool(means)
            if means:
                assert season.middle[0, k, j] == pytest.approx(np.median(means))


def test_without_a_season_nothing_is_otherwise() -> None:
    """What does not follow the hour is fitted as if it had no times, bit for bit."""
    chance = np.random.default_rng(3)
    level = np.cumsum(chance.normal(size=14 * DAY_ROWS)) / 20.0
    values = np.stack([level, chance.normal(size=len(level)), chance.normal(size=len(level))], 1)
    timed, bare = (
        make_bundle([fit_asset(hourly_samples(values, t_ns))])
        for t_ns in (times(len(values)), None)
    )
    assert timed.assets[0].season is None
    assert timed.assets[0].row_season == -1
    assert msgspec.json.encode(timed.assets[0].tail) == msgspec.json.encode(bare.assets[0].tail)
    assert timed.assets[0].threshold_on == bare.assets[0].threshold_on
    assert timed.only.graph == bare.only.graph
    for name, array in bare.only.parameters.items():
        np.testing.assert_array_equal(timed.only.parameters[name], array)


def test_the_row_beside_the_season_stays_as_it_was() -> None:
    """The VAR of an asset that follows the hour is that of the same rows without times."""
    bundle, values = two_weeks(), follows(14, seed=1)
    bare = make_bundle([fit_asset(hourly_samples(values, None))])
    row = bundle.assets[0].row_running
    for name, array in bare.only.parameters.items():
        np.testing.assert_array_equal(bundle.only.parameters[name][row], array[0])


def test_a_machine_that_runs_at_night_is_found() -> None:
    """Within its overall range, and as it moves by day: only the hour is wrong."""
    bundle = two_weeks()
    on = bundle.assets[0].threshold_on
    live = follows(14, seed=1, first=14, at_night=[2, 8])
    score, alone = scored(bundle, live, 14)
    assert (live[:, 0] <= bundle.assets[0].usual_high[0] + 3.0).all()
    by_day = score.reshape(14, DAY_ROWS)
    assert [day for day in range(14) if (by_day[day, NIGHT] >= on).any()] == [2, 8]
    assert not (alone >= on).any()
    assert not (np.delete(by_day, [2, 8], axis=0) >= on).any()


def test_it_is_learned_from_a_record_with_strange_days() -> None:
    """Three of fourteen nights were wrong, and nobody told."""
    values = follows(14, seed=1, at_night=[1, 6, 9])
    bundle = make_bundle([fit_asset(hourly_samples(values, times(len(values))))])
    season, clean = bundle.assets[0].season, two_weeks().assets[0].season
    assert season is not None
    assert clean is not None
    night = slice(4, 8)
    assert bundle.assets[0].metrics["unlike their hour"] > 0
    off = np.abs(season.middle - clean.middle)[:, night, :2] / clean.spread[:, night, :2]
    assert float(off[0].max()) < 2.0
    score, _ = scored(bundle, follows(7, seed=1, first=14, at_night=[2]), 14)
    over = (score >= bundle.assets[0].threshold_on).reshape(7, DAY_ROWS).any(axis=1)
    assert over.tolist() == [False, False, True, False, False, False, False]


def test_weekends_are_their_own_where_the_record_shows_two() -> None:
    """And where it shows none, nothing is said of them."""
    season = two_weeks().assets[0].season
    assert season is not None
    assert season.days == (0, 0, 0, 0, 0, 1, 1)
    values = follows(5, seed=1)
    week = make_bundle([fit_asset(hourly_samples(values, times(len(values))))])
    season = week.assets[0].season
    assert season is not None
    assert season.days == (0, 0, 0, 0, 0, -1, -1)
    weekend = follows(2, seed=1, first=5)
    assert np.isnan(off_season(season, weekend, times(len(weekend), first=5))[4:-4]).all()


def test_few_days_make_no_season_and_the_card_says_so() -> None:
    """Four days show no usual hour."""
    values = follows(4, seed=1)
    model = make_bundle([fit_asset(hourly_samples(values, times(len(values))))]).assets[0]
    assert model.season is None
    assert season_lines(model, "var") == [
        "- nothing is judged by the hour of the day: that takes 5 days of record"
    ]


def test_weather_is_not_judged_by_the_hour() -> None:
    """It follows the day, but its level in a week says little of the next."""
    chance = np.random.default_rng(5)
    values = follows(14, seed=1)
    level = np.repeat(np.cumsum(chance.normal(size=14)), DAY_ROWS)
    sun = np.sin(np.arange(len(values)) / DAY_ROWS * 2.0 * np.pi)
    values[:, 2] = 20.0 + 3.0 * sun + 2.0 * level + 0.1 * chance.normal(size=len(values))
    model = make_bundle([fit_asset(hourly_samples(values, times(len(values))))]).assets[0]
    assert hourly_channels(model) == ["load", "heat"]


def test_a_bundle_keeps_its_season_on_disk_and_refuses_half_of_one(tmp_path: Path) -> None:
    """What was saved scores as it did."""
    bundle = two_weeks()
    kept = load(save(bundle, tmp_path / "b"))
    live = follows(3, seed=1, first=14, at_night=[1])
    np.testing.assert_array_equal(scored(bundle, live, 14)[0], scored(kept, live, 14)[0])
    other = msgspec.structs.replace(bundle.assets[0], season=None)
    with pytest.raises(ModelError, match="row_season"):
        load(save(replace(bundle, assets=(other,)), tmp_path / "c"))


def test_what_work_disturbs_is_left_out_of_the_season_too() -> None:
    """Its values do not matter by a bit, and the rest still tells the hour."""
    bundle, live = two_weeks(), follows(2, seed=1, first=14, at_night=[1])
    model, t_ns = bundle.assets[0], times(len(live), first=14)
    assert model.season is not None
    keep = np.array([False, True, True])
    own, detector, told = without(bundle, model.row_season, keep), detectors_of(bundle)[0], []
    for load_by in (0.0, 1e6):
        x = off_season(model.season, live + np.array([load_by, 0.0, 0.0]), t_ns).astype(np.float32)[
            None
        ]
        valid = np.isfinite(x) & keep
        told.append(detector.score(x, valid, detector.initial_state(1), own)[0][0])
    np.testing.assert_array_equal(told[0], told[1])
    over = (told[0] >= model.threshold_on).reshape(2, DAY_ROWS)
    assert over[1, NIGHT].any()
    assert not over[0].any()


def test_a_child_of_few_days_keeps_the_season_at_the_levels_of_now() -> None:
    """A meter that was set shows more for good; what is usual by the hour moves with it."""
    parent, later = two_weeks(), follows(2, seed=1, first=14)
    later[:, 1] += 25.0
    fit = fit_asset(hourly_samples(later, times(len(later), first=14)))
    child = make_bundle([fit], parent=parent)
    before, model = parent.assets[0], child.assets[0]
    assert before.season is not None
    assert model.season is not None
    by = (model.season.middle - before.season.middle)[0, 0]
    assert by[[0, 2]].tolist() == [0.0, 0.0]
    assert by[1] == pytest.approx(25.0, abs=1.5)
    assert model.threshold_on >= before.threshold_on
    calm = follows(2, seed=1, first=16)
    calm[:, 1] += 25.0
    wrong = follows(2, seed=1, first=16, at_night=[1])
    wrong[:, 1] += 25.0
    assert not (scored(child, calm, 16)[0] >= model.threshold_on).any()
    assert (scored(child, wrong, 16)[0] >= model.threshold_on).any()


def test_a_child_of_many_days_that_follow_no_hour_drops_the_season() -> None:
    """The machine runs day and night now: nothing of before may ring at night."""
    chance = np.random.default_rng(9)
    values = np.array([20.0, 35.0, 6.0]) + chance.normal(size=(6 * DAY_ROWS, 3))
    fit = fit_asset(hourly_samples(values, times(len(values), first=14)))
    assert make_bundle([fit], parent=two_weeks()).assets[0].season is None


def test_a_meter_that_was_set_is_seen_by_whatever_clocks() -> None:
    """The journal names Berlin, the table before none: the hours stay those of the table."""
    parent, later = two_weeks(), follows(2, seed=1, first=14)
    later[:, 1] += 25.0
    t_ns = times(len(later), first=14)
    here, there = (
        make_bundle([fit_asset(hourly_samples(later, t_ns, zone=zone))], parent=parent).assets[0]
        for zone in ("UTC", "Europe/Berlin")
    )
    assert here.season is not None
    assert there.season is not None
    assert there.season.clocks.zone == "UTC"
    np.testing.assert_array_equal(there.season.middle, here.season.middle)
    assert season_lines(there, "var")[-1].endswith("that of before, by the clocks of UTC")


@given(st.sampled_from(ZONES), st.integers(0, 300), st.floats(2.6, 9.0), st.sampled_from([-1, 1]))
def test_a_season_of_any_place_moves_by_what_hours_are_off(
    zone: str, first: int, by: float, sign: int
) -> None:
    """As the slow twin reads the calendar; and not by what its spreads of 0.1 to 1 explain."""
    season = table((0,) * 7, zone=zone)
    t_ns = times(2 * DAY_ROWS, first=first)[1::3] + 300 * 10**9  # middles of half hours
    usual = np.array([slow(season, t)[0] for t in t_ns.tolist()])
    gone = [
        moved(season, Hours(t_ns=t_ns, values=usual + shift)).middle - season.middle
        for shift in (sign * by, sign * 0.09 * 2.5)
    ]
    np.testing.assert_allclose(gone[0], sign * by)
    assert (gone[1] == 0.0).all()


def test_hours_of_a_record_are_means_of_its_half_hours() -> None:
    """By hand: a row each ten minutes from 00:20, and an hour of which nothing is known."""
    t_ns = MONDAY_NS + np.array([20, 30, 40, 50, 120]) * 60 * 10**9
    seen = hours_of(np.array([[4.0], [1.0], [np.nan], [3.0], [np.nan]]), t_ns)
    assert ((seen.t_ns - MONDAY_NS) // (60 * 10**9)).tolist() == [15, 45, 135]
    np.testing.assert_array_equal(seen.values, [[4.0], [2.0], [np.nan]])
