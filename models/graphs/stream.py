"""The detector of streams of one channel as an ONNX graph: what differs from the day before.

Plants have many tags that stand alone: a tank, a room, a load. What is usual for them follows the
hour, drifts over weeks, and no hour of record shows it. For a sample z_t, normalised:

    s   = z_t - median of the samples around this time on the past days     seasonal residual
    e_k = (1 - l_k) e_k + l_k s                                             EWMAs of it
    d   = z_t - z_{t-1}                                                     step
    b   = root mean square distance of the newest w samples to their nearest windows in a memory
          bank of normal operation (k-nearest neighbours, Ramaswamy et al. 2000)
    surprise_v = -log10 of the share of past samples whose |view v| was as large, beyond the largest
          fiftieth an exponential tail (peaks over threshold)
    score = max_v surprise_v - fusion

The tails go on counting: each sample is scored by those before it, and then counts itself, as in
conformal prediction (Vovk et al. 2005). So a change is strange when it comes, and less so the more
of it has been seen; a stream that knows no commissioning has no other normal.

Counts are kept in logarithmic bins, in the state; at 2^24 of them in a bin float32 counts no
further, and a tail of so many moves no more. Missing values are left out of everything. Rows
and samples (a, n) are dynamic.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np

from models.graphs.graph import Nodes, finished, value_info
from models.graphs.onnx_types import BOOL, F32, INT64, LAST, MISSING

if TYPE_CHECKING:
    from models.bundles.bundle import StreamSpec

KNOWN_MAX: Final = 1e29
SIGMAS_MAX: Final = 1e6  # streams of counts have peaks of thousands of sigmas, and they differ
RESIDUAL_MAX: Final = 10.0  # of what is averaged: one peak is not a shift
NEIGHBOURS_MIN: Final = 5  # known samples that a usual value takes
TAIL_MIN: Final = 50.0  # samples seen before anything is scored
TAIL_SHARE: Final = 0.02  # where the exponential tail begins,
TAIL_COUNT: Final = 10.0  # with at least so many samples beyond,
TAIL_COUNT_EARLY: Final = 5.0  # and of the first hundred with so many
BIN_LOW: Final = 1e-3  # of a sigma
BIN_HIGH: Final = 1e4
PER_DECADE: Final = math.log10(math.e)


def build_stream_graph(spec: StreamSpec) -> bytes:
    """The detector for `spec` as a serialised ONNX model; equal specs give equal bytes."""
    g = Nodes("s", [])
    valid = g.op("And", "valid", g.op("Unsqueeze", "present", g.ints(1)))  # (a, n, 1)
    center = g.op("Unsqueeze", "center", g.ints(1))
    apart = g.op("Sub", g.op("Where", valid, "x", center), center)
    sigmas = g.op("Mul", apart, g.op("Unsqueeze", "scale", g.ints(1)))
    clipped = g.op("Clip", sigmas, g.floats(-SIGMAS_MAX), g.floats(SIGMAS_MAX))
    z = g.op("Squeeze", g.op("Where", valid, clipped, g.floats(MISSING)), g.ints(2))  # (a, n)
    line, averages, counts, sums = g.ops(
        "Split", "state", g.ints(*spec.state_sizes), outputs=4, axis=1
    )
    series = g.op("Concat", line, z, axis=1)  # (a, L + n)
    steps = g.op("Range", g.scalar(0), g.op("Squeeze", g.op("Shape", z, start=1)), g.scalar(1))
    views = _views(g, spec, series=series, steps=steps, averages=averages)
    tails = _tails(g, spec, sizes=views["sizes"], known=views["known"], counts=counts, sums=sums)
    best = g.op("ReduceMax", tails["surprise"], g.ints(2), keepdims=0)  # (a, n)
    ready = g.op("Greater", best, g.floats(-1.0))
    told = g.op("Where", ready, g.op("Sub", best, "fusion"), g.floats(math.nan))
    g.nodes.append(g.node("Relu", [told], "score"))
    newest = g.op("Slice", series, g.ints(-spec.state_sizes[0]), g.ints(LAST), g.ints(1))
    moved = g.op("Concat", newest, views["averages"], tails["counts"], tails["sums"], axis=1)
    g.nodes.append(g.node("Identity", [moved], "state_out"))
    share = g.op("Unsqueeze", g.op("Cast", ready, to=F32), g.ints(2))
    g.nodes.append(g.node("Identity", [share], "contribution"))
    shapes = {
        "x": (F32, ("a", "n", 1)),
        "valid": (BOOL, ("a", "n", 1)),
        "state": (F32, ("a", spec.state_width)),
        "center": (F32, ("a", 1)),
        "scale": (F32, ("a", 1)),
        "present": (BOOL, ("a", 1)),
        "bank": (F32, ("a", spec.bank, spec.window)),
        "tail_counts": (F32, ("a", spec.views, spec.bins)),
        "tail_sums": (F32, ("a", spec.views, spec.bins)),
        "fusion": (F32, ("a", 1)),
    }
    inputs = [value_info(name, kind, *shape) for name, (kind, shape) in shapes.items()]
    outputs = [
        value_info("score", F32, "a", "n"),
        value_info("state_out", F32, "a", spec.state_width),
        value_info("contribution", F32, "a", "n", 1),
    ]
    encoded = msgspec.json.encode(spec).decode()
    return finished(g, "andon_stream", inputs=inputs, outputs=outputs, spec=encoded)


def _views(g: Nodes, spec: StreamSpec, *, series: str, steps: str, averages: str) -> dict[str, str]:
    """Sizes (a, n, V) of the views, which are known (a, n, V) bool, and the newest EWMAs (a, K)."""
    past = spec.state_sizes[0]
    newest = _looked_up(g, series, steps, [past])  # (a, n, 1)
    before = _looked_up(g, series, steps, [past - 1])
    seen = g.op("Less", newest, g.floats(KNOWN_MAX))
    usual, enough = _usual(g, spec, series=series, steps=steps)
    known = g.op("And", seen, enough)
    residual = g.op("Where", known, g.op("Sub", newest, usual), g.floats(0.0))  # (a, n, 1)
    smoothed = _smoothed(g, spec, residual=residual, averages=averages, steps=steps)
    follows = g.op("And", seen, g.op("Less", before, g.floats(KNOWN_MAX)))
    step = g.op("Where", follows, g.op("Sub", newest, before), g.floats(0.0))
    distance, whole = _nearest(g, spec, series=series, steps=steps)
    slow = g.op("Slice", smoothed, g.ints(1), g.ints(LAST), g.ints(2))  # (a, n, K - 1)
    sizes = g.op("Abs", g.op("Concat", residual, slow, step, distance, axis=2))
    k = len(spec.lambdas)
    known_all = g.op("Concat", *[known] * k, follows, whole, axis=2)
    last = g.op("Gather", smoothed, g.scalar(-1), axis=1)
    return {"sizes": sizes, "known": known_all, "averages": last}


def _looked_up(g: Nodes, series: str, steps: str, places: list[int]) -> str:
    """Of each sample those at some places of the line before it (a, n, places)."""
    at = g.op("Add", g.op("Unsqueeze", steps, g.ints(1)), g.ints(*places))
    return g.op("Gather", series, at, axis=1)


def _usual(g: Nodes, spec: StreamSpec, *, series: str, steps: str) -> tuple[str, str]:
    """Median (a, n, 1) of what the past days showed around this time, and whether it is known."""
    offsets, past = spec.offsets, spec.state_sizes[0]
    near = _looked_up(g, series, steps, [past - offset for offset in offsets])
    known = g.op("Less", near, g.floats(KNOWN_MAX))
    below = g.op("Where", known, near, g.floats(-MISSING))
    count = g.op("ReduceSum", g.op("Cast", known, to=INT64), g.ints(2), keepdims=1)  # (a, n, 1)
    ordered = g.op("TopK", below, g.ints(len(offsets)), outputs=2, axis=2)
    low = g.op("Max", g.op("Div", g.op("Sub", count, g.ints(1)), g.ints(2)), g.ints(0))
    high = g.op("Min", g.op("Div", count, g.ints(2)), g.ints(len(offsets) - 1))
    both = [g.op("GatherElements", ordered, at, axis=2) for at in (low, high)]
    median = g.op("Mul", g.op("Add", *both), g.floats(0.5))
    return median, g.op("GreaterOrEqual", count, g.ints(NEIGHBOURS_MIN))


def _smoothed(g: Nodes, spec: StreamSpec, *, residual: str, averages: str, steps: str) -> str:
    """EWMAs (a, n, K) of the residual (a, n, 1), through a triangle of decays."""
    keep = (1.0 - np.array(spec.lambdas, np.float32))[:, None, None]
    ticks = g.op("Cast", steps, to=F32)
    age = g.op("Sub", g.op("Unsqueeze", ticks, g.ints(1)), g.op("Unsqueeze", ticks, g.ints(0)))
    decay = g.op("Pow", g.floats(keep), g.op("Relu", age))  # (K, n, n)
    rated = g.op("Mul", decay, g.floats(1.0 - keep))
    triangle = g.op("Where", g.op("GreaterOrEqual", age, g.floats(0.0)), rated, g.floats(0.0))
    tame = g.op("Clip", residual, g.floats(-RESIDUAL_MAX), g.floats(RESIDUAL_MAX))
    fresh = g.op("MatMul", triangle, g.op("Unsqueeze", tame, g.ints(1)))  # (a, K, n, 1)
    later = g.op("Add", g.op("Unsqueeze", ticks, g.ints(1)), g.floats(1.0))  # (n, 1)
    old = g.op("Mul", g.op("Unsqueeze", averages, g.ints(2, 3)), g.op("Pow", g.floats(keep), later))
    return g.op("Transpose", g.op("Squeeze", g.op("Add", fresh, old), g.ints(3)), perm=[0, 2, 1])


def _nearest(g: Nodes, spec: StreamSpec, *, series: str, steps: str) -> tuple[str, str]:
    """Distance (a, n, 1) of the newest window to the nearest of the bank; whether it is whole."""
    w, past = spec.window, spec.state_sizes[0]
    window = _looked_up(g, series, steps, list(range(past - w + 1, past + 1)))  # (a, n, w)
    known = g.op("Less", window, g.floats(KNOWN_MAX))
    whole = g.op("Equal", g.op("ReduceSum", g.op("Cast", known, to=INT64), g.ints(2)), g.ints(w))
    tame = g.op("Where", known, window, g.floats(0.0))
    own = g.op("ReduceSumSquare", tame, g.ints(2), keepdims=1)  # (a, n, 1)
    theirs = g.op("Unsqueeze", g.op("ReduceSumSquare", "bank", g.ints(2), keepdims=0), g.ints(1))
    across = g.op("MatMul", tame, g.op("Transpose", "bank", perm=[0, 2, 1]))  # (a, n, B)
    square = g.op("Sub", g.op("Add", own, theirs), g.op("Mul", across, g.floats(2.0)))
    least = g.op("TopK", square, g.ints(spec.nearest), outputs=2, axis=2, largest=0)
    mean = g.op("ReduceMean", g.op("Relu", least), g.ints(2), keepdims=1)
    return g.op("Sqrt", g.op("Mul", mean, g.floats(1.0 / w))), whole


def _tails(
    g: Nodes, spec: StreamSpec, *, sizes: str, known: str, counts: str, sums: str
) -> dict[str, str]:
    """Surprise (a, n, V) of the views by those before, -2: not known; and the counts moved on.

    sizes, known: (a, n, V)   counts, sums: (a, V bins) of the state
    """
    v, bins = spec.views, spec.bins
    width = (math.log(BIN_HIGH) - math.log(BIN_LOW)) / bins
    lower = BIN_LOW * np.exp(width * np.arange(bins))
    raised = g.op("Log", g.op("Max", sizes, g.floats(BIN_LOW)))
    place = g.op("Mul", g.op("Sub", raised, g.floats(math.log(BIN_LOW))), g.floats(1.0 / width))
    own = g.op("Clip", g.op("Floor", place), g.floats(0.0), g.floats(bins - 1.0))
    part = g.op("Clip", g.op("Sub", place, own), g.floats(0.0), g.floats(1.0))
    numbered = g.floats(np.arange(bins, dtype=np.float32))
    mine = g.op("Cast", g.op("Equal", g.op("Unsqueeze", own, g.ints(3)), numbered), to=F32)
    counted = g.op("Mul", mine, g.op("Cast", g.op("Unsqueeze", known, g.ints(3)), to=F32))
    added = g.op("Mul", counted, g.op("Unsqueeze", sizes, g.ints(3)))  # (a, n, V, bins)
    count = _before(g, spec, counted, state=counts, parameter="tail_counts")
    total_size = _before(g, spec, added, state=sums, parameter="tail_sums")
    seen = g.op("ReduceSum", count, g.ints(3), keepdims=0)  # (a, n, V)
    beyond = g.op("CumSum", count, g.scalar(3), reverse=1)
    rank = g.op("ReduceSum", g.op("Mul", beyond, mine), g.ints(3), keepdims=0)
    inside = g.op("ReduceSum", g.op("Mul", count, mine), g.ints(3), keepdims=0)
    rank = g.op("Sub", rank, g.op("Mul", inside, part))
    share = g.op("Max", g.op("Mul", seen, g.floats(TAIL_SHARE)), g.floats(TAIL_COUNT))
    early = g.op("LessOrEqual", seen, g.floats(2.0 * TAIL_MIN))
    peaks = g.op("Where", early, g.floats(TAIL_COUNT_EARLY), share)  # samples in the tail
    begins, excess = _peaks(
        g, beyond=beyond, count=count, total_size=total_size, peaks=peaks, lower=lower, width=width
    )
    common = g.op(
        "Log", g.op("Div", g.op("Add", seen, g.floats(1.0)), g.op("Add", rank, g.floats(1.0)))
    )
    far = g.op("Relu", g.op("Sub", sizes, begins))
    rare = g.op(
        "Add",
        g.op("Log", g.op("Div", g.op("Max", seen, g.floats(1.0)), peaks)),
        g.op("Div", far, excess),
    )
    nats = g.op("Where", g.op("GreaterOrEqual", rank, peaks), common, rare)
    scored = g.op("And", known, g.op("GreaterOrEqual", seen, g.floats(TAIL_MIN)))
    surprise = g.op("Where", scored, g.op("Mul", nats, g.floats(PER_DECADE)), g.floats(-2.0))
    moved = {}
    for name, each, state in (("counts", counted, counts), ("sums", added, sums)):
        fresh = g.op("ReduceSum", each, g.ints(1), keepdims=0)
        moved[name] = g.op("Add", state, g.op("Reshape", fresh, g.ints(0, v * bins)))
    return {"surprise": surprise, **moved}


def _before(g: Nodes, spec: StreamSpec, each: str, *, state: str, parameter: str) -> str:
    """What was counted before each sample (a, n, V, bins): by the fit, the state and the block."""
    known = g.op("Add", g.op("Reshape", state, g.ints(0, spec.views, spec.bins)), parameter)
    block = g.op("CumSum", each, g.scalar(1), exclusive=1)
    return g.op("Add", block, g.op("Unsqueeze", known, g.ints(1)))


def _peaks(
    g: Nodes,
    *,
    beyond: str,
    count: str,
    total_size: str,
    peaks: str,
    lower: np.ndarray,
    width: float,
) -> tuple[str, str]:
    """Size (a, n, V) that as many samples as `peaks` (a, n, V) exceed, and their mean excess."""
    bins = len(lower)
    wanted = g.op("Unsqueeze", peaks, g.ints(3))
    enough = g.op("Cast", g.op("GreaterOrEqual", beyond, wanted), to=F32)
    number = g.op("Sub", g.op("ReduceSum", enough, g.ints(3), keepdims=1), g.floats(1.0))
    numbered = g.floats(np.arange(bins, dtype=np.float32))
    chosen = g.op("Cast", g.op("Equal", number, numbered), to=F32)  # (a, n, V, bins)
    above = g.op("Cast", g.op("Greater", numbered, number), to=F32)
    tail = g.op("ReduceSum", g.op("Mul", beyond, chosen), g.ints(3), keepdims=0)
    inside = g.op("ReduceSum", g.op("Mul", count, chosen), g.ints(3), keepdims=0)
    edge = g.op("ReduceSum", g.op("Mul", chosen, g.floats(lower)), g.ints(3), keepdims=0)
    more = g.op("Sub", peaks, g.op("Sub", tail, inside))  # of this bin's samples the largest
    part = g.op("Div", more, g.op("Max", inside, g.floats(1e-9)))
    rest = g.op("Sub", g.floats(1.0), part)
    begins = g.op("Mul", edge, g.op("Exp", g.op("Mul", rest, g.floats(width))))
    halfway = g.op("Sub", g.floats(1.0), g.op("Mul", part, g.floats(0.5)))
    middle = g.op("Mul", edge, g.op("Exp", g.op("Mul", halfway, g.floats(width))))
    largest = g.op("ReduceSum", g.op("Mul", total_size, above), g.ints(3), keepdims=0)
    total = g.op("Add", largest, g.op("Mul", more, middle))
    excess = g.op("Sub", g.op("Div", total, peaks), begins)
    return begins, g.op("Max", excess, g.floats(1e-9))
