"""Our side of the comparison: `python -m benchmarks.speed.peers.ours NAME STREAM.npy CORE`.

Answers as `worker` does, with the loops that the other parts of the benchmark measure.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

import numpy as np

from benchmarks.speed.peers.worker import serve

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from benchmarks.speed.peers.worker import Step

FITTED_ROWS: Final = 600


def default(stream: NDArray[np.float32]) -> Step:
    """The default detector, every sample of every asset once, each with its own parameters."""
    from models.bundles.assemble import make_bundle
    from models.bundles.bundle import Channel
    from models.detector import detector_of
    from models.fitting.fit import FitOptions, fit_asset
    from models.samples import TrainingSamples

    t, a, c = stream.shape
    samples = TrainingSamples(
        asset="a",
        channels=tuple(Channel(name=f"c{i}") for i in range(c)),
        values=stream[:, 0].astype(np.float64),
        period_ns=10**9,
    )
    part = make_bundle([fit_asset(samples, FitOptions(alignment="rows"))]).only
    detector = detector_of(part.graph)
    parameters = {name: np.repeat(value, a, axis=0) for name, value in part.parameters.items()}
    blocks = [np.ascontiguousarray(stream[k][:, None]) for k in range(t)]
    valid = np.ones((a, 1, c), np.bool_)
    state, at = detector.initial_state(a), 0
    while at < t:  # settled
        _, state = detector.score(blocks[at], valid, state, parameters)
        at += 1

    def step() -> int:
        nonlocal state, at
        at = (at + 1) % t
        _, state = detector.score(blocks[at], valid, state, parameters)
        return a * c

    return step


WAYS: Final[dict[str, Callable[[NDArray[np.float32]], Step]]] = {"default": default}


if __name__ == "__main__":
    serve(WAYS[sys.argv[1]], sys.argv[2], int(sys.argv[3]))
