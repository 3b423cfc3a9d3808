"""From a deviate to a surprise: the tail of normal operation, as far as the record supports it.

An EWMA of rate l has about n l / (2 - l) independent values in n samples. Quantiles are taken only
where enough of them lie beyond; further out the tail goes on exponentially, never steeper than a
normal deviate's own. 400 rows thus give a fast statistic its tail to 1 %, and a slow one hardly its
median: the less was seen, the more it takes to surprise.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    F64 = NDArray[np.float64]
    Mask = NDArray[np.bool_]

# Probabilities at the knots: the table is exact there and linear, in log probability, between them.
LEVELS: Final = (0.5, 0.2, 0.1, 0.03, 0.01, 1e-3, 1e-4)
KNOTS: Final = len(LEVELS) + 1  # the first knot is surprise 0
BEYOND_MIN: Final = 5.0  # independent values beyond a quantile that make it worth believing
OUTLIERS: Final = (
    0.05  # beyond this level a quantile may be a few outliers: it is bounded by the rest
)
STEP_MIN: Final = 0.02  # knots stay apart
WORST_LEVELS: Final = (0.5, 1e-3)
EVEN_LEVEL: Final = 0.005  # of a channel's own tail, or as far out as enough values lie beyond
EVEN_LEVEL_MAX: Final = 0.05
FUSION_LEVELS: Final = (0.1, 0.05, 0.02)  # often enough in minutes of record


def worst_scale(channels: int) -> F64:
    """How the largest of c standard normal deviates is made one: offset, scale (channels + 1, 2).

    For c = 0 .. channels, max |e| of c independent deviates e: (max |e| - offset) * scale is a
    normal deviate at its median and at one in a thousand, and nearly so between. What few channels
    show is seen here, where the sum over all would drown it.
    """
    # Not scipy's quantile: every start makes this to know its graph again, and scipy loads slowly.
    quantile = NormalDist().inv_cdf
    count = np.arange(1, channels + 1)
    beyond = [-np.expm1(np.log1p(-p) / count) / 2.0 for p in WORST_LEVELS]
    at = [-np.array([quantile(p) for p in level.tolist()]) for level in beyond]
    deviate = [-quantile(p) for p in WORST_LEVELS]
    scale = (deviate[1] - deviate[0]) / (at[1] - at[0])
    table = np.stack([at[0] - deviate[0] / scale, scale], axis=1)
    return np.vstack([table[:1], table])


def deviates(
    white: F64, plain: F64, scored: Mask, width: int, lambdas: tuple[float, ...]
) -> tuple[F64, F64]:
    """Deviates (m, 2 K) of the m scored of residuals (n, c), as the graph makes them; evenness.

    white: whitened, plain: each channel's own, of unit variance   scored: (n,)   width: present
    channels. First of all channels together, by EWMA, then of the worst channel. EWMAs start at the
    first row and fade where none is scored; v and q do so with them, so the first deviates are as
    good as the rest.

    Evenness (K, c) is what each channel's own EWMA is multiplied with before they are compared: 1,
    or less where its tail is wider than a normal one. A channel that is held and jumps (a slow
    analyser, report by exception) would else be the worst at every jump.
    """
    from scipy import signal  # noqa: PLC0415 - it loads slowly, and only a fit needs it

    weight = scored.astype(np.float64)
    b = 2.0 / (9.0 * width)
    offset, scale = worst_scale(width)[width]
    together, worst, evenness = [], [], []
    for rate in lambdas:
        q = np.asarray(signal.lfilter([rate**2], [1.0, -((1.0 - rate) ** 2)], weight))[scored]
        m = _averaged(white, scored, rate)
        ratio = (m**2).sum(axis=1) / (q * width)
        together.append((np.cbrt(ratio) - 1.0 + b) / math.sqrt(b))
        own = np.abs(_averaged(plain, scored, rate)) / np.sqrt(q)[:, None]
        even = _evenness(own, rate)
        evenness.append(even)
        worst.append(((own * even).max(axis=1) - offset) * scale)
    return np.stack(together + worst, axis=1), np.stack(evenness)


def _evenness(own: F64, rate: float) -> F64:
    """What makes the tails of |EWMA| (m, c) of unit variance as narrow as normal ones (c,)."""
    from scipy import special  # noqa: PLC0415 - it loads slowly, and only a fit needs it

    independent = len(own) * rate / (2.0 - rate)
    level = max(EVEN_LEVEL, BEYOND_MIN / max(independent, BEYOND_MIN))
    if level > EVEN_LEVEL_MAX:  # too few to say
        return np.ones(own.shape[1])
    normal = -float(special.ndtri(level / 2.0))
    return np.asarray(normal / np.maximum(np.quantile(own, 1.0 - level, axis=0), normal))


def _averaged(residuals: F64, scored: Mask, rate: float) -> F64:
    """EWMA (m, c) of the scored residuals (n, c); what is not scored adds nothing."""
    from scipy import signal  # noqa: PLC0415 - it loads slowly, and only a fit needs it

    taken = np.where(scored[:, None], residuals, 0.0)
    averaged: F64 = np.asarray(signal.lfilter([rate], [1.0, rate - 1.0], taken, axis=0))[scored]
    return averaged


def fusion_of(best: F64, *, views: int) -> float:
    """Surprise that the most surprised of V views has by being chosen, from normal rows (n,).

    log10 V if the views were independent, 0 if they were one; the rows say what is between. So the
    fused score is a tail probability again (Sidak's correction, with the views' dependence).
    """
    excess = [float(np.quantile(best, 1.0 - p)) + math.log10(p) for p in FUSION_LEVELS]
    return float(np.clip(np.mean(excess), 0.0, math.log10(views)))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Tails:
    """Tails of V views: knots, slopes (V, J); fusion; the scores (m,) of the rows behind them."""

    knots: F64
    slopes: F64
    fusion: float
    scores: F64


def tails_of(deviate: F64, rates: Sequence[float], *, silent: Sequence[int] = ()) -> Tails:
    """Tails of deviates (m, V) of normal rows, each an EWMA of its rate.

    silent: views that are never surprised.
    """
    tables = [tail_table(z, rate) for z, rate in zip(deviate.T, rates, strict=True)]
    knots, slopes = (np.stack(part) for part in zip(*tables, strict=True))
    slopes[list(silent)] = 0.0
    best = (np.maximum(deviate[:, :, None] - knots, 0.0) * slopes).sum(axis=2).max(axis=1)
    fusion = fusion_of(best, views=deviate.shape[1])
    scores = np.maximum(best - fusion, 0.0)
    return Tails(knots=knots, slopes=slopes, fusion=fusion, scores=scores)


def tail_table(z: F64, rate: float) -> tuple[F64, F64]:
    """Knots and slopes (J,) of an EWMA's surprise, from the deviates z (n,) of normal rows.

    Surprise of z is sum_j slopes_j max(z - knots_j, 0).
    """
    independent = len(z) * rate / (2.0 - rate)
    believed = [p for p in LEVELS if p == LEVELS[0] or p * independent >= BEYOND_MIN]
    last = believed[-1]
    at = {p: float(np.quantile(z, 1.0 - p)) for p in believed}
    # outliers may be a few per cent of the rows: what lies further in bounds them
    for p in believed:
        if p < OUTLIERS:
            at[p] = min(at[p], _onward(z, at, OUTLIERS, 2.0 * _excess(z, OUTLIERS), p))
    for p in LEVELS[len(believed) :]:
        at[p] = _onward(z, at, last, _excess(z, last), p)
    height = [0.0, *(-math.log10(p) for p in LEVELS)]
    knots = [at[LEVELS[0]] - 2.0 * height[1] * math.log(10.0), *(at[p] for p in LEVELS)]
    for j in range(1, len(knots)):
        knots[j] = max(knots[j], knots[j - 1] + STEP_MIN)
    steep = np.diff(height) / np.diff(knots)
    final = 1.0 / (math.log(10.0) * _onward_scale(z, last))
    steep = np.append(steep, final)
    return np.array(knots), np.diff(steep, prepend=0.0)


def _onward(z: F64, at: dict[float, float], start: float, scale: float, p: float) -> float:
    """Quantile at p of an exponential tail that leaves the record at level `start`."""
    begin = at.get(start, float(np.quantile(z, 1.0 - start)))
    return begin + scale * math.log(start / p)


def _onward_scale(z: F64, last: float) -> float:
    """Scale beyond the last knot: that of a normal tail there, or wider if the record's is."""
    inner = _excess(z, last) / _normal_excess(last)
    return max(1.0, inner) * _normal_excess(LEVELS[-1])


def _excess(z: F64, level: float) -> float:
    """Mean excess over the quantile at `level`, robust, and at least that of a normal deviate."""
    begin = np.quantile(z, 1.0 - level)
    beyond = z[z > begin] - begin
    if len(beyond) == 0:
        return _normal_excess(level)
    robust = min(float(beyond.mean()), 2.0 * float(np.median(beyond)) / math.log(2.0))
    return max(robust, _normal_excess(level))


def _normal_excess(level: float) -> float:
    from scipy import special  # noqa: PLC0415 - it loads slowly, and only a fit needs it

    begin = -float(special.ndtri(level))
    return math.exp(-(begin**2) / 2.0) / math.sqrt(2.0 * math.pi) / level - begin
