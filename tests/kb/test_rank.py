"""Fusion, worked out by hand."""

from __future__ import annotations

import math

import pytest

from kb.rank import at_most_per_document, fuse, lifted, relevant


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


def test_the_floor_is_lower_for_a_passage_with_the_words() -> None:
    """Sense alone needs 0.30, with words 0.15; without a text the words decide."""
    assert relevant(0.30, specific=False)
    assert not relevant(0.29, specific=False)
    assert relevant(0.15, specific=True)
    assert not relevant(0.14, specific=True)
    assert relevant(math.nan, specific=True)
    assert not relevant(math.nan, specific=False)


def test_agreement_lifts_and_contradiction_lowers() -> None:
    """Of nearly equal scores the passage that agrees comes first; ties go to the smaller id."""
    ranked = [(1, 0.030), (2, 0.029), (3, 0.029)]
    found = lifted(ranked, {1: -1.0, 2: 0.5, 3: 0.5})
    assert [i for i, _ in found] == [2, 3, 1]
