"""Rhythm: from the times of a tag to its period, its jitter, and whether it is sent by exception.

What is polled comes in even steps whatever the value; what is sent by exception comes when the
value has changed, so its steps are uneven and no value follows its like.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

INTERVALS_MIN: Final = 5  # with fewer the steps say nothing of how even they are
EVEN_SHARE: Final = 0.4  # a step is even when it differs by less from the median one
# So much of the steps is even where a tag is polled: at 10 % loss 0.9 are. Sent by exception at a
# scan of its own, a value that changes in two scans of three leaves 0.67.
CYCLIC_SHARE: Final = 0.9
# With values that follow their like, which nobody sends by exception, a network that loses more.
CYCLIC_SHARE_REPEATING: Final = 0.6
REPEATS_SHARE: Final = 0.02


class Rhythm(NamedTuple):
    """How a tag comes. period_ns 0: it is not known. jitter_ns: half of the steps are within.

    sure: there was enough to tell.
    """

    cyclic: bool
    sure: bool
    period_ns: int
    jitter_ns: int


UNKNOWN: Final = Rhythm(cyclic=False, sure=False, period_ns=0, jitter_ns=0)


def rhythm_of(times: NDArray[np.int64], *, count: int, repeats: int) -> Rhythm:
    """The rhythm of a tag from the times (n,) of its values, ns, in order.

    count, repeats: its values, and those equal to the one before. Too few are held while the source
    lives, as what is sent by exception: a channel that is rarely told would be blind otherwise.
    """
    steps = np.diff(np.unique(times)).astype(np.float64)
    if len(steps) < INTERVALS_MIN:
        return UNKNOWN
    median_ns = float(np.median(steps))
    even = np.abs(steps - median_ns) <= EVEN_SHARE * median_ns
    share = float(even.mean())
    repeating = repeats > REPEATS_SHARE * count
    cyclic = share >= (CYCLIC_SHARE_REPEATING if repeating else CYCLIC_SHARE)
    if not cyclic:
        jitter_ns = float(np.median(np.abs(steps - median_ns)))
        return Rhythm(False, True, round(median_ns), round(jitter_ns))  # noqa: FBT003 - named above
    # Steps of lost values count as so many periods: the mean over all is finer than the median,
    # which whole milliseconds of a stamp, or a late arrival, move by their whole.
    periods = np.maximum(np.rint(steps / median_ns), 1.0)
    fits = np.abs(steps / periods - median_ns) <= EVEN_SHARE * median_ns
    period_ns = float(steps[fits].sum() / periods[fits].sum())
    jitter_ns = float(np.median(np.abs(steps[even] - period_ns)))
    return Rhythm(True, True, round(period_ns), round(jitter_ns))  # noqa: FBT003 - named above
