"""Run an imported model inside a detector of ours; used as `models.detector.Detector` is.

A row keeps its newest w samples (`models.window_ring`) as the model takes them: scaled as they
come, if it takes sigmas. `models.window_calls` brings windows into the model, some hundred at a
time, `models.stream_calls` samples into one whose layers remember; what the model says of all rows
is judged at once (`models.judge`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from models.errors import ModelError
from models.foreign.imported import TALLIES
from models.graphs.onnx_types import BLOCK_SAMPLES_MAX, KNOWN_MAX, MISSING
from models.judge import Judge
from models.product_calls import ProductCalls
from models.stream_calls import StreamCalls
from models.window_calls import WindowCalls
from models.window_ring import newest, run_lengths, write

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from models.foreign.imported import ImportedSpec
    from models.imported_loading import ImportedParts

    F32 = NDArray[np.float32]
    Mask = NDArray[np.bool_]
    Parameters = Mapping[str, NDArray[Any]]
    Places = slice | NDArray[np.intp] | tuple[NDArray[np.intp], ...]

AT, GAPLESS, WHOLE, ASKED, HELD, STREAMED = range(TALLIES)  # of a state's head
BLOCK_CELLS_MAX: Final = 2**21  # a n c of a block
TILED_MAX: Final = 2**21  # values of levels that are kept side by side
NO_SHARE: Final = np.float32(1e-12)
MARK: Final = b"imported"  # stands in the spec of such a graph, as it stands in the file


def is_imported(graph: bytes) -> bool:
    """Whether a graph may be around an imported model; others are loaded without being read."""
    return MARK in graph


def imported(graph: bytes, opened: Callable[[bytes], Any]) -> tuple[ImportedParts, ImportedSpec]:
    """The parts of a graph around an imported model, and its spec; as `imported_parts`."""
    from models.imported_loading import imported_parts  # noqa: PLC0415 - onnx, for these alone

    return imported_parts(graph, opened)


class ImportedDetector:
    """An imported model and what judges it. Holds no state of any row; one thread at a time."""

    def __init__(self, parts: ImportedParts, spec: ImportedSpec) -> None:
        self._calls = WindowCalls(parts.model, spec) if parts.model else None
        self._products = ProductCalls(parts.products, spec) if parts.products else None
        self._stream = StreamCalls(*parts.stream, spec) if parts.stream else None
        self._judge = Judge(parts.step_judge, parts.block_judge, parts.lines_judge, spec)
        self._tiled = (none := np.empty((0, 0), np.float32)), none, (none, none)
        self.spec, self.slides = spec, True  # over blocks, where that is quicker

    def initial_state(self, rows: int) -> F32:
        """State of rows that have seen nothing (rows, s) float32."""
        state = np.zeros((rows, self.spec.state_width), np.float32)
        state[:, HELD] = np.nan
        state[:, self.spec.past_from : self.spec.carried_from] = MISSING
        return state

    def prepared(self, parameters: Parameters) -> Parameters:
        """Parameters (a, ...) for many calls: as they are."""
        return parameters

    def score(self, x: F32, valid: Mask, state: F32, parameters: Parameters) -> tuple[F32, F32]:
        """Score (a, n) of samples x (a, n, c), and the state (a, s); else as `Detector.score`."""
        after = state.copy()
        return self.advance(x, valid, after, parameters), after

    def advance(self, x: F32, valid: Mask, state: F32, parameters: Parameters) -> F32:
        """Score (a, n) as `score` does, and leave the state after it in `state` (a, s): no copies.

        The way of a tick, for rows whose state of before nobody needs.
        """
        spec, n = self.spec, x.shape[1] if x.ndim == 3 else 0
        there = self._there(x, valid, state, parameters)
        fresh = self._fresh(x, there, parameters)
        head = np.ascontiguousarray(state[:, : spec.head].T)  # (h, a)
        few = 0 < n <= min(spec.hop, spec.window) and len(state) > 0
        if few and head[ASKED].max() + n <= spec.hop:
            score = self._step(fresh, there, state, head, parameters)
        else:
            parts = [np.empty((len(state), 0), np.float32)]
            for block in self._blocks(x):
                some = there[:, block]
                of = fresh[:, block], some, state, head, parameters
                given, now = self._given(*of, hop=spec.hop, streamed=self._stream is not None)
                if self._judge.in_lines(len(given)):
                    told = self._judge.lines(given[:, :, 0], head, parameters)
                else:
                    told, _ = self._judge.block(given, head, parameters)
                parts.append(self._held(told, now, some, head))
            score = np.concatenate(parts, axis=1)
        state[:, : spec.head] = head.T
        return score

    def given(self, x: F32, valid: Mask, state: F32, parameters: Parameters) -> F32:
        """What the model gives (a, n, M), signed or as residual; NaN: nothing, or not asked."""
        streamed = self._stream is not None
        return self._asked(x, valid, state, parameters, hop=self.spec.hop, streamed=streamed)[0]

    def contribute(self, x: F32, valid: Mask, state: F32, parameters: Parameters) -> F32:
        """Share of each channel in each score (a, n, c) float32; arguments as `score`.

        Of residuals, those of the view that won. Of a score, how much of its strangeness goes when
        the channel is at its center for the whole window (occlusion, Zeiler & Fergus 2014); where
        nothing goes, each valid channel alike. Non-negative, exactly 0 where not valid, sums to 1;
        all 0 where the score is NaN. The model is asked about every sample, whatever its hop.
        """
        score, _ = self.score(x, valid, state, parameters)
        there = self._there(x, valid, state, parameters)
        ready = np.isfinite(score)[..., None] & there
        given, falls = self._asked(x, valid, state, parameters)
        if self.spec.kind == "score":
            falls = np.zeros(x.shape, np.float32)
            for i in range(self.spec.channels):
                calm, before = self._occluded(i, x, state, parameters)
                rest, _ = self._asked(calm, valid, before, parameters)
                falls[:, :, i] = np.maximum(given - rest, 0.0)[:, :, 0]
        falls = np.where(ready, np.nan_to_num(falls) + NO_SHARE, 0.0).astype(np.float32)
        total = falls.sum(axis=2, keepdims=True)
        shares: F32 = np.divide(falls, total, out=np.zeros_like(falls), where=total > 0)
        return shares

    def _occluded(self, i: int, x: F32, state: F32, parameters: Parameters) -> tuple[F32, F32]:
        """Samples (a, n, c) and the state before them with channel i at its center."""
        center = parameters["center"][:, i, None]
        calm, before = x.copy(), state.copy()
        calm[:, :, i] = center
        mine = self._ring(before)[:, :, i]  # a view of the state
        mine[:] = np.where(mine < KNOWN_MAX, 0.0 if self.spec.scaled else center, mine)
        return calm, before

    def _asked(
        self,
        x: F32,
        valid: Mask,
        state: F32,
        parameters: Parameters,
        *,
        hop: int = 1,
        streamed: bool = False,
    ) -> tuple[F32, F32]:
        """What the model gives (a, n, M), and shares (a, n, c) in what is made of residuals."""
        spec = self.spec
        there = self._there(x, valid, state, parameters)
        fresh, state = self._fresh(x, there, parameters), state.copy()
        head = np.ascontiguousarray(state[:, : spec.head].T)
        head[ASKED] = head[ASKED] if hop == spec.hop else 0.0
        found = [np.empty((len(x), 0, spec.errors), np.float32)]
        shares = [np.empty((len(x), 0, 0 if spec.kind == "score" else spec.channels), np.float32)]
        for block in self._blocks(x):
            of = fresh[:, block], there[:, block], state, head, parameters
            given, _ = self._given(*of, hop=hop, streamed=streamed)
            found.append(given)
            shares.append(self._judge.block(given, head, parameters)[1])
        return np.concatenate(found, axis=1), np.concatenate(shares, axis=1)

    def _blocks(self, x: F32) -> list[slice]:
        """How samples (a, n, c) are divided, so that a block's temporaries stay small."""
        rows, n, c = x.shape
        step = int(np.clip(BLOCK_CELLS_MAX // max(rows * c, 1), 1, BLOCK_SAMPLES_MAX))
        return [slice(at, at + step) for at in range(0, n if rows else 0, step)]

    def _there(self, x: F32, valid: Mask, state: F32, parameters: Parameters) -> Mask:
        """Which values count (a, n, c). Raises ModelError where shapes do not fit."""
        spec, rows = self.spec, len(state)
        if x.ndim != 3 or x.shape != valid.shape or x.shape[::2] != (rows, spec.channels):
            raise ModelError(
                f"values have shape {x.shape}, valid {valid.shape}, expected"
                f" ({rows}, n, {spec.channels}) both"
            )
        if state.shape[1] != spec.state_width or len(parameters["present"]) != rows:
            raise ModelError(
                f"state has shape {state.shape} and parameters {len(parameters['present'])} rows,"
                f" expected ({rows}, {spec.state_width}) and {rows}"
            )
        there: Mask = np.isfinite(x)
        there &= valid
        present = parameters["present"]
        return there if present.all() else there & present[:, None]

    def _fresh(self, x: F32, there: Mask, parameters: Parameters) -> F32:
        """Samples (a, n, c) as the model takes them, MISSING where there are none."""
        fresh = x
        if self.spec.scaled:
            center, scale = self._levels(parameters, x.shape[1])
            fresh = x.reshape(len(x), -1) - center
            fresh *= scale
            fresh = fresh.reshape(x.shape)
        return fresh if there.all() else np.where(there, fresh, np.float32(MISSING))

    def _levels(self, parameters: Parameters, n: int) -> tuple[F32, F32]:
        """Center and scale of n samples (a, n c), each: rows are the longer the less they cost."""
        own = parameters["center"], parameters["scale"]
        if n == 1:
            return own
        *known, tiled = self._tiled
        if n * own[0].size > TILED_MAX:
            return np.tile(own[0], (1, n)), np.tile(own[1], (1, n))
        if known[0] is not own[0] or known[1] is not own[1] or tiled[0].size != n * own[0].size:
            tiled = np.tile(own[0], (1, n)), np.tile(own[1], (1, n))
            self._tiled = *own, tiled
        return tiled

    def _counts(self, there: Mask) -> Mask:
        """Samples (a, n) that can be judged: whole ones, or such of which anything came."""
        return np.asarray(there.any(axis=2) if self.spec.masks else there.all(axis=2))

    def _tallied(self, there: Mask, head: F32) -> tuple[Mask, Mask]:
        """Samples (a, n) that end a window without a gap, and without a hole; moves the head."""
        most, every = self.spec.line + 1, bool(there.all())
        good = there[:, :, 0] if every else self._counts(there)
        ready = run_lengths(good, head[GAPLESS], most) >= most
        if not self.spec.masks:
            return ready, ready
        good = good if every else np.asarray(there.all(axis=2))
        return ready, run_lengths(good, head[WHOLE], most) >= most

    def _ended(self, there: Mask, head: F32) -> tuple[Mask, Mask]:
        """As `_tallied` of the last samples (a,)."""
        if not there.all():
            ready, whole = (one[:, -1] for one in self._tallied(there, head))
            return ready, whole
        last, most = WHOLE if self.spec.masks else GAPLESS, self.spec.line + 1
        for tally in {GAPLESS, last}:
            np.minimum(head[tally] + there.shape[1], most, out=head[tally])
        return head[GAPLESS] >= most, head[last] >= most

    def _ring(self, state: F32) -> F32:
        """The samples of a state (a, 2 w, c), a view."""
        past: F32 = state[:, self.spec.past_from : self.spec.carried_from]
        return past.reshape(len(state), 2 * self.spec.window, self.spec.channels)

    def _step(self, fresh: F32, there: Mask, state: F32, head: F32, parameters: Parameters) -> F32:
        """Scores (a, n) of samples of which the model is asked about the last, or about none.

        The hot loop: a tick's sample, or those since the model was asked.
        """
        spec, (rows, n) = self.spec, fresh.shape[:2]
        head[ASKED] += n
        now = head[ASKED] >= spec.hop
        head[ASKED] *= ~now
        ready, whole = self._ended(there, head)
        wanted, fill = ready & now, None if spec.scaled else parameters["center"]
        some = slice(None) if wanted.all() else np.flatnonzero(wanted)
        if self._stream is not None:
            told = self._streamed(fresh, there, state, head, fill)[some, -1]
            write(self._ring(state), fresh, head[AT])
        else:
            before = n - (spec.kind == "forecast")  # its window ends before the newest sample
            write(self._ring(state), fresh[:, :before], head[AT])
            told = self._latest(state, head[AT], some, whole=whole, fill=fill)
            if before < n:
                write(self._ring(state), fresh[:, before:], head[AT])
        given = self._errors(told, fresh[:, -1], there[:, -1], some)
        if not isinstance(some, slice):
            given, told = np.full((rows, spec.errors), np.nan, np.float32), given
            given[some] = told
        score = self._judge.step(given, head, parameters, samples=n)
        if spec.hop == 1:
            return score[:, None]
        held = np.repeat(head[HELD][:, None], n, axis=1)
        held[now, -1] = score[now]
        head[HELD] = held[:, -1]
        return self._told(held, there)

    def _latest(
        self,
        state: F32,
        at: F32,
        some: slice | NDArray[np.intp],
        *,
        whole: Mask,
        fill: F32 | None,
    ) -> F32:
        """What the model gives (m, M) for the newest windows of some rows (m,), or of all."""
        past = state[:, self.spec.past_from : self.spec.carried_from]
        rows = np.arange(len(state))[some]
        begins = at[some].astype(np.intp) * self.spec.channels
        together = isinstance(some, slice) and bool((begins == begins[0]).all())
        begin = int(begins[0]) if together else begins  # mostly rows come together
        return self._over(past, begin, rows, whole=whole[some], fill=fill)

    def _over(
        self,
        source: F32,
        begin: int | NDArray[np.intp],
        rows: NDArray[np.intp],
        *,
        whole: Mask,
        fill: F32 | None,
    ) -> F32:
        """As `WindowCalls.over`, whichever way."""
        if self._products is not None:
            return self._products.over(source, begin, rows)
        assert self._calls is not None, "one of both"
        return self._calls.over(source, begin, rows, whole=whole, fill=fill)

    def _given(
        self,
        fresh: F32,
        there: Mask,
        state: F32,
        head: F32,
        parameters: Parameters,
        *,
        hop: int,
        streamed: bool,
    ) -> tuple[F32, Mask]:
        """What the model gives (a, n, M), and which samples (a, n) it is asked about.

        streamed: by its stream; else over windows, and what is carried stays behind.
        """
        spec, (rows, n, c) = self.spec, fresh.shape
        ready, whole = self._tallied(there, head)
        ends = head[ASKED][:, None] + np.arange(1, n + 1)
        now = ends % hop == 0
        head[ASKED] = ends[:, -1] % hop
        asked = ready & now
        if (slid := self._slid(fresh, state, head, asked)) is not None:
            return slid, now
        given = np.full((rows, n, spec.errors), np.nan, np.float32)
        some, j = np.nonzero(asked)
        fill = None if spec.scaled else parameters["center"]
        if streamed:
            told = self._streamed(fresh, there, state, head, fill)[some, j]
            given[some, j] = self._errors(told, fresh, there, (some, j))
        elif len(some):
            past = newest(self._ring(state), head[AT], spec.line)
            series = np.concatenate([past, fresh], axis=1).reshape(rows, -1)
            told = self._over(series, j * c, some, whole=whole[some, j], fill=fill)
            given[some, j] = self._errors(told, fresh, there, (some, j))
        write(self._ring(state), fresh, head[AT])
        return given, now

    def _slid(self, fresh: F32, state: F32, head: F32, asked: Mask) -> F32 | None:
        """What a model of products gives (a, n, 1) of a block, which is then in the rings.

        asked: (a, n). None: it is to be asked window by window.
        """
        products, (rows, n, _) = self._products, fresh.shape
        if products is None or not (self.slides and products.slides(n)):
            return None
        if 2 * np.count_nonzero(asked) < asked.size:
            return None
        told = products.block(newest(self._ring(state), head[AT], self.spec.line), fresh)
        write(self._ring(state), fresh, head[AT])
        told *= self.spec.sign
        if not asked.all():
            told[~asked] = np.nan
        return told.reshape(rows, n, 1)

    def _streamed(self, fresh: F32, there: Mask, state: F32, head: F32, fill: F32 | None) -> F32:
        assert self._stream is not None, "asked of these alone"
        carried = state[:, self.spec.carried_from :]
        return self._stream.over(fresh, there, carried, head[STREAMED], fill=fill)

    def _errors(self, told: F32, fresh: F32, there: Mask, some: Places) -> F32:
        """What the model told (m, M) as what is judged; fresh, there: samples, some: whose."""
        if self.spec.kind == "score":
            return told if self.spec.sign > 0 else -told
        return np.where(there[some], fresh[some] - told, np.float32(np.nan))

    def _held(self, told: F32, now: Mask, there: Mask, head: F32) -> F32:
        """Scores (a, n) of which those between two that were asked for are the first of these."""
        if self.spec.hop == 1:
            return told
        held = head[HELD]
        for j in range(told.shape[1]):
            held[:] = np.where(now[:, j], told[:, j], held)
            told[:, j] = held
        return self._told(told, there)

    def _told(self, held: F32, there: Mask) -> F32:
        """Scores (a, n) that hold between windows, where the samples can be judged."""
        if there.all():
            return held
        return np.where(self._counts(there), held, np.float32(np.nan))
