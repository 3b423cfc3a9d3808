"""Gathering: values of many messages, and of many assets, are aligned together.

A plant that sends a row or a value a message sends thousands of messages a second, and alignment
costs about as much for one as for a hundred. Nothing else changes: how messages are cut changes
nothing about the samples.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from edge.batches import Readings
from edge.samples.arrays import Cells

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from edge.samples.align import Aligner
    from edge.samples.pending import Indices

ROWS_MAX: Final = 16  # of a message that is joined with others: a larger one is a block already
VALUES_MAX: Final = 1 << 18  # that wait: 2 MB, or 10 MB as single values
TOGETHER_MIN: Final = 16  # messages: with fewer, each asset on its own costs less


class _Apart(NamedTuple):
    """Readings that wait to go their own way. place: how many messages of one row came before."""

    place: int
    readings: Readings
    future_ns: int
    retain: bool
    ordinary: bool


class _Part(NamedTuple):
    """Values (k,) of messages (n,) with one time each. sizes: values of each; None: one each."""

    places: Indices
    values: NDArray[np.float64]
    t_ns: NDArray[np.int64]
    sizes: Indices | None


class Gather:
    """Collects what messages bring and hands it on, at the latest when `settle` is called.

    Messages of one time each wait as lists: `places` and `values` of all, one after another (the
    asset's number and the column as `place_of` makes them; None: absent), `sizes` and `times` a
    message. What waited before many came together waits as arrays, in front of these.
    """

    def __init__(self, aligner: Aligner, *, together_min: int | None = None) -> None:
        self._aligner = aligner
        self._together_min = TOGETHER_MIN if together_min is None else together_min
        self.columns = aligner.columns_max
        self._parts: list[_Part] = []
        self._before = 0  # messages in them
        self._apart: dict[int, list[_Apart]] = {}
        self._apart_values = 0
        self.places: list[int] = []
        self.values: list[float | None] = []
        self.sizes: list[int] = []
        self.times: list[int] = []

    def place_of(self, number: int, column: int) -> int:
        """One number for a column of an asset."""
        return number * self.columns + column

    def one(self, places: Sequence[int], values: Sequence[float | None], *, t_ns: int) -> None:
        """Take what one message of one time brings, not later than its bound."""
        self.places += places
        self.values += values
        self.sizes.append(len(places))
        self.times.append(t_ns)
        if len(self.places) > VALUES_MAX:
            self.settle()

    def many(
        self, places: Indices, values: Sequence[float | None], t_ns: NDArray[np.int64]
    ) -> None:
        """Take what messages of one value each bring (n,), none later than its bound."""
        self._set_apart()
        self._parts.append(_Part(places, np.array(values, np.float64), t_ns, None))
        self._before += len(t_ns)
        if self._before > VALUES_MAX:
            self.settle()

    def take(self, readings: Readings, *, future_ns: int, retain: bool) -> None:
        """Take the readings of one message."""
        number = self._aligner.number_of(readings.asset)
        if number is None:
            self._aligner.push(readings, future_ns=future_ns, retain=retain)
            return
        rows = len(readings.t_ns)
        ordinary = (
            not (retain or readings.texts or readings.units or readings.bad_quality)
            and rows > 0
            and readings.t_ns.max() <= future_ns
        )
        if ordinary and rows == 1:
            tags = self._aligner.tag_set(readings)
            if tags.columns:
                row = readings.values[0].tolist()
                places = [self.place_of(number, column) for column in tags.columns]
                given = [row[i] for i in tags.sources]
                self.one(places, given, t_ns=int(readings.t_ns[0]))
        else:
            one = _Apart(self._before + len(self.sizes), readings, future_ns, retain, ordinary)
            self._apart.setdefault(number, []).append(one)
            self._apart_values += readings.values.size
            if self._apart_values > VALUES_MAX:
                self.settle()

    def settle(self) -> None:
        """Hand on everything that waits."""
        apart, self._apart, self._apart_values = self._apart, {}, 0
        messages = self._before + len(self.sizes)
        if not (messages or apart):
            return
        cells, few = self._cells(), messages < self._together_min
        alone = np.zeros(self._aligner.assets, bool)
        alone[cells.asset] = few
        alone[list(apart)] = True
        if not few:
            alone = self._aligner.put(cells.of(~alone[cells.asset]) if apart else cells, alone)
        own = alone[cells.asset]
        if own.any() or apart:
            alone[:] = False
            alone[cells.asset[own]] = True
            alone[list(apart)] = True
            self._aligner.give_back(alone)
            self._one_by_one(cells.of(own), apart)

    def _set_apart(self) -> None:
        """Let what waits as lists wait as arrays."""
        if not self.sizes:
            return
        self._parts.append(
            _Part(
                np.array(self.places, np.intp),
                np.array(self.values, np.float64),
                np.array(self.times, np.int64),
                np.array(self.sizes, np.intp) if len(self.places) != len(self.sizes) else None,
            )
        )
        self._before += len(self.sizes)
        self.places, self.values, self.sizes, self.times = [], [], [], []

    def _cells(self) -> Cells:
        """All that waits, which waits no more."""
        self._set_apart()
        parts, self._parts, self._before = self._parts, [], 0
        found, first = [], 0
        for part in parts:
            message, times = np.arange(first, first + len(part.t_ns)), part.t_ns
            first += len(message)
            if part.sizes is not None:
                times, message = np.repeat(times, part.sizes), np.repeat(message, part.sizes)
            asset, column = np.divmod(part.places, self.columns)
            found.append(Cells(asset, column, times, part.values, message))
        if len(found) == 1:
            return found[0]
        none = Cells(*(np.empty(0, kind) for kind in (np.intp, np.intp, np.int64, float, np.intp)))
        return Cells(*(np.concatenate(columns) for columns in zip(none, *found, strict=True)))

    def _one_by_one(self, cells: Cells, apart: dict[int, list[_Apart]]) -> None:
        """Messages of assets that go their own way, each asset's in the order of arrival."""
        begins = np.flatnonzero(np.diff(cells.message, prepend=-1))
        ends = [*begins[1:].tolist(), len(cells.message)]
        numbers, messages = cells.asset[begins].tolist(), cells.message[begins].tolist()
        times, columns, values = (
            cells.t_ns[begins].tolist(),
            cells.column.tolist(),
            cells.value.tolist(),
        )
        for k, begin in enumerate(begins.tolist()):
            waiting = apart.get(numbers[k])
            if waiting and waiting[0].place <= messages[k]:
                before = sum(one.place <= messages[k] for one in waiting)
                self._hand_on(waiting[:before])
                del waiting[:before]
            given = list(zip(columns[begin : ends[k]], values[begin : ends[k]], strict=True))
            self._aligner.put_one(numbers[k], given, t_ns=times[k])
        for waiting in apart.values():
            self._hand_on(waiting)

    def _hand_on(self, waiting: Sequence[_Apart]) -> None:
        """Readings of one asset: neighbours that are alike become one block."""
        run: list[_Apart] = []
        for one in waiting:
            if run and not _alike(run[-1], one):
                self._push(run)
                run = []
            run.append(one)
        if run:
            self._push(run)

    def _push(self, run: Sequence[_Apart]) -> None:
        joined, future_ns = run[0].readings, run[0].future_ns
        if len(run) > 1:  # each of them was not later than its own bound
            joined = Readings(
                asset=joined.asset,
                tags=joined.tags,
                t_ns=np.concatenate([one.readings.t_ns for one in run]),
                values=np.concatenate([one.readings.values for one in run]),
            )
            future_ns = int(joined.t_ns.max())
        self._aligner.push(joined, future_ns=future_ns, retain=run[0].retain)


def _alike(one: _Apart, other: _Apart) -> bool:
    small = max(len(one.readings.t_ns), len(other.readings.t_ns)) <= ROWS_MAX
    ordinary = one.ordinary and other.ordinary
    return small and ordinary and one.readings.tags == other.readings.tags
