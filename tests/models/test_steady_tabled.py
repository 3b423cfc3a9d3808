"""The short ways of principal components and of the ensemble against their graphs."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.steady.prepared import Prepared
from models.steady.rows import FEW
from tests.models.tabled_plants import block, bundle, detector

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from models.asked import Parameters

    F32 = NDArray[np.float32]
    Mask = NDArray[np.bool_]

KINDS = pytest.mark.parametrize("kind", ["pca", "ensemble"])
STEADY = 200  # samples after which the sums of the default rates have come to their limits
TOLERANCE = 2e-4  # relative above 1: a graph takes a block by another product than a sample


@functools.cache
def _rows(kind: str, count: int) -> tuple[Parameters, Prepared]:
    """Rows of both assets in turn (count, ...), plain and prepared."""
    index = np.arange(count) % 2
    plain = {name: value[index] for name, value in bundle(kind).only.parameters.items()}
    made = detector(kind).prepared(plain)
    assert isinstance(made, Prepared), "the graph and the short way agree"
    return plain, made


def _stream(count: int, n: int, *, seed: int) -> tuple[F32, Mask]:
    """Samples of as many rows (count, n, 5), a fault in the middle, NaN where nothing is valid."""
    pairs = [block(n, seed=seed + 2 * i, holes=0.0) for i in range((count + 1) // 2)]
    x, valid = (np.concatenate([pair[i] for pair in pairs])[:count] for i in range(2))
    return np.where(valid, x, np.float32(np.nan)), valid


def _same(a: F32, b: F32) -> bool:
    return bool(np.allclose(a, b, rtol=TOLERANCE, atol=TOLERANCE, equal_nan=True))


@KINDS
@pytest.mark.parametrize("n", [1, 20, 300])
@pytest.mark.parametrize("count", [1, 2, FEW, FEW + 1, 40])
def test_steady_rows_score_as_the_graph_does(kind: str, count: int, n: int) -> None:
    """Few rows or many, one sample or more: the same scores and states to rounding."""
    plain, prepared = _rows(kind, count)
    made = detector(kind)
    x, valid = _stream(count, STEADY + n, seed=3)
    state = made.initial_state(count)
    _, state = made.score(x[:, :STEADY], valid[:, :STEADY], state, plain)
    x, valid = x[:, STEADY:], valid[:, STEADY:]
    x[0, 0, 1] += 5.0
    told = prepared.score(x, np.ones(count, np.bool_), state)
    assert told is not None
    assert told[0].all(), "it is the short way that is judged here"
    score, after = made.score(x, valid, state, prepared)
    expected, moved = made.score(x, valid, state, plain)
    assert _same(score, expected)
    assert _same(after, moved)
    assert score[0, 0] > 1.0


@KINDS
@settings(max_examples=10, deadline=None)
@given(
    sizes=st.lists(st.sampled_from([1, 1, 2, 7, 40, 70]), min_size=1, max_size=8),
    count=st.sampled_from([1, 2, 20]),
    seed=st.integers(0, 99),
    holes=st.sampled_from([0.0, 0.003]),
)
def test_the_cut_of_a_stream_changes_nothing(
    kind: str, sizes: list[int], count: int, seed: int, holes: float
) -> None:
    """One call by the graph, many by whatever way each allows: the same scores and state."""
    plain, prepared = _rows(kind, count)
    made = detector(kind)
    x, valid = _stream(count, STEADY + sum(sizes), seed=seed)
    valid &= np.random.default_rng(seed).random(valid.shape) >= holes
    whole, end = made.score(x, valid, made.initial_state(count), plain)
    state, parts, at = made.initial_state(count), [], 0
    for size in (STEADY, *sizes):
        part = slice(at, at + size)
        told, state = made.score(x[:, part], valid[:, part], state, prepared)
        parts.append(told)
        at += size
    assert np.allclose(np.concatenate(parts, axis=1), whole, rtol=1e-3, atol=1e-3, equal_nan=True)
    assert np.allclose(state, end, rtol=1e-3, atol=1e-3)


@KINDS
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 3e38])
@pytest.mark.parametrize(("count", "n"), [(1, 1), (5, 1), (5, 3), (20, 1)])
def test_what_is_no_number_never_stays(kind: str, value: float, count: int, n: int) -> None:
    """NaN that is taken for valid counts as missing, as in the graph; what is huge is forgotten."""
    plain, prepared = _rows(kind, count)
    made = detector(kind)
    x, valid = _stream(count, STEADY + n, seed=9)
    state = made.initial_state(count)
    _, state = made.score(x[:, :STEADY], valid[:, :STEADY], state, plain)
    x, valid = x[:, STEADY:], valid[:, STEADY:]
    x[0, 0, 2] = value
    score, after = made.score(x, valid, state, prepared)
    expected, moved = made.score(x, valid, state, plain)
    assert np.isfinite(score).all()
    assert np.isfinite(after).all()
    assert _same(score, expected)
    assert _same(after, moved)


@KINDS
def test_some_rows_score_as_they_do_among_all(kind: str) -> None:
    """However rows are chosen, each has the scores and the state that it has among all."""
    plain, prepared = _rows(kind, 40)
    made = detector(kind)
    x, valid = _stream(40, STEADY + 3, seed=11)
    state = made.initial_state(40)
    _, state = made.score(x[:, :STEADY], valid[:, :STEADY], state, plain)
    x, valid = x[:, STEADY:], valid[:, STEADY:]
    valid[7, 1] = False
    score, after = made.score(x, valid, state, prepared)
    rows = np.random.default_rng(0).permutation(40)[:23]
    told, moved = made.score(x[rows], valid[rows], state[rows], prepared.taken(rows))
    assert _same(told, score[rows])
    assert _same(moved, after[rows])
    assert np.isnan(score[7, 1])


def test_a_distance_is_never_negative() -> None:
    """What is nowhere off its plane has a score, though rounding leaves a little less than 0."""
    plain, prepared = _rows("pca", 2)
    made = detector("pca")
    inside = np.eye(5) - plain["rest"]  # what it takes of a sample lies within the plane
    z = np.random.default_rng(0).normal(scale=3.0, size=(2, 300, 5)) @ inside
    x = (plain["center"][:, None] + z / plain["scale"][:, None]).astype(np.float32)
    valid = np.repeat(plain["present"][:, None], 300, axis=1)
    for parameters in (plain, prepared):
        score, _ = made.score(x, valid, made.initial_state(2), parameters)
        assert np.isfinite(score[:, 10:]).all()
