"""Arrays over many assets: values as they come, rows that wait, samples, and what layouts say.

Padding: columns behind an asset's own are NaN, and NEVER.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from edge.samples.pending import NEVER

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge.samples.layouts import AssetLayout
    from edge.samples.pending import F64, I64, Indices, Mask

WIDTH_MAX: Final = 64  # columns of an asset; a wider one has work enough of its own


class Cells(NamedTuple):
    """Values as messages brought them, oldest first: all (k,).

    asset: its number; column: of its layout; value: NaN: absent, but its row was spoken of.
    message: which one brought it; those of one message lie together and have one asset and time.
    """

    asset: Indices
    column: Indices
    t_ns: I64
    value: F64
    message: Indices

    def of(self, chosen: Mask) -> Cells:
        """Some of them (k,)."""
        return Cells(
            self.asset[chosen],
            self.column[chosen],
            self.t_ns[chosen],
            self.value[chosen],
            self.message[chosen],
        )


@dataclass(slots=True)
class Waiting:
    """Rows that wait, by asset and then by time, oldest first: (r,) and (r, w)."""

    asset: Indices
    t_ns: I64
    values: F64
    stamps: I64
    spoken: Mask

    @classmethod
    def empty(cls, rows: int, width: int) -> Waiting:
        """Rows of which nothing is known yet."""
        return cls(
            np.zeros(rows, np.intp),
            np.zeros(rows, np.int64),
            np.full((rows, width), np.nan),
            np.full((rows, width), NEVER, np.int64),
            np.zeros(rows, bool),
        )

    def of(self, chosen: Mask | slice) -> Waiting:
        """Some of them."""
        return Waiting(
            self.asset[chosen],
            self.t_ns[chosen],
            self.values[chosen],
            self.stamps[chosen],
            self.spoken[chosen],
        )


class Sorted(NamedTuple):
    """Cells in the order of their rows: (r,) of rows, (k,) of values that take a place.

    begun: the row waits already; spoken: a channel was named; row: of a value, among these.
    """

    row_asset: Indices
    row_t_ns: I64
    begun: Mask
    spoken: Mask
    row: Indices
    column: Indices
    t_ns: I64
    value: F64
    counted: dict[str, int]


class Closed(NamedTuple):
    """Samples of several assets (k,), each asset's from `begins` to `ends`: (r,) and (r, w)."""

    assets: Indices
    begins: Indices
    ends: Indices
    t_ns: I64
    values: F64
    heard: Mask


class Forms:
    """What of all layouts the arrays need: (a,) and (a, w), numbered as the layouts are."""

    def __init__(self, layouts: Sequence[AssetLayout], *, hold_ns: int, alive_ns: I64) -> None:
        widths = np.array([layout.width for layout in layouts], np.intp)
        self.fits = widths <= WIDTH_MAX
        self.width = int(widths[self.fits].max(initial=1))
        self.channels = np.array([layout.channels for layout in layouts], np.intp)
        self.period_ns = np.array([layout.period_ns for layout in layouts], np.int64)
        self.grid = np.array([layout.grid for layout in layouts], bool)
        held_ns = np.where(hold_ns > 0, hold_ns, self.period_ns * 3 // 2)
        self.cyclic_ns = np.where(self.grid, held_ns, 0)
        self.alive_ns = alive_ns
        shape = len(layouts), self.width
        column = np.arange(self.width)
        self.own = column < widths[:, None]  # (a, w) no padding
        self.channel = self.own & (column < self.channels[:, None])
        self.context = self.own & ~self.channel
        self.on_change = np.zeros(shape, bool)
        for i in np.flatnonzero(self.fits).tolist():
            self.on_change[i, : layouts[i].width] = layouts[i].on_change
        self.cyclic = self.own & ~self.on_change
        self.some_on_change = self.on_change.any(axis=1)
        self.no_cyclic = ~self.cyclic.any(axis=1)
        self.any_grid, self.any_context = bool(self.grid.any()), bool(self.context.any())
