"""All outputs of one gateway: they hear what it publishes, and what they owe the broker is paced.

They decide nothing. What they do wrong is counted on health, and is no fault of the gateway.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge.outputs.output import Output
    from edge.wire.told_outputs import OutputPayload

AT_ONCE: Final = 64  # messages of theirs for each look of the loop: a millisecond or two


class Sender(Protocol):
    """A connection, as deliveries need it."""

    @property
    def connected(self) -> bool:
        """Whether the broker is there now."""

    def publish(self, topic: str, payload: bytes, *, qos: int, retain: bool) -> int | None:
        """Send; None: it was not taken."""

    def confirmed(self) -> list[int]:
        """Ids that the broker has confirmed since the last call."""


class Outputs:
    """For one loop, and used by its thread alone."""

    def __init__(self, outputs: Sequence[Output] = ()) -> None:
        """outputs: those that are asked for; mostly none."""
        self._outputs = tuple(outputs)

    @property
    def any(self) -> bool:
        """Whether somebody listens, also while the broker is away."""
        return bool(self._outputs)

    def said(self, topic: str, payload: bytes) -> None:
        """Hear what was published; payload empty: the broker is to forget it."""
        for output in self._outputs:
            output.said(topic, payload)

    def connected(self) -> None:
        """There is a new connection to the broker."""
        for output in self._outputs:
            output.connected()

    def turn(self, link: Sender) -> None:
        """Say a part of what they owe the broker."""
        for output in self._outputs:
            if not link.connected:
                output.away()
            output.turn()
            for _ in range(min(AT_ONCE, len(output.owed)) if link.connected else 0):
                one = output.owed[0]
                if link.publish(one.topic, one.payload, qos=one.qos, retain=one.retain) is None:
                    output.tally.failed += 1
                    break
                output.owed.popleft()
                output.tally.sent += 1

    def told(self) -> tuple[OutputPayload, ...]:
        """For health."""
        return tuple(one.tally.payload(one.name, owed=len(one.owed)) for one in self._outputs)

    def close(self) -> None:
        """End what works beside the loop."""
        for output in self._outputs:
            output.close()


class Heard:
    """A connection of which outputs hear what it takes."""

    def __init__(self, link: Sender, outputs: Outputs) -> None:
        """link: who sends."""
        self._link, self._outputs = link, outputs

    @property
    def connected(self) -> bool:
        """As the connection's."""
        return self._link.connected

    def publish(self, topic: str, payload: bytes, *, qos: int, retain: bool) -> int | None:
        """Send, and tell what was taken."""
        taken = self._link.publish(topic, payload, qos=qos, retain=retain)
        if taken is not None:
            self._outputs.said(topic, payload)
        return taken

    def confirmed(self) -> list[int]:
        """As the connection's."""
        return self._link.confirmed()
