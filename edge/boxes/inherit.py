"""What the box before has said since the backup: learned from what was read back of the broker.

Its last word on each topic goes into our outbox as delivered, with its bytes. What the backup had
waiting and the old box has delivered since is not said again: it would stand there as if it were
the last word.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeVar

from edge.brokers.read_back import said

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Mapping

T = TypeVar("T")


class Rows(Protocol):
    """What it needs of an outbox."""

    def change(self, what: Callable[[sqlite3.Connection], T]) -> T:
        """Do something to the rows, all or nothing. Raises JournalError."""


@dataclass(slots=True)
class Learned:
    """What was found.

    newer: topics that hold what the backup does not know. delivered: messages of the backup that
    need not be said. other_bytes: keys under which the broker holds other bytes than we had.
    """

    newer: int = 0
    delivered: int = 0
    other_bytes: int = 0


def learn(outbox: Rows, standing: Mapping[str, bytes], *, until_row: int) -> Learned:
    """Take over what stands on retained topics. until_row: the newest row of the backup.

    Messages leave in the order of their rows. So everything up to the newest row that the broker
    knows has been sent; and everything of the backup, where it knows what came later. Raises
    JournalError; then nothing has changed.
    """

    def note(database: sqlite3.Connection) -> Learned:
        found, sent_row = Learned(), 0
        for topic, payload in standing.items():
            sent_row = max(sent_row, _stand(database, topic, payload, until_row, found))
        found.delivered = database.execute(
            "UPDATE outbox SET delivered = 1 WHERE delivered = 0 AND row <= ?",
            (min(sent_row, until_row),),
        ).rowcount
        return found

    return outbox.change(note)


def _stand(
    database: sqlite3.Connection, topic: str, payload: bytes, until_row: int, found: Learned
) -> int:
    """Note one topic's last word; returns the row up to which the old box has sent all."""
    key = said(payload)
    if key is None:
        return 0  # of our own troubles, or not ours
    row = database.execute(
        "SELECT row, payload FROM outbox WHERE topic = ? AND id = ? AND revision = ?",
        (topic, *key),
    ).fetchone()
    # what taking the end of the journal again has decided anew, and the old box has said already
    database.execute(
        "UPDATE outbox SET delivered = 1"
        " WHERE delivered = 0 AND row > ? AND id = ? AND revision <= ?",
        (until_row, *key),
    )
    if row is None:
        database.execute(
            "INSERT INTO outbox (topic, id, revision, payload, qos, retain, delivered)"
            " VALUES (?, ?, ?, ?, 1, 1, 1)",
            (topic, *key, payload),
        )
        found.newer += 1
        return until_row
    if bytes(row[1]) != payload:  # said is said: ours must not follow under the same key
        found.other_bytes += 1
        database.execute(
            "UPDATE outbox SET payload = ?, delivered = 1 WHERE row = ?", (payload, row[0])
        )
    return int(row[0])
