"""A robust ensemble of histograms: of each channel, and of sparse random projections of several.

Medians, quantiles and counts make it: a few per cent of strange rows in the record move none of
them far.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np

from models.bundles.tabled_kinds import EnsembleRow, no_tails
from models.fitting.pca import covariance_of
from models.fitting.var import location_scale, normalised

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from models.bundles.tabled_kinds import EnsembleSpec

    F64 = NDArray[np.float64]

SEED: Final = 2016  # of the projections: equal records give equal bundles
RANGE: Final = (0.001, 0.999)  # quantiles that the bins lie between
SMOOTH: Final = 0.5  # of a row in each bin, so that none is impossible
SPREAD_MIN: Final = 1e-3


def learn_ensemble(
    values: F64, present: NDArray[np.bool_], spec: EnsembleSpec, *, settle: int
) -> EnsembleRow:
    """A row of values (n, c), NaN: no value, without its tails; present: (c,) what is scored."""
    center, sigma = location_scale(values)
    present = present & np.isfinite(values).any(axis=0)
    directions = _directions(present, spec)
    z = normalised(values, center, sigma)
    uses = directions != 0.0
    hurt = (~np.isfinite(z)).astype(np.float64) @ uses > 0.0
    seen = np.where(hurt | ~uses.any(axis=0), np.nan, np.nan_to_num(z) @ directions)
    low, width = _range(seen, spec.bins)
    table = _histograms(seen, low, width, spec.bins)
    at = np.clip(np.floor((np.nan_to_num(seen) - low) / width), 0, spec.bins - 1).astype(int)
    each = np.where(np.isfinite(seen), table[np.arange(len(low)), at], np.nan)
    usual = np.where(np.isfinite(each), each, 0.0).sum(axis=0)
    usual /= np.maximum(np.isfinite(each).sum(axis=0), 1)
    spread = covariance_of(each - usual) + SPREAD_MIN * np.eye(len(low))
    knots, slopes = no_tails(spec)
    return EnsembleRow(
        center=center,
        sigma=sigma,
        present=present,
        directions=directions,
        low=low,
        width=width,
        table=table - usual[:, None],
        spread=spread,
        learned=max(int(np.isfinite(values).any(axis=1).sum()), 1),
        knots=knots,
        slopes=slopes,
        fusion=0.0,
        settle=settle,
    )


def _directions(present: NDArray[np.bool_], spec: EnsembleSpec) -> F64:
    """Projections (c, M) of unit length: random ones over sqrt(c) channels each, then each alone.

    So some are left whichever channels are masked.
    """
    at, c = np.flatnonzero(present), len(present)
    chance = np.random.default_rng(SEED)
    directions = np.zeros((c, spec.projections + c))
    few = max(2, math.isqrt(max(len(at) - 1, 0)) + 1)
    if len(at) >= few:
        for j in range(spec.projections):
            chosen = chance.choice(at, size=few, replace=False)
            drawn = chance.normal(size=few)
            directions[chosen, j] = drawn / np.linalg.norm(drawn)
    directions[at, spec.projections + at] = 1.0
    return directions


def _range(seen: F64, bins: int) -> tuple[F64, F64]:
    """Lower end and width (M,) of the bins of projected rows (n, M)."""
    tame = np.where(np.isfinite(seen).any(axis=0), seen, 0.0)
    low, high = np.nanquantile(tame, RANGE, axis=0)
    return low, np.maximum((high - low) / bins, 1e-3)


def _histograms(seen: F64, low: F64, width: F64, bins: int) -> F64:
    """-log of the share of rows (n, M) in each bin (M, B)."""
    known = np.isfinite(seen)
    at = np.clip(np.floor((np.nan_to_num(seen) - low) / width), 0, bins - 1).astype(int)
    flat = (at + bins * np.arange(len(low)))[known]
    counts = np.bincount(flat, minlength=bins * len(low)).reshape(-1, bins) + SMOOTH
    return np.asarray(-np.log(counts / counts.sum(axis=1, keepdims=True)))
