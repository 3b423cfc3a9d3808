"""Labelled windows of many gearboxes, for what learns to name a fault, and for its honest test."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np

from models.features import condition_features
from simulator.cells.gearbox_waves import SPEC, Defect, drawn_build, waves
from simulator.cells.signals import seeds

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

HEALTHY: Final = "healthy"
CLASSES: Final = (
    HEALTHY,
    Defect.OUTER_RACE.value,
    Defect.INNER_RACE.value,
    Defect.GEAR_TOOTH.value,
    Defect.MISALIGNMENT.value,
)
UNSEEN: Final = Defect.IMBALANCE.value  # what nobody has labelled
STREAM: Final = (3_003, 70)
FLEETS: Final = {"train": 0, "test": 1}
WINDOWS_A_MACHINE: Final = 5  # of one class: a machine fails in few ways and is seen a few times
BLOCKS_A_WINDOW: Final = 6  # a minute of a row every ten seconds
WANDER: Final = 0.02  # of speed and load within a window, relative
SEVERITY: Final = (0.3, 1.2)  # from incipient to clear, evenly in its logarithm
RPM: Final = (1150.0, 1800.0)
LOAD: Final = (0.3, 1.0)
TACHO_SD: Final = 0.001  # of the speed, relative


def labelled_blocks(
    seed: int, per_class: int, classes: Sequence[str] = CLASSES, *, fleet: str = "train"
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Draw features (m, f) of m = per_class windows of each class, and labels (m,) into `classes`.

    The columns are those of `models.features.feature_names(SPEC)`, each the median over the six
    blocks of a minute; `as_levels` suits them for linear models. A machine is of one class and
    gives at most five windows, at speeds, loads and severities of their own. fleet: "train" or
    "test": no machine is in both, whatever the seeds, so a figure on the test fleet is one on
    machines that were never seen. The same seed and fleet give the same windows, and more of a
    class only adds at its end. Raises ValueError for a class or fleet that is not known.
    """
    known = {HEALTHY, *(defect.value for defect in Defect)}
    if unknown := [name for name in classes if name not in known]:
        raise ValueError(f"no class {unknown[0]!r}, expected some of {', '.join(sorted(known))}")
    if fleet not in FLEETS:
        raise ValueError(f"fleet is {fleet!r}, expected {' or '.join(FLEETS)}")
    features = [
        _windows(seed, FLEETS[fleet], sorted(known).index(name), name, machine)
        for name in classes
        for machine in range(-(-per_class // WINDOWS_A_MACHINE))
    ]
    each = -(-per_class // WINDOWS_A_MACHINE) * WINDOWS_A_MACHINE
    by_class = np.concatenate(features).reshape(len(classes), each, -1)[:, :per_class]
    labels = np.repeat(np.arange(len(classes)), per_class)
    return by_class.reshape(len(labels), -1), labels


def _windows(seed: int, fleet: int, kind: int, name: str, machine: int) -> NDArray[np.float64]:
    """Features (windows, f) of one machine's windows of one class: medians over their blocks."""
    rng = seeds(seed, *STREAM, fleet, kind, machine)
    build = drawn_build(rng)
    b = WINDOWS_A_MACHINE * BLOCKS_A_WINDOW
    wander = 1.0 + WANDER * rng.uniform(-1.0, 1.0, (2, b))
    rpm, load = (
        np.repeat(rng.uniform(*limits, WINDOWS_A_MACHINE), BLOCKS_A_WINDOW)
        for limits in (RPM, LOAD)
    )
    rpm, load = rpm * wander[0], load * wander[1]
    low, high = (math.log(limit) for limit in SEVERITY)
    severity = np.exp(rng.uniform(low, high, WINDOWS_A_MACHINE)).repeat(BLOCKS_A_WINDOW)
    ill = {} if name == HEALTHY else {Defect(name): severity}
    blocks = waves(build, rng, rpm=rpm, load=load, severity=ill)
    measured = rpm * (1.0 + TACHO_SD * rng.standard_normal(b))
    features = condition_features(blocks, spec=SPEC, speed_rpm=measured)
    return np.median(features.reshape(WINDOWS_A_MACHINE, BLOCKS_A_WINDOW, -1), axis=1)
