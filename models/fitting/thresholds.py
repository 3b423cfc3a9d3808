"""Thresholds by an alert budget: how many false alerts a day one operator position will bear.

EEMUA 191 calls 150 alarms a day very likely acceptable for one operator, all systems together.
Andon is one source among many and advisory, so its default is 6 a day, two in each of three shifts,
divided over the position's assets. What counts is episodes, not samples: an EWMA over threshold
stays there for a while, and that is one alert. How often an asset's own normal operation makes one
is measured on rows that the model had not seen and stored with it, so all thresholds can be made
anew when assets join.

A budget is what an operator bears at most, no target. Where the record of an asset shows more than
its share of the budget asks for, its threshold is as high as the record supports: the rate of false
alerts falls tenfold for each 1 of score, and what is a fault goes far beyond.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np

from models.errors import ModelError
from models.fitting.extremes import DAY_NS, OFF_SHARE, OPEN_AFTER, TAIL_SCALE, Replay, level_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from models.fitting.extremes import AlarmTail

FLAG_SCORE: Final = 2.6  # a row by itself is strange where normal operation is so in 1 of 400
ON_MIN: Final = 2.5  # no event for what normal operation does once in 300 samples
CLEAR_AFTER: Final = 60  # samples below the off threshold that end one, as the gateway counts
STOPPED_SHARE: Final = 0.1  # of an asset's budget: nobody expects news of a machine at rest
RECORDS_MAX: Final = 30.0  # records like its own that an asset is expected to go without an episode
# A record of hours knows nothing of days. One of days has seen how they differ, so its tail is
# followed further: at thirty records, whatever their length, one of ten machines that had learned
# for two weeks rang by chance within six weeks.
FURTHER_DAYS: Final = (1.0, 3.0)
FURTHER_MAX: Final = 10.0  # times: about one more in score, which small faults do not reach


def thresholds(
    tail: AlarmTail,
    *,
    alerts_per_day: float,
    stopped: AlarmTail | None = None,
    usual: float = TAIL_SCALE,
) -> tuple[float, float]:
    """Threshold on and off of an asset whose share of the budget is alerts_per_day.

    tail: of running   stopped: of standing still, None: not scored then   usual: mean excess of the
    tails of the bundle. Raises ModelError for a budget that is not positive.
    """
    if not (alerts_per_day > 0 and math.isfinite(alerts_per_day)):
        raise ModelError(f"alerts per day is {alerts_per_day}, expected a number above 0")
    asked = levels_asked(tail, alerts_per_day=alerts_per_day, stopped=stopped, usual=usual)
    on = max(ON_MIN, *(level for level, _ in asked))
    return on, OFF_SHARE * on


def levels_asked(
    tail: AlarmTail, *, alerts_per_day: float, stopped: AlarmTail | None, usual: float
) -> list[tuple[float, bool]]:
    """The score that each tail asks for, and whether its record does rather than the budget."""
    shares = [(tail, alerts_per_day)]
    if stopped is not None:
        shares.append((stopped, STOPPED_SHARE * alerts_per_day))
    levels = []
    for one, share in shares:
        rarest = supported_rate(one)
        levels.append((level_of(one, min(share, rarest), usual=usual), rarest < share))
    return levels


def supported_rate(tail: AlarmTail) -> float:
    """The rarest episodes, a day, that a tail can be followed to: as many records as it has peaks.

    At most RECORDS_MAX, and up to FURTHER_MAX times as many where it is of more than a day. Without
    peaks as with one; from a bundle that did not count them, any.
    """
    if tail.days <= 0.0:
        return math.inf
    further = float(np.interp(tail.days, FURTHER_DAYS, (1.0, FURTHER_MAX)))
    return 1.0 / (tail.days * further * min(max(tail.peaks, 1), RECORDS_MAX))


def replayed(
    baselines: Iterable[NDArray[np.float64]], *, on: float, off: float, period_ns: int
) -> Replay:
    """What scores (n,) of unseen normal rows, of each baseline, would have told an operator."""
    count = samples = 0
    for scores in baselines:
        count += episodes(scores, on=on, off=off)
        samples += int(np.isfinite(scores).sum())
    return Replay(episodes=count, days=samples * period_ns / DAY_NS)


def episodes(scores: NDArray[np.float64], *, on: float, off: float) -> int:
    """Events that a series of scores (n,) opens, as a gateway counts by default.

    NaN neither opens nor clears.
    """
    total = over = under = 0
    active = False
    for score in scores[np.isfinite(scores)].tolist():
        if active:
            under = under + 1 if score < off else 0
            active = under < CLEAR_AFTER
            over = 0
        else:
            over = over + 1 if score >= on else 0
            if over >= OPEN_AFTER:
                active, under, total = True, 0, total + 1
    return total


def shifted(on: float, shift: float) -> tuple[float, float]:
    """Threshold on and off, `shift` above `on` but never below what no event may open at."""
    on = max(on + shift, ON_MIN)
    return on, OFF_SHARE * on
