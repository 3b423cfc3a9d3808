"""Which brokers a gateway talks to: one for everything, or one that it only reads and one for ours.

Where zones are separate, the input broker stands with the machines and the output broker with the
people: nothing at all is published on the input, not even a last will, and what comes over the
wrong one is not taken.
"""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING

from edge.brokers import mqtt
from edge.brokers.endpoint import Endpoint
from edge.brokers.link import INPUT, OUTPUT, Link
from edge.brokers.link_counts import LinkCounts
from edge.brokers.rights import command_filters, sensor_filters
from edge.brokers.tls import TlsFiles
from edge.configuration.config import password
from edge.storage.disk import CLOCK
from edge.wire.topics import Topics

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Sequence

    from edge.boxes.fencing import Fence
    from edge.brokers.inbox import Inbox, Incoming
    from edge.brokers.transport import Transport, Will
    from edge.configuration.config import GatewayConfig
    from edge.configuration.sections import BrokerConfig
    from edge.storage.disk import Clock


def endpoint_of(config: GatewayConfig, broker: BrokerConfig | None = None) -> Endpoint:
    """Where a section connects to, [mqtt] without one.

    Raises ConfigError for a password that is not there.
    """
    broker = config.mqtt if broker is None else broker

    def path(name: str) -> str:
        return str(config.path(name)) if name else ""

    tls = TlsFiles(
        ca=path(broker.tls_ca_file),
        cert=path(broker.tls_cert_file),
        key=path(broker.tls_key_file),
        key_password=path(broker.tls_key_password_file),
        crl=path(broker.tls_crl_file),
        server_name=broker.tls_server_name,
    )
    return Endpoint(
        host=broker.host,
        port=broker.port,
        client_id=broker.client_id,
        username=broker.username,
        password=password(broker, config.path("")),
        keepalive_s=broker.keepalive_s,
        tls=tls if broker.tls_ca_file else None,
    )


class LinkPair:
    """Two links that look like one: values from the input, everything of ours over the output."""

    def __init__(self, reading: Link, saying: Link) -> None:
        """Take two links with names of their own."""
        self.links = (reading, saying)
        self._reading, self._saying = reading, saying
        self._heard, self._rounds = (0, 0), 0

    def start(self) -> None:
        """Connect both in the background."""
        self._reading.start()
        self._saying.start()

    def stop(self) -> None:
        """Disconnect both cleanly."""
        self._reading.stop()
        self._saying.stop()

    @property
    def connected(self) -> bool:
        """Whether what we say now would be heard."""
        return self._saying.connected

    @property
    def heard_total(self) -> int:
        """How often both brokers had sent something again: it stands still while either is silent.

        Or while the input is not there.
        """
        heard = self._reading.heard_total, self._saying.heard_total
        again = all(now != then for now, then in zip(heard, self._heard, strict=True))
        if again and self._reading.connected:
            self._heard, self._rounds = heard, self._rounds + 1
        return self._rounds

    @property
    def reads_plainly(self) -> str:
        """As `Link.reads_plainly`; both have the same client."""
        return self._reading.reads_plainly

    @property
    def alive(self) -> bool:
        """Whether both network threads live."""
        return self._reading.alive and self._saying.alive

    @property
    def forgotten(self) -> int:
        """Connections at which one of the brokers may have begun anew."""
        return self._reading.forgotten + self._saying.forgotten

    @property
    def queue_depth(self) -> int:
        """Messages that wait to be journaled."""
        return self._reading.queue_depth + self._saying.queue_depth

    @property
    def counts(self) -> LinkCounts:
        """What happened on both, added up."""
        total = LinkCounts()
        for link in self.links:
            for one in fields(LinkCounts):
                setattr(total, one.name, getattr(total, one.name) + getattr(link.counts, one.name))
        return total

    def drain(self, limit: int) -> list[Incoming]:
        """Take up to `limit` messages; commands first: they are few, and people wait for them."""
        taken = self._saying.drain(limit)
        return taken + self._reading.drain(limit - len(taken))

    def ack(self, messages: Sequence[Incoming]) -> None:
        """Tell each broker which of its messages are safe."""
        for link in self.links:
            link.ack(messages)

    def publish(self, topic: str, payload: bytes, *, qos: int, retain: bool) -> int | None:
        """Send over the output; as `Link.publish`."""
        return self._saying.publish(topic, payload, qos=qos, retain=retain)

    @property
    def broker(self) -> str:
        """Where what we say goes."""
        return self._saying.broker

    @property
    def asked(self) -> str:
        """As `Link.asked`, of the output."""
        return self._saying.asked

    def ask(self, filters: Sequence[str]) -> None:
        """As `Link.ask`: what of ours the output broker retains."""
        self._saying.ask(filters)

    def leave(self, filters: Sequence[str]) -> None:
        """As `Link.leave`."""
        self._saying.leave(filters)

    def own(self) -> list[tuple[str, bytes]]:
        """As `Link.own`."""
        return self._saying.own()

    def confirmed(self) -> list[int]:
        """Ids of publications that the output broker has confirmed."""
        return self._saying.confirmed()


def links_of(  # noqa: PLR0913 - as Link
    config: GatewayConfig,
    *,
    will: Will,
    on_connected: Callable[[], None],
    wake: threading.Event,
    inbox: Inbox | None = None,
    own: str | tuple[str, ...] = "",
    guard: Fence | None = None,
    transport: Transport = mqtt,
    clock: Clock = CLOCK,
) -> Link | LinkPair:
    """The link or the two that a configuration asks for; nothing is connected yet.

    inbox: where what comes waits; commands over a link of their own wait in one beside it.
    own: how topics of ours begin that may be asked back. guard: of the link that we speak over.
    Raises BrokerError for certificates, ConfigError for passwords that cannot be read.
    """
    queue = config.mqtt.queue_messages_max
    sensors, commands = sensor_filters(config), command_filters(config)
    if config.mqtt.output is None:
        return Link(
            endpoint_of(config),
            filters=[*sensors, *commands],
            queue_messages_max=queue,
            will=will,
            on_connected=on_connected,
            wake=wake,
            inbox=inbox,
            own=own,
            transport=transport,
            clock=clock,
            guard=guard,
        )
    head = f"{Topics(config.prefix, config.site).root}/cmd/"
    reading = Link(
        endpoint_of(config),
        filters=sensors,
        queue_messages_max=queue,
        will=None,
        on_connected=lambda: None,
        wake=wake,
        inbox=inbox,
        transport=transport,
        clock=clock,
        name=INPUT,
        behind=guard,
        belongs=lambda topic: not topic.startswith(head),
    )
    saying = Link(
        endpoint_of(config, config.mqtt.output),
        filters=commands,
        queue_messages_max=queue,
        will=will,
        on_connected=on_connected,
        wake=wake,
        inbox=None if inbox is None else inbox.beside(),
        own=own,
        transport=transport,
        clock=clock,
        name=OUTPUT,
        guard=guard,
        belongs=lambda topic: topic.startswith(head),
    )
    return LinkPair(reading, saying)
