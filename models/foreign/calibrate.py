"""What a model shows in normal operation: its errors, their averages, and so what a surprise is.

The rows are cut into blocks, and each is measured by the others, so that tails know the drift from
block to block; whether the model itself was trained on these very rows, nobody can see.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from scipy import signal

from models.bundles.bundle import CONTAMINATED, UNMASKED, AssetFit
from models.detector import detector_of
from models.detector_imported import ImportedDetector
from models.errors import ModelError
from models.fitting.contamination import contaminated_by_mode, without_outliers
from models.fitting.drift import with_drift
from models.fitting.fit import FOLDS, ROWS_MIN, FitOptions, asset_fit
from models.fitting.tails import deviates, tails_of
from models.fitting.var import location_scale
from models.foreign.imported import ImportedRow, ImportedSpec, arrays_of
from models.samples import segmented

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from models.samples import TrainingSamples

    F64 = NDArray[np.float64]
    Mask = NDArray[np.bool_]

LAGS: Final = 2  # of the quick look for rows that are unlike the rest


@dataclass(frozen=True, slots=True, kw_only=True)
class NormalRows:
    """Rows of normal operation (n, c), NaN: none; center and sigma (c,) of the channels.

    left_out: rows that were unlike the rest.
    """

    live: F64
    level: tuple[F64, F64]
    left_out: int


def normal_rows(
    samples: TrainingSamples, *, lambdas: tuple[float, ...], alignment: str
) -> NormalRows:
    """What is calibrated on: rows of running that are not unlike the rest. Raises ModelError."""
    values, running, mode = segmented(samples, by_time=alignment != "rows")
    live = np.where(running[:, None], values, np.nan)
    told_mode = np.where(running, mode, np.nan)
    strange, _ = contaminated_by_mode(live, told_mode, lags=LAGS, lambdas=lambdas)
    live = np.where(strange[:, None], np.nan, live).astype(np.float32).astype(np.float64)
    return NormalRows(live=live, level=_level(samples, live), left_out=int(strange.sum()))


def calibrated_fit(
    samples: TrainingSamples,
    normal: NormalRows,
    spec: ImportedSpec,
    graph: bytes,
    given: F64,
    *,
    alignment: str,
) -> AssetFit:
    """An asset fitted around a model that gave `given` (n, M) over its normal rows.

    Raises ModelError where too few of them have it.
    """
    row, scores = calibrated(given, spec, level=normal.level, who=samples.asset)
    scores = np.repeat(scores, spec.hop)  # each holds until the next
    metrics = {"rows": float(row.learned)}
    metrics |= {} if spec.masks else {UNMASKED: 1.0}
    metrics |= {CONTAMINATED: float(normal.left_out)} if normal.left_out else {}
    fit = asset_fit(
        samples,
        normal.live,
        FitOptions(alignment=alignment),
        spec=spec,
        rows=(row, None),
        scores=(scores, None),
        metrics=metrics,
    )
    return replace(with_drift(fit, normal.live, scores), graph=graph)


def _level(samples: TrainingSamples, live: F64) -> tuple[F64, F64]:
    """Center and deviation (c,) of the channels of rows (n, c), all of which must have values."""
    empty: Mask = np.asarray(~np.isfinite(live).any(axis=0))
    if empty.any():
        names = [one.name for one, none in zip(samples.channels, empty, strict=True) if none]
        raise ModelError(
            f"{samples.asset}: no row has a value of {', '.join(names)}; an imported model needs"
            " all its channels: use another recording, or other --rows"
        )
    return location_scale(without_outliers(live))


def given_over(
    graph: bytes, spec: ImportedSpec, live: F64, level: tuple[F64, F64], *, slides: bool = True
) -> F64:
    """What the model gives over rows (n, c) inside our graph: signed scores or residuals (n, M).

    NaN where it cannot be asked. level: center and sigma (c,). slides: as it is done with blocks.
    """
    detector = detector_of(graph)
    assert isinstance(detector, ImportedDetector), "made for it"
    detector.slides = slides
    trial = {name: value[None] for name, value in arrays_of(_untold(spec, level)).items()}
    x = np.nan_to_num(live).astype(np.float32)[None]
    told = detector.given(x, np.isfinite(live)[None], detector.initial_state(1), trial)
    given: F64 = told[0].astype(np.float64)
    return given


def _untold(spec: ImportedSpec, level: tuple[F64, F64]) -> ImportedRow:
    """A row of which nothing is known but the level of its channels (c,), (c,)."""
    return ImportedRow(
        center=level[0],
        sigma=level[1],
        present=np.ones(spec.channels, np.bool_),
        error_center=np.zeros(spec.errors),
        error_scale=np.ones(spec.errors),
        evenness=np.ones((len(spec.lambdas), spec.errors)),
        knots=np.zeros((spec.views, spec.knots)),
        slopes=np.zeros((spec.views, spec.knots)),
        fusion=0.0,
        learned=1,
    )


def calibrated(
    given: F64, spec: ImportedSpec, *, level: tuple[F64, F64], who: str
) -> tuple[ImportedRow, F64]:
    """The baseline of what a model gave over normal rows (n, M), and the scores (m,) of these.

    level: center and sigma (c,). Raises ModelError where too few rows have it.
    """
    whole: Mask = np.asarray(np.isfinite(given).all(axis=1))
    if whole.sum() < ROWS_MIN:
        raise ModelError(
            f"{who}: the model could be asked about {whole.sum()} rows, at least {ROWS_MIN} are"
            " needed; use a longer recording, or one with fewer holes"
        )
    errors = np.zeros(given.shape)
    for block in np.array_split(np.flatnonzero(whole), FOLDS):
        others = whole.copy()
        others[block] = False
        middle, spread = location_scale(given[others])
        errors[block] = (given[block] - middle) / spread
    if spec.kind == "score":
        deviate, evenness = _score_deviates(errors[:, 0], whole, spec.lambdas)
        rates = spec.lambdas
    else:
        deviate, evenness = deviates(errors, errors, whole, spec.errors, spec.lambdas)
        rates = 2 * spec.lambdas
    tails = tails_of(deviate, rates)
    middle, spread = location_scale(given[whole])
    row = replace(
        _untold(spec, level),
        error_center=middle,
        error_scale=1.0 / spread,
        evenness=evenness,
        knots=tails.knots,
        slopes=tails.slopes,
        fusion=tails.fusion,
        learned=int(whole.sum()),
    )
    return row, tails.scores


def _score_deviates(
    errors: F64, whole: Mask, lambdas: tuple[float, ...]
) -> tuple[F64, NDArray[Any]]:
    """Signed EWMAs of unit variance (m, K) of scores (n,), and an evenness (K, 1) of ones."""
    weight = whole.astype(np.float64)
    found = []
    for rate in lambdas:
        mean = signal.lfilter([rate], [1.0, rate - 1.0], errors * weight)[whole]
        q = signal.lfilter([rate**2], [1.0, -((1.0 - rate) ** 2)], weight)[whole]
        found.append(mean / np.sqrt(q))
    return np.stack(found, axis=1), np.ones((len(lambdas), 1))
