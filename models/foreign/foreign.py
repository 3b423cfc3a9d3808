"""Models that others made, as ONNX files: read, and refused where they could not be trusted.

Nothing of a file is believed: it must hold all its weights, use standard operators only, be of a
bounded size, and give the same every time. What it takes and gives is the question of `windows`.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from google.protobuf.message import DecodeError
from onnx import (
    ModelProto,
    TensorProto,
    checker,
    inliner,
    load_from_string,
    numpy_helper,
    version_converter,
)

from models.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from onnx import GraphProto, NodeProto, ValueInfoProto

MODEL_BYTES_MAX: Final = 64 * 2**20  # a gateway keeps twenty bundles, and takes one over in a tick
DOMAINS: Final = ("", "ai.onnx", "ai.onnx.ml")  # what onnxruntime runs by itself
OPSET_MIN: Final = 18  # of the graph that it becomes part of
CHANCE: Final = {
    "Bernoulli",
    "Multinomial",
    "RandomNormal",
    "RandomNormalLike",
    "RandomUniform",
    "RandomUniformLike",
}
FLOATS: Final[dict[int, str]] = {TensorProto.FLOAT: "float32", TensorProto.DOUBLE: "float64"}
KINDS_OF_VALUES: Final[dict[int, str]] = {**FLOATS, TensorProto.BOOL: "bool"}
LOOPS_MAX: Final = 1_000_000  # steps of a loop whose number stands in the graph
_WIDTHS: Final[dict[int, int]] = {  # bytes of a value
    TensorProto.FLOAT: 4, TensorProto.DOUBLE: 8, TensorProto.FLOAT16: 2, TensorProto.BFLOAT16: 2,
    TensorProto.BOOL: 1, TensorProto.INT8: 1, TensorProto.UINT8: 1, TensorProto.INT16: 2,
    TensorProto.UINT16: 2, TensorProto.INT32: 4, TensorProto.UINT32: 4, TensorProto.INT64: 8,
    TensorProto.UINT64: 8,
}  # fmt: skip
_FIELDS: Final[dict[int, str]] = {  # where values stand that are not raw; others: int32_data
    TensorProto.FLOAT: "float_data",
    TensorProto.DOUBLE: "double_data",
    TensorProto.INT64: "int64_data",
    TensorProto.UINT32: "uint64_data",
    TensorProto.UINT64: "uint64_data",
}
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


def read_foreign(content: bytes, *, file: str) -> Foreign:
    """A model from the bytes of its file. Raises ModelError, naming what cannot be taken."""
    if len(content) > MODEL_BYTES_MAX:
        raise ModelError(
            f"{file}: {len(content)} bytes, at most {MODEL_BYTES_MAX} can be part of a bundle;"
            " export a smaller model, or a quantised one"
        )
    try:
        model = load_from_string(content)
    except (DecodeError, ValueError) as error:
        raise ModelError(f"{file} is no ONNX model: {error}; export it again") from error
    if not model.graph.node:
        raise ModelError(f"{file} is no ONNX model, or one without a graph; export it again")
    _refuse_external(model, file)
    producer = " ".join(one for one in (model.producer_name, model.producer_version) if one)
    opsets = tuple(sorted(f"{one.domain or 'ai.onnx'} {one.version}" for one in model.opset_import))
    try:
        if model.functions:
            model = inliner.inline_local_functions(model)
            _refuse_external(model, file)
        checker.check_model(model)
    except CONVERSION_ERRORS as error:
        raise ModelError(f"{file} is no valid ONNX model: {error}; export it again") from error
    _refuse_operators(model, file)
    check_graph(model.SerializeToString())
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


def _refuse_external(model: ModelProto, file: str) -> None:
    """Weights in other files would not be part of what is hashed and signed."""
    for tensor in _tensors(model.graph):
        if tensor.data_location == TensorProto.EXTERNAL:
            raise ModelError(
                f"{file}: {tensor.name or 'a weight'} is kept in another file; save the model with"
                " all weights inside (onnx.save_model with save_as_external_data=False, or"
                " torch.onnx.export with external_data=False)"
            )


def check_graph(graph: bytes) -> None:
    """Raise ModelError for a graph that may take the process down rather than fail.

    onnxruntime believes what a file says of the sizes of its weights, and runs a loop as often as
    it says. A graph that was made with ill will may still compute for ever; who made it, a
    signature says.
    """
    try:
        model = load_from_string(graph)
    except (DecodeError, ValueError) as error:
        raise ModelError(f"no ONNX model: {error}") from error
    _refuse_external(model, "model.onnx")
    used = {node.domain for node in _nodes(model.graph)}
    if strange := sorted(used - set(DOMAINS)):
        raise ModelError(f"model.onnx uses operators of {', '.join(strange)}")
    if model.functions or model.graph.sparse_initializer:
        raise ModelError("model.onnx holds functions or sparse weights, which ours do not")
    sizes = {}
    for tensor in _tensors(model.graph):
        if any(size < 0 for size in tensor.dims) or _held(tensor) != math.prod(tensor.dims):
            shape = tuple(tensor.dims)
            raise ModelError(f"model.onnx: a weight {tensor.name!r} is not of its shape {shape}")
        if tensor.data_type == TensorProto.INT64 and math.prod(tensor.dims) == 1:
            sizes[tensor.name] = int(numpy_helper.to_array(tensor).reshape(()))
    for node in _nodes(model.graph):
        times = sizes.get(node.input[0], 0) if node.op_type == "Loop" and node.input else 0
        if times > LOOPS_MAX:
            raise ModelError(f"model.onnx has a loop of {times} steps, at most {LOOPS_MAX}")


def _held(tensor: TensorProto) -> int:
    """How many values a tensor holds; -1: of a kind that no model of ours or of others has."""
    width = _WIDTHS.get(tensor.data_type)
    if width is None:
        return -1
    if tensor.HasField("raw_data"):
        whole, rest = divmod(len(tensor.raw_data), width)
        return -1 if rest else whole
    return len(getattr(tensor, _FIELDS.get(tensor.data_type, "int32_data")))


def _refuse_operators(model: ModelProto, file: str) -> None:
    """Operators of other domains need libraries of others; random ones score nothing twice."""
    used = {node.domain for node in _nodes(model.graph)}
    if strange := sorted(used - set(DOMAINS)):
        raise ModelError(
            f"{file} uses operators of {', '.join(strange)}; only those of ai.onnx and ai.onnx.ml"
            " can be taken: export it without custom operators"
        )
    if random := sorted({node.op_type for node in _nodes(model.graph)} & CHANCE):
        raise ModelError(
            f"{file} draws chance ({', '.join(random)}), so it scores nothing the same twice;"
            " export it in evaluation mode"
        )
    if model.graph.sparse_initializer:
        raise ModelError(f"{file} holds sparse weights, which cannot be taken; export dense ones")


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


def _nodes(graph: GraphProto) -> Iterator[NodeProto]:
    """All nodes, those of branches and loops included."""
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            for inner in (*attribute.graphs, *([attribute.g] if attribute.HasField("g") else ())):
                yield from _nodes(inner)


def _tensors(graph: GraphProto) -> Iterator[TensorProto]:
    """All weights and constants."""
    yield from graph.initializer
    for node in _nodes(graph):
        for attribute in node.attribute:
            yield from attribute.tensors
            if attribute.HasField("t"):
                yield attribute.t
            for inner in (*attribute.graphs, *([attribute.g] if attribute.HasField("g") else ())):
                yield from inner.initializer


def _value(info: ValueInfoProto) -> Value:
    tensor = info.type.tensor_type
    sizes = tuple(one.dim_value if one.dim_value > 0 else None for one in tensor.shape.dim)
    return Value(name=info.name, kind=tensor.elem_type, shape=sizes)
