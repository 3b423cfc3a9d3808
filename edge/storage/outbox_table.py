"""The outbox's table, and a message that waits for the broker, in the file or in memory."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from edge.errors import JournalError

if TYPE_CHECKING:
    from edge.records import Publish

DELIVERED: Final = 1
GIVEN_UP: Final = 2
WITHHELD: Final = 3  # decided, and never to be said: it would be quiet without an audit
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
# given up when there is too much: the oldest, but never the last word of a retained topic, which
# is never one that is withheld (3)
OLDEST: Final = """
SELECT row, length(payload), put_s FROM outbox WHERE delivered = 0 AND NOT (retain = 1 AND row =
    (SELECT max(row) FROM outbox AS newer WHERE newer.retain = 1 AND newer.topic = outbox.topic
        AND newer.delivered != 3))
ORDER BY row
"""
# what waits of an id before a revision that was said on a topic
OVERTAKEN: Final = """
UPDATE outbox SET delivered = 1 WHERE delivered = 0 AND id = ?
    AND (revision < ? OR (revision = ? AND topic = ?))
"""
LAST_WORD: Final = """
SELECT row, topic, payload, qos, retain FROM outbox WHERE topic = ? ORDER BY row DESC LIMIT 1
"""
# the last word of each retained topic but what is withheld (3); what was cleared stays forgotten
STANDING: Final = """
SELECT row, topic, payload, qos, retain FROM outbox WHERE row IN
    (SELECT max(row) FROM outbox WHERE retain = 1 AND delivered != 3 GROUP BY topic)
    AND delivered > 0 AND length(payload) > 0
ORDER BY row
"""
WITHHELD_LAST: Final = """
SELECT id FROM outbox WHERE delivered = 3
    AND row IN (SELECT max(row) FROM outbox WHERE retain = 1 GROUP BY topic)
"""
# neither what was decided last for a retained topic nor the last of it that was not withheld
FORGETTABLE: Final = """
SELECT row, length(payload) FROM outbox WHERE delivered > 0 AND row <= ?
    AND row NOT IN (SELECT max(row) FROM outbox WHERE retain = 1 GROUP BY topic)
    AND row NOT IN
        (SELECT max(row) FROM outbox WHERE retain = 1 AND delivered != 3 GROUP BY topic)
ORDER BY row LIMIT ?
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
    def of(cls, stored: tuple[int, object, object, int, int]) -> OutboxRow:
        """A row as the table has it. Raises JournalError for one that we never wrote."""
        row, topic, payload, qos, retain = stored
        if not isinstance(topic, str) or not isinstance(payload, bytes) or qos not in (0, 1, 2):
            raise JournalError(f"outbox cannot be read: row {row} is damaged; move the file aside")
        return cls(row=row, topic=topic, payload=payload, qos=qos, retain=bool(retain))

    def at(self, row: int) -> OutboxRow:
        """The same under another number."""
        return replace(self, row=row)


def todo(error: Exception) -> str:
    """What somebody is to do about a file that cannot be opened."""
    if any(word in str(error) for word in ("not a database", "malformed")):
        return (
            "it is damaged: stop the gateway, move the file and its -wal and -shm aside, and start;"
            " what it had not delivered is lost, what the journal decides is said again"
        )
    return "free disk space, or see to the permissions"


def key_of(message: Publish) -> tuple[str, int]:
    """Alert id and revision of a message that belongs into the outbox."""
    assert message.key is not None, "only keyed messages belong into the outbox"
    return message.key


def whole_revision(stored: object) -> int:
    """A revision as it was written. Raises JournalError for what is none."""
    if not isinstance(stored, int):
        raise JournalError(f"outbox cannot be read: revision {stored!r}; move the file aside")
    return stored


def guarded(database: sqlite3.Connection) -> sqlite3.Connection:
    """The connection, with what a file brings along not trusted: it may come from a backup.

    Raises sqlite3.DatabaseError, and closes it, for a file with triggers or views: they would run.
    """
    try:
        database.execute("PRAGMA trusted_schema = OFF")  # https://sqlite.org/security.html, 1.2
        database.execute("PRAGMA cell_size_check = ON")
        query = "SELECT type, name FROM sqlite_master WHERE type IN ('trigger', 'view')"
        strange = database.execute(query).fetchmany(1)
    except BaseException:
        database.close()
        raise
    for kind, name in strange:
        database.close()
        raise sqlite3.DatabaseError(f"it holds the {kind} {name}, which no outbox of ours has")
    return database


def brought_up_to_date(database: sqlite3.Connection) -> tuple[float, int]:
    """A file of an older version; returns how long gateways ran with it, and what they gave up.

    Seconds, messages. Raises sqlite3.Error.
    """
    known = {row[1] for row in database.execute("PRAGMA table_info(outbox)").fetchall()}
    if "put_s" not in known:
        database.execute("ALTER TABLE outbox ADD COLUMN put_s REAL NOT NULL DEFAULT 0")
    query = "SELECT seconds, given_up FROM running LIMIT 1"
    ((seconds, given_up),) = database.execute(query).fetchall()
    return float(seconds), int(given_up)


def oldest_beyond(
    database: sqlite3.Connection, rows: int, size: int, *, older_than_s: float
) -> list[tuple[int, int]]:
    """The oldest that may be given up, with their bytes: so many rows, so many bytes, so old."""
    gone: list[tuple[int, int]] = []
    freed = 0
    for row, length, put_s in database.execute(OLDEST):
        if len(gone) >= rows and freed >= size and put_s >= older_than_s:
            break
        gone.append((row, length))
        freed += length
    return gone
