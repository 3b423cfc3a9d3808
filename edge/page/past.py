"""What the gateway has decided before, read from its outbox without ever holding it up.

Each question opens the file read-only and closes it again: in SQLite's WAL mode readers never make
a writer wait. Where it cannot be read, the page goes on with what it has heard.
"""

from __future__ import annotations

import math
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Final

import msgspec

from edge.errors import UNREADABLE, WireError
from edge.wire.outgoing import EventPayload
from edge.wire.reread import reread

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from edge.wire.topics import Topics

ROWS_MAX: Final = 20_000  # looked at for a shift, newest first
EVENTS_MAX: Final = 400  # of one asset, newest first, among which similar ones are looked for
BUSY_S: Final = 0.5
OF_TOPIC: Final = (
    "SELECT payload FROM outbox WHERE topic = ? AND delivered != 3 ORDER BY row DESC LIMIT ?"
)
OF_ID: Final = (
    "SELECT payload FROM outbox WHERE topic = ? AND id = ? AND delivered != 3"
    " ORDER BY revision DESC LIMIT 1"
)
NEWEST: Final = (
    "SELECT topic, payload FROM outbox WHERE delivered != 3 AND topic LIKE ? ESCAPE '\\'"
    " ORDER BY row DESC LIMIT ?"
)


class Similar(msgspec.Struct, frozen=True, kw_only=True):
    """An event of before that the same channels made. likeness: 0 to 1, of their shares."""

    id: str
    begin_ms: int
    ts_ms: int
    state: str
    decision: str
    job_id: str
    message: str
    likeness: float


class Past:
    """The outbox of a gateway, from aside."""

    def __init__(self, file: Path, topics: Topics) -> None:
        self._file, self._topics = file, topics

    def events_since(self, begin_ms: int) -> list[EventPayload]:
        """Revisions of events since a plant time, oldest first; () where nothing can be read."""
        pattern = self._topics.event("").replace("\\", "\\\\").replace("_", "\\_")
        pattern = pattern.replace("%", "\\%") + "%"
        found = []
        for topic, payload in self._rows(NEWEST, pattern, ROWS_MAX):
            said = self._event(str(topic), payload)
            if said is None:
                continue
            if said.ts_ms < begin_ms:
                break
            found.append(said)
        return found[::-1]

    def event(self, asset: str, alert_id: str) -> bytes | None:
        """The newest event of an alert in full, as JSON; None where it is not kept."""
        topic = self._topics.event(asset)
        for (payload,) in self._rows(OF_ID, topic, alert_id):
            if isinstance(payload, bytes) and self._event(topic, payload) is not None:
                return payload
        return None

    def similar(self, to: EventPayload, *, count: int) -> list[Similar]:
        """Events of the asset and track before this one, the most alike first."""
        topic, seen, found = self._topics.event(to.asset), {to.id}, []
        shares = {one.channel: one.share for one in to.contributions}
        for (payload,) in self._rows(OF_TOPIC, topic, EVENTS_MAX):
            said = self._event(topic, payload)
            if said is None or said.id in seen or said.track != to.track:
                continue
            seen.add(said.id)
            if said.begin_ms >= to.begin_ms:
                continue
            found.append(
                Similar(
                    id=said.id,
                    begin_ms=said.begin_ms,
                    ts_ms=said.ts_ms,
                    state=said.state,
                    decision=said.decision,
                    job_id=said.job_id,
                    message=said.message,
                    likeness=_likeness(shares, said),
                )
            )
        return sorted(found, key=lambda one: (-one.likeness, -one.begin_ms))[:count]

    def _event(self, topic: str, payload: object) -> EventPayload | None:
        if not isinstance(payload, bytes):
            return None
        try:
            said = reread(payload, topic=topic, topics=self._topics)
        except WireError:
            return None  # of another version, or damaged: the gateway says so, not we
        return said if isinstance(said, EventPayload) else None

    def _rows(self, query: str, *values: object) -> Iterator[tuple[object, ...]]:
        uri = f"{self._file.absolute().as_uri()}?mode=ro"
        try:
            with closing(sqlite3.connect(uri, uri=True, timeout=BUSY_S)) as database:
                rows = database.execute(query, values).fetchall()
        except (sqlite3.Error, *UNREADABLE):
            return
        yield from rows


def _likeness(shares: dict[str, float], said: EventPayload) -> float:
    """Cosine of the channels' shares of two events."""
    theirs = {one.channel: one.share for one in said.contributions}
    norm = math.hypot(*shares.values()) * math.hypot(*theirs.values())
    if not norm:
        return 0.0
    return round(sum(share * theirs.get(name, 0.0) for name, share in shares.items()) / norm, 4)
