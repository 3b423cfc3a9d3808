"""Bundles as immutable directories: written atomically, checked in full before believed.

bundle.json      assets, channels, units, thresholds with their budget, training, parent
model.onnx       the graph
parameters.npz   a row an asset and baseline, and the lag moments; never pickled objects
selftest.npz     samples and the scores expected of them
MODEL_CARD.md    the same for people
manifest.json    sha256 and size of each; its own sha256 names the bundle
"""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import tempfile
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray  # noqa: TC002 - msgspec reads annotations at run time

from models.bundle import AssetModel, Bundle, Spec, StreamSpec
from models.card import model_card
from models.check import check_values
from models.detector import detector_of
from models.errors import ModelError
from models.imported import ImportedSpec
from models.rows import parameter_names, shapes

FORMAT: Final = 2
FILES: Final = ("bundle.json", "model.onnx", "parameters.npz", "selftest.npz", "MODEL_CARD.md")
FILE_BYTES_MAX: Final = 2**30
SELFTEST_TOLERANCE: Final = (
    1e-3  # of another processor's rounding; a wrong graph is off by far more
)


class _Description(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What bundle.json holds."""

    format: int
    spec: Spec | StreamSpec | ImportedSpec
    assets: tuple[AssetModel, ...]
    alerts_per_day: float
    parent: str
    created_at_ns: int


class _Entry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One file in manifest.json."""

    sha256: str
    size_bytes: int


def sealed(bundle: Bundle) -> Bundle:
    """The bundle with the hash that its files give it."""
    return replace(bundle, sha256=_sha256(files(bundle)["manifest.json"]))


def files(bundle: Bundle) -> dict[str, bytes]:
    """Contents of every file of a bundle, manifest included; equal bundles give equal bytes."""
    description = _Description(
        format=FORMAT,
        spec=bundle.spec,
        assets=bundle.assets,
        alerts_per_day=bundle.alerts_per_day,
        parent=bundle.parent,
        created_at_ns=bundle.created_at_ns,
    )
    arrays = _all_arrays(bundle)
    contents = {
        "bundle.json": msgspec.json.format(_encode(description), indent=1),
        "model.onnx": bundle.graph,
        "parameters.npz": _npz(arrays),
        "selftest.npz": _npz(bundle.selftest),
        "MODEL_CARD.md": model_card(bundle).encode(),
    }
    manifest = {
        name: _Entry(sha256=_sha256(content), size_bytes=len(content))
        for name, content in contents.items()
    }
    contents["manifest.json"] = msgspec.json.format(_encode(manifest), indent=1)
    return contents


def _all_arrays(bundle: Bundle) -> dict[str, NDArray[Any]]:
    """What parameters.npz holds: inputs of the graph, and what masked rows are made of."""
    kept = {"moments": bundle.moments, "wanders": bundle.wanders, "learned": bundle.learned}
    return {**bundle.parameters, **kept}


def save(bundle: Bundle, path: Path) -> Path:
    """Write a bundle to a new directory, all or nothing. Raises ModelError where `path` exists."""
    path = Path(path)
    if path.exists():
        raise ModelError(f"{path} exists; a bundle is never changed: name a new directory")
    path.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    try:
        for name, content in files(bundle).items():
            with (work / name).open("wb") as out:
                out.write(content)
                out.flush()
                os.fsync(out.fileno())
        work.chmod(0o755)
        _sync_directory(work)
        work.rename(path)
        _sync_directory(path.parent)
    except OSError as error:
        raise ModelError(f"{path} could not be written: {error}") from error
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return path


def load(path: Path) -> Bundle:
    """Read a bundle. Raises ModelError, naming the file, where it is not as it was written."""
    path = Path(path)
    raw = _read(path / "manifest.json")
    try:
        manifest = msgspec.json.decode(raw, type=dict[str, _Entry])
    except msgspec.MsgspecError as error:
        raise ModelError(f"{path / 'manifest.json'} is damaged: {error}; copy it again") from error
    if set(manifest) != set(FILES):
        raise ModelError(f"{path / 'manifest.json'} lists {sorted(manifest)}, expected {FILES}")
    contents = {name: _verified(path / name, entry) for name, entry in manifest.items()}
    try:
        description = msgspec.json.decode(
            contents["bundle.json"], type=_Description, dec_hook=_to_array
        )
    except msgspec.MsgspecError as error:
        raise ModelError(f"{path / 'bundle.json'} is not of this version: {error}") from error
    if description.format != FORMAT:
        raise ModelError(
            f"{path} has format {description.format}, this version reads {FORMAT}; fit it again"
        )
    arrays = _arrays(contents["parameters.npz"], path / "parameters.npz")
    bundle = Bundle(
        sha256=_sha256(raw),
        spec=description.spec,
        graph=contents["model.onnx"],
        parameters={n: arrays[n] for n in parameter_names(description.spec) if n in arrays},
        moments=arrays.get("moments", np.empty(0)),
        wanders=arrays.get("wanders", np.empty(0, np.bool_)),
        learned=arrays.get("learned", np.empty(0)),
        assets=description.assets,
        alerts_per_day=description.alerts_per_day,
        parent=description.parent,
        created_at_ns=description.created_at_ns,
        selftest=_arrays(contents["selftest.npz"], path / "selftest.npz"),
    )
    _check_shapes(bundle, path)
    check_values(bundle, path)
    _check_scores(bundle, path)
    return bundle


def _check_shapes(bundle: Bundle, path: Path) -> None:
    """Every array as the spec says, every asset with its rows."""
    spec, rows = bundle.spec, bundle.rows
    c = spec.channels
    found = _all_arrays(bundle)
    for name, (shape, dtype) in shapes(spec, rows).items():
        array = found.get(name)
        if array is None or array.shape != shape or array.dtype != dtype:
            is_now = "is missing" if array is None else f"is {array.dtype} {array.shape}"
            raise ModelError(
                f"{path / 'parameters.npz'}: {name} {is_now}, expected {dtype} {shape}"
            )
    for model in bundle.assets:
        in_range = 0 <= model.row_running < rows and -1 <= model.row_stopped < rows
        in_range &= all(0 <= mode.row < rows for mode in model.modes)
        if not in_range or len(model.channels) > c or len(model.sigma) != len(model.channels):
            raise ModelError(
                f"{path / 'bundle.json'}: rows or channels of {model.asset} do not fit"
            )


def _check_scores(bundle: Bundle, path: Path) -> None:
    """The graph does here what it did where it was made."""
    try:
        detector = detector_of(bundle.graph)
        test = bundle.selftest
        own = {name: value[test["rows"]] for name, value in bundle.parameters.items()}
        state = detector.initial_state(len(test["rows"]))
        score, _ = detector.score(test["x"], test["valid"], state, own)
        expected = test["score"]
    except (KeyError, IndexError, ModelError) as error:
        raise ModelError(f"{path}: the self-test could not run: {error}") from error
    same = np.allclose(
        score, expected, rtol=SELFTEST_TOLERANCE, atol=SELFTEST_TOLERANCE, equal_nan=True
    )
    if detector.spec != bundle.spec or score.shape != expected.shape or not same:
        raise ModelError(f"{path}: model.onnx does not score the self-test as it did when made")


def _verified(path: Path, entry: _Entry) -> bytes:
    content = _read(path)
    if len(content) != entry.size_bytes or _sha256(content) != entry.sha256:
        raise ModelError(
            f"{path} is not the file that the manifest names, or the manifest is damaged:"
            f" {len(content)} bytes with sha256 {_sha256(content)}, expected {entry.size_bytes}"
            f" with {entry.sha256}; copy the bundle again"
        )
    return content


def _read(path: Path) -> bytes:
    try:
        if path.stat().st_size > FILE_BYTES_MAX:
            raise ModelError(f"{path} is over {FILE_BYTES_MAX} bytes")
        return path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror}") from error


def _arrays(content: bytes, path: Path) -> dict[str, NDArray[Any]]:
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as held:
            return {name: held[name] for name in held.files}
    except (ValueError, OSError, zipfile.BadZipFile) as error:
        raise ModelError(f"{path} does not hold plain arrays: {error}") from error


def _npz(arrays: dict[str, NDArray[Any]]) -> bytes:
    out = io.BytesIO()
    np.savez(out, allow_pickle=False, **arrays)
    return out.getvalue()


def _encode(value: object) -> bytes:
    return msgspec.json.encode(value, enc_hook=_from_array, order="deterministic")


def _from_array(value: object) -> object:
    if isinstance(value, np.ndarray):
        return value.tolist()
    raise TypeError(f"{type(value)} has no place in bundle.json")


def _to_array(kind: type, value: object) -> object:
    if kind is np.ndarray:
        return np.asarray(value, np.float64)
    raise TypeError(f"{kind} has no place in bundle.json")


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _sync_directory(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
