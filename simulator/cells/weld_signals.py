"""Signals of a weld robot in normal operation: cycles, noise, wear, wire lots, duty, no more.

Everything is linear noise around a level, so that what is normal lies within reach of a causal
linear model: within running stretches the noise is stationary, moderately autocorrelated and
coupled between channels, and all that moves slowly (tip wear, wire lots, part mix, temperature)
stays within half a sigma of the long-run mean. Levels, noise and coupling follow real welding runs
with the same six signals; their Feed of about 50 mm/s is stated here in m/min, and Wire Consumed, a
running total there, as a rate.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from simulator.cells.signals import (
    REFERENCE_S,
    ChannelForm,
    Course,
    coupled_noise,
    cycles,
    seeds,
    smoothed,
    starts,
    stops,
)
from simulator.jobs import CALIBRATIONS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from simulator.jobs import Work


# name, unit, level, noise, memory, idle, idle_noise, gated, decimals, spread, start
# fmt: off
_TABLE: Final = (
    ("Pressure", "bar", 0.3, 0.02, 0.45, 1.56, 0.006, True, 3, 0.04, 0.4),
    ("CO2 Weld Flow", "l/min", 12.5, 0.35, 0.45, 0.02, 0.015, True, 2, 0.02, 0.5),
    ("Feed", "m/min", 3.1, 0.06, 0.4, 0.0, 0.002, True, 3, 0.015, -0.3),
    ("Primary Weld Current", "A", 135.0, 5.5, 0.2, 0.3, 0.25, True, 1, 0.015, 0.3),
    ("Wire Consumed", "mm/s", 51.7, 1.3, 0.3, 0.0, 0.02, True, 2, 0.015, -0.3),
    ("Secondary Weld Voltage", "V", 20.2, 0.32, 0.25, 0.05, 0.02, True, 2, 0.01, 0.2),
    ("Joint Temperature", "degC", 41.5, 0.5, 0.45, 0.0, 0.0, False, 2, 0.03, 0.0),
    ("TCP Deviation", "mm", 0.45, 0.05, 0.35, 0.0, 0.0, False, 3, 0.05, 0.0),
)
# fmt: on
CHANNELS: Final = tuple(ChannelForm(*row) for row in _TABLE)
CHANNEL_NAMES: Final = tuple(channel.name for channel in CHANNELS)
_LEVEL: Final = np.array([channel.level for channel in CHANNELS])
_NOISE: Final = np.array([channel.noise for channel in CHANNELS])
_GATED: Final = np.array([channel.gated for channel in CHANNELS])
_START: Final = np.array([channel.start for channel in CHANNELS])
PRESSURE, FLOW, FEED, CURRENT, WIRE, VOLTAGE, JOINT, DEVIATION = range(len(CHANNELS))

# Correlation of the fast noise's innovations. Current against voltage as in the recordings (-0.5).
COUPLING: Final = (
    (PRESSURE, FLOW, 0.45),
    (FEED, WIRE, 0.50),
    (FEED, CURRENT, 0.30),
    (WIRE, CURRENT, 0.20),
    (CURRENT, VOLTAGE, -0.50),
    (FEED, VOLTAGE, -0.15),
    (JOINT, DEVIATION, 0.20),
)
LAGGED: Final = ((PRESSURE, FLOW, 0.20), (FEED, CURRENT, 0.20))  # cause, effect one second later

ARC_S: Final = (40, 91)
GAP_S: Final = (6, 15)
RECIPES: Final = 3
RECIPE_CYCLES: Final = (6, 24)  # parts of one kind in a row
RECIPE_SIGMA: Final = 0.12
TIP_LIFE_S: Final = (5 * 3600, 7 * 3600)  # seconds of arc
TIP_CHANGE_WEAR: Final = 0.7  # at a longer stop a tip this worn is changed
WEAR_SIGMA: Final = 0.2  # a new tip stands this far below the mean, a worn one above
LOT_S: Final = (2 * 3600, 4 * 3600)  # seconds of arc a spool lasts
LOT_SIGMA: Final = 0.1
LOT_SIGMA_MAX: Final = 0.2
LOT_SIGNS: Final = (
    (FEED, 1.0),
    (WIRE, 0.8),
    (CURRENT, 0.7),
    (VOLTAGE, -0.7),
)  # a thinner wire runs faster
DUTY_S: Final = 1500  # time constant of the joints' warming
DUTY_SIGMA: Final = (
    0.6  # joint temperature from cold to full duty; standby heating keeps it this near
)


@dataclass(frozen=True, kw_only=True, eq=False)
class Character:
    """What makes one robot itself, the same in every scenario of a seed."""

    level: NDArray[np.float64]  # (c,)
    noise: NDArray[np.float64]  # (c,) sd of the fast noise
    memory: NDArray[np.float64]  # (c,)
    recipes: NDArray[np.float64]  # (RECIPES, c) sigmas of the noise
    wired: Work  # the calibration that its function-check bit stands for


@functools.lru_cache(maxsize=4096)
def character(seed: int, robot: int) -> Character:
    """Draw a robot's own levels, noise and part mix. robot counts from 1."""
    rng = seeds(seed, 10, robot)
    spread = np.array([channel.spread for channel in CHANNELS])
    memory = np.array([channel.memory for channel in CHANNELS])
    c = len(CHANNELS)
    recipes = rng.normal(0.0, RECIPE_SIGMA, (RECIPES, c)).clip(-2 * RECIPE_SIGMA, 2 * RECIPE_SIGMA)
    recipes -= recipes.mean(axis=0)
    recipes[:, ~_GATED] = 0.0
    return Character(
        level=_LEVEL * (1.0 + spread * rng.standard_normal(c).clip(-2.0, 2.0)),
        noise=_NOISE * rng.uniform(0.88, 1.12, c),
        memory=memory + rng.uniform(-0.05, 0.05, c),
        recipes=recipes,
        wired=CALIBRATIONS[int(rng.integers(len(CALIBRATIONS)))],
    )


@functools.lru_cache(maxsize=4096)
def reference(seed: int, robot: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Measure mean and sigma (c,), (c,) of a robot's running samples over two normal days.

    Sigma includes wear, lots, part mix and duty: it is the unit of every size that a scenario
    states.
    """
    course = normal(seed, robot, phase=2, n=REFERENCE_S)
    running = course.values[course.running]
    return running.mean(axis=0), running.std(axis=0)


def normal(
    seed: int,
    robot: int,
    *,
    phase: int,
    n: int,
    calm: Sequence[tuple[int, int]] = (),
    tips: Sequence[int] = (),
) -> Course:
    """Simulate n seconds of normal operation of one robot.

    phase: 0 scenario, 1 training, 2 reference; each has noise of its own. calm: half-open intervals
    in which no unplanned stop falls. tips: seconds at which a job changed the tip.
    """
    me = character(seed, robot)
    stopped, long_stops = stops(seeds(seed, 20, phase, robot), n, calm)
    running, cycle = cycles(seeds(seed, 21, phase, robot), stopped, work_s=ARC_S, gap_s=GAP_S)
    recipe = _recipes(seeds(seed, 22, phase, robot), cycle)
    noise = coupled_noise(
        seeds(seed, 23, phase, robot), me.memory, n, coupling=COUPLING, lagged=LAGGED
    )
    slow = me.recipes[recipe - 1] + _wear(seeds(seed, 24, phase, robot), running, long_stops, tips)
    slow += _lots(seeds(seed, 25, phase, robot), running, long_stops)
    slow += starts(running, _START) + _duty(running)
    values = me.level + me.noise * (noise + slow)
    idle = np.array([channel.idle for channel in CHANNELS])
    idle_noise = np.array([channel.idle_noise for channel in CHANNELS])
    resting = idle + idle_noise * seeds(seed, 26, phase, robot).standard_normal(values.shape)
    values = np.where(running[:, None] | ~_GATED, values, resting)
    return Course(values=values, running=running, mode=recipe)


def _recipes(rng: np.random.Generator, cycle: NDArray[np.int64]) -> NDArray[np.int64]:
    """Part kinds in lots of some cycles (n,)."""
    count = int(cycle[-1]) + 1
    low, high = zip(RECIPE_CYCLES, (1, RECIPES + 1), strict=True)
    lots, kinds = rng.integers(low, high, (count, 2)).T
    by_cycle: NDArray[np.int64] = np.repeat(kinds, lots)[:count]
    recipe: NDArray[np.int64] = by_cycle[cycle]
    return recipe


def _wear(
    rng: np.random.Generator,
    running: NDArray[np.bool_],
    long_stops: Sequence[int],
    tips: Sequence[int],
) -> NDArray[np.float64]:
    """Slow wear of the contact tip on current and voltage (n, c), sigmas of the noise."""
    arc = np.cumsum(running)
    first = float(rng.uniform(0.0, 0.6))
    lives = rng.uniform(*TIP_LIFE_S, len(long_stops) + len(tips) + 1)
    wear = arc / lives[0] + first
    for i, at in enumerate(sorted((*long_stops, *tips)), start=1):
        if at in tips or wear[at] > TIP_CHANGE_WEAR:
            wear[at:] = (arc[at:] - arc[at]) / lives[i]
    course = WEAR_SIGMA * (2.0 * wear.clip(0.0, 1.0) - 1.0)
    slow = np.zeros((len(running), len(CHANNELS)))
    slow[:, VOLTAGE], slow[:, CURRENT] = course, -course
    return slow


def _lots(
    rng: np.random.Generator, running: NDArray[np.bool_], long_stops: Sequence[int]
) -> NDArray[np.float64]:
    """Another spool at a stop moves feed, wire, current and voltage a little (n, c)."""
    arc = np.cumsum(running)
    used = float(rng.uniform(0.1, 1.0))
    spools = [(rng.normal(0.0, LOT_SIGMA), rng.uniform(*LOT_S)) for _ in range(len(long_stops) + 1)]
    offsets = np.array([offset for offset, _ in spools]).clip(-LOT_SIGMA_MAX, LOT_SIGMA_MAX)
    lives = [life for _, life in spools]
    course = np.full(len(running), offsets[0])
    ends_at = lives[0] * used
    for i, at in enumerate(long_stops, start=1):
        if arc[at] > ends_at:
            course[at:] = offsets[i]
            ends_at = arc[at] + lives[i]
    slow = np.zeros((len(running), len(CHANNELS)))
    for k, by in LOT_SIGNS:
        slow[:, k] = by * course
    return slow


def _duty(running: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Joints warm with duty, slowly, and the tool centre moves a little with them (n, c)."""
    usual = 0.8
    smooth = smoothed(running.astype(float), time_constant_s=DUTY_S, usual=usual)
    course = DUTY_SIGMA * (smooth - usual)
    slow = np.zeros((len(running), len(CHANNELS)))
    slow[:, JOINT], slow[:, DEVIATION] = course, 0.3 * course
    return slow
