"""Revisions: whatever boxes and lapses come, nobody says one number of an id a second time."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Final

import pytest

from edge.alerts.group import Group
from edge.alerts.numbering import (
    LEAPS_MAX,
    REVISIONS_A_BOX,
    floor_of,
    follow,
    land,
    leap,
    raise_floors,
    settle,
)
from edge.boxes.identity import GENERATION_MAX
from edge.gateway.lapse import LEAP_MAX, LEAP_MIN
from edge.records import Track
from tests.edge.rig import Rig

if TYPE_CHECKING:
    from edge.state import EngineState

EXACT_MAX: Final = 1 << 53  # JSON readers hold integers as doubles


def state_of() -> EngineState:
    """An engine that has an asset, an alert on it and a group."""
    state = Rig().engine.state
    record = next(iter(state.assets.values())).alerts[Track.PROCESS]
    record.alert_id, record.revision = "a", 1
    state.flood.groups["g"] = Group(kind="line", name="g", group_id="g", revision=1)
    return state


def said(state: EngineState, revisions: int) -> list[int]:
    """The alert and the group get so many; numbers that were said."""
    numbers = []
    record = next(iter(state.assets.values())).alerts[Track.PROCESS]
    for _ in range(revisions):
        record.turn(t_ns=0, reason="")
        numbers.append(record.revision)
        state.flood.groups["g"].turn(t_ns=0, reason="")
        assert state.flood.groups["g"].revision == record.revision
    return numbers


@pytest.mark.parametrize("seed", range(50))
def test_a_later_box_is_above_every_leap_of_an_earlier_one(seed: int) -> None:
    """As many lapses as there may be, the longest leaps, and old ids that count on."""
    chance = random.Random(seed)
    state, highest = state_of(), 1
    for generation in sorted(chance.sample(range(1, 50), 4)):
        raise_floors(state, generation)
        assert highest <= floor_of(generation) or generation == 1
        for _ in range(chance.choice([0, 1, 5, 120])):
            raise_floors(state, generation)  # a restart
            leap(state, 2 * chance.randint(LEAP_MIN, LEAP_MAX - 1))
            lapsed = said(state, chance.randint(0, 5))
            assert all(one > highest for one in lapsed)
            highest = max([highest, *lapsed])
            if chance.random() < 0.3:
                raise_floors(state)  # another bundle, in the middle of it
            land(state)
        durable = said(state, chance.randint(1, 5))
        assert min(durable) > highest, "an id goes on behind what was said of it"
        highest = max(durable)
        assert floor_of(generation) < highest <= floor_of(generation + 1)


def test_new_ids_begin_at_the_floor_again_behind_a_lapse() -> None:
    """Else one long lapse would move all that follows."""
    state = state_of()
    raise_floors(state, 3)
    leap(state, LEAP_MIN)
    record = next(iter(state.assets.values())).alerts[Track.PROCESS]
    record.alert_id, record.revision = "b", 0
    assert said(state, 1) != [1 + floor_of(3)]
    assert record.revision == floor_of(3) + LEAP_MIN + 1
    land(state)
    record.alert_id, record.revision = "c", 0
    record.turn(t_ns=0, reason="")
    assert record.revision == floor_of(3) + 1


def test_numbers_stay_exact_for_every_reader() -> None:
    """Also the last revision of the last box."""
    assert floor_of(GENERATION_MAX + 1) < EXACT_MAX
    assert 1_000 * 2 * LEAP_MAX <= LEAPS_MAX < REVISIONS_A_BOX


def test_an_id_that_speaks_in_every_lapse_keeps_its_32_bits() -> None:
    """Each said in a range of its own, and who replays a lapse is behind who lived through it."""
    state, chance, highest = state_of(), random.Random(1), 1
    for lapse in range(4_000):
        by = chance.randint(LEAP_MIN, LEAP_MAX - 1)
        at = highest
        leap(state, by)
        (highest,) = said(state, 1)
        assert highest > at + (1 if lapse < 1_000 else 0)
        assert lapse > 1_000 or highest == at + by + 1, "the whole leap, while there is room"
        land(state)
    assert highest < 1 << 31


@pytest.mark.parametrize("generation", [1, 3])
def test_behind_a_revision_that_it_does_not_know_an_id_leaps(generation: int) -> None:
    """Not behind its own, nor where an older version told it, nor out of its room."""
    state, floor = state_of(), floor_of(generation)
    raise_floors(state, generation)
    ours, group = said(state, 1)[0], state.flood.groups["g"]
    record = next(iter(state.assets.values())).alerts[Track.PROCESS]
    for known in (0, ours):
        follow(record, known, by=LEAP_MIN)
        follow(group, known, by=LEAP_MIN)
    assert said(state, 1) == [ours + 1], "what it knows"
    for at, by, next_one in (
        (ours + 5, 0, ours + 6),
        (ours + 9, LEAP_MIN, ours + LEAP_MIN + 10),
        (floor + LEAPS_MAX, LEAP_MIN, floor + LEAPS_MAX + 1),
        (EXACT_MAX - 2, LEAP_MIN, EXACT_MAX - 1),  # whoever says it
    ):
        follow(record, at, by=by)
        follow(group, at, by=by)
        assert said(state, 1) == [next_one]


def test_an_id_that_is_silent_in_a_lapse_does_not_leap() -> None:
    """Unless somebody else may have spoken in it."""
    state = state_of()
    leap(state, LEAP_MIN)
    land(state)
    assert said(state, 1) == [2]
    leap(state, LEAP_MIN)
    settle(state)
    land(state)
    assert said(state, 1) == [3 + LEAP_MIN]
