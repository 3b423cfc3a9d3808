"""Rows of a record that are not like the rest of it: faults that nobody labelled, forgotten work.

A few outliers do no harm to a fit; a fault of minutes does, because the detector learns it as
normal. The record is cut into blocks, the model fitted on those that it explains best, and again,
as in the concentration steps of the minimum covariance determinant (Rousseeuw & Van Driessen 1999).
What a model of the rest then finds absurd for a while is left out, unless it is a large part of the
record: then it is the plant's way, and the fit says so instead.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from models.fitting.tails import deviates
from models.fitting.var import graph_weights, lag_moments, location_scale, normalised, wanders
from models.samples import MODES_MAX

if TYPE_CHECKING:
    from numpy.typing import NDArray

    F64 = NDArray[np.float64]
    Mask = NDArray[np.bool_]

OUTLIER_SIGMAS: Final = 10.0
OUTLIER_SHARE: Final = 0.005  # of a channel's values; more of them are no outliers
BLOCKS: Final = 20
STEPS: Final = 3
KEPT_SHARE: Final = 0.6  # of the blocks, that the model is fitted on
ABSURD: Final = 15.0  # robust deviations of a slow average; clean records of hours came to 14
FEW_ROWS: Final = 400  # of so many it takes twice as much: what they leave out drifts further off
SHARE_MAX: Final = 0.2  # of the rows; more is the plant's way
STRETCHES_MAX: Final = 5  # and so is what comes more often,
APART_ROWS: Final = 60  # with so many rows between,
START_ROWS: Final = 120  # and what follows on a start, or a hole
ROWS_MIN: Final = 600  # fewer make no blocks that a model could be fitted without
DECILE: Final = 1.2816  # of a normal deviate, 90 %


def without_outliers(values: F64) -> F64:
    """Values (n, c) with a channel's few wild ones blank; where they are more, they are its way."""
    center, sigma = location_scale(values)
    wild = np.abs(values - center) > OUTLIER_SIGMAS * sigma
    few = wild.sum(axis=0) <= OUTLIER_SHARE * np.isfinite(values).sum(axis=0)
    return np.asarray(np.where(wild & few, np.nan, values))


def contaminated(values: F64, *, lags: int, lambdas: tuple[float, ...]) -> tuple[Mask, float]:
    """Rows (n,) of values (n, c) to leave out, and the share that is unlike the rest.

    NaN: no value. lambdas: rates of the EWMAs, fastest first; the slowest tells. Nothing is left
    out of a record that is short, or of which a large part, or one that comes again and again, is
    unlike the rest; nor are starts.
    """
    n = len(values)
    rows = np.flatnonzero(np.isfinite(values).any(axis=1))
    nothing = np.zeros(n, np.bool_)
    if len(rows) < ROWS_MIN:
        return nothing, 0.0
    blocks = np.array_split(rows, BLOCKS)
    kept: Mask = np.asarray(np.isfinite(values).any(axis=1))
    strange = np.full(n, np.nan)
    for _ in range(STEPS):
        strange = _strangeness(values, kept, lags=lags, lambdas=lambdas)
        size = np.array([_mean_over_zero(strange[block]) for block in blocks])
        best = np.argsort(size, kind="stable")[: int(np.ceil(KEPT_SHARE * BLOCKS))]
        kept = nothing.copy()
        for at in best:
            kept[blocks[at]] = True
    known = strange[kept & np.isfinite(strange)]
    if len(known) < ROWS_MIN // 2:
        return nothing, 0.0
    median, decile = np.quantile(known, [0.5, 0.9])
    reach = ABSURD * (1.0 + FEW_ROWS / len(rows)) * (decile - median) / DECILE
    absurd = np.nan_to_num(strange, nan=-np.inf) > median + reach
    absurd &= ~_starting(values)
    share = float(absurd.sum() / len(rows))
    stretches = int((np.diff(np.flatnonzero(absurd), prepend=-np.inf) > APART_ROWS).sum())
    few = share <= SHARE_MAX and stretches <= STRETCHES_MAX
    return (absurd if few else nothing), share


def contaminated_by_mode(
    values: F64, mode: F64, *, lags: int, lambdas: tuple[float, ...]
) -> tuple[Mask, float]:
    """The same with each operating mode by itself: a rare one is no contamination of the others.

    mode: (n,), NaN: not told. The share is that of the mode that has the largest.
    """
    told = np.unique(mode[np.isfinite(mode)])
    if not 1 < len(told) <= MODES_MAX:
        return contaminated(values, lags=lags, lambdas=lambdas)
    strange, share = np.zeros(len(values), np.bool_), 0.0
    for value in told:
        mine = np.where((mode == value)[:, None], values, np.nan)
        own, unlike = contaminated(mine, lags=lags, lambdas=lambdas)
        strange, share = strange | own, max(share, unlike)
    return strange, share


def _starting(values: F64) -> Mask:
    """Rows (n,) so soon after a blank one that they may belong to a start, which comes again."""
    index = np.arange(len(values))
    blank = ~np.isfinite(values).any(axis=1)
    since = index - np.maximum.accumulate(np.where(blank, index, -START_ROWS - 1))
    return np.asarray(since <= START_ROWS)


def _mean_over_zero(strange: F64) -> float:
    known = strange[np.isfinite(strange)]
    return float(np.maximum(known, 0.0).mean()) if len(known) else np.inf


def _strangeness(values: F64, kept: Mask, *, lags: int, lambdas: tuple[float, ...]) -> F64:
    """Larger slow deviate (n,) of each row under a model of the kept rows; NaN: no complete row."""
    c = values.shape[1]
    own = np.where(kept[:, None], values, np.nan)
    present: Mask = np.asarray(np.isfinite(own).any(axis=0))
    center, sigma = location_scale(own)
    z = normalised(own, center, sigma)
    weights, _ = graph_weights(
        lag_moments(z, lags),
        wanders(z[np.isfinite(z).any(axis=1)]),
        present,
        lags=lags,
        rows=float(kept.sum()),
    )
    every = np.where(present, normalised(values, center, sigma), 0.0)
    n = len(every)
    residuals = np.full((n, 2 * c), np.nan)
    residuals[lags:] = np.hstack([every[j : n - lags + j] for j in range(lags + 1)]) @ weights
    whole: Mask = np.asarray(np.isfinite(residuals).all(axis=1))
    strange = np.full(n, np.nan)
    if whole.any():
        white, plain = np.hsplit(residuals, 2)
        deviate, _ = deviates(white, plain, whole, int(present.sum()), lambdas)
        k = len(lambdas)
        strange[whole] = np.maximum(deviate[:, k - 1], deviate[:, 2 * k - 1])
    return strange
