"""The messy side of a cell: work that nobody witnesses, and causes that are neither work nor fault.

Of the planned work most loses its witness; more work happens unplanned; tools are set up, batches
change and machines warm up. What people tell of it is drawn here (`told`), how they tell it in
`messy_papers`. Faults stay as they are, so a messy cell is judged by the same ones.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from simulator.cells.draft import OPERATORS
from simulator.cells.plan import END_QUIET_S
from simulator.cells.signals import SHIFT_S, SHIFTS_A_DAY
from simulator.cells.situations import BLOCKS_MIN, LEAD_MIN, QUIET_MIN, TAIL_MIN
from simulator.cells.slang import CAUSES
from simulator.faults import Mark, Shape
from simulator.jobs import LASTING_SIGMA_MAX, PlannedJob

if TYPE_CHECKING:
    import numpy as np

    from simulator.cells.cell import CellType, Disturbance
    from simulator.cells.plan import Plan

KEPT: Final = {"plant": 0.1, "person": 0.2, "order": 0.3}  # share of witnesses that are left
# What is told of work, each by itself: beforehand, as it begins, afterwards, by a late order.
TOLD: Final = {"planned": 0.25, "begun": 0.35, "done": 0.65, "late_order": 0.5}
CAUSE_TOLD: Final = 0.5
EXTRA_JOBS: Final = 2  # a machine and shift, where there is room
EXTRA_MIN: Final = (10, 28)
SIZES: Final = (1.8, 5.0)
TRIES: Final = 12
WARM_UP_AFTER_MIN: Final = (135, 270, 375)  # ends of the breaks


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedCause:
    """Something on one machine that moves signals and is neither work nor a fault."""

    cause_id: str
    robot: int
    disturbance: Disturbance
    begin_s: int
    end_s: int
    marks: tuple[Mark, ...]
    told: tuple[str, ...]
    wording: int


def made_messy(cell: CellType, seed: int, plan: Plan, *, machines: int, n: int) -> Plan:
    """The same plan as it goes in a plant where few tell the system what they do."""
    jobs = [
        job if _hides_a_fault(job, plan) else _less_witnessed(cell, seed, job) for job in plan.jobs
    ]
    causes: list[PlannedCause] = []
    for number in range(1, machines + 1):
        busy = [(job.begin_s, job.end_s) for job in plan.jobs if job.robot == number]
        busy += [(fault.begin_s, fault.end_s) for fault in plan.faults if fault.robot == number]
        for shift in range(-(-n // SHIFT_S)):
            if shift % SHIFTS_A_DAY == SHIFTS_A_DAY - 1:
                continue
            draw = _Extra(cell, cell.seeds(seed, 61, number, shift), number, shift, busy)
            more = [job for i in range(EXTRA_JOBS) if (job := draw.job(i))]
            jobs += [job for job in more if job.end_s <= n - END_QUIET_S]
            cause = draw.cause()
            if cause and cause.end_s <= n - END_QUIET_S:
                causes.append(cause)
    return replace(
        plan,
        jobs=tuple(sorted(jobs, key=lambda job: (job.begin_s, job.job_id))),
        causes=tuple(sorted(causes, key=lambda cause: (cause.begin_s, cause.cause_id))),
    )


def _hides_a_fault(job: PlannedJob, plan: Plan) -> bool:
    """Whether a fault begins during a job: without a witness nothing could hide it.

    The job would ring by itself, and nobody could say whether the fault in it was found.
    """
    return any(
        fault.robot == job.robot and job.begin_s <= fault.begin_s < job.end_s
        for fault in plan.faults
    )


def _less_witnessed(cell: CellType, seed: int, job: PlannedJob) -> PlannedJob:
    """A planned job; most lose their witness, and with it all that a system could check."""
    rng = cell.seeds(seed, 60, job.robot, job.begin_s)
    kept = bool(rng.random() < KEPT.get(job.witness, 0.0))
    told = _told(rng)
    if job.cancelled_by:
        return job
    if kept and job.witness == "order":  # its order is in the system already
        told = tuple(way for way in told if way != "late_order")
    return replace(job, witness=job.witness if kept else "", told=told)


def _told(rng: np.random.Generator) -> tuple[str, ...]:
    drawn = rng.random(len(TOLD))
    return tuple(way for way, at in zip(TOLD, drawn, strict=True) if at < TOLD[way])


class _Extra:
    """Unplanned work and causes of one machine in one shift; `busy` grows as they find room."""

    def __init__(
        self,
        cell: CellType,
        rng: np.random.Generator,
        number: int,
        shift: int,
        busy: list[tuple[int, int]],
    ) -> None:
        self._cell = cell
        self._rng = rng
        self._number = number
        self._shift = shift
        self._busy = busy

    def job(self, i: int) -> PlannedJob | None:
        """Work of any kind that somebody just does; None where there is no room."""
        rng, number = self._rng, self._number
        work = self._cell.works[int(rng.integers(len(self._cell.works)))]
        span = self._room(60 * int(rng.integers(*EXTRA_MIN)))
        size = round(float(rng.uniform(*SIZES)), 3)
        shape = work.shapes[int(rng.integers(len(work.shapes)))]
        sign = work.toward or (1 if rng.random() < 0.5 else -1)
        lasting = float(rng.uniform(-LASTING_SIGMA_MAX, LASTING_SIGMA_MAX))
        pattern, share = int(rng.integers(2**31)), float(rng.uniform(0.6, 0.85))
        wording, told = int(rng.integers(1000)), _told(rng)
        operator = OPERATORS[int(rng.integers(len(OPERATORS)))]
        if span is None:
            return None
        order = 100 * self._shift + 50 + i
        ways = work.signs or (1,) * len(work.channels)
        return PlannedJob(
            job_id=f"J-{self._cell.asset(number)}-{order:04d}",
            order_id=f"WO-{9000 + 37 * number + 100 * order}",
            robot=number,
            work=work,
            begin_s=span[0],
            end_s=span[1],
            witness="",
            operator=operator,
            size=size,
            marks=tuple(
                Mark(
                    channel=name,
                    shape=shape,
                    size=sign * way * size * (1.0 if k == 0 else share),
                    begin_s=span[0] + 30,
                    end_s=span[1] - 30,
                    pattern=pattern,
                )
                for k, (name, way) in enumerate(zip(work.channels, ways, strict=True))
            ),
            lasting=tuple((name, lasting) for name in work.channels),
            approved_s=span[0],
            wording=wording,
            told=told,
        )

    def cause(self) -> PlannedCause | None:
        """A changeover, another batch, or warming up after a break; None where there is no room."""
        rng, number = self._rng, self._number
        known = CAUSES[self._cell.name]
        what = known[int(rng.integers(len(known)))]
        length = 60 * int(rng.integers(*what.minutes))
        span = self._after_break(length) if what.name == "warm_up" else self._room(length)
        size = round(float(rng.uniform(*SIZES)), 3)
        told = ("done",) if rng.random() < CAUSE_TOLD else ()
        wording = int(rng.integers(1000))
        if span is None:
            return None
        shape = Shape.FADE if what.fades else Shape.STEP
        return PlannedCause(
            cause_id=f"C-{self._cell.asset(number)}-{100 * self._shift + 1:04d}",
            robot=number,
            disturbance=what,
            begin_s=span[0],
            end_s=span[1],
            marks=tuple(
                Mark(channel=name, shape=shape, size=by * size, begin_s=span[0], end_s=span[1])
                for name, by in what.signs.items()
            ),
            told=told,
            wording=wording,
        )

    def _room(self, length_s: int) -> tuple[int, int] | None:
        """A free stretch within a block, away from all else; always takes the same draws."""
        blocks = self._rng.integers(len(BLOCKS_MIN), size=TRIES)
        shares = self._rng.random(TRIES)
        for block, share in zip(blocks.tolist(), shares.tolist(), strict=True):
            low, high = BLOCKS_MIN[block]
            room_s = 60 * (high - low - LEAD_MIN - TAIL_MIN) - length_s
            if room_s > 0:
                begin_s = self._at(low + LEAD_MIN) + int(share * room_s)
                if span := self._taken(begin_s, length_s):
                    return span
        return None

    def _after_break(self, length_s: int) -> tuple[int, int] | None:
        first = int(self._rng.integers(len(WARM_UP_AFTER_MIN)))
        for i in range(len(WARM_UP_AFTER_MIN)):
            minute = WARM_UP_AFTER_MIN[(first + i) % len(WARM_UP_AFTER_MIN)]
            if span := self._taken(self._at(minute), length_s):
                return span
        return None

    def _taken(self, begin_s: int, length_s: int) -> tuple[int, int] | None:
        """Take a stretch unless it comes too near to another."""
        quiet_s, end_s = 60 * QUIET_MIN, begin_s + length_s
        if any(begin_s < end + quiet_s and begin - quiet_s < end_s for begin, end in self._busy):
            return None
        self._busy.append((begin_s, end_s))
        return begin_s, end_s

    def _at(self, minute: float) -> int:
        return self._shift * SHIFT_S + int(60 * minute)
