"""The detector of streams of one channel against its slow twin, and what it promises."""

from __future__ import annotations

import functools
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.bundles.assemble import make_bundle
from models.bundles.bundle import Bundle, Channel, StreamSpec
from models.bundles.rows import without
from models.detector import detector_of
from models.detector_tabled import StreamDetector
from models.errors import ModelError
from models.fitting.fit import FitOptions, fit_asset
from models.fitting.stream import stream_spec
from models.samples import TrainingSamples
from tests.oracles_stream_detector import StreamTwin

if TYPE_CHECKING:
    from numpy.typing import NDArray

    F64 = NDArray[np.float64]

HOUR_NS = 3600 * 10**9


def _days(n: int, *, seed: int, drift: float = 0.02) -> F64:
    """A room over hours: a day's course, slow drift, noise (n, 1)."""
    chance = np.random.default_rng(seed)
    hours = np.arange(n)
    slow = np.cumsum(chance.normal(scale=drift, size=n))
    course = 3.0 * np.sin(2 * np.pi * hours / 24.0)
    return np.asarray((20.0 + course + slow + chance.normal(scale=0.3, size=n))[:, None])


def _samples(values: F64, *, period_ns: int = HOUR_NS) -> TrainingSamples:
    return TrainingSamples(
        asset="room", channels=(Channel(name="t"),), values=values, period_ns=period_ns
    )


@functools.cache
def _bundle() -> Bundle:
    return make_bundle([fit_asset(_samples(_days(400, seed=1)), FitOptions(alignment="rows"))])


def _score(
    bundle: Bundle, values: F64, sizes: list[int] | None = None
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Scores (n,) and state after (1, s), in calls of these sizes."""
    detector = detector_of(bundle.only.graph)
    state, parts, at = detector.initial_state(1), [], 0
    x, valid = np.nan_to_num(values).astype(np.float32)[None], np.isfinite(values)[None]
    for size in sizes or [len(values)]:
        block = slice(at, at + size)
        part, state = detector.score(x[:, block], valid[:, block], state, bundle.only.parameters)
        parts.append(part[0])
        at += size
    return np.concatenate(parts), state


def test_assets_of_one_channel_get_it_by_default() -> None:
    """`auto` looks at the channels alone; days are followed where they are hours to minutes."""
    assert _bundle().only.spec == StreamSpec(season=24)
    assert isinstance(detector_of(_bundle().only.graph), StreamDetector)
    assert stream_spec(10**9).season == 0
    assert stream_spec(300 * 10**9).season == 288


@pytest.mark.parametrize("holes", [0.0, 0.15])
def test_scores_equal_the_slow_twin(holes: float) -> None:
    """A loop over lists, written by the book, comes to the same, with and without holes."""
    values = _days(330, seed=2)
    values[250:256] += 4.0
    values[300] += 400.0
    values[np.random.default_rng(3).random(len(values)) < holes] = np.nan
    own = {name: value[0].astype(np.float64) for name, value in _bundle().only.parameters.items()}
    assert isinstance(_bundle().only.spec, StreamSpec)
    twin = StreamTwin(
        spec=_bundle().only.spec,  # type: ignore[arg-type]
        center=float(own["center"][0]),
        scale=float(own["scale"][0]),
        bank=own["bank"],
        counts=own["tail_counts"],
        sums=own["tail_sums"],
        fusion=float(own["fusion"][0]),
    )
    told = [twin.step(None if np.isnan(v) else float(np.float32(v))) for v in values[:, 0]]
    expected = np.array(told)
    score, _ = _score(_bundle(), values)
    assert (np.isnan(score) == np.isnan(expected)).all()
    known = np.isfinite(expected)
    # a size at the edge of a bin may fall on either side of it, in float32
    close = np.abs(score - expected)[known] <= 2e-3 * np.maximum(1.0, expected[known])
    assert close.mean() > 0.99
    assert np.nanmax(score) > 3.0


@settings(max_examples=20, deadline=None)
@given(sizes=st.lists(st.integers(1, 60), min_size=1, max_size=8), seed=st.integers(0, 99))
def test_the_cut_of_a_stream_changes_nothing(sizes: list[int], seed: int) -> None:
    """One call or many: the same scores and the same memory."""
    values = _days(sum(sizes), seed=seed)
    values[np.random.default_rng(seed).random(len(values)) < 0.1] = np.nan
    whole, end = _score(_bundle(), values)
    cut, cut_end = _score(_bundle(), values, sizes)
    assert np.allclose(cut, whole, rtol=1e-3, atol=1e-3, equal_nan=True)
    assert np.allclose(cut_end, end, rtol=1e-3, atol=1e-3)


def test_a_score_says_how_rare_a_sample_is_among_those_before() -> None:
    """Of a stream that goes on as it was, about one in 10^s goes over s."""
    score, _ = _score(_bundle(), _days(8000, seed=5, drift=0.0))
    score = score[np.isfinite(score)]
    assert len(score) > 7000
    for level in (1.0, 2.0):
        over = float((score >= level).mean())
        assert 10**-level / 3.0 < over < 3.0 * 10**-level


def test_what_comes_at_another_hour_is_strange() -> None:
    """The height of noon at midnight is within all limits, and yet not usual."""
    values = _days(600, seed=6)
    values[576:582] += 5.0  # midnight, where the course is at its middle
    score, _ = _score(_bundle(), values)
    assert score[576:582].max() > 2.5
    assert score[576:582].max() > np.nanmax(score[480:570])


def test_a_change_that_stays_becomes_usual_and_says_so_only_once() -> None:
    """A lasting shift rings when it comes; after a week of it nothing is left to tell."""
    values = _days(1200, seed=7)
    values[600:] += 6.0
    score, _ = _score(_bundle(), values)
    assert score[600:610].max() > 2.5
    assert np.nanmean(score[1000:]) < 0.6


def test_without_the_channel_nothing_is_scored() -> None:
    """A masked row of one channel has nothing left to say: not ready, never quiet."""
    hidden = without(_bundle(), 0, np.array([False]))
    detector = detector_of(_bundle().only.graph)
    x = _days(200, seed=8).astype(np.float32)[None]
    score, _ = detector.score(x, np.ones(x.shape, np.bool_), detector.initial_state(1), hidden)
    assert np.isnan(score).all()


def test_the_share_of_the_only_channel_is_one() -> None:
    """Where there is a score its one channel made it; elsewhere nothing did."""
    detector = detector_of(_bundle().only.graph)
    x = _days(200, seed=9).astype(np.float32)[None]
    valid, state = np.ones(x.shape, np.bool_), detector.initial_state(1)
    score, _ = detector.score(x, valid, state, _bundle().only.parameters)
    share = detector.contribute(x, valid, state, _bundle().only.parameters)
    assert (share[0, :, 0] == np.isfinite(score[0])).all()


def test_a_stream_joins_streams() -> None:
    """A child with another room has one graph for both."""
    other = _samples(_days(300, seed=4))
    child = make_bundle(
        [fit_asset(replace(other, asset="hall"), FitOptions(alignment="rows"))], parent=_bundle()
    )
    assert child.only.spec == _bundle().only.spec
    assert [model.asset for model in child.assets] == ["hall", "room"]


def test_what_cannot_be_a_stream_is_refused() -> None:
    """Several channels are not one, and a kind has to be there."""
    wide = TrainingSamples(
        asset="press",
        channels=(Channel(name="a"), Channel(name="b")),
        values=np.random.default_rng(0).normal(size=(400, 2)),
        period_ns=HOUR_NS,
    )
    with pytest.raises(ModelError, match="assets of one"):
        fit_asset(wide, FitOptions(alignment="rows", detector="stream"))
    with pytest.raises(ModelError, match="there is no detector"):
        fit_asset(wide, FitOptions(detector="forest"))
