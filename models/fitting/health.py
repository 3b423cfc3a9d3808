"""Health of channels: what a fit learns of each sensor itself, beside what it measures.

How long it may show one value, how much it trembles, how often it says nothing, and how far
channels of one unit are apart. Everything is taken over windows of samples, and the very functions
that a fit uses are used on a stream, so that the two compare like with like.

The noise floor is the mean of the smaller three quarters of the absolute second differences, which
a level, a ramp and slow movement leave alone and a few jolts do not reach, scaled to that of white
noise (differences: von Neumann et al. 1941; the trimmed mean: Tukey 1962).
"""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from models.bundles.bundle import Channel

    F64 = NDArray[np.float64]
    F32 = NDArray[np.float32]
    I64 = NDArray[np.int64]
    Mask = NDArray[np.bool_]

STUCK_NEVER: Final = 2**31 - 1  # a channel that stood still in training is never called stuck
STUCK_MARGIN: Final = 3.0  # times the longest run of one value that normal operation showed
STUCK_SHARE: Final = 0.5  # a channel that stood still for half the record is never called stuck
CHANGES_MIN: Final = 0.02  # of samples; a set point or a program's number may rest for any time
WINDOW: Final = 128  # samples over which noise and distances are taken
HOP: Final = 32  # samples between two looks, and more of a fast stream (`looks.hop_of`)
WINDOWS_MIN: Final = 4  # fewer say nothing of what is usual
KNOWN_MIN: Final = 0.25  # of a window's differences; fewer say nothing
KEPT: Final = 0.75  # of a window's absolute differences, the smaller ones
# Mean of that part of |z|, z normal: sqrt(2 / pi) (1 - exp(-q^2 / 2)) / 0.75, q its upper end; a
# second difference of unit white noise has a deviation of sqrt(6).
WHITE: Final = 0.5149033 * math.sqrt(6.0)
STILL_SHARE: Final = 0.05  # of zero differences; with more, the resolution hides the noise
STEPS_MIN: Final = 3.0  # steps of the resolution in the least noise; with fewer it hides it, too
LIVELY_MIN: Final = 2  # channels that move; of one alone, its sensor and its source look the same
PAIRS_MAX: Final = 256
CHUNK: Final = 512  # windows looked at together


class AssetHealth(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """What is usual of an asset's sensors. Vectors are (c,) float64, in engineering units.

    noise_low, noise_high: least and largest noise floor of a window; NaN: it says nothing of this
    channel. level_low, level_high: the same of a window's median.
    present_min: least share of a window's samples in which it had a value.
    repeats_max: longer runs of samples that repeat every value do not happen, with its margin.
    steps: least step between two values of a channel.
    pairs: (m, 2) channels of one unit, by index; apart_low, apart_high: (m,) least and largest
    median over a window of the first less the second, NaN: not seen together.
    windows: how many it was learned from.
    """

    noise_low: np.ndarray
    noise_high: np.ndarray
    level_low: np.ndarray
    level_high: np.ndarray
    present_min: np.ndarray
    repeats_max: float
    steps: np.ndarray
    pairs: np.ndarray
    apart_low: np.ndarray
    apart_high: np.ndarray
    windows: int


class Looks(NamedTuple):
    """What windows show: noise, still, present, level (k, c); apart (k, m). NaN: not known.

    still: share of second differences that are exactly 0; present: share of samples with a value.
    """

    noise: F64
    still: F64
    present: F64
    level: F64
    apart: F64


def look(values: NDArray[np.floating], ran: Mask, pairs: I64) -> Looks:
    """What windows of samples show. values: (k, w, c), NaN: none; ran: (k, w), whether it ran.

    pairs: (m, 2) indices of channels. Samples that did not run are no samples.
    """
    # samples last: what is sorted lies side by side, and so do 32 bits as long as they are enough
    shown = np.ascontiguousarray(values.transpose(0, 2, 1))
    if not ran.all():
        shown = np.where(ran[:, None, :], shown, np.asarray(np.nan, shown.dtype))
    x = shown.astype(np.float64)
    samples = np.maximum(ran.sum(axis=1), 1)[:, None]
    jolts = 2.0 * x[:, :, 1:-1]
    np.subtract(x[:, :, 2:], jolts, out=jolts)
    jolts += x[:, :, :-2]
    np.abs(jolts, out=jolts)
    known = _count(np.isfinite(jolts))
    with np.errstate(invalid="ignore", divide="ignore"):
        still = (jolts.shape[2] - _count(jolts != 0.0)) / known
    enough = known >= KNOWN_MIN * x.shape[2]
    noise = np.where(enough, _trimmed_mean(jolts, known) / WHITE, np.nan)
    level, seen = _median(shown)
    apart, together = _median(x[:, pairs[:, 0]] - x[:, pairs[:, 1]])
    return Looks(
        noise=noise,
        still=np.where(enough, still, np.nan),
        present=seen / samples,
        level=level.astype(np.float64),
        apart=np.where(together >= KNOWN_MIN * x.shape[2], apart, np.nan),
    )


def learn_health(
    values: NDArray[np.floating], channels: Sequence[Channel], *, usual: tuple[F64, F64]
) -> AssetHealth:
    """What is usual of the sensors. values: (n, c) of normal running, blank rows where it did not.

    usual: low and high of each channel (c,), for which channels of one unit may measure the same.
    """
    x = np.asarray(values, np.float32)
    c = x.shape[1]
    pairs = _pairs(channels, usual)
    rows, ran = compact(x, np.asarray(np.isfinite(x).any(axis=1)))
    looks = list(_all_looks(rows, ran, pairs))
    parts = [np.concatenate(part) for part in zip(*looks, strict=True)] if looks else []
    found = Looks(*parts) if parts else _nothing(c, len(pairs))
    windows = len(found.noise)
    noise_low, noise_high = _range(found.noise)
    still = np.where(np.isnan(found.still), 0.0, found.still).max(axis=0, initial=0.0)
    steps = _resolution(x)
    hidden = (still > STILL_SHARE) | ~(noise_low > STEPS_MIN * steps)
    apart_low, apart_high = _range(found.apart)
    level_low, level_high = _range(found.level)
    return AssetHealth(
        noise_low=np.where(hidden, np.nan, noise_low),
        noise_high=np.where(hidden, np.nan, noise_high),
        level_low=level_low,
        level_high=level_high,
        present_min=found.present.min(axis=0) if windows >= WINDOWS_MIN else np.zeros(c),
        repeats_max=_repeats(x),
        steps=steps,
        pairs=pairs.astype(np.float64),
        apart_low=apart_low,
        apart_high=apart_high,
        windows=windows,
    )


def compact(values: F32, ran: Mask, *, before: bool = False) -> tuple[F32, Mask]:
    """Samples (n, c) that ran, with one blank row where they stop. before: the one before ran.

    Returns rows (m, c) and which of them ran (m,). Differences then reach over no stop.
    """
    if ran.all():  # the usual tick
        return values, ran
    kept = ran | np.concatenate([[before], ran[:-1]])
    return np.where(ran[:, None], values, np.float32(np.nan))[kept], ran[kept]


def longest_runs(values: NDArray[np.floating]) -> F64:
    """Longest run of one value in each channel (c,) of values (n, c), with a margin.

    Gaps do not end a run. Compared as float32, as a stream brings them.
    """
    longest = np.full(values.shape[1], float(STUCK_NEVER))
    for j, column in enumerate(values.astype(np.float32).T):
        known = column[np.isfinite(column)]
        if len(known) < 2:
            continue
        ends = np.flatnonzero(np.append(np.diff(known) != 0, True))
        run = int(np.diff(ends, prepend=-1).max())
        if run < STUCK_SHARE * len(known) and len(ends) > CHANGES_MIN * len(known):
            longest[j] = math.ceil(STUCK_MARGIN * run)
    return longest


def carried(values: F32) -> F32:
    """Each NaN replaced by the newest finite value above it (n, c)."""
    rows = np.arange(len(values))[:, None]
    newest = np.maximum.accumulate(np.where(np.isfinite(values), rows, 0), axis=0)
    found: F32 = np.take_along_axis(values, newest, axis=0)
    return found


def run_lengths(start: NDArray[np.int64], *, grows: Mask, resets: Mask) -> NDArray[np.int64]:
    """Counters (n, c) that go on from `start` (c,): up where they grow, 0 where they reset.

    Of one counter (n,) and ().
    """
    total = start + np.cumsum(grows, axis=0)
    base = np.maximum.accumulate(np.where(resets, total, 0), axis=0)
    lengths: NDArray[np.int64] = total - base
    return lengths


def _repeats(x: F32) -> float:
    """Longest run of samples of x (n, c) that repeat every value, with a margin."""
    live = x[np.isfinite(x).any(axis=1)]
    if len(live) < 2:
        return float(STUCK_NEVER)
    shown = carried(live)
    moved = (shown[1:] != shown[:-1]) & np.isfinite(live[1:])
    if int(moved.any(axis=0).sum()) < LIVELY_MIN:
        return float(STUCK_NEVER)
    ends = np.flatnonzero(np.append(moved.any(axis=1), True))
    run = int(np.diff(ends, prepend=-1).max())
    never = run >= STUCK_SHARE * len(live)
    return float(STUCK_NEVER if never else math.ceil(STUCK_MARGIN * run))


def _all_looks(rows: F32, ran: Mask, pairs: I64) -> list[Looks]:
    """Looks at every window of rows (n, c), HOP apart."""
    if len(rows) < WINDOW:
        return []
    at = np.arange(0, len(rows) - WINDOW + 1, HOP)[:, None] + np.arange(WINDOW)
    chunks = range(0, len(at), CHUNK)
    return [look(rows[at[i : i + CHUNK]], ran[at[i : i + CHUNK]], pairs) for i in chunks]


def _nothing(c: int, m: int) -> Looks:
    none = np.empty((0, c))
    return Looks(none, none, none, none, np.empty((0, m)))


def _range(found: F64) -> tuple[F64, F64]:
    """Least and largest (c,) of what windows show (k, c); NaN where too few of them know."""
    known = np.isfinite(found)
    few = known.sum(axis=0) < WINDOWS_MIN
    low = np.where(known, found, np.inf).min(axis=0, initial=np.inf)
    high = np.where(known, found, -np.inf).max(axis=0, initial=-np.inf)
    return np.where(few, np.nan, low), np.where(few, np.nan, high)


def _resolution(x: F32) -> F64:
    """Least step between two different values of each channel (c,); 0 of one that has no two."""
    steps = np.zeros(x.shape[1])
    for j, column in enumerate(x.astype(np.float64).T):
        levels = np.unique(column[np.isfinite(column)])
        if len(levels) > 1:
            steps[j] = np.diff(levels).min()
    return steps


def _pairs(channels: Sequence[Channel], usual: tuple[F64, F64]) -> I64:
    """Channels of one unit (m, 2), the nearest first and no more than PAIRS_MAX of them."""
    middle, reach = (usual[0] + usual[1]) / 2.0, usual[1] - usual[0]
    near = []
    for i, j in itertools.combinations(range(len(channels)), 2):
        if channels[i].unit == channels[j].unit:
            apart = abs(middle[i] - middle[j]) / max(reach[i] + reach[j], 1e-30)
            near.append((float(apart), i, j))
    kept = [(i, j) for _, i, j in sorted(near)[:PAIRS_MAX]]
    return np.array(sorted(kept), np.int64).reshape(-1, 2)


def _median(x: NDArray[Any]) -> tuple[NDArray[Any], I64]:
    """Lower median of each row of x (k, c, w), NaN left out; NaN where there is none.

    And of how many values it is, (k, c) both.
    """
    count = _count(np.isfinite(x))
    ordered = np.sort(x, axis=2)  # NaN last
    return _taken(ordered, np.maximum(count - 1, 0) // 2), count


def _count(which: Mask) -> I64:
    """How many of each row of which (k, c, w), (k, c); mostly it is all of them."""
    if which.all():
        return np.full(which.shape[:2], which.shape[2], np.int64)
    return np.asarray(which.sum(axis=2), np.int64)


def _trimmed_mean(x: F64, known: I64) -> F64:
    """Mean of the smaller part of each row of x (k, c, w), NaN: none; known: (k, c) that are."""
    count = np.maximum((KEPT * known).astype(np.int64), 1)
    kept = np.sort(x, axis=2)[:, :, : count.max(initial=1)]  # NaN last
    mean: F64
    if count.size > 1 and (count == kept.shape[2]).all():  # one after the other, side by side
        mean = np.add.reduce(np.ascontiguousarray(kept.transpose(2, 0, 1)), axis=0) / count
    else:
        mean = _taken(np.cumsum(kept, axis=2), count - 1) / count
    return mean


def _taken(x: NDArray[Any], at: I64) -> NDArray[Any]:
    """One value (k, c) of each row of x (k, c, w), at the place (k, c) in it."""
    return np.take_along_axis(x, at[:, :, None], axis=2)[:, :, 0]
