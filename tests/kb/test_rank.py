"""Fusion, worked out by hand."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kb.retrieval.rank import AGREEMENT_WEIGHT, at_most_per_document, fuse, lifted, relevant


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
    kept = at_most_per_document(ranked, documents, limit=3, most=2)
    assert [i for i, _ in kept] == [1, 2, 4]
    assert at_most_per_document(ranked, documents, limit=0, most=2) == []
    assert at_most_per_document(ranked, documents, limit=3, most=0) == ranked[:3]


def test_the_floor_is_lower_for_a_passage_with_the_words() -> None:
    """Sense alone needs 0.30, with words 0.15; without a text the words decide."""
    assert relevant(0.30, lambda: False)
    assert not relevant(0.29, lambda: False)
    assert relevant(0.15, lambda: True)
    assert not relevant(0.14, lambda: True)
    assert relevant(math.nan, lambda: True)
    assert not relevant(math.nan, lambda: False)


def test_agreement_lifts_and_contradiction_lowers() -> None:
    """Of nearly equal scores the passage that agrees comes first; ties go to the smaller id."""
    ranked = [(1, 0.030), (2, 0.029), (3, 0.029)]
    found = lifted(ranked, {1: -1.0, 2: 0.5, 3: 0.5}.__getitem__)
    assert [i for i, _ in found] == [2, 3, 1]


SCORES = st.lists(st.tuples(st.sampled_from((0.03, 0.029, 0.02)), st.floats(-1, 1)), max_size=12)


@given(passages=SCORES, count=st.integers(0, 12))
def test_the_best_come_first_without_looking_at_all(
    passages: list[tuple[float, float]], count: int
) -> None:
    """They are those of raising every score, and none is read that cannot be among them."""
    ranked = sorted(((i, score) for i, (score, _) in enumerate(passages)), key=lambda p: -p[1])
    every = [(i, s * (1 + AGREEMENT_WEIGHT * passages[i][1])) for i, s in ranked]
    every.sort(key=lambda p: (-p[1], p[0]))
    asked: list[int] = []

    def agreement_of(chunk_id: int) -> float:
        asked.append(chunk_id)
        return passages[chunk_id][1]

    found = list(itertools.islice(lifted(ranked, agreement_of), count))
    assert found == every[:count]
    least = every[count - 1][1] if 0 < count <= len(every) else 0.0
    within = [i for i, s in ranked if s * (1 + AGREEMENT_WEIGHT) >= least]
    assert asked == ([] if count == 0 else within)
