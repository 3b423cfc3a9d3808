"""The inbox: bounded both ways, in order, exact about what it holds and about what it sheds."""

from __future__ import annotations

import sys
import threading
from typing import Final
from unittest import mock

from hypothesis import given
from hypothesis import strategies as st

from edge.brokers.inbox import MESSAGE_BYTES, SLACK, TAKE_BYTES_MAX, Inbox, Incoming, Lane

MESSAGES_MAX: Final = 5
BYTES_MAX: Final = 12


def message(number: int, size: int = 1, topic: str = "plant/a") -> Incoming:
    """Make a message that its id tells from others."""
    return Incoming(topic, b"x" * size, 1, False, False, number, 0)  # noqa: FBT003 - as paho tells


class Site:
    """Lanes by topic: `RANK/name`, and commands as `cmd/name`."""

    def __init__(self) -> None:
        self.lanes: dict[str, Lane] = {}

    def lane_of(self, one: Incoming) -> tuple[Lane, bool]:
        """As `Lanes.of`."""
        head = one.topic.split("/")[0]
        lane = self.lanes.setdefault(one.topic, Lane(one.topic, 9 if head == "cmd" else int(head)))
        return lane, head == "cmd"


class Slow:
    """The rule as it is written down, over a list."""

    def __init__(self, *, messages_max: int, bytes_max: int) -> None:
        self.messages_max, self.bytes_max = messages_max, bytes_max
        self.held: list[Incoming] = []

    def over(self, slack: int = 0) -> bool:
        """Whether too much waits; with slack: whether no room was made yet."""
        most = self.messages_max - (self.messages_max // slack if slack else 0)
        bytes_most = self.bytes_max - (self.bytes_max // slack if slack else 0)
        many = len(self.held) > most or sum(len(m.payload) for m in self.held) > bytes_most
        return len(self.held) > 1 and many

    def put(self, one: Incoming) -> set[int]:
        """Queue; returns the ids of what went."""
        self.held.append(one)
        shed: set[int] = set()
        slack, rank = SLACK, ""
        while self.over():
            rank = min(m.topic[0] for m in self.held)
            while self.over(slack) and rank in {m.topic[0] for m in self.held}:
                weights: dict[str, int] = {}
                for m in self.held:
                    if m.topic[0] == rank:
                        weight = len(m.payload) + MESSAGE_BYTES
                        weights[m.topic] = weights.get(m.topic, 0) + weight
                heaviest = max(weights.values())
                victims = {t for t, w in weights.items() if w == heaviest}
                self.shed_one_of(victims, shed)
            slack = 0
        return shed

    def shed_one_of(self, victims: set[str], shed: set[int]) -> None:
        """The oldest message of all these lanes, which are alike."""
        gone = next(m for m in self.held if m.topic in victims)
        self.held.remove(gone)
        shed.add(gone.mid)


PUT = st.tuples(st.sampled_from(["0/a", "0/b", "1/c", "1/d", "2/e"]), st.integers(0, BYTES_MAX + 3))
TAKE = st.tuples(st.just("take"), st.integers(0, MESSAGES_MAX + 1))
SHARES = st.sampled_from([1, 2, 8])  # of what may wait, as it came: it changes nothing


STEPS = st.lists(st.one_of(PUT, PUT, TAKE), max_size=60)


@given(STEPS, st.lists(st.integers(1, 9)), st.integers(1, 99), st.integers(1, 999), SHARES)
def test_it_is_a_list_that_sheds_by_the_rule(
    steps: list[tuple[str, int]], cuts: list[int], messages_max: int, bytes_max: int, share: int
) -> None:
    """Everything put is taken in order, or was told to be shed; and the rule chose what.

    However what is put is cut into pieces, and whether lanes are looked up early or late.
    """
    site = Site()
    inbox = Inbox(messages_max=messages_max, bytes_max=bytes_max, lane_of=site.lane_of)
    slow = Slow(messages_max=messages_max, bytes_max=bytes_max)
    sizes = iter(cuts)
    piece: list[Incoming] = []
    size = 1

    def put() -> None:
        shed = set[int]().union(*(slow.put(one) for one in piece))
        assert {m.mid for m in inbox.put(piece)} == shed
        piece.clear()

    with mock.patch("edge.brokers.inbox.LOOSE_SHARE", share):
        for number, (what, amount) in enumerate(steps):
            if what != "take":
                piece.append(message(number, amount, what))
            if len(piece) == size or what == "take":
                put()
                size = next(sizes, 1)
            if what == "take":
                assert inbox.take(amount) == slow.held[:amount]
                slow.held = slow.held[amount:]
            if not piece:
                assert len(inbox) == len(slow.held)
                assert inbox.bytes_held == sum(len(m.payload) for m in slow.held)
                assert sum(len(lane) for lane in site.lanes.values()) <= len(slow.held)
        put()
    assert inbox.take(len(steps)) == slow.held
    assert inbox.bytes_held == 0
    assert inbox.oldest_ns() is None
    assert not any(len(lane) for lane in site.lanes.values())


class Shares(Site):
    """A lane that may fill a third of the queue, and commands, beside those of the plant."""

    def lane_of(self, one: Incoming) -> tuple[Lane, bool]:
        """As `Lanes.of`."""
        lane, command = super().lane_of(one)
        lane.share = 0.3 if one.topic == "5/clock" else 1.0
        return lane, command


ANY = st.tuples(st.sampled_from(["0/a", "1/b", "2/c", "5/clock", "cmd/ann"]), st.integers(0, 9))
LIMIT = st.tuples(st.just("limit"), st.integers(1, 30))


@given(st.lists(st.one_of(ANY, ANY, TAKE, LIMIT), max_size=80), st.lists(st.integers(1, 9)))
def test_together_or_one_by_one_is_the_same(steps: list[tuple[str, int]], cuts: list[int]) -> None:
    """With commands, shares and a limit that moves; one inbox never waits without lanes."""
    together = Inbox(messages_max=20, bytes_max=90, lane_of=Shares().lane_of)
    alone = Inbox(messages_max=20, bytes_max=90, lane_of=Shares().lane_of)
    sizes, piece, size = iter(cuts), list[Incoming](), 1

    def put() -> None:
        with mock.patch("edge.brokers.inbox.LOOSE_SHARE", 1):
            shed = sorted(m.mid for m in together.put(piece))
        with mock.patch("edge.brokers.inbox.LOOSE_SHARE", 1_000):
            assert shed == sorted(m.mid for one in piece for m in alone.put([one]))
        piece.clear()

    for number, (what, amount) in enumerate([*steps, ("take", 99)]):
        if what not in ("take", "limit"):
            piece.append(message(number, amount, what))
        if len(piece) == size or what in ("take", "limit"):
            put()
            size = next(sizes, 1)
        if what == "take":
            assert together.take(amount) == alone.take(amount)
        elif what == "limit":
            for inbox in (together, alone):
                inbox.limit_to(amount, graded=amount % 2 == 0)
        if not piece:
            assert together.oldest_ns() == alone.oldest_ns()
            assert len(together) == len(alone)
            assert together.bytes_held == alone.bytes_held
            assert together.depth_max == alone.depth_max


def test_a_message_of_no_bytes_still_counts_as_a_message() -> None:
    """Bytes alone would let a million of them in."""
    inbox = Inbox(messages_max=3)
    shed = [[m.mid for m in inbox.put([message(i, 0)])] for i in range(5)]
    assert shed == [[], [], [], [0], [1]]


def test_a_message_larger_than_the_bound_passes_when_nothing_else_waits() -> None:
    """Shed for ever, an asset of large messages would never be heard."""
    inbox = Inbox(messages_max=100, bytes_max=10)
    assert not inbox.put([message(1, 11)])
    assert [m.mid for m in inbox.put([message(2, 0)])] == [1]
    assert [m.mid for m in inbox.take(9)] == [2]
    assert inbox.put([message(3, 11)]) == []


def test_the_usual_bound_is_one_of_bytes_too() -> None:
    """100,000 messages of a mebibyte each must not take 100 GB: 64 MiB are held, whoever asks."""
    inbox = Inbox(messages_max=100_000)
    payload = b"x" * (1 << 20)
    for i in range(200):
        inbox.put([Incoming("t", payload, 1, False, False, i, 0)])  # noqa: FBT003 - as above
        assert inbox.bytes_held <= 64 << 20
    assert inbox.bytes_held >= 60 << 20


def test_what_counts_keeps_all_while_others_flood() -> None:
    """As long as it alone would fit; and the flood loses its oldest, not its newest."""
    site = Site()
    inbox = Inbox(messages_max=100, lane_of=site.lane_of)
    for i in range(3_000):
        inbox.put([message(i, topic="2/critical" if i % 100 == 0 else f"0/low{i % 3}")])
    assert site.lanes["2/critical"].shed == 0
    taken = inbox.take(1_000)
    assert [m.mid for m in taken if m.topic == "2/critical"] == list(range(0, 3_000, 100))
    low = [m.mid for m in taken if m.topic != "2/critical"]
    assert min(low) > 2_000
    assert sum(lane.shed for lane in site.lanes.values()) + len(taken) == 3_000


def test_of_equals_the_one_that_floods_is_shed() -> None:
    """A neighbour who sends one message in a hundred keeps it."""
    site = Site()
    inbox = Inbox(messages_max=200, lane_of=site.lane_of)
    for i in range(5_000):
        inbox.put([message(i, topic="1/quiet" if i % 100 == 0 else "1/loud")])
    assert site.lanes["1/quiet"].shed == 0
    assert site.lanes["1/loud"].shed > 4_000


def test_commands_are_taken_first_and_no_values_push_them_out() -> None:
    """Nor do they push out values: they wait apart, and operators share that place."""
    site = Site()
    inbox = Inbox(messages_max=50, lane_of=site.lane_of)
    for i in range(100):
        inbox.put([message(i, topic="2/a")])
    inbox.put([message(1_000, topic="cmd/ann")])
    for i in range(5_000):
        inbox.put([message(2_000 + i, topic="cmd/flood")])
    assert site.lanes["cmd/ann"].shed == 0
    assert site.lanes["cmd/flood"].shed > 3_900
    assert len(site.lanes["2/a"]) >= 45
    assert inbox.take(10)[0].mid == 1_000
    topics = [m.topic for m in inbox.take(1_000)]
    assert topics.count("2/a") >= 45, "a turn takes values too, behind a flood of commands"


def test_of_a_clock_only_the_newest_wait() -> None:
    """A newer one says all, and the oldest are counted."""
    clock = Lane("", 6, share=0.1)
    inbox = Inbox(messages_max=100, lane_of=lambda _: (clock, False))
    for i in range(20_000):
        inbox.put([message(i)])
    assert clock.shed == 19_990
    assert len(inbox._plant._queue) < 2_000, "places of what is gone do not pile up"
    assert [m.mid for m in inbox.take(99)] == list(range(19_990, 20_000))


def test_one_turn_takes_a_bounded_number_of_bytes() -> None:
    """The loop must come back to its ticks, whatever a thousand messages weigh."""
    inbox = Inbox(messages_max=100)
    for i in range(8):
        inbox.put([message(i, TAKE_BYTES_MAX // 2)])
    assert [m.mid for m in inbox.take(100)] == [0, 1]
    inbox.put([message(9, 2 * TAKE_BYTES_MAX)])
    assert [m.mid for m in inbox.take(6)] == [2, 3]


def test_a_lowered_limit_sheds_with_the_next_message() -> None:
    """And a raised one holds again; neither passes what was configured."""
    inbox = Inbox(messages_max=100)
    for i in range(90):
        inbox.put([message(i)])
    inbox.limit_to(10)
    assert len(inbox.put([message(90)])) == 81
    inbox.limit_to(1_000)
    assert inbox.limit == 100


def test_a_graded_limit_lets_wait_longer_what_counts_more() -> None:
    """Of rank 1 ten, of rank 2 twenty, of rank 4 eighty; and never more than was configured."""
    site = Site()
    inbox = Inbox(messages_max=100, lane_of=site.lane_of)
    inbox.limit_to(10, graded=True)
    for rank, most in ((1, 10), (2, 20), (4, 80), (6, 100)):
        for i in range(300):
            inbox.put([message(i, topic=f"{rank}/a")])
        assert most - most // SLACK - 1 <= len(site.lanes[f"{rank}/a"]) <= most
        inbox.take(1_000)


def test_places_of_what_was_shed_do_not_pile_up() -> None:
    """A loop that hangs while a plant floods it: memory stays what the bound says."""
    site = Site()
    inbox = Inbox(messages_max=10, lane_of=site.lane_of)
    inbox.put([message(0, topic="2/first")])
    for i in range(50_000):
        inbox.put([message(i, topic="0/flood")])
    assert len(inbox._plant._queue) <= 2_000
    assert len(inbox) <= 10


def test_two_threads_lose_nothing_and_swap_nothing() -> None:
    """One puts as fast as it can, one takes: each message once, taken or shed."""
    inbox = Inbox(messages_max=7, bytes_max=50)
    count: Final = 4_000
    shed: list[Incoming] = []
    usual_s = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)  # between almost any two steps of either thread

    def put() -> None:
        for number in range(count):
            shed.extend(inbox.put([message(number, number % 13)]))

    network = threading.Thread(target=put)
    network.start()
    taken: list[Incoming] = []
    while network.is_alive() or len(inbox):
        taken += inbox.take(5)
    network.join()
    sys.setswitchinterval(usual_s)
    mids = [m.mid for m in taken]
    assert mids == sorted(mids)
    assert sorted(mids + [m.mid for m in shed]) == list(range(count))
    assert len(inbox) == inbox.bytes_held == 0
