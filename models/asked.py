"""What every loaded graph is asked alike: whether shapes fit, and what its heads say of windows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np

from models.errors import ModelError
from models.heads.notes import NOTES, Head, notes_in

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from models.bundles.bundle import AnySpec

    F32 = NDArray[np.float32]
    Mask = NDArray[np.bool_]
    Parameters = Mapping[str, NDArray[Any]]
    # None: abstained; p of the likeliest; of all
    Named = tuple[str | None, float, dict[str, float]]

NO: Final = np.zeros((), np.bool_)
YES: Final = np.ones((), np.bool_)


class Session(Protocol):
    """What runs a graph, with notes beside it."""

    def run(self, names: list[str], feed: dict[str, Any]) -> list[Any]:
        """The outputs named, for these inputs."""

    def get_modelmeta(self) -> Any:  # noqa: ANN401 - a record of onnxruntime
        """What the graph says of itself."""


def heads_of(session: Session) -> dict[str, Head]:
    """The heads of a graph by asset; {} of a graph that names nothing."""
    notes = notes_in(session.get_modelmeta().custom_metadata_map.get(NOTES, ""))
    return {
        asset: Head(index=i, classes=note.classes, windows=sum(note.counts.values()))
        for i, note in enumerate(notes)
        for asset in note.assets
    }


def named(session: Session, feed: dict[str, Any], head: Head) -> list[Named]:
    """What a head says of the windows x (a, n, c) of a feed."""
    feed |= {"classify": YES, "head": np.array(head.index, np.int64)}
    named, likely = session.run(["named", "class_p"], feed)
    told = []
    for k, p in zip(named.tolist(), likely[:, : len(head.classes)], strict=True):
        of_class = dict(zip(head.classes, p.tolist(), strict=True))
        told.append((head.classes[k] if k >= 0 else None, float(p.max()), of_class))
    return told


def checked(spec: AnySpec, x: F32, valid: Mask, state: F32, parameters: Parameters) -> Mask:
    """Which values are valid (a, n, c). Raises ModelError where shapes do not fit."""
    rows, c = len(state), spec.channels
    if x.ndim != 3 or x.shape[0] != rows or x.shape[2] != c or valid.shape != x.shape:
        raise ModelError(
            f"values have shape {x.shape}, valid {valid.shape}, expected ({rows}, n, {c}) both"
        )
    given = len(parameters["present"])
    if state.shape[1] != spec.state_width or given != rows:
        wanted = f"({rows}, {spec.state_width}) and {rows}"
        raise ModelError(
            f"state has shape {state.shape}, parameters {given} rows, expected {wanted}"
        )
    blank = np.isnan(x)  # NaN taken for valid would stay in the state for ever: fail closed here
    return valid & ~blank if blank.any() else valid


def whole_rows(valid: Mask, parameters: Parameters) -> Mask:
    """Which rows (a,) of valid (a, n, c) miss nothing that they see at all."""
    if valid.all():
        return np.ones(len(valid), np.bool_)
    return np.asarray((valid | ~parameters["present"][:, None]).all(axis=(1, 2)))
