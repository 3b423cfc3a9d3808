"""What stands of our alerts, in the outbox and at the broker, beside what the engine says now."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from edge.brokers.read_back import said, word
from edge.storage.restore import not_as_published

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from edge.engine import Engine
    from edge.records import AlertStands
    from edge.storage.standby import StandbyOutbox
    from edge.wire.topics import Topics


def otherwise(
    engine: Engine,
    outbox: StandbyOutbox,
    topics: Topics,
    *,
    leap: Callable[[], int],
    retained: Mapping[str, bytes] | None = None,
) -> tuple[AlertStands, ...]:
    """Where an alert's topic does not hold what the engine says. Raises JournalError.

    leap: draws a number that no other process draws; retained: payloads by topic, as the broker
    holds them; None: as our own outbox has it.
    """
    if retained is None:
        found = _put(engine, outbox, topics)
    else:
        found = _stood(engine, outbox, topics, retained)
    by = leap() if found else 0
    return tuple(msgspec.structs.replace(one, leap=by) for one in found)


def _put(engine: Engine, outbox: StandbyOutbox, topics: Topics) -> tuple[AlertStands, ...]:
    """Where our own outbox has another word of an alert as the last one."""
    # what was withheld was never heard: who knows that it can be audited now says it again
    contested = outbox.contested | outbox.withheld()
    stands = not_as_published(
        engine, outbox.newest, outbox.revision_of, topics=topics, contested=contested
    )
    if outbox.answers:  # else who was decided twice was not looked for
        outbox.resolved()
    return tuple(
        _with_word(one, outbox.payload_of(_topic(one, topics), (one.alert_id, one.revision)))
        for one in stands
    )


def _stood(
    engine: Engine, outbox: StandbyOutbox, topics: Topics, retained: Mapping[str, bytes]
) -> tuple[AlertStands, ...]:
    """Where the broker holds of an alert what stands in no outbox of ours.

    retained: payloads by topic. What is in the outbox was said by us, or will be followed; what
    waits before what the broker holds is not said any more.
    """
    holds = {topic: one for topic in retained if (one := said(retained[topic])) is not None}
    unknown, contested = {}, set()
    for topic, one in holds.items():
        ours = outbox.payload_of(topic, one)
        if ours != retained[topic]:
            unknown[topic] = one
            if ours is not None:  # who lost its files and ours said the same, with other bytes
                contested.add(one[0])
    if holds:
        outbox.overtaken(holds, foreign=unknown)

    def revision_of(topic: str, alert_id: str) -> int:
        there = unknown.get(topic, ("", 0))
        own = outbox.revision_of(topic, alert_id)
        return max(own, there[1] if there[0] == alert_id else 0)

    stands = not_as_published(engine, unknown.get, revision_of, topics=topics, contested=contested)
    return tuple(_with_word(one, retained.get(_topic(one, topics))) for one in stands)


def _topic(stands: AlertStands, topics: Topics) -> str:
    return topics.alert(stands.asset, stands.group or stands.track)


def _with_word(stands: AlertStands, payload: bytes | None) -> AlertStands:
    """With what the alert was said to be, for an engine that does not know it."""
    told = word(payload or b"")
    return msgspec.structs.replace(
        stands, begin_ms=told.begin_ms, changed_ms=told.ts_ms, unseen=told.unseen
    )
