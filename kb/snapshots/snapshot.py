"""One immutable state of the knowledge base, opened, checked and read."""

from __future__ import annotations

import hashlib
import sqlite3
import threading
import time
from functools import partial
from typing import TYPE_CHECKING, Final, Self, TypeVar

import msgspec

from kb.errors import UNREADABLE, KnowledgeError
from kb.manifest import Manifest
from kb.retrieval import lexical, search
from kb.retrieval.embed import Embedder, embedder_of
from kb.retrieval.index import VectorIndex
from kb.snapshots import store

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from kb.records import FailureMode, Hit, Limit, Proposal, Query, ScopeRow, Sensor, SignedTable
    from kb.snapshots.store import DocumentRow

DATABASE: Final = "kb.sqlite"
VECTORS: Final = "vectors.faiss"
MANIFEST: Final = "manifest.json"
# Of a file that is held in memory. While one is opened there are its bytes and SQLite's copy, and
# in a gateway the snapshot before it: three of these, which MemoryMax of the shipped unit holds.
FILE_BYTES_MAX: Final = 256 << 20
TRIES_MAX: Final = 4  # to open what is replaced meanwhile, by no more than one at a time
TRY_S: Final = 0.05
_Records = TypeVar("_Records")


class Chunk(msgspec.Struct, frozen=True, kw_only=True):
    """A whole passage with its place: `text` is `[start:end]` of the document's stored text."""

    chunk_id: int
    doc_id: str
    revision: str
    kind: str
    title: str
    section: str
    assets: tuple[str, ...] | None  # None: site-wide
    known_from_ns: int
    start: int
    end: int
    text: str


class Snapshot:
    """A snapshot. Safe to use from several threads; close it when none uses it any more."""

    def __init__(
        self,
        path: Path,
        manifest: Manifest,
        connection: sqlite3.Connection,
        index: VectorIndex,
        embedder: Embedder,
    ) -> None:
        self.path = path
        self.manifest = manifest
        self._connection = connection
        self._lock = threading.Lock()  # SQLite's cursors, one thread at a time
        self._index = index
        self.embedder = embedder
        self._documents = store.read_documents(connection)
        try:
            self._catalogue = search.Catalogue(
                store.read_chunks(connection), self._documents, index.ids()
            )
        except ValueError as error:
            raise KnowledgeError(f"{path}: {error}; build it again") from error
        self._lexicon = lexical.Words(connection)

    @classmethod
    def open(cls, path: Path, *, embedder: Embedder | None = None) -> Snapshot:
        """Check every hash and open. Raises KnowledgeError for anything missing or changed.

        `embedder` is the text model it was built with, by default the one of `embed.make_known`,
        else the one that ships. Where another snapshot takes the place while this one is read, that
        one is opened.
        """
        for _ in range(TRIES_MAX - 1):
            place = _place(path)
            try:
                return cls._opened(path, embedder)
            except KnowledgeError:
                if _place(path) == place:
                    raise
            time.sleep(TRY_S)  # two renames, where a system cannot exchange two names in one
        return cls._opened(path, embedder)

    @classmethod
    def _opened(cls, path: Path, embedder: Embedder | None) -> Snapshot:
        manifest = read_manifest(path)
        embedder = embedder or embedder_of(manifest.embedder_sha256)
        if manifest.embedder_sha256 != embedder.sha256:
            raise KnowledgeError(
                f"{path} was built with another text model"
                f" ({manifest.embedder_sha256[:12]}, here {embedder.sha256[:12]}):"
                " name that with --embedder, or [kb] embedder of a gateway, or build it again"
            )
        try:
            stored = _checked(path, VECTORS, manifest)
            index = VectorIndex.from_bytes(stored, width=embedder.dimension)
            connection = database(path, manifest)
            try:
                return cls(path, manifest, connection, index, embedder)
            except BaseException:
                connection.close()  # it holds all of it in memory
                raise
        except (sqlite3.Error, *UNREADABLE) as error:
            raise KnowledgeError(f"{path}: {error}; build it again") from error

    @property
    def sha256(self) -> str:
        """Hash of the manifest, and so of everything in the snapshot."""
        return self.manifest.sha256

    def warm(self) -> None:
        """Have ready what the first question would make. Raises KnowledgeError."""
        self.embedder.warm()
        self._index.warm()

    def proposals(self) -> tuple[Proposal, ...]:
        """Every proposal, oldest record first; the caller keeps `recorded_at_ns <= now`.

        An order that changed is there once for each record, under one `proposal_id`: of those known
        by now the last one counts.
        """
        return self._told(store.read_proposals)

    def scope_rows(self) -> tuple[ScopeRow, ...]:
        """Every approved scope row; the caller keeps `recorded_at_ns <= now`."""
        return self._told(store.read_scope_rows)

    def failure_modes(self) -> tuple[FailureMode, ...]:
        """Every failure mode of the tables; the caller keeps `recorded_at_ns <= now`."""
        return self._told(store.read_failure_modes)

    def limits(self) -> tuple[Limit, ...]:
        """Every approved engineering limit; the caller keeps `recorded_at_ns <= now`."""
        return self._told(store.read_limits)

    def sensors(self) -> tuple[Sensor, ...]:
        """Every row of the sensor schemas."""
        return self._told(store.read_sensors)

    def _told(self, read: Callable[[sqlite3.Connection], _Records]) -> _Records:
        """Records of a table. Raises KnowledgeError for what cannot be read."""
        try:
            with self._lock:
                return read(self._connection)
        except (sqlite3.Error, *UNREADABLE) as error:
            raise KnowledgeError(f"{self.path}: {error}; build it again") from error

    def signed_tables(self) -> tuple[SignedTable, ...]:
        """Scope tables with the signatures beside them, valid or not."""
        with self._lock:
            return store.read_signed_tables(self._connection)

    def documents(self) -> tuple[DocumentRow, ...]:
        """Every document, without its text."""
        return self._documents

    def text(self, doc_id: str, revision: str) -> str:
        """The stored text of a document, which citations point into. Raises KnowledgeError."""
        for document in self._documents:
            if (document.doc_id, document.revision) == (doc_id, revision):
                return self._told(partial(store.read_text, document=document.number))
        raise KnowledgeError(f"no document {doc_id}, revision {revision!r}, in {self.path}")

    def chunk(self, chunk_id: int) -> Chunk:
        """A whole passage. Raises KnowledgeError when there is none with this id."""
        row = self._catalogue.rows.get(chunk_id)
        if row is None:
            raise KnowledgeError(f"no passage {chunk_id} in {self.path}")
        document = self._documents[row.document]
        with self._lock:
            text = store.read_text(self._connection, row.document)
        return Chunk(
            chunk_id=chunk_id,
            doc_id=document.doc_id,
            revision=document.revision,
            kind=document.kind,
            title=document.title,
            section=row.section,
            assets=row.assets,
            known_from_ns=row.known_from_ns,
            start=row.start,
            end=row.end,
            text=text[row.start : row.end],
        )

    def search(self, query: Query, *, now_ns: int) -> tuple[Hit, ...]:
        """Passages known at `now_ns`, best first; () when none is relevant.

        Raises KnowledgeError for a snapshot that was closed.
        """
        vector = self.embedder.embed(query.text, question=True) if query.text.strip() else None
        try:
            with self._lock:
                return search.run(
                    query,
                    vector,
                    now_ns=now_ns,
                    catalogue=self._catalogue,
                    index=self._index,
                    lexicon=self._lexicon,
                    connection=self._connection,
                )
        except (sqlite3.Error, *UNREADABLE) as error:
            raise KnowledgeError(f"{self.path}: {error}") from error

    def era(self, now_ns: int) -> int:
        """The same number for all times at which `search` answers a question in the same way."""
        return self._catalogue.era(now_ns)

    def ranked_by_words(self, text: str, *, count: int) -> list[int]:
        """Ids of the passages that the words of a text find by themselves, best first."""
        words = lexical.words_of([text])
        with self._lock:
            return self._lexicon.search(words, among=self._catalogue.place_of, count=count)

    def frequency(self, word: str) -> int:
        """How many passages have a lower-case word, in any of its forms."""
        with self._lock:
            return self._lexicon.frequency(word)

    def vector_places(self) -> dict[str, int]:
        """Hash of what was embedded -> a row of `index.matrix()` that has its vector."""
        rows = self._catalogue.rows
        return {
            rows[i].embedded_sha256: place for place, i in enumerate(self._index.ids().tolist())
        }

    @property
    def index(self) -> VectorIndex:
        """Its vectors, for the next snapshot to reuse."""
        return self._index

    def known_from(self) -> dict[int, int]:
        """Passage id -> when it counts as known, ns."""
        return {row.chunk_id: row.known_from_ns for row in self._catalogue.rows.values()}

    def close(self) -> None:
        """Close the database; searches afterwards raise KnowledgeError."""
        with self._lock:
            self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def read_manifest(path: Path) -> Manifest:
    """The checked manifest of a snapshot. Raises KnowledgeError."""
    _plain(path, MANIFEST)
    try:
        return Manifest.decoded((path / MANIFEST).read_bytes())
    except OSError as error:
        raise KnowledgeError(
            f"{path} is no snapshot ({error.strerror}: {MANIFEST}): make one with `andon kb build`"
        ) from error
    except UNREADABLE as error:
        raise KnowledgeError(f"{path / MANIFEST} is damaged ({error}): build it again") from error


def database(path: Path, manifest: Manifest) -> sqlite3.Connection:
    """The checked database of a snapshot, opened from the bytes that have the manifest's hash.

    Read lazily, the file could become another one after its hash was found right. Raises
    KnowledgeError, or sqlite3.Error for what is no database of ours.
    """
    return store.open_bytes(_checked(path, DATABASE, manifest), path / DATABASE)


def verified(path: Path) -> Manifest:
    """The manifest of a snapshot of which every file has its hash. Raises KnowledgeError."""
    manifest = read_manifest(path)
    for name in (DATABASE, VECTORS):
        _check(path, name, manifest)
    return manifest


def _check(path: Path, name: str, manifest: Manifest) -> None:
    """Compare a file's hash without holding the file in memory."""
    _plain(path, name)
    try:
        with (path / name).open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise KnowledgeError(f"{path / name}: {error.strerror}; build it again") from error
    _compare(sha256, path, name, manifest)


def _place(path: Path) -> tuple[int, int] | None:
    """What stands there; another snapshot is another directory. None: nothing that can be seen."""
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_dev, stat.st_ino


def _plain(path: Path, name: str) -> None:
    """Refuse what is there and no plain file: a pipe would be waited for, a device has no end."""
    if (path / name).exists() and not (path / name).is_file():
        raise KnowledgeError(f"{path / name} is no plain file; build it again")


def _checked(path: Path, name: str, manifest: Manifest) -> bytes:
    _plain(path, name)
    try:
        with (path / name).open("rb") as file:
            stored = file.read(FILE_BYTES_MAX + 1)
    except OSError as error:
        raise KnowledgeError(f"{path / name}: {error.strerror}; build it again") from error
    if len(stored) > FILE_BYTES_MAX:
        raise KnowledgeError(
            f"{path / name} is over {FILE_BYTES_MAX >> 20} MB, and is held in memory: leave out old"
            " logs, or what nobody asks for, and build it again"
        )
    _compare(hashlib.sha256(stored).hexdigest(), path, name, manifest)
    return stored


def _compare(sha256: str, path: Path, name: str, manifest: Manifest) -> None:
    if sha256 != manifest.files.get(name):
        raise KnowledgeError(
            f"{path / name} is damaged: its hash is not the manifest's; build it again"
        )
