"""The gateway's connection: a bounded inbox of what came, acknowledgements and publications out.

A message is acknowledged only when told that it is journaled, or when it was shed because more came
than could wait (manual acknowledgement, persistent session, MQTT 3.1.1). Callbacks only queue, and
never raise.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, Final

from msgspec.structs import replace

from edge.brokers import mqtt
from edge.brokers.addressed import Addressed
from edge.brokers.inbox import Inbox
from edge.brokers.link_counts import LinkCounts
from edge.brokers.rivals import WAIT_S, Rivals, shared_words
from edge.storage.disk import CLOCK

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Sequence

    from edge.boxes.fencing import Fence
    from edge.brokers.endpoint import Endpoint
    from edge.brokers.failures import Failure
    from edge.brokers.inbox import Incoming
    from edge.brokers.tls import Span
    from edge.brokers.transport import Transport, Will
    from edge.storage.disk import Clock

IN_FLIGHT_MAX: Final = 1_000
INPUT: Final = "input"  # names of two links, where there are two
OUTPUT: Final = "output"
# Behind a broker that hangs: what is beyond is not sent, and counted. paho's own bound is its ids.
UNSENT_MESSAGES_MAX: Final = 10_000


class Link:
    """A connection that lasts, over any number of reconnections."""

    def __init__(  # noqa: PLR0913 - what it does, and what of the world it does it with
        self,
        endpoint: Endpoint,
        *,
        filters: Sequence[str],
        queue_messages_max: int,
        will: Will | None,
        on_connected: Callable[[], None],
        wake: threading.Event,
        name: str = "",
        belongs: Callable[[str], bool] | None = None,
        inbox: Inbox | None = None,
        own: str | tuple[str, ...] = "",
        transport: Transport = mqtt,
        clock: Clock = CLOCK,
        guard: Fence | None = None,
        behind: Fence | None = None,
    ) -> None:
        """own: how topics of ours begin that may be asked back.

        `on_connected` runs on the network thread once a connection's subscription is answered.

        `wake` is set when something came; `name` says which of two links this is, and `belongs`
        which topics may come over it; inbox: where it waits, else one lane for all. `guard` opens
        each connection before anything is said over it, or taken from it; behind: one of another
        link, which has to have been open once before anything is taken. Raises BrokerError for
        certificates that cannot be read.
        """
        self.counts = LinkCounts()
        self._guard, self._behind = guard, behind
        self._shed_early: deque[Incoming] = deque()  # before we knew that they are ours to take
        self.name = name
        self._endpoint, self._mqtt, self._clock = endpoint, transport, clock
        self._filters = [(name, 1) for name in filters]
        if guard is not None:  # first: what is retained there comes before all other
            self._filters.insert(0, (guard.topic, 0))
        # an empty one is false
        self._inbox = Inbox(messages_max=queue_messages_max) if inbox is None else inbox
        self._granted = self._greeted = self._started = False
        # Connections at which the broker may have begun anew: it had no session of ours, or one
        # that may be younger than we know, from a connection of which we had no answer.
        self.forgotten = 0
        # Whether the last connection was. Of the first, the session that is there is taken for that
        # of the process before: what that one journaled and could not acknowledge comes again now.
        self._answered = True
        self.heard_total = 0  # how often the broker sent something, or went
        self.refusal = ""  # why the broker does not let us in or hear; "" while it does
        self.cause = ""  # why the last connection ended or did not come about
        self._rivals, self._wait_s = Rivals(), 1
        self._away_since_s = self._clock.monotonic_s()
        self.callback_error = ""  # the newest one
        self._confirmed: deque[int] = deque()
        self._wake, self._on_connected = wake, on_connected
        self._client = self._mqtt.new_client(endpoint, persistent=True, manual_ack=True)
        self._client.max_inflight_messages_set(IN_FLIGHT_MAX)
        self._client.max_queued_messages_set(UNSENT_MESSAGES_MAX)
        if will is not None:
            self._client.will_set(will.topic, will.payload, qos=1, retain=True)
        self._client.on_connect = self._guarded(self._connected)
        self._client.on_disconnect = self._guarded(self._disconnected)
        self._client.on_connect_fail = self._guarded(self._not_reached)
        self._client.on_subscribe = self._guarded(self._subscribed)
        self._client.on_message = self._guarded(self._message)
        self._client.on_batch, self._one = self._guarded(self._batch), self._guarded(self._alone)
        self._client.on_pause = self._guarded(self._paused)
        self._client.on_publish = self._guarded(self._published)
        self._client.on_pong = self._guarded(lambda: None)
        self._client.on_unsubscribe = self._guarded(self._left)
        self._addressed = Addressed(self.counts, guard=guard, own=own, belongs=belongs)

    def start(self) -> None:
        """Connect in the background, again and again until it works."""
        self._mqtt.start(self._client, self._endpoint)
        self._started = True

    @property
    def connected(self) -> bool:
        """Whether the broker is there now and has answered our subscription.

        Before that paho may still be repeating what was in flight when the last connection broke,
        and what we say now would overtake it.
        """
        if self._guard is not None and not self._guard.open:
            return False
        return self._granted and self._client.is_connected() and self.alive

    @property
    def admitted(self) -> bool:
        """Whether we are known to be who speaks, so that what comes is ours to take."""
        if self._guard is not None:
            return self._guard.open
        return self._behind is None or self._behind.heard

    @property
    def alive(self) -> bool:
        """Whether the network thread lives, if it was started."""
        return not self._started or self._mqtt.is_alive(self._client)

    @property
    def links(self) -> tuple[Link, ...]:
        """All links there are: this one."""
        return (self,)

    @property
    def broker(self) -> str:
        """Where it leads."""
        return str(self._endpoint)

    @property
    def away_s(self) -> float:
        """How long the broker has been away; 0 while it is there."""
        return 0.0 if self.connected else self._clock.monotonic_s() - self._away_since_s

    @property
    def rival(self) -> str:
        """What is wrong when another client uses our client id; "" for nothing."""
        if not self._rivals.fighting(self._clock.monotonic_s()):
            return ""
        return shared_words(self.broker, self._endpoint.client_id)

    @property
    def spans(self) -> list[Span]:
        """Until when what TLS rests on holds."""
        found: list[Span] = self._client.reasons.spans
        return found

    @property
    def reads_plainly(self) -> str:
        """Why messages are read one by one; "" those that come close together are told as one."""
        return str(self._client.reads_plainly)

    @property
    def queue_depth(self) -> int:
        """Messages that wait to be journaled, and may be."""
        return len(self._inbox) if self.admitted else 0

    def drain(self, limit: int) -> list[Incoming]:
        """Take up to `limit` messages from the queue: commands first, then the oldest.

        None before it is known that we are who speaks: whoever replaced us must get them.
        """
        if not self.admitted:
            return []
        while self._shed_early:
            self.ack([self._shed_early.popleft()])
        return self._inbox.take(limit)

    def ack(self, messages: Sequence[Incoming]) -> None:
        """Tell the broker that these are safe.

        Not what came over an earlier connection: the broker sends it again, and its id may stand
        for another message by now; nor before we have greeted on the next one, which it would end.
        """
        now = self.counts.connects if self._client.is_connected() else None
        ours = [m for m in messages if m.qos and m.connection == now and m.link == self.name]
        if mids := [m.mid for m in ours if m.qos == 1]:
            self._client.ack_all(mids)
        for message in ours:
            if message.qos > 1:
                self._client.ack(message.mid, message.qos)

    def publish(self, topic: str, payload: bytes, *, qos: int, retain: bool) -> int | None:
        """Send; returns the id that `confirmed` will name for QoS 1.

        None when it was not taken. That is counted, but for what is retained and comes while there
        is no connection: whoever says it says it again behind the next one.
        """
        claims = self._guard is not None and topic == self._guard.topic
        if self.connected or (claims and self._granted):
            info = self._client.publish(topic, payload, qos, retain)
            if self._mqtt.was_taken(info, qos=qos):
                mid: int = info.mid
                return mid
        self.counts.not_sent += not retain or self.connected
        return None

    def confirmed(self) -> list[int]:
        """Ids of publications that the broker has confirmed since the last call."""
        taken = []
        while self._confirmed:
            taken.append(self._confirmed.popleft())
        return taken

    @property
    def asked(self) -> str:
        """What of what we asked back the broker has answered: asked, or left."""
        return self._addressed.asked

    def ask(self, filters: Sequence[str]) -> None:
        """Have what the broker retains on topics of ours; `asked` says when it has answered."""
        self._addressed.asking, self._addressed.asked = True, ""
        self._client.subscribe([(name, 0) for name in filters])

    def leave(self, filters: Sequence[str]) -> None:
        """Hear no more of them; `asked` says when what was on its way has come."""
        self._addressed.asked = ""
        self._client.unsubscribe(list(filters))

    def own(self) -> list[tuple[str, bytes]]:
        """Topics of ours with what is retained there, as they came since the last call."""
        return self._addressed.own()

    def stop(self) -> None:
        """Disconnect cleanly; the last will stays unsaid, so say goodbye before."""
        self._started = False
        self._mqtt.stop(self._client)

    # On paho's thread: an exception would end it and leave is_connected() true for ever.

    def _guarded(self, callback: Callable[..., None]) -> Callable[..., None]:
        def call(*args: Any) -> None:  # noqa: ANN401
            self.heard_total += 1
            try:
                callback(*args)
            except Exception as error:  # noqa: BLE001 - see above; counted and published
                self.counts.callback_errors += 1
                self.callback_error = f"{type(error).__name__}: {error}"[:200]

        return call

    def _connected(self, client: Any, *details: Any) -> None:  # noqa: ANN401
        _data, flags, reason, _properties = details
        self._granted = self._addressed.asking = False
        if why := self._client.reasons.answered(reason):
            self.counts.refused += 1
            self.refusal = self.cause = why
            self._wake.set()
            return
        self.counts.connects += 1
        self._client.came_over = self.counts.connects, self.name
        self.forgotten += not (flags.session_present and self._answered)
        self._answered = self._greeted = True
        if self._guard is None:
            client.subscribe(self._filters)
            return
        self._guard.opened()
        client.subscribe(self._filters)
        # once more: what is retained there comes before this is answered
        client.subscribe([(self._guard.topic, 0)])

    def _disconnected(self, _c: Any, _d: Any, _flags: Any, reason: Any, _p: Any) -> None:  # noqa: ANN401
        heard = self.admitted
        self._lost()
        self._answered, self._greeted = self._greeted, False
        self.counts.disconnects += 1
        failure = self._client.reasons.ended(reason)
        if failure is not None:
            self._note(failure)
            if self._client.reasons.closed_by_broker:
                self._rivals.closed(self._clock.monotonic_s())
            self._back_off(heard=heard)

    def _not_reached(self, *_args: Any) -> None:  # noqa: ANN401
        self._lost()
        failure = self._client.reasons.failure
        if failure is not None:
            self._note(failure)
        self._rivals.away()

    def _lost(self) -> None:
        if self._granted:
            self._away_since_s = self._clock.monotonic_s()
        self._granted = False
        if self._guard is not None:
            self._guard.closed()
        self._wake.set()

    def _note(self, failure: Failure) -> None:
        """A broker that is away refuses nothing; what it said before may not count any more."""
        self.cause = failure.cause
        self.refusal = failure.cause if failure.refused else ""

    def _back_off(self, *, heard: bool) -> None:
        """Come back later while another client has our client id, and soon otherwise.

        Soon as well until we have heard whether it is a box that replaced us, or that we replaced.
        """
        fighting = heard and self._rivals.fighting(self._clock.monotonic_s())
        wait_s = int(WAIT_S) if fighting else 1
        if wait_s != self._wait_s:
            self._wait_s = wait_s
            self._client.reconnect_delay_set(wait_s, max(wait_s, mqtt.RECONNECT_S_MAX))

    def _left(self, *_args: Any) -> None:  # noqa: ANN401
        self._addressed.asking, self._addressed.asked = False, "left"
        self._wake.set()

    def _subscribed(self, _c: Any, _d: Any, _mid: int, reasons: Sequence[Any], _p: Any) -> None:  # noqa: ANN401
        if self._guard is not None:
            self._guard.answered()
        asks = self._addressed.asking
        if self._granted and (asks or self._guard is not None):  # a further one
            # whatever it says: who may not ask learns nothing
            self._addressed.asked = "asked" if asks else self.asked
            self._wake.set()
            return
        names = [name for name, _ in self._filters]
        refused = [n for n, reason in zip(names, reasons, strict=False) if reason.is_failure]
        self.counts.refused += len(refused)
        self.refusal = f"subscription to {', '.join(refused)} refused" if refused else ""
        self.cause = ""
        self._granted = True  # whatever it was: the gateway is there and has to say what is wrong
        self._on_connected()
        self._wake.set()

    def _message(self, _client: Any, _data: Any, message: Any) -> None:  # noqa: ANN401
        self._batch([self._mqtt.incoming(message, self.counts.connects, self.name)])
        self._paused()

    def _batch(self, came: list[Incoming]) -> None:
        for some, usual in self._addressed.runs(came):
            if usual:
                self._queue(some)
            else:  # the first of a topic by itself: if it fails, it costs no other
                self._one(some[0])

    def _alone(self, message: Incoming) -> None:
        if self._addressed.to_engine(message):
            self._queue([message])
            self._addressed.was_usual(message.topic)
        else:
            self.ack([message])  # else it would fill the broker's window
            self._wake.set()

    def _queue(self, came: list[Incoming]) -> None:
        # acknowledged as well: kept back they would fill the broker's window, for ever
        if shed := self._inbox.put(self._addressed.counted(came)):
            self.counts.shed += len(shed)
            if self.admitted:
                self.ack(shed)
            else:
                self._shed_early += [replace(one, payload=b"") for one in shed]

    def _paused(self) -> None:
        """No more comes for now."""
        if not self._wake.is_set():
            self._wake.set()

    def _published(self, _client: Any, _data: Any, mid: int, _reason: Any, _p: Any) -> None:  # noqa: ANN401
        self._confirmed.append(mid)
        self._wake.set()  # the next revision of that topic may go
