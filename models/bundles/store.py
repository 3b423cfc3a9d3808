"""Bundles as immutable directories: written atomically, checked in full before believed.

bundle.json      assets, channels, units, thresholds with their budget, training, parent
model.onnx       the graph
parameters.npz   a row an asset and baseline, and the lag moments; never pickled objects
selftest.npz     samples and the scores expected of them
MODEL_CARD.md    the same for people
manifest.json    sha256 and size of each; its own sha256 names the bundle

A bundle of several kinds has the graph, parameters and self-test of each: those of its second part
are model-2.onnx, parameters-2.npz and selftest-2.npz.
"""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import stat
import sys
import tempfile
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray  # noqa: TC002 - msgspec reads annotations at run time

from models.bundles.arrays import plain_arrays
from models.bundles.bundle import AnySpec, AssetModel, Bundle, Channel, Part, part_files
from models.bundles.card import model_card
from models.bundles.check import PARTS_MAX, check_values, own_rows
from models.bundles.rows import parameter_names, shapes
from models.bundles.symmetric import halved
from models.bundles.trial import survive
from models.detector import ORT_ERRORS, detector_of
from models.errors import UNREADABLE, ModelError
from models.fitting.positions import OperatorPosition
from models.graphs.own import is_own
from models.graphs.safety import check_graph

if TYPE_CHECKING:
    from collections.abc import Sequence

FORMAT: Final = 3
FORMAT_OF_ONE_KIND: Final = 2  # it named the spec of its only part
DESCRIPTION: Final = "bundle.json"
CARD: Final = "MODEL_CARD.md"
MANIFEST: Final = "manifest.json"
FILE_BYTES_MAX: Final = 2**30
SELFTEST_TOLERANCE: Final = (
    1e-3  # of another processor's rounding; a wrong graph is off by far more
)


class _Description(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What bundle.json holds."""

    format: int
    specs: tuple[AnySpec, ...] = ()  # of each part
    spec: AnySpec | msgspec.UnsetType = msgspec.UNSET  # of FORMAT_OF_ONE_KIND
    assets: tuple[AssetModel, ...]
    alerts_per_day: float
    parent: str
    created_at_ns: int
    # left out where there is none, as in bundles from before there were any
    positions: tuple[OperatorPosition, ...] | msgspec.UnsetType = msgspec.UNSET


class _Entry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One file in manifest.json."""

    sha256: str
    size_bytes: int


def sealed(bundle: Bundle) -> Bundle:
    """The bundle with the hash that its files give it."""
    return replace(bundle, sha256=_sha256(files(bundle)[MANIFEST]))


def files(bundle: Bundle) -> dict[str, bytes]:
    """Contents of every file of a bundle, manifest included; equal bundles give equal bytes."""
    description = _Description(
        format=FORMAT,
        specs=tuple(part.spec for part in bundle.parts),
        assets=bundle.assets,
        alerts_per_day=bundle.alerts_per_day,
        parent=bundle.parent,
        created_at_ns=bundle.created_at_ns,
        positions=bundle.positions or msgspec.UNSET,
    )
    contents = {DESCRIPTION: msgspec.json.format(_encode(description), indent=1)}
    for at, part in enumerate(bundle.parts):
        held = (part.graph, _npz(_all_arrays(part)), _npz(part.selftest))
        contents |= dict(zip(part_files(at), held, strict=True))
    contents[CARD] = model_card(bundle).encode()
    manifest = {
        name: _Entry(sha256=_sha256(content), size_bytes=len(content))
        for name, content in contents.items()
    }
    contents[MANIFEST] = msgspec.json.format(_encode(manifest), indent=1)
    return contents


def file_names(path: Path) -> tuple[str, ...]:
    """Names of all files of a bundle, manifest included, as it lists them. Raises ModelError."""
    manifest, _ = _manifest(path)
    known = {DESCRIPTION, CARD, *(name for at in range(PARTS_MAX) for name in part_files(at))}
    if more := sorted(set(manifest) - known):
        raise ModelError(f"{path / MANIFEST} lists {more}, expected files of a bundle alone")
    return (*manifest, MANIFEST)


def _all_arrays(part: Part) -> dict[str, NDArray[Any]]:
    """What parameters.npz holds: inputs of the graph, and what masked rows are made of."""
    moments = np.asarray(part.moments)
    kept = {"moments": moments, "wanders": part.wanders, "learned": part.learned}
    return {**part.parameters, **kept}


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
    """Read a bundle. Raises ModelError, naming the file, where it is not as it was written.

    One with a graph that this version does not make again is first loaded in a child process.
    """
    path = Path(path)
    bundle = _as_written(path)
    if not all(is_own(part.spec, part.graph) for part in bundle.parts):
        survive(path.resolve(), bundle.sha256)
    return _tested(bundle, path)


def verify(path: Path, sha256: str) -> None:
    """Check every byte of a bundle that was loaded before. Raises ModelError, for another too."""
    manifest, found = _manifest(path)
    if found != sha256:
        raise ModelError(f"{path} holds bundle {found[:12]}, expected {sha256[:12]}")
    for name, entry in manifest.items():
        _verified(path / name, entry)


def load_here(path: Path) -> Bundle:
    """As `load`, whoever made the graph: for a process that may fall."""
    return _tested(_as_written(path), path)


def _as_written(path: Path) -> Bundle:
    """A bundle as its files have it, before any graph is run. Raises ModelError."""
    manifest, sha256 = _manifest(path)
    if DESCRIPTION not in manifest:
        raise ModelError(f"{path / MANIFEST} lists {sorted(manifest)}, expected {DESCRIPTION} too")
    description = _description(path, manifest[DESCRIPTION])
    count = len(description.specs)
    expected = {DESCRIPTION, CARD, *(name for at in range(count) for name in part_files(at))}
    if set(manifest) != expected:
        raise ModelError(f"{path / MANIFEST} lists {sorted(manifest)}, expected {sorted(expected)}")
    contents = {name: _verified(path / name, entry) for name, entry in manifest.items()}
    bundle = Bundle(
        sha256=sha256,
        parts=tuple(
            _part(spec, [(path / name, contents[name]) for name in part_files(at)])
            for at, spec in enumerate(description.specs)
        ),
        assets=_alike(description.assets),
        alerts_per_day=description.alerts_per_day,
        parent=description.parent,
        created_at_ns=description.created_at_ns,
        positions=() if description.positions is msgspec.UNSET else description.positions,
    )
    _check_assets(bundle, path)
    check_values(bundle, path)
    return bundle


def _alike(assets: Sequence[AssetModel]) -> tuple[AssetModel, ...]:
    """Assets whose channels are named alike have them as one."""
    known: dict[tuple[Channel, ...], tuple[Channel, ...]] = {}
    shared = [(one, known.setdefault(one.channels, one.channels)) for one in assets]
    return tuple(
        one
        if one.channels is channels
        else msgspec.structs.replace(one, channels=channels, alignment=sys.intern(one.alignment))
        for one, channels in shared
    )


def _tested(bundle: Bundle, path: Path) -> Bundle:
    for at, part in enumerate(bundle.parts):
        _check_scores(part, path / part_files(at)[0])
    return bundle


def _manifest(path: Path) -> tuple[dict[str, _Entry], str]:
    """What a bundle lists, and the hash that names it. Raises ModelError."""
    raw = _read(path / MANIFEST)
    try:
        return msgspec.json.decode(raw, type=dict[str, _Entry]), _sha256(raw)
    except UNREADABLE as error:
        raise ModelError(f"{path / MANIFEST} is damaged: {error}; copy it again") from error


def _description(path: Path, entry: _Entry) -> _Description:
    """What bundle.json holds, with a spec a part, whichever format it has."""
    where = path / DESCRIPTION
    content = _verified(where, entry)
    try:
        told = msgspec.json.decode(content, type=_Description, dec_hook=partial(_to_array, {}))
    except UNREADABLE as error:
        raise ModelError(f"{where} is not of this version: {error}") from error
    if told.format == FORMAT_OF_ONE_KIND and told.spec is not msgspec.UNSET:
        told = msgspec.structs.replace(told, format=FORMAT, specs=(told.spec,), spec=msgspec.UNSET)
    if told.format != FORMAT:
        raise ModelError(
            f"{path} has format {told.format}, this version reads {FORMAT_OF_ONE_KIND} and"
            f" {FORMAT}; fit it again"
        )
    if not 0 < len(told.specs) <= PARTS_MAX:
        raise ModelError(f"{where} has {len(told.specs)} specs, expected 1 to {PARTS_MAX}")
    return told


def _part(spec: AnySpec, files_read: Sequence[tuple[Path, bytes]]) -> Part:
    """One part from its graph, its parameters and its self-test."""
    (graph_at, graph), (at, parameters), (test_at, selftest) = files_read
    check_graph(graph, file=str(graph_at))
    arrays = _arrays(parameters, at)
    wanders = arrays.get("wanders", np.empty(0, np.bool_))
    part = Part(
        spec=spec,
        graph=graph,
        parameters={n: arrays[n] for n in parameter_names(spec) if n in arrays},
        moments=halved(arrays.get("moments", np.empty(0))),
        wanders=wanders,
        learned=arrays.get("learned", np.empty(0)),
        selftest=_arrays(selftest, test_at),
    )
    found = _all_arrays(part)
    for name, (shape, dtype) in shapes(spec, len(wanders)).items():
        array = found.get(name)
        if array is None or array.shape != shape or array.dtype != dtype:
            is_now = "is missing" if array is None else f"is {array.dtype} {array.shape}"
            raise ModelError(f"{at}: {name} {is_now}, expected {dtype} {shape}")
    return part


def _check_assets(bundle: Bundle, path: Path) -> None:
    """Every asset has its rows, all in one part that is wide enough."""
    for model in bundle.assets:
        own = own_rows(model)
        c = len(model.channels)
        fits = all(0 <= row < bundle.rows for row in own) and len(model.sigma) == c
        parts = {id(bundle.place(row)[0]): bundle.place(row)[0] for row in own} if fits else {}
        if len(parts) != 1 or any(c > part.width for part in parts.values()):
            raise ModelError(f"{path / DESCRIPTION}: rows or channels of {model.asset} do not fit")


def _check_scores(part: Part, path: Path) -> None:
    """The graph at `path` does here what it did where it was made."""
    try:
        detector = detector_of(part.graph, part.spec)
        test = part.selftest
        _check_selftest(part)
        own = {name: value[test["rows"]] for name, value in part.parameters.items()}
        state = detector.initial_state(len(test["rows"]))
        score, _ = detector.score(test["x"], test["valid"], state, own)
        shares = detector.contribute(test["x"], test["valid"], state, own)
        expected = test["score"]
    except (*ORT_ERRORS, *UNREADABLE, KeyError, IndexError, TypeError, ModelError) as error:
        raise ModelError(f"{path}: the self-test could not run: {error}") from error
    same = np.allclose(
        score, expected, rtol=SELFTEST_TOLERANCE, atol=SELFTEST_TOLERANCE, equal_nan=True
    )
    if score.shape != expected.shape or not same or shares.shape != test["x"].shape:
        raise ModelError(f"{path} does not score the self-test as it did when made")


def _check_selftest(part: Part) -> None:
    """Raise ModelError or KeyError for samples, rows and scores that do not belong together."""
    test = part.selftest
    x, valid, rows, score = test["x"], test["valid"], test["rows"], test["score"]
    kinds = (x.dtype.name, valid.dtype.name, rows.dtype.kind, score.dtype.name)
    if kinds != ("float32", "bool", "i", "float32") or x.ndim != 3 or rows.ndim != 1:
        raise ModelError(f"samples are {x.dtype} {x.shape}, rows {rows.dtype} {rows.shape}")
    if len(rows) != len(x) or valid.shape != x.shape or score.shape != x.shape[:2]:
        raise ModelError(f"{len(rows)} rows, samples {x.shape}, scores {score.shape}")
    if len(rows) and not (int(rows.min()) >= 0 and int(rows.max()) < part.rows):
        raise ModelError(f"rows {rows.tolist()}, expected 0 to {part.rows - 1}")


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
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):  # a pipe would be waited for, a device has no end
            raise ModelError(f"{path} is no plain file; copy the bundle again")
        if status.st_size > FILE_BYTES_MAX:
            raise ModelError(f"{path} is over {FILE_BYTES_MAX} bytes")
        return path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror}") from error


def _arrays(content: bytes, path: Path) -> dict[str, NDArray[Any]]:
    try:
        return plain_arrays(content)
    except ValueError as error:
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


def _to_array(known: dict[tuple[object, ...], NDArray[Any]], kind: type, value: object) -> object:
    """An array of numbers; of equal ones all are the first, which nobody can write to."""
    if kind is np.ndarray:
        if not isinstance(value, list):  # an array without a length
            raise ValueError(f"Expected an array of numbers, got {value!r}")
        array = np.asarray(value, np.float64)
        array.flags.writeable = False
        return known.setdefault((array.shape, array.tobytes()), array)
    raise TypeError(f"{kind} has no place in bundle.json")


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _sync_directory(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
