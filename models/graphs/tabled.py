"""What the graphs share whose views have stored tails: averages, scores, inputs, outputs."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import msgspec

from models.graphs.graph import Nodes, finished, surprises, value_info
from models.graphs.onnx_types import BLOCK_SAMPLES_MAX, BOOL, F32

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from onnx import ValueInfoProto

    from models.bundles.tabled_kinds import EnsembleSpec, PcaSpec


def ready_samples(g: Nodes, *, valid: str, run: str) -> tuple[str, str, str]:
    """Samples from 0 (n,), those since the last without a value (a, n), and which are scored.

    valid: (a, n, c)   run: (a, 1) of the state
    """
    count = g.op("Shape", "x", start=1, end=2)
    steps = g.op("Range", g.scalar(0), g.op("Squeeze", count), g.scalar(1))
    steps = g.op("Cast", steps, to=F32)
    seen = g.op("ReduceMax", g.op("Cast", valid, to=F32), g.ints(2), keepdims=0)
    later = g.op("Unsqueeze", g.op("Add", steps, g.floats(1.0)), g.ints(0))  # (1, n) from 1
    dead = g.op("Mul", g.op("Sub", g.floats(1.0), seen), later)
    newest = g.op(
        "MaxPool",
        g.op("Unsqueeze", dead, g.ints(1)),
        kernel_shape=[BLOCK_SAMPLES_MAX],
        pads=[BLOCK_SAMPLES_MAX - 1, 0],
    )
    newest = g.op("Squeeze", newest, g.ints(1))  # where the last gap was, 0: before this block
    since = g.op("Sub", later, newest)
    before = g.op("Where", g.op("Greater", newest, g.floats(0.0)), g.floats(0.0), run)
    runs = g.op("Add", since, before)
    return steps, runs, g.op("Greater", runs, "settle")


def averaged(
    g: Nodes, taken: str, *, old: str, keep: np.ndarray, rate: np.ndarray, steps: str
) -> str:
    """Exponentially weighted sums (a, K, n, w) of (a, n, w) after those before (a, K, 1, w)."""
    age = g.op("Sub", g.op("Unsqueeze", steps, g.ints(1)), g.op("Unsqueeze", steps, g.ints(0)))
    kept = g.floats(keep[:, None, None])
    decay = g.op("Mul", g.op("Pow", kept, g.op("Relu", age)), g.floats(rate[:, None, None]))
    past = g.op("GreaterOrEqual", age, g.floats(0.0))
    triangle = g.op("Where", past, decay, g.floats(0.0))  # (K, n, n)
    fresh = g.op("MatMul", triangle, g.op("Unsqueeze", taken, g.ints(1)))
    later = g.op("Add", g.op("Unsqueeze", steps, g.ints(1)), g.floats(1.0))  # (n, 1)
    return g.op("Add", fresh, g.op("Mul", old, g.op("Pow", kept, later)))


def scored(g: Nodes, spec: PcaSpec | EnsembleSpec, *, told: str, ready: str) -> str:
    """The outputs `score` and `deviates`; and the surprise of each view (a n, V).

    told: deviates of the views (a, n, V)   ready: (a, n) which samples are scored
    """
    v = spec.views
    flat = surprises(g, g.op("Reshape", told, g.ints(-1, v)), views=v, knots=spec.knots)
    best = g.op("Reshape", g.op("ReduceMax", flat, g.ints(1), keepdims=0), g.op("Shape", ready))
    fused = g.op("Relu", g.op("Sub", best, "fusion"))
    g.nodes.append(g.node("Where", [ready, fused, g.floats(math.nan)], "score"))
    g.nodes.append(g.node("Identity", [told], "deviates"))
    return flat


def finished_tabled(
    g: Nodes, spec: PcaSpec | EnsembleSpec, own: Sequence[ValueInfoProto], *, name: str
) -> bytes:
    """The serialised model; own: its inputs beside those that all such graphs have."""
    c, v, j = spec.channels, spec.views, spec.knots
    inputs = [
        value_info("x", F32, "a", "n", c),
        value_info("valid", BOOL, "a", "n", c),
        value_info("state", F32, "a", spec.state_width),
        value_info("center", F32, "a", c),
        value_info("scale", F32, "a", c),
        value_info("present", BOOL, "a", c),
        *own,
        value_info("settle", F32, "a", 1),
        value_info("tail_knots", F32, "a", v, j),
        value_info("tail_slopes", F32, "a", v, j),
        value_info("fusion", F32, "a", 1),
    ]
    outputs = [
        value_info("score", F32, "a", "n"),
        value_info("state_out", F32, "a", spec.state_width),
        value_info("contribution", F32, "a", "n", c),
        value_info("deviates", F32, "a", "n", v),
    ]
    encoded = msgspec.json.encode(spec).decode()
    return finished(g, name, inputs=inputs, outputs=outputs, spec=encoded)
