"""A plant over weeks in which nothing breaks: nights, weekends, breaks and short stops.

As controllers send it: some tags cyclically, some only when they change by more than a dead band,
a run tag, and a heartbeat. Whatever rings in it is a nuisance.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy.signal import lfilter

from edge.recordings.recording import TimedMessage
from edge.wire.readings import encode_rows
from simulator.cells.signals import seeds, smoothed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    F64 = NDArray[np.float64]
    Mask = NDArray[np.bool_]

SECOND_NS: Final = 1_000_000_000
DAY_S: Final = 86_400
MONDAY_NS: Final = 1_772_409_600 * SECOND_NS  # 2026-03-02 00:00 UTC
WORK_H: Final = (6, 22)  # of a weekday
BREAKS_MIN: Final = ((180, 195), (360, 390), (660, 680))  # of the working day
STOPS_A_DAY: Final = (3, 7)
STOP_MIN: Final = (2, 9)
CYCLIC: Final = ("motor current", "vibration", "pressure", "oil temperature")
ON_CHANGE: Final = ("tank level", "hall temperature")
DEAD_BANDS: Final = (0.5, 0.2)
OFF_AFTER_S: Final = 300  # after a stop of the day, a controller that is switched off is silent

GATEWAY: Final = """\
site = "hall"
clock = "plant"

[model]
bundle = "bundle"

[[asset]]
id = "press"
on_change = ["tank level", "hall temperature"]

[[asset.context]]
tag = "run"
role = "run"

[[asset.context]]
tag = "beat"
role = "heartbeat"
interval_ms_max = 600000
"""


@dataclass(frozen=True, kw_only=True, eq=False)
class CalmPlant:
    """One machine for some weeks. values: (n, c), cyclic tags first; running: (n,).

    silent: (n,) samples at which the cyclic tags are not sent. begin_ns: of the first sample.
    """

    begin_ns: int
    period_s: int
    values: F64
    running: Mask
    silent: Mask

    def messages(self) -> Iterator[TimedMessage]:
        """What crosses MQTT, in order of time: one message a sample, with what there is to tell."""
        told = np.full(len(ON_CHANGE) + 1, np.nan)
        bands = np.array([*DEAD_BANDS, 0.5])
        cyclic = len(CYCLIC)
        for i, row in enumerate(self.values):
            t_ns = self.begin_ns + i * self.period_s * SECOND_NS
            slow = np.array([*row[cyclic:], float(self.running[i])])
            moved = np.flatnonzero(~(np.abs(slow - told) < bands)).tolist()
            told[moved] = slow[moved]
            said = {"beat": float(i % 2)}
            said |= {(*ON_CHANGE, "run")[k]: float(slow[k]) for k in moved}
            if not self.silent[i]:
                said |= dict(zip(CYCLIC, row.tolist(), strict=False))
            for payload in encode_rows(list(said), [t_ns], [list(said.values())], shape="columnar"):
                yield TimedMessage(t_ns=t_ns, topic="plant/press", payload=payload, begin_ns=t_ns)


def calm_plant(
    *, seed: int, days: int, period_s: int = 60, first_day: int = 0, switched_off: bool = False
) -> CalmPlant:
    """Simulate the machine from a Monday plus `first_day` days on.

    switched_off: its controller sends no cyclic tag while it does not work. The same seed gives the
    same machine; other days are other samples of it.
    """
    n = days * DAY_S // period_s
    chance = seeds(seed, first_day)
    works = _works(chance, days, first_day, period_s)
    off = np.zeros(n, bool)
    if switched_off:
        waits = OFF_AFTER_S // period_s
        at_work = _at_work(days, first_day, period_s)
        off = ~at_work
        for i in np.flatnonzero(at_work[:-1] & ~at_work[1:]).tolist():
            off[i + 1 : i + 1 + waits] = False
    noise = _noise(chance, n)
    load = np.where(works, 1.0, 0.0)
    warm = smoothed(load, time_constant_s=480 / period_s, usual=0.0)
    hours = (np.arange(n) * period_s + first_day * DAY_S) / 3600.0
    weather = lfilter([1.0], [1.0, -0.999], chance.normal(scale=0.02, size=n))
    level = 60.0 + 8.0 * np.sin(np.cumsum(load) * period_s / 9000.0)
    values = np.stack(
        [
            np.where(works, 42.0 + 1.5 * noise[:, 0], 0.4 + 0.02 * noise[:, 0]),
            np.where(works, 2.8 + 0.2 * noise[:, 1] + 0.05 * noise[:, 0], 0.1 + 0.01 * noise[:, 1]),
            6.0 + 0.08 * noise[:, 2] - 0.3 * load,
            24.0 + 31.0 * warm + 0.15 * noise[:, 3],
            level,
            20.0 + 2.5 * np.sin(2.0 * np.pi * (hours - 9.0) / 24.0) + weather,
        ],
        axis=1,
    )
    return CalmPlant(
        begin_ns=MONDAY_NS + first_day * DAY_S * SECOND_NS,
        period_s=period_s,
        values=np.round(values, 3),
        running=works,
        silent=off,
    )


def _noise(chance: np.random.Generator, n: int) -> F64:
    """Fast noise of unit variance with a little memory (n, 4)."""
    white = chance.standard_normal((n, 4))
    found: F64 = lfilter([np.sqrt(1.0 - 0.3**2)], [1.0, -0.3], white, axis=0)
    return found


def _at_work(days: int, first_day: int, period_s: int) -> Mask:
    """Whether it is a shift of a weekday (n,)."""
    second = np.arange(days * DAY_S // period_s) * period_s
    day = second // DAY_S + first_day
    hour = second % DAY_S / 3600.0
    return np.asarray((day % 7 < 5) & (hour >= WORK_H[0]) & (hour < WORK_H[1]))


def _works(chance: np.random.Generator, days: int, first_day: int, period_s: int) -> Mask:
    """Whether it runs (n,): the shifts without breaks and short stops."""
    works = _at_work(days, first_day, period_s)
    for day in range(days):
        begin_s = day * DAY_S + 3600 * WORK_H[0]
        pauses = [(60 * a, 60 * b) for a, b in BREAKS_MIN]
        for _ in range(int(chance.integers(*STOPS_A_DAY))):
            at_s = int(chance.integers(0, 3600 * (WORK_H[1] - WORK_H[0])))
            pauses.append((at_s, at_s + 60 * int(chance.integers(*STOP_MIN))))
        for first_s, last_s in pauses:
            works[(begin_s + first_s) // period_s : (begin_s + last_s) // period_s] = False
    return works
