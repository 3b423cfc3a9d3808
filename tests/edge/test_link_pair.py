"""Two brokers: what operators send over their own waits by the same rules as over one."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

import paho.mqtt.client as paho

from edge.brokers.inbox import COMMANDS_MAX, COMMANDS_TAKEN_MAX, Inbox
from edge.brokers.lanes import Lanes
from edge.brokers.links import LinkPair, links_of
from edge.brokers.transport import Will
from edge.configuration.config import GatewayConfig
from edge.configuration.sections import BrokerConfig, ModelConfig, MqttConfig

if TYPE_CHECKING:
    from edge.brokers.link import Link

ANNA: Final = "andon/s/cmd/anna/ack"
FLOODER: Final = "andon/s/cmd/flooder/ack"


def pair() -> LinkPair:
    """A gateway's two connections, never opened."""
    mqtt = MqttConfig(client_id="a", output=BrokerConfig(client_id="b", port=1884))
    config = GatewayConfig(site="s", mqtt=mqtt, model=ModelConfig(bundle="b"))
    lanes = Lanes(config.settings, known=["r1"])
    found = links_of(
        config,
        will=Will(topic="andon/s/status", payload=b""),
        on_connected=lambda: None,
        wake=threading.Event(),
        inbox=Inbox(messages_max=config.mqtt.queue_messages_max, lane_of=lanes.of),
    )
    assert isinstance(found, LinkPair)
    return found


def come(link: Link, topic: str, mid: int) -> None:
    """A message comes."""
    message = paho.MQTTMessage(mid=mid, topic=topic.encode())
    message.payload, message.qos = b"{}", 1
    link._message(None, None, message)


def test_an_operator_is_heard_through_the_flood_of_another_and_so_are_values() -> None:
    """The one with most waiting loses its oldest; of a turn commands take a part."""
    both = pair()
    reading, saying = both.links
    come(reading, "plant/r1", 1)
    come(saying, ANNA, 1)
    for mid in range(2, 2 * COMMANDS_MAX):
        come(saying, FLOODER, mid)
    assert both.queue_depth <= COMMANDS_MAX + 1
    assert both.counts.shed == 2 * COMMANDS_MAX + 1 - 1 - both.queue_depth
    taken = both.drain(1_000)
    assert taken[0].topic == ANNA
    assert len(taken) == COMMANDS_TAKEN_MAX + 1
    assert taken[-1].topic == "plant/r1"


def test_a_broker_that_is_silent_is_noticed_beside_one_that_talks() -> None:
    """Whichever of the two it is, and however much it said before."""
    for silent in (0, 1):
        both = pair()
        reading, saying = both.links
        reading._granted = True
        reading._client.is_connected = lambda: True
        reading.heard_total, saying.heard_total = 1_000_000 * (1 - silent), 1_000_000 * silent
        for link in both.links:
            link.heard_total += 1
        before = both.heard_total
        for _ in range(5):
            both.links[1 - silent].heard_total += 1
            assert both.heard_total == before
        for _ in range(5):
            for link in both.links:
                link.heard_total += 1
            assert both.heard_total > before
            before = both.heard_total
