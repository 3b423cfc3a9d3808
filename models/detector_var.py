"""Run the graph of the VAR. A call scores many rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from models.asked import NO, YES, checked, heads_of, named, whole_rows
from models.bundles.bundle import PARAMETERS
from models.graphs.onnx_types import BLOCK_SAMPLES_MAX
from models.steady.prepared import Beside, Prepared, prepared
from models.steady.var import VarWay

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from models.asked import F32, Mask, Named, Parameters, Session
    from models.bundles.bundle import Spec
    from models.heads.notes import Head

MASKED_CELLS_MAX: Final = 2**21  # a n c c of the masked way: 8 MB a temporary
HOT_VALUES_MAX: Final = 2**14  # a n c of the short way: its temporaries stay in the L2 cache,
HOT_ROWS_MIN: Final = 128  # unless so few rows would be left that calls cost more than they do


class Detector:
    """A loaded graph of the VAR. Holds no state of any row: `score` takes it and gives it back."""

    def __init__(self, session: Session, spec: Spec) -> None:
        self._session = session
        self.spec = spec
        self._way = VarWay(spec)
        self.heads = heads_of(session)
        first = sum(self.spec.state_sizes[:2]) + 3 * len(self.spec.lambdas)
        self._run_at, self._full_at = first, first + 1
        keep = 1.0 - np.array(self.spec.lambdas, np.float32)
        self._keep = np.concatenate([np.repeat(keep, 2 * self.spec.channels), np.tile(keep**2, 3)])

    def initial_state(self, rows: int) -> F32:
        """State of rows that have seen nothing (rows, s) float32."""
        return np.zeros((rows, self.spec.state_width), np.float32)

    def prepared(self, parameters: Parameters) -> Parameters:
        """Parameters (a, ...) for many calls: steady rows take the short way, if the graph agrees.

        That changes scores by rounding only. The arrays must not change afterwards.
        """
        return prepared(self._way, parameters, self._by_graph)

    def score(self, x: F32, valid: Mask, state: F32, parameters: Parameters) -> tuple[F32, F32]:
        """Score consecutive samples of several rows.

        x: (a, n, c) float32 in engineering units, anything where not valid   valid: (a, n, c) bool
        state: (a, s) as `initial_state` or the last call gave it, not changed
        parameters: stack of one row each (a, ...), better as `prepared`
        Returns score (a, n) float32, -log10 of a tail probability, NaN: not ready; and the new
        state (a, s).
        How a stream is cut into calls, and what else is in a call, changes scores by rounding only.
        Raises ModelError where shapes do not fit.
        """
        if isinstance(parameters, Prepared) and parameters.quick is not None:
            told = parameters.quick(x, valid, state)
            if told is not None:
                return told
        if isinstance(parameters, Beside):
            return parameters.score(self.score, x, valid, state)
        valid = checked(self.spec, x, valid, state, parameters)
        rows, n = valid.shape[:2]
        parts: list[F32] = []
        start = 0
        while start < n:
            stop = min(n, start + self._block_samples(state, parameters))
            scores, state = self._block(x[:, start:stop], valid[:, start:stop], state, parameters)
            parts.append(scores)
            start = stop
        if len(parts) == 1:
            return parts[0], state
        return (np.concatenate(parts, axis=1) if parts else np.empty((rows, 0), np.float32)), state

    def contribute(self, x: F32, valid: Mask, state: F32, parameters: Parameters) -> F32:
        """Share of each channel in each score (a, n, c) float32; arguments as `score`.

        Non-negative, exactly 0 where not valid, sums to 1; all 0 where the score is NaN.
        """
        valid = checked(self.spec, x, valid, state, parameters)
        settled = self._settled(state, parameters)
        complete = np.asarray(settled.all() and whole_rows(valid, parameters).all())
        step = self._masked_samples(len(valid))
        parts = []
        for start in range(0, valid.shape[1], step):
            block = slice(start, start + step)
            feed = self._feed(x[:, block], valid[:, block], state, parameters)
            feed |= {"complete": complete, "explain": YES}
            share, state = self._session.run(["contribution", "state_out"], feed)
            parts.append(share)
        return np.concatenate(parts, axis=1) if parts else np.zeros(x.shape, np.float32)

    def classify(self, x: F32, valid: Mask, parameters: Parameters, *, head: Head) -> list[Named]:
        """What a head says of windows x (a, n, c), each a whole; arguments as `score`."""
        state = self.initial_state(len(x))
        valid = checked(self.spec, x, valid, state, parameters)
        feed = self._feed(x, valid, state, parameters) | {"complete": YES, "explain": NO}
        return named(self._session, feed, head)

    def _block_samples(self, state: F32, parameters: Parameters) -> int:
        """How long the next block may be: a row that is settling need not take the long way on."""
        if len(state) != 1:
            return BLOCK_SAMPLES_MAX
        cold = float(parameters["settle"][0, 0]) + self.spec.lags - float(state[0, self._run_at])
        return int(cold) if 0 < cold < BLOCK_SAMPLES_MAX else BLOCK_SAMPLES_MAX

    def _block(self, x: F32, valid: Mask, state: F32, parameters: Parameters) -> tuple[F32, F32]:
        """At most BLOCK_SAMPLES_MAX samples: each row by the way that its mask and state allow."""
        if not isinstance(parameters, Prepared):
            return self._by_graph(x, valid, state, parameters)
        whole = whole_rows(valid, parameters)
        told = parameters.score(x, whole, state) if whole.any() else None
        if told is None:
            return self._by_graph(x, valid, state, parameters)
        steady, score, after = told  # rows of no concern ride along
        if steady.all():
            return score, after
        rest = np.flatnonzero(~steady)
        dead = ~valid[rest].any(axis=(1, 2))
        score[rest], after[rest] = np.nan, self._gap(state[rest], valid.shape[1])
        rest = rest[~dead]
        if len(rest):
            own = parameters.of(rest)
            score[rest], after[rest] = self._by_graph(x[rest], valid[rest], state[rest], own)
        return score, after

    def _by_graph(self, x: F32, valid: Mask, state: F32, parameters: Parameters) -> tuple[F32, F32]:
        """Likewise: complete and settled rows by the graph's short way, the others by its long."""
        easy = np.logical_and(whole_rows(valid, parameters), self._settled(state, parameters))
        if easy.all():
            return self._complete(x, valid, state, parameters)
        hard = np.flatnonzero(~easy)
        dead = ~(valid & parameters["present"][:, None])[hard].any(axis=(1, 2))
        score = np.full(valid.shape[:2], np.nan, np.float32)
        after = self._gap(state, valid.shape[1])
        if easy.any():  # rows of no concern ride along: cheaper than copying the others' parameters
            told, moved = self._complete(x, valid, state, parameters)
            score[easy], after[easy] = told[easy], moved[easy]
        hard = hard[~dead]
        step = self._masked_samples(len(hard))
        own = {name: parameters[name][hard] for name in PARAMETERS}
        old = state[hard]
        for start in range(0, valid.shape[1] if len(hard) else 0, step):
            block = slice(start, start + step)
            told, old = self._run(x[hard, block], valid[hard, block], old, own, complete=NO)
            score[hard, block] = told
        if len(hard):
            after[hard] = old
        return score, after

    def _settled(self, state: F32, parameters: Parameters) -> Mask:
        """Which rows (a,) have been complete for as long as lags reach, and are not at a start."""
        warm = state[:, self._run_at] >= parameters["settle"][:, 0] + self.spec.lags
        settled: Mask = warm & (state[:, self._full_at] >= self.spec.lags)
        return settled

    def _complete(self, x: F32, valid: Mask, state: F32, parameters: Parameters) -> tuple[F32, F32]:
        """The short way for every row, some rows a call: the hot loop."""
        rows, n, c = x.shape
        step = max(HOT_ROWS_MIN, HOT_VALUES_MAX // (n * c))
        if rows <= step:
            return self._run(x, valid, state, parameters, complete=YES)
        score = np.empty((rows, n), np.float32)
        after = np.empty(state.shape, np.float32)
        for start in range(0, rows, step):
            some = slice(start, start + step)
            own = {name: parameters[name][some] for name in PARAMETERS}
            score[some], after[some] = self._run(
                x[some], valid[some], state[some], own, complete=YES
            )
        return score, after

    def _gap(self, state: F32, n: int) -> F32:
        """State after n samples without a valid value: EWMAs fade, lags and run start over."""
        after = state.copy()
        lags, _, _, u = self.spec.state_sizes
        after[:, :lags] = 0.0
        after[:, lags : self._run_at] *= self._keep**n
        after[:, -u:] = 0.0
        after[:, self._run_at] = after[:, self._full_at] = 0.0
        return after

    def _run(
        self,
        x: F32,
        valid: Mask,
        state: F32,
        parameters: Parameters,
        *,
        complete: NDArray[np.bool_],
    ) -> tuple[F32, F32]:
        feed = self._feed(x, valid, state, parameters) | {"complete": complete, "explain": NO}
        score, after = self._session.run(["score", "state_out"], feed)
        return score, after

    def _feed(self, x: F32, valid: Mask, state: F32, parameters: Parameters) -> dict[str, Any]:
        feed: dict[str, Any] = {name: parameters[name] for name in PARAMETERS}
        return feed | {"x": x, "valid": valid, "state": state}

    def _masked_samples(self, rows: int) -> int:
        """Samples of a masked block, so that its temporaries stay small."""
        cells = max(rows, 1) * self.spec.channels**2
        return int(np.clip(MASKED_CELLS_MAX // cells, 1, BLOCK_SAMPLES_MAX))
