"""What the demo shows in the terminal: the headline, the table, the twins, the summary.

Figures come from what the gateway published and from the truth. A live table fits its window; the
one at the end, and in a pipe, has every row up to a cap.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from rich import box
from rich.console import Group
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from edge.alerts.explain import number
from edge.assessment.assess import DELAY_BUDGET_S, assess
from edge.replays.backtest import episodes_of
from simulator.demo_summary import count_of, headline_of, summary_lines

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from rich.console import Console, RenderableType

    from edge.assessment.assess import Episode, Figures
    from edge.assessment.truth import Fault, TrueJob
    from simulator.scenario import Scenario

ROWS_MAX: Final = 500  # of the table at the end; a month of a big cell must not flood a log
LIVE_ROWS_MAX: Final = 14
LIVE_FRAME_LINES: Final = (
    11  # lines for headline, clock, head, legend and prompt around the live rows
)
GREY, AMBER, GREEN = "grey58", "dark_orange", "green4"
PLOT_CELLS: Final = 60
BAND_ROWS: Final = 3  # of the plot, from low to high of the usual range
OUTER_ROWS_MAX: Final = 2  # on either side; what is further out is drawn as an arrow
BAND_SIGMA: Final = 3.0  # usual range where no event names one
SECOND_NS: Final = 1_000_000_000
MILLISECOND_NS: Final = 1_000_000

_RULE_ROW: Final = re.compile(r"\|?[\s:|-]+\|?")
_MEANINGS: Final = {
    "ALERT": "rings",
    "annotated": "rings at lower priority, as work is suspected but not confirmed",
    "expected": "stays quiet, as announced work explains it",
}

Events = list[dict[str, Any]]


# --- headline and table ---


def headline(scenario: Scenario, revisions: Events, plant_ms: int) -> str:
    """The one line that counts, from what has been published so far.

    A fault counts when it is found or its time is over.
    """
    figures = assess(episodes_of(revisions), scenario.truth)
    found = {o.fault_id for o in figures.faults if o.outcome == "found"}
    over_ns = plant_ms * MILLISECOND_NS - DELAY_BUDGET_S * SECOND_NS
    lost = [f for f in scenario.truth.faults if f.end_ns <= over_ns and f.fault_id not in found]
    return headline_of(figures, len(lost), len(found) + len(lost))


def live_table(
    scenario: Scenario, revisions: Events, plant_ms: int, *, lines_max: int
) -> RenderableType:
    """The headline over the newest alerts, one line each, in a window of `lines_max` lines."""
    rows_max = min(LIVE_ROWS_MAX, max(1, lines_max - LIVE_FRAME_LINES))
    clock = Text(f"plant clock {_clock(plant_ms)} UTC", style=GREY)
    title = Text(headline(scenario, revisions, plant_ms), style="bold")
    return Group(title, clock, *_rows(revisions, rows_max, wrap=False))


def final_table(figures: Figures, revisions: Events, *, rows_max: int = ROWS_MAX) -> RenderableType:
    """The headline over all alerts of the shift, up to the cap."""
    missed = figures.faults_missed + figures.faults_undetected
    title = Text(headline_of(figures, missed, figures.faults_total), style="bold")
    return Group(title, *_rows(revisions, rows_max, wrap=True))


def _rows(revisions: Events, rows_max: int, *, wrap: bool) -> list[RenderableType]:
    last = {(event["id"], event["count"]): event for event in revisions}
    jobs = {(e["id"], e["count"]): e["job_id"] for e in revisions if e["job_id"]}
    events = sorted(last.values(), key=lambda event: event["begin_ms"])
    if not events:
        return [Text("No alert." if wrap else "No alert so far.", style=GREY)]
    grid = Table(box=box.SIMPLE_HEAD, expand=True, pad_edge=False)
    for name, width in (("time, UTC", 9), ("robot", 5), ("", 9)):
        grid.add_column(name, width=width, no_wrap=True)
    grid.add_column("what", no_wrap=not wrap, overflow="fold" if wrap else "ellipsis", ratio=1)
    words = []
    for event in events[-rows_max:]:
        style, word = _style(event)
        words.append(word)
        what = _measured(event)
        if event["decision"] == "SUPPRESSED":
            what = f"{what} ({jobs.get((event['id'], event['count']), 'no job')})"
        row = (_clock(event["begin_ms"]), event["asset"], word, what)
        grid.add_row(*(Text(cell) for cell in row), style=style)
    told = [f"{word}: {means}." for word, means in _MEANINGS.items() if word in words]
    legend = Text(" ".join(told), style=GREY)
    hidden = len(events) - rows_max
    above = [Text(f"{count_of(hidden, 'earlier one')} not shown", style=GREY)] if hidden > 0 else []
    return [*above, grid, legend]


def _style(event: dict[str, Any]) -> tuple[str, str]:
    if event["decision"] == "SUPPRESSED":
        return GREY, "expected"
    word = "ALERT" if event["decision"] == "ALERT" else "annotated"
    return (f"bold {AMBER}" if event["active"] else AMBER), word


def _measured(event: dict[str, Any]) -> str:
    """The event's message without what stands beside it: the verdict and the robot."""
    told: str = event["message"]
    return told.removeprefix(f"Expected ({event['job_id']}): ").removeprefix(f"{event['asset']}: ")


# --- twins ---


def show_twins(scenario: Scenario, revisions: Events, console: Console) -> None:
    """Two disturbances that look alike: the calibration in grey, the fault in amber."""
    if scenario.twins is None:
        return
    job_id, fault_id = scenario.twins
    job = next(job for job in scenario.truth.jobs if job.job_id == job_id)
    fault = next(fault for fault in scenario.truth.faults if fault.fault_id == fault_id)
    console.print()
    console.print(Text("Two disturbances, nearly the same to look at:", style="bold"))
    expected = _event_at(revisions, job.asset, job.begin_ns, job.end_ns, suppressed=True)
    title = f"{job.kind} of {job.asset}"
    console.print(_panel(scenario, job, expected, style=GREY, title=title))
    rang = _event_at(revisions, fault.asset, fault.begin_ns, fault.end_ns, suppressed=False)
    console.print(_panel(scenario, fault, rang, style=AMBER, title=f"a fault of {fault.asset}"))


def _event_at(
    revisions: Events, asset: str, begin_ns: int, end_ns: int, *, suppressed: bool
) -> dict[str, Any] | None:
    """The most explained revision of the event on an asset in a stretch of time."""
    found = None
    for event in revisions:
        inside = begin_ns - 60 * SECOND_NS <= event["begin_ms"] * MILLISECOND_NS <= end_ns
        right = (event["decision"] == "SUPPRESSED") == suppressed
        if event["asset"] == asset and inside and right and event["track"] == "process":
            if found is not None and (found["id"], found["count"]) != (event["id"], event["count"]):
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
    lines: list[RenderableType] = [_plot(scenario, what, event, style)]
    if event is None:
        lines.append(Text("No event began with it."))
    else:
        lines.append(Text(f"{_measured(event)}.", style="bold"))
        lines += [Text(line) for line in (_held(event) if event["suppressed"] else _advised(event))]
    return Panel(Group(*lines), title=Text(title), border_style=style)


def _held(event: dict[str, Any]) -> list[str]:
    """Why it stays quiet, and until when."""
    told = [s["text"] for s in event["explanation"] if s["role"] == "considered"]
    again = event["rings_again_ms"]
    held = f" If it is still there at {_clock(again)}, it rings." if again else ""
    return [f"{told[0] if told else 'Expected: ' + event['job_id'] + '.'}{held}"]


def _advised(event: dict[str, Any]) -> list[str]:
    """Which work does not explain it, and the one passage that says what to check first."""
    sentences = event["explanation"]
    told = [s["text"] for s in sentences if s["role"] == "considered" and s["citation"] is None]
    for role in ("check_first", "passage"):
        for sentence in sentences:
            if sentence["role"] == role and sentence["citation"] is not None:
                return [*told[:1], *quoted_lines(sentence)]
    return told[:1]


def quoted_lines(sentence: dict[str, Any]) -> list[str]:
    """A cited sentence for the screen; each row of a table becomes one line a cell.

    The names are those of the table's columns, as the sentence gives them after its last heading.
    """
    quote: str = sentence["citation"]["quote"]
    where = sentence["text"].removesuffix(f": \u201c{quote}\u201d")
    says = "Check first, from" if sentence["role"] == "check_first" else "From"
    rows = [line.strip() for line in quote.splitlines()]
    if not rows or not all(row.startswith("|") for row in rows):
        return [f"{says} {where}: \u201c{quote}\u201d"]
    headings, between, columns = where.rpartition(" > ")
    if not between:  # a table right below the title
        headings, _, first = where.partition("|")[0].rpartition(", ")
        columns = where[len(where) - len(first) - len(where.partition("|")[2]) - 1 :]
    names = _cells(columns) if "|" in columns else []
    lines = [f"{says} {headings if names else where}:"]
    for row in rows:
        cells = _cells(row)
        if cells == names or _RULE_ROW.fullmatch(row):
            continue
        if row[-1] != "|":  # a passage may end within a row
            cells[-1] += " \u2026"
        labels = [f"{name}: " for name in names] if len(names) >= len(cells) else [""] * len(cells)
        lines += [f"  {label}{cell}" for label, cell in zip(labels, cells, strict=False) if cell]
    return lines


def _cells(row: str) -> list[str]:
    return [cell.strip() for cell in row.strip().removeprefix("|").removesuffix("|").split("|")]


# --- plot ---


def _plot(
    scenario: Scenario, what: TrueJob | Fault, event: dict[str, Any] | None, style: str
) -> RenderableType:
    """The channel that the event names first, running samples only, against its usual range."""
    names = [c.name for c in scenario.channels]
    named = event["top_channel"] if event is not None else ""
    column = names.index(named if named in names else what.channels[0])
    channel = scenario.channels[column]
    t_ns = scenario.t_ns
    margin = (what.end_ns - what.begin_ns) // 2
    chosen = (t_ns >= what.begin_ns - margin) & (t_ns < what.end_ns + margin)
    chosen &= scenario.running(what.asset)
    values = scenario.values[what.asset][chosen, column]
    if not len(values):
        return Text(f"{what.asset} did not run then", style=style)
    level, sigma = scenario.level[what.asset][column], scenario.sigma[what.asset][column]
    low, high = level - BAND_SIGMA * sigma, level + BAND_SIGMA * sigma
    for part in event["contributions"] if event is not None else ():
        if part["channel"] == channel.name and None not in (part["usual_low"], part["usual_high"]):
            low, high = part["usual_low"], part["usual_high"]
    cells = min(PLOT_CELLS, len(values))
    means = np.array([part.mean() for part in np.array_split(values, cells)])
    begins = np.array([part[0] for part in np.array_split(t_ns[chosen], cells)])
    lines = plot_lines(means, low=low, high=high)
    margin = max(len(number(low)), len(number(high))) + 1
    lines.append(" " * margin + _time_line(begins, what.begin_ns, what.end_ns))
    title = f"{channel.name}, {channel.unit}, while running; dots: its usual range"
    return Text("\n".join([title, *lines]), style=style, no_wrap=True, overflow="crop")


def plot_lines(values: NDArray[np.float64], *, low: float, high: float) -> list[str]:
    """Draw values (n,) in rows, top first; the rows of the band from `low` to `high` are dotted.

    Low and high stand at the band's edges. NaN is left out; a value beyond the rows is an arrow.
    """
    height = (high - low) / BAND_ROWS or 1.0
    seen = np.isfinite(values)
    steps = np.floor((np.where(seen, values, low) - low) / height)
    steps[seen & (values == high)] = BAND_ROWS - 1  # both edges are usual
    top, bottom = BAND_ROWS - 1 + OUTER_ROWS_MAX, -OUTER_ROWS_MAX
    rows = np.clip(steps, bottom, top).astype(int)
    first, last = int(min(0, *rows)), int(max(BAND_ROWS - 1, *rows))
    labels = {BAND_ROWS - 1: number(high), 0: number(low)}
    width = max(map(len, labels.values()))
    lines = []
    for row in range(last, first - 1, -1):
        empty = "·" if 0 <= row < BAND_ROWS else " "
        marks = [
            empty if not here or at != row else "▲" if step > top else "▼" if step < bottom else "█"
            for here, at, step in zip(seen, rows, steps, strict=True)
        ]
        lines.append(f"{labels.get(row, ''):>{width}} {''.join(marks)}".rstrip())
    return lines


def _time_line(begins: NDArray[np.int64], begin_ns: int, end_ns: int) -> str:
    """When the disturbance was there, below its cells."""
    span = f"{_clock(begin_ns // MILLISECOND_NS)} to {_clock(end_ns // MILLISECOND_NS)}"
    first = int(np.searchsorted(begins, begin_ns))
    last = int(np.searchsorted(begins, end_ns)) - 1
    first = max(0, min(first, len(begins) - len(span) - 2))  # what is short still gets its times
    return f"{' ' * first}└{span:─^{max(last - first - 1, len(span))}}┘"


# --- summary ---


def show_summary(
    figures: Figures, episodes: Sequence[Episode], scenario: Scenario, console: Console
) -> None:
    """What the shift was, in words for someone who runs a plant."""
    missed = figures.faults_missed + figures.faults_undetected
    lines: list[RenderableType] = [
        Text(headline_of(figures, missed, figures.faults_total), style="bold")
    ]
    lines += [Text(line) for line in summary_lines(figures, episodes, scenario)]
    console.print()
    console.print(Panel(Group(*lines), border_style=GREEN))


def _clock(ms: int) -> str:
    return f"{datetime.fromtimestamp(ms / 1000, tz=UTC):%H:%M:%S}"
