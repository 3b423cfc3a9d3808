"""What a bundle hands to its child, and what neither of them may be."""

from __future__ import annotations

import numpy as np
import pytest

from models.bundles.assemble import make_bundle
from models.bundles.bundle import STOPPED_OF_PARENT
from models.bundles.card import mode_news, model_card
from models.bundles.check import PARTS_MAX
from models.errors import ModelError
from models.fitting.fit import FitOptions, fit_asset
from models.fitting.standing import standing_words
from models.foreign.adopt import ImportOptions, import_asset
from models.heads.heads import (
    NORMAL,
    HeadFit,
    LabelledWindow,
    heads_of,
    train_head,
    with_baseline,
    with_heads,
)
from tests.models.foreign_models import squares
from tests.models.plants import fitted, plant, samples, two_assets

IMPORT = ImportOptions(alignment="rows", higher_is="strange", scaling="standard")


def _head() -> HeadFit:
    """A head of r1 that knows one failure mode."""
    bundle = two_assets()
    sigma = bundle.assets[0].sigma
    windows = []
    for label in (NORMAL, "leak"):
        for i in range(6):
            values = plant(30, seed=900 + i)
            values[:, 0] += 6.0 * sigma[0] * (label != NORMAL)
            group = f"{label}{i}"
            windows.append(LabelledWindow(values=values, begin=0, label=label, group=group))
    return train_head(bundle, "r1", windows)


def test_an_imported_model_gets_no_head() -> None:
    """Nothing would ask it: it does not stay with the asset, and putting one there is refused."""
    parent = with_heads(two_assets(), {"r1": _head()}, created_at_ns=0)
    foreign = import_asset(
        samples(plant(600, seed=1)), squares(["N", 4]), file="f.onnx", options=IMPORT
    )
    child = make_bundle([foreign], parent=parent)
    assert heads_of(make_bundle([fitted(seed=4)], parent=parent)).keys() == {"r1"}
    assert heads_of(child) == {}
    with pytest.raises(ModelError, match="r1 is watched by an imported model"):
        with_heads(child, {"r1": _head()}, created_at_ns=0)


def test_a_bundle_that_no_gateway_would_load_is_not_made() -> None:
    """Each imported model is a part of its own; the bound is said before anything is written."""
    fits = [
        import_asset(
            samples(plant(120, seed=1), asset=f"a{i}"),
            squares(["N", 4], calm=float(i)),
            file=f"f{i}.onnx",
            options=IMPORT,
        )
        for i in range(PARTS_MAX + 1)
    ]
    assert len(make_bundle(fits[1:]).parts) == PARTS_MAX
    with pytest.raises(ModelError, match=f"parts is 17, expected 1 to {PARTS_MAX}: give assets"):
        make_bundle(fits)


def test_a_machine_that_never_stood_still_since_keeps_its_stopped_baseline() -> None:
    """It is the parent's, and the child says so; of other channels it would mean nothing."""
    values, running = plant(3000, seed=1), np.ones(3000, bool)
    running[1000:1600] = False
    rest = np.random.default_rng(0).normal(size=(600, 4))
    values[~running] = values.mean(axis=0) + 0.01 * values.std(axis=0) * rest
    rows = FitOptions(alignment="rows")
    parent = make_bundle([fit_asset(samples(values, running=running), rows)])
    since = fit_asset(samples(plant(2000, seed=4), running=np.ones(2000, bool)), rows)
    child = make_bundle([since], parent=parent)
    old, new = parent.assets[0], child.assets[0]
    assert old.tail_stopped is not None
    assert new.tail_stopped == old.tail_stopped
    centers = [b.only.parameters["center"] for b in (parent, child)]
    assert np.array_equal(centers[0][old.row_stopped], centers[1][new.row_stopped])
    assert new.metrics[STOPPED_OF_PARENT] == 1.0
    assert any("did not show it stopped" in line for line in mode_news(new))
    assert "did not show it stopped" in model_card(child)
    assert mode_news(old) == []
    wider = make_bundle([fitted(c=5)], parent=parent).assets[0]
    assert (wider.row_stopped, wider.tail_stopped) == (-1, None)


def test_modes_of_the_parent_ring_no_more_often_than_with_it() -> None:
    """One mode is wild and the child's record does not show it: its tail still has a say."""
    chance = np.random.default_rng(1)
    values, mode = chance.normal(size=(6000, 3)), np.repeat([0.0, 1.0] * 3, 1000)
    for at in np.flatnonzero(mode)[::150]:
        values[at : at + 5, 0] += 4.0 * chance.normal()
    values[mode == 1.0] += 30.0
    rows = FitOptions(alignment="rows")
    parent = make_bundle([fit_asset(samples(values, mode=mode), rows)])
    calm = samples(chance.normal(size=(2000, 3)), mode=np.zeros(2000))
    alone = make_bundle([fit_asset(calm, rows)]).assets[0]
    child = make_bundle([fit_asset(calm, rows)], parent=parent).assets[0]
    assert alone.threshold_on < parent.assets[0].threshold_on
    assert child.threshold_on == parent.assets[0].threshold_on
    assert alone.replay is not None
    assert child.replay is None


def test_what_an_asset_has_beside_its_baseline_is_told() -> None:
    """Heads, what labels did and what was replayed are no secret of the files."""
    before = two_assets()
    after = with_heads(before, {"r1": _head()}, created_at_ns=0)
    old, new = (standing_words(b, b.assets[0]) for b in (before, after))
    assert old.keys() == new.keys()
    named = "names failure modes"
    assert {what for what in old if old[what] != new[what]} == {named}
    assert (old[named], new[named]) == ("none", "normal, leak")
    assert standing_words(after, after.assets[1])[named] == "none"


def test_a_window_of_a_mode_that_the_fit_never_saw_is_not_read() -> None:
    """It has no baseline; where no mode is told, or none is known, there is one for all."""
    moded = samples(plant(2000, seed=1), mode=np.repeat([0.0, 1.0], 1000))
    bundle = make_bundle([fit_asset(moded, FitOptions(alignment="rows")), fitted(asset="r2")])
    windows = [
        LabelledWindow(values=plant(9, seed=2), begin=0, label=NORMAL, group="g", mode=mode)
        for mode in (0.0, 1.0, 7.0, float("nan"))
    ]
    assert [w.mode for w in with_baseline(bundle, "r1", windows)][:2] == [0.0, 1.0]
    assert len(with_baseline(bundle, "r1", windows)) == 3
    assert len(with_baseline(bundle, "r2", windows)) == 4
