"""Our side of the comparison: `python -m benchmarks.speed.peers.ours NAME STREAM.npy CORE`.

Answers as `worker` does, with the loops that the other parts of the benchmark measure.
"""

from __future__ import annotations

import itertools
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from benchmarks.plant import asset_name
from benchmarks.speed.peers.stream import recorded
from benchmarks.speed.peers.worker import serve
from edge.samples.scoring import Parts
from models.bundles.assemble import make_bundle
from models.bundles.bundle import Channel
from models.detector import detectors_of
from models.fitting.fit import FitOptions, fit_asset
from models.foreign.adopt import ImportOptions, import_asset
from models.samples import TrainingSamples

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from benchmarks.speed.peers.worker import Step
    from models.bundles.bundle import AssetFit

WIDTHS: Final = (512, 32, 8, 32, 512)  # of the reference autoencoder
RECORD_SAMPLES: Final = 6_000  # of the one robot that it is fitted on
WINDOW: Final = 64


def default(stream: NDArray[np.float32]) -> Step:
    """The default detector, every sample of every asset once, each with its own parameters."""
    return _looped(fit_asset(_record(), FitOptions(alignment="rows")), stream)


def mlp(stream: NDArray[np.float32]) -> Step:
    """The reference autoencoder as an imported model: hop 1, each asset its own scaling."""
    return windowed(stream, hop=1)


def windowed(stream: NDArray[np.float32], *, hop: int) -> Step:
    """The same, asked about every so manyth sample."""
    options = ImportOptions(kind="reconstruction", scaling="standard", alignment="rows", hop=hop)
    made = import_asset(_record(), autoencoder(), file="reference.onnx", options=options)
    return _looped(made, stream)


def _record() -> TrainingSamples:
    """A longer record of the first robot, to fit on."""
    values = recorded(assets=1, samples=RECORD_SAMPLES)[:, 0]
    return TrainingSamples(
        asset="a",
        channels=tuple(Channel(name=f"c{i}") for i in range(values.shape[1])),
        values=values.astype(np.float64),
        period_ns=10**9,
    )


def _looped(fit: AssetFit, stream: NDArray[np.float32]) -> Step:
    """All assets of the stream at one time after another, with the parameters of a fit each."""
    t, a, c = map(int, stream.shape)
    bundle = make_bundle([replace(fit, asset=asset_name(i)) for i in range(a)])
    part = Parts(bundle, detectors_of(bundle)).every[0]  # as an engine has it
    blocks = [np.ascontiguousarray(stream[k][:, None]) for k in range(t)]
    valid = np.ones((a, 1, c), np.bool_)
    state, at = part.detector.initial_state(a), 0
    for block in blocks:  # settled
        _, state = part.score(block, valid, state, part.parameters)

    def step() -> int:
        nonlocal state, at
        at = (at + 1) % t
        _, state = part.score(blocks[at], valid, state, part.parameters)
        return a * c

    return step


def autoencoder() -> bytes:
    """512-32-8-32-512 with ReLU between, over windows (N, 64, 8), weights drawn."""
    chance = np.random.default_rng(1)
    nodes = [helper.make_node("Flatten", ["x"], ["h0"], axis=1)]
    weights = {}
    for k, (n, m) in enumerate(itertools.pairwise(WIDTHS)):
        weights[f"w{k}"] = chance.normal(0.0, n**-0.5, size=(n, m)).astype(np.float32)
        weights[f"b{k}"] = np.zeros(m, np.float32)
        last = k == len(WIDTHS) - 2
        nodes.append(helper.make_node("Gemm", [f"h{k}", f"w{k}", f"b{k}"], [f"g{k}"]))
        if not last:
            nodes.append(helper.make_node("Relu", [f"g{k}"], [f"h{k + 1}"]))
    weights["shape"] = np.array([-1, WINDOW, WIDTHS[0] // WINDOW], np.int64)
    nodes.append(helper.make_node("Reshape", [f"g{len(WIDTHS) - 2}", "shape"], ["y"]))
    sizes: list[str | int | None] = ["N", WINDOW, WIDTHS[0] // WINDOW]
    graph = helper.make_graph(
        nodes,
        "reference",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, sizes)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, sizes)],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    return bytes(made.SerializeToString())


WAYS: Final[dict[str, Callable[[NDArray[np.float32]], Step]]] = {"default": default, "mlp": mlp}


if __name__ == "__main__":
    serve(WAYS[sys.argv[1]], sys.argv[2], int(sys.argv[3]))
