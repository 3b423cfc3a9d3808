"""How often normal operation makes an episode, beyond what its record shows.

Peaks over threshold (Coles 2001, chapters 4 and 5): of each episode, apart from the next by a calm
stretch, only the strangest moment counts, so its own likeness to itself does not. Above a level u
the episodes come as a Poisson process, and what they exceed it by is generalised Pareto. A score is
-log10 of a tail probability, so its excess is exponential with scale log10(e) where the tail tables
are right; that is where a record of few episodes is drawn to, and where other assets of the bundle
are, to theirs. What a short record leaves unknown is in the answer: the rate at u is an upper
confidence bound, and a scale known from n peaks makes the tail heavier by a shape of 1 / (n + m).
A shape is followed to the rarest episode that the record can show, one in all of it; beyond that
the tail goes on as an exponential one, as a shape drawn on without data reaches any score.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    F64 = NDArray[np.float64]

TAIL_SCALE: Final = 0.4343  # log10 e: mean excess of a score that is a tail probability
OFF_SHARE: Final = 0.5  # of threshold_on: below it an event fades
OPEN_AFTER: Final = 2  # samples over threshold that open an event, as the gateway counts by default
# Calm samples that keep episodes of a record apart. The gateway waits for sixty, but with so many
# minutes of record would hold a handful, and a rate from so few errs towards more alerts.
APART_AFTER: Final = 10
LEVELS: Final = (2.5, 2.25, 2.0, 1.75, 1.5, 1.25, 1.0)
PEAKS_MIN: Final = 30  # fewer say little about a tail; then a lower level is looked at
CONFIDENCE: Final = 0.8  # that the rate at the level is no higher
PRIOR_PEAKS: Final = 30.0  # that the scale of other tails is worth
SHAPE_PEAKS: Final = 60.0  # likewise that a tail is exponential: shapes vary most of all
SHAPE_MAX: Final = 0.3
# Of a tail that is drawn on. Wider ones are bursts of a record with changes that nobody told: drawn
# on, no fault would ever reach the threshold; the replay says what they cost.
EXCESS_MAX: Final = 1.25 * TAIL_SCALE
DAY_NS: Final = 86_400 * 10**9


class AlarmTail(msgspec.Struct, frozen=True, kw_only=True):
    """How often normal operation makes an episode over `score`, and by how much.

    peaks: episodes over it in the record   days: of the record, 0: not told   excess: their mean
    excess   shape: of a generalised Pareto, 0 is exponential
    """

    score: float
    episodes_per_day: float
    peaks: int = 0
    days: float = 0.0
    excess: float = TAIL_SCALE
    shape: float = 0.0


class Replay(msgspec.Struct, frozen=True, kw_only=True):
    """Unseen normal rows at the thresholds of the bundle: events that they opened, in so many days.

    Each baseline's rows follow on one another, without the time between.
    """

    episodes: int
    days: float


def alarm_tail(scores: F64, *, period_ns: int) -> AlarmTail:
    """The tail of normal scores (n,), NaN: not scored, from the highest level with enough peaks."""
    scores = scores[np.isfinite(scores)]
    days = max(len(scores), 1) * period_ns / DAY_NS
    level, found = LEVELS[-1], np.empty(0)
    for level in LEVELS:
        found = peaks(scores, level)
        if len(found) >= PEAKS_MIN:
            break
    excess = found - level
    return AlarmTail(
        score=level,
        episodes_per_day=max(len(found), 1) / days,
        peaks=len(found),
        days=days,
        excess=float(excess.mean()) if len(found) else TAIL_SCALE,
        shape=shape_of(excess),
    )


def peaks(scores: F64, level: float) -> F64:
    """The highest threshold at which each episode over `level` would still open (m,).

    That is the highest score that OPEN_AFTER samples in a row reach. Episodes are apart where
    APART_AFTER samples in a row are under OFF_SHARE of the level (runs declustering).
    """
    if len(scores) < OPEN_AFTER:
        return np.empty(0)
    lasting = np.lib.stride_tricks.sliding_window_view(scores, OPEN_AFTER).min(axis=1)
    index = np.arange(len(scores))
    since = index - np.maximum.accumulate(np.where(scores < OFF_SHARE * level, -1, index))
    episode = np.cumsum(since == APART_AFTER)[OPEN_AFTER - 1 :]
    over = lasting >= level
    if not over.any():
        return np.empty(0)
    begins = np.flatnonzero(np.diff(episode[over], prepend=-1))
    return np.asarray(np.maximum.reduceat(lasting[over], begins))


def shape_of(excess: F64) -> float:
    """Shape of a generalised Pareto of excesses (n,), by probability-weighted moments.

    Hosking and Wallis 1987; drawn to 0, an exponential tail, by how few there are, within SHAPE_MAX
    to both sides.
    """
    n = len(excess)
    if n < 2:
        return 0.0
    weight = (n - 1.0 - np.arange(n)) / (n - 1.0)
    mean, weighted = float(excess.mean()), float((weight * np.sort(excess)).mean())
    spread = mean - 2.0 * weighted  # 0 where all are equal
    own = 2.0 - mean / spread if spread > 0.0 else -SHAPE_MAX
    return float(np.clip(own, -SHAPE_MAX, SHAPE_MAX)) * n / (n + SHAPE_PEAKS)


def usual_excess(tails: Sequence[AlarmTail]) -> float:
    """Mean excess of the peaks of all tails together, drawn to that of a tail probability."""
    count = sum(tail.peaks for tail in tails)
    total = sum(tail.peaks * tail.excess for tail in tails)
    return (total + PRIOR_PEAKS * TAIL_SCALE) / (count + PRIOR_PEAKS)


def rate_at(tail: AlarmTail, score: float, *, usual: float = TAIL_SCALE) -> float:
    """Episodes a day that normal operation opens at `score`; errs to the high side.

    The rate at the level is an upper bound; of what the scale leaves unknown only a part is in it.

    usual: `usual_excess` of the bundle   Below the tail's own level it is that of the level.
    """
    scale, shape = _beyond(tail, usual)
    over, shown = max(score - tail.score, 0.0), _shown(tail)
    seen = math.log1p(shape * over / scale) / shape
    if seen > shown:
        reach = scale * math.expm1(shape * shown) / shape
        seen = shown + (over - reach) / _further(scale, shape, shown)
    return _rate_max(tail) * math.exp(-seen)


def level_of(tail: AlarmTail, episodes_per_day: float, *, usual: float = TAIL_SCALE) -> float:
    """The score at which normal operation opens no more than so many episodes a day.

    At least the tail's own level. usual: as in `rate_at`.
    """
    scale, shape = _beyond(tail, usual)
    rarer, shown = max(math.log(_rate_max(tail) / episodes_per_day), 0.0), _shown(tail)
    seen = min(rarer, shown)
    reach = scale * math.expm1(shape * seen) / shape
    unseen = (rarer - shown) * _further(scale, shape, shown) if rarer > shown else 0.0
    return tail.score + reach + unseen


def _shown(tail: AlarmTail) -> float:
    """How much rarer, in e-folds, than at its level is what a record shows once."""
    return math.log(_rate_max(tail) * tail.days) if tail.days > 0.0 else math.inf


def _further(scale: float, shape: float, shown: float) -> float:
    """Scale of the exponential tail beyond what the record shows: its own there, within bounds."""
    return min(scale * math.exp(shape * shown), max(scale, EXCESS_MAX))


def _rate_max(tail: AlarmTail) -> float:
    """Upper confidence bound of a Poisson rate, episodes a day (Garwood 1936)."""
    from scipy import special  # noqa: PLC0415 - it loads slowly, and a start must be quick

    if tail.days <= 0.0:  # of a bundle from before peaks were counted
        return tail.episodes_per_day
    return float(special.gammaincinv(tail.peaks + 1, CONFIDENCE)) / tail.days


def _beyond(tail: AlarmTail, usual: float) -> tuple[float, float]:
    """Scale and shape, above 0, of what is over the level.

    Nothing ends a tail that is not known to end: a negative shape counts as none. The wider the
    tail, the less of its shape counts, none at EXCESS_MAX: bursts are not drawn on.
    """
    known = tail.peaks + PRIOR_PEAKS
    excess = min((tail.peaks * tail.excess + PRIOR_PEAKS * usual) / known, EXCESS_MAX)
    shape = max(tail.shape, 0.0) * float(np.interp(excess, (TAIL_SCALE, EXCESS_MAX), (1.0, 0.0)))
    return excess * (1.0 - shape), min(shape + 1.0 / known, SHAPE_MAX)
