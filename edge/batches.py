"""What travels between wire and events: values as they came, context, and samples of a grid.

Times are int ns, UTC.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Readings:
    """Values of one asset as one message brought them, by plant tag, before alignment."""

    asset: str
    tags: tuple[str, ...]
    t_ns: NDArray[np.int64]  # (n,) plant time, any order
    values: NDArray[np.float64]  # (n, k); NaN: absent or null
    texts: tuple[tuple[str, int, str], ...] = ()  # (tag, t_ns, value) of text-valued context tags
    units: dict[str, str] | None = None  # as the sender states them, if it does
    bad_quality: int = 0  # values that were sent with bad quality, and are NaN here


@dataclass(frozen=True, slots=True, kw_only=True)
class ContextChange:
    """A context tag took a new value.

    `live` is False for a retained message and for the first value seen.
    """

    asset: str
    tag: str
    t_ns: int
    value: float
    previous: float  # NaN: none known
    live: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Consecutive closed samples of one asset."""

    asset: str
    t_ns: NDArray[np.int64]  # (n,) strictly increasing
    values: NDArray[np.float32]  # (n, c) in the bundle's channel order; NaN: no valid value
    running: NDArray[np.bool_]  # (n,)
    changes: tuple[ContextChange, ...] = ()  # context changes up to the last sample, in time order
    mode: NDArray[np.float64] | None = (
        None  # (n,) of the mode tag, NaN: not told; None: no such tag
    )
    # (n,) whether anything at all was told for this grid time, context included; None: always
    heard: NDArray[np.bool_] | None = None

    def part(self, begin: int, end: int) -> Batch:
        """The samples from one to another; changes stay with the whole, where they were taken."""
        return Batch(
            asset=self.asset,
            t_ns=self.t_ns[begin:end],
            values=self.values[begin:end],
            running=self.running[begin:end],
            mode=None if self.mode is None else self.mode[begin:end],
            heard=None if self.heard is None else self.heard[begin:end],
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sheaf:
    """As many consecutive closed samples of each of some assets with as many channels.

    Of one tick an asset is in one sheaf only. mode, heard: None as of `Batch`, for all of them.
    """

    assets: tuple[str, ...]  # (k,)
    t_ns: NDArray[np.int64]  # (k, n), each row strictly increasing
    values: NDArray[np.float32]  # (k, n, c)
    running: NDArray[np.bool_]  # (k, n)
    mode: NDArray[np.float64] | None = None  # (k, n)
    heard: NDArray[np.bool_] | None = None  # (k, n)

    def batch(self, k: int) -> Batch:
        """The samples of one of the assets."""
        return Batch(
            asset=self.assets[k],
            t_ns=self.t_ns[k],
            values=self.values[k],
            running=self.running[k],
            mode=None if self.mode is None else self.mode[k],
            heard=None if self.heard is None else self.heard[k],
        )

    def before(self, end_ns: int) -> tuple[list[Sheaf], list[Sheaf]]:
        """The samples before a time, and the others."""
        cuts = (self.t_ns < end_ns).sum(axis=1)
        told: tuple[list[Sheaf], list[Sheaf]] = [], []
        n = self.t_ns.shape[1]
        for cut in np.unique(cuts).tolist():
            of = np.flatnonzero(cuts == cut)
            for sheaves, part in zip(told, (slice(0, cut), slice(cut, n)), strict=True):
                if part.stop > part.start:
                    sheaves.append(self._part(of, part))
        return told

    def _part(self, of: NDArray[np.intp], part: slice) -> Sheaf:
        mode, heard = self.mode, self.heard
        return Sheaf(
            assets=tuple(self.assets[k] for k in of.tolist()),
            t_ns=self.t_ns[of, part],
            values=self.values[of, part],
            running=self.running[of, part],
            mode=None if mode is None else mode[of, part],
            heard=None if heard is None else heard[of, part],
        )


def sheaves_of(batches: Iterable[Batch]) -> list[Sheaf]:
    """Batches put together with those of the same shape; what holds changes only is left out."""
    alike: dict[tuple[object, ...], list[Batch]] = {}
    for batch in batches:
        key = batch.values.shape, batch.mode is None, batch.heard is None
        alike.setdefault(key, []).append(batch)
    return [_bound(group) for group in alike.values() if len(group[0].t_ns)]


def _bound(group: Sequence[Batch]) -> Sheaf:
    k, shape = len(group), group[0].values.shape
    modes = [batch.mode for batch in group if batch.mode is not None]
    heard = [batch.heard for batch in group if batch.heard is not None]
    return Sheaf(
        assets=tuple([batch.asset for batch in group]),
        t_ns=np.concatenate([batch.t_ns for batch in group]).reshape(k, -1),
        values=np.concatenate([batch.values for batch in group]).reshape(k, *shape),
        running=np.concatenate([batch.running for batch in group]).reshape(k, -1),
        mode=np.concatenate(modes).reshape(k, -1) if modes else None,
        heard=np.concatenate(heard).reshape(k, -1) if heard else None,
    )
