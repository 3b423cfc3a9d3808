"""The outbox: alerts that have been decided and must reach the broker.

Across crash, power cut, restart and outage. SQLite in WAL mode, synced with every commit. A row is
one (topic, id, revision) with its bytes; it stays after delivery, so that a replay after a restart
finds that it stands and never publishes a second content under the same key. It goes only behind
every checkpoint that a restart may begin from, and then only beyond a memory of many.

What waits is bounded in rows, bytes and days of running; beyond that the oldest are given up, never
the last word of a retained topic. Ages count the time that a gateway has run: no clock that jumps
makes anything old.
"""

from __future__ import annotations

import sqlite3
from collections import deque
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final, TypeVar

from edge.errors import JournalError
from edge.storage.checkpoint import KEPT as CHECKPOINTS_KEPT
from edge.storage.disk import CLOCK, DISK
from edge.storage.outbox_table import (
    DAY_S,
    DELIVERED,
    FORGETTABLE,
    GIVEN_UP,
    LAST_WORD,
    SCHEMA,
    STANDING,
    WITHHELD_LAST,
    OutboxRow,
    brought_up_to_date,
    guarded,
    key_of,
    oldest_beyond,
    todo,
    whole_revision,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterator, Sequence
    from pathlib import Path

    from edge.records import Publish
    from edge.storage.disk import Clock, Disk

T = TypeVar("T")
KEPT_ROWS_MAX: Final = 100_000  # delivered, kept for the memory of their keys: some months
# Rows that may wait for a broker: weeks of a flood. Beyond it the oldest are given up, and told.
PENDING_ROWS_MAX: Final = 100_000
BYTES_MAX: Final = 256 << 20  # that may wait, and of what is kept for the memory of its keys
DAYS_MAX: Final = 30.0
SLACK: Final = 20  # a part of the cap is given up at once: looking for the oldest is not free
ROWS_AT_ONCE: Final = 1_000  # SQLite takes 32,766 values in one statement
FORGET_ROWS: Final = 5_000  # at one checkpoint
WAL_BYTES_MAX: Final = 8 << 20
VACUUM_PAGES: Final = 2_000  # given back at one checkpoint
# What a damaged file raises: cells of other types, and messages of SQLite that are no text.
FAULTS: Final = (sqlite3.Error, ValueError, TypeError, OverflowError)


class Outbox:
    """Messages by key. Used by one thread at a time."""

    def __init__(
        self,
        path: Path,
        *,
        bytes_max: int = BYTES_MAX,
        days_max: float = DAYS_MAX,
        disk: Disk = DISK,
        clock: Clock = CLOCK,
    ) -> None:
        """Raises JournalError when the file cannot be opened."""
        self._running_s = 0.0
        self._path, self._bytes_max, self._age_s_max = path, bytes_max, days_max * DAY_S
        self._clock_s = clock.monotonic_s  # runs on, whatever the wall clock does
        self.conflicts_total = self.given_up_total = 0
        self.conflict = ""  # topic and key of the newest one
        self.contested: set[str] = set()  # alert ids of conflicts
        # newest row at the time of each checkpoint that is still there; restarts begin behind one
        self._covered: deque[int] = deque(maxlen=CHECKPOINTS_KEPT)
        try:
            disk.make_directory(path.parent)
            self._db = guarded(disk.connect(path))
            self._db.execute("PRAGMA auto_vacuum = INCREMENTAL")  # of a new file only
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute(f"PRAGMA journal_size_limit = {WAL_BYTES_MAX}")
            # a checkpoint says "decided" of what was put before it: that must not be younger
            self._db.execute("PRAGMA synchronous = FULL")
            self._db.executescript(SCHEMA)
            self._running_s, told = brought_up_to_date(self._db)
            self._opened_s = self._clock_s()
            self._recount()
            # unless all was said since: then it was heard that some were given up
            if self._waiting:
                self.given_up_total = told
        except (OSError, *FAULTS) as error:
            why = f"{path}: outbox cannot be opened: {error}; {todo(error)}"
            raise JournalError(why) from error

    def put(self, messages: Sequence[Publish]) -> list[str]:
        """Keep messages in one transaction; returns what has a key that stands with other bytes.

        The same bytes again are dropped without a word: that is a replay. Raises JournalError when
        the disk fails; then none is kept.
        """
        conflicts: list[tuple[str, tuple[str, int]]] = []
        added = [0, 0]
        with self._transaction():
            for message in messages:
                stands = self._bytes_of(message)
                if stands is None:
                    self._insert(message)
                    added[0] += 1
                    added[1] += len(message.payload)
                elif stands != message.payload:
                    conflicts.append((message.topic, key_of(message)))
            given_up = self._give_up(self._waiting + added[0], self._waiting_bytes + added[1])
            self._note_running(self.given_up_total + len(given_up))
        self._waiting += added[0]
        self.newest_row += added[0]
        self._waiting_bytes += added[1]
        self._let_go(given_up)
        return self._contest(conflicts)

    def _contest(self, conflicts: Sequence[tuple[str, tuple[str, int]]]) -> list[str]:
        """Note keys that were decided with two contents; returns them, for people."""
        told = [f"{topic} {key}" for topic, key in conflicts]
        self.contested |= {key[0] for _, key in conflicts}
        self.conflicts_total += len(told)
        self.conflict = told[-1] if told else self.conflict
        return told

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
        return self._waiting

    @property
    def waiting_bytes(self) -> int:
        """Bytes of the payloads that wait."""
        return self._waiting_bytes

    @property
    def running_s(self) -> float:
        """How long gateways have run with this file, seconds."""
        return self._running_s + self._clock_s() - self._opened_s

    def payload_of(self, topic: str, key: tuple[str, int]) -> bytes | None:
        """What was put under a key; None: nothing, or it is forgotten. Raises JournalError."""
        at = self.row_of(topic, key)
        return None if at is None else self._payload(at)

    def newest(self, topic: str) -> tuple[str, int] | None:
        """(id, revision) of the last message that was put for a topic; None: there was none."""
        rows = self._read(
            "SELECT id, revision FROM outbox WHERE topic = ? ORDER BY row DESC LIMIT 1", (topic,)
        )
        return None if not rows else (str(rows[0][0]), whole_revision(rows[0][1]))

    def revision_of(self, topic: str, alert_id: str) -> int:
        """The highest revision that was put for a topic and an id; 0: none."""
        query = "SELECT coalesce(max(revision), 0) FROM outbox WHERE topic = ? AND id = ?"
        ((revision,),) = self._read(query, (topic, alert_id))
        return whole_revision(revision)

    def standing(self) -> list[OutboxRow]:
        """The last message of each retained topic for which nothing waits."""
        return [OutboxRow.of(row) for row in self._read(STANDING)]

    def withheld(self) -> list[str]:
        """Ids of which the last message on a retained topic is withheld."""
        return [str(row[0]) for row in self._read(WITHHELD_LAST)]

    def last_words(self, topics: Sequence[str]) -> list[OutboxRow]:
        """The last message of each of these topics, delivered or not."""
        return [OutboxRow.of(row) for topic in topics for row in self._read(LAST_WORD, (topic,))]

    def resolved(self) -> None:
        """What was contested has been said as a later revision."""
        self.contested.clear()
        self.conflict = ""

    def delivered(self, rows: Sequence[int], *, mark: int = DELIVERED) -> None:
        """The broker has confirmed these rows; mark: or they are done with for another reason.

        Raises JournalError; then they are sent again, the same bytes.
        """
        if len(rows) > ROWS_AT_ONCE:
            for first in range(0, len(rows), ROWS_AT_ONCE):
                self.delivered(rows[first : first + ROWS_AT_ONCE], mark=mark)
        if not 0 < len(rows) <= ROWS_AT_ONCE:
            return
        marks = ", ".join("?" * len(rows))
        with self._transaction():
            ((count, size),) = self._db.execute(
                "SELECT count(*), coalesce(sum(length(payload)), 0) FROM outbox"  # noqa: S608
                f" WHERE delivered = 0 AND row IN ({marks})",
                tuple(rows),
            )
            self._db.executemany(
                "UPDATE outbox SET delivered = ? WHERE row = ?", [(mark, row) for row in rows]
            )
        self._waiting -= count
        self._waiting_bytes -= size
        self._kept_bytes += size

    def covered(self, until_row: int | None = None) -> None:
        """A checkpoint covers everything up to a row, or all: forget what nobody can ask for.

        Raises JournalError; then it is forgotten at a later one.
        """
        ((newest,),) = self._read("SELECT coalesce(max(row), 0) FROM outbox")
        self._covered.append(newest if until_row is None else until_row)
        self._expire()
        if len(self._covered) < CHECKPOINTS_KEPT:
            return
        until = min(self._covered[0], newest - KEPT_ROWS_MAX)
        over_bytes = self._kept_bytes - self._bytes_max
        if until <= 0 and over_bytes <= 0:
            return
        freed, gone = 0, list[tuple[int]]()
        for row, size in self._read(FORGETTABLE, (self._covered[0], FORGET_ROWS)):
            if row > until and freed >= over_bytes:
                break
            gone.append((row,))
            freed += size
        if not gone:
            return
        with self._transaction():
            self._db.executemany("DELETE FROM outbox WHERE row = ?", gone)
        self._kept_bytes -= freed
        self._give_back()

    def change(self, what: Callable[[sqlite3.Connection], T]) -> T:
        """Do something to the rows, all or nothing. Raises JournalError."""
        with self._transaction():
            changed = what(self._db)
            self._recount()
        return changed

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def adopt(self, rows: Sequence[tuple[OutboxRow, tuple[str, int], int]]) -> dict[int, int]:
        """Take rows that were kept in memory, each with its key and what became of it.

        Returns the number of each here. What stands here already with the same bytes stays. Raises
        JournalError; then none is taken.
        """
        if not rows:
            return {}
        offset = max(0, self.newest_row + 1 - rows[0][0].row)
        numbers: dict[int, int] = {}
        conflicts: list[tuple[str, tuple[str, int]]] = []
        with self._transaction():
            for row, key, delivered in rows:
                at = self.row_of(row.topic, key)
                numbers[row.row] = row.row + offset if at is None else at
                if at is None:
                    self._db.execute(
                        "INSERT INTO outbox (row, topic, id, revision, payload, qos, retain,"
                        " delivered, put_s) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                        (row.row + offset, row.topic, *key, row.payload, row.qos,
                         int(row.retain), delivered, self.running_s),
                    )  # fmt: skip
                elif delivered:
                    marked = "UPDATE outbox SET delivered = ? WHERE row = ?"
                    self._db.execute(marked, (delivered, at))
                if at is not None and self._payload(at) != row.payload:
                    conflicts.append((row.topic, key))
        self._recount()
        self._contest(conflicts)
        return numbers

    def superseded(self, topics: Sequence[str], *, before: int, but: Container[int] = ()) -> None:
        """Newer words of retained topics have been said: what waits before them is not sent."""
        query = "SELECT row FROM outbox WHERE topic = ? AND row < ? AND delivered = 0"
        found = [row for topic in topics for (row,) in self._read(query, (topic, before))]
        self.delivered([row for row in found if row not in but])

    # --- bounds ---

    def _recount(self) -> None:
        """What waits and what is kept besides. Raises sqlite3.Error."""
        counted = {0: (0, 0)}
        for waits, count, size in self._db.execute(
            "SELECT delivered = 0, count(*), coalesce(sum(length(payload)), 0) FROM outbox"
            " GROUP BY delivered = 0"
        ).fetchall():
            counted[int(waits)] = (int(count), int(size))
        self._waiting, self._waiting_bytes = counted.get(1, (0, 0))
        self._kept_bytes = counted[0][1]
        newest = "SELECT seq FROM sqlite_sequence WHERE name = 'outbox'"
        self.newest_row = sum(row[0] for row in self._db.execute(newest).fetchall())

    def _give_up(self, rows: int, size: int, *, older_than_s: float = 0.0) -> list[int]:
        """Mark the oldest beyond the caps; returns their bytes. In a transaction."""
        over_rows, over_bytes = rows - PENDING_ROWS_MAX, size - self._bytes_max
        if over_rows <= 0 and over_bytes <= 0 and older_than_s <= 0.0:
            return []
        over_rows += PENDING_ROWS_MAX // SLACK if over_rows > 0 else 0
        over_bytes += self._bytes_max // SLACK if over_bytes > 0 else 0
        gone = oldest_beyond(self._db, over_rows, over_bytes, older_than_s=older_than_s)
        marks = [(GIVEN_UP, row) for row, _ in gone]
        self._db.executemany("UPDATE outbox SET delivered = ? WHERE row = ?", marks)
        return [length for _, length in gone]

    def _note_running(self, given_up: int) -> None:
        self._db.execute("UPDATE running SET seconds = ?, given_up = ?", (self.running_s, given_up))

    def _let_go(self, given_up: Sequence[int]) -> None:
        self.given_up_total += len(given_up)
        self._waiting -= len(given_up)
        self._waiting_bytes -= sum(given_up)
        self._kept_bytes += sum(given_up)

    def _expire(self) -> None:
        """Give up what has waited for too long."""
        since_s = self.running_s - self._age_s_max
        if since_s <= 0 or not self._waiting:
            return
        with self._transaction():
            given_up = self._give_up(0, 0, older_than_s=since_s)
            if given_up:
                self._note_running(self.given_up_total + len(given_up))
        self._let_go(given_up)

    def _give_back(self) -> None:
        """Bytes of what was forgotten to the disk, a part at a time."""
        self._read(f"PRAGMA incremental_vacuum({VACUUM_PAGES})")
        wal = self._path.with_name(f"{self._path.name}-wal")
        if wal.exists() and wal.stat().st_size > WAL_BYTES_MAX // 2:
            self._read("PRAGMA wal_checkpoint(TRUNCATE)")

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
        except FAULTS as error:
            raise JournalError(f"outbox cannot be written: {error}; free disk space") from error

    def _roll_back(self) -> None:
        # Some failures (a full disk) have already rolled back; of two errors, the first says why.
        with suppress(sqlite3.Error):
            if self._db.in_transaction:
                self._db.rollback()

    def _read(self, query: str, values: tuple[int | str, ...] = ()) -> list[Any]:
        try:
            return self._db.execute(query, values).fetchall()
        except FAULTS as error:
            raise JournalError(f"outbox cannot be read: {error}") from error

    def _bytes_of(self, message: Publish) -> bytes | None:
        found = self._db.execute(
            "SELECT payload FROM outbox WHERE topic = ? AND id = ? AND revision = ?",
            (message.topic, *key_of(message)),
        ).fetchone()
        if found is not None and not isinstance(found[0], bytes):
            raise JournalError(f"outbox cannot be read: {message.topic} is damaged")
        return None if found is None else found[0]

    def row_of(self, topic: str, key: tuple[str, int]) -> int | None:
        """Where a key stands; None: nowhere. Raises JournalError."""
        rows = self._read(
            "SELECT row FROM outbox WHERE topic = ? AND id = ? AND revision = ?", (topic, *key)
        )
        return int(rows[0][0]) if rows else None

    def _payload(self, row: int) -> bytes:
        ((payload,),) = self._read("SELECT payload FROM outbox WHERE row = ?", (row,))
        return bytes(payload)

    def _insert(self, message: Publish) -> None:
        self._db.execute(
            "INSERT INTO outbox (topic, id, revision, payload, qos, retain, put_s)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            (message.topic, *key_of(message), message.payload, message.qos, int(message.retain),
             self.running_s),
        )  # fmt: skip
