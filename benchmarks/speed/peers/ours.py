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
from benchmarks.speed.peers.worker import FITTED, serve, windows
from benchmarks.speed.windows import autoencoder, components
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

BLOCK: Final = 64  # samples of an asset at once: a gateway that sends once a minute
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
    return _imported(autoencoder(), stream, samples=1)


def mlp_blocks(stream: NDArray[np.float32]) -> Step:
    """The same, BLOCK samples of each asset at once."""
    return _imported(autoencoder(), stream, samples=BLOCK)


def pca(stream: NDArray[np.float32]) -> Step:
    """Principal components of windows, fitted on windows of all assets, imported, hop 1."""
    return _imported(components(_fitted(stream)), stream, samples=1)


def pca_blocks(stream: NDArray[np.float32]) -> Step:
    """The same, BLOCK samples of each asset at once."""
    return _imported(components(_fitted(stream)), stream, samples=BLOCK)


def _imported(content: bytes, stream: NDArray[np.float32], *, samples: int) -> Step:
    """A model of windows, each sample of each asset once: so many at a time."""
    options = ImportOptions(alignment="rows", scaling="standard")
    made = import_asset(_record(), content, file="reference.onnx", options=options)
    part, blocks, valid = _prepared(made, stream, samples=samples)
    detector = part.detector
    assert isinstance(detector, ImportedDetector), "it was imported"
    state, turn = detector.initial_state(len(valid)), cycle(blocks)

    def step() -> int:
        told = detector.advance(next(turn), valid, state, part.parameters)
        return int(told.size * valid.shape[2])

    for _ in blocks:  # every asset has its window
        step()
    told = detector.advance(next(turn), valid, state, part.parameters)
    assert np.isfinite(told).all(), "each sample has the score of its window"
    return step


def _fitted(stream: NDArray[np.float32]) -> NDArray[np.float64]:
    """Windows that the components are fitted on: the same that the peer is fitted on."""
    cut = windows(stream)
    return cut.reshape(-1, cut.shape[2])[:FITTED]


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
    fit: AssetFit, stream: NDArray[np.float32], *, samples: int = 1
) -> tuple[LoadedPart, list[NDArray[np.float32]], NDArray[np.bool_]]:
    """A bundle of all assets as an engine has it, samples (a, n, c) in turn, all of them valid."""
    t, a, c = stream.shape
    bundle = make_bundle([replace(fit, asset=asset_name(i)) for i in range(a)])
    part = Parts(bundle, detectors_of(bundle)).every[0]
    blocks = [
        np.ascontiguousarray(stream[k : k + samples].transpose(1, 0, 2))
        for k in range(0, t - samples + 1, samples)
    ]
    return part, blocks, np.ones((a, samples, c), np.bool_)


WAYS: Final[dict[str, Callable[[NDArray[np.float32]], Step]]] = {
    way.__name__: way for way in (default, mlp, mlp_blocks, pca, pca_blocks)
}


if __name__ == "__main__":
    serve(WAYS[sys.argv[1]], sys.argv[2], int(sys.argv[3]))
