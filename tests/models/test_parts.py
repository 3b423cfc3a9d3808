"""Bundles of several kinds of detector: each asset is scored as if it stood in a bundle alone."""

from __future__ import annotations

import functools
import hashlib
import json
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pytest

from models.bundles.assemble import make_bundle
from models.bundles.bundle import Spec, StreamSpec
from models.bundles.card import model_card
from models.bundles.check import PARTS_MAX
from models.bundles.rows import without
from models.bundles.store import file_names, files, load, save
from models.bundles.unfitted import unfitted
from models.detector import _kept, detectors_of, opened
from models.errors import ModelError
from models.fitting.fit import FitOptions, fit_asset, options_of
from tests.counting import calls_of
from tests.models.plants import SECOND_NS, fitted, plant, samples, two_assets

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray
    from onnxruntime import InferenceSession

    from models.bundles.bundle import AssetFit, Bundle


@functools.cache
def tank() -> AssetFit:
    """An asset of one channel."""
    return fit_asset(samples(plant(1500, seed=5, c=1), asset="tank"), FitOptions(alignment="rows"))


@functools.cache
def mixed() -> Bundle:
    """Two assets of several channels, and the tank between them by name and by row."""
    return make_bundle([fitted(c=4, asset="r1"), tank(), fitted(c=3, asset="z2", seed=2)])


def scored(bundle: Bundle, asset: str, values: NDArray[np.float64]) -> NDArray[np.float32]:
    """Scores (n,) of the asset's running row."""
    model = next(m for m in bundle.assets if m.asset == asset)
    part, row = bundle.place(model.row_running)
    (detector,) = [d for p, d in zip(bundle.parts, detectors_of(bundle), strict=True) if p is part]
    x = np.full((1, len(values), part.width), np.nan, np.float32)
    x[0, :, : values.shape[1]] = values
    own = {name: value[row : row + 1] for name, value in part.parameters.items()}
    score, _ = detector.score(x, np.isfinite(x), detector.initial_state(1), own)
    return np.asarray(score[0])


def test_each_kind_is_a_part_of_its_own() -> None:
    """Rows are numbered through the parts, and every asset has all of its in one."""
    bundle = mixed()
    assert sorted(part.spec.__class__.__name__ for part in bundle.parts) == ["Spec", "StreamSpec"]
    assert (bundle.rows, bundle.width) == (3, 4)
    kinds = {m.asset: type(bundle.place(m.row_running)[0].spec) for m in bundle.assets}
    assert kinds == {"r1": Spec, "tank": StreamSpec, "z2": Spec}
    with pytest.raises(ModelError, match="2 parts"):
        bundle.only  # noqa: B018 - that it cannot be had is the point
    with pytest.raises(ModelError, match="3 rows"):
        bundle.place(3)


def test_a_mixed_bundle_scores_as_those_of_one_kind() -> None:
    """To the last bit: nothing of one part reaches the other."""
    values = plant(400, seed=9)
    values[200:230, 1] += 20.0
    wide = make_bundle([fitted(c=4, asset="r1"), fitted(c=3, asset="z2", seed=2)])
    alone = make_bundle([tank()])
    level = plant(400, seed=10, c=1)
    level[300:] += 0.5
    for asset, rows, other in (
        ("r1", values, wide),
        ("z2", values[:, :3], wide),
        ("tank", level, alone),
    ):
        ours, theirs = scored(mixed(), asset, rows), scored(other, asset, rows)
        assert np.array_equal(ours, theirs, equal_nan=True), asset
        assert np.isfinite(ours).any()


def test_a_row_without_channels_is_one_of_its_part() -> None:
    """A mask over the bundle's widest asset is cut to what the part has."""
    bundle = mixed()
    wide = make_bundle([fitted(c=4, asset="r1"), fitted(c=3, asset="z2", seed=2)])
    keep = np.array([True, False, True, True])
    for asset in ("r1", "z2"):
        ours = without(bundle, next(m for m in bundle.assets if m.asset == asset).row_running, keep)
        theirs = without(wide, next(m for m in wide.assets if m.asset == asset).row_running, keep)
        assert all(np.array_equal(ours[name], theirs[name]) for name in theirs)
    row = next(m for m in bundle.assets if m.asset == "tank").row_running
    assert without(bundle, row, ~keep)["present"].tolist() == [[False]]
    assert without(bundle, row, keep)["present"].tolist() == [[True]]


def test_it_comes_back_from_disk(tmp_path: Path) -> None:
    """Same hash and bytes; every part with its graph, parameters and self-test."""
    back = load(save(mixed(), tmp_path / "b"))
    assert back.sha256 == mixed().sha256
    assert files(back) == files(mixed())
    names = {file.name for file in (tmp_path / "b").iterdir()}
    assert names == set(file_names(tmp_path / "b"))
    assert {"model.onnx", "model-2.onnx", "parameters-2.npz", "selftest-2.npz"} <= names


@pytest.mark.parametrize("name", ["model-2.onnx", "parameters-2.npz", "selftest-2.npz"])
def test_a_damaged_file_of_any_part_is_refused(tmp_path: Path, name: str) -> None:
    """The second part is trusted no more than the first."""
    path = save(mixed(), tmp_path / "b")
    content = bytearray((path / name).read_bytes())
    content[len(content) // 2] ^= 1
    (path / name).write_bytes(bytes(content))
    with pytest.raises(ModelError, match=name):
        load(path)


def test_a_part_that_scores_otherwise_is_refused(tmp_path: Path) -> None:
    """Each graph has its own self-test."""
    bundle = make_bundle([fitted(c=4, asset="r1"), tank()])
    bundle.parts[1].selftest["score"][:, -1] += 0.5
    path = save(bundle, tmp_path / "b")
    with pytest.raises(ModelError, match=r"model-2\.onnx does not score"):
        load(path)


def test_an_asset_over_two_parts_is_refused(tmp_path: Path) -> None:
    """Its rows would have different widths."""
    path = save(mixed(), tmp_path / "b")
    described = json.loads((path / "bundle.json").read_bytes())
    one, tank_model, _ = described["assets"]
    rows = one["row_running"], tank_model["row_running"]
    tank_model["row_running"], one["row_running"] = rows
    _rewritten(path, described)
    with pytest.raises(ModelError, match="rows or channels of r1 do not fit"):
        load(path)


def test_a_bundle_of_the_format_before_still_loads(tmp_path: Path) -> None:
    """It named the spec of its only part; one of any other format is refused, with what to do."""
    made = save(two_assets(), tmp_path / "b")
    described = json.loads((made / "bundle.json").read_bytes())
    (described["spec"],) = described.pop("specs")
    described["format"] = 2
    _rewritten(made, described)
    back = load(made)
    assert back.only.spec == two_assets().only.spec
    child = make_bundle([tank()], parent=back)
    assert len(child.parts) == 2
    described["format"] = 1
    _rewritten(made, described)
    with pytest.raises(ModelError, match="reads 2 and 3; fit it again"):
        load(made)


def test_too_many_parts_are_refused(tmp_path: Path) -> None:
    """Each is a call of a model every tick; what is written by hand is no way around the bound."""
    made = save(two_assets(), tmp_path / "b")
    described = json.loads((made / "bundle.json").read_bytes())
    described["specs"] *= PARTS_MAX + 1
    _rewritten(made, described)
    with pytest.raises(ModelError, match=f"expected 1 to {PARTS_MAX}"):
        load(made)


def _rewritten(path: Path, described: object) -> None:
    """Another bundle.json, and a manifest that agrees."""
    content = json.dumps(described).encode()
    (path / "bundle.json").write_bytes(content)
    manifest = json.loads((path / "manifest.json").read_bytes())
    manifest["bundle.json"] = {
        "sha256": hashlib.sha256(content).hexdigest(),
        "size_bytes": len(content),
    }
    (path / "manifest.json").write_bytes(json.dumps(manifest).encode())


def test_a_child_may_add_another_kind_and_take_it_away_again() -> None:
    """What the parent's assets say stays; an asset that changes its kind changes its part."""
    parent = two_assets()
    child = make_bundle([tank()], parent=parent)
    values = plant(300, seed=4)
    assert np.array_equal(scored(child, "r1", values), scored(parent, "r1", values), equal_nan=True)
    level = samples(plant(800, seed=6, c=1), asset="tank")
    as_var = fit_asset(level, FitOptions(alignment="rows", detector="var"))
    grandchild = make_bundle([as_var], parent=child)
    assert isinstance(grandchild.only.spec, Spec)
    assert grandchild.rows == 3


def test_other_options_are_a_part_of_their_own() -> None:
    """Assets with other lags cannot share a graph, and need not."""
    options = FitOptions(lags=3, alignment="rows")
    other = fit_asset(samples(plant(500, seed=1), asset="b"), options)
    bundle = make_bundle([fitted(asset="a"), other])
    assert {part.spec.lags for part in bundle.parts if isinstance(part.spec, Spec)} == {2, 3}


def test_an_asset_that_is_fitted_again_keeps_its_kind() -> None:
    """One that is new, or of which nothing was learned, gets it by its channels."""
    nothing = np.full(1, np.nan)
    bare = unfitted(
        "bare", tank().channels, period_ns=SECOND_NS, usual_low=nothing, usual_high=nothing
    )
    bundle = make_bundle([bare], parent=mixed())
    kinds = {asset: options_of(bundle, asset).detector for asset in ("r1", "tank", "bare", "new")}
    assert kinds == {"r1": "var", "tank": "stream", "bare": "auto", "new": "auto"}


def test_the_card_says_which_asset_is_scored_how() -> None:
    """A paragraph a kind, with the assets of it."""
    card = model_card(mixed())
    assert "### var: r1, z2" in card
    assert "### stream: tank" in card
    assert "| c0 | bar |" in card


def of_many(assets: int, path: Path) -> Path:
    """A bundle of so many assets of two kinds, on disk."""
    one, two = fitted(c=4), tank()
    fits = [replace(two if i % 4 == 0 else one, asset=f"a{i:04}") for i in range(assets)]
    return save(make_bundle(fits), path)


def test_a_graph_is_opened_once_however_many_assets_it_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For its self-test and for who scores with it; opening one takes as long as many assets."""
    seen: list[bytes] = []

    def noted(graph: bytes) -> InferenceSession:
        seen.append(graph)
        return opened(graph)

    monkeypatch.setattr("models.detector.opened", noted)
    for assets in (4, 40):
        path = of_many(assets, tmp_path / str(assets))
        _kept.cache_clear()
        seen.clear()
        bundle = load(path)
        detectors_of(bundle)
        assert seen == [part.graph for part in bundle.parts]


def test_more_assets_are_loaded_with_no_more_work_for_each(tmp_path: Path) -> None:
    """Of calls, self-tests of both kinds included: the second forty assets take those of the first.

    How long it takes is printed by `python -m benchmarks.bundles`.
    """
    paths = [of_many(assets, tmp_path / str(assets)) for assets in (40, 80, 120)]
    _all_loaded(paths[0])  # what is read or opened at the first time only
    few, more, most = (calls_of(partial(_all_loaded, path)) for path in paths)
    assert most - more <= 1.05 * (more - few)


def _all_loaded(path: Path) -> None:
    detectors_of(load(path))
