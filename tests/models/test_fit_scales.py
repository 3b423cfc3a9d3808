"""Fitting where scales are awkward: tiny units, ramps, huge levels, many channels for few rows."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np
import pytest

from models.bundles.assemble import make_bundle
from models.bundles.card import model_card
from models.detector import detector_of
from models.errors import ModelError
from models.fitting.fit import FitOptions, fit_asset
from models.fitting.thresholds import episodes
from models.fitting.var import location_scale
from tests.models.plants import plant, samples

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from models.bundles.bundle import Bundle

ROWS = FitOptions(alignment="rows")


def _bundle(values: NDArray[np.float64]) -> Bundle:
    return make_bundle([fit_asset(samples(values), ROWS)])


def _scores(bundle: Bundle, x: NDArray[np.float64]) -> NDArray[np.float32]:
    """Scores (n,) of the running row of a bundle's only asset, every value of x (n, c) valid."""
    detector = detector_of(bundle.only.graph)
    own = {name: value[:1] for name, value in bundle.only.parameters.items()}
    whole = np.ones((1, *x.shape), np.bool_)
    score, _ = detector.score(x.astype(np.float32)[None], whole, detector.initial_state(1), own)
    return np.asarray(score[0])


def _after_a_step(bundle: Bundle, x: NDArray[np.float64], size: float) -> NDArray[np.float32]:
    """Scores (100,) after a step of channel 1, `size` of its sigmas, in the last rows of x."""
    faulty = x.copy()
    faulty[-100:, 1] += size * x[:, 1].std()
    return _scores(bundle, faulty)[-100:]


@pytest.mark.parametrize("unit", [1e-9, 1.0, 1e9])
def test_the_unit_of_a_channel_does_not_matter(unit: float) -> None:
    """A step of 12 sigma of a channel scores the same in any unit."""
    x = plant(1500, seed=1)
    x[:, 1] -= x[:, 1].mean()
    told = _after_a_step(_bundle(x[:1000]), x[1000:], 12.0)
    x[:, 1] *= unit
    assert np.allclose(_after_a_step(_bundle(x[:1000]), x[1000:], 12.0), told, rtol=1e-3)
    assert told.max() > 40


def test_only_constant_channels_get_a_made_up_sigma() -> None:
    """What float32 can show keeps its spread; what it cannot gets a thousandth of the level."""
    wave = np.resize([-1.0, 1.0], 200)
    levels, sizes = [0.0, 0.0, 100.0, 100.0, 100.0], [1e-9, 0.0, 1e-2, 1e-6, 0.0]
    _, sigma = location_scale(np.array(levels) + wave[:, None] * np.array(sizes))
    assert np.allclose(sigma, [1e-9, 1e-6, 1e-2, 0.1, 0.1])


def test_a_time_stamp_is_not_scored_and_the_card_says_so() -> None:
    """Float32 sees steps of 128 s of it; neither its walk nor its jumps may speak for the plant."""
    x = np.column_stack([plant(1500, seed=1), 1.7e9 + np.arange(1500.0)])
    bundle, plain = _bundle(x[:1000]), _bundle(x[:1000, :4])
    model = bundle.assets[0]
    assert bundle.only.parameters["present"][0].tolist() == [True] * 4 + [False]
    assert model.metrics["unresolved c4"] == pytest.approx(1000 / 12**0.5, rel=0.01)
    assert "c4 moved by 2.9e+02 around 1.7e+09, less than float32 shows" in model_card(bundle)
    assert "it is not scored" in model_card(bundle)
    assert np.allclose(
        _scores(bundle, x[1000:]), _scores(plain, x[1000:, :4]), equal_nan=True, atol=1e-3
    )


def test_a_channel_that_trembles_below_float32_is_watched_as_a_constant() -> None:
    """Its trembling is not seen, which the card says; a jump of it is."""
    chance = np.random.default_rng(1)
    x = np.column_stack([plant(1500, seed=1), 50.0 + 1e-6 * chance.normal(size=1500)])
    bundle = _bundle(x[:1000])
    assert bundle.only.parameters["present"][0].all()
    assert "only larger moves of it are seen" in model_card(bundle)
    x[1400:, 4] = 51.0
    score = _scores(bundle, x[1000:])
    assert np.nanmax(score[:400]) < 6
    assert score[400] > 8


def test_values_beyond_float32_are_blank() -> None:
    """They would be infinite in the graph."""
    x = plant(500, seed=1)
    x[7, 0] = 1e300
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert _bundle(x).assets[0].training.rows_used == 500


@pytest.mark.parametrize("kind", ["elapsed", "energy", "stairs"])
def test_a_ramp_beside_the_others_does_not_blind_them(kind: str) -> None:
    """With elapsed time, a counter or a row index in the table, steps score as without it."""
    chance = np.random.default_rng(1)
    x = np.random.default_rng(2).normal(size=(3000, 6))
    at = np.arange(3000.0)
    ramp = {
        "elapsed": at,
        "energy": np.cumsum(1.0 + 0.2 * chance.normal(size=3000)),
        "stairs": np.floor(at / 10),
    }[kind]
    wide = np.column_stack([x, ramp])
    plain, bundle = _bundle(x[:2000]), _bundle(wide[:2000])
    for size in (3.0, 6.0):
        without = _after_a_step(plain, x[2000:], size)
        score = _after_a_step(bundle, wide[2000:], size)
        assert score.max() > 0.9 * without.max()
        over = (score >= bundle.assets[0].threshold_on).mean()
        assert over > (without >= plain.assets[0].threshold_on).mean() - 0.05
    fresh = _scores(bundle, wide[2000:])
    assert 0.15 < np.nanmedian(fresh) < 0.45  # log10 2 is what it should be
    assert np.nanmax(fresh) < 5


@pytest.mark.parametrize(("channels", "rows"), [(52, 500), (30, 400)])
def test_many_channels_for_few_rows_keep_the_meaning_of_the_score(channels: int, rows: int) -> None:
    """What the smaller models of the folds do not know is not taken for the tail of the plant."""
    x = np.random.default_rng(1).normal(size=(rows + 8000, channels))
    bundle = _bundle(x[:rows])
    model, fresh = bundle.assets[0], _scores(bundle, x[rows:])
    assert 0.2 < np.nanmedian(fresh) < 0.5
    count = episodes(fresh.astype(float), on=model.threshold_on, off=model.threshold_off)
    assert count <= 2  # 0.7 is the budget of so many seconds


def test_rows_between_blank_ones_name_the_rate() -> None:
    """Half the rate that was stated: the error says so, and where to state the true one."""
    x = np.full((600, 4), np.nan)
    x[::2] = plant(300, seed=1)
    told = r"one in 2 has values.* 1/2 of the stated.*period of 2 s instead of 1 s.*period_s"
    with pytest.raises(ModelError, match=told):
        fit_asset(samples(x), ROWS)


def test_rows_in_short_stretches_ask_for_a_longer_record() -> None:
    """Pairs of rows are too short for two lags, and no other rate would help."""
    x = plant(900, seed=1)
    x[::3] = np.nan
    with pytest.raises(ModelError, match=r"stretches of 3 rows in a row; use a longer record"):
        fit_asset(samples(x), ROWS)
