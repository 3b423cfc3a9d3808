"""Offset: a sender's clock against the arrival of what it sends."""

from __future__ import annotations

from array import array
from typing import Final, NamedTuple

import numpy as np

LAGS_MAX: Final = 512  # newest messages of a source that are looked at; 4 KiB
LAGS_MIN: Final = 5  # with fewer, one that was held up would be the offset


class Offset(NamedTuple):
    """ns: sender's time minus arrival, the median; below 0 it is behind, or the way is long.

    spread_ns: between the twentieth and the nineteen twentieths of the messages.
    """

    ns: int
    spread_ns: int


class Lags:
    """How much later each message came than its sender's time says."""

    __slots__ = ("_at", "_lags", "untimed")

    def __init__(self) -> None:
        self._lags, self._at = array("q"), 0
        self.untimed = 0  # messages without a time

    def take(self, *, newest_ns: int, received_ns: int) -> None:
        """Note one live message by the newest of its times."""
        if len(self._lags) < LAGS_MAX:
            self._lags.append(received_ns - newest_ns)
        else:
            self._lags[self._at] = received_ns - newest_ns
            self._at = (self._at + 1) % LAGS_MAX

    @property
    def offset(self) -> Offset | None:
        """What they say of the sender's clock; None: too few told a time."""
        if len(self._lags) < LAGS_MIN:
            return None
        low, middle, high = np.percentile(np.array(self._lags, np.int64), (5, 50, 95))
        return Offset(-round(middle), round(high - low))
