"""Models that others made, as ONNX files: read, and refused where they could not be trusted.

Nothing of a file is believed: it must hold all its weights, use standard operators only, be of a
bounded size, and give the same every time. What it takes and gives is the question of `windows`.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from onnx import ModelProto, TensorProto, checker, inliner, version_converter

from models.errors import ModelError
from models.graphs.safety import DOMAINS, parsed, refuse_external, refuse_operators

if TYPE_CHECKING:
    from onnx import ValueInfoProto

MODEL_BYTES_MAX: Final = 64 * 2**20  # a gateway keeps twenty bundles, and takes one over in a tick
OPSET_MIN: Final = 18  # of the graph that it becomes part of
FLOATS: Final[dict[int, str]] = {TensorProto.FLOAT: "float32", TensorProto.DOUBLE: "float64"}
KINDS_OF_VALUES: Final[dict[int, str]] = {**FLOATS, TensorProto.BOOL: "bool"}
CONVERSION_ERRORS: Final = (RuntimeError, ValueError, checker.ValidationError)


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """An input or output. kind: TensorProto type; shape: None: any; () where nothing is told."""

    name: str
    kind: int
    shape: tuple[int | None, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Foreign:
    """A model that was read and checked. inputs: without those that have a default."""

    file: str
    sha256: str
    size_bytes: int
    producer: str
    opsets: tuple[str, ...]
    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]
    model: ModelProto  # inlined, at OPSET_MIN or newer

    def as_bytes(self) -> bytes:
        """The model as it was taken, serialised."""
        return bytes(self.model.SerializeToString(deterministic=True))


def _words(said: str | bytes) -> str:
    """A text of a model; protobuf gives the bytes of one that is no UTF-8."""
    return said.decode(errors="replace") if isinstance(said, bytes) else said


def read_foreign(content: bytes, *, file: str) -> Foreign:
    """A model from the bytes of its file. Raises ModelError, naming what cannot be taken."""
    if len(content) > MODEL_BYTES_MAX:
        raise ModelError(
            f"{file}: {len(content)} bytes, at most {MODEL_BYTES_MAX} can be part of a bundle;"
            " export a smaller model, or a quantised one"
        )
    model = parsed(content, file=file)
    producer = " ".join(filter(None, map(_words, (model.producer_name, model.producer_version))))
    opsets = tuple(sorted(f"{one.domain or 'ai.onnx'} {one.version}" for one in model.opset_import))
    try:
        if model.functions:
            model = inliner.inline_local_functions(model)
            refuse_external(model, file)
        checker.check_model(model)
    except CONVERSION_ERRORS as error:
        raise ModelError(f"{file} is no valid ONNX model: {error}; export it again") from error
    refuse_operators(model, file)
    model = _modern(model, file)
    held = {one.name for one in model.graph.initializer}
    return Foreign(
        file=file,
        sha256=hashlib.sha256(content).hexdigest(),
        size_bytes=len(content),
        producer=producer,
        opsets=opsets,
        inputs=tuple(_value(one) for one in model.graph.input if one.name not in held),
        outputs=tuple(_value(one) for one in model.graph.output),
        model=model,
    )


def _modern(model: ModelProto, file: str) -> ModelProto:
    """The model at the oldest set of operators that our graph can be made with, or newer."""
    version = next((one.version for one in model.opset_import if one.domain in DOMAINS[:2]), 0)
    if version == 0 or version >= OPSET_MIN:
        return model
    try:
        return version_converter.convert_version(model, OPSET_MIN)
    except CONVERSION_ERRORS as error:
        raise ModelError(
            f"{file} is of opset {version}, which could not be converted to {OPSET_MIN} ({error});"
            f" export it with opset {OPSET_MIN} or newer"
        ) from error


def _value(info: ValueInfoProto) -> Value:
    tensor = info.type.tensor_type
    sizes = tuple(one.dim_value if one.dim_value > 0 else None for one in tensor.shape.dim)
    return Value(name=info.name, kind=tensor.elem_type, shape=sizes)
