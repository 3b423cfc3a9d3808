"""VUS-PR: by hand, and against the formulas written out row by row."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.bench.vus import score_vus_pr
from models.errors import ModelError


def test_without_buffer_and_with_single_anomalies_by_hand() -> None:
    """Labels at the first and third of four ranks, one range each: recall .25, then 1.

    Ranks:  1 (anomaly)  2 (normal)  3 (anomaly)  4 (normal)
    found / 2 x ranges found / 2:  .5 x .5    .25   1 x 1   1;  precision 1, 1/2, 2/3, 1/2
    """
    scores = np.array([0.9, 0.8, 0.7, 0.1])
    truth = np.array([True, False, True, False])
    area = 0.25 * 1.0 + 0.75 * 2 / 3
    assert score_vus_pr(scores, truth, buffer_rows_max=0) == pytest.approx(area)


def test_a_buffer_of_two_rows_by_hand() -> None:
    """Neighbours of the anomaly count sqrt(1/2); lengths 0 and 1 have no neighbour, 2 has one."""
    scores = np.array([0.0, 0.0, 3.0, 2.0, 0.0, 0.0])
    truth = np.array([False, False, False, True, False, False])
    side = math.sqrt(0.5)
    plain = 1.0 * 0.5  # the first flagged row is normal, the second the anomaly
    recalls = [0.0, side / (1 + side / 2), 1.0]  # the second would be over 1
    assert (1 + side) / (1 + side / 2) > 1.0
    precisions = [side / 1, (1 + side) / 2]
    buffered = sum((recalls[k + 1] - recalls[k]) * precisions[k] for k in range(2))
    told = score_vus_pr(scores, truth, buffer_rows_max=2)
    assert told == pytest.approx((plain + plain + buffered) / 3)


def test_the_truth_as_score_is_nearly_perfect_and_no_anomaly_is_no_figure() -> None:
    """Without a buffer the truth itself scores 1; without labels there is nothing to say."""
    truth = np.zeros(200, np.bool_)
    truth[50:80] = True
    assert score_vus_pr(truth.astype(float), truth, buffer_rows_max=0) == pytest.approx(1.0)
    assert score_vus_pr(truth.astype(float), truth, buffer_rows_max=20) > 0.9
    assert math.isnan(score_vus_pr(np.zeros(9), np.zeros(9, np.bool_)))


def test_a_score_that_is_the_same_everywhere_has_the_share_of_anomalous_rows() -> None:
    """No information is no merit; with buffers a little more, as they count as found."""
    truth = np.arange(100) >= 80
    assert score_vus_pr(np.zeros(100), truth, buffer_rows_max=0) == pytest.approx(0.2)
    assert 0.2 < score_vus_pr(np.full(100, math.nan), truth, buffer_rows_max=10) < 0.25


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
    """The formulas, one buffer, one threshold, one row after the other."""
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
        wide: list[set[int]] = []
        for begin, end in zip(begins, ends, strict=True):
            reach = set(range(begin - length // 2, end + length // 2 + 1)) & set(range(n))
            if wide and wide[-1] & reach:
                wide[-1] |= reach
            else:
                wide.append(reach)
        area = before = 0.0
        for threshold in sorted(set(scores), reverse=True):
            flagged = {i for i in range(n) if scores[i] >= threshold}
            found = sum(labels[i] for i in flagged)
            # The authors' sum of labels: anomalous rows, and buffer rows where they are flagged.
            total = sum(labels[i] for i in range(n) if truth[i] or i in flagged)
            exist = sum(bool(rows & flagged) for rows in wide) / len(wide)
            recall = min(found / ((sum(truth) + total) / 2), 1.0) * exist
            area += (recall - before) * found / len(flagged)
            before = recall
        areas.append(area)
    return sum(areas) / len(areas)


@given(
    st.lists(st.tuples(st.sampled_from([0.0, 0.1, 0.5, 0.8, 2.0]), st.booleans()), min_size=2),
    st.integers(0, 9),
)
def test_the_fast_way_is_the_slow_one(rows: list[tuple[float, bool]], longest: int) -> None:
    """Ties, buffers that overlap or touch, anomalies at both ends of the file."""
    scores, truth = [s for s, _ in rows], [t for _, t in rows]
    if not any(truth):
        truth[0] = True
    told = score_vus_pr(np.array(scores), np.array(truth), buffer_rows_max=longest)
    assert told == pytest.approx(_slow(scores, truth, longest), abs=1e-12)
