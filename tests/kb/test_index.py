"""The index is exact under any filter."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kb.errors import KnowledgeError
from kb.retrieval.index import ID_MAX, VectorIndex


@given(seed=st.integers(0, 2**32 - 1), n=st.integers(0, 60), k=st.integers(0, 70))
def test_filtered_search_equals_brute_force(seed: int, n: int, k: int) -> None:
    """Every answer is that of a sort over all products, whatever the filter leaves."""
    rng = np.random.default_rng(seed)
    ids = rng.choice(ID_MAX, n, replace=False).astype(np.int64)
    vectors = rng.standard_normal((n, 8)).astype(np.float32)
    query = rng.standard_normal(8).astype(np.float32)
    keep = rng.random(n) < 0.4
    among = ids[keep]
    found = VectorIndex.of(ids, vectors).search(query, k, keep=keep)
    products = {int(i): float(v @ query) for i, v in zip(ids, vectors, strict=True)}
    expected = sorted(among.tolist(), key=lambda i: -products[i])[:k]
    assert [i for i, _ in found] == expected
    np.testing.assert_allclose([s for _, s in found], [products[i] for i in expected], atol=1e-5)


def test_an_id_stands_once() -> None:
    """Faiss would answer a repeated id twice; it is refused."""
    with pytest.raises(KnowledgeError, match="same id"):
        VectorIndex.of(np.array([4, 4]), np.ones((2, 8), dtype=np.float32))


def test_a_query_that_is_not_a_number_finds_nothing() -> None:
    """NaN ends here, not at some passage."""
    index = VectorIndex.of(np.array([4]), np.ones((1, 8), dtype=np.float32))
    assert index.search(np.full(8, np.nan, dtype=np.float32), 3) == []
    assert index.search(np.ones(8, dtype=np.float32), 3) == [(4, 8.0)]
    with pytest.raises(KeyError):
        index.vector(5)


def test_other_bytes_are_no_index() -> None:
    """A file that faiss did not write, or of another width, is refused."""
    with pytest.raises(KnowledgeError, match="not a vector index"):
        VectorIndex.from_bytes(b"nonsense", width=8)
