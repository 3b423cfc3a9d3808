"""The SQLite file of a snapshot: documents, passages, words, proposals and scope rows."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Final

import msgspec

from kb import lexical
from kb.records import Proposal, ScopeRow

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from kb.passages import Extract

FOREVER_NS: Final = 2**63 - 1

_SCHEMA: Final = (
    """CREATE TABLE document (
        number INTEGER PRIMARY KEY, doc_id TEXT NOT NULL, revision TEXT NOT NULL,
        kind TEXT NOT NULL, title TEXT NOT NULL, path TEXT NOT NULL, assets TEXT,
        known_from_ns INTEGER NOT NULL, text TEXT NOT NULL, UNIQUE (doc_id, revision))""",
    # known_to_ns: when the next revision of the document takes its place
    """CREATE TABLE chunk (
        chunk_id INTEGER PRIMARY KEY, document INTEGER NOT NULL REFERENCES document,
        section TEXT NOT NULL, start INTEGER NOT NULL, "end" INTEGER NOT NULL, assets TEXT,
        known_from_ns INTEGER NOT NULL, known_to_ns INTEGER NOT NULL,
        embedded_sha256 TEXT NOT NULL, heading TEXT NOT NULL, body TEXT NOT NULL)""",
    "CREATE TABLE proposal (number INTEGER PRIMARY KEY, body TEXT NOT NULL)",
    "CREATE TABLE scope (number INTEGER PRIMARY KEY, body TEXT NOT NULL)",
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
    extracts = list(extracts)
    known_to = _known_to(extracts)
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        connection.execute(
            "PRAGMA journal_mode=OFF"
        )  # nobody else sees the file before it is whole
        connection.execute("PRAGMA synchronous=OFF")  # the publisher syncs it
        connection.execute("BEGIN")
        for statement in _SCHEMA:
            connection.execute(statement)
        for number, extract in enumerate(extracts):
            _write_one(connection, number, extract, hashes, known_to[number])
        for table in ("proposal", "scope"):
            bodies = [
                (msgspec.json.encode(item).decode(),)
                for extract in extracts
                for item in (extract.proposals if table == "proposal" else extract.scope_rows)
            ]
            connection.executemany(f"INSERT INTO {table} (body) VALUES (?)", bodies)  # noqa: S608 - ours
        connection.execute("INSERT INTO passage(passage) VALUES ('optimize')")
        connection.execute("COMMIT")
    finally:
        connection.close()


def open_file(path: Path) -> sqlite3.Connection:
    """A connection that only reads; several threads may share it one at a time."""
    uri = f"{path.resolve().as_uri()}?mode=ro&immutable=1"
    return sqlite3.connect(uri, uri=True, check_same_thread=False, isolation_level=None)


def read_documents(connection: sqlite3.Connection) -> tuple[DocumentRow, ...]:
    """Every document, without its text."""
    rows = connection.execute(
        "SELECT number, doc_id, revision, kind, title, path, assets, known_from_ns"
        " FROM document ORDER BY number"
    )
    return tuple(
        DocumentRow(
            number=r[0], doc_id=r[1], revision=r[2], kind=r[3], title=r[4], path=r[5],
            assets=_assets(r[6]), known_from_ns=r[7],
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
    rows = connection.execute("SELECT body FROM proposal ORDER BY number")
    found = [msgspec.json.decode(body, type=Proposal) for (body,) in rows]
    return tuple(sorted(found, key=lambda p: (p.recorded_at_ns, p.cancelled, p.proposal_id)))


def read_scope_rows(connection: sqlite3.Connection) -> tuple[ScopeRow, ...]:
    """Every scope row, oldest approval first."""
    rows = connection.execute("SELECT body FROM scope ORDER BY number")
    found = [msgspec.json.decode(body, type=ScopeRow) for (body,) in rows]
    return tuple(sorted(found, key=lambda row: (row.recorded_at_ns, row.scope_id)))


def _write_one(
    connection: sqlite3.Connection,
    number: int,
    extract: Extract,
    hashes: dict[int, str],
    known_to_ns: int,
) -> None:
    document = extract.document
    connection.execute(
        "INSERT INTO document VALUES (?,?,?,?,?,?,?,?,?)",
        (
            number, document.doc_id, document.revision, document.kind, document.title,
            document.path, _joined(document.assets), document.known_from_ns, document.text,
        ),
    )  # fmt: skip
    connection.executemany(
        "INSERT INTO chunk VALUES (?,?,?,?,?,?,?,?,?,?,?)",
        [
            (
                p.chunk_id, number, p.section, p.start, p.end, _joined(p.assets), p.known_from_ns,
                known_to_ns, hashes.get(p.chunk_id, ""), p.heading, p.body,
            )
            for p in extract.passages
        ],
    )  # fmt: skip
    connection.executemany(
        lexical.INSERT,
        [(p.chunk_id, p.heading, p.body) for p in extract.passages if p.embedded],
    )


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
