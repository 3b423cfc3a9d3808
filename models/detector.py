"""Load a detector graph; the only importer of onnxruntime for detection."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final

import msgspec
import onnxruntime as ort
from onnxruntime.capi import onnxruntime_pybind11_state as ort_state

from models.bundles.bundle import AnySpec, Bundle, StreamSpec
from models.bundles.tabled_kinds import EnsembleSpec, PcaSpec
from models.detector_imported import ImportedDetector, imported, is_imported
from models.detector_tabled import StreamDetector, TabledDetector
from models.detector_var import Detector
from models.errors import UNREADABLE, ModelError
from models.foreign.imported import ImportedSpec

AnyDetector = Detector | StreamDetector | TabledDetector | ImportedDetector

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
