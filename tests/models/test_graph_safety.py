"""A bundle's graph computes and does nothing else, also where somebody made the manifest agree."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
from onnx import ModelProto, SparseTensorProto, TensorProto, helper, load_from_string, numpy_helper

from models.bundles.assemble import make_bundle
from models.bundles.store import load, save
from models.errors import ModelError
from tests.models.plants import fitted

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
    out = helper.make_tensor_value_info("c", TensorProto.FLOAT, [10**12])
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


@pytest.mark.parametrize(
    ("change", "said"),
    [
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
    with pytest.raises(ModelError, match=said) as refused:
        load(path)
    assert "model.onnx" in str(refused.value)
