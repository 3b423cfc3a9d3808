"""A tree of structs and arrays as bytes, with the bytes of its arrays apart.

A state holds a dozen small arrays an asset, and the loop stands still while it is taken. So it only
copies them, all at once; what kind each is of and how it all becomes bytes is left to whoever
writes. In the tree an empty msgpack extension stands for the next array.

Nothing is pickled. `edge.storage.checkpoint.pack` has arrays in their places instead.
"""

from __future__ import annotations

import math
import secrets
from functools import lru_cache, partial
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final

import msgspec
import numpy as np

from edge.samples.later import Later

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    Kind = tuple[np.dtype[Any], tuple[int, ...]]

ARRAY: Final = 1  # msgpack extension code of an array
KINDS_KEPT: Final = 4_096  # lists of kinds of arrays: assets of one plant have few
_NEXT: Final = msgspec.Raw(msgspec.msgpack.encode(msgspec.msgpack.Ext(ARRAY, b"")))
# In a tree, where something is made later: no other bytes of it are these, whoever sent them.
_LATER_MARK: Final = msgspec.msgpack.encode(msgspec.msgpack.Ext(ARRAY, secrets.token_bytes(16)))
_LATER: Final = msgspec.Raw(_LATER_MARK)


class Apart(msgspec.Struct, frozen=True, array_like=True):
    """A tree, (dtype, shape) of each array in it as msgpack, and the bytes of all of them."""

    tree: bytes
    kinds: bytes
    data: bytes


def taken(values: Iterable[object]) -> Callable[[], list[bytes]]:
    """All that some trees hold now; returns what makes their bytes, which may be done elsewhere.

    What stands for something that is made `Later` is no earlier asked for than these. Raises
    TypeError for what is neither a struct nor an array.
    """
    arrays: list[NDArray[Any]] = []
    keep, array = arrays.append, np.ndarray
    later: list[tuple[int, Later]] = []  # behind how many arrays

    def kept(one: object) -> msgspec.Raw:
        if isinstance(one, Later):
            later.append((len(arrays), one))
            return _LATER
        if not isinstance(one, array):
            raise TypeError(f"{type(one).__name__} does not belong into a checkpoint")
        keep(one)
        return _NEXT

    encode = msgspec.msgpack.Encoder(enc_hook=kept).encode
    trees = [(encode(value), len(arrays), len(later)) for value in values]
    try:
        data = b"".join(arrays)  # type: ignore[arg-type] # an array is a buffer
    except TypeError:  # one of them is strided
        data = b"".join([one.tobytes() for one in arrays])
    # an array keeps type and shape for as long as it lives
    return partial(_told, trees, arrays, later, data)


class Copied:
    """Trees by name, taken some at a time. also: told each time of whom."""

    def __init__(self) -> None:
        self.also: Callable[[Iterable[str]], None] | None = None
        self._some: list[tuple[tuple[str, ...], Callable[[], list[bytes]]]] = []

    def keep(self, trees: Mapping[str, object]) -> None:
        """Take some of them as they are now."""
        self._some.append((tuple(trees), taken(trees.values())))
        if self.also is not None:
            self.also(trees)

    def made(self, names: Sequence[str]) -> list[bytes]:
        """The bytes of all of them, in this order. Raises KeyError for one that was not taken."""
        made: dict[str, bytes] = {}
        for some, told in self._some:
            made |= zip(some, told(), strict=True)
        return [made[name] for name in names]


def _told(
    trees: list[tuple[bytes, int, int]],
    arrays: list[NDArray[Any]],
    later: list[tuple[int, Later]],
    data: bytes,
) -> list[bytes]:
    found, first, begin, since = [], 0, 0, 0
    for tree, behind, until in trees:
        mine = arrays[first:behind]
        kinds, size = _kinds(tuple(map(_KIND, mine)))
        cut = data[begin : begin + size]
        if until > since:
            places = [(at - first, one) for at, one in later[since:until]]
            tree, mine, cut = _joined(tree, mine, cut, places)  # noqa: PLW2901 - the whole of it
            kinds, _ = _kinds(tuple(map(_KIND, mine)))
        found.append(msgspec.msgpack.encode(Apart(tree, kinds, cut)))
        first, begin, since = behind, begin + size, until
    return found


def _joined(
    tree: bytes, arrays: list[NDArray[Any]], data: bytes, places: list[tuple[int, Later]]
) -> tuple[bytes, list[NDArray[Any]], bytes]:
    """A tree with its arrays and their bytes, and in its places what had to be made."""
    head, *rests = tree.split(_LATER_MARK)
    assert len(rests) == len(places), "each has a place"
    trees, datas = [head], list[bytes]()
    all_arrays: list[NDArray[Any]] = []
    since = begin = 0
    for rest, (at, one) in zip(rests, places, strict=True):
        made: list[NDArray[Any]] = []
        encoded = msgspec.msgpack.encode(one.make(), enc_hook=partial(_kept_in, made))
        end = begin + sum(own.nbytes for own in arrays[since:at])
        trees += [encoded, rest]
        all_arrays += [*arrays[since:at], *made]
        datas += [data[begin:end], *(own.tobytes() for own in made)]
        since, begin = at, end
    return b"".join(trees), all_arrays + arrays[since:], b"".join([*datas, data[begin:]])


def _kept_in(arrays: list[NDArray[Any]], one: object) -> msgspec.Raw:
    if not isinstance(one, np.ndarray):
        raise TypeError(f"{type(one).__name__} does not belong into a checkpoint")
    arrays.append(one)
    return _NEXT


def read(content: bytes | memoryview, kind: type[Any]) -> Any:  # noqa: ANN401 - as typed as `kind` is
    """A tree of `kind` from its bytes; each array is one of its own.

    Raises msgspec.MsgspecError, TypeError or ValueError for anything else.
    """
    held = msgspec.msgpack.decode(content, type=Apart)
    kinds, begins = _kinds_in(held.kinds)
    if begins[-1] != len(held.data):
        raise ValueError(f"{len(held.data)} bytes of arrays, expected {begins[-1]}")
    places = iter(zip(kinds, begins, strict=False))

    def following(code: int, data: memoryview) -> NDArray[Any]:
        place = next(places, None)
        if code != ARRAY or len(data) or place is None:
            raise ValueError(f"no array for an extension {code} of {len(data)} bytes")
        (dtype, shape), begin = place
        return np.ndarray(shape, dtype, held.data, begin).copy()

    found = msgspec.msgpack.decode(held.tree, type=kind, ext_hook=following)
    if next(places, None) is not None:
        raise ValueError("more arrays than the tree has")
    return found


_KIND: Final = attrgetter("dtype", "shape")


@lru_cache(maxsize=KINDS_KEPT)
def _kinds(kinds: tuple[Kind, ...]) -> tuple[bytes, int]:
    """Types and shapes of arrays as msgpack, and how many bytes they have together."""
    size = sum(dtype.itemsize * math.prod(shape) for dtype, shape in kinds)
    return msgspec.msgpack.encode([(dtype.str, shape) for dtype, shape in kinds]), size


@lru_cache(maxsize=KINDS_KEPT)
def _kinds_in(content: bytes) -> tuple[list[Kind], list[int]]:
    """Types and shapes of arrays, and where each begins; behind them where the last one ends."""
    kinds: list[Kind] = []
    begins = [0]
    for name, shape in msgspec.msgpack.decode(content, type=list[tuple[str, tuple[int, ...]]]):
        try:
            dtype = np.dtype(name)
        except SyntaxError as error:  # numpy parses what it does not know
            raise ValueError(f"unknown kind of array: {error}") from error
        if dtype.kind not in "biuf" or any(size < 0 for size in shape):
            raise ValueError(f"an array of {name} and shape {shape}")
        kinds.append((dtype, shape))
        begins.append(begins[-1] + dtype.itemsize * math.prod(shape))
    return kinds, begins
