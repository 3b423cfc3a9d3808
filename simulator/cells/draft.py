"""Drawing the plan of four machines for one shift, so that every situation occurs."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from simulator.cells.signals import SHIFT_S
from simulator.cells.situations import (
    BLOCKS_MIN,
    FAULT_END_MIN,
    GROUP,
    HIDDEN_MIN,
    JOB_MIN,
    LAST_BLOCK,
    LEAD_MIN,
    QUIET_MIN,
    TAIL_MIN,
    ShiftPlan,
    Situation,
)
from simulator.faults import Mark, PlannedFault, fault_marks, feasible_kinds
from simulator.jobs import LASTING_SIGMA_MAX, PlannedJob

if TYPE_CHECKING:
    from collections.abc import Sequence
    from enum import StrEnum

    import numpy as np

    from simulator.cells.cell import CellType
    from simulator.faults import Shape
    from simulator.jobs import Work

PERSISTENT_SHARE: Final = 0.25
EIGHTH_JOB_SHARE: Final = 0.5
TWIN_SIZES: Final = (1.8, 5.5)
TWIN_TOLERANCE: Final = 0.03
OPERATORS: Final = ("op-03", "op-11", "op-17", "op-22", "op-31")

# Which of the four machines plays which part. P and N stand next to each other.
#   P: the pair's calibration; a cancelled job with a fault at its time; work that nobody witnessed
#   N: a fault beside the pair's calibration; a fault hidden by a calibration
#   U: a fault during a calibration that does not mask it; a fault alone; sometimes an eighth job
#   T: a fault alone; two more jobs
PARTS: Final = (
    "PNUT", "PNTU", "NPUT", "NPTU", "UPNT", "TPNU", "UNPT", "TNPU", "UTPN", "TUPN", "UTNP", "TUNP",
)  # fmt: skip


class Draft:
    """A plan while it is drawn: what each machine already has, and which kinds were used."""

    def __init__(
        self,
        cell: CellType,
        *,
        rng: np.random.Generator,
        group: int,
        shift: int,
        wired: Sequence[Work],
        sizes: tuple[float, float],
        parts: str,
    ) -> None:
        self._cell = cell
        self._rng = rng
        self._first_robot = GROUP * group + 1
        self._shift = shift
        self._wired = dict(zip(parts, wired, strict=True))
        self._sizes = sizes
        self._robot = {part: self._first_robot + i for i, part in enumerate(parts)}
        kinds = cell.kinds
        self._kinds = [kinds[int(i)] for i in rng.permutation(len(kinds))]
        self._counts = dict.fromkeys("JF", 0)

    # --- the plan ---

    def plan(self, pair_block: int) -> ShiftPlan:
        """Draw every situation of the shift."""
        rng = self._rng
        others = [block for block in range(4) if block != pair_block]
        blocks = {part: [int(b) for b in rng.permutation(others)] for part in "PN"}
        blocks |= {part: [int(b) for b in rng.permutation(4)] for part in "UT"}
        if blocks["N"][0] == LAST_BLOCK:  # a hidden fault needs time after its job
            blocks["N"].reverse()
        if blocks["U"][0] == LAST_BLOCK:
            blocks["U"].reverse()
        witnesses = self._witnesses()
        checks = self._cell.checks
        plain = [checks[int(rng.integers(len(checks)))], *self._cell.upkeep]
        plain = [plain[int(i)] for i in rng.permutation(3)]
        twin_size = float(
            rng.uniform(max(TWIN_SIZES[0], self._sizes[0]), min(TWIN_SIZES[1], self._sizes[1]))
        )
        twin_is_neighbour = bool(rng.random() < 0.5)

        pair = self._pair_job(pair_block, witnesses[0], twin_size)
        neighbour = self._neighbour_fault(
            pair,
            twin_size if twin_is_neighbour else None,
            limit=self._limit(pair_block, blocks["N"][:1]),
        )
        t, u, p, n = blocks["T"], blocks["U"], blocks["P"], blocks["N"]
        like = None if twin_is_neighbour else (pair, twin_size)
        alone = self._alone_fault("T", t[0], like, limit=self._limit(t[0], t[1:3]))
        second = self._alone_fault("U", u[1], None, limit=self._limit(u[1], (u[0], u[2])))
        situations = [
            Situation(jobs=(pair,), faults=(neighbour,)),
            Situation(faults=(alone,)),
            Situation(faults=(second,)),
            self._cancelled("P", p[0], limit=self._limit(p[0], (p[1], pair_block))),
            self._hidden(n[0], witnesses[1], limit=self._limit(n[0], (pair_block,))),
            self._unmasked(u[0], witnesses[2], limit=self._limit(u[0], u[1:3])),
            Situation(jobs=(self._plain_job("P", p[1], plain[0], ""),)),
            Situation(jobs=(self._plain_job("T", t[1], plain[1], "order"),)),
            Situation(jobs=(self._plain_job("T", t[2], plain[2], "person"),)),
        ]
        eighth = self._plain_job("U", u[2], plain[0], "")
        if rng.random() < EIGHTH_JOB_SHARE:
            situations.append(Situation(jobs=(eighth,)))
        twin = neighbour if twin_is_neighbour else alone
        return ShiftPlan(situations=tuple(situations), twins=(pair.job_id, twin.fault_id))

    def _witnesses(self) -> tuple[str, str, str]:
        """Witnesses of the pair's, the hiding and the other calibration."""
        first = ["plant", "person"]
        if self._rng.random() < 0.5:
            first.reverse()
        third = ("plant", "person", "order")[int(self._rng.integers(3))]
        return first[0], first[1], third

    def _limit(self, block: int, others: Sequence[int]) -> int:
        """Latest second for a fault of a block: before the robot's next situation, and in time."""
        ends = [FAULT_END_MIN]
        ends += [BLOCKS_MIN[b][0] + LEAD_MIN - QUIET_MIN for b in others if b > block]
        return self._at(min(ends))

    def _at(self, minute: float) -> int:
        return self._shift * SHIFT_S + int(minute * 60)

    # --- jobs ---

    def _pair_job(self, block: int, witness: str, size: float) -> PlannedJob:
        work = self._calibration("P", witness)
        form = self._cell.forms[self._cell.twins[work.key]]
        job = self._job("P", block, work, witness, shape=form.shape, size=size)
        if form.signs:  # the look-alike fault goes the way its physics goes; so does its twin
            share = 0.72
            marks = tuple(
                replace(
                    mark,
                    channel=name,
                    size=sign * size * (1.0 if i == 0 else share),
                    noise=form.noise * size,
                )
                for i, ((name, sign), mark) in enumerate(zip(form.signs, job.marks, strict=True))
            )
            return replace(job, marks=marks)
        return replace(job, marks=tuple(replace(mark, size=abs(mark.size)) for mark in job.marks))

    def _calibration(self, part: str, witness: str) -> Work:
        leading = self._cell.leading
        drawn = leading[int(self._rng.integers(len(leading)))]
        return self._wired[part] if witness == "plant" else drawn

    def _plain_job(self, part: str, block: int, work: Work, witness: str) -> PlannedJob:
        shape = work.shapes[int(self._rng.integers(len(work.shapes)))]
        return self._job(part, block, work, witness, shape=shape, size=self._size())

    def _job(
        self, part: str, block: int, work: Work, witness: str, *, shape: Shape, size: float
    ) -> PlannedJob:
        rng = self._rng
        low, high = BLOCKS_MIN[block]
        room = high - low - LEAD_MIN - TAIL_MIN
        minutes = int(rng.integers(JOB_MIN[0], min(JOB_MIN[1], room) + 1))
        begin = low + LEAD_MIN + int(rng.integers(0, room - minutes + 1))
        end = begin + minutes
        begin += begin % 15 == 0  # a round time in an order looks like a default
        end += end % 15 == 0
        begin_s, end_s = self._at(begin), self._at(end)
        if witness != "order":  # people and plants do not keep to whole minutes
            begin_s += int(rng.integers(1, 50))
            end_s -= int(rng.integers(1, 50))
        mark_begin = begin_s + int(rng.integers(20, 61))
        mark_end = end_s - int(rng.integers(20, 61))
        sign = 1 if rng.random() < 0.5 else -1
        lasting = float(rng.uniform(-LASTING_SIGMA_MAX, LASTING_SIGMA_MAX))
        pattern = int(rng.integers(2**31))
        share = float(rng.uniform(0.6, 0.85))
        self._counts["J"] += 1
        robot = self._robot[part]
        number = 100 * self._shift + self._counts["J"]
        ways = work.signs or (1,) * len(work.channels)
        sign = work.toward or sign
        return PlannedJob(
            job_id=f"J-{self._cell.asset(robot)}-{number:04d}",
            order_id=f"WO-{4000 + 37 * robot + 100 * number}",
            robot=robot,
            work=work,
            begin_s=begin_s,
            end_s=end_s,
            witness=witness,
            operator=OPERATORS[int(rng.integers(len(OPERATORS)))],
            size=size,
            marks=tuple(
                Mark(
                    channel=name,
                    shape=shape,
                    size=sign * way * size * (1.0 if i == 0 else share),
                    begin_s=mark_begin,
                    end_s=mark_end,
                    pattern=pattern,
                )
                for i, (name, way) in enumerate(zip(work.channels, ways, strict=True))
            ),
            lasting=tuple((name, lasting) for name in work.channels),
            approved_s=self._at(0) - int(rng.integers(3 * 3600, 14 * 3600)),
            wording=int(rng.integers(1000)),
        )

    # --- faults ---

    def _size(self) -> float:
        return round(float(self._rng.uniform(*self._sizes)), 3)

    def _fault(
        self,
        part: str,
        *,
        channels: Sequence[str],
        situation: str,
        begin_s: int,
        end_s: int,
        size: float | None = None,
        kind: StrEnum | None = None,
    ) -> PlannedFault:
        drawn = self._size()
        size = drawn if size is None else size
        if kind is None:
            feasible = feasible_kinds(channels, self._cell.forms)
            kind = next(k for k in self._kinds if k in feasible)  # the least used one comes first
        self._kinds.remove(kind)
        self._kinds.append(kind)
        marks = fault_marks(
            kind,
            channels=channels,
            size=size,
            begin_s=begin_s,
            end_s=end_s,
            rng=self._rng,
            forms=self._cell.forms,
            one_sided=self._cell.one_sided,
        )
        if self._cell.forms[kind].is_zero(self._rng.random(), situation=situation):
            marks = tuple(replace(mark, zero=True) for mark in marks)
        self._counts["F"] += 1
        robot = self._robot[part]
        return PlannedFault(
            fault_id=f"F-{self._cell.asset(robot)}-{100 * self._shift + self._counts['F']:04d}",
            robot=robot,
            kind=kind,
            situation=situation,
            begin_s=begin_s,
            end_s=end_s,
            size=size,
            marks=marks,
        )

    def _lasting_s(self) -> int:
        """Seconds a fault lasts: minutes to an hour, some persistent."""
        short = int(self._rng.integers(8 * 60, 60 * 60))
        long = int(self._rng.integers(70 * 60, 130 * 60))
        return long if self._rng.random() < PERSISTENT_SHARE else short

    def _alone_fault(
        self, part: str, block: int, twin: tuple[PlannedJob, float] | None, *, limit: int
    ) -> PlannedFault:
        low, high = BLOCKS_MIN[block]
        begin_s = self._at(float(self._rng.uniform(low + LEAD_MIN, high - LEAD_MIN)))
        end_s = min(limit, begin_s + self._lasting_s())
        if twin is None:
            return self._fault(
                part,
                channels=self._cell.channel_names,
                situation="alone",
                begin_s=begin_s,
                end_s=end_s,
            )
        return self._twin(part, *twin, situation="alone", begin_s=begin_s, end_s=end_s)

    def _twin(
        self, part: str, job: PlannedJob, size: float, *, situation: str, begin_s: int, end_s: int
    ) -> PlannedFault:
        close = size * float(self._rng.uniform(1 - TWIN_TOLERANCE, 1 + TWIN_TOLERANCE))
        kind = self._cell.twins[job.work.key]
        fault = self._fault(
            part,
            channels=job.work.channels,
            situation=situation,
            begin_s=begin_s,
            end_s=end_s,
            size=close,
            kind=kind,
        )
        if self._cell.forms[kind].signs:
            return fault
        up = tuple(replace(mark, size=abs(mark.size)) for mark in fault.marks)  # as its job's
        return replace(fault, marks=up)

    def _neighbour_fault(self, job: PlannedJob, size: float | None, *, limit: int) -> PlannedFault:
        """On the channels of the neighbour's calibration: only the exact asset tells them apart."""
        begin_s = self._during(job)
        end_s = min(limit, begin_s + self._lasting_s())
        if size is not None:
            return self._twin("N", job, size, situation="neighbour", begin_s=begin_s, end_s=end_s)
        return self._fault(
            "N", channels=job.work.channels, situation="neighbour", begin_s=begin_s, end_s=end_s
        )

    def _during(self, job: PlannedJob) -> int:
        """A second in the first two thirds of a job, after its mark began."""
        first = job.marks[0].begin_s + 90
        return first + int(self._rng.random() * 0.6 * (job.marks[0].end_s - first))

    def _hidden(self, block: int, witness: str, *, limit: int) -> Situation:
        """Wholly on masked channels, in the job's lasting direction, longer than the job."""
        job = self._plain_job("N", block, self._calibration("N", witness), witness)
        begin_s = self._during(job)
        settled_s = job.end_s + job.work.settle_s
        end_s = min(limit, settled_s + int(self._rng.integers(HIDDEN_MIN * 60, 45 * 60)))
        fault = self._fault(
            "N", channels=job.work.channels, situation="during_job", begin_s=begin_s, end_s=end_s
        )
        signs = {mark.channel: 1.0 if mark.size > 0 else -1.0 for mark in fault.marks}
        lasting = tuple((name, abs(by) * signs.get(name, 0.0)) for name, by in job.lasting)
        return Situation(jobs=(replace(job, lasting=lasting),), faults=(fault,))

    def _unmasked(self, block: int, witness: str, *, limit: int) -> Situation:
        """Wholly on channels that the job does not mask."""
        job = self._plain_job("U", block, self._calibration("U", witness), witness)
        begin_s = self._during(job)
        rest = [name for name in self._cell.channel_names if name not in job.work.channels]
        fault = self._fault(
            "U",
            channels=rest,
            situation="during_job",
            begin_s=begin_s,
            end_s=min(limit, begin_s + self._lasting_s()),
        )
        return Situation(jobs=(job,), faults=(fault,))

    def _cancelled(self, part: str, block: int, *, limit: int) -> Situation:
        """A calibration called off beforehand; a fault on its channels begins at its time."""
        rng = self._rng
        by = ("order", "person")[int(rng.integers(2))]
        work = self._calibration(part, by)
        job = self._plain_job(part, block, work, by)
        check_in_s = job.begin_s - int(rng.integers(180, 300))
        told_person_s = check_in_s + int(rng.integers(60, 120))
        told_order_s = job.begin_s - int(rng.integers(20 * 60, 120 * 60))
        begin_s = job.begin_s + int(rng.integers(0, 300))
        job = replace(
            job,
            marks=(),
            lasting=(),
            size=0.0,
            cancelled_by=by,
            check_in_s=check_in_s,
            told_s=told_order_s if by == "order" else told_person_s,
        )
        fault = self._fault(
            part,
            channels=work.channels,
            situation="after_cancelled",
            begin_s=begin_s,
            end_s=min(limit, begin_s + self._lasting_s()),
        )
        return Situation(jobs=(job,), faults=(fault,))
