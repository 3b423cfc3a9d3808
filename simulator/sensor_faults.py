"""Sensor faults put into recordings, and whether they are told from faults of the process.

What breaks is drawn by a seed: which channel, when, how hard. A plant is any record of normal
running, cut into what is learned from and what is broken; two transmitters more on one of its
channels make a redundant group, since recordings have none. The checks are those of the gateway, on
batches as it would cut them.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from edge.batches import Batch
from edge.samples.quality import HealthState
from edge.samples.sensor_faults import DIRECTIONS, SENSOR_CLASSES, SensorWatch
from edge.settings import AssetSettings
from kb.records import Citation, Sensor
from models.bundles.assemble import make_bundle
from models.bundles.bundle import Channel
from models.fitting.fit import FitOptions, fit_asset
from models.samples import TrainingSamples
from simulator.cells import TYPES
from simulator.cells.cell import reference
from simulator.faults import fault_marks, render

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from edge.samples.looks import Codes
    from models.bundles.bundle import AssetModel

    F64 = NDArray[np.float64]
    Mask = NDArray[np.bool_]

FAULT_SAMPLES: Final = 900  # how long a fault lasts
STUCK_SAMPLES_MIN: Final = 60  # as a gateway has it by default
BATCH_SAMPLES: Final = 50
DUE_SHARE: Final = 0.8  # of a fault's length, by when a channel must be able to be called so
SPAN_REACH: Final = 2.0  # of the usual range, by which an instrument's range is wider on each side
# Where a transmitter saturates, in shares of its range: 3.8 and 20.5 mA of 4 to 20 (NAMUR NE 43).
SATURATES: Final = (-0.2 / 16.0, 0.5 / 16.0)
MIDDLE_SAMPLES: Final = 9
QUOTE: Final = Citation(
    doc_id="sensors", revision="1", chunk_id=1, start=0, end=1, sha256="00", quote="s"
)


class Kind(StrEnum):
    """What breaks of a sensor or its source."""

    STUCK = "stuck"
    STUCK_WITH_GAPS = "stuck with gaps"
    MISSING = "missing"
    SPARSE = "sparse"
    OUT_OF_RANGE = "out of range"
    NOISE_HIGH = "noise rises"
    NOISE_LOW = "noise falls"
    DRIFT = "drift"
    STALE_CLOCK = "stale clock"


EXPECTED: Final = {
    Kind.STUCK: "stuck",
    Kind.STUCK_WITH_GAPS: "stuck",
    Kind.MISSING: "missing",
    Kind.SPARSE: "missing",
    Kind.OUT_OF_RANGE: "out_of_range",
    Kind.NOISE_HIGH: "noise",
    Kind.NOISE_LOW: "noise",
    Kind.DRIFT: "drift",
    Kind.STALE_CLOCK: "stale_clock",
}


@dataclass(frozen=True, kw_only=True, eq=False)
class Plant:
    """A fitted asset with normal samples (n, c) that it was not fitted on; running: (n,).

    twins: channels of the redundant group, by index.
    """

    name: str
    model: AssetModel
    settings: AssetSettings
    sensors: tuple[Sensor, ...]
    values: F64
    running: Mask
    twins: tuple[int, ...]

    def codes(self, values: F64, *, ranges: bool = True) -> Codes:
        """What is found wrong in samples (n, c), from a state that has seen nothing.

        ranges: whether the ranges of the instruments are known.
        """
        watch = SensorWatch(self.model, self.settings, stuck_min=STUCK_SAMPLES_MIN)
        state = HealthState.empty(values.shape[1])
        codes = np.zeros(values.shape, np.uint8)
        for i in range(0, len(values), BATCH_SAMPLES):
            part = slice(i, i + BATCH_SAMPLES)
            batch = Batch(
                asset=self.name,
                t_ns=np.arange(len(values), dtype=np.int64)[part],
                values=values[part].astype(np.float32),
                running=self.running[: len(values)][part],
            )
            found = watch.check(state, batch, self.sensors if ranges else ()).codes
            if found is not None:
                codes[part] = found
        return codes

    def able(self, kind: Kind) -> list[int]:
        """Channels on which a fault of this kind can be seen at all in its time."""
        model, c = self.model, len(self.model.channels)
        health = model.health
        assert health is not None, "it was fitted"
        due = DUE_SHARE * FAULT_SAMPLES
        runs = np.maximum(model.stuck_samples_max, STUCK_SAMPLES_MIN)
        fits = {
            Kind.STUCK: runs < due,
            Kind.STUCK_WITH_GAPS: runs < due / 2,
            Kind.MISSING: np.minimum(runs, 600) < due,
            Kind.SPARSE: health.present_min > 0.9,
            Kind.NOISE_HIGH: np.isfinite(health.noise_low),
            Kind.NOISE_LOW: np.isfinite(health.noise_low),
            Kind.DRIFT: np.isin(np.arange(c), self.twins),
            Kind.OUT_OF_RANGE: model.usual_low < model.usual_high,
            Kind.STALE_CLOCK: np.full(c, health.repeats_max < due),
        }[kind]
        return [int(i) for i in np.flatnonzero(fits)]


class Injected(NamedTuple):
    """Samples (n, c) with one fault in channel `channel` from `begin` to `end`."""

    values: F64
    channel: int
    begin: int
    end: int


class Row(NamedTuple):
    """Figures of one kind of fault over one plant. able: channels on which it can be seen."""

    plant: str
    kind: Kind
    able: int
    injected: int
    found: int
    delay_median_samples: float


def inject(plant: Plant, kind: Kind, seed: int) -> Injected | None:
    """One fault, drawn by the seed; None where no channel of the plant can show it."""
    able = plant.able(kind)
    if not able:
        return None
    chance = np.random.default_rng([seed, list(Kind).index(kind)])
    j = able[int(chance.integers(len(able)))]
    live = np.flatnonzero(plant.running)
    place = int(chance.integers(len(live) // 4, max(len(live) - FAULT_SAMPLES, len(live) // 4 + 1)))
    begin = int(live[place])
    end = int(live[min(place + FAULT_SAMPLES, len(live) - 1)])
    values = plant.values.copy()
    where = slice(begin, end)
    values[where] = _broken(plant, kind, values, (j, begin, end), chance)
    return Injected(values, j, begin, end)


def _broken(
    plant: Plant, kind: Kind, values: F64, at: tuple[int, int, int], chance: np.random.Generator
) -> F64:
    """The samples of the fault (k, c)."""
    j, begin, end = at
    found, n = values[begin:end].copy(), end - begin
    column, model = found[:, j], plant.model
    before = values[:begin, j]
    last = float(before[np.isfinite(before)][-1])
    if kind in (Kind.STUCK, Kind.STUCK_WITH_GAPS):
        column[:] = last if chance.random() < 0.5 else float(chance.choice([0.0, round(last)]))
        if kind is Kind.STUCK_WITH_GAPS:
            column[chance.random(n) < 0.3] = np.nan
    elif kind is Kind.MISSING:
        column[:] = np.nan
    elif kind is Kind.SPARSE:
        column[chance.random(n) < 0.75] = np.nan
    elif kind is Kind.STALE_CLOCK:
        found[:] = values[begin - 1]
    elif kind is Kind.OUT_OF_RANGE:
        low, high = _span(model, j)
        beyond = float(chance.uniform(0.1, 0.4))
        level = (
            low - beyond * (high - low) if chance.random() < 0.5 else high + beyond * (high - low)
        )
        column[:] = level + 0.001 * (high - low) * chance.standard_normal(n)
    elif kind is Kind.DRIFT:
        size = float(chance.uniform(5.0, 10.0)) * _apart(plant) * chance.choice([-1.0, 1.0])
        column += size * np.minimum(1.0, np.arange(n) / (0.5 * n))
    else:
        column[:] = _noisier(plant, kind, column, j, chance)
    return found


def _noisier(plant: Plant, kind: Kind, column: F64, j: int, chance: np.random.Generator) -> F64:
    """The column (k,) with 3 to 8 times the largest noise that is usual, or so much less."""
    health = plant.model.health
    assert health is not None, "it was fitted"
    times = float(chance.uniform(3.0, 8.0))
    if kind is Kind.NOISE_HIGH:
        return column + times * float(health.noise_high[j]) * chance.standard_normal(len(column))
    smooth = np.convolve(column, np.full(MIDDLE_SAMPLES, 1.0 / MIDDLE_SAMPLES), mode="same")
    edge = MIDDLE_SAMPLES // 2
    smooth[:edge], smooth[-edge:] = smooth[edge], smooth[-edge - 1]
    left = float(health.noise_low[j]) / times / float(health.noise_high[j])
    quiet = smooth + left * (column - smooth)
    step = float(health.steps[j])  # as it is sent
    return np.round(quiet / step) * step if step > 0.0 else quiet


def _apart(plant: Plant) -> float:
    """How far twins are usually apart at most, beyond their mean distance."""
    health = plant.model.health
    assert health is not None, "it was fitted"
    inside = np.isin(health.pairs.astype(int), plant.twins).all(axis=1)
    return float((health.apart_high - health.apart_low)[inside].max())


def called(codes: Codes, fault: Injected, kind: Kind) -> int:
    """The sample of the fault at which its channel was called by the right class; -1: never."""
    wanted = sum(bit for bit, name in DIRECTIONS if SENSOR_CLASSES[name] == EXPECTED[kind])
    at = np.flatnonzero(codes[fault.begin : fault.end, fault.channel] & wanted)
    return int(at[0]) if len(at) else -1


def measure(plant: Plant, seeds: Sequence[int], kinds: Sequence[Kind] = tuple(Kind)) -> list[Row]:
    """Recall by kind over the seeds."""
    rows = []
    for kind in kinds:
        delays: list[int] = []
        for seed in seeds:
            fault = inject(plant, kind, seed)
            if fault is not None:
                delays.append(called(plant.codes(fault.values), fault, kind))
        found = [delay for delay in delays if delay >= 0]
        rows.append(
            Row(
                plant=plant.name,
                kind=kind,
                able=len(plant.able(kind)),
                injected=len(delays),
                found=len(found),
                delay_median_samples=float(np.median(found)) if found else np.nan,
            )
        )
    return rows


# --- plants ---


def plant_of(
    name: str,
    values: F64,
    *,
    learn: int,
    names: Sequence[str],
    running: Mask | None = None,
    twin: int | None = None,
    seed: int = 0,
) -> Plant:
    """Fit on the first `learn` samples of a normal record (n, c); the rest is there to be broken.

    twin: a channel that gets two transmitters more, with errors of their own; None: none.
    """
    if twin is not None:
        values, names = with_twins(values, names, twin, seed=seed)
    ran = np.ones(len(values), bool) if running is None else running
    channels = tuple(
        Channel(name=one, unit="" if twin is None else f"u{i}") for i, one in enumerate(names)
    )
    group = () if twin is None else (twin, len(names) - 2, len(names) - 1)
    channels = tuple(
        Channel(name=c.name, unit="twin") if i in group else c for i, c in enumerate(channels)
    )
    samples = TrainingSamples(
        asset=name,
        channels=channels,
        values=values[:learn],
        running=None if running is None else ran[:learn],
        period_ns=10**9,
    )
    bundle = make_bundle([fit_asset(samples, FitOptions(alignment="rows"))])
    model = bundle.assets[0]
    redundant = (tuple(names[i] for i in group),) if group else ()
    return Plant(
        name=name,
        model=model,
        settings=AssetSettings(id=name, redundant=redundant),
        sensors=tuple(_sensor(model, i) for i in range(len(names))),
        values=values[learn:],
        running=ran[learn:],
        twins=group,
    )


def with_twins(values: F64, names: Sequence[str], j: int, *, seed: int) -> tuple[F64, list[str]]:
    """Two transmitters more on channel j of values (n, c): other offsets, noise of their own."""
    chance = np.random.default_rng([seed, 77])
    spread = float(np.nanstd(np.diff(values[:, j])))
    more = [
        values[:, j]
        + float(chance.normal()) * spread
        + 0.5 * spread * chance.standard_normal(len(values))
        for _ in range(2)
    ]
    return np.column_stack([values, *more]), [*names, f"{names[j]} B", f"{names[j]} C"]


def _span(model: AssetModel, j: int) -> tuple[float, float]:
    """An instrument's range: the usual one and as much on each side."""
    low, high = float(model.usual_low[j]), float(model.usual_high[j])
    return low - SPAN_REACH * (high - low), high + SPAN_REACH * (high - low)


def _sensor(model: AssetModel, j: int) -> Sensor:
    low, high = _span(model, j)
    return Sensor(
        asset=model.asset,
        channel=model.channels[j].name,
        unit="",
        low=low,
        high=high,
        aliases=(),
        citation=QUOTE,
    )


def cell_plant(cell: str, seed: int, *, learn_h: float = 6.0, hours: float = 4.0) -> Plant:
    """A machine of a simulated cell in normal operation, stops included."""
    kind = TYPES[cell]
    n = int(3600 * (learn_h + hours))
    course = kind.normal(seed, 1, phase=1, n=n)
    columns = [np.round(course.values[:, k], one.decimals) for k, one in enumerate(kind.channels)]
    values = np.stack(columns, axis=1)
    twin = int(np.random.default_rng(seed).integers(len(columns)))
    return plant_of(
        cell, values, learn=int(3600 * learn_h), names=kind.channel_names, running=course.running,
        twin=twin, seed=seed,
    )  # fmt: skip


def cell_faults(plant: Plant, cell: str, seed: int, count: int) -> Iterator[Injected]:
    """Faults of the process of a simulated machine, one at a time: no sensor is broken in them."""
    kind = TYPES[cell]
    chance = np.random.default_rng([seed, 5])
    _, sigma = reference(kind, seed, 1)
    process = [one for one in kind.forms if kind.forms[one].signs]
    names = kind.channel_names
    for _ in range(count):
        begin = int(chance.integers(1000, len(plant.values) - 2 * FAULT_SAMPLES))
        end = begin + 2 * FAULT_SAMPLES
        marks = fault_marks(
            process[int(chance.integers(len(process)))], channels=names,
            size=float(chance.uniform(1.5, 8.0)), begin_s=begin, end_s=end, rng=chance,
            forms=kind.forms, one_sided=kind.one_sided,
        )  # fmt: skip
        values = plant.values.copy()
        moved = {names.index(mark.channel): render(mark) for mark in marks}
        for k, offsets in moved.items():
            moving = plant.running[begin:end] | ~kind.gated[k]
            offset = np.round(np.where(moving, sigma[k] * offsets, 0.0), kind.channels[k].decimals)
            for twin in plant.twins if k in plant.twins else (k,):
                low, high = _span(plant.model, twin)
                least = low + SATURATES[0] * (high - low)
                most = high + SATURATES[1] * (high - low)
                values[begin:end, twin] = np.clip(values[begin:end, twin] + offset, least, most)
        yield Injected(values, -1, begin, end)
