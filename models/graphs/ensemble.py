"""A robust ensemble as an ONNX graph: how rare a sample is in many small histograms at once.

Each channel has a histogram (HBOS, Goldstein & Dengel 2012), and so has each of some sparse random
projections (LODA, Pevny 2016), whose surprises are averaged. For a sample z_t, normalised, with J
the projections all of whose channels have a value:

    u_j = -log share of the bin that R_j' z_t falls into, less its mean in normal operation; beyond
          the last bin it grows by one a bin
    d   = sum_J u_j / sqrt(sum_JJ V)             V: their covariance in normal operation
    m_k = (1 - l_k) m_k + l_k d,  q_k likewise with squares: a sample
    score = max_k table_k(m_k / sqrt(q_k)) - fusion

So a masked channel takes its projections with it, and d keeps its meaning without them. What is not
scored is left out of m and q, and both fade. At most BLOCK_SAMPLES_MAX samples a call.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from models.graphs.graph import Nodes, normalised, value_info
from models.graphs.onnx_types import F32, INT64
from models.graphs.tabled import averaged, finished_tabled, ready_samples, scored

if TYPE_CHECKING:
    from models.bundles.tabled_kinds import EnsembleSpec

BEYOND_MAX: Final = 100.0  # bins
DEVIATE_MAX: Final = 1e4


def build_ensemble_graph(spec: EnsembleSpec) -> bytes:
    """The detector for `spec` as a serialised ONNX model; equal specs give equal bytes."""
    k = len(spec.lambdas)
    g = Nodes("e", [])
    valid = g.op("And", "valid", g.op("Unsqueeze", "present", g.ints(1)))
    z = normalised(g, valid)
    rare, whole = _rarities(g, spec, z=z, valid=valid)  # (a, n, M) both
    total = g.op("ReduceSum", g.op("Mul", rare, whole), g.ints(2), keepdims=0)
    spread = g.op("Mul", g.op("MatMul", whole, "spread"), whole)
    size = g.op(
        "Sqrt", g.op("Max", g.op("ReduceSum", spread, g.ints(2), keepdims=0), g.floats(1e-6))
    )
    d = g.op("Clip", g.op("Div", total, size), g.floats(-DEVIATE_MAX), g.floats(DEVIATE_MAX))
    means, squares, run = g.ops("Split", "state", g.ints(*spec.state_sizes), outputs=3, axis=1)
    steps, runs, ready = ready_samples(g, valid=valid, run=run)
    weight = g.op("Cast", ready, to=F32)
    lam = np.array(spec.lambdas, np.float32)
    taken = g.op("Unsqueeze", g.op("Where", ready, d, g.floats(0.0)), g.ints(2))
    old = g.op("Reshape", means, g.ints(0, k, 1, 1))
    m = averaged(g, taken, old=old, keep=1.0 - lam, rate=lam, steps=steps)  # (a, K, n, 1)
    old = g.op("Reshape", squares, g.ints(0, k, 1, 1))
    counted = g.op("Unsqueeze", weight, g.ints(2))
    q = averaged(g, counted, old=old, keep=(1.0 - lam) ** 2, rate=lam**2, steps=steps)
    deviate = g.op("Div", m, g.op("Sqrt", g.op("Max", q, g.floats(1e-12))))
    told = g.op("Transpose", g.op("Squeeze", deviate, g.ints(3)), perm=[0, 2, 1])  # (a, n, V)
    scored(g, spec, told=told, ready=ready)
    last = g.scalar(-1)
    moved = [
        g.op("Reshape", g.op("Gather", m, last, axis=2), g.ints(0, k)),
        g.op("Reshape", g.op("Gather", q, last, axis=2), g.ints(0, k)),
        g.op("Unsqueeze", g.op("Gather", runs, last, axis=1), g.ints(1)),
    ]
    g.nodes.append(g.node("Identity", [g.op("Concat", *moved, axis=1)], "state_out"))
    share = _shares(g, rare=rare, whole=whole, valid=valid, ready=ready)
    g.nodes.append(g.node("Identity", [share], "contribution"))
    members = spec.members
    own = [
        value_info("directions", F32, "a", spec.channels, members),
        value_info("low", F32, "a", members),
        value_info("width", F32, "a", members),
        value_info("table", F32, "a", members, spec.bins),
        value_info("spread", F32, "a", members, members),
    ]
    return finished_tabled(g, spec, own, name="andon_histogram_ensemble")


def _rarities(g: Nodes, spec: EnsembleSpec, *, z: str, valid: str) -> tuple[str, str]:
    """U (a, n, M), and 1.0 where every channel of a projection has a value."""
    missing = g.op("Sub", g.floats(1.0), g.op("Cast", valid, to=F32))
    power = g.op("Mul", "directions", "directions")
    used = g.op("Cast", g.op("Greater", power, g.floats(0.0)), to=F32)  # (a, c, M)
    hurt = g.op("MatMul", missing, used)
    any_used = g.op("Greater", g.op("ReduceSum", used, g.ints(1)), g.floats(0.0))  # (a, 1, M)
    whole = g.op("And", g.op("Less", hurt, g.floats(0.5)), any_used)
    place = g.op("Sub", g.op("MatMul", z, "directions"), g.op("Unsqueeze", "low", g.ints(1)))
    place = g.op("Div", place, g.op("Unsqueeze", "width", g.ints(1)))  # in bins
    inside = g.op("Clip", place, g.floats(0.0), g.floats(float(spec.bins)))
    beyond = g.op("Abs", g.op("Sub", place, inside))
    own = g.op("Clip", g.op("Floor", inside), g.floats(0.0), g.floats(spec.bins - 1.0))
    own = g.op("Transpose", g.op("Cast", own, to=INT64), perm=[0, 2, 1])  # (a, M, n)
    found = g.op("Transpose", g.op("GatherElements", "table", own, axis=2), perm=[0, 2, 1])
    rare = g.op("Add", found, g.op("Min", beyond, g.floats(BEYOND_MAX)))
    return rare, g.op("Cast", whole, to=F32)


def _shares(g: Nodes, *, rare: str, whole: str, valid: str, ready: str) -> str:
    """What each channel has in the projections that are rare (a, n, c), by its weight in them."""
    strange = g.op("Mul", g.op("Relu", rare), whole)
    strange = g.op("Mul", strange, strange)  # a few that are very rare say more than many usual
    power = g.op("Mul", "directions", "directions")
    mine = g.op("MatMul", strange, g.op("Transpose", power, perm=[0, 2, 1]))
    mine = g.op("Add", mine, g.floats(1e-12))
    counted = g.op("And", valid, g.op("Unsqueeze", ready, g.ints(2)))
    mine = g.op("Where", counted, mine, g.floats(0.0))
    total = g.op("Max", g.op("ReduceSum", mine, g.ints(2)), g.floats(1e-30))
    return g.op("Div", mine, total)
