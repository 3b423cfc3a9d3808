"""Our side of the comparison: `python -m benchmarks.speed.peers.ours NAME STREAM.npy CORE`.

Answers as `worker` does, with the loops that the other parts of the benchmark measure.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from itertools import cycle
from typing import TYPE_CHECKING, Final

import numpy as np

from benchmarks.plant import asset_name
from benchmarks.speed.peers.stream import recorded
from benchmarks.speed.peers.worker import serve
from benchmarks.speed.windows import autoencoder
from edge.samples.scoring import Parts
from models.bundles.assemble import make_bundle
from models.bundles.bundle import Channel
from models.detector import detectors_of
from models.detector_imported import ImportedDetector
from models.fitting.fit import FitOptions, fit_asset
from models.foreign.adopt import ImportOptions, import_asset
from models.samples import TrainingSamples

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from benchmarks.speed.peers.worker import Step
    from edge.samples.scoring import LoadedPart
    from models.bundles.bundle import AssetFit

RECORD_SAMPLES: Final = 6_000  # of the one robot that it is fitted on


def default(stream: NDArray[np.float32]) -> Step:
    """The default detector, every sample of every asset once, each with its own parameters."""
    part, blocks, valid = _prepared(fit_asset(_record(), FitOptions(alignment="rows")), stream)
    state, turn = part.detector.initial_state(len(valid)), cycle(blocks)

    def step() -> int:
        nonlocal state
        _, state = part.score(next(turn), valid, state, part.parameters)
        return valid.size

    for _ in blocks:  # every row is settled
        step()
    return step


def mlp(stream: NDArray[np.float32]) -> Step:
    """The reference autoencoder, imported, hop 1: one network, each asset its own scaling."""
    options = ImportOptions(alignment="rows", scaling="standard")
    made = import_asset(_record(), autoencoder(), file="reference.onnx", options=options)
    part, blocks, valid = _prepared(made, stream)
    detector = part.detector
    assert isinstance(detector, ImportedDetector), "it was imported"
    state, turn = detector.initial_state(len(valid)), cycle(blocks)

    def step() -> int:
        detector.advance(next(turn), valid, state, part.parameters)
        return valid.size

    for _ in blocks:  # every asset has its window
        step()
    return step


def _record() -> TrainingSamples:
    """A longer record of the first robot, to fit on."""
    values = recorded(assets=1, samples=RECORD_SAMPLES)[:, 0]
    return TrainingSamples(
        asset="a",
        channels=tuple(Channel(name=f"c{i}") for i in range(values.shape[1])),
        values=values.astype(np.float64),
        period_ns=10**9,
    )


def _prepared(
    fit: AssetFit, stream: NDArray[np.float32]
) -> tuple[LoadedPart, list[NDArray[np.float32]], NDArray[np.bool_]]:
    """A bundle of all assets as an engine has it, samples (a, 1, c) in turn, all of them valid."""
    t, a, c = stream.shape
    bundle = make_bundle([replace(fit, asset=asset_name(i)) for i in range(a)])
    part = Parts(bundle, detectors_of(bundle)).every[0]
    blocks = [np.ascontiguousarray(stream[k][:, None]) for k in range(t)]
    return part, blocks, np.ones((a, 1, c), np.bool_)


WAYS: Final[dict[str, Callable[[NDArray[np.float32]], Step]]] = {"default": default, "mlp": mlp}


if __name__ == "__main__":
    serve(WAYS[sys.argv[1]], sys.argv[2], int(sys.argv[3]))
