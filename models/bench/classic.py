"""Published methods, written anew from their definitions, to prove the scorers against.

They are yardsticks, not detectors of ours: their published figures are what a right scorer gives.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from scipy import special

from models.bench.judged import Judged, judge

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from models.bench.judged import Series

    F64 = NDArray[np.float64]

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
