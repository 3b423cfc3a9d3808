"""The inbox: bounded both ways, in order, and exact about what it holds."""

from __future__ import annotations

import sys
import threading
from typing import Final

from hypothesis import given
from hypothesis import strategies as st

from edge.gateway.inbox import Inbox, Incoming

MESSAGES_MAX: Final = 4
BYTES_MAX: Final = 10


def message(number: int, size: int = 1) -> Incoming:
    """Make a message that its id tells from others."""
    return Incoming("plant/a", b"x" * size, 1, False, False, number, 0)  # noqa: FBT003 - as paho tells


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("put"), st.integers(0, BYTES_MAX + 3)),
            st.tuples(st.just("take"), st.integers(0, MESSAGES_MAX + 1)),
        ),
        max_size=60,
    )
)
def test_it_is_a_list_that_refuses_what_would_pass_a_bound(steps: list[tuple[str, int]]) -> None:
    """What is taken is what was accepted, in order; what was refused is nowhere."""
    inbox = Inbox(messages_max=MESSAGES_MAX, bytes_max=BYTES_MAX)
    held: list[Incoming] = []
    for number, (what, amount) in enumerate(steps):
        if what == "put":
            one = message(number, amount)
            grown = [*held, one]
            within = len(grown) <= MESSAGES_MAX and sum(len(m.payload) for m in grown) <= BYTES_MAX
            accepted = within or not held  # alone, any message has to pass, or it never would
            assert inbox.room_for(amount) is accepted
            assert inbox.put(one) is accepted
            held = grown if accepted else held
        else:
            assert inbox.take(amount) == held[:amount]
            held = held[amount:]
        assert len(inbox) == len(held)
        assert inbox.bytes_held == sum(len(m.payload) for m in held)
    assert inbox.take(len(steps)) == held
    assert inbox.bytes_held == 0


def test_a_message_of_no_bytes_still_counts_as_a_message() -> None:
    """Bytes alone would let a million of them in."""
    inbox = Inbox(messages_max=3)
    assert [inbox.put(message(i, 0)) for i in range(5)] == [True, True, True, False, False]


def test_a_message_larger_than_the_bound_passes_when_nothing_else_waits() -> None:
    """Refused for ever, the broker would repeat it for ever; behind it there is no room for any."""
    inbox = Inbox(messages_max=100, bytes_max=10)
    assert inbox.put(message(1, 11))
    assert not inbox.put(message(2, 0))
    assert [m.mid for m in inbox.take(9)] == [1]
    assert inbox.put(message(2, 0))


def test_the_usual_bound_is_one_of_bytes_too() -> None:
    """100,000 messages of a mebibyte each must not take 100 GB: 64 MiB are held, whoever asks."""
    inbox = Inbox(messages_max=100_000)
    payload = b"x" * (1 << 20)
    accepted = 0
    while inbox.put(Incoming("t", payload, 1, False, False, accepted, 0)):  # noqa: FBT003 - as above
        accepted += 1
    assert accepted == 64
    assert inbox.room_for(0)


def test_two_threads_lose_nothing_and_swap_nothing() -> None:
    """One puts as fast as it can and tries again when refused, one takes: each message once."""
    inbox = Inbox(messages_max=7, bytes_max=50)
    count: Final = 2_000
    most = 0
    usual_s = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)  # between almost any two steps of either thread

    def put() -> None:
        for number in range(count):
            while not inbox.put(message(number, number % 13)):
                pass

    network = threading.Thread(target=put)
    network.start()
    taken: list[Incoming] = []
    while network.is_alive() or len(inbox):
        most = max(most, len(inbox))
        taken += inbox.take(5)
    network.join()
    sys.setswitchinterval(usual_s)
    assert [m.mid for m in taken] == list(range(count))
    assert most <= 7
    assert len(inbox) == inbox.bytes_held == 0
