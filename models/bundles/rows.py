"""Fitted rows to the stacked arrays of a part and back, for each kind of detector.

What differs between kinds outside their graphs stands here: names and shapes of parameters, and
what becomes of a row that is padded, taken back, or solved anew without some channels.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from models.bundles.bundle import PARAMETERS, STREAM_PARAMETERS, RowFit, Spec, StreamRow, StreamSpec
from models.bundles.tabled_kinds import (
    ENSEMBLE_PARAMETERS,
    PCA_PARAMETERS,
    EnsembleRow,
    EnsembleSpec,
    PcaRow,
    PcaSpec,
)
from models.errors import ModelError
from models.fitting.components import plane_and_rest
from models.fitting.var import graph_weights, masked_parameters
from models.foreign.imported import (
    IMPORTED_NOT_FITTED,
    IMPORTED_PARAMETERS,
    ImportedRow,
    ImportedSpec,
    arrays_of,
    imported_shapes,
    row_of,
)
from models.graphs.ensemble import build_ensemble_graph
from models.graphs.graph import build_graph
from models.graphs.pca import build_pca_graph
from models.graphs.stream import build_stream_graph

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from models.bundles.bundle import AnyRow, AnySpec, Bundle

    Arrays = dict[str, NDArray[Any]]
    Shapes = dict[str, tuple[tuple[int, ...], str]]


GRAPHS_KEPT: Final = 16  # of the specs last asked for: assets of a plant share a few


@lru_cache(maxsize=GRAPHS_KEPT)
def graph_of(spec: AnySpec) -> bytes:
    """The serialised ONNX model of a detector; equal specs give equal bytes.

    Raises ModelError for an imported one: it comes with its fit.
    """
    if isinstance(spec, ImportedSpec):
        raise ModelError(IMPORTED_NOT_FITTED)
    if isinstance(spec, PcaSpec):
        return build_pca_graph(spec)
    if isinstance(spec, EnsembleSpec):
        return build_ensemble_graph(spec)
    return build_stream_graph(spec) if isinstance(spec, StreamSpec) else build_graph(spec)


def parameter_names(spec: AnySpec) -> tuple[str, ...]:
    """Inputs of the graph that hold a row an asset and baseline."""
    if isinstance(spec, PcaSpec):
        return PCA_PARAMETERS
    if isinstance(spec, EnsembleSpec):
        return ENSEMBLE_PARAMETERS
    if isinstance(spec, ImportedSpec):
        return IMPORTED_PARAMETERS
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
    if isinstance(spec, ImportedSpec):
        return common | imported_shapes(spec, rows)
    if isinstance(spec, StreamSpec):
        tails = (rows, spec.views, spec.bins)
        return common | {
            "bank": ((rows, spec.bank, spec.window), "float32"),
            "tail_counts": (tails, "float32"),
            "tail_sums": (tails, "float32"),
            "moments": ((rows, 0, 0), "float64"),
        }
    tables: Shapes = {
        "settle": ((rows, 1), "float32"),
        "tail_knots": ((rows, spec.views, spec.knots), "float32"),
        "tail_slopes": ((rows, spec.views, spec.knots), "float32"),
    }
    if isinstance(spec, PcaSpec):
        forms: Shapes = dict.fromkeys(("covariance", "plane", "rest"), ((rows, c, c), "float32"))
        return common | tables | forms | {"moments": ((rows, 0, 0), "float64")}
    if isinstance(spec, EnsembleSpec):
        m = spec.members
        members: Shapes = {
            "directions": ((rows, c, m), "float32"),
            "low": ((rows, m), "float32"),
            "width": ((rows, m), "float32"),
            "table": ((rows, m, spec.bins), "float32"),
            "spread": ((rows, m, m), "float32"),
            "moments": ((rows, 0, 0), "float64"),
        }
        return common | tables | members
    wide = (spec.lags + 1) * c
    return (
        common
        | tables
        | {
            "weights": ((rows, wide, 2 * c), "float32"),
            "mixing": ((rows, c, c), "float32"),
            "evenness": ((rows, len(spec.lambdas), c), "float32"),
            "moments": ((rows, wide, wide), "float64"),
        }
    )


def padded(row: AnyRow, spec: AnySpec) -> Arrays:
    """Everything of one row as `shapes` has it, padded with channels that are not there."""
    if isinstance(row, ImportedRow):
        return arrays_of(row)
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
    tables: Arrays = {
        "settle": np.array([row.settle], np.float32),
        "tail_knots": row.knots.astype(np.float32),
        "tail_slopes": row.slopes.astype(np.float32),
    }
    plain: Arrays = {"wanders": np.zeros(c, np.bool_), "moments": np.empty((0, 0))}
    if isinstance(row, PcaRow):
        square = np.eye(c)
        square[: len(row.center), : len(row.center)] = row.covariance
        return arrays | tables | plain | _forms(square, arrays["present"])
    if isinstance(row, EnsembleRow):
        assert isinstance(spec, EnsembleSpec), "rows of a part are of one kind"
        return arrays | tables | plain | _members(row, spec)
    assert isinstance(spec, Spec), "rows of a part are of one kind"
    wanders = _wide(row.wanders, c, fill=False)
    moments = _spread_moments(row, spec)
    weights, mixing = graph_weights(
        moments, wanders, arrays["present"], lags=spec.lags, rows=row.learned
    )
    return (
        arrays
        | tables
        | {
            "weights": weights.astype(np.float32),
            "mixing": mixing.astype(np.float32),
            "evenness": np.stack([_wide(each, c, fill=1.0) for each in row.evenness]).astype(
                np.float32
            ),
            "wanders": wanders,
            "moments": moments,
        }
    )


def stored(bundle: Bundle, row: int, channels: int) -> AnyRow:
    """A row of a bundle as it was fitted, without its padding."""
    part, row = bundle.place(row)
    spec = part.spec
    p = {name: value[row] for name, value in part.parameters.items()}
    if isinstance(spec, ImportedSpec):
        return row_of(p, learned=int(part.learned[row]))
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
    if isinstance(spec, PcaSpec):
        return PcaRow(
            center=center,
            sigma=sigma,
            present=present,
            covariance=p["covariance"][:channels, :channels].astype(np.float64),
            learned=int(part.learned[row]),
            knots=p["tail_knots"].astype(np.float64),
            slopes=p["tail_slopes"].astype(np.float64),
            fusion=fusion,
            settle=int(p["settle"][0]),
        )
    if isinstance(spec, EnsembleSpec):
        own = slice(spec.projections + channels)
        return EnsembleRow(
            center=center,
            sigma=sigma,
            present=present,
            directions=p["directions"][:channels, own].astype(np.float64),
            low=p["low"][own].astype(np.float64),
            width=p["width"][own].astype(np.float64),
            table=p["table"][own].astype(np.float64),
            spread=p["spread"][own, own].astype(np.float64),
            learned=int(part.learned[row]),
            knots=p["tail_knots"].astype(np.float64),
            slopes=p["tail_slopes"].astype(np.float64),
            fusion=fusion,
            settle=int(p["settle"][0]),
        )
    places = _places(channels, spec)
    return RowFit(
        center=center,
        sigma=sigma,
        present=present,
        wanders=part.wanders[row][:channels],
        moments=part.moments[row][np.ix_(places, places)],
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
    if isinstance(part.spec, Spec):
        return masked_parameters(part, row, keep)
    derived = {name: value[row : row + 1].copy() for name, value in part.parameters.items()}
    derived["present"] = derived["present"] & keep
    if isinstance(part.spec, PcaSpec):
        square = derived["covariance"][0].astype(np.float64)
        forms = _forms(square, derived["present"][0])
        derived |= {name: form[None] for name, form in forms.items()}
    return derived


def _members(row: EnsembleRow, spec: EnsembleSpec) -> Arrays:
    """Histograms and projections at the places that padded channels leave them: at the front."""
    m, own = spec.members, len(row.low)
    spread, table = np.eye(m), np.zeros((m, spec.bins))
    spread[:own, :own], table[:own] = row.spread, row.table
    directions = np.zeros((spec.channels, m))
    directions[: len(row.center), :own] = row.directions
    arrays = {
        "directions": directions,
        "low": _wide(row.low, m, fill=0.0),
        "width": _wide(row.width, m, fill=1.0),
        "table": table,
        "spread": spread,
    }
    return {name: array.astype(np.float32) for name, array in arrays.items()}


def _forms(covariance: NDArray[np.float64], present: NDArray[np.bool_]) -> Arrays:
    """Inputs (c, c) that principal components are scored with."""
    forms = plane_and_rest(covariance, present)
    names = ("covariance", "plane", "rest")
    return {name: form.astype(np.float32) for name, form in zip(names, forms, strict=True)}


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
