"""What every asset did last, kept beside the checkpoints in parts.

The ring of an asset is most of a checkpoint and hardly changes from one to the next: samples are
only added. So a part holds what was added since the one before, and a checkpoint names the parts
that it needs, from the last whole one on. A whole one comes when parts have become as much.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np

from edge.caps import RING_SAMPLES
from edge.samples.ring import AssetRing, RingState

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

PARTS_MAX: Final = 64  # of one checkpoint: a restart opens each of them
CAPACITY_MAX: Final = 64 * RING_SAMPLES  # of a ring, of whichever version


class HistoryPart(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """The samples of one asset up to the `written`-th, oldest first.

    t_ns (n,), values (n, c), running (n,), mode (n,) or None, unsound (n, c) or None, as in the
    ring. `capacity` of that; `whole`: nothing from before counts any more.
    """

    written: int
    capacity: int
    whole: bool
    t_ns: np.ndarray
    values: np.ndarray
    running: np.ndarray
    mode: np.ndarray | None
    unsound: np.ndarray | None


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

    def next_part(self, ring: RingState) -> dict[str, HistoryPart]:
        """What the next part holds, by asset; before a whole one `parts` is emptied.

        It shares nothing with the ring, which goes on.
        """
        held = sum(min(one.written, len(one.t_ns)) for one in ring.assets.values())
        if not self.parts or len(self.parts) >= PARTS_MAX or self._samples >= held:
            self.forget()
        found: dict[str, HistoryPart] = {}
        for asset, one in ring.assets.items():
            kept = self._kept.get(asset)
            arrays = _arrays(one)
            same = kept is not None and all(
                a is b for a, b in zip(kept.arrays, arrays, strict=True)
            )
            before = kept.written if kept is not None and same else -1
            if before == one.written:
                continue
            found[asset] = _part(one, since=before)
            self._samples += len(found[asset].t_ns) if self.parts else 0
            self._kept[asset] = _Kept(one.written, arrays)
        return found

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


def filled(ring: RingState, parts: Iterable[Mapping[str, HistoryPart]]) -> RingState:
    """The ring that `bare` emptied, from its parts in order.

    Raises ValueError where they do not reach it.
    """
    begun: dict[str, AssetRing] = {}
    for told in parts:
        for asset, part in told.items():
            _check(asset, part)
            if not part.whole and asset not in begun:
                raise ValueError(f"a part of the history of {asset} is missing")
            begun[asset] = _begun(part) if part.whole else begun[asset]
            _add(begun[asset], part)
    for asset, one in ring.assets.items():
        if asset not in begun or begun[asset].written != one.written:
            raise ValueError(f"the history of {asset} does not reach it")
    return RingState(assets={asset: begun[asset] for asset in ring.assets})


def _arrays(ring: AssetRing) -> tuple[object, ...]:
    return ring.t_ns, ring.values, ring.running, ring.mode, ring.unsound


def _part(ring: AssetRing, *, since: int) -> HistoryPart:
    """Samples behind the `since`-th; -1, or more than the ring holds: all that there are."""
    capacity = len(ring.t_ns)
    held = min(ring.written, capacity)
    whole = not 0 <= ring.written - since <= held if since >= 0 else True
    n = held if whole else ring.written - since
    begin = (ring.written - n) % capacity
    end = begin + n

    def cut(array: np.ndarray) -> np.ndarray:
        """A copy of those samples of an array of the ring, (r,) or (r, c), oldest first."""
        if end <= capacity:
            return array[begin:end].copy()
        return np.concatenate([array[begin:], array[: end - capacity]])

    return HistoryPart(
        written=ring.written,
        capacity=capacity,
        whole=whole,
        t_ns=cut(ring.t_ns),
        values=cut(ring.values),
        running=cut(ring.running),
        mode=None if ring.mode is None else cut(ring.mode),
        unsound=None if ring.unsound is None else cut(ring.unsound),
    )


def _check(asset: str, part: HistoryPart) -> None:
    """Raise ValueError for arrays that are no stretch of a ring."""
    n, shape = len(part.t_ns), part.values.shape
    flat = [one for one in (part.t_ns, part.running, part.mode) if one is not None]
    wide = [one for one in (part.values, part.unsound) if one is not None]
    fits = all(one.shape == (n,) for one in flat) and all(one.shape == shape for one in wide)
    numbers = all(one.dtype.kind in "iufb" for one in (*flat, *wide))
    if not (fits and numbers and len(shape) == 2 and shape[0] == n):
        raise ValueError(f"the history of {asset} is of other arrays than a ring")
    if not n <= part.capacity <= CAPACITY_MAX:
        raise ValueError(f"the history of {asset} says a ring of {part.capacity}, for {n} samples")


def _begun(part: HistoryPart) -> AssetRing:
    """An empty ring for a whole part, of which all that was written before is gone."""
    shape = (part.capacity, part.values.shape[1])
    return AssetRing(
        t_ns=np.zeros(part.capacity, np.int64),
        values=np.full(shape, np.nan, np.float32),
        running=np.zeros(part.capacity, bool),
        written=part.written - len(part.t_ns),
        mode=None if part.mode is None else np.full(part.capacity, np.nan),
        unsound=None if part.unsound is None else np.zeros(shape, bool),
    )


def _add(ring: AssetRing, part: HistoryPart) -> None:
    n, capacity = len(part.t_ns), part.capacity
    if part.written - n != ring.written or n > capacity or capacity != len(ring.t_ns):
        raise ValueError("a part of a history is missing")
    index = (ring.written + np.arange(n)) % capacity
    pairs = (
        (ring.t_ns, part.t_ns),
        (ring.values, part.values),
        (ring.running, part.running),
        (ring.mode, part.mode),
        (ring.unsound, part.unsound),
    )
    for kept, added in pairs:
        if kept is not None and added is not None:
            kept[index] = added
    ring.written = part.written
