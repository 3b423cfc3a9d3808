"""The recorded stream that all are given: weld robots of the simulator, a sample a second."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from simulator.cells.weld_type import WELD

if TYPE_CHECKING:
    from numpy.typing import NDArray

ASSETS: Final = 1_000
SAMPLES: Final = 256
SEED: Final = 1


def recorded(*, assets: int = ASSETS, samples: int = SAMPLES) -> NDArray[np.float32]:
    """Normal operation (t, a, c) float32 of so many robots of 8 channels."""
    found = [WELD.normal(SEED, i + 1, phase=0, n=samples).values for i in range(assets)]
    return np.ascontiguousarray(np.stack(found, axis=1), np.float32)
