"""What stands of our alerts, in the outbox and at the broker, beside what the engine says now."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge.gateway.read_back import said
from edge.storage.restore import not_as_published

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edge.engine import Engine
    from edge.records import AlertStands
    from edge.storage.standby import StandbyOutbox
    from edge.wire.topics import Topics


def otherwise(engine: Engine, outbox: StandbyOutbox, topics: Topics) -> tuple[AlertStands, ...]:
    """Where an alert's topic does not hold what the engine says. Raises JournalError."""
    stands = not_as_published(
        engine, outbox.newest, outbox.revision_of, topics=topics, contested=outbox.contested
    )
    outbox.resolved()
    return stands


def stood(
    engine: Engine, outbox: StandbyOutbox, topics: Topics, retained: Mapping[str, bytes]
) -> tuple[AlertStands, ...]:
    """Where the broker holds of an alert what stands in no outbox of ours.

    retained: payloads by topic. What is in the outbox was said by us, or will be followed.
    """
    unknown = {
        topic: one
        for topic, payload in retained.items()
        if (one := said(payload)) is not None and outbox.payload_of(topic, one) != payload
    }

    def revision_of(topic: str, alert_id: str) -> int:
        there = unknown.get(topic, ("", 0))
        own = outbox.revision_of(topic, alert_id)
        return max(own, there[1] if there[0] == alert_id else 0)

    return not_as_published(engine, unknown.get, revision_of, topics=topics, contested=())
