"""Fitted rows to the stacked arrays of a part and back, for each kind of detector.

What differs between kinds outside their graphs stands here: names and shapes of parameters, and
what becomes of a row that is padded, taken back, or solved anew without some channels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from models.bundle import PARAMETERS, STREAM_PARAMETERS, RowFit, Spec, StreamRow, StreamSpec
from models.graph import build_graph
from models.graph_stream import build_stream_graph
from models.var import graph_weights, masked_parameters

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from models.bundle import AnyRow, AnySpec, Bundle

    Arrays = dict[str, NDArray[Any]]
    Shapes = dict[str, tuple[tuple[int, ...], str]]


def graph_of(spec: AnySpec) -> bytes:
    """The serialised ONNX model of a detector; equal specs give equal bytes."""
    return build_stream_graph(spec) if isinstance(spec, StreamSpec) else build_graph(spec)


def parameter_names(spec: AnySpec) -> tuple[str, ...]:
    """Inputs of the graph that hold a row an asset and baseline."""
    return STREAM_PARAMETERS if isinstance(spec, StreamSpec) else PARAMETERS


def shapes(spec: AnySpec, rows: int) -> Shapes:
    """Shape and dtype of everything that a part of so many rows keeps as arrays."""
    c = spec.channels
    common: Shapes = {
        "center": ((rows, c), "float32"),
        "scale": ((rows, c), "float32"),
        "present": ((rows, c), "bool"),
        "fusion": ((rows, 1), "float32"),
        "wanders": ((rows, c), "bool"),
        "learned": ((rows,), "float64"),
    }
    if isinstance(spec, StreamSpec):
        tails = (rows, spec.views, spec.bins)
        return common | {
            "bank": ((rows, spec.bank, spec.window), "float32"),
            "tail_counts": (tails, "float32"),
            "tail_sums": (tails, "float32"),
            "moments": ((rows, 0, 0), "float64"),
        }
    wide = (spec.lags + 1) * c
    return common | {
        "weights": ((rows, wide, 2 * c), "float32"),
        "mixing": ((rows, c, c), "float32"),
        "settle": ((rows, 1), "float32"),
        "tail_knots": ((rows, spec.views, spec.knots), "float32"),
        "tail_slopes": ((rows, spec.views, spec.knots), "float32"),
        "evenness": ((rows, len(spec.lambdas), c), "float32"),
        "moments": ((rows, wide, wide), "float64"),
    }


def padded(row: AnyRow, spec: AnySpec) -> Arrays:
    """Everything of one row as `shapes` has it, padded with channels that are not there."""
    c = spec.channels
    arrays: Arrays = {
        "center": _wide(row.center, c, fill=0.0).astype(np.float32),
        "scale": _wide(1.0 / row.sigma, c, fill=1.0).astype(np.float32),
        "present": _wide(row.present, c, fill=False),
        "fusion": np.array([row.fusion], np.float32),
        "learned": np.array(row.learned, np.float64),
    }
    if isinstance(row, StreamRow):
        return arrays | {
            "bank": row.bank.astype(np.float32),
            "tail_counts": row.counts.astype(np.float32),
            "tail_sums": row.sums.astype(np.float32),
            "wanders": np.zeros(1, np.bool_),
            "moments": np.empty((0, 0)),
        }
    assert isinstance(spec, Spec), "rows of a part are of one kind"
    wanders = _wide(row.wanders, c, fill=False)
    moments = _spread_moments(row, spec)
    weights, mixing = graph_weights(
        moments, wanders, arrays["present"], lags=spec.lags, rows=row.learned
    )
    return arrays | {
        "weights": weights.astype(np.float32),
        "mixing": mixing.astype(np.float32),
        "settle": np.array([row.settle], np.float32),
        "tail_knots": row.knots.astype(np.float32),
        "tail_slopes": row.slopes.astype(np.float32),
        "evenness": np.stack([_wide(each, c, fill=1.0) for each in row.evenness]).astype(
            np.float32
        ),
        "wanders": wanders,
        "moments": moments,
    }


def stored(bundle: Bundle, row: int, channels: int) -> AnyRow:
    """A row of a bundle as it was fitted, without its padding."""
    part, row = bundle.place(row)
    spec = part.spec
    p = {name: value[row] for name, value in part.parameters.items()}
    center = p["center"][:channels].astype(np.float64)
    sigma = 1.0 / p["scale"][:channels].astype(np.float64)
    present, fusion = p["present"][:channels], float(p["fusion"][0])
    if isinstance(spec, StreamSpec):
        return StreamRow(
            center=center,
            sigma=sigma,
            present=present,
            bank=p["bank"].astype(np.float64),
            counts=p["tail_counts"].astype(np.float64),
            sums=p["tail_sums"].astype(np.float64),
            fusion=fusion,
            learned=int(part.learned[row]),
        )
    own = _places(channels, spec)
    return RowFit(
        center=center,
        sigma=sigma,
        present=present,
        wanders=part.wanders[row][:channels],
        moments=part.moments[row][np.ix_(own, own)],
        learned=int(part.learned[row]),
        knots=p["tail_knots"].astype(np.float64),
        slopes=p["tail_slopes"].astype(np.float64),
        evenness=p["evenness"][:, :channels].astype(np.float64),
        fusion=fusion,
        settle=int(p["settle"][0]),
    )


def without(bundle: Bundle, row: int, keep: NDArray[np.bool_]) -> Arrays:
    """Parameters of a row of the bundle without some channels, as a stack of one.

    keep: (c,) bool over the channels of the bundle's widest asset.
    """
    part, row = bundle.place(row)
    keep = keep[: part.width]
    if isinstance(part.spec, StreamSpec):
        derived = {name: value[row : row + 1].copy() for name, value in part.parameters.items()}
        derived["present"] = derived["present"] & keep
        return derived
    return masked_parameters(part, row, keep)


def _wide(vector: NDArray[Any], width: int, *, fill: float) -> NDArray[Any]:
    wide = np.full(width, fill, vector.dtype)
    wide[: len(vector)] = vector
    return wide


def _places(channels: int, spec: Spec) -> NDArray[np.intp]:
    """Where the lags of the first channels stand among those of all."""
    return np.concatenate([np.arange(channels) + j * spec.channels for j in range(spec.lags + 1)])


def _spread_moments(row: RowFit, spec: Spec) -> NDArray[np.float64]:
    """Moments at the places that padded channels leave them ((p+1) c, (p+1) c)."""
    at = _places(len(row.center), spec)
    wide = np.zeros(((spec.lags + 1) * spec.channels,) * 2)
    wide[np.ix_(at, at)] = row.moments
    return wide
