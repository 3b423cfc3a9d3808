"""A calm plant through the gateway for weeks, and faults put into copies of its days.

What rings in weeks of nothing is a nuisance; what stays silent in a day with a fault is the price
of the silence. Both are asked of the same bundle, fitted on the weeks before at the default budget.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from edge.assembly.assembly import Assembly
from edge.bundles.training import fit_bundle
from edge.configuration.config import load
from edge.replays.backtest import Backtest, with_ticks
from models.bundles.bundle import Channel
from models.samples import TrainingSamples
from simulator.calm_plant import (
    CYCLIC,
    DAY_S,
    DEAD_BANDS,
    GATEWAY,
    MONDAY_NS,
    ON_CHANGE,
    SECOND_NS,
    CalmPlant,
    calm_plant,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge.assessment.assess import Episode
    from models.bundles.bundle import Bundle

    F64 = NDArray[np.float64]

LEARN_DAYS: Final = 14
NIGHTS_DAYS: Final = 42  # thirty nights after work and six weekends
STEP_NS: Final = 600 * SECOND_NS
BEFORE: Final = 900  # samples of a day before its fault, in which rows and smoothing warm up
AFTER: Final = 60
# Where faults begin: (day of the week, hour); while it works, twice, at night and at a weekend.
MOMENTS: Final = ((1, 7.0), (2, 13.0), (1, 23.0), (5, 12.0))


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What happens to one channel: a step, and so much more with each sample, for `samples`."""

    name: str
    channel: str
    step: float = 0.0
    ramp: float = 0.0
    samples: int = 300

    def added(self) -> F64:
        """What it adds to its channel (samples,)."""
        return np.asarray(self.step + self.ramp * np.arange(self.samples), np.float64)


FAULTS: Final = (
    Fault(name="pressure off by three of its sigmas", channel="pressure", step=0.24),
    Fault(name="motor current off by half of one", channel="motor current", step=0.75),
    Fault(
        name="oil warms by a hundredth of a kelvin a minute", channel="oil temperature", ramp=0.01
    ),
    Fault(name="tank leaks a tenth of its dead band a minute", channel="tank level", ramp=-0.05),
    Fault(name="hall thermometer off by 3 K", channel="hall temperature", step=3.0),
)


def quiet_bundle(seed: int, *, days: int = LEARN_DAYS) -> Bundle:
    """What a gateway learns from `days` days of the machine of a seed."""
    plant = calm_plant(seed=seed, days=days)
    names = (*CYCLIC, *ON_CHANGE)
    samples = TrainingSamples(
        asset="press",
        channels=tuple(Channel(name=name) for name in names),
        values=held(plant.values),
        running=plant.running,
        period_ns=plant.period_s * SECOND_NS,
        t_ns=plant.begin_ns + np.arange(len(plant.values)) * plant.period_s * SECOND_NS,
    )
    return fit_bundle([(samples, "grid")])


def held(values: F64) -> F64:
    """Values (n, c) as a gateway has them: tags on change stay at what was told last."""
    kept = values.copy()
    for band, name in zip(DEAD_BANDS, ON_CHANGE, strict=True):
        column = (*CYCLIC, *ON_CHANGE).index(name)
        news = [0]  # samples at which it was told
        for i, value in enumerate(values[:, column].tolist()):
            if abs(value - values[news[-1], column]) >= band:
                news.append(i)
        for first, end in pairwise([*news, len(values)]):
            kept[first:end, column] = values[first, column]
    return kept


def weeks_after(seed: int, *, days: int = NIGHTS_DAYS, learned: int = LEARN_DAYS) -> CalmPlant:
    """The same machine in the days that follow on the `learned` ones of `quiet_bundle`."""
    return calm_plant(seed=seed, days=days, first_day=learned)


def told(bundle: Bundle, plant: CalmPlant) -> list[Episode]:
    """Everything that a gateway at its defaults tells of a plant, on any track."""
    with tempfile.TemporaryDirectory(prefix="andon-quiet-") as folder:
        path = Path(folder) / "gateway.toml"
        path.write_text(GATEWAY, encoding="utf-8")
        settings = load(path).settings
    backtest = Backtest(Assembly(settings, bundle=bundle, snapshot=None).engine)
    backtest.run(with_ticks(plant.messages(), step_ns=STEP_NS))
    return backtest.episodes()


def part_of(plant: CalmPlant, first: int, end: int) -> CalmPlant:
    """Its samples from `first` up to `end`."""
    return replace(
        plant,
        begin_ns=plant.begin_ns + first * plant.period_s * SECOND_NS,
        values=plant.values[first:end],
        running=plant.running[first:end],
        silent=plant.silent[first:end],
    )


def found(bundle: Bundle, plant: CalmPlant, fault: Fault, *, at: int, size: float = 1.0) -> bool:
    """Whether something rings while a fault goes on that begins at sample `at` of the plant.

    size: of what it adds
    """
    values, end = plant.values.copy(), at + fault.samples
    values[at:end, (*CYCLIC, *ON_CHANGE).index(fault.channel)] += size * fault.added()
    day = part_of(replace(plant, values=values), max(at - BEFORE, 0), end + AFTER)
    begin_ns, end_ns = (plant.begin_ns + i * plant.period_s * SECOND_NS for i in (at, end))
    return any(begin_ns <= one.rang_ns < end_ns for one in told(bundle, day))


def sample_at(plant: CalmPlant, day: int, hour: float) -> int:
    """The sample of a plant on one of its days, from 0, at an hour."""
    return round((day * DAY_S + hour * 3600.0) / plant.period_s)


def first_sample_at(plant: CalmPlant, weekday: int, hour: float) -> int:
    """The sample of a plant at an hour of the first such weekday, Monday 0, after its first day."""
    second_day = (plant.begin_ns - MONDAY_NS) // (DAY_S * SECOND_NS) + 1
    return sample_at(plant, 1 + (weekday - second_day) % 7, hour)
