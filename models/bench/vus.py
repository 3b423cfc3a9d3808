"""Volume under the surface of range-based precision and recall: a threshold-free figure.

Paparrizos et al. 2022, "Volume Under the Surface: A New Accuracy Evaluation Measure for Time-Series
Anomaly Detection", doi:10.14778/3551793.3551830, in the form in which its authors' later benchmark
scores (Liu and Paparrizos 2024, "The Elephant in the Room: Towards A Reliable Time-Series Anomaly
Detection Benchmark", TSB-AD). For a buffer of l rows a label is continuous:

    row at distance d <= l/2 from an anomaly:  sqrt(1 - d / l), sums over anomalies cut at 1

Of the rows that score t or more, N(t) in number, let H(t) be those in an anomaly, B(t) the sum of
the labels of the others, and E(t) the share of anomalies with their buffers that hold one of them
(anomalies whose buffers overlap are one). P is the number of anomalous rows.

    recall = min((H + B) / (P + B / 2), 1) E        precision = (H + B) / N

The area is the sum over falling t of precision times what recall grew by, as in average precision,
and the volume is its mean over l = 0 ... L. Here t takes each distinct score, where the authors'
code takes 250 by rank. The first paper drew straight lines between the points, from precision 1 at
recall 0 on: a score that is the same everywhere then has 0.5 and more, where here it has the share
of anomalous rows.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np

from models.bench.judged import stretches
from models.errors import ModelError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from models.bench.judged import Rows

    F64 = NDArray[np.float64]

BUFFER_ROWS_MAX: Final = 100  # L; one length for all files, so that nothing is fitted to them


def score_vus_pr(
    scores: F64, truth: NDArray[np.bool_], *, buffer_rows_max: int = BUFFER_ROWS_MAX
) -> float:
    """VUS-PR, 0 to 1, of scores (n,) against labels (n,); NaN where no row is anomalous.

    A score that is NaN, not ready, comes after all others. Raises ModelError for other lengths.
    """
    if scores.shape != truth.shape or scores.ndim != 1:
        raise ModelError(f"scores {scores.shape} and labels {truth.shape}: expected (n,) both")
    ranges = stretches(truth)
    if not ranges:
        return math.nan
    known = np.nan_to_num(scores, nan=-np.inf, posinf=np.inf, neginf=-np.inf)
    order = np.argsort(-known, kind="stable")
    ends = np.flatnonzero(np.append(known[order][1:] != known[order][:-1], True))
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    areas = [_area(truth, ranges, order, ends, rank, rows) for rows in range(buffer_rows_max + 1)]
    return float(np.mean(areas))


def _area(
    truth: NDArray[np.bool_],
    ranges: tuple[Rows, ...],
    order: NDArray[np.int64],
    ends: NDArray[np.int64],
    rank: NDArray[np.int64],
    buffer_rows: int,
) -> float:
    """Area under the curve for one buffer. ends: the last rank of each distinct score."""
    labels = _buffered(truth, ranges, buffer_rows)
    found = np.cumsum(labels[order])[ends]
    beside = np.cumsum(np.where(truth, 0.0, labels)[order])[ends]
    wide = _widened(ranges, buffer_rows // 2, len(truth))
    first = np.sort([int(rank[a:b].min()) for a, b in wide])
    exist = np.searchsorted(first, ends, side="right") / len(wide)
    recall = np.minimum(found / (float(truth.sum()) + beside / 2.0), 1.0) * exist
    return float(np.sum(np.diff(recall, prepend=0.0) * found / (ends + 1.0)))


def _widened(ranges: tuple[Rows, ...], half: int, rows: int) -> list[Rows]:
    """Ranges with their buffers; those whose buffers share a row are one."""
    wide: list[Rows] = []
    for begin, end in ranges:
        a, b = max(begin - half, 0), min(end + half, rows)
        if wide and a < wide[-1][1]:
            wide[-1] = (wide[-1][0], b)
        else:
            wide.append((a, b))
    return wide


def _buffered(truth: NDArray[np.bool_], ranges: tuple[Rows, ...], buffer_rows: int) -> F64:
    """Continuous labels (n,): 1 in a range, falling over half the buffer on each side of it."""
    labels = truth.astype(np.float64)
    half = buffer_rows // 2
    if not half:
        return labels
    slope = np.sqrt(1.0 - np.arange(1, half + 1) / buffer_rows)
    for begin, end in ranges:
        after = labels[end : end + half]
        after += slope[: len(after)]
        before = labels[max(begin - half, 0) : begin][::-1]
        before += slope[: len(before)]
    return np.minimum(labels, 1.0)
