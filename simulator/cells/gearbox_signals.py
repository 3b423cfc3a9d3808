"""Channels of a gearbox as its condition monitor publishes them: features of real waveforms.

Every ten seconds the monitor takes a short block of vibration at 12.8 kHz and publishes its
condition features, each the median of the last seven blocks so that single knocks do not show,
beside speed, load and bearing temperature. The drive of a conveyor runs at two setpoints with ramps
of minutes between them; the load wanders. Faults of the mechanics are made in the waveform, see
`gearbox_waves`: a planned size in sigmas of a channel is looked up as a severity of this machine.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy.ndimage import median_filter
from scipy.signal import lfilter

from models.features.features import as_levels, condition_features, feature_names
from simulator.cells.gearbox_waves import SPEC, Build, Defect, drawn_build, waves
from simulator.cells.signals import (
    REFERENCE_S,
    ChannelForm,
    Course,
    at_rest,
    by_turns,
    smoothed,
    stops,
)
from simulator.cells.signals import seeds as cell_seeds
from simulator.faults import render

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from simulator.faults import PlannedFault

    F64 = NDArray[np.float64]

STREAM: Final = (2_003,)
PERIOD_S: Final = 10
REFERENCE: Final = 2  # the phase that sigmas are measured in
REFERENCE_STEP_S: Final = 120  # two days are told well enough by a block every other minute
# name, unit, level, noise, memory, idle, idle_noise, gated, decimals, spread, start, swing
# fmt: off
_TABLE: Final = (
    ("Shaft Speed", "rpm", 1450.0, 2.5, 0.0, 0.0, 0.05, True, 2, 0.01, 0.0, 150.0),
    ("Motor Load", "%", 60.0, 2.0, 0.8, 0.0, 0.02, True, 3, 0.03, 0.0, 8.0),
    ("Bearing Temperature", "degC", 52.0, 0.35, 0.6, 0.0, 0.0, False, 3, 0.03, 0.0, 0.0),
    ("Vibration Velocity", "mm/s", 3.4, 0.1, 0.0, 0.05, 0.003, True, 4, 0.2, 0.0, 0.4),
    ("Vibration Acceleration", "m/s2", 1.6, 0.03, 0.0, 0.02, 0.001, True, 4, 0.2, 0.0, 0.2),
    ("Kurtosis", "dB", 9.2, 0.2, 0.0, 9.54, 0.1, True, 3, 0.05, 0.0, 0.2),
    ("Shaft 1x", "m/s2", 0.5, 0.01, 0.0, 0.001, 0.0001, True, 5, 0.4, 0.0, 0.1),
    ("Shaft 2x", "m/s2", 0.3, 0.01, 0.0, 0.001, 0.0001, True, 5, 0.4, 0.0, 0.06),
    ("Mesh Level", "m/s2", 1.3, 0.03, 0.0, 0.001, 0.0001, True, 5, 0.4, 0.0, 0.2),
    ("Mesh Sidebands", "%", 10.0, 0.8, 0.0, 50.0, 0.5, True, 3, 0.3, 0.0, 0.5),
    ("Envelope Outer Race", "dB", 4.7, 0.8, 0.0, 4.6, 0.2, True, 3, 0.05, 0.0, 0.1),
    ("Envelope Inner Race", "dB", 5.3, 0.6, 0.0, 5.3, 0.2, True, 3, 0.05, 0.0, 0.1),
    ("Envelope Shaft", "dB", 4.1, 0.9, 0.0, 4.1, 0.2, True, 3, 0.05, 0.0, 0.1),
)
# fmt: on
CHANNELS: Final = tuple(ChannelForm(*row) for row in _TABLE)
CHANNEL_NAMES: Final = tuple(channel.name for channel in CHANNELS)
SPEED, LOAD, HEAT = range(3)
# The features that are published, from the fourth channel on, and whether as a level.
PUBLISHED: Final = (
    ("velocity_rms", False),
    ("rms", False),
    ("kurtosis", True),
    ("shaft0_1x", False),
    ("shaft0_2x", False),
    ("mesh0_1x", False),
    ("mesh0_sidebands_shaft0", False),
    ("envelope_de_bpfo", True),
    ("envelope_de_bpfi", True),
    ("envelope_shaft0", True),
)
_COLUMNS: Final = [feature_names(SPEC).index(name) for name, _ in PUBLISHED]
_AS_LEVEL: Final = np.array([level for _, level in PUBLISHED])
assert HEAT + 1 + len(PUBLISHED) == len(CHANNELS), "each feature has a channel"

STOPPED, SLOW, FAST = range(3)
SETPOINT_S: Final = (40 * 60, 120 * 60)
RAMP_S: Final = 240
HEAT_S: Final = 1500.0
HEAT_SIGMA: Final = 0.6
RUNNING_USUAL: Final = 0.85
MEDIAN: Final = 7  # blocks: four knocks in a minute show, fewer do not
CHUNK: Final = 30  # rows that are drawn together: five minutes, so more hours only add at the end
GRID: Final = (0.0, 0.04, 0.08, 0.14, 0.22, 0.35, 0.55, 0.9, 1.5, 2.5, 4.0)  # severities
GRID_BLOCKS: Final = 48


def seeds(seed: int, *key: int) -> np.random.Generator:
    """Return the generator of one purpose of this cell."""
    return cell_seeds(seed, *STREAM, *key)


@functools.lru_cache(maxsize=4096)
def build(seed: int, number: int) -> Build:
    """Draw what makes a gearbox itself. number counts from 1."""
    return drawn_build(seeds(seed, 10, number))


def normal(
    seed: int,
    number: int,
    *,
    phase: int,
    n: int,
    calm: Sequence[tuple[int, int]] = (),
    renewed: Sequence[int] = (),
) -> Course:
    """Simulate n seconds of normal operation of one gearbox, a row every ten.

    phase: 0 scenario, 1 training, 2 reference; each has noise of its own; of the reference a row
    every two minutes is made. calm: half-open intervals in which no unplanned stop falls and nobody
    touches the setpoint. renewed: nothing wears within days.
    """
    del renewed
    if phase == REFERENCE and not calm:
        return _reference(seed, number, n)
    return _course(seed, number, phase=phase, n=n, calm=calm, severity={})


@functools.lru_cache(maxsize=256)
def _reference(seed: int, number: int, n: int) -> Course:
    """Keep the reference: sizes in sigmas and severities are both taken from it."""
    return _course(seed, number, phase=REFERENCE, n=n, calm=(), severity={})


def stricken(
    seed: int,
    number: int,
    *,
    n: int,
    calm: Sequence[tuple[int, int]],
    renewed: Sequence[int],
    faults: Sequence[PlannedFault],
) -> Course:
    """Simulate the same n seconds of a scenario with faults of the mechanics in the waveform.

    A fault's course is that of its first mark, whose size in sigmas becomes a severity.
    """
    del renewed
    severity = severities(seed, number, n=n, faults=faults)
    return _course(seed, number, phase=0, n=n, calm=calm, severity=severity)


def severities(
    seed: int, number: int, *, n: int, faults: Sequence[PlannedFault]
) -> dict[Defect, F64]:
    """How bad each defect is at each row (rows,), of the mechanical faults of n seconds."""
    severity: dict[Defect, F64] = {}
    for fault in faults:
        mark, defect = fault.marks[0], Defect(fault.kind.value)
        k = CHANNEL_NAMES.index(mark.channel)
        first = -(-mark.begin_s // PERIOD_S)
        offsets = render(mark)[first * PERIOD_S - mark.begin_s :: PERIOD_S]
        course = severity.setdefault(defect, np.zeros(-(-n // PERIOD_S)))
        course[first : first + len(offsets)] += _severities(seed, number, defect, k)(offsets)
    return severity


def _severities(seed: int, number: int, defect: Defect, k: int) -> _Response:
    return _Response(*_response(seed, number, defect, k))


class _Response:
    """From offsets of a channel in sigmas (n,) to severities (n,); what is below 0 is healthy."""

    def __init__(self, sigma: float, shifts: F64) -> None:
        self._sigmas = shifts / sigma

    def __call__(self, offsets: F64) -> F64:
        return np.interp(offsets, self._sigmas, GRID)


@functools.lru_cache(maxsize=4096)
def _response(seed: int, number: int, defect: Defect, k: int) -> tuple[float, F64]:
    """Measure sigma and the mean shift (g,) of a channel over the grid of severities.

    Over both setpoints and the loads that go with them; the same noise at each severity. Shifts
    never fall with severity: what noise makes of the smallest is levelled.
    """
    course = normal(seed, number, phase=REFERENCE, n=REFERENCE_S)
    sigma = float(course.values[course.running, k].std())
    demand = np.where(np.arange(GRID_BLOCKS) % 2, 1.0, -1.0)
    rpm, load = _operation(demand)
    means = []
    for size in GRID:
        columns = _measured(
            build(seed, number),
            seeds(seed, 30, number),
            seeds(seed, 31, number),
            rpm=rpm,
            load=load,
            severity={defect: np.full(GRID_BLOCKS, size)},
        )
        means.append(float(np.median(columns[:, k - HEAT - 1])))
    shifts = np.maximum.accumulate(np.array(means) - means[0])
    return sigma, shifts + 1e-9 * np.arange(len(GRID))


def _course(
    seed: int,
    number: int,
    *,
    phase: int,
    n: int,
    calm: Sequence[tuple[int, int]],
    severity: Mapping[Defect, F64],
) -> Course:
    """Rows of n seconds; severity: (rows,) of each defect."""
    does = operation(seed, number, phase=phase, n=n, calm=calm)
    values = np.zeros((len(does.running), len(CHANNELS)))
    values[:, : HEAT + 1] = does.values
    for first, blocks in made_blocks(seed, number, phase=phase, does=does, severity=severity):
        rows = slice(first, first + len(blocks))
        features = condition_features(blocks, spec=SPEC, speed_rpm=does.rpm[rows])
        values[rows, HEAT + 1 :] = _shown(features)
    values[:, HEAT + 1 :] = _steadied(values[:, HEAT + 1 :], does.running)
    values = at_rest(seeds(seed, 26, phase, number), values, does.running, CHANNELS)
    mode = np.where(does.running, np.where(does.demand > 0.0, FAST, SLOW), STOPPED)
    return Course(values=values, running=does.running, mode=mode.astype(np.int64))


@dataclass(frozen=True, kw_only=True, eq=False)
class Operation:
    """What the drive does at each row. rpm, load: as they are; values: (rows, 3) as measured."""

    running: NDArray[np.bool_]
    demand: F64
    rpm: F64
    load: F64
    values: F64


def operation(
    seed: int, number: int, *, phase: int, n: int, calm: Sequence[tuple[int, int]]
) -> Operation:
    """Speed, load and bearing temperature of n seconds."""
    step = REFERENCE_STEP_S if phase == REFERENCE else PERIOD_S
    stopped, _ = stops(seeds(seed, 20, phase, number), n, calm)
    demand = _demand(seeds(seed, 22, phase, number), n, calm)
    slow = _heat(~stopped)[::step]
    running, demand = ~stopped[::step], demand[::step]
    rng = seeds(seed, 23, phase, number)
    drawn = rng.standard_normal((len(running), 3))  # row by row: more hours only add
    memory = [channel.memory ** (step / PERIOD_S) for channel in CHANNELS[:3]]
    for k, a in enumerate(memory):
        drawn[:, k] = lfilter([np.sqrt(1.0 - a * a)], [1.0, -a], drawn[:, k])
    noise = np.array([channel.noise for channel in CHANNELS[:3]])
    rpm, load = _operation(demand)
    own = seeds(seed, 11, number).standard_normal(3).clip(-2.0, 2.0)
    load = load + noise[LOAD] / 100.0 * (drawn[:, LOAD] + own[LOAD])
    values = np.zeros((len(running), HEAT + 1))
    values[:, SPEED] = rpm + noise[SPEED] * drawn[:, SPEED]
    values[:, LOAD] = 100.0 * load
    level = CHANNELS[HEAT].level * (1.0 + CHANNELS[HEAT].spread * own[HEAT])
    values[:, HEAT] = level + noise[HEAT] * (drawn[:, HEAT] + slow)
    return Operation(running=running, demand=demand, rpm=rpm, load=load, values=values)


def made_blocks(
    seed: int,
    number: int,
    *,
    phase: int,
    does: Operation,
    severity: Mapping[Defect, F64],
) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Vibration of rows in which the machine runs at some time: first row, blocks (rows, block)."""
    for first in range(0, len(does.running), CHUNK):
        rows = slice(first, first + CHUNK)
        if does.running[rows].any():
            yield (
                first,
                waves(
                    build(seed, number),
                    seeds(seed, 24, phase, number, first),
                    rpm=does.rpm[rows],
                    load=does.load[rows],
                    severity={defect: course[rows] for defect, course in severity.items()},
                    hits_rng=seeds(seed, 25, phase, number, first),
                ),
            )


def _operation(demand: F64) -> tuple[F64, F64]:
    """Speed in rpm and load as a share of full load (n,) of the setpoint (n,), -1 to 1."""
    speed, load = CHANNELS[SPEED], CHANNELS[LOAD]
    return speed.level + speed.swing * demand, (load.level + load.swing * demand) / 100.0


def _measured(
    machine: Build,
    rng: np.random.Generator,
    hits_rng: np.random.Generator,
    *,
    rpm: F64,
    load: F64,
    severity: Mapping[Defect, F64],
) -> F64:
    """The published features (n, f) of one block a row, speed (n,) and load (n,) as they are."""
    blocks = waves(machine, rng, rpm=rpm, load=load, severity=severity, hits_rng=hits_rng)
    return _shown(condition_features(blocks, spec=SPEC, speed_rpm=rpm))


def _shown(features: F64) -> F64:
    """The published columns (n, f) of all features."""
    levels = as_levels(features, SPEC)
    return np.where(_AS_LEVEL, levels[:, _COLUMNS], features[:, _COLUMNS])


def _steadied(columns: F64, running: NDArray[np.bool_]) -> F64:
    """Medians of the last seven rows (n, f) of the same stretch of running (n,)."""
    steady = columns.copy()
    edges = np.flatnonzero(np.diff(running.astype(np.int8), prepend=0, append=0))
    for begin, end in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
        steady[begin:end] = median_filter(
            columns[begin:end], size=(MEDIAN, 1), origin=(MEDIAN // 2, 0), mode="nearest"
        )
    return steady


def _demand(rng: np.random.Generator, n: int, calm: Sequence[tuple[int, int]]) -> F64:
    """The setpoint from -1, slow, to 1, fast (n,): slow at night, else by turns, over slow ramps.

    A change that would fall into a calm interval is left out after it was drawn.
    """
    wanted = by_turns(rng, n, calm, dwell_s=SETPOINT_S, ramp_s=RAMP_S)
    padded = np.concatenate([np.full(RAMP_S - 1, wanted[0]), wanted])
    summed = np.cumsum(np.concatenate([[0.0], padded]))
    smooth: F64 = (summed[RAMP_S:] - summed[:-RAMP_S]) / RAMP_S
    return smooth


def _heat(running: NDArray[np.bool_]) -> F64:
    """The bearing warms while it turns, slowly (n,), sigmas of the noise."""
    smooth = smoothed(running.astype(float), time_constant_s=HEAT_S, usual=RUNNING_USUAL)
    return HEAT_SIGMA * (smooth - RUNNING_USUAL)
