"""Published methods, written anew from their definitions, to prove the scorers against.

They are yardsticks, not detectors of ours: their published figures are what a right scorer gives.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from scipy import ndimage, special, stats

from models.bench.judged import Judged, judge

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from models.bench.judged import Series

    F64 = NDArray[np.float64]

EXPLAINED: Final = 0.85  # share of variance that the principal components kept explain
CONFIDENCE: Final = 0.999  # of the limits of T-squared and Q
MEDIAN_ROWS: Final = 5  # statistics are smoothed by the median of the last rows
ALONE_FACTOR: Final = 2.0  # T-squared without Q: its published limit is twice the theoretical one
GAUSSIAN_WINDOW: Final = 6400  # rows, as tuned by its authors
GAUSSIAN_STEP: Final = 100
GAUSSIAN_SIGMA_MIN: Final = 1e-6
GAUSSIAN_DIGITS: Final = 12  # of the published scores: beyond 7 sigmas they are all alike


def windowed_gaussian(series: Series) -> Judged:
    """NAB's windowed Gaussian: 1 - tail probability of a value under the rows before it.

    Mean and deviation are those of all earlier rows until GAUSSIAN_WINDOW are there; then the
    window moves on by GAUSSIAN_STEP rows at a time. Takes the first channel. Scores have the twelve
    digits of the published ones: with sixteen, NAB's sweep finds a better threshold (38.0, not
    35.0, on 34 files). The threshold is NAB's to choose; here nothing rings.
    """
    x = series.values[:, 0]
    n = len(x)
    mean, sigma = np.zeros(n), np.ones(n)
    for row in range(1, n):
        if row > GAUSSIAN_WINDOW and (row - GAUSSIAN_WINDOW) % GAUSSIAN_STEP:
            mean[row], sigma[row] = mean[row - 1], sigma[row - 1]
            continue
        window = x[max(0, row - GAUSSIAN_WINDOW) : row]
        mean[row], sigma[row] = window.mean(), window.std()
    z = np.abs(x - mean) / np.where(sigma == 0.0, GAUSSIAN_SIGMA_MIN, sigma)
    scores = 1.0 - 0.5 * special.erfc(z / np.sqrt(2.0))
    scores[:1] = 0.0
    return judge(np.round(scores, GAUSSIAN_DIGITS), np.inf)


def hotelling(series: Series) -> Judged:
    """SKAB's T-squared: distance of the standardised channels from the mean of the training rows.

    Hotelling 1947. The limit is ALONE_FACTOR times that of the F distribution for a new row. Scores
    are shares of the limit, so the threshold is 1.
    """
    train, z = _standardised(series)
    squares = _squares(z, np.atleast_2d(np.cov(train.T)))
    limit = ALONE_FACTOR * _t2_limit(len(train), z.shape[1])
    return judge(_last_median(squares) / limit, 1.0)


def hotelling_q(series: Series) -> Judged:
    """SKAB's T-squared with Q: in the principal components, and the squared rest.

    Jackson and Mudholkar 1979, doi:10.1080/00401706.1979.10489779, with two differences that the
    published figures have: the limit of Q takes powers of the sum of the remaining eigenvalues in
    place of sums of their powers, so h0 = 1/3; and the remaining ones are the last as the general
    eigenvalue routine finds them, not the smallest. Scores are the greater share of its limit.
    """
    train, z = _standardised(series)
    covariance = np.atleast_2d(np.cov(train.T))
    variances, vectors = np.linalg.eigh(covariance)
    variances, vectors = variances[::-1], vectors[:, ::-1]
    explained = np.cumsum(variances) / variances.sum()
    kept = int(np.searchsorted(explained, EXPLAINED, side="right")) + 1
    if kept >= z.shape[1]:
        return judge(_last_median(_squares(z, covariance)) / _t2_limit(len(train), kept), 1.0)
    parts = z @ vectors
    squares = (parts[:, :kept] ** 2 / variances[:kept]).sum(axis=1)
    rest = (parts[:, kept:] ** 2).sum(axis=1)
    theta = float(np.linalg.eigvals(covariance)[kept:].real.sum())
    normal = float(stats.norm.ppf(CONFIDENCE))
    q_limit = theta * (1.0 + normal * np.sqrt(2.0) / 3.0 - 2.0 / 9.0) ** 3
    shares = _last_median(squares) / _t2_limit(len(train), kept), _last_median(rest) / q_limit
    return judge(np.maximum(*shares), 1.0)


def _standardised(series: Series) -> tuple[F64, F64]:
    """Training rows (m, c) and all rows (n, c) by their scale; constant channels left out."""
    train = series.values[: series.train_rows]
    moves = (train != train[0]).any(axis=0)
    mean, sigma = train[:, moves].mean(axis=0), train[:, moves].std(axis=0)
    z = (series.values[:, moves] - mean) / sigma
    return z[: series.train_rows], z


def _squares(z: F64, covariance: F64) -> F64:
    """Squared Mahalanobis lengths (n,) of rows (n, c)."""
    return np.asarray(np.einsum("ij,ij->i", z @ np.linalg.inv(covariance), z))


def _t2_limit(rows: int, width: int) -> float:
    """Limit of T-squared of a row that was not among the `rows` fitted on."""
    scale = width * (rows - 1) * (rows + 1) / (rows * (rows - width))
    return float(scale * stats.f.ppf(CONFIDENCE, width, rows - width))


def _last_median(x: F64) -> F64:
    """Median of each row and the MEDIAN_ROWS - 1 before it (n,); NaN until there are as many."""
    smooth = ndimage.median_filter(x, size=MEDIAN_ROWS, origin=MEDIAN_ROWS // 2)
    smooth[: MEDIAN_ROWS - 1] = np.nan
    return np.asarray(smooth)
