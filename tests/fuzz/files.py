"""Targets that read a file: the input is written, and the reader is given its path."""

# ruff: noqa: S608 - names of tables that were read from them

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.fuzz.mutate import FLOATS, INTEGERS, TEXTS, mutate_bytes
from tests.fuzz.target import FILE, Target

if TYPE_CHECKING:
    import random

    from tests.fuzz.target import Begin, Mutate, Read

ReadFile = Callable[[Path], bool]
KINDS: Final = ("text", "number", "real", "blob", "null")


def reader_target(
    name: str,
    begin: Begin,
    seeds: Callable[[], Sequence[bytes]],
    mutate: Mutate,
    *refusals: type[BaseException],
) -> Target:
    """A target of what stands in a file, with a reader of its own; refusals: documented errors."""
    return Target(name=name, count=FILE, begin=begin, refusals=refusals, seeds=seeds, mutate=mutate)


def file_target(
    name: str,
    read_file: ReadFile,
    *,
    refusals: tuple[type[BaseException], ...],
    seeds: Callable[[], Sequence[bytes]],
    mutate: Mutate,
    file: str = "input",
    count: int = FILE,
) -> Target:
    """A target whose reader takes a path. file: its name within the directory of the reader."""

    def begin(scratch: Path) -> Read:
        path = scratch / file
        path.parent.mkdir(parents=True, exist_ok=True)

        def read(data: bytes) -> bool:
            path.write_bytes(data)
            return read_file(path)

        return read

    return Target(
        name=name, count=count, begin=begin, refusals=refusals, seeds=seeds, mutate=mutate
    )


def mutate_sqlite(chance: random.Random, data: bytes) -> bytes:
    """A database with other values, rows, tables or views in it; or with other bytes."""
    if not data or chance.random() < 0.4:
        return mutate_bytes(chance, data)
    connection = sqlite3.connect(":memory:", isolation_level=None)
    try:
        connection.deserialize(data)
        connection.execute("PRAGMA journal_mode = MEMORY")
        for _ in range(1 + int(chance.random() * 2)):
            _edit(chance, connection)
        return bytes(connection.serialize())
    except (sqlite3.Error, OverflowError, UnicodeEncodeError):
        return mutate_bytes(chance, data)
    finally:
        connection.close()


def _edit(chance: random.Random, connection: sqlite3.Connection) -> None:
    tables = [
        name
        for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        if not name.startswith("sqlite_")
    ]
    if not tables:
        return
    table = tables[int(chance.random() * len(tables))]
    columns = [row[1] for row in connection.execute(f'PRAGMA table_info("{table}")')]
    column = columns[int(chance.random() * len(columns))]
    way = chance.random()
    if way < 0.6:
        connection.execute("PRAGMA ignore_check_constraints = ON")
        connection.execute(
            f'UPDATE OR IGNORE "{table}" SET "{column}" = ? WHERE rowid IN'
            f' (SELECT rowid FROM "{table}" ORDER BY rowid LIMIT 1 OFFSET ?)',
            (_cell(chance), int(chance.random() * 4)),
        )
    elif way < 0.7:
        connection.execute(f'DELETE FROM "{table}"')
    elif way < 0.75:
        connection.execute(f'DROP TABLE "{table}"')
    elif way < 0.8:
        connection.execute(f'ALTER TABLE "{table}" RENAME COLUMN "{column}" TO other')
    elif way < 0.85:
        connection.execute(f'ALTER TABLE "{table}" RENAME TO old')
        connection.execute(f'CREATE VIEW "{table}" AS {_ENDLESS}')  # fmt: skip
    elif way < 0.9:
        connection.execute(
            f'CREATE TRIGGER t{int(chance.random() * 1e6)} AFTER INSERT ON "{table}"'
            f' BEGIN DELETE FROM "{table}"; END'
        )
    else:
        connection.execute(f"PRAGMA user_version = {int(chance.random() * 1e6)}")
        connection.execute("PRAGMA encoding = 'UTF-16'")


_ENDLESS: Final = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n"


def _cell(chance: random.Random) -> object:
    kind = KINDS[int(chance.random() * len(KINDS))]
    if kind == "text":
        return TEXTS[int(chance.random() * len(TEXTS))]
    if kind == "number":
        return INTEGERS[int(chance.random() * len(INTEGERS))]
    if kind == "real":
        return FLOATS[int(chance.random() * len(FLOATS))]
    return chance.randbytes(5) if kind == "blob" else None
