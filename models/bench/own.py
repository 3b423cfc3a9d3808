"""Andon's own detector as a method: the default configuration, the same for every benchmark."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from models.bench.judged import Judged, Series, judge
from models.bundles.assemble import make_bundle
from models.bundles.bundle import Channel
from models.detector import detector_of
from models.fitting.fit import FitOptions, fit_asset
from models.fitting.mode_track import ModeTrack, tell_modes
from models.fitting.thresholds import FLAG_SCORE
from models.samples import TrainingSamples

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from models.detector import AnyDetector

NO_ROW: Final = -1  # of a mode that was never seen
COOL_DOWN: Final = 60  # rows, as the gateway waits by default until what rang may be over
ASSET: Final = "benchmark"  # a file's name need not be a level of a topic


def own_detector(series: Series) -> Judged:
    """Fit on the training rows, score all rows in one pass, with the threshold that the fit sets.

    Raises ModelError where the training rows cannot be fitted on.
    """
    mode = None if series.mode is None else series.mode.astype(np.float64)
    fit = fit_asset(
        TrainingSamples(
            asset=ASSET,
            channels=tuple(Channel(name=name) for name in series.channels),
            values=series.values[: series.train_rows],
            mode=None if mode is None else mode[: series.train_rows],
            period_ns=round(series.period_s * 1e9),
        ),
        FitOptions(alignment="rows"),
    )
    bundle = make_bundle([fit])
    part = bundle.only
    detector = detector_of(part.graph)
    model = bundle.assets[0]
    x = series.values.astype(np.float32)[None]
    scores = np.full(len(series.values), np.nan)
    rows = np.full(len(scores), model.row_running)
    if mode is not None and model.modes:
        known = {each.value: each.row for each in model.modes}
        rows = np.array([known.get(value, NO_ROW) for value in mode.tolist()])
    if model.found is not None:
        every = np.ones(len(scores), np.bool_)
        guess = tell_modes(ModeTrack(), model.found, x[0], every)
        rows = np.select(
            [guess == each.value for each in model.modes], [each.row for each in model.modes], rows
        )
    for row in np.unique(rows[rows != NO_ROW]).tolist():
        seen = rows == row
        if row == model.row_running and model.found is not None:  # as the gateway falls back on it
            seen |= True
        told = _of_row(detector, row, part.parameters, x, seen)
        scores = np.fmax(told, scores)
    return judge(
        scores,
        model.threshold_on,
        flag_threshold=FLAG_SCORE,
        cool_down=COOL_DOWN,
    )


def _of_row(
    detector: AnyDetector,
    row: int,
    parameters: dict[str, NDArray[Any]],
    x: NDArray[np.float32],
    seen: NDArray[np.bool_],
) -> NDArray[np.float64]:
    """Scores (n,) of one row that sees some samples of x (1, n, c) and a gap for the others."""
    own = {name: value[row : row + 1] for name, value in parameters.items()}
    state, begin = detector.initial_state(1), 0
    scores = np.full(x.shape[1], np.nan)
    edges = np.flatnonzero(np.diff(seen, prepend=False, append=False))
    for first, end in edges.reshape(-1, 2).tolist():  # and what lies between, a gap
        gap = np.zeros(x[:, begin:first].shape, np.bool_)
        _, state = detector.score(x[:, begin:first], gap, state, own)
        mine = x[:, first:end]
        told, state = detector.score(mine, np.isfinite(mine), state, own)
        scores[first:end] = told[0]
        begin = end
    return scores
