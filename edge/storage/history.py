"""What every asset did last, kept beside the checkpoints in parts.

The ring of an asset is most of a checkpoint and hardly changes from one to the next: samples are
only added. So a part holds what was added since the one before, and a checkpoint names the parts
that it needs, from the last whole one on. A whole one comes when parts have become as much.

A part holds the samples of all assets as a few long columns. A restart reads up to PARTS_MAX of
them: arrays of each asset by itself would be hundreds of thousands.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from operator import is_
from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np

from edge.caps import RING_SAMPLES
from edge.samples.ring import AssetRing, RingState

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

PARTS_MAX: Final = 64  # of one checkpoint: a restart opens each of them
CAPACITY_MAX: Final = 64 * RING_SAMPLES  # of a ring, of whichever version
CELLS_MAX: Final = RING_SAMPLES << 14  # of a ring: an asset of sixteen thousand channels
NONE: Final = -1  # no such asset; nothing of it yet


class HistoryPart(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """Samples of some assets, one asset behind the other, each oldest first.

    Of each asset (a,): how many samples were `written` with these, the `capacity` of its ring, how
    many `samples` of how many `channels` stand here; whether nothing from before counts (`whole`),
    and whether they have a mode, and values that were no measurements.
    t_ns, running (n,) of all samples and values of all channels, as in the ring; mode and unsound
    of the assets alone that have them.
    """

    assets: tuple[str, ...]
    written: np.ndarray
    capacity: np.ndarray
    samples: np.ndarray
    channels: np.ndarray
    whole: np.ndarray
    has_mode: np.ndarray
    has_unsound: np.ndarray
    t_ns: np.ndarray
    values: np.ndarray
    running: np.ndarray
    mode: np.ndarray
    unsound: np.ndarray


COLUMNS: Final[dict[str, type]] = {
    "t_ns": np.int64,
    "values": np.float32,
    "running": np.bool_,
    "mode": np.float64,
    "unsound": np.bool_,
}
COUNTS: Final = ("written", "capacity", "samples", "channels")
FLAGS: Final = ("whole", "has_mode", "has_unsound")


@dataclass(slots=True)
class _Kept:
    """How far an asset's ring is kept; its arrays, because another one holds other samples."""

    written: int
    arrays: tuple[object, ...]


@dataclass(slots=True)
class Histories:
    """Which parts there are of the histories of all assets, and what the next has to hold."""

    parts: list[str] = field(default_factory=list)
    _kept: dict[str, _Kept] = field(default_factory=dict)
    _samples: int = 0  # in the parts behind the whole one

    def cuts(self, ring: RingState) -> Cuts:
        """What the next part holds, some assets at a time; before a whole one `parts` is emptied.

        What was kept shares nothing with the ring, which goes on.
        """
        held = sum(min(one.written, len(one.t_ns)) for one in ring.assets.values())
        if not self.parts or len(self.parts) >= PARTS_MAX or self._samples >= held:
            self.forget()
        return Cuts(ring, self)

    def since(self, asset: str, ring: AssetRing, *, adds: bool) -> int | None:
        """Behind which sample an asset's next part begins, which reaches to its newest one.

        None: it has none. adds: to a whole part that there is.
        """
        kept, arrays = self._kept.get(asset), _arrays(ring)
        if kept is None or not all(map(is_, kept.arrays, arrays)):
            kept = self._kept[asset] = _Kept(NONE, arrays)
        before, kept.written = kept.written, ring.written
        if adds and before != ring.written:
            self._samples += len(_stretch(ring, before)[1])
        return None if before == ring.written else before

    def go_on(self, parts: Sequence[str], ring: RingState) -> None:
        """Add to the parts of a process before; ring: as they have it, before more is written."""
        self.forget()
        self.parts += parts
        if parts:
            self._kept = {
                asset: _Kept(one.written, _arrays(one)) for asset, one in ring.assets.items()
            }

    def forget(self) -> None:
        """The next part is a whole one, as after one that was not written."""
        self.parts.clear()
        self._kept.clear()
        self._samples = 0


def bare(ring: RingState) -> RingState:
    """The ring without its samples: which assets there are, and how much was written of each."""
    nothing = np.empty(0, np.int64)
    return RingState(
        assets={
            asset: AssetRing(t_ns=nothing, values=nothing, running=nothing, written=one.written)
            for asset, one in ring.assets.items()
        }
    )


def filled(ring: RingState, parts: Iterable[HistoryPart]) -> RingState:
    """The ring that `bare` emptied, from its parts in order.

    Raises ValueError where they do not reach it.
    """
    if not ring.assets:
        return RingState(assets={})
    read = _Read(tuple(ring.assets))
    for part in parts:
        read.add(part)
    reached = read.written == np.array([one.written for one in ring.assets.values()], np.int64)
    if not reached.all():
        raise ValueError(f"the history of {read.assets[reached.argmin()]} does not reach it")
    return read.rings()


def _arrays(ring: AssetRing) -> tuple[object, ...]:
    return ring.t_ns, ring.values, ring.running, ring.mode, ring.unsound


def _stretch(ring: AssetRing, since: int) -> tuple[bool, range]:
    """Numbers of the samples behind the `since`-th, and whether those are all that there are.

    So for NONE, and for more than are left.
    """
    held = min(ring.written, len(ring.t_ns))
    whole = since == NONE or not 0 <= ring.written - since <= held
    return whole, range(ring.written - (held if whole else ring.written - since), ring.written)


class Cuts:
    """A part that is being made: stretches of rings, copied as each asset is told."""

    def __init__(self, ring: RingState, histories: Histories) -> None:
        # as they are now: meanwhile another bundle may leave some out
        self._rings, self._histories = dict(ring.assets), histories
        self._adds = bool(histories.parts)
        self._of: dict[str, _Cut] = {}

    def keep(self, assets: Iterable[str]) -> None:
        """Copy what is new of some assets; each is told once, and all before `part`."""
        for asset in assets:
            ring = self._rings.get(asset)
            since = None if ring is None else self._histories.since(asset, ring, adds=self._adds)
            if ring is not None and since is not None:
                self._of[asset] = _Cut(ring, since)

    def part(self) -> HistoryPart:
        """All that was copied, in the order of the rings."""
        assets = tuple(asset for asset in self._rings if asset in self._of)
        made = [self._of[asset] for asset in assets]
        counts = np.array([one.counts for one in made], np.int64).reshape(-1, len(COUNTS))
        flags = np.array([one.flags for one in made], np.bool_).reshape(-1, len(FLAGS))
        long = {}
        for name, kind in COLUMNS.items():
            cuts = [cut for one in made for cut in one.columns.get(name, ())]
            long[name] = np.concatenate(cuts) if cuts else np.empty(0, kind)
        return HistoryPart(
            assets=assets,
            **dict(zip(COUNTS, counts.T, strict=True)),
            **dict(zip(FLAGS, flags.T, strict=True)),
            **long,
        )


class _Cut:
    """The newest samples of a ring, copied, in one piece or in two."""

    __slots__ = ("columns", "counts", "flags")

    def __init__(self, ring: AssetRing, since: int) -> None:
        whole, samples = _stretch(ring, since)
        capacity, n = len(ring.t_ns), len(samples)
        self.counts = ring.written, capacity, n, ring.values.shape[1]
        self.flags = whole, ring.mode is not None, ring.unsound is not None
        begin = samples.start % capacity
        pieces = [slice(begin, min(begin + n, capacity))]
        if begin + n > capacity:
            pieces.append(slice(0, begin + n - capacity))
        self.columns: dict[str, list[NDArray[np.generic]]] = {}
        for name in COLUMNS:
            column = getattr(ring, name)
            if column is not None:
                self.columns[name] = [np.array(column[piece]).reshape(-1) for piece in pieces]


class _Read:
    """Parts that are being read. Of each asset (a,): what is in the part read last."""

    def __init__(self, assets: tuple[str, ...]) -> None:
        self.assets = assets
        self._known = {asset: i for i, asset in enumerate(assets)}
        self.written = np.full(len(assets), NONE, np.int64)
        self._shapes = np.zeros((4, len(assets)), np.int64)  # capacity, channels and both flags
        self._since = np.zeros(len(assets), np.int64)  # number of its last whole part
        self._parts: list[tuple[NDArray[np.intp], HistoryPart]] = []

    def add(self, part: HistoryPart) -> None:
        """Take another part. Raises ValueError for one that does not follow the one before."""
        _check(part)
        at = np.array([self._known.get(asset, NONE) for asset in part.assets], np.intp)
        shapes = np.stack([part.capacity, part.channels, part.has_mode, part.has_unsound])
        follows = self.written[at] == part.written - part.samples
        follows &= (self._shapes[:, at] == shapes).all(axis=0)
        lost = (at != NONE) & ~part.whole & ~follows
        if lost.any():
            raise ValueError(f"a part of the history of {part.assets[lost.argmax()]} is missing")
        ours = at != NONE
        self.written[at[ours]] = part.written[ours]
        self._shapes[:, at[ours]] = shapes[:, ours]
        self._since[at[ours & part.whole]] = len(self._parts)
        self._parts.append((at, part))

    def rings(self) -> RingState:
        """All rings, each of arrays of its own."""
        found: dict[str, AssetRing] = {}
        for channels in np.unique(self._shapes[1]).tolist():
            owner, columns = self._rows(channels)
            order = np.argsort(owner, kind="stable")  # each asset's rows, in the order of the parts
            columns = {name: column[order] for name, column in columns.items()}
            ends = np.searchsorted(owner[order], np.arange(len(self.assets) + 1)).tolist()
            for i in np.flatnonzero(self._shapes[1] == channels).tolist():
                rows = slice(ends[i], ends[i + 1])
                found[self.assets[i]] = self._ring(i, {n: c[rows] for n, c in columns.items()})
        return RingState(assets={asset: found[asset] for asset in self.assets})

    def _rows(self, channels: int) -> tuple[NDArray[np.intp], dict[str, NDArray[np.generic]]]:
        """All samples that count of assets of so many channels: whose they are, and what."""
        owners: list[NDArray[np.intp]] = []
        told: dict[str, list[NDArray[np.generic]]] = {name: [] for name in COLUMNS}
        for number, (at, part) in enumerate(self._parts):
            counts = (at != NONE) & (self._since[at] <= number) & (part.channels == channels)
            owners.append(np.repeat(at[counts], part.samples[counts]))
            row, value = _spread(part, counts)
            told["t_ns"].append(part.t_ns[row])
            told["running"].append(part.running[row])
            told["values"].append(part.values[value].reshape(-1, channels))
            rows, values = _spread(part, part.has_mode)[0], _spread(part, part.has_unsound)[1]
            mode, unsound = np.full(len(rows), np.nan), np.zeros(len(values), np.bool_)
            mode[rows], unsound[values] = part.mode, part.unsound
            told["mode"].append(mode[row])
            told["unsound"].append(unsound[value].reshape(-1, channels))
        return np.concatenate(owners), {name: np.concatenate(cuts) for name, cuts in told.items()}

    def _ring(self, i: int, columns: dict[str, NDArray[np.generic]]) -> AssetRing:
        """The ring of an asset of all its samples (n,), of which the newest stay."""
        capacity, channels, has_mode, has_unsound = self._shapes[:, i].tolist()
        written = int(self.written[i])
        shape = (capacity, channels)
        ring = AssetRing(
            t_ns=np.zeros(capacity, np.int64),
            values=np.full(shape, np.nan, np.float32),
            running=np.zeros(capacity, np.bool_),
            written=written,
            mode=np.full(capacity, np.nan) if has_mode else None,
            unsound=np.zeros(shape, np.bool_) if has_unsound else None,
        )
        first = max(0, len(columns["t_ns"]) - capacity)
        n = len(columns["t_ns"]) - first
        begin = (written - n) % capacity
        near = min(n, capacity - begin)  # the others stand at its begin
        for name, column in columns.items():
            kept = getattr(ring, name)
            if kept is not None:
                kept[begin : begin + near] = column[first : first + near]
                kept[: n - near] = column[first + near :]
        return ring


def _spread(part: HistoryPart, of: NDArray[np.bool_]) -> tuple[NDArray[np.bool_], ...]:
    """Which samples (n,) and which values (k,) of a part are of some of its assets (a,)."""
    return np.repeat(of, part.samples), np.repeat(of, part.samples * part.channels)


def _check(part: HistoryPart) -> None:
    """Raise ValueError for columns that are no stretches of rings."""
    a = len(part.assets)
    counts = [getattr(part, name) for name in COUNTS]
    flags = [getattr(part, name) for name in FLAGS]
    fits = all(one.shape == (a,) and one.dtype == np.int64 for one in counts)
    fits &= all(one.shape == (a,) and one.dtype == np.bool_ for one in flags)
    fits &= all(
        getattr(part, name).ndim == 1 and getattr(part, name).dtype == kind
        for name, kind in COLUMNS.items()
    )
    if not fits or len(set(part.assets)) != a:
        raise ValueError("a part of a history is of other arrays than rings")
    written, capacity, samples, channels = counts
    bounded = (samples >= 0) & (samples <= capacity) & (samples <= written)
    bounded &= (capacity > 0) & (capacity <= CAPACITY_MAX)
    bounded &= (channels >= 0) & (channels <= CELLS_MAX // np.maximum(capacity, 1))
    if not bounded.all():
        i = int(bounded.argmin())
        raise ValueError(
            f"the history of {part.assets[i]} says a ring of {capacity[i]} x {channels[i]}, for"
            f" {samples[i]} samples"
        )
    values = samples * channels
    sizes = {
        "t_ns": samples.sum(),
        "running": samples.sum(),
        "values": values.sum(),
        "mode": samples[part.has_mode].sum(),
        "unsound": values[part.has_unsound].sum(),
    }
    if any(len(getattr(part, name)) != size for name, size in sizes.items()):
        raise ValueError("a part of a history does not hold the samples that it says")
