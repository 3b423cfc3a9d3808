"""What a bundle hands to its child, and what neither of them may be."""

from __future__ import annotations


import pytest

from models.adopt import ImportOptions, import_asset
from models.assemble import make_bundle
from models.check import PARTS_MAX
from models.errors import ModelError
from models.heads import NORMAL, HeadFit, LabelledWindow, heads_of, train_head, with_heads
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
