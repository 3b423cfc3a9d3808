"""The outbox's table, and a message that waits for the broker, in the file or in memory."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from edge.records import Publish

DAY_S: Final = 86_400
SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS outbox (
    row INTEGER PRIMARY KEY AUTOINCREMENT,
    topic TEXT NOT NULL,
    id TEXT NOT NULL,
    revision INTEGER NOT NULL,
    payload BLOB NOT NULL,
    qos INTEGER NOT NULL,
    retain INTEGER NOT NULL,
    delivered INTEGER NOT NULL DEFAULT 0,
    put_s REAL NOT NULL DEFAULT 0,
    UNIQUE (topic, id, revision)
);
CREATE INDEX IF NOT EXISTS outbox_pending ON outbox (row) WHERE delivered = 0;
CREATE INDEX IF NOT EXISTS outbox_retained ON outbox (topic, row) WHERE retain = 1;
CREATE TABLE IF NOT EXISTS running (seconds REAL NOT NULL, given_up INTEGER NOT NULL);
INSERT INTO running SELECT 0, 0 WHERE NOT EXISTS (SELECT 1 FROM running);
"""
# given up when there is too much: the oldest, but never the last word of a retained topic
OLDEST: Final = """
SELECT row, length(payload), put_s FROM outbox WHERE delivered = 0 AND NOT (retain = 1 AND row =
    (SELECT max(row) FROM outbox AS newer WHERE newer.retain = 1 AND newer.topic = outbox.topic))
ORDER BY row
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboxRow:
    """A message that waits for the broker. row: its place in the order of decisions."""

    row: int
    topic: str
    payload: bytes
    qos: int
    retain: bool

    @classmethod
    def of(cls, stored: tuple[int, str, bytes, int, int]) -> OutboxRow:
        """A row as the table has it."""
        row, topic, payload, qos, retain = stored
        return cls(row=row, topic=topic, payload=payload, qos=qos, retain=bool(retain))

    def at(self, row: int) -> OutboxRow:
        """The same under another number."""
        return replace(self, row=row)


def key_of(message: Publish) -> tuple[str, int]:
    """Alert id and revision of a message that belongs into the outbox."""
    assert message.key is not None, "only keyed messages belong into the outbox"
    return message.key
