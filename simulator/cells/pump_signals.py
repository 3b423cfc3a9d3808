"""Signals of a pump loop in normal operation: two setpoints, standby, seasons of a day.

A loop runs without pause but for standby, when its partner takes over. The control valve stands
where the setpoint asks it to; flow, pressures, current and temperature follow it linearly, so that
a linear model that sees the valve explains both setpoints. The setpoint changes at the end of
standby, or on the way, by a ramp of minutes as drives make it. Flow is measured twice, behind the
pump and in the return. The liquid warms and cools with the day. Quantities and their noise follow
a recorded test bench with a pump and a valve.
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
    by_turns,
    coupled_noise,
    drawn_character,
    smoothed,
    starts,
    stops,
)
from simulator.cells.signals import seeds as cell_seeds

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

STREAM: Final = (2_002,)
# name, unit, level, noise, memory, idle, idle_noise, gated, decimals, spread, start, swing
# fmt: off
_TABLE: Final = (
    ("Suction Pressure", "bar", 1.35, 0.02, 0.4, 1.6, 0.006, True, 4, 0.03, 0.3, -0.014),
    ("Discharge Pressure", "bar", 4.2, 0.05, 0.4, 1.6, 0.01, True, 4, 0.02, -0.3, -0.04),
    ("Flow A", "m3/h", 12.0, 0.2, 0.5, 0.0, 0.01, True, 3, 0.02, -0.4, 0.2),
    ("Flow B", "m3/h", 12.0, 0.2, 0.5, 0.0, 0.01, True, 3, 0.02, -0.4, 0.2),
    ("Motor Current", "A", 7.4, 0.12, 0.3, 0.0, 0.005, True, 3, 0.02, 0.4, 0.1),
    ("Motor Voltage", "V", 398.0, 1.4, 0.3, 399.5, 1.0, True, 2, 0.003, 0.0, 0.0),
    ("Motor Temperature", "degC", 62.0, 0.4, 0.5, 0.0, 0.0, False, 3, 0.02, 0.0, 0.0),
    ("Liquid Temperature", "degC", 28.5, 0.25, 0.5, 0.0, 0.0, False, 3, 0.02, 0.0, 0.0),
    ("Pump Vibration", "mm/s", 2.1, 0.12, 0.45, 0.12, 0.02, True, 4, 0.05, 0.3, 0.05),
    ("Motor Vibration", "mm/s", 1.4, 0.08, 0.45, 0.1, 0.02, True, 4, 0.05, 0.3, 0.02),
    ("Valve Position", "%", 54.0, 0.35, 0.3, 20.0, 0.1, True, 3, 0.02, 0.0, 0.7),
)
# fmt: on
CHANNELS: Final = tuple(ChannelForm(*row) for row in _TABLE)
CHANNEL_NAMES: Final = tuple(channel.name for channel in CHANNELS)
(
    SUCTION,
    DISCHARGE,
    FLOW_A,
    FLOW_B,
    CURRENT,
    VOLTAGE,
    MOTOR_HEAT,
    LIQUID,
    PUMP_SHAKE,
    MOTOR_SHAKE,
    VALVE,
) = range(len(CHANNELS))
COUPLING: Final = (
    (FLOW_A, FLOW_B, 0.75),
    (SUCTION, FLOW_A, -0.25),
    (SUCTION, FLOW_B, -0.25),
    (DISCHARGE, FLOW_A, 0.30),
    (DISCHARGE, FLOW_B, 0.30),
    (FLOW_A, CURRENT, 0.30),
    (FLOW_B, CURRENT, 0.30),
    (CURRENT, VOLTAGE, -0.30),
    (PUMP_SHAKE, MOTOR_SHAKE, 0.40),
    (MOTOR_HEAT, LIQUID, 0.15),
)
LAGGED: Final = ((VALVE, FLOW_A, 0.15), (VALVE, FLOW_B, 0.15), (FLOW_A, CURRENT, 0.15))

STANDBY, LOW, HIGH = range(3)
SETPOINT_S: Final = (40 * 60, 150 * 60)  # between two changes on the way
RAMP_S: Final = 240
HEAT_S: Final = 1500.0
HEAT_SIGMA: Final = 0.6
RUNNING_USUAL: Final = 0.9  # share of the time
DAY_S: Final = 24 * 3600
SEASON_SIGMA: Final = 0.3  # of the liquid's temperature over a day, to each side


def seeds(seed: int, *key: int) -> np.random.Generator:
    """Return the generator of one purpose of this cell."""
    return cell_seeds(seed, *STREAM, *key)


@functools.lru_cache(maxsize=4096)
def character(seed: int, number: int) -> Character:
    """Draw a loop's own levels, noise and setpoints. number counts from 1."""
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
    """Simulate n seconds of normal operation of one loop.

    phase: 0 scenario, 1 training, 2 reference; each has noise of its own. calm: half-open intervals
    in which no unplanned stop falls and nobody touches the setpoint. renewed: seconds at which a
    job cleaned the strainer; nothing else wears within days.
    """
    del renewed
    me = character(seed, number)
    stopped, _ = stops(seeds(seed, 20, phase, number), n, calm, nights=False)
    running = ~stopped
    demand = _demand(seeds(seed, 22, phase, number), stopped, calm)
    noise = coupled_noise(
        seeds(seed, 23, phase, number), me.memory, n, coupling=COUPLING, lagged=LAGGED
    )
    slow = starts(running, np.array([channel.start for channel in CHANNELS]))
    slow += _heat(running) + _season(seeds(seed, 24, phase, number), n)
    values = me.level + me.swing * demand[:, None] + me.noise * (noise + slow)
    values = at_rest(seeds(seed, 26, phase, number), values, running, CHANNELS)
    mode = np.where(running, np.where(demand > 0.0, HIGH, LOW), STANDBY)
    return Course(values=values, running=running, mode=mode.astype(np.int64))


def _demand(
    rng: np.random.Generator, stopped: NDArray[np.bool_], calm: Sequence[tuple[int, int]]
) -> NDArray[np.float64]:
    """The setpoint from -1, low, to 1, high (n,): low at night, else by turns, over slow ramps.

    A change that would fall into a calm interval is left out after it was drawn.
    """
    n = len(stopped)
    wanted = by_turns(rng, n, calm, dwell_s=SETPOINT_S, ramp_s=RAMP_S)
    kernel = np.ones(RAMP_S) / RAMP_S
    padded = np.concatenate([np.full(RAMP_S - 1, wanted[0]), wanted])
    return np.convolve(padded, kernel, mode="valid")


def _heat(running: NDArray[np.bool_]) -> NDArray[np.float64]:
    """The motor warms while it runs, slowly (n, c)."""
    smooth = smoothed(running.astype(float), time_constant_s=HEAT_S, usual=RUNNING_USUAL)
    slow = np.zeros((len(running), len(CHANNELS)))
    slow[:, MOTOR_HEAT] = HEAT_SIGMA * (smooth - RUNNING_USUAL)
    return slow


def _season(rng: np.random.Generator, n: int) -> NDArray[np.float64]:
    """The liquid is warmest in the afternoon, a little more on some days than on others (n, c)."""
    days = SEASON_SIGMA * rng.uniform(0.8, 1.2, n // DAY_S + 1)
    t = np.arange(n)
    course = days[t // DAY_S] * np.sin(2.0 * np.pi * t / DAY_S)
    slow = np.zeros((n, len(CHANNELS)))
    slow[:, LIQUID], slow[:, MOTOR_HEAT] = course, 0.5 * course
    return slow
