"""A model that others made, as part of a detector graph of ours: windows in, surprise out.

    W_t = the w samples that end at t (a forecast: that end before t)     in engineering units, or
                                                                          sigmas from the center
    r_t = model(W_t), of M numbers: its score, signed so that more is stranger; or of each channel
          what a reconstruction leaves of the newest sample, or a forecast of the next
    e   = (r - error_center) error_scale, clipped                         unit variance in normal
                                                                          operation
    m_k = (1 - l_k) m_k + l_k e;  q_k = (1 - l_k)^2 q_k + l_k^2           EWMAs, their variances
    z_k = m_k / sqrt(q_k)                                                 of a score
    z_k = WilsonHilferty(mean of m_k,i^2 / q_k,i over the valid channels) of residuals: all, and
    z_K+k = worst(max_i |m_k,i| even_k,i / sqrt(q_k,i))                   the one furthest off
    score = max_v table_v(z_v) - fusion

The model's nodes become ours, with a prefix. One that takes a fixed number of windows at once runs
in a Scan over as many as it takes. Without an input `valid`, a window with a hole has no score;
with it, missing values are the center, and their residuals count nowhere.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import msgspec
from onnx import checker, compose, helper

from models.foreign.foreign import OPSET_MIN
from models.graphs.graph import IR_VERSION, Nodes, value_info
from models.graphs.judged import judged
from models.graphs.onnx_types import BOOL, F32, KNOWN_MAX, LAST, MISSING, PREFIX

if TYPE_CHECKING:
    from onnx import ModelProto

    from models.foreign.foreign import Foreign
    from models.foreign.imported import ImportedSpec
    from models.foreign.windows import Taken

BATCHED: Final = "model_batches"


def build_imported_graph(spec: ImportedSpec, foreign: Foreign, taken: Taken) -> bytes:
    """The detector as a serialised ONNX model; equal arguments give equal bytes."""
    g = Nodes("w", [])
    held = compose.add_prefix(foreign.model, PREFIX)
    present = g.op("Unsqueeze", "present", g.ints(1))
    valid = g.op("And", "valid", present)  # (a, n, c)
    clean = g.op("Where", valid, "x", g.floats(MISSING))
    sizes = (spec.line * spec.channels, spec.averages, spec.averages)
    line, averages, variances = g.ops("Split", "state", g.ints(*sizes), outputs=3, axis=1)
    past = g.op("Reshape", line, g.ints(0, spec.line, spec.channels))
    series = g.op("Concat", past, clean, axis=1)  # (a, L + n, c)
    size = g.op("Squeeze", g.op("Shape", "x", start=1, end=2))
    steps = g.op("Range", g.scalar(0), size, g.scalar(1))
    given, ready = _modelled(g, spec, taken, held, series=series, steps=steps, valid=valid)
    told = _told(g, spec, given, ready=ready, valid=valid)
    means, sums = judged(g, spec, told, averages=averages, variances=variances)
    newest = g.op("Slice", series, g.ints(-spec.line or LAST), g.ints(LAST), g.ints(1))
    moved = g.op("Concat", g.op("Flatten", newest, axis=1), means, sums, axis=1)
    g.nodes.append(g.node("Identity", [moved], "state_out"))
    return _finished(g, spec, held, inside=bool(taken.batch))


def _modelled(
    g: Nodes,
    spec: ImportedSpec,
    taken: Taken,
    held: ModelProto,
    *,
    series: str,
    steps: str,
    valid: str,
) -> tuple[str, str]:
    """What the model gives (a, n, M), signed or as residual, and whether it counts (a, n)."""
    w, c = spec.window, spec.channels
    at = g.op("Add", g.op("Unsqueeze", steps, g.ints(1)), g.ints(*range(w)))
    window = g.op("Gather", series, at, axis=1)  # (a, n, w, c)
    known = g.op("Less", window, g.floats(KNOWN_MAX))
    center = g.op("Unsqueeze", "center", g.ints(1, 2))
    filled = g.op("Where", known, window, center)
    if spec.scaled:
        scale = g.op("Unsqueeze", "scale", g.ints(1, 2))
        filled = g.op("Mul", g.op("Sub", filled, center), scale)
    there = g.op("Cast", known, to=F32)
    if spec.masks:  # a sample of which nothing came is a gap
        rows = g.op("ReduceMax", there, g.ints(3), keepdims=0)
        whole = g.op("ReduceMin", rows, g.ints(2), keepdims=0)
        newest = g.op("ReduceMax", g.op("Cast", valid, to=F32), g.ints(2), keepdims=0)
    else:
        whole = g.op("ReduceMin", there, g.ints(2, 3), keepdims=0)
        newest = g.op("ReduceMin", g.op("Cast", valid, to=F32), g.ints(2), keepdims=0)
    ready = g.op("Greater", g.op("Mul", whole, newest), g.floats(0.5))  # (a, n)
    fed = {taken.input.name: _laid_out(g, spec, filled, to=taken.input.kind)}
    if taken.valid is not None:
        fed[taken.valid.name] = _laid_out(g, spec, there, to=taken.valid.kind)
    out = _called(g, taken, held, fed)
    out = g.op("Cast", out, to=F32)
    lead = g.op("Shape", "x", start=0, end=2)
    if spec.kind == "score":
        signed = g.op("Mul", out, g.floats(float(spec.sign)))
        return g.op("Reshape", signed, g.op("Concat", lead, g.ints(1), axis=0)), ready
    sample = g.op("Concat", lead, g.ints(c), axis=0)
    if spec.kind == "reconstruction":
        rowwise = spec.layout in {"rows", "flat_rows"}
        whole_shape = g.ints(-1, w, c) if rowwise else g.ints(-1, c, w)
        given = g.op("Reshape", out, whole_shape)
        last = g.op("Gather", given, g.scalar(-1), axis=1 if rowwise else 2)
        out = g.op("Reshape", last, sample)
    else:
        out = g.op("Reshape", out, sample)
    actual = g.op("Where", valid, "x", g.op("Unsqueeze", "center", g.ints(1)))
    if spec.scaled:
        sigmas = g.op("Sub", actual, g.op("Unsqueeze", "center", g.ints(1)))
        actual = g.op("Mul", sigmas, g.op("Unsqueeze", "scale", g.ints(1)))
    return g.op("Sub", actual, out), ready


def _laid_out(g: Nodes, spec: ImportedSpec, windows: str, *, to: int) -> str:
    """Windows (a, n, w, c) as the model takes them, of its type."""
    w, c = spec.window, spec.channels
    each = g.op("Reshape", windows, g.ints(-1, w, c))
    if spec.layout in {"columns", "flat_columns"}:
        each = g.op("Transpose", each, perm=[0, 2, 1])
    if spec.layout.startswith("flat"):
        each = g.op("Reshape", each, g.ints(-1, w * c))
    if to == BOOL:
        return g.op("Greater", each, g.floats(0.5))
    return each if to == F32 else g.op("Cast", each, to=to)


def _called(g: Nodes, taken: Taken, held: ModelProto, fed: dict[str, str]) -> str:
    """The model's output for windows (N, ...) by input name."""
    output = f"{PREFIX}{taken.output.name}"
    if not taken.batch:
        for name, value in fed.items():
            g.nodes.append(g.node("Identity", [value], f"{PREFIX}{name}"))
        g.nodes += held.graph.node
        return output
    blocks = []
    for value in fed.values():
        shape = g.op("Shape", value)
        lead = g.op("Gather", shape, g.ints(0), axis=0)
        rest = g.op("Slice", shape, g.ints(1), g.ints(LAST))
        # the last window fills the last block up, as it is computed and thrown away
        least = g.op("Add", lead, g.ints(taken.batch - 1))
        count = g.op("Div", least, g.ints(taken.batch))
        total = g.op("Mul", count, g.ints(taken.batch))
        at = g.op("Range", g.scalar(0), g.op("Squeeze", total), g.scalar(1))
        until = g.op("Sub", lead, g.ints(1))
        more = g.op("Gather", value, g.op("Min", at, until), axis=0)
        blocked = g.op("Concat", count, g.ints(taken.batch), rest, axis=0)
        blocks.append(g.op("Reshape", more, blocked))
    kinds = {one.name: one.type.tensor_type for one in held.graph.input}
    inputs = []
    for name in fed:
        info = helper.make_tensor_value_info(
            f"{PREFIX}{name}", kinds[f"{PREFIX}{name}"].elem_type, None
        )
        inputs.append(info)
    outputs = [helper.make_tensor_value_info(output, taken.output.kind, None)]
    body = helper.make_graph(
        list(held.graph.node), BATCHED, inputs, outputs, list(held.graph.initializer)
    )
    node = helper.make_node("Scan", blocks, [BATCHED], num_scan_inputs=len(blocks), body=body)
    g.nodes.append(node)
    shape = g.op("Shape", BATCHED)
    rest = g.op("Slice", shape, g.ints(2), g.ints(LAST))
    joined = g.op("Reshape", BATCHED, g.op("Concat", g.ints(-1), rest, axis=0))
    windows = next(iter(fed.values()))
    lead = g.op("Gather", g.op("Shape", windows), g.ints(0), axis=0)
    return g.op("Slice", joined, g.ints(0), lead, g.ints(0))


def _told(g: Nodes, spec: ImportedSpec, given: str, *, ready: str, valid: str) -> str:
    """What the model says (a, n, M); NaN where it says nothing, or of what is not there."""
    seen = g.op("And", g.op("Not", g.op("IsNaN", given)), g.op("Unsqueeze", ready, g.ints(2)))
    if spec.kind != "score":
        seen = g.op("And", seen, valid)
    told = g.op("Where", seen, given, g.floats(math.nan))
    g.nodes.append(g.node("Identity", [told], "given"))
    return told


def _finished(g: Nodes, spec: ImportedSpec, held: ModelProto, *, inside: bool) -> bytes:
    """The nodes as a serialised, checked model. inside: the weights are in a Scan."""
    c, m, v, j = spec.channels, spec.errors, spec.views, spec.knots
    shapes: dict[str, tuple[int, tuple[int | str, ...]]] = {
        "x": (F32, ("a", "n", c)),
        "valid": (BOOL, ("a", "n", c)),
        "state": (F32, ("a", spec.state_width)),
        "center": (F32, ("a", c)),
        "scale": (F32, ("a", c)),
        "present": (BOOL, ("a", c)),
        "error_center": (F32, ("a", m)),
        "error_scale": (F32, ("a", m)),
        "evenness": (F32, ("a", len(spec.lambdas), m)),
        "tail_knots": (F32, ("a", v, j)),
        "tail_slopes": (F32, ("a", v, j)),
        "fusion": (F32, ("a", 1)),
    }
    inputs = [value_info(name, kind, *shape) for name, (kind, shape) in shapes.items()]
    outputs = [
        value_info("score", F32, "a", "n"),
        value_info("state_out", F32, "a", spec.state_width),
        value_info("contribution", F32, "a", "n", "shares"),
        value_info("given", F32, "a", "n", m),
    ]
    weights = [] if inside else list(held.graph.initializer)
    graph = helper.make_graph(g.nodes, "andon_imported", inputs, outputs, g.constants + weights)
    opsets = {one.domain: one.version for one in held.opset_import}
    opsets[""] = max(OPSET_MIN, opsets.get("", 0), opsets.pop("ai.onnx", 0))
    model = helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid(name, opsets[name]) for name in sorted(opsets)],
        ir_version=max(IR_VERSION, held.ir_version),
        producer_name="andon",
    )
    helper.set_model_props(model, {"andon_spec": msgspec.json.encode(spec).decode()})
    checker.check_model(model)
    return bytes(model.SerializeToString(deterministic=True))
