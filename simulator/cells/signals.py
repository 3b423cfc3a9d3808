"""What normal signals of all cells are made of: noise, cycles, stops, slow courses.

Everything is linear noise around a level, so that what is normal lies within reach of a causal
linear model. Each generator of random numbers serves one purpose: more hours only add at the end.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from scipy.signal import lfilter

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

SHIFT_S: Final = 8 * 3600
SHIFTS_A_DAY: Final = 3  # two with work on the machines, then the night
BREAKS_MIN: Final = ((120, 135), (240, 270), (360, 375))
RUN_IN_S: Final = 600  # dropped: filters forget their zero state
STOPS_A_SHIFT: Final = (3, 6)
STOP_S: Final = (120, 480)
START_S: Final = 5.0  # the overshoot of a start decays with this time constant
REFERENCE_S: Final = 6 * SHIFT_S  # two days


class ChannelForm(NamedTuple):
    """One channel of the cell type: what a machine of average character shows."""

    name: str
    unit: str
    level: float  # while it runs
    noise: float  # sd of the fast noise
    memory: float  # lag-1 autocorrelation of the fast noise at 1 Hz
    idle: float  # level while stopped; of channels that are not gated the same process goes on
    idle_noise: float
    gated: bool  # follows the run state
    decimals: int  # resolution that is published
    spread: float  # sd of the level over machines, relative
    start: float  # overshoot at a start, in sigmas of the noise
    swing: float = 0.0  # half the distance between the levels of two modes, in the channel's unit
    idle_high: float = 0.0  # what it may reach while the machine is not running, beyond `idle`


@dataclass(frozen=True, kw_only=True, eq=False)
class Course:
    """One machine's normal signals. Times are seconds since the begin, one sample each."""

    values: NDArray[np.float64]  # (n, c) before rounding
    running: NDArray[np.bool_]  # (n,)
    mode: NDArray[np.int64]  # (n,) as the cell's mode tag says it


def seeds(seed: int, *key: int) -> np.random.Generator:
    """Return the generator of one purpose; no purpose's draws move another's."""
    entropy = seed if seed >= 0 else [-seed, 1]  # numpy takes no negative ones
    return np.random.default_rng(np.random.SeedSequence(entropy, spawn_key=key))


def stops(
    rng: np.random.Generator,
    n: int,
    calm: Sequence[tuple[int, int]],
    *,
    nights: bool = True,
) -> tuple[NDArray[np.bool_], list[int]]:
    """Breaks, nights and unplanned stops (n,), and the ends of the longer ones.

    Unplanned stops that touch a calm interval are left out after they were drawn, so that the rest
    stays. nights: whether the third shift of a day stands still.
    """
    stopped = np.zeros(n, bool)
    ends: list[int] = []
    for shift in range(-(-n // SHIFT_S)):
        at = shift * SHIFT_S
        if shift % SHIFTS_A_DAY == SHIFTS_A_DAY - 1:
            if nights:
                stopped[at : at + SHIFT_S] = True
                ends.append(at + SHIFT_S)
            continue
        for begin, end in BREAKS_MIN:
            stopped[at + 60 * begin : at + 60 * end] = True
            ends.append(at + 60 * end)
        count = int(rng.integers(*STOPS_A_SHIFT))
        begins = at + rng.integers(0, SHIFT_S, STOPS_A_SHIFT[1])
        lengths = rng.integers(*STOP_S, STOPS_A_SHIFT[1])
        for begin, length in zip(begins[:count].tolist(), lengths[:count].tolist(), strict=True):
            if not any(begin < high and low < begin + length for low, high in calm):
                stopped[begin : begin + length] = True
                ends.append(begin + length)
    return stopped, sorted(end for end in ends if end < n)


def cycles(
    rng: np.random.Generator,
    stopped: NDArray[np.bool_],
    *,
    work_s: tuple[int, int],
    gap_s: tuple[int, int],
) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """Strokes of work and the short gaps between them: running (n,), number of the cycle (n,)."""
    n = len(stopped)
    count = n // (work_s[0] + gap_s[0]) + 2
    # drawn cycle by cycle, as everything here is drawn in order of time: more hours only add at the
    # end
    low, high = zip(work_s, gap_s, strict=True)
    lengths = rng.integers(low, high, (count, 2))
    works = np.repeat(np.tile([True, False], count), lengths.ravel())[:n]
    cycle = np.repeat(np.arange(count), lengths.sum(axis=1))[:n]
    return works & ~stopped, cycle


def coupled_noise(
    rng: np.random.Generator,
    memory: NDArray[np.float64],
    n: int,
    *,
    coupling: Sequence[tuple[int, int, float]],
    lagged: Sequence[tuple[int, int, float]],
) -> NDArray[np.float64]:
    """Fast noise of unit variance (n, c): autocorrelated, coupled at once and a second later.

    memory: (c,). coupling: channel, channel, correlation of their innovations. lagged: cause,
    effect one second later, weight.
    """
    corr = np.eye(len(memory))
    for i, j, r in coupling:
        corr[i, j] = corr[j, i] = r
    white = rng.standard_normal((n + RUN_IN_S, len(memory))) @ np.linalg.cholesky(corr).T
    noise = np.empty_like(white)
    for k, a in enumerate(memory):
        noise[:, k] = lfilter([np.sqrt(1.0 - a * a)], [1.0, -a], white[:, k])
    both = noise.copy()
    for cause, effect, weight in lagged:
        both[1:, effect] += weight * noise[:-1, cause]
    both = both[RUN_IN_S:]
    return both / np.sqrt(_variance_gain(corr, memory, lagged))


def _variance_gain(
    corr: NDArray[np.float64],
    memory: NDArray[np.float64],
    lagged: Sequence[tuple[int, int, float]],
) -> NDArray[np.float64]:
    """Variance of each channel after the lagged coupling (c,); 1 without."""
    gain = np.ones(len(memory))
    for cause, effect, weight in lagged:
        a, b = memory[cause], memory[effect]
        scale = np.sqrt((1.0 - a * a) * (1.0 - b * b))
        lag_one = corr[cause, effect] * scale * b / (1.0 - a * b)  # cov(effect[t], cause[t-1])
        gain[effect] += weight * weight + 2.0 * weight * lag_one
    return gain


def starts(running: NDArray[np.bool_], start: NDArray[np.float64]) -> NDArray[np.float64]:
    """The small ramp after each start of running (n,), (n, c): decays within some seconds.

    start: (c,) overshoot in sigmas of the noise.
    """
    t = np.arange(len(running))
    begins = np.flatnonzero(running & ~np.concatenate([[False], running[:-1]]))
    last = np.zeros(len(running), np.int64)
    last[begins] = begins
    since = t - np.maximum.accumulate(last)
    course: NDArray[np.float64] = np.exp(-since / START_S)[:, None] * start
    return course


def smoothed(
    course: NDArray[np.float64], *, time_constant_s: float, usual: float
) -> NDArray[np.float64]:
    """A course (n,) as something heavy follows it: first order, from its usual value on."""
    share = 1.0 / time_constant_s
    state = np.array([usual * (1.0 - share)])
    smooth, _ = lfilter([share], [1.0, share - 1.0], course, zi=state)
    followed: NDArray[np.float64] = smooth
    return followed


@dataclass(frozen=True, kw_only=True, eq=False)
class Character:
    """What makes one machine itself, the same in every scenario of a seed. Arrays are (c,)."""

    level: NDArray[np.float64]
    noise: NDArray[np.float64]  # sd of the fast noise
    memory: NDArray[np.float64]
    swing: NDArray[np.float64]


def drawn_character(rng: np.random.Generator, channels: Sequence[ChannelForm]) -> Character:
    """Draw a machine's own levels and noise; what its modes do grows and shrinks as one."""
    c = len(channels)
    spread = np.array([channel.spread for channel in channels])
    memory = np.array([channel.memory for channel in channels])
    own = 1.0 + spread * rng.standard_normal(c).clip(-2.0, 2.0)
    return Character(
        level=np.array([channel.level for channel in channels]) * own,
        noise=np.array([channel.noise for channel in channels]) * rng.uniform(0.88, 1.12, c),
        memory=memory + rng.uniform(-0.05, 0.05, c),
        swing=np.array([channel.swing for channel in channels]) * rng.uniform(0.9, 1.1),
    )


def at_rest(
    rng: np.random.Generator,
    values: NDArray[np.float64],
    running: NDArray[np.bool_],
    channels: Sequence[ChannelForm],
) -> NDArray[np.float64]:
    """Values (n, c) with gated channels at rest where the machine is not running (n,)."""
    idle = np.array([channel.idle for channel in channels])
    idle_noise = np.array([channel.idle_noise for channel in channels])
    gated = np.array([channel.gated for channel in channels])
    resting = idle + idle_noise * rng.standard_normal(values.shape)
    return np.where(running[:, None] | ~gated, values, resting)


def by_turns(
    rng: np.random.Generator,
    n: int,
    calm: Sequence[tuple[int, int]],
    *,
    dwell_s: tuple[int, int],
    ramp_s: int,
) -> NDArray[np.float64]:
    """A setpoint that changes at once between -1 and 1 (n,): -1 at night, else by turns.

    dwell_s: shortest and longest time between two changes. A change of which the ramp would fall
    into a calm interval is left out after it was drawn.
    """
    wanted = np.empty(n)
    at, high = 0, bool(rng.random() < 0.5)
    for length in rng.integers(*dwell_s, n // dwell_s[0] + 2).tolist():
        if at >= n:
            break
        night = at // SHIFT_S % SHIFTS_A_DAY == SHIFTS_A_DAY - 1
        touched = any(at < end and begin < at + ramp_s for begin, end in calm)
        if at and not touched:
            high = not high and not night
        wanted[at : at + length] = 1.0 if high else -1.0
        at += length
    return wanted
