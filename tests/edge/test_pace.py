"""Pace: ticks are due on time, sooner where something came, and those that are missed are told."""

from __future__ import annotations

import threading
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.gateway.pace import EBB_TICKS, IDLE_S, SOONER, TURN_S_MIN, Pace
from edge.storage.disk import Clock

TICK_MS = 100.0


class Hand(Clock):
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.now_s = 1_000.0

    def monotonic_s(self) -> float:
        """Where the hand is."""
        return self.now_s


def ticked(pace: Pace, clock: Hand, took_s: float = 0.0) -> tuple[float, float | None]:
    """One tick that takes so long."""
    pace.begin()
    clock.now_s += took_s
    return pace.end()


@given(st.lists(st.floats(0.0, 0.0999), min_size=1, max_size=30))
def test_ticks_keep_their_grid_however_late_each_is(late: list[float]) -> None:
    """One that is late by less than a period moves none behind it, and none is missed."""
    clock = Hand()
    pace = Pace(TICK_MS, clock=clock).started()
    for n, late_s in enumerate(late):
        clock.now_s = 1_000.0 + n * 0.1 + late_s
        assert pace.left_s <= 1e-9
        ticked(pace, clock)
    assert pace.left_s == pytest.approx(0.1 - late[-1])
    told = pace.told()
    assert (told.missed, told.late_ms.count) == (0, len(late))
    assert told.late_ms.max == pytest.approx(1e3 * max(late), abs=1e-2)


@given(st.floats(0.0, 30.0))
def test_ticks_that_are_missed_are_counted_and_not_made_up_for(stall_s: float) -> None:
    """After a stall there is one tick, and the next is due on the grid again, in the future."""
    clock = Hand()
    pace = Pace(TICK_MS, clock=clock).started()
    clock.now_s += stall_s
    ticked(pace, clock)
    assert -1e-9 < pace.left_s < 0.1 + 1e-9
    due = (clock.now_s + pace.left_s - 1_000.0) / 0.1
    assert due == pytest.approx(round(due), abs=1e-4)
    told = pace.told()
    assert told.missed == round(due) - 1
    assert told.late_ms.count == told.missed + 1, "each of them was late"
    assert pace.told().missed == 0


def test_where_something_came_a_tick_comes_sooner() -> None:
    """But no sooner than a part of the pace after the last, nor than a rest as long as that."""
    clock = Hand()
    pace = Pace(TICK_MS, clock=clock).started()
    ticked(pace, clock)
    pace.came()
    assert pace.left_s == pytest.approx(0.1 / SOONER)
    clock.now_s += 0.06
    pace.came()
    assert pace.left_s < 0.0, "what came before counts from when it came"
    ticked(pace, clock, took_s=0.025)
    pace.came()
    assert pace.left_s == pytest.approx(0.025)
    clock.now_s += 0.05
    ticked(pace, clock, took_s=0.09)
    pace.came()
    assert pace.left_s <= 0.1 / SOONER, "never later than without"


def test_a_plant_that_sends_nothing_costs_no_more_ticks() -> None:
    """Without anything that came they are as far apart as configured."""
    clock = Hand()
    pace = Pace(TICK_MS, clock=clock).started()
    for _ in range(50):
        ticked(pace, clock)
        clock.now_s += max(pace.left_s, 0.0)
    assert clock.now_s == pytest.approx(1_005.0)


@given(st.lists(st.tuples(st.floats(0.0, 0.05), st.booleans()), min_size=1, max_size=60))
def test_ticks_that_come_sooner_count_together(steps: list[tuple[float, bool]]) -> None:
    """What is told of about `tick_ms` together adds up to all that ticks took."""
    clock = Hand()
    pace = Pace(TICK_MS, clock=clock).started()
    all_ms = together_ms = 0.0
    begins = []
    for took_s, came in steps:
        took_ms, together = ticked(pace, clock, took_s=took_s)
        all_ms += took_ms
        if together is not None:
            together_ms += together
            begins.append(clock.now_s + pace.left_s)
        if came:
            pace.came()
        clock.now_s += max(pace.left_s, 0.0)
    assert together_ms <= all_ms + 1e-6
    _, last = 0.0, None
    while last is None:
        took_ms, last = ticked(pace, clock)
        all_ms += took_ms
        clock.now_s += max(pace.left_s, 0.0)
    assert together_ms + last == pytest.approx(all_ms, abs=1e-6)
    apart = [b - a for a, b in pairwise(begins)]
    assert all(one >= 0.1 - 1e-6 for one in apart), "no more often than ticks without"


@pytest.mark.parametrize("tick_ms", [0.0, 10.0, TICK_MS])
def test_behind_its_ticks_a_loop_takes_messages_as_long_as_it_ticks(tick_ms: float) -> None:
    """So that neither starves; and a tick that is due soon leaves little time."""
    clock = Hand()
    pace = Pace(tick_ms, clock=clock).started()
    ticked(pace, clock, took_s=0.3)
    assert pace.left_s <= 0.0
    assert pace.turn_s == pytest.approx(0.3)
    ticked(pace, clock)
    clock.now_s += pace.left_s - 1e-4
    assert pace.turn_s == TURN_S_MIN


class Waiting:
    """A world, a link and an event that somebody sets, or nobody."""

    def __init__(self, clock: Hand, *, depth: int, wakes_s: float | None) -> None:
        self.clock, self.queue_depth, self.wakes_s = clock, depth, wakes_s
        self.slept_s = 0.0
        self.reads_plainly = "as ever"  # so that the loop waits for more

    def wait(self, wake: threading.Event, seconds: float) -> bool:
        """Until it is set."""
        if self.wakes_s is not None and self.wakes_s <= seconds:
            self.clock.now_s += self.wakes_s
            wake.set()
        else:
            self.clock.now_s += seconds
        return wake.is_set()

    def sleep(self, seconds: float) -> None:
        """So long."""
        assert seconds >= 0.0
        self.slept_s += seconds
        self.clock.now_s += seconds


@given(
    left=st.floats(0.0, 0.099),
    depth=st.sampled_from([0, 5, 5_000]),
    wakes=st.none() | st.floats(0.0, 0.05),
)
def test_a_rest_ends_when_a_tick_is_due(left: float, depth: int, wakes: float | None) -> None:
    """Whatever comes meanwhile, and however much waits for more."""
    clock = Hand()
    pace = Pace(TICK_MS, clock=clock).started()
    ticked(pace, clock)
    clock.now_s += pace.left_s - left
    before_s, world = clock.now_s, Waiting(clock, depth=depth, wakes_s=wakes)
    loose: Any = world
    wake = threading.Event()
    rested_s = pace.rest(loose, wake, loose)
    assert clock.now_s - before_s <= left + 1e-9
    assert rested_s == pytest.approx(clock.now_s - before_s - world.slept_s)
    assert rested_s <= (0.0 if depth else IDLE_S) + 1e-9
    assert not wake.is_set()


def test_a_moment_suits_soon_behind_a_long_tick_or_where_there_is_time() -> None:
    """And only while what is to be begun is over before the next one, if it ever can be."""
    clock = Hand()
    pace = Pace(10.0, clock=clock).started()

    def found(*ticks_s: float) -> list[tuple[bool, bool, bool]]:
        told = []
        for took_s in ticks_s:
            clock.now_s += max(pace.left_s, 0.0)
            ticked(pace, clock, took_s)
            told.append((pace.suits(0.005), pace.suits(0.007), pace.suits(0.02)))
        return told

    none, every = (False, False, False), (True, True, True)
    assert found(0.004, 0.004) == [none] * 2
    assert found(0.001, *[0.001] * EBB_TICKS) == [every] * EBB_TICKS + [none]
    assert found(0.0007, 0.0001) == [none] * 2  # it was none
    assert found(0.0081, 0.004) == [none, (True, False, False)]
    slow = Pace(100.0, clock=clock).started()
    ticked(slow, clock, 0.004)
    assert slow.suits(0.008)
