"""A folder of texts into a snapshot, published whole or not at all."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from kb.errors import KnowledgeError
from kb.manifest import Counts, Manifest
from kb.retrieval.embed import shipped_embedder
from kb.retrieval.index import VectorIndex
from kb.snapshots import store
from kb.snapshots.exchange import alone, replace_directory
from kb.snapshots.history import keep
from kb.snapshots.snapshot import DATABASE, MANIFEST, VECTORS, Snapshot, read_manifest
from kb.snapshots.workshop import Workshop

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from kb.retrieval.embed import Embedder
    from kb.retrieval.passages import Extract
    from kb.snapshots.workshop import Prepared

CHUNKS_MAX: Final = 200_000  # beyond, a flat index is too slow and too large for a gateway


def build(
    source: Path,
    out: Path,
    *,
    now_ns: int,
    parent: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
    embedder: Embedder | None = None,
) -> Manifest:
    """Read every text below `source` and publish a snapshot at `out`.

    The manifest lists what was quarantined. A snapshot that stands at `out` is replaced in one
    step, and kept beside it under its hash; anything else there is an error. Vectors of unchanged
    passages come from `parent`, or from the snapshot at `out`. Texts without a date have always
    been known; orders and schedule rows without `recorded_at` are known from `now_ns`, or since the
    parent first had them.
    `progress(done, total)` counts passages embedded. Raises KnowledgeError, and then nothing has
    changed on disk.
    """
    check_place(source, out)
    embedder = embedder or shipped_embedder()
    old: Snapshot | None = None
    try:
        old = _old(out, parent, embedder)
        first_seen = old.known_from() if old else {}
        prepared = Workshop().prepare(source, first_seen=first_seen, now_ns=now_ns)
        out.parent.mkdir(parents=True, exist_ok=True)
        with alone(out.parent):
            published = publish(
                prepared,
                source,
                out,
                now_ns=now_ns,
                old=old,
                progress=progress or _unseen,
                embedder=embedder,
            )
    except OSError as error:
        raise KnowledgeError(f"{error.filename or out}: {error.strerror or error}") from error
    finally:
        if old:
            old.close()
    assert published is not None
    published.snapshot.close()
    return published.snapshot.manifest


@dataclass(frozen=True, slots=True)
class Published:
    """A new snapshot, opened, and the kept ones that had to go for the one that it replaced."""

    snapshot: Snapshot
    forgotten: tuple[Path, ...]


def publish(
    prepared: Prepared,
    source: Path,
    out: Path,
    *,
    now_ns: int,
    old: Snapshot | None,
    base: Path | None = None,
    progress: Callable[[int, int], None],
    embedder: Embedder | None = None,
) -> Published | None:
    """Store what was prepared and put it in its place at `out`, whole or not at all.

    `base` is the database of `old`, to be amended rather than written anew where it still has its
    hash; None comes back when there is nothing to amend. Raises KnowledgeError or OSError.
    """
    made = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
    try:
        told = _Told(
            source=source,
            now_ns=now_ns,
            old=old,
            base=base,
            progress=progress,
            embedder=embedder or (old.embedder if old else shipped_embedder()),
        )
        if _write(made, prepared, told) is None:
            return None
        snapshot = Snapshot.open(
            made, embedder=told.embedder
        )  # what cannot be opened is not published
        try:
            replace_directory(made, out)
            forgotten = keep(made, out)
        except BaseException:
            snapshot.close()
            raise
        snapshot.path = out
        return Published(snapshot, forgotten)
    finally:
        shutil.rmtree(made, ignore_errors=True)


def _unseen(done: int, total: int) -> None:
    """Progress that nobody watches."""
    del done, total


def check_place(source: Path, out: Path) -> None:
    """Refuse places that a snapshot must not be made from or at. Raises KnowledgeError."""
    if not source.is_dir():
        raise KnowledgeError(f"{source} is no directory of documents")
    if out.resolve().is_relative_to(source.resolve()):
        raise KnowledgeError(
            f"{out} lies inside {source}: it would be read as a document next time"
        )
    if out.is_symlink() or (out.exists() and not (out / MANIFEST).is_file()):
        raise KnowledgeError(f"{out} exists and is no snapshot: name another place")


def _old(out: Path, parent: Path | None, embedder: Embedder) -> Snapshot | None:
    """The snapshot to take vectors from, if there is one that fits."""
    if parent is not None:
        return Snapshot.open(parent, embedder=embedder)
    if not out.exists():
        return None
    try:
        return Snapshot.open(out, embedder=embedder)
    except KnowledgeError:
        return None  # damaged, or of another text model: about to be replaced, nothing to reuse


@dataclass(frozen=True, slots=True, kw_only=True)
class _Told:
    """What a new snapshot is made with."""

    source: Path
    now_ns: int
    old: Snapshot | None
    base: Path | None
    progress: Callable[[int, int], None]
    embedder: Embedder


def _write(made: Path, prepared: Prepared, told: _Told) -> Manifest | None:
    """Write the three files into `made` and sync them; None: `base` said all of it already."""
    old, extracts = told.old, prepared.extracts
    embedder = told.embedder
    texts = {p.chunk_id: p.embedded for e in extracts for p in e.passages if p.embedded}
    passages = sum(len(e.passages) for e in extracts)
    if passages > CHUNKS_MAX:
        raise KnowledgeError(
            f"{passages} passages, at most {CHUNKS_MAX} in a snapshot: leave out old logs"
        )
    if len({p.chunk_id for e in extracts for p in e.passages}) != passages:
        raise KnowledgeError("two passages have the same id; change a word in one of them")
    hashes = {i: hashlib.sha256(text.encode()).hexdigest() for i, text in texts.items()}
    quarantined = tuple(prepared.quarantined)
    if not _stored(made / DATABASE, extracts, hashes, told):
        assert old is not None
        same = (old.manifest.quarantined, old.manifest.source)
        if same == (quarantined, str(told.source.resolve())):
            return None
    vectors, embedded = _vectors(texts, hashes, told)
    VectorIndex.of(np.array(list(hashes), dtype=np.int64), vectors).save(made / VECTORS)
    manifest = Manifest(
        created_ns=told.now_ns,
        parent=old.sha256 if old else "",
        source=str(told.source.resolve()),
        embedder_sha256=embedder.sha256,
        files={name: _synced_hash(made / name) for name in (DATABASE, VECTORS)},
        counts=Counts(
            documents=len(extracts),
            chunks=passages,
            vectors=len(hashes),
            embedded=embedded,
            proposals=sum(len(e.proposals) for e in extracts),
            scope_rows=sum(len(e.scope_rows) for e in extracts),
        ),
        quarantined=quarantined,
    ).sealed()
    (made / MANIFEST).write_bytes(manifest.encoded())
    _synced_hash(made / MANIFEST)
    assert read_manifest(made) == manifest
    return manifest


def _stored(path: Path, extracts: Sequence[Extract], hashes: dict[int, str], told: _Told) -> bool:
    """Write the database; False: it is the same as `base`."""
    if told.base is not None and told.old is not None:
        shutil.copyfile(told.base, path)
        # of the copy, which nobody else changes meanwhile
        if _synced_hash(path) == told.old.manifest.files[DATABASE]:
            return store.amend(path, extracts, hashes)
        path.unlink()
    store.write(path, extracts, hashes)
    return True


def _vectors(
    texts: dict[int, str], hashes: dict[int, str], told: _Told
) -> tuple[NDArray[np.float32], int]:
    """Vectors in the order of `hashes`: (n, d), and how many of them were computed."""
    before = (
        told.old.index.matrix()
        if told.old
        else np.empty((0, told.embedder.dimension), dtype=np.float32)
    )
    place = told.old.vector_places() if told.old else {}
    wanted = {sha256: i for i, sha256 in hashes.items() if sha256 not in place}
    fresh = {}
    for done, (sha256, chunk_id) in enumerate(wanted.items(), 1):
        fresh[sha256] = told.embedder.embed(texts[chunk_id])
        told.progress(done, len(wanted))
    vectors = np.empty((len(hashes), told.embedder.dimension), dtype=np.float32)
    for k, sha256 in enumerate(hashes.values()):
        vectors[k] = fresh[sha256] if sha256 in fresh else before[place[sha256]]
    return vectors, len(fresh)


def _synced_hash(path: Path) -> str:
    """sha256 of a file that has reached the disk."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())
        return hashlib.file_digest(file, "sha256").hexdigest()
