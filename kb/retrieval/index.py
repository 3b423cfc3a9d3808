"""Exact nearest vectors among chosen ids. The only importer of faiss; its quirks end here."""

from __future__ import annotations

import struct
import threading
from typing import TYPE_CHECKING, Final

import numpy as np

from kb.errors import KnowledgeError

if TYPE_CHECKING:
    from pathlib import Path
    from types import ModuleType

    import faiss
    from numpy.typing import NDArray

ID_MAX: Final = 2**63 - 1
# How faiss writes a flat index with ids. It believes what a file says of its own sizes, so that a
# damaged one may take gigabytes or the process: its few fields are read here, and each must fit.
_HEAD: Final = struct.Struct("<4siqqq?i")  # kind, width, vectors, twice nothing, trained, metric
_SIZE: Final = struct.Struct("<Q")
_KINDS: Final = (b"IxM2", b"IxFI")  # with ids; flat, inner product


class VectorIndex:
    """Vectors by id, inner product. Immutable; safe to search from several threads.

    faiss is loaded with the first search, or by `warm`: a gateway has scored by then.
    """

    def __init__(self, ids: NDArray[np.int64], vectors: NDArray[np.float32]) -> None:
        self._ids, self._vectors = ids, vectors
        self._alone = threading.Lock()
        self._made: faiss.IndexIDMap2 | None = None

    @classmethod
    def of(cls, ids: NDArray[np.int64], vectors: NDArray[np.float32]) -> VectorIndex:
        """Index of `vectors` (n, d) under `ids` (n,). Raises KnowledgeError for an id twice."""
        assert vectors.ndim == 2
        assert ids.shape == (vectors.shape[0],)
        assert np.isfinite(vectors).all(), "the embedder gives no NaN"
        if len(set(ids.tolist())) != ids.size:  # faiss would take it and answer it twice
            raise KnowledgeError("two passages have the same id; one document may be there twice")
        return cls(np.ascontiguousarray(ids), np.ascontiguousarray(vectors))

    @classmethod
    def from_bytes(cls, stored: bytes, *, width: int) -> VectorIndex:
        """Index from the bytes of a file. Raises KnowledgeError when they are not one of ours."""
        return cls.of(*_stored_vectors(stored, width))

    def warm(self) -> None:
        """Have it ready before a question comes."""
        self._index()

    def _index(self) -> faiss.IndexIDMap2:
        """What faiss has of it, made by whoever asks first; from then on its vectors are ours."""
        with self._alone:
            if self._made is None:
                faiss = _faiss()
                # A flat index filters exactly; graph and cell indexes lose half of the neighbours
                # under a filter.
                index = faiss.IndexIDMap2(faiss.IndexFlatIP(self._vectors.shape[1]))
                index.add_with_ids(self._vectors, self._ids)
                start = faiss.downcast_index(index.index).get_xb()
                stored = faiss.rev_swig_ptr(start, self._vectors.size)  # no copy
                self._vectors = stored.reshape(self._vectors.shape)
                self._ids = faiss.vector_to_array(index.id_map)
                self._made = index
            return self._made

    def save(self, path: Path) -> None:
        """Write to `path`; the caller syncs and publishes."""
        path.write_bytes(_faiss().serialize_index(self._index()).tobytes())

    def __len__(self) -> int:
        return len(self._ids)

    def ids(self) -> NDArray[np.int64]:
        """Every id, in stored order: (n,) int64."""
        return self._ids

    def matrix(self) -> NDArray[np.float32]:
        """Every vector, in stored order: (n, d) float32, a copy."""
        return self._vectors.copy()

    def vector(self, chunk_id: int) -> NDArray[np.float32]:
        """The stored vector of an id: (d,) float32. Raises KeyError."""
        places = np.flatnonzero(self._ids == chunk_id)
        if not len(places):
            raise KeyError(chunk_id)
        found: NDArray[np.float32] = self._vectors[places[0]]
        return found

    def products(
        self, places: NDArray[np.intp], vector: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """Inner products (m,) of a vector (d,) with those at `places` (m,) of `ids()`."""
        found: NDArray[np.float32] = self._vectors[places] @ vector
        return found

    def search(
        self, vector: NDArray[np.float32], count: int, *, keep: NDArray[np.bool_] | None = None
    ) -> list[tuple[int, float]]:
        """Ids and inner products, nearest first, at most `count`, only those that `keep` marks.

        vector: (d,) float32. keep: (n,) bool in the order of `ids()`; None is every id. A NaN query
        finds nothing. Equal products come in order of id, so that one snapshot has one answer.
        """
        size = len(self) if keep is None else int(np.count_nonzero(keep))
        if not size or count <= 0:
            return []
        faiss, parameters = _faiss(), None
        flat = faiss.downcast_index(self._index().index)  # its ids are places, a mask can mark them
        if keep is not None and size < len(self):
            assert keep.shape == (len(self),)
            bits = np.packbits(keep, bitorder="little")
            selector = faiss.IDSelectorBitmap(len(self), faiss.swig_ptr(bits))
            parameters = faiss.SearchParameters(sel=selector)
        products, places = flat.search(vector[None, :], min(count, size), params=parameters)
        found = places[0] >= 0  # faiss pads with -1
        ids = self._ids[places[0][found]]
        pairs = zip(ids.tolist(), products[0][found].tolist(), strict=True)
        return sorted(pairs, key=lambda pair: (-pair[1], pair[0]))


def _faiss() -> ModuleType:
    import faiss  # noqa: PLC0415 - loads slowly

    faiss.omp_set_num_threads(1)  # the gateway has other work for its cores
    return faiss


def _stored_vectors(stored: bytes, width: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Ids (n,) and vectors (n, width) of a file as faiss writes it. Raises KnowledgeError."""
    at = 2 * _HEAD.size
    if len(stored) < at + _SIZE.size:
        raise KnowledgeError("not a vector index: it is cut off")
    heads = [_HEAD.unpack_from(stored, k * _HEAD.size) for k in range(2)]
    kinds, sizes = tuple(head[0] for head in heads), {head[1:3] for head in heads}
    count = heads[0][2]
    if kinds != _KINDS or sizes != {(width, count)} or any(head[6] for head in heads):
        raise KnowledgeError(f"not a flat index of vectors {width} wide")
    begin = at + _SIZE.size
    end = begin + 4 * count * width
    if count < 0 or len(stored) != end + _SIZE.size + 8 * count:
        raise KnowledgeError(f"not a vector index: {count} vectors in {len(stored)} bytes")
    told = _SIZE.unpack_from(stored, at)[0], _SIZE.unpack_from(stored, end)[0]
    if told != (count * width, count):
        raise KnowledgeError("not a vector index: its sizes do not fit each other")
    vectors = np.frombuffer(stored, "<f4", count * width, begin).reshape(count, width)
    ids = np.frombuffer(stored, "<i8", count, end + _SIZE.size)
    if not np.isfinite(vectors).all() or (ids < 0).any():
        raise KnowledgeError("not a vector index: a number in it is none, or an id below 0")
    return ids, vectors
