"""The history of alerts: each revision in some hundred bytes, for longer than the outbox has it.

The outbox keeps what it published for weeks, in full, as a memory of its keys. Whoever makes a
report, and the operator page while it runs, copies what is new there into this file, which stays
within a cap of bytes and of days. A month is whole if that happened once in those weeks; a gateway
pays nothing for it, and writes nothing here.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import msgspec

from edge.errors import UNREADABLE
from edge.reports.reading import OUTBOX, read_outbox
from edge.reports.transitions import Transition
from edge.storage.disk import DISK
from edge.storage.outbox_table import guarded

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from edge.configuration.config import GatewayConfig
    from edge.reports.reading import Rows

DAY_MS: Final = 86_400_000
ROW_BYTES: Final = 120  # of a row beside its body, with what the index takes
SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS kept (
    row INTEGER PRIMARY KEY AUTOINCREMENT,
    t_ms INTEGER NOT NULL,
    topic TEXT NOT NULL,
    id TEXT NOT NULL,
    revision INTEGER NOT NULL,
    body BLOB NOT NULL,
    UNIQUE (topic, id, revision)
);
CREATE TABLE IF NOT EXISTS copied (
    outbox TEXT NOT NULL, row INTEGER NOT NULL, since_ms INTEGER NOT NULL
);
"""
_DECODER: Final = msgspec.msgpack.Decoder(Transition)
_ENCODER: Final = msgspec.msgpack.Encoder()


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """Revisions in the order of decisions. since_ms: from when on all of them; 0: from the first.

    kept: "" or why nothing could be kept beyond what the outbox has.
    """

    transitions: Sequence[Transition]
    since_ms: int
    kept: str = ""


def history_file(config: GatewayConfig) -> Path:
    """Where a gateway's history is."""
    named = config.reports.file
    return config.path(named) if named else config.path(config.journal.dir) / "reports.db"


def history_of(config: GatewayConfig) -> History:
    """All that is kept, brought up to date with the outbox. Raises JournalError."""
    outbox = config.path(config.journal.dir) / OUTBOX
    try:
        with closing(_opened(history_file(config))) as database:
            _copy(database, outbox, config)
            return _all(database)
    except (OSError, sqlite3.Error, *UNREADABLE) as error:
        rows = read_outbox(outbox, prefix=config.prefix, site=config.site)
        why = f"{history_file(config)}: {error}"
        return History(
            transitions=[one for _, one in rows.found], since_ms=_since_ms(rows), kept=why
        )


def _opened(path: Path) -> sqlite3.Connection:
    DISK.make_directory(path.parent)
    database = guarded(DISK.connect(path))
    try:
        database.execute("PRAGMA auto_vacuum = INCREMENTAL")
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA busy_timeout = 5000")
        database.executescript(SCHEMA)
    except BaseException:
        database.close()
        raise
    path.chmod(0o640)
    return database


def _copy(database: sqlite3.Connection, outbox: Path, config: GatewayConfig) -> None:
    """Take what is new in the outbox; another file than last time is read from its beginning."""
    name = str(outbox.stat().st_ino) if outbox.exists() else ""
    stood = database.execute("SELECT outbox, row, since_ms FROM copied LIMIT 1").fetchone()
    after = int(stood[1]) if stood is not None and stood[0] == name else 0
    rows = read_outbox(outbox, prefix=config.prefix, site=config.site, after=after)
    if rows.newest < after:
        after = 0
        rows = read_outbox(outbox, prefix=config.prefix, site=config.site)
    since_ms = int(stood[2]) if stood is not None else 0
    if rows.whole_from > after + 1:  # something was forgotten before it was copied
        since_ms = max(since_ms, _since_ms(rows))
    database.execute("BEGIN IMMEDIATE")
    try:
        database.executemany(
            "INSERT OR IGNORE INTO kept (t_ms, topic, id, revision, body) VALUES (?, ?, ?, ?, ?)",
            [
                (one.t_ms, "/".join(one.topic), one.id, one.revision, _ENCODER.encode(one))
                for _, one in rows.found
            ],
        )
        since_ms = max(since_ms, _prune(database, config))
        database.execute("DELETE FROM copied")
        database.execute("INSERT INTO copied VALUES (?, ?, ?)", (name, rows.newest, since_ms))
        database.execute("COMMIT")
    except BaseException:
        database.execute("ROLLBACK")
        raise
    database.executescript("PRAGMA incremental_vacuum")  # `execute` would free one page


def _prune(database: sqlite3.Connection, config: GatewayConfig) -> int:
    """Drop the oldest beyond the caps, never the newest word of a topic; 0 or the new begin."""
    ((newest_ms,),) = database.execute("SELECT coalesce(max(t_ms), 0) FROM kept").fetchall()
    before_ms = newest_ms - config.reports.days_max * DAY_MS
    size = "SELECT coalesce(sum(length(body) + ?), 0) FROM kept"
    ((total,),) = database.execute(size, (ROW_BYTES,)).fetchall()
    over, gone, since_ms = total - config.reports.bytes_max, list[tuple[int]](), 0
    if over > 0:
        over += config.reports.bytes_max // 20  # not at each report again
    last = {row for (row,) in database.execute("SELECT max(row) FROM kept GROUP BY topic")}
    for row, t_ms, length in database.execute(
        "SELECT row, t_ms, length(body) FROM kept ORDER BY row"
    ):
        if t_ms >= before_ms and over <= 0:
            break
        if row in last:
            continue
        gone.append((row,))
        over -= length + ROW_BYTES
        since_ms = max(since_ms, t_ms + 1)
    database.executemany("DELETE FROM kept WHERE row = ?", gone)
    return since_ms


def _all(database: sqlite3.Connection) -> History:
    bodies = database.execute("SELECT body FROM kept ORDER BY row").fetchall()
    ((since_ms,),) = database.execute("SELECT since_ms FROM copied LIMIT 1").fetchall()
    return History(transitions=[_DECODER.decode(body) for (body,) in bodies], since_ms=since_ms)


def _since_ms(rows: Rows) -> int:
    """The time of the first revision from which on none is missing; 0: none was ever forgotten."""
    if rows.whole_from <= 1:
        return 0
    return next((one.t_ms for row, one in rows.found if row >= rows.whole_from), 0)
