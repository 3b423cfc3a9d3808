"""Run the graphs that score all rows in one way: streams of one channel, and stored tails alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from models.asked import checked, heads_of, named, whole_rows
from models.bundles.bundle import STREAM_PARAMETERS
from models.bundles.tabled_kinds import PcaSpec
from models.graphs.onnx_types import BLOCK_SAMPLES_MAX, MISSING
from models.steady.prepared import Beside, Prepared, prepared
from models.steady.tabled import EnsembleWay, PcaWay

if TYPE_CHECKING:
    from models.asked import F32, Mask, Named, Parameters, Session
    from models.bundles.bundle import StreamSpec
    from models.bundles.tabled_kinds import EnsembleSpec
    from models.heads.notes import Head

MASKED_CELLS_MAX: Final = 2**21  # a n c c of a call: 8 MB a temporary
TAIL_CELLS_MAX: Final = 2**20  # a n V bins of streams, of which some ten are held at a time


class StreamDetector:
    """A loaded graph of streams of one channel; used as `Detector` is."""

    def __init__(self, session: Session, spec: StreamSpec) -> None:
        self._session = session
        self.spec = spec
        self.heads = heads_of(session)

    def initial_state(self, rows: int) -> F32:
        """State of rows that have seen nothing (rows, s) float32."""
        state = np.zeros((rows, self.spec.state_width), np.float32)
        state[:, : self.spec.state_sizes[0]] = MISSING
        return state

    def prepared(self, parameters: Parameters) -> Parameters:
        """Parameters (a, ...) for many calls: as they are."""
        return parameters

    def score(self, x: F32, valid: Mask, state: F32, parameters: Parameters) -> tuple[F32, F32]:
        """Score consecutive samples of several rows, x (a, n, 1); else as `Detector.score`."""
        valid = checked(self.spec, x, valid, state, parameters)
        rows, n = valid.shape[:2]
        cells = max(rows, 1) * self.spec.views * self.spec.bins
        step = int(np.clip(TAIL_CELLS_MAX // cells, 1, BLOCK_SAMPLES_MAX))
        score = np.full((rows, n), np.nan, np.float32)
        feed: dict[str, Any] = {name: parameters[name] for name in STREAM_PARAMETERS}
        for start in range(0, n if rows else 0, step):
            block = slice(start, start + step)
            feed |= {"x": x[:, block], "valid": valid[:, block], "state": state}
            score[:, block], state = self._session.run(["score", "state_out"], feed)
        return score, state

    def classify(self, x: F32, valid: Mask, parameters: Parameters, *, head: Head) -> list[Named]:
        """What a head says of windows x (a, n, 1), as `Detector.classify`."""
        state = self.initial_state(len(x))
        valid = checked(self.spec, x, valid, state, parameters)
        feed: dict[str, Any] = {name: parameters[name] for name in STREAM_PARAMETERS}
        return named(self._session, feed | {"x": x, "valid": valid, "state": state}, head)

    def contribute(self, x: F32, valid: Mask, state: F32, parameters: Parameters) -> F32:
        """Share of the only channel in each score (a, n, 1) float32: 1, or 0 where it is NaN."""
        score, _ = self.score(x, valid, state, parameters)
        return np.isfinite(score).astype(np.float32)[:, :, None]


class TabledDetector:
    """A loaded graph that also tells the deviates of its views; used as `Detector` is."""

    def __init__(self, session: Session, spec: PcaSpec | EnsembleSpec) -> None:
        self._session = session
        self.spec = spec
        self.heads = heads_of(session)
        self._way = PcaWay(spec) if isinstance(spec, PcaSpec) else EnsembleWay(spec)
        self._names = self._way.names

    def initial_state(self, rows: int) -> F32:
        """State of rows that have seen nothing (rows, s) float32."""
        return np.zeros((rows, self.spec.state_width), np.float32)

    def prepared(self, parameters: Parameters) -> Parameters:
        """Parameters (a, ...) for many calls, as `Detector.prepared`."""
        return prepared(self._way, parameters, self._by_graph)

    def score(self, x: F32, valid: Mask, state: F32, parameters: Parameters) -> tuple[F32, F32]:
        """Score consecutive samples of several rows, x (a, n, c); else as `Detector.score`."""
        if isinstance(parameters, Prepared) and parameters.quick is not None:
            quick = parameters.quick(x, valid, state)
            if quick is not None:
                return quick
        if isinstance(parameters, Beside):
            return parameters.score(self.score, x, valid, state)
        valid = checked(self.spec, x, valid, state, parameters)
        if not isinstance(parameters, Prepared):
            return self._by_graph(x, valid, state, parameters)
        told = parameters.score(x, whole_rows(valid, parameters), state)
        if told is None:
            return self._by_graph(x, valid, state, parameters)
        steady, score, after = told
        rest = np.flatnonzero(~steady)
        if len(rest):
            own = parameters.of(rest)
            score[rest], after[rest] = self._by_graph(x[rest], valid[rest], state[rest], own)
        return score, after

    def _by_graph(self, x: F32, valid: Mask, state: F32, parameters: Parameters) -> tuple[F32, F32]:
        """Likewise by the graph, rows with holes apart from those without."""
        holed = (parameters["present"][:, None] & ~valid).any(axis=(1, 2))
        if holed.all() or not holed.any():
            score, state = self._run(["score", "state_out"], x, valid, state, parameters)
            return score, state
        score, after = np.empty(valid.shape[:2], np.float32), state.copy()
        for rows in np.flatnonzero(holed), np.flatnonzero(~holed):
            own = {name: parameters[name][rows] for name in self._names}
            told = self._run(["score", "state_out"], x[rows], valid[rows], state[rows], own)
            score[rows], after[rows] = told
        return score, after

    def classify(self, x: F32, valid: Mask, parameters: Parameters, *, head: Head) -> list[Named]:
        """What a head says of windows x (a, n, c), as `Detector.classify`."""
        state = self.initial_state(len(x))
        valid = checked(self.spec, x, valid, state, parameters)
        feed: dict[str, Any] = {name: parameters[name] for name in self._names}
        return named(self._session, feed | {"x": x, "valid": valid, "state": state}, head)

    def contribute(self, x: F32, valid: Mask, state: F32, parameters: Parameters) -> F32:
        """Share of each channel in each score (a, n, c); as `Detector.contribute`."""
        valid = checked(self.spec, x, valid, state, parameters)
        share, _ = self._run(["contribution", "state_out"], x, valid, state, parameters)
        return share

    def deviates(self, x: F32, valid: Mask, parameters: Parameters) -> tuple[F32, F32]:
        """Scores (a, n) from nothing on, and deviates (a, n, V) that they are made of."""
        state = self.initial_state(len(x))
        valid = checked(self.spec, x, valid, state, parameters)
        own = {name: parameters[name] for name in self._names}
        parts = []
        for begin in range(0, x.shape[1], BLOCK_SAMPLES_MAX):
            block = slice(begin, begin + BLOCK_SAMPLES_MAX)
            feed = own | {"x": x[:, block], "valid": valid[:, block], "state": state}
            *told, state = self._session.run(["score", "deviates", "state_out"], feed)
            parts.append(told)
        scores, found = zip(*parts, strict=True)
        return np.concatenate(scores, axis=1), np.concatenate(found, axis=1)

    def _run(
        self, names: list[str], x: F32, valid: Mask, state: F32, parameters: Parameters
    ) -> tuple[F32, F32]:
        """One output over all samples, in blocks that stay small, and the state after them."""
        cells = max(len(x), 1) * self.spec.channels**2
        step = int(np.clip(MASKED_CELLS_MAX // cells, 1, BLOCK_SAMPLES_MAX))
        own = {name: parameters[name] for name in self._names}
        parts = []
        for begin in range(0, x.shape[1], step):
            block = slice(begin, begin + step)
            feed = own | {"x": x[:, block], "valid": valid[:, block], "state": state}
            told, state = self._session.run(names, feed)
            parts.append(told)
        wide = () if names[0] == "score" else (self.spec.channels,)
        nothing = np.empty((len(x), 0, *wide), np.float32)
        return (np.concatenate(parts, axis=1) if parts else nothing), state
