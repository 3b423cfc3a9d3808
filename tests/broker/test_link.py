"""The gateway's link and the replay's publisher against a real broker."""

from __future__ import annotations

import signal
import socket
import threading
from typing import TYPE_CHECKING

import pytest

from edge.brokers.endpoint import Endpoint
from edge.brokers.link import Link
from edge.brokers.mqtt import BrokerError, Collector, Publisher, new_client, stop
from edge.brokers.transport import Will
from edge.caps import PAYLOAD_BYTES_MAX
from tests.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge.brokers.inbox import Incoming
    from tests.broker.conftest import Mosquitto


def link_to(broker: Mosquitto, *, queue_messages_max: int = 100_000, name: str = "gateway") -> Link:
    """Start a link to `plant/#`."""
    link = Link(
        Endpoint(port=broker.port, client_id=name),
        filters=["plant/#"],
        queue_messages_max=queue_messages_max,
        will=Will(topic="status", payload=b"gone"),
        on_connected=lambda: None,
        wake=threading.Event(),
    )
    link.start()
    return link


def send(broker: Mosquitto, payloads: list[bytes]) -> None:
    """Publish to plant/a with QoS 1; returns when all are confirmed."""
    with Publisher(Endpoint(port=broker.port)) as publisher:
        for payload in payloads:
            publisher.publish("plant/a", payload)
        publisher.drain()


def take(link: Link, count: int, seen: Callable[[Incoming], object]) -> list[Incoming]:
    """Drain and acknowledge until `seen` has taken `count` different payloads."""
    got: list[Incoming] = []
    different: set[bytes] = set()

    def enough() -> bool:
        messages = link.drain(1000)
        link.ack(messages)
        for message in messages:
            seen(message)
            different.add(message.payload)
        got.extend(messages)
        return len(different) >= count

    wait_until(enough, what=f"{count} messages", seconds_max=60)
    return got


def ready(link: Link) -> None:
    """Wait until the link's session exists."""
    wait_until(lambda: link.connected and link.counts.connects, what="the connection")


def test_what_was_not_acknowledged_comes_again(mosquitto: Mosquitto) -> None:
    """A gateway that dies before it journaled gets the messages again, marked as repeated."""
    payloads = [b"%d" % i for i in range(50)]
    first = link_to(mosquitto)
    with Collector(Endpoint(port=mosquitto.port), ["plant/#"]) as witness:
        ready(first)
        wait_until(lambda: subscribed(mosquitto, witness), what="the subscription")
        send(mosquitto, payloads)
        came: set[bytes] = set()

        def all_came() -> bool:
            came.update(m.payload for m in first.drain(1000))
            return came >= {*payloads}

        wait_until(all_came, what="the messages")
    first.stop()  # nothing was acknowledged
    second = link_to(mosquitto)
    again = [m for m in take(second, len(came), lambda _: None) if m.payload != b"probe"]
    assert [m.payload for m in again] == payloads
    assert all(m.dup for m in again)
    heard = second.publish("out/a", b"", qos=1, retain=False)  # behind the acknowledgements
    wait_until(lambda: heard in second.confirmed(), what="the broker to have read them")
    second.stop()
    third = link_to(mosquitto)
    ready(third)
    send(mosquitto, [b"end"])
    rest = take(third, 1, lambda _: None)
    assert [m.payload for m in rest] == [b"end"], "acknowledged messages came again"
    third.stop()


def subscribed(broker: Mosquitto, witness: Collector) -> bool:
    """Whether messages to plant/# arrive at all; the link's own was granted before."""
    if not witness.queue:
        with Publisher(Endpoint(port=broker.port)) as publisher:
            publisher.publish("plant/a", b"probe")
            publisher.drain()
    return bool(witness.queue)


def test_what_does_not_fit_is_shed_and_the_broker_goes_on(mosquitto: Mosquitto) -> None:
    """Shed is acknowledged: kept back, it would fill the broker's window, and nothing would come.

    What waits is the newest, and every message is either taken or counted.
    """
    link = link_to(mosquitto, queue_messages_max=10)
    ready(link)
    payloads = [b"%d" % i for i in range(200)]
    send(mosquitto, payloads)
    wait_until(lambda: link.counts.received == len(payloads), what="all of them")
    assert link.counts.shed == len(payloads) - 10
    seen: list[bytes] = []
    take(link, 10, lambda m: seen.append(m.payload))
    assert seen == payloads[-10:]
    send(mosquitto, [b"later"] * 5)
    take(link, 1, lambda m: seen.append(m.payload))
    link.stop()
    again = link_to(mosquitto)
    ready(again)
    send(mosquitto, [b"last"])
    take(again, 1, lambda m: seen.append(m.payload))
    assert seen[-1] == b"last"
    assert not set(seen[10:]) & set(payloads), "nothing that was shed comes again"
    again.stop()


def test_nothing_is_lost_over_a_restart_of_the_broker(mosquitto: Mosquitto) -> None:
    """5,000 QoS 1 messages reach the link although the broker goes away in their middle."""
    link = link_to(mosquitto)
    ready(link)
    payloads = [b"%d" % i for i in range(5000)]
    seen: set[bytes] = set()
    halfway = threading.Event()
    failures: list[BaseException] = []

    def publish() -> None:
        try:
            with Publisher(Endpoint(port=mosquitto.port), in_flight_max=100) as publisher:
                for i, payload in enumerate(payloads):
                    if i == 2500:
                        halfway.set()
                    publisher.publish("plant/a", payload)
                publisher.drain()
        except BaseException as error:  # noqa: BLE001 - told to the test below
            failures.append(error)

    sender = threading.Thread(target=publish)
    sender.start()
    assert halfway.wait(30)
    take(link, 1000, lambda m: seen.add(m.payload))
    mosquitto.stop()
    mosquitto.start()

    def all_there() -> bool:
        messages = link.drain(1000)
        link.ack(messages)
        seen.update(m.payload for m in messages)
        return len(seen) == len(payloads)

    wait_until(all_there, what="all of the messages", seconds_max=60)
    sender.join(60)
    assert not sender.is_alive()
    assert not failures
    assert seen == set(payloads)
    assert link.counts.disconnects >= 1
    link.stop()


def test_an_acknowledgement_of_an_earlier_connection_is_not_sent(mosquitto: Mosquitto) -> None:
    """Ids start anew with a connection: an old one might acknowledge what was never journaled."""
    link = link_to(mosquitto)
    ready(link)
    send(mosquitto, [b"old"])
    wait_until(lambda: link.queue_depth == 1, what="the message")
    old = link.drain(10)
    mosquitto.stop()
    wait_until(lambda: not link.connected, what="the end of the connection")
    mosquitto.start()
    wait_until(lambda: link.queue_depth == 1, what="the message again", seconds_max=60)
    link.ack(old)  # journaled only now, over the new connection
    link.stop()
    after = link_to(mosquitto)
    again = take(after, 1, lambda _: None)
    assert [m.payload for m in again] == [b"old"]
    after.stop()


def test_what_finds_no_room_behind_a_broker_that_hangs_is_counted(mosquitto: Mosquitto) -> None:
    """Retained or not; without a connection only what is not retained: the rest is said again."""
    link = link_to(mosquitto)
    ready(link)
    mosquitto.signal(signal.SIGSTOP)
    try:
        for retain in (False, True):
            before = link.counts.not_sent
            while link.publish("out/a", b"1", qos=1, retain=retain) is not None:
                pass
            assert link.connected
            assert link.counts.not_sent == before + 1
    finally:
        mosquitto.signal(signal.SIGCONT)
    link.stop()
    before = link.counts.not_sent
    for retain in (True, False):
        assert link.publish("out/a", b"1", qos=1, retain=retain) is None
    assert link.counts.not_sent == before + 1


def test_an_oversize_payload_is_cut_and_counted(mosquitto: Mosquitto) -> None:
    """It stays over the cap, so that it is refused as oversize, and small enough for a journal."""
    link = link_to(mosquitto)
    ready(link)
    send(mosquitto, [b"x" * (5 << 20)])
    (message,) = take(link, 1, lambda _: None)
    assert len(message.payload) == PAYLOAD_BYTES_MAX + 1
    assert link.counts.oversize == 1
    link.stop()


def test_the_link_publishes_and_names_what_was_confirmed(mosquitto: Mosquitto) -> None:
    """Ids of QoS 1 publications come back; without a connection there is none to wait for."""
    link = link_to(mosquitto)
    ready(link)
    with Collector(Endpoint(port=mosquitto.port), ["out/#"]) as collector:
        mid = link.publish("out/a", b"1", qos=1, retain=False)
        assert mid is not None
        wait_until(lambda: mid in link.confirmed(), what="the confirmation")
        wait_until(lambda: collector.queue, what="the message")
        mosquitto.stop()
        wait_until(lambda: not link.connected, what="the end of the connection")
        assert link.publish("out/a", b"2", qos=1, retain=False) is None
        mosquitto.start()
        wait_until(lambda: link.connected, what="the connection", seconds_max=60)
        mid = link.publish("out/a", b"3", qos=1, retain=True)
        assert mid is not None
        wait_until(lambda: mid in link.confirmed(), what="the confirmation")
    with Collector(Endpoint(port=mosquitto.port), ["out/#"]) as collector:
        wait_until(lambda: collector.queue, what="the retained message")
        assert [m.payload for m in collector.queue] == [b"3"]
        assert collector.queue[0].retain
    link.stop()


def test_the_last_will_speaks_only_for_the_dead(mosquitto: Mosquitto) -> None:
    """A clean stop leaves the will unsaid; a connection that breaks has it published, retained."""
    link = link_to(mosquitto)
    ready(link)
    with Collector(Endpoint(port=mosquitto.port), ["status"]) as collector:
        link.stop()
        broken = link_to(mosquitto, name="other")
        ready(broken)
        link_socket = broken._client.socket()
        assert isinstance(link_socket, socket.socket)
        link_socket.shutdown(socket.SHUT_RDWR)
        wait_until(lambda: collector.queue, what="the will")
        assert [m.payload for m in collector.queue] == [b"gone"]
        broken.stop()


def test_a_publisher_keeps_to_its_window(mosquitto: Mosquitto) -> None:
    """Never more than the window is unconfirmed, and all arrives in order."""
    most = 0
    with (
        Collector(Endpoint(port=mosquitto.port), ["plant/#"]) as collector,
        Publisher(Endpoint(port=mosquitto.port), in_flight_max=7) as publisher,
    ):
        for i in range(500):
            publisher.publish("plant/a", b"%d" % i)
            most = max(most, publisher._in_flight)
        publisher.drain()
        assert publisher._in_flight == 0
        wait_until(lambda: len(collector.queue) == 500, what="500 messages")
        assert [m.payload for m in collector.queue] == [b"%d" % i for i in range(500)]
    assert 1 < most <= 7


def test_a_publisher_says_when_nothing_is_confirmed(mosquitto: Mosquitto) -> None:
    """With the broker gone, draining ends with an error that counts what is open."""
    with Publisher(Endpoint(port=mosquitto.port)) as publisher:
        mosquitto.stop()
        wait_until(lambda: not publisher._client.is_connected(), what="the end")
        publisher.publish("plant/a", b"1")
        with pytest.raises(BrokerError, match="1 messages unconfirmed"):
            publisher.drain(seconds_max=0.1)


def test_a_collector_counts_what_it_drops(mosquitto: Mosquitto) -> None:
    """Its queue is bounded, and the oldest messages are the ones kept."""
    with Collector(Endpoint(port=mosquitto.port), ["plant/#"], queue_max=3) as collector:
        send(mosquitto, [b"%d" % i for i in range(10)])
        wait_until(lambda: collector.dropped == 7, what="seven drops")
        assert [m.payload for m in collector.queue] == [b"0", b"1", b"2"]


def test_a_refusal_is_told_at_once(mosquitto: Mosquitto) -> None:
    """A broker that wants a password is not mistaken for one that does not answer."""
    mosquitto.stop()
    mosquitto.start(more="allow_anonymous false")
    with pytest.raises(BrokerError, match="refused"), Publisher(Endpoint(port=mosquitto.port)):
        pass
    with (
        pytest.raises(BrokerError, match="refused"),
        Collector(Endpoint(port=mosquitto.port), ["#"]),
    ):
        pass


def test_who_waits_to_try_again_tries_less_and_less_and_ends_when_told() -> None:
    """Each wait is twice the one before, up to half a minute, and `stop` cuts it short."""
    waits: list[float] = []
    client = new_client(Endpoint(port=1), persistent=False)

    def wait(timeout: float | None = None) -> bool:
        waits.append(timeout or 0.0)
        return False

    client.stopping.wait = wait  # type: ignore[method-assign]
    for _ in range(7):
        client._reconnect_wait()
    assert waits == [1, 2, 4, 8, 16, 30, 30]
    assert not client.stopping.is_set()
    stop(client)
    assert client.stopping.is_set()
