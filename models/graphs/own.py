"""Whether a graph is the one that this version makes of a spec.

What the makers in this package make again needs no trust: nothing of it is the file's own. Graphs
of earlier versions, and those around imported models, are not: `models.bundles.trial` runs those
first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from onnx import numpy_helper

from models.bundles.bundle import Spec, StreamSpec
from models.bundles.rows import graph_of
from models.bundles.tabled_kinds import EnsembleSpec
from models.errors import UNREADABLE, ModelError
from models.foreign.imported import ImportedSpec
from models.graphs.head import bare, heads_in, with_head_branch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from onnx import TensorProto

    from models.bundles.bundle import AnySpec

# A spec beyond these is not made again to be compared: its graph may take gigabytes.
CHANNELS_MAX: Final = 1_024
OTHERS_MAX: Final = 4_096
LAMBDAS_MAX: Final = 64
ROUNDING: Final = 1e-5  # of constants that another processor computed


def is_own(spec: AnySpec, graph: bytes) -> bool:
    """Whether the graph is what the spec, and the heads that it names, make here.

    Constants may differ by what processors round differently. False of imported models.
    """
    if isinstance(spec, ImportedSpec) or not _small(spec):
        return False
    try:
        made = graph_of(spec)
        if graph == made:
            return True
        plain = bare(graph)
        heads = heads_in(graph)
        if heads and with_head_branch(plain, heads, width=spec.channels) != graph:
            return False
        return plain == made or _alike(plain, made)
    except (*UNREADABLE, DecodeError, ModelError, KeyError, IndexError, TypeError, MemoryError):
        return False  # no graph of ours ends so
    except onnx.checker.ValidationError:
        return False


def _small(spec: AnySpec) -> bool:
    """Whether a graph of it can be made in no time."""
    others: Sequence[int] = ()
    if isinstance(spec, Spec):
        others = (spec.lags * spec.channels, spec.knots)
    elif isinstance(spec, StreamSpec):
        others = (spec.seasons * (2 * spec.around + 1), spec.window, spec.bank, spec.bins)
    elif isinstance(spec, EnsembleSpec):
        others = (spec.members, spec.knots, spec.bins)
    return (
        0 < spec.channels <= CHANNELS_MAX
        and len(spec.lambdas) <= LAMBDAS_MAX
        and all(0 <= one <= OTHERS_MAX for one in others)
    )


def _alike(content: bytes, made: bytes) -> bool:
    """Whether two graphs are the same but for the last digits of their constants."""
    found, own = onnx.load_from_string(content), onnx.load_from_string(made)
    held, wanted = found.graph.initializer, own.graph.initializer
    if len(held) != len(wanted) or not all(map(_near, held, wanted)):
        return False
    del held[:]
    held.extend(wanted)
    return bytes(found.SerializeToString(deterministic=True)) == made


def _near(one: TensorProto, other: TensorProto) -> bool:
    if one.data_location or len(one.raw_data) != len(other.raw_data):
        return False
    if (one.name, one.data_type, one.dims) != (other.name, other.data_type, other.dims):
        return False
    a, b = numpy_helper.to_array(one), numpy_helper.to_array(other)
    return bool(np.allclose(a, b, rtol=ROUNDING, atol=0.0, equal_nan=True))
