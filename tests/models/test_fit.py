"""Fitting: calibration of the score, robustness, speed, baselines, derived rows."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from models.bundles.assemble import make_bundle
from models.bundles.bundle import RowFit
from models.detector import detector_of
from models.errors import ModelError
from models.fitting.fit import FitOptions, fit_asset
from models.fitting.health import STUCK_NEVER
from models.fitting.var import masked_parameters
from models.samples import segmented
from tests.counting import calls_of
from tests.models.plants import SECOND_NS, fitted, plant, samples

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from models.bundles.bundle import Bundle

ROWS = FitOptions(alignment="rows", detector="var")


def _scores(
    bundle: Bundle, x: NDArray[np.float64], valid: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """Scores (n,) of the running row of a bundle's only asset."""
    detector = detector_of(bundle.only.graph)
    own = {name: value[:1] for name, value in bundle.only.parameters.items()}
    values = x.astype(np.float32)[None]
    score, _ = detector.score(values, valid[None], detector.initial_state(1), own)
    return np.asarray(score[0])


@pytest.mark.parametrize("holes", [0.0, 0.2, 0.5])
@pytest.mark.parametrize("rate", [1.0, 0.05])
def test_the_score_is_a_tail_probability_under_any_mask(rate: float, holes: float) -> None:
    """Normal operation goes over score s once in 10^s samples, whatever is missing."""
    options = FitOptions(alignment="rows", lambdas=(rate,))
    bundle = make_bundle([fit_asset(samples(plant(40_000, seed=1)), options)])
    rows, n = 50, 2000
    valid = np.random.default_rng(5).random((rows, n, 4)) >= holes
    valid[..., 0] |= ~valid.any(axis=2)  # gaps are another test's
    x = plant(rows * n, seed=2).reshape(rows, n, 4).astype(np.float32)
    detector = detector_of(bundle.only.graph)
    stack = {name: np.repeat(value, rows, axis=0) for name, value in bundle.only.parameters.items()}
    score, _ = detector.score(x, valid, detector.initial_state(rows), stack)
    score = score[np.isfinite(score)]
    independent = rate / (2.0 - rate)
    for level in (1.0, 2.0, 3.0):
        expected = len(score) * 10**-level
        over = float((score > level).sum())
        noise = 4.0 * np.sqrt(
            expected / independent
        )  # samples of a slow average are not independent
        assert over < 1.5 * expected + noise
        if rate == 1.0:  # a slow tail is extrapolated with care: it may be rarer
            assert over > expected / 1.5 - noise


def test_a_constant_shift_is_found_within_two_minutes() -> None:
    """1.5 sigma on one white channel opens within 120 samples at the default budget."""
    chance = np.random.default_rng(3)
    bundle = make_bundle([fit_asset(samples(chance.normal(size=(4000, 6))), ROWS)])
    x = chance.normal(size=(1200, 6))
    x[600:, 2] += 1.5
    score = _scores(bundle, x, np.ones(x.shape, np.bool_))
    over = np.flatnonzero(score[600:] >= bundle.assets[0].threshold_on)
    assert over[0] < 120


def test_a_large_step_is_found_at_once() -> None:
    """6 sigma on one white channel is over threshold within three samples."""
    chance = np.random.default_rng(4)
    bundle = make_bundle([fit_asset(samples(chance.normal(size=(4000, 6))), ROWS)])
    x = chance.normal(size=(700, 6))
    x[600:, 5] += 6.0
    score = _scores(bundle, x, np.ones(x.shape, np.bool_))
    assert np.flatnonzero(score[600:] >= bundle.assets[0].threshold_on)[0] < 3


def test_a_few_outliers_in_training_do_not_hide_faults() -> None:
    """One row in two hundred thrown off by 1,000 sigma leaves a 6 sigma step detectable."""
    x = plant(4000, seed=1)
    x[::200, 1] += 1000 * x[:, 1].std()
    bundle = make_bundle([fit_asset(samples(x), ROWS)])
    test = plant(400, seed=2)
    test[300:, 1] += 6 * test[:300, 1].std()
    score = _scores(bundle, test, np.ones(test.shape, np.bool_))
    assert (score[300:310] >= bundle.assets[0].threshold_on).any()
    assert (score[10:300] >= bundle.assets[0].threshold_on).mean() < 0.02


def test_constant_channels_survive() -> None:
    """A channel that never moves fits, scores finite, and a move of it is strange."""
    x = plant(1000, seed=1)
    x[:, 2] = 50.0
    bundle = make_bundle([fit_asset(samples(x), ROWS)])
    test = plant(200, seed=2)
    test[:, 2] = 50.0
    test[150:, 2] = 51.0
    score = _scores(bundle, test, np.ones(test.shape, np.bool_))
    assert np.isfinite(score[10:]).all()
    assert score[10:150].max() < 8
    assert score[150] > 8
    assert bundle.assets[0].stuck_samples_max[2] == STUCK_NEVER
    assert bundle.assets[0].stuck_samples_max[0] == 3


def test_missing_training_values_are_survived() -> None:
    """Holes in every column, a column without any value and infinities still make a detector."""
    x = plant(3000, seed=1)
    x[np.random.default_rng(1).random(x.shape) < 0.2] = np.nan
    x[5, 0] = np.inf
    x[:, 3] = np.nan
    bundle = make_bundle([fit_asset(samples(x), ROWS)])
    assert bundle.only.parameters["present"][0].tolist() == [True, True, True, False]
    test = plant(2000, seed=2)
    score = _scores(bundle, test, np.ones(test.shape, np.bool_))
    assert (score[10:] > 3).mean() < 0.005


def test_two_baselines_where_the_plant_stood_long_enough() -> None:
    """Stopped rows get their own row; each row finds its own state normal and the other strange."""
    x = plant(4000, seed=1)
    running = (np.arange(4000) // 500) % 2 == 0
    x[~running] = x.mean(axis=0) - 5 * x.std(axis=0) + 0.01 * x[~running]
    fit = fit_asset(samples(x, running=running), ROWS)
    assert fit.stopped is not None
    bundle = make_bundle([fit])
    model = bundle.assets[0]
    assert (model.row_running, model.row_stopped) == (0, 1)
    detector = detector_of(bundle.only.graph)
    values = np.stack([x, x]).astype(np.float32)
    valid = np.stack([running, ~running])[:, :, None] & np.ones((1, 1, 4), np.bool_)
    score, _ = detector.score(values, valid, detector.initial_state(2), bundle.only.parameters)
    assert np.isnan(score[0][~running]).all()
    assert np.nanquantile(score, 0.99) < 3.5
    wrong, _ = detector.score(values, ~valid, detector.initial_state(2), bundle.only.parameters)
    assert np.nanmedian(wrong[0]) > 5


def test_settling_after_a_start_is_learned() -> None:
    """Starts that take twenty samples to calm down leave about that many unscored, not hundreds."""
    x = plant(6000, seed=1)
    at = np.arange(6000) % 600
    running = at >= 100
    rough = np.random.default_rng(2).normal(size=x.shape) * 8 * x.std(axis=0)
    x += rough * (running & (at < 120))[:, None]
    fit = fit_asset(samples(x, running=running), ROWS)
    assert isinstance(fit.running, RowFit)
    assert 15 <= fit.running.settle <= 30


def test_holes_in_time_are_not_bridged() -> None:
    """A blank row at each step in time keeps lags from reaching over it; rows mode has none."""
    t = np.arange(1000) * SECOND_NS
    t[500:] += 3600 * SECOND_NS
    record = samples(plant(1000, seed=1), t_ns=t)
    values, running, mode = segmented(record, by_time=True)
    assert np.flatnonzero(np.isnan(values).all(axis=1)).tolist() == [500]
    assert len(running) == len(mode) == 1001
    assert len(segmented(record, by_time=False)[0]) == 1000


def test_short_records_are_refused() -> None:
    """Too few rows say so, with what is needed."""
    with pytest.raises(ModelError, match="at least 100 are needed"):
        fit_asset(samples(plant(50, seed=1)))


def test_wrong_columns_are_refused() -> None:
    """Values and channels that do not match are the caller's error."""
    good = samples(plant(300, seed=1))
    with pytest.raises(ModelError, match="a column a channel"):
        fit_asset(replace(good, values=good.values[:, :2]))


def test_no_loop_over_rows_is_in_python() -> None:
    """Eight times the rows are fitted with the same calls, but for some blocks more.

    How long it takes is printed by `python -m benchmarks.bundles`.
    """
    x = np.random.default_rng(0).normal(size=(32_000, 8))
    many = calls_of(lambda: fit_asset(samples(x), ROWS))
    few = calls_of(lambda: fit_asset(samples(x[:4_000]), ROWS))
    assert many <= 1.1 * few


@pytest.mark.parametrize("dropped", [(0,), (1, 3), (0, 1, 2)])
def test_a_masked_row_equals_a_fit_of_the_kept_channels(dropped: tuple[int, ...]) -> None:
    """Parameters derived from stored moments are those of a model that never knew the channel."""
    x = plant(3000, seed=1)
    keep = np.array([i not in dropped for i in range(4)])
    full = make_bundle([fit_asset(samples(x), ROWS)])
    small = make_bundle([fit_asset(samples(x[:, keep]), ROWS)])
    derived = masked_parameters(full.only, 0, keep)
    detector, own = detector_of(full.only.graph), detector_of(small.only.graph)
    alone = {name: value[:1] for name, value in small.only.parameters.items()}
    for name in ("tail_knots", "tail_slopes", "fusion", "settle"):
        alone[name] = derived[name]  # the tail table is kept, not derived
    alone["evenness"] = derived["evenness"][:, :, keep]
    test = plant(300, seed=2).astype(np.float32)[None]
    valid = np.ones(test.shape, np.bool_)
    wide, _ = detector.score(test, valid, detector.initial_state(1), derived)
    narrow, _ = own.score(test[:, :, keep], valid[:, :, keep], own.initial_state(1), alone)
    assert np.allclose(wide, narrow, rtol=1e-4, atol=1e-4, equal_nan=True)
    weights = derived["weights"][0].reshape(3, 4, 8)
    assert np.allclose(
        weights[:, keep][:, :, np.tile(keep, 2)],
        small.only.parameters["weights"][0].reshape(3, keep.sum(), -1),
    )
    assert not weights[:2, ~keep].any()


def test_a_masked_row_ignores_the_dropped_channels() -> None:
    """Whatever a dropped channel does, valid or not, a masked row's score stays bit for bit."""
    bundle = make_bundle([fitted()])
    derived = masked_parameters(bundle.only, 0, np.array([True, False, True, True]))
    detector = detector_of(bundle.only.graph)
    one = plant(200, seed=2).astype(np.float32)[None]
    two = one.copy()
    two[0, :, 1] = 1e6
    valid = np.ones(one.shape, np.bool_)
    gone = valid & np.array([True, False, True, True])
    state = detector.initial_state(1)
    a, _ = detector.score(one, valid, state, derived)
    b, _ = detector.score(two, gone, state, derived)
    assert np.array_equal(a, b, equal_nan=True)


def test_most_valve_faults_open_an_event(data_dir: Path) -> None:
    """Fitted on 400 rows of each file, an event opens in the labelled interval of 14 of 16."""
    found = 0
    for file in sorted((data_dir / "skab" / "valve1").glob("*.csv")):
        table = np.genfromtxt(file, delimiter=";", skip_header=1, usecols=range(1, 10))
        values, anomaly = table[:, :8], table[400:, 8] > 0
        bundle = make_bundle([fit_asset(samples(values[:400]), ROWS)])
        model = bundle.assets[0]
        score = _scores(bundle, values[400:], np.ones((len(anomaly), 8), np.bool_))
        opened = _openings(score, model.threshold_on, model.threshold_off)
        found += any(anomaly[t] for t in opened)
    assert found >= 14


def _openings(score: NDArray[np.float32], on: float, off: float) -> list[int]:
    """Samples at which an event opens: two over `on` in a row, closed by ten under `off`."""
    opened, over, under, active = [], 0, 0, False
    for t, value in enumerate(score.tolist()):
        if np.isnan(value):
            continue
        if active:
            under = under + 1 if value < off else 0
            active, over = under < 10, 0
        else:
            over = over + 1 if value >= on else 0
            if over >= 2:
                opened.append(t)
                active, under = True, 0
    return opened
