"""Reading ahead at a real broker, over all that MQTT comes over: nothing lost or swapped."""

from __future__ import annotations

import ssl
import threading
from typing import TYPE_CHECKING, Any, Final

import paho.mqtt.client as paho
import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from edge.brokers import mqtt
from edge.brokers.endpoint import Endpoint
from edge.brokers.link import Link
from edge.brokers.mqtt import Client, Publisher, start, stop
from edge.brokers.tls import TlsFiles
from tests.broker.certificates import Authority
from tests.broker.conftest import free_port
from tests.waiting import wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from edge.brokers.inbox import Incoming
    from tests.broker.conftest import Mosquitto

# of every length of length; the largest are more than one turn reads
SIZES: Final = (0, 1, 90, 110, 130, 1_000, 16_300, 16_500, 70_000, 300_000)
COUNT: Final = 600
FRAMED: Final = 150  # every length twice: paho masks each byte by itself, half a minute for all
V5: Final = paho.MQTTv5


def sent(client: paho.Client, count: int) -> list[tuple[str, bytes]]:
    """Publish to `plant/...`, a third of each QoS; returns what, in order of each topic."""
    made = []
    for i in range(count):
        topic = f"plant/{i % 3}"
        size = SIZES[i // 7 % len(SIZES)] if i % 7 == 0 else SIZES[i % 6]
        payload = b"%d " % i + b"x" * size
        client.publish(topic, payload, qos=i % 3)
        made.append((topic, payload))
    return made


def heard(client: Client, endpoint: Endpoint, count: int = COUNT) -> list[tuple[str, bytes]]:
    """What comes of all that is published; of each topic in order."""
    found: list[tuple[str, bytes]] = []
    granted = threading.Event()
    batches: list[int] = []

    def on_batch(messages: list[Incoming]) -> None:
        batches.append(len(messages))
        found.extend((m.topic, m.payload) for m in messages)

    client.on_batch = on_batch
    client.on_message = lambda _c, _d, m: found.append((m.topic, bytes(m.payload)))
    client.on_connect = lambda c, *_: c.subscribe("plant/#", 2)
    client.on_subscribe = lambda *_: granted.set()
    start(client, endpoint)
    assert granted.wait(20.0)
    made = sent(client, count)
    wait_until(lambda: len(found) >= count, what=f"{count} messages", seconds_max=60)
    stop(client)
    assert len(batches) < count * 2 / 3, "some came together"
    for i in range(3):
        name = f"plant/{i}"
        assert [one for one in found if one[0] == name] == [one for one in made if one[0] == name]
    return found


@pytest.mark.parametrize("version", [paho.MQTTv311, V5])
def test_over_tcp(mosquitto: Mosquitto, version: Any) -> None:  # noqa: ANN401 - paho's
    """Both versions of MQTT."""
    endpoint = Endpoint(port=mosquitto.port)
    assert len(heard(Client(endpoint, protocol=version), endpoint)) == COUNT


def test_over_tls(mosquitto: Mosquitto, tmp_path: Path) -> None:
    """What TLS has read and not given is read too: no other packet has to come for it."""
    authority, port = Authority(tmp_path), free_port()
    pair = authority.issue("broker")
    mosquitto.stop()
    mosquitto.start(more=f"listener {port} 127.0.0.1\ncertfile {pair.cert}\nkeyfile {pair.key}\n")
    endpoint = Endpoint(host="localhost", port=port, tls=TlsFiles(ca=str(authority.file)))
    client = Client(endpoint)
    assert len(heard(client, endpoint)) == COUNT


@pytest.mark.parametrize("secured", [False, True])
def test_over_websockets(mosquitto: Mosquitto, tmp_path: Path, *, secured: bool) -> None:
    """Paho's own framing below ours."""
    authority, port = Authority(tmp_path), free_port()
    pair = authority.issue("broker")
    more = f"listener {port} 127.0.0.1\nprotocol websockets\n"
    more += f"certfile {pair.cert}\nkeyfile {pair.key}\n" if secured else ""
    mosquitto.stop()
    try:
        mosquitto.start(more=more)
    except AssertionError:
        pytest.skip("needs a mosquitto with websockets")
    endpoint = Endpoint(host="localhost", port=port)
    client = Client(endpoint, transport="websockets")
    if secured:
        client.tls_set_context(ssl.create_default_context(cafile=str(authority.file)))
    assert len(heard(client, endpoint, FRAMED)) == FRAMED


def test_properties_of_mqtt_5_are_read(mosquitto: Mosquitto) -> None:
    """A message with some is paho's to read, between others that are not."""
    endpoint, found, granted = Endpoint(port=mosquitto.port), list[Any](), threading.Event()
    client = Client(endpoint, protocol=V5)
    client.on_batch = lambda batch: found.extend((m.payload, None) for m in batch)

    def on_message(_client: Any, _data: Any, m: Any) -> None:  # noqa: ANN401 - paho's
        found.append((m.payload, m.properties.ContentType))

    client.on_message = on_message
    client.on_connect = lambda c, *_: c.subscribe("plant/#", 1)
    client.on_subscribe = lambda *_: granted.set()
    start(client, endpoint)
    assert granted.wait(20.0)
    told: Any = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
    told.ContentType = "text"
    for i in range(30):
        client.publish("plant/a", b"%d" % i, 1, properties=told if i % 3 == 1 else None)
    wait_until(lambda: len(found) == 30, what="30 messages")
    stop(client)
    assert found == [(b"%d" % i, "text" if i % 3 == 1 else None) for i in range(30)]


def test_a_link_works_with_another_paho_and_says_so(
    mosquitto: Mosquitto, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One by one, each acknowledged, and an engineer sees why it costs more."""
    monkeypatch.setattr(mqtt, "paho_version", "9.9.9")
    link = Link(
        Endpoint(port=mosquitto.port, client_id="gateway"),
        filters=["plant/#"],
        queue_messages_max=1_000,
        will=None,
        on_connected=lambda: None,
        wake=threading.Event(),
    )
    link.start()
    wait_until(lambda: link.connected, what="the connection")
    with Publisher(Endpoint(port=mosquitto.port)) as publisher:
        for i in range(100):
            publisher.publish("plant/a", b"%d" % i)
        publisher.drain()
    wait_until(lambda: link.queue_depth == 100, what="100 messages")
    taken = link.drain(1_000)
    link.ack(taken)
    link.stop()
    assert [m.payload for m in taken] == [b"%d" % i for i in range(100)]
    assert "9.9.9" in link.reads_plainly
