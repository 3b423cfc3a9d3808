"""Links behind a fence: what is taken, acknowledged and said before it was heard."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from paho.mqtt.client import MQTTMessage

from edge.boxes.fence_key import KEY_BYTES, FenceKey
from edge.boxes.fencing import QUIET_S, Fence
from edge.boxes.identity import new_box
from edge.brokers.endpoint import Endpoint
from edge.brokers.inbox import Incoming
from edge.brokers.link import INPUT, OUTPUT, Link
from edge.brokers.rivals import TAKEN_MIN, WAIT_S
from edge.storage.disk import Clock
from edge.wire.topics import Topics

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

TOPICS = Topics("andon", "s")
KEY = FenceKey(secret=bytes(KEY_BYTES))


class Client:
    """What paho would be; notes what is done with it."""

    def __init__(self) -> None:
        self.acked: list[int] = []
        self.connected = True
        self.reads_plainly = ""
        self.subscribed: list[str] = []
        self.published: list[str] = []
        self.delays_s: list[int] = []
        self.retained: dict[str, bytes] = {}
        self.reasons = SimpleNamespace(
            answered=lambda _reason: "",
            ended=lambda _reason: SimpleNamespace(cause="closed", refused=False),
            closed_by_broker=True,
        )

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - settings that do not count here
        return lambda *_args, **_named: None

    def is_connected(self) -> bool:
        """As long as the test says nothing else."""
        return self.connected

    def ack(self, mid: int, _qos: int) -> None:
        """Note it."""
        self.acked.append(mid)

    def ack_all(self, mids: Sequence[int]) -> None:
        """Note them."""
        self.acked += mids

    def subscribe(self, filters: Sequence[tuple[str, int]]) -> None:
        """Note it."""
        self.subscribed += [name for name, _ in filters]

    def publish(self, topic: str, payload: bytes, *_args: object) -> Any:  # noqa: ANN401 - as paho's
        """Note it."""
        self.published.append(topic)
        self.retained[topic] = payload
        return SimpleNamespace(mid=1, rc=0)

    def reconnect_delay_set(self, min_s: int, _max_s: int) -> None:
        """Note it."""
        self.delays_s.append(min_s)


class Site(Clock):
    """A fence, a link that it guards and one that stands behind it; the clock is ours."""

    def __init__(self, folder: Path) -> None:
        self.now_s = 100.0
        self.fence = Fence(TOPICS, new_box(), folder, KEY, clock=self)
        self.saying = self._link(OUTPUT, guard=self.fence)
        self.reading = self._link(INPUT, behind=self.fence)

    def monotonic_s(self) -> float:
        """Seconds."""
        return self.now_s

    def _link(self, name: str, *, guard: Fence | None = None, behind: Fence | None = None) -> Link:
        transport: Any = SimpleNamespace(
            new_client=lambda *_args, **_named: Client(),
            is_alive=lambda _client: True,
            was_taken=lambda _info, **_named: True,
            incoming=_incoming,
        )
        return Link(
            Endpoint(client_id="andon"),
            filters=["plant/#"],
            queue_messages_max=2,
            will=None,
            on_connected=lambda: None,
            wake=threading.Event(),
            name=name,
            transport=transport,
            clock=self,
            guard=guard,
            behind=behind,
        )

    def connect(self, link: Link) -> None:
        """The broker lets us in, and answers what we subscribe to."""
        flags, reason = SimpleNamespace(session_present=True), SimpleNamespace(is_failure=False)
        link._client.on_connect(link._client, None, flags, reason, None)
        if claim := link._client.retained.get(TOPICS.fence):
            self.fence.take(TOPICS.fence, claim)
        for _ in range(2):
            link._client.on_subscribe(link._client, None, 1, [], None)

    def lose(self, link: Link) -> None:
        """The broker ends the connection."""
        link._client.on_disconnect(link._client, None, None, None, None)

    def heard(self) -> None:
        """It has been quiet for long enough; nothing stood there."""
        self.now_s += QUIET_S + 0.01
        self.fence.turn(self.saying)


def _incoming(m: MQTTMessage, connection: int = 0, link: str = "") -> Any:  # noqa: ANN401
    return Incoming(
        topic=m.topic,
        payload=bytes(m.payload),
        qos=m.qos,
        retain=False,
        dup=False,
        mid=m.mid,
        received_ns=0,
        connection=connection,
        link=link,
    )


def arrive(link: Link, count: int, *, first: int = 1) -> None:
    """QoS 1 messages, as paho hands them over."""
    for mid in range(first, first + count):
        message = MQTTMessage(mid, b"plant/r1")
        message.qos, message.payload = 1, b"{}"
        link._client.on_message(link._client, None, message)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """Put the parts together."""
    return Site(tmp_path)


def test_nothing_is_taken_or_said_before_the_fence_was_heard(site: Site) -> None:
    """From neither broker, and what is shed meanwhile is acknowledged only then."""
    for link in (site.saying, site.reading):
        site.connect(link)
        arrive(link, 5)
        assert link.drain(10) == []
        assert link.queue_depth == 0, "or the loop would turn without a pause"
        assert link.publish("status", b"x", qos=1, retain=True) is None or link is site.reading
        assert link.counts.shed == 3
        assert link._client.acked == []
    assert site.saying._client.published == []
    site.heard()
    assert site.saying._client.published == [TOPICS.fence]
    for link in (site.saying, site.reading):
        taken = link.drain(10)
        link.ack(taken)
        assert sorted(link._client.acked) == [1, 2, 3, 4, 5]


def test_nothing_is_acknowledged_before_the_next_connection_stands(site: Site) -> None:
    """It would be sent before our greeting; the broker sends the message again instead."""
    for link in (site.saying, site.reading):
        site.connect(link)
    site.heard()
    link = site.reading
    arrive(link, 2)
    first, second = link.drain(10)
    link.ack([first])
    link._client.connected = False  # paho connects anew, and has not greeted yet
    link.ack([second])
    assert link._client.acked == [first.mid]
    link._client.connected = True
    site.connect(link)
    link.ack([second])
    assert link._client.acked == [first.mid], "of a connection that is gone"


def test_the_input_knows_nothing_of_the_fence(site: Site) -> None:
    """It neither subscribes there nor says anything; the output asks first, and once more."""
    site.connect(site.reading)
    site.connect(site.saying)
    site.heard()
    assert site.reading._client.subscribed == ["plant/#"]
    assert site.reading._client.published == []
    assert site.saying._client.subscribed == [TOPICS.fence, "plant/#", TOPICS.fence]


def test_an_outage_of_the_output_does_not_stop_the_input(site: Site) -> None:
    """It was heard once in this process; alerts wait in the outbox meanwhile."""
    site.connect(site.reading)
    site.connect(site.saying)
    site.heard()
    site.lose(site.saying)
    arrive(site.reading, 1)
    arrive(site.saying, 1)
    assert len(site.reading.drain(10)) == 1
    assert site.saying.drain(10) == [], "that broker sends it again, to whoever speaks"


@pytest.mark.parametrize("heard", [False, True])
def test_a_rival_is_waited_for_only_once_the_fence_was_heard(site: Site, *, heard: bool) -> None:
    """Else the box that lost would not learn of it, and the one that won would stay away."""
    for _ in range(TAKEN_MIN + 1):
        site.connect(site.saying)
        if heard:
            site.heard()
        site.lose(site.saying)
    assert site.saying.rival
    assert (int(WAIT_S) in site.saying._client.delays_s) is heard
