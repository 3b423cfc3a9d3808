"""What a bundle hands to its child, and what neither of them may be."""

from __future__ import annotations


import pytest

from models.adopt import ImportOptions, import_asset
from models.assemble import make_bundle
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
