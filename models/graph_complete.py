"""The short way through the detector: every row complete and settled. See `models.graph`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from models.onnx_types import BOOL, F32, LAST

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from onnx import GraphProto

    from models.bundle import Spec
    from models.graph import Nodes


def complete_branch(g: Nodes, spec: Spec, *, z: str, state: list[str]) -> GraphProto:
    """Every row complete and settled."""
    width = g.op("ReduceSum", g.op("Cast", "present", to=F32), g.ints(1), keepdims=1)  # (a, 1)
    count = g.op("Shape", z, start=1, end=2)  # (1,) n
    single = g.op("Equal", g.op("Squeeze", count), g.scalar(1))
    names = [g.prefix + each for each in ("m", "sums", "ready", "state")]
    one = _one_step(g.child("1"), spec, z=z, state=state, width=width)
    many = _block(g.child("n"), spec, z=z, state=state, width=width)
    g.branch(single, one, many, names)
    return g.graph(list(zip(names, (F32, F32, BOOL, F32), strict=True)))


def _gains(spec: Spec) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Decay (3 K + 2,) and gain (2, 3 K + 2) of v, n, q, run, full in a complete sample.

    The gain's first row is for each present channel, the second for each sample.
    """
    lam = np.array(spec.lambdas, np.float64)
    decay = np.concatenate([np.tile((1 - lam) ** 2, 3), [1.0, 1.0]])
    channel = np.concatenate([np.tile(lam**2, 2), 0 * lam, [0.0, 0.0]])
    sample = np.concatenate([0 * lam, 0 * lam, lam**2, [1.0, 0.0]])
    return decay.astype(np.float32), np.stack([channel, sample]).astype(np.float32)


def _one_step(g: Nodes, spec: Spec, *, z: str, state: list[str], width: str) -> GraphProto:
    """A block of one sample, the usual tick.

    Broadcasts cost more than products in ONNX Runtime, so both recursions are one product: what is
    there, side by side, with a small constant matrix.
    """
    k, c = len(spec.lambdas), spec.channels
    lags, m, sums, u = state
    window = g.op("Concat", lags, g.op("Reshape", z, g.ints(-1, c)), axis=1)  # (a, (p + 1) c)
    w = g.op("MatMul", g.op("Unsqueeze", window, g.ints(1)), "weights")
    w = g.op("Reshape", w, g.ints(-1, 2 * c))
    mixed = g.op("Concat", w, m, sums, width, axis=1)
    recursion, sample = _recursion(spec)
    after = g.op("Gemm", mixed, g.floats(recursion), g.floats(sample))  # (a, 2 K c + 3 K + 2)
    m_all, told, _ = g.ops("Split", after, g.ints(2 * k * c, 3 * k, 2), outputs=3, axis=1)
    lags_out = g.op("Slice", window, g.ints(c), g.ints(LAST), g.ints(1))
    state_out = g.op("Concat", lags_out, after, u, axis=1)
    rows = g.op("Shape", "x", start=0, end=1)
    ready = g.op("Expand", g.constant(np.array([True])), rows)
    return g.graph([(m_all, F32), (told, F32), (ready, BOOL), (state_out, F32)])


def _recursion(spec: Spec) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """What takes (w, m, sums, width) to the next (m, sums): matrix and constant."""
    c, k = 2 * spec.channels, len(spec.lambdas)  # whitened and plain
    lam = np.array(spec.lambdas, np.float32)
    decay, gains = _gains(spec)
    means, kept = k * c, len(decay)
    matrix = np.zeros((c + means + kept + 1, means + kept), np.float32)
    matrix[:c, :means] = np.concatenate([each * np.eye(c) for each in lam], axis=1)
    matrix[c : c + means, :means] = np.diag(np.repeat(1 - lam, c))
    matrix[c + means : -1, means:] = np.diag(decay)
    matrix[-1, means:] = gains[0]
    return matrix, np.concatenate([np.zeros(means, np.float32), gains[1]])


def _block(g: Nodes, spec: Spec, *, z: str, state: list[str], width: str) -> GraphProto:
    """A longer block: all samples at once through a triangle of decays."""
    p, k, c = spec.lags, len(spec.lambdas), spec.channels
    lags, m, sums, u = state
    count = g.op("Shape", z, start=1, end=2)  # (1,) n
    series = g.op("Concat", g.op("Reshape", lags, g.ints(0, p, c)), z, axis=1)  # (a, p + n, c)
    ends = [g.op("Add", count, g.ints(j)) for j in range(p + 1)]
    parts = [g.op("Slice", series, g.ints(j), ends[j], g.ints(1)) for j in range(p + 1)]
    w = g.op("MatMul", g.op("Concat", *parts, axis=2), "weights")  # (a, n, 2 c), oldest lag first
    lam = np.array(spec.lambdas, np.float32)
    age, steps = _ages(g, count)
    keep, rate = g.floats((1 - lam)[:, None, None]), g.floats(lam[:, None, None])  # (K, 1, 1)
    weights = _triangle(g, age, keep, rate)  # (K, n, n)
    after = g.op("Pow", keep, g.op("Unsqueeze", steps, g.ints(0, 2)))  # (K, n, 1)
    mixed = g.op("MatMul", weights, g.op("Unsqueeze", w, g.ints(1)))  # (a, K, n, 2 c)
    old = g.op("Mul", g.op("Reshape", m, g.ints(0, k, 1, 2 * c)), after)
    m_all = g.op("Transpose", g.op("Add", mixed, old), perm=[0, 2, 1, 3])
    m_all = g.op("Reshape", m_all, g.op("Concat", g.ints(0), count, g.ints(2 * k * c), axis=0))
    decay, gains = _gains(spec)
    total = g.op(
        "ReduceSum", _triangle(g, age, g.floats(decay[:, None, None]), g.floats(1.0)), g.ints(2)
    )
    total = g.op("Transpose", total, perm=[2, 1, 0])  # (1, n, 3 K + 2)
    gain = g.op("Add", g.op("MatMul", width, g.floats(gains[:1])), g.floats(gains[1:]))
    faded = g.op("Pow", g.floats(decay[None]), g.op("Unsqueeze", steps, g.ints(1)))  # (n, 3 K + 2)
    grown = g.op("Mul", total, g.op("Unsqueeze", gain, g.ints(1)))  # (a, n, 3 K + 2)
    sums_all = g.op("Add", g.op("Mul", g.op("Unsqueeze", sums, g.ints(1)), faded), grown)
    last = g.scalar(-1)
    lags_out = g.op("Slice", series, g.ints(-p), g.ints(LAST), g.ints(1))
    moved = [
        g.op("Reshape", lags_out, g.ints(0, p * c)),
        g.op("Gather", m_all, last, axis=1),
        g.op("Gather", sums_all, last, axis=1),
        u,
    ]
    state_out = g.op("Concat", *moved, axis=1)
    told = g.op("Slice", sums_all, g.ints(0), g.ints(3 * k), g.ints(2))
    told = g.op("Reshape", told, g.ints(-1, 3 * k))
    cells = g.op("ReduceProd", g.op("Shape", "x", start=0, end=2), g.ints(0))
    ready = g.op("Expand", g.constant(np.array([True])), cells)
    flat = g.op("Reshape", m_all, g.ints(-1, 2 * k * c))
    return g.graph([(flat, F32), (told, F32), (ready, BOOL), (state_out, F32)])


def _ages(g: Nodes, count: str) -> tuple[str, str]:
    """How many samples each is behind each other (n, n), and 1 .. n (n,), as float32."""
    steps = g.op("Range", g.scalar(0), g.op("Squeeze", count), g.scalar(1))
    steps = g.op("Cast", steps, to=F32)
    age = g.op("Sub", g.op("Unsqueeze", steps, g.ints(1)), g.op("Unsqueeze", steps, g.ints(0)))
    return age, g.op("Add", steps, g.floats(1.0))


def _triangle(g: Nodes, age: str, keep: str, rate: str) -> str:
    """Decays rate keep^age where age >= 0, else 0 (K, n, n)."""
    power = g.op("Mul", g.op("Pow", keep, g.op("Relu", age)), rate)
    return g.op("Where", g.op("GreaterOrEqual", age, g.floats(0.0)), power, g.floats(0.0))
