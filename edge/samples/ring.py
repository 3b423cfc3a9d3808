"""The newest samples of every asset, for whatever has to look back.

A new masked row, a judged job, a value shown.

A plain ring: written in blocks, read in order. Reading is rare (events and jobs), so it may copy;
scoring never reads it, because filters carry their own state.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from edge.caps import RING_SAMPLES
from edge.samples.times import Times, columns, time_column

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from edge.batches import Batch

History = tuple[NDArray[np.int64], NDArray[np.float32], NDArray[np.bool_]]


class AssetRing(msgspec.Struct, kw_only=True):
    """One asset's history. written: samples ever written.

    The newest is at (written - 1) % capacity. t_ns, running: arrays, or columns of `Times`, which
    are read as arrays.
    """

    t_ns: np.ndarray  # (R,) int64
    values: np.ndarray  # (R, c) float32
    running: np.ndarray  # (R,) bool
    written: int = 0
    mode: np.ndarray | None = None  # (R,) float64, of the mode tag; None: no such tag
    unsound: np.ndarray | None = None  # (R, c) bool, values that were no measurements; None: none


class RingState(msgspec.Struct, kw_only=True):
    """All histories by asset."""

    assets: dict[str, AssetRing] = {}


class Home(NamedTuple):
    """Histories of assets with as many channels, a row each: their arrays are views of these."""

    times: Times  # (a, R), and whether each ran
    values: NDArray[np.float32]  # (a, R, c)


class Ring:
    """History of all assets; `channels` gives each asset's number of channels."""

    def __init__(
        self, channels: Mapping[str, int], *, state: RingState, capacity: int = RING_SAMPLES
    ) -> None:
        self.state = state
        self.homes: dict[int, Home] = {}  # by number of channels
        new = [asset for asset in channels if asset not in state.assets]
        for count in dict.fromkeys(channels.values()):
            names = tuple(asset for asset, own in channels.items() if own == count)
            self.homes[count] = _home(names, count, state, capacity)
        for asset in new:  # in the order of the bundle, whatever they have channels
            state.assets[asset] = state.assets.pop(asset)

    def append(self, batch: Batch, unsound: NDArray[np.bool_] | None = None) -> None:
        """Write a batch's samples (n, c); of more than the capacity only the newest stay.

        unsound: (n, c) values that are no measurements; None: none.
        """
        ring = self.state.assets[batch.asset]
        capacity = len(ring.t_ns)
        n = len(batch.t_ns)
        kept = min(n, capacity)
        index = (ring.written + n - kept + np.arange(kept)) % capacity
        t_ns, running = batch.t_ns[n - kept :], batch.running[n - kept :]
        ring.values[index] = batch.values[n - kept :]
        if (column := time_column(ring.t_ns)) is not None:
            column.write(index, t_ns, running)
        else:
            ring.t_ns[index], ring.running[index] = t_ns, running
        if batch.mode is not None and ring.mode is None:
            ring.mode = np.full(capacity, np.nan)
        if ring.mode is not None:
            ring.mode[index] = np.nan if batch.mode is None else batch.mode[n - kept :]
        if unsound is not None and ring.unsound is None:
            ring.unsound = np.zeros(ring.values.shape, bool)
        if ring.unsound is not None:
            ring.unsound[index] = False if unsound is None else unsound[n - kept :]
        ring.written += n

    def last(self, asset: str, n: int) -> History:
        """The newest n samples or fewer, oldest first: t_ns (m,), values (m, c), running (m,).

        Copies.
        """
        ring = self.state.assets[asset]
        kept = min(n, ring.written, len(ring.t_ns))
        index = (ring.written - kept + np.arange(kept)) % len(ring.t_ns)
        return ring.t_ns[index], ring.values[index], ring.running[index]

    def since(self, asset: str, t_ns: int) -> History:
        """The samples at and after t_ns that are still there, oldest first.

        As `last` gives them.
        """
        times, values, running = self.last(asset, len(self.state.assets[asset].t_ns))
        first = int(np.searchsorted(times, t_ns, side="left"))
        return times[first:], values[first:], running[first:]

    def unsound(self, asset: str, times: NDArray[np.int64]) -> NDArray[np.bool_] | None:
        """Which values of the samples at these times (m,) were no measurements, (m, c).

        None: none of them. times: of samples that are still there, as `last` gives them.
        """
        ring = self.state.assets[asset]
        return None if ring.unsound is None else ring.unsound[_places(ring, times)]

    def modes(self, asset: str, times: NDArray[np.int64]) -> NDArray[np.float64] | None:
        """The mode of the samples at these times (m,); as `unsound`. None: no mode tag."""
        ring = self.state.assets[asset]
        return None if ring.mode is None else ring.mode[_places(ring, times)]

    def tell_modes(self, asset: str, times: NDArray[np.int64], mode: NDArray[np.float64]) -> None:
        """Write the modes (m,) of the samples at these times (m,); as `unsound`."""
        ring = self.state.assets[asset]
        ring.mode = np.full(len(ring.t_ns), np.nan)
        ring.mode[_places(ring, times)] = mode


def _home(names: Sequence[str], channels: int, state: RingState, capacity: int) -> Home:
    """Let the arrays of some assets lie side by side, each with what it holds; the same as before.

    One of another capacity keeps its own.
    """
    shape = len(names), capacity
    known = [state.assets.get(name) for name in names]
    found = _shared([one for one in known if one is not None], shape)
    home = found or Home(Times(*shape), np.empty((*shape, channels), np.float32))
    for i, (name, one) in enumerate(zip(names, known, strict=True)):
        if one is None:
            home.values[i] = np.nan
            t_ns, running = columns(home.times, i)
            state.assets[name] = AssetRing(t_ns=t_ns, values=home.values[i], running=running)
        elif found is None and one.values.shape == home.values.shape[1:]:
            home.values[i] = one.values
            times, at = np.asarray(one.t_ns), _order(one)
            if len(at):
                ran = np.asarray(one.running)[at]
                home.times.write_one(i, at, times[at], ran)
            one.t_ns, one.running = columns(home.times, i)
            one.values = home.values[i]
    return home


def _shared(known: Sequence[AssetRing], shape: tuple[int, int]) -> Home | None:
    """Where all of these lie already, one in each row and in their order; None: nowhere."""
    if len(known) != shape[0]:
        return None
    first, values = time_column(known[0].t_ns), known[0].values.base
    if first is None or values is None or values.shape[:2] != shape:
        return None
    for i, one in enumerate(known):
        row: NDArray[Any] = values[i]
        column = time_column(one.t_ns)
        if column is None or not column.lies_in(first.times, i):
            return None
        if one.values.base is not values or one.values.ctypes.data != row.ctypes.data:
            return None
    return Home(first.times, values)


def _order(ring: AssetRing) -> NDArray[np.intp]:
    """Places of all its samples (m,), oldest first."""
    kept = min(ring.written, len(ring.t_ns))
    order: NDArray[np.intp] = (ring.written - kept + np.arange(kept)) % len(ring.t_ns)
    return order


def _places(ring: AssetRing, times: NDArray[np.int64]) -> NDArray[np.intp]:
    """Where in the ring the samples at these times (m,) stand."""
    index = _order(ring)
    places: NDArray[np.intp] = index[np.searchsorted(ring.t_ns[index], times)]
    return places
