"""A model of windows as one of a stream: each of its layers computes each sample once.

Where nothing in a model depends on where in its window a sample stands (convolutions without
padding, what is done value by value, means over all that is left of the window), neighbouring
windows share all but one sample of every layer. The same is then computed of the samples as they
come, each layer keeping as much of what it takes as reaches back: cached activations (Paine et al.
2016, arXiv:1611.09482). Padding is of the window, so a padded layer is not of these; nor is a dense
one.

Every value of the model becomes a stream (a, n, d). Of a value with `length` samples in a window
that ends at t, sample i is the stream's at t - lag - (length - 1 - i).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from onnx import checker, helper, numpy_helper

from models.foreign.imported import VALID
from models.graphs.graph import Nodes
from models.graphs.onnx_types import F32, GIVEN
from models.graphs.stream_rings import Piece, Rings, Stream

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from onnx import ModelProto, NodeProto

    from models.foreign.imported import ImportedSpec

CARRIED_MAX: Final = 1 << 14  # values a row: beyond it copying them costs more than it saves
ROUND_MAX: Final = 1 << 23  # samples: counted as float32
ALONE: Final = frozenset(  # value by value, of one input
    (
        *("Relu", "Tanh", "Sigmoid", "LeakyRelu", "Elu", "Selu", "Softplus", "Softsign", "Gelu"),
        *("HardSigmoid", "HardSwish", "Mish", "ThresholdedRelu", "Erf", "Neg", "Abs", "Exp", "Log"),
        *("Sqrt", "Sin", "Cos", "Reciprocal", "Identity"),
    )
)
BOTH: Final = frozenset(["Add", "Sub", "Mul", "Div", "Pow", "Min", "Max"])


class NotStreamed(Exception):  # noqa: N818 - no error: a model that is run over windows
    """What a model does depends on where in the window a sample stands, or is not known here."""


@dataclass(frozen=True, slots=True)
class _Stream:
    """A value: its name (a, n, d), and how the model has it: axes behind the batch, t and d."""

    name: str
    width: int
    length: int
    lag: int
    axes: str  # "td", "dt", or "d" where there is one sample of it


class _Maker:
    """Makes the graph of a stream, node by node of the model."""

    def __init__(self, model: ModelProto, spec: ImportedSpec, *, step: bool) -> None:
        """step: of one sample (a, d) in place of several (a, n, d): half as many nodes."""
        self.step, self.across = step, 1 if step else 2  # the axis of values
        self.g, self.spec, self.model = Nodes("t", []), spec, model
        self.held = {one.name: numpy_helper.to_array(one) for one in model.graph.initializer}
        self.streams: dict[str, _Stream] = {}
        self.rings = Rings(self.g, step=step)
        for value, name in zip(model.graph.input, ("x", VALID), strict=False):
            if value.type.tensor_type.elem_type != F32 or spec.layout.startswith("flat"):
                raise NotStreamed
            axes = "td" if spec.layout == "rows" else "dt"
            self.streams[value.name] = _Stream(name, spec.channels, spec.window, 0, axes)

    def made(self) -> bytes:
        """The graph, serialised."""
        for node in self.model.graph.node:
            if node.op_type == "Constant" and node.attribute[0].name == "value":
                self.held[node.output[0]] = numpy_helper.to_array(node.attribute[0].t)
            else:
                self.streams[node.output[0]] = self._of(node)
        last = self.streams[GIVEN]
        if last.length != 1 or last.width != self.spec.errors:
            raise NotStreamed
        ahead = self.spec.kind == "forecast"  # what was told of this sample when the last one came
        told = self.rings.delayed(last.name, last.width, last.lag + ahead)
        self.g.nodes.append(self.g.node("Identity", [told], GIVEN))
        if not self.rings.pieces:
            raise NotStreamed
        return self.rings.finished(self.spec, self.model)

    def _of(self, node: NodeProto) -> _Stream:
        said = {one.name: helper.get_attribute_value(one) for one in node.attribute}
        kind = node.op_type
        streams = [self.streams[name] for name in node.input if name in self.streams]
        if len(node.output) != 1 or not streams:
            raise NotStreamed
        one = streams[0]
        if kind in ALONE or kind == "Clip":
            bounds = [
                self.g.floats(self._constant(name)) if name else "" for name in node.input[1:]
            ]
            return replace(one, name=self.g.op(kind, one.name, *bounds, **said))
        if kind in BOTH:
            return self._both(node)
        maker = {
            "Conv": self._conv, "Gemm": self._dense, "MatMul": self._dense, "Slice": self._slice,
            "Gather": self._gather, "Squeeze": self._flat, "Flatten": self._flat,
            "Reshape": self._flat, "ReduceMean": self._reduced, "ReduceSum": self._reduced,
            "Concat": self._side_by_side, "Transpose": self._turned, "Cast": self._cast,
        }.get(kind)  # fmt: skip
        if maker is None:
            raise NotStreamed
        return maker(node, one, said)

    def _turned(self, _: NodeProto, one: _Stream, said: dict[str, Any]) -> _Stream:
        """Time and values change places."""
        if len(one.axes) != len("td") or said["perm"] not in ([0, 2, 1], [0, 1, 2]):
            raise NotStreamed
        return replace(one, axes=one.axes[::-1] if said["perm"] == [0, 2, 1] else one.axes)

    def _cast(self, _: NodeProto, one: _Stream, said: dict[str, Any]) -> _Stream:
        if said["to"] != F32:
            raise NotStreamed
        return one

    def _constant(self, name: str) -> NDArray[Any]:
        if name not in self.held:
            raise NotStreamed
        return self.held[name]

    def _both(self, node: NodeProto) -> _Stream:
        """Two streams sample by sample, or one with a constant that is the same for each."""
        found = [self.streams.get(name) for name in node.input]
        one, other = found if len(found) == 2 else (None, None)
        if one is not None and other is not None:
            if one.axes != other.axes or one.length != other.length:
                raise NotStreamed
            if 1 not in (one.width, other.width) and one.width != other.width:
                raise NotStreamed
            lag = min(one.lag, other.lag)
            names = [self.rings.delayed(s.name, s.width, s.lag - lag) for s in (one, other)]
            made = self.g.op(node.op_type, *names)
            return _Stream(made, max(one.width, other.width), one.length, lag, one.axes)
        stream = one or other
        if stream is None:
            raise NotStreamed
        at = 1 if one is not None else 0
        plain = self.g.floats(_of_each(self._constant(node.input[at]), stream))
        names = [stream.name, plain] if at else [plain, stream.name]
        return replace(stream, name=self.g.op(node.op_type, *names))

    def _side_by_side(self, node: NodeProto, one: _Stream, said: dict[str, Any]) -> _Stream:
        """Values of several streams as those of one."""
        streams = [self.streams[name] for name in node.input if name in self.streams]
        values = 1 + one.axes.index("d")
        if len(streams) < len(node.input) or said["axis"] % (1 + len(one.axes)) != values:
            raise NotStreamed
        if any((s.axes, s.length, s.lag) != (one.axes, one.length, one.lag) for s in streams):
            raise NotStreamed
        made = self.g.op("Concat", *(s.name for s in streams), axis=self.across)
        return replace(one, name=made, width=sum(s.width for s in streams))

    def _conv(self, node: NodeProto, one: _Stream, said: dict[str, Any]) -> _Stream:
        weight = self._constant(node.input[1])  # (out, in, k)
        plain = said.get("group", 1) == 1 and not any(said.get("pads", []))
        plain = plain and set(said.get("strides", [1])) == {1} and weight.ndim == 3
        if (
            one.axes != "dt"
            or not plain
            or said.get("auto_pad", b"NOTSET") not in (b"NOTSET", b"VALID")
        ):
            raise NotStreamed
        out, width, k = weight.shape
        apart = said.get("dilations", [1])[0]
        reach = (k - 1) * apart
        if width != one.width or reach >= one.length:
            raise NotStreamed
        made = one.name
        if reach:
            ages = tuple((k - 1 - j) * apart for j in range(k - 1))
            taps = self.rings.take(one.name, Piece(reach=reach, width=width, ages=ages))
            if not self.step:
                (series,) = taps
                taps = [self.rings.part(series, reach - age, age) for age in ages]
            made = self.g.op("Concat", *taps, one.name, axis=self.across)  # (a, n, k in)
        turn = weight.transpose(2, 1, 0).reshape(k * width, out)
        offset = self._constant(node.input[2]) if len(node.input) > 2 else None
        made = self._times(made, turn, offset)
        return _Stream(made, out, one.length - reach, one.lag, one.axes)

    def _dense(self, node: NodeProto, one: _Stream, said: dict[str, Any]) -> _Stream:
        """A layer of each sample by itself."""
        turn = self._constant(node.input[1])
        turn = turn.T if said.get("transB", 0) else turn
        plain = said.get("alpha", 1.0) == said.get("beta", 1.0) == 1.0 and not said.get("transA", 0)
        if one.axes[-1] != "d" or node.input[0] not in self.streams or turn.ndim != 2 or not plain:
            raise NotStreamed
        offset = self._constant(node.input[2]).reshape(-1) if len(node.input) > 2 else None
        made = self._times(one.name, turn, offset)
        return replace(one, name=made, width=turn.shape[1])

    def _times(self, name: str, turn: NDArray[Any], offset: NDArray[Any] | None) -> str:
        weight = self.g.floats(turn)
        if self.step and offset is not None:
            return self.g.op("Gemm", name, weight, self.g.floats(offset))
        made = self.g.op("MatMul", name, weight)
        return made if offset is None else self.g.op("Add", made, self.g.floats(offset))

    def _slice(self, node: NodeProto, one: _Stream, _: dict[str, Any]) -> _Stream:
        """The samples of a window between two places."""
        words = [self._constant(name).tolist() for name in node.input[1:]]
        starts, ends, axes, *steps = [*words, [0]] if len(words) == 2 else words
        time = 1 + one.axes.find("t")
        if len(starts) != 1 or axes[0] % (1 + len(one.axes)) != time or steps not in ([], [[1]]):
            raise NotStreamed
        begin, end = slice(starts[0], ends[0]).indices(one.length)[:2]
        if time == 0 or end <= begin:
            raise NotStreamed
        return replace(one, length=end - begin, lag=one.lag + one.length - end)

    def _gather(self, node: NodeProto, one: _Stream, said: dict[str, Any]) -> _Stream:
        """One sample of the window."""
        at = self._constant(node.input[1])
        if "t" not in one.axes or said.get("axis", 0) != 1 + one.axes.index("t") or at.ndim:
            raise NotStreamed
        place = int(at) % one.length
        return replace(one, length=1, lag=one.lag + one.length - 1 - place, axes="d")

    def _flat(self, _node: NodeProto, one: _Stream, _: dict[str, Any]) -> _Stream:
        """Another shape of what is one sample."""
        if one.length != 1:
            raise NotStreamed
        return replace(one, axes="d")

    def _reduced(self, node: NodeProto, one: _Stream, said: dict[str, Any]) -> _Stream:
        """A mean or sum over the values of each sample, over the window, or over both."""
        if len(node.input) > 1 and node.input[1]:
            axes = self._constant(node.input[1]).tolist()
        else:
            axes = said.get("axes", [])
        rank = 1 + len(one.axes)
        over = {("N" + one.axes)[axis % rank] for axis in axes}
        if not over or "N" in over:
            raise NotStreamed
        made, width, length = one.name, one.width, one.length
        if "d" in over:
            across = self.g.ints(self.across)
            made, width = self.g.op(node.op_type, made, across, keepdims=1), 1
        if "t" in over:
            made = self._over_window(made, width, length, mean=node.op_type == "ReduceMean")
            length = 1
        if not said.get("keepdims", 1) and "t" in over:
            return _Stream(made, width, length, one.lag, "d")
        if not said.get("keepdims", 1) and one.axes != "d":
            raise NotStreamed
        return _Stream(made, width, length, one.lag, one.axes)

    def _over_window(self, name: str, width: int, length: int, *, mean: bool) -> str:
        """Sums or means over the newest samples, through a band of ones."""
        if length == 1:
            return name
        (series,) = self.rings.take(name, Piece(reach=length - 1, width=width, ages=()))
        if self.step:
            kind = "ReduceMean" if mean else "ReduceSum"
            series = self.g.op("Concat", series, name, axis=1)
            if width == 1:
                return self.g.op(kind, series, self.g.ints(1), keepdims=1)
            apart = self.g.op("Reshape", series, self.g.ints(0, length, width))
            return self.g.op(kind, apart, self.g.ints(1), keepdims=0)
        total = self.g.op("Shape", series, start=1, end=2)
        rows = self.g.op("Range", self.g.scalar(0), self.g.op("Squeeze", total), self.g.scalar(1))
        size = self.g.op("Shape", name, start=1, end=2)
        lines = self.g.op("Range", self.g.scalar(0), self.g.op("Squeeze", size), self.g.scalar(1))
        before = self.g.op(
            "Sub", self.g.op("Unsqueeze", rows, self.g.ints(0)),
            self.g.op("Unsqueeze", lines, self.g.ints(1)),
        )  # fmt: skip
        within = self.g.op(
            "And", self.g.op("GreaterOrEqual", before, self.g.scalar(0)),
            self.g.op("Less", before, self.g.scalar(length)),
        )  # fmt: skip
        share = self.g.floats(1.0 / length if mean else 1.0)
        band = self.g.op("Where", within, share, self.g.floats(0.0))  # (n, length - 1 + n)
        return self.g.op("MatMul", band, series)


def stream_of(model: ModelProto, spec: ImportedSpec) -> Stream | None:
    """The model over samples as they come; None: it is none of these.

    model: as `models.graphs.alone` gives it.
    """
    try:
        step, block = _Maker(model, spec, step=True), _Maker(model, spec, step=False)
        made = Stream(step=step.made(), block=block.made(), pieces=step.rings.shared())
    except (NotStreamed, KeyError, ValueError, IndexError, TypeError, checker.ValidationError):
        return None
    return made if made.carried <= CARRIED_MAX and made.round <= ROUND_MAX else None


def _of_each(constant: NDArray[Any], stream: _Stream) -> NDArray[Any]:
    """A constant as what stands beside each sample: of all values, or one of each (d,)."""
    if constant.size == 1:
        return constant.reshape(())
    shape = (1,) * (1 + len(stream.axes) - constant.ndim) + constant.shape
    place = 1 + stream.axes.index("d")
    if constant.size != stream.width or len(shape) <= place or shape[place] != stream.width:
        raise NotStreamed
    return constant.reshape(-1)
