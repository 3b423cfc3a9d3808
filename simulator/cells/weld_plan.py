"""The plan of a weld cell: which fault and which work happens on which robot, when, and how large.

A plan is drawn for groups of four robots and shifts of eight hours, whole, before anything is left
out: a robot's plan depends on the seed, its group and the shift, never on how many robots or shifts
were asked for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from simulator.cells.weld_draft import PARTS, Draft
from simulator.cells.weld_signals import SHIFT_S, SHIFTS_A_DAY, character, seeds
from simulator.cells.weld_situations import GROUP, LAST_BLOCK

if TYPE_CHECKING:
    from collections.abc import Sequence

    from simulator.cells.weld_situations import ShiftPlan
    from simulator.faults import PlannedFault
    from simulator.jobs import PlannedJob, Work

END_QUIET_S: Final = 20 * 60  # what does not end this long before the recording does is left out


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """How hard a cell is. Sizes: of the marks of faults and jobs alike, in sigmas."""

    site: str = "weldcell"
    size_sigma_min: float = 1.5
    size_sigma_max: float = 6.0


SHOP_FLOOR: Final = Profile()


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What happens in a scenario, on the robots that it has. twins: (job_id, fault_id)."""

    jobs: tuple[PlannedJob, ...] = ()
    faults: tuple[PlannedFault, ...] = ()
    twins: tuple[str, str] | None = None


def plan(seed: int, *, robots: int, n: int, profile: Profile = SHOP_FLOOR) -> Plan:
    """Draw what happens in n seconds: situations that end in time, on the robots there are.

    A situation is kept or left out whole in time; of robots that are not there it loses its share.
    """
    sizes = (profile.size_sigma_min, profile.size_sigma_max)
    jobs: list[PlannedJob] = []
    faults: list[PlannedFault] = []
    twins = None
    for shift in range(-(-n // SHIFT_S)):
        if shift % SHIFTS_A_DAY == SHIFTS_A_DAY - 1:
            continue
        for group in range(-(-robots // GROUP)):
            wired = [character(seed, GROUP * group + i).wired for i in range(1, GROUP + 1)]
            drawn = plan_shift(seed, group=group, shift=shift, wired=wired, sizes=sizes)
            in_time = [s for s in drawn.situations if s.end_s <= n - END_QUIET_S]
            jobs += [job for s in in_time for job in s.jobs if job.robot <= robots]
            faults += [fault for s in in_time for fault in s.faults if fault.robot <= robots]
            known = {item.job_id for item in jobs} | {item.fault_id for item in faults}
            if twins is None and set(drawn.twins) <= known:
                twins = drawn.twins
    return Plan(
        jobs=tuple(sorted(jobs, key=lambda job: (job.begin_s, job.job_id))),
        faults=tuple(sorted(faults, key=lambda fault: (fault.begin_s, fault.fault_id))),
        twins=twins,
    )


def plan_shift(
    seed: int, *, group: int, shift: int, wired: Sequence[Work], sizes: tuple[float, float]
) -> ShiftPlan:
    """Plan one group of robots (numbers 4*group+1 ...) for one shift.

    wired: for each of the four robots the calibration that its function-check bit stands for.
    sizes: smallest and largest mark, sigmas.
    """
    cell_rng = seeds(seed, 90, shift)  # the same for all groups: r1 and r9 are calibrated together
    parts = PARTS[int(cell_rng.integers(len(PARTS)))]
    pair_block = int(cell_rng.integers(LAST_BLOCK))
    draft = Draft(
        rng=seeds(seed, 91, shift, group),
        group=group,
        shift=shift,
        wired=wired,
        sizes=sizes,
        parts=parts,
    )
    return draft.plan(pair_block)
