"""What a weld cell's people write down: work orders, the schedule, the scope table, shift logs.

Orders, schedule and logs tell of the planned jobs and faults as a plant would: late, tersely,
partly not at all. Every time is local to the plant, with its zone.
"""

from __future__ import annotations

import csv
import io
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo

from simulator.cells.weld_signals import SHIFT_S, SHIFTS_A_DAY, seeds
from simulator.faults import FaultKind
from simulator.jobs import DURATION_MIN_MAX, EXPECTED_EFFECT, SECOND_NS, WORKS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

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
FAULT_TALK: Final = {
    FaultKind.CONTACT_TIP_WEAR: (
        "arc sounds rough, spatter up",
        "tip looks oval??",
        "V hi, watching",
    ),
    FaultKind.GAS_FLOW_LOSS: (
        "pores on 2 parts, chkd cup ok",
        "gas low?? told setter",
        "porosity!",
    ),
    FaultKind.WIRE_FEED_SLIP: (
        "wire stutters",
        "birdnest cleared at rolls",
        "feeder noisy, rolls?",
    ),
    FaultKind.DRIFTING_SENSOR: (
        "display looks odd, parts ok",
        "reading creeping",
        "sensr drifting?",
    ),
    FaultKind.DEAD_SENSOR: (
        "value stands still on panel",
        "display frozen, reset no help",
        "stuck??",
    ),
}
SMALL_TALK: Final = (
    "prod ok",
    "1st part insp ok",
    "spool chgd",
    "fixture 2 clamp sticky, greased",
    "waiting for parts 5 min",
    "curtain torn, reported",
    "part mix changed to B",
    "all ok, no issues",
)


# --- tables ---


def order_table(
    seed: int,
    robots: int,
    begin_ns: int,
    jobs: Sequence[PlannedJob],
    faults: Sequence[PlannedFault],
) -> str:
    """Work orders: real, without times, called off (by a second row), corrective."""
    rows: list[list[str]] = []
    for job in jobs:
        rows += _order_rows(job, begin_ns)
    for fault in faults:
        if fault.begin_s % 3:  # a third is never written up
            order_id = f"WO-{7000 + fault.begin_s % 1999}-{fault.robot}"
            recorded = _iso(begin_ns, fault.end_s + 900 + fault.begin_s % 1800)
            words = f"corrective: {fault.kind.replace('_', ' ')} repaired"
            head = (order_id, f"r{fault.robot}", "repair", "", "COMP")
            rows.append([*head, "", "", recorded, PLANNER, words])
    for robot in range(1, robots + 1):
        rng = seeds(seed, 40, robot)
        for i in range(3):  # what was done in the weeks before
            work = WORKS[int(rng.integers(len(WORKS)))]
            days = int(rng.integers(6, 60))
            start = -days * 86_400 + int(rng.integers(2, 7)) * 3600 + 60 * int(rng.integers(1, 14))
            end = start + 60 * int(rng.integers(12, 41))
            times = [_iso(begin_ns, at_s) for at_s in (start, end, start - 86_400)]
            head = (f"WO-{3000 + 10 * robot + i}", f"r{robot}", work.kind, work.instrument, "CLOSE")
            rows.append([*head, *times, PLANNER, f"{work.words[0]} R{robot}"])
    rows.sort(key=lambda row: (row[7], row[0]))
    return _csv(ORDER_COLUMNS, rows)


def _order_rows(job: PlannedJob, begin_ns: int) -> list[list[str]]:
    work, asset = job.work, f"r{job.robot}"
    words = f"{work.words[job.wording % len(work.words)]} R{job.robot}"
    start, end = _iso(begin_ns, job.begin_s), _iso(begin_ns, job.end_s)
    recorded = _iso(begin_ns, job.approved_s)
    head = (job.order_id, asset, work.kind, work.instrument)
    if job.cancelled_by == "order":
        called_off = _iso(begin_ns, job.told_s)
        return [
            [*head, "APPR", start, end, recorded, PLANNER, words],
            [*head, "CAN", start, end, called_off, PLANNER, f"{words}, called off: no gauge"],
        ]
    if job.witness == "order":
        return [[*head, "APPR", start, end, recorded, PLANNER, words]]
    if not job.witness and job.wording % 2 == 0:  # an order that says what, but not when
        return [[*head, "APPR", "", "", recorded, PLANNER, f"{words}, when robot is free"]]
    if job.witness == "plant" and job.wording % 3 == 0:  # planned, waiting for approval
        return [[*head, "WAPPR", start, end, recorded, "", words]]
    return []


def schedule_table(seed: int, robots: int, begin_ns: int, jobs: Sequence[PlannedJob]) -> str:
    """The plan of the week: roughly when some of it will happen, and more that will not."""
    rows: list[list[str]] = []
    for job in jobs:
        if job.witness and job.cancelled_by != "order":
            shift = 300 * (job.wording % 9 - 4)  # up to 20 minutes early or late
            planned = (job.begin_s + shift, job.end_s + shift, job.approved_s)
            times = [_iso(begin_ns, at_s) for at_s in planned]
            head = (f"r{job.robot}", job.work.kind, job.work.instrument)
            rows.append([*head, *times, f"{job.work.words[-1]} R{job.robot}"])
    for robot in range(1, robots + 1):
        rng = seeds(seed, 42, robot)
        for _ in range(2):
            work = WORKS[int(rng.integers(len(WORKS)))]
            start = int(rng.integers(1, 12)) * 86_400 + int(rng.integers(1, 8)) * 3600
            times = [_iso(begin_ns, at_s) for at_s in (start, start + 1800, -86_400)]
            head = (f"r{robot}", work.kind, work.instrument)
            rows.append([*head, *times, f"{work.words[0]} R{robot}"])
    rows.sort(key=lambda row: (row[3], row[0]))
    return _csv(SCHEDULE_COLUMNS, rows)


def scope_table(robots: int, begin_ns: int) -> str:
    """The approved scope table: each kind of work on each instrument of each robot, by exact id."""
    approved = _iso(begin_ns, -46 * 86_400)
    effect, longest = f"{EXPECTED_EFFECT:g}", str(DURATION_MIN_MAX)
    rows = []
    for robot in range(1, robots + 1):
        for work in WORKS:
            head = (work.kind, f"r{robot}", work.instrument, ";".join(work.channels))
            rows.append([*head, effect, longest, str(work.settle_s), ENGINEER, approved])
    return _csv(SCOPE_COLUMNS, rows)


# --- shift logs ---


def shift_logs(
    seed: int,
    robots: int,
    begin_ns: int,
    n: int,
    jobs: Sequence[PlannedJob],
    faults: Sequence[PlannedFault],
) -> dict[str, str]:
    """One log a shift. Each line: local minute, robot, few words, badge."""
    entries: list[tuple[int, str]] = []
    for job in jobs:
        entries += _job_lines(job)
    for fault in faults:
        rng = seeds(seed, 41, fault.robot, fault.begin_s)
        said = FAULT_TALK[fault.kind][int(rng.integers(len(FAULT_TALK[fault.kind])))]
        at_s = fault.begin_s + int(rng.integers(8 * 60, 30 * 60))
        badge = int(rng.integers(2, 40))
        if rng.random() < 0.6:
            entries.append((at_s, f"R{fault.robot} {said}, op-{badge:02d}"))
    for robot in range(1, robots + 1):
        for shift in range(-(-n // SHIFT_S)):
            rng = seeds(seed, 43, robot, shift)
            for at_s in rng.integers(0, SHIFT_S, 3).tolist():
                said = SMALL_TALK[int(rng.integers(len(SMALL_TALK)))]
                badge = int(rng.integers(2, 40))
                if shift % SHIFTS_A_DAY != SHIFTS_A_DAY - 1:
                    entries.append((shift * SHIFT_S + at_s, f"R{robot} {said}, op-{badge:02d}"))
    files: dict[int, list[tuple[int, str]]] = {}
    for at_s, said in entries:
        files.setdefault(at_s // SHIFT_S, []).append((at_s, said))
    return dict(_log_file(shift, lines, begin_ns) for shift, lines in sorted(files.items()))


def _log_file(shift: int, lines: list[tuple[int, str]], begin_ns: int) -> tuple[str, str]:
    day = _local(begin_ns, shift * SHIFT_S)
    name = f"logs/{day:%Y-%m-%d}-{SHIFT_NAMES[shift % SHIFTS_A_DAY]}.log"
    body = [f"{_local(begin_ns, at_s):%Y-%m-%d %H:%M} {said}" for at_s, said in sorted(lines)]
    return name, "\n".join([f"# zone: {ZONE_NAME}", *body]) + "\n"


def _job_lines(job: PlannedJob) -> list[tuple[int, str]]:
    """What the shift writes about a job; work that nobody witnessed is at best mentioned late."""
    words = job.work.words[job.wording % len(job.work.words)]
    late_s = 120 + 60 * (job.wording % 35)
    if job.cancelled_by:
        return [
            (max(job.told_s, 0) + 60, f"R{job.robot} {words} NOT done, cancelled, {job.operator}")
        ]
    done = ("done", "finshed", "ok + signed off")[job.wording % 3]
    if not job.witness:
        return [(job.end_s + late_s, f"R{job.robot} {words} {done}, {job.operator}")]
    if job.wording % 5 == 0:
        return []
    return [(job.end_s + late_s // 4, f"R{job.robot} {words} {done} {job.operator}")]


# --- forms ---


def _local(begin_ns: int, at_s: int) -> datetime:
    utc = datetime.fromtimestamp(begin_ns // SECOND_NS, ZoneInfo("UTC")) + timedelta(seconds=at_s)
    return utc.astimezone(ZoneInfo(ZONE_NAME))


def _iso(begin_ns: int, at_s: int) -> str:
    return _local(begin_ns, at_s).isoformat(timespec="seconds")


def _csv(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(head)
    writer.writerows([str(cell) for cell in row] for row in rows)
    return out.getvalue()
