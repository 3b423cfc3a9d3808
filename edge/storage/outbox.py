"""The outbox: alerts that have been decided and must reach the broker.

Across crash, power cut, restart and outage. SQLite in WAL mode, synced with every commit. A row is
one (topic, id, revision) with its bytes; it stays after delivery, so that a replay after a restart
finds that it stands and never publishes a second content under the same key. It goes only when
every checkpoint that a restart may begin from lies behind it, and then only beyond a memory of
many.
"""

from __future__ import annotations

import sqlite3
from collections import deque
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from edge.errors import JournalError
from edge.storage.checkpoint import KEPT as CHECKPOINTS_KEPT
from edge.storage.disk import DISK

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from edge.records import Publish
    from edge.storage.disk import Disk

# delivered rows kept for the memory of their keys; some months of alerts
KEPT_ROWS_MAX: Final = 100_000
# Rows that may wait for a broker that stays away: weeks of a flood, half a gigabyte. Beyond it the
# oldest are given up, counted, and said as a fault of our own once somebody hears us again.
PENDING_ROWS_MAX: Final = 100_000
DELIVERED: Final = 1
GIVEN_UP: Final = 2

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS outbox (
    row INTEGER PRIMARY KEY AUTOINCREMENT,
    topic TEXT NOT NULL,
    id TEXT NOT NULL,
    revision INTEGER NOT NULL,
    payload BLOB NOT NULL,
    qos INTEGER NOT NULL,
    retain INTEGER NOT NULL,
    delivered INTEGER NOT NULL DEFAULT 0,
    UNIQUE (topic, id, revision)
);
CREATE INDEX IF NOT EXISTS outbox_pending ON outbox (row) WHERE delivered = 0;
CREATE INDEX IF NOT EXISTS outbox_retained ON outbox (topic, row) WHERE retain = 1;
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboxRow:
    """A message that waits for the broker."""

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


class Outbox:
    """Messages by key. Used by one thread."""

    def __init__(self, path: Path, *, disk: Disk = DISK) -> None:
        """Raises JournalError when the file cannot be opened."""
        self.path = path
        self.conflicts_total = 0
        self.conflict = ""  # topic and key of the newest one
        self.contested: set[str] = set()  # alert ids of conflicts
        self.given_up_total = 0
        # newest row at the time of each checkpoint that is still there; restarts begin behind one
        self._covered: deque[int] = deque(maxlen=CHECKPOINTS_KEPT)
        try:
            disk.make_directory(path.parent)
            self._db = disk.connect(path)
            self._db.execute("PRAGMA journal_mode = WAL")
            # a checkpoint says "decided" of what was put before it: that must not be younger
            self._db.execute("PRAGMA synchronous = FULL")
            self._db.executescript(_SCHEMA)
            # unless all was said since: then it was heard that some were given up
            if self.pending_count():
                ((self.given_up_total,),) = self._db.execute(
                    "SELECT count(*) FROM outbox WHERE delivered = ?", (GIVEN_UP,)
                )
        except (OSError, sqlite3.Error) as error:
            raise JournalError(f"{path}: outbox cannot be opened: {error}") from error

    def put(self, messages: Sequence[Publish]) -> list[str]:
        """Keep messages in one transaction.

        Returns what could not be kept because its key has other bytes already.

        The same bytes again are dropped without a word: that is a replay. Raises JournalError when
        the disk fails; then none of them is kept.
        """
        conflicts: list[str] = []
        contested: set[str] = set()
        with self._transaction():
            for message in messages:
                stands = self._bytes_of(message)
                if stands is None:
                    self._insert(message)
                elif stands != message.payload:
                    conflicts.append(f"{message.topic} {message.key}")
                    contested.add(_key(message)[0])
            given_up = self._give_up()
        self.contested |= contested
        self.conflicts_total += len(conflicts)
        self.conflict = conflicts[-1] if conflicts else self.conflict
        self.given_up_total += given_up
        return conflicts

    def pending(self, *, after: int = 0, limit: int = 1000) -> list[OutboxRow]:
        """Undelivered messages in the order in which they were decided, behind row `after`."""
        rows = self._read(
            "SELECT row, topic, payload, qos, retain FROM outbox"
            " WHERE delivered = 0 AND row > ? ORDER BY row LIMIT ?",
            (after, limit),
        )
        return [OutboxRow.of(row) for row in rows]

    def pending_count(self) -> int:
        """How many messages wait."""
        ((count,),) = self._read("SELECT count(*) FROM outbox WHERE delivered = 0")
        return int(count)

    def newest(self, topic: str) -> tuple[str, int] | None:
        """(id, revision) of the last message that was put for a topic; None: there was none."""
        rows = self._read(
            "SELECT id, revision FROM outbox WHERE topic = ? ORDER BY row DESC LIMIT 1", (topic,)
        )
        return None if not rows else (rows[0][0], rows[0][1])

    def revision_of(self, topic: str, alert_id: str) -> int:
        """The highest revision that was put for a topic and an id; 0: none."""
        query = "SELECT coalesce(max(revision), 0) FROM outbox WHERE topic = ? AND id = ?"
        ((revision,),) = self._read(query, (topic, alert_id))
        return int(revision)

    def standing(self) -> list[OutboxRow]:
        """The last message of each retained topic for which nothing waits."""
        rows = self._read(
            "SELECT row, topic, payload, qos, retain FROM outbox WHERE row IN"
            " (SELECT max(row) FROM outbox WHERE retain = 1 GROUP BY topic) AND delivered > 0"
            " AND length(payload) > 0 ORDER BY row"  # what was cleared stays forgotten
        )
        return [OutboxRow.of(row) for row in rows]

    def last_words(self, topics: Sequence[str]) -> list[OutboxRow]:
        """The last message of each of these topics, delivered or not."""
        query = (
            "SELECT row, topic, payload, qos, retain FROM outbox WHERE topic = ?"
            " ORDER BY row DESC LIMIT 1"
        )
        return [OutboxRow.of(row) for topic in topics for row in self._read(query, (topic,))]

    def resolved(self) -> None:
        """What was contested has been said as a later revision."""
        self.contested.clear()
        self.conflict = ""

    def delivered(self, rows: Sequence[int]) -> None:
        """The broker has confirmed these rows.

        Raises JournalError; then they are sent again, the same bytes.
        """
        if not rows:
            return
        with self._transaction():
            self._db.executemany(
                "UPDATE outbox SET delivered = ? WHERE row = ?", [(DELIVERED, row) for row in rows]
            )

    def covered(self) -> None:
        """A checkpoint covers everything that was put so far: forget what nobody can ask for.

        Raises JournalError; then it is forgotten at a later one.
        """
        ((newest,),) = self._read("SELECT coalesce(max(row), 0) FROM outbox")
        self._covered.append(newest)
        until = min(self._covered[0], newest - KEPT_ROWS_MAX)
        if len(self._covered) < CHECKPOINTS_KEPT or until <= 0:
            return
        with self._transaction():
            self._db.execute(
                "DELETE FROM outbox WHERE delivered > 0 AND row <= ? AND row NOT IN"
                " (SELECT max(row) FROM outbox WHERE retain = 1 GROUP BY topic)",  # said again
                (until,),
            )

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """All or nothing. Raises JournalError when the disk fails."""
        self._roll_back()  # what a failure may have left open
        try:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:
                self._roll_back()
                raise
        except sqlite3.Error as error:
            raise JournalError(f"outbox cannot be written: {error}; free disk space") from error

    def _roll_back(self) -> None:
        # Some failures (a full disk) have already rolled back; of two errors, the first says why.
        with suppress(sqlite3.Error):
            if self._db.in_transaction:
                self._db.rollback()

    def _read(self, query: str, values: tuple[int | str, ...] = ()) -> list[Any]:
        try:
            return self._db.execute(query, values).fetchall()
        except sqlite3.Error as error:
            raise JournalError(f"outbox cannot be read: {error}") from error

    def _bytes_of(self, message: Publish) -> bytes | None:
        found = self._db.execute(
            "SELECT payload FROM outbox WHERE topic = ? AND id = ? AND revision = ?",
            (message.topic, *_key(message)),
        ).fetchone()
        return None if found is None else bytes(found[0])

    def _give_up(self) -> int:
        """Mark the oldest waiting rows beyond the cap; returns how many."""
        (count,) = self._db.execute("SELECT count(*) FROM outbox WHERE delivered = 0").fetchone()
        beyond = max(0, int(count) - PENDING_ROWS_MAX)
        if beyond:
            self._db.execute(
                "UPDATE outbox SET delivered = ? WHERE row IN"
                " (SELECT row FROM outbox WHERE delivered = 0 ORDER BY row LIMIT ?)",
                (GIVEN_UP, beyond),
            )
        return beyond

    def _insert(self, message: Publish) -> None:
        self._db.execute(
            "INSERT INTO outbox (topic, id, revision, payload, qos, retain)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            (message.topic, *_key(message), message.payload, message.qos, int(message.retain)),
        )


def _key(message: Publish) -> tuple[str, int]:
    assert message.key is not None, "only keyed messages belong into the outbox"
    return message.key
