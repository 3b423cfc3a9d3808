"""The documents behind citations, from the snapshots of a gateway; read-only, whatever it swaps.

Texts are checked against the hashes of their snapshot. To look a passage up needs no text model;
the first search loads it.
"""

from __future__ import annotations

import sqlite3
import threading
from typing import TYPE_CHECKING, Final

import msgspec

from kb.errors import UNREADABLE, KnowledgeError
from kb.records import Query
from kb.snapshots import history, store
from kb.snapshots.snapshot import Snapshot, database, read_manifest

if TYPE_CHECKING:
    from pathlib import Path

    from kb.manifest import Manifest

QUERY_CHARS_MAX: Final = 400
HITS: Final = 12


class Paper(msgspec.Struct, frozen=True, kw_only=True):
    """A document as stored; current: of the snapshot in use, else of one before."""

    doc_id: str
    revision: str
    title: str
    kind: str
    path: str
    text: str
    current: bool


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """A passage that a search found, with its place in the document's text."""

    doc_id: str
    revision: str
    start: int
    end: int
    quote: str
    title: str
    section: str
    kind: str


class Scope(msgspec.Struct, frozen=True, kw_only=True):
    """Work that an approved table knows for an asset: which instrument, how long at most."""

    kind: str
    instrument: str
    channels: tuple[str, ...]
    minutes_max: int


class Papers:
    """Documents, scope rows and searches, safe to use from several threads; path None: no such."""

    def __init__(self, path: Path | None) -> None:
        self._path, self._lock = path, threading.Lock()
        self._opened: tuple[str, sqlite3.Connection] | None = None  # sha256 and its database
        self._searched: Snapshot | None = None

    def manifest(self) -> Manifest | None:
        """Of the snapshot that stands there now; None where there is none, or it is damaged."""
        try:
            return None if self._path is None else read_manifest(self._path)
        except KnowledgeError:
            return None

    def paper(self, doc_id: str, revision: str) -> Paper | None:
        """A revision of a document, looked for in snapshots of before as well; None: nowhere."""
        path = self._path
        manifest = self.manifest()
        if path is None or manifest is None:
            return None
        with self._lock:
            found = _read(self._database(path, manifest), doc_id, revision, current=True)
        return found or self._kept(path, doc_id, revision)

    def scopes(self, asset: str, *, now_ns: int) -> list[Scope]:
        """What work on an asset the approved tables know, once each."""
        manifest = self.manifest()
        if self._path is None or manifest is None:
            return []
        with self._lock:
            rows = store.read_scope_rows(self._database(self._path, manifest))
        found = {
            (row.kind.value, row.instrument): Scope(
                kind=row.kind.value,
                instrument=row.instrument,
                channels=row.channels,
                minutes_max=row.duration_s_max // 60,
            )
            for row in rows
            if row.asset == asset and row.recorded_at_ns <= now_ns
        }
        return [found[key] for key in sorted(found)]

    def search(self, text: str, *, asset: str, now_ns: int) -> list[Found]:
        """Passages known at a time, best first. Raises KnowledgeError."""
        manifest, path = self.manifest(), self._path
        if path is None or manifest is None or not text.strip():
            return []
        query = Query(text=text[:QUERY_CHARS_MAX], asset=asset, limit=HITS, all_assets=not asset)
        hits = self._snapshot(path, manifest).search(query, now_ns=now_ns)
        return [
            Found(
                doc_id=hit.citation.doc_id,
                revision=hit.citation.revision,
                start=hit.citation.start,
                end=hit.citation.end,
                quote=hit.citation.quote,
                title=hit.title,
                section=hit.section,
                kind=hit.kind,
            )
            for hit in hits
        ]

    def _snapshot(self, path: Path, manifest: Manifest) -> Snapshot:
        with self._lock:
            stands = self._searched
            if stands is None or stands.sha256 != manifest.sha256:
                self._searched = Snapshot.open(path)  # the one before goes with its last search
            assert self._searched is not None
            return self._searched

    def _database(self, path: Path, manifest: Manifest) -> sqlite3.Connection:
        if self._opened is None or self._opened[0] != manifest.sha256:
            self._opened = (manifest.sha256, database(path, manifest))
        return self._opened[1]

    def _kept(self, path: Path, doc_id: str, revision: str) -> Paper | None:
        try:
            before = history.kept(path)
        except OSError:
            return None
        for place, manifest in before:
            try:
                connection = database(place, manifest)
            except (KnowledgeError, sqlite3.Error, *UNREADABLE):
                continue
            try:
                found = _read(connection, doc_id, revision, current=False)
            finally:
                connection.close()
            if found is not None:
                return found
        return None


def _read(
    connection: sqlite3.Connection, doc_id: str, revision: str, *, current: bool
) -> Paper | None:
    for row in store.read_documents(connection):
        if (row.doc_id, row.revision) == (doc_id, revision):
            return Paper(
                doc_id=doc_id,
                revision=revision,
                title=row.title,
                kind=row.kind,
                path=row.path,
                text=store.read_text(connection, row.number),
                current=current,
            )
    return None
