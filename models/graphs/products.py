"""An autoencoder's squared error without its reconstruction.

A model of windows x that begins and ends with linear layers, z = x A + a and y = h B + b of a few
hidden values each, is asked for one number, |x - y|^2, and makes one of each value of the window
for it. But

    |x - y|^2 = (|x|^2 - 2 x.b) + |b|^2 + h.(h B B' + 2 B b - 2 x B')

so what is wide is a single product of x with [A, 2 B'], as fast as a processor multiplies; the rest
is as narrow as h, and is a model of its own. `models.product_calls` multiplies, and gives it the
first bracket, the energy of the window, beside the product.

To the error may be added what is made of z alone: so do principal components that also look at how
far out a window lies among them. Where B is A', as theirs is, one half of the product is the other.

It is the difference of large numbers where the error is a small part of the energy: whoever uses it
tries it first (`models.foreign.adopt`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, helper, numpy_helper

from models.graphs.alone import needed
from models.graphs.onnx_types import ENERGY, GIVEN, PRODUCTS
from models.graphs.onnx_types import F32 as F32_TYPE

if TYPE_CHECKING:
    from models.foreign.imported import ImportedSpec

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
HIDDEN_MAX: Final = 0.5  # of the values of a window: beyond it nothing is gained
_FLAT: Final = "products_flat"  # products (N, O) behind what makes them
SHAPING: Final = ("Flatten", "Reshape", "Squeeze", "Unsqueeze", "Identity", "Cast")


class _Linear(NamedTuple):
    """A layer rest (N, k) -> rest turn + offset."""

    rest: str
    turn: F64
    offset: F64


class Products(NamedTuple):
    """A model in two: `given` is what `rest` makes of x wide + offset and of |x|^2 - x.twice.

    rest: of `products` (N, O) and `energy` (N,) float32. wide: (w c, O), twice: (w c,), their rows
    in the order of samples, whatever the layout of the model. offset: (O,).
    """

    rest: ModelProto
    wide: F32
    offset: F32
    twice: F32


class _Model:
    """Who makes what in a graph, and its constants."""

    def __init__(self, model: ModelProto) -> None:
        self.made = {out: node for node in model.graph.node for out in node.output}
        self.held = {one.name: numpy_helper.to_array(one) for one in model.graph.initializer}
        for node in model.graph.node:
            if node.op_type == "Constant" and node.attribute[0].name == "value":
                self.held[node.output[0]] = numpy_helper.to_array(node.attribute[0].t)

    def source(self, name: str) -> str:
        """What a value is before it was only shaped."""
        while (node := self.made.get(name)) is not None and node.op_type in SHAPING:
            name = node.input[0]
        return name

    def maker(self, name: str) -> NodeProto:
        """Who made what a value is before it was only shaped; an empty node: nobody."""
        return self.made.get(self.source(name)) or NodeProto()

    def number(self, name: str) -> float | None:
        """A constant of one value."""
        array = self.held.get(name)
        return float(array.reshape(())) if array is not None and array.size == 1 else None


def products(model: ModelProto, spec: ImportedSpec) -> Products | None:
    """The model in two; None: it is none of these.

    model: as `models.graphs.alone` gives it. What it says is to be compared with what that says.
    """
    if len(model.graph.input) != 1 or model.graph.input[0].type.tensor_type.elem_type != F32_TYPE:
        return None
    graph, x = _Model(model), model.graph.input[0].name
    try:
        found, beside = _found(graph, x)
    except (IndexError, KeyError, ValueError):
        return None  # of nodes that say less than these
    if found is None:
        return None
    last, factor = found
    wanted = {
        id(one) for name in (last.rest, beside) for one in needed(model.graph.node, name, but=[x])
    }
    nodes = [one for one in model.graph.node if id(one) in wanted]
    firsts = [one for one in nodes if _takes(graph, one, x)]
    first = _linear(graph, firsts[0]) if len(firsts) == 1 else None
    cells = spec.window * spec.channels
    if first is None or first.turn.shape[0] != last.turn.shape[1] or len(first.turn) != cells:
        return None
    only_x = {id(one) for one in nodes if one.op_type in SHAPING and _is(graph, one.output[0], x)}
    between = [one for one in nodes if one is not firsts[0] and id(one) not in only_x]
    behind = _Behind(between, first, firsts[0].output[0], last, factor, beside)
    rest = _rest(model, behind)
    wide = first.turn if behind.alike else np.concatenate([first.turn, 2.0 * last.turn.T], axis=1)
    by_sample = np.arange(cells)
    if spec.layout in ("columns", "flat_columns"):
        by_sample = by_sample.reshape(spec.channels, spec.window).T.reshape(-1)
    offset = first.offset
    if not behind.alike:
        offset = np.concatenate([first.offset, -2.0 * last.turn @ last.offset])
    weights = wide[by_sample], offset, 2.0 * last.offset[by_sample]
    return Products(rest, *(one.astype(np.float32) for one in weights))


def _found(graph: _Model, x: str) -> tuple[tuple[_Linear, float] | None, str]:
    """As `_error_of` what is given, and the name of what is added to it, ""."""
    found, last = _error_of(graph, GIVEN, x), graph.maker(GIVEN)
    if found is not None or last.op_type != "Add":
        return found, ""
    for side, other in (list(last.input), list(last.input)[::-1]):
        found, (_, reduced) = _error_of(graph, side, x), _scaled(graph, other)
        if found is not None and reduced.op_type in ("ReduceMean", "ReduceSum"):
            return found, other
    return None, ""


def _error_of(graph: _Model, name: str, x: str) -> tuple[_Linear, float] | None:
    """The layer whose squared distance from x a value is, and by which number; None: no such."""
    factor, reduced = _scaled(graph, name)
    if reduced.op_type not in ("ReduceMean", "ReduceSum"):
        return None
    apart = _squared(graph, reduced.input[0])
    sides = [graph.source(name) for name in apart.input] if apart is not None else []
    if apart is None or apart.op_type != "Sub" or x not in sides:
        return None
    last = _linear(graph, graph.made.get(sides[1 - sides.index(x)]))
    if last is None or len(last.turn) > HIDDEN_MAX * last.turn.shape[1]:
        return None
    return last, factor / (last.turn.shape[1] if reduced.op_type == "ReduceMean" else 1.0)


def _is(graph: _Model, name: str, x: str) -> bool:
    return graph.source(name) == x


def _takes(graph: _Model, node: NodeProto, x: str) -> bool:
    """Whether a node computes with a value, which may have been shaped before."""
    return node.op_type not in SHAPING and any(graph.source(name) == x for name in node.input)


def _scaled(graph: _Model, name: str) -> tuple[float, NodeProto]:
    """By which number a value was multiplied at last, and the node before that."""
    factor, node = 1.0, graph.maker(name)
    while node.op_type in ("Mul", "Div"):
        numbers = [graph.number(one) for one in node.input]
        if node.op_type == "Mul" and numbers[0] is not None:
            numbers, rest = numbers[::-1], node.input[1]
        else:
            rest = node.input[0]
        if numbers[1] is None or numbers[1] == 0.0:
            break
        factor *= numbers[1] if node.op_type == "Mul" else 1.0 / numbers[1]
        node = graph.maker(rest)
    return factor, node


def _squared(graph: _Model, name: str) -> NodeProto | None:
    """Whose square a value is; None: it is none."""
    node = graph.maker(name)
    twice = node.op_type == "Mul" and node.input[0] == node.input[1]
    if twice or (node.op_type == "Pow" and graph.number(node.input[1]) == 2.0):
        return graph.maker(node.input[0])
    return None


def _linear(graph: _Model, node: NodeProto | None) -> _Linear | None:
    """What a linear layer with constant weights is; None: it is none."""
    if node is None:
        return None
    said = {one.name: helper.get_attribute_value(one) for one in node.attribute}
    offset: NDArray[np.floating] | None = np.zeros(1)
    if node.op_type == "Add":
        held = [graph.held.get(name) for name in node.input]
        at = 0 if held[0] is not None else 1
        offset, node = held[at], graph.made.get(node.input[1 - at], NodeProto())
    turn = graph.held.get(node.input[1]) if node.op_type in ("MatMul", "Gemm") else None
    if node.op_type == "Gemm":
        if said.get("alpha", 1.0) != 1.0 or said.get("beta", 1.0) != 1.0 or said.get("transA", 0):
            return None
        turn = turn.T if turn is not None and said.get("transB", 0) else turn
        offset = graph.held.get(node.input[2]) if len(node.input) > 2 else offset
    if turn is None or offset is None or turn.ndim != 2 or offset.size not in (1, turn.shape[1]):
        return None
    wide = np.broadcast_to(offset.reshape(-1), turn.shape[1:])
    return _Linear(node.input[0], turn.astype(np.float64), wide.astype(np.float64))


class _Behind(NamedTuple):
    """What is behind the wide product.

    kept: nodes between both layers   name: what the first one makes   beside: what is added, or ""
    """

    kept: list[NodeProto]
    first: _Linear
    name: str
    last: _Linear
    factor: float
    beside: str

    @property
    def alike(self) -> bool:
        """Whether the last layer is the first one turned."""
        return np.array_equal(self.first.turn, self.last.turn.T)


def _rest(model: ModelProto, behind: _Behind) -> ModelProto:
    kept, first, name, last, factor, beside = behind
    k = first.turn.shape[1]
    weights = {
        "products_among": last.turn @ last.turn.T,
        "products_level": np.array(last.offset @ last.offset),
        "products_factor": np.array(factor),
    }
    if behind.alike:
        weights["products_two"] = np.array(2.0)
        weights["products_shift"] = -2.0 * (first.offset + last.turn @ last.offset)
        ahead = [
            helper.make_node("Identity", [PRODUCTS], [name]),
            helper.make_node("Mul", [PRODUCTS, "products_two"], ["products_twice"]),
            helper.make_node("Add", ["products_twice", "products_shift"], ["products_x_h"]),
        ]
    else:
        sides = [name, "products_x_h"]
        ahead = [helper.make_node("Split", [PRODUCTS, "products_sizes"], sides, axis=1)]
    error = "products_beside" if beside else GIVEN
    nodes = [
        *ahead,
        *kept,
        helper.make_node("MatMul", [last.rest, "products_among"], ["products_h_h"]),
        helper.make_node("Sub", ["products_h_h", "products_x_h"], ["products_both"]),
        helper.make_node("Mul", ["products_both", last.rest], ["products_each"]),
        helper.make_node("ReduceSum", ["products_each", "products_axis"], ["products_sum"]),
        helper.make_node("Add", [ENERGY, "products_level"], ["products_energies"]),
        helper.make_node("Unsqueeze", ["products_energies", "products_axis"], ["products_energy"]),
        helper.make_node("Add", ["products_sum", "products_energy"], ["products_error"]),
        helper.make_node("Mul", ["products_error", "products_factor"], [error]),
    ]
    if beside:
        nodes += [
            helper.make_node("Reshape", [beside, "products_column"], ["products_other"]),
            helper.make_node("Add", [error, "products_other"], [GIVEN]),
        ]
    used = {name for node in nodes for name in node.input}
    held = [one for one in model.graph.initializer if one.name in used]
    held += [numpy_helper.from_array(v.astype(np.float32), name) for name, v in weights.items()]
    held.append(numpy_helper.from_array(np.array([1]), "products_axis"))
    held.append(numpy_helper.from_array(np.array([k, len(last.turn)]), "products_sizes"))
    held.append(numpy_helper.from_array(np.array([-1, 1]), "products_column"))
    size: int | str = model.graph.input[0].type.tensor_type.shape.dim[0].dim_value or "N"
    wide = k if behind.alike else k + len(last.turn)
    shapes = {PRODUCTS: [size, wide], ENERGY: [size]}
    inputs = [helper.make_tensor_value_info(one, F32_TYPE, shape) for one, shape in shapes.items()]
    made = helper.make_graph(nodes, "rest", inputs, model.graph.output, held)
    return helper.make_model(made, opset_imports=model.opset_import, ir_version=model.ir_version)


def over_windows(parts: Products) -> ModelProto:
    """The model in one again: of windows (N, w c) in the order of samples, and of energies."""
    gemm = helper.make_node("Gemm", [PRODUCTS, "products_wide", "products_offset"], [_FLAT])
    weights = {"products_wide": parts.wide, "products_offset": parts.offset}
    return _behind(parts.rest, [gemm], weights, width=len(parts.wide))


def behind_planes(parts: Products, back: F32) -> ModelProto:
    """What is behind products that come as planes (p, m / n, O), p frequencies each: back (n, p).

    Its input `products` is then (p, (m / n) O).
    """
    nodes = [
        helper.make_node("MatMul", ["products_back", PRODUCTS], ["products_in_time"]),
        helper.make_node("Reshape", ["products_in_time", "products_shape"], [_FLAT]),
    ]
    shape = np.array([-1, len(parts.offset)])
    return _behind(parts.rest, nodes, {"products_back": back, "products_shape": shape}, width="m")


def _behind(
    rest: ModelProto,
    nodes: list[NodeProto],
    weights: dict[str, NDArray[Any]],
    *,
    width: int | str,
) -> ModelProto:
    """What is behind nodes that make products of an input of this name, and of some width."""
    made = ModelProto()
    made.CopyFrom(rest)
    graph, size = made.graph, rest.graph.input[0].type.tensor_type.shape.dim[0]
    for node in graph.node:
        node.input[:] = [_FLAT if name == PRODUCTS else name for name in node.input]
    after = [*nodes, *graph.node]
    del graph.node[:]
    graph.node.extend(after)
    graph.initializer.extend(numpy_helper.from_array(one, name) for name, one in weights.items())
    shape = [size.dim_value or "p", width]
    graph.input[0].CopyFrom(helper.make_tensor_value_info(PRODUCTS, F32_TYPE, shape))
    return made
