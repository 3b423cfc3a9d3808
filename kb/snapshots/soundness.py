"""Whether a database is one of ours: its tables as we make them, in each cell what belongs there.

A hash says that a file is the one that its manifest names, not who made either. Other tables, views
and triggers would run within our queries, and SQLite keeps any kind of value in any column.
"""

from __future__ import annotations

import functools
import sqlite3
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

_TEXTS: Final = {
    "document": ("doc_id", "revision", "kind", "title", "path", "text", "language"),
    "chunk": ("section", "embedded_sha256", "heading", "body"),
}
_NUMBERS: Final = {
    "document": ("number", "known_from_ns"),
    "chunk": ("chunk_id", "document", "start", '"end"', "known_from_ns", "known_to_ns"),
}
_LISTED: Final = "SELECT type, name, tbl_name, sql FROM sqlite_master ORDER BY type, name"


def check(connection: sqlite3.Connection, schema: Sequence[str], typed: Sequence[str]) -> None:
    """Raise sqlite3.Error where the database of a snapshot is none.

    schema: the statements that make one; typed: tables of records, as JSON in `body`.
    """
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.execute("PRAGMA cell_size_check = ON")
    connection.execute("PRAGMA query_only = ON")
    if tuple(connection.execute(_LISTED)) != _expected(tuple(schema)):
        raise sqlite3.DatabaseError("its tables are not those of a snapshot")
    for table in ("document", "chunk"):
        wrong = [f"typeof({name}) != 'text'" for name in _TEXTS[table]]
        wrong += [f"typeof({name}) != 'integer'" for name in _NUMBERS[table]]
        wrong.append("typeof(assets) NOT IN ('text', 'null')")
        _none(connection, f"{table} WHERE {' OR '.join(wrong)}", f"{table} holds other values")
    for table in typed:
        _none(connection, f"{table} WHERE typeof(body) != 'text'", f"{table} holds other values")
    _none(
        connection,
        "document WHERE number < 0 OR number >= (SELECT count(*) FROM document)",
        "documents are not numbered",
    )
    _none(
        connection,
        'chunk WHERE chunk_id < 0 OR start < 0 OR start > "end"'
        " OR document NOT IN (SELECT number FROM document)",
        "a passage is of no document",
    )


def _none(connection: sqlite3.Connection, what: str, wrong: str) -> None:
    found = connection.execute(f"SELECT 1 FROM {what} LIMIT 1").fetchone()  # noqa: S608 - ours
    if found is not None:
        raise sqlite3.DatabaseError(wrong)


@functools.cache
def _expected(schema: tuple[str, ...]) -> tuple[tuple[str | None, ...], ...]:
    """What a new database lists."""
    connection = sqlite3.connect(":memory:")
    try:
        for statement in schema:
            connection.execute(statement)
        return tuple(connection.execute(_LISTED))
    finally:
        connection.close()
