"""How long a start takes: the samples after a stop that prediction does not know yet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    F64 = NDArray[np.float64]

SETTLE_SAMPLES_MAX: Final = 120
CALM_SAMPLES: Final = 3  # of usual size in a row: settled
STARTS_MIN: Final = 3  # starts that it takes to learn how long settling lasts


def settling(white: F64, age: NDArray[np.int64]) -> int | None:
    """Samples after a start until residuals (n, c) are of the usual size; None: too few starts."""
    power = (white**2).sum(axis=1)
    ok = np.isfinite(power)
    if not ok.any() or (age[ok] == age[ok].min()).sum() < STARTS_MIN:
        return None
    usual = float(np.quantile(power[ok], 0.75))
    first, calm = int(age[ok].min()), 0
    for step in range(first, min(int(age.max()), first + SETTLE_SAMPLES_MAX) + 1):
        at = ok & (age == step)
        calm = calm + 1 if at.any() and np.median(power[at]) <= usual else 0
        if calm == CALM_SAMPLES:
            return step - first + 1 - CALM_SAMPLES
    return SETTLE_SAMPLES_MAX
