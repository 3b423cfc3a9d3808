"""The model of somebody else, taken out of the graph of ours that holds it.

That graph is the whole detector, in one piece that is hashed and signed. It is run in two: the
model over as many windows as stay in the cache, its errors over all rows at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from onnx import AttributeProto, GraphProto, ModelProto, helper

from models.errors import ModelError
from models.foreign.imported import VALID
from models.graphs.imported import BATCHED
from models.graphs.onnx_types import BOOL, F32, GIVEN, PREFIX

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from onnx import NodeProto

    from models.foreign.imported import ImportedSpec


def model_alone(whole: ModelProto, spec: ImportedSpec) -> ModelProto:
    """The model with inputs as it names them, prefixed, and one output `given` (N, P) float32.

    whole: the graph around it. Raises ModelError where that holds none.
    """
    output = PREFIX + spec.origin.output
    names = [PREFIX + spec.origin.input, *([PREFIX + VALID] if spec.masks else [])]
    scans = [node for node in whole.graph.node if BATCHED in node.output]
    if scans:
        body = _graph_of(scans[0])
        nodes, weights = list(body.node), list(body.initializer)
        kinds = {one.name: one.type.tensor_type.elem_type for one in body.input}
    else:
        nodes = needed(whole.graph.node, output, but=names)
        used = {name for node in nodes for name in _inputs(node)}
        weights = [one for one in whole.graph.initializer if one.name in used]
        kinds = {name: _kind_of(whole.graph.node, name) for name in names}
    if not nodes or set(names) - set(kinds):
        raise ModelError(f"model.onnx does not hold {spec.origin.file}; import it again")
    nodes = [*nodes, *_flattened(output)]
    shape = _shape_of(spec)
    inputs = [helper.make_tensor_value_info(name, kinds[name], shape) for name in names]
    given = helper.make_tensor_value_info(GIVEN, F32, ["N", "P"])
    made = helper.make_graph(nodes, "alone", inputs, [given], weights)
    return helper.make_model(made, opset_imports=whole.opset_import, ir_version=whole.ir_version)


def _flattened(output: str) -> list[NodeProto]:
    """What a model gives, as rows of float32."""
    flat = "flat"  # names of the model have the prefix
    return [
        helper.make_node("Flatten", [output], [flat], axis=1),
        helper.make_node("Cast", [flat], [GIVEN], to=F32),
    ]


def _shape_of(spec: ImportedSpec) -> list[int | str]:
    lead: int | str = spec.origin.batch or "N"
    if spec.layout.startswith("flat"):
        return [lead, spec.window * spec.channels]
    if spec.layout == "rows":
        return [lead, spec.window, spec.channels]
    return [lead, spec.channels, spec.window]


def needed(nodes: Sequence[NodeProto], output: str, *, but: Iterable[str]) -> list[NodeProto]:
    """The nodes, in their order, that make an output of what `but` names."""
    wanted, found = {output}, []
    for node in reversed(nodes):
        if wanted & set(node.output) - set(but):
            found.append(node)
            wanted |= set(_inputs(node))
    return found[::-1]


def _inputs(node: NodeProto) -> list[str]:
    """What a node takes, and what its branches take of the graph around them."""
    names = list(node.input)
    for attribute in node.attribute:
        for inner in (*attribute.graphs, *([attribute.g] if attribute.HasField("g") else ())):
            names += [name for one in inner.node for name in _inputs(one)]
    return names


def _kind_of(nodes: Sequence[NodeProto], name: str) -> int:
    """The type of what the graph around the model gives it: the last thing it did was to cast."""
    made = {out: node for node in nodes for out in node.output}
    fed = made.get(made[name].input[0]) if name in made else None
    if fed is not None and fed.op_type == "Cast":
        return int(next(one.i for one in fed.attribute if one.name == "to"))
    return BOOL if fed is not None and fed.op_type == "Greater" else F32


def _graph_of(node: NodeProto) -> GraphProto:
    body: GraphProto
    (body,) = [one.g for one in node.attribute if one.type == AttributeProto.GRAPH]
    return body
