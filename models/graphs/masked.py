"""The long way through the detector: any mask, any state. See `graph` for the formulas."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from models.bundles.bundle import U_MAX, Z_MAX
from models.graphs.onnx_types import BOOL, F32, INT64, LAST

if TYPE_CHECKING:
    from onnx import GraphProto

    from models.bundles.bundle import Spec
    from models.graphs.graph import Nodes


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
    graph = body.loop(
        [(j, INT64, ()), (go, BOOL, ()), (carried, F32, ("a", "n", c, c))],
        [(body.op("Identity", go), BOOL, ()), (after, F32, ("a", "n", c, c))],
    )
    return g.op("Loop", g.scalar(c), "", start, body=graph)


def masked_rows(
    g: Nodes, spec: Spec, *, z: str, valid: str, state: list[str]
) -> tuple[str, str, str, str]:
    """Any mask: one sample after another, because a filled value enters the next prediction.

    Returns EWMAs (a n, 2 K c), their v, n, q (a n, 3 K), which are ready (a n,) and the state
    after them (a, s).
    """
    k, c = len(spec.lambdas), spec.channels
    row_square = g.op("ReduceSumSquare", "mixing", g.ints(2), keepdims=1)  # (a, c, 1) variances
    sigma = g.op("Sqrt", row_square)
    unit = g.op("Div", "mixing", sigma)  # (a, c, c) residuals of unit variance = unit @ w
    turned = g.op("Transpose", unit, perm=[0, 2, 1])
    reach = g.op("Slice", "weights", g.ints(0, c), g.ints(-c, 2 * c), g.ints(1, 2))
    # (a, p c, c) what an error of a lag does to each channel's residual
    row = {
        "unit": unit,
        "turned": turned,
        "reach": reach,
        "reach_turned": g.op("Transpose", reach, perm=[0, 2, 1]),
        "covariance": g.op("MatMul", unit, turned),
        "sigma": g.op("Squeeze", sigma, g.ints(2)),
        "present": g.op("Cast", "present", to=F32),
    }
    body = _sample(g.child("t"), spec, row)
    sums = g.ops("Split", state[2], g.ints(k, k, k, 1, 1), outputs=5, axis=1)
    start = [state[0], state[3], g.op("Reshape", state[1], g.ints(0, k, 2 * c)), *sums]
    out = g.ops(
        "Scan",
        *start,
        z,
        g.op("Cast", valid, to=F32),
        outputs=11,
        body=body,
        num_scan_inputs=2,
        scan_input_axes=[1, 1],
        scan_output_axes=[1, 1, 1],
    )
    m_out = g.op("Reshape", out[2], g.ints(0, 2 * k * c))
    return (
        g.op("Reshape", out[8], g.ints(-1, 2 * k * c)),
        g.op("Reshape", out[9], g.ints(-1, 3 * k)),
        g.op("Cast", g.op("Reshape", out[10], g.ints(-1)), to=BOOL),
        g.op("Concat", out[0], m_out, *out[3:8], out[1], axis=1),
    )


def _sample(g: Nodes, spec: Spec, row: dict[str, str]) -> GraphProto:
    """One sample of the masked way; `row` is what depends on the row alone."""
    p, c, k = spec.lags, spec.channels, len(spec.lambdas)
    names = [g.prefix + each for each in ("lags", "u", "m", "v", "n", "q", "run", "full")]
    lags, u, m, v, n, q, run, full = names
    z, seen = g.prefix + "z", g.prefix + "seen"
    gone = g.op("Sub", row["present"], seen)  # (a, c)
    window = g.op("Unsqueeze", g.op("Concat", lags, z, axis=1), g.ints(1))
    rough = g.op("MatMul", window, "weights")  # (a, 1, 2 c) residuals, missing z as 0
    found = _expected(g, spec, row, rough=rough, u=u, seen=seen, gone=gone)
    count = g.op("ReduceSum", seen, g.ints(1))  # (a, 1)
    width = g.op("ReduceSum", row["present"], g.ints(1))
    whole = g.op("Equal", count, width)
    certain = g.op("And", whole, g.op("GreaterOrEqual", full, g.floats(p)))  # (a, 1)
    # Nothing missing, nothing uncertain: the very numbers of the short way.
    w = g.op("Where", g.op("Unsqueeze", certain, g.ints(2)), rough, found["w"])
    mean = g.op("Where", certain, width, found["mean"])
    freedom = g.op("Where", certain, width, found["freedom"])
    live = g.op("Cast", g.op("Greater", count, g.floats(0.0)), to=F32)
    run_out = g.op("Mul", g.op("Add", run, g.floats(1.0)), live)
    ready = g.op("Greater", run_out, g.op("Add", "settle", g.floats(p)))  # (a, 1)
    full_out = g.op("Min", g.op("Add", full, g.floats(1.0)), g.floats(p))
    full_out = g.op("Mul", full_out, g.op("Cast", whole, to=F32))
    lags_out = g.op("Mul", _shifted(g, spec, lags, g.op("Add", z, found["fill"])), live)
    u_out = g.op("Mul", _shifted(g, spec, u, found["doubt"]), live)
    lam = np.array(spec.lambdas, np.float32)
    rate, keep = g.floats(lam[None]), g.floats((1 - lam)[None])  # (1, K)
    rate2, keep2 = g.floats(lam[None] ** 2), g.floats((1 - lam)[None] ** 2)
    # What is not scored adds nothing, and what was known fades all the same: after a long stop or
    # gap nobody is reminded of what was before it.
    nothing = g.floats(0.0)
    old = g.op("Mul", m, g.op("Unsqueeze", keep, g.ints(2)))
    step = g.op("Mul", w, g.op("Unsqueeze", rate, g.ints(2)))
    m_out = g.op("Add", old, g.op("Where", g.op("Unsqueeze", ready, g.ints(2)), step, nothing))
    sums = [
        g.op(
            "Add", g.op("Mul", was, keep2), g.op("Where", ready, g.op("Mul", gain, rate2), nothing)
        )
        for was, gain in ((v, mean), (n, freedom), (q, g.floats(1.0)))
    ]
    carried = [lags_out, u_out, m_out, *sums, run_out, full_out]
    told = [g.op("Identity", m_out), g.op("Concat", *sums, axis=1), g.op("Cast", ready, to=F32)]
    small = [("a", k), ("a", k), ("a", k), ("a", 1), ("a", 1)]
    shapes = [("a", p * c), ("a", p * c), ("a", k, 2 * c), *small]
    return g.body(
        [*zip(names, shapes, strict=True), (z, ("a", c)), (seen, ("a", c))],
        [
            *zip(carried, shapes, strict=True),
            *zip(told, [("a", k, 2 * c), ("a", 3 * k), ("a", 1)], strict=True),
        ],
    )


def _expected(
    g: Nodes, spec: Spec, row: dict[str, str], *, rough: str, u: str, seen: str, gone: str
) -> dict[str, str]:
    """What the seen channels say: expected white noise w with mean square and freedom; fills.

    The covariance of residuals, widened by what the lags' uncertainty adds, is swept on the seen
    channels: -V_SS^-1 in their block, the regression of the missing beside it, what is left to be
    uncertain of the missing in theirs.
    """
    wide = g.op("Mul", row["reach"], g.op("Unsqueeze", u, g.ints(2)))
    v = g.op("Add", row["covariance"], g.op("MatMul", row["reach_turned"], wide))  # (a, c, c)
    swept = swept_on(g, spec.channels, v, seen)
    tall, flat = g.op("Unsqueeze", seen, g.ints(2)), g.op("Unsqueeze", seen, g.ints(1))
    c = spec.channels
    e = g.op("Slice", rough, g.ints(c), g.ints(2 * c), g.ints(2))  # (a, 1, c) of unit variance
    known = g.op("Transpose", g.op("Mul", e, flat), perm=[0, 2, 1])  # (a, c, 1)
    said = g.op("MatMul", swept, known)  # (a, c, 1) -V_SS^-1 e_S, and below the missing residuals
    weight = g.op("Transpose", g.op("Mul", g.op("Neg", said), tall), perm=[0, 2, 1])
    w = g.op("MatMul", weight, row["unit"])  # (a, 1, c)
    w = g.op("Concat", w, g.op("MatMul", w, row["turned"]), axis=2)  # (a, 1, 2 c)
    inside = g.op("Mul", g.op("Mul", g.op("Neg", swept), tall), flat)
    info = g.op("MatMul", g.op("MatMul", row["turned"], inside), row["unit"])  # covariance of w
    eye = g.floats(np.eye(spec.channels))
    mean = g.op("ReduceSum", g.op("Mul", info, eye), g.ints(1, 2), keepdims=0)
    mean = g.op("Unsqueeze", mean, g.ints(1))  # (a, 1)
    power = g.op("ReduceSumSquare", info, g.ints(1, 2), keepdims=0)
    freedom = g.op("Div", g.op("Mul", mean, mean), g.op("Unsqueeze", power, g.ints(1)))
    surplus = g.op("Sub", g.op("Squeeze", said, g.ints(2)), g.op("Squeeze", e, g.ints(1)))
    fill = g.op("Clip", g.op("Mul", surplus, row["sigma"]), g.floats(-Z_MAX), g.floats(Z_MAX))
    left = g.op("ReduceSum", g.op("Mul", swept, eye), g.ints(2), keepdims=0)  # (a, c)
    variance = g.op("Mul", left, g.op("Mul", row["sigma"], row["sigma"]))
    doubt = g.op("Mul", g.op("Min", variance, g.floats(U_MAX)), gone)
    fill = g.op("Mul", fill, gone)
    return {"w": w, "mean": mean, "freedom": freedom, "fill": fill, "doubt": doubt}


def swept_on(g: Nodes, channels: int, matrix: str, chosen: str) -> str:
    """Symmetric matrices (a, c, c) swept on the chosen channels (a, c) float, one after another.

    The pivot d becomes -1/d, its row and column are divided by d, from the rest their product is
    taken. Few operations: each costs more than its arithmetic.
    """
    c = channels
    eye = np.eye(c, dtype=np.float32)
    outside = (1 - eye)[:, :, None] * (1 - eye)[:, None, :]  # all but a pivot's row and column
    body = g.child("v")
    x, unit, rest, take = (body.prefix + each for each in ("x", "unit", "rest", "take"))
    tall, flat = body.op("Unsqueeze", unit, g.ints(1)), body.op("Unsqueeze", unit, g.ints(0))
    column = body.op("MatMul", x, tall)  # (a, c, 1)
    line = body.op("MatMul", flat, x)  # (a, 1, c)
    pivot = body.op("MatMul", flat, column)  # (a, 1, 1)
    ratio = body.op("Div", column, pivot)
    half = body.op("Add", body.op("Div", g.floats(0.5), pivot), g.floats(1.0))
    edge = body.op("Sub", ratio, body.op("Mul", half, tall))  # ratio, but -0.5 / d at the pivot
    cross = body.op("MatMul", edge, flat)
    cross = body.op("Add", cross, body.op("Transpose", cross, perm=[0, 2, 1]))
    inner = body.op("Mul", body.op("Sub", x, body.op("Mul", ratio, line)), rest)
    wanted = body.op("Unsqueeze", body.op("Greater", take, g.floats(0.0)), g.ints(1, 2))
    after = body.op("Where", wanted, body.op("Add", inner, cross), x)
    graph = body.body(
        [(x, ("a", c, c)), (unit, (c,)), (rest, (c, c)), (take, ("a",))], [(after, ("a", c, c))]
    )
    return g.op(
        "Scan",
        matrix,
        g.floats(eye),
        g.floats(outside),
        chosen,
        body=graph,
        num_scan_inputs=3,
        scan_input_axes=[0, 0, 1],
    )


def _shifted(g: Nodes, spec: Spec, lags: str, newest: str) -> str:
    """Lags (a, p c) one sample later."""
    rest = g.op("Slice", lags, g.ints(spec.channels), g.ints(LAST), g.ints(1))
    return g.op("Concat", rest, newest, axis=1)
