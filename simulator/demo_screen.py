"""What the demo shows in the terminal: the headline, the live table, the twins, the summary."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from rich.console import Group
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from edge.assess import assess
from edge.backtest import episodes_of

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from rich.console import Console, RenderableType

    from edge.assess import Figures
    from edge.truth import Fault, TrueJob
    from simulator.scenario import Scenario

ROWS_MAX: Final = 14
GREY, AMBER, GREEN = "grey58", "dark_orange", "green4"
BLOCKS: Final = " ▁▂▃▄▅▆▇█"
SPARK_CELLS: Final = 56
SENTENCES_MAX: Final = 3
SECOND_NS: Final = 1_000_000_000

Events = list[dict[str, Any]]


def headline(scenario: Scenario, revisions: Events, plant_ms: int) -> str:
    """The one line that counts, from what has been published so far."""
    figures = assess(episodes_of(revisions), scenario.truth)
    due = [f for f in scenario.truth.faults if f.end_ns // 1_000_000 <= plant_ms]
    lost = {o.fault_id for o in figures.faults if o.outcome != "found"}
    missed = sum(fault.fault_id in lost for fault in due)
    return headline_of(figures, missed, len(due))


def table(scenario: Scenario, revisions: Events, plant_ms: int) -> RenderableType:
    """The headline over the newest alerts: amber rings, grey was expected."""
    last = {(event["id"], event["count"]): event for event in revisions}
    grid = Table(expand=True)
    for name, width in (("plant time", 10), ("robot", 6), ("", 11), ("what", None)):
        grid.add_column(name, width=width, no_wrap=width is not None)
    events = sorted(last.values(), key=lambda event: event["begin_ms"])
    for event in events[-ROWS_MAX:]:
        style, word = _style(event)
        grid.add_row(_clock(event["begin_ms"]), event["asset"], word, event["message"], style=style)
    title = Text(headline(scenario, revisions, plant_ms), style="bold")
    return Group(title, Text(f"plant clock {_clock(plant_ms)}", style=GREY), grid)


def _style(event: dict[str, Any]) -> tuple[str, str]:
    if event["decision"] == "SUPPRESSED":
        return GREY, "expected"
    word = "ALERT" if event["decision"] == "ALERT" else "annotated"
    return (f"bold {AMBER}" if event["active"] else AMBER), word


def show_twins(scenario: Scenario, revisions: Events, console: Console) -> None:
    """Two disturbances that look alike: the calibration in grey, the fault in amber."""
    if scenario.twins is None:
        return
    job_id, fault_id = scenario.twins
    job = next(job for job in scenario.truth.jobs if job.job_id == job_id)
    fault = next(fault for fault in scenario.truth.faults if fault.fault_id == fault_id)
    console.print()
    console.print("Two disturbances, nearly the same to look at:", style="bold")
    expected = _event_at(revisions, job.asset, job.begin_ns, job.end_ns, suppressed=True)
    console.print(_panel(scenario, job, expected, style=GREY, title=f"{job.kind} of {job.asset}"))
    rang = _event_at(revisions, fault.asset, fault.begin_ns, fault.end_ns, suppressed=False)
    console.print(_panel(scenario, fault, rang, style=AMBER, title=f"{fault.asset}: a fault"))


def _event_at(
    revisions: Events, asset: str, begin_ns: int, end_ns: int, *, suppressed: bool
) -> dict[str, Any] | None:
    """The most explained revision of the event on an asset in a stretch of time."""
    found = None
    for event in revisions:
        inside = begin_ns - 60 * SECOND_NS <= event["begin_ms"] * 1_000_000 <= end_ns
        right = (event["decision"] == "SUPPRESSED") == suppressed
        if event["asset"] == asset and inside and right and event["track"] == "process":
            if found is not None and found["id"] != event["id"]:
                break
            if found is None or event["suppressed"] or event["active"]:
                found = event
    return found


def _panel(
    scenario: Scenario,
    what: TrueJob | Fault,
    event: dict[str, Any] | None,
    *,
    style: str,
    title: str,
) -> Panel:
    lines: list[RenderableType] = [_spark(scenario, what, style)]
    if event is None:
        lines.append(Text("no event was opened for it"))
        return Panel(Group(*lines), title=title, border_style=style)
    lines.append(Text(event["message"]))
    if event["suppressed"]:
        held = f"Expected: {event['job_id']}; would ring again at {_clock(event['rings_again_ms'])}"
        lines.append(Text(held, style="bold"))
    shown = ("considered",) if event["suppressed"] else ("considered", "check_first", "passage")
    lines += [
        Text(f"{_role(sentence['role'])}{sentence['text']}")
        for sentence in event["explanation"]
        if sentence["role"] in shown
    ][:SENTENCES_MAX]
    return Panel(Group(*lines), title=title, border_style=style)


def _role(role: str) -> str:
    return "Check first: " if role == "check_first" else ""


def _spark(scenario: Scenario, what: TrueJob | Fault, style: str) -> Text:
    """The channel around the disturbance, running samples only, in sigmas of normal operation."""
    channel = what.channels[0]
    column = [c.name for c in scenario.channels].index(channel)
    t_ns = scenario.t_ns
    margin = (what.end_ns - what.begin_ns) // 2
    chosen = (t_ns >= what.begin_ns - margin) & (t_ns < what.end_ns + margin)
    chosen &= scenario.running(what.asset)
    values = scenario.values[what.asset][chosen, column]
    level = scenario.level[what.asset][column]
    sigma = scenario.sigma[what.asset][column]
    return Text(f"{channel}  {_bars(np.abs(values - level) / sigma)}", style=style)


def _bars(values: NDArray[np.float64]) -> str:
    if not len(values):
        return ""
    cells = [part.mean() for part in np.array_split(values, min(SPARK_CELLS, len(values)))]
    top = max(6.0, *cells)
    return "".join(
        BLOCKS[min(len(BLOCKS) - 1, int(cell / top * (len(BLOCKS) - 1)))] for cell in cells
    )


def show_summary(figures: Figures, console: Console) -> None:
    """What the shift was, in words for someone who runs a plant."""
    delay = figures.delay_median_s
    removed = figures.calibration_false_alarms_without_kb - figures.calibration_false_alarms_with_kb
    quick = f", half of them within {delay:.0f} s" if delay is not None else ""
    without = figures.calibration_false_alarms_without_kb
    lines = [
        f"{figures.faults_total} faults happened; Andon rang for {figures.faults_found}{quick}.",
        f"{figures.faults_missed} stayed hidden, {figures.faults_undetected} were not seen at all.",
        f"{figures.jobs_witnessed} of {figures.jobs_total} jobs were announced in time.",
        f"They would have rung {without} times; {removed} of these stayed quiet, and are listed.",
        f"{figures.wrong_suppressions} suppressions were wrong.",
    ]
    console.print()
    title = headline_of(
        figures, figures.faults_missed + figures.faults_undetected, figures.faults_total
    )
    console.print(Panel("\n".join(lines), title=title, border_style=GREEN))


def headline_of(figures: Figures, missed: int, total: int) -> str:
    """The one line that sells it, computed from the run."""
    return (
        f"This shift: {figures.alerts_without_kb} alerts without records, "
        f"{figures.alerts_with_kb} with. Faults missed: {missed} of {total}."
    )


def _clock(ms: int) -> str:
    return f"{datetime.fromtimestamp(ms / 1000, tz=UTC):%H:%M:%S}"
