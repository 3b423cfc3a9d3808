"""To whom a message is addressed: to the engine, or to the link itself.

The link hears what the broker counts, the fence, and what of our own topics it asks back. Nearly
all is for the engine, and its topic tells that: of one that is known as such nobody asks again.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from msgspec.structs import replace

from edge.brokers.lanes import TOPIC_CHARS_MAX
from edge.brokers.rights import BROKER_DROPS
from edge.caps import OWN_TOPICS_MAX, PAYLOAD_BYTES_MAX, TOPICS_KNOWN_MAX

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from edge.boxes.fencing import Fence
    from edge.brokers.inbox import Incoming
    from edge.brokers.link_counts import LinkCounts


class Addressed:
    """Of one link. own: how topics of ours begin; belongs: which topics may come over it."""

    def __init__(
        self,
        counts: LinkCounts,
        *,
        guard: Fence | None,
        own: str | tuple[str, ...],
        belongs: Callable[[str], bool] | None,
    ) -> None:
        self._counts, self._guard, self._own_prefix = counts, guard, own
        self._belongs = belongs
        self._usual: set[str] = set()
        self._own: deque[tuple[str, bytes]] = deque()  # what came back of our own topics
        self._broker_count: int | None = None
        self.asking = False
        self.asked = ""  # what of it the broker has answered

    def own(self) -> list[tuple[str, bytes]]:
        """Topics of ours with what is retained there, as they came since the last call."""
        return [self._own.popleft() for _ in range(len(self._own))]

    def runs(self, came: list[Incoming]) -> Iterator[tuple[list[Incoming], bool]]:
        """These in their order: runs that are for the engine, by their topics (True); others alone.

        What others turn out to be counts for what comes behind them.
        """
        if not self.asking and self._usual.issuperset([m.topic for m in came]):
            yield came, True
            return
        run: list[Incoming] = []
        for message in came:
            if not self.asking and message.topic in self._usual:
                run.append(message)
                continue
            if run:
                yield run, True
                run = []
            yield [message], False
        if run:
            yield run, True

    def was_usual(self, topic: str) -> None:
        """A message for the engine was queued; the next of its topic may be one of many."""
        if len(topic) > TOPIC_CHARS_MAX:
            return
        if len(self._usual) >= TOPICS_KNOWN_MAX:
            self._usual.clear()
        self._usual.add(topic)

    def to_engine(self, m: Incoming) -> bool:
        """Whether a message is for the engine; else it is done with."""
        if m.topic == BROKER_DROPS:
            self._broker_drops(m.payload)
            return False
        if self._guard is not None and self._guard.take(m.topic, m.payload):
            return False
        if self.asking and m.topic.startswith(self._own_prefix):
            sound = m.retain and len(m.payload) <= PAYLOAD_BYTES_MAX
            if sound and len(self._own) < OWN_TOPICS_MAX:
                self._own.append((m.topic, m.payload))
            return False
        if self._belongs is not None and not self._belongs(m.topic):
            self._counts.received += 1
            self._counts.misplaced += 1
            return False
        return True

    def counted(self, came: list[Incoming]) -> list[Incoming]:
        """Messages for the engine, with just enough of an oversize payload to refuse it."""
        self._counts.received += len(came)
        if sum([len(m.payload) for m in came]) <= PAYLOAD_BYTES_MAX:
            return came
        oversize = [len(m.payload) > PAYLOAD_BYTES_MAX for m in came]
        self._counts.oversize += sum(oversize)
        return [
            replace(m, payload=m.payload[: PAYLOAD_BYTES_MAX + 1]) if cut else m
            for m, cut in zip(came, oversize, strict=True)
        ]

    def _broker_drops(self, payload: bytes) -> None:
        """The broker's own count, of all its clients together; it begins anew with the broker."""
        try:
            count = int(payload[:20])
        except ValueError:
            return
        before = self._broker_count
        self._broker_count = count
        if before is not None:
            self._counts.broker_dropped += count - before if count >= before else count
