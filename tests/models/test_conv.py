"""The convolutional forecaster: what is said without torch, and for real with the extra `train`."""

from __future__ import annotations

import functools
import importlib.util
from typing import TYPE_CHECKING

import numpy as np
import pytest

from models.bundles.assemble import make_bundle
from models.bundles.bundle import cannot_mask
from models.bundles.rows import without
from models.detector import detector_of
from models.errors import ModelError
from models.fitting import conv
from models.fitting.conv import WINDOW, fit_conv
from models.foreign.imported import ImportedSpec
from tests.models.plants import plant, samples

if TYPE_CHECKING:
    from models.bundles.bundle import Bundle

ROWS = 1500
pytestmark = pytest.mark.filterwarnings("default")  # of torch


def need_torch() -> None:
    """Skip, naming what is missing."""
    pytest.importorskip("torch", reason="needs the extra `train`")


@functools.cache
def bundle() -> Bundle:
    """One network for two assets of four channels."""
    assets = [
        (samples(plant(ROWS, seed=seed), asset=asset), "rows")
        for seed, asset in ((1, "r1"), (2, "r2"))
    ]
    return make_bundle(fit_conv(assets))


def test_without_torch_it_is_said_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """One sentence, before anything is read or trained."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(ModelError, match="pip install torch"):
        fit_conv([(samples(plant(ROWS, seed=1)), "rows")])


def test_assets_of_different_channels_do_not_share_a_network() -> None:
    """Nor does a record of a few rows make one."""
    need_torch()
    wide, narrow = samples(plant(ROWS, seed=1)), samples(plant(ROWS, seed=1, c=3), asset="r2")
    with pytest.raises(ModelError, match="bundles of their own"):
        fit_conv([(wide, "rows"), (narrow, "rows")])
    with pytest.raises(ModelError, match="use a longer record"):
        fit_conv([(samples(plant(200, seed=1)), "rows")])


def test_windows_are_those_before_their_targets() -> None:
    """Each target with what came before it, and never itself; those of a block left out are not."""
    values = np.arange(4.0 * WINDOW)[:, None]
    series = conv._Series(z=values.astype(np.float32), there=np.ones(values.shape, bool))
    targets = conv._targets(series, but=np.arange(2 * WINDOW, 2 * WINDOW + 3))
    assert targets[0] == WINDOW
    assert not (set(range(2 * WINDOW, 3 * WINDOW + 3)) & set(targets.tolist()))
    both = np.stack([np.zeros(len(targets), int), targets], axis=1)
    x, valid, y, counts = conv._windows([series], both)
    np.testing.assert_array_equal(y[:, 0], targets)
    np.testing.assert_array_equal(x[:, -1, 0], targets - 1)
    np.testing.assert_array_equal(x[:, 0, 0], targets - WINDOW)
    assert valid.all()
    assert counts.all()
    early, late = conv._split([targets])
    assert early[:, 1].max() + WINDOW < late[:, 1].min()


def test_it_is_calibrated_finds_faults_and_names_them() -> None:
    """On rows of another seed: as strange as the score says, and a moved channel is found."""
    need_torch()
    made = bundle()
    assert isinstance(made.only.spec, ImportedSpec)
    assert (made.only.spec.kind, made.only.spec.masks, made.only.spec.window) == (
        "forecast",
        True,
        WINDOW,
    )
    assert not any(cannot_mask(model.metrics) for model in made.assets)
    run = detector_of(made.only.graph)
    own = {name: value[:1] for name, value in made.only.parameters.items()}
    x = plant(4000, seed=55)
    x[3900:, 2] += 8.0 * made.assets[0].sigma[2]
    there = np.ones((1, *x.shape), bool)
    score = run.score(x.astype(np.float32)[None], there, run.initial_state(1), own)[0][0]
    calm = score[WINDOW:3900]
    assert np.isnan(score[:WINDOW]).all()
    assert 0.001 < (calm > 2.0).mean() < 0.03
    assert score[3900] > made.assets[0].threshold_on
    shares = run.contribute(x.astype(np.float32)[None], there, run.initial_state(1), own)[0]
    assert shares[3900].argmax() == 2


def test_a_masked_channel_does_not_matter_and_the_rest_is_watched() -> None:
    """As a job's scope asks it."""
    need_torch()
    made = bundle()
    run = detector_of(made.only.graph)
    masked = without(made, 0, np.array([True, True, False, True]))
    x = plant(600, seed=56)
    x[500:, 2] += 50.0 * made.assets[0].sigma[2]
    there = np.ones((1, *x.shape), bool)
    rest = run.score(x.astype(np.float32)[None], there, run.initial_state(1), masked)[0][0]
    assert np.isfinite(rest[WINDOW:]).all()
    assert rest[500:].max() < made.assets[0].threshold_on + 1.0
    x[500:, 0] += 8.0 * made.assets[0].sigma[0]
    found = run.score(x.astype(np.float32)[None], there, run.initial_state(1), masked)[0][0]
    assert found[500] > made.assets[0].threshold_on


def test_the_same_rows_make_the_same_network() -> None:
    """A fixed seed, on one core."""
    need_torch()
    again = make_bundle(
        fit_conv(
            [
                (samples(plant(ROWS, seed=seed), asset=asset), "rows")
                for seed, asset in ((1, "r1"), (2, "r2"))
            ]
        )
    )
    assert again.sha256 == bundle().sha256
