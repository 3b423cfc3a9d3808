"""Sparkplug B: a node with a device an asset, over a connection of its own.

Connected only while the gateway itself may speak: of two boxes of one site one is the node. A slow
broker is told the newest values alone; one that was away hears births first, and nothing old.
"""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from edge.brokers.links import endpoint_of
from edge.brokers.node_link import NodeLink
from edge.errors import UNREADABLE, AndonError, WireError
from edge.outputs.output import Tally
from edge.outputs.sparkplug_book import BOOK, SessionBook
from edge.outputs.sparkplug_metrics import FOLDERS, KINDS, of_alert, of_score
from edge.storage.disk import CLOCK, DISK
from edge.wire.sparkplug import REBIRTH, parse_topic, read_payload
from edge.wire.sparkplug_node import Node, node_filters
from edge.wire.topics import Topics

if TYPE_CHECKING:
    from edge.assembly.assembly import Assembly
    from edge.brokers.endpoint import Endpoint
    from edge.brokers.inbox import Incoming
    from edge.brokers.transport import Transport
    from edge.configuration.config import GatewayConfig
    from edge.outputs.sparkplug_metrics import Values
    from edge.records import Publish
    from edge.storage.disk import Clock, Disk

AT_ONCE: Final = 64  # data for each look of the loop: a millisecond or two
BIRTH_COSTS: Final = 8  # as many data
REBIRTH_AGAIN_S: Final = 5.0  # between two births that were asked for; what comes sooner waits
AGAIN_S: Final = 30.0  # until a password or certificate is read again that could not be
STOP_S_MAX: Final = 1.5
MILLISECOND_NS: Final = 1_000_000


class Sparkplug:
    """For one loop; follows the bundle in service."""

    name = "sparkplug"

    def __init__(
        self,
        config: GatewayConfig,
        assembly: Assembly,
        *,
        transport: Transport,
        disk: Disk = DISK,
        clock: Clock = CLOCK,
    ) -> None:
        """Nothing is connected before the gateway is heard."""
        told = config.output.sparkplug
        assert told is not None
        self.tally = Tally()
        self.owed: deque[Publish] = deque()
        self._config, self._assembly, self._told = config, assembly, told
        self._transport, self._clock = transport, clock
        topics = Topics(config.prefix, config.site)
        self._alerts, self._score_head = topics.alerts, topics.score("")
        self._node = Node(told.group, told.node, KINDS)
        path = config.path(config.journal.dir) / BOOK
        self._book = SessionBook(path, disk=disk, failed=self._fails)
        self._of: object = None  # the bundle whose assets are the devices
        self._scores: dict[str, bytes] = {}  # newest that was not looked at, by asset
        self._scores_s = clock.monotonic_s()  # when they are
        self._heard = self._asked = False
        self._reborn_s = -REBIRTH_AGAIN_S
        self._link: NodeLink | None = None
        self._again_s = -AGAIN_S
        self._session: int | None = None
        self._ending: threading.Thread | None = None

    def said(self, topic: str, payload: bytes) -> None:
        """Keep the newest word of an alert, and the newest score."""
        if topic.startswith(self._score_head):
            if payload:
                self._scores[topic.removeprefix(self._score_head)] = payload
        elif topic.startswith(self._alerts):
            asset, _, track = topic.removeprefix(self._alerts).partition("/")
            if track in FOLDERS and not asset.startswith("_"):
                self._take_alert(asset, track, payload)

    def _take_alert(self, asset: str, track: str, payload: bytes) -> None:
        self._follow()
        now_ms = self._now_ms()
        try:
            self._put(asset, of_alert(track, payload, now_ms=now_ms))
        except UNREADABLE as error:  # an older version may have written it into the outbox
            self._fails(str(error))
        if track == "process":  # a screen shows the score of what rings
            self._take_score(asset)

    def _take_score(self, asset: str) -> None:
        payload = self._scores.pop(asset, None)
        if payload is None:
            return
        try:
            self._put(asset, of_score(payload))
        except UNREADABLE as error:
            self._fails(str(error))

    def _put(self, asset: str, found: Values) -> None:
        self._node.put(asset, found.values, t_ms=found.t_ms)

    def _fails(self, cause: str) -> None:
        self.tally.failed += 1
        self.tally.cause = cause

    def connected(self) -> None:
        """The gateway is heard, and so may the node be."""
        self._heard = True

    def away(self) -> None:
        """Be dead until the gateway is heard again: another box may be the node by then."""
        self._heard = False
        if self._link is None:
            return
        link, self._link = self._link, None
        self._over()
        self._ending = threading.Thread(target=link.stop, name=self.name, daemon=True)
        self._ending.start()  # beside the loop: a broker that hangs takes its time

    def turn(self) -> None:
        """Say a part of what is due."""
        self._follow()
        now_s = self._clock.monotonic_s()
        if now_s >= self._scores_s:
            self._scores_s = now_s + self._told.score_every_s
            for asset in list(self._scores):
                self._take_score(asset)
        if not self._heard:
            return
        link = self._connection(now_s)
        if link is None:
            return
        self._look_at(link, now_s)
        if self._session is not None and not link.busy:
            self._say(link, self._session)
        self.tally.waiting = self._node.waiting

    def close(self) -> None:
        """Die, so that whoever listens hears it now."""
        self.away()
        if self._ending is not None:
            self._ending.join(STOP_S_MAX)

    # --- what is there ---

    def _follow(self) -> None:
        """Assets of the bundle in service are the devices."""
        bundle = self._assembly.bundle
        if bundle is self._of:
            return
        self._of = bundle
        self._node.follow(model.asset for model in bundle.assets)
        there = set(self._node.devices)
        self._scores = {asset: one for asset, one in self._scores.items() if asset in there}

    # --- the connection ---

    def _connection(self, now_s: float) -> NodeLink | None:
        """The connection, begun where there is none; None: it cannot be."""
        if self._link is not None and not self._link.alive:
            self._fails("the network thread has ended")
            self.away()
            self._heard = True
        if self._link is None and now_s >= self._again_s:
            try:
                link = NodeLink(
                    node_endpoint(self._config),
                    filters=node_filters(self._told.group, self._told.node),
                    next_session=self._book.draw,
                    death=self._node.death,
                    transport=self._transport,
                )
            except AndonError as error:  # a password or certificate that is not there
                self._again_s = now_s + AGAIN_S
                self._fails(str(error))
                return None
            self._link = link
            link.start()
        return self._link

    def _look_at(self, link: NodeLink, now_s: float) -> None:
        """Whether another session stands, and what we were told over it."""
        session = link.session
        if session != self._session:
            self._over()
            if session is not None:
                self._session = session
                self._node.begins(session)
        self.tally.cause = link.cause
        for command in link.take():
            if self._asks_for_births(command):
                self._asked = True
            else:
                self.tally.refused += 1
        if self._asked and now_s >= self._reborn_s + REBIRTH_AGAIN_S:
            self._asked, self._reborn_s = False, now_s
            self._node.rebirth()

    def _over(self) -> None:
        self._session, self._asked = None, False
        self._node.ends()
        self.tally.waiting = 0

    def _asks_for_births(self, command: Incoming) -> bool:
        """Whether it is the one command that is carried out.

        A retained one would be carried out at each connection, whoever said it and when.
        """
        told = parse_topic(command.topic)
        if told is None or told.kind != "NCMD" or command.retain:
            return False
        try:
            metrics = read_payload(command.payload, topic=command.topic).metrics
        except WireError:
            return False
        return len(metrics) == 1 and metrics[0].name == REBIRTH and metrics[0].value == 1.0

    def _say(self, link: NodeLink, session: int) -> None:
        left = AT_ONCE
        while left > 0:
            message = self._node.due(now_ms=self._now_ms())
            if message is None:
                return
            if not link.publish(message, session=session):
                self.tally.failed += 1
                self._node.rebirth()  # its number is gone; mostly there is another session by now
                return
            self.tally.sent += 1
            left -= BIRTH_COSTS if message.is_birth else 1

    def _now_ms(self) -> int:
        return self._clock.wall_ns() // MILLISECOND_NS


def node_endpoint(config: GatewayConfig) -> Endpoint:
    """Where the node connects, under a name beside the gateway's.

    Raises ConfigError for a password that is not there.
    """
    told = config.output.sparkplug
    assert told is not None
    section = told.broker or config.mqtt.output or config.mqtt
    return replace(endpoint_of(config, section), client_id=told.client_id(section))
