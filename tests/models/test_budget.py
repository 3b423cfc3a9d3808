"""What short replays, and those of no length, say of a budget."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.bundles.assemble import make_bundle
from models.bundles.card import model_card
from models.fitting.budget import (
    alerts_a_day,
    contradicts,
    position_replays,
    position_words,
    replay_words,
    set_by_record,
    threshold_notes,
)
from models.fitting.extremes import AlarmTail, Replay
from models.fitting.thresholds import ON_MIN, thresholds
from tests.models.plants import fitted

if TYPE_CHECKING:
    from models.bundles.bundle import Bundle


@cache
def three() -> Bundle:
    """Three assets of one position that bears six alerts a day."""
    fits = [fitted(c=2, asset=name, seed=k) for k, name in enumerate("abc")]
    return make_bundle(fits, alerts_per_day=6.0)


def with_replays(*replays: Replay | None) -> Bundle:
    """The three with such replays."""
    models = zip(three().assets, replays, strict=True)
    assets = (msgspec.structs.replace(model, replay=replay) for model, replay in models)
    return replace(three(), assets=tuple(assets))


@given(days=st.floats(0.0, 0.999), episodes=st.integers(0, 50))
def test_an_asset_of_an_hour_does_not_drown_what_days_of_others_say(
    days: float, episodes: int
) -> None:
    """Whatever it told; by hand: two silent ones of 14 days, at most 2.9957 / 14."""
    silent = Replay(episodes=0, days=14.0)
    (one,) = position_replays(with_replays(silent, silent, Replay(episodes=episodes, days=days)))
    assert (one.replayed, one.budget, one.rate, one.low, one.beyond) == (2, 4.0, 0.0, 0.0, False)
    assert one.high == pytest.approx(2.9957 / 14.0, rel=1e-4)
    assert position_words(one).endswith(
        "; replayed for a day or more: 2 of 3: 0 alerts a day (0 to 0.21) of 4"
    )


def test_a_short_replay_still_warns_of_its_asset() -> None:
    """It is left out of the sum only: ten alerts in an hour are no chance."""
    bundle = with_replays(Replay(episodes=10, days=1 / 24), None, None)
    assert "warning: that is more than its share" in replay_words(bundle.assets[0], 2.0)


def test_a_replay_of_no_length_says_nothing() -> None:
    """A record of which no row could be scored: no rate, no warning."""
    none = Replay(episodes=0, days=0.0)
    assert np.isnan(alerts_a_day(none)).all()
    assert np.isnan(alerts_a_day(none, Replay(episodes=1, days=1.0))).all()
    assert np.isnan(alerts_a_day()).all()
    assert not contradicts(none, 0.0)
    bundle = with_replays(none, None, Replay(episodes=1, days=0.5))
    assert replay_words(bundle.assets[0], 1.0).startswith("not replayed")
    (one,) = position_replays(bundle)
    assert (one.replayed, one.beyond) == (0, False)
    assert position_words(one).endswith(
        "; replayed for a day or more: 0 of 3: alerts a day are extrapolated"
    )


@given(
    peaks=st.tuples(st.integers(0, 60), st.integers(0, 60)),
    days=st.tuples(st.floats(0.01, 20.0), st.floats(0.01, 20.0)),
    stands=st.booleans(),
    share=st.floats(0.01, 50.0),
)
def test_the_record_sets_a_threshold_exactly_where_more_budget_does_not_lower_it(
    peaks: tuple[int, int],
    days: tuple[float, float],
    stands: bool,  # noqa: FBT001
    share: float,
) -> None:
    """Slow oracle: the thresholds of half as much again."""
    tails = [
        AlarmTail(score=2.0, episodes_per_day=n / d, peaks=n, days=d)
        for n, d in zip(peaks, days, strict=True)
    ]
    stopped = tails[1] if stands else None
    on, more = (
        thresholds(tails[0], alerts_per_day=one, stopped=stopped, usual=1.0)[0]
        for one in (share, 1.5 * share)
    )
    model = msgspec.structs.replace(
        three().assets[0], tail=tails[0], tail_stopped=stopped, threshold_on=on
    )
    told = set_by_record(model, share, usual=1.0)
    if told:
        assert more == on
    elif on > ON_MIN:
        assert more < on


def test_a_threshold_that_the_record_sets_says_so_and_others_do_not() -> None:
    """A hundred times the budget moves nothing; one that asks for less than was seen does."""
    few, many = (make_bundle([fitted(c=2)], alerts_per_day=budget) for budget in (1e3, 1e5))
    assert few.assets[0].threshold_on == many.assets[0].threshold_on
    said = threshold_notes(many)["r1"]
    assert "set by what the record shows, rarer than the budget asks" in said
    assert said in model_card(many)
    strict = make_bundle([fitted(c=2)], alerts_per_day=1e-4)
    assert threshold_notes(strict) == {}
