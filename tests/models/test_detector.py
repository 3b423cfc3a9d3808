"""The detector graph against its slow twin, under every cut and mask."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.bundles.bundle import PARAMETERS, Bundle
from models.bundles.rows import graph_of
from models.detector import detector_of
from models.detector_var import HOT_ROWS_MIN, HOT_VALUES_MAX, Detector
from models.errors import ModelError
from tests.models.plants import plant, two_assets
from tests.oracles_detector import oracle_row

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from models.detector import AnyDetector

    F32 = NDArray[np.float32]
    Mask = NDArray[np.bool_]

TOLERANCE = 1e-5  # of a score, relative above 1: float32 sums in another order


@functools.cache
def _bundle() -> Bundle:
    return two_assets()


@functools.cache
def _detector() -> AnyDetector:
    return detector_of(_bundle().only.graph)


def _stream(n: int, *, seed: int, holes: float) -> tuple[F32, Mask]:
    """Samples of both assets (2, n, 4) with random holes, a gap, and a fault."""
    chance = np.random.default_rng(seed)
    x = np.zeros((2, n, 4), np.float32)
    x[0], x[1, :, :3] = plant(n, seed=seed), plant(n, seed=seed + 1, c=3)
    x[0, n // 2 :, 1] += np.float32(4 * _bundle().assets[0].sigma[1])
    valid = chance.random(x.shape) >= holes
    valid[:, : n // 4] = True  # the short way too
    valid[1, n // 3 : n // 3 + 2] = False
    valid[1, :, 3] = False
    x[~valid] = chance.choice(np.array([np.nan, np.inf, -1e30, 7.0], np.float32), (~valid).sum())
    return x, valid


def _with_stops(valid: Mask, *, seed: int) -> Mask:
    """The same (a, n, c) with each row standing still for a third of the time, in stretches."""
    stopped = np.zeros(valid.shape[:2], np.bool_)
    rng = np.random.default_rng(seed)
    for row in stopped:
        row[:] = np.repeat(rng.random(len(row) // 7 + 1) < 1 / 3, 7)[: len(row)]
    return valid & ~stopped[:, :, None]


def _same(a: F32, b: NDArray[np.floating], tolerance: float = TOLERANCE) -> bool:
    close = np.abs(a - b) <= tolerance * np.maximum(1.0, np.abs(b))
    return bool((close | (np.isnan(a) & np.isnan(b))).all())


@pytest.mark.parametrize("stops", [False, True])
@pytest.mark.parametrize("holes", [0.0, 0.1, 0.6])
def test_scores_and_shares_equal_the_slow_twin(holes: float, *, stops: bool) -> None:
    """A loop in float64, written by the book, comes to the same under any mask."""
    x, valid = _stream(160, seed=3, holes=holes)
    valid = _with_stops(valid, seed=3) if stops else valid
    detector, state = _detector(), _detector().initial_state(2)
    score, _ = detector.score(x, valid, state, _bundle().only.parameters)
    shares = detector.contribute(x, valid, state, _bundle().only.parameters)
    for row in range(2):
        twin = oracle_row(_bundle().only, row)
        steps = [twin.step(x[row, t].astype(np.float64), valid[row, t]) for t in range(160)]
        assert _same(score[row], np.array([step[0] for step in steps]), 1e-3)
        assert np.abs(shares[row] - np.array([step[1] for step in steps])).max() < 1e-3
    assert np.nanmax(score[0]) > 3.0


@settings(max_examples=25)
@given(
    sizes=st.lists(st.integers(1, 40), min_size=1, max_size=12),
    seed=st.integers(0, 1000),
    holes=st.sampled_from([0.0, 0.05, 0.5]),
    stops=st.booleans(),
)
def test_the_cut_of_a_stream_changes_nothing(
    sizes: list[int], seed: int, holes: float, *, stops: bool
) -> None:
    """One call, many calls, single samples: the same scores and the same state."""
    n = sum(sizes)
    x, valid = _stream(max(n, 8), seed=seed, holes=holes)
    x, valid = x[:, :n], valid[:, :n]
    valid = _with_stops(valid, seed=seed) if stops else valid
    detector, parameters = _detector(), _bundle().only.parameters
    whole, end = detector.score(x, valid, detector.initial_state(2), parameters)
    state, parts, at = detector.initial_state(2), [], 0
    for size in sizes:
        block = slice(at, at + size)
        part, state = detector.score(x[:, block], valid[:, block], state, parameters)
        parts.append(part)
        at += size
    assert _same(np.concatenate(parts, axis=1), whole)
    assert np.abs(state - end).max() < TOLERANCE * max(1.0, float(np.abs(end).max()))


def test_the_short_way_equals_the_long_way() -> None:
    """A complete block scores the same where the caller does not say that it is complete."""
    x = np.zeros((2, 60, 4), np.float32)
    x[0], x[1, :, :3] = plant(60, seed=5), plant(60, seed=6, c=3)
    bundle, detector = _bundle(), _detector()
    valid = np.repeat(bundle.only.parameters["present"][:, None], 60, axis=1)
    cold = detector.initial_state(2)
    _, warm = detector.score(x[:, :10], valid[:, :10], cold, bundle.only.parameters)
    feed = {name: bundle.only.parameters[name] for name in PARAMETERS}
    feed |= {"x": x[:, 10:], "valid": valid[:, 10:], "state": warm}
    feed["explain"] = np.ones((), np.bool_)
    told = {}
    for complete in (True, False):
        feed["complete"] = np.full((), complete)
        names = ["score", "state_out", "contribution"]
        assert isinstance(detector, Detector)
        told[complete] = detector._session.run(names, feed)
    assert _same(told[True][0], told[False][0])
    assert np.abs(told[True][2] - told[False][2]).max() < TOLERANCE * 10
    assert np.abs(told[True][1] - told[False][1]).max() < TOLERANCE * 10


@settings(max_examples=25)
@given(seed=st.integers(0, 10_000), holes=st.sampled_from([0.05, 0.3, 0.9]))
def test_invalid_values_have_no_influence_at_all(seed: int, holes: float) -> None:
    """Whatever stands where valid is False: scores, states and shares stay the same to the bit."""
    x, valid = _stream(40, seed=seed, holes=holes)
    other = x.copy()
    other[~valid] = np.random.default_rng(seed).normal(scale=1e5, size=(~valid).sum())
    detector, parameters = _detector(), _bundle().only.parameters
    state = detector.initial_state(2)
    for one, two in zip(
        (
            *detector.score(x, valid, state, parameters),
            detector.contribute(x, valid, state, parameters),
        ),
        (
            *detector.score(other, valid, state, parameters),
            detector.contribute(other, valid, state, parameters),
        ),
        strict=True,
    ):
        assert np.array_equal(one, two, equal_nan=True)


def test_nan_until_ready_and_after_a_gap() -> None:
    """The first lags and settling samples have no score, nor after a gap; none is 0 instead."""
    bundle, detector = _bundle(), _detector()
    parameters = {name: value[:1].copy() for name, value in bundle.only.parameters.items()}
    parameters["settle"][:] = 3
    x = plant(40, seed=9).astype(np.float32)[None]
    valid = np.ones(x.shape, np.bool_)
    valid[0, 20] = False
    score, _ = detector.score(x, valid, detector.initial_state(1), parameters)
    silent = np.flatnonzero(np.isnan(score[0])).tolist()
    assert silent == [0, 1, 2, 3, 4, 20, 21, 22, 23, 24, 25]


def test_after_a_long_gap_nothing_reminds_of_what_was_before() -> None:
    """However disturbed a row was, it scores like one that has seen nothing."""
    detector, parameters = _detector(), _bundle().only.parameters
    x, valid = _stream(60, seed=4, holes=0.0)
    _, state = detector.score(10.0 * x, valid, detector.initial_state(2), parameters)
    for _ in range(10):
        _, state = detector.score(x, np.zeros_like(valid), state, parameters)
    after, _ = detector.score(x, valid, state, parameters)
    fresh, _ = detector.score(x, valid, detector.initial_state(2), parameters)
    assert np.nanmax(fresh) > 0.0
    assert _same(after, fresh)


def test_a_short_gap_makes_old_disturbance_count_less() -> None:
    """The longer nothing was seen, the nearer the next score is to normal."""
    detector, parameters = _detector(), _bundle().only.parameters
    x, valid = _stream(100, seed=4, holes=0.0)
    _, state = detector.score(x + 100.0, valid, detector.initial_state(2), parameters)
    next_scores = []
    for gap in (1, 10, 30, 60):
        _, after = detector.score(x[:, :gap], np.zeros_like(valid[:, :gap]), state, parameters)
        score, _ = detector.score(x[:, :5], valid[:, :5], after, parameters)
        next_scores.append(score[:, -1])
    assert (np.diff(next_scores, axis=0) < 0).all()


def test_a_row_does_not_depend_on_its_neighbours() -> None:
    """A dead channel in one asset leaves the other's scores as they are."""
    detector, parameters = _detector(), _bundle().only.parameters
    x, valid = _stream(80, seed=6, holes=0.0)
    valid[0] = True
    clean, _ = detector.score(x, valid, detector.initial_state(2), parameters)
    valid[1, :, 0] = False
    beside, _ = detector.score(x, valid, detector.initial_state(2), parameters)
    assert _same(clean[0], beside[0])


def test_a_row_scores_the_same_among_many() -> None:
    """However many rows are in a call, each has the scores and the state that it has alone."""
    detector, many = _detector(), HOT_ROWS_MIN + 3
    parameters = {k: np.repeat(v, many, axis=0) for k, v in _bundle().only.parameters.items()}
    n = HOT_VALUES_MAX // (4 * HOT_ROWS_MIN)  # long enough that rows are taken in parts
    rows = [_stream(n, seed=seed, holes=0.0) for seed in range(many)]
    x = np.concatenate([[row[0][i] for row in rows] for i in range(2)])
    valid = np.repeat(parameters["present"][:, None], n, axis=1)
    state = detector.initial_state(2 * many)
    _, state = detector.score(x[:, :9], valid[:, :9], state, parameters)
    score, after = detector.score(x[:, 9:], valid[:, 9:], state, parameters)
    for i in (0, HOT_ROWS_MIN - 1, HOT_ROWS_MIN, 2 * many - 1):
        one = slice(i, i + 1)
        own = {name: value[one] for name, value in parameters.items()}
        alone, last = detector.score(x[one, 9:], valid[one, 9:], state[one], own)
        assert _same(alone[0], score[i])
        assert np.abs(last[0] - after[i]).max() < TOLERANCE * max(1.0, np.abs(last).max())


def test_shares_are_a_distribution_over_valid_channels() -> None:
    """Non-negative, 0 where not valid, sum 1 where there is a score, 0 where there is none."""
    detector, parameters = _detector(), _bundle().only.parameters
    x, valid = _stream(80, seed=8, holes=0.2)
    state = detector.initial_state(2)
    score, _ = detector.score(x, valid, state, parameters)
    shares = detector.contribute(x, valid, state, parameters)
    assert (shares >= 0).all()
    assert (shares[~valid] == 0).all()
    assert np.abs(shares.sum(axis=2)[~np.isnan(score)] - 1).max() < 1e-5
    assert (shares[np.isnan(score)] == 0).all()


def test_the_disturbed_channel_has_the_largest_share() -> None:
    """A step on one channel is blamed on that channel."""
    bundle, detector = _bundle(), _detector()
    parameters = {name: value[:1] for name, value in bundle.only.parameters.items()}
    for channel in range(4):
        x = plant(60, seed=11).astype(np.float32)[None]
        x[0, 50:, channel] += np.float32(8 * bundle.assets[0].sigma[channel])
        valid = np.ones(x.shape, np.bool_)
        shares = detector.contribute(x, valid, detector.initial_state(1), parameters)
        assert shares[0, 50].argmax() == channel


def test_absurd_values_score_high_and_are_forgotten() -> None:
    """A huge valid value gives a large finite score and does not blind the row for ever."""
    detector = _detector()
    parameters = {name: value[:1] for name, value in _bundle().only.parameters.items()}
    x = plant(400, seed=12).astype(np.float32)[None]
    x[0, 50, 0] = np.float32(3e38)
    score, _ = detector.score(x, np.ones(x.shape, np.bool_), detector.initial_state(1), parameters)
    assert np.isfinite(score[0, 50])
    assert score[0, 50] > 10
    assert np.median(score[0, 300:]) < 1.0


def test_wrong_shapes_are_refused() -> None:
    """Shapes that do not fit are the caller's error and say what was expected."""
    detector, parameters = _detector(), _bundle().only.parameters
    x = np.zeros((2, 5, 3), np.float32)
    with pytest.raises(ModelError, match=r"expected \(2, n, 4\)"):
        detector.score(x, np.ones(x.shape, np.bool_), detector.initial_state(2), parameters)


def test_a_foreign_graph_is_refused() -> None:
    """Bytes that are no detector make a ModelError, not a crash."""
    with pytest.raises(ModelError, match="not a detector"):
        detector_of(b"not a graph")


def test_equal_specs_give_equal_graphs() -> None:
    """The graph's bytes, and so the bundle's hash, depend on the spec alone."""
    assert graph_of(_bundle().only.spec) == _bundle().only.graph
