"""A snapshot's database is data: what it would run is refused, whoever made the manifest agree."""

from __future__ import annotations

import hashlib
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import msgspec
import pytest

from kb.errors import KnowledgeError
from kb.snapshots import snapshot as snapshots
from kb.snapshots.build import build
from kb.snapshots.snapshot import DATABASE, MANIFEST, Snapshot, read_manifest
from tests.told import refused_with

if TYPE_CHECKING:
    from pathlib import Path

    from kb.manifest import Manifest


@pytest.fixture
def snapshot(tmp_path: Path) -> Path:
    """A small one."""
    source = tmp_path / "texts"
    source.mkdir()
    (source / "pump.md").write_text("# Pump\n\nClose the inlet valve first.\n", encoding="utf-8")
    build(source, tmp_path / "kb", now_ns=1)
    return tmp_path / "kb"


def rewritten(path: Path, *statements: str) -> None:
    """Run statements on the database and make the manifest agree."""
    with closing(sqlite3.connect(path / DATABASE)) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.commit()
    resealed(path)


def resealed(path: Path) -> None:
    """Make the manifest agree with the database."""
    manifest = read_manifest(path)
    files = {**manifest.files, DATABASE: hashlib.sha256((path / DATABASE).read_bytes()).hexdigest()}
    changed = msgspec.structs.replace(manifest, files=files).sealed()
    (path / MANIFEST).write_bytes(changed.encoded())


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE VIEW spy AS SELECT load_extension('x')",
        "CREATE TRIGGER spy AFTER INSERT ON chunk BEGIN DELETE FROM document; END",
        "CREATE TABLE spy (x)",
        "CREATE VIRTUAL TABLE spy USING fts5(x)",
        "CREATE INDEX spy ON chunk (heading)",
    ],
)
def test_what_is_not_ours_in_the_database_is_refused(snapshot: Path, statement: str) -> None:
    """By name, before anything of it is read."""
    Snapshot.open(snapshot).close()
    rewritten(snapshot, statement)
    with pytest.raises(KnowledgeError, match=r"spy.*no snapshot of ours has") as refused:
        Snapshot.open(snapshot)
    refused_with(refused.value)


@pytest.mark.parametrize(
    ("statement", "why"),
    [
        ('UPDATE chunk SET "end" = "end" + 1000', "outside its document"),
        ('UPDATE chunk SET start = "end"', "of no document"),
        ("UPDATE document SET text = ''", "outside its document"),
    ],
)
def test_a_passage_that_is_not_in_its_text_is_refused(
    snapshot: Path, statement: str, why: str
) -> None:
    """Before anybody asks for it: else a search that finds it would end in the middle."""
    rewritten(snapshot, statement)
    with pytest.raises(KnowledgeError, match=why) as refused:
        Snapshot.open(snapshot)
    refused_with(refused.value)


def test_a_passage_behind_a_nul_is_in_its_text(snapshot: Path) -> None:
    """SQLite's own length ends there."""
    rewritten(
        snapshot,
        "UPDATE document SET text = text || char(0) || 'as said before'",
        'UPDATE chunk SET "end" = "end" + 9',
    )
    Snapshot.open(snapshot).close()


def test_a_table_made_otherwise_is_refused(snapshot: Path) -> None:
    """A view in the place of a table, as SQLite's own notes on hostile files warn of."""
    rewritten(
        snapshot,
        "ALTER TABLE sensor RENAME TO kept",
        "CREATE VIEW sensor AS SELECT number, body FROM kept",
    )
    with pytest.raises(KnowledgeError, match="no snapshot of ours has"):
        Snapshot.open(snapshot)


def test_an_opened_snapshot_cannot_be_written(snapshot: Path) -> None:
    """Not even through its own connection, and extensions stay out."""
    with Snapshot.open(snapshot) as opened:
        for statement in ("DELETE FROM document", "CREATE TABLE spy (x)"):
            with pytest.raises(sqlite3.OperationalError):
                opened._connection.execute(statement)
        told = [opened._connection.execute(f"PRAGMA {name}").fetchone()[0] for name in (
            "trusted_schema", "cell_size_check", "query_only")]  # fmt: skip
        assert told == [0, 1, 1]
        with pytest.raises(sqlite3.OperationalError, match="not authorized"):
            opened._connection.execute("SELECT load_extension('x')")


def test_what_was_hashed_is_what_is_read(snapshot: Path) -> None:
    """Whoever changes or empties the file while it is open changes nothing of what is read."""
    rewritten(snapshot, "UPDATE document SET text = text || hex(zeroblob(4000000))")  # in no cache
    with Snapshot.open(snapshot) as opened:
        (document,) = opened.documents()
        rewritten(snapshot, "UPDATE document SET text = 'Open it.' || text")
        assert opened.text(document.doc_id, document.revision).startswith("# Pump")
        (snapshot / DATABASE).write_bytes(b"")
        assert opened.text(document.doc_id, document.revision).startswith("# Pump")


def test_a_file_that_changes_just_after_its_hash_was_right_is_not_read(
    snapshot: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the worst moment: what is opened is what was hashed."""
    compare = snapshots._compare

    def then_changed(sha256: str, path: Path, name: str, manifest: Manifest) -> None:
        compare(sha256, path, name, manifest)
        if name != DATABASE:
            return
        with closing(sqlite3.connect(path / DATABASE)) as connection:
            connection.execute("UPDATE document SET text = 'Open it.' || text")
            connection.commit()

    monkeypatch.setattr(snapshots, "_compare", then_changed)
    with Snapshot.open(snapshot) as opened:
        (document,) = opened.documents()
        assert opened.text(document.doc_id, document.revision).startswith("# Pump")


def test_a_database_without_end_is_refused_before_it_fills_the_memory(
    snapshot: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is held in memory, so there is a bound, which the message says."""
    monkeypatch.setattr("kb.snapshots.snapshot.FILE_BYTES_MAX", 1 << 12)
    with pytest.raises(KnowledgeError, match=r"kb.sqlite is over 0 MB, and is held in memory"):
        Snapshot.open(snapshot)
