"""Principal components against their slow twin, and what they promise under masks and cuts."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from models.bundles.rows import without
from models.bundles.tabled_kinds import PcaSpec
from models.fitting.components import PLANE_SHARE, plane_and_rest
from tests.models.tabled_plants import block, bundle, detector, line
from tests.oracles_pca import PcaTwin


def twins() -> list[PcaTwin]:
    """One for each row."""
    made = []
    own = bundle("pca").only.parameters
    spec = bundle("pca").only.spec
    assert isinstance(spec, PcaSpec)
    for row in range(2):
        p = {name: value[row].astype(np.float64) for name, value in own.items()}
        made.append(
            PcaTwin(
                spec=spec,
                center=p["center"],
                scale=p["scale"],
                present=own["present"][row],
                covariance=p["covariance"],
                components=round(float(np.trace(p["plane"] @ p["covariance"]))),
                knots=p["tail_knots"],
                slopes=p["tail_slopes"],
                fusion=float(p["fusion"][0]),
                settle=float(p["settle"][0]),
            )
        )
    return made


@pytest.mark.parametrize("holes", [0.0, 0.2])
def test_scores_equal_the_slow_twin(holes: float) -> None:
    """Sample by sample with dense solves comes to the same, with and without holes."""
    x, valid = block(90, seed=5, holes=holes)
    score, _ = detector("pca").score(
        x, valid, detector("pca").initial_state(2), bundle("pca").only.parameters
    )
    for row, twin in enumerate(twins()):
        told = [
            twin.step(values.astype(np.float64), seen)
            for values, seen in zip(x[row], valid[row], strict=True)
        ]
        assert np.allclose(score[row], told, rtol=5e-3, atol=5e-3, equal_nan=True)
        assert np.nanmax(score[row]) > 2.0
    assert np.isnan(score[:, :3]).all(), "a start settles"
    assert np.isfinite(score[:, 3 : 90 // 3]).all()


def test_a_row_without_channels_is_that_of_the_others_alone() -> None:
    """What a job's masked row is scored with is solved anew, as a fit of the rest would be."""
    keep = np.array([True, False, True, True, True])
    derived = without(bundle("pca"), 0, keep)
    square = bundle("pca").only.parameters["covariance"][0].astype(np.float64)
    _, plane, rest = plane_and_rest(square[np.ix_(keep, keep)], np.ones(4, bool))
    assert np.allclose(derived["plane"][0][np.ix_(keep, keep)], plane, atol=1e-5)
    assert np.allclose(derived["rest"][0][np.ix_(keep, keep)], rest, atol=1e-5)
    assert (derived["plane"][0][1] == 0.0).all()
    x, valid = block(60, seed=3, holes=0.0)
    wild = x.copy()
    wild[:, :, 1] = 1e6
    start = detector("pca").initial_state(1)
    ours, _ = detector("pca").score(x[:1], valid[:1], start, derived)
    theirs, _ = detector("pca").score(wild[:1], valid[:1], start, derived)
    assert np.array_equal(ours, theirs, equal_nan=True)


def test_a_broken_relation_is_found_where_each_channel_is_usual() -> None:
    """What no channel shows alone leaves the plane."""
    values = line(400, seed=11)
    values[200:260, 4] = line(400, seed=12)[200:260, 4]  # of another day: the same range
    x = values.astype(np.float32)[None]
    own = {name: value[:1] for name, value in bundle("pca").only.parameters.items()}
    score, _ = detector("pca").score(
        x, np.ones(x.shape, bool), detector("pca").initial_state(1), own
    )
    assert np.median(score[0, 205:260]) > 1.3
    assert np.max(score[0, 205:260]) > 3.0
    assert np.median(score[0, 20:200]) < 0.5


def test_forms_of_a_covariance_worked_out_by_hand() -> None:
    """Two channels of correlation 0.95: one component along the diagonal, the rest across."""
    covariance = np.array([[1.0, 0.95], [0.95, 1.0]])
    own, plane, rest = plane_and_rest(covariance, np.ones(2, bool))
    assert np.allclose(own, covariance)
    assert np.allclose(plane, np.full((2, 2), 0.5 / 1.95))
    assert np.allclose(rest, [[0.5, -0.5], [-0.5, 0.5]])
    assert PLANE_SHARE < 1.95 / 2.0


def test_deviates_are_normal_where_the_plant_is() -> None:
    """Wilson and Hilferty's cube root makes T-squared and Q of normal values normal deviates."""
    x = line(20_000, seed=13).astype(np.float32)[None]
    own = {name: value[:1] for name, value in bundle("pca").only.parameters.items()}
    _, told = detector("pca").deviates(x, np.ones(x.shape, bool), own)
    for view in (0, 2):  # at rate 1, T and Q
        at = np.quantile(told[0, 100:, view], [0.5, 0.9, 0.99])
        assert np.allclose(at, stats.norm.ppf([0.5, 0.9, 0.99]), atol=0.25)
