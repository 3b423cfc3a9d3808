"""The outbox over a database of anybody's making."""

from __future__ import annotations

import sqlite3
from functools import cache
from typing import TYPE_CHECKING

from edge.records import Publish
from edge.storage.outbox import Outbox

if TYPE_CHECKING:
    from pathlib import Path

    from tests.fuzz.target import Read


def _message(revision: int) -> Publish:
    return Publish(
        topic="andon/s/alert/r1/process",
        payload=b'{"state":"ACTIVE_UNACK"}',
        qos=1,
        retain=True,
        key=("r1-1", revision),
    )


@cache
def outbox_seed() -> bytes:
    """A database as an outbox leaves it, in one file."""
    connection = sqlite3.connect(":memory:", isolation_level=None)
    from edge.storage.outbox_table import SCHEMA  # noqa: PLC0415 - what production makes it with

    connection.executescript(SCHEMA)
    for k in range(6):
        one = _message(k)
        connection.execute(
            "INSERT INTO outbox (topic, id, revision, payload, qos, retain, delivered)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            (one.topic, "r1-1", k, one.payload, 1, 1, k % 2),
        )
    return bytes(connection.serialize())


def _is_sound(data: bytes) -> bool:
    """Whether a database is one, and its largest row leaves room for another."""
    connection = sqlite3.connect(":memory:", isolation_level=None)
    try:
        if data:
            connection.deserialize(data)
            ((said,),) = connection.execute("PRAGMA integrity_check(1)")
            ((views,),) = connection.execute(
                "SELECT count(*) FROM sqlite_master WHERE type IN ('view', 'trigger')"
            )
            ((beyond,),) = connection.execute(
                "SELECT count(*) FROM outbox WHERE row > 100 OR revision > 6"
            )
            return said == "ok" and not views and not beyond
    except (sqlite3.Error, ValueError, OverflowError):
        return False
    else:
        return True
    finally:
        connection.close()


def begin_outbox(scratch: Path) -> Read:
    """Everything that a gateway asks of it."""
    path = scratch / "outbox.sqlite"

    def read(data: bytes) -> bool:
        for beside in scratch.glob("outbox.sqlite*"):
            beside.unlink()
        path.write_bytes(data)
        sound = _is_sound(data)
        outbox = Outbox(path)
        try:
            outbox.put([_message(7)])
            rows = [*outbox.pending(limit=50), *outbox.standing()]
            for row in rows:
                assert type(row.row) is int
                assert type(row.topic) is str
                assert type(row.payload) is bytes
                assert row.qos in (0, 1)
            newest = outbox.newest("andon/s/alert/r1/process")
            revision = outbox.revision_of("andon/s/alert/r1/process", "r1-1")
            if sound:  # else an index may tell another story than its table
                assert newest == ("r1-1", 7), "what was just put"
                assert revision >= 7
            outbox.delivered([row.row for row in rows])
            outbox.covered()
            outbox.covered()
        finally:
            outbox.close()
        return True

    return read
