"""Each event once more as a CloudEvent: structured mode of CloudEvents 1.0, any MQTT version.

Sent when the event itself was. A message that is repeated keeps source and id, by which whoever
reads it knows that it is the same.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

import msgspec

from edge.errors import UNREADABLE
from edge.outputs.output import Tally
from edge.records import Publish
from edge.wire.cloudevent import WrappedEvent

if TYPE_CHECKING:
    from edge.wire.topics import Topics

WAITING_MAX: Final = 1_000


class _Event(msgspec.Struct, frozen=True):
    """What the envelope needs of an event."""

    id: str
    revision: int
    asset: str
    track: str
    ts: str


class CloudEvents:
    """For one loop."""

    name = "cloudevents"

    def __init__(self, topics: Topics) -> None:
        """topics: of the gateway."""
        self.tally = Tally()
        self.owed: deque[Publish] = deque()
        self._topics = topics
        self._head = topics.event("")
        self._decoder = msgspec.json.Decoder(_Event)

    def said(self, topic: str, payload: bytes) -> None:
        """Wrap an event; nothing else is one."""
        if not topic.startswith(self._head) or not payload:
            return
        if len(self.owed) >= WAITING_MAX:
            self.tally.dropped += 1
            return
        try:
            event = self._decoder.decode(payload)
        except UNREADABLE as error:  # an older version may have written it into the outbox
            self.tally.failed += 1
            self.tally.cause = str(error)
            return
        told = WrappedEvent(
            id=f"{event.id}/{event.revision}",
            source=quote(f"/{self._topics.root}/{event.asset}", safe="/"),
            subject=event.track,
            time=event.ts,
            data=msgspec.Raw(payload),
        )
        name = self._topics.cloudevent(event.asset)
        self.owed.append(
            Publish(topic=name, payload=msgspec.json.encode(told), qos=1, retain=False)
        )

    def connected(self) -> None:
        """What waits is said then, as events are."""

    def away(self) -> None:
        """What waits goes on waiting."""

    def turn(self) -> None:
        """All follows from events."""

    def close(self) -> None:
        """Nothing works beside the loop."""
