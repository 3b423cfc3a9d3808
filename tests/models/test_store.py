"""Bundles on disk: the round trip, what is refused, children of a parent."""

from __future__ import annotations

import hashlib
import json
import pickle
import zipfile
from dataclasses import replace
from typing import TYPE_CHECKING

import msgspec
import numpy as np
import pytest

from models.bundles.assemble import make_bundle
from models.bundles.bundle import PARAMETERS, part_files
from models.bundles.card import model_card
from models.bundles.store import CARD, DESCRIPTION, files, load, save
from models.detector import detector_of
from models.errors import ModelError
from models.fitting.extremes import rate_at, usual_excess
from tests.models.plants import fitted, plant, two_assets

if TYPE_CHECKING:
    from pathlib import Path

FILES = (DESCRIPTION, *part_files(0), CARD)


def test_a_bundle_comes_back_as_it_went(tmp_path: Path) -> None:
    """Same hash, same bytes of every file, same scores."""
    bundle = two_assets()
    back = load(save(bundle, tmp_path / "b"))
    assert back.sha256 == bundle.sha256
    assert len(back.sha256) == 64
    assert files(back) == files(bundle)
    assert {file.name for file in (tmp_path / "b").iterdir()} == {*FILES, "manifest.json"}
    assert [file.name for file in tmp_path.iterdir()] == ["b"]  # nothing half-written beside it
    assert (back.rows, back.width) == (2, 4)
    for name in PARAMETERS:
        assert np.array_equal(back.only.parameters[name], bundle.only.parameters[name])


def test_a_bundle_of_before_sensors_and_drift_were_learned_still_loads(tmp_path: Path) -> None:
    """Its assets have no record of their sensors or of blocks, and everything else."""
    made = save(two_assets(), tmp_path / "b")
    described = json.loads((made / "bundle.json").read_bytes())
    for asset in described["assets"]:
        del asset["health"], asset["drift"]
    content = json.dumps(described).encode()
    (made / "bundle.json").write_bytes(content)
    manifest = json.loads((made / "manifest.json").read_bytes())
    manifest["bundle.json"] = {
        "sha256": hashlib.sha256(content).hexdigest(),
        "size_bytes": len(content),
    }
    (made / "manifest.json").write_bytes(json.dumps(manifest).encode())
    back = load(made)
    assert [model.health for model in back.assets] == [None, None]
    assert [model.drift for model in back.assets] == [None, None]
    assert back.assets[0].stuck_samples_max.min() >= 1


def test_equal_fits_give_equal_bundles() -> None:
    """The hash depends on what went in, not on when or where."""
    assert make_bundle([fitted()]).sha256 == make_bundle([fitted()]).sha256
    assert make_bundle([fitted()], created_at_ns=1).sha256 != make_bundle([fitted()]).sha256


@pytest.mark.parametrize("name", [*FILES, "manifest.json"])
def test_a_damaged_file_is_refused(tmp_path: Path, name: str) -> None:
    """One changed byte in any file, and the bundle is refused, naming the file."""
    path = save(two_assets(), tmp_path / "b")
    content = bytearray((path / name).read_bytes())
    content[len(content) // 2] ^= 1
    (path / name).write_bytes(bytes(content))
    with pytest.raises(ModelError, match=r"manifest|" + name):
        load(path)


@pytest.mark.parametrize("name", [*FILES, "manifest.json"])
def test_a_missing_file_is_refused(tmp_path: Path, name: str) -> None:
    """A bundle without one of its files is refused, naming it."""
    path = save(two_assets(), tmp_path / "b")
    (path / name).unlink()
    with pytest.raises(ModelError, match=name):
        load(path)


def test_pickled_objects_are_refused(tmp_path: Path) -> None:
    """An array of objects cannot ride in, even with a manifest that agrees."""
    bundle = two_assets()
    evil = {**bundle.only.selftest, "x": np.array([{"a": 1}], dtype=object)}
    path = save(bundle, tmp_path / "b")
    np.savez(path / "selftest.npz", allow_pickle=True, **evil)
    _reseal(path)
    with pytest.raises(ModelError, match="plain arrays"):
        load(path)


def test_no_file_holds_a_pickle(tmp_path: Path) -> None:
    """Every member of the archives is a plain .npy array."""
    path = save(two_assets(), tmp_path / "b")
    for name in ("parameters.npz", "selftest.npz"):
        with zipfile.ZipFile(path / name) as archive:
            for member in archive.namelist():
                content = archive.read(member)
                assert content.startswith(b"\x93NUMPY")
                with pytest.raises(pickle.UnpicklingError):
                    pickle.loads(content)  # noqa: S301 - that it cannot be is the point


def test_a_graph_that_scores_otherwise_is_refused(tmp_path: Path) -> None:
    """A self-test that does not come out as recorded stops the load."""
    bundle = two_assets()
    bundle.only.selftest["score"][:, -1] += 0.5
    path = save(bundle, tmp_path / "b")
    with pytest.raises(ModelError, match="self-test"):
        load(path)


def test_parameters_of_another_shape_are_refused(tmp_path: Path) -> None:
    """Arrays that do not fit the spec are refused before anything scores."""
    bundle = two_assets()
    bundle.only.parameters["center"] = bundle.only.parameters["center"][:, :2]
    path = save(bundle, tmp_path / "b")
    with pytest.raises(ModelError, match="center is float32"):
        load(path)


def test_a_bundle_is_never_overwritten(tmp_path: Path) -> None:
    """Saving onto anything that exists is refused."""
    save(two_assets(), tmp_path / "b")
    with pytest.raises(ModelError, match="never changed"):
        save(two_assets(), tmp_path / "b")


def test_a_failed_write_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that fails while writing leaves neither the bundle nor a part of it."""

    def fail(_handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(ModelError, match="No space left"):
        save(two_assets(), tmp_path / "b")
    assert list(tmp_path.iterdir()) == []


def test_a_child_adds_an_asset_and_recomputes_all_thresholds() -> None:
    """The budget is shared by more assets, so every threshold rises; the parent stays as it was."""
    parent = make_bundle([fitted(c=3, asset="a", seed=2)], alerts_per_day=0.5)
    before = files(parent)
    child = make_bundle([fitted(c=4, asset="b")], parent=parent)
    assert child.parent == parent.sha256
    assert child.alerts_per_day == 0.5
    assert [model.asset for model in child.assets] == ["a", "b"]
    assert child.assets[0].threshold_on > parent.assets[0].threshold_on
    usual = usual_excess([model.tail for model in child.assets])
    for model in child.assets:
        assert rate_at(model.tail, model.threshold_on, usual=usual) == pytest.approx(0.25)
    assert files(parent) == before
    assert child.width == 4


def test_a_child_scores_the_parents_assets_as_the_parent_did() -> None:
    """Padding a row for a wider neighbour changes nothing that it says."""
    parent = make_bundle([fitted(c=3, asset="a", seed=2)])
    child = make_bundle([fitted(c=4, asset="b")], parent=parent)
    x = plant(300, seed=5, c=3).astype(np.float32)[None]
    wide = np.full((1, 300, 4), np.nan, np.float32)
    wide[:, :, :3] = x
    old, new = detector_of(parent.only.graph), detector_of(child.only.graph)
    row = child.assets[0].row_running
    own = {name: value[row : row + 1] for name, value in child.only.parameters.items()}
    a, _ = old.score(x, np.isfinite(x), old.initial_state(1), parent.only.parameters)
    b, _ = new.score(wide, np.isfinite(wide), new.initial_state(1), own)
    assert np.allclose(a, b, rtol=1e-5, atol=1e-5, equal_nan=True)


def test_a_child_may_replace_an_asset() -> None:
    """Fitting an asset again takes the place of its old rows."""
    parent = two_assets()
    child = make_bundle([fitted(c=4, asset="r1", seed=9)], parent=parent)
    assert [model.asset for model in child.assets] == ["r1", "r2"]
    assert child.rows == 2
    assert not np.array_equal(child.assets[0].center, parent.assets[0].center)


def test_an_asset_is_fitted_once() -> None:
    """Two fits of one asset have no place in a bundle."""
    with pytest.raises(ModelError, match="once"):
        make_bundle([fitted(asset="a"), fitted(asset="a")])


def test_the_card_says_what_a_person_needs(tmp_path: Path) -> None:
    """Budget, thresholds, training and usual ranges stand in the card."""
    path = save(two_assets(), tmp_path / "b")
    card = (path / "MODEL_CARD.md").read_text(encoding="utf-8")
    for word in (
        "alert budget 6",
        "### r1",
        "### r2",
        "usual range",
        "| c0 | bar |",
        "rows 0:2000",
    ):
        assert word in card


def _reseal(path: Path) -> None:
    """Make the manifest agree with the files, as somebody with write access could."""
    manifest = {}
    for name in FILES:
        content = (path / name).read_bytes()
        manifest[name] = {
            "sha256": hashlib.sha256(content).hexdigest(),
            "size_bytes": len(content),
        }
    (path / "manifest.json").write_text(json.dumps(manifest))


def test_the_card_says_what_it_was_made_of_and_what_it_is_for() -> None:
    """Recordings by hash with rows used and left out, metrics, and what is not watched when."""
    one, other = fitted(c=4, asset="r1"), fitted(c=3, asset="r|2", seed=2)
    of = msgspec.structs.replace(one.training, sha256="ab" * 32, rows_used=700, rows_excluded=41)
    late = msgspec.structs.replace(of, rows_used=300, rows_excluded=1)
    bundle = make_bundle([replace(one, training=of), replace(other, training=late)])
    card = model_card(bundle)
    begins = [
        card.index(f"## {name}") for name in ("Intended use", "Data", "Metrics", "Limits", "Assets")
    ]
    assert begins == sorted(begins)
    assert f"recording {'ab' * 32}: 2 assets, 1000 rows used, 42 left out" in card
    assert "no safety function may rest on it" in card
    rows = [line for line in card.splitlines() if line.startswith("| r\\|2 |")]
    assert len(rows) == 1 + sum(not name.startswith("unresolved ") for name in other.metrics)
    assert "Without a baseline while stopped: r1, r|2" in card
    usual = usual_excess([model.tail for model in bundle.assets])
    first = bundle.assets[0]
    assert f"| r1 | {rate_at(first.tail, first.threshold_on, usual=usual):.3g} |" in card
    assert "replay of 0.0231 days not seen by the model" in card
