"""Full collections come where a moment suits; what comes behind the first is given back."""

from __future__ import annotations

import gc
import weakref

import pytest

from edge.gateway import collecting
from edge.gateway.collecting import KEEPS, KEEPS_S_MAX, SHARE_MAX, YOUNG_MAX, Collecting
from edge.gateway.pace import Pace
from edge.storage.disk import Clock


class Hand(Clock):
    """A clock that is moved by hand."""

    now_s = 1_000.0

    def monotonic_s(self) -> float:
        """Where the hand is."""
        return self.now_s


class Suits(Pace):
    """A pace that was asked about so many seconds, and says what the test wants."""

    suit = True
    asked_s = 0.0

    def suits(self, seconds: float) -> bool:
        """As the test wants it."""
        self.asked_s = seconds
        return self.suit


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """How often a full collection was made, and what was left put aside; `young` since then."""
    counts = {"collect": 0, "freeze": 0, "young": 0}

    class Collector:
        @staticmethod
        def get_count() -> tuple[int, int, int]:
            return 0, 0, counts["young"]

        @staticmethod
        def collect() -> None:
            counts["collect"] += 1
            counts["young"] = 0

        @staticmethod
        def freeze() -> None:
            counts["freeze"] += 1

    monkeypatch.setattr(collecting, "gc", Collector)
    return counts


def test_it_comes_before_it_would_by_itself_and_where_the_moment_suits(
    calls: dict[str, int],
) -> None:
    """Where none does, it comes by itself."""
    assert gc.get_threshold()[2] > YOUNG_MAX
    pace, made = Suits(10.0, clock=Hand()), Collecting()
    assert not made.turn(pace, 0.0)
    calls["young"] = YOUNG_MAX
    pace.suit = False
    assert not made.turn(pace, 0.0)
    pace.suit = True
    assert made.turn(pace, 0.0)
    assert not made.turn(pace, 0.0)
    assert calls == {"collect": 1, "freeze": 1, "young": 0}


def test_only_the_first_ones_put_aside_what_is_left(calls: dict[str, int]) -> None:
    """What comes later and refers to itself is found, however long the process lives."""
    pace, made = Suits(10.0, clock=Hand()), Collecting()
    for _ in range(3 * KEEPS):
        calls["young"] = YOUNG_MAX
        assert made.turn(pace, 0.0)
    assert (calls["collect"], calls["freeze"]) == (3 * KEEPS, KEEPS)


def test_of_a_plant_that_makes_little_only_the_first_minutes_are_put_aside(
    calls: dict[str, int],
) -> None:
    """Else a search that happens to go on then would stay, days after the start."""
    pace, made = Suits(10.0, clock=Hand()), Collecting()
    for now_s in (5.0, 100.0, 5.0 + KEEPS_S_MAX - 1.0, 5.0 + KEEPS_S_MAX, 1e6):
        calls["young"] = YOUNG_MAX
        assert made.turn(pace, now_s)
    assert (calls["collect"], calls["freeze"]) == (5, 3)


class Round:
    """Refers to itself."""

    def __init__(self) -> None:
        self.me = self


def test_what_is_born_and_gone_behind_the_first_ones_is_given_back() -> None:
    """With the collector that there is."""
    pace, made, kept = Suits(10.0, clock=Hand()), Collecting(), 0
    gc.disable()
    try:
        for i in range(KEEPS + 10):
            one = Round()
            seen = weakref.ref(one)
            for _ in range(YOUNG_MAX):
                gc.collect(1)
            assert made.turn(pace, float(i))
            del one
            gc.collect()
            kept += seen() is not None
    finally:
        gc.enable()
    assert kept == KEEPS, "the price of the first ones, and nothing behind them"


def test_a_moment_is_asked_for_as_long_as_the_last_one_took(
    calls: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first one is asked for nothing; together they take a small part of the time."""
    clock = Hand()
    pace, made = Suits(10.0, clock=clock), Collecting()

    def collect() -> None:
        clock.now_s += 0.004

    monkeypatch.setattr(vars(collecting)["gc"], "collect", staticmethod(collect))
    calls["young"] = YOUNG_MAX
    assert made.turn(pace, 0.0)
    assert pace.asked_s == 0.0
    rests_s = 0.004 / SHARE_MAX
    assert not made.turn(pace, 0.99 * rests_s)
    assert made.turn(pace, 1.01 * rests_s)
    assert pace.asked_s == pytest.approx(0.004)
