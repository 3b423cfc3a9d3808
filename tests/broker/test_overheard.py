"""The second pair of ears hears what it is there for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from edge.brokers.mqtt import Collector, Endpoint, Publisher
from tests.broker import overheard
from tests.broker.overheard import Told, not_listed
from tests.waiting import wait_until

if TYPE_CHECKING:
    from tests.broker.conftest import Mosquitto


@pytest.mark.parametrize("who", ["andon", "somebody"])
def test_what_a_gateway_publishes_beyond_its_list_is_found(mosquitto: Mosquitto, who: str) -> None:
    """A control topic from its client id fails the test that it happened in; others may."""
    told = Told(frozenset({"andon"}), {"andon/s/status", "andon/s/cmd_result/+"})
    overheard.GATEWAYS[mosquitto.port] = [told]
    try:
        with Collector(Endpoint(port=mosquitto.port), ["#"]) as heard:
            with Publisher(Endpoint(port=mosquitto.port, client_id=who)) as publisher:
                for topic in ("andon/s/status", "andon/s/cmd_result/ann", "line/r1/setpoint"):
                    publisher.publish(topic, b"1")
                publisher.drain()
            wait_until(lambda: len(heard.queue) == 3, what="all of it")
        if who == "andon":
            with pytest.raises(AssertionError, match="line/r1/setpoint"):
                mosquitto.overheard.check()
        else:
            mosquitto.overheard.check()
    finally:
        del overheard.GATEWAYS[mosquitto.port]


def test_only_the_level_of_the_operator_is_open() -> None:
    """`+` is one level, and only where the list has it."""
    listed = {"a/s/cmd_result/+", "a/s/alert/r1/process"}
    assert not not_listed({"a/s/cmd_result/ann", "a/s/alert/r1/process"}, listed)
    beyond = {"a/s/cmd_result/ann/x", "a/s/cmd/ann", "a/s/alert/r2/process", "a/s/cmd_result"}
    assert not_listed(beyond, listed) == beyond
