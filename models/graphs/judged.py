"""What a model said becomes surprise: errors, their averages, deviates, tails.

The formulas are those of `models.graphs.imported`, written down twice: for blocks of samples, as
part of that graph and alone, and for one sample of many rows, which is the tick. There the rows are
the last axis, so that every operator runs along them: with them first, an axis of two averages or
eight knots is all that a processor can take at once, and a thousand rows cost ten times as much.
Of scores blocks of many rows are judged like that too.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np
from onnx import checker, helper

from models.bundles.bundle import Z_MAX
from models.fitting.tails import worst_scale
from models.graphs.graph import IR_VERSION, OPSET, Nodes, value_info
from models.graphs.onnx_types import F32, INT64

if TYPE_CHECKING:
    from models.foreign.imported import ImportedSpec
    from models.graphs.onnx_types import Shape

GIVEN_MAX: Final = 1e30  # an infinite score is a very strange one
LEAST: Final = 1e-12  # of a variance that is divided by


def build_block_judge(spec: ImportedSpec) -> bytes:
    """What a model gave (a, n, M), NaN: nothing, to scores and contributions; serialised."""
    g = Nodes("j", [])
    means, sums = judged(g, spec, "given", averages="averages", variances="variances")
    for name, value in (("averages_out", means), ("variances_out", sums)):
        g.nodes.append(g.node("Identity", [value], name))
    k, m, v, j = len(spec.lambdas), spec.errors, spec.views, spec.knots
    inputs: dict[str, Shape] = {
        "given": ("a", "n", m),
        "averages": ("a", spec.averages),
        "variances": ("a", spec.averages),
        "error_center": ("a", m),
        "error_scale": ("a", m),
        "evenness": ("a", k, m),
        "tail_knots": ("a", v, j),
        "tail_slopes": ("a", v, j),
        "fusion": ("a", 1),
    }
    outputs: dict[str, Shape] = {
        "score": ("a", "n"),
        "averages_out": ("a", spec.averages),
        "variances_out": ("a", spec.averages),
        "contribution": ("a", "n", "shares"),
    }
    return _alone(g, inputs, outputs)


def build_step_judge(spec: ImportedSpec) -> bytes:
    """What a model gave of one sample (M, a), NaN: nothing, to scores (a,); serialised."""
    g = Nodes("s", [])
    seen, value = _clipped(g, "given", center="error_center", scale="error_scale")  # (M, a)
    rates = np.array(spec.lambdas)[:, None, None]
    found = []
    for fresh, before, power in ((value, "averages", 1), (seen, "variances", 2)):
        new = g.op("Mul", g.op("Unsqueeze", fresh, g.ints(0)), g.floats(rates**power))
        old = g.op("Mul", before, g.floats((1.0 - rates) ** power))
        found.append(g.op("Add", new, old))  # (K, M, a)
    for name, now in zip(("averages_out", "variances_out"), found, strict=True):
        g.nodes.append(g.node("Identity", [now], name))
    own = g.op("Div", found[0], g.op("Sqrt", g.op("Max", found[1], g.floats(LEAST))))
    if spec.kind == "score":
        deviate = g.op("Squeeze", own, g.ints(1))  # (V, a)
        ready = g.op("Squeeze", seen, g.ints(0))
    else:
        own = g.op("Mul", own, seen)
        count = g.op("ReduceSum", seen, g.ints(0), keepdims=0)  # (a,)
        even = g.op("Abs", g.op("Mul", own, "evenness"))
        deviate = _two_views(g, spec, own=own, even=even, count=count, axis=1)
        ready = count
    surprise = _surprise(g, deviate, knots="tail_knots", slopes="tail_slopes", axis=0)  # (V, a)
    best = g.op("ReduceMax", surprise, g.ints(0), keepdims=0)
    _score(g, g.op("Greater", ready, g.floats(0.5)), best)
    k, m, v, j = len(spec.lambdas), spec.errors, spec.views, spec.knots
    inputs: dict[str, Shape] = {
        "given": (m, "a"),
        "averages": (k, m, "a"),
        "variances": (k, m, "a"),
        "error_center": (m, "a"),
        "error_scale": (m, "a"),
        "evenness": (k, m, "a"),
        "tail_knots": (j, v, "a"),
        "tail_slopes": (j, v, "a"),
        "fusion": ("a",),
    }
    outputs: dict[str, Shape] = {
        "score": ("a",),
        "averages_out": (k, m, "a"),
        "variances_out": (k, m, "a"),
    }
    return _alone(g, inputs, outputs)


def build_lines_judge(spec: ImportedSpec) -> bytes:
    """Scores of a model (n, a), NaN: none, to ours (n, a); serialised. Of models of scores alone.

    As of a step, for several samples.
    """
    g = Nodes("l", [])
    seen, value = _clipped(g, "given", center="error_center", scale="error_scale")  # (n, a)
    one = [g.op("Unsqueeze", name, g.ints(0)) for name in (value, seen)]  # a row of a values
    flat = [g.op("Reshape", name, g.ints(1, -1)) for name in ("averages", "variances")]
    means, sums = _averages(g, spec, *one, averages=flat[0], variances=flat[1])  # (1, n, K, a)
    for name, all_of in (("averages_out", means), ("variances_out", sums)):
        last = g.op("Gather", g.op("Squeeze", all_of, g.ints(0)), g.scalar(-1), axis=0)
        g.nodes.append(g.node("Unsqueeze", [last, g.ints(1)], name))
    own = g.op(
        "Squeeze", g.op("Div", means, g.op("Sqrt", g.op("Max", sums, g.floats(LEAST)))), g.ints(0)
    )
    deviate = g.op("Mul", own, g.op("Unsqueeze", seen, g.ints(1)))  # (n, V, a)
    surprise = _surprise(g, deviate, knots="tail_knots", slopes="tail_slopes", axis=1)
    best = g.op("ReduceMax", surprise, g.ints(1), keepdims=0)
    _score(g, g.op("Greater", seen, g.floats(0.5)), best)
    k, v, j = len(spec.lambdas), spec.views, spec.knots
    inputs: dict[str, Shape] = {
        "given": ("n", "a"),
        "averages": (k, 1, "a"),
        "variances": (k, 1, "a"),
        "error_center": (1, "a"),
        "error_scale": (1, "a"),
        "tail_knots": (j, v, "a"),
        "tail_slopes": (j, v, "a"),
        "fusion": ("a",),
    }
    outputs: dict[str, Shape] = {
        "score": ("n", "a"),
        "averages_out": (k, 1, "a"),
        "variances_out": (k, 1, "a"),
    }
    return _alone(g, inputs, outputs)


def judged(
    g: Nodes, spec: ImportedSpec, given: str, *, averages: str, variances: str
) -> tuple[str, str]:
    """Nodes that make `score` (a, n) and `contribution` of what a model gave (a, n, M).

    averages, variances: (a, K M) of the errors before; returns their names after.
    """
    seen, value = _clipped(
        g, given, center=_ahead(g, "error_center"), scale=_ahead(g, "error_scale")
    )
    means, sums = _averages(g, spec, value, seen, averages=averages, variances=variances)
    own = g.op("Div", means, g.op("Sqrt", g.op("Max", sums, g.floats(LEAST))))
    own = g.op("Mul", own, g.op("Unsqueeze", seen, g.ints(2)))  # (a, n, K, M)
    if spec.kind == "score":
        deviate = g.op("Squeeze", own, g.ints(3))
    else:
        count = g.op("ReduceSum", seen, g.ints(2), keepdims=1)  # (a, n, 1)
        even = g.op("Abs", g.op("Mul", own, _ahead(g, "evenness")))
        deviate = _two_views(g, spec, own=own, even=even, count=count, axis=3)
    knots, slopes = _ahead(g, "tail_knots"), _ahead(g, "tail_slopes")
    surprise = _surprise(g, deviate, knots=knots, slopes=slopes, axis=3)  # (a, n, V)
    ready = g.op("Greater", g.op("ReduceMax", seen, g.ints(2), keepdims=0), g.floats(0.5))
    _score(g, ready, g.op("ReduceMax", surprise, g.ints(2), keepdims=0))
    _shares(g, spec, surprise=surprise, means=means, sums=sums, seen=seen)
    last = [g.op("Gather", each, g.scalar(-1), axis=1) for each in (means, sums)]
    mean, variance = (g.op("Flatten", one, axis=1) for one in last)
    return mean, variance


def _ahead(g: Nodes, parameter: str) -> str:
    return g.op("Unsqueeze", parameter, g.ints(1))


def _clipped(g: Nodes, given: str, *, center: str, scale: str) -> tuple[str, str]:
    """Which errors are there, 1.0 or 0.0, and these in deviations, 0 where not."""
    there = g.op("Not", g.op("IsNaN", given))
    tame = g.op("Clip", given, g.floats(-GIVEN_MAX), g.floats(GIVEN_MAX))
    apart = g.op("Mul", g.op("Sub", tame, center), scale)
    clipped = g.op("Clip", apart, g.floats(-Z_MAX), g.floats(Z_MAX))
    return g.op("Cast", there, to=F32), g.op("Where", there, clipped, g.floats(0.0))


def _two_views(g: Nodes, spec: ImportedSpec, *, own: str, even: str, count: str, axis: int) -> str:
    """Deviates of residuals together, then of the worst; axis: that of channels in own, even."""
    some = g.op("Max", count, g.floats(1.0))
    ratio = g.op("ReduceSum", g.op("Mul", own, own), g.ints(axis), keepdims=0)
    ratio = g.op("Div", ratio, some)
    b = g.op("Div", g.floats(2.0 / 9.0), some)
    # exp(log / 3): ONNX Pow is an order of magnitude slower
    third = g.op("Mul", g.op("Log", g.op("Max", ratio, g.floats(1e-30))), g.floats(1.0 / 3.0))
    above = g.op("Sub", g.op("Add", g.op("Exp", third), b), g.floats(1.0))
    together = g.op("Div", above, g.op("Sqrt", b))
    largest = g.op("ReduceMax", even, g.ints(axis), keepdims=0)
    number = g.op("Cast", count, to=INT64)
    table = worst_scale(spec.channels).T
    offset, scale = (g.op("Gather", g.floats(column), number) for column in table)
    worst = g.op("Mul", g.op("Sub", largest, offset), scale)
    return g.op("Concat", together, worst, axis=axis - 1)


def _surprise(g: Nodes, deviate: str, *, knots: str, slopes: str, axis: int) -> str:
    """-log10 of the tail of each deviate; axis: that of the knots."""
    over = g.op("Sub", g.op("Unsqueeze", deviate, g.ints(axis)), knots)
    return g.op("ReduceSum", g.op("Mul", g.op("Relu", over), slopes), g.ints(axis), keepdims=0)


def _score(g: Nodes, ready: str, best: str) -> None:
    told = g.op("Where", ready, g.op("Sub", best, "fusion"), g.floats(math.nan))
    g.nodes.append(g.node("Relu", [told], "score"))


def _averages(
    g: Nodes, spec: ImportedSpec, value: str, seen: str, *, averages: str, variances: str
) -> tuple[str, str]:
    """EWMAs of the errors and their variances (a, n, K, M), through triangles of decays."""
    size = g.op("Squeeze", g.op("Shape", value, start=1, end=2))
    steps = g.op("Range", g.scalar(0), size, g.scalar(1))
    k = len(spec.lambdas)
    ticks = g.op("Cast", steps, to=F32)
    age = g.op("Sub", g.op("Unsqueeze", ticks, g.ints(1)), g.op("Unsqueeze", ticks, g.ints(0)))
    later = g.op("Add", g.op("Unsqueeze", ticks, g.ints(1)), g.floats(1.0))  # (n, 1)
    found = []
    rates = np.array(spec.lambdas)[:, None, None]
    for fresh, state, power in (
        (value, averages, 1.0),
        (seen, variances, 2.0),
    ):
        keep = g.floats((1.0 - rates) ** power)
        decay = g.op("Mul", g.op("Pow", keep, g.op("Relu", age)), g.floats(rates**power))
        triangle = g.op("Where", g.op("GreaterOrEqual", age, g.floats(0.0)), decay, g.floats(0.0))
        new = g.op("MatMul", triangle, g.op("Unsqueeze", fresh, g.ints(1)))  # (a, K, n, M)
        before = g.op("Reshape", state, g.ints(0, k, 1, -1))
        old = g.op("Mul", before, g.op("Pow", keep, later))
        both = g.op("Add", new, old)
        found.append(g.op("Transpose", both, perm=[0, 2, 1, 3]))
    return found[0], found[1]


def _shares(
    g: Nodes,
    spec: ImportedSpec,
    *,
    surprise: str,
    means: str,
    sums: str,
    seen: str,
) -> None:
    """Contributions (a, n, c): squared deviates of the average that won; of a score none (a, n, 0).

    The channels of a score are told apart outside the graph, by leaving each out.
    """
    if spec.kind == "score":
        none = g.op("Slice", seen, g.ints(0), g.ints(0), g.ints(2))
        g.nodes.append(g.node("Identity", [none], "contribution"))
        return
    k = len(spec.lambdas)
    winner = g.op("ArgMax", surprise, axis=2, keepdims=1)  # (a, n, 1)
    rate = g.op("Mod", winner, g.scalar(k))
    chosen = g.op("Cast", g.op("Equal", rate, g.constant(np.arange(k))), to=F32)  # (a, n, K)
    square = g.op("Div", g.op("Mul", means, means), g.op("Max", sums, g.floats(LEAST)))
    mine = g.op("Mul", square, g.op("Unsqueeze", chosen, g.ints(3)))
    power = g.op("ReduceSum", mine, g.ints(2), keepdims=0)  # (a, n, c)
    counted = g.op("Mul", g.op("Add", power, g.floats(1e-12)), seen)
    total = g.op("Max", g.op("ReduceSum", counted, g.ints(2)), g.floats(1e-30))
    g.nodes.append(g.node("Div", [counted, total], "contribution"))


def _alone(g: Nodes, inputs: dict[str, Shape], outputs: dict[str, Shape]) -> bytes:
    """The nodes as a model of what of these inputs they take."""
    taken = {name for node in g.nodes for name in node.input}
    graph = helper.make_graph(
        g.nodes,
        "andon_judge",
        [value_info(name, F32, *shape) for name, shape in inputs.items() if name in taken],
        [value_info(name, F32, *shape) for name, shape in outputs.items()],
        g.constants,
    )
    opsets = [helper.make_opsetid("", OPSET)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION)
    checker.check_model(model)
    return bytes(model.SerializeToString(deterministic=True))
