"""What turns cost is told apart: what one costs by itself, and what each message of it does."""

from __future__ import annotations

import pytest

from edge.gateway.turns import TurnCost

RATE = 3_000  # messages a second
EACH_S = 50e-6
TURN_S = 0.002  # that a turn may take
TICK_S = 0.001  # between two of them


@pytest.mark.parametrize("fixed_ms", [0.0, 0.5, 1.9, 3.0, 5.0, 10.0, 30.0])
@pytest.mark.parametrize("first", [1, 50])
def test_a_turn_that_costs_much_by_itself_takes_all_that_waits(fixed_ms: float, first: int) -> None:
    """A slow sync must not end in single messages: what comes is taken, at any cost of a turn."""
    cost, now_s, taken, limit = TurnCost(), 0.0, 0, first
    while now_s < 30.0:
        waits = int(now_s * RATE) - taken
        count = min(waits, limit)
        took_s = fixed_ms / 1e3 + count * EACH_S
        if count:
            cost.took(count, took_s)
        taken += count
        now_s += took_s + TICK_S
        limit = min(1_000, cost.fit(TURN_S))
    assert now_s * RATE - taken < RATE / 4


def test_turns_end_in_their_time_where_they_can() -> None:
    """Once the parts are told apart, as many are taken as fit, and no more."""
    cost = TurnCost()
    for count in (10, 40, 20, 30) * 4:
        cost.took(count, 0.001 + count * EACH_S)
    assert cost.fit(0.0035) in (49, 50)
    assert cost.fit(0.0001) in (19, 20), "as much as the turn itself"


def test_a_message_that_became_dear_counts() -> None:
    """Sizes that are all alike: the newest turn tells what a message costs."""
    cost = TurnCost()
    assert cost.fit(0.002) == 16, "a guess, and half as many again"
    cost.took(10, 0.010)
    assert cost.fit(0.0101) == 16
    cost.took(10, 0.100)
    assert cost.fit(0.101) == 16
