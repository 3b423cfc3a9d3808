"""Series: what is remembered of the values of one tag, in bounded memory.

Times of the newest values, counts of the few values that a tag of state takes, and how often the
next value was the same. Nothing here guesses.
"""

from __future__ import annotations

import math
from array import array
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

TIMES_MAX: Final = 256  # newest times of a tag, 2 KiB: a median of so many moves by 6 % of a spread
DISTINCT_MAX: Final = 17  # values that are told apart; one more than any state that is guessed has
TEXT_CHARS_MAX: Final = 60  # of a text that is shown as an example


class Series:
    """Values of one tag. `times` are of the sender where it tells them, else of the arrival."""

    __slots__ = (
        "_at", "_times", "absent", "beats", "changes", "count", "distinct", "high", "last",
        "low", "repeats", "retained", "texts", "timed", "unit", "whole",
    )  # fmt: skip

    def __init__(self) -> None:
        self._times, self._at = array("q"), 0
        self.count = 0  # values that were not retained by the broker
        self.retained = 0
        self.absent = 0  # null, or of bad quality
        self.repeats = 0  # values equal to the one before
        self.changes = 0
        self.beats = 0  # values that are one more than the one before, or begin anew at zero
        self.distinct: dict[float, int] = {}  # at most DISTINCT_MAX: then there are many
        self.texts: dict[str, int] = {}
        self.last: float | str | None = None
        self.low, self.high = math.inf, -math.inf
        self.whole = True  # every number so far
        self.timed = False  # whether the sender told the times
        self.unit = ""  # as a sender states it

    def take(self, value: float | str | None, *, t_ns: int, timed: bool, retained: bool) -> None:
        """Note one value; None: it is absent. A retained one has no place in time."""
        if value is None:
            self.absent += 1
            return
        if isinstance(value, str):
            if len(self.texts) < DISTINCT_MAX or value[:TEXT_CHARS_MAX] in self.texts:
                text = value[:TEXT_CHARS_MAX]
                self.texts[text] = self.texts.get(text, 0) + 1
        else:
            self._take_number(value)
        if retained:
            self.retained += 1
            self.last = value
            return
        if self.last is not None and self.count:
            self.repeats += value == self.last
            self.changes += value != self.last
            if isinstance(value, float) and isinstance(self.last, float):
                self.beats += value == self.last + 1 or (value == 0 and self.last > 0)
        self.last = value
        self.count += 1
        self.timed = timed
        self._take_time(t_ns)

    def _take_number(self, value: float) -> None:
        self.low, self.high = min(self.low, value), max(self.high, value)
        self.whole = self.whole and value.is_integer()
        if len(self.distinct) < DISTINCT_MAX or value in self.distinct:
            self.distinct[value] = self.distinct.get(value, 0) + 1

    def _take_time(self, t_ns: int) -> None:
        if len(self._times) < TIMES_MAX:
            self._times.append(t_ns)
        else:
            self._times[self._at] = t_ns
            self._at = (self._at + 1) % TIMES_MAX

    @property
    def times(self) -> NDArray[np.int64]:
        """Times (n,) of the newest values, int64 ns, oldest first by their own order."""
        return np.sort(np.array(self._times, np.int64))

    @property
    def is_state(self) -> bool:
        """Whether all its numbers are whole and few."""
        return self.whole and 0 < len(self.distinct) < DISTINCT_MAX

    @property
    def is_binary(self) -> bool:
        """Whether it has shown nothing but 0 and 1."""
        return bool(self.distinct) and not self.texts and set(self.distinct) <= {0.0, 1.0}
