"""A folder of texts into a snapshot, published whole or not at all."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from kb import store
from kb.documents import read_folder
from kb.embed import DIMENSION, shipped_embedder
from kb.errors import KnowledgeError
from kb.exchange import replace_directory
from kb.history import keep
from kb.index import VectorIndex
from kb.manifest import Counts, Manifest
from kb.orders import judged
from kb.passages import Extract, extract, site_of
from kb.snapshot import DATABASE, MANIFEST, VECTORS, Snapshot, read_manifest
from kb.standing import standing

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from kb.manifest import Quarantined

CHUNKS_MAX: Final = 200_000  # beyond, a flat index is too slow and too large for a gateway


def build(
    source: Path,
    out: Path,
    *,
    now_ns: int,
    parent: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
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
    _check_place(source, out)
    old = _old(out, parent)
    try:
        reading = read_folder(source)
        first_seen = old.known_from() if old else {}
        site = site_of(reading.documents)
        extracts = [
            extract(document, site, known_ns=lambda i: first_seen.get(i, now_ns))
            for document in reading.documents
        ]
        extracts = standing(judged(extracts, reading.unread), reading.unread)
        out.parent.mkdir(parents=True, exist_ok=True)
        made = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
        try:
            manifest = _write(
                made,
                extracts,
                reading.quarantined,
                now_ns=now_ns,
                old=old,
                progress=progress or _unseen,
            )
            Snapshot.open(made).close()  # what cannot be opened is not published
            replace_directory(made, out)
            keep(made, out)
        finally:
            shutil.rmtree(made, ignore_errors=True)
    except OSError as error:
        raise KnowledgeError(f"{error.filename or out}: {error.strerror or error}") from error
    finally:
        if old:
            old.close()
    return manifest


def _unseen(done: int, total: int) -> None:
    """Progress that nobody watches."""
    del done, total


def _check_place(source: Path, out: Path) -> None:
    if not source.is_dir():
        raise KnowledgeError(f"{source} is no directory of documents")
    if out.resolve().is_relative_to(source.resolve()):
        raise KnowledgeError(
            f"{out} lies inside {source}: it would be read as a document next time"
        )
    if out.is_symlink() or (out.exists() and not (out / MANIFEST).is_file()):
        raise KnowledgeError(f"{out} exists and is no snapshot: name another place")


def _old(out: Path, parent: Path | None) -> Snapshot | None:
    """The snapshot to take vectors from, if there is one that fits."""
    if parent is not None:
        return Snapshot.open(parent)
    if not out.exists():
        return None
    try:
        return Snapshot.open(out)
    except KnowledgeError:
        return None  # damaged, or of another text model: about to be replaced, nothing to reuse


def _write(
    made: Path,
    extracts: Sequence[Extract],
    unread: Sequence[Quarantined],
    *,
    now_ns: int,
    old: Snapshot | None,
    progress: Callable[[int, int], None],
) -> Manifest:
    """Write the three files into `made` and sync them."""
    embedder = shipped_embedder()
    texts = {p.chunk_id: p.embedded for e in extracts for p in e.passages if p.embedded}
    passages = sum(len(e.passages) for e in extracts)
    if passages > CHUNKS_MAX:
        raise KnowledgeError(
            f"{passages} passages, at most {CHUNKS_MAX} in a snapshot: leave out old logs"
        )
    if len({p.chunk_id for e in extracts for p in e.passages}) != passages:
        raise KnowledgeError("two passages have the same id; change a word in one of them")
    hashes = {i: hashlib.sha256(text.encode()).hexdigest() for i, text in texts.items()}
    reusable = old.vectors_by_hash() if old else {}
    wanted = {sha256: i for i, sha256 in hashes.items() if sha256 not in reusable}
    fresh = {}
    for done, (sha256, chunk_id) in enumerate(wanted.items(), 1):
        fresh[sha256] = embedder.embed(texts[chunk_id])
        progress(done, len(wanted))
    vectors = np.empty((len(hashes), DIMENSION), dtype=np.float32)
    for k, sha256 in enumerate(hashes.values()):
        vectors[k] = fresh[sha256] if sha256 in fresh else _reused(old, reusable[sha256])
    ids = np.array(list(hashes), dtype=np.int64)
    VectorIndex.of(ids, vectors).save(made / VECTORS)
    store.write(made / DATABASE, extracts, hashes)
    manifest = Manifest(
        created_ns=now_ns,
        parent=old.sha256 if old else "",
        embedder_sha256=embedder.sha256,
        files={name: _synced_hash(made / name) for name in (DATABASE, VECTORS)},
        counts=Counts(
            documents=len(extracts),
            chunks=passages,
            vectors=len(hashes),
            embedded=len(fresh),
            proposals=sum(len(e.proposals) for e in extracts),
            scope_rows=sum(len(e.scope_rows) for e in extracts),
        ),
        quarantined=(*unread, *(q for e in extracts for q in e.quarantined)),
    ).sealed()
    (made / MANIFEST).write_bytes(manifest.encoded())
    _synced_hash(made / MANIFEST)
    assert read_manifest(made) == manifest
    return manifest


def _reused(old: Snapshot | None, chunk_id: int) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    assert old is not None
    vector: np.ndarray[tuple[int], np.dtype[np.float32]] = old.index.vector(chunk_id)
    return vector


def _synced_hash(path: Path) -> str:
    """sha256 of a file that has reached the disk."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())
        return hashlib.file_digest(file, "sha256").hexdigest()
