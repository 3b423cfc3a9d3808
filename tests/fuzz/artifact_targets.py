"""Bundles, models of others, snapshots: each file damaged, and the manifest made to fit it."""

from __future__ import annotations

import hashlib
import os
import resource
import tempfile
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final
from unittest import mock

import msgspec
import numpy as np

from kb.errors import KnowledgeError
from kb.manifest import Manifest
from kb.records import Query
from kb.retrieval.embed import shipped_embedder
from kb.snapshots.build import build
from kb.snapshots.snapshot import DATABASE, MANIFEST, VECTORS, Snapshot
from models.bundles import store
from models.bundles.rows import without
from models.bundles.store import files, load, load_here
from models.bundles.trial import PROCESSOR_S_MAX
from models.detector import detectors_of
from models.errors import ModelError
from models.foreign.foreign import read_foreign
from models.foreign.windows import ForeignRun, what_it_takes
from tests.edge import rig
from tests.fuzz.files import mutate_sqlite
from tests.fuzz.model_mutate import mutate_npz, mutate_onnx
from tests.fuzz.mutate import mutate_bytes, mutate_json
from tests.fuzz.target import FILE, Target
from tests.kb import conftest as texts
from tests.models import foreign_models

if TYPE_CHECKING:
    from models.bundles.bundle import Bundle
    from tests.fuzz.target import Mutate, Read

BUNDLE_FILES: Final[dict[str, Mutate]] = {
    "bundle.json": mutate_json,
    "parameters.npz": mutate_npz,
    "selftest.npz": mutate_npz,
    "model.onnx": mutate_onnx,
    "manifest.json": mutate_json,
}
SNAPSHOT_FILES: Final[dict[str, Mutate]] = {
    DATABASE: mutate_sqlite,
    VECTORS: mutate_bytes,
    MANIFEST: mutate_json,
}
WINDOWS: Final = 16
PIPE_BYTES: Final = 4_096
REFUSED, FELL = 1, 2


@cache
def _bundle_files() -> dict[str, bytes]:
    return files(rig.bundle())


def _survive(path: Path, _sha256: str) -> None:
    """What `models.bundles.trial` does, in a fork of this process: not a second for each input.

    A new interpreter is tried in `tests/models/test_graph_safety.py`.
    """
    told, tell = os.pipe()
    child = os.fork()
    if child == 0:
        code = FELL
        try:
            resource.setrlimit(resource.RLIMIT_CPU, (PROCESSOR_S_MAX, PROCESSOR_S_MAX))
            load_here(path)
            code = 0
        except ModelError as error:
            os.write(tell, str(error).encode(errors="replace")[:PIPE_BYTES])
            code = REFUSED
        finally:
            os._exit(code)
    os.close(tell)
    with os.fdopen(told, "rb") as pipe:
        said = pipe.read()
    _, status = os.waitpid(child, 0)
    if os.waitstatus_to_exitcode(status) == FELL:
        raise AssertionError(f"another error than ModelError in the child: {path}")
    if status:
        raise ModelError(said.decode() or f"the process that tried it fell: {status}")


def _begin_bundle(name: str) -> object:
    def begin(scratch: Path) -> Read:
        place = scratch / "bundle"
        place.mkdir(exist_ok=True)
        sound = _bundle_files()
        for one, content in sound.items():
            (place / one).write_bytes(content)

        def read(data: bytes) -> bool:
            (place / name).write_bytes(data)
            if name != "manifest.json":
                listed = msgspec.json.decode(sound["manifest.json"])
                listed[name] = {"sha256": hashlib.sha256(data).hexdigest(), "size_bytes": len(data)}
                (place / "manifest.json").write_bytes(msgspec.json.encode(listed))
            with mock.patch.object(store, "survive", _survive):  # which remembers nothing
                bundle = load(place)
            _check_bundle(bundle)
            return True

        return read

    return begin


def _check_bundle(bundle: Bundle) -> None:
    """What was taken can score, explain and be masked."""
    for part, detector in zip(bundle.parts, detectors_of(bundle), strict=True):
        x = np.zeros((part.rows, 12, part.width), np.float32)
        state = detector.initial_state(part.rows)
        valid = np.ones(x.shape, np.bool_)
        score, after = detector.score(x, valid, state, part.parameters)
        assert score.shape == (part.rows, 12)
        assert after.shape == state.shape
        share = detector.contribute(x, valid, state, part.parameters)
        assert share.shape == x.shape
    for model in bundle.assets:
        keep = np.ones(len(model.channels), np.bool_)
        keep[0] = False
        without(bundle, model.row_running, keep)


def _foreign_seeds() -> list[bytes]:
    turn = np.eye(4) * 0.5
    return [
        foreign_models.squares([None, 8, 4]),
        foreign_models.forecast(8, 4, turn),
        foreign_models.weights_elsewhere(4),
        foreign_models.one_node("Tanh", 4),
    ]


def _read_foreign(data: bytes) -> bool:
    """Read, asked what it takes, and run on windows, as an import does."""
    foreign = read_foreign(data, file="theirs.onnx")
    taken = what_it_takes(foreign, 4, window=8, layout=None, output=None, tell=str)
    run = ForeignRun(foreign, taken)
    given = run(np.zeros((WINDOWS, taken.window, 4)))
    assert len(given) == WINDOWS
    assert len(foreign.as_bytes()) < len(data) + (1 << 20)
    return True


@cache
def snapshot_files() -> dict[str, bytes]:
    """Every file of a sound snapshot."""
    with tempfile.TemporaryDirectory() as place:
        out = Path(place) / "snapshot"
        build(texts.write_texts(Path(place) / "texts"), out, now_ns=texts.NOW_NS)
        return {path.name: path.read_bytes() for path in out.iterdir()}


def _begin_snapshot(name: str) -> object:
    def begin(scratch: Path) -> Read:
        place = scratch / "snapshot"
        place.mkdir(exist_ok=True)
        sound = snapshot_files()
        manifest = Manifest.decoded(sound[MANIFEST])
        for one, content in sound.items():
            (place / one).write_bytes(content)

        def read(data: bytes) -> bool:
            (place / name).write_bytes(data)
            if name != MANIFEST:
                told = {**manifest.files, name: hashlib.sha256(data).hexdigest()}
                sealed = msgspec.structs.replace(manifest, files=told).sealed()
                (place / MANIFEST).write_bytes(sealed.encoded())
            elif len(data) % 2:
                (place / MANIFEST).write_bytes(_sealed(data))
            with Snapshot.open(place, embedder=shipped_embedder()) as snapshot:
                _use(snapshot)
            return True

        return read

    return begin


def _sealed(data: bytes) -> bytes:
    """A manifest with a hash of its own that fits, where it is one."""
    try:
        return msgspec.json.decode(data, type=Manifest).sealed().encoded()
    except (ValueError, RecursionError, OverflowError):
        return data


def _use(snapshot: Snapshot) -> None:
    """All that a gateway asks of a snapshot."""
    assert all(isinstance(p.recorded_at_ns, int) for p in snapshot.proposals())
    assert all(row.channels for row in snapshot.scope_rows())
    snapshot.failure_modes()
    snapshot.limits()
    snapshot.sensors()
    for document in snapshot.documents():
        assert isinstance(snapshot.text(document.doc_id, document.revision), str)
    query = Query(text="gas flow too low", asset="r1")
    for hit in snapshot.search(query, now_ns=texts.NOW_NS):
        assert hit.citation.start <= hit.citation.end


def _target(name: str, begin: object, seed: object, mutate: Mutate, error: type) -> Target:
    return Target(
        name=name,
        count=FILE,
        begin=begin,  # type: ignore[arg-type] # a Begin
        refusals=(error,),
        seeds=seed,  # type: ignore[arg-type] # as Target has them
        mutate=mutate,
    )


def _named(prefix: str, file: str) -> str:
    return f"{prefix}-{file.partition('.')[0].replace('kb', 'database')}"


TARGETS: Final = (
    *(
        _target(
            _named("bundle", file).replace("bundle-bundle", "bundle-description"),
            _begin_bundle(file),
            lambda file=file: [_bundle_files()[file]],
            mutate,
            ModelError,
        )
        for file, mutate in BUNDLE_FILES.items()
    ),
    _target("foreign-model", lambda _: _read_foreign, _foreign_seeds, mutate_onnx, ModelError),
    *(
        _target(
            _named("snapshot", file),
            _begin_snapshot(file),
            lambda file=file: [snapshot_files()[file]],
            mutate,
            KnowledgeError,
        )
        for file, mutate in SNAPSHOT_FILES.items()
    ),
)
