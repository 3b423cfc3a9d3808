"""Fit the default detector on the normal rows of one asset, in seconds.

Tails come from rows that the model had not seen: the record is cut into blocks, each scored by a
model of the others. On a record of minutes the difference is large, because its drift from block to
block is the best hint of the drift to come. What is due to the blocks' models having fewer rows is
taken out again: with many channels it would hide faults.
"""

from __future__ import annotations

import math
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np

from models.bundles.bundle import (
    CONTAMINATED,
    UNRESOLVED,
    UNSTEADY,
    AssetFit,
    RowFit,
    Spec,
    StreamSpec,
    Training,
    is_unfitted,
    kind_of,
)
from models.bundles.tabled_kinds import EnsembleRow, EnsembleSpec, PcaRow, PcaSpec
from models.errors import ModelError
from models.fitting.contamination import contaminated_by_mode, without_outliers
from models.fitting.drift import with_drift
from models.fitting.extremes import alarm_tail
from models.fitting.health import learn_health, longest_runs
from models.fitting.kinds import detector_kind
from models.fitting.mode_track import ModeTrack, tell_modes
from models.fitting.modes import find_modes, joined_scores
from models.fitting.season_fit import with_season
from models.fitting.settling import settling
from models.fitting.stream import fit_stream_row, stream_spec
from models.fitting.tabled import fit_tabled_row
from models.fitting.tails import KNOTS, deviates, tails_of
from models.fitting.var import (
    graph_weights,
    invisible,
    lag_moments,
    location_scale,
    normalised,
    unresolved,
    unseen_power,
    wanders,
)
from models.foreign.imported import IMPORTED_NOT_FITTED, ImportedSpec
from models.samples import (
    MODE_ROWS_MIN,
    MODES_MAX,
    TrainingSamples,
    bridged,
    segmented,
    too_few,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from models.bundles.bundle import AnyRow, AnySpec, Bundle

    F64 = NDArray[np.float64]
    Mask = NDArray[np.bool_]

ROWS_MIN: Final = 100
STOPPED_ROWS_MIN: Final = 200  # fewer make no baseline of their own
FOLDS: Final = 5
EASED_ROWS_MIN: Final = 200  # fewer say so little of slow averages that they need all the margin
EASED_MAX: Final = 0.5  # of the square: where coefficients are nearly as many as rows, theory ends
COMPLETE_MIN: Final = 0.5  # share of complete rows below which short holes are interpolated first
SETTLE_SAMPLES: Final = 10  # after a start, where the record has too few to learn from


class FitOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How to fit. The defaults were chosen by measurement on several plants; see the model card.

    detector: var, pca, ensemble, stream, or auto: stream for an asset of one channel, else var;
    `models.fitting.kinds` says why.
    settle_samples: samples after a start that are not scored; None: learned from the starts in the
    record.
    find_modes: look for operating modes where no tag tells any (`models.fitting.modes`).
    """

    detector: str = "auto"
    lags: int = 2
    lambdas: tuple[float, ...] = (1.0, 0.05)
    alignment: str = "grid"  # grid | rows
    settle_samples: int | None = None
    find_modes: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class _Baseline:
    """A fitted row with the scores (m,) of its own rows under models that had not seen them.

    at: (m,) where these rows are.
    """

    row: RowFit | PcaRow | EnsembleRow
    at: NDArray[np.intp]
    scores: NDArray[np.float64]
    metrics: dict[str, float]


def fit_asset(samples: TrainingSamples, options: FitOptions | None = None) -> AssetFit:
    """Fit one asset. Raises ModelError where the record is too short or not shaped as it says."""
    options = options or FitOptions()
    values, running, mode = segmented(samples, by_time=options.alignment != "rows")
    live = np.where(running[:, None], values, np.nan)
    still = np.where(running[:, None], np.nan, values)
    if detector_kind(samples, options.detector) == "stream":
        return _stream(samples, live, options)
    who, period_ns = samples.asset, samples.period_ns
    told_mode = np.where(running, mode, np.nan)
    lags, lambdas = options.lags, options.lambdas
    untold = options.detector in ("auto", "var") and not np.isfinite(told_mode).any()
    found = find_modes(live, lags=lags) if untold and options.find_modes else None
    if found is not None:
        told_mode = tell_modes(ModeTrack(), found, live, running)
    strange, share = contaminated_by_mode(live, told_mode, lags=lags, lambdas=lambdas)
    live = np.where(strange[:, None], np.nan, live)
    told = {CONTAMINATED: float(strange.sum()), UNSTEADY: share if not strange.any() else 0.0}
    unknown = 0 if samples.running is None else SETTLE_SAMPLES
    baseline = _baseline(live, options, unknown_settle=unknown, who=who, period_ns=period_ns)
    stopped = None
    if np.isfinite(still).any(axis=1).sum() >= STOPPED_ROWS_MIN:
        it = f"{who} while stopped"
        stopped = _baseline(still, options, unknown_settle=unknown, who=it, period_ns=period_ns)
    lasting = found is not None
    modes = _modes(live, told_mode, options, who=who, period_ns=period_ns, lasting=lasting)
    if found is not None and not all(modes.values()):
        found, modes = None, {}
    own = [(mine.at, mine.scores) for mine in modes.values() if mine]
    if found is not None or not own or not all(modes.values()):
        own = [(baseline.at, baseline.scores), *own]
    calm = joined_scores(len(live), own, highest=found is not None)
    scores = calm[np.isfinite(calm)], stopped.scores if stopped else None
    hidden = {
        f"{UNRESOLVED}{channel.name}": float(spread)
        for channel, spread in zip(
            samples.channels, unresolved(without_outliers(live)), strict=True
        )
        if spread
    }
    fit = asset_fit(
        samples,
        live,
        options,
        spec=_shape(values, options),
        rows=(baseline.row, stopped.row if stopped else None),
        modes=tuple((value, mine.row if mine else None) for value, mine in modes.items()),
        scores=scores,
        metrics={**baseline.metrics, **hidden, **{n: v for n, v in told.items() if v}},
    )
    fit, calm = with_season(replace(fit, found=found), live, calm, samples)
    return with_drift(fit, live, calm, mode=told_mode)


def _modes(
    live: F64, mode: F64, options: FitOptions, *, who: str, period_ns: int, lasting: bool
) -> dict[float, _Baseline | None]:
    """A baseline for each mode in mode (n,), None: it shares that of all running.

    It has too few rows for its own, or it is the only one. Values (n, c) of other modes are blank:
    lags do not reach over a change.
    """
    told = np.unique(mode[np.isfinite(mode) & np.isfinite(live).any(axis=1)]).tolist()
    if len(told) == 1:
        return {told[0]: None}
    if len(told) > MODES_MAX:
        raise ModelError(
            f"{who}: the mode tag has {len(told)} values, at most {MODES_MAX} are modes; is it a"
            " counter or a measurement?"
        )
    found: dict[float, _Baseline | None] = {}
    for value in told:
        mine = np.where((mode == value)[:, None], live, np.nan)
        found[value] = None
        if np.isfinite(mine).any(axis=1).sum() >= MODE_ROWS_MIN:
            with suppress(ModelError):  # its stretches are too short
                found[value] = _baseline(
                    mine, options, unknown_settle=0, who=who, period_ns=period_ns, lasting=lasting
                )
    return found


def options_of(parent: Bundle, asset: str) -> FitOptions:
    """How an asset is fitted that joins a bundle: as it was where it was there, else by itself.

    Raises ModelError for an asset that an imported model watches.
    """
    model = next((m for m in parent.assets if m.asset == asset), None)
    if model is None or is_unfitted(model.metrics):
        return FitOptions()
    spec = parent.place(model.row_running)[0].spec
    if isinstance(spec, ImportedSpec):
        raise ModelError(f"{asset}: {IMPORTED_NOT_FITTED}")
    if isinstance(spec, StreamSpec):
        return FitOptions(detector="stream")
    if isinstance(spec, PcaSpec | EnsembleSpec):
        return FitOptions(detector=kind_of(spec), lambdas=spec.lambdas)
    found = model.found is not None
    return FitOptions(detector="var", lags=spec.lags, lambdas=spec.lambdas, find_modes=found)


def _stream(samples: TrainingSamples, live: F64, options: FitOptions) -> AssetFit:
    """Fit an asset of one channel on values (n, 1) by what differs from the days before."""
    spec = stream_spec(samples.period_ns)
    row, scores = fit_stream_row(live, spec, who=samples.asset)
    told, rows = {"rows": float(row.learned)}, (row, None)
    fit = asset_fit(
        samples, live, options, spec=spec, rows=rows, scores=(scores, None), metrics=told
    )
    return with_drift(fit, live, scores)


def asset_fit(
    samples: TrainingSamples,
    live: F64,
    options: FitOptions,
    *,
    spec: AnySpec,
    rows: tuple[AnyRow, AnyRow | None],
    scores: tuple[F64, F64 | None],
    metrics: dict[str, float],
    modes: tuple[tuple[float, AnyRow | None], ...] = (),
) -> AssetFit:
    """What is told of an asset whatever its detector.

    live: rows (n, c) of running   scores: of unseen rows of running (n,), of standing still (m,)
    """
    low, high = _usual(live)
    running, stopped = rows
    (working, at_rest), period_ns = scores, samples.period_ns
    return AssetFit(
        asset=samples.asset,
        channels=samples.channels,
        period_ns=period_ns,
        alignment=options.alignment,
        spec=spec,
        running=running,
        stopped=stopped,
        usual_low=low,
        usual_high=high,
        stuck_samples_max=longest_runs(live),
        tail=alarm_tail(working, period_ns=period_ns),
        tail_stopped=None if at_rest is None else alarm_tail(at_rest, period_ns=period_ns),
        scores=scores,
        training=Training(
            sha256=samples.sha256,
            rows=samples.rows if samples.rows != (0, 0) else (0, len(samples.values)),
            rows_used=int(np.isfinite(live).any(axis=1).sum()),
            jobs_excluded=samples.jobs_excluded,
            rows_excluded=0 if samples.excluded is None else int(np.sum(samples.excluded)),
        ),
        metrics=metrics,
        modes=modes,
        health=learn_health(live, samples.channels, usual=(low, high)),
    )


def _shape(values: F64, options: FitOptions) -> Spec | PcaSpec | EnsembleSpec:
    """The shape of the detector of an asset with values (n, c)."""
    c, lambdas = values.shape[1], options.lambdas
    if options.detector == "pca":
        return PcaSpec(channels=c, lambdas=lambdas, knots=KNOTS)
    if options.detector == "ensemble":
        return EnsembleSpec(channels=c, lambdas=lambdas, knots=KNOTS)
    return Spec(channels=c, lags=options.lags, lambdas=lambdas, knots=KNOTS)


def _baseline(
    values: F64,
    options: FitOptions,
    *,
    unknown_settle: int,
    who: str,
    period_ns: int,
    lasting: bool = False,
) -> _Baseline:
    """Fit one run state on values (n, c); rows of the other state are blank."""
    rows = int(np.isfinite(values).any(axis=1).sum())
    if rows < ROWS_MIN:
        raise ModelError(
            f"{who}: {rows} rows with values, at least {ROWS_MIN} are needed; use a longer record"
        )
    values = without_outliers(values)
    present = np.isfinite(values).any(axis=0) & ~invisible(values)
    values = values.astype(np.float32).astype(np.float64)  # what the graph will see
    spec = _shape(values, options)
    if not isinstance(spec, Spec):
        held = unknown_settle if options.settle_samples is None else options.settle_samples
        other, at, scores = fit_tabled_row(values, present, spec, settle=held, who=who)
        return _Baseline(row=other, at=at, scores=scores, metrics={"rows": float(rows)})
    center, sigma = location_scale(values)
    z = normalised(values, center, sigma)
    wandering = wanders(z[np.isfinite(z).any(axis=1)])
    white, plain, age = _unseen(values, wandering, present, options)
    usable = np.isfinite(white).all(axis=1)
    if usable.sum() < COMPLETE_MIN * rows:
        white, plain, age = _unseen(bridged(values), wandering, present, options)
        usable = np.isfinite(white).all(axis=1)
    settle = options.settle_samples
    if settle is None:
        learned = settling(white, age)
        settle = learned if learned is not None else unknown_settle
    usable = usable & (age > options.lags + settle)
    if usable.sum() < ROWS_MIN // 2:
        stretch = options.lags + settle + 1
        raise ModelError(too_few(values, stretch, who=who, period_ns=period_ns))
    deviate, evenness = deviates(white, plain, usable, int(present.sum()), options.lambdas)
    fast = range(0, deviate.shape[1], len(options.lambdas)) if lasting else ()
    tails = tails_of(deviate, 2 * options.lambdas, silent=fast)
    row = RowFit(
        center=center,
        sigma=sigma,
        present=present,
        wanders=wandering & present,
        moments=lag_moments(z, options.lags),
        learned=rows,
        knots=tails.knots,
        slopes=tails.slopes,
        evenness=evenness,
        fusion=tails.fusion,
        settle=settle,
    )
    power = float((white[usable] ** 2).sum(axis=1).mean() / max(present.sum(), 1))
    told = {"rows": float(rows), "unseen_residual_power": power}
    return _Baseline(row=row, at=np.flatnonzero(usable), scores=tails.scores, metrics=told)


def _unseen(
    values: F64, wandering: Mask, present: Mask, options: FitOptions
) -> tuple[F64, F64, NDArray[np.int64]]:
    """Residuals by models of the other blocks, NaN where a value or lag is missing, twice (n, c).

    Whitened, and each channel's own in units of its deviation. Also how many samples of its stretch
    each row is, from 1; 0 in a gap (n,).
    """
    p, n = options.lags, len(values)
    seen: Mask = np.asarray(np.isfinite(values).any(axis=1))
    white, plain = np.full(values.shape, np.nan), np.full(values.shape, np.nan)
    for block in np.array_split(np.flatnonzero(seen), FOLDS):
        first, last = int(block[0]), int(block[-1]) + 1
        others = values.copy()
        others[first : last + p] = np.nan
        center, sigma = location_scale(others)
        both = present & np.isfinite(others).any(axis=0)
        moments = lag_moments(normalised(others, center, sigma), p)
        fewer = int(np.isfinite(others).any(axis=1).sum())
        weights, _ = graph_weights(moments, wandering, both, lags=p, rows=fewer)
        weights = weights * _easing(fewer, int(seen.sum()), width=int(both.sum()), lags=p)
        begin = max(first - p, 0)
        own = np.where(both, normalised(values[begin:last], center, sigma), 0.0)
        if len(own) > p:
            window = np.hstack([own[j : len(own) - p + j] for j in range(p + 1)])
            residuals = window @ weights
            white[begin + p : last], plain[begin + p : last] = np.hsplit(residuals, 2)
    index = np.arange(n)
    gap_at = np.maximum.accumulate(np.where(seen, -1, index))
    age = np.where(seen, index - gap_at, 0)
    for residuals in white, plain:
        residuals[:, ~present] = np.where(seen[:, None], 0.0, np.nan)
    return white, plain, age


def _easing(fewer: int, rows: int, *, width: int, lags: int) -> float:
    """Size of unseen residuals under a model of `rows` rows over that under one of `fewer`."""
    if rows < EASED_ROWS_MIN:
        return 1.0
    before = unseen_power(fewer, width=width, lags=lags)
    after = unseen_power(rows, width=width, lags=lags)
    return math.sqrt(EASED_MAX if math.isinf(before) else max(after / before, EASED_MAX))


def _usual(values: F64) -> tuple[F64, F64]:
    """Range (c,), (c,) that normal running of values (n, c) stays in for 98 % of the time."""
    tame = np.where(np.isfinite(values).any(axis=0), values, 0.0)
    low, high = np.nanquantile(tame, [0.01, 0.99], axis=0)
    return low, high
