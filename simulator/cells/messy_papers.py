"""What people of a messy cell write: an export of orders, shift logs. Late, terse, half wrong.

The defects are those of ten years of real orders: no channels and no kind of work but a free text,
default durations, many finishes at one and the same time of day, names of machines that nearly fit,
orders entered hours or days later, work that nobody entered. Logs are written by ten people, each
in a way of their own, some in German.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from simulator.cells.paperwork import SHIFT_NAMES, ZONE_NAME, local_iso, local_time, table
from simulator.cells.signals import SHIFT_S, SHIFTS_A_DAY
from simulator.cells.slang import DONE_MARK, SLANG

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np

    from simulator.cells.cell import CellType
    from simulator.cells.plan import Plan
    from simulator.faults import PlannedFault
    from simulator.jobs import PlannedJob

EXPORT_COLUMNS: Final = (
    "wonum", "assetnum", "location", "worktype", "status", "description",
    "actstart", "actfinish", "reportdate", "changedate",
)  # fmt: skip
DURATIONS_MIN: Final = (30, 30, 30, 30, 30, 60, 60, 120)  # what the mask offers; most keep it
FINISH_CLOCK: Final = (13, 30)  # many book all their orders as they leave the early shift
LATE_MIN: Final = 70.0  # median minutes from the end of work to its entry
LATE_SPREAD: Final = 1.1
LATE_S: Final = (600, 40 * 3600)
NAMES: Final = (
    "Kaya",
    "mw",
    "T. Brandt",
    "op-07",
    "Jo",
    "Hassan",
    "schichtf.",
    "ln",
    "Petra",
    "op-19",
)
ROUTINE: Final = (
    "PM monthly route", "guide lubrication", "oil sample sent", "5S round", "cabin light bulb",
    "fire extinguisher tag", "safety walk", "fan belt tension",
)  # fmt: skip
FAULT_SHARE: Final = 0.6  # of faults that somebody mentions
SMALL_TALK_LINES: Final = 4  # a machine and shift


# --- orders ---


def order_export(cell: CellType, seed: int, *, machines: int, begin_ns: int, plan: Plan) -> str:
    """Orders as the maintenance system exports them, in the order in which they were changed."""
    rows = [
        _late_order(cell, seed, job, begin_ns, machines=machines)
        for job in plan.jobs
        if "late_order" in job.told
    ]
    for fault in plan.faults:
        rng = cell.seeds(seed, 71, fault.robot, fault.begin_s)
        if rng.random() < FAULT_SHARE:
            rows.append(_corrective(cell, rng, fault, begin_ns))
    for number in range(1, machines + 1):
        rng = cell.seeds(seed, 72, number)
        for i in range(5):
            at_s = -int(rng.integers(1, 40)) * 86_400 + int(rng.integers(8 * 3600))
            words = ROUTINE[int(rng.integers(len(ROUTINE)))]
            head = [f"WO-{2000 + 10 * number + i}", cell.asset(number), "", "PM", "CLOSE", words]
            times = ["", _finish(rng, begin_ns, at_s), "", local_iso(begin_ns, at_s + 3600)]
            rows.append((at_s + 3600, [*head, *times]))
    rows.sort(key=lambda row: (row[0], row[1][0]))
    return table(EXPORT_COLUMNS, [row for _, row in rows])


def _late_order(
    cell: CellType, seed: int, job: PlannedJob, begin_ns: int, *, machines: int
) -> tuple[int, list[str]]:
    rng = cell.seeds(seed, 70, job.robot, job.begin_s)
    late_s = 60.0 * LATE_MIN * float(rng.lognormal(0.0, LATE_SPREAD))
    entered_s = job.end_s + int(min(max(late_s, LATE_S[0]), LATE_S[1]))
    finish = _finish(rng, begin_ns, job.end_s)
    minutes = DURATIONS_MIN[int(rng.integers(len(DURATIONS_MIN)))]
    start = _minus(finish, minutes) if rng.random() < 0.7 else ""
    asset = _asset_cell(rng, cell, job.robot, machines=machines)
    words = f"{_slang(cell, job, rng)} {cell.called(job.robot)}"
    location = cell.place.functional_location.format(n=job.robot) if rng.random() < 0.4 else ""
    type_code = ("PM", "", "CAL")[int(rng.integers(3))]
    if type_code == "CAL" and job.work.kind.value != "calibration":
        type_code = "PM"
    status = ("COMP", "CLOSE", "COMP", "INPRG")[int(rng.integers(4))]
    entered = local_iso(begin_ns, entered_s)
    head = [job.order_id, asset, location, type_code, status, words]
    return entered_s, [*head, start, finish, entered, entered]


def _corrective(
    cell: CellType, rng: np.random.Generator, fault: PlannedFault, begin_ns: int
) -> tuple[int, list[str]]:
    """A repair after a fault: it must never excuse it."""
    said = cell.fault_talk[fault.kind]
    words = f"{said[int(rng.integers(len(said)))]} - repaired"
    entered_s = fault.end_s + int(rng.integers(900, 4 * 3600))
    number = f"WO-{7000 + fault.begin_s % 1999}-{fault.robot}"
    head = [number, cell.asset(fault.robot), "", "CM", "COMP", words]
    entered = local_iso(begin_ns, entered_s)
    return entered_s, [*head, "", _finish(rng, begin_ns, fault.end_s), entered, entered]


def _finish(rng: np.random.Generator, begin_ns: int, end_s: int) -> str:
    """When work is booked as finished: the time of day at which most book, or a half hour."""
    at = local_time(begin_ns, end_s)
    if rng.random() < 0.4:
        booked = at.replace(hour=FINISH_CLOCK[0], minute=FINISH_CLOCK[1], second=0)
    else:
        booked = (at + timedelta(minutes=29)).replace(second=0)
        booked = booked.replace(minute=30 if booked.minute >= 30 else 0)
    return booked.isoformat(timespec="seconds")


def _minus(finish: str, minutes: int) -> str:
    at = datetime.fromisoformat(finish) - timedelta(minutes=minutes)
    return at.isoformat(timespec="seconds")


def _asset_cell(rng: np.random.Generator, cell: CellType, number: int, *, machines: int) -> str:
    """The machine of an order: right, missing, nearly right, or the one next to it."""
    drawn = float(rng.random())
    ways: tuple[tuple[float, str], ...] = (
        (0.62, cell.asset(number)),
        (0.72, ""),
        (0.80, cell.called(number)),
        (0.88, cell.place.functional_location.format(n=number)),
        (0.94, f"{cell.prefix}0{number}"),
        (1.01, cell.asset(number % machines + 1)),
    )
    return next(name for below, name in ways if drawn < below)


# --- logs ---


def messy_logs(
    cell: CellType, seed: int, *, machines: int, begin_ns: int, n: int, plan: Plan
) -> dict[str, str]:
    """One log a shift: when a line was written, and the line."""
    entries: list[tuple[int, str]] = []
    for job in plan.jobs:
        entries += _job_lines(cell, seed, job, begin_ns)
    for cause in plan.causes:
        rng = cell.seeds(seed, 75, cause.robot, cause.begin_s)
        if cause.told:
            said = cause.disturbance.said[cause.wording % len(cause.disturbance.said)]
            at_s = cause.begin_s + int(rng.integers(-300, 2400))
            entries.append((at_s, f"{_called(rng, cell, cause.robot)} {said}"))
    for fault in plan.faults:
        rng = cell.seeds(seed, 76, fault.robot, fault.begin_s)
        talk = cell.fault_talk[fault.kind]
        if rng.random() < FAULT_SHARE:
            said = f"{_called(rng, cell, fault.robot)} {talk[int(rng.integers(len(talk)))]}"
            entries.append((fault.begin_s + int(rng.integers(8 * 60, 30 * 60)), said))
    for number in range(1, machines + 1):
        for shift in range(-(-n // SHIFT_S)):
            rng = cell.seeds(seed, 77, number, shift)
            for at_s in rng.integers(0, SHIFT_S, SMALL_TALK_LINES).tolist():
                said = cell.small_talk[int(rng.integers(len(cell.small_talk)))]
                if shift % SHIFTS_A_DAY != SHIFTS_A_DAY - 1:
                    entries.append((shift * SHIFT_S + at_s, f"{cell.called(number)} {said}"))
    return _files(entries, begin_ns)


def _files(entries: Sequence[tuple[int, str]], begin_ns: int) -> dict[str, str]:
    shifts: dict[int, list[tuple[int, str]]] = {}
    for at_s, said in entries:
        shifts.setdefault(at_s // SHIFT_S, []).append((at_s, said))
    files = {}
    for shift, lines in sorted(shifts.items()):
        day = local_time(begin_ns, shift * SHIFT_S)
        body = [
            f"{local_time(begin_ns, at_s):%Y-%m-%d %H:%M} {said}" for at_s, said in sorted(lines)
        ]
        name = f"logs/{day:%Y-%m-%d}-{SHIFT_NAMES[shift % SHIFTS_A_DAY]}.log"
        files[name] = "\n".join([f"# zone: {ZONE_NAME}", *body]) + "\n"
    return files


def _job_lines(cell: CellType, seed: int, job: PlannedJob, begin_ns: int) -> list[tuple[int, str]]:
    """What is written of one job: beforehand, as it begins, afterwards; each maybe."""
    rng = cell.seeds(seed, 74, job.robot, job.begin_s)
    begin, end = (local_time(begin_ns, at_s) for at_s in (job.begin_s, job.end_s))
    who, name = _called(rng, cell, job.robot), _work_name(cell, job, rng)
    said = _Told(rng, who, _slang(cell, job, rng), name, begin, end)
    if job.cancelled_by:
        called_off = ("fällt aus", "not today after all", "cancelled", "moved to next wk")
        words = called_off[int(rng.integers(len(called_off)))]
        return [(max(job.told_s, 0) + 60, f"{said.who} {said.work} {words}, {said.name}")]
    before_s = job.begin_s - int(rng.integers(15 * 60, 100 * 60))
    begun_s = job.begin_s + int(rng.integers(-240, 300))
    after_s = job.end_s + int(60 * min(float(rng.lognormal(3.2, 0.9)), 300))
    lines = []
    for way, at_s, forms in (
        ("planned", before_s, PLANNED),
        ("begun", begun_s, BEGUN),
        ("done", after_s, DONE),
    ):
        form = forms[int(rng.integers(len(forms)))]
        if way in job.told:
            lines.append((max(at_s, 0), form(said)))
    return lines


class _Told:
    """One piece of work as one person tells it. work: its name; what: that, or that it is done."""

    def __init__(
        self,
        rng: np.random.Generator,
        who: str,
        what: str,
        work: str,
        begin: datetime,
        end: datetime,
    ) -> None:
        self.who, self.what, self.work = who, what, work
        self.name = NAMES[int(rng.integers(len(NAMES)))]
        self.minutes = 5 * round((end - begin).total_seconds() / 300)
        formats = ("%H:%M", "%H.%M", "%H%M", "%H:%M h", "%H:%M Uhr")
        form = formats[int(rng.integers(len(formats)))]
        self.begin, self.end = begin.strftime(form), end.strftime(form)


PLANNED: Final[tuple[Callable[[_Told], str], ...]] = (
    lambda t: f"heute ca {t.begin} {t.work} an {t.who} ({t.name})",
    lambda t: f"{t.who}: {t.work} planned for {t.begin}, {t.name}",
    lambda t: f"{t.name} comes round {t.begin} for {t.work} on {t.who}",
    lambda t: f"board: {t.who} / {t.work} / {t.begin}",
    lambda t: f"{t.who} geplant {t.begin}: {t.work}",
)
BEGUN: Final[tuple[Callable[[_Told], str], ...]] = (
    lambda t: f"{t.who} {t.work} läuft, {t.name}",
    lambda t: f"start {t.work} {t.who}",
    lambda t: f"{t.name} at {t.who} now, {t.work} in progress",
    lambda t: f"{t.work} begonnen {t.who} / {t.name}",
    lambda t: f"{t.who}: started {t.work}, abt {t.minutes} min",
    lambda t: f"ongoing on {t.who}: {t.work} ({t.name})",
)
DONE: Final[tuple[Callable[[_Told], str], ...]] = (
    lambda t: f"{t.who}: {t.what}, {t.begin}-{t.end}, {t.name}",
    lambda t: f"{t.what} {t.who} gemacht, ca. {t.begin} {t.name}",
    lambda t: f"did the {t.work} on {t.who} earlier, back in auto since {t.end} - {t.name}",
    lambda t: f"{t.who} {t.what} erl. {t.end}",
    lambda t: f"handover: {t.what} {t.who} finished {t.end}",
    lambda t: f"ab {t.begin} {t.who} {t.what}, {t.end} wieder produktiv",
    lambda t: f"fyi {t.who} - {t.what} between {t.begin} and {t.end}. {t.name}",
    lambda t: f"{t.what} @ {t.who} complete, took {t.minutes} min",
    lambda t: f"Nachtrag {t.name}: {t.who} {t.what}, fertig {t.end}",
    lambda t: f"{t.name}: {t.who} {t.what} ok, runs again",
)


def _called(rng: np.random.Generator, cell: CellType, number: int) -> str:
    """How this person calls the machine."""
    names = (
        cell.called(number),
        cell.called(number),
        cell.asset(number),
        f"{cell.call} {number}",
        f"{cell.noun} {number}",
        cell.place.functional_location.format(n=number),
    )
    return names[int(rng.integers(len(names)))]


def _slang(cell: CellType, job: PlannedJob, rng: np.random.Generator) -> str:
    known = (*SLANG[cell.name][job.work.key], *job.work.words)
    return known[int(rng.integers(len(known)))].removeprefix(DONE_MARK)


def _work_name(cell: CellType, job: PlannedJob, rng: np.random.Generator) -> str:
    """The work itself, as of something that is still to be done."""
    slang = [word for word in SLANG[cell.name][job.work.key] if not word.startswith(DONE_MARK)]
    known = (*slang, job.work.words[0])
    return known[int(rng.integers(len(known)))]
