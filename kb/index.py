"""Exact nearest vectors among chosen ids. The only importer of faiss; its quirks end here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import faiss
import numpy as np

from kb.errors import KnowledgeError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

# A flat index filters exactly; graph and cell indexes lose half of the neighbours under a filter.
faiss.omp_set_num_threads(1)  # the gateway has other work for its cores

ID_MAX: Final = 2**63 - 1


class VectorIndex:
    """Vectors by id, inner product. Immutable; safe to search from several threads."""

    def __init__(self, index: faiss.IndexIDMap2) -> None:
        self._index = index

    @classmethod
    def of(cls, ids: NDArray[np.int64], vectors: NDArray[np.float32]) -> VectorIndex:
        """Index of `vectors` (n, d) under `ids` (n,). Raises KnowledgeError for an id twice."""
        assert vectors.ndim == 2
        assert ids.shape == (vectors.shape[0],)
        assert np.isfinite(vectors).all(), "the embedder gives no NaN"
        if np.unique(ids).size != ids.size:  # faiss would take it and answer it twice
            raise KnowledgeError("two passages have the same id; one document may be there twice")
        index = faiss.IndexIDMap2(faiss.IndexFlatIP(vectors.shape[1]))
        index.add_with_ids(np.ascontiguousarray(vectors), np.ascontiguousarray(ids))
        return cls(index)

    @classmethod
    def from_bytes(cls, stored: bytes, *, width: int) -> VectorIndex:
        """Index from the bytes of a file. Raises KnowledgeError when they are not one of ours."""
        try:
            index = faiss.deserialize_index(np.frombuffer(stored, dtype=np.uint8))
        except RuntimeError as error:
            raise KnowledgeError(f"not a vector index: {error}") from error
        if not isinstance(index, faiss.IndexIDMap2) or index.d != width:
            raise KnowledgeError(f"not a flat index of vectors {width} wide")
        return cls(index)

    def save(self, path: Path) -> None:
        """Write to `path`; the caller syncs and publishes."""
        path.write_bytes(faiss.serialize_index(self._index).tobytes())

    def __len__(self) -> int:
        return int(self._index.ntotal)

    def ids(self) -> NDArray[np.int64]:
        """Every id, in stored order: (n,) int64."""
        found: NDArray[np.int64] = faiss.vector_to_array(self._index.id_map)
        return found

    def vector(self, chunk_id: int) -> NDArray[np.float32]:
        """The stored vector of an id: (d,) float32. Raises KeyError."""
        try:
            found: NDArray[np.float32] = self._index.reconstruct(chunk_id)
        except RuntimeError as error:
            raise KeyError(chunk_id) from error
        return found

    def search(
        self, vector: NDArray[np.float32], count: int, *, among: NDArray[np.int64] | None = None
    ) -> list[tuple[int, float]]:
        """Ids and inner products, nearest first, at most `count`, only ids in `among` (m,).

        vector: (d,) float32. `among` None is every id, empty is none. A NaN query finds nothing.
        Equal products come in order of id, so that one snapshot has one answer.
        """
        size = len(self) if among is None else int(among.size)
        if not size or count <= 0:
            return []
        parameters = None
        if among is not None:
            selector = faiss.IDSelectorBatch(np.ascontiguousarray(among, dtype=np.int64))
            parameters = faiss.SearchParameters(sel=selector)  # type: ignore[call-arg]  # set by faiss's wrapper
        products, ids = self._index.search(vector[None, :], min(count, size), params=parameters)
        found = ids[0] >= 0  # faiss pads with -1
        pairs = zip(ids[0][found].tolist(), products[0][found].tolist(), strict=True)
        return sorted(pairs, key=lambda pair: (-pair[1], pair[0]))
