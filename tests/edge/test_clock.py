"""Plant time: what sources agree on, never backwards, never moved by one of them alone."""

from __future__ import annotations

from typing import Final

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.errors import WireError
from edge.samples.clock import QUIET_OBSERVATIONS_MAX, PlantClock, PlantClockState

S: Final = 10**9


def clock() -> PlantClock:
    """Make a clock whose sources agree within two seconds."""
    return PlantClock(2000, state=PlantClockState())


def agreed(times: list[int], slack: int) -> int:
    """Return the highest time that some other source is at most `slack` below; else the lowest."""
    pairs = [
        a
        for i, a in enumerate(times)
        for j, b in enumerate(times)
        if i != j and 0 <= a - b <= slack
    ]
    if len(times) == 1:
        return times[0]
    return max(pairs) if pairs else min(times)


@given(st.lists(st.tuples(st.sampled_from("abcde"), st.integers(0, 20)), max_size=60))
def test_the_clock_is_its_definition_and_never_runs_backwards(seen: list[tuple[str, int]]) -> None:
    """The highest time two sources share, remembered."""
    c = clock()
    newest: dict[str, int] = {}
    now = 0
    for source, t in seen:
        c.observe(source, t * S)
        put_right = t < newest.get(source, 0) - 2
        newest[source] = t if put_right else max(newest.get(source, 0), t)
        now = max(now, agreed(list(newest.values()), 2))
        assert c.now_ns == now * S


def test_before_anything_there_is_no_time() -> None:
    """Zero is the value of not knowing."""
    assert clock().now_ns == 0


def test_a_single_source_is_trusted() -> None:
    """There is nobody else to ask."""
    c = clock()
    c.observe("a", 5 * S)
    assert c.now_ns == 5 * S


#   a  --1--2--3-->      c is a year ahead: time is what a and b agree on
#   b  --1--2--3-->
#   c  -------------------------------- 1 year
@pytest.mark.parametrize("ahead_s", [3600, 365 * 86_400])
def test_one_source_ahead_moves_nobody(ahead_s: int) -> None:
    """A clock set wrong, however far, is alone in it."""
    c = clock()
    c.observe("a", S)
    c.observe("b", S)
    c.observe("c", ahead_s * S)
    for t in range(2, 10):
        c.observe("a", t * S)
        c.observe("b", t * S)
        c.observe("c", (ahead_s + t) * S)
        assert c.now_ns == t * S


def test_a_clock_that_was_put_right_counts_again() -> None:
    """One stamp from the future does not cost a source its say for good."""
    c = clock()
    for source in ("a", "b"):
        c.observe(source, S)
    c.observe("b", 10**6 * S)
    c.observe("b", 2 * S)
    c.observe("a", 3 * S)
    assert c.now_ns == 3 * S


@given(
    seen=st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 20)), max_size=40),
    cut=st.integers(0, 40),
)
def test_a_restart_changes_nothing(seen: list[tuple[str, int]], cut: int) -> None:
    """All that the clock remembers is its state."""
    straight, state = clock(), PlantClockState()
    c = PlantClock(2000, state=state)
    for i, (source, t) in enumerate(seen):
        if i == cut:
            kept = msgspec.msgpack.decode(msgspec.msgpack.encode(c.state), type=PlantClockState)
            c = PlantClock(2000, state=kept)
        straight.observe(source, t * S)
        c.observe(source, t * S)
        assert c.state == straight.state


def test_one_source_behind_holds_nobody_up() -> None:
    """A clock that stands still does not stop the others."""
    c = clock()
    c.observe("slow", S)
    for t in range(1, 100):
        c.observe("a", t * S)
        c.observe("b", t * S)
    assert c.now_ns == 99 * S


def test_a_source_that_fell_silent_has_no_say() -> None:
    """After so many observations of others, the one that is left is alone again."""
    c = clock()
    c.observe("gone", S)
    for i in range(QUIET_OBSERVATIONS_MAX + 1):
        c.observe("a", (100 + i) * S)
    assert c.now_ns == (100 + QUIET_OBSERVATIONS_MAX) * S


def test_names_that_senders_make_up_do_not_pile_up() -> None:
    """The memory of the clock is bounded, whatever payloads call their assets."""
    c = clock()
    for i in range(5 * QUIET_OBSERVATIONS_MAX):
        c.observe(f"asset{i}", i)
    assert len(c.state.sources) <= 2 * QUIET_OBSERVATIONS_MAX


def test_a_clock_tag_is_a_source_like_any_other() -> None:
    """Its time is written as that of any other payload."""
    for stamp in (b"1760000000123", b"1760000000.123", b'"2025-10-09T08:53:20.123Z"'):
        c = clock()
        c.observe_message(b'{"ts": ' + stamp + b"}", topic="plant/_clock")
        assert c.now_ns == 1_760_000_000_123_000_000


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"{}",
        b'{"ts": "1"}',
        b'{"ts": [1]}',
        b"[]",
        b'{"ts": -1}',
        b'{"ts": 9223372036854775807}',
        b"\xff",
    ],
)
def test_a_clock_tag_that_is_none_is_refused(payload: bytes) -> None:
    """A time that no checkpoint could hold must not reach the state."""
    c = clock()
    with pytest.raises(WireError):
        c.observe_message(payload, topic="plant/_clock")
    assert c.state == PlantClockState()
