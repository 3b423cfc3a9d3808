"""A bundle's graph computes and does nothing else, also where somebody made the manifest agree."""

from __future__ import annotations

import hashlib
import json
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest
from onnx import ModelProto, SparseTensorProto, TensorProto, helper, load_from_string, numpy_helper

from models.bundles import trial
from models.bundles.assemble import make_bundle
from models.bundles.bundle import AnySpec, Spec, StreamSpec
from models.bundles.rows import graph_of
from models.bundles.store import load, save
from models.bundles.tabled_kinds import EnsembleSpec, PcaSpec
from models.errors import ModelError
from models.graphs.own import is_own
from models.heads.heads import NORMAL, LabelledWindow, train_head, with_heads
from tests.models.plants import fitted, plant, two_assets
from tests.told import refused_with

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def _weights_elsewhere(model: ModelProto) -> None:
    tensor = model.graph.initializer.add()
    tensor.CopyFrom(numpy_helper.from_array(np.zeros(2, np.float32), "stolen"))
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../../etc/passwd")


def _hidden_in_a_branch(model: ModelProto) -> None:
    """The same as a constant within a branch of an If."""
    inner = helper.make_node("Constant", [], ["c"], value=numpy_helper.from_array(np.zeros(2)))
    inner.attribute[0].t.data_location = TensorProto.EXTERNAL
    inner.attribute[0].t.external_data.add(key="location", value="secret.bin")
    out = helper.make_tensor_value_info("c", TensorProto.DOUBLE, [2])
    branch = helper.make_graph([inner], "branch", [], [out])
    node = helper.make_node("If", ["complete"], ["never"], then_branch=branch, else_branch=branch)
    model.graph.node.append(node)


def _sparse() -> SparseTensorProto:
    """One value, said to be one of a million millions, and kept elsewhere."""
    values, at = numpy_helper.from_array(np.ones(1, np.float32), "s"), np.zeros(1, np.int64)
    values.data_location = TensorProto.EXTERNAL
    values.external_data.add(key="location", value="secret.bin")
    return helper.make_sparse_tensor(values, numpy_helper.from_array(at, "at"), [10**12])


def _sparse_constant(model: ModelProto) -> None:
    model.graph.node.append(helper.make_node("Constant", [], ["c"], sparse_value=_sparse()))


def _sparse_in_a_branch(model: ModelProto) -> None:
    out = helper.make_tensor_value_info("c", TensorProto.FLOAT, [4])
    inner = helper.make_node("Identity", ["s"], ["c"])
    branch = helper.make_graph([inner], "branch", [], [out], sparse_initializer=[_sparse()])
    node = helper.make_node("If", ["complete"], ["never"], then_branch=branch, else_branch=branch)
    model.graph.node.append(node)


def _of_a_library(model: ModelProto) -> None:
    model.graph.node.append(helper.make_node("Shell", ["x"], ["no"], domain="com.example"))
    model.opset_import.append(helper.make_opsetid("com.example", 1))


def _of_the_runtime(model: ModelProto) -> None:
    """Operators that onnxruntime has beyond the standard."""
    model.graph.node.append(helper.make_node("Gelu", ["x"], ["no"], domain="com.microsoft"))
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))


def _of_chance(model: ModelProto) -> None:
    model.graph.node.append(helper.make_node("RandomNormal", [], ["no"], shape=[1]))


def _of_the_future(model: ModelProto) -> None:
    model.opset_import[0].version = 10_000


def _with_functions(model: ModelProto) -> None:
    body = helper.make_node("Identity", ["a"], ["b"])
    opsets = [helper.make_opsetid("", 18)]
    model.functions.append(helper.make_function("", "Own", ["a"], ["b"], [body], opsets))


def _of_no_end(model: ModelProto) -> None:
    """An input that says a size which ends onnxruntime."""
    model.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 2**31


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_of_no_end, "at most 16777216 each"),
        (_weights_elsewhere, "kept in another file"),
        (_hidden_in_a_branch, "kept in another file"),
        (_sparse_constant, "sparse weights"),
        (_sparse_in_a_branch, "sparse weights"),
        (_of_a_library, "operators of com.example"),
        (_of_the_runtime, "operators of com.microsoft"),
        (_of_chance, "draws chance"),
        (_of_the_future, "opset 10000"),
        (_with_functions, "functions of its own"),
    ],
)
def test_a_graph_that_is_more_than_a_detector_is_refused(
    tmp_path: Path, change: Callable[[ModelProto], None], said: str
) -> None:
    """Before onnxruntime sees it; the message names the file."""
    path = _changed(tmp_path, change)
    with pytest.raises(ModelError, match=said) as refused:
        load(path)
    assert "model.onnx" in str(refused.value)
    refused_with(refused.value)


def _changed(tmp_path: Path, change: Callable[[ModelProto], None]) -> Path:
    """A bundle whose graph was changed, with a manifest that agrees."""
    path = save(make_bundle([fitted(c=2)]), tmp_path / "b")
    model = load_from_string((path / "model.onnx").read_bytes())
    change(model)
    content = model.SerializeToString()
    (path / "model.onnx").write_bytes(content)
    manifest = json.loads((path / "manifest.json").read_bytes())
    manifest["model.onnx"] = {
        "sha256": hashlib.sha256(content).hexdigest(),
        "size_bytes": len(content),
    }
    (path / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    return path


# --- graphs that are none of ours run in a child first ---


def _forever(model: ModelProto) -> None:
    """A loop whose steps are computed, 2**61 of them: no reader sees that in the file."""
    steps = helper.make_tensor("half", TensorProto.INT64, [1], [2**30])
    width = helper.make_tensor("width", TensorProto.INT64, [1], [2**31])
    model.graph.initializer.extend([steps, width])
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["on"], ["still"]),
            helper.make_node("Add", ["held", "i"], ["next"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, []),
            helper.make_tensor_value_info("on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("held", TensorProto.INT64, [1]),
        ],
        [
            helper.make_tensor_value_info("still", TensorProto.BOOL, []),
            helper.make_tensor_value_info("next", TensorProto.INT64, [1]),
        ],
    )
    rows = helper.make_node("Shape", ["x"], ["rows_"], start=0, end=1)
    many = helper.make_node("Mul", ["half", "width"], ["many_"])
    both = helper.make_node("Mul", ["many_", "rows_"], ["both_"])
    loop = helper.make_node("Loop", ["both_", "", "width"], ["late"], body=body)
    zero = helper.make_node("Mul", ["late", "nothing"], ["zero_"])
    model.graph.initializer.append(helper.make_tensor("nothing", TensorProto.INT64, [1], [0]))
    floats = helper.make_node("Cast", ["zero_"], ["zero"], to=TensorProto.FLOAT)
    scores = helper.make_node("Add", ["told", "zero"], ["score"])
    model.graph.node[-1].output[0] = "told"
    model.graph.node.extend([rows, many, both, loop, zero, floats, scores])


def _slower(model: ModelProto) -> None:
    """One step more that changes nothing, as a graph of another version may have."""
    model.graph.node.append(helper.make_node("Identity", ["fusion"], ["kept"]))


def test_a_graph_that_never_ends_falls_in_a_child_and_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not in the process that would take the bundle, which goes on with the one that it has."""
    monkeypatch.setattr(trial, "PROCESSOR_S_MAX", 2)
    path = _changed(tmp_path, _forever)
    with pytest.raises(ModelError, match="the process that tried it fell"):
        load(path)


def test_a_graph_of_another_version_is_tried_once_and_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not what the spec makes here, and scores the self-test as it did when made."""
    path = _changed(tmp_path, _slower)
    taken = load(path)
    assert not is_own(taken.only.spec, taken.only.graph)
    monkeypatch.setattr(sys, "executable", "/nothing/here")
    assert load(path).sha256 == taken.sha256  # no second child
    trial.survive.cache_clear()
    with pytest.raises(ModelError, match="no process to try it in"):
        load(path)


def test_a_damaged_bundle_says_in_the_child_what_it_says_here(tmp_path: Path) -> None:
    """What refuses it is told as it is."""

    def other_scores(model: ModelProto) -> None:
        model.graph.node[-1].op_type = "Nothing"

    with pytest.raises(ModelError, match="the self-test could not run"):
        load(_changed(tmp_path, other_scores))


@pytest.mark.parametrize("kind", ["var", "stream", "pca", "ensemble"])
def test_graphs_of_specs_are_known_again(kind: str) -> None:
    """To the last digit or nearly so, never with another node, name, shape or word."""
    specs: dict[str, AnySpec] = {
        "var": Spec(channels=3),
        "stream": StreamSpec(season=96),
        "pca": PcaSpec(channels=3),
        "ensemble": EnsembleSpec(channels=3),
    }
    spec = specs[kind]
    graph = graph_of(spec)
    assert is_own(spec, graph)
    model = load_from_string(graph)
    floats = next(i for i in model.graph.initializer if i.data_type == TensorProto.FLOAT)
    sound = numpy_helper.to_array(floats)
    floats.raw_data = (sound * np.float32(1 + 1e-6)).tobytes()
    assert is_own(spec, model.SerializeToString(deterministic=True))
    floats.raw_data = (sound * np.float32(2) + np.float32(1)).tobytes()
    assert not is_own(spec, model.SerializeToString(deterministic=True))
    floats.raw_data = sound.tobytes()
    model.graph.node[0].name = "other"
    assert not is_own(spec, model.SerializeToString(deterministic=True))
    assert not is_own(specs["pca" if kind == "var" else "var"], graph)
    assert not is_own(Spec(channels=2**40), graph)
    assert not is_own(spec, b"")


def _windows() -> list[LabelledWindow]:
    """Six of normal operation and six of a leak."""
    made = []
    for label in (NORMAL, "leak"):
        for i in range(6):
            values = plant(30, seed=900 + i)
            values[:, 0] += 6.0 * two_assets().assets[0].sigma[0] * (label != NORMAL)
            made.append(LabelledWindow(values=values, begin=0, label=label, group=f"{label}{i}"))
    return made


def test_a_graph_with_heads_is_known_by_its_heads(tmp_path: Path) -> None:
    """What their branch is made of is theirs; how it is made is ours."""
    head = train_head(two_assets(), "r1", _windows())
    bundle = with_heads(two_assets(), {"r1": head}, created_at_ns=0)
    graph, spec = bundle.only.graph, bundle.only.spec
    assert is_own(spec, graph)
    model = load_from_string(graph)
    model.graph.node[-1].attribute[0].g.node[0].op_type = "Neg"
    assert not is_own(spec, model.SerializeToString(deterministic=True))
    assert load(save(bundle, tmp_path / "heads")).sha256 == bundle.sha256
