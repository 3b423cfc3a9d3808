"""Tails of a detector from rows that it had not seen, block by block.

For kinds whose graph tells its deviates: each block of the record is scored by a row that was
learned from the others, and the tails are taken from all of them.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np

from models.bundles.rows import graph_of, padded
from models.bundles.tabled_kinds import PcaSpec
from models.detector import detector_of
from models.detector_tabled import TabledDetector
from models.errors import ModelError
from models.fitting.ensemble import learn_ensemble
from models.fitting.pca import learn_pca
from models.fitting.tails import tails_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from models.bundles.tabled_kinds import EnsembleRow, EnsembleSpec, PcaRow

    F64 = NDArray[np.float64]
    Mask = NDArray[np.bool_]

FOLDS: Final = 5
ROWS_MIN: Final = 50


def fit_tabled_row(
    values: F64, present: Mask, spec: PcaSpec | EnsembleSpec, *, settle: int, who: str
) -> tuple[PcaRow | EnsembleRow, NDArray[np.intp], F64]:
    """A baseline of values (n, c), NaN: no value; which rows (m,) it scores, and their scores (m,).

    present: (c,) of what is scored   settle: samples after a gap that are not. Raises ModelError
    where too few rows can be scored.
    """

    def learn(part: F64) -> PcaRow | EnsembleRow:
        if isinstance(spec, PcaSpec):
            return learn_pca(part, present, spec, settle=settle)
        return learn_ensemble(part, present, spec, settle=settle)

    row = learn(values)
    at, told = _unseen_deviates(values, spec, learn)
    if len(told) < ROWS_MIN:
        raise ModelError(f"{who}: only {len(told)} rows could be scored; use a longer record")
    rates = spec.lambdas * (spec.views // len(spec.lambdas))
    tails = tails_of(told, rates)
    whole = replace(row, knots=tails.knots, slopes=tails.slopes, fusion=tails.fusion)
    return whole, at, tails.scores


def _unseen_deviates(
    values: F64, spec: PcaSpec | EnsembleSpec, learn: Callable[[F64], PcaRow | EnsembleRow]
) -> tuple[NDArray[np.intp], F64]:
    """Which of values (n, c) are scored (m,), and their deviates (m, V) by rows of other blocks."""
    detector = detector_of(graph_of(spec))
    assert isinstance(detector, TabledDetector), "of such a kind"
    seen = np.flatnonzero(np.isfinite(values).any(axis=1))
    x = np.nan_to_num(values).astype(np.float32)[None]
    valid = np.isfinite(values)[None]
    at, found = [], []
    for block in np.array_split(seen, FOLDS):
        own = slice(int(block[0]), int(block[-1]) + 1)
        others = values.copy()
        others[own] = np.nan
        trial = padded(learn(others), spec)
        stack = {name: np.asarray(value)[None] for name, value in trial.items()}
        score, told = detector.deviates(x[:, own], valid[:, own], stack)
        scored = np.flatnonzero(np.isfinite(score[0]))
        at.append(scored + own.start)
        found.append(told[0][scored])
    return np.concatenate(at), np.concatenate(found).astype(np.float64)
