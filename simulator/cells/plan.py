"""The plan of a cell: which fault and which work happens on which machine, when, and how large.

A plan is drawn for groups of four machines and shifts of eight hours, whole, before anything is
left out: a machine's plan depends on the seed, its group and the shift, never on how many machines
or shifts were asked for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from simulator.cells.draft import PARTS, Draft
from simulator.cells.signals import SHIFT_S, SHIFTS_A_DAY
from simulator.cells.situations import GROUP, LAST_BLOCK

if TYPE_CHECKING:
    from simulator.cells.cell import CellType
    from simulator.cells.messy import PlannedCause
    from simulator.cells.situations import ShiftPlan
    from simulator.faults import PlannedFault
    from simulator.jobs import PlannedJob

END_QUIET_S: Final = 20 * 60  # what does not end this long before the recording does is left out
SIZES: Final = (1.5, 6.0)  # sigmas, of the marks of faults and jobs alike


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What happens in a scenario, on the machines that it has. twins: (job_id, fault_id).

    causes: what moves signals and is neither work nor a fault; only messy cells have them.
    """

    jobs: tuple[PlannedJob, ...] = ()
    faults: tuple[PlannedFault, ...] = ()
    twins: tuple[str, str] | None = None
    causes: tuple[PlannedCause, ...] = ()


def plan(
    cell: CellType, seed: int, *, machines: int, n: int, sizes: tuple[float, float] = SIZES
) -> Plan:
    """Draw what happens in n seconds: situations that end in time, on the machines there are.

    A situation is kept or left out whole in time; of machines that are not there it loses its
    share. sizes: smallest and largest mark, sigmas.
    """
    jobs: list[PlannedJob] = []
    faults: list[PlannedFault] = []
    twins = None
    for shift in range(-(-n // SHIFT_S)):
        if shift % SHIFTS_A_DAY == SHIFTS_A_DAY - 1:
            continue
        for group in range(-(-machines // GROUP)):
            drawn = plan_shift(cell, seed, group=group, shift=shift, sizes=sizes)
            in_time = [s for s in drawn.situations if s.end_s <= n - END_QUIET_S]
            jobs += [job for s in in_time for job in s.jobs if job.robot <= machines]
            faults += [fault for s in in_time for fault in s.faults if fault.robot <= machines]
            known = {item.job_id for item in jobs} | {item.fault_id for item in faults}
            if twins is None and set(drawn.twins) <= known:
                twins = drawn.twins
    return Plan(
        jobs=tuple(sorted(jobs, key=lambda job: (job.begin_s, job.job_id))),
        faults=tuple(sorted(faults, key=lambda fault: (fault.begin_s, fault.fault_id))),
        twins=twins,
    )


def plan_shift(
    cell: CellType, seed: int, *, group: int, shift: int, sizes: tuple[float, float]
) -> ShiftPlan:
    """Plan one group of machines (numbers 4*group+1 ...) for one shift."""
    cell_rng = cell.seeds(seed, 90, shift)  # the same for all groups: 1 and 9 are worked on at once
    parts = PARTS[int(cell_rng.integers(len(PARTS)))]
    pair_block = int(cell_rng.integers(LAST_BLOCK))
    draft = Draft(
        cell,
        rng=cell.seeds(seed, 91, shift, group),
        group=group,
        shift=shift,
        wired=[cell.wired(seed, GROUP * group + i) for i in range(1, GROUP + 1)],
        sizes=sizes,
        parts=parts,
    )
    return draft.plan(pair_block)
