"""The score of the Numenta Anomaly Benchmark: sigmoids over windows, one threshold for all files.

Lavin and Ahmad 2015, "Evaluating Real-time Anomaly Detection Algorithms - the Numenta Anomaly
Benchmark", doi:10.1109/ICMLA.2015.141; the edges are those of the sweep that its tools use since
2016 (version 1.1), in our own words:

    S(y) = 2 / (1 + exp(5 y)) - 1                     y >= 3: -1
    row i of a window [b, r]:   y = (i - r - 1) / (r - b + 1), worth  A_tp S(y) / S(-1)
    row i after window [b, r]:  y = (i - r) / (r - b),         worth  A_fp S(y)
    row i before any window:                                   worth -A_fp

Of a window only its best flagged row counts, -A_fn where there is none; every flagged row outside
counts. The first rows of a file are on probation: they count in no way, and a window that lies in
them altogether is missed by everybody. 0 is a detector that says nothing, 100 the perfect one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np

from models.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from models.bench.judged import Rows

    F64 = NDArray[np.float64]

PROBATION_SHARE: Final = 0.15
PROBATION_ROWS_MAX: Final = 750
FAR_BEHIND: Final = 3.0  # window widths; a false positive further behind costs the whole weight
OUTSIDE: Final = -1
PROBATION: Final = -2


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """What an application pays and gains: weights of found, missed and falsely flagged."""

    name: str
    true_positive: float = 1.0
    false_negative: float = 1.0
    false_positive: float = 0.11


STANDARD: Final = "standard"
LOW_FP: Final = "reward_low_FP_rate"
LOW_FN: Final = "reward_low_FN_rate"
PROFILES: Final = (
    Profile(name=STANDARD),
    Profile(name=LOW_FP, false_positive=0.22),
    Profile(name=LOW_FN, false_negative=2.0),
)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Scored:
    """A file's scores (n,), NaN: not ready, never flagged; and its windows, in order, apart."""

    scores: F64
    windows: tuple[Rows, ...]


class NabScore(msgspec.Struct, frozen=True, kw_only=True):
    """Outcome of one profile.

    score: 0 to 100, below 0 for worse than silence   threshold: rows at or over it are flagged
    files: each file's points before they are normalised
    """

    score: float
    threshold: float
    files: tuple[float, ...]


def probation_rows(rows: int) -> int:
    """First rows of a file that are not scored and may be learned from."""
    return min(math.floor(PROBATION_SHARE * rows), PROBATION_ROWS_MAX)


def scaled_sigmoid(position: F64) -> F64:
    """S of positions (n,): -1 is a window's first row, 0 its end, more is behind it."""
    inside = np.minimum(position, FAR_BEHIND)
    return np.asarray(np.where(position >= FAR_BEHIND, -1.0, 2.0 / (1.0 + np.exp(5 * inside)) - 1))


def row_worth(
    rows: int, windows: Sequence[Rows], profile: Profile
) -> tuple[F64, NDArray[np.int64]]:
    """What flagging each of `rows` rows brings (n,), and which window it is in (n,).

    OUTSIDE and PROBATION stand for none. Raises ModelError for windows that overlap, are empty, out
    of order or beyond the file.
    """
    position = np.full(rows, FAR_BEHIND)
    member = np.full(rows, OUTSIDE)
    before = 0
    for k, (begin, end) in enumerate(windows):
        if not before <= begin < end <= rows:
            raise ModelError(
                f"window {k} is rows {begin} to {end} of {rows}: expected windows in order, apart,"
                " not empty and within the file"
            )
        member[begin:end] = k
        position[begin:end] = (np.arange(begin, end) - end) / (end - begin)
        # A window of one row has no width to measure by; what follows it is far behind.
        width = end - begin - 1
        position[end:] = np.arange(1, rows - end + 1) / width if width else FAR_BEHIND
        before = end
    worth = scaled_sigmoid(position)
    best = float(scaled_sigmoid(np.array([-1.0]))[0])
    found = worth * profile.true_positive / best
    worth = np.where(member >= 0, found, worth * profile.false_positive)
    member[: probation_rows(rows)] = PROBATION
    return worth, member


def score_nab(
    files: Sequence[Scored], profile: Profile, *, threshold: float | None = None
) -> NabScore:
    """Score a corpus with a threshold, or with the best of all, as NAB does.

    Of thresholds that do equally well the highest is taken; one that flags nothing is just over the
    highest score. Raises ModelError without a window, or with windows as `row_worth` refuses.
    """
    windows_total = sum(len(file.windows) for file in files)
    if not windows_total:
        raise ModelError("no file has a window, so there is nothing to find: give the labels")
    if threshold is None:
        threshold = best_threshold(files, profile)
    points = tuple(_points(file, profile, threshold) for file in files)
    null = sum(_points(file, profile, math.inf) for file in files)
    perfect = windows_total * profile.true_positive
    score = 100.0 * (sum(points) - null) / (perfect - null)
    return NabScore(score=score, threshold=threshold, files=points)


def best_threshold(files: Sequence[Scored], profile: Profile) -> float:
    """The one threshold at which a corpus scores best under a profile."""
    scores, gains = [], []
    for file in files:
        worth, member = row_worth(len(file.scores), file.windows, profile)
        counts = (member != PROBATION) & ~np.isnan(file.scores)
        scores.append(file.scores[counts])
        gains.append(_gains(file.scores[counts], worth[counts], member[counts], profile))
    score, gain = np.concatenate(scores), np.concatenate(gains)
    if not len(score):
        return math.inf
    order = np.argsort(-score, kind="stable")
    score, total = score[order], np.cumsum(gain[order])
    last = np.flatnonzero(np.append(np.diff(score) != 0, True))  # of each run of equal scores
    best = int(np.argmax(total[last]))
    silent = float(np.nextafter(score[0], math.inf))
    return float(score[last[best]]) if total[last[best]] > 0 else silent


def _gains(scores: F64, worth: F64, member: NDArray[np.int64], profile: Profile) -> F64:
    """What each row adds when rows are flagged from the highest score down, all (n,)."""
    gain = np.where(member == OUTSIDE, worth, 0.0)
    for k in np.unique(member[member >= 0]):
        rows = np.flatnonzero(member == k)
        rows = rows[np.argsort(-scores[rows], kind="stable")]
        reached = np.maximum.accumulate(worth[rows])
        gain[rows] = np.diff(reached, prepend=-profile.false_negative)
    return gain


def _points(file: Scored, profile: Profile, threshold: float) -> float:
    """Points of one file at a threshold."""
    worth, member = row_worth(len(file.scores), file.windows, profile)
    flagged = np.nan_to_num(file.scores, nan=-np.inf) >= threshold
    points = float(worth[flagged & (member == OUTSIDE)].sum())
    for k in np.unique(member[member >= 0]):
        found = worth[flagged & (member == k)]
        points += float(found.max()) if len(found) else -profile.false_negative
    return points
