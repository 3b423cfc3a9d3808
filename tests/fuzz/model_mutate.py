"""Mutations of arrays in an archive and of ONNX graphs."""

from __future__ import annotations

import io
import struct
import zipfile
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from onnx import ModelProto, TensorProto, helper

from tests.fuzz.mutate import FLOATS, INTEGERS, TEXTS, mutate_bytes, mutate_json

if TYPE_CHECKING:
    import random

OPERATORS: Final = (
    "Loop", "Scan", "If", "Reshape", "Expand", "Tile", "ConstantOfShape", "Range", "Pad", "Gather",
    "ScatterND", "Conv", "MatMul", "Resize", "Where", "Slice", "Concat", "TopK", "NonZero", "Nope",
)  # fmt: skip
DIMENSIONS: Final = (0, -1, 1, 2, 2**31, 2**40, 2**62)
ZEROS: Final = 400 << 20  # of an array that is small when it is packed


def mutate_npz(chance: random.Random, data: bytes) -> bytes:
    """An archive of arrays: one of them of another shape, type or content, or other bytes."""
    way = chance.random()
    if way < 0.3:
        return mutate_bytes(chance, data)
    with zipfile.ZipFile(io.BytesIO(data)) as packed:
        members = {name: packed.read(name) for name in packed.namelist()}
    name = sorted(members)[int(chance.random() * len(members))]
    if way < 0.35:
        members[name] = mutate_bytes(chance, members[name])
    elif way < 0.4:
        del members[name]
    elif way < 0.5:
        members[name] = _with_header(chance, members[name])
    else:
        array = np.load(io.BytesIO(members[name]), allow_pickle=False)
        members[name] = _npy(_changed_array(chance, array))
    out = io.BytesIO()
    kind = zipfile.ZIP_DEFLATED if chance.random() < 0.2 else zipfile.ZIP_STORED
    with zipfile.ZipFile(out, "w", kind) as packed:
        for one, content in members.items():
            packed.writestr(one, content)
        if way > 0.998:
            packed.writestr("z.npy", b"\0" * ZEROS, zipfile.ZIP_DEFLATED, compresslevel=1)
    return out.getvalue()


def _npy(array: np.ndarray) -> bytes:
    out = io.BytesIO()
    np.save(out, array, allow_pickle=True)  # what a reader must refuse
    return out.getvalue()


def _changed_array(chance: random.Random, array: np.ndarray) -> np.ndarray:
    way = chance.random()
    if way < 0.5 and array.size:
        made = array.copy()
        with np.errstate(all="ignore"):
            value: Any = FLOATS[int(chance.random() * len(FLOATS))]
            if made.dtype.kind in "iu":
                value = int(chance.random() * 1000) - 500
            made.flat[int(chance.random() * made.size)] = value
        return made
    if way < 0.6:
        return array[..., None] if chance.random() < 0.5 else array.ravel()
    if way < 0.7:
        return np.concatenate([array, array]) if array.ndim else array[None]
    if way < 0.8:
        kinds = ("f8", "f4", "i8", "?", "U3", "O", "c16", "M8[ns]", "S4")
        with np.errstate(all="ignore"):
            return array.astype(kinds[int(chance.random() * len(kinds))])
    return np.zeros(int(chance.random() * 5), array.dtype)


def _with_header(chance: random.Random, stored: bytes) -> bytes:
    """An array that says something else of itself than it holds."""
    (length,) = struct.unpack_from("<H", stored, 8)
    head = stored[10 : 10 + length]
    said = (
        b"{'descr': '<f8', 'fortran_order': False, 'shape': (9000000000000,), }",
        b"{'descr': '|O', 'fortran_order': False, 'shape': (2,), }",
        b"{'descr': '<f4', 'fortran_order': False, 'shape': (-1,), }",
        b"{'descr': [('a', '<f4'), ('b', '<i8')], 'fortran_order': True, 'shape': (1,), }",
        b"{'descr': '<f4', 'shape': " + b"(" * 300 + b")" * 300 + b"}",
        mutate_bytes(chance, head),
        mutate_bytes(chance, head),
    )[int(chance.random() * 7)]
    said = said[:60_000]
    return stored[:8] + struct.pack("<H", len(said)) + said + stored[10 + length :]


# --- graphs ------------------------------------------------------------------------------------


def mutate_onnx(chance: random.Random, data: bytes) -> bytes:
    """A graph with other nodes, weights, shapes or words, or with other bytes."""
    if chance.random() < 0.25:
        return mutate_bytes(chance, data)
    model = ModelProto()
    model.ParseFromString(data)
    for _ in range(1 + int(chance.random() * 2)):
        _MODEL_WAYS[int(chance.random() * len(_MODEL_WAYS))](chance, model)
    return bytes(model.SerializeToString())


def _some(chance: random.Random, held: Any) -> Any:  # noqa: ANN401 - protobuf's containers
    return held[int(chance.random() * len(held))] if len(held) else None


def _node(chance: random.Random, model: ModelProto) -> None:
    node = _some(chance, model.graph.node)
    if node is None:
        return
    way = chance.random()
    if way < 0.3:
        node.op_type = OPERATORS[int(chance.random() * len(OPERATORS))]
    elif way < 0.6 and node.input:
        other = _some(chance, model.graph.node)
        names = [*other.output, *other.input, "", "nobody"]
        node.input[int(chance.random() * len(node.input))] = _some(chance, names)
    elif way < 0.75:
        node.domain = ("custom", "ai.onnx.ml", "com.microsoft", "a.b")[int(chance.random() * 4)]
    elif way < 0.9:
        model.graph.node.remove(node)
    else:
        model.graph.node.append(node)


def _attribute(chance: random.Random, model: ModelProto) -> None:
    node = _some(chance, [one for one in model.graph.node if one.attribute])
    attribute = _some(chance, node.attribute) if node is not None else None
    if attribute is None:
        return
    if attribute.HasField("g") and attribute.g.node:
        inner = _some(chance, attribute.g.node)
        inner.op_type = OPERATORS[int(chance.random() * len(OPERATORS))]
    elif attribute.ints:
        attribute.ints[int(chance.random() * len(attribute.ints))] = _whole(chance)
    else:
        attribute.i = _whole(chance)
        attribute.type = int(chance.random() * 14)


def _whole(chance: random.Random) -> int:
    found = INTEGERS[int(chance.random() * len(INTEGERS))]
    return found if -(2**63) <= found < 2**63 else -1


def _weight(chance: random.Random, model: ModelProto) -> None:
    tensor = _some(chance, model.graph.initializer)
    if tensor is None:
        return
    way = chance.random()
    if way < 0.3 and tensor.dims:
        at = int(chance.random() * len(tensor.dims))
        tensor.dims[at] = DIMENSIONS[int(chance.random() * len(DIMENSIONS))]
    elif way < 0.4:
        tensor.data_type = int(chance.random() * 24)
    elif way < 0.5:
        tensor.data_location = TensorProto.EXTERNAL
        entry = tensor.external_data.add()
        entry.key, entry.value = (
            "location",
            ("/etc/passwd", "../x", "w.bin")[int(chance.random() * 3)],
        )
    elif way < 0.6:
        tensor.ClearField("raw_data")
    elif way < 0.8 and tensor.raw_data:
        tensor.raw_data = mutate_bytes(chance, tensor.raw_data)
    elif tensor.data_type == TensorProto.INT64 and tensor.raw_data:
        count = len(tensor.raw_data) // 8
        tensor.raw_data = struct.pack(f"<{count}q", *(_whole(chance) for _ in range(count)))
    else:
        tensor.name = TEXTS[int(chance.random() * 3)] or "w"


def _shape(chance: random.Random, model: ModelProto) -> None:
    value = _some(chance, [*model.graph.input, *model.graph.output, *model.graph.value_info])
    if value is None:
        return
    dims = value.type.tensor_type.shape.dim
    if dims and chance.random() < 0.7:
        one = _some(chance, dims)
        one.dim_value = DIMENSIONS[int(chance.random() * len(DIMENSIONS))]
    else:
        value.type.tensor_type.elem_type = int(chance.random() * 24)


def _words(chance: random.Random, model: ModelProto) -> None:
    entry = _some(chance, model.metadata_props)
    if entry is not None and chance.random() < 0.8:
        said = entry.value.encode()
        entry.value = _other_words(chance, said).decode("utf-8", "ignore")
    elif model.opset_import:
        model.opset_import[0].version = _whole(chance)


def _other_words(chance: random.Random, said: bytes) -> bytes:
    """JSON changed as such; what is none, or no longer after an earlier change, from its end."""
    if not said.startswith((b"{", b"[")):
        return said[::-1]
    try:
        return mutate_json(chance, said)
    except (ValueError, RecursionError):
        return said[::-1]


def _forever(chance: random.Random, model: ModelProto) -> None:
    """A loop that nobody waits for, in place of some node."""
    node = _some(chance, model.graph.node)
    if node is None or not node.output:
        return
    scalar = helper.make_tensor("many", TensorProto.INT64, [], [2**62])
    held, after = (
        helper.make_tensor_value_info(name, TensorProto.INT64, []) for name in ("held", "after")
    )
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["on"], ["still"]),
            helper.make_node("Add", ["held", "i"], ["after"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, []),
            helper.make_tensor_value_info("on", TensorProto.BOOL, []),
            held,
        ],
        [helper.make_tensor_value_info("still", TensorProto.BOOL, []), after],
    )
    model.graph.initializer.append(scalar)
    loop = helper.make_node("Loop", ["many", "", "many"], ["late"], body=body)
    model.graph.node.insert(0, loop)
    model.graph.output.append(helper.make_tensor_value_info("late", TensorProto.INT64, []))


_MODEL_WAYS: Final = (_node, _node, _attribute, _weight, _weight, _shape, _words, _forever)
