"""What a cell's people write down: work orders, the schedule, the scope table, shift logs.

Orders, schedule and logs tell of the planned jobs and faults as a plant would: late, tersely,
partly not at all. Every time is local to the plant, with its zone.
"""

from __future__ import annotations

import csv
import io
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo

from simulator.cells.signals import SHIFT_S, SHIFTS_A_DAY
from simulator.jobs import DURATION_MIN_MAX, EXPECTED_EFFECT, SECOND_NS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import numpy as np

    from simulator.cells.cell import CellType
    from simulator.faults import PlannedFault
    from simulator.jobs import PlannedJob

ZONE_NAME: Final = "Europe/Berlin"
PLANNER: Final = "maintenance planner"
ENGINEER: Final = "reliability engineer"
SHIFT_NAMES: Final = ("early", "late", "night")
ORDER_COLUMNS: Final = (
    "order_id", "asset", "kind", "instrument", "status",
    "start", "end", "recorded_at", "approved_by", "description",
)  # fmt: skip
SCHEDULE_COLUMNS: Final = (
    "asset", "kind", "instrument", "planned_start", "planned_end", "recorded_at", "description",
)  # fmt: skip
SCOPE_COLUMNS: Final = (
    "kind", "asset", "instrument", "channels", "expected_effect",
    "duration_min_max", "settle_s", "approved_by", "approved_at",
)  # fmt: skip


# --- tables ---


def order_table(
    cell: CellType,
    seed: int,
    machines: int,
    begin_ns: int,
    jobs: Sequence[PlannedJob],
    faults: Sequence[PlannedFault],
) -> str:
    """Work orders: real, without times, called off (by a second row), corrective."""
    rows: list[list[str]] = []
    for job in jobs:
        rows += _order_rows(cell, job, begin_ns)
    for fault in faults:
        if fault.begin_s % 3:  # a third is never written up
            order_id = f"WO-{7000 + fault.begin_s % 1999}-{fault.robot}"
            recorded = local_iso(begin_ns, fault.end_s + 900 + fault.begin_s % 1800)
            words = f"corrective: {fault.kind.replace('_', ' ')} repaired"
            head = (order_id, cell.asset(fault.robot), "repair", "", "COMP")
            rows.append([*head, "", "", recorded, PLANNER, words])
    for number in range(1, machines + 1):
        rng = cell.seeds(seed, 40, number)
        for i in range(3):  # what was done in the weeks before
            work = cell.works[int(rng.integers(len(cell.works)))]
            days = int(rng.integers(6, 60))
            start = -days * 86_400 + int(rng.integers(2, 7)) * 3600 + 60 * int(rng.integers(1, 14))
            end = start + 60 * int(rng.integers(12, 41))
            times = [local_iso(begin_ns, at_s) for at_s in (start, end, start - 86_400)]
            head = (
                f"WO-{3000 + 10 * number + i}",
                cell.asset(number),
                work.kind,
                work.instrument,
                "CLOSE",
            )
            rows.append([*head, *times, PLANNER, f"{work.words[0]} {cell.called(number)}"])
    rows.sort(key=lambda row: (row[7], row[0]))
    return table(ORDER_COLUMNS, rows)


def _order_rows(cell: CellType, job: PlannedJob, begin_ns: int) -> list[list[str]]:
    work, asset = job.work, cell.asset(job.robot)
    words = f"{work.words[job.wording % len(work.words)]} {cell.called(job.robot)}"
    start, end = local_iso(begin_ns, job.begin_s), local_iso(begin_ns, job.end_s)
    recorded = local_iso(begin_ns, job.approved_s)
    head = (job.order_id, asset, work.kind, work.instrument)
    if job.cancelled_by == "order":
        called_off = local_iso(begin_ns, job.told_s)
        return [
            [*head, "APPR", start, end, recorded, PLANNER, words],
            [*head, "CAN", start, end, called_off, PLANNER, f"{words}, called off: no gauge"],
        ]
    if job.witness == "order":
        return [[*head, "APPR", start, end, recorded, PLANNER, words]]
    if not job.witness and job.wording % 2 == 0:  # an order that says what, but not when
        return [[*head, "APPR", "", "", recorded, PLANNER, f"{words}, when {cell.noun} is free"]]
    if job.witness == "plant" and job.wording % 3 == 0:  # planned, waiting for approval
        return [[*head, "WAPPR", start, end, recorded, "", words]]
    return []


def schedule_table(
    cell: CellType, seed: int, machines: int, begin_ns: int, jobs: Sequence[PlannedJob]
) -> str:
    """The plan of the week: roughly when some of it will happen, and more that will not."""
    rows: list[list[str]] = []
    for job in jobs:
        if job.witness and job.cancelled_by != "order":
            shift = 300 * (job.wording % 9 - 4)  # up to 20 minutes early or late
            planned = (job.begin_s + shift, job.end_s + shift, job.approved_s)
            times = [local_iso(begin_ns, at_s) for at_s in planned]
            head = (cell.asset(job.robot), job.work.kind, job.work.instrument)
            rows.append([*head, *times, f"{job.work.words[-1]} {cell.called(job.robot)}"])
    for number in range(1, machines + 1):
        rng = cell.seeds(seed, 42, number)
        for _ in range(2):
            work = cell.works[int(rng.integers(len(cell.works)))]
            start = int(rng.integers(1, 12)) * 86_400 + int(rng.integers(1, 8)) * 3600
            times = [local_iso(begin_ns, at_s) for at_s in (start, start + 1800, -86_400)]
            head = (cell.asset(number), work.kind, work.instrument)
            rows.append([*head, *times, f"{work.words[0]} {cell.called(number)}"])
    rows.sort(key=lambda row: (row[3], row[0]))
    return table(SCHEDULE_COLUMNS, rows)


def scope_table(cell: CellType, machines: int, begin_ns: int) -> str:
    """The approved scope table: each kind of work on each instrument of each machine."""
    approved = local_iso(begin_ns, -46 * 86_400)
    effect, longest = f"{EXPECTED_EFFECT:g}", str(DURATION_MIN_MAX)
    rows = []
    for number in range(1, machines + 1):
        for work in cell.works:
            head = (work.kind, cell.asset(number), work.instrument, ";".join(work.channels))
            rows.append([*head, effect, longest, str(work.settle_s), ENGINEER, approved])
    return table(SCOPE_COLUMNS, rows)


# --- shift logs ---


def shift_logs(
    cell: CellType,
    seed: int,
    machines: int,
    begin_ns: int,
    n: int,
    jobs: Sequence[PlannedJob],
    faults: Sequence[PlannedFault],
) -> dict[str, str]:
    """One log a shift. Each line: local minute, machine, few words, badge."""
    entries: list[tuple[int, str]] = []
    for job in jobs:
        entries += _job_lines(cell, job)
    for fault in faults:
        rng = cell.seeds(seed, 41, fault.robot, fault.begin_s)
        said = _one_of(rng, cell.fault_talk[fault.kind])
        at_s = fault.begin_s + int(rng.integers(8 * 60, 30 * 60))
        badge = int(rng.integers(2, 40))
        if rng.random() < 0.6:
            entries.append((at_s, f"{cell.called(fault.robot)} {said}, op-{badge:02d}"))
    for number in range(1, machines + 1):
        for shift in range(-(-n // SHIFT_S)):
            rng = cell.seeds(seed, 43, number, shift)
            for at_s in rng.integers(0, SHIFT_S, 3).tolist():
                said = _one_of(rng, cell.small_talk)
                badge = int(rng.integers(2, 40))
                if shift % SHIFTS_A_DAY != SHIFTS_A_DAY - 1:
                    entries.append(
                        (shift * SHIFT_S + at_s, f"{cell.called(number)} {said}, op-{badge:02d}")
                    )
    files: dict[int, list[tuple[int, str]]] = {}
    for at_s, said in entries:
        files.setdefault(at_s // SHIFT_S, []).append((at_s, said))
    return dict(_log_file(shift, lines, begin_ns) for shift, lines in sorted(files.items()))


def _log_file(shift: int, lines: list[tuple[int, str]], begin_ns: int) -> tuple[str, str]:
    day = local_time(begin_ns, shift * SHIFT_S)
    name = f"logs/{day:%Y-%m-%d}-{SHIFT_NAMES[shift % SHIFTS_A_DAY]}.log"
    body = [f"{local_time(begin_ns, at_s):%Y-%m-%d %H:%M} {said}" for at_s, said in sorted(lines)]
    return name, "\n".join([f"# zone: {ZONE_NAME}", *body]) + "\n"


def _job_lines(cell: CellType, job: PlannedJob) -> list[tuple[int, str]]:
    """What the shift writes about a job; work that nobody witnessed is at best mentioned late."""
    words = job.work.words[job.wording % len(job.work.words)]
    who = cell.called(job.robot)
    late_s = 120 + 60 * (job.wording % 35)
    if job.cancelled_by:
        return [(max(job.told_s, 0) + 60, f"{who} {words} NOT done, cancelled, {job.operator}")]
    done = ("done", "finshed", "ok + signed off")[job.wording % 3]
    if not job.witness:
        return [(job.end_s + late_s, f"{who} {words} {done}, {job.operator}")]
    if job.wording % 5 == 0:
        return []
    return [(job.end_s + late_s // 4, f"{who} {words} {done} {job.operator}")]


# --- forms ---


def _one_of(rng: np.random.Generator, sayings: Sequence[str]) -> str:
    return sayings[int(rng.integers(len(sayings)))]


def local_time(begin_ns: int, at_s: int) -> datetime:
    """A second of the scenario on the plant's clock."""
    utc = datetime.fromtimestamp(begin_ns // SECOND_NS, ZoneInfo("UTC")) + timedelta(seconds=at_s)
    return utc.astimezone(ZoneInfo(ZONE_NAME))


def local_iso(begin_ns: int, at_s: int) -> str:
    """Time of a second of the scenario as papers state it: local to the plant, with its zone."""
    return local_time(begin_ns, at_s).isoformat(timespec="seconds")


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Rows under their head, as CSV."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(head)
    writer.writerows([str(cell) for cell in row] for row in rows)
    return out.getvalue()
