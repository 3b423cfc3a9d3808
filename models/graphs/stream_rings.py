"""What a streamed model keeps of the past: rings, and the nodes that take and give what is in them.

See `models.graphs.streamed`; `models.stream_calls` keeps the rings themselves.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from onnx import checker, helper

from models.foreign.imported import VALID
from models.graphs.graph import Nodes, value_info
from models.graphs.onnx_types import F32, GIVEN, LAST, NEW, OLD

if TYPE_CHECKING:
    from onnx import ModelProto

    from models.foreign.imported import ImportedSpec
    from models.graphs.onnx_types import Shape


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """What a layer keeps: the last `reach` samples of a value of some width, in a ring.

    ages: which of them it takes with a new sample, oldest first, 1 is the one before; (): all, in
    no order.
    """

    reach: int
    width: int
    ages: tuple[int, ...]

    @property
    def taken(self) -> int:
        """Values that a step takes of it."""
        return self.width * (len(self.ages) or self.reach)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """A model over samples, serialised, and what it carries from one to the next.

    step: of one sample: x (a, c), which of it is there, as numbers, where the model takes that, and
    `old` (a, .), of each piece what its ages say, give `given` (a, M) and `new` (a, .), a sample of
    each piece. block: of several (a, n, c): `old` and `new` are all that is carried, oldest first.
    """

    step: bytes
    block: bytes
    pieces: tuple[Piece, ...]

    @property
    def carried(self) -> int:
        """Values that a row carries."""
        return sum(piece.reach * piece.width for piece in self.pieces)

    @property
    def round(self) -> int:
        """Samples after which all rings begin again."""
        return math.lcm(*(piece.reach for piece in self.pieces))


class Rings:
    """Everything that is kept, as the graph of a stream is made. step: of one sample a call."""

    def __init__(self, g: Nodes, *, step: bool) -> None:
        self.g, self.step = g, step
        self.pieces: list[Piece] = []
        self.kept: list[str] = []  # of each what is kept of it on

    def take(self, name: str, piece: Piece) -> list[str]:
        """What is kept of a stream: of a step each age (a, width), or all of it, flat.

        Of a block the samples before with the new ones behind (a, reach + n, width).
        """
        at = len(self.pieces)
        self.pieces.append(piece)
        if self.step:
            self.kept.append(name)
            return [f"old_{at}_{age}" for age in piece.ages or (0,)]
        series = self.g.op("Concat", f"old_{at}", name, axis=1)
        self.kept.append(series)
        return [series]

    def part(self, series: str, begin: int, left: int) -> str:
        """The samples of a series from one on, but for those left behind."""
        end = self.g.ints(-left or LAST)
        return self.g.op("Slice", series, self.g.ints(begin), end, self.g.ints(1))

    def delayed(self, name: str, width: int, samples: int) -> str:
        """A stream some samples later."""
        if samples == 0:
            return name
        (old,) = self.take(name, Piece(reach=samples, width=width, ages=(samples,)))
        return old if self.step else self.part(old, 0, samples)

    def groups(self) -> list[list[int]]:
        """Pieces that reach as far back and are taken alike: they share a ring."""
        found: dict[tuple[object, ...], list[int]] = {}
        for i, piece in enumerate(self.pieces):
            alone = () if piece.ages else (i,)
            found.setdefault((piece.reach, piece.ages, *alone), []).append(i)
        return list(found.values())

    def shared(self) -> tuple[Piece, ...]:
        """What is kept, ring by ring."""
        return tuple(
            replace(self.pieces[group[0]], width=sum(self.pieces[i].width for i in group))
            for group in self.groups()
        )

    def _step_rings(self, first: Nodes) -> list[str]:
        """Names of what is new, ring by ring; `first` takes apart what is old."""
        names, sizes, after = [], [], []
        for group in self.groups():
            for age in self.pieces[group[0]].ages or (0,):
                names += [f"old_{i}_{age}" for i in group]
                sizes += [self.pieces[i].width if age else self.pieces[i].taken for i in group]
            after += [self.kept[i] for i in group]
        split = helper.make_node("Split", [OLD, self.g.ints(*sizes)], names, axis=1)
        first.nodes.append(split)
        return after

    def _block_rings(self, first: Nodes) -> list[str]:
        """Likewise of blocks, where rings are all that is kept, oldest first."""
        g, after = self.g, []
        rings, groups = self.shared(), self.groups()
        sizes = g.ints(*(ring.reach * ring.width for ring in rings))
        parts = first.ops("Split", OLD, sizes, outputs=len(rings), axis=1)
        for ring, group, part in zip(rings, groups, parts, strict=True):
            shaped = first.op("Reshape", part, first.ints(0, ring.reach, ring.width))
            widths = g.ints(*(self.pieces[i].width for i in group))
            names = [f"old_{i}" for i in group]
            first.nodes.append(helper.make_node("Split", [shaped, widths], names, axis=2))
            every = g.op("Concat", *(self.kept[i] for i in group), axis=2)
            newest = g.op("Slice", every, g.ints(-ring.reach), g.ints(LAST), g.ints(1))
            after.append(g.op("Flatten", newest, axis=1))
        return after

    def finished(self, spec: ImportedSpec, model: ModelProto) -> bytes:
        """The nodes, what is kept before and behind them, as a serialised model."""
        g, first, rings = self.g, Nodes("f", self.g.constants), self.shared()
        after = self._step_rings(first) if self.step else self._block_rings(first)
        g.nodes.append(helper.make_node("Concat", after, [NEW], axis=1))
        taken = sum(ring.taken if self.step else ring.reach * ring.width for ring in rings)
        across = sum(ring.width * (1 if self.step else ring.reach) for ring in rings)
        lead: Shape = ("a",) if self.step else ("a", "n")
        names = ["x", *([VALID] if spec.masks else [])]
        inputs = [value_info(name, F32, *lead, spec.channels) for name in names]
        inputs.append(value_info(OLD, F32, "a", taken))
        outputs = [
            value_info(GIVEN, F32, *lead, spec.errors),
            value_info(NEW, F32, "a", across),
        ]
        graph = helper.make_graph([*first.nodes, *g.nodes], "stream", inputs, outputs, g.constants)
        opsets = model.opset_import
        made = helper.make_model(graph, opset_imports=opsets, ir_version=model.ir_version)
        checker.check_model(made)
        return bytes(made.SerializeToString(deterministic=True))
