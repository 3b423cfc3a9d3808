"""The long way through the detector: any mask, any state. See `models.graph` for the formulas."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from models.bundle import U_MAX, Z_MAX
from models.onnx_types import BOOL, F32, INT64, LAST

if TYPE_CHECKING:
    from onnx import GraphProto

    from models.bundle import Spec
    from models.graph import Nodes


def swept(g: Nodes, spec: Spec, *, white: str, missing: str) -> str:
    """The precision swept on the missing channels (a, n, c, c).

    -P_MM^-1 in the missing block, P_MM^-1 P_MS beside it, the precision of the valid elsewhere.
    white: (a, c, c) W transposed; missing: (a, n, c) bool.
    """
    c = spec.channels
    precision = g.op("MatMul", white, g.op("Transpose", white, perm=[0, 2, 1]))
    wide = g.op("Expand", g.op("Unsqueeze", missing, g.ints(3)), g.ints(1, 1, 1, c))
    zeros = g.op("Mul", g.op("Cast", wide, to=F32), g.floats(0.0))
    start = g.op("Add", g.op("Unsqueeze", precision, g.ints(1)), zeros)  # (a, n, c, c)
    body = g.child("w")
    j = body.prefix + "j"
    go, carried = body.prefix + "go", body.prefix + "x"
    pick = body.op("Equal", body.constant(np.arange(c)), j)  # (c,) one-hot
    row_or_column = body.op(
        "Or", body.op("Unsqueeze", pick, g.ints(0)), body.op("Unsqueeze", pick, g.ints(1))
    )
    column = body.op("Gather", carried, j, axis=3)  # (a, n, c)
    pivot = body.op("Gather", column, body.op("Reshape", j, g.ints(1)), axis=2)  # (a, n, 1)
    ratio = body.op("Div", column, pivot)
    outer = body.op(
        "Mul", body.op("Unsqueeze", ratio, g.ints(3)), body.op("Unsqueeze", column, g.ints(2))
    )
    # On the pivot's row and column the ratio itself; on the pivot twice half of -1 / pivot.
    edge = body.op("Where", pick, body.op("Div", g.floats(-0.5), pivot), ratio)
    unit = body.op("Cast", pick, to=F32)
    across = body.op("Mul", body.op("Unsqueeze", edge, g.ints(3)), unit)
    down = body.op(
        "Mul", body.op("Unsqueeze", edge, g.ints(2)), body.op("Unsqueeze", unit, g.ints(1))
    )
    swept = body.op(
        "Where", row_or_column, body.op("Add", across, down), body.op("Sub", carried, outer)
    )
    chosen = body.op("Gather", missing, body.op("Reshape", j, g.ints(1)), axis=2)  # (a, n, 1)
    after = body.op("Where", body.op("Unsqueeze", chosen, g.ints(3)), swept, carried)
    graph = body.body(
        [(j, INT64), (go, BOOL), (carried, F32, "a", "n", c, c)],
        [(body.op("Identity", go), BOOL), (after, F32, "a", "n", c, c)],
    )
    return g.op("Loop", g.scalar(c), "", start, body=graph)


def masked_branch(g: Nodes, spec: Spec, *, z: str, valid: str, state: list[str]) -> GraphProto:
    """Any mask: one sample after another, because a filled value enters the next prediction."""
    k, c = len(spec.lambdas), spec.channels
    white = g.op("Slice", "weights", g.ints(-c), g.ints(LAST), g.ints(1))  # (a, c, c)
    present = g.op("Unsqueeze", "present", g.ints(1))
    missing = g.op("And", present, g.op("Not", valid))
    precision = swept(g, spec, white=white, missing=missing)
    lost = g.op("Cast", missing, to=F32)
    both = g.op("Mul", g.op("Unsqueeze", lost, g.ints(3)), g.op("Unsqueeze", lost, g.ints(2)))
    inverse = g.op("Neg", g.op("Mul", precision, both))  # (a, n, c, c) P_MM^-1, zero elsewhere
    lagged = g.op("Slice", "weights", g.ints(0), g.ints(-c), g.ints(1))  # (a, p c, c)
    turned = g.op("Transpose", white, perm=[0, 2, 1])
    shared = (
        white,
        turned,
        g.op("MatMul", lagged, turned),
        g.op("ReduceSumSquare", lagged, g.ints(2), keepdims=0),
    )
    body = _sample(g.child("t"), spec, shared)
    sums = g.ops("Split", state[2], g.ints(k, k, k, 1, 1), outputs=5, axis=1)
    start = [state[0], state[3], g.op("Reshape", state[1], g.ints(0, k, c)), *sums]
    scanned = [z, g.op("Cast", valid, to=F32), inverse]
    out = g.ops(
        "Scan",
        *start,
        *scanned,
        outputs=11,
        body=body,
        num_scan_inputs=3,
        scan_input_axes=[1, 1, 1],
        scan_output_axes=[1, 1, 1],
    )
    m_out = g.op("Reshape", out[2], g.ints(0, k * c))
    state_out = g.op("Concat", out[0], m_out, *out[3:8], out[1], axis=1)
    told = [
        g.op("Reshape", out[8], g.ints(-1, k * c)),
        g.op("Reshape", out[9], g.ints(-1, 3 * k)),
        g.op("Cast", g.op("Reshape", out[10], g.ints(-1)), to=BOOL),
        state_out,
    ]
    return g.graph(list(zip(told, (F32, F32, BOOL, F32), strict=True)))


def _sample(g: Nodes, spec: Spec, shared: tuple[str, str, str, str]) -> GraphProto:
    """One sample of the masked way; `shared` are what depends on the row alone."""
    white, turned, reach, power = shared
    p, c, k = spec.lags, spec.channels, len(spec.lambdas)
    names = [g.prefix + each for each in ("lags", "u", "m", "v", "n", "q", "run", "full")]
    lags, u, m, v, n, q, run, full = names
    z, seen, inverse = g.prefix + "z", g.prefix + "seen", g.prefix + "inverse"
    window = g.op("Unsqueeze", g.op("Concat", lags, z, axis=1), g.ints(1))
    rough = g.op("MatMul", window, "weights")  # (a, 1, c) W (z - prediction), missing z as 0
    pull = g.op("MatMul", rough, turned)  # (a, 1, c)
    fill = g.op("Neg", g.op("MatMul", pull, inverse))  # (a, 1, c) missing values, 0 elsewhere
    w = g.op("Add", rough, g.op("MatMul", fill, white))
    bounded = g.op("Clip", g.op("Squeeze", fill, g.ints(1)), g.floats(-Z_MAX), g.floats(Z_MAX))
    filled = g.op("Add", z, bounded)
    blur = g.op("MatMul", reach, inverse)  # (a, p c, c) what an error of a lag does to the fill
    hidden = g.op("ReduceSum", g.op("Mul", blur, reach), g.ints(2), keepdims=0)
    extra = g.op("ReduceSum", g.op("Mul", u, g.op("Relu", g.op("Sub", power, hidden))), g.ints(1))
    own = g.op("ReduceSum", g.op("Mul", inverse, g.floats(np.eye(c)[None])), g.ints(2), keepdims=0)
    spread = g.op("MatMul", g.op("Unsqueeze", u, g.ints(1)), g.op("Mul", blur, blur))
    doubt = g.op("Min", g.op("Add", own, g.op("Squeeze", spread, g.ints(1))), g.floats(U_MAX))
    some = g.op("Greater", g.op("ReduceMax", seen, g.ints(1)), g.floats(0.0))  # (a, 1)
    live = g.op("Cast", some, to=F32)
    run_out = g.op("Mul", g.op("Add", run, g.floats(1.0)), live)
    ready = g.op("Greater", run_out, g.op("Add", "settle", g.floats(p)))  # (a, 1)
    count = g.op("ReduceSum", seen, g.ints(1))  # (a, 1)
    width = g.op("ReduceSum", g.op("Cast", "present", to=F32), g.ints(1))
    whole = g.op("Cast", g.op("Equal", count, width), to=F32)
    full_out = g.op("Mul", g.op("Min", g.op("Add", full, g.floats(1.0)), g.floats(p)), whole)
    lags_out = g.op("Mul", _shifted(g, spec, lags, filled), live)
    u_out = g.op("Mul", _shifted(g, spec, u, doubt), live)
    lam = np.array(spec.lambdas, np.float32)
    rate, keep = g.floats(lam[None]), g.floats((1 - lam)[None])  # (1, K)
    rate2, keep2 = g.op("Mul", rate, rate), g.op("Mul", keep, keep)
    moved = g.op(
        "Add",
        g.op("Mul", m, g.op("Unsqueeze", keep, g.ints(2))),
        g.op("Mul", w, g.op("Unsqueeze", rate, g.ints(2))),
    )
    m_out = g.op("Where", g.op("Unsqueeze", ready, g.ints(2)), moved, m)
    gains = (g.op("Add", count, extra), count, g.floats(1.0))
    sums = [
        g.op("Where", ready, g.op("Add", g.op("Mul", old, keep2), g.op("Mul", gain, rate2)), old)
        for old, gain in zip((v, n, q), gains, strict=True)
    ]
    carried = [lags_out, u_out, m_out, *sums, run_out, full_out]
    told = [g.op("Identity", m_out), g.op("Concat", *sums, axis=1), g.op("Cast", ready, to=F32)]
    shapes: list[tuple[int, ...]] = [(p * c,), (p * c,), (k, c), (k,), (k,), (k,), (1,), (1,)]
    seen_shapes: list[tuple[int, ...]] = [(c,), (c,), (c, c)]
    told_shapes: list[tuple[int, ...]] = [(k, c), (3 * k,), (1,)]
    inputs = zip((*names, z, seen, inverse), (*shapes, *seen_shapes), strict=True)
    outputs = zip((*carried, *told), (*shapes, *told_shapes), strict=True)
    return g.body(
        [(each, F32, "a", *shape) for each, shape in inputs],
        [(each, F32, "a", *shape) for each, shape in outputs],
    )


def _shifted(g: Nodes, spec: Spec, lags: str, newest: str) -> str:
    """Lags (a, p c) one sample later."""
    rest = g.op("Slice", lags, g.ints(spec.channels), g.ints(LAST), g.ints(1))
    return g.op("Concat", rest, newest, axis=1)
