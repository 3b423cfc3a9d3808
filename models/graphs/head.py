"""Heads in a detector's graph: behind an `If`, so that a sample that nobody asks about costs none.

The graph keeps all that it had and gets two inputs with defaults, `classify` (false) and `head`
(which of its heads), and the outputs `named` (a,) int64, a class or -1 abstained, and `class_p`
(a, k). A call with `classify` reads the whole block x (a, n, c) as one window of each row. What is
computed is that of `models.heads.features` and `models.heads.fit`; heads are constants of the
branch, and who they are of stands in the metadata. Without heads a graph has the bytes that it had.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec
import numpy as np
import onnx
from onnx import checker, helper, numpy_helper

from models.bundles.bundle import Z_MAX
from models.errors import ModelError
from models.graphs.graph import Nodes, value_info
from models.graphs.onnx_types import BOOL, F32, INT64
from models.heads.features import KNEE_BEFORE, MOVES_MIN, SPREAD_FLOOR
from models.heads.fit import COVERED_MIN, PROBABILITY_MIN
from models.heads.notes import NOTES, HeadNote, notes_in

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from onnx import GraphProto, ModelProto

    Arrays = dict[str, NDArray[Any]]

ARRAYS: Final = ("mean", "precision", "logdet", "used", "temperature", "bound", "ratio", "knee")
ABSENT: Final = 1e9  # log determinant of a class that is not there: it is never likely


def with_head_branch(
    graph: bytes, heads: Sequence[tuple[HeadNote, Arrays]], *, width: int
) -> bytes:
    """A detector's graph with these heads instead of those that it has; without any, as it was.

    width: channels of the graph. Arrays by the names in ARRAYS, over features of own channels.
    """
    model = onnx.load_from_string(bare(graph))
    if not heads:
        return bytes(model.SerializeToString(deterministic=True))
    lacking = {"x", "valid", "center", "scale", "present"} - {i.name for i in model.graph.input}
    if lacking:
        raise ModelError(f"this kind of detector has no {sorted(lacking)}: it cannot have a head")
    g = Nodes("head", [], kept="head_const")
    stacked = _stacked([arrays for _, arrays in heads], width)
    branch = _branch(g.child("b"), stacked, width)
    nothing = g.child("o")
    silent = nothing.graph(
        [
            (nothing.op("Expand", g.constant(np.array(-1)), g.ints(0)), INT64),
            (nothing.op("Expand", g.floats(0.0), g.ints(0, stacked["bound"].shape[1])), F32),
        ]
    )
    g.branch("classify", branch, silent, ["named", "class_p"])
    model.graph.node.extend(g.nodes)
    model.graph.initializer.extend(g.constants)
    defaults = {"classify": np.zeros((), np.bool_), "head": np.array(0, np.int64)}
    for name, value in defaults.items():
        model.graph.initializer.append(numpy_helper.from_array(value, name))
    model.graph.input.extend([value_info("classify", BOOL), value_info("head", INT64)])
    model.graph.output.extend(
        [value_info("named", INT64, "w"), value_info("class_p", F32, "w", "k")]
    )
    model.metadata_props.add(key=NOTES, value=msgspec.json.encode([n for n, _ in heads]).decode())
    checker.check_model(model)
    return bytes(model.SerializeToString(deterministic=True))


def bare(graph: bytes) -> bytes:
    """A detector's graph without its heads: the bytes that it had before it got any."""
    model = onnx.load_from_string(graph)
    if not _notes(model):
        return graph
    added = {"named", "class_p"}
    kept = {
        "node": [n for n in model.graph.node if not added & set(n.output)],
        "input": [i for i in model.graph.input if i.name not in ("classify", "head")],
        "output": [o for o in model.graph.output if o.name not in added],
        "initializer": [i for i in model.graph.initializer if not _of_heads(i.name)],
    }
    for name, values in kept.items():
        copies = [type(value).FromString(value.SerializeToString()) for value in values]
        del getattr(model.graph, name)[:]
        getattr(model.graph, name).extend(copies)
    props = [(p.key, p.value) for p in model.metadata_props if p.key != NOTES]
    del model.metadata_props[:]
    helper.set_model_props(model, dict(props))
    return bytes(model.SerializeToString(deterministic=True))


def heads_in(graph: bytes) -> list[tuple[HeadNote, Arrays]]:
    """The heads of a graph, as `with_head_branch` took them; [] of none.

    Arrays are those of the heads' own classes and channels. Raises ModelError where what the graph
    says of its heads is damaged.
    """
    if NOTES.encode() not in graph:
        return []
    model = onnx.load_from_string(graph)
    notes = _notes(model)
    if not notes:
        return []
    held = {i.name: numpy_helper.to_array(i) for i in model.graph.initializer}
    if "head_knee" not in held:
        held |= _grown(held)
    width = held["head_used"].shape[1] // 2
    found = []
    for at, note in enumerate(notes):
        k, own = len(note.classes), _places(len(note.channels), width)
        whole = {name: held[f"head_{name}"][at] for name in ARRAYS}
        found.append(
            (
                note,
                {
                    "mean": whole["mean"][: 1 + k, own],
                    "precision": whole["precision"][: 1 + k][:, own][:, :, own],
                    "logdet": whole["logdet"][: 1 + k],
                    "used": whole["used"][own],
                    "temperature": whole["temperature"],
                    "bound": whole["bound"][:k],
                    "ratio": whole["ratio"][:k],
                    "knee": whole["knee"],
                },
            )
        )
    return found


def _grown(held: Arrays) -> Arrays:
    """Heads of graphs from before there was an unknown class, as now: theirs is never likely."""
    h, k, f = held["head_mean"].shape
    nothing = {
        "mean": np.zeros((h, 1, f), np.float32),
        "precision": np.tile(np.eye(f, dtype=np.float32), (h, 1, 1, 1)),
        "logdet": np.full((h, 1), ABSENT, np.float32),
    }
    rows = {f"head_{n}": np.concatenate([v, held[f"head_{n}"]], 1) for n, v in nothing.items()}
    knee = np.full(h, KNEE_BEFORE, np.float32)
    return rows | {"head_ratio": np.zeros((h, k), np.float32), "head_knee": knee}


def _notes(model: ModelProto) -> tuple[HeadNote, ...]:
    return notes_in(next((p.value for p in model.metadata_props if p.key == NOTES), ""))


def _of_heads(name: str) -> bool:
    return name in ("classify", "head") or name.startswith("head_")


def _places(channels: int, width: int) -> NDArray[np.intp]:
    """Where the features of the first channels stand among those of all."""
    return np.concatenate([np.arange(channels), width + np.arange(channels)])


def _stacked(heads: Sequence[Arrays], width: int) -> Arrays:
    """Arrays of all heads (h, ...), padded to the most classes and the graph's channels."""
    k = max(len(one["bound"]) for one in heads)
    h, f = len(heads), 2 * width
    out: Arrays = {
        "mean": np.zeros((h, 1 + k, f), np.float32),
        "precision": np.tile(np.eye(f, dtype=np.float32), (h, 1 + k, 1, 1)),
        "logdet": np.full((h, 1 + k), ABSENT, np.float32),
        "used": np.zeros((h, f), np.bool_),
        "temperature": np.ones(h, np.float32),
        "bound": np.zeros((h, k), np.float32),
        "ratio": np.zeros((h, k), np.float32),
        "knee": np.ones(h, np.float32),
    }
    for at, one in enumerate(heads):
        own, n = _places(one["mean"].shape[1] // 2, width), len(one["bound"])
        out["mean"][at, : 1 + n, own] = one["mean"].T
        for j in range(1 + n):
            out["precision"][at, j][np.ix_(own, own)] = one["precision"][j]
        out["logdet"][at, : 1 + n] = one["logdet"]
        out["used"][at, own] = one["used"]
        out["temperature"][at], out["knee"][at] = one["temperature"], one["knee"]
        out["bound"][at, :n], out["ratio"][at, :n] = one["bound"], one["ratio"]
    return out


def _branch(g: Nodes, stacked: Arrays, width: int) -> GraphProto:
    """From the block (a, n, c) to the class of each row."""
    own = {}
    for name in ARRAYS:
        g.constants.append(numpy_helper.from_array(stacked[name], f"head_{name}"))
        own[name] = g.op("Gather", f"head_{name}", "head", axis=0)
    features, told = _features(g, own["knee"])
    seen = g.op("And", told, g.op("Unsqueeze", own["used"], g.ints(0)))  # (a, F)
    square, logdet = _distances(g, own, features=features, seen=seen, width=width)
    half = g.op("Mul", g.op("Add", square, logdet), g.floats(-0.5))  # (a, 1 + k)
    parts = g.constant(np.array([1, stacked["bound"].shape[1]]))
    unknown, likely = g.ops("Split", half, parts, outputs=2, axis=1)  # (a, 1), (a, k)
    _, square = g.ops("Split", square, parts, outputs=2, axis=1)
    p = g.op("Softmax", g.op("Div", likely, own["temperature"]), axis=1)  # (a, k)
    best = g.op("ArgMax", p, axis=1, keepdims=1)  # (a, 1)
    freedom = g.op("ReduceSum", g.op("Cast", seen, to=F32), g.ints(1))  # (a, 1)
    count = g.op("Max", freedom, g.floats(1.0))
    b = g.op("Div", g.floats(2.0 / 9.0), count)
    share = g.op(
        "Max", g.op("Div", g.op("GatherElements", square, best, axis=1), count), g.floats(1e-30)
    )
    third = g.op("Exp", g.op("Mul", g.op("Log", share), g.floats(1.0 / 3.0)))
    above = g.op("Add", g.op("Sub", third, g.floats(1.0)), b)
    bound = g.op("Gather", own["bound"], best, axis=0)  # (a, 1)
    known = g.op("LessOrEqual", g.op("Div", above, g.op("Sqrt", b)), bound)
    ratio = g.op("Sub", unknown, g.op("GatherElements", likely, best, axis=1))  # (a, 1)
    near = g.op("LessOrEqual", ratio, g.op("Gather", own["ratio"], best, axis=0))
    sure = g.op(
        "GreaterOrEqual", g.op("GatherElements", p, best, axis=1), g.floats(PROBABILITY_MIN)
    )
    used = g.op("ReduceSum", g.op("Cast", own["used"], to=F32))
    enough = g.op("GreaterOrEqual", freedom, g.op("Mul", used, g.floats(COVERED_MIN)))
    answers = g.op("And", g.op("And", g.op("And", known, near), sure), enough)
    named = g.op("Where", answers, best, g.constant(np.array(-1)))
    return g.graph([(g.op("Squeeze", named, g.ints(1)), INT64), (p, F32)])


def _features(g: Nodes, knee: str) -> tuple[str, str]:
    """Features (a, F) of the windows, and which there are, as `window_features` has them."""
    valid = g.op("And", "valid", g.op("Unsqueeze", "present", g.ints(1)))
    center = g.op("Unsqueeze", "center", g.ints(1))
    clean = g.op("Where", valid, "x", center)
    z = g.op("Mul", g.op("Sub", clean, center), g.op("Unsqueeze", "scale", g.ints(1)))
    z = g.op("Clip", z, g.floats(-Z_MAX), g.floats(Z_MAX))
    one = g.op("Cast", valid, to=F32)
    count = g.op("ReduceSum", one, g.ints(1), keepdims=0)  # (a, c)
    safe = g.op("Max", count, g.floats(1.0))
    mean = g.op("Div", g.op("ReduceSum", z, g.ints(1), keepdims=0), safe)
    apart = g.op("Mul", g.op("Sub", z, g.op("Unsqueeze", mean, g.ints(1))), one)
    variance = g.op("Div", g.op("ReduceSumSquare", apart, g.ints(1), keepdims=0), safe)
    size = g.op("Log", g.op("Add", g.op("Div", g.op("Abs", mean), knee), g.floats(1.0)))
    level = g.op("Mul", g.op("Mul", g.op("Sign", mean), knee), size)
    spread = g.op("Log", g.op("Add", variance, g.floats(SPREAD_FLOOR)))
    spread = g.op("Mul", spread, g.floats(0.5))
    enough = [g.op("GreaterOrEqual", count, g.floats(least)) for least in (1.0, float(MOVES_MIN))]
    told = g.op("Concat", *enough, axis=1)
    return g.op("Where", told, g.op("Concat", level, spread, axis=1), g.floats(0.0)), told


def _distances(
    g: Nodes, own: dict[str, str], *, features: str, seen: str, width: int
) -> tuple[str, str]:
    """Squared distances and log determinants (a, k) of the features that are seen.

    The precisions are swept on what is used and not seen, one feature after another: what is left
    between the seen is the precision of their marginal, and the pivots multiply to what its
    determinant lacks (Goodnight 1979). A feature that a head does not use goes with no other.
    """
    f = 2 * width
    missing = g.op("And", g.op("Not", seen), g.op("Unsqueeze", own["used"], g.ints(0)))  # (a, F)
    anywhere = g.op("ReduceMax", g.op("Cast", missing, to=F32), g.ints(0), keepdims=0)
    which = g.op("Reshape", g.op("NonZero", anywhere), g.ints(-1))  # most often none
    apart = g.op(
        "Sub", g.op("Unsqueeze", features, g.ints(1)), g.op("Unsqueeze", own["mean"], g.ints(0))
    )
    shown = g.op("Unsqueeze", g.op("Cast", seen, to=F32), g.ints(1))  # (a, 1, F)
    apart = g.op("Unsqueeze", g.op("Mul", apart, shown), g.ints(2))  # (a, k, 1, F)
    rows = g.op("Shape", seen, start=0, end=1)
    start = g.op("Unsqueeze", own["precision"], g.ints(0))
    start = g.op("Expand", start, g.op("Concat", rows, g.ints(1, 1, 1), axis=0))  # (a, k, F, F)
    zero = g.op("Mul", g.op("ReduceMax", start, g.ints(2, 3), keepdims=0), g.floats(0.0))  # (a, k)
    body = g.child("w")
    j, go, carried, log = (body.prefix + each for each in ("j", "go", "x", "log"))
    at = body.op("Gather", which, body.op("Reshape", j, g.ints(1)), axis=0)  # (1,)
    column = body.op("Gather", carried, at, axis=3)  # (a, k, F, 1)
    row = body.op("Gather", carried, at, axis=2)  # (a, k, 1, F)
    pivot = body.op("Gather", column, at, axis=2)  # (a, k, 1, 1)
    swept = body.op("Sub", carried, body.op("Mul", body.op("Div", column, pivot), row))
    gone = body.op("Gather", missing, at, axis=1)  # (a, 1)
    after = body.op("Where", body.op("Unsqueeze", gone, g.ints(2, 3)), swept, carried)
    more = body.op(
        "Where", gone, body.op("Squeeze", body.op("Log", pivot), g.ints(2, 3)), g.floats(0.0)
    )
    loop = body.loop(
        [(j, INT64, ()), (go, BOOL, ()), (carried, F32, ("a", "k", f, f)), (log, F32, ("a", "k"))],
        [
            (body.op("Identity", go), BOOL, ()),
            (after, F32, ("a", "k", f, f)),
            (body.op("Add", log, more), F32, ("a", "k")),
        ],
    )
    times = g.op("Squeeze", g.op("Shape", which), g.ints(0))
    inner, lost = g.ops("Loop", times, "", start, zero, outputs=2, body=loop)
    square = g.op(
        "MatMul", g.op("MatMul", apart, inner), g.op("Transpose", apart, perm=[0, 1, 3, 2])
    )
    square = g.op("Max", g.op("Squeeze", square, g.ints(2, 3)), g.floats(0.0))
    return square, g.op("Add", g.op("Unsqueeze", own["logdet"], g.ints(0)), lost)
