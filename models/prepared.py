"""Parameters of rows with what the short way makes of them, made once and kept beside them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from models.bundles.bundle import PARAMETERS
from models.steady import FEW, SteadyRows, are_steady, joined, places, score_steady, steady_rows
from models.steady_one import SteadyRow, fits_one

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from models.asked import F32, Mask, Parameters
    from models.bundles.bundle import Spec

ROWS: Final = 1024  # of a chunk: what is read of their parameters, 1.2 kB a row of 8 channels,
VALUES_MAX: Final = 2**17  # and of a n c between the steps, is not far from the core
TRIED_SAMPLES: Final = 3


class Prepared(Mapping[str, "NDArray[Any]"]):
    """Parameters of rows by name, (a, ...) as a stack of them is, for `Detector.score`.

    The arrays must not change.
    """

    def __init__(
        self,
        spec: Spec,
        parameters: Parameters,
        *,
        chunks: list[SteadyRows] | None = None,
        index: NDArray[np.intp] | None = None,
    ) -> None:
        """chunks: of them, where they are there already   index: (a,) rows of the parameters."""
        self._spec, self._all, self._index = spec, parameters, index
        self.rows = len(parameters["present"]) if index is None else len(index)
        self._chunks = _chunks(spec, parameters) if chunks is None else chunks
        self._taken: OrderedDict[bytes, Prepared] = OrderedDict()
        self._weights = self["weights"] if self.rows <= FEW else None
        self._one: SteadyRow | None = None
        if self.rows == 1 and fits_one(spec) and np.isfinite(self._chunks[0].ready[0]):
            self._one = SteadyRow(spec, self._chunks[0])

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
        return {name: self._all[name][index] for name in PARAMETERS}

    def taken(self, rows: NDArray[np.intp]) -> Prepared:
        """Some of the rows (m,), in their order. Those last asked for are kept.

        Assets that report at the same time come to be asked for together, over and over: of such
        sets as many are kept as have no more rows together than are here.
        """
        key = rows.tobytes()
        found = self._taken.get(key)
        if found is None:
            index = rows if self._index is None else self._index[rows]
            found = Prepared(self._spec, self._all, chunks=_some(self._chunks, rows), index=index)
            self._taken[key] = found
            while sum(one.rows for one in self._taken.values()) > max(self.rows, len(rows)):
                self._taken.popitem(last=False)
        self._taken.move_to_end(key)
        return found

    def able(self) -> NDArray[np.intp]:
        """Which rows (m,) can be steady at all."""
        found: NDArray[np.intp] = np.flatnonzero(
            np.concatenate([np.isfinite(chunk.ready) for chunk in self._chunks])
        )
        return found

    def trial(self, rows: NDArray[np.intp]) -> tuple[F32, F32]:
        """Samples (m, n, c) and steady states (m, s) of some rows, to compare ways on."""
        spec, own = self._spec, _some(self._chunks, rows)[0]
        chance = np.random.default_rng(0)
        first, run = places(spec)
        shape = (len(rows), TRIED_SAMPLES, spec.channels)
        off = chance.normal(scale=2.0, size=shape) / self.of(rows)["scale"][:, None]
        x = self.of(rows)["center"][:, None] + off
        state = np.zeros((len(rows), spec.state_width))
        state[:, :first] = chance.normal(scale=0.5, size=(len(rows), first))
        state[:, first:run] = own.limits.T
        state[:, run], state[:, run + 1] = own.ready, spec.lags
        return x.astype(np.float32), state.astype(np.float32)

    def one(self, x: F32, valid: Mask, state: F32) -> tuple[F32, F32] | None:
        """Score the only sample x (1, 1, c) of an only row, as `SteadyRow.score`; else None."""
        return (
            None
            if self._one is None or x.shape != self._one.shape
            else self._one.score(x, valid, state)
        )

    def score(self, x: F32, whole: Mask, state: F32) -> tuple[Mask, F32, F32] | None:
        """Score x (a, n, c) after state (a, s) of the steady rows: which (a,), score, state.

        whole: (a,) rows without a missing value. What stands for rows that are not steady means
        nothing; None: no row is. What is given back has assets last in memory, as the next call
        wants it.
        """
        spec, n = self._spec, x.shape[1]
        before = np.ascontiguousarray(state.T)  # (s, a)
        steady = np.empty(self.rows, np.bool_)
        for at, rows in self._each():
            steady[at] = are_steady(spec, rows, before[:, at])
        steady &= whole
        if not steady.any():
            return None
        score = np.empty((n, self.rows), np.float32)
        after = np.empty(before.shape, np.float32)
        for at, rows in self._each():
            step = max(1, VALUES_MAX // (len(rows.ready) * spec.channels))
            old = before[:, at]
            for begin in range(0, n, step):
                block = slice(begin, begin + step)
                score_steady(
                    spec,
                    rows,
                    np.ascontiguousarray(x[at, block].transpose(1, 2, 0)),
                    old,
                    weights=self._weights,
                    score=score[block, at],
                    after=after[:, at],
                )
                old = after[:, at].copy() if begin + step < n else old
        return steady, score.T, after.T

    def _each(self) -> Iterator[tuple[slice, SteadyRows]]:
        """The chunks, and which rows each holds."""
        first = 0
        for chunk in self._chunks:
            last = first + len(chunk.ready)
            yield slice(first, last), chunk
            first = last


def _chunks(spec: Spec, parameters: Parameters) -> list[SteadyRows]:
    """The short way's arrays of all rows."""
    starts = range(0, max(len(parameters["present"]), 1), ROWS)
    return [
        steady_rows(spec, {name: parameters[name][at : at + ROWS] for name in PARAMETERS})
        for at in starts
    ]


def _some(chunks: list[SteadyRows], rows: NDArray[np.intp]) -> list[SteadyRows]:
    """Likewise of some of the rows (m,), in their order."""
    starts = np.cumsum([0, *(len(chunk.ready) for chunk in chunks)])
    of = np.searchsorted(starts, rows, side="right") - 1
    runs = np.split(np.arange(len(rows)), np.flatnonzero(np.diff(of)) + 1)
    parts = [chunks[of[run[0]]].part(rows[run] - starts[of[run[0]]]) for run in runs]
    every = joined(parts)
    return [joined([every.part(slice(at, at + ROWS))]) for at in range(0, len(rows), ROWS)]


def taken(parameters: Parameters, rows: NDArray[np.intp]) -> Parameters:
    """Parameters of some rows (m,), in their order; prepared where all are."""
    if isinstance(parameters, Prepared) and len(rows):
        return parameters.taken(rows)
    if len(rows) == 1:  # a view
        return {name: value[rows[0] : rows[0] + 1] for name, value in parameters.items()}
    return {name: value[rows] for name, value in parameters.items()}
