"""The inbox: what came over MQTT and waits to be journaled, bounded in messages and in bytes.

The network thread puts, the loop takes. Where more comes than may wait, what counts least is shed,
oldest first, before anything of it was accepted: the rule is `Pile.put`. Commands wait in a pile of
their own and are taken first, so that an operator is heard through any flood of values.
"""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass, field
from heapq import heapify, heappop, heapreplace
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

QUEUE_BYTES_MAX: Final = 64 << 20  # a minute of 1 MB/s; 100,000 messages may have 1 MiB each
COMMANDS_MAX: Final = 1_000  # that wait; more an operator cannot have meant
COMMANDS_BYTES_MAX: Final = 4 << 20  # of 4 KiB each
COMMANDS_TAKEN_MAX: Final = 200  # in one turn: behind a flood of them values are taken too
# One turn of the loop must not take long: the slowest payload takes 0.2 s a MiB to decode.
TAKE_BYTES_MAX: Final = 2 << 20
MESSAGE_BYTES: Final = 256  # what a message weighs besides its payload
SLACK: Final = 16  # a round of shedding makes room for a sixteenth, so that its search pays
GONE_MIN: Final = 1_024  # places of shed messages, before the queue is made anew without them


@dataclass(frozen=True, slots=True)
class Incoming:
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
    """A place in the queue. message None: it was shed."""

    message: Incoming | None
    lane: Lane


class Pile:
    """Messages in the order in which they came, of which the least important may be shed.

    Not safe between threads by itself; `Inbox` holds the lock.
    """

    def __init__(self, *, messages_max: int, bytes_max: int) -> None:
        self.messages_max, self._bytes_max = messages_max, bytes_max
        self.limit = messages_max  # lower in an overload,
        self.graded = False  # and then, whether what counts more may wait longer
        self._queue: deque[Place] = deque()
        self._busy: dict[Lane, None] = {}  # lanes in which something waits
        self.depth = 0
        self.bytes_held = 0

    def put(self, message: Incoming, lane: Lane) -> list[Incoming]:
        """Queue a message; returns what was shed to make room, which may be the message itself.

        Of the lanes of the lowest rank the heaviest gives its oldest message, again and again until
        there is room and a sixteenth more; higher ranks give only what is then still too much. A
        lowered limit is that of rank 1, and twice as much for each rank above. One message may
        always wait, however large.
        """
        if not lane.waiting:
            self._busy[lane] = None
        place = Place(message, lane)
        lane.waiting.append(place)
        self._queue.append(place)
        size_bytes = len(message.payload)
        lane.weight += size_bytes + MESSAGE_BYTES
        self.bytes_held += size_bytes
        self.depth += 1
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
                break
            self._queue.popleft()
            first = place.lane.waiting.popleft()
            assert first is place, "a lane keeps the order of the queue"
            self._gone(place.lane, message)
            taken.append(message)
        return taken

    def oldest_ns(self) -> int | None:
        """When the message came that waits longest; None: none waits."""
        while self._queue and self._queue[0].message is None:
            self._queue.popleft()
        message = self._queue[0].message if self._queue else None
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
            heap = [(-lane.weight, i, lane) for i, lane in enumerate(self._busy)]
            heap = [entry for entry in heap if entry[2].rank == rank]
            heapify(heap)
            while heap and self._over(most, slack):
                _, i, lane = heap[0]
                shed.append(self._drop(lane))
                if lane.waiting:
                    heapreplace(heap, (-lane.weight, i, lane))
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
            del self._busy[lane]


class Inbox:
    """A queue between two threads, one that puts and one that takes.

    lane_of(message): the lane that a message waits in, and whether it is a command's. None: one
    lane for all.
    """

    def __init__(
        self,
        *,
        messages_max: int,
        bytes_max: int = QUEUE_BYTES_MAX,
        lane_of: Callable[[Incoming], tuple[Lane, bool]] | None = None,
    ) -> None:
        self._plant = Pile(messages_max=messages_max, bytes_max=bytes_max)
        self._commands = Pile(messages_max=COMMANDS_MAX, bytes_max=COMMANDS_BYTES_MAX)
        only = Lane("", 0)
        self._lane_of = lane_of or (lambda _: (only, False))
        self._lock = threading.Lock()
        self.messages_max = messages_max
        self.depth_max = 0  # most that waited since it was last set to 0

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

    def put(self, message: Incoming) -> list[Incoming]:
        """Queue a message; returns what was shed for it, mostly nothing."""
        lane, command = self._lane_of(message)
        with self._lock:
            shed = (self._commands if command else self._plant).put(message, lane)
            self.depth_max = max(self.depth_max, self._plant.depth)
        return shed

    def take(self, limit: int) -> list[Incoming]:
        """Take up to `limit` messages and TAKE_BYTES_MAX: commands first, then the oldest."""
        with self._lock:
            taken = self._commands.take(min(limit, COMMANDS_TAKEN_MAX), TAKE_BYTES_MAX)
            return taken + self._plant.take(limit - len(taken), TAKE_BYTES_MAX)

    def oldest_ns(self) -> int | None:
        """When the message of the plant came that waits longest; None: none waits."""
        with self._lock:
            return self._plant.oldest_ns()
