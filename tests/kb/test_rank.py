"""Fusion, worked out by hand."""

from __future__ import annotations

import pytest

from kb.rank import at_most_per_document, fuse


def test_reciprocal_ranks_add_up() -> None:
    """Second in both beats first in one; a tie goes to the smaller id."""
    fused = fuse([[7, 5, 9], [3, 5]])
    assert [i for i, _ in fused] == [5, 3, 7, 9]
    assert fused[0][1] == pytest.approx(2 / 62)
    assert fused[1][1] == fused[2][1] == pytest.approx(1 / 61)
    assert fused[3][1] == pytest.approx(1 / 63)


def test_no_document_takes_more_than_two_places() -> None:
    """The third passage of one document makes room for another."""
    ranked = [(1, 0.5), (2, 0.4), (3, 0.3), (4, 0.2)]
    documents = {1: "a", 2: "a", 3: "a", 4: "b"}
    kept = at_most_per_document(ranked, documents, limit=3)
    assert [i for i, _ in kept] == [1, 2, 4]
    assert at_most_per_document(ranked, documents, limit=0) == []
