"""The second pair of ears hears what it is there for."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Final

import pytest

from edge.brokers.endpoint import Endpoint
from edge.brokers.mqtt import Publisher
from tests.broker.conftest import free_port
from tests.broker.overheard import Overheard, gateway_starts, not_listed
from tests.broker.plants import settings
from tests.broker.started import STARTED, Told, answered_for, unheard
from tests.chaos.proxy import Proxy
from tests.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.broker.conftest import Mosquitto


@pytest.fixture
def broker(mosquitto_of: type[Mosquitto], tmp_path: Path) -> Iterator[Mosquitto]:
    """One whose ears are asked by the test itself."""
    made = mosquitto_of(tmp_path)
    made.start()
    yield made
    made.overheard.stop()
    made.stop()


def say(endpoint: Endpoint, *topics: str) -> None:
    """Publish on each of the topics; returns when the broker has confirmed all."""
    with Publisher(endpoint) as publisher:
        for topic in topics:
            publisher.publish(topic, b"1")
        publisher.drain()


def until_heard(broker: Mosquitto, *topics: str) -> None:
    """Wait for the second pair of ears."""
    wait_until(lambda: broker.overheard.heard() >= set(topics), what="all of it")


LISTED: Final = ("andon/s/status", "andon/s/cmd_result/ann")
BEYOND: Final = "line/r1/setpoint"


@pytest.mark.parametrize("who", ["andon", "somebody"])
@pytest.mark.parametrize("way", ["port", "proxy"])
def test_what_a_gateway_publishes_beyond_its_list_is_found(
    broker: Mosquitto, tmp_path: Path, who: str, way: str
) -> None:
    """A control topic from its client id fails the test that it happened in; others may.

    It is the same gateway where it knows its broker by another port.
    """
    with ExitStack() as stack:
        port = broker.port
        if way == "proxy":
            port = stack.enter_context(Proxy(broker.port)).port
            broker.overheard.reached_by(port)
        gateway_starts(settings(tmp_path, mqtt={"port": port}), {})
        say(Endpoint(port=port, client_id=who), *LISTED, BEYOND)
        until_heard(broker, *LISTED, BEYOND)
    if who == "andon":
        with pytest.raises(AssertionError, match=BEYOND):
            broker.overheard.check()
    else:
        broker.overheard.check()
    assert not [told for told in STARTED if port in told.ports]


@pytest.mark.parametrize(
    ("payload", "retain", "found"),
    [(b"{}", True, "StatusPayload at"), (b'{"online":true}', False, "QoS and retain of")],
    ids=["payload", "way"],
)
def test_what_a_gateway_says_otherwise_than_described_is_found(
    broker: Mosquitto, tmp_path: Path, payload: bytes, found: str, *, retain: bool
) -> None:
    """A payload that its schema does not know, and one that nobody would find retained."""
    gateway_starts(settings(tmp_path, mqtt={"port": broker.port}), {})
    with Publisher(Endpoint(port=broker.port, client_id="andon")) as publisher:
        publisher.publish(LISTED[0], payload, retain=retain)
        publisher.drain()
    until_heard(broker, LISTED[0])
    with pytest.raises(AssertionError, match=found):
        broker.overheard.check()


def test_what_nobody_noted_is_found_by_ear(broker: Mosquitto, tmp_path: Path) -> None:
    """A last will is in no line of the log that says who published."""
    gateway_starts(settings(tmp_path, mqtt={"port": broker.port}), {})
    say(Endpoint(port=broker.port), *LISTED, BEYOND)
    until_heard(broker, *LISTED, BEYOND)
    broker.overheard.log.write_text("", encoding="utf-8")
    with pytest.raises(AssertionError, match=f"heard, .*{BEYOND}"):
        broker.overheard.check()


def test_a_gateway_that_no_ears_were_asked_about_is_named() -> None:
    """With the test that started it, until each of its brokers was asked."""
    started = [
        Told(frozenset({"andon"}), frozenset(), {1, 2}, "tests/a.py::test_a (call)"),
        Told(frozenset({"andon", "out"}), frozenset(), {3}, "tests/a.py::test_b (call)"),
    ]
    assert not answered_for({4}, started)
    assert len(answered_for({1, 9}, started)) == 1
    assert unheard(started) == [
        "tests/a.py::test_a: a gateway as andon on port 2",
        "tests/a.py::test_b: a gateway as andon and out on port 3",
    ]
    assert len(answered_for({2, 3}, started)) == 2
    assert not unheard(started)


def test_ears_that_never_listened_prove_nothing(tmp_path: Path) -> None:
    """Nothing heard is not nothing said."""
    port = free_port()
    gateway_starts(settings(tmp_path, mqtt={"port": port}), {})
    with pytest.raises(AssertionError, match="nobody listened"):
        Overheard(port, tmp_path).check()


def test_only_the_level_of_the_operator_is_open() -> None:
    """`+` is one level, and only where the list has it."""
    listed = {"a/s/cmd_result/+", "a/s/alert/r1/process"}
    assert not not_listed({"a/s/cmd_result/ann", "a/s/alert/r1/process"}, listed)
    beyond = {"a/s/cmd_result/ann/x", "a/s/cmd/ann", "a/s/alert/r2/process", "a/s/cmd_result"}
    assert not_listed(beyond, listed) == beyond
