"""Learn what is usual at each hour of the day, where a record shows that its channels follow one.

Of each half hour the median over days of their means, so that strange days do not count; apart for
weekends where that pays. A channel has a profile only where that explains most of its variance on
days that it was not learned from, and where what is left stays at one level from day to day:
weather does not. What is left is judged as a level, by a row of the VAR's graph whose lags count
for nothing, with tails from days that the profile had not seen. Such levels are like themselves for
hours, so tails believe no more values than are independent (Geyer 1992).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np

from models.bundles.bundle import SEASON_LEFT, UNLIKE_HOUR, RowFit, Spec
from models.fitting.contamination import ABSURD, APART_ROWS, SHARE_MAX, STRETCHES_MAX
from models.fitting.extremes import alarm_tail
from models.fitting.season import (
    BIN_S,
    BINS,
    SECOND_NS,
    UTC_CLOCKS,
    Clocks,
    Hours,
    Season,
    clocks_of,
    followed,
    in_spreads,
    local_s,
    usual_at,
    weekday,
)
from models.fitting.tails import deviates, tails_of
from models.fitting.var import FIT_Z_MAX, location_scale, normalised, wanders, whitening
from models.samples import segmented_times

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from models.bundles.bundle import AssetFit
    from models.samples import TrainingSamples

    F64 = NDArray[np.float64]
    I64 = NDArray[np.int64]
    Mask = NDArray[np.bool_]
    Folds = list[Mask]  # rows (n,) of each

DAYS_MIN: Final = 5  # fewer say nothing of what is usual at an hour
KIND_DAYS_MIN: Final = 2  # of weekdays, or of weekends: what was not seen has no profile
WEEKEND_DAYS_MIN: Final = 3  # of a profile of their own: of two weekends,
WEEKDAYS_MIN: Final = 8  # and two weeks
DAY_BINS_MIN: Final = 8  # half hours with values that make a day
FOLDS: Final = 5
ROWS_MIN: Final = 200  # that can be scored
PERIODS_A_BIN_MIN: Final = 2  # samples of a half hour
LEFT_MAX: Final = 0.5  # of a channel's variance, on days not learned from
WEEKENDS_LEFT_MAX: Final = 0.8  # of what is left with one table for all days
SPREAD_MIN: Final = 0.5  # of the spread over all hours: an hour's own is of few days
SPREAD_LEVEL: Final = 0.75  # quantile of what is left that makes a spread: strange days do not
SPREAD_SIGMAS: Final = 1.1503  # of a normal deviate, that lie within it to both sides
APART: Final = (0, 0, 0, 0, 0, 1, 1)  # weekends have a table of their own
LIKE_MIN: Final = 0.05  # autocorrelation below which values count as independent
CLIPPED: Final = (0.01, 0.99)  # quantiles that a memory is taken within


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SeasonFit:
    """A season with its row of the VAR's graph.

    scores: (n,) of rows by other days, NaN: none   left: (c,) share of variance that the profile
    leaves on such days, NaN: the channel follows no hour   unlike: rows left out of the tails
    """

    season: Season
    row: RowFit
    scores: F64
    left: F64
    unlike: int


def fit_season(
    values: F64,
    t_ns: I64,
    scored: Mask,
    *,
    clocks: Clocks,
    settle: int,
    lags: int,
    lambdas: tuple[float, ...],
) -> SeasonFit | None:
    """The season of values (n, c) at times (n,), NaN: no value; None: nothing follows the hour.

    scored: (n,) rows that the VAR of the asset scores   settle, lags, lambdas: of that VAR
    """
    local = local_s(t_ns, clocks)
    days = _days(values, local)
    if len(days) < DAYS_MIN:
        return None
    of_day = local // BIN_S // BINS
    folds = [np.isin(of_day, some) for some in np.array_split(days, FOLDS)]
    off, tables, left = _best(values, local, folds, days)
    season = learn_season(values, local, clocks=clocks, days=tables)
    keep = (left < LEFT_MAX) & followed(season) & ~wanders(off)
    scored = scored & np.isfinite(off[:, keep]).all(axis=1)
    if not keep.any() or scored.sum() < ROWS_MIN:
        return None
    wide = _quantile(np.abs(off), SPREAD_LEVEL) / SPREAD_SIGMAS
    wide = np.where(wide > 0.0, wide, 1.0)  # than what the days learned from are off
    season = msgspec.structs.replace(season, spread=np.where(keep, season.spread * wide, 0.0))
    unlike = _unlike(off[:, keep] / wide[keep])
    scored &= ~unlike
    z = np.where(keep, off / wide, 0.0)
    row, scores = _row(z, scored, folds, keep, settle=settle, lags=lags, lambdas=lambdas)
    left = np.where(keep, left, np.nan)
    return SeasonFit(season=season, row=row, scores=scores, left=left, unlike=int(unlike.sum()))


def with_season(
    fit: AssetFit, values: F64, scores: F64, samples: TrainingSamples
) -> tuple[AssetFit, F64]:
    """The fit of an asset with its season, where values (n, c) of running follow the hour.

    scores: (n,) of its VAR, NaN: none. Also what the scores are with the season's: the higher ones.
    An asset of other kinds, one whose modes have baselines of their own, and one without times or
    with samples that are hours apart stay as they are. Of too few days, the levels of their hours
    are told, to be compared with the season of a parent.
    """
    row, spec = fit.running, fit.spec
    t_ns = segmented_times(samples, by_time=fit.alignment != "rows")
    modes = fit.found is not None or any(own is not None for _, own in fit.modes)
    if t_ns is None or modes or not isinstance(row, RowFit) or not isinstance(spec, Spec):
        return fit, scores
    if PERIODS_A_BIN_MIN * fit.period_ns > BIN_S * SECOND_NS:
        return fit, scores
    clocks = clocks_of(samples.zone, int(t_ns[0]))
    found = fit_season(
        values,
        t_ns,
        np.isfinite(scores),
        clocks=clocks,
        settle=row.settle,
        lags=spec.lags,
        lambdas=spec.lambdas,
    )
    if found is None:
        if len(_days(values, local_s(t_ns, clocks))) < DAYS_MIN:
            fit = replace(fit, hours=hours_of(values, t_ns))
        return fit, scores
    joined = np.fmax(scores, found.scores)
    names = [channel.name for channel in fit.channels]
    told = {
        f"{SEASON_LEFT}{name}": float(share)
        for name, share in zip(names, found.left, strict=True)
        if np.isfinite(share)
    }
    if found.unlike:
        told[UNLIKE_HOUR] = float(found.unlike)
    return replace(
        fit,
        season=found.season,
        season_row=found.row,
        tail=alarm_tail(joined, period_ns=fit.period_ns),
        scores=(joined[np.isfinite(joined)], fit.scores[1]),
        metrics={**fit.metrics, **told},
    ), joined


def hours_of(values: F64, t_ns: I64) -> Hours:
    """What values (n, c) at times (n,) were at each half hour that has any."""
    slots, at = np.unique(t_ns // (BIN_S * SECOND_NS), return_inverse=True)
    middles = (slots * BIN_S + BIN_S // 2) * SECOND_NS
    return Hours(t_ns=middles, values=_means(values, at, len(slots)))


def _unlike(off: F64) -> Mask:
    """Rows (n,) so far off (n, c) that they are no tail: faults, or work, of which nobody told.

    Clean records came to 12 spreads where a shift began early. None where they are many, or come
    again and again: then they are the plant's way, as those are that the VAR wonders at
    (`models.fitting.contamination`).
    """
    absurd: Mask = np.asarray((np.nan_to_num(np.abs(off)) > ABSURD).any(axis=1))
    stretches = int((np.diff(np.flatnonzero(absurd), prepend=-np.inf) > APART_ROWS).sum())
    few = absurd.sum() <= SHARE_MAX * len(absurd) and stretches <= STRETCHES_MAX
    return absurd if few else np.zeros_like(absurd)


def _days(values: F64, local: I64) -> I64:
    """The days, from 1970, of which values (n, c) show enough half hours (m,)."""
    slots = np.unique(local[np.isfinite(values).any(axis=1)] // BIN_S)
    days, count = np.unique(slots // BINS, return_counts=True)
    return np.asarray(days[count >= DAY_BINS_MIN])


def _best(values: F64, local: I64, folds: Folds, days: I64) -> tuple[F64, tuple[int, ...], F64]:
    """How far values (n, c) are off the usual of other days (n, c), by the tables that do best.

    And those tables (7,), and the share of variance (c,) that they leave.
    """
    ends = int((weekday(days) >= 5).sum())
    work = len(days) - ends
    alike = (-1 if work < KIND_DAYS_MIN else 0,) * 5 + (-1 if ends < KIND_DAYS_MIN else 0,) * 2
    off, left = _unseen(values, local, folds, alike)
    if ends >= WEEKEND_DAYS_MIN and work >= WEEKDAYS_MIN:
        off_apart, left_apart = _unseen(values, local, folds, APART)
        if (left_apart < WEEKENDS_LEFT_MAX * left).any():
            return off_apart, APART, left_apart
    return off, alike, left


def learn_season(
    values: F64, local: I64, *, days: tuple[int, ...], clocks: Clocks = UTC_CLOCKS
) -> Season:
    """What values (n, c) are at each half hour of clocks that show `local` (n,), and their spread.

    days: which table each weekday has. Spread is of what single days are off, in a half hour and
    those beside it, and at least SPREAD_MIN of that of all.
    """
    slot = local // BIN_S
    seen_days, of_day = np.unique(slot // BINS, return_inverse=True)
    at, slots = of_day * BINS + slot % BINS, len(seen_days) * BINS
    shape = (len(seen_days), BINS, values.shape[1])
    table = np.array(days)[weekday(seen_days)]
    mean = _means(values, at, slots).reshape(shape)
    tables = range(max(*days, 0) + 1)
    middle = np.stack([_quantile(mean[table == i], 0.5) for i in tables])
    known = np.isfinite(middle)
    season = Season(
        clocks=clocks, days=days, middle=np.where(known, middle, 0.0), spread=known + 0.0
    )
    usual, seen = usual_at(season, local)
    size = np.sqrt(_means(np.where(seen > 0.0, values - usual, np.nan) ** 2, at, slots))
    beside = np.stack([np.roll(size, by, axis=0).reshape(shape) for by in (-1, 0, 1)])
    near = [beside[:, table == i].reshape(-1, *shape[1:]) for i in tables]
    spread = np.stack([_quantile(some, SPREAD_LEVEL) for some in near])
    least = SPREAD_MIN * _quantile(size, SPREAD_LEVEL)
    spread = np.where(known, np.nan_to_num(np.fmax(spread, least)), 0.0) / SPREAD_SIGMAS
    return msgspec.structs.replace(season, spread=spread)


def _means(values: F64, slot: I64, slots: int) -> F64:
    """Mean (slots, c) of values (n, c) in each slot (n,); NaN: none."""
    means = np.full((slots, values.shape[1]), np.nan)
    for j, column in enumerate(values.T):
        seen = np.isfinite(column)
        count = np.bincount(slot[seen], minlength=slots)
        total = np.bincount(slot[seen], weights=column[seen], minlength=slots)
        means[count > 0, j] = total[count > 0] / count[count > 0]
    return means


def _quantile(rows: F64, level: float) -> F64:
    """Quantile over the first axis of rows (n, ...) without NaN; NaN: nothing but that."""
    if not len(rows):
        return np.full(rows.shape[1:], np.nan)
    ordered = np.sort(rows, axis=0)  # NaN last
    place = np.maximum(np.isfinite(rows).sum(axis=0) - 1, 0) * level
    low = np.floor(place).astype(np.intp)
    ends = [
        np.take_along_axis(ordered, np.minimum(low + step, len(rows) - 1)[None], axis=0)[0]
        for step in (0, 1)
    ]
    share = place - low
    return np.asarray(np.where(share > 0.0, ends[0] + share * (ends[1] - ends[0]), ends[0]))


def _unseen(values: F64, local: I64, folds: Folds, days: tuple[int, ...]) -> tuple[F64, F64]:
    """Spreads that values (n, c) are off the usual of other folds' days, NaN: not known (n, c).

    And the share of each channel's variance (c,) that is left of them so.
    """
    off, left = np.full(values.shape, np.nan), np.full(values.shape, np.nan)
    for mine in folds:
        others = np.where(mine[:, None], np.nan, values)
        usual = learn_season(others, local, days=days)
        middle, spread = usual_at(usual, local[mine])
        off[mine] = in_spreads(values[mine], middle, spread)
        left[mine] = np.where(spread > 0.0, values[mine] - middle, np.nan)
    share = (location_scale(left)[1] / location_scale(values)[1]) ** 2
    return off, np.where(np.isfinite(left).any(axis=0), share, np.inf)


def _row(
    z: F64,
    scored: Mask,
    folds: Folds,
    keep: Mask,
    *,
    settle: int,
    lags: int,
    lambdas: tuple[float, ...],
) -> tuple[RowFit, F64]:
    """The row that judges levels z (n, c), each by days it had not seen; and its scores (n,)."""
    c = z.shape[1]
    sigma = np.where(keep, location_scale(z)[1], 1.0)
    z = normalised(z, np.zeros(c), sigma)
    memory = _memory(np.square(z[scored]).sum(axis=1))
    learned = max(int(scored.sum() / memory), c + 2)
    white, plain = np.zeros(z.shape), np.zeros(z.shape)
    for mine in folds:
        w = whitening(_covariance(z[scored & ~mine], keep), rows=learned)
        mixing = np.linalg.inv(w)
        unit = mixing / np.sqrt((mixing**2).sum(axis=1, keepdims=True))
        white[mine] = np.where(keep, np.nan_to_num(z[mine]) @ w.T, 0.0)
        plain[mine] = np.where(keep, white[mine] @ unit.T, 0.0)
    deviate, evenness = deviates(white, plain, scored, int(keep.sum()), lambdas)
    tails = tails_of(deviate, [2.0 / (1.0 + _memory(view)) for view in deviate.T])
    moments = np.eye((lags + 1) * c)  # what was before says nothing of what is
    moments[-c:, -c:] = _covariance(z[scored], keep)
    scores = np.full(len(z), np.nan)
    scores[scored] = tails.scores
    row = RowFit(
        center=np.zeros(c),
        sigma=sigma,
        present=keep,
        wanders=np.zeros(c, np.bool_),
        moments=moments,
        learned=learned,
        knots=tails.knots,
        slopes=tails.slopes,
        evenness=evenness,
        fusion=tails.fusion,
        settle=settle,
    )
    return row, scores


def _covariance(z: F64, keep: Mask) -> F64:
    """Second moments (c, c) of levels (m, c); channels that are not kept have variance 1."""
    tame = np.where(keep, np.clip(z, -FIT_Z_MAX, FIT_Z_MAX), 0.0)
    return np.asarray(tame.T @ tame / max(len(tame), 1) + np.diag(~keep + 0.0))


def _memory(series: F64) -> float:
    """How many values of a series (n,) say as much as one that is independent; at least 1."""
    tame = np.clip(series, *np.quantile(series, CLIPPED))
    power = np.abs(np.fft.rfft(tame - tame.mean(), 2 * len(tame))) ** 2
    like = np.fft.irfft(power)[: len(tame)]
    if like[0] <= 0.0:
        return 1.0
    like = like / like[0]
    ends = int(np.argmax(like < LIKE_MIN)) or len(like)
    return 1.0 + 2.0 * float(like[1:ends].sum())
