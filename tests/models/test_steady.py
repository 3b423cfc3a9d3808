"""The short way for steady rows against the graph and the slow twin, however rows come together."""

from __future__ import annotations

import functools
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.bundles.assemble import make_bundle
from models.bundles.bundle import Spec
from models.detector import detector_of
from models.detector_var import Detector
from models.fitting.fit import FitOptions, fit_asset
from models.steady import few
from models.steady import prepared as prepared_rows
from models.steady.prepared import LONG, Prepared, beside
from models.steady.rows import FEW
from tests.models.plants import plant, samples, two_assets
from tests.oracles_detector import oracle_row

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from models.asked import Parameters
    from models.bundles.bundle import Part

    F32 = NDArray[np.float32]
    Mask = NDArray[np.bool_]

TOLERANCE = 1e-5  # of a score, relative above 1: float32 sums in another order
STEADY = 200  # samples after which v, n and q of the default rates have come to their limits
MANY = 1027  # rows: more than a chunk of them


@pytest.fixture(autouse=True, scope="module")
def _small_chunks() -> Iterator[None]:
    """Chunks, and blocks of a chunk, that MANY rows fill more than once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(prepared_rows, "ROWS", 512)
        patch.setattr(prepared_rows, "BLOCK_ROWS", 128)
        yield


@functools.cache
def _part() -> Part:
    return two_assets().only


@functools.cache
def _detector() -> Detector:
    found = detector_of(_part().graph)
    assert isinstance(found, Detector)
    return found


@functools.cache
def _rows(count: int) -> tuple[Parameters, Prepared]:
    """Rows of a wide and of a narrow asset in turn (count, ...), plain and prepared."""
    own = _part().parameters
    index = np.arange(count) % 2
    plain = {name: value[index] for name, value in own.items()}
    made = _detector().prepared(plain)
    assert isinstance(made, Prepared), "the graph and the short way agree"
    return plain, made


@functools.cache
def _long(n: int) -> tuple[F32, F32]:
    """Samples of the wide (n, 4) and the narrow asset, NaN where it has no channel."""
    narrow = np.full((n, 4), np.nan, np.float32)
    narrow[:, :3] = plant(n, seed=22, c=3)
    return plant(n, seed=21).astype(np.float32), narrow


def _stream(count: int, n: int, *, seed: int = 0) -> tuple[F32, Mask]:
    """Samples of as many rows (count, n, 4), each from another time on; which are valid."""
    starts = np.random.default_rng(seed).integers(0, 500, count)
    both = _long(1500)
    x = np.stack([both[i % 2][start : start + n] for i, start in enumerate(starts)])
    x[0, n // 2 :, 1] += np.float32(4 * (1.0 / _part().parameters["scale"][0, 1]))
    return x, np.isfinite(x)


def _same(a: NDArray[np.floating], b: NDArray[np.floating], tolerance: float = TOLERANCE) -> bool:
    close = np.abs(a - b) <= tolerance * np.maximum(1.0, np.abs(b))
    return bool((close | (np.isnan(a) & np.isnan(b))).all())


def _warm(count: int) -> F32:
    """States (count, s) of rows that are steady."""
    x, valid = _stream(count, STEADY, seed=7)
    plain, _ = _rows(count)
    return _detector().score(x, valid, _detector().initial_state(count), plain)[1]


def _is_short(prepared: Prepared, x: F32, state: F32) -> Mask:
    """Which rows (a,) the short way takes."""
    told = prepared.score(x, np.ones(len(x), np.bool_), state)
    return np.zeros(len(x), np.bool_) if told is None else told[0]


@pytest.mark.parametrize("n", [1, 2, 9, 100])
@pytest.mark.parametrize("count", [1, 2, FEW, FEW + 1, 40, MANY])
def test_steady_rows_score_as_the_graph_does(count: int, n: int) -> None:
    """Few rows or many, one sample or more: the same scores and states to rounding."""
    plain, prepared = _rows(count)
    if count > FEW + 1 and n > 9:
        n = 20
    state = _warm(count)
    x, valid = _stream(count, n, seed=count)
    assert _is_short(prepared, x, state).all(), "it is the short way that is judged here"
    score, after = _detector().score(x, valid, state, prepared)
    expected, moved = _detector().score(x, valid, state, plain)
    assert _same(score, expected)
    assert _same(after, moved)
    assert np.nanmax(score) > 0.5


@pytest.mark.parametrize("count", [1, 12])
def test_long_blocks_of_few_rows_are_scored_a_step_at_a_time(
    count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Longer than a step, and a step than a piece of its averages: the same as by the graph."""
    plain, prepared = _rows(count)
    state = _warm(count)
    x, valid = _stream(count, 300, seed=4)
    expected, moved = _detector().score(x, valid, state, plain)
    for most in (few.VALUES_MAX, 1):
        monkeypatch.setattr(few, "VALUES_MAX", most)
        score, after = _detector().score(x, valid, state, prepared)
        assert _same(score, expected)
        assert _same(after, moved)


@pytest.mark.parametrize(("count", "short"), [(2, 3), (12, 3), (FEW, 3), (FEW + 4, LONG)])
def test_a_block_of_few_rows_costs_as_many_operations_as_a_shorter(count: int, short: int) -> None:
    """However many samples: calls within one step are as many, and the graph is not asked."""
    _, prepared = _rows(count)
    state = _warm(count)

    def calls(n: int) -> list[str]:
        x, valid = _stream(count, n)
        told: list[str] = []
        sys.setprofile(lambda frame, event, _: told.append(f"{frame.f_code.co_name} {event}"))
        _detector().score(x, valid, state, prepared)
        sys.setprofile(None)
        return told

    calls(100)  # what is made when it is first asked for
    assert calls(100) == calls(short)
    assert not any("_by_graph" in call for call in calls(100))


@settings(max_examples=20, deadline=None)
@given(
    sizes=st.lists(st.sampled_from([1, 1, 1, 2, 5, 16, 40, 70]), min_size=1, max_size=12),
    count=st.sampled_from([1, 2, 20]),
    seed=st.integers(0, 1000),
    holes=st.sampled_from([0.0, 0.002]),
)
def test_the_cut_of_a_stream_changes_nothing(
    sizes: list[int], count: int, seed: int, holes: float
) -> None:
    """One call by the graph, many calls by whatever way each allows: the same scores and state."""
    n = STEADY + sum(sizes)
    x, valid = _stream(count, n, seed=seed)
    valid &= np.random.default_rng(seed).random(valid.shape) >= holes
    plain, prepared = _rows(count)
    detector = _detector()
    whole, end = detector.score(x, valid, detector.initial_state(count), plain)
    state, parts, at = detector.initial_state(count), [], 0
    for size in (STEADY, *sizes):
        block = slice(at, at + size)
        part, state = detector.score(x[:, block], valid[:, block], state, prepared)
        parts.append(part)
        at += size
    assert _same(np.concatenate(parts, axis=1), whole)
    assert _same(state, end)


@pytest.mark.parametrize("count", [1, 2, 20])
def test_a_long_stream_scores_as_the_slow_twin(count: int) -> None:
    """A loop in float64, written by the book, comes to the same, with holes, stops and a fault."""
    n = 520
    x, valid = _stream(count, n, seed=3)
    valid[-1, 300:303] = False
    valid[0, 400, 2] = False
    _, prepared = _rows(count)
    detector, state, told = _detector(), _detector().initial_state(count), []
    for t in range(n):
        score, state = detector.score(x[:, t : t + 1], valid[:, t : t + 1], state, prepared)
        told.append(score[:, 0])
    assert _is_short(prepared, x[:, -1:], state).all()
    for row in {0, count - 1}:
        twin = oracle_row(_part(), row % 2)
        steps = [twin.step(x[row, t].astype(np.float64), valid[row, t])[0] for t in range(n)]
        assert _same(np.array([one[row] for one in told]), np.array(steps), 1e-3)
    assert np.nanmax([one[0] for one in told]) > 3.0


@pytest.mark.parametrize("count", [1, 5, 20])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 3e38])
def test_what_is_no_number_never_stays(value: float, count: int) -> None:
    """NaN that is taken for valid counts as missing, as in the graph; what is huge is forgotten."""
    plain, prepared = _rows(count)
    state = _warm(count)
    x, valid = _stream(count, 1)
    x[0, 0, 2] = value
    score, after = _detector().score(x, valid, state, prepared)
    expected, moved = _detector().score(x, valid, state, plain)
    assert np.isfinite(score).all()
    assert np.isfinite(after).all()
    assert _same(score, expected)
    assert _same(after, moved)


def test_rows_that_are_not_steady_are_scored_beside_those_that_are() -> None:
    """A fresh row, one with a hole, one that stands still: each as by the graph, and the others."""
    plain, prepared = _rows(20)
    detector, state = _detector(), _warm(20)
    state[3] = detector.initial_state(1)[0]
    x, valid = _stream(20, 12, seed=5)
    valid[4, 2, 0] = False
    valid[6] = False
    x[6] = np.nan
    score, after = detector.score(x, valid, state, prepared)
    expected, moved = detector.score(x, valid, state, plain)
    assert _same(score, expected)
    assert _same(after, moved)
    assert np.isnan(score[6]).all()
    assert not _is_short(prepared, x, after)[[3, 4, 6]].any()


def test_rows_scored_before_are_steady_only_once_nothing_changes_any_more() -> None:
    """From nothing on, or behind a hole, the short way begins where v, n and q rest."""
    _, prepared = _rows(2)
    detector, state = _detector(), _detector().initial_state(2)
    x, valid = _stream(2, 400)
    valid[1, 250, 0] = False
    first: dict[int, list[int]] = {0: [], 1: []}
    for t in range(400):
        for row in np.flatnonzero(_is_short(prepared, x[:, t : t + 1], state)).tolist():
            first[row].append(t)
        _, state = detector.score(x[:, t : t + 1], valid[:, t : t + 1], state, prepared)
    begun = first[0][0]
    assert 100 < begun < STEADY
    assert first[0] == list(range(begun, 400))
    again = [t for t in first[1] if t > 250]
    assert again[0] - 250 > 100
    assert again == list(range(again[0], 400))


@pytest.mark.parametrize("count", [1, 20])
def test_what_was_given_back_before_stays_as_it_is(count: int) -> None:
    """States and scores of earlier calls are nobody's scratch: contributions begin with them."""
    _, prepared = _rows(count)
    x, valid = _stream(count, 3)
    state = _warm(count)
    kept = [state.copy()]
    states, scores, copies = [state], [], []
    for t in range(3):
        score, state = _detector().score(x[:, t : t + 1], valid[:, t : t + 1], state, prepared)
        states.append(state)
        scores.append(score)
        kept.append(state.copy())
        copies.append(score.copy())
    assert all(np.array_equal(a, b) for a, b in zip(states, kept, strict=True))
    assert all(np.array_equal(a, b) for a, b in zip(scores, copies, strict=True))


@pytest.mark.parametrize("count", [1, 20, MANY])
def test_how_a_state_lies_in_memory_does_not_matter(count: int) -> None:
    """Assets last, as it is given back, or first, as a checkpoint brings it: the same bits."""
    _, prepared = _rows(count)
    x, valid = _stream(count, 2)
    _, state = _detector().score(x[:, :1], valid[:, :1], _warm(count), prepared)
    one = _detector().score(x[:, 1:], valid[:, 1:], np.ascontiguousarray(state), prepared)
    two = _detector().score(x[:, 1:], valid[:, 1:], np.asfortranarray(state), prepared)
    assert all(np.array_equal(a, b) for a, b in zip(one, two, strict=True))


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000), count=st.sampled_from([2, 30, MANY]))
def test_some_rows_score_as_they_do_among_all(seed: int, count: int) -> None:
    """However rows are chosen, each has the scores and the state that it has among all."""
    chance = np.random.default_rng(seed)
    rows = chance.permutation(count)[: chance.integers(1, count + 1)]
    _, prepared = _rows(count)
    some = prepared.taken(rows)
    assert all(np.array_equal(some[name], prepared[name][rows]) for name in prepared)
    x, valid = _stream(count, 2, seed=seed)
    state = _warm(count)
    score, after = _detector().score(x, valid, state, prepared)
    of_some, moved = _detector().score(x[rows], valid[rows], state[rows], some)
    assert _same(of_some, score[rows])
    assert _same(moved, after[rows])
    assert np.array_equal(some.taken(np.array([0]))["center"], prepared["center"][rows[:1]])
    assert len(rows) <= FEW or all(v.flags.c_contiguous for v in some._chunks[0].arrays.values())


def test_rows_of_jobs_beside_those_of_the_bundle_change_nothing_for_them() -> None:
    """One call for both: bundle rows to the same bits as alone, the others as by the graph."""
    plain, prepared = _rows(20)
    own = [{name: value[i : i + 1] for name, value in plain.items()} for i in (0, 1)]
    both = beside(prepared, own)
    assert all(np.array_equal(both[n], beside(plain, own)[n]) for n in plain)
    x, valid = _stream(20, 3)
    state = _warm(20)
    wide_x, wide_valid = (np.concatenate([value, value[:2]]) for value in (x, valid))
    wide_state = np.concatenate([state, state[:2]])
    score, after = _detector().score(wide_x, wide_valid, wide_state, both)
    alone, moved = _detector().score(x, valid, state, prepared)
    others, behind = _detector().score(x[:2], valid[:2], state[:2], beside(own[0], own[1:]))
    assert np.array_equal(score, np.concatenate([alone, others]))
    assert np.array_equal(after, np.concatenate([moved, behind]))


def test_sets_of_rows_are_kept_and_no_more_than_there_are_rows() -> None:
    """What is asked for again is there; sets of more rows than all together are forgotten."""
    _, prepared = _rows(20)
    low, high = np.arange(10), np.arange(10, 20)
    first = prepared.taken(low)
    assert prepared.taken(high) is not first
    assert prepared.taken(low) is first
    prepared.taken(np.arange(5, 15))
    assert prepared.taken(low) is first, "it was asked for after the other"
    for i in range(20):
        prepared.taken(np.arange(i, 20))
    assert sum(one.rows for one in prepared._taken.values()) <= 20


def test_a_graph_that_does_something_else_is_believed() -> None:
    """Where graph and short way differ, as of an earlier version's graph, the graph counts."""
    own = _part()

    class Other:
        def __init__(self) -> None:
            self.inner = _detector()._session

        def run(self, names: list[str], feed: dict[str, NDArray[np.generic]]) -> list[F32]:
            score, after = self.inner.run(names, feed)
            return [score * np.float32(1.01) + np.float32(0.01), after]

        def get_modelmeta(self) -> object:
            return self.inner.get_modelmeta()

    assert isinstance(own.spec, Spec)
    assert Detector(Other(), own.spec).prepared(own.parameters) is own.parameters


def test_rows_that_nobody_fitted_are_left_to_the_graph() -> None:
    """Parameters that are no VAR's, or no numbers, make no row steady and disturb no other."""
    plain, _ = _rows(20)
    spoiled = {name: value.copy() for name, value in plain.items()}
    spoiled["weights"][3] = np.random.default_rng(0).normal(size=spoiled["weights"][3].shape)
    spoiled["scale"][5] = np.nan
    spoiled["present"][6] = False
    prepared = _detector().prepared(spoiled)
    assert isinstance(prepared, Prepared)
    assert set(range(20)) - set(prepared.able().tolist()) == {3, 5, 6}
    x, valid = _stream(20, 3)
    state = _warm(20)
    score, _ = _detector().score(x, valid, state, prepared)
    expected, _ = _detector().score(x, valid, state, plain)
    others = [i for i in range(20) if i not in {3, 5, 6}]
    assert _same(score[others], expected[others])


@pytest.mark.parametrize(
    ("channels", "lags", "lambdas"),
    [(3, 1, (0.3,)), (3, 3, (1.0, 0.2, 0.03)), (20, 2, (1.0, 0.05))],
)
@pytest.mark.parametrize("count", [1, 18])
def test_other_shapes_of_a_var_have_the_short_way_too(
    channels: int, lags: int, lambdas: tuple[float, ...], count: int
) -> None:
    """Lags, rates and channels as a spec has them; a wide row goes without a matrix of its own."""
    options = FitOptions(alignment="rows", lags=lags, lambdas=lambdas)
    part = make_bundle([fit_asset(samples(plant(900, seed=1, c=channels)), options)]).only
    detector = detector_of(part.graph)
    plain = {name: np.repeat(value, count, axis=0) for name, value in part.parameters.items()}
    prepared = detector.prepared(plain)
    assert isinstance(prepared, Prepared)
    x = np.stack([plant(520, seed=i + 2, c=channels) for i in range(count)]).astype(np.float32)
    valid = np.ones(x.shape, np.bool_)
    state = detector.initial_state(count)
    _, state = detector.score(x[:, :500], valid[:, :500], state, plain)
    assert _is_short(prepared, x[:, 500:], state).all()
    for block in (slice(500, 501), slice(500, 520)):
        score, after = detector.score(x[:, block], valid[:, block], state, prepared)
        expected, moved = detector.score(x[:, block], valid[:, block], state, plain)
        assert _same(score, expected)
        assert _same(after, moved)
