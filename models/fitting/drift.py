"""Drift: whether normal operation is still where it was when the detector was fitted.

Samples of a sensor stream depend on one another, so a two-sample test that counts them all finds a
difference in any two stretches. Here they are averaged over blocks, and the variance of a mean of
blocks is taken from their slowest movements: the mean square of the first K cosine transforms, with
which the statistic has a t distribution of K degrees of freedom (equal-weighted cosine estimator:
Muller 2007; Lazarus, Lewis, Stock and Watson 2018; it does not need the blocks to be independent,
as batch means do: Flegal and Jones 2010). Where the record is much longer than what is compared
with it, means over stretches of that length count too (overlapping batch means), for days differ.
The live side is never taken for much calmer than the record. The two variances have degrees of
freedom together by Welch 1947; several columns count by Bonferroni.

A block has a column for the share of its samples over each quantile of normal scores, then for the
mean of each channel in deviations of the fit, then for its mean absolute deviation, which is what
it brings to the score. Nothing here changes a threshold, a center or a score.
"""

from __future__ import annotations

import functools
import math
import zlib
from dataclasses import replace
from typing import TYPE_CHECKING, Final, Self

import msgspec
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from models.bundles.bundle import AssetFit

    F64 = NDArray[np.float64]
    I64 = NDArray[np.int64]
    Mask = NDArray[np.bool_]

QUANTILES: Final = (0.5, 0.9, 0.99)  # of normal scores
LEVELS: Final = len(QUANTILES)
DAY_NS: Final = 86_400 * 10**9
HORIZON_BLOCKS: Final = 96  # newest blocks that are compared: a day where the record is as long
RECORD_BLOCKS: Final = 64  # that a record gives at least, where it is long enough
BLOCK_SAMPLES_MIN: Final = 8
BLOCKS_MIN: Final = 24  # fewer say nothing, of the record and of what came after it
TERMS: Final = 12  # K, cosine transforms behind a variance
BLOCKS_A_TERM: Final = 3  # of few blocks fewer transforms are slow movement
HORIZONS_MIN: Final = 4  # in the record, before means over a horizon say something
KNOWN_MIN: Final = 0.25  # of a block's samples in which a channel had a value
HELD_MAX: Final = 64  # samples that are summed up together: one at a time costs as much
FAR_SIGMAS: Final = 10.0  # what is further off counts as this far: a few wild values are no level


class DriftReference(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """What normal operation showed, by blocks. Vectors are (m,) float64, m = LEVELS + 2 c columns.

    block_samples: samples a block. center, sigma: (c,) that channels are taken by. levels:
    (LEVELS,) quantiles of normal scores. mean: of a column's blocks; long_run: their long-run
    variance, so that the mean of k blocks varies by long_run / k; NaN: not judged, as of a channel
    that stood still or wanders without end. blocks: how many are behind it.
    """

    block_samples: int
    center: np.ndarray
    sigma: np.ndarray
    levels: np.ndarray
    mean: np.ndarray
    long_run: np.ndarray
    blocks: np.ndarray

    @property
    def mark(self) -> int:
        """A number of this reference; state of another one does not fit it."""
        arrays = (self.center, self.sigma, self.levels, self.mean, self.long_run, self.blocks)
        data = b"".join(np.asarray(array, np.float64).tobytes() for array in arrays)
        return zlib.crc32(data, self.block_samples)


class DriftState(msgspec.Struct, kw_only=True):
    """What is remembered of a stream against its reference. Vectors are (m,), of columns.

    samples, begin_ns, sums, known: of the block that is not full yet. held: (HELD_MAX, 1 + c) its
    newest scores and values, of which `waiting` are not in the sums yet. blocks (k, m) float32,
    begins (k,) ns: the newest ones, NaN: not known. score: -log10 p, NaN: cannot say yet; shift:
    of the mean, in its own unit. drifts: what has drifted; since_ns: since when; against: looks in
    a row that say otherwise. left_out: samples that did not count, by reason.
    """

    mark: int
    samples: int = 0
    begin_ns: int = 0
    sums: np.ndarray
    known: np.ndarray
    held: np.ndarray
    waiting: int = 0
    blocks: np.ndarray
    begins: np.ndarray
    score: np.ndarray
    shift: np.ndarray
    drifts: np.ndarray
    since_ns: np.ndarray
    against: np.ndarray
    left_out: dict[str, int] = {}

    @classmethod
    def empty(cls, reference: DriftReference) -> Self:
        """Nothing seen yet."""
        m = len(reference.mean)
        return cls(
            mark=reference.mark,
            sums=np.zeros(m),
            known=np.zeros(m - LEVELS, np.int64),
            held=np.zeros((HELD_MAX, 1 + len(reference.center)), np.float32),
            blocks=np.empty((0, m), np.float32),
            begins=np.empty(0, np.int64),
            score=np.full(m, np.nan),
            shift=np.full(m, np.nan),
            drifts=np.zeros(m, np.bool_),
            since_ns=np.zeros(m, np.int64),
            against=np.zeros(m, np.int64),
        )


def learn_drift(
    values: F64,
    scores: F64,
    *,
    center: F64,
    sigma: F64,
    wanders: Mask | None,
    period_ns: int,
) -> DriftReference | None:
    """What normal operation shows by blocks; None: the record is too short to say.

    values: (n, c) of normal running in time order, rows that do not count NaN; scores: (s,) of its
    rows under a detector that had not seen them, in time order, all finite. center, sigma: (c,).
    wanders: (c,) channels without a level of their own; None: none.
    """
    rows = values[np.isfinite(values).any(axis=1)]
    size = min(DAY_NS // period_ns // HORIZON_BLOCKS, min(len(rows), len(scores)) // RECORD_BLOCKS)
    size = max(int(size), BLOCK_SAMPLES_MIN)
    if min(len(rows), len(scores)) < size * BLOCKS_MIN:
        return None
    levels = np.quantile(scores, QUANTILES)
    over = _blocks_of((scores[:, None] > levels).astype(np.float64), size)
    z = deviations(rows, center, sigma)
    parts = [_blocks_of(part, size) for part in (z, np.abs(z))]
    known = [long_run_of(blocks, horizons=True) for blocks in (over, *parts)]
    mean, long_run, blocks = (np.concatenate(part) for part in zip(*known, strict=True))
    long_run[long_run <= 0.0] = np.nan
    if wanders is not None:
        long_run[LEVELS:][np.tile(wanders, 2)] = np.nan
    return DriftReference(
        block_samples=size,
        center=center,
        sigma=sigma,
        levels=levels,
        mean=mean,
        long_run=long_run,
        blocks=blocks,
    )


def with_drift(fit: AssetFit, live: F64, scores: F64, *, mode: F64 | None = None) -> AssetFit:
    """The fit with what its rows of running (n, c) and their scores show by blocks.

    scores: (n,), NaN: none; of a stream those that there are. mode: (n,) of each row. Rows of a
    mode with a baseline of its own count by that, so that another mixture of modes is no drift;
    beside such modes the others do not count. Where all modes share one baseline there is none.
    """
    row = fit.running
    own = [(value, mine) for value, mine in fit.modes if mine is not None]
    if len(fit.modes) > 1 and not own:
        return fit
    if own and mode is not None:
        alike, known = np.full(live.shape, np.nan), np.zeros(len(live), np.bool_)
        for value, mine in own:
            at = mode == value
            alike[at] = row.center + row.sigma * (live[at] - mine.center) / mine.sigma
            known |= at
        live, scores = alike, np.where(known, scores, np.nan)
    scores = scores[np.isfinite(scores)]
    reference = learn_drift(
        live,
        scores,
        center=row.center,
        sigma=row.sigma,
        wanders=getattr(row, "wanders", None),  # streams of one channel do not say
        period_ns=fit.period_ns,
    )
    return replace(fit, drift=reference)


def deviations(values: NDArray[np.floating], center: F64, sigma: F64) -> F64:
    """Values (n, c) in deviations of the fit, at most FAR_SIGMAS; NaN stays."""
    z: F64 = np.clip((values - center) / sigma, -FAR_SIGMAS, FAR_SIGMAS)
    return z


def _blocks_of(rows: F64, size: int) -> F64:
    """Means (k, m) over whole blocks of rows (n, m); NaN: too few values."""
    whole = rows[: len(rows) // size * size].reshape(-1, size, rows.shape[1])
    known = np.isfinite(whole).sum(axis=1)
    sums = np.nansum(whole, axis=1)
    return np.asarray(np.where(known >= KNOWN_MIN * size, sums / np.maximum(known, 1), np.nan))


def long_run_of(blocks: NDArray[np.floating], *, horizons: bool = False) -> tuple[F64, F64, F64]:
    """Mean, long-run variance and number (..., m) of blocks (..., k, m); variance NaN: too few.

    horizons: means over a horizon each count too, where there are enough; of blocks (k, m) alone.
    """
    x = np.asarray(blocks, np.float64)
    k, seen = x.shape[-2], np.isfinite(x)
    if k and seen.all():  # as mostly; the same by fewer steps
        count = np.full((*x.shape[:-2], x.shape[-1]), k)
        mean = x.sum(axis=-2) / np.maximum(count, 1)
        x = x - mean[..., None, :]
    else:
        count = seen.sum(axis=-2)
        mean = np.where(count > 0, np.nansum(x, axis=-2) / np.maximum(count, 1), np.nan)
        x = np.where(seen, x - mean[..., None, :], 0.0)
    # a block that is not known brings no variance; the others stand for it
    scale = k / np.maximum(count, 1)
    variance = scale * (2.0 / max(k, 1)) * np.square(_cosines(k) @ x).mean(axis=-2)
    if horizons and k >= HORIZONS_MIN * HORIZON_BLOCKS:
        totals = np.cumsum(np.vstack([np.zeros(x.shape[1]), x]), axis=0)
        windows = totals[HORIZON_BLOCKS:] - totals[:-HORIZON_BLOCKS]
        days = scale * np.square(windows).mean(axis=0) / HORIZON_BLOCKS
        variance = np.fmax(variance, days * k / (k - HORIZON_BLOCKS))
    judged = (count >= BLOCKS_MIN) & (2 * count >= k)
    return mean, np.where(judged, variance, np.nan), count.astype(np.float64)


@functools.lru_cache(maxsize=128)
def _cosines(blocks: int) -> F64:
    """The slowest cosines over so many blocks (terms, blocks)."""
    angles = np.outer(np.arange(1, terms_of(blocks) + 1), np.arange(blocks) + 0.5)
    return np.asarray(np.cos(angles * (math.pi / max(blocks, 1))))


def terms_of(blocks: int) -> int:
    """How many cosine transforms of so many blocks are slow movement."""
    return max(1, min(TERMS, blocks // BLOCKS_A_TERM))
