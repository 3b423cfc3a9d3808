"""VUS-PR: by hand, and against the paper's formulas written out row by row."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.bench.vus import score_vus_pr
from models.errors import ModelError


def test_without_buffer_and_with_single_anomalies_by_hand() -> None:
    """Labels at the first and third of four ranks, one range each: recall .25 at first, then 1.

    Ranks:  1 (anomaly)  2 (normal)  3 (anomaly)  4 (normal)
    found / 2 x ranges found / 2:  .5 x .5    .25   1 x 1   1;  precision 1, 1/2, 2/3, 1/2
    """
    scores = np.array([0.9, 0.8, 0.7, 0.1])
    truth = np.array([True, False, True, False])
    area = 0.25 * (1 + 1) / 2 + 0.75 * (1 / 2 + 2 / 3) / 2
    assert score_vus_pr(scores, truth, buffer_rows_max=0) == pytest.approx(area)


def test_a_buffer_of_two_rows_by_hand() -> None:
    """Neighbours of the anomaly count sqrt(1/2); lengths 0 and 1 have no neighbour, 2 has one."""
    scores = np.array([0.0, 0.0, 3.0, 2.0, 0.0, 0.0])
    truth = np.array([False, False, False, True, False, False])
    side = math.sqrt(0.5)
    plain = 1.0 * (0.0 + 0.5) / 2  # the first flagged row is normal, the second the anomaly
    positive = (1 + 1 + 2 * side) / 2
    recalls = [0.0, side / positive, min((side + 1) / positive, 1.0), 1.0]
    precisions = [1.0, side, (side + 1) / 2, (2 * side + 1) / 6]
    buffered = sum(
        (recalls[k + 1] - recalls[k]) * (precisions[k + 1] + precisions[k]) / 2 for k in range(3)
    )
    # Recall 0 at the first row without a buffer: from precision 1 down to 0 at no width.
    told = score_vus_pr(scores, truth, buffer_rows_max=2)
    assert told == pytest.approx((plain + plain + buffered) / 3)


def test_the_truth_as_score_is_nearly_perfect_and_no_anomaly_is_no_figure() -> None:
    """Without a buffer the truth itself scores 1; without labels there is nothing to say."""
    truth = np.zeros(200, np.bool_)
    truth[50:80] = True
    assert score_vus_pr(truth.astype(float), truth, buffer_rows_max=0) == pytest.approx(1.0)
    assert score_vus_pr(truth.astype(float), truth, buffer_rows_max=20) > 0.9
    assert math.isnan(score_vus_pr(np.zeros(9), np.zeros(9, np.bool_)))


def test_what_is_not_ready_comes_last() -> None:
    """NaN is as if it scored below everything else."""
    truth = np.array([False, True, True, False, False])
    scores = np.array([math.nan, 0.5, math.nan, 0.2, 0.1])
    low = np.array([-9.0, 0.5, -9.0, 0.2, 0.1])
    assert score_vus_pr(scores, truth) == score_vus_pr(low, truth)


def test_scores_of_another_length_are_refused() -> None:
    """They belong to another file."""
    with pytest.raises(ModelError, match="expected"):
        score_vus_pr(np.zeros(3), np.zeros(4, np.bool_))


def _slow(scores: list[float], truth: list[bool], longest: int) -> float:
    """The paper's formulas, one buffer, one threshold, one row after the other."""
    n = len(scores)
    at = [i for i in range(n) if truth[i]]
    begins = [i for i in at if i - 1 not in at]
    ends = [i for i in at if i + 1 not in at]
    areas = []
    for length in range(longest + 1):
        labels = []
        for i in range(n):
            label = float(truth[i])
            for begin, end in zip(begins, ends, strict=True):
                away = begin - i if i < begin else i - end
                if 0 < away <= length // 2:
                    label += math.sqrt(1 - away / length)
            labels.append(min(label, 1.0))
        wide: list[list[int]] = []
        for i in range(n):
            if labels[i] > 0:
                if wide and wide[-1][-1] == i - 1:
                    wide[-1].append(i)
                else:
                    wide.append([i])
        positive = (sum(truth) + sum(labels)) / 2
        curve = [(0.0, 1.0)]
        for threshold in sorted(set(scores), reverse=True):
            flagged = [i for i in range(n) if scores[i] >= threshold]
            found = sum(labels[i] for i in flagged)
            exist = sum(any(i in flagged for i in rows) for rows in wide) / len(wide)
            curve.append((min(found / positive, 1.0) * exist, found / len(flagged)))
        areas.append(sum((b[0] - a[0]) * (b[1] + a[1]) / 2 for a, b in itertools.pairwise(curve)))
    return sum(areas) / len(areas)


@given(
    st.lists(st.tuples(st.sampled_from([0.0, 0.1, 0.5, 0.8, 2.0]), st.booleans()), min_size=2),
    st.integers(0, 9),
)
def test_the_fast_way_is_the_papers(rows: list[tuple[float, bool]], longest: int) -> None:
    """Ties, buffers that overlap or touch, anomalies at both ends of the file."""
    scores, truth = [s for s, _ in rows], [t for _, t in rows]
    if not any(truth):
        truth[0] = True
    told = score_vus_pr(np.array(scores), np.array(truth), buffer_rows_max=longest)
    assert told == pytest.approx(_slow(scores, truth, longest), abs=1e-12)
