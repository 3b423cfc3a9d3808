"""Run a graph of ours around an imported model; used as `models.detector.Detector` is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np

from models.errors import ModelError
from models.foreign.imported import IMPORTED_PARAMETERS
from models.graphs.onnx_types import BLOCK_SAMPLES_MAX, MISSING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from models.foreign.imported import ImportedSpec

    F32 = NDArray[np.float32]
    Mask = NDArray[np.bool_]
    Parameters = Mapping[str, NDArray[Any]]

WINDOW_CELLS_MAX: Final = 2**19  # a n w c, what the model is given at once


class Session(Protocol):
    """What runs a graph."""

    def run(self, names: list[str], feed: dict[str, Any]) -> list[Any]:
        """The outputs named, for these inputs."""


class ImportedDetector:
    """A loaded graph around an imported model. Holds no state of any row."""

    def __init__(self, session: Session, spec: ImportedSpec) -> None:
        self._session = session
        self.spec = spec

    def initial_state(self, rows: int) -> F32:
        """State of rows that have seen nothing (rows, s) float32."""
        state = np.zeros((rows, self.spec.state_width), np.float32)
        state[:, : self.spec.state_sizes[0]] = MISSING
        return state

    def prepared(self, parameters: Parameters) -> Parameters:
        """Parameters (a, ...) for many calls: as they are."""
        return parameters

    def score(self, x: F32, valid: Mask, state: F32, parameters: Parameters) -> tuple[F32, F32]:
        """Score (a, n) of samples x (a, n, c), and the state (a, s); else as `Detector.score`."""
        told = self.told(["score"], x, valid, state, parameters)
        return told["score"], told["state_out"]

    def contribute(self, x: F32, valid: Mask, state: F32, parameters: Parameters) -> F32:
        """Share of each channel in each score (a, n, c) float32; arguments as `score`.

        Of residuals, those of the view that won. Of a score, how much of its strangeness goes when
        the channel is at its center for the whole window (occlusion, Zeiler & Fergus 2014); where
        nothing goes, each valid channel alike. Non-negative, exactly 0 where not valid, sums to 1;
        all 0 where the score is NaN.
        """
        if self.spec.kind != "score":
            names = ["contribution"]
            return self.told(names, x, valid, state, parameters)["contribution"]
        told = self.told(["score", "given"], x, valid, state, parameters)
        there = valid & np.isfinite(x) & parameters["present"][:, None]
        ready = np.isfinite(told["score"])[..., None] & there
        falls = np.zeros(x.shape, np.float32)
        for i in range(self.spec.channels):
            calm, before = self._occluded(i, x, state, parameters)
            given = self.told(["given"], calm, valid, before, parameters)["given"]
            falls[:, :, i] = np.maximum(told["given"] - given, 0.0)[:, :, 0]
        falls = np.where(ready, np.nan_to_num(falls) + np.float32(1e-12), 0.0).astype(np.float32)
        total = falls.sum(axis=2, keepdims=True)
        shares: F32 = np.divide(falls, total, out=np.zeros_like(falls), where=total > 0)
        return shares

    def _occluded(self, i: int, x: F32, state: F32, parameters: Parameters) -> tuple[F32, F32]:
        """Samples (a, n, c) and the state before them with channel i at its center."""
        spec, center = self.spec, parameters["center"][:, i]
        calm, before = x.copy(), state.copy()
        calm[:, :, i] = center[:, None]
        line = before[:, : spec.state_sizes[0]].reshape(len(x), spec.line, spec.channels)
        mine = line[:, :, i]  # a view of the state
        mine[:] = np.where(mine < MISSING / 10, center[:, None], mine)
        return calm, before

    def told(
        self, names: list[str], x: F32, valid: Mask, state: F32, parameters: Parameters
    ) -> dict[str, F32]:
        """Outputs of the graph by name, each (a, n, ...), and the new `state_out` (a, s).

        Raises ModelError where shapes do not fit.
        """
        spec = self.spec
        rows, n = valid.shape[:2]
        if x.shape != valid.shape or valid.shape[2] != spec.channels or len(state) != rows:
            raise ModelError(
                f"values have shape {x.shape}, valid {valid.shape}, expected"
                f" ({len(state)}, n, {spec.channels}) both"
            )
        if state.shape[1] != spec.state_width or len(parameters["present"]) != rows:
            raise ModelError(
                f"state has shape {state.shape} and parameters {len(parameters['present'])} rows,"
                f" expected ({rows}, {spec.state_width}) and {rows}"
            )
        valid = valid & np.isfinite(x)
        cells = max(rows, 1) * spec.window * spec.channels
        step = int(np.clip(WINDOW_CELLS_MAX // cells, 1, BLOCK_SAMPLES_MAX))
        feed: dict[str, Any] = {name: parameters[name] for name in IMPORTED_PARAMETERS}
        parts: dict[str, list[F32]] = {name: [] for name in names}
        for start in range(0, n if rows else 0, step):
            block = slice(start, start + step)
            feed |= {"x": x[:, block], "valid": valid[:, block], "state": state}
            *given, state = self._session.run([*names, "state_out"], feed)
            for name, part in zip(names, given, strict=True):
                parts[name].append(part)
        empty = np.empty((rows, 0), np.float32)
        told = {
            name: np.concatenate(part, axis=1) if part else empty for name, part in parts.items()
        }
        return told | {"state_out": state}
