"""The short way through the detector: every row complete and settled. See `models.graphs.graph`.

This is the hot loop, and it computes with assets last, (n, c, a): ONNX Runtime takes an operation
that broadcasts span by span, and a parameter of each asset and channel then meets spans as long as
there are assets, not of a few channels. Only the product with each asset's own weights wants
assets first. What is turned for that is little beside it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from models.bundles.bundle import Z_MAX
from models.fitting.tails import worst_scale
from models.graphs.onnx_types import F32, INT64, LAST

if TYPE_CHECKING:
    from onnx import GraphProto

    from models.bundles.bundle import Spec
    from models.graphs.graph import Nodes

LOG_MIN = -200.0  # exp of it is 0 in float32: what a rate of 1 leaves of the past


def complete_branch(g: Nodes, spec: Spec) -> GraphProto:
    """Every row complete and settled: score (a, n), state_out (a, s), contribution where asked."""
    p, k, c = spec.lags, len(spec.lambdas), spec.channels
    count = g.op("Shape", "x", start=1, end=2)  # (1,) n
    state = g.op("Transpose", "state", perm=[1, 0])
    sizes = [p * c, *[2 * c] * k, 3 * k, 1, 1, p * c]
    lags, *means, sums, run, full, u = g.ops(
        "Split", state, g.ints(*sizes), outputs=len(sizes), axis=0
    )
    z = _normalised(g)
    series = g.op("Concat", g.op("Reshape", lags, g.ints(p, c, -1)), z, axis=0)  # (p + n, c, a)
    w = _residuals(g, spec, series, z=z, count=count)
    from_zero = _steps(g, count)
    steps = g.op("Slice", from_zero, g.ints(1), g.ints(LAST))
    averages = [
        w if rate == 1.0 else _averaged(g, w, old=old, rate=rate, steps=steps, since=from_zero)
        for rate, old in zip(spec.lambdas, means, strict=True)
    ]
    stacked = g.op("Concat", *averages, axis=1) if k > 1 else averages[0]  # (n, K 2 c, a)
    limit, width = _limits(g, spec)
    sums = _sums(g, spec, sums, limit=limit, steps=steps)  # (n, 3 K, a)
    surprise = _surprise(g, _deviates(g, spec, stacked, sums=sums, width=width))  # (n, V, a)
    best = g.op("ReduceMax", surprise, g.ints(1), keepdims=0)
    told = g.op("Relu", g.op("Sub", best, g.op("Reshape", "fusion", g.ints(-1))))
    score = g.op("Transpose", told, perm=[1, 0])
    last = g.scalar(-1)
    moved = [
        g.op("Reshape", g.op("Slice", series, g.ints(-p), g.ints(LAST)), g.ints(p * c, -1)),
        g.op("Gather", stacked, last, axis=0),
        g.op("Gather", sums, last, axis=0),
        g.op("Add", run, g.op("Cast", count, to=F32)),
        full,
        u,
    ]
    after = g.op("Transpose", g.op("Concat", *moved, axis=0), perm=[1, 0])
    contribution = g.prefix + "contribution"
    shares = _shares(g.child("c"), spec, stacked, surprise=surprise)
    g.branch("explain", shares, unexplained(g.child("o"), spec), [contribution])
    return g.graph([(score, F32), (after, F32), (contribution, F32)])


def _normalised(g: Nodes) -> str:
    """Values x as z (n, c, a): clipped sigmas from the center, zero where a channel is absent."""
    center, scale, present = (
        g.op("Transpose", name, perm=[1, 0]) for name in ("center", "scale", "present")
    )
    x = g.op("Transpose", "x", perm=[1, 2, 0])
    sigmas = g.op("Mul", g.op("Sub", g.op("Where", present, x, center), center), scale)
    return g.op("Clip", sigmas, g.floats(-Z_MAX), g.floats(Z_MAX))


def _residuals(g: Nodes, spec: Spec, series: str, *, z: str, count: str) -> str:
    """Whitened residuals and each channel's own (n, 2 c, a) of z, the end of the series."""
    lagged = range(spec.lags)
    ends = [g.op("Add", count, g.ints(j)) for j in lagged]
    parts = [g.op("Slice", series, g.ints(j), ends[j]) for j in lagged]
    windows = g.op("Concat", *parts, z, axis=1)  # (n, (p + 1) c, a), oldest lag first
    rows = g.op("MatMul", g.op("Transpose", windows, perm=[2, 0, 1]), "weights")  # (a, n, 2 c)
    return g.op("Transpose", rows, perm=[1, 2, 0])


def _steps(g: Nodes, count: str) -> str:
    """0 .. n as float32 (n + 1,)."""
    end = g.op("Squeeze", g.op("Add", count, g.ints(1)))
    return g.op("Cast", g.op("Range", g.scalar(0), end, g.scalar(1)), to=F32)


def _averaged(g: Nodes, w: str, *, old: str, rate: float, steps: str, since: str) -> str:
    """EWMA (n, 2 c, a) of w from its old value (2 c, a) on: one product with decays by age.

    The old value counts as a sample before the first, as large as if it alone had made itself.
    steps: 1 .. n   since: 0 .. n
    """
    first = g.op("Reshape", g.op("Mul", old, g.floats(1.0 / rate)), g.ints(1, -1))
    samples = g.op("Concat", first, g.op("Reshape", w, g.ints(0, -1)), axis=0)  # (n + 1, 2 c a)
    age = g.op("Sub", g.op("Unsqueeze", steps, g.ints(1)), since)  # (n, n + 1)
    power = g.op("Add", g.op("Mul", age, g.floats(np.log1p(-rate))), g.floats(np.log(rate)))
    decays = g.op("Trilu", g.op("Exp", power), g.scalar(1), upper=0)  # of the past alone
    mixed = g.op("MatMul", decays, samples)
    return g.op("Reshape", mixed, g.op("Shape", w))


def _limits(g: Nodes, spec: Spec) -> tuple[str, str]:
    """What v, n and q near while nothing is missing (3 K, a); how many channels there are (1, a).

    An EWMA of rate l settles at l / (2 - l): of each channel in v and n, of each sample in q.
    """
    settled = np.array([rate / (2 - rate) for rate in spec.lambdas])
    nothing = 0 * settled
    channel = np.concatenate([settled, settled, nothing, [1.0]])[:, None]
    sample = np.concatenate([nothing, nothing, settled, [0.0]])[:, None]
    seen = g.op("Cast", g.op("Transpose", "present", perm=[1, 0]), to=F32)  # (c, a)
    each = g.floats(np.repeat(channel, spec.channels, axis=1))
    both = g.op("Gemm", each, seen, g.floats(sample))
    limit, width = g.ops("Split", both, g.ints(len(channel) - 1, 1), outputs=2, axis=0)
    return limit, width


def _sums(g: Nodes, spec: Spec, old: str, *, limit: str, steps: str) -> str:
    """v, n and q of every sample (n, 3 K, a), from the old ones: each nears its limit (3 K, a)."""
    with np.errstate(divide="ignore"):
        log = np.maximum(2 * np.log1p(-np.array(spec.lambdas)), LOG_MIN)
    age = g.op("Reshape", steps, g.ints(-1, 1, 1))
    faded = g.op("Exp", g.op("Mul", age, g.floats(np.tile(log, 3)[:, None])))  # (n, 3 K, 1)
    return g.op("Add", g.op("Mul", g.op("Sub", old, limit), faded), limit)


def _deviates(g: Nodes, spec: Spec, stacked: str, *, sums: str, width: str) -> str:
    """Deviates (n, V, a) of EWMAs (n, K 2 c, a): of all channels together, then of the worst."""
    k, c = len(spec.lambdas), spec.channels
    mean, n, q = g.ops("Split", sums, outputs=3, axis=1, num_outputs=3)  # (n, K, a)
    squares = g.op("Reshape", g.op("Mul", stacked, stacked), g.ints(0, k, 2 * c, -1))
    white, plain = g.ops("Split", squares, outputs=2, axis=2, num_outputs=2)  # (n, K, c, a)
    distance = g.op("ReduceSum", white, g.ints(2), keepdims=0)
    together = deviates_of(g, distance=distance, mean=mean, n=n, q=q)
    even = g.op("Transpose", "evenness", perm=[1, 2, 0])  # (K, c, a)
    counted = g.op("Mul", plain, g.op("Mul", even, even))
    size = g.op("Sqrt", g.op("Div", g.op("ReduceMax", counted, g.ints(2), keepdims=0), q))
    seen = g.op("Cast", width, to=INT64)  # (1, a)
    offset, scale = (g.op("Gather", g.floats(column), seen) for column in worst_scale(c).T)
    worst = g.op("Mul", g.op("Sub", size, offset), scale)
    return g.op("Concat", together, worst, axis=1)


def _surprise(g: Nodes, deviation: str) -> str:
    """Surprise of each view (n, V, a) by its stored tail table, of deviates likewise."""
    knots, slopes = (
        g.op("Transpose", name, perm=[1, 2, 0]) for name in ("tail_knots", "tail_slopes")
    )  # (V, J, a)
    over = g.op("Relu", g.op("Sub", g.op("Unsqueeze", deviation, g.ints(2)), knots))
    return g.op("ReduceSum", g.op("Mul", over, slopes), g.ints(2), keepdims=0)


def _shares(g: Nodes, spec: Spec, stacked: str, *, surprise: str) -> GraphProto:
    """Contributions (a, n, c) as `models.graphs.graph` has them, where nothing is missing."""
    c, k = spec.channels, len(spec.lambdas)
    winner = g.op("ArgMax", surprise, axis=1, keepdims=1)  # (n, 1, a)
    rate = g.op("Mod", winner, g.scalar(k))  # both views of an EWMA are explained by it
    chosen = g.op("Cast", g.op("Equal", rate, g.constant(np.arange(k)[:, None])), to=F32)
    every = g.op("Reshape", stacked, g.ints(0, k, 2 * c, -1))
    white_only = g.op("Slice", every, g.ints(0), g.ints(c), g.ints(2))  # (n, K, c, a)
    m = g.op("Mul", white_only, g.op("Unsqueeze", chosen, g.ints(2)))
    m = g.op("Transpose", g.op("ReduceSum", m, g.ints(1), keepdims=0), perm=[2, 0, 1])
    white = g.op("Slice", "weights", g.ints(-c, 0), g.ints(LAST, c), g.ints(1, 2))
    pull = g.op("MatMul", m, g.op("Transpose", white, perm=[0, 2, 1]))  # (a, n, c)
    precision = g.op("ReduceSumSquare", white, g.ints(2), keepdims=0)  # (a, c) its diagonal
    power = g.op("Div", g.op("Mul", pull, pull), g.op("Unsqueeze", precision, g.ints(1)))
    present = g.op("Unsqueeze", "present", g.ints(1))
    power = g.op("Where", present, g.op("Add", power, g.floats(1e-12)), g.floats(0.0))
    total = g.op("Max", g.op("ReduceSum", power, g.ints(2)), g.floats(1e-30))
    return g.graph([(g.op("Div", power, total), F32)])


def unexplained(g: Nodes, spec: Spec) -> GraphProto:
    """No contribution was asked for: (0, 0, c)."""
    empty = g.op("Expand", g.floats(0.0), g.ints(0, 0, spec.channels))
    return g.graph([(empty, F32)])


def deviates_of(g: Nodes, *, distance: str, mean: str, n: str, q: str) -> str:
    """Deviates of chi-squares with n / q degrees of freedom (Wilson & Hilferty 1931)."""
    b = g.op("Div", g.op("Mul", q, g.floats(2.0 / 9.0)), n)
    # exp(log / 3): ONNX Pow is an order of magnitude slower
    third = g.op("Mul", g.op("Log", g.op("Div", distance, mean)), g.floats(1.0 / 3.0))
    above = g.op("Sub", g.op("Add", g.op("Exp", third), b), g.floats(1.0))
    return g.op("Div", above, g.op("Sqrt", b))
