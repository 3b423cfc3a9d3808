"""The SQLite file of a snapshot: documents, passages, words, proposals and scope rows."""

from __future__ import annotations

import functools
import hashlib
import sqlite3
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar

import msgspec

from kb.records import FailureMode, Limit, Proposal, ScopeRow, Sensor, SignedTable
from kb.retrieval import lexical
from kb.snapshots import soundness

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from kb.retrieval.passages import Extract

VALUE_BYTES_MAX: Final = 128 << 20  # of one text or record: a manual of 100 MB is cut before it
_DEFENSIVE: Final = (
    "trusted_schema = OFF",
    "cell_size_check = ON",
    "mmap_size = 0",
    "query_only = ON",
)
FOREVER_NS: Final = 2**63 - 1

# table -> the field of an extract whose records it holds, in order, as JSON
TYPED: Final = {
    "proposal": "proposals",
    "scope": "scope_rows",
    "failure_mode": "failure_modes",
    "engineering_limit": "limits",
    "sensor": "sensors",
    "signed_table": "signed",
}
_Typed = TypeVar("_Typed")

_OF_RECORDS: Final = (
    "CREATE TABLE IF NOT EXISTS {} (number INTEGER PRIMARY KEY, body TEXT NOT NULL)"
)
_SCHEMA: Final = (
    """CREATE TABLE document (
        number INTEGER PRIMARY KEY, doc_id TEXT NOT NULL, revision TEXT NOT NULL,
        kind TEXT NOT NULL, title TEXT NOT NULL, path TEXT NOT NULL, assets TEXT,
        known_from_ns INTEGER NOT NULL, text TEXT NOT NULL, language TEXT NOT NULL,
        rows_sha256 TEXT NOT NULL,
        UNIQUE (doc_id, revision))""",
    # rows_sha256: of all that is stored of the document, but for its number
    # known_to_ns: when the next revision of the document takes its place
    """CREATE TABLE chunk (
        chunk_id INTEGER PRIMARY KEY, document INTEGER NOT NULL REFERENCES document,
        section TEXT NOT NULL, start INTEGER NOT NULL, "end" INTEGER NOT NULL, assets TEXT,
        known_from_ns INTEGER NOT NULL, known_to_ns INTEGER NOT NULL,
        embedded_sha256 TEXT NOT NULL, heading TEXT NOT NULL, body TEXT NOT NULL)""",
    lexical.CREATE,
)  # fmt: skip


class DocumentRow(msgspec.Struct, frozen=True, kw_only=True):
    """A document as a snapshot lists it. `assets` None is site-wide."""

    number: int
    doc_id: str
    revision: str
    kind: str
    title: str
    path: str
    assets: tuple[str, ...] | None
    known_from_ns: int
    language: str = ""


class ChunkRow(msgspec.Struct, frozen=True, kw_only=True):
    """A passage as it is stored; its text is `text[start:end]` of its document."""

    chunk_id: int
    document: int
    section: str
    start: int
    end: int
    assets: tuple[str, ...] | None
    known_from_ns: int
    known_to_ns: int
    embedded_sha256: str  # "" when the search leaves it out


def write(path: Path, extracts: Iterable[Extract], hashes: dict[int, str]) -> None:
    """Write a new file; the same input gives the same rows in the same order.

    hashes: chunk id -> hash of what was embedded.
    """
    with _editing(path) as connection:
        for statement in _SCHEMA:
            connection.execute(statement)
        for number, stored in enumerate(_stored(extracts := list(extracts), hashes)):
            _insert(connection, number, stored)
        _write_typed(connection, extracts)
        connection.execute("INSERT INTO passage(passage) VALUES ('optimize')")


def amend(path: Path, extracts: Iterable[Extract], hashes: dict[int, str]) -> bool:
    """Make a file that holds other extracts hold these, touching only what differs.

    It then says the same as one that `write` made. Returns whether anything differed.
    """
    with _editing(path) as connection:
        stored = _stored(extracts := list(extracts), hashes)
        rows = connection.execute("SELECT rows_sha256, number FROM document").fetchall()
        numbers: dict[str, int] = dict(rows)
        kept = {numbers[one.sha256]: n for n, one in enumerate(stored) if one.sha256 in numbers}
        gone = [number for number in numbers.values() if number not in kept]
        _delete(connection, gone)
        _renumber(connection, {old: new for old, new in kept.items() if old != new})
        for number, one in enumerate(stored):
            if one.sha256 not in numbers:
                _insert(connection, number, one)
        typed = _write_typed(connection, extracts)
        return bool(gone) or typed or len(kept) < len(stored)


def open_bytes(stored: bytes, path: Path) -> sqlite3.Connection:
    """A connection that only reads these bytes; several threads may share it one at a time.

    They are copied into memory: what was hashed is what is read, whatever becomes of the file.
    path: where they came from, for messages. They may be anybody's: nothing that they bring along
    is run. Raises sqlite3.DatabaseError for what is no database, and for one with views, triggers
    or tables that are not ours.
    """
    connection = sqlite3.connect(":memory:", check_same_thread=False, isolation_level=None)
    try:
        connection.deserialize(stored)
        _guard(connection, path)
        soundness.check(connection, [name for _, name, _ in _objects(connection) if name in TYPED])
    except BaseException:
        connection.close()
        raise
    return connection


def _guard(connection: sqlite3.Connection, path: Path) -> None:
    for pragma in _DEFENSIVE:  # https://sqlite.org/security.html, section 1.2
        connection.execute(f"PRAGMA {pragma}")
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, VALUE_BYTES_MAX)
    if strange := _objects(connection) - _our_objects():
        names = ", ".join(sorted(name for _, name, _ in strange)[:3])
        raise sqlite3.DatabaseError(f"{path} holds {names}, which no snapshot of ours has")


_Object: TypeAlias = tuple[str, str, str | None]  # kind, name, and the statement that made it


def _objects(connection: sqlite3.Connection) -> set[_Object]:
    """Everything that a file defines."""
    return set(connection.execute("SELECT type, name, sql FROM sqlite_master"))


@functools.cache
def _our_objects() -> set[_Object]:
    """Everything that a snapshot may define."""
    with closing(sqlite3.connect(":memory:")) as connection:
        for statement in (*_SCHEMA, *map(_OF_RECORDS.format, TYPED)):
            connection.execute(statement)
        return _objects(connection)


def read_documents(connection: sqlite3.Connection) -> tuple[DocumentRow, ...]:
    """Every document, without its text."""
    rows = connection.execute(
        "SELECT number, doc_id, revision, kind, title, path, assets, known_from_ns,"
        " language FROM document ORDER BY number"
    )
    return tuple(
        DocumentRow(
            number=r[0], doc_id=r[1], revision=r[2], kind=r[3], title=r[4], path=r[5],
            assets=_assets(r[6]), known_from_ns=r[7], language=r[8],
        )
        for r in rows
    )  # fmt: skip


def read_chunks(connection: sqlite3.Connection) -> tuple[ChunkRow, ...]:
    """Every passage, by id."""
    rows = connection.execute(
        'SELECT chunk_id, document, section, start, "end", assets, known_from_ns, known_to_ns,'
        " embedded_sha256 FROM chunk ORDER BY chunk_id"
    )
    return tuple(
        ChunkRow(
            chunk_id=r[0], document=r[1], section=r[2], start=r[3], end=r[4], assets=_assets(r[5]),
            known_from_ns=r[6], known_to_ns=r[7], embedded_sha256=r[8],
        )
        for r in rows
    )  # fmt: skip


def read_text(connection: sqlite3.Connection, document: int) -> str:
    """The stored text of a document."""
    found = connection.execute("SELECT text FROM document WHERE number = ?", (document,)).fetchone()
    assert found is not None
    return str(found[0])


def read_words(connection: sqlite3.Connection, chunk_id: int) -> tuple[str, str]:
    """What the search compares of a passage: words above it, and its own."""
    found = connection.execute(
        "SELECT heading, body FROM chunk WHERE chunk_id = ?", (chunk_id,)
    ).fetchone()
    assert found is not None
    return str(found[0]), str(found[1])


def read_proposals(connection: sqlite3.Connection) -> tuple[Proposal, ...]:
    """Every proposal, oldest record first; of one moment, the cancelled comes last."""
    found = read_records(connection, "proposal", Proposal)
    return tuple(sorted(found, key=lambda p: (p.recorded_at_ns, p.cancelled, p.proposal_id)))


def read_scope_rows(connection: sqlite3.Connection) -> tuple[ScopeRow, ...]:
    """Every scope row, oldest approval first."""
    found = read_records(connection, "scope", ScopeRow)
    return tuple(sorted(found, key=lambda row: (row.recorded_at_ns, row.scope_id)))


def read_failure_modes(connection: sqlite3.Connection) -> tuple[FailureMode, ...]:
    """Every failure mode, in the order of the tables."""
    return tuple(read_records(connection, "failure_mode", FailureMode))


def read_limits(connection: sqlite3.Connection) -> tuple[Limit, ...]:
    """Every approved limit, oldest approval first."""
    found = read_records(connection, "engineering_limit", Limit)
    return tuple(sorted(found, key=lambda row: (row.recorded_at_ns, row.limit_id)))


def read_sensors(connection: sqlite3.Connection) -> tuple[Sensor, ...]:
    """Every row of the sensor schemas."""
    return tuple(read_records(connection, "sensor", Sensor))


def read_signed_tables(connection: sqlite3.Connection) -> tuple[SignedTable, ...]:
    """Scope tables with their signatures; older files hold none."""
    there = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'signed_table'"
    if connection.execute(there).fetchone() is None:
        return ()
    return tuple(read_records(connection, "signed_table", SignedTable))


def read_records(connection: sqlite3.Connection, table: str, kind: type[_Typed]) -> list[_Typed]:
    """Every record of one of the tables in TYPED, as stored."""
    rows = connection.execute(f"SELECT body FROM {table} ORDER BY number")  # noqa: S608 - ours
    return [msgspec.json.decode(body, type=kind) for (body,) in rows]


@contextmanager
def _editing(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection within one transaction, to a file that nobody else sees before it is whole."""
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        connection.execute("PRAGMA journal_mode=OFF")
        connection.execute("PRAGMA synchronous=OFF")  # the publisher syncs it
        connection.execute("BEGIN")
        yield connection
        connection.execute("COMMIT")
    finally:
        connection.close()


class _Stored(msgspec.Struct, frozen=True):
    """The rows of one document, without its number."""

    document: tuple[object, ...]
    chunks: tuple[tuple[Any, ...], ...]
    sha256: str


def _stored(extracts: list[Extract], hashes: dict[int, str]) -> list[_Stored]:
    known_to = _known_to(extracts)
    return [_rows_of(e, hashes, to_ns) for e, to_ns in zip(extracts, known_to, strict=True)]


def _rows_of(extract: Extract, hashes: dict[int, str], known_to_ns: int) -> _Stored:
    document = extract.document
    row = (
        document.doc_id, document.revision, document.kind, document.title, document.path,
        _joined(document.assets), document.known_from_ns, document.text, document.language,
    )  # fmt: skip
    chunks = tuple(
        (
            p.chunk_id, p.section, p.start, p.end, _joined(p.assets), p.known_from_ns,
            known_to_ns, hashes.get(p.chunk_id, ""), p.heading, p.body,
        )
        for p in extract.passages
    )  # fmt: skip
    sha256 = hashlib.sha256(msgspec.msgpack.encode((row, chunks))).hexdigest()
    return _Stored(row, chunks, sha256)


def _insert(connection: sqlite3.Connection, number: int, stored: _Stored) -> None:
    marks = ",".join("?" * (len(stored.document) + 2))
    connection.execute(
        f"INSERT INTO document VALUES ({marks})",  # noqa: S608 - ours
        (number, *stored.document, stored.sha256),
    )
    connection.executemany(
        "INSERT INTO chunk VALUES (?,?,?,?,?,?,?,?,?,?,?)",
        [(chunk_id, number, *rest) for chunk_id, *rest in stored.chunks],
    )
    searched = [lexical.row(c[0], *c[-2:]) for c in stored.chunks if c[-3]]
    connection.executemany(lexical.INSERT, searched)


def _delete(connection: sqlite3.Connection, numbers: Sequence[int]) -> None:
    """Take documents out, with their passages and words."""
    connection.execute("CREATE TEMP TABLE gone (number INTEGER PRIMARY KEY)")
    connection.executemany("INSERT INTO gone VALUES (?)", [(number,) for number in numbers])
    theirs = "document IN (SELECT number FROM gone)"
    words = connection.execute(
        f"SELECT chunk_id, heading, body FROM chunk WHERE {theirs} AND embedded_sha256 != ''"  # noqa: S608 - ours
    )
    connection.executemany(lexical.DELETE, [lexical.row(*one) for one in words])
    connection.execute(f"DELETE FROM chunk WHERE {theirs}")  # noqa: S608 - ours
    connection.execute("DELETE FROM document WHERE number IN (SELECT number FROM gone)")
    connection.execute("DROP TABLE gone")


def _renumber(connection: sqlite3.Connection, moved: dict[int, int]) -> None:
    """Documents before which others came or went take their new places."""
    if not moved:
        return
    connection.execute("CREATE TEMP TABLE moved (old INTEGER PRIMARY KEY, new INTEGER NOT NULL)")
    connection.executemany("INSERT INTO moved VALUES (?,?)", moved.items())
    new = "(SELECT new FROM moved WHERE old = {})"
    # two steps, since a place may not be free yet
    connection.execute(
        f"UPDATE document SET number = -1 - {new.format('number')}"  # noqa: S608 - ours
        " WHERE number IN (SELECT old FROM moved)"
    )
    connection.execute("UPDATE document SET number = -1 - number WHERE number < 0")
    connection.execute(
        f"UPDATE chunk SET document = {new.format('document')}"  # noqa: S608 - ours
        " WHERE document IN (SELECT old FROM moved)"
    )
    connection.execute("DROP TABLE moved")


def _write_typed(connection: sqlite3.Connection, extracts: list[Extract]) -> bool:
    """Make the tables of records hold theirs; returns whether any did not."""
    differed = False
    for table, field in TYPED.items():
        connection.execute(_OF_RECORDS.format(table))  # an older file lacks some
        bodies = [
            msgspec.json.encode(item).decode()
            for extract in extracts
            for item in getattr(extract, field)
        ]
        rows = connection.execute(f"SELECT body FROM {table} ORDER BY number")  # noqa: S608 - ours
        before = [body for (body,) in rows]
        if before == bodies:
            continue
        differed = True
        same = next(
            (i for i, (a, b) in enumerate(zip(before, bodies, strict=False)) if a != b),
            min(len(before), len(bodies)),
        )
        connection.execute(f"DELETE FROM {table} WHERE number > ?", (same,))  # noqa: S608 - ours
        connection.executemany(
            f"INSERT INTO {table} VALUES (?,?)",  # noqa: S608 - ours
            list(enumerate(bodies[same:], same + 1)),
        )
    return differed


def _known_to(extracts: list[Extract]) -> list[int]:
    """For each document, when the next revision of the same one becomes known."""
    known_to = [FOREVER_NS] * len(extracts)
    order = sorted(
        range(len(extracts)),
        key=lambda i: (extracts[i].document.known_from_ns, extracts[i].document.path),
    )
    newest: dict[str, int] = {}
    for i in order:
        document = extracts[i].document
        if document.doc_id in newest:
            known_to[newest[document.doc_id]] = document.known_from_ns
        newest[document.doc_id] = i
    return known_to


def _joined(assets: tuple[str, ...] | None) -> str | None:
    return None if assets is None else "\n".join(assets)


def _assets(stored: str | None) -> tuple[str, ...] | None:
    return None if stored is None else tuple(stored.split("\n")) if stored else ()
