"""A link takes messages together as it takes them one by one, whoever they are for."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final

from hypothesis import given
from hypothesis import strategies as st

from edge.brokers.endpoint import Endpoint
from edge.brokers.inbox import Incoming, Lane
from edge.brokers.link import Link
from edge.brokers.presence import Presence
from edge.brokers.rights import BROKER_DROPS
from edge.caps import PAYLOAD_BYTES_MAX
from tests.edge.test_link_fence import Client

if TYPE_CHECKING:
    from collections.abc import Sequence

LARGE: Final = b"x" * (PAYLOAD_BYTES_MAX + 9)
TOPICS: Final = ("plant/a", "plant/b", "other/c", BROKER_DROPS, "andon/s/alert/r1/process", "bad")
PAYLOADS: Final = (b"1", b"22", b"7", LARGE)


class Site:
    """A link without a network, of one plant topic that nobody can take."""

    def __init__(self) -> None:
        self.client = Client()
        self.wake = threading.Event()
        transport: Any = SimpleNamespace(
            new_client=lambda *_args, **_named: self.client, is_alive=lambda _client: True
        )
        self.link = Link(
            Endpoint(client_id="andon"),
            filters=["plant/#"],
            queue_messages_max=9,
            will=None,
            on_connected=lambda: None,
            wake=self.wake,
            belongs=lambda topic: not topic.startswith("other/"),
            own="andon/s/alert/",
            transport=transport,
        )
        self.link._inbox._lane_of = self.lane_of
        self.lane = Lane("", 0)
        flags, reason = SimpleNamespace(session_present=True), SimpleNamespace(is_failure=False)
        self.client.on_connect(self.client, None, flags, reason, None)
        self.client.on_subscribe(self.client, None, 1, [], None)

    def lane_of(self, message: Incoming) -> tuple[Lane, bool]:
        """The lane of all but one."""
        if message.topic == "bad":
            raise LookupError(message.topic)
        return self.lane, False

    def come(self, messages: Sequence[tuple[str, bytes, int]], *, first: int) -> None:
        """These arrive together."""
        connection, link = self.client.came_over
        self.client.on_batch(
            [
                Incoming(topic, payload, qos, True, False, mid, 0, connection, link)  # noqa: FBT003
                for mid, (topic, payload, qos) in enumerate(messages, first)
            ]
        )

    def told(self) -> tuple[Any, ...]:
        """All that came of it."""
        taken = self.link.drain(99)
        kept = [(m.topic, len(m.payload), m.mid) for m in taken]
        return kept, sorted(self.client.acked), self.link.counts, self.link.own()


MESSAGES: Final = st.lists(
    st.tuples(st.sampled_from(TOPICS), st.sampled_from(PAYLOADS), st.integers(0, 1)), max_size=30
)


@given(
    messages=MESSAGES,
    sizes=st.lists(st.integers(1, 9), min_size=30, max_size=30),
    asking=st.booleans(),
)
def test_however_they_come_the_same_are_taken(
    *, messages: list[tuple[str, bytes, int]], sizes: list[int], asking: bool
) -> None:
    """Counted, cut, acknowledged, handed back and given up alike; one that fails costs no other."""
    together, alone = Site(), Site()
    for site in (together, alone):
        if asking:
            site.link.ask(["andon/s/alert/+"])
    at = 0
    for size in sizes:
        together.come(messages[at : at + size], first=at + 1)
        at += size
    for number, one in enumerate(messages, 1):
        alone.come([one], first=number)
    assert together.told() == alone.told()
    failed = sum(topic == "bad" for topic, _, _ in messages)
    assert together.link.counts.callback_errors == failed
    taken = together.link.counts.received - together.link.counts.misplaced
    heard = sum(topic in ("plant/a", "plant/b", "bad") for topic, _, _ in messages)
    back = sum(topic == TOPICS[4] for topic, _, _ in messages)
    assert taken == heard + (0 if asking else back)


def test_who_takes_them_is_woken_when_no_more_comes() -> None:
    """Not by each: a turn of the loop costs as much as many messages."""
    site = Site()
    site.wake.clear()
    site.come([("plant/a", b"1", 1)] * 3, first=1)
    assert not site.wake.is_set()
    site.client.on_pause()
    assert site.wake.is_set()


def test_what_came_over_another_connection_is_not_acknowledged() -> None:
    """Its id may stand for another message by now; of the new one all leave together."""
    site = Site()
    site.come([("plant/a", b"1", 1)], first=7)
    flags, reason = SimpleNamespace(session_present=True), SimpleNamespace(is_failure=False)
    site.client.on_connect(site.client, None, flags, reason, None)
    site.come([("plant/a", b"1", 1), ("plant/a", b"2", 0)], first=8)
    site.link.ack(site.link.drain(9))
    assert site.client.acked == [8]


def test_an_engineer_sees_why_messages_are_read_one_by_one() -> None:
    """Once a connection, in the log; with a paho that is known there is nothing to say."""
    for why, level in (("", "info"), ("paho 9.9.9 is none of the tested", "warning")):
        site, presence = Site(), Presence()
        site.client.reads_plainly = why
        (note,) = presence.look(site.link, 0.0)
        assert (note.level, note.fields.get("reads_plainly", "")) == (level, why)
        assert presence.look(site.link, 1.0) == []
