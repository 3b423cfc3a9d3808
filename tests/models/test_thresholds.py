"""Alert budgets and replays."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import signal, stats

from models.bundles.assemble import make_bundle
from models.bundles.card import model_card
from models.bundles.store import files, load, save
from models.errors import ModelError
from models.fitting.budget import (
    alerts_a_day,
    divisions_of,
    position_replays,
    position_words,
    shares_of,
)
from models.fitting.extremes import AlarmTail, Replay, alarm_tail, peaks, rate_at, usual_excess
from models.fitting.positions import OperatorPosition, divided, position_of
from models.fitting.tails import tail_table
from models.fitting.thresholds import (
    FURTHER_MAX,
    ON_MIN,
    RECORDS_MAX,
    episodes,
    replayed,
    supported_rate,
    thresholds,
)
from tests.models.plants import fitted

if TYPE_CHECKING:
    from pathlib import Path


@given(
    rate=st.floats(0.01, 1e4),
    budget=st.floats(0.01, 100),
    more=st.floats(1.01, 50),
    assets=st.integers(1, 1000),
    peaks=st.integers(0, 1000),
)
def test_more_budget_never_raises_a_threshold(
    rate: float, budget: float, more: float, assets: int, peaks: int
) -> None:
    """Thresholds fall with the budget and rise with the assets; off is never above on."""
    tail = AlarmTail(score=2.0, episodes_per_day=rate, peaks=peaks, days=peaks / rate)
    on, off = thresholds(tail, alerts_per_day=budget / assets)
    lower, _ = thresholds(tail, alerts_per_day=budget * more / assets)
    higher, _ = thresholds(tail, alerts_per_day=budget / (assets + 1))
    assert lower <= on <= higher
    assert off <= on
    assert on >= ON_MIN
    assert rate_at(tail, on) <= budget / assets * (1 + 1e-9)


def test_ten_times_the_assets_take_about_one_more_score() -> None:
    """A tail of very many peaks is that of a probability: a tenth for each further 1."""
    tail = AlarmTail(score=2.0, episodes_per_day=80.0, peaks=10**7)
    one, _ = thresholds(tail, alerts_per_day=8.0)
    ten, _ = thresholds(tail, alerts_per_day=0.8)
    assert one == pytest.approx(3.0, abs=1e-3)
    assert ten == pytest.approx(4.0, abs=1e-3)


def test_a_long_record_is_followed_beyond_the_budget_and_a_short_one_is_not() -> None:
    """A budget is no target: what a record supports is free. Of minutes it says nothing of days."""
    long = AlarmTail(score=2.0, episodes_per_day=4.0, peaks=56, days=14.0)
    on, _ = thresholds(long, alerts_per_day=6.0)
    assert rate_at(long, on) == pytest.approx(1.0 / (14.0 * FURTHER_MAX * RECORDS_MAX))
    short = AlarmTail(score=1.0, episodes_per_day=480.0, peaks=2, days=1.0 / 240.0)
    on, _ = thresholds(short, alerts_per_day=6.0)
    assert rate_at(short, on) == pytest.approx(6.0)


@pytest.mark.parametrize(("days", "records"), [(1 / 12, 30), (1.0, 30), (2.0, 165), (5.0, 300)])
def test_a_record_of_days_is_followed_further_than_one_of_hours(days: float, records: int) -> None:
    """By hand: thirty peaks go for thirty records of hours, and for ten times as many of days."""
    tail = AlarmTail(score=2.0, episodes_per_day=30.0 / days, peaks=30, days=days)
    assert supported_rate(tail) == pytest.approx(1.0 / (days * records))


def test_six_weeks_of_pure_noise_go_by_without_an_alert() -> None:
    """Twenty machines of a sample a minute, two weeks of record each: chance rings nowhere.

    Scores are of a slow average. Thirty records' worth of threshold let three of these ring.
    """
    learn, live, rate = 14 * 1440, 42 * 1440, 0.05
    rang = 0
    for seed in range(40, 60):
        white = np.random.default_rng(seed).normal(size=learn + live)
        slow = signal.lfilter([rate], [1.0, rate - 1.0], white) / np.sqrt(rate / (2.0 - rate))
        scores = -stats.norm.logsf(slow) / np.log(10.0)
        tail = alarm_tail(scores[:learn], period_ns=60 * 10**9)
        on, _ = thresholds(tail, alerts_per_day=6.0)
        rang += bool(len(peaks(scores[learn:], on)))
    assert rang == 0


def test_nobody_expects_news_of_a_machine_at_rest() -> None:
    """Standing still has a tenth of the budget, and never a lower threshold than running."""
    tail = AlarmTail(score=2.0, episodes_per_day=80.0)
    running, _ = thresholds(tail, alerts_per_day=1.0)
    both, _ = thresholds(tail, alerts_per_day=1.0, stopped=tail)
    assert rate_at(tail, both) == pytest.approx(0.1)
    calm = msgspec.structs.replace(tail, episodes_per_day=1e-3)
    assert thresholds(tail, alerts_per_day=1.0, stopped=calm)[0] == running


@pytest.mark.parametrize("budget", [0.0, -1.0, float("nan"), float("inf")])
def test_a_budget_is_a_positive_number(budget: float) -> None:
    """Anything else is refused."""
    with pytest.raises(ModelError, match="above 0"):
        thresholds(AlarmTail(score=2.0, episodes_per_day=1.0), alerts_per_day=budget)


def test_an_episode_is_a_stretch_not_a_sample() -> None:
    """Two samples over open one; it lasts until sixty are under the lower; NaN does nothing."""
    #                 open........................ 59 under, over again: still the same
    scores = np.array([0, 3, 0, 3, 3, np.nan, *[0.1] * 59, 3, *[0.1] * 60, 3, 3, 2], float)
    assert episodes(scores, on=2.0, off=1.0) == 2
    assert episodes(np.array([3.0, np.nan, 3.0]), on=2.0, off=1.0) == 1


def test_a_replay_counts_each_baseline_by_itself() -> None:
    """Four events in two hours of samples a second; Garwood's interval for 4 is 1.37 to 9.15."""
    hour = np.zeros(3600)
    hour[100:103] = hour[2000:2003] = 5.0
    replay = replayed([hour, hour], on=3.0, off=1.5, period_ns=10**9)
    assert replay.episodes == 4
    assert replay.days == pytest.approx(1 / 12)
    rate, low, high = alerts_a_day(replay)
    assert (rate, low, high) == pytest.approx((48.0, 12 * 1.3663, 12 * 9.1535), rel=1e-4)
    assert alerts_a_day(Replay(episodes=0, days=1.0)) == pytest.approx((0.0, 0.0, 2.9957), rel=1e-4)


@given(
    seed=st.integers(0, 100),
    n=st.sampled_from([60, 400, 20_000]),
    rate=st.sampled_from([1.0, 0.05]),
)
def test_a_tail_table_rises(seed: int, n: int, rate: float) -> None:
    """Surprise never falls as the deviate grows, starts at 0 and has no end."""
    knots, slopes = tail_table(np.random.default_rng(seed).normal(size=n), rate)
    at = np.linspace(-5, 60, 500)
    surprise = (np.maximum(at[:, None] - knots, 0.0) * slopes).sum(axis=1)
    assert (np.diff(surprise) >= -1e-9).all()
    assert surprise[0] == 0
    assert surprise[-1] > 10


def test_the_less_was_seen_the_more_it_takes() -> None:
    """A slow average of few rows is given a longer tail than a fast one of many."""
    z = np.random.default_rng(0).normal(size=100_000)
    long_fast, slopes_fast = tail_table(z, 1.0)
    short_slow, slopes_slow = tail_table(z[:400], 0.05)

    def surprise(at: float, knots: np.ndarray, slopes: np.ndarray) -> float:
        return float((np.maximum(at - knots, 0.0) * slopes).sum())

    assert surprise(3.0902, long_fast, slopes_fast) == pytest.approx(3.0, abs=0.2)
    assert surprise(4.0, short_slow, slopes_slow) < surprise(4.0, long_fast, slopes_fast)


NAMES = ("a1", "a2", "b1", "b22", "c[1]")
ENTRIES = (*NAMES, "a*", "b?", "*", "c[1]*")


def matches(entry: str, name: str) -> bool:
    """Character by character: the slow twin of a pattern."""
    if not entry:
        return not name
    if entry[0] == "*":
        return any(matches(entry[1:], name[k:]) for k in range(len(name) + 1))
    return bool(name) and entry[0] in ("?", name[0]) and matches(entry[1:], name[1:])


@given(
    drawn=st.lists(st.lists(st.sampled_from(ENTRIES), max_size=3), max_size=3),
    budgets=st.lists(st.floats(0.01, 100.0), min_size=4, max_size=4),
)
def test_every_asset_is_at_one_position_and_every_budget_is_spent(
    drawn: list[list[str]], budgets: list[float]
) -> None:
    """Or it is refused, naming an asset that is at two."""
    positions = [
        OperatorPosition(name=f"p{k}", alerts_per_day=budgets[k], assets=tuple(entries))
        for k, entries in enumerate(drawn)
    ]
    whose = {n: {p.name for p in positions if any(matches(e, n) for e in p.assets)} for n in NAMES}
    if any(len(names) > 1 for names in whose.values()):
        with pytest.raises(ModelError, match="is in the positions"):
            divided(NAMES, positions, alerts_per_day=budgets[-1])
        return
    found = divided(NAMES, positions, alerts_per_day=budgets[-1])
    assert {n: one.name for one in found for n in one.assets} == {
        n: next(iter(names), "") for n, names in whose.items()
    }
    assert all(position_of(n, positions) == next(iter(whose[n]), "") for n in NAMES)
    told = {p.name: p.alerts_per_day for p in positions} | {"": budgets[-1]}
    for one in found:
        assert one.share * len(one.assets) == pytest.approx(told[one.name])


def test_quiet_neighbours_of_another_desk_make_no_room(tmp_path: Path) -> None:
    """Golden shares; an asset's threshold is as if its position had a bundle of its own."""
    tails = [
        replace(fitted(c=2, asset=n, seed=k), scores=(None, None)) for k, n in enumerate("abc")
    ]
    positions = [OperatorPosition(name="east", alerts_per_day=1.0, assets=("a", "b"))]
    bundle = make_bundle(tails, alerts_per_day=4.0, positions=positions)
    assert shares_of(bundle) == {"a": 0.5, "b": 0.5, "c": 4.0}
    on = {model.asset: model.threshold_on for model in bundle.assets}
    usual = usual_excess([model.tail for model in bundle.assets])
    for model in bundle.assets:
        share = shares_of(bundle)[model.asset]
        assert on[model.asset] == thresholds(model.tail, alerts_per_day=share, usual=usual)[0]
    assert load(save(bundle, tmp_path / "b")).positions == bundle.positions
    assert make_bundle((), parent=bundle).positions == bundle.positions
    card = model_card(bundle)
    assert "position east: 1 false alerts a day over 2 assets, 0.5 each; replayed for" in card
    assert "assets of no named position: 4 false alerts a day over 1 asset, 4 each" in card
    assert card.count("- operator position: east") == 2
    assert card.count("- operator position: none named") == 1


def test_a_bundle_without_positions_has_the_bytes_that_it_had_before_there_were_any() -> None:
    """Older ones load, and older versions load such."""
    bundle = make_bundle([fitted(c=2)])
    assert b"position" not in files(bundle)["bundle.json"]
    assert [(one.name, one.share) for one in divisions_of(bundle)] == [("", 6.0)]


def test_what_a_position_hears_is_the_sum_of_its_assets() -> None:
    """As one asset where all were replayed alike long; else wider than either, and never less."""
    whole = alerts_a_day(Replay(episodes=7, days=2.0))
    parts = alerts_a_day(Replay(episodes=3, days=2.0), Replay(episodes=4, days=2.0))
    assert parts == pytest.approx(whole)
    # by hand: rates 1/1 and 2/4, so 1.5 a day; v = 1 + 2/16, w = 1; y^2/v = 2, (y+1)^2/(v+1) = 2.94
    rate, low, high = alerts_a_day(Replay(episodes=1, days=1.0), Replay(episodes=2, days=4.0))
    assert rate == 1.5
    assert low == pytest.approx(1.125 / 3.0 * stats.chi2.ppf(0.05, 4.0))
    assert high == pytest.approx(2.125 / 5.0 * stats.chi2.ppf(0.95, 12.5 / 2.125))


def test_a_position_that_rings_more_than_it_bears_says_so() -> None:
    """The budget of those that were replayed, by chance or beyond it; golden words."""
    fits = [fitted(c=2, asset=name, seed=k) for k, name in enumerate("abc")]
    plain = make_bundle(fits, alerts_per_day=6.0)
    replays = (Replay(episodes=30, days=2.0), Replay(episodes=0, days=2.0), None)
    assets = tuple(
        msgspec.structs.replace(model, replay=replay)
        for model, replay in zip(plain.assets, replays, strict=True)
    )
    (one,) = position_replays(replace(plain, assets=assets))
    assert (one.replayed, one.budget, one.rate, one.beyond) == (2, 4.0, 15.0, True)
    assert position_words(one) == (
        "assets of no named position: 6 false alerts a day over 3 assets, 2 each; replayed for"
        " a day or more: 2 of 3: 15 alerts a day (11 to 20) of 4; warning: that is more than the"
        " budget bears, beyond chance"
    )
    quiet = msgspec.structs.replace(assets[0], replay=Replay(episodes=9, days=2.0))
    (one,) = position_replays(replace(plain, assets=(quiet, *assets[1:])))
    assert (one.rate, one.beyond) == (4.5, False), "4.5 of 4 may be chance"
