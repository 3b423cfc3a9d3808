"""What a graph may be made of before onnxruntime sees it, whoever made it and whoever signed it.

A graph is a program. It may compute with what it was given and holds, and nothing else: no weights
in other files, no operators that need libraries of others, none that draw chance.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from google.protobuf.message import DecodeError
from onnx import ModelProto, TensorProto, defs, load_from_string, numpy_helper

from models.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from onnx import GraphProto, NodeProto, ValueInfoProto

DOMAINS: Final = ("", "ai.onnx", "ai.onnx.ml")  # what every runtime has; onnxruntime knows more
CHANCE: Final = {
    "Bernoulli",
    "Multinomial",
    "RandomNormal",
    "RandomNormalLike",
    "RandomUniform",
    "RandomUniformLike",
}
LOOPS_MAX: Final = 1_000_000  # steps of a loop whose number stands in the graph
SIZE_MAX: Final = 1 << 24  # of a dimension that a graph says; 2**31 ends onnxruntime
_WIDTHS: Final[dict[int, int]] = {  # bytes of a value
    TensorProto.FLOAT: 4, TensorProto.DOUBLE: 8, TensorProto.FLOAT16: 2, TensorProto.BFLOAT16: 2,
    TensorProto.BOOL: 1, TensorProto.INT8: 1, TensorProto.UINT8: 1, TensorProto.INT16: 2,
    TensorProto.UINT16: 2, TensorProto.INT32: 4, TensorProto.UINT32: 4, TensorProto.INT64: 8,
    TensorProto.UINT64: 8, TensorProto.STRING: 1,
}  # fmt: skip
_FIELDS: Final[dict[int, str]] = {  # where values stand that are not raw; others: int32_data
    TensorProto.FLOAT: "float_data",
    TensorProto.DOUBLE: "double_data",
    TensorProto.INT64: "int64_data",
    TensorProto.UINT32: "uint64_data",
    TensorProto.UINT64: "uint64_data",
}


def check_graph(content: bytes, *, file: str) -> None:
    """Refuse the graph of a bundle that is more than a detector. Raises ModelError."""
    model = parsed(content, file=file)
    refuse_operators(model, file)
    if model.functions:
        raise ModelError(f"{file} brings functions of its own, which no detector of ours does")
    newest = defs.onnx_opset_version()
    for one in model.opset_import:
        if one.domain in ("", "ai.onnx") and one.version > newest:
            raise ModelError(
                f"{file} is of opset {one.version}, this version knows {newest}; install a newer"
            )


def parsed(content: bytes, *, file: str) -> ModelProto:
    """A model with all its weights inside, from the bytes of its file. Raises ModelError."""
    try:
        model = load_from_string(content)
    except (DecodeError, ValueError) as error:
        raise ModelError(f"{file} is no ONNX model: {error}; export it again") from error
    if not model.graph.node:
        raise ModelError(f"{file} is no ONNX model, or one without a graph; export it again")
    refuse_external(model, file)
    refuse_sizes(model, file)
    return model


def refuse_external(model: ModelProto, file: str) -> None:
    """Weights in other files would not be part of what is hashed and signed. Raises ModelError."""
    for tensor in _tensors(model.graph):
        if tensor.data_location == TensorProto.EXTERNAL:
            raise ModelError(
                f"{file}: {tensor.name or 'a weight'} is kept in another file; save the model with"
                " all weights inside (onnx.save_model with save_as_external_data=False, or"
                " torch.onnx.export with external_data=False)"
            )


def refuse_sizes(model: ModelProto, file: str) -> None:
    """A weight is as large as its shape says, and no loop runs longer than anybody waits.

    onnxruntime believes a file: a weight of 2**62 values ends the process, so does an input that
    says 2**31, and a loop of as many steps never ends. What is computed may still be as bad: of a
    bundle's graph that is none of ours `models.bundles.trial` finds that out. Raises ModelError.
    """
    for value in _declared(model.graph):
        sizes = [one.dim_value for one in value.type.tensor_type.shape.dim]
        if any(size > SIZE_MAX for size in sizes):
            raise ModelError(f"{file}: {value.name!r} is of shape {sizes}, at most {SIZE_MAX} each")
    steps: dict[str, int] = {}
    for tensor in _tensors(model.graph):
        shape = tuple(tensor.dims)
        if any(size < 0 for size in shape) or _held(tensor) != math.prod(shape):
            raise ModelError(f"{file}: a weight {tensor.name!r} is not of its shape {shape}")
        if tensor.data_type == TensorProto.INT64 and math.prod(shape) == 1:
            steps[tensor.name] = int(numpy_helper.to_array(tensor).reshape(()))
    for node in _nodes(model.graph):
        times = steps.get(node.input[0], 0) if node.op_type == "Loop" and node.input else 0
        if times > LOOPS_MAX:
            raise ModelError(f"{file} has a loop of {times} steps, at most {LOOPS_MAX} can be run")


def _held(tensor: TensorProto) -> int:
    """How many values a tensor holds; -1: of a kind that no detector has."""
    width = _WIDTHS.get(tensor.data_type)
    if width is None:
        return -1
    if tensor.HasField("raw_data"):
        whole, rest = divmod(len(tensor.raw_data), width)
        return -1 if rest else whole
    if tensor.data_type == TensorProto.STRING:
        return len(tensor.string_data)
    return len(getattr(tensor, _FIELDS.get(tensor.data_type, "int32_data")))


def refuse_operators(model: ModelProto, file: str) -> None:
    """Operators of other domains need libraries of others; random ones score nothing twice.

    Raises ModelError.
    """
    used = {node.domain for node in _nodes(model.graph)}
    # what is no UTF-8 protobuf gives as bytes, whatever its stubs say
    named: set[str | bytes] = {*used, *(node.op_type for node in _nodes(model.graph))}
    if broken := [word for word in named if isinstance(word, bytes)]:
        raise ModelError(f"{file} names an operator {broken[0]!r}, expected UTF-8; copy it again")
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
    if _is_sparse(model.graph):
        raise ModelError(f"{file} holds sparse weights, which cannot be taken; export dense ones")


def _is_sparse(graph: GraphProto) -> bool:
    """Whether weights are sparse anywhere: of these nobody checks sizes or where they are kept."""
    given = [attribute for node in _nodes(graph) for attribute in node.attribute]
    branches = [inner for one in given for inner in (*one.graphs, one.g)]
    return any(one.sparse_initializer for one in (graph, *branches)) or any(
        one.sparse_tensors or one.HasField("sparse_tensor") for one in given
    )


def _declared(graph: GraphProto) -> Iterator[ValueInfoProto]:
    """All inputs, outputs and values between them whose shapes a graph says."""
    yield from (*graph.input, *graph.output, *graph.value_info)
    for node in _nodes(graph):
        for attribute in node.attribute:
            for inner in (*attribute.graphs, *([attribute.g] if attribute.HasField("g") else ())):
                yield from (*inner.input, *inner.output, *inner.value_info)


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
