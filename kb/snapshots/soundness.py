"""Whether the cells of a snapshot's database hold what belongs there.

A hash says that a file is the one that its manifest names, not who made either; and SQLite keeps
any kind of value in any column.
"""

from __future__ import annotations

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


def check(connection: sqlite3.Connection, typed: Sequence[str]) -> None:
    """Raise sqlite3.Error where a table of a snapshot holds what we never write.

    typed: tables of records, as JSON in `body`.
    """
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
        'chunk WHERE chunk_id < 0 OR start < 0 OR start >= "end"'
        " OR document NOT IN (SELECT number FROM document)",
        "a passage is of no document",
    )
    connection.create_function("characters", 1, len)  # SQLite's own length ends at a NUL
    _none(  # once for each document
        connection,
        '(SELECT document, max("end") AS last FROM chunk GROUP BY document) JOIN document'
        " ON number = document WHERE last > characters(text)",
        "a passage lies outside its document",
    )


def _none(connection: sqlite3.Connection, what: str, wrong: str) -> None:
    found = connection.execute(f"SELECT 1 FROM {what} LIMIT 1").fetchone()  # noqa: S608 - ours
    if found is not None:
        raise sqlite3.DatabaseError(wrong)
