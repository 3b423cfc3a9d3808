"""ONNX models as other people bring them, made by hand with onnx.helper; good ones and bad ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from onnx import NodeProto

F32 = TensorProto.FLOAT
Shape = Sequence[int | str | None]


def model(
    nodes: Sequence[NodeProto],
    *,
    takes: dict[str, tuple[int, Shape]],
    gives: dict[str, tuple[int, Shape]],
    weights: dict[str, NDArray[Any]] | None = None,
    opsets: dict[str, int] | None = None,
    elsewhere: str = "",
) -> bytes:
    """A model of these nodes; inputs and outputs by name, with element type and shape.

    elsewhere: the weight that it keeps in a file beside it.
    """
    inputs = [helper.make_tensor_value_info(n, kind, list(s)) for n, (kind, s) in takes.items()]
    outputs = [helper.make_tensor_value_info(n, kind, list(s)) for n, (kind, s) in gives.items()]
    held = [numpy_helper.from_array(value, name) for name, value in (weights or {}).items()]
    for tensor in held:
        if tensor.name == elsewhere:
            tensor.ClearField("raw_data")
            tensor.data_location = TensorProto.EXTERNAL
            entry = tensor.external_data.add()
            entry.key, entry.value = "location", "weights.bin"
    graph = helper.make_graph(list(nodes), "theirs", inputs, outputs, held)
    versions = opsets or {"": 18}
    made = helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid(name, number) for name, number in versions.items()],
        ir_version=9,
        producer_name="by hand",
    )
    return bytes(made.SerializeToString())


def squares(
    shape: Shape, *, sign: float = 1.0, kind: int = F32, opset: int = 18, calm: float = 0.0
) -> bytes:
    """The sum of squares of a window, times sign, plus calm: a score (N, 1)."""
    axes = list(range(1, len(shape)))
    real = np.float32 if kind == F32 else np.float64
    nodes = [
        helper.make_node("Mul", ["x", "x"], ["xx"]),
        helper.make_node("ReduceSum", ["xx", "axes"], ["sum"], keepdims=0),
        helper.make_node("Reshape", ["sum", "column"], ["tall"]),
        helper.make_node("Mul", ["tall", "sign"], ["signed"]),
        helper.make_node("Add", ["signed", "calm"], ["score"]),
    ]
    return model(
        nodes,
        takes={"x": (kind, shape)},
        gives={"score": (kind, [shape[0], 1])},
        weights={
            "axes": np.array(axes, np.int64),
            "column": np.array([-1, 1], np.int64),
            "sign": np.array(sign, real),
            "calm": np.array(calm, real),
        },
        opsets={"": opset},
    )


def projection(shape: Shape, wide: NDArray[np.float64], *, masks: bool = False) -> bytes:
    """A linear autoencoder: windows flat, times wide (w c, w c), in their shape again."""
    nodes = [helper.make_node("Flatten", ["x"], ["flat"], axis=1)]
    takes: dict[str, tuple[int, Shape]] = {"x": (F32, shape)}
    if masks:
        takes["valid"] = (F32, shape)
        nodes = [
            helper.make_node("Mul", ["x", "valid"], ["there"]),
            helper.make_node("Flatten", ["there"], ["flat"], axis=1),
        ]
    nodes += [
        helper.make_node("MatMul", ["flat", "wide"], ["again"]),
        helper.make_node("Shape", ["x"], ["size"]),
        helper.make_node("Reshape", ["again", "size"], ["y"]),
    ]
    return model(
        nodes,
        takes=takes,
        gives={"y": (F32, shape)},
        weights={"wide": wide.astype(np.float32)},
    )


def forecast(w: int, c: int, turn: NDArray[np.float64], *, masks: bool = False) -> bytes:
    """The newest sample of windows (N, w, c), times turn (c, c): the next one (N, c)."""
    takes: dict[str, tuple[int, Shape]] = {"x": (F32, ["N", w, c])}
    nodes = [helper.make_node("Gather", ["x", "last"], ["newest"], axis=1)]
    if masks:
        takes["valid"] = (TensorProto.BOOL, ["N", w, c])
        nodes = [
            helper.make_node("Where", ["valid", "x", "zero"], ["there"]),
            helper.make_node("Gather", ["there", "last"], ["newest"], axis=1),
        ]
    nodes.append(helper.make_node("MatMul", ["newest", "turn"], ["next"]))
    weights: dict[str, NDArray[Any]] = {
        "last": np.array(w - 1, np.int64),
        "turn": turn.astype(np.float32),
    }
    weights |= {"zero": np.zeros((), np.float32)} if masks else {}
    return model(nodes, takes=takes, gives={"next": (F32, ["N", c])}, weights=weights)


def stump(lows: Sequence[float], highs: Sequence[float]) -> bytes:
    """One tree a channel: 0 between low and high, -1 beyond; `label` and `scores` (N, 1).

    As scikit-learn's forests come out of their converter: lower scores are stranger.
    """
    nodes: dict[str, list[Any]] = {"tree": [], "node": [], "feature": [], "value": [], "mode": []}
    true, false = [], []
    leaves: dict[str, list[Any]] = {"tree": [], "node": [], "weight": []}
    for tree, (low, high) in enumerate(zip(lows, highs, strict=True)):
        for node, (mode, value, yes, no) in enumerate(
            [("BRANCH_LEQ", low, 1, 2), ("LEAF", 0.0, 0, 0), ("BRANCH_LEQ", high, 3, 4)]
            + [("LEAF", 0.0, 0, 0)] * 2
        ):
            nodes["tree"].append(tree)
            nodes["node"].append(node)
            nodes["feature"].append(tree)
            nodes["value"].append(value)
            nodes["mode"].append(mode)
            true.append(yes)
            false.append(no)
        for node, weight in ((1, -1.0), (3, 0.0), (4, -1.0)):
            leaves["tree"].append(tree)
            leaves["node"].append(node)
            leaves["weight"].append(weight)
    forest = helper.make_node(
        "TreeEnsembleRegressor",
        ["X"],
        ["depth"],
        domain="ai.onnx.ml",
        n_targets=1,
        nodes_treeids=nodes["tree"],
        nodes_nodeids=nodes["node"],
        nodes_featureids=nodes["feature"],
        nodes_values=nodes["value"],
        nodes_modes=nodes["mode"],
        nodes_truenodeids=true,
        nodes_falsenodeids=false,
        target_treeids=leaves["tree"],
        target_nodeids=leaves["node"],
        target_ids=[0] * len(leaves["tree"]),
        target_weights=leaves["weight"],
    )
    tail = [
        helper.make_node("Sub", ["X", "middle"], ["apart"]),
        helper.make_node("Div", ["apart", "reach"], ["share"]),
        helper.make_node("Mul", ["share", "share"], ["square"]),
        helper.make_node("ReduceMean", ["square", "one"], ["mean"], keepdims=1),
        helper.make_node("Mul", ["mean", "small"], ["part"]),
        helper.make_node("Sub", ["depth", "part"], ["scores"]),
        helper.make_node("Cast", ["scores"], ["label"], to=TensorProto.INT64),
    ]
    return model(
        [forest, *tail],
        takes={"X": (F32, [None, len(lows)])},
        gives={"label": (TensorProto.INT64, [None, 1]), "scores": (F32, [None, 1])},
        weights={
            "one": np.array([1], np.int64),
            "small": np.array(1e-3, np.float32),
            "middle": ((np.array(lows) + np.array(highs)) / 2).astype(np.float32),
            "reach": ((np.array(highs) - np.array(lows)) / 2).astype(np.float32),
        },
        opsets={"": 18, "ai.onnx.ml": 3},
    )


def across_the_batch(c: int) -> bytes:
    """A score that subtracts the mean over all windows of a call."""
    nodes = [
        helper.make_node("ReduceSum", ["x", "one"], ["sum"], keepdims=0),
        helper.make_node("ReduceMean", ["sum", "zero"], ["mean"], keepdims=0),
        helper.make_node("Sub", ["sum", "mean"], ["score"]),
    ]
    axes = {"one": np.array([1], np.int64), "zero": np.array([0], np.int64)}
    return model(nodes, takes={"x": (F32, ["N", c])}, gives={"score": (F32, ["N"])}, weights=axes)


def one_node(kind: str, c: int, *, domain: str = "", **attributes: Any) -> bytes:  # noqa: ANN401
    """A model of one operator over single samples (N, c)."""
    node = helper.make_node(kind, ["x"], ["score"], domain=domain, **attributes)
    return model(
        [node],
        takes={"x": (F32, ["N", c])},
        gives={"score": (F32, ["N", c])},
        opsets={"": 18} | ({domain: 1} if domain else {}),
    )


def weights_elsewhere(c: int) -> bytes:
    """A model that keeps a weight in a file beside it."""
    return model(
        [helper.make_node("MatMul", ["x", "far"], ["score"])],
        takes={"x": (F32, ["N", c])},
        gives={"score": (F32, ["N", 1])},
        weights={"far": np.ones((c, 1), np.float32)},
        elsewhere="far",
    )


def autoencoder(
    shape: Shape,
    size: int,
    *,
    hidden: int = 3,
    square: str = "Mul",
    total: bool = False,
    linear: str = "Gemm",
    level: float = 0.0,
) -> bytes:
    """The mean squared error (N, 1) of a small autoencoder of windows of so many values.

    square: Mul or Pow; total: the sum; linear: Gemm, transposed (Gemm with transB), or MatMul and
    Add; level: what it takes off at first and adds at last.
    """
    chance = np.random.default_rng(size)
    down = chance.normal(size=(size, hidden)) / np.sqrt(size)
    up = chance.normal(size=(hidden, size)) / np.sqrt(hidden)
    weights: dict[str, NDArray[Any]] = {
        "down": down.astype(np.float32),
        "down_level": (0.1 - level * down.sum(axis=0)).astype(np.float32),
        "up": up.astype(np.float32),
        "up_level": (level + chance.normal(scale=0.3, size=size)).astype(np.float32),
        "two": np.array(2.0, np.float32),
        "axes": np.array(list(range(1, len(shape))), np.int64),
        "column": np.array([-1, 1], np.int64),
        "whole": np.array([-1, *[side or 1 for side in shape[1:]]], np.int64),
    }
    flat = [helper.make_node("Flatten", ["x"], ["flat"], axis=1)]

    def layer(name: str, before: str, after: str) -> list[NodeProto]:
        if linear == "MatMul":
            times = helper.make_node("MatMul", [before, name], [f"{name}_times"])
            return [times, helper.make_node("Add", [f"{name}_level", f"{name}_times"], [after])]
        turned = int(linear == "transposed")
        if turned:
            weights[name] = np.ascontiguousarray(weights[name].T)
        inputs = [before, name, f"{name}_level"]
        return [helper.make_node("Gemm", inputs, [after], transB=turned)]

    squared = ["apart", "apart"] if square == "Mul" else ["apart", "two"]
    nodes = [
        *flat,
        *layer("down", "flat", "inner"),
        helper.make_node("Relu", ["inner"], ["relu"]),
        *layer("up", "relu", "again"),
        helper.make_node("Reshape", ["again", "whole"], ["y"]),
        helper.make_node("Sub", ["y", "x"], ["apart"]),
        helper.make_node(square, squared, ["squares"]),
        helper.make_node("ReduceSum" if total else "ReduceMean", ["squares", "axes"], ["error"]),
        helper.make_node("Reshape", ["error", "column"], ["score"]),
    ]
    used = {name for node in nodes for name in node.input}
    return model(
        nodes,
        takes={"x": (F32, shape)},
        gives={"score": (F32, [shape[0], 1])},
        weights={name: value for name, value in weights.items() if name in used},
    )


def convolution(
    w: int, c: int, *, kernels: Sequence[tuple[int, int]], pads: int = 0, gives: str = "score"
) -> bytes:
    """Convolutions over windows (N, c, w); kernels: size and dilation of each.

    gives: `score`, the mean squared error of what is left of the window, as (N,), or `forecast`, of
    the last sample that is left and of the newest, (N, c).
    """
    chance = np.random.default_rng(len(kernels))
    weights: dict[str, NDArray[Any]] = {}
    nodes, before, width, left = [], "x", c, 0
    for i, (size, apart) in enumerate(kernels):
        out = c if i == len(kernels) - 1 else c + 2
        weights[f"w{i}"] = chance.normal(scale=0.4, size=(out, width, size)).astype(np.float32)
        weights[f"b{i}"] = chance.normal(scale=0.1, size=out).astype(np.float32)
        inputs = [before, f"w{i}", f"b{i}"]
        reach = (size - 1) * apart
        nodes.append(
            helper.make_node("Conv", inputs, [f"c{i}"], dilations=[apart], pads=[pads * reach, 0])
        )
        nodes.append(helper.make_node("Tanh", [f"c{i}"], [f"t{i}"]))
        before, width, left = f"t{i}", out, left + (1 - pads) * reach
    weights |= {
        "begin": np.array([left], np.int64),
        "end": np.array([2**31], np.int64),
        "time": np.array([2], np.int64),
        "both": np.array([1, 2], np.int64),
        "last": np.array(-1, np.int64),
        "share": np.array(0.5, np.float32),
    }
    if gives == "score":
        nodes += [
            helper.make_node("Slice", ["x", "begin", "end", "time"], ["rest"]),
            helper.make_node("Sub", ["rest", before], ["apart"]),
            helper.make_node("Mul", ["apart", "apart"], ["square"]),
            helper.make_node("ReduceMean", ["square", "both"], ["score"], keepdims=0),
        ]
        return model(
            nodes, takes={"x": (F32, ["N", c, w])}, gives={"score": (F32, ["N"])}, weights=weights
        )
    nodes += [
        helper.make_node("Gather", [before, "last"], ["deep"], axis=2),
        helper.make_node("Gather", ["x", "last"], ["newest"], axis=2),
        helper.make_node("Mul", ["newest", "share"], ["half"]),
        helper.make_node("Add", ["half", "deep"], ["next"]),
    ]
    return model(
        nodes, takes={"x": (F32, ["N", c, w])}, gives={"next": (F32, ["N", c])}, weights=weights
    )
