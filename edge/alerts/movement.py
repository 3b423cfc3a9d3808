"""How channels have moved: against their level before, and whether they stand still.

A share of a score has no sign. A failure mode has: the flow falls, the pressure falls. Pure
functions over the newest samples of one asset.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Stretches over which a mean is taken; a step shows in the short ones, a drift in the long ones.
STRETCHES: Final = (3, 6, 12, 24, 48, 96)
APART_SAMPLES: Final = 240  # the level before ends this long before now: a ramp is within it
BEFORE_SAMPLES_MIN: Final = 60
FLAT_SAMPLES_MIN: Final = 5  # fewer equal values are chance
FLAT_TIMES_MIN: Final = 2  # longer than ever before by this


def shifts(
    values: NDArray[np.float32],
    *,
    calm: NDArray[np.bool_],
    center: NDArray[np.float64],
    sigma: NDArray[np.float64],
) -> NDArray[np.float64]:
    """How far each channel has moved, in sigmas of normal operation (c,); NaN: not known.

    values: (n, c) running samples, oldest first, the last one is now; calm: (n,) those that no job
    has disturbed; center, sigma: (c,) of normal operation. Of several stretches up to now the one
    counts whose mean stands out most; the level before is the median of the calm samples further
    back, the usual level where that is too little.
    """
    before = np.array(center, np.float64)
    apart = max(len(values) - APART_SAMPLES, 0)
    past = values[:apart][calm[:apart]]
    known = np.isfinite(past).sum(axis=0)
    enough = known >= BEFORE_SAMPLES_MIN
    if enough.any():  # mostly nothing is absent, and to say so is seven times as quick
        median = np.median if (known == len(past)).all() else np.nanmedian
        before[enough] = median(past[:, enough], axis=0)
    found = np.full(values.shape[1], np.nan)
    best = np.full(values.shape[1], -1.0)
    for n in STRETCHES:
        newest = values[-n:]
        count = np.isfinite(newest).sum(axis=0)
        total = np.where(np.isfinite(newest), newest, 0.0).sum(axis=0, dtype=np.float64)
        mean = np.divide(total, count, out=np.full(len(count), np.nan), where=count > 0)
        moved = np.divide(mean - before, sigma, out=np.full(len(count), np.nan), where=sigma > 0)
        strength = np.nan_to_num(np.abs(moved) * np.sqrt(count), nan=-1.0)
        better = strength > best
        found[better], best[better] = moved[better], strength[better]
        if n >= len(values):
            break
    return found


def flat(values: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Which channels (c,) have shown one value for longer than they did before.

    values: (n, c) running samples, oldest first, the last one is now.
    """
    if len(values) <= FLAT_SAMPLES_MIN:
        return np.zeros(values.shape[1], bool)
    moved = values[1:] != values[:-1]  # (n - 1, c); NaN is never equal
    lasting = _runs(moved)
    now = lasting[-1]
    before = np.array(
        [_longest_before(column, int(n)) for column, n in zip(lasting.T, now, strict=True)]
    )
    longest = np.maximum(FLAT_TIMES_MIN * np.maximum(before, 1), FLAT_SAMPLES_MIN - 1)
    still: NDArray[np.bool_] = now >= longest
    return still


def _runs(moved: NDArray[np.bool_]) -> NDArray[np.int64]:
    """How many steps without a move end at each step, (n, c)."""
    rows = np.arange(1, len(moved) + 1)[:, None]
    last = np.maximum.accumulate(np.where(moved, rows, 0), axis=0)
    lasting: NDArray[np.int64] = rows - last
    return lasting


def _longest_before(lasting: NDArray[np.int64], now: int) -> int:
    """The longest run (n,) before the one that goes on now."""
    earlier = lasting[: len(lasting) - now]
    return int(earlier.max()) if len(earlier) else 0
