"""What a head sees of a window: where each channel stood, and how much it moved, against its fit.

    level_i  = sign(m_i) K log(1 + |m_i| / K)  m_i: mean of z_i over the window, sigmas of the fit
    spread_i = log(var_i + SPREAD_FLOOR) / 2  of z_i within the window, of MOVES_MIN values or more

z is what the detector's graph makes of a sample: deviations from the asset's own baseline, so what
a machine is by itself cancels, and labels of one help another. The logarithm turns how bad a fault
is from a factor into a summand: incipient and grave ones of a kind lie near each other. Below its
knee K a level is nearly what it was, so that what speed and load do to channels together stays
straight, which covariances take. The same in numpy for fitting, and as operators of the graph in
`models.graphs.head`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from models.bundles.bundle import Z_MAX

if TYPE_CHECKING:
    from numpy.typing import NDArray

    F64 = NDArray[np.float64]
    Mask = NDArray[np.bool_]

SPREAD_FLOOR: Final = 0.01  # a tenth of a sigma: what moves less stands still
MOVES_MIN: Final = 4  # values that a spread is told by
KNEE: Final = 3.0  # sigmas
KNEE_BEFORE: Final = 1.0  # of heads that say nothing of it
LOOKS: Final = (4, 8, 16, 32, 64, 128, 256, 512)  # samples after which an event is looked at


def window_features(
    values: F64, center: F64, scale: F64, present: Mask, *, knee: float = KNEE
) -> tuple[F64, Mask]:
    """Features (2 c,) of one window, levels first, and which of them (2 c,) there are.

    values: (n, c) in engineering units, NaN missing   center, scale, present: (c,) of the baseline
    A feature that there is not is 0.
    """
    seen = np.isfinite(values) & present
    z = np.clip((np.where(seen, values, center) - center) * scale, -Z_MAX, Z_MAX)
    count = seen.sum(axis=0)
    mean = z.sum(axis=0) / np.maximum(count, 1)
    apart = np.where(seen, z - mean, 0.0)
    variance = np.square(apart).sum(axis=0) / np.maximum(count, 1)
    level = np.sign(mean) * knee * np.log1p(np.abs(mean) / knee)
    spread = 0.5 * np.log(variance + SPREAD_FLOOR)
    told = np.concatenate([count >= 1, count >= MOVES_MIN])
    return np.where(told, np.concatenate([level, spread]), 0.0), told


def prefixes(samples: int) -> tuple[int, ...]:
    """How many of a window's samples are looked at as it grows: as an event is, and all of them."""
    return (*(look for look in LOOKS if look < samples), samples)
