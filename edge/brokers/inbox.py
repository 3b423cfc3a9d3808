"""The inbox: what came over MQTT and waits to be journaled, bounded in messages and in bytes.

The network thread puts, the loop takes. Where more comes than may wait, what counts least is shed,
oldest first, before anything of it was accepted: the rule is `Pile.put`. Commands wait in a pile of
their own and are taken first, so that an operator is heard through any flood of values.

While little waits, messages wait as they came: in whose lane one is matters to nobody. Lanes are
looked up for all that wait when a bound comes near.
"""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass, field
from heapq import heapify, heappop, heapreplace
from typing import TYPE_CHECKING, Final

import msgspec

from edge.caps import TOPICS_KNOWN_MAX

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

QUEUE_BYTES_MAX: Final = 64 << 20  # a minute of 1 MB/s; 100,000 messages may have 1 MiB each
COMMANDS_MAX: Final = 1_000  # that wait; more an operator cannot have meant
COMMANDS_BYTES_MAX: Final = 4 << 20  # of 4 KiB each
COMMANDS_TAKEN_MAX: Final = 200  # in one turn: behind a flood of them values are taken too
# One turn of the loop must not take long: the slowest payload takes 0.2 s a MiB to decode.
TAKE_BYTES_MAX: Final = 2 << 20
MESSAGE_BYTES: Final = 256  # what a message weighs besides its payload
SLACK: Final = 16  # a round of shedding makes room for a sixteenth, so that its search pays
GONE_MIN: Final = 1_024  # places of shed messages, before the queue is made anew without them
# Of what may wait, as it came: to look up the lanes of so many takes as long as a short turn.
LOOSE_SHARE: Final = 8


class Incoming(msgspec.Struct, frozen=True, gc=False):
    """A message as it came; `mid` is what acknowledges it."""

    topic: str
    payload: bytes
    qos: int
    retain: bool
    dup: bool
    mid: int
    received_ns: int
    connection: int = 0  # number of the connection it came over: ids start anew with each
    link: str = ""  # which of two links it came over


@dataclass(slots=True, eq=False)
class Lane:
    """The messages of one asset, or of one operator, that wait; `rank` says how much they count.

    share: of the queue that they may fill at most, where a newer one says all.
    """

    name: str
    rank: int
    share: float = 1.0
    waiting: deque[Place] = field(default_factory=deque)
    weight: int = 0  # bytes that wait, and MESSAGE_BYTES for each message
    shed: int = 0  # messages so far

    def __len__(self) -> int:
        return len(self.waiting)


@dataclass(slots=True, eq=False)
class Place:
    """A place in the queue, counted up. message None: it was shed."""

    message: Incoming | None
    lane: Lane
    number: int


@dataclass(slots=True, eq=False)
class Loose:
    """Messages that came together and wait without places, oldest first."""

    messages: list[Incoming]
    size_bytes: int

    def taken(self, count: int) -> list[Incoming]:
        """The first of them, which wait no more."""
        if count == len(self.messages):
            found, self.messages, self.size_bytes = self.messages, [], 0
        else:
            found, self.messages = self.messages[:count], self.messages[count:]
            self.size_bytes -= sum([len(m.payload) for m in found])
        return found


def _fitting(messages: list[Incoming], limit: int, bytes_max: int, *, one: bool) -> int:
    """How many of the first have together `bytes_max`; one: at least one, of any size."""
    count = 0
    for message in messages[:limit]:
        bytes_max -= len(message.payload)
        if bytes_max < 0 and (count or not one):
            break
        count += 1
    return count


class Pile:
    """Messages in the order in which they came, of which the least important may be shed.

    lane_of: as of `Inbox`. Not safe between threads by itself; `Inbox` holds the lock.
    """

    def __init__(
        self,
        *,
        messages_max: int,
        bytes_max: int,
        lane_of: Callable[[Incoming], tuple[Lane, bool]],
    ) -> None:
        self.messages_max, self._bytes_max, self._lane_of = messages_max, bytes_max, lane_of
        self.limit = messages_max  # lower in an overload,
        self.graded = False  # and then, whether what counts more may wait longer
        self._queue: deque[Place] = deque()
        self._loose: deque[Loose] = deque()  # behind all that have places
        self._placed = 0  # places so far
        self._shared = 0  # messages of lanes with a share, since nothing waited; some may be gone
        self._busy: set[Lane] = set()  # lanes in which something waits
        self.depth = 0
        self.depth_max = 0
        self.bytes_held = 0

    def put(self, messages: Sequence[Incoming], *, shares: Sequence[float] = ()) -> list[Incoming]:
        """Queue messages one after another; returns what was shed to make room, in its order.

        It may be one of them. Of the lanes of the lowest rank the heaviest gives its oldest message
        (of lanes that weigh the same: the one whose oldest came first), again and again until there
        is room and a sixteenth more; higher ranks give only what is then still too much. A lowered
        limit is that of rank 1, and twice as much for each rank above. One message may always wait,
        however large. shares: of the lanes of those that may fill no more of the queue.
        """
        if not messages:
            return []
        size_bytes = sum([len(m.payload) for m in messages])
        if not self.depth:
            self._shared = 0
        self._shared += len(shares)
        if (
            self.depth + len(messages) <= self.limit // LOOSE_SHARE
            and self.bytes_held + size_bytes <= self._bytes_max // LOOSE_SHARE
            and (not shares or self._shared <= min(shares) * self.messages_max)
        ):
            self._loose.append(Loose([*messages], size_bytes))
            self.depth += len(messages)
            self.depth_max = max(self.depth_max, self.depth)
            self.bytes_held += size_bytes
            return []
        while self._loose:
            for message in self._loose.popleft().messages:
                self._place(message)
        shed: list[Incoming] = []
        for message in messages:
            self.depth += 1
            self.bytes_held += len(message.payload)
            shed += self._fit(self._place(message))
            self.depth_max = max(self.depth_max, self.depth)
        return shed

    def _place(self, message: Incoming) -> Lane:
        """Give a message that waits its place, behind all others; returns its lane."""
        lane, _ = self._lane_of(message)
        place = Place(message, lane, self._placed)
        self._placed += 1
        self._busy.add(lane)
        lane.waiting.append(place)
        self._queue.append(place)
        lane.weight += len(message.payload) + MESSAGE_BYTES
        return lane

    def _fit(self, lane: Lane) -> list[Incoming]:
        """Shed what is too much, now that one more waits in a lane."""
        shed: list[Incoming] = []
        if lane.share < 1 and len(lane.waiting) > max(1.0, lane.share * self.messages_max):
            shed.append(self._drop(lane))
        if self._over(self.limit):
            shed += self._make_room()
        if len(self._queue) > 2 * self.depth + GONE_MIN:
            self._queue = deque(place for place in self._queue if place.message is not None)
        return shed

    def take(self, limit: int, bytes_max: int) -> list[Incoming]:
        """Take up to `limit` messages of together `bytes_max`, oldest first; one of any size."""
        taken: list[Incoming] = []
        left_bytes = bytes_max
        while self._queue and len(taken) < limit:
            place = self._queue[0]
            message = place.message
            if message is None:
                self._queue.popleft()
                continue
            left_bytes -= len(message.payload)
            if left_bytes < 0 and taken:
                return taken
            self._queue.popleft()
            first = place.lane.waiting.popleft()
            assert first is place, "a lane keeps the order of the queue"
            self._gone(place.lane, message)
            taken.append(message)
        while self._loose and len(taken) < limit:
            some = self._loose[0]
            count = len(some.messages)
            if count > limit - len(taken) or some.size_bytes > left_bytes:
                count = _fitting(some.messages, limit - len(taken), left_bytes, one=not taken)
                if not count:
                    break
            before_bytes = some.size_bytes
            taken += some.taken(count)
            if not some.messages:
                self._loose.popleft()
            left_bytes -= before_bytes - some.size_bytes
            self.bytes_held -= before_bytes - some.size_bytes
            self.depth -= count
        return taken

    def oldest_ns(self) -> int | None:
        """When the message came that waits longest; None: none waits."""
        while self._queue and self._queue[0].message is None:
            self._queue.popleft()
        if self._queue:
            message = self._queue[0].message
        else:
            message = self._loose[0].messages[0] if self._loose else None
        return message.received_ns if message is not None else None

    def _over(self, most: int, slack: int = 0) -> bool:
        """Whether more waits than `most`, or than bytes may; slack: less this part of it."""
        bytes_max = self._bytes_max
        if slack:
            most -= most // slack
            bytes_max -= bytes_max // slack
        return self.depth > 1 and (self.depth > most or self.bytes_held > bytes_max)

    def _most(self, rank: int) -> int:
        """How many messages may wait before this rank gives any."""
        times = 1 << max(rank - 1, 0) if self.graded else 1
        return min(self.messages_max, self.limit * times)

    def _make_room(self) -> list[Incoming]:
        shed: list[Incoming] = []
        slack = SLACK
        for rank in sorted({lane.rank for lane in self._busy}):
            most = self._most(rank)
            if not self._over(most):
                break
            heap = [_weighed(lane) for lane in self._busy if lane.rank == rank]
            heapify(heap)
            while heap and self._over(most, slack):
                _, _, lane = heap[0]
                shed.append(self._drop(lane))
                if lane.waiting:
                    heapreplace(heap, _weighed(lane))
                else:
                    heappop(heap)
            slack = 0
        return shed

    def _drop(self, lane: Lane) -> Incoming:
        place = lane.waiting.popleft()
        message, place.message = place.message, None
        assert message is not None, "what was shed has left its lane"
        lane.shed += 1
        self._gone(lane, message)
        return message

    def _gone(self, lane: Lane, message: Incoming) -> None:
        size_bytes = len(message.payload)
        lane.weight -= size_bytes + MESSAGE_BYTES
        self.bytes_held -= size_bytes
        self.depth -= 1
        if not lane.waiting:
            self._busy.discard(lane)


def _weighed(lane: Lane) -> tuple[int, int, Lane]:
    """What sorts the heaviest lane first; no two places have one number."""
    return -lane.weight, lane.waiting[0].number, lane


class Inbox:
    """A queue between two threads, one that puts and one that takes.

    lane_of(message): the lane that a message waits in, and whether it is a command's. Whether it
    is, or of a lane that may fill only a share of the queue, its topic alone says, for ever. None:
    one lane for all.
    """

    def __init__(
        self,
        *,
        messages_max: int,
        bytes_max: int = QUEUE_BYTES_MAX,
        lane_of: Callable[[Incoming], tuple[Lane, bool]] | None = None,
    ) -> None:
        only = Lane("", 0)
        self._lane_of = lane_of or (lambda _: (only, False))
        self._plant = Pile(messages_max=messages_max, bytes_max=bytes_max, lane_of=self._lane_of)
        self._commands = Pile(
            messages_max=COMMANDS_MAX, bytes_max=COMMANDS_BYTES_MAX, lane_of=self._lane_of
        )
        self._usual: set[str] = set()  # topics that are no commands and have no share
        self._lock = threading.Lock()
        self.messages_max = messages_max

    def beside(self) -> Inbox:
        """One with the same lanes and bounds of its own, for what comes over another connection."""
        return Inbox(messages_max=self.messages_max, lane_of=self._lane_of)

    def __len__(self) -> int:
        return self._plant.depth + self._commands.depth

    @property
    def bytes_held(self) -> int:
        """Bytes of the payloads that wait."""
        return self._plant.bytes_held + self._commands.bytes_held

    @property
    def limit(self) -> int:
        """Messages of the plant that may wait now; never more than `messages_max`."""
        return self._plant.limit

    def limit_to(self, messages: int, *, graded: bool = False) -> None:
        """Let no more than so many wait from the next one on; never more than `messages_max`.

        graded: of rank 1, and twice as many for each rank above.
        """
        self._plant.limit = max(1, min(messages, self.messages_max))
        self._plant.graded = graded

    @property
    def depth_max(self) -> int:
        """Most messages of the plant that waited since `forget_depth`."""
        return self._plant.depth_max

    def forget_depth(self) -> None:
        """Begin to count `depth_max` anew."""
        self._plant.depth_max = 0

    def put(self, messages: Sequence[Incoming]) -> list[Incoming]:
        """Queue messages in their order; returns what was shed for them, mostly nothing.

        It is as if they were put one after another.
        """
        commands: list[Incoming] = []
        shares: list[float] = []
        if not self._usual.issuperset([m.topic for m in messages]):
            messages, commands, shares = self._sorted(messages)
        with self._lock:
            shed = self._plant.put(messages, shares=shares)
            return shed + self._commands.put(commands) if commands else shed

    def _sorted(
        self, messages: Sequence[Incoming]
    ) -> tuple[list[Incoming], list[Incoming], list[float]]:
        """Those of the plant, commands, and the shares of lanes that may fill no more than that."""
        plant: list[Incoming] = []
        commands: list[Incoming] = []
        shares: list[float] = []
        for message in messages:
            lane, command = self._lane_of(message)
            (commands if command else plant).append(message)
            if command:
                continue
            if lane.share < 1:
                shares.append(lane.share)
                continue
            if len(self._usual) >= TOPICS_KNOWN_MAX:
                self._usual.clear()
            self._usual.add(message.topic)
        return plant, commands, shares

    def take(self, limit: int) -> list[Incoming]:
        """Take up to `limit` messages and TAKE_BYTES_MAX: commands first, then the oldest."""
        with self._lock:
            taken = self._commands.take(min(limit, COMMANDS_TAKEN_MAX), TAKE_BYTES_MAX)
            return taken + self._plant.take(limit - len(taken), TAKE_BYTES_MAX)

    def oldest_ns(self) -> int | None:
        """When the message of the plant came that waits longest; None: none waits."""
        with self._lock:
            return self._plant.oldest_ns()
