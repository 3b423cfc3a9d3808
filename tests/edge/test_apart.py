"""Trees whose arrays stand apart: what was taken comes back, and nothing else is taken for it."""

from __future__ import annotations

from functools import partial
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from edge.errors import UNREADABLE
from edge.samples.later import Later
from edge.storage.apart import Apart, read, taken

KINDS = st.sampled_from([np.float32, np.float64, np.int64, np.uint8, np.bool_])
SHAPES = hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4)


class Leaf(msgspec.Struct):
    """An array, perhaps another, and something else."""

    one: np.ndarray
    other: np.ndarray | None = None
    number: float = 0.0


class Tree(msgspec.Struct):
    """As an engine's state is."""

    leaves: dict[str, Leaf]


@st.composite
def trees(draw: st.DrawFn) -> Tree:
    """Trees of arrays of any kind and shape, also strided ones."""

    def array() -> Any:  # noqa: ANN401 - of any kind
        made = draw(hnp.arrays(draw(KINDS), draw(SHAPES)))
        return made.T if draw(st.booleans()) else made

    return Tree(
        {
            name: Leaf(array(), array() if draw(st.booleans()) else None, draw(st.floats()))
            for name in draw(st.sets(st.sampled_from("abc")))
        }
    )


@given(st.lists(trees(), max_size=3))
def test_trees_come_back_as_they_were_when_they_were_taken(some: list[Tree]) -> None:
    """However they change before their bytes are made; each array can be written to."""
    expected = [
        {
            name: [None if one is None else one.copy() for one in (leaf.one, leaf.other)]
            for name, leaf in tree.leaves.items()
        }
        for tree in some
    ]
    make = taken(some)
    for tree in some:
        for leaf in tree.leaves.values():
            leaf.one[...] = 1
            leaf.other, leaf.number = None, -1.0
    for held, arrays in zip(make(), expected, strict=True):
        back = read(held, Tree)
        assert list(back.leaves) == list(arrays)
        for name, leaf in back.leaves.items():
            for found, wanted in zip((leaf.one, leaf.other), arrays[name], strict=True):
                if found is None or wanted is None:
                    assert found is wanted
                    continue
                assert (found.dtype, found.shape) == (wanted.dtype, wanted.shape)
                assert found.tobytes() == wanted.tobytes()
                assert found.flags.owndata
                assert found.flags.writeable


def test_only_structs_and_arrays_are_taken() -> None:
    """Nothing is pickled, and a number of numpy would come back as an array."""
    for wrong in (object(), np.float64(1.0)):
        with pytest.raises(TypeError, match="does not belong"):
            taken([{"x": wrong}])


KIND = msgspec.msgpack.encode([("<f8", (2,))])
HELD = Apart(msgspec.msgpack.encode({"one": msgspec.msgpack.Ext(1, b"")}), KIND, bytes(16))


@pytest.mark.parametrize(
    "wrong",
    [
        {"data": bytes(15)},
        {"data": bytes(24)},
        {"kinds": msgspec.msgpack.encode([])},
        {"kinds": msgspec.msgpack.encode([("<f8", (1,)), ("<f8", (1,))])},
        {"kinds": msgspec.msgpack.encode([("<f8", (-1, -2))])},
        {"kinds": msgspec.msgpack.encode([("|O", (2,))])},
        {"kinds": msgspec.msgpack.encode([("(2,", (2,))])},
        {"kinds": msgspec.msgpack.encode([("<f8", (2, 1 << 62, 0))])},
        {"tree": msgspec.msgpack.encode({"one": msgspec.msgpack.Ext(2, b"")})},
        {"tree": msgspec.msgpack.encode({"one": msgspec.msgpack.Ext(1, b"x")})},
        {"tree": msgspec.msgpack.encode({"one": 1})},
    ],
)
def test_arrays_that_are_not_those_of_the_tree_are_refused(wrong: dict[str, bytes]) -> None:
    """Too few, too many, of other sizes, of kinds that no state has."""
    read(msgspec.msgpack.encode(HELD), Leaf)
    with pytest.raises((ValueError, TypeError, *UNREADABLE)):
        read(msgspec.msgpack.encode(msgspec.structs.replace(HELD, **wrong)), Leaf)


@given(trees(), st.sets(st.sampled_from("abc")))
def test_what_is_made_later_has_its_place(tree: Tree, which: set[str]) -> None:
    """The bytes are those of a tree that was taken as a whole; and it is asked for only then."""
    asked = list[str]()

    def made(name: str) -> Leaf:
        asked.append(name)
        return tree.leaves[name]

    some: dict[str, object] = {
        name: Later(partial(made, name)) if name in which else leaf
        for name, leaf in tree.leaves.items()
    }
    others = [Tree(dict(tree.leaves)), {"leaves": some}, tree]
    make = taken(others)
    assert not asked
    first, second, third = make()
    assert first == second == third
    assert asked == [name for name in tree.leaves if name in which]


def test_what_is_made_later_is_a_tree_like_others() -> None:
    """Nothing is pickled there either."""
    make = taken([{"x": Later(object)}])
    with pytest.raises(TypeError, match="does not belong"):
        make()
