"""Ridge VAR of a channel set from its lag moments: normalisation, moments, solution, whitening.

Everything here treats a channel, or a pair of channels, by itself, so that leaving channels out of
stored moments gives exactly what fitting without them would have given.

Channels that wander (their level over minutes says little about their level in an hour:
temperatures, tank levels) are modelled by their changes: the coefficients of their lags sum to one
for themselves and to zero for the others, a random-walk prior taken to its limit (after Litterman
1986). Without it their drift beyond a short training record looks like a lasting fault of every
channel that regresses on them.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from models.bundles.bundle import Z_MAX, Spec

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from models.bundles.bundle import Part

    F64 = NDArray[np.float64]
    Mask = NDArray[np.bool_]

FIT_Z_MAX: Final = 6.0  # outliers in training data count for no more than this
RIDGE_ROWS: Final = 2.0  # ridge is this over the rows learned from, within these bounds: of the
RIDGE: Final = (1e-4, 0.005)  # variance of a normalised channel; larger ones lost faults in trials
RESIDUAL_SIGMA_MIN: Final = 0.02  # no channel is predicted better than to 2 % of its own spread
EDGES_MAX: Final = 0.01  # of the rows: windows that reach over the end of a stretch
SHRINK_ROWS: Final = 8.0  # likewise for residual correlations towards none, so that the precision
SHRINK: Final = (1e-3, 0.02)  # of few rows does not claim what it cannot know
WANDER_BLOCKS: Final = 8
WANDER_RATIO: Final = 1.0  # variance between block means over variance within blocks
WANDER_WEIGHT: Final = 1e3  # of the random-walk constraint against moments of about one
CHUNK_ROWS: Final = 16_384
RESOLUTION: Final = 1e-6  # of its level: what a float32 shows of a channel is coarser below
JITTER: Final = 1e-12  # of its level: rounding of doubles, no movement
SIGMA_MIN: Final = 1e-30  # float32 holds no scale of a smaller one
STILL_SHARE: Final = 1e-3  # sigma of a constant channel, of its level


def location_scale(values: F64) -> tuple[F64, F64]:
    """Center and sigma of each channel (c,) over values (n, c), NaN ignored.

    Mean and deviation after pulling in what lies more than a full 2..98 % range outside that range:
    a few outliers do not matter, and two-state or skewed channels keep their spread. A constant
    channel, to the RESOLUTION that the graph sees, gets a thousandth of its level. One without
    values: center 0, sigma 1.
    """
    values = np.where(np.isfinite(values), values, np.nan)
    dead = np.isnan(values).all(axis=0)
    values = np.where(dead, 0.0, values)
    low, high = np.nanquantile(values, [0.02, 0.98], axis=0)
    reach = np.where(
        high > low, high - low, np.inf
    )  # mostly constant: its rare steps are its spread
    tame = np.clip(values, low - reach, high + reach)
    center, sigma = np.nanmean(tame, axis=0), np.nanstd(tame, axis=0)
    level = np.abs(center)
    still = sigma <= np.maximum(RESOLUTION * level, SIGMA_MIN)
    sigma = np.where(still, np.where(level > SIGMA_MIN, STILL_SHARE * level, 1e-6), sigma)
    return center, np.where(dead, 1.0, sigma)


def unresolved(values: F64) -> F64:
    """Deviation (c,) of those channels of values (n, c) that move less than RESOLUTION; else 0.

    The graph reads float32: of a time stamp of 1.7e9 s it sees steps of 128 s.
    """
    seen = np.isfinite(values)
    known = np.where(seen.any(axis=0) & ~seen, np.nan, np.where(seen, values, 0.0))
    level, spread = np.abs(np.nanmean(known, axis=0)), np.nanstd(known, axis=0)
    return np.asarray(
        np.where((spread > JITTER * level) & (spread <= RESOLUTION * level), spread, 0.0)
    )


def normalised(values: F64, center: F64, sigma: F64) -> F64:
    """Values (n, c) in sigmas (c,) from the center (c,), clipped as in the graph; NaN stays NaN."""
    return np.asarray(np.clip((values - center) / sigma, -Z_MAX, Z_MAX))


def wanders(z: F64) -> Mask:
    """Which channels (c,) of z (n, c) wander: block means differ more than values in a block."""
    blocks = np.array_split(z, WANDER_BLOCKS)
    means = np.stack([_mean(block) for block in blocks])  # (blocks, c)
    within = np.stack(
        [_mean((block - mean) ** 2) for block, mean in zip(blocks, means, strict=True)]
    )
    between = _mean((means - _mean(means)) ** 2) * WANDER_BLOCKS / (WANDER_BLOCKS - 1)
    return np.asarray(between > WANDER_RATIO * np.maximum(_mean(within), 1e-12))


def _mean(values: F64) -> F64:
    """Mean over the first axis without NaN (c,); 0 where all are NaN."""
    seen = np.isfinite(values)
    return np.asarray(np.where(seen, values, 0.0).sum(axis=0) / np.maximum(seen.sum(axis=0), 1))


def lag_moments(z: F64, lags: int) -> F64:
    """Second moments ((p+1) c, (p+1) c) of (z_{t-p}, ..., z_t) in z (n, c); NaN does not count.

    At the ends of a stretch the variance of a lag is of other rows than its covariances. Where such
    windows are more than EDGES_MAX of the rows, or what they contradict is more than what a channel
    leaves as a residual, which whitening would blow up, only windows within stretches count.
    """
    told: Mask = np.asarray(np.isfinite(z).any(axis=1))
    windows = max(len(z) - lags, 0)
    parts = [told[j : windows + j] for j in range(lags + 1)]
    whole: Mask = np.logical_and.reduce(parts)
    edges = int((np.logical_or.reduce(parts) & ~whole).sum())
    everything = np.ones_like(whole)
    if not edges or not whole.any():
        return _moments(z, lags, everything)
    if edges > EDGES_MAX * int(told.sum()):
        return _moments(z, lags, whole)
    moments = _moments(z, lags, everything)
    least = float(np.linalg.eigvalsh(moments)[0])
    if least >= 0.0:
        return moments
    within = _moments(z, lags, whole)
    return within if -least > _least_residual(within, z.shape[1]) else moments


def _moments(z: F64, lags: int, counted: Mask) -> F64:
    """Moments of the counted windows (n - p,) of z (n, c)."""
    n, c = z.shape
    width = (lags + 1) * c
    total, count = np.zeros((width, width)), np.zeros((width, width))
    for start in range(lags, n, CHUNK_ROWS):
        stop = min(n, start + CHUNK_ROWS)
        window = np.hstack([z[start - lags + j : stop - lags + j] for j in range(lags + 1)])
        seen = np.isfinite(window) & counted[start - lags : stop - lags, None]
        tame = np.clip(np.where(seen, window, 0.0), -FIT_Z_MAX, FIT_Z_MAX)
        total += tame.T @ tame
        weight = seen.astype(np.float64)
        count += weight.T @ weight
    return np.asarray(total / np.maximum(count, 1.0))


def _least_residual(moments: F64, c: int) -> float:
    """Least variance that a channel leaves beside its past, and at least the floor of spreads."""
    past, cross, now = moments[:-c, :-c], moments[-c:, :-c], moments[-c:, -c:]
    a = np.linalg.solve(past + RIDGE[0] * np.eye(len(past)), cross.T)
    left = np.diag(now) - np.einsum("ij,ji->i", cross, a)
    seen = np.diag(now) > 0.0
    least = float(left[seen].min()) if seen.any() else 0.0
    return max(least, RESIDUAL_SIGMA_MIN**2)


def solve(
    moments: F64, wandering: Mask, present: Mask, *, lags: int, rows: float
) -> tuple[F64, F64]:
    """Coefficients (c, p c), oldest lag first, and residual covariance (c, c).

    moments: ((p+1) c, (p+1) c) learned from `rows` rows   wandering, present: (c,)
    Channels not present are decoupled: no coefficients, unit variance.
    """
    c = len(present)
    keep = np.flatnonzero(present)
    coefficients, covariance = np.zeros((c, lags * c)), np.eye(c)
    if len(keep) == 0:
        return coefficients, covariance
    chosen = np.concatenate([keep + j * c for j in range(lags + 1)])
    part = _definite(moments[np.ix_(chosen, chosen)])
    k = len(keep)
    past, cross, now = part[:-k, :-k], part[-k:, :-k], part[-k:, -k:]
    walk = np.diag(WANDER_WEIGHT * wandering[keep].astype(np.float64))
    summed = np.tile(np.eye(k), (lags, 1))  # (p k, k)
    left = (
        past
        + float(np.clip(RIDGE_ROWS / rows, *RIDGE)) * np.eye(lags * k)
        + summed @ walk @ summed.T
    )
    right = cross.T + summed @ walk
    a = np.linalg.solve(left, right).T  # (k, p k)
    residual = now - a @ cross.T - cross @ a.T + a @ past @ a.T
    coefficients[np.ix_(keep, chosen[:-k])] = a
    covariance[np.ix_(keep, keep)] = _definite(residual)
    return coefficients, covariance


def _definite(matrix: F64) -> F64:
    """The nearest matrix without negative eigenvalues; moments of gappy data may have them."""
    matrix = (matrix + matrix.T) / 2
    values, vectors = np.linalg.eigh(matrix)
    if values[0] >= 0:
        return matrix
    return np.asarray((vectors * np.maximum(values, 1e-9)) @ vectors.T)


def whitening(covariance: F64, *, rows: float) -> F64:
    """W (c, c) with W covariance W' = 1, after flooring spreads and shrinking correlations.

    covariance: (c, c) learned from `rows` rows
    What the floor adds to a spread is noise of that channel alone. Of a channel that hardly leaves
    a residual (a ramp) the correlations are rounding and edges; taken at their word they would
    throw what is left of it at all the others.
    """
    spread = np.maximum(np.sqrt(np.diag(covariance)), RESIDUAL_SIGMA_MIN)
    shrink = 1.0 - np.clip(SHRINK_ROWS / rows, *SHRINK)
    correlation = shrink * covariance / np.outer(spread, spread)
    np.fill_diagonal(correlation, 1.0)
    return np.asarray(np.linalg.inv(np.linalg.cholesky(correlation)) / spread)


def graph_weights(
    moments: F64, wandering: Mask, present: Mask, *, lags: int, rows: float
) -> tuple[F64, F64]:
    """Weights ((p+1) c, 2 c) of the graph, and mixing (c, c), the way back.

    moments: ((p+1) c, (p+1) c) learned from `rows` rows   wandering, present: (c,)
    A window, oldest lag first, times weights is the whitened residual w, and beside it each
    channel's own in units of its deviation; mixing @ w is the residual.
    """
    coefficients, covariance = solve(moments, wandering, present, lags=lags, rows=rows)
    white = whitening(covariance, rows=rows)
    mixing = np.asarray(np.linalg.inv(white))
    unit = mixing / np.sqrt((mixing**2).sum(axis=1, keepdims=True))
    weights = np.vstack([-(white @ coefficients).T, white.T])
    return np.hstack([weights, weights @ unit.T]), mixing


def unseen_power(rows: int, *, width: int, lags: int) -> float:
    """Expected square of whitened residuals of unseen rows, under a model learned from `rows` rows.

    inf: too few rows to say. n / (n - k) for k = lags * width coefficients, twice, as the residuals
    that were learned from are too small by as much, and the mean of an inverse Wishart matrix for
    what whitens.
    """
    left = rows - lags * width
    return rows**2 / (left * (left - width - 1)) if left > width + 1 else math.inf


def invisible(values: F64) -> Mask:
    """Which channels (c,) of values (n, c) go on where float32 cannot follow: they are left out.

    A time stamp is one. What only trembles that little is watched as a constant.
    """
    spread = unresolved(values)
    z = (values - location_scale(values)[0]) / np.where(spread > 0.0, spread, 1.0)
    return (spread > 0.0) & wanders(z[np.isfinite(z).any(axis=1)])


def masked_parameters(part: Part, row: int, keep: Mask) -> dict[str, NDArray[Any]]:
    """Parameters of one row without some channels, as a stack of one for the graph.

    keep: (c,) bool over the part's padded channels. What remains is solved anew from the stored
    moments, exactly as a fit of the kept channels alone; the tail table stays, because it is in
    normal deviates that already count the channels left.
    """
    assert isinstance(part.spec, Spec), "of a VAR"
    present = part.parameters["present"][row] & keep
    weights, mixing = graph_weights(
        part.moments[row],
        part.wanders[row],
        present,
        lags=part.spec.lags,
        rows=float(part.learned[row]),
    )
    derived = {name: value[row : row + 1].copy() for name, value in part.parameters.items()}
    derived["present"] = present[None]
    derived["weights"] = weights.astype(np.float32)[None]
    derived["mixing"] = mixing.astype(np.float32)[None]
    return derived
