"""Andon's own detector as a method: the default configuration, the same for every benchmark."""

from __future__ import annotations

from typing import Final

import numpy as np

from models.assemble import make_bundle
from models.bench.judged import Judged, Series, judge
from models.bundle import Channel
from models.detector import detector_of
from models.fit import FitOptions, fit_asset
from models.samples import TrainingSamples
from models.thresholds import FLAG_SCORE

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
    for row in np.unique(rows[rows != NO_ROW]).tolist():
        own = {name: value[row : row + 1] for name, value in part.parameters.items()}
        state = detector.initial_state(1)
        edges = np.flatnonzero(np.diff(rows == row, prepend=False, append=False))
        begin = 0
        for first, end in edges.reshape(-1, 2).tolist():  # and what lies between, a gap
            gap = np.zeros(x[:, begin:first].shape, np.bool_)
            _, state = detector.score(x[:, begin:first], gap, state, own)
            mine = x[:, first:end]
            told, state = detector.score(mine, np.isfinite(mine), state, own)
            scores[first:end] = told[0]
            begin = end
    return judge(
        scores,
        model.threshold_on,
        flag_threshold=FLAG_SCORE,
        cool_down=COOL_DOWN,
    )
