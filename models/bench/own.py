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

COOL_DOWN: Final = 60  # rows, as the gateway waits by default until what rang may be over
ASSET: Final = "benchmark"  # a file's name need not be a level of a topic


def own_detector(series: Series) -> Judged:
    """Fit on the training rows, score all rows in one pass, with the threshold that the fit sets.

    Raises ModelError where the training rows cannot be fitted on.
    """
    fit = fit_asset(
        TrainingSamples(
            asset=ASSET,
            channels=tuple(Channel(name=name) for name in series.channels),
            values=series.values[: series.train_rows],
            period_ns=round(series.period_s * 1e9),
        ),
        FitOptions(alignment="rows"),
    )
    bundle = make_bundle([fit])
    detector = detector_of(bundle.graph)
    x = series.values.astype(np.float32)[None]
    parameters = {name: value[:1] for name, value in bundle.parameters.items()}
    scores, _ = detector.score(x, np.isfinite(x), detector.initial_state(1), parameters)
    return judge(
        scores[0].astype(np.float64),
        bundle.assets[0].threshold_on,
        flag_threshold=FLAG_SCORE,
        cool_down=COOL_DOWN,
    )
