"""How a gateway is heard: what it says at each connection, what waits in the outbox, who is there.

What is said past the outbox may be lost with the connection; what of it is retained is said again
with the next one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from edge.alerts.annunciate import known_causes
from edge.alerts.group import GROUP
from edge.boxes.retirement import still_said
from edge.brokers.delivery import Delivery
from edge.brokers.mqtt import BrokerError
from edge.brokers.presence import Presence
from edge.brokers.read_back import INHERIT_S_MAX, WAIT_S_MAX, ReadBack
from edge.gateway.cleared import Cleared
from edge.gateway.telemetry import status, system_fault
from edge.outputs.hub import Heard

if TYPE_CHECKING:
    import threading
    from collections.abc import Mapping

    from edge.assembly.assembly import Assembly
    from edge.boxes.fencing import Fence
    from edge.brokers.link import Link
    from edge.brokers.links import LinkPair
    from edge.gateway.rounds import Rounds
    from edge.outputs.hub import Outputs
    from edge.records import Publish, ShellFault
    from edge.storage.disk import Clock
    from edge.storage.standby import StandbyOutbox
    from edge.wire.topics import Topics


class Loop(Protocol):
    """For whom a voice speaks, and who is told what a connection has brought."""

    def note(self, name: str, level: str, **fields: str | float) -> None:
        """Write to the log."""

    def new_session(self) -> None:
        """The broker does not know us any more."""

    def read_back(self, retained: Mapping[str, bytes]) -> None:
        """What the broker held of our alerts before we said anything, by topic; told once."""


class Voice:
    """For one loop. `retained`: the newest lists of jobs and the like, for the next connection."""

    def __init__(  # noqa: PLR0913 - through what, of what and to whom it speaks
        self,
        link: Link | LinkPair,
        outbox: StandbyOutbox,
        *,
        assembly: Assembly,
        topics: Topics,
        clock: Clock,
        reconnected: threading.Event,
        loop: Loop,
        fence: Fence,
        outputs: Outputs,
    ) -> None:
        """reconnected: set by whoever sees a new connection. fence: says whether we may speak.

        outputs: hear what we say.
        """
        self.outputs, self._heard = outputs, Heard(link, outputs)
        self._link, self._delivery = link, Delivery(outbox, self._heard)
        self._assembly, self._topics, self._clock = assembly, topics, clock
        self._reconnected, self._loop, self._presence = reconnected, loop, Presence()
        self._fence, self._outbox = fence, outbox
        takes_over = fence.box.takes_over
        assets = tuple(model.asset for model in assembly.bundle.assets)
        own = [f"{topics.alerts}{asset}/+" for asset in assets]
        if known_causes(assembly.settings.asset, assets) or takes_over:
            own += [f"{topics.alerts}{GROUP}/+"]
        if takes_over:  # it may not repeat an old list of members
            own += [topics.group("+")]
        self._back = ReadBack(link, own, wait_s=INHERIT_S_MAX if takes_over else WAIT_S_MAX)
        self.cleared = Cleared(link, outbox, assembly=assembly, topics=topics)
        self._told_back = self._owes_last_words = False
        self.retained: dict[str, Publish] = {}
        self._forgotten = 0

    def say(self, *, online: bool) -> None:
        """Say whether we are here, and with what."""
        payload = status(self._assembly, online=online, clock=self._clock)
        self._heard.publish(self._topics.status, payload, qos=1, retain=True)

    def publish(self, message: Publish) -> None:
        """Send what may be lost with the connection; what is retained is said again after it."""
        if message.retain:
            self.retained[message.topic] = message
        self._heard.publish(message.topic, message.payload, qos=message.qos, retain=message.retain)

    @property
    def listened(self) -> bool:
        """Whether somebody would hear how we are."""
        return self._link.connected or self.outputs.any

    def how_we_are(self, rounds: Rounds, queue_depth_max: int) -> None:
        """Say it; outputs hear it without a broker too."""
        payload = rounds.health(self._assembly, queue_depth_max, self.outputs.told())
        if not self._link.connected:
            self.outputs.said(self._topics.health, payload)
        else:
            self._heard.publish(self._topics.health, payload, qos=0, retain=False)

    def say_of_us(self, fault: ShellFault) -> None:
        """Say a fault of ours past the engine."""
        self.publish(system_fault(fault, self._topics, clock=self._clock))

    def deliver(self) -> None:
        """Send what waits; after a connection, what is retained comes first.

        Raises BrokerError when nothing would be heard, JournalError for the outbox, Fenced when
        another box has taken over.
        """
        if not self._link.alive:
            raise BrokerError("the network thread has ended, nothing would be heard; restart")
        self._fence.turn(self._link)
        for said in self._presence.look(self._link, self._clock.monotonic_s()):
            self._loop.note(said.name, said.level, **said.fields)
        if self._reconnected.is_set() and self._link.connected:
            self._reconnected.clear()
            self.say(online=True)
            self.outputs.connected()
            for message in still_said(self.retained.values(), self._topics, self._assembly.bundle):
                self.publish(message)
            # By now it may have come a second time, with the session of the first.
            if self._link.forgotten != self._forgotten:
                self._forgotten = self._link.forgotten
                self._loop.new_session()
            # Every time: a broker that was killed may know our session and hold older last words.
            self._owes_last_words = True
        if not self._back.turn(self._clock.monotonic_s()):
            return
        # First what follows from it: our last words may be older than what the broker holds.
        if not self._told_back:
            self._tell_back(self._back.stood or {})
        if self._owes_last_words:
            self._owes_last_words = False
            self._delivery.say_again()
        self._delivery.turn()
        self.outputs.turn(self._link)
        self.cleared.turn(self._clock.monotonic_s())

    def admitted(self) -> bool:
        """Whether somebody hears us now, for a word that does not go through the loop."""
        self._fence.admits(self._link)
        return self._link.connected

    def _tell_back(self, stood: dict[str, bytes]) -> None:
        self._told_back = True
        self._fence.inherit(self._outbox, stood, whole=not self._back.late)
        if self._back.late:
            self._loop.note("alerts_not_read_back", "warning", of=self._link.broker)
        self._loop.read_back(stood)

    def moved(self, numbers: Mapping[int, int], *, anew: bool) -> None:
        """The outbox has given its rows other numbers."""
        self._delivery.moved(numbers, anew=anew)
