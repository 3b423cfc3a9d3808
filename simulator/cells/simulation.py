"""A cell of any type: machines with their shift's faults and work, as one scenario.

The same seed gives the same cell: machines keep their character, and neither another machine nor
another shift, nor leaving faults or jobs out, changes what the rest does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import TYPE_CHECKING, Final

import numpy as np

from edge.assessment.truth import Cause, Fault, TrueJob, Truth
from models.bundles.bundle import Channel
from simulator.cells.cell import CellType, reference
from simulator.cells.documents import gateway_toml, knowledge, messy_knowledge
from simulator.cells.draft import TWIN_SIZES
from simulator.cells.messy import made_messy
from simulator.cells.plan import SIZES, Plan, plan
from simulator.faults import Shape, render
from simulator.jobs import SECOND_NS, commands
from simulator.scenario import Scenario

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from simulator.cells.messy import PlannedCause
    from simulator.faults import Mark, PlannedFault
    from simulator.jobs import PlannedJob

START_NS: Final = 1_772_427_600 * SECOND_NS  # Monday 2026-03-02 06:00 in Berlin
TRAINING_HOURS: Final = 24.0  # two shifts and a night
CALM_BEFORE_S: Final = 12 * 60  # no unplanned stop: the level before a job is known
CALM_AFTER_S: Final = 10 * 60  # nor while a job settles, nor when a fault begins
HOURS_MAX: Final = 24.0 * 31
MACHINES_MAX: Final = 1000


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What is asked of a simulated cell. sizes: smallest and largest mark, sigmas."""

    seed: int
    machines: int = 4
    hours: float = 8.0
    start_ns: int | None = None
    faults: bool = True
    jobs: bool = True
    messy: bool = False
    waves: bool = False  # waveforms are sent instead of what the cell makes of them
    site: str = ""  # "": the cell's own
    sizes: tuple[float, float] = SIZES

    def samples(self, noun: str) -> int:
        """Check the numbers and return the seconds. Raises ValueError."""
        if not 1 <= self.machines <= MACHINES_MAX:
            raise ValueError(f"{noun}s is {self.machines}, expected 1 to {MACHINES_MAX}")
        n = round(self.hours * 3600) if 0 < self.hours <= HOURS_MAX else 0
        if n < 1:
            raise ValueError(
                f"hours is {self.hours}, expected more than 0 and at most {HOURS_MAX:g}"
            )
        low, high = self.sizes
        if not 0 < low < TWIN_SIZES[1] or not max(low, TWIN_SIZES[0]) < high:
            raise ValueError(
                f"sizes are {low} to {high} sigma, expected an interval that overlaps {TWIN_SIZES}"
            )
        return n

    def leaves(self, drawn: Plan, cell: CellType) -> Plan:
        """What of a plan is shown: of waveforms only what acts in them, or not on them at all."""
        jobs, faults = self.jobs, drawn.faults if self.faults else ()
        if self.waves:
            if cell.waves is None:
                raise ValueError(f"the {cell.name} cell has no waveforms to send")
            made, jobs = frozenset(cell.waves.channels), False
            faults = tuple(f for f in faults if f.kind in cell.inside or not made & {*f.channels})
        return Plan(
            jobs=drawn.jobs if jobs else (),
            faults=faults,
            twins=drawn.twins if jobs and self.faults else None,
            causes=drawn.causes if jobs else (),
        )


def simulate_cell(cell: CellType, wish: Wish) -> Scenario:
    """Simulate a cell from the begin of a shift on.

    A day is two shifts and a night. From 4 machines and 8 hours on every situation occurs: faults
    alone, hidden by a calibration, during one that does not mask them, beside one, after a
    cancelled one; in a smaller or shorter cell, those that find their place. Without `faults` or
    `jobs` the same signals lack just their marks. Raises ValueError for numbers that make no cell.
    """
    n = wish.samples(cell.noun)
    begin_ns = START_NS if wish.start_ns is None else wish.start_ns
    drawn = plan(cell, wish.seed, machines=wish.machines, n=n, sizes=wish.sizes)
    if wish.messy:
        drawn = made_messy(cell, wish.seed, drawn, machines=wish.machines, n=n)
    shown = wish.leaves(drawn, cell)
    site = wish.site or cell.site
    told = [
        command
        for job in shown.jobs
        for command in commands(job, asset=cell.asset(job.robot), site=site, start_ns=begin_ns)
    ]
    truth = Truth(
        begin_ns=begin_ns,
        end_ns=begin_ns + n * SECOND_NS,
        faults=tuple(
            _true_fault(cell, fault, wish.seed, begin_ns, alone=not wish.jobs or wish.waves)
            for fault in shown.faults
        ),
        jobs=tuple(_true_job(cell, job, begin_ns) for job in shown.jobs),
        causes=tuple(_true_cause(cell, cause, begin_ns) for cause in shown.causes),
    )
    written = messy_knowledge if wish.messy else knowledge
    numbers = range(1, wish.machines + 1)
    parts = {
        cell.asset(number): cache(partial(_machine, cell, wish.seed, number, drawn, shown, n=n))
        for number in numbers
    }
    sent = {}
    if wish.waves and cell.waves is not None:
        for number in numbers:
            calm, _ = _shaped(drawn, number, cell)
            within = [f for f in shown.faults if f.robot == number and f.kind in cell.inside]
            sent[cell.asset(number)] = partial(
                cell.waves.blocks,
                wish.seed,
                number,
                phase=0,
                n=n,
                begin_ns=begin_ns,
                calm=calm,
                faults=within,
            )
    return replace(
        _put_together(cell, wish, parts, truth=truth),
        blocks=sent,
        commands=tuple(sorted(told, key=lambda command: (command.t_ns, command.topic))),
        texts=written(cell, wish.seed, machines=wish.machines, begin_ns=begin_ns, n=n, plan=shown),
        twins=shown.twins,
        normal=lambda: normal_cell(
            cell, replace(wish, hours=TRAINING_HOURS, start_ns=None), end_ns=begin_ns
        ),
    )


def normal_cell(cell: CellType, wish: Wish, *, end_ns: int | None = None) -> Scenario:
    """Simulate normal operation of the same machines up to `end_ns`, the begin of a scenario.

    No faults and no jobs, but wear, lots, modes, stops and, beyond 16 hours, a night. Raises
    ValueError for numbers that make no cell.
    """
    n = wish.samples(cell.noun)
    end_ns = START_NS if end_ns is None else end_ns
    parts = {
        cell.asset(number): cache(partial(_normal_machine, cell, wish.seed, number, n=n))
        for number in range(1, wish.machines + 1)
    }
    truth = Truth(begin_ns=end_ns - n * SECOND_NS, end_ns=end_ns)
    sent = {}
    if wish.waves and cell.waves is not None:
        made = partial(cell.waves.blocks, wish.seed, phase=1, n=n, begin_ns=truth.begin_ns)
        sent = {cell.asset(number): partial(made, number) for number in range(1, wish.machines + 1)}
    return replace(_put_together(cell, wish, parts, truth=truth), blocks=sent)


def _put_together(
    cell: CellType,
    wish: Wish,
    parts: Mapping[str, Callable[[], tuple[NDArray[np.float64], NDArray[np.float64]]]],
    *,
    truth: Truth,
) -> Scenario:
    """Put the signals of all machines together; what people tell and write comes on top."""
    seed, site = wish.seed, wish.site or cell.site
    numbers = list(enumerate(parts, start=1))
    references = {asset: reference(cell, seed, number) for number, asset in numbers}
    return Scenario(
        cell=cell.name,
        seed=seed,
        site=site,
        begin_ns=truth.begin_ns,
        period_ns=cell.period_s * SECOND_NS,
        assets=tuple(parts),
        channels=tuple(Channel(name=channel.name, unit=channel.unit) for channel in cell.channels),
        context_tags=cell.context_tags,
        values=_Lazily(parts, 0),
        context=_Lazily(parts, 1),
        level={asset: level for asset, (level, _) in references.items()},
        sigma={asset: sigma for asset, (_, sigma) in references.items()},
        truth=truth,
        gateway=gateway_toml(
            cell,
            site=site,
            wired={number: cell.wired(seed, number) for number, _ in numbers},
            waves=wish.waves,
        ),
        block_channels=cell.waves.channels if wish.waves and cell.waves is not None else (),
    )


# --- signals of one machine ---


class _Lazily(Mapping[str, "NDArray[np.float64]"]):
    """Signals by asset, made when they are first looked at: papers and truth need none."""

    def __init__(
        self,
        parts: Mapping[str, Callable[[], tuple[NDArray[np.float64], NDArray[np.float64]]]],
        which: int,
    ) -> None:
        self._parts = parts
        self._which = which

    def __getitem__(self, asset: str) -> NDArray[np.float64]:
        return self._parts[asset]()[self._which]

    def __iter__(self) -> Iterator[str]:
        return iter(self._parts)

    def __len__(self) -> int:
        return len(self._parts)


def _normal_machine(
    cell: CellType, seed: int, number: int, *, n: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Values (n, c) as published and context (n, k) of a machine before the scenario."""
    course = cell.normal(seed, number, phase=1, n=n)
    bits = np.zeros(len(course.running))
    context = np.stack([course.running, bits, course.mode], axis=1).astype(np.float64)
    return _published(cell, course.values), context


def _machine(
    cell: CellType, seed: int, number: int, drawn: Plan, shown: Plan, *, n: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Values (n, c) as published and context (n, k) of one machine.

    The whole plan shapes its stops and renewals; only what is shown leaves marks.
    """
    calm, renewed = _shaped(drawn, number, cell)
    mine = [job for job in shown.jobs if job.robot == number]
    broken = [fault for fault in shown.faults if fault.robot == number]
    if cell.stricken is None:
        course = cell.normal(seed, number, phase=0, n=n, calm=calm, renewed=renewed)
    else:
        within = [fault for fault in broken if fault.kind in cell.inside]
        course = cell.stricken(seed, number, n=n, calm=calm, renewed=renewed, faults=within)
    level, sigma = reference(cell, seed, number)
    values = course.values.copy()
    marks = [mark for job in mine for mark in job.marks]
    marks += [m for fault in broken if fault.kind not in cell.inside for m in fault.marks]
    marks += [mark for cause in shown.causes if cause.robot == number for mark in cause.marks]
    for mark in marks:
        if mark.shape is not Shape.FLAT:
            _add(cell, values, mark, course.running, sigma)
    _add_lasting(cell, values, mine, course.running, sigma)
    for mark in marks:
        if mark.shape is Shape.FLAT:  # a held value covers all else
            k = cell.channel_names.index(mark.channel)
            held = 0.0 if mark.zero else level[k] + mark.size * sigma[k]
            values[_rows(cell, mark.begin_s, mark.end_s), k] = held
    cal_mode = np.zeros(len(values))
    for job in mine:
        if job.witness == "plant":
            cal_mode[_rows(cell, job.begin_s, job.end_s)] = 1.0
    context = np.stack([course.running, cal_mode, course.mode], axis=1).astype(np.float64)
    return _published(cell, values), context


def _shaped(drawn: Plan, number: int, cell: CellType) -> tuple[list[tuple[int, int]], list[int]]:
    """Seconds in which nothing unplanned falls on a machine, and those at which it is renewed."""
    jobs = [job for job in drawn.jobs if job.robot == number]
    faults = [fault for fault in drawn.faults if fault.robot == number]
    calm = [(job.begin_s - CALM_BEFORE_S, job.end_s + CALM_AFTER_S) for job in jobs]
    calm += [(cause.begin_s, cause.end_s) for cause in drawn.causes if cause.robot == number]
    calm += [(fault.begin_s - CALM_AFTER_S, fault.begin_s + CALM_AFTER_S) for fault in faults]
    renewed = [job.end_s for job in jobs if job.work is cell.renewing and not job.cancelled_by]
    return calm, renewed


def _rows(cell: CellType, begin_s: int, end_s: int) -> slice:
    """Rows whose times lie in a half-open interval of seconds."""
    return slice(-(-begin_s // cell.period_s), -(-end_s // cell.period_s))


def _add(
    cell: CellType,
    values: NDArray[np.float64],
    mark: Mark,
    running: NDArray[np.bool_],
    sigma: NDArray[np.float64],
) -> None:
    """Add a mark in place. Gated channels keep their rest: without an arc there is no current."""
    k = cell.channel_names.index(mark.channel)
    where = _rows(cell, mark.begin_s, mark.end_s)
    first = where.start * cell.period_s - mark.begin_s
    offsets = sigma[k] * render(mark)[first :: cell.period_s]
    values[where, k] += np.where(running[where] | ~cell.gated[k], offsets, 0.0)


def _add_lasting(
    cell: CellType,
    values: NDArray[np.float64],
    jobs: Sequence[PlannedJob],
    running: NDArray[np.bool_],
    sigma: NDArray[np.float64],
) -> None:
    """Add what work leaves behind, in place: each job's on its channels until the next one's."""
    offsets = np.zeros_like(values)
    for job in sorted(jobs, key=lambda job: job.end_s):
        for name, by in job.lasting:
            k = cell.channel_names.index(name)
            offsets[-(-job.marks[0].end_s // cell.period_s) :, k] = by * sigma[k]
    values += np.where(running[:, None] | ~cell.gated, offsets, 0.0)


def _published(cell: CellType, values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Values at the resolution that the cell's controller sends (n, c)."""
    columns = [np.round(values[:, k], channel.decimals) for k, channel in enumerate(cell.channels)]
    return np.stack(columns, axis=1) + 0.0  # no negative zero


# --- truth ---


def _true_fault(
    cell: CellType, fault: PlannedFault, seed: int, begin_ns: int, *, alone: bool
) -> Fault:
    size = fault.size
    if fault.marks[0].zero:
        level, sigma = reference(cell, seed, fault.robot)
        k = cell.channel_names.index(fault.marks[0].channel)
        size = float(level[k] / sigma[k])
    return Fault(
        fault_id=fault.fault_id,
        kind=fault.kind.value,
        asset=cell.asset(fault.robot),
        channels=fault.channels,
        begin_ns=begin_ns + fault.begin_s * SECOND_NS,
        end_ns=begin_ns + fault.end_s * SECOND_NS,
        size_sigma=round(size, 3),
        situation="alone" if alone else fault.situation,
    )


def _true_job(cell: CellType, job: PlannedJob, begin_ns: int) -> TrueJob:
    return TrueJob(
        job_id=job.job_id,
        kind=job.work.kind,
        asset=cell.asset(job.robot),
        instrument=job.work.instrument,
        channels=job.work.channels,
        begin_ns=begin_ns + job.begin_s * SECOND_NS,
        end_ns=begin_ns + job.end_s * SECOND_NS,
        witness=job.witness,
        cancelled=bool(job.cancelled_by),
        settle_s=job.work.settle_s,
        size_sigma=round(job.size, 3),
        told=job.told,
    )


def _true_cause(cell: CellType, cause: PlannedCause, begin_ns: int) -> Cause:
    return Cause(
        cause_id=cause.cause_id,
        kind=cause.disturbance.name,
        asset=cell.asset(cause.robot),
        channels=tuple(cause.disturbance.signs),
        begin_ns=begin_ns + cause.begin_s * SECOND_NS,
        end_ns=begin_ns + cause.end_s * SECOND_NS,
        told=cause.told,
    )
