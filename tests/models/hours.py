"""A made-up plant that follows the hour of the day: by day at work, at night and weekends less."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.signal import lfilter

from models.bundles.bundle import Channel
from models.samples import TrainingSamples

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    F64 = NDArray[np.float64]
    I64 = NDArray[np.int64]

MONDAY_NS = 1_772_409_600 * 10**9  # 2026-03-02 00:00 UTC
STEP_S = 600
DAY_ROWS = 86_400 // STEP_S
NIGHT = slice(9, 27)  # rows of a day from half past one to half past four


def follows(
    days: int, *, seed: int, first: int = 0, at_night: Iterable[int] = (), weekends: bool = True
) -> F64:
    """Load, what it heats and a channel of its own (n, 3), a row each ten minutes.

    first: day of the first row, Monday is 0. at_night: days, of these, at whose small hours it runs
    as by day.
    """
    chance = np.random.default_rng([seed, first])
    hour = np.arange(days * DAY_ROWS) * STEP_S / 3600.0
    load = np.full(len(hour), 0.2)
    for day in range(-1, days + 1):
        height = 0.3 if weekends and (first + day) % 7 >= 5 else 0.8
        height *= 1.0 + 0.05 * chance.normal()
        begin, end = 24 * day + np.array([7.0, 19.0]) + 0.2 * chance.normal(size=2)
        load += height * _between(hour, begin, end)
        load += 0.8 * _between(hour, 24 * day + 1.0, 24 * day + 5.0) * (day in at_night)
    load += 0.02 * chance.normal(size=len(hour))
    usual = np.full(1, load[0])
    heat, _ = lfilter([0.4], [1.0, -0.6], load, zi=0.6 * usual)
    noise = chance.normal(size=(len(hour), 3))
    return np.stack([40.0 * load, 20.0 + 30.0 * heat, np.full(len(hour), 6.0)], axis=1) + noise * [
        0.8,
        0.4,
        0.1,
    ]


def _between(hour: F64, begin: float, end: float) -> F64:
    """1 between two times, as slowly there and back as the plant ever is."""
    rise = np.clip((hour - begin) / 0.6, -30, 30), np.clip((hour - end) / 0.6, -30, 30)
    return np.asarray(1.0 / (1.0 + np.exp(-rise[0])) - 1.0 / (1.0 + np.exp(-rise[1])))


def times(rows: int, *, first: int = 0) -> I64:
    """Times (n,) of rows from the begin of a day by UTC."""
    return MONDAY_NS + (first * 86_400 + np.arange(rows) * STEP_S) * 10**9


def hourly_samples(values: F64, t_ns: I64 | None, **more: object) -> TrainingSamples:
    """Training samples of values (n, c) at times (n,)."""
    channels = tuple(Channel(name=name) for name in ("load", "heat", "pressure"))
    return TrainingSamples(
        asset="r1",
        channels=channels[: values.shape[1]],
        values=values,
        t_ns=t_ns,
        period_ns=STEP_S * 10**9,
        **more,  # type: ignore[arg-type]
    )
