"""Fit the default detector on the normal rows of one asset, in seconds.

Tails come from rows that the model had not seen: the record is cut into blocks, each scored by a
model of the others. On a record of minutes the difference is large, because its drift from block to
block is the best hint of the drift to come. What is due to the blocks' models having fewer rows is
taken out again: with many channels it would hide faults.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np

from models.bundle import UNRESOLVED, AssetFit, Channel, RowFit, Spec, Training
from models.errors import ModelError
from models.health import learn_health, longest_runs
from models.tails import KNOTS, deviates, tail_table
from models.thresholds import alarm_tail
from models.var import (
    graph_weights,
    lag_moments,
    location_scale,
    normalised,
    unresolved,
    unseen_power,
    wanders,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    F64 = NDArray[np.float64]
    Mask = NDArray[np.bool_]

F32_MAX: Final = float(np.finfo(np.float32).max)
ROWS_MIN: Final = 100
STOPPED_ROWS_MIN: Final = 200  # fewer make no baseline of their own
FOLDS: Final = 5
EASED_ROWS_MIN: Final = 200  # fewer say so little of slow averages that they need all the margin
EASED_MAX: Final = 0.5  # of the square: where coefficients are nearly as many as rows, theory ends
COMPLETE_MIN: Final = 0.5  # share of complete rows below which short holes are interpolated first
OUTLIER_SIGMAS: Final = 10.0
OUTLIER_SHARE: Final = 0.005  # of a channel's values; more of them are no outliers
SETTLE_SAMPLES: Final = 10  # after a start, where the record has too few to learn from
SETTLE_SAMPLES_MAX: Final = 120
CALM_SAMPLES: Final = 3  # of usual size in a row: settled
HOLE_PERIODS: Final = 3.0  # a longer step in time is a hole; lags do not reach over it
STARTS_MIN: Final = 3  # starts that it takes to learn how long settling lasts


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingSamples:
    """Rows of one asset that are known to be normal operation.

    values: (n, c) float64 in time order, NaN: no value   t_ns: (n,) int64 or None: evenly spaced
    running: (n,) bool or None: always   sha256, rows: of the recording, half-open
    excluded: (n,) bool or None: rows not to learn from, as those of `jobs_excluded`
    """

    asset: str
    channels: tuple[Channel, ...]
    values: NDArray[np.float64]
    period_ns: int
    t_ns: NDArray[np.int64] | None = None
    running: NDArray[np.bool_] | None = None
    excluded: NDArray[np.bool_] | None = None
    jobs_excluded: tuple[str, ...] = ()
    sha256: str = ""
    rows: tuple[int, int] = (0, 0)


class FitOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How to fit. The defaults were chosen by measurement on several plants; see the model card.

    settle_samples: samples after a start that are not scored; None: learned from the starts in the
    record.
    """

    lags: int = 2
    lambdas: tuple[float, ...] = (1.0, 0.05)
    alignment: str = "grid"  # grid | rows
    settle_samples: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Baseline:
    """A fitted row with the scores (m,) of its own rows under models that had not seen them."""

    row: RowFit
    scores: NDArray[np.float64]
    metrics: dict[str, float]


def fit_asset(samples: TrainingSamples, options: FitOptions | None = None) -> AssetFit:
    """Fit one asset. Raises ModelError where the record is too short or not shaped as it says."""
    options = options or FitOptions()
    values, running = _segmented(samples, options)
    live = np.where(running[:, None], values, np.nan)
    still = np.where(running[:, None], np.nan, values)
    unknown = 0 if samples.running is None else SETTLE_SAMPLES
    period_ns = samples.period_ns
    baseline = _baseline(
        live, options, unknown_settle=unknown, who=samples.asset, period_ns=period_ns
    )
    stopped = None
    if np.isfinite(still).any(axis=1).sum() >= STOPPED_ROWS_MIN:
        who = f"{samples.asset} while stopped"
        stopped = _baseline(still, options, unknown_settle=unknown, who=who, period_ns=period_ns)
    scores = [baseline.scores] + ([stopped.scores] if stopped else [])
    hidden = {
        f"{UNRESOLVED}{channel.name}": float(spread)
        for channel, spread in zip(
            samples.channels, unresolved(_without_outliers(live)), strict=True
        )
        if spread
    }
    low, high = _usual(live)
    shape = Spec(channels=values.shape[1], lags=options.lags, lambdas=options.lambdas, knots=KNOTS)
    return AssetFit(
        asset=samples.asset,
        channels=samples.channels,
        period_ns=period_ns,
        alignment=options.alignment,
        spec=shape,
        running=baseline.row,
        stopped=stopped.row if stopped else None,
        usual_low=low,
        usual_high=high,
        stuck_samples_max=longest_runs(live),
        tail=alarm_tail(np.concatenate(scores), period_ns=period_ns),
        training=Training(
            sha256=samples.sha256,
            rows=samples.rows if samples.rows != (0, 0) else (0, len(samples.values)),
            rows_used=int(np.isfinite(live).any(axis=1).sum()),
            jobs_excluded=samples.jobs_excluded,
            rows_excluded=0 if samples.excluded is None else int(np.sum(samples.excluded)),
        ),
        metrics={**baseline.metrics, **hidden},
        health=learn_health(live, samples.channels, usual=(low, high)),
    )


def _segmented(samples: TrainingSamples, options: FitOptions) -> tuple[F64, Mask]:
    """Values (m, c) and run state (m,), excluded rows blank, a blank row at each hole in time.

    Blank rows keep lags from reaching over a hole.
    """
    values = np.asarray(samples.values, np.float64)
    n, c = values.shape if values.ndim == 2 else (0, 0)
    if c == 0 or c != len(samples.channels):
        raise ModelError(
            f"{samples.asset}: values have shape {np.shape(samples.values)},"
            f" expected (n, {len(samples.channels)}), a column a channel"
        )
    if samples.period_ns <= 0:
        raise ModelError(f"{samples.asset}: the sampling period is {samples.period_ns} ns")
    values = np.where(np.abs(values) <= F32_MAX, values, np.nan)
    running = np.ones(n, np.bool_) if samples.running is None else np.asarray(samples.running, bool)
    if samples.excluded is not None:
        values = np.where(np.asarray(samples.excluded, bool)[:, None], np.nan, values)
    if samples.t_ns is None or options.alignment == "rows":
        return values, running
    holes = np.flatnonzero(np.diff(samples.t_ns) > HOLE_PERIODS * samples.period_ns) + 1
    return np.insert(values, holes, np.nan, axis=0), np.insert(running, holes, False)


def _baseline(
    values: F64, options: FitOptions, *, unknown_settle: int, who: str, period_ns: int
) -> _Baseline:
    """Fit one run state on values (n, c); rows of the other state are blank."""
    rows = int(np.isfinite(values).any(axis=1).sum())
    if rows < ROWS_MIN:
        raise ModelError(
            f"{who}: {rows} rows with values, at least {ROWS_MIN} are needed; use a longer record"
        )
    values = _without_outliers(values)
    present = np.isfinite(values).any(axis=0) & ~_invisible(values)
    values = values.astype(np.float32).astype(np.float64)  # what the graph will see
    center, sigma = location_scale(values)
    z = normalised(values, center, sigma)
    wandering = wanders(z[np.isfinite(z).any(axis=1)])
    white, age = _unseen(values, wandering, present, options)
    usable = np.isfinite(white).all(axis=1)
    if usable.sum() < COMPLETE_MIN * rows:
        white, age = _unseen(_bridged(values), wandering, present, options)
        usable = np.isfinite(white).all(axis=1)
    settle = options.settle_samples
    if settle is None:
        learned = _settling(white, age)
        settle = learned if learned is not None else unknown_settle
    usable = usable & (age > options.lags + settle)
    if usable.sum() < ROWS_MIN // 2:
        stretch = options.lags + settle + 1
        raise ModelError(_too_few(values, stretch, who=who, period_ns=period_ns))
    deviate = deviates(white, usable, int(present.sum()), options.lambdas)
    tables = [tail_table(z_k, rate) for z_k, rate in zip(deviate.T, options.lambdas, strict=True)]
    knots, slopes = (np.stack(part) for part in zip(*tables, strict=True))
    over = np.maximum(deviate[:, :, None] - knots, 0.0) * slopes
    scores = np.maximum(over.sum(axis=2).max(axis=1) - math.log10(len(tables)), 0.0)
    row = RowFit(
        center=center,
        sigma=sigma,
        present=present,
        wanders=wandering & present,
        moments=lag_moments(z, options.lags),
        learned=rows,
        knots=knots,
        slopes=slopes,
        settle=settle,
    )
    power = float((white[usable] ** 2).sum(axis=1).mean() / max(present.sum(), 1))
    told = {"rows": float(rows), "unseen_residual_power": power}
    return _Baseline(row=row, scores=scores, metrics=told)


def _too_few(values: F64, stretch: int, *, who: str, period_ns: int) -> str:
    """Why values (n, c) hold too few stretches of rows, and what to do about it."""
    every = float(np.median(np.diff(np.flatnonzero(np.isfinite(values).any(axis=1)))))
    told = f"{who}: too few stretches of {stretch} rows in a row"
    if every < 2.0:
        return f"{told}; use a longer record, or one with fewer holes"
    return (
        f"{told}: only one in {every:g} has values, so the rate seems to be 1/{every:g} of the"
        f" stated one; state a period of {every * period_ns / 1e9:g} s instead of"
        f" {period_ns / 1e9:g} s (period_s or rate_hz in [time] of the mapping), or leave out the"
        " blank rows"
    )


def _invisible(values: F64) -> Mask:
    """Which channels (c,) of values (n, c) go on where float32 cannot follow: they are left out.

    A time stamp is one. What only trembles that little is watched as a constant.
    """
    spread = unresolved(values)
    z = (values - location_scale(values)[0]) / np.where(spread > 0.0, spread, 1.0)
    return (spread > 0.0) & wanders(z[np.isfinite(z).any(axis=1)])


def _without_outliers(values: F64) -> F64:
    """Values (n, c) with a channel's few wild ones blank; where they are more, they are its way."""
    center, sigma = location_scale(values)
    wild = np.abs(values - center) > OUTLIER_SIGMAS * sigma
    few = wild.sum(axis=0) <= OUTLIER_SHARE * np.isfinite(values).sum(axis=0)
    return np.asarray(np.where(wild & few, np.nan, values))


def _unseen(
    values: F64, wandering: Mask, present: Mask, options: FitOptions
) -> tuple[F64, NDArray[np.int64]]:
    """Whitened residuals (n, c) by models of the other blocks, NaN where a value or lag is missing.

    Also how many samples of its stretch each row is, from 1; 0 in a gap (n,).
    """
    p, n = options.lags, len(values)
    seen: Mask = np.asarray(np.isfinite(values).any(axis=1))
    white = np.full(values.shape, np.nan)
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
            white[begin + p : last] = window @ weights
    index = np.arange(n)
    gap_at = np.maximum.accumulate(np.where(seen, -1, index))
    age = np.where(seen, index - gap_at, 0)
    white[:, ~present] = np.where(seen[:, None], 0.0, np.nan)
    return white, age


def _easing(fewer: int, rows: int, *, width: int, lags: int) -> float:
    """Size of unseen residuals under a model of `rows` rows over that under one of `fewer`."""
    if rows < EASED_ROWS_MIN:
        return 1.0
    before = unseen_power(fewer, width=width, lags=lags)
    after = unseen_power(rows, width=width, lags=lags)
    return math.sqrt(EASED_MAX if math.isinf(before) else max(after / before, EASED_MAX))


def _bridged(values: F64) -> F64:
    """Values (n, c) with each channel's holes interpolated within rows that have any value."""
    seen = np.isfinite(values).any(axis=1)
    index = np.arange(len(values))
    filled = values.copy()
    for j in range(values.shape[1]):
        known = np.isfinite(values[:, j])
        if known.any():
            filled[seen, j] = np.interp(index[seen], index[known], values[known, j])
    return filled


def _settling(white: F64, age: NDArray[np.int64]) -> int | None:
    """Samples after a start until residuals (n, c) are of the usual size; None: too few starts."""
    power = (white**2).sum(axis=1)
    ok = np.isfinite(power)
    if not ok.any() or (age[ok] == age[ok].min()).sum() < STARTS_MIN:
        return None
    usual = float(np.quantile(power[ok], 0.75))
    first, calm = int(age[ok].min()), 0
    for step in range(first, min(int(age.max()), first + SETTLE_SAMPLES_MAX) + 1):
        at = ok & (age == step)
        calm = calm + 1 if at.any() and np.median(power[at]) <= usual else 0
        if calm == CALM_SAMPLES:
            return step - first + 1 - CALM_SAMPLES
    return SETTLE_SAMPLES_MAX


def _usual(values: F64) -> tuple[F64, F64]:
    """Range (c,), (c,) that normal running of values (n, c) stays in for 98 % of the time."""
    tame = np.where(np.isfinite(values).any(axis=0), values, 0.0)
    low, high = np.nanquantile(tame, [0.01, 0.99], axis=0)
    return low, high
