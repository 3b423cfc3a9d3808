"""The newest w samples of many rows, each kept twice, so that the newest window is in one piece.

A sample is written at p and at p + w of a ring of 2 w; the window then begins behind p, and nothing
is ever moved. Rows mostly come together: then p is the same for all, and they are written at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    F32 = NDArray[np.float32]
    Mask = NDArray[np.bool_]


def write(ring: F32, fresh: F32, at: F32) -> None:
    """Write samples (a, n, c) to rings (a, 2 w, c), from `at` (a,) on, which moves."""
    w, n = ring.shape[1] // 2, fresh.shape[1]
    if n == 0 or len(at) == 0:
        return
    if n > w:
        at += n - w
        at %= w
        fresh, n = fresh[:, -w:], w
    begin = int(at[0])
    if (at == begin).all():
        first = min(n, w - begin)
        for half in (0, w):
            ring[:, half + begin : half + begin + first] = fresh[:, :first]
            ring[:, half : half + n - first] = fresh[:, first:]
    else:
        slots = (at.astype(np.intp)[:, None] + np.arange(n)) % w
        rows = np.arange(len(ring))[:, None]
        ring[rows, slots] = fresh
        ring[rows, slots + w] = fresh
    at += n
    at %= w


def newest(ring: F32, at: F32, m: int) -> F32:
    """The newest m samples (a, m, c) of rings (a, 2 w, c), oldest first; m at most w.

    Of rows that come together a view.
    """
    w = ring.shape[1] // 2
    if len(at) and (at == at[0]).all():
        begin = int(at[0]) + w - m
        return ring[:, begin : begin + m]
    slots = at.astype(np.intp)[:, None] + np.arange(w - m, w)
    return ring[np.arange(len(ring))[:, None], slots]


def run_lengths(good: Mask, before: F32, most: int) -> F32:
    """How many good samples in a row each of (a, n) ends, at most `most`; before (a,) moves."""
    n = good.shape[1]
    if good.all():
        runs = before[:, None] + (np.arange(1, n + 1, dtype=np.float32) if n != 1 else n)
    else:
        step = np.arange(n, dtype=np.float32)
        last = np.maximum.accumulate(np.where(good, np.float32(-1), step), axis=1)
        runs = step - last + np.where(last < 0, before[:, None], np.float32(0))
    np.minimum(runs, most, out=runs)
    if n:
        before[:] = runs[:, -1]
    return runs
