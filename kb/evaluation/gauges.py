"""Figures of a ranking, and how sure they are: success, nDCG, reciprocal rank, paired bootstrap."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import msgspec
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping, Sequence

    from numpy.typing import NDArray

RESAMPLES: Final = 2000
COVERED: Final = 0.95  # share of the resamples inside an interval
_SEED: Final = 20_261_121  # any number: the same figures give the same interval


class Interval(msgspec.Struct, frozen=True, kw_only=True):
    """A mean with the ends of its 95 % bootstrap interval; all NaN of no values."""

    mean: float
    low: float
    high: float


def success_at(ranked: Sequence[Hashable], grades: Mapping[Any, float], k: int) -> float:
    """1.0 when one of the first `k` is relevant, else 0.0."""
    return float(any(grades.get(item, 0.0) > 0 for item in ranked[:k]))


def ndcg_at(ranked: Sequence[Hashable], grades: Mapping[Any, float], k: int) -> float:
    """Normalised discounted cumulative gain of the first `k`; the gain is the grade itself.

    Jarvelin and Kekalainen 2002, doi:10.1145/582415.582418. 0.0 when nothing is relevant.
    """
    best = sorted((g for g in grades.values() if g > 0), reverse=True)[:k]
    ideal = sum(g / math.log2(rank + 1) for rank, g in enumerate(best, 1))
    found = sum(
        max(grades.get(item, 0.0), 0.0) / math.log2(rank + 1)
        for rank, item in enumerate(ranked[:k], 1)
    )
    return found / ideal if ideal else 0.0


def reciprocal_rank_at(ranked: Sequence[Hashable], grades: Mapping[Any, float], k: int) -> float:
    """One over the place of the first relevant item among the first `k`, else 0.0."""
    for rank, item in enumerate(ranked[:k], 1):
        if grades.get(item, 0.0) > 0:
            return 1.0 / rank
    return 0.0


def interval(values: Sequence[float] | NDArray[np.float64]) -> Interval:
    """Mean of values (n,) with its bootstrap interval; of differences it is a paired one."""
    array = np.asarray(values, dtype=np.float64)
    if not array.size:
        return Interval(mean=math.nan, low=math.nan, high=math.nan)
    chance = np.random.default_rng(_SEED)
    means = np.empty(RESAMPLES)
    for k in range(RESAMPLES):
        means[k] = array[chance.integers(0, array.size, array.size)].mean()
    low, high = np.quantile(means, [(1 - COVERED) / 2, (1 + COVERED) / 2])
    return Interval(mean=float(array.mean()), low=float(low), high=float(high))
