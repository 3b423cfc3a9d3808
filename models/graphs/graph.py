"""The default detector as an ONNX graph: ridge VAR residuals, several EWMAs of them, tail surprise.

What one row of the graph computes for its sample z_t (c,), normalised and clipped:

    w   = W (z_t - A_1 z_{t-1} - ... - A_p z_{t-p})     whitened residual, W covariance W' = 1
    e   = D W^-1 w                                      each channel's own, D to unit variance
    m_k, d_k = (1 - l_k) m_k + l_k w, likewise of e     K exponentially weighted means of each
    v_k, n_k, q_k                                       E|m_k|^2; degrees of freedom; samples
    z_k = WilsonHilferty(|m_k|^2 / v_k, n_k / q_k)      ~ N(0, 1) in normal operation: all together
    z_K+k = worst(max_i |d_k,i| even_k,i / sqrt(q_k))   likewise: the valid channel furthest off
    score = max_v table_v(z_v) - fusion                 table: stored tail, -log10 probability

Where values are missing, w is what the others let expect of it: with V the covariance of residuals,
widened by what is uncertain about lags that were missing themselves, and S the valid channels,

    w = L' V_SS^-1 e_S,   L = W^-1,   covariance of w = L' V_SS^-1 L = I

so v_k and n_k grow by tr I and (tr I)^2 / tr I^2 instead of c: the score keeps its meaning under
any mask. What is not scored (no value, a start that settles) leaves w out, and m, v, n and q fade.
Missing values enter later predictions as their conditional mean. V is swept on S
(Goodnight 1979, symmetric form), so no mask needs a factorisation of its own.

An ONNX `If` takes the short way where the caller says that every row is complete and settled; what
is valid is then what is present. Values at invalid positions are replaced before anything else, so
they cannot matter, not even by a bit. Standard operators only (opset 18). Rows and samples (a, n)
are dynamic; channels c are fixed.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import msgspec
import numpy as np
from onnx import GraphProto, checker, helper, numpy_helper

from models.bundles.bundle import Z_MAX, Spec
from models.fitting.tails import worst_scale
from models.graphs.complete import complete_branch, deviates_of, unexplained
from models.graphs.masked import masked_rows, swept
from models.graphs.onnx_types import BOOL, F32, INT64, LAST

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from onnx import NodeProto, TensorProto, ValueInfoProto

    from models.graphs.onnx_types import Shaped, Typed

Attribute = int | str | list[int] | GraphProto
OPSET: Final = 18
IR_VERSION: Final = 9


class Nodes:
    """Nodes of one (sub)graph in order; makes names that no other (sub)graph of the model uses."""

    def __init__(self, prefix: str, constants: list[TensorProto], *, kept: str = "const") -> None:
        self.prefix, self.kept = prefix, kept  # what names of nodes and of constants begin with
        self.nodes: list[NodeProto] = []
        self.constants = constants  # of the outermost graph: subgraphs see its names

    def op(self, kind: str, *inputs: str, outputs: int = 1, **attributes: Attribute) -> str:
        """Append one node; returns the name of its first output."""
        return self.ops(kind, *inputs, outputs=outputs, **attributes)[0]

    def ops(self, kind: str, *inputs: str, outputs: int, **attributes: Attribute) -> list[str]:
        """Append one node; returns the names of all its outputs."""
        names = [f"{self.prefix}{len(self.nodes)}_{kind}_{i}" for i in range(outputs)]
        node = helper.make_node(kind, list(inputs), names, **attributes)  # type: ignore[arg-type]
        self.nodes.append(node)
        return names

    def node(self, kind: str, inputs: list[str], name: str) -> NodeProto:
        """A node with one named output, not yet appended."""
        return helper.make_node(kind, inputs, [name])

    def floats(self, value: float | NDArray[np.floating]) -> str:
        """A float32 constant of any shape."""
        return self.constant(np.asarray(value, np.float32))

    def ints(self, *values: int) -> str:
        """An int64 vector, as axes and shapes want it."""
        return self.constant(np.array(values, np.int64))

    def scalar(self, value: int) -> str:
        """An int64 scalar."""
        return self.constant(np.array(value, np.int64))

    def constant(self, array: NDArray[Any]) -> str:
        """A constant array of any shape; equal ones are kept once."""
        name = f"{self.kept}_{len(self.constants)}"
        kind, stored = helper.np_dtype_to_tensor_dtype(array.dtype), array.tobytes()
        for known in self.constants:
            if known.data_type != kind or tuple(known.dims) != array.shape:
                continue
            floats = array.dtype.kind == "f"  # 0.0 and -0.0 are one, each NaN is another
            same = numpy_helper.to_array(known) == array if floats else known.raw_data == stored
            if np.all(same):
                return str(known.name)
        self.constants.append(numpy_helper.from_array(array, name))
        return name

    def child(self, prefix: str) -> Nodes:
        """Nodes of a subgraph that shares the constants."""
        return Nodes(self.prefix + prefix, self.constants, kept=self.kept)

    def branch(
        self, condition: str, then: GraphProto, otherwise: GraphProto, names: list[str]
    ) -> None:
        """An `If` whose outputs get `names`."""
        node = helper.make_node("If", [condition], names, then_branch=then, else_branch=otherwise)
        self.nodes.append(node)

    def graph(self, values: Sequence[tuple[str, int]]) -> GraphProto:
        """These nodes as a branch without inputs. values: (name, element type) that it yields."""
        infos = [helper.make_tensor_value_info(value, kind, None) for value, kind in values]
        return helper.make_graph(self.nodes, self.prefix, [], infos)

    def body(self, inputs: Sequence[Shaped], outputs: Sequence[Shaped]) -> GraphProto:
        """These nodes as the body of a Scan over float32. inputs, outputs: (name, shape)."""
        return self.loop(
            [(name, F32, shape) for name, shape in inputs],
            [(name, F32, shape) for name, shape in outputs],
        )

    def loop(self, inputs: Sequence[Typed], outputs: Sequence[Typed]) -> GraphProto:
        """These nodes as the body of a Loop. inputs, outputs: (name, element type, shape)."""
        taken = [value_info(name, kind, *shape) for name, kind, shape in inputs]
        given = [value_info(name, kind, *shape) for name, kind, shape in outputs]
        return helper.make_graph(self.nodes, self.prefix, taken, given)


def build_graph(spec: Spec) -> bytes:
    """The detector for `spec` as a serialised ONNX model; equal specs give equal bytes."""
    g = Nodes("n", [])
    fast = complete_branch(g.child("f"), spec)
    slow = _any_mask(g.child("s"), spec)
    g.branch("complete", fast, slow, ["score", "state_out", "contribution"])
    inputs, outputs = _interface(spec)
    encoded = msgspec.json.encode(spec).decode()
    return finished(g, "andon_var_mewma", inputs=inputs, outputs=outputs, spec=encoded)


def _any_mask(g: Nodes, spec: Spec) -> GraphProto:
    """The long way: score (a, n), state_out (a, s), and where asked for, contribution (a, n, c)."""
    valid = g.op("And", "valid", g.op("Unsqueeze", "present", g.ints(1)))
    z = normalised(g, valid)
    state = g.ops("Split", "state", g.ints(*spec.state_sizes), outputs=4, axis=1)
    m_all, sums, ready, after = masked_rows(g, spec, z=z, valid=valid, state=state)
    surprise = _surprise(g, spec, m_all=m_all, sums=sums, valid=valid)  # (a n, V)
    best = g.op("ReduceMax", surprise, g.ints(1), keepdims=0)  # (a n,)
    told = g.op("Where", ready, best, g.floats(math.nan))
    fused = g.op("Sub", g.op("Reshape", told, g.op("Shape", "x", start=0, end=2)), "fusion")
    score = g.op("Relu", fused)
    shares = _shares(g.child("c"), spec, m_all=m_all, surprise=surprise, ready=ready, valid=valid)
    contribution = g.prefix + "contribution"
    g.branch("explain", shares, unexplained(g.child("o"), spec), [contribution])
    return g.graph([(score, F32), (after, F32), (contribution, F32)])


def _interface(spec: Spec) -> tuple[list[ValueInfoProto], list[ValueInfoProto]]:
    """Inputs and outputs of the graph."""
    c, v, j = spec.channels, spec.views, spec.knots
    inputs = [
        value_info("x", F32, "a", "n", c),
        value_info("valid", BOOL, "a", "n", c),
        value_info("state", F32, "a", spec.state_width),
        value_info("complete", BOOL),
        value_info("explain", BOOL),
        value_info("center", F32, "a", c),
        value_info("scale", F32, "a", c),
        value_info("present", BOOL, "a", c),
        value_info("weights", F32, "a", (spec.lags + 1) * c, 2 * c),
        value_info("mixing", F32, "a", c, c),
        value_info("settle", F32, "a", 1),
        value_info("tail_knots", F32, "a", v, j),
        value_info("tail_slopes", F32, "a", v, j),
        value_info("evenness", F32, "a", len(spec.lambdas), c),
        value_info("fusion", F32, "a", 1),
    ]
    outputs = [
        value_info("score", F32, "a", "n"),
        value_info("state_out", F32, "a", spec.state_width),
        value_info("contribution", F32, "a", "e", c),
    ]
    return inputs, outputs


def finished(
    g: Nodes,
    name: str,
    *,
    inputs: list[ValueInfoProto],
    outputs: list[ValueInfoProto],
    spec: str,
) -> bytes:
    """The nodes as a serialised, checked model. spec: JSON that the detector finds in it."""
    graph = helper.make_graph(g.nodes, name, inputs, outputs, g.constants)
    model = helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="andon",
    )
    helper.set_model_props(model, {"andon_spec": spec})
    checker.check_model(model)
    return bytes(model.SerializeToString(deterministic=True))


def value_info(name: str, kind: int, *shape: int | str) -> ValueInfoProto:
    """Name, element type and shape of an input or output."""
    return helper.make_tensor_value_info(name, kind, list(shape))


def normalised(g: Nodes, valid: str) -> str:
    """Values x as z (a, n, c): clipped sigmas from the center, zero where invalid."""
    center = g.op("Unsqueeze", "center", g.ints(1))
    scale = g.op("Unsqueeze", "scale", g.ints(1))
    clean = g.op("Where", valid, "x", center)
    sigmas = g.op("Mul", g.op("Sub", clean, center), scale)
    return g.op("Clip", sigmas, g.floats(-Z_MAX), g.floats(Z_MAX))


def _surprise(g: Nodes, spec: Spec, *, m_all: str, sums: str, valid: str) -> str:
    """Surprise of each view (a n, V) by its stored tail table. NaN where nothing was scored yet."""
    k, v, j = len(spec.lambdas), spec.views, spec.knots
    columns = g.ops("Split", sums, outputs=3, axis=1, num_outputs=3)
    mean, n, q = (g.op("Reshape", each, g.ints(-1)) for each in columns)  # (a n K,)
    averages = g.op("Reshape", m_all, g.ints(-1, 2 * spec.channels))  # (a n K, 2 c)
    white, plain = g.ops("Split", averages, outputs=2, axis=1, num_outputs=2)
    together = _together(g, white=white, mean=mean, n=n, q=q)
    worst = _worst(g, spec, plain=plain, valid=valid, q=q)
    deviation = g.op(
        "Concat",
        g.op("Reshape", together, g.ints(-1, k)),
        g.op("Reshape", worst, g.ints(-1, k)),
        axis=1,
    )
    return surprises(g, deviation, views=v, knots=j)


def surprises(g: Nodes, deviation: str, *, views: int, knots: int) -> str:
    """Surprise of deviates (a n, V) by the stored tail table, likewise."""
    v, j = views, knots
    each = np.repeat(np.eye(v, dtype=np.float32), j, axis=1)  # (V, V J)
    wide = g.op("MatMul", deviation, g.floats(each))  # every deviation J times
    shape = g.op("Concat", g.op("Shape", "x", start=0, end=2), g.ints(v * j), axis=0)
    at = g.op("Reshape", "tail_knots", g.ints(0, 1, v * j))
    slopes = g.op("Reshape", "tail_slopes", g.ints(0, 1, v * j))
    over = g.op("Relu", g.op("Sub", g.op("Reshape", wide, shape), at))
    steps = g.op("Reshape", g.op("Mul", over, slopes), g.ints(-1, v * j))
    return g.op("MatMul", steps, g.floats(each.T))


def _together(g: Nodes, *, white: str, mean: str, n: str, q: str) -> str:
    """Deviates (a n K,) of the squared length of each EWMA, all channels together."""
    distance = g.op("ReduceSumSquare", white, g.ints(1), keepdims=0)
    return deviates_of(g, distance=distance, mean=mean, n=n, q=q)


def _worst(g: Nodes, spec: Spec, *, plain: str, valid: str, q: str) -> str:
    """Deviates (a, n, K) of each EWMA's channel that is furthest off, of those that are valid."""
    k, c = len(spec.lambdas), spec.channels
    seen = g.op("Cast", valid, to=F32)
    shape = g.op("Concat", g.op("Shape", "x", start=0, end=2), g.ints(k, c), axis=0)
    even = g.op("Mul", g.op("Unsqueeze", "evenness", g.ints(1)), g.op("Unsqueeze", seen, g.ints(2)))
    counted = g.op("Mul", g.op("Reshape", plain, shape), even)
    size = g.op("ReduceMax", g.op("Abs", counted), g.ints(3), keepdims=0)  # (a, n, K)
    sigma = g.op("Reshape", g.op("Sqrt", q), g.op("Shape", size))
    count = g.op("Cast", g.op("ReduceSum", seen, g.ints(2), keepdims=1), to=INT64)  # (a, n, 1)
    offset, scale = (g.op("Gather", g.floats(column), count) for column in worst_scale(c).T)
    return g.op("Mul", g.op("Sub", g.op("Div", size, sigma), offset), scale)


def _shares(
    g: Nodes, spec: Spec, *, m_all: str, surprise: str, ready: str, valid: str
) -> GraphProto:
    """Reconstruction-based contributions (Alcala & Qin 2009) of the EWMA of the view that won.

    Only valid channels count, with the precision that is left to them: (P^S m)_i^2 / P^S_ii.
    """
    c, k = spec.channels, len(spec.lambdas)
    winner = g.op("ArgMax", surprise, axis=1, keepdims=1)  # (a n, 1)
    rate = g.op("Mod", winner, g.scalar(k))  # both views of an EWMA are explained by it
    chosen = g.op("Cast", g.op("Equal", rate, g.constant(np.arange(k))), to=F32)  # (a n, K)
    white_only = g.op(
        "Slice", g.op("Reshape", m_all, g.ints(-1, k, 2 * c)), g.ints(0), g.ints(c), g.ints(2)
    )
    m = g.op("Mul", white_only, g.op("Unsqueeze", chosen, g.ints(2)))
    m = g.op("Reshape", g.op("ReduceSum", m, g.ints(1), keepdims=0), g.op("Shape", "x"))
    white = g.op("Slice", "weights", g.ints(-c, 0), g.ints(LAST, c), g.ints(1, 2))
    pull = g.op("MatMul", m, g.op("Transpose", white, perm=[0, 2, 1]))  # (a, n, c) P m
    missing = g.op("And", g.op("Unsqueeze", "present", g.ints(1)), g.op("Not", valid))
    precision = swept(g, spec, white=white, missing=missing)
    lost = g.op("Unsqueeze", g.op("Mul", pull, g.op("Cast", missing, to=F32)), g.ints(3))
    rest = g.op("Sub", pull, g.op("Squeeze", g.op("MatMul", precision, lost), g.ints(3)))
    diagonal = g.op("ReduceSum", g.op("Mul", precision, g.floats(np.eye(c))), g.ints(3), keepdims=0)
    shape = g.op("Concat", g.op("Shape", "x", start=0, end=2), g.ints(1), axis=0)
    counted = g.op("And", valid, g.op("Reshape", ready, shape))
    power = g.op("Div", g.op("Mul", rest, rest), diagonal)
    power = g.op("Where", counted, g.op("Add", power, g.floats(1e-12)), g.floats(0.0))
    total = g.op("Max", g.op("ReduceSum", power, g.ints(2)), g.floats(1e-30))
    return g.graph([(g.op("Div", power, total), F32)])
