"""What a record may hold beside normal operation, and what a fit makes of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from models.bundles.assemble import make_bundle
from models.bundles.bundle import CONTAMINATED, UNSTEADY
from models.bundles.card import model_card
from models.detector import detector_of
from models.fitting.contamination import contaminated
from models.fitting.fit import FitOptions, fit_asset
from tests.models.plants import plant, samples

if TYPE_CHECKING:
    from numpy.typing import NDArray

    F64 = NDArray[np.float64]

RATES = (1.0, 0.05)
ROWS = FitOptions(alignment="rows")


def _with_fault(n: int, *, seed: int, begin: int, rows: int, sigmas: float = 6.0) -> F64:
    """Normal running with a lasting shift of one channel from `begin` on for so many rows."""
    x = plant(n, seed=seed)
    x[begin : begin + rows, 1] += sigmas * x[:, 1].std()
    return x


def _detects(x: F64, *, seed: int) -> float:
    """Highest score of a 3 sigma shift on new rows, under a fit of x."""
    bundle = make_bundle([fit_asset(samples(x), ROWS)])
    test = plant(400, seed=seed)
    test[300:, 1] += 3.0 * test[:300, 1].std()
    detector = detector_of(bundle.only.graph)
    values = test.astype(np.float32)[None]
    valid = np.ones(values.shape, np.bool_)
    score, _ = detector.score(values, valid, detector.initial_state(1), bundle.only.parameters)
    return float(score[0, 300:].max())


@pytest.mark.parametrize("seed", range(8))
def test_nothing_is_left_out_of_normal_running(seed: int) -> None:
    """Chance alone does not make a stretch absurd, in minutes or hours of record."""
    for n in (400, 3000):
        strange, share = contaminated(plant(n, seed=seed), lags=2, lambdas=RATES)
        assert not strange.any()
        assert share < 0.01


@pytest.mark.parametrize("seed", range(4))
def test_an_unlabelled_fault_is_left_out_and_told(seed: int) -> None:
    """Three hundred rows of a broken channel in an hour: found, counted, and on the card."""
    x = _with_fault(3600, seed=seed, begin=1500, rows=300)
    strange, _ = contaminated(x, lags=2, lambdas=RATES)
    assert strange[1500:1800].mean() > 0.8
    assert strange[:1490].sum() == 0
    assert strange[1900:].sum() == 0
    fit = fit_asset(samples(x), ROWS)
    assert fit.metrics[CONTAMINATED] == strange.sum()
    assert "rows left out: they were unlike" in model_card(make_bundle([fit]))


def test_a_fault_in_the_record_does_not_hide_the_next_one() -> None:
    """What a clean record finds, the record with an unlabelled fault finds nearly as clearly."""
    clean = _detects(plant(3600, seed=1), seed=50)
    dirty = _detects(_with_fault(3600, seed=1, begin=1500, rows=300), seed=50)
    assert dirty > 0.7 * clean


def test_two_ways_of_running_are_both_kept_and_told() -> None:
    """A third of the rows at another setpoint is no contamination; the card asks about it."""
    x = _with_fault(3600, seed=2, begin=1200, rows=1200)
    strange, share = contaminated(x, lags=2, lambdas=RATES)
    assert not strange.any()
    fit = fit_asset(samples(x), ROWS)
    assert CONTAMINATED not in fit.metrics
    if share:
        assert fit.metrics[UNSTEADY] == share


def test_a_short_record_is_taken_as_it_is() -> None:
    """Of a few hundred rows no part can be told from the rest."""
    strange, share = contaminated(
        _with_fault(250, seed=3, begin=100, rows=30), lags=2, lambdas=RATES
    )
    assert not strange.any()
    assert share == 0.0


def test_blank_rows_and_dead_channels_do_not_matter() -> None:
    """Holes, a stop and a channel without values change nothing about what is left out."""
    x = _with_fault(3600, seed=4, begin=1500, rows=300)
    x[500:700] = np.nan
    x[np.random.default_rng(0).random(3600) < 0.02, 2] = np.nan
    x = np.hstack([x, np.full((3600, 1), np.nan)])
    strange, _ = contaminated(x, lags=2, lambdas=RATES)
    assert strange[1520:1780].mean() > 0.7
    assert strange[:1490].sum() == 0
