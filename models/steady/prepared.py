"""Parameters of rows with what a short way makes of them, made once and kept beside them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from models.steady.few import Lines
from models.steady.rows import FEW, joined, packed

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from models.asked import F32, Mask, Parameters
    from models.steady.rows import Few, Rows, Way

    Quick = Callable[[F32, Mask, F32], tuple[F32, F32] | None]
    Graph = Callable[[F32, Mask, F32, Parameters], tuple[F32, F32]]

ROWS: Final = 2**14  # of a chunk: for single samples what a call costs counts, and long reads
BLOCK_ROWS: Final = 2**10  # of a block of samples: what is read of their parameters, 1.2 kB a row,
VALUES_MAX: Final = 2**17  # and of a n c between the steps, is not far from the core
SEVERAL: Final = 96  # rows: long blocks of so many are quicker few rows at a time
LONG: Final = 32  # samples of such a block
TRIED_ROWS: Final = 4  # of those that are prepared, that a short way is compared on
TRIED_SAMPLES: Final = 3
TRIED_REACH: Final = 0.1  # of what z is clipped to: 3 sigmas
TRIED: Final = 1e-4  # how far it may be off the graph there; rounding makes some 1e-6


class Prepared(Mapping[str, "NDArray[Any]"]):
    """Parameters of rows by name, (a, ...) as a stack of them is, for a detector's `score`.

    The arrays must not change.
    """

    def __init__(
        self,
        way: Way,
        parameters: Parameters,
        *,
        source: _Source | None = None,
        index: NDArray[np.intp] | None = None,
    ) -> None:
        """source: of all rows, where it is there already   index: (a,) rows of the parameters."""
        self._way, self._all, self._index = way, parameters, index
        self.rows = len(parameters["present"]) if index is None else len(index)
        self._source = _Source(way, parameters) if source is None else source
        self._taken: OrderedDict[bytes, Prepared] = OrderedDict()
        self._few: Few | None = None
        self.quick: Quick | None = None  # for few rows, where nothing is out of the ordinary
        if 0 < self.rows <= FEW:
            self._few = self._source.few(self._rows_of())
            one = way.one(self._chunks[0], self._few) if self.rows == 1 else None
            self.quick = self._few.scored if one is None else one.score

    # what only some ways to score need is made where they are asked for

    @cached_property
    def _chunks(self) -> list[Rows]:
        """The short way's arrays of these rows."""
        every = self._source.chunks
        return every if self._index is None else _some(every, self._index)

    @cached_property
    def _several(self) -> list[tuple[slice, Few]]:
        """Few rows at a time."""
        rows = self._rows_of()
        parts = (slice(at, at + FEW) for at in range(0, self.rows, FEW))
        return [(part, self._source.few(rows[part])) for part in parts]

    @cached_property
    def _single(self) -> list[tuple[slice, Rows]]:
        """Chunks for single samples."""
        return list(_parts(self._chunks, ROWS))

    @cached_property
    def _block(self) -> list[tuple[slice, Rows]]:
        """Chunks for blocks of samples."""
        return list(_parts(self._chunks, BLOCK_ROWS))

    def _rows_of(self) -> NDArray[np.intp]:
        return np.arange(self.rows) if self._index is None else self._index

    def __getitem__(self, name: str) -> NDArray[Any]:
        value = self._all[name]
        return value if self._index is None else value[self._index]

    def __iter__(self) -> Iterator[str]:
        return iter(self._all)

    def __len__(self) -> int:
        return len(self._all)

    def of(self, rows: NDArray[np.intp]) -> Parameters:
        """Parameters of some rows (m,), a stack (m, ...) as the graph takes it."""
        index = rows if self._index is None else self._index[rows]
        return {name: self._all[name][index] for name in self._way.names}

    def taken(self, rows: NDArray[np.intp]) -> Prepared:
        """Some of the rows (m,), in their order. Those last asked for are kept.

        Assets that report at the same time come to be asked for together, over and over: of such
        sets as many are kept as have no more rows together than are here.
        """
        key = rows.tobytes()
        found = self._taken.get(key)
        if found is None:
            index = rows if self._index is None else self._index[rows]
            found = Prepared(self._way, self._all, source=self._source, index=index)
            self._taken[key] = found
            while sum(one.rows for one in self._taken.values()) > max(self.rows, len(rows)):
                self._taken.popitem(last=False)
        self._taken.move_to_end(key)
        return found

    def able(self) -> NDArray[np.intp]:
        """Which rows (m,) can be steady at all."""
        return np.flatnonzero(np.concatenate([np.isfinite(each["ready"]) for each in self._chunks]))

    def agrees(self, graph: Graph) -> bool:
        """Whether the short way scores as the graph does, for some samples of some rows.

        graph: scores x (a, n, c), valid, state (a, s) and parameters (a, ...) as it does
        """
        some = self.able()[:TRIED_ROWS]
        if len(some) == 0:
            return False
        rows, chance = _some(self._chunks, some)[0], np.random.default_rng(0)
        shape = (TRIED_SAMPLES, *rows["center"].shape)
        off = chance.normal(size=shape) * np.minimum(TRIED_REACH * rows["high"], 1e30)
        x = (rows["center"] + off).astype(np.float32).transpose(2, 0, 1)
        state = self._way.steady_state(rows, chance).T
        expected = graph(x, np.ones(x.shape, np.bool_), state, self.of(some))
        told = self.taken(some).score(x, np.ones(len(some), np.bool_), state)
        if told is None:
            return False
        pairs = zip(told[1:], expected, strict=True)
        return all(np.allclose(one, other, rtol=TRIED, atol=TRIED) for one, other in pairs)

    def score(self, x: F32, whole: Mask, state: F32) -> tuple[Mask, F32, F32] | None:
        """Score x (a, n, c) after state (a, s) of the steady rows: which (a,), score, state.

        whole: (a,) rows without a missing value. What stands for rows that are not steady means
        nothing; None: no row is. What is given back has assets last in memory, as the next call
        wants it.
        """
        way, n = self._way, x.shape[1]
        if self._few is not None:
            steady = self._few.are_steady(state) & whole
            return (steady, *self._few.score(x, state)) if steady.any() else None
        if n >= LONG and 0 < self.rows <= SEVERAL:
            return self._few_at_a_time(x, whole, state)
        before = np.ascontiguousarray(state.T)  # (s, a)
        steady = np.empty(self.rows, np.bool_)
        for at, rows in self._single:
            steady[at] = way.are_steady(rows, before[:, at])
        steady &= whole
        if not steady.any():
            return None
        score = np.empty((n, self.rows), np.float32)
        after = np.empty(before.shape, np.float32)
        for at, rows in self._single if n == 1 else self._block:
            step = max(1, VALUES_MAX // (len(rows) * x.shape[2]))
            old = before[:, at]
            for begin in range(0, n, step):
                block = slice(begin, begin + step)
                some = np.ascontiguousarray(x[at, block].transpose(1, 2, 0))
                way.score(rows, some, old, score=score[block, at], after=after[:, at])
                if begin + step < n:
                    old = after[:, at].copy()
        return steady, score.T, after.T

    def _few_at_a_time(self, x: F32, whole: Mask, state: F32) -> tuple[Mask, F32, F32] | None:
        """Likewise."""
        steady = np.concatenate([few.are_steady(state[at]) for at, few in self._several]) & whole
        if not steady.any():
            return None
        told = [few.score(x[at], state[at]) for at, few in self._several]
        score, after = (np.concatenate(part) for part in zip(*told, strict=True))
        return steady, score, after


class _Source:
    """What a short way makes of all rows, and what it makes of few of them."""

    def __init__(self, way: Way, parameters: Parameters) -> None:
        self.chunks = _chunks(way, parameters)
        self.few = Lines(lambda some: way.few(_some(self.chunks, some)[0])).few


class Beside(Mapping[str, "NDArray[Any]"]):
    """Prepared parameters (a, ...), and behind them those of other rows (m, ...)."""

    def __init__(self, first: Prepared, more: Parameters) -> None:
        self.first, self.more = first, more

    def __getitem__(self, name: str) -> NDArray[Any]:
        return np.concatenate([self.first[name], self.more[name]])

    def __iter__(self) -> Iterator[str]:
        return iter(self.first)

    def __len__(self) -> int:
        return len(self.first)

    def score(self, score: Graph, x: F32, valid: Mask, state: F32) -> tuple[F32, F32]:
        """Score (a + m, n) and state of both by `score`, one after the other.

        x, valid: (a + m, n, c)   state: (a + m, s)
        """
        a = self.first.rows
        told = score(x[:a], valid[:a], state[:a], self.first)
        behind = score(x[a:], valid[a:], state[a:], self.more)
        both = [np.concatenate(pair) for pair in zip(told, behind, strict=True)]
        return both[0], both[1]


def prepared(way: Way, parameters: Parameters, graph: Graph) -> Parameters:
    """Parameters (a, ...) with what the short way makes of them, where the graph agrees.

    A graph of an earlier version may not: then they are as they were.
    """
    if isinstance(parameters, Prepared):
        return parameters
    found = Prepared(way, {name: parameters[name] for name in way.names})
    return found if found.agrees(graph) else parameters


def taken(parameters: Parameters, rows: NDArray[np.intp]) -> Parameters:
    """Parameters of some rows (m,), in their order; prepared where all are."""
    if isinstance(parameters, Prepared) and len(rows):
        return parameters.taken(rows)
    if len(rows) == 1:  # a view
        return {name: value[rows[0] : rows[0] + 1] for name, value in parameters.items()}
    return {name: value[rows] for name, value in parameters.items()}


def beside(parameters: Parameters, more: Sequence[Parameters]) -> Parameters:
    """Parameters (a, ...) and, behind them, stacks of other rows (1, ...); none is copied twice."""
    names = list(more[0])
    others = {name: np.concatenate([one[name] for one in more]) for name in names}
    if isinstance(parameters, Prepared):
        return Beside(parameters, others)
    return {name: np.concatenate([parameters[name], others[name]]) for name in names}


def _chunks(way: Way, parameters: Parameters) -> list[Rows]:
    """The short way's arrays of all rows; made of some at a time, so that doubles of them do."""
    starts = range(0, max(len(parameters["present"]), 1), BLOCK_ROWS)
    made = [
        way.rows({name: parameters[name][at : at + BLOCK_ROWS] for name in way.names})
        for at in starts
    ]
    return packed(made, ROWS // BLOCK_ROWS) if len(made) > 1 else made


def _parts(chunks: list[Rows], most: int) -> Iterator[tuple[slice, Rows]]:
    """Views of at most so many rows each, and which rows they are."""
    first = 0
    for chunk in chunks:
        for at in range(0, len(chunk), most):
            rows = chunk.part(slice(at, at + most))
            yield slice(first + at, first + at + len(rows)), rows
        first += len(chunk)


def _some(chunks: list[Rows], rows: NDArray[np.intp]) -> list[Rows]:
    """Likewise of some of the rows (m,), in their order."""
    starts = np.cumsum([0, *(len(chunk) for chunk in chunks)])
    of = np.searchsorted(starts, rows, side="right") - 1
    runs = np.split(np.arange(len(rows)), np.flatnonzero(np.diff(of)) + 1)
    parts = [chunks[of[run[0]]].part(rows[run] - starts[of[run[0]]]) for run in runs]
    every = parts[0] if len(parts) == 1 else joined(parts)
    if len(rows) <= ROWS:
        return [every]
    return [joined([every.part(slice(at, at + ROWS))]) for at in range(0, len(rows), ROWS)]
