"""The weld cell: robots with their shift's faults and work, as one scenario.

The same seed gives the same cell: robots keep their character, and neither another robot nor
another shift, nor leaving faults or jobs out, changes what the rest does.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np

from edge.truth import Fault, TrueJob, Truth
from models.bundle import Channel
from simulator.cells.weld_draft import TWIN_SIZES
from simulator.cells.weld_plan import SHOP_FLOOR, Plan, Profile, plan
from simulator.cells.weld_signals import CHANNEL_NAMES, CHANNELS, character, normal, reference
from simulator.cells.weld_texts import gateway_toml, knowledge
from simulator.faults import Shape, render
from simulator.jobs import SECOND_NS, TIP_CHANGE, commands
from simulator.scenario import Scenario

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from simulator.faults import Mark, PlannedFault
    from simulator.jobs import PlannedJob

START_NS: Final = 1_772_427_600 * SECOND_NS  # Monday 2026-03-02 06:00 in Berlin
TRAINING_HOURS: Final = 24.0  # two shifts and a night
CALM_BEFORE_S: Final = 12 * 60  # no unplanned stop: the level before a job is known
CALM_AFTER_S: Final = 10 * 60  # nor while a job settles, nor when a fault begins
HOURS_MAX: Final = 24.0 * 31
ROBOTS_MAX: Final = 1000
CONTEXT_TAGS: Final = ("run_state", "cal_mode", "recipe")
_GATED: Final = np.array([channel.gated for channel in CHANNELS])


def simulate(
    *,
    seed: int,
    robots: int = 4,
    hours: float = 8.0,
    start_ns: int | None = None,
    faults: bool = True,
    jobs: bool = True,
    profile: Profile = SHOP_FLOOR,
) -> Scenario:
    """Simulate a weld cell from the begin of a shift on.

    A day is two shifts and a night. From 4 robots and 8 hours on every situation occurs: faults
    alone, hidden by a calibration, during one that does not mask them, beside one, after a
    cancelled one; in a smaller or shorter cell, those that find their place. Without `faults` or
    `jobs` the same signals lack just their marks. Raises ValueError for numbers that make no cell.
    """
    n = _samples(robots, hours, profile)
    begin_ns = START_NS if start_ns is None else start_ns
    drawn = plan(seed, robots=robots, n=n, profile=profile)
    shown = Plan(
        jobs=drawn.jobs if jobs else (),
        faults=drawn.faults if faults else (),
        twins=drawn.twins if jobs and faults else None,
    )
    told = [
        command
        for job in shown.jobs
        for command in commands(job, asset=f"r{job.robot}", site=profile.site, start_ns=begin_ns)
    ]
    texts = knowledge(
        seed=seed, robots=robots, begin_ns=begin_ns, n=n, jobs=shown.jobs, faults=shown.faults
    )
    truth = Truth(
        begin_ns=begin_ns,
        end_ns=begin_ns + n * SECOND_NS,
        faults=tuple(_true_fault(fault, seed, begin_ns, alone=not jobs) for fault in shown.faults),
        jobs=tuple(_true_job(job, begin_ns) for job in shown.jobs),
    )
    signals = {
        f"r{robot}": _robot(seed, robot, drawn, shown, n=n) for robot in range(1, robots + 1)
    }
    return replace(
        _cell(seed, signals, profile=profile, truth=truth),
        commands=tuple(sorted(told, key=lambda command: (command.t_ns, command.topic))),
        texts=texts,
        twins=shown.twins,
        normal=lambda: training(seed=seed, robots=robots, end_ns=begin_ns, profile=profile),
    )


def training(
    *,
    seed: int,
    robots: int = 4,
    hours: float = TRAINING_HOURS,
    end_ns: int | None = None,
    profile: Profile = SHOP_FLOOR,
) -> Scenario:
    """Simulate normal operation of the same robots up to `end_ns`, the begin of a scenario.

    No faults and no jobs, but wear, wire lots, tip changes, stops and, beyond 16 hours, a night.
    Raises ValueError for numbers that make no cell.
    """
    n = _samples(robots, hours, profile)
    end_ns = START_NS if end_ns is None else end_ns
    signals = {}
    for robot in range(1, robots + 1):
        course = normal(seed, robot, phase=1, n=n)
        context = np.stack([course.running, np.zeros(n), course.recipe], axis=1).astype(np.float64)
        signals[f"r{robot}"] = (_published(course.values), context)
    truth = Truth(begin_ns=end_ns - n * SECOND_NS, end_ns=end_ns)
    return _cell(seed, signals, profile=profile, truth=truth)


def _samples(robots: int, hours: float, profile: Profile) -> int:
    """Check the numbers and return the seconds. Raises ValueError."""
    if not 1 <= robots <= ROBOTS_MAX:
        raise ValueError(f"robots is {robots}, expected 1 to {ROBOTS_MAX}")
    n = round(hours * 3600) if 0 < hours <= HOURS_MAX else 0
    if n < 1:
        raise ValueError(f"hours is {hours}, expected more than 0 and at most {HOURS_MAX:g}")
    low, high = profile.size_sigma_min, profile.size_sigma_max
    if not 0 < low < TWIN_SIZES[1] or not max(low, TWIN_SIZES[0]) < high:
        raise ValueError(
            f"sizes are {low} to {high} sigma, expected an interval that overlaps {TWIN_SIZES}"
        )
    return n


def _cell(
    seed: int,
    signals: dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]],
    *,
    profile: Profile,
    truth: Truth,
) -> Scenario:
    """Put the signals of all robots together; what people tell and write comes on top."""
    robots = list(enumerate(signals, start=1))
    references = {asset: reference(seed, robot) for robot, asset in robots}
    return Scenario(
        seed=seed,
        site=profile.site,
        begin_ns=truth.begin_ns,
        period_ns=SECOND_NS,
        assets=tuple(signals),
        channels=tuple(Channel(name=channel.name, unit=channel.unit) for channel in CHANNELS),
        context_tags=CONTEXT_TAGS,
        values={asset: values for asset, (values, _) in signals.items()},
        context={asset: context for asset, (_, context) in signals.items()},
        level={asset: level for asset, (level, _) in references.items()},
        sigma={asset: sigma for asset, (_, sigma) in references.items()},
        truth=truth,
        gateway=gateway_toml(
            site=profile.site,
            wired={asset: character(seed, robot).wired for robot, asset in robots},
        ),
    )


# --- signals of one robot ---


def _robot(
    seed: int, robot: int, drawn: Plan, shown: Plan, *, n: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Values (n, c) as published and context (n, k) of one robot.

    The whole plan shapes its stops and tip changes; only what is shown leaves marks.
    """
    jobs = [job for job in drawn.jobs if job.robot == robot]
    faults = [fault for fault in drawn.faults if fault.robot == robot]
    calm = [(job.begin_s - CALM_BEFORE_S, job.end_s + CALM_AFTER_S) for job in jobs]
    calm += [(fault.begin_s - CALM_AFTER_S, fault.begin_s + CALM_AFTER_S) for fault in faults]
    tips = [job.end_s for job in jobs if job.work is TIP_CHANGE and not job.cancelled_by]
    course = normal(seed, robot, phase=0, n=n, calm=calm, tips=tips)
    level, sigma = reference(seed, robot)
    values = course.values.copy()
    mine = [job for job in shown.jobs if job.robot == robot]
    marks = [mark for job in mine for mark in job.marks]
    marks += [mark for fault in shown.faults if fault.robot == robot for mark in fault.marks]
    for mark in marks:
        if mark.shape is not Shape.FLAT:
            _add(values, mark, course.running, sigma)
    _add_lasting(values, mine, course.running, sigma)
    for mark in marks:
        if mark.shape is Shape.FLAT:  # a held value covers all else
            k = CHANNEL_NAMES.index(mark.channel)
            held = 0.0 if mark.zero else level[k] + mark.size * sigma[k]
            values[mark.begin_s : mark.end_s, k] = held
    cal_mode = np.zeros(n)
    for job in mine:
        if job.witness == "plant":
            cal_mode[job.begin_s : job.end_s] = 1.0
    context = np.stack([course.running, cal_mode, course.recipe], axis=1).astype(np.float64)
    return _published(values), context


def _add(
    values: NDArray[np.float64],
    mark: Mark,
    running: NDArray[np.bool_],
    sigma: NDArray[np.float64],
) -> None:
    """Add a mark in place. Gated channels keep their rest: without an arc there is no current."""
    k = CHANNEL_NAMES.index(mark.channel)
    where = slice(mark.begin_s, mark.end_s)
    offsets = sigma[k] * render(mark)
    values[where, k] += np.where(running[where] | ~_GATED[k], offsets, 0.0)


def _add_lasting(
    values: NDArray[np.float64],
    jobs: Sequence[PlannedJob],
    running: NDArray[np.bool_],
    sigma: NDArray[np.float64],
) -> None:
    """Add what work leaves behind, in place: each job's on its channels until the next one's."""
    offsets = np.zeros_like(values)
    for job in sorted(jobs, key=lambda job: job.end_s):
        for name, by in job.lasting:
            k = CHANNEL_NAMES.index(name)
            offsets[job.marks[0].end_s :, k] = by * sigma[k]
    values += np.where(running[:, None] | ~_GATED, offsets, 0.0)


def _published(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Values at the resolution that the cell's controller sends (n, c)."""
    columns = [np.round(values[:, k], channel.decimals) for k, channel in enumerate(CHANNELS)]
    return np.stack(columns, axis=1) + 0.0  # no negative zero


# --- truth ---


def _true_fault(fault: PlannedFault, seed: int, begin_ns: int, *, alone: bool) -> Fault:
    size = fault.size
    if fault.marks[0].zero:
        level, sigma = reference(seed, fault.robot)
        k = CHANNEL_NAMES.index(fault.marks[0].channel)
        size = float(level[k] / sigma[k])
    return Fault(
        fault_id=fault.fault_id,
        kind=fault.kind.value,
        asset=f"r{fault.robot}",
        channels=fault.channels,
        begin_ns=begin_ns + fault.begin_s * SECOND_NS,
        end_ns=begin_ns + fault.end_s * SECOND_NS,
        size_sigma=round(size, 3),
        situation="alone" if alone else fault.situation,
    )


def _true_job(job: PlannedJob, begin_ns: int) -> TrueJob:
    return TrueJob(
        job_id=job.job_id,
        kind=job.work.kind,
        asset=f"r{job.robot}",
        instrument=job.work.instrument,
        channels=job.work.channels,
        begin_ns=begin_ns + job.begin_s * SECOND_NS,
        end_ns=begin_ns + job.end_s * SECOND_NS,
        witness=job.witness,
        cancelled=bool(job.cancelled_by),
        settle_s=job.work.settle_s,
        size_sigma=round(job.size, 3),
    )
