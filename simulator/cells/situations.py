"""When a shift of the weld cell has room for what, and what belongs together.

    shift  0          2h  2h15        4h  4h30       6h  6h15        8h
           [ block 0 ]    [ block 1 ]     [ block 2 ]    [ block 3 ]

Between the blocks are breaks. A robot has at most one situation a block. Times are minutes of the
shift in the tables, and whole seconds since the begin of the scenario in plans.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from simulator.faults import PlannedFault
    from simulator.jobs import PlannedJob

GROUP: Final = 4  # robots that are planned together
BLOCKS_MIN: Final = ((10, 118), (137, 238), (272, 358), (377, 458))
LAST_BLOCK: Final = len(BLOCKS_MIN) - 1
QUIET_MIN: Final = 15  # between two situations of a robot
LEAD_MIN: Final = 12  # undisturbed running before a job: its level before is a ten-minute mean
TAIL_MIN: Final = 10  # running after a job: settling, and some minutes
FAULT_END_MIN: Final = 459  # a fault is over 20 minutes before a shift is
JOB_MIN: Final = (12, 40)
HIDDEN_MIN: Final = 10  # a hidden fault lasts at least this much longer than its job and settling


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """Faults and jobs that belong together: kept or left out as one."""

    jobs: tuple[PlannedJob, ...] = ()
    faults: tuple[PlannedFault, ...] = ()

    @property
    def end_s(self) -> int:
        """When the last of it is over."""
        return max([job.end_s for job in self.jobs] + [fault.end_s for fault in self.faults])

    @property
    def begin_s(self) -> int:
        """When the first of it begins."""
        return min([job.begin_s for job in self.jobs] + [fault.begin_s for fault in self.faults])


@dataclass(frozen=True, slots=True, kw_only=True)
class ShiftPlan:
    """Everything that happens to one group in one shift. twins: (job_id, fault_id)."""

    situations: tuple[Situation, ...]
    twins: tuple[str, str]
