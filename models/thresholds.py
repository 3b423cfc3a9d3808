"""Thresholds by an alert budget: how many false alerts a day one operator position will bear.

EEMUA 191 calls 150 alarms a day very likely acceptable for one operator, all systems together.
Andon is one source among many and advisory, so its default is 6 a day, two in each of three shifts,
divided over the assets of the bundle. What counts is episodes, not samples: an EWMA over threshold
stays there for a while, and that is one alert. How often an asset's own normal operation makes one
is measured on rows that the model had not seen and stored with it, so all thresholds can be made
anew when assets join.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np

from models.bundle import AlarmTail
from models.errors import ModelError

if TYPE_CHECKING:
    from numpy.typing import NDArray

ALERTS_PER_DAY: Final = 6.0
FLAG_SCORE: Final = 2.6  # a row by itself is strange where normal operation is so in 1 of 400
ON_MIN: Final = 2.5  # no event for what normal operation does once in 300 samples
OFF_SHARE: Final = 0.5  # of threshold_on: below it an event fades
OPEN_AFTER: Final = 2  # samples over threshold that open an event, as the gateway counts by default
CLEAR_AFTER: Final = 60  # samples below the off threshold that end one, likewise
# Of a record those that end one: with sixty, minutes of record would hold a handful of episodes,
# and a rate from so few errs towards more alerts than the budget.
APART_AFTER: Final = 10
REFERENCES: Final = (3.0, 2.5, 2.0, 1.5, 1.0)
EPISODES_MIN: Final = 10  # fewer say little about a rate
DAY_NS: Final = 86_400 * 10**9


def alarm_tail(scores: NDArray[np.float64], *, period_ns: int) -> AlarmTail:
    """How often normal scores (n,) make an episode, at the highest level with enough of them."""
    days = max(len(scores), 1) * period_ns / DAY_NS
    count, reference = 0, REFERENCES[-1]
    for reference in REFERENCES:
        count = episodes(scores, on=reference, off=OFF_SHARE * reference)
        if count >= EPISODES_MIN:
            break
    return AlarmTail(score=reference, episodes_per_day=max(count, 1) / days)


def episodes(scores: NDArray[np.float64], *, on: float, off: float) -> int:
    """Events that a series of scores (n,) opens; NaN neither opens nor clears."""
    total = over = under = 0
    active = False
    for score in scores[np.isfinite(scores)].tolist():
        if active:
            under = under + 1 if score < off else 0
            active = under < APART_AFTER
            over = 0
        else:
            over = over + 1 if score >= on else 0
            if over >= OPEN_AFTER:
                active, under, total = True, 0, total + 1
    return total


def thresholds(tail: AlarmTail, *, alerts_per_day: float, assets: int) -> tuple[float, float]:
    """Threshold on and off of one of `assets` assets that share a budget.

    Raises ModelError for a budget that is not positive.
    """
    if not (alerts_per_day > 0 and math.isfinite(alerts_per_day)):
        raise ModelError(f"alerts per day is {alerts_per_day}, expected a number above 0")
    on = tail.score + math.log10(tail.episodes_per_day * assets / alerts_per_day)
    on = max(on, ON_MIN)
    return on, OFF_SHARE * on


def shifted(on: float, shift: float) -> tuple[float, float]:
    """Threshold on and off, `shift` above `on` but never below what no event may open at."""
    on = max(on + shift, ON_MIN)
    return on, OFF_SHARE * on
