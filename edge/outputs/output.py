"""What an output is: it hears what was published, and never keeps whoever publishes waiting."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from edge.wire.told_outputs import OutputPayload

if TYPE_CHECKING:
    from collections import deque

    from edge.records import Publish


@dataclass(slots=True)
class Tally:
    """What became of what an output was to say; as `OutputPayload` tells it."""

    sent: int = 0
    failed: int = 0
    dropped: int = 0
    waiting: int = 0
    refused: int = 0
    cause: str = ""

    def payload(self, output: str, *, owed: int = 0) -> OutputPayload:
        """For health. owed: messages that wait for the gateway's own connection besides."""
        return OutputPayload(
            output=output,
            sent=self.sent,
            failed=self.failed,
            dropped=self.dropped,
            waiting=self.waiting + owed,
            refused=self.refused,
            cause=self.cause[:200],
        )


class Output(Protocol):
    """One output. Nothing of it blocks or raises but `close`, which waits for a moment."""

    name: str  # as its table in [output]
    tally: Tally
    owed: deque[Publish]  # messages of its own for the broker, in order

    def said(self, topic: str, payload: bytes) -> None:
        """Hear what was published, or a report of health that no broker could hear."""

    def connected(self) -> None:
        """There is a new connection to the broker, which may have forgotten everything."""

    def away(self) -> None:
        """The broker is not there, or another box may speak by now; said at each look meanwhile."""

    def turn(self) -> None:
        """See what has changed; at each look of the loop, so it has to be quick."""

    def close(self) -> None:
        """End what works beside the loop."""
