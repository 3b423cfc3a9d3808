"""The parts of a head: features, classes, folds, temperature and bound, each by itself."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from models.heads.features import KNEE, LOOKS, prefixes, window_features
from models.heads.fit import (
    RIDGE,
    Examples,
    Gaussians,
    calibrated,
    calibration_error,
    distances,
    fit_gaussians,
    folds_of,
    given_up,
    posterior,
    ratios,
    strangeness,
)


def test_features_of_a_window_by_hand() -> None:
    """Two values of one channel, one of another, none of a third."""
    values = np.array([[12.0, np.nan, np.nan], [16.0, 5.0, np.nan]])
    f, told = window_features(
        values, np.array([10.0, 5.0, 0.0]), np.array([0.5, 1.0, 1.0]), np.ones(3, bool)
    )
    assert told.tolist() == [True, True, False, False, False, False]
    assert np.allclose(f, [KNEE * math.log(1.0 + 2.0 / KNEE), 0.0, 0.0, 0.0, 0.0, 0.0])
    down, _ = window_features(
        8.0 - 6.0 * np.ones((4, 1)), np.array([10.0]), np.array([0.5]), np.ones(1, bool)
    )
    assert np.allclose(down, [-KNEE * math.log(1.0 + 4.0 / KNEE), 0.5 * math.log(0.01)])


def test_looks_double_and_end_with_the_window() -> None:
    """As an event is looked at: short windows once."""
    assert prefixes(3) == (3,)
    assert prefixes(4) == (4,)
    assert prefixes(20) == (4, 8, 16, 20)
    assert prefixes(10_000) == (*LOOKS, 10_000)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 5), st.integers(2, 6))
def test_marginals_are_those_of_the_covariance(seed: int, classes: int, width: int) -> None:
    """Leaving features out of the precision is leaving rows and columns out of the covariance."""
    chance = np.random.default_rng(seed)
    roots = chance.normal(size=(classes, width, width)) + 2.0 * np.eye(width)
    covariance = roots @ roots.transpose(0, 2, 1)
    model = Gaussians(
        mean=chance.normal(size=(classes, width)),
        precision=np.asarray(np.linalg.inv(covariance), np.float64),
        logdet=np.linalg.slogdet(covariance)[1],
    )
    f, told = chance.normal(size=(7, width)), chance.random((7, width)) < 0.6
    square, logdet, freedom = distances(model, f, told)
    for i in range(7):
        seen = told[i]
        for k in range(classes):
            part = covariance[k][np.ix_(seen, seen)]
            d = (f[i] - model.mean[k])[seen]
            assert math.isclose(square[i, k], d @ np.linalg.solve(part, d), abs_tol=1e-6)
            assert math.isclose(logdet[i, k], np.linalg.slogdet(part)[1], abs_tol=1e-6)
    assert freedom.tolist() == told.sum(axis=1).tolist()


def _examples(features: np.ndarray, label: np.ndarray, group: np.ndarray) -> Examples:
    m = len(label)
    return Examples(
        features=features,
        told=np.ones(features.shape, bool),
        label=label,
        group=group,
        window=np.arange(m),
        weight=np.ones(m),
        whole=np.ones(m, bool),
    )


def test_no_group_is_on_both_sides() -> None:
    """A fold holds whole groups; a class of one group is never held back."""
    label = np.repeat([0, 1, 2], 20)
    group = np.concatenate([np.arange(20) // 4, 10 + np.arange(20) // 10, np.full(20, 99)])
    fold = folds_of(_examples(np.zeros((60, 2)), label, group), 3, seed=0)
    for one in np.unique(group):
        assert len(np.unique(fold[group == one])) == 1
    assert (fold[label == 2] == -1).all()
    assert set(fold[label == 1].tolist()) == {0, 1}
    assert set(fold[label == 0].tolist()) == {0, 1, 2, 3, 4}


def test_few_windows_share_a_covariance_and_many_have_their_own() -> None:
    """Two classes, one five times as wide: its estimate moves to its own with its windows."""
    chance = np.random.default_rng(1)
    widths = []
    for each in (5, 2000):
        f = np.concatenate([chance.normal(size=(each, 3)), 5.0 * chance.normal(size=(each, 3))])
        label = np.repeat([0, 1], each)
        fit = fit_gaussians(_examples(f, label, np.arange(2 * each)), 2)
        widths.append(np.sqrt(1.0 / np.einsum("kff->kf", fit.precision[1:])).mean(axis=1))
    assert widths[0][1] / widths[0][0] < 2.0
    assert widths[1][1] / widths[1][0] > 4.0


def test_probabilities_hold_after_tempering() -> None:
    """Distances told eight times too large: the temperature takes it back, to what is true."""
    chance = np.random.default_rng(2)
    label = chance.integers(0, 2, 4000)
    x = chance.normal(size=4000) + 1.5 * label
    square = 8.0 * np.stack([np.zeros(4000), np.square(x), np.square(x - 1.5)], axis=1)
    level, share = np.zeros((4000, 3)), np.full(2, 0.02)
    found = calibrated(square, level, np.ones(4000), label, np.ones(4000), share=share)
    assert 7.0 < found.temperature < 9.0
    p = posterior(square, level, found.temperature)
    assert calibration_error(p.max(axis=1), p.argmax(axis=1) == label) < 0.03


def test_the_bounds_let_known_windows_through() -> None:
    """One in a hundred is too far away, and so many as are given up too unlike, in each class."""
    chance = np.random.default_rng(3)
    label = np.repeat([0, 1], 2000)
    size = np.where(label == 0, 1.0, 4.0)
    own = size * chance.chisquare(6, 4000)
    square, level = np.stack([0.0 * own, own, own], axis=1), np.zeros((4000, 3))
    share, freedom = np.array([0.2, 0.05]), np.full(4000, 6.0)
    found = calibrated(square, level, freedom, label, np.ones(4000), share=share)
    beyond = strangeness(own, freedom) > found.bound[label]
    unlike = ratios(square, level)[np.arange(4000), label] > found.ratio[label]
    assert 0.005 < beyond.mean() < 0.015
    for k in range(2):
        assert 0.002 < beyond[label == k].mean() < 0.025
        assert 0.7 * share[k] < unlike[label == k].mean() < 1.3 * share[k]


def test_calibration_error_by_hand() -> None:
    """Four answers at .95, three right; two at .55, both right: (4 x .2 + 2 x .45) / 6."""
    p = np.array([0.95] * 4 + [0.55] * 2)
    right = np.array([True, True, True, False, True, True])
    assert math.isclose(calibration_error(p, right), (4 * 0.2 + 2 * 0.45) / 6)


def test_the_unknown_class_lies_where_classes_may_lie_by_hand() -> None:
    """Two classes apart in one feature only: as wide there as they are apart, a share elsewhere."""
    near = np.array([[-1.0, -1.0], [1.0, -1.0], [-1.0, 1.0], [1.0, 1.0]])
    aside = np.array([3.0, 0.0])
    f = np.concatenate([near + aside, near - aside])
    fit = fit_gaussians(_examples(f, np.repeat([0, 1], 4), np.arange(8)), 2)
    anywhere, known = (np.linalg.inv(fit.precision[i]) for i in (0, 1))
    within = 8.0 / 6.0 * (1.0 + RIDGE)  # of each feature, two means fitted
    assert np.allclose(fit.mean, [[0.0, 0.0], [3.0, 0.0], [-3.0, 0.0]])
    apart = 18.0 / within  # of the means 3 and -3, over one class less
    drawn = (np.array([apart, 0.0]) + 2.0 * (apart / 2.0)) / 3.0
    assert np.allclose(anywhere, known + np.diag(drawn * within), rtol=1e-3, atol=1e-3)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 5), st.integers(1, 8))
def test_far_out_the_unknown_class_is_likelier(seed: int, classes: int, width: int) -> None:
    """In no direction is a class wider than the unknown one by more than their number."""
    chance = np.random.default_rng(seed)
    label = np.tile(np.arange(classes), 12)
    f = chance.normal(size=(len(label), width)) * np.exp(chance.normal(size=width))
    fit = fit_gaussians(_examples(f, label, np.arange(len(label))), classes)
    covariance = np.linalg.inv(fit.precision)
    for k in range(1, 1 + classes):
        assert np.linalg.eigvalsh(classes * covariance[0] - covariance[k]).min() > -1e-9


def test_few_groups_give_up_more() -> None:
    """Four machines a fifth, twenty a twenty-fifth, many the least; of normal always a fifth."""
    label = np.repeat([0, 1, 2, 3], 400)
    group = np.concatenate(
        [np.arange(400), 1000 + np.arange(400) % 4, 2000 + np.arange(400) % 20, 3000 + label[:400]]
    )
    group[1200:] = 3000 + np.arange(400)
    some = _examples(np.zeros((1600, 1)), label, group)
    assert np.allclose(given_up(some, 4, normal=True), [0.2, 0.2, 0.04, 0.02])
    assert np.allclose(given_up(some, 4, normal=False), [0.02, 0.2, 0.04, 0.02])
