"""Lines of rows: what scoring reads of few of them, made once for each and picked."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.detector import detector_of
from models.steady.few import Lines
from models.steady.prepared import LONG, Prepared
from models.steady.rows import FEW
from tests.models.plants import two_assets
from tests.models.tabled_plants import bundle

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from models.steady.rows import Few

KINDS = pytest.mark.parametrize("kind", ["var", "pca", "ensemble"])
ROWS = 30


@functools.cache
def _prepared(kind: str) -> Prepared:
    """Rows of two assets in turn, none the like of another: each has a scale of its own."""
    part = (two_assets() if kind == "var" else bundle(kind)).only
    index = np.arange(ROWS) % 2
    plain = {name: value[index] for name, value in part.parameters.items()}
    plain["scale"] = plain["scale"] * np.linspace(0.9, 1.1, ROWS, dtype=np.float32)[:, None]
    made = detector_of(part.graph).prepared(plain)
    assert isinstance(made, Prepared)
    return made


@KINDS
@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000), n=st.sampled_from([1, 2, 9, LONG]))
def test_a_row_scores_to_the_same_bits_whoever_was_asked_for_before(
    kind: str, seed: int, n: int
) -> None:
    """A gateway that goes on from a checkpoint asks for others first than the one that wrote it."""
    chance, prepared = np.random.default_rng(seed), _prepared(kind)
    early, fresh = (Prepared(prepared._way, prepared._all) for _ in range(2))
    for _ in range(4):
        early.taken(chance.permutation(ROWS)[: chance.integers(1, FEW + 1)])
    rows = chance.permutation(ROWS)[: chance.integers(1, ROWS + 1)]
    apart = chance.normal(scale=0.3, size=(len(rows), n, prepared["center"].shape[1]))
    x = (prepared["center"][rows, None] + apart / prepared["scale"][rows, None]).astype(np.float32)
    state = prepared._way.steady_state(prepared._chunks[0], chance).T[rows]
    told = [
        each.taken(rows).score(x, np.ones(len(rows), np.bool_), state) for each in (early, fresh)
    ]
    assert told[0] is not None
    assert told[1] is not None
    assert told[0][0].all(), "it is the short way that is judged here"
    assert all(np.array_equal(a, b, equal_nan=True) for a, b in zip(*told, strict=True))


def test_each_line_is_made_once() -> None:
    """Whoever it is asked for with, in whatever order."""
    prepared, made = _prepared("var"), []

    def make(rows: NDArray[np.intp]) -> Few:
        made.append(rows.tolist())
        return prepared._way.few(prepared._chunks[0].part(rows))

    lines = Lines(make)
    first = lines.few(np.array([4, 2])).lines
    again = lines.few(np.array([2, 7, 4])).lines
    assert made == [[4, 2], [7]]
    assert np.array_equal(again[[2, 0]], first)
    assert np.array_equal(again[1], make(np.array([7])).lines[0])
