"""The ensemble of histograms against its slow twin, and what it promises under masks and cuts."""

from __future__ import annotations

import numpy as np
import pytest

from models.bundles.assemble import make_bundle
from models.bundles.rows import without
from models.bundles.tabled_kinds import EnsembleSpec
from models.detector import detector_of
from models.fitting.fit import fit_asset
from tests.models.plants import samples
from tests.models.tabled_plants import block, bundle, detector, line, options
from tests.oracles_ensemble import EnsembleTwin


@pytest.mark.parametrize("holes", [0.0, 0.2])
def test_scores_equal_the_slow_twin(holes: float) -> None:
    """Loops over projections and channels come to the same, with and without holes."""
    x, valid = block(90, seed=5, holes=holes)
    own = bundle("ensemble").only.parameters
    score, _ = detector("ensemble").score(x, valid, detector("ensemble").initial_state(2), own)
    spec = bundle("ensemble").only.spec
    assert isinstance(spec, EnsembleSpec)
    for row in range(2):
        p = {name: value[row].astype(np.float64) for name, value in own.items()}
        twin = EnsembleTwin(spec=spec, p=p, present=own["present"][row])
        told = np.array(
            [
                twin.step(values.astype(np.float64), seen)
                for values, seen in zip(x[row], valid[row], strict=True)
            ]
        )
        assert (np.isnan(told) == np.isnan(score[row])).all()
        known = np.isfinite(told)
        # a value at the edge of a bin may fall on either side of it, in float32
        close = np.abs(score[row] - told)[known] <= 5e-3 * np.maximum(1.0, told[known])
        assert close.mean() > 0.95
        assert np.nanmax(score[row]) > 2.0


def test_a_row_without_channels_is_a_mask_for_good() -> None:
    """A job's masked row scores as if the channel never had a value."""
    keep = np.array([True, False, True, True, True])
    derived = without(bundle("ensemble"), 0, keep)
    x, valid = block(60, seed=3, holes=0.0)
    start = detector("ensemble").initial_state(1)
    ours, _ = detector("ensemble").score(x[:1], valid[:1], start, derived)
    own = {name: value[:1] for name, value in bundle("ensemble").only.parameters.items()}
    theirs, _ = detector("ensemble").score(x[:1], valid[:1] & keep, start, own)
    assert np.allclose(ours, theirs, atol=1e-5, equal_nan=True)


def test_a_fault_is_told_by_its_channel() -> None:
    """The channel that is far off has the largest share."""
    values = line(300, seed=21)
    values[200:240, 3] += 12.0 * values[:, 3].std()
    x = values.astype(np.float32)[None]
    own = {name: value[:1] for name, value in bundle("ensemble").only.parameters.items()}
    start, valid = detector("ensemble").initial_state(1), np.ones(x.shape, bool)
    score, _ = detector("ensemble").score(x, valid, start, own)
    share = detector("ensemble").contribute(x, valid, start, own)
    assert score[0, 205:240].min() > 3.0
    assert (share[0, 205:240].argmax(axis=1) == 3).all()


def test_a_few_strange_rows_in_the_record_hardly_move_it() -> None:
    """Two per cent of wild rows, and the fault is still far over any threshold."""
    clean, dirty = line(3000, seed=1), line(3000, seed=1)
    wild = np.random.default_rng(4).choice(len(dirty), size=60, replace=False)
    dirty[wild] += 30.0 * dirty.std(axis=0)
    values = line(300, seed=22)
    values[200:240, 1] += 6.0 * values[:, 1].std()
    x = values.astype(np.float32)[None]
    found = []
    for record in (clean, dirty):
        part = make_bundle([fit_asset(samples(record), options("ensemble"))]).only
        made = detector_of(part.graph)
        score, _ = made.score(x, np.ones(x.shape, bool), made.initial_state(1), part.parameters)
        found.append(float(np.median(score[0, 210:240])))
    assert min(found) > 4.0
