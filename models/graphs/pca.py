"""Principal components with T-squared and Q as an ONNX graph: what goes together, and the rest.

What a row of the graph computes for its sample z_t (c,), normalised and clipped. With C the
covariance of normal operation, P its first principal components with variances L, S the channels
that have a value:

    f   = C_.S C_SS^-1 z_S                      z, missing values as the others let expect them
    m_k = (1 - l_k) m_k + l_k f                 K exponentially weighted means
    T_k = m_k' P L^-1 P' m_k                    T-squared: within the plane of the components
    Q_k = m_k' (I - P P') m_k                   Q, or SPE: away from it (Jackson & Mudholkar 1979)
    score = max_v table_v(WilsonHilferty(T_k or Q_k)) - fusion

Each statistic is a quadratic form of normal values, and so about a chi-square with the mean and the
degrees of freedom that its trace gives (Box 1954, as Nomikos & MacGregor 1995 have it for batches):
of f the covariance is C_.S C_SS^-1 C_S., so the score keeps its meaning under any mask. C is swept
on S (Goodnight 1979). Missing data as Nelson, Taylor & MacGregor 1996 treat them.

What is not scored (no value, a start that settles) is left out of m and of its expected size, and
both fade. Rows and samples (a, n) are dynamic, at most BLOCK_SAMPLES_MAX samples a call.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from models.graphs.complete import deviates_of
from models.graphs.graph import Nodes, normalised, value_info
from models.graphs.masked import swept_on
from models.graphs.onnx_types import F32
from models.graphs.tabled import averaged, finished_tabled, ready_samples, scored

if TYPE_CHECKING:
    from onnx import GraphProto

    from models.bundles.tabled_kinds import PcaSpec

NONE: Final = -9.0  # deviate of a statistic that has no degree of freedom left
FREEDOM_MIN: Final = 1e-3


def build_pca_graph(spec: PcaSpec) -> bytes:
    """The detector for `spec` as a serialised ONNX model; equal specs give equal bytes."""
    c, k = spec.channels, len(spec.lambdas)
    g = Nodes("p", [])
    valid = g.op("And", "valid", g.op("Unsqueeze", "present", g.ints(1)))
    z = normalised(g, valid)
    agree = g.op("Or", "valid", g.op("Not", g.op("Unsqueeze", "present", g.ints(1))))
    all_there = g.op("ReduceMin", g.op("Cast", agree, to=F32), keepdims=0)
    whole = _whole(g.child("w"), z=z)
    holed = _holed(g.child("h"), spec, z=z, valid=valid)
    g.branch(g.op("Greater", all_there, g.floats(0.5)), whole, holed, ["filled", "known"])
    means, sums, run = g.ops("Split", "state", g.ints(*spec.state_sizes), outputs=3, axis=1)
    steps, runs, ready = ready_samples(g, valid=valid, run=run)
    weight = g.op("Unsqueeze", g.op("Cast", ready, to=F32), g.ints(2))  # (a, n, 1)
    lam = np.array(spec.lambdas, np.float32)
    taken = g.op("Where", g.op("Unsqueeze", ready, g.ints(2)), "filled", g.floats(0.0))
    old = g.op("Reshape", means, g.ints(0, k, 1, c))
    m = averaged(g, taken, old=old, keep=1.0 - lam, rate=lam, steps=steps)  # (a, K, n, c)
    sizes = g.op("Mul", g.op("Concat", "known", weight, axis=2), weight)  # (a, n, 5)
    old = g.op("Reshape", sums, g.ints(0, k, 1, 5))
    s = averaged(g, sizes, old=old, keep=(1.0 - lam) ** 2, rate=lam**2, steps=steps)
    deviates = _deviates(g, m=m, sums=s)  # (a, V, n)
    told = g.op("Transpose", deviates, perm=[0, 2, 1])  # (a, n, V)
    flat = scored(g, spec, told=told, ready=ready)
    last = g.scalar(-1)
    moved = [
        g.op("Reshape", g.op("Gather", m, last, axis=2), g.ints(0, k * c)),
        g.op("Reshape", g.op("Gather", s, last, axis=2), g.ints(0, 5 * k)),
        g.op("Unsqueeze", g.op("Gather", runs, last, axis=1), g.ints(1)),
    ]
    g.nodes.append(g.node("Identity", [g.op("Concat", *moved, axis=1)], "state_out"))
    share = _shares(g, spec, m=m, surprise=flat, valid=valid, ready=ready)
    g.nodes.append(g.node("Identity", [share], "contribution"))
    own = [
        value_info("covariance", F32, "a", c, c),
        value_info("plane", F32, "a", c, c),
        value_info("rest", F32, "a", c, c),
    ]
    return finished_tabled(g, spec, own, name="andon_pca_mewma")


def _whole(g: Nodes, *, z: str) -> GraphProto:
    """Nothing is missing: z as it is, and what T and Q are then expected to be (a, n, 4)."""
    cells = g.op("Concat", g.op("Shape", "x", start=0, end=2), g.ints(4), axis=0)
    known = g.op("Expand", _expected(g, "covariance", by=1), cells)
    return g.graph([(g.op("Identity", z), F32), (known, F32)])


def _holed(g: Nodes, spec: PcaSpec, *, z: str, valid: str) -> GraphProto:
    """Missing values filled (a, n, c), and what T and Q are expected to be under it (a, n, 4)."""
    c = spec.channels
    shape = g.op("Concat", g.op("Shape", "x", start=0, end=2), g.ints(c, c), axis=0)
    each = g.op("Expand", g.op("Unsqueeze", "covariance", g.ints(1)), shape)  # (a, n, c, c)
    seen = g.op("Cast", valid, to=F32)
    flat = g.op("Reshape", each, g.ints(-1, c, c))
    swept = swept_on(g, c, flat, g.op("Reshape", seen, g.ints(-1, c)))
    swept = g.op("Reshape", swept, shape)
    said = g.op("MatMul", swept, g.op("Unsqueeze", z, g.ints(3)))  # z is 0 where it is missing
    filled = g.op("Where", valid, z, g.op("Squeeze", said, g.ints(3)))
    gone = g.op("Sub", g.floats(1.0), seen)
    both = g.op("Mul", g.op("Unsqueeze", gone, g.ints(3)), g.op("Unsqueeze", gone, g.ints(2)))
    left = g.op("Sub", each, g.op("Mul", swept, both))  # covariance of what was filled
    return g.graph([(filled, F32), (_expected(g, left, by=2), F32)])


def _expected(g: Nodes, covariance: str, *, by: int) -> str:
    """Mean and freedom of T, then of Q (a, .., 4). covariance: (a, .., c, c), its axes before c."""
    told = []
    for form in ("plane", "rest"):
        wide = form if by == 1 else g.op("Unsqueeze", form, g.ints(1))
        product = g.op("MatMul", wide, covariance)
        both = g.op("Mul", wide, covariance)  # both symmetric: the trace of their product
        mean = g.op("ReduceSum", both, g.ints(-2, -1), keepdims=0)
        turned = g.op("Transpose", product, perm=[*range(by), by + 1, by])
        power = g.op("ReduceSum", g.op("Mul", product, turned), g.ints(-2, -1), keepdims=0)
        safe = g.op("Max", power, g.floats(1e-12))
        told += [mean, g.op("Div", g.op("Mul", mean, mean), safe)]
    found = g.op("Concat", *(g.op("Unsqueeze", each, g.ints(-1)) for each in told), axis=-1)
    return g.op("Unsqueeze", found, g.ints(1)) if by == 1 else found


def _deviates(g: Nodes, *, m: str, sums: str) -> str:
    """Normal deviates (a, V, n) of T by rate, then of Q. m: (a, K, n, c), sums: (a, K, n, 5)."""
    columns = g.ops("Split", sums, outputs=5, axis=3, num_outputs=5)
    mean_t, free_t, mean_q, free_q, q = (g.op("Squeeze", each, g.ints(3)) for each in columns)
    found = []
    for form, mean, free in (("plane", mean_t, free_t), ("rest", mean_q, free_q)):
        pull = g.op("MatMul", m, g.op("Unsqueeze", form, g.ints(1)))
        size = g.op("ReduceSum", g.op("Mul", pull, m), g.ints(3), keepdims=0)
        size = g.op("Relu", size)  # (a, K, n) rounding alone makes it negative
        there = g.op("Greater", free, g.op("Mul", q, g.floats(FREEDOM_MIN)))
        one = g.floats(1.0)
        safe = [g.op("Where", there, each, one) for each in (size, mean, free, q)]
        deviate = deviates_of(g, distance=safe[0], mean=safe[1], n=safe[2], q=safe[3])
        found.append(g.op("Where", there, deviate, g.floats(NONE)))
    return g.op("Concat", *found, axis=1)


def _shares(g: Nodes, spec: PcaSpec, *, m: str, surprise: str, valid: str, ready: str) -> str:
    """Reconstruction-based contributions (Alcala & Qin 2009) of the view that won (a, n, c)."""
    c, k, v = spec.channels, len(spec.lambdas), spec.views
    winner = g.op("ArgMax", surprise, axis=1, keepdims=1)  # (a n, 1)
    shape = g.op("Concat", g.op("Shape", "x", start=0, end=2), g.ints(v), axis=0)
    chosen = g.op("Equal", winner, g.constant(np.arange(v)))
    chosen = g.op("Reshape", g.op("Cast", chosen, to=F32), shape)  # (a, n, V)
    parts = []
    for i, form in enumerate(("plane", "rest")):
        pull = g.op("MatMul", m, g.op("Unsqueeze", form, g.ints(1)))  # (a, K, n, c)
        mine = g.op("Slice", chosen, g.ints(i * k), g.ints((i + 1) * k), g.ints(2))
        mine = g.op("Unsqueeze", g.op("Transpose", mine, perm=[0, 2, 1]), g.ints(3))
        eye = g.op("Mul", form, g.floats(np.eye(c)))
        own = g.op("ReduceSum", eye, g.ints(2), keepdims=0)  # (a, c)
        own = g.op("Max", g.op("Unsqueeze", own, g.ints(1, 2)), g.floats(1e-6))
        power = g.op("Div", g.op("Mul", pull, pull), own)
        parts.append(g.op("ReduceSum", g.op("Mul", power, mine), g.ints(1), keepdims=0))
    power = g.op("Add", g.op("Add", *parts), g.floats(1e-12))
    counted = g.op("And", valid, g.op("Unsqueeze", ready, g.ints(2)))
    power = g.op("Where", counted, power, g.floats(0.0))
    total = g.op("Max", g.op("ReduceSum", power, g.ints(2)), g.floats(1e-30))
    return g.op("Div", power, total)
