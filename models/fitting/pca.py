"""Principal components: the plane that normal operation stays in."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from models.bundles.tabled_kinds import PcaRow, no_tails
from models.fitting.var import location_scale, normalised

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from models.bundles.tabled_kinds import PcaSpec

    F64 = NDArray[np.float64]


def learn_pca(values: F64, present: NDArray[np.bool_], spec: PcaSpec, *, settle: int) -> PcaRow:
    """A row of values (n, c), NaN: no value, without its tails; present: (c,) what is scored."""
    center, sigma = location_scale(values)
    knots, slopes = no_tails(spec)
    return PcaRow(
        center=center,
        sigma=sigma,
        present=present & np.isfinite(values).any(axis=0),
        covariance=covariance_of(normalised(values, center, sigma)),
        learned=max(int(np.isfinite(values).any(axis=1).sum()), 1),
        knots=knots,
        slopes=slopes,
        fusion=0.0,
        settle=settle,
    )


def covariance_of(z: F64) -> F64:
    """Covariance (c, c) of values (n, c) around 0, NaN where there is none, slightly shrunk.

    Pairs count where both are there. What so few rows cannot tell is taken for unrelated.
    """
    known = np.isfinite(z)
    own, there = np.where(known, z, 0.0), known.astype(np.float64)
    both = np.maximum(there.T @ there, 1.0)
    raw = own.T @ own / both
    size = np.maximum(np.diag(raw), 1e-6)
    c, rows = z.shape[1], float(np.min(np.diag(both)))
    share = c / (c + rows)
    shrunk = (1.0 - share) * raw + share * np.diag(size)
    values, vectors = np.linalg.eigh(shrunk)
    floor = 1e-6 * float(values[-1])  # pairs counted apart need not make a covariance
    return np.asarray((vectors * np.maximum(values, floor)) @ vectors.T)
