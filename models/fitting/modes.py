"""Operating modes that nobody tells, found in a record.

A machine that changes its recipe or its load without a tag shows levels with nothing between them,
to which it comes back and at which it stays. One baseline over all of them is blind to whatever is
smaller than the steps between them. Such levels are looked for as empty stretches between the
values of a channel, not by change points (Killick et al. 2012, doi:10.1080/01621459.2012.737745) or
a hidden Markov chain (Hamilton 1989, doi:10.2307/1912559): those always find segments, also where a
level wanders or swings, and then have to be told which of them to believe. An empty stretch that is
crossed again and again in no time is what wandering, swinging and growing values do not have.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np

from models.fitting.mode_track import CONFIRM, FoundModes, ModeTrack, between, tell_modes
from models.fitting.var import lag_moments, location_scale, normalised, solve, whitening
from models.samples import F32_MAX, MODE_ROWS_MIN

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    F64 = NDArray[np.float64]
    Mask = NDArray[np.bool_]
    Level = tuple[float, float]  # between which values of a channel lie

ROWS_MIN: Final = 1000  # of a record that modes are looked for in
MODE_SHARE_MIN: Final = 0.03  # of the rows
FOUND_MAX: Final = 12  # more are no modes but a measurement with few digits
VISITS_MIN: Final = 3  # a mode comes again
STAY_MIN: Final = 50  # samples, the median stay: shorter ones are steps of a cycle
VALLEY_WIDTH: Final = 1 / 12  # of the range of a channel's values,
VALLEY_SHARE: Final = 0.008  # that holds fewer of them; a tenth of what it would if all were alike
GAP_SIGMAS: Final = 2.0  # between levels, in deviations of the wider
EDGE_SIGMAS: Final = 2.5  # from the middle of a level to its edge, on each side by itself
MARGIN: Final = 1 / 3  # of the gap, that a level reaches beyond its edges, but no more than
MARGIN_SIGMAS: Final = 2.0
TRANSIT_MAX: Final = 120  # samples that a change may take
OUTSIDE_MAX: Final = 0.1  # of the rows, between levels
CHANGES_MIN: Final = 24  # that tell which changes there are, if each was seen
OFTEN_MIN: Final = 3  # times
STAYS_MIN: Final = 8  # that tell how long a mode stays
POWER_GAIN_MIN: Final = 1.5  # else baselines of their own are not worth it
TIMES_STAY: Final = 3.0  # of the longest stay; and a third of the shortest is too short


def find_modes(values: F64, *, lags: int) -> FoundModes | None:
    """Modes in rows of running (n, c), NaN: no value; None: there is one way of running.

    lags: of the models that tell whether baselines of their own are shown smaller shifts.
    """
    running: Mask = np.asarray(np.isfinite(values).any(axis=1))
    if running.sum() < ROWS_MIN or values.shape[1] < 2:
        return None
    levels: dict[int, list[Level]] = {}
    for j in range(values.shape[1]):
        of_channel = _levels(np.sort(values[np.isfinite(values[:, j]), j]))
        if of_channel and _modes_of(values, running, {j: of_channel}) is not None:
            levels[j] = of_channel
    found = _modes_of(values, running, levels) if levels else None
    return found if found is not None and _sees_more(values, running, found, lags) else None


def joined_scores(
    rows: int, parts: Sequence[tuple[NDArray[np.intp], F64]], *, highest: bool
) -> F64:
    """Scores of all rows (n,), NaN: none; where several parts have one, the highest or the last.

    parts: rows (m,), and their scores (m,).
    """
    told = np.full(rows, np.nan)
    for at, scores in parts:
        told[at] = np.fmax(told[at], scores) if highest else scores
    return told


def _levels(y: F64) -> list[Level]:
    """Edges of the levels of one channel's sorted values (n,), lowest first; [] without any."""
    pieces = _pieces(y, max(int(MODE_SHARE_MIN * len(y)), MODE_ROWS_MIN))
    if len(pieces) < 2:
        return []
    low, middle, high = np.array([np.quantile(part, [0.16, 0.5, 0.84]) for part in pieces]).T
    spread = (high - low) / 2.0
    low = middle - EDGE_SIGMAS * (middle - low)
    high = middle + EDGE_SIGMAS * (high - middle)
    apart = low[1:] - high[:-1] >= GAP_SIGMAS * np.maximum(spread[1:], spread[:-1])
    return list(zip(low.tolist(), high.tolist(), strict=True)) if apart.all() else []


def _pieces(y: F64, rows_min: int) -> list[F64]:
    """Sorted values (n,) cut where there are next to none."""
    n = len(y)
    few = max(int(VALLEY_SHARE * n), 1)
    if n < 2 * rows_min:
        return [y]
    wide = y[few:] - y[:-few]
    first, last = rows_min, n - rows_min - few  # on both sides there is enough
    if last <= first:
        return [y]
    at = first + int(wide[first:last].argmax())
    low, high = np.quantile(y, [0.005, 0.995])
    if wide[at] <= max(VALLEY_WIDTH * (high - low), 0.0):
        return [y]
    cut = at + 1 + int(np.diff(y[at : at + few + 1]).argmax())
    return [*_pieces(y[:cut], rows_min), *_pieces(y[cut:], rows_min)]


def _modes_of(values: F64, running: Mask, levels: dict[int, list[Level]]) -> FoundModes | None:
    """The modes that the levels of some channels make together; None: they are none."""
    code = np.zeros(len(values), np.int64)
    sure = running.copy()
    for j, edges in levels.items():
        low, high = np.array(edges).T
        middle = (high[:-1] + low[1:]) / 2.0
        level = np.searchsorted(middle, values[:, j])
        sure &= (values[:, j] >= low[level % len(low)]) & (values[:, j] <= high[level % len(low)])
        code = code * len(edges) + level
    kinds, count = np.unique(code[sure], return_counts=True)
    often = count >= max(MODE_SHARE_MIN * running.sum(), MODE_ROWS_MIN)
    if not 2 <= often.sum() <= FOUND_MAX:
        return None
    k, c = int(often.sum()), values.shape[1]
    low, high = np.full((2, k, c), -F32_MAX), np.full((2, k, c), F32_MAX)
    for m, kind in enumerate(kinds[often].tolist()):
        rest = kind
        for j, edges in reversed(levels.items()):
            rest, level = divmod(rest, len(edges))
            low[0, m, j], high[0, m, j] = _reach(edges, level)
            low[1, m, j], high[1, m, j] = edges[level]
    loose = FoundModes(
        low=low[0],
        high=high[0],
        low_in=low[1],
        high_in=high[1],
        transit=TRANSIT_MAX,
        follows=np.ones((k, k)),
        shortest=np.zeros(k),
        longest=np.full(k, F32_MAX),
    )
    away = running & ~between(loose.low, loose.high, values).any(axis=1)
    if away.sum() > OUTSIDE_MAX * running.sum():
        return None
    return _learned(loose, tell_modes(ModeTrack(), loose, values, running), running)


def _reach(edges: Sequence[Level], level: int) -> Level:
    """Between which values a channel counts as at one of its levels."""
    gaps = [low - high for (_, high), (low, _) in pairwise(edges)]
    low, high = edges[level]
    nearest = min(gaps[max(level - 1, 0) : level + 1])
    margin = min(MARGIN * nearest, MARGIN_SIGMAS / EDGE_SIGMAS * (high - low) / 2.0)
    return low - margin, high + margin


def _learned(loose: FoundModes, told: F64, running: Mask) -> FoundModes | None:
    """How modes (n,), told without any rule, change and stay; None: not as modes do."""
    k = len(loose.low)
    mode = np.where(np.isfinite(told), told, -1).astype(np.int64)
    stays: list[list[int]] = [[] for _ in range(k)]
    follows, transits = np.zeros((k, k), np.int64), [0]
    rows = np.zeros(k, np.int64)
    known = np.flatnonzero((mode >= 0) | ~running)
    begins = np.flatnonzero(np.diff(mode[known], prepend=-2))
    for at, after in zip(begins, [*begins[1:], len(known)], strict=True):
        one, first, end = int(mode[known[at]]), int(known[at]), int(known[after - 1]) + 1
        if one < 0:
            continue
        stays[one].append(end - first)
        rows[one] += end - first
        if at and mode[known[at - 1]] >= 0:
            follows[mode[known[at - 1]], one] += 1
            transits.append(first - int(known[at - 1]) - 1)
    for lengths in stays:
        if len(lengths) < VISITS_MIN or np.median(lengths) < STAY_MIN:
            return None
    if rows.min() < MODE_ROWS_MIN:
        return None
    # an unseen kind of change is as likely as those seen once are frequent (Good 1953)
    total = int(follows.sum())
    well_known = total >= CHANGES_MIN and bool((follows[follows > 0] >= OFTEN_MIN).all())
    often = [len(lengths) >= STAYS_MIN for lengths in stays]
    return msgspec.structs.replace(
        loose,
        transit=min(max(transits) + CONFIRM, TRANSIT_MAX),
        follows=(follows > 0).astype(np.float64) if well_known else loose.follows,
        shortest=np.array(
            [min(s) / TIMES_STAY if o else 0.0 for s, o in zip(stays, often, strict=True)]
        ),
        longest=np.array(
            [max(s) * TIMES_STAY if o else F32_MAX for s, o in zip(stays, often, strict=True)]
        ),
    )


def _sees_more(values: F64, running: Mask, found: FoundModes, lags: int) -> bool:
    """Whether baselines of their own are shown smaller shifts of what tells modes apart.

    Where those move together, one baseline of all rows knows each by the others.
    """
    mode = tell_modes(ModeTrack(), found, values, running)
    together = _power(values, lags)
    logs = np.zeros((len(found.low), len(together)))
    for value in range(len(found.low)):
        logs[value] = _power(np.where((mode == value)[:, None], values, np.nan), lags)
    tells = (found.low > -F32_MAX).any(axis=0)
    known = tells & np.isfinite(logs).all(axis=0) & np.isfinite(together)
    gain = (logs - together)[:, known].mean(axis=0)
    return bool(known.any() and np.median(gain) >= np.log(POWER_GAIN_MIN))


def _power(values: F64, lags: int) -> F64:
    """Logarithm of how strange a model of values (n, c) finds a lasting shift of a channel (c,).

    Of a shift by one unit, in deviations of what the model cannot foresee. NaN: no values.
    """
    center, sigma = location_scale(values)
    z = normalised(values, center, sigma)
    present: Mask = np.asarray(np.isfinite(z).any(axis=0))
    rows = float(np.isfinite(z).any(axis=1).sum())
    c = len(sigma)
    coefficients, covariance = solve(
        lag_moments(z, lags), np.zeros(c, np.bool_), present, lags=lags, rows=rows
    )
    left = np.eye(c) - coefficients.reshape(c, lags, c).sum(axis=1)
    power = np.linalg.norm(whitening(covariance, rows=rows) @ left, axis=0)
    return np.asarray(np.where(present, np.log(np.maximum(power, 1e-12) / sigma), np.nan))
