"""Signals of a milling machine in normal operation: strokes of cutting, tool changes, heat.

A part is cut in strokes of roughing and finishing by turns, with rapid moves or a tool change
between them. Feed rate and spindle speed are set by the program and measured; load, following
errors and vibration follow them linearly. So the two cutting modes differ as they do on a machine,
and a linear model that sees feed and speed explains the difference; the jump from one mode to the
other falls into the moves between strokes, when the tool does not cut and nothing is scored as
cutting. Levels are those of a small vertical mill; roles and coupling of the channels follow
recorded machining runs, whose load and feedrate change with the stage in the same way.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Final

import numpy as np

from simulator.cells.signals import (
    ChannelForm,
    Character,
    Course,
    at_rest,
    coupled_noise,
    cycles,
    drawn_character,
    smoothed,
    starts,
    stops,
)
from simulator.cells.signals import seeds as cell_seeds

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

STREAM: Final = (2_001,)
RAPID_FEED: Final = 6_000.0  # mm/min between two cuts of one tool
# name, unit, level, noise, memory, idle, idle_noise, gated, decimals, spread, start, swing, and
# what a channel may reach between cuts
# fmt: off
_TABLE: Final = (
    ("Spindle Load", "%", 46.0, 2.4, 0.35, 1.5, 0.2, True, 2, 0.03, 0.4, 3.0),
    ("Spindle Speed", "1/min", 4800.0, 14.0, 0.3, 0.0, 1.0, True, 1, 0.01, -0.3, -350.0),
    ("Feed Rate", "mm/min", 1000.0, 9.0, 0.3, 0.0, 0.8, True, 1, 0.01, -0.3, 120.0, RAPID_FEED),
    ("X Following Error", "um", 8.2, 0.8, 0.3, 0.6, 0.1, True, 3, 0.04, 0.3, 0.8),
    ("Y Following Error", "um", 7.6, 0.8, 0.3, 0.6, 0.1, True, 3, 0.04, 0.3, 0.8),
    ("Z Following Error", "um", 4.4, 0.5, 0.25, 0.5, 0.1, True, 3, 0.04, 0.2, 0.25),
    ("Spindle Vibration", "mm/s", 1.8, 0.13, 0.4, 0.15, 0.02, True, 4, 0.05, 0.3, 0.1),
    ("Coolant Flow", "l/min", 24.0, 0.6, 0.45, 0.3, 0.05, True, 3, 0.02, -0.3, 0.0),
    ("Coolant Temperature", "degC", 23.5, 0.25, 0.5, 0.0, 0.0, False, 3, 0.02, 0.0, 0.0),
    ("Spindle Temperature", "degC", 38.0, 0.4, 0.5, 0.0, 0.0, False, 3, 0.02, 0.0, 0.0),
)
# fmt: on
CHANNELS: Final = tuple(ChannelForm(*row) for row in _TABLE)
CHANNEL_NAMES: Final = tuple(channel.name for channel in CHANNELS)
LOAD, SPEED, FEED, ERROR_X, ERROR_Y, ERROR_Z, VIBRATION, FLOW, COOLANT, SPINDLE = range(
    len(CHANNELS)
)
COUPLING: Final = (
    (LOAD, FEED, 0.35),
    (LOAD, VIBRATION, 0.30),
    (FEED, ERROR_X, 0.30),
    (FEED, ERROR_Y, 0.30),
    (ERROR_X, ERROR_Y, 0.25),
    (SPEED, LOAD, -0.25),
    (FLOW, COOLANT, -0.20),
    (COOLANT, SPINDLE, 0.25),
)
LAGGED: Final = ((FEED, LOAD, 0.25), (LOAD, VIBRATION, 0.15))  # cause, effect one second later

IDLE, ROUGHING, FINISHING, RAPID, TOOL_CHANGE = range(5)
CUT_S: Final = (40, 86)
MOVE_S: Final = (6, 15)
TOOL_LIFE_S: Final = (5 * 3600, 8 * 3600)  # seconds of cutting
WORN: Final = 0.7  # at a longer stop a tool this worn is changed
WEAR_SIGMA: Final = 0.2
BATCH_S: Final = (2 * 3600, 4 * 3600)  # of cutting, a batch of material
BATCH_SIGMA: Final = 0.1
BATCH_SIGMA_MAX: Final = 0.2
HEAT_S: Final = 1500.0
HEAT_SIGMA: Final = 0.6
CUTTING_USUAL: Final = 0.8  # share of the time


def seeds(seed: int, *key: int) -> np.random.Generator:
    """Return the generator of one purpose of this cell."""
    return cell_seeds(seed, *STREAM, *key)


@functools.lru_cache(maxsize=4096)
def character(seed: int, number: int) -> Character:
    """Draw a machine's own levels, noise and modes. number counts from 1."""
    return drawn_character(seeds(seed, 10, number), CHANNELS)


def normal(
    seed: int,
    number: int,
    *,
    phase: int,
    n: int,
    calm: Sequence[tuple[int, int]] = (),
    renewed: Sequence[int] = (),
) -> Course:
    """Simulate n seconds of normal operation of one machine.

    phase: 0 scenario, 1 training, 2 reference; each has noise of its own. calm: half-open intervals
    in which no unplanned stop falls. renewed: seconds at which a job changed the tool.
    """
    me = character(seed, number)
    stopped, long_stops = stops(seeds(seed, 20, phase, number), n, calm)
    running, cycle = cycles(seeds(seed, 21, phase, number), stopped, work_s=CUT_S, gap_s=MOVE_S)
    noise = coupled_noise(
        seeds(seed, 23, phase, number), me.memory, n, coupling=COUPLING, lagged=LAGGED
    )
    roughing = np.where(cycle % 2 == 0, 1.0, -1.0)
    slow = _wear(seeds(seed, 24, phase, number), running, long_stops, renewed)
    slow += _batches(seeds(seed, 25, phase, number), running, long_stops)
    slow += starts(running, np.array([channel.start for channel in CHANNELS])) + _heat(running)
    values = me.level + me.swing * roughing[:, None] + me.noise * (noise + slow)
    values = at_rest(seeds(seed, 26, phase, number), values, running, CHANNELS)
    mode = np.where(running, np.where(roughing > 0, ROUGHING, FINISHING), IDLE)
    between = ~running & ~stopped
    mode[between & (roughing > 0)] = RAPID  # the finishing tool follows in the same clamping
    mode[between & (roughing < 0)] = TOOL_CHANGE
    values[:, FEED] += np.where(mode == RAPID, RAPID_FEED, 0.0)
    return Course(values=values, running=running, mode=mode.astype(np.int64))


def _wear(
    rng: np.random.Generator,
    running: NDArray[np.bool_],
    long_stops: Sequence[int],
    renewed: Sequence[int],
) -> NDArray[np.float64]:
    """Slow wear of the tool on load and vibration (n, c), sigmas of the noise."""
    cut = np.cumsum(running)
    lives = rng.uniform(*TOOL_LIFE_S, len(long_stops) + len(renewed) + 1)
    wear = cut / lives[0] + float(rng.uniform(0.0, 0.6))
    for i, at in enumerate(sorted((*long_stops, *renewed)), start=1):
        if at in renewed or wear[at] > WORN:
            wear[at:] = (cut[at:] - cut[at]) / lives[i]
    slow = np.zeros((len(running), len(CHANNELS)))
    slow[:, LOAD] = WEAR_SIGMA * (2.0 * wear.clip(0.0, 1.0) - 1.0)
    slow[:, VIBRATION] = slow[:, LOAD]
    return slow


def _batches(
    rng: np.random.Generator, running: NDArray[np.bool_], long_stops: Sequence[int]
) -> NDArray[np.float64]:
    """Another batch of material at a stop cuts a little harder or softer (n, c)."""
    cut = np.cumsum(running)
    drawn = rng.normal(0.0, BATCH_SIGMA, len(long_stops) + 1)
    lives = rng.uniform(*BATCH_S, len(long_stops) + 1)
    hardness = drawn.clip(-BATCH_SIGMA_MAX, BATCH_SIGMA_MAX)
    course = np.full(len(running), hardness[0])
    ends_at = lives[0] * float(rng.uniform(0.1, 1.0))
    for i, at in enumerate(long_stops, start=1):
        if cut[at] > ends_at:
            course[at:] = hardness[i]
            ends_at = cut[at] + lives[i]
    slow = np.zeros((len(running), len(CHANNELS)))
    slow[:, LOAD], slow[:, VIBRATION] = course, 0.6 * course
    slow[:, ERROR_X] = slow[:, ERROR_Y] = 0.5 * course
    return slow


def _heat(running: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Spindle and coolant warm with cutting, slowly (n, c)."""
    smooth = smoothed(running.astype(float), time_constant_s=HEAT_S, usual=CUTTING_USUAL)
    course = HEAT_SIGMA * (smooth - CUTTING_USUAL)
    slow = np.zeros((len(running), len(CHANNELS)))
    slow[:, SPINDLE], slow[:, COOLANT] = course, 0.7 * course
    return slow
