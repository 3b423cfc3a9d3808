"""Run a detector graph; the only importer of onnxruntime for detection. A call scores many rows."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import msgspec
import numpy as np
import onnxruntime as ort
from onnxruntime.capi import onnxruntime_pybind11_state as ort_state

from models.bundles.bundle import PARAMETERS, STREAM_PARAMETERS, AnySpec, Bundle, Spec, StreamSpec
from models.bundles.tabled_kinds import ENSEMBLE_PARAMETERS, PCA_PARAMETERS, EnsembleSpec, PcaSpec
from models.detector_imported import ImportedDetector, imported, is_imported
from models.errors import UNREADABLE, ModelError
from models.foreign.imported import ImportedSpec
from models.graphs.onnx_types import BLOCK_SAMPLES_MAX, MISSING
from models.heads.notes import NOTES, Head, notes_in

if TYPE_CHECKING:
    from numpy.typing import NDArray

    F32 = NDArray[np.float32]
    Mask = NDArray[np.bool_]
    Parameters = dict[str, NDArray[Any]]
    Named = tuple[str | None, float, dict[str, float]]  # None: abstained; p of the first, of all

MASKED_CELLS_MAX: Final = 2**21  # a n c c of the masked way: 8 MB a temporary
HOT_VALUES_MAX: Final = 2**14  # a n c of the short way: its temporaries stay in the L2 cache,
HOT_ROWS_MIN: Final = 128  # unless so few rows would be left that calls cost more than they do
TAIL_CELLS_MAX: Final = 2**20  # a n V bins of streams, of which some ten are held at a time
ORT_ERRORS: Final = (  # they share no base but Exception
    ort_state.Fail,
    ort_state.InvalidArgument,
    ort_state.InvalidGraph,
    ort_state.InvalidProtobuf,
    ort_state.NotImplemented,
    ort_state.RuntimeException,
)
SESSIONS_KEPT: Final = 16  # as many graphs as a bundle may have
KEPT_BYTES_MAX: Final = 2**20  # of a graph; ours have some 30 kB, those around imported models more
NO: Final = np.zeros((), np.bool_)
YES: Final = np.ones((), np.bool_)


def detectors_of(bundle: Bundle) -> tuple[AnyDetector, ...]:
    """The loaded graphs of a bundle, one a part. Raises ModelError as `detector_of`."""
    return tuple(detector_of(part.graph, part.spec) for part in bundle.parts)


def detector_of(graph: bytes, expected: AnySpec | None = None) -> AnyDetector:
    """A loaded graph. Raises ModelError where it is none of this version, or of another spec."""
    session, spec = _loaded(graph)
    if expected not in (None, spec):  # before anything is made in the sizes that it tells
        raise ModelError(f"andon_spec of model.onnx is {spec}, expected {expected} as described")
    if isinstance(spec, StreamSpec):
        return StreamDetector(session, spec)
    if isinstance(spec, PcaSpec | EnsembleSpec):
        return TabledDetector(session, spec)
    if isinstance(spec, ImportedSpec):
        return ImportedDetector(session, spec)
    return Detector(session, spec)


class Detector:
    """A loaded graph of the VAR. Holds no state of any row: `score` takes it and gives it back."""

    def __init__(self, session: ort.InferenceSession, spec: Spec) -> None:
        self._session = session
        self.spec = spec
        self.heads = _heads(session)
        first = sum(self.spec.state_sizes[:2]) + 3 * len(self.spec.lambdas)
        self._run_at, self._full_at = first, first + 1
        keep = 1.0 - np.array(self.spec.lambdas, np.float32)
        self._keep = np.concatenate([np.repeat(keep, 2 * self.spec.channels), np.tile(keep**2, 3)])

    def initial_state(self, rows: int) -> F32:
        """State of rows that have seen nothing (rows, s) float32."""
        return np.zeros((rows, self.spec.state_width), np.float32)

    def score(self, x: F32, valid: Mask, state: F32, parameters: Parameters) -> tuple[F32, F32]:
        """Score consecutive samples of several rows.

        x: (a, n, c) float32 in engineering units, anything where not valid   valid: (a, n, c) bool
        state: (a, s) as `initial_state` or the last call gave it, not changed
        parameters: stack of one row each (a, ...)
        Returns score (a, n) float32, -log10 of a tail probability, NaN: not ready; and the new
        state (a, s).
        How a stream is cut into calls, and what else is in a call, changes scores by rounding only.
        Raises ModelError where shapes do not fit.
        """
        valid = _checked(self.spec, x, valid, state, parameters)
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
        valid = _checked(self.spec, x, valid, state, parameters)
        complete = np.asarray(self._easy(valid, state, parameters).all())
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
        valid = _checked(self.spec, x, valid, state, parameters)
        feed = self._feed(x, valid, state, parameters) | {"complete": YES, "explain": NO}
        return _named(self._session, feed, head)

    def _block_samples(self, state: F32, parameters: Parameters) -> int:
        """How long the next block may be: a row that is settling need not take the long way on."""
        if len(state) != 1:
            return BLOCK_SAMPLES_MAX
        cold = float(parameters["settle"][0, 0]) + self.spec.lags - float(state[0, self._run_at])
        return int(cold) if 0 < cold < BLOCK_SAMPLES_MAX else BLOCK_SAMPLES_MAX

    def _block(self, x: F32, valid: Mask, state: F32, parameters: Parameters) -> tuple[F32, F32]:
        """At most BLOCK_SAMPLES_MAX samples: each row by the way that its mask and state allow."""
        easy = self._easy(valid, state, parameters)
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

    def _easy(self, valid: Mask, state: F32, parameters: Parameters) -> Mask:
        """Which rows (a,) are complete and settled all the time."""
        whole: Mask = np.ones(len(valid), np.bool_)
        if not valid.all():  # what a row does not see cannot be missing
            whole = np.asarray((valid | ~parameters["present"][:, None]).all(axis=(1, 2)))
        warm = state[:, self._run_at] >= parameters["settle"][:, 0] + self.spec.lags
        easy: Mask = whole & warm & (state[:, self._full_at] >= self.spec.lags)
        return easy

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


class StreamDetector:
    """A loaded graph of streams of one channel; used as `Detector` is."""

    def __init__(self, session: ort.InferenceSession, spec: StreamSpec) -> None:
        self._session = session
        self.spec = spec
        self.heads = _heads(session)

    def initial_state(self, rows: int) -> F32:
        """State of rows that have seen nothing (rows, s) float32."""
        state = np.zeros((rows, self.spec.state_width), np.float32)
        state[:, : self.spec.state_sizes[0]] = MISSING
        return state

    def score(self, x: F32, valid: Mask, state: F32, parameters: Parameters) -> tuple[F32, F32]:
        """Score consecutive samples of several rows, x (a, n, 1); else as `Detector.score`."""
        valid = _checked(self.spec, x, valid, state, parameters)
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
        valid = _checked(self.spec, x, valid, state, parameters)
        feed: dict[str, Any] = {name: parameters[name] for name in STREAM_PARAMETERS}
        return _named(self._session, feed | {"x": x, "valid": valid, "state": state}, head)

    def contribute(self, x: F32, valid: Mask, state: F32, parameters: Parameters) -> F32:
        """Share of the only channel in each score (a, n, 1) float32: 1, or 0 where it is NaN."""
        score, _ = self.score(x, valid, state, parameters)
        return np.isfinite(score).astype(np.float32)[:, :, None]


class TabledDetector:
    """A loaded graph that also tells the deviates of its views; used as `Detector` is."""

    def __init__(self, session: ort.InferenceSession, spec: PcaSpec | EnsembleSpec) -> None:
        self._session = session
        self.spec = spec
        self.heads = _heads(session)
        self._names = PCA_PARAMETERS if isinstance(spec, PcaSpec) else ENSEMBLE_PARAMETERS

    def initial_state(self, rows: int) -> F32:
        """State of rows that have seen nothing (rows, s) float32."""
        return np.zeros((rows, self.spec.state_width), np.float32)

    def score(self, x: F32, valid: Mask, state: F32, parameters: Parameters) -> tuple[F32, F32]:
        """Score consecutive samples of several rows, x (a, n, c); else as `Detector.score`."""
        valid = _checked(self.spec, x, valid, state, parameters)
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
        valid = _checked(self.spec, x, valid, state, parameters)
        feed: dict[str, Any] = {name: parameters[name] for name in self._names}
        return _named(self._session, feed | {"x": x, "valid": valid, "state": state}, head)

    def contribute(self, x: F32, valid: Mask, state: F32, parameters: Parameters) -> F32:
        """Share of each channel in each score (a, n, c); as `Detector.contribute`."""
        valid = _checked(self.spec, x, valid, state, parameters)
        share, _ = self._run(["contribution", "state_out"], x, valid, state, parameters)
        return share

    def deviates(self, x: F32, valid: Mask, parameters: Parameters) -> tuple[F32, F32]:
        """Scores (a, n) from nothing on, and deviates (a, n, V) that they are made of."""
        state = self.initial_state(len(x))
        valid = _checked(self.spec, x, valid, state, parameters)
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


def _heads(session: ort.InferenceSession) -> dict[str, Head]:
    """The heads of a graph by asset; {} of a graph that names nothing."""
    notes = notes_in(session.get_modelmeta().custom_metadata_map.get(NOTES, ""))
    return {
        asset: Head(index=i, classes=note.classes, windows=sum(note.counts.values()))
        for i, note in enumerate(notes)
        for asset in note.assets
    }


def _named(session: ort.InferenceSession, feed: dict[str, Any], head: Head) -> list[Named]:
    feed |= {"classify": YES, "head": np.array(head.index, np.int64)}
    named, likely = session.run(["named", "class_p"], feed)
    told = []
    for k, p in zip(named.tolist(), likely[:, : len(head.classes)], strict=True):
        of_class = dict(zip(head.classes, p.tolist(), strict=True))
        told.append((head.classes[k] if k >= 0 else None, float(p.max()), of_class))
    return told


AnyDetector = Detector | StreamDetector | TabledDetector | ImportedDetector


def _checked(spec: AnySpec, x: F32, valid: Mask, state: F32, parameters: Parameters) -> Mask:
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


def opened(graph: bytes) -> ort.InferenceSession:
    """A graph on one thread of this processor. Raises one of ORT_ERRORS."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1  # its own pool escapes taskset and takes the other core
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 4
    return ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


def _loaded(graph: bytes) -> tuple[Any, AnySpec]:
    """Session and spec; of small graphs those last used stay open, for whoever loads them next."""
    return _kept(graph) if len(graph) <= KEPT_BYTES_MAX else _read(graph)


def _read(graph: bytes) -> tuple[Any, AnySpec]:
    try:
        if is_imported(graph):
            return imported(graph, opened)
        session = opened(graph)
        notes = session.get_modelmeta().custom_metadata_map
        return session, msgspec.json.decode(notes["andon_spec"], type=AnySpec)
    except (*ORT_ERRORS, KeyError, *UNREADABLE) as error:
        raise ModelError(f"model.onnx is not a detector of this version: {error}") from error


# A session holds nothing between calls, so detectors share it: a self-test's, a fit's, who scores.
_kept = lru_cache(maxsize=SESSIONS_KEPT)(_read)
