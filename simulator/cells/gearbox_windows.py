"""Labelled windows of many gearboxes, for what learns to name a fault, and for its honest test."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from models.features.features import as_levels, condition_features, feature_table
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
KINDS: Final = tuple(sorted((HEALTHY, *(defect.value for defect in Defect))))
STREAM: Final = (3_003, 70)
FLEETS: Final = {"train": 0, "test": 1}
WINDOWS_A_MACHINE: Final = 5  # of one class: a machine fails in few ways and is seen a few times
BLOCKS_A_WINDOW: Final = 6  # a minute of a row every ten seconds
WANDER: Final = 0.02  # of speed and load within a window, relative
SEVERITY: Final = (0.3, 1.2)  # from incipient to clear, evenly in its logarithm
RPM: Final = (1150.0, 1800.0)
LOAD: Final = (0.3, 1.0)
TACHO_SD: Final = 0.001  # of the speed, relative
LOAD_SD: Final = 0.01  # of the load meter, share of full load
USUAL_SETPOINTS: Final = 8
USUAL_BLOCKS: Final = 240  # 40 minutes of rows


def labelled_blocks(
    seed: int, per_class: int, classes: Sequence[str] = CLASSES, *, fleet: str = "train"
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Draw features (m, f) of m = per_class windows of each class, and labels (m,) into `classes`.

    The columns are those of `feature_names(SPEC)` of `models.features.features`, each the median
    over the six blocks of a minute; `as_levels` suits them for linear models. A machine is of one
    class and gives at most five windows, at speeds, loads and severities of their own. fleet:
    "train" or "test": no machine is in both, whatever the seeds, so a figure on the test fleet is
    one on machines that were never seen. The same seed and fleet give the same windows, and more
    of a class only adds at its end. Raises ValueError for a class or fleet that is not known.
    """
    if unknown := [name for name in classes if name not in KINDS]:
        raise ValueError(f"no class {unknown[0]!r}, expected some of {', '.join(KINDS)}")
    if fleet not in FLEETS:
        raise ValueError(f"fleet is {fleet!r}, expected {' or '.join(FLEETS)}")
    features = [
        _medians(_ill_rows(seed, FLEETS[fleet], name, machine)[:, 2:])
        for name in classes
        for machine in range(-(-per_class // WINDOWS_A_MACHINE))
    ]
    each = -(-per_class // WINDOWS_A_MACHINE) * WINDOWS_A_MACHINE
    by_class = np.concatenate(features).reshape(len(classes), each, -1)[:, :per_class]
    labels = np.repeat(np.arange(len(classes)), per_class)
    return by_class.reshape(len(labels), -1), labels


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Machine:
    """A gearbox that is labelled. Rows (n, 2 + f): speed, load, features as levels, every ten s.

    usual: USUAL_BLOCKS rows of its normal operation at eight setpoints. windows: (6, 2 + f) each,
    the minutes in which it was of its class.
    """

    name: str
    kind: str
    usual: NDArray[np.float64]
    windows: tuple[NDArray[np.float64], ...]


def labelled_machine(seed: int, kind: str, number: int, *, fleet: str = "train") -> Machine:
    """A machine with the windows that `labelled_blocks` has of it, and with its own usual record.

    kind: its class. number: from 0. What it shows while nothing is wrong is what a detector would
    be fitted on before anything breaks. Raises ValueError for a class or fleet that is not known.
    """
    if kind not in KINDS or fleet not in FLEETS:
        raise ValueError(f"no class {kind!r} or fleet {fleet!r}; see labelled_blocks")
    rows = _ill_rows(seed, FLEETS[fleet], kind, number)
    usual = _usual_rows(seed, FLEETS[fleet], kind, number)
    both = [np.hstack([part[:, :2], as_levels(part[:, 2:], SPEC)]) for part in (usual, rows)]
    windows = np.split(both[1], WINDOWS_A_MACHINE)
    name = f"{fleet}-{kind}-{number}"
    return Machine(name=name, kind=kind, usual=both[0], windows=tuple(windows))


def row_channels() -> tuple[tuple[str, str], ...]:
    """Name and unit of each column of a machine's rows."""
    levels = [(name, "" if name == "skewness" else "dB") for name, _ in feature_table(SPEC)]
    return (("shaft_speed", "rpm"), ("motor_load", ""), *levels)


def _ill_rows(seed: int, fleet: int, name: str, machine: int) -> NDArray[np.float64]:
    """Speed, load and features (30, 2 + f) of the blocks of one machine's windows of one class."""
    rng = seeds(seed, *STREAM, fleet, KINDS.index(name), machine)
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
    return _rows(blocks, rng, rpm, load)


def _usual_rows(seed: int, fleet: int, name: str, machine: int) -> NDArray[np.float64]:
    """The same machine's rows (USUAL_BLOCKS, 2 + f) before anything was wrong with it."""
    build = drawn_build(seeds(seed, *STREAM, fleet, KINDS.index(name), machine))
    rng = seeds(seed, *STREAM, fleet, KINDS.index(name), machine, 1)
    wander = 1.0 + WANDER * rng.uniform(-1.0, 1.0, (2, USUAL_BLOCKS))
    rpm, load = (
        np.repeat(rng.uniform(*limits, USUAL_SETPOINTS), USUAL_BLOCKS // USUAL_SETPOINTS)
        for limits in (RPM, LOAD)
    )
    rpm, load = rpm * wander[0], load * wander[1]
    return _rows(waves(build, rng, rpm=rpm, load=load), rng, rpm, load)


def _rows(
    blocks: NDArray[np.float32],
    rng: np.random.Generator,
    rpm: NDArray[np.float64],
    load: NDArray[np.float64],
) -> NDArray[np.float64]:
    """What the monitor says of blocks (b, n): measured speed and load, and features (b, 2 + f)."""
    measured = rpm * (1.0 + TACHO_SD * rng.standard_normal(len(rpm)))
    features = condition_features(blocks, spec=SPEC, speed_rpm=measured)
    shown = load + LOAD_SD * rng.standard_normal(len(load))
    return np.column_stack([measured, shown, features])


def _medians(features: NDArray[np.float64]) -> NDArray[np.float64]:
    """Features (windows, f) of blocks (b, f): medians over each window's."""
    return np.median(features.reshape(WINDOWS_A_MACHINE, BLOCKS_A_WINDOW, -1), axis=1)
