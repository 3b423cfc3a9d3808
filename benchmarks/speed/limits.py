"""What the core can do at most: float32 products in ONNX Runtime, bytes to and from memory.

The rate of products is that of the library which computes the detectors, on the shapes that it is
given: a window model's widest layer and a square matrix, the faster of the two. numpy's own library
may be slower on a processor that it does not know.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import onnxruntime as ort
from onnx import TensorProto, helper

from benchmarks.speed.figure import Figure
from benchmarks.speed.interleaved import interleaved, pinned

if TYPE_CHECKING:
    from collections.abc import Callable

SHAPES: Final = ((256, 512, 32), (256, 256, 256))  # (m, k, n): of the reference model, and square
MEMORY_BYTES: Final = 1 << 27  # of an array: beyond any cache
OPSET: Final = 17


def multiply(m: int, k: int, n: int) -> Callable[[], object]:
    """A product (m, k) x (k, n) in ONNX Runtime on one thread, into an array that is there."""
    node = helper.make_node("MatMul", ["a", "b"], ["y"])
    values = np.random.default_rng(0).standard_normal((k, n)).astype(np.float32)
    weights = helper.make_tensor("b", TensorProto.FLOAT, (k, n), values.tobytes(), raw=True)
    graph = helper.make_graph(
        [node],
        "multiply",
        [helper.make_tensor_value_info("a", TensorProto.FLOAT, (m, k))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, (m, n))],
        [weights],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = ort.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])
    binding = session.io_binding()
    given = ort.OrtValue.ortvalue_from_numpy(np.ones((m, k), np.float32))
    told = ort.OrtValue.ortvalue_from_numpy(np.empty((m, n), np.float32))
    binding.bind_ortvalue_input("a", given)
    binding.bind_ortvalue_output("y", told)
    return lambda: session.run_with_iobinding(binding)  # the binding keeps both


def measure(*, quick: bool = False) -> list[Figure]:
    """The limits of one core."""
    source = np.ones(MEMORY_BYTES // 8, np.float64)
    sink = np.empty_like(source)
    other = np.empty_like(source)
    ways: dict[str, Callable[[], object]] = {
        "copy": lambda: np.copyto(sink, source),
        "add": lambda: np.add(source, sink, out=other),
    }
    ways |= {str(shape): multiply(*shape) for shape in SHAPES}
    with pinned():
        timed = interleaved(ways, rounds=3 if quick else 9)
    rates = {shape: 2 * np.prod(shape) / timed[str(shape)].median_s for shape in SHAPES}
    best = max(rates, key=lambda shape: rates[shape])
    copied = 2 * MEMORY_BYTES / timed["copy"].median_s
    added = 3 * MEMORY_BYTES / timed["add"].median_s
    return [
        Figure(
            id="limit_matrix_multiply",
            figure=float(rates[best]) / 1e9,
            unit="GFLOP/s",
            note=f"float32 {best[0]} x {best[1]} x {best[2]} in ONNX Runtime, one thread",
        ),
        Figure(
            id="limit_memory",
            figure=copied / 1e9,
            unit="GB/s",
            note=f"copy, read and written, 128 MB arrays; sum of two into a third:"
            f" {added / 1e9:.1f} GB/s",
        ),
    ]
