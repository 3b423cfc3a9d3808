"""Values that no detector can have are refused, even where every hash agrees."""

from __future__ import annotations

import hashlib
import io
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import pytest

from models.bundles.assemble import make_bundle
from models.bundles.bundle import Channel, StreamSpec, part_files
from models.bundles.check import check_values
from models.bundles.store import CARD, DESCRIPTION, load, save
from models.errors import ModelError
from tests.models.plants import fitted, two_assets

if TYPE_CHECKING:
    from pathlib import Path

BAD: list[tuple[str, Any, str]] = [
    ("threshold_on", 1e9, r"threshold_on of asset r1 is 1000000000.0, expected above 0"),
    ("threshold_on", -1.0, r"threshold_on of asset r1 is -1.0"),
    ("threshold_off", 50.0, r"threshold_off of asset r1 is 50.0, expected .* at most threshold_on"),
    ("threshold_off", 0.0, r"threshold_off of asset r1 is 0.0"),
    ("period_ns", 0, r"period_ns of asset r1 is 0, expected above 0"),
    ("usual_low", [0.0], r"usual_low of asset r1 is \[0.0\], expected 4 numbers"),
    ("usual_low", [1e9] * 4, r"usual_low of asset r1 .* nowhere above usual_high"),
    ("center", [], r"center of asset r1 is \[\], expected 4 numbers"),
    ("sigma", [1.0, 1.0, 0.0, 1.0], r"sigma of asset r1 .* above 0"),
    ("stuck_samples_max", [0.0] * 4, r"stuck_samples_max of asset r1 .* at least 1"),
    ("alignment", "x", r"alignment of asset r1 is 'x', expected grid or rows"),
    ("asset", "../../x", r"asset is '../../x', expected 1 to 64 printable characters"),
    ("asset", "", r"asset is ''"),
    ("asset", "a\n", r"asset is 'a\\n'"),
    ("asset", "+", r"asset is '\+'"),
    ("asset", "r2", r"assets is \['r2', 'r2'\], expected each once"),
    ("row_stopped", 1, r"row_running and row_stopped .* is \[0, 1, 1\], expected \[0, 1\]"),
    ("tail", {"score": 2.0, "episodes_per_day": 0.0}, r"tail.episodes_per_day of asset r1 is 0.0"),
]


@pytest.mark.parametrize(("key", "value", "told"), BAD)
def test_impossible_values_of_an_asset_are_refused(
    tmp_path: Path, key: str, value: object, told: str
) -> None:
    """The error names the file, the value, and what was expected."""
    path = save(two_assets(), tmp_path / "b")
    description = json.loads((path / "bundle.json").read_text())
    description["assets"][0][key] = value
    _rewrite(path, "bundle.json", json.dumps(description).encode())
    with pytest.raises(ModelError, match=r"bundle\.json: " + told):
        load(path)


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        ({"lambdas": [2.0, 0.05]}, r"lambdas of spec 1 is \(2.0, 0.05\), expected .* at most 1"),
        ({"lambdas": [1.0, 0.0]}, r"lambdas of spec 1 is \(1.0, 0.0\), expected .* above 0"),
        ({"lambdas": []}, r"lambdas of spec 1 is \(\), expected at least one rate"),
    ],
)
def test_a_detector_of_an_impossible_shape_is_refused(
    tmp_path: Path, spec: dict[str, Any], told: str
) -> None:
    """Named before anything is made of it: a rate of 2 would divide by zero."""
    path = save(two_assets(), tmp_path / "b")
    description = json.loads((path / "bundle.json").read_text())
    description["specs"][0] |= spec
    with np.load(path / "parameters.npz") as held:
        arrays = dict(held)
    views = len(description["specs"][0]["lambdas"])
    for name, many in (("tail_knots", 2 * views), ("tail_slopes", 2 * views), ("evenness", views)):
        arrays[name] = arrays[name][:, :many]
    _rewrite(path, "parameters.npz", _npz(arrays))
    _rewrite(path, "bundle.json", json.dumps(description).encode())
    with pytest.raises(ModelError, match=r"bundle\.json: " + told):
        load(path)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"season": -1}, "season of spec 1 is -1, expected at least 0"),
        ({"season": 2**40}, "season of spec 1 is 1099511627776, expected 0 to 1440"),
        ({"seasons": 2**40}, r"seasons x \(2 around \+ 1\) of spec 1 is .*, expected at most 4096"),
        ({"around": 2**40}, r"seasons x \(2 around \+ 1\) of spec 1 is .*, expected at most 4096"),
        ({"nearest": 257}, "nearest of spec 1 is 257, expected at most bank, 256"),
        ({"window": 0}, "window of spec 1 is 0, expected at least 1"),
    ],
)
def test_a_stream_of_an_impossible_shape_is_refused(wrong: dict[str, int], told: str) -> None:
    """What its arrays do not show would be taken for the width of its state."""
    bundle = two_assets()
    part = replace(bundle.only, spec=msgspec.structs.replace(StreamSpec(season=24), **wrong))
    with pytest.raises(ModelError, match=told):
        check_values(replace(bundle, parts=(part,)))


@pytest.mark.parametrize("key", ["sigma", "center", "usual_low"])
def test_a_number_in_place_of_a_vector_is_refused(tmp_path: Path, key: str) -> None:
    """It would be an array without a length."""
    path = save(two_assets(), tmp_path / "b")
    description = json.loads((path / "bundle.json").read_text())
    description["assets"][0][key] = 0.5
    _rewrite(path, "bundle.json", json.dumps(description).encode())
    with pytest.raises(ModelError, match=rf"bundle\.json .* got 0\.5 .*\.{key}"):
        load(path)


def test_two_channels_of_one_name_are_refused(tmp_path: Path) -> None:
    """Neither made nor loaded: nobody could say which of them rang."""
    path = save(two_assets(), tmp_path / "b")
    description = json.loads((path / "bundle.json").read_text())
    description["assets"][0]["channels"][1]["name"] = "c0"
    _rewrite(path, "bundle.json", json.dumps(description).encode())
    with pytest.raises(ModelError, match=r"bundle\.json: channels of asset r1 .* each name once"):
        load(path)
    fit = fitted(300)
    twice = replace(fit, channels=(Channel(name="c1"), *fit.channels[1:]))
    with pytest.raises(ModelError, match=r"new bundle: channels of asset r1 .* each name once"):
        make_bundle([twice])


def test_an_asset_id_that_is_no_topic_level_is_refused_when_made() -> None:
    """What could not be loaded is not written either."""
    with pytest.raises(ModelError, match="asset is 'a/b'"):
        make_bundle([fitted(300, asset="a/b")])


def test_a_bundle_without_assets_or_budget_is_refused(tmp_path: Path) -> None:
    """It would watch nothing, and say that all is well."""
    path = save(two_assets(), tmp_path / "b")
    good = json.loads((path / "bundle.json").read_text())
    _rewrite(path, "bundle.json", json.dumps({**good, "assets": []}).encode())
    with pytest.raises(ModelError, match=r"assets is \[\], expected at least one"):
        load(path)
    _rewrite(path, "bundle.json", json.dumps({**good, "alerts_per_day": -1.0}).encode())
    with pytest.raises(ModelError, match=r"alerts_per_day is -1.0, expected a number above 0"):
        load(path)


@pytest.mark.parametrize(
    ("name", "value"), [("weights", np.nan), ("scale", 0.0), ("settle", -1.0), ("learned", 0.0)]
)
def test_impossible_parameters_are_refused(tmp_path: Path, name: str, value: float) -> None:
    """A row without a finite score would never ring."""
    path = save(two_assets(), tmp_path / "b")
    with np.load(path / "parameters.npz") as held:
        arrays = dict(held)
    arrays[name][1:] = value
    _rewrite(path, "parameters.npz", _npz(arrays))
    with pytest.raises(ModelError, match=rf"parameters\.npz: an entry of {name} is"):
        load(path)


@pytest.mark.parametrize("value", [1e22, -37.0])
def test_moments_that_no_clipped_values_have_are_refused(tmp_path: Path, value: float) -> None:
    """Masked rows are solved from them: beside 1e22 the ridge that keeps that solvable is lost."""
    path = save(two_assets(), tmp_path / "b")
    with np.load(path / "parameters.npz") as held:
        arrays = dict(held)
    arrays["moments"][1, 6, 3] = value
    _rewrite(path, "parameters.npz", _npz(arrays))
    told = r"parameters\.npz: size of an entry of moments is .*, expected at most 36"
    with pytest.raises(ModelError, match=told):
        load(path)


def _npz(arrays: dict[str, Any]) -> bytes:
    out = io.BytesIO()
    np.savez(out, allow_pickle=False, **arrays)
    return out.getvalue()


def _rewrite(path: Path, name: str, content: bytes) -> None:
    """Change a file and make the manifest agree, as somebody with write access could."""
    (path / name).write_bytes(content)
    contents = {each: (path / each).read_bytes() for each in (DESCRIPTION, *part_files(0), CARD)}
    manifest = {
        each: {"sha256": hashlib.sha256(raw).hexdigest(), "size_bytes": len(raw)}
        for each, raw in contents.items()
    }
    (path / "manifest.json").write_text(json.dumps(manifest))
