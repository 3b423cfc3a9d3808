"""Principal components: the plane that normal operation stays in, and how far from it is usual.

Tails come from rows that the components had not seen, block by block, as those of the VAR do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from models.bundle import PcaRow
from models.detector import PcaDetector, detector_of
from models.errors import ModelError
from models.graph_pca import build_pca_graph
from models.rows import padded
from models.tails import fusion_of, tail_table
from models.var import location_scale, normalised

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from models.bundle import PcaSpec

    F64 = NDArray[np.float64]
    Mask = NDArray[np.bool_]

FOLDS: Final = 5
ROWS_MIN: Final = 100


def fit_pca_row(values: F64, present: Mask, spec: PcaSpec, *, settle: int, who: str) -> PcaRow:
    """A baseline of values (n, c), NaN: no value. present: (c,) of those that are scored.

    Raises ModelError where too few rows can be scored.
    """
    center, sigma = location_scale(values)
    row = PcaRow(
        center=center,
        sigma=sigma,
        present=present,
        covariance=covariance_of(normalised(values, center, sigma)),
        learned=int(np.isfinite(values).any(axis=1).sum()),
        knots=np.tile(np.arange(spec.knots, dtype=np.float64), (spec.views, 1)),
        slopes=np.ones((spec.views, spec.knots)),
        fusion=0.0,
        settle=settle,
    )
    detector = detector_of(build_pca_graph(spec))
    assert isinstance(detector, PcaDetector), "made for them"
    told = unseen_deviates(values, row, spec, detector)
    if len(told) < ROWS_MIN // 2:
        raise ModelError(f"{who}: only {len(told)} rows could be scored; use a longer record")
    tables = [tail_table(z, rate) for z, rate in zip(told.T, 2 * spec.lambdas, strict=True)]
    knots, slopes = (np.stack(part) for part in zip(*tables, strict=True))
    best = (np.maximum(told[:, :, None] - knots, 0.0) * slopes).sum(axis=2).max(axis=1)
    return PcaRow(
        center=center,
        sigma=sigma,
        present=present,
        covariance=row.covariance,
        learned=row.learned,
        knots=knots,
        slopes=slopes,
        fusion=fusion_of(best, views=spec.views),
        settle=settle,
    )


def unseen_scores(values: F64, row: PcaRow, spec: PcaSpec) -> F64:
    """Scores (m,) of the row's own record (n, c), each block by the components of the others."""
    detector = detector_of(build_pca_graph(spec))
    assert isinstance(detector, PcaDetector), "made for them"
    told = unseen_deviates(values, row, spec, detector)
    surprise = (np.maximum(told[:, :, None] - row.knots, 0.0) * row.slopes).sum(axis=2)
    return np.asarray(np.maximum(surprise.max(axis=1) - row.fusion, 0.0))


def unseen_deviates(values: F64, row: PcaRow, spec: PcaSpec, detector: PcaDetector) -> F64:
    """Deviates (m, V) of the scored of values (n, c), each block by a row of the others."""
    seen = np.flatnonzero(np.isfinite(values).any(axis=1))
    x = np.nan_to_num(values).astype(np.float32)[None]
    valid = np.isfinite(values)[None]
    found = []
    for block in np.array_split(seen, FOLDS):
        first, last = int(block[0]), int(block[-1]) + 1
        others = values.copy()
        others[first:last] = np.nan
        center, sigma = location_scale(others)
        trial = PcaRow(
            center=center,
            sigma=sigma,
            present=row.present & np.isfinite(others).any(axis=0),
            covariance=covariance_of(normalised(others, center, sigma)),
            learned=row.learned,
            knots=row.knots,
            slopes=row.slopes,
            fusion=0.0,
            settle=row.settle,
        )
        stack = {name: np.asarray(value)[None] for name, value in padded(trial, spec).items()}
        own = slice(first, last)
        score, told = detector.deviates(x[:, own], valid[:, own], stack)
        found.append(told[0][np.isfinite(score[0])])
    return np.concatenate(found).astype(np.float64)


def covariance_of(z: F64) -> F64:
    """Covariance (c, c) of normalised values (n, c), NaN where there is none, slightly shrunk.

    Pairs count where both are there. What so few rows cannot tell is taken for unrelated.
    """
    known = np.isfinite(z)
    own = np.where(known, z, 0.0)
    both = np.maximum((known.T.astype(np.float64) @ known.astype(np.float64)), 1.0)
    raw = own.T @ own / both
    size = np.maximum(np.diag(raw), 1e-6)
    c, rows = z.shape[1], float(np.min(np.diag(both)))
    share = c / (c + rows)
    shrunk = (1.0 - share) * raw + share * np.diag(size)
    values, vectors = np.linalg.eigh(shrunk)
    floor = 1e-6 * float(values[-1])  # pairs counted apart need not make a covariance
    return np.asarray((vectors * np.maximum(values, floor)) @ vectors.T)
