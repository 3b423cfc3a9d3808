"""The demo's screen and summary, on alerts and a truth small enough to judge by hand."""

from __future__ import annotations

import io
import math
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import pytest
from rich.console import Console

from edge.assessment.assess import AFTERMATH_S, assess
from edge.assessment.truth import Fault, TrueJob, Truth
from edge.brokers.endpoint import Endpoint
from edge.errors import AndonError
from edge.replays.backtest import episodes_of
from kb.records import WorkKind
from models.bundles.bundle import Channel
from simulator import demo_screen as screen
from simulator.demo import DemoOptions, Replay, run_demo
from simulator.demo_summary import summary_lines
from simulator.scenario import Scenario

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import RenderableType

S = 1_000_000_000
HOURS = 8
FAULT = Fault(
    fault_id="f1",
    kind="gas_flow_loss",
    asset="r1",
    channels=("Flow",),
    begin_ns=2000 * S,
    end_ns=4000 * S,
    size_sigma=5.0,
)
JOB = TrueJob(
    job_id="j1",
    kind=WorkKind.CALIBRATION,
    asset="r2",
    instrument="flow",
    channels=("Flow",),
    begin_ns=6000 * S,
    end_ns=8000 * S,
    witness="plant",
    settle_s=120,
)
QUOTE = "| Flow; too low | Flow | Hose kinked | Nozzle bore; then the hose |"
ADVICE = {
    "role": "check_first",
    "text": f"Gas, Trouble > symptom | channel | cause | check first: \u201c{QUOTE}\u201d",
    "citation": {"quote": QUOTE},
}
EXPECTED = "Expected: calibration j1, opened by plant (cal_mode)."
HELD = {"role": "considered", "text": EXPECTED, "citation": None}


def event(
    begin_s: int,
    *,
    decision: str = "ALERT",
    asset: str = "r1", count: int = 1, **changes: float | str,
) -> dict[str, Any]:  # fmt: skip
    """One revision of an event on a robot's flow, a second after its begin."""
    quiet = decision == "SUPPRESSED"
    told = f"{asset}: Flow is 8 l/min, below its usual 10 to 16 l/min"
    plain = {
        "id": f"{asset}-{begin_s}",
        "count": count,
        "asset": asset,
        "track": "process",
        "begin_ms": begin_s * 1000,
        "ts_ms": begin_s * 1000 + 1000,
        "decision": decision,
        "class": "expected" if quiet else "process anomaly",
        "state": "NORMAL" if quiet else "ACTIVE_UNACK",
        "active": int(not quiet),
        "rings": int(not quiet),
        "suppressed": int(quiet),
        "job_id": "j1" if quiet else "",
        "rings_again_ms": 9_000_000 if quiet else None,
        "message": f"Expected (j1): {told}" if quiet else told,
        "top_channel": "Flow",
        "contributions": [
            {"channel": "Flow", "share": 1.0, "value": 8.0, "usual_low": 10.0, "usual_high": 16.0}
        ],
        "explanation": [HELD] if quiet else [ADVICE],
    }
    return plain | changes


def later(told: dict[str, Any], at_s: int, **changes: float | str) -> dict[str, Any]:
    """The next revision of an event."""
    return told | {"ts_ms": at_s * 1000} | changes


def cleared(told: dict[str, Any], at_s: int) -> dict[str, Any]:
    """The last revision of an event."""
    return later(told, at_s, state="CLEARED_UNACK", active=0, suppressed=0)


def cell(
    *,
    faults: tuple[Fault, ...] = (FAULT,),
    jobs: tuple[TrueJob, ...] = (JOB,),
    hours: int = HOURS,
    twins: tuple[str, str] | None = ("j1", "f1"),
) -> Scenario:
    """Two robots with one channel, Flow, at 13 l/min; 8 l/min during faults and jobs."""
    rows = hours * 3600
    values = {asset: np.full((rows, 1), 13.0) for asset in ("r1", "r2")}
    spans = [(fault.asset, fault.begin_ns, fault.end_ns) for fault in faults]
    for asset, begin_ns, end_ns in [*spans, *((j.asset, j.begin_ns, j.end_ns) for j in jobs)]:
        values[asset][begin_ns // S : end_ns // S] = 8.0
    return Scenario(
        seed=1,
        site="cell",
        begin_ns=0,
        period_ns=S,
        assets=("r1", "r2"),
        channels=(Channel(name="Flow", unit="l/min"),),
        context_tags=("run_state",),
        values=values,
        context={asset: np.ones((rows, 1)) for asset in values},
        level={asset: np.array([13.0]) for asset in values},
        sigma={asset: np.array([1.0]) for asset in values},
        truth=Truth(begin_ns=0, end_ns=rows * S, faults=faults, jobs=jobs),
        gateway="",
        twins=twins,
    )


def shown(*parts: RenderableType) -> str:
    """What a pipe of 80 columns gets."""
    console = Console(record=True, width=80, file=io.StringIO())
    for part in parts:
        console.print(part)
    return console.export_text()


def said(scenario: Scenario, revisions: list[dict[str, Any]]) -> list[str]:
    """The summary's sentences."""
    episodes = episodes_of(revisions)
    return summary_lines(assess(episodes, scenario.truth), episodes, scenario)


SHIFT = [event(2010), cleared(event(2010), 4005), event(6010, decision="SUPPRESSED", asset="r2")]


# --- plot ---


def test_below_the_usual_range_is_drawn_below_it() -> None:
    """The band is dotted and carries low and high; a value leaves it on its own side."""
    values = np.array([13.0, 13.0, 9.0, 7.0, 13.0, math.nan, 17.0])
    assert screen.plot_lines(values, low=10.0, high=16.0) == [
        "         █",
        "16 ·······",
        "   ██··█··",
        "10 ·······",
        "     █",
        "      █",
    ]


def test_far_out_is_an_arrow_and_both_edges_are_usual() -> None:
    """What does not fit points to where it is."""
    lines = screen.plot_lines(np.array([10.0, 16.0, 0.0, 99.0]), low=10.0, high=16.0)
    assert lines[0] == "      ▲"
    assert lines[-1] == "     ▼"
    assert lines[2] == "16 ·█··"
    assert lines[4] == "10 █···"


def test_a_range_without_width_is_drawn_too() -> None:
    """A channel that never moved in training."""
    lines = screen.plot_lines(np.array([5.0, 4.0]), low=5.0, high=5.0)
    assert sum("█" in line for line in lines) == 2


def test_a_job_and_a_fault_that_look_alike() -> None:
    """Both below; the grey one says Expected once, the amber one what to check first."""
    console = Console(record=True, width=80, file=io.StringIO())
    screen.show_twins(cell(), SHIFT, console)
    text = console.export_text()
    grey, amber = text.split("a fault of r1")
    assert grey.count("Expected") == 1
    assert "calibration j1, opened by plant (cal_mode). If it is still" in grey
    assert "02:30:00, it rings." in grey
    for panel, span in ((grey, "01:40:00 to 02:13:20"), (amber, "00:33:20 to 01:06:40")):
        lines = panel.splitlines()
        low = next(i for i, line in enumerate(lines) if line.startswith("│ 10 "))
        assert "█" in "".join(lines[low + 1 : low + 3])
        assert "dots: its usual range" in panel
        assert span in panel
    assert "Flow is 8 l/min, below its usual 10 to 16 l/min." in amber
    assert all(len(line) <= 80 for line in text.splitlines())


# --- quotes ---


def test_a_quoted_table_row_becomes_a_line_a_cell() -> None:
    """The names of the columns come from the sentence; the heading stays the source."""
    assert screen.quoted_lines(ADVICE) == [
        "Check first, from Gas, Trouble:",
        "  symptom: Flow; too low",
        "  channel: Flow",
        "  cause: Hose kinked",
        "  check first: Nozzle bore; then the hose",
    ]


@pytest.mark.parametrize(
    ("where", "quote", "expected"),
    [
        ("Gas", "Shut the valve.", ["From Gas: \u201cShut the valve.\u201d"]),
        ("Gas, H", "| a | b |\n|---|---|\n| 1 | 2 |", ["From Gas, H:", "  a", "  b", "  1", "  2"]),
        (
            "Gas, big, a | b",
            "| a | b |\n|---|---|\n| 1 | 2 |",
            ["From Gas, big:", "  a: 1", "  b: 2"],
        ),
        ("Gas > a | b | c", "| 1 | cut he", ["From Gas:", "  a: 1", "  b: cut he \u2026"]),
    ],
)
def test_other_quotes(where: str, quote: str, expected: list[str]) -> None:
    """Prose stays verbatim; a table without known names, below its title, or cut short."""
    text = f"{where}: \u201c{quote}\u201d"
    sentence = {"role": "passage", "text": text, "citation": {"quote": quote}}
    assert screen.quoted_lines(sentence) == expected


# --- table ---


def test_a_live_table_fits_its_window_and_says_what_it_leaves_out() -> None:
    """The newest rows, one line each, below the count of earlier ones."""
    many = [event(100 * i, count=i) for i in range(1, 31)]
    text = shown(screen.live_table(cell(), many, 3_000_000, lines_max=24))
    assert len(text.splitlines()) <= 23
    assert "17 earlier ones not shown" in text
    assert "00:50:00" in text
    assert "00:01:40" not in text
    assert text.startswith("This shift: 30 alerts without records, 30 with.")


def test_the_table_at_the_end_has_every_row_up_to_its_cap() -> None:
    """Nobody looks for rows that a summary counts."""
    many = [event(100 * i, count=i) for i in range(1, 31)]
    figures = assess(episodes_of(many), cell().truth)
    text = shown(screen.final_table(figures, many))
    assert text.count("ALERT  ") == 30
    assert "not shown" not in text
    assert "27 earlier ones not shown" in shown(screen.final_table(figures, many, rows_max=3))


def test_the_legend_explains_the_words_that_are_there() -> None:
    """`annotated` is explained where it stands, and only there; a quiet row names its job."""
    figures = assess(episodes_of(SHIFT), cell().truth)
    text = shown(screen.final_table(figures, SHIFT))
    assert "expected: stays quiet" in text
    assert "(j1)" in text
    assert "annotated" not in text
    asked = [*SHIFT, event(9000, decision="ANNOTATED")]
    text = shown(screen.final_table(figures, asked))
    assert "annotated: rings at lower priority" in text
    assert "\x1b" not in text


def test_a_fault_counts_when_it_is_found_or_over() -> None:
    """The live headline does not call a fault missed that may still ring."""
    assert "missed: 0 of 0." in screen.headline(cell(), [], 4_000_000)
    assert "missed: 1 of 1." in screen.headline(cell(), [], 4_200_000)
    assert "missed: 0 of 1." in screen.headline(cell(), [event(2010)], 2_100_000)


# --- summary ---


def test_every_alert_is_of_a_fault_or_of_work_or_another() -> None:
    """The question after `5 alerts for 1 fault`, answered in one line."""
    silent = msgspec.structs.replace(JOB, job_id="j2", witness="", begin_ns=10_000 * S,
                                     end_ns=11_000 * S)  # fmt: skip
    gone = msgspec.structs.replace(silent, job_id="j3", asset="r1", witness="order", cancelled=True)
    scenario = cell(jobs=(JOB, silent, gone))
    alone = [event(10_500), event(15_000), event(16_000, asset="r2")]
    extra = [
        *(e for told in alone for e in (told, cleared(told, told["begin_ms"] // 1000 + 60))),
        event(10_100, asset="r2"),
        event(7000, asset="r2"),
    ]
    lines = said(scenario, [*SHIFT, *extra])
    assert lines[0] == (
        "6 alerts: 1 about the 1 fault, 1 of work that nobody announced, 1 of announced work, "
        "3 others (9 a day for the whole cell)."
    )
    figures = assess(episodes_of([*SHIFT, *extra]), scenario.truth)
    assert figures.false_alarms_per_day / 3 == pytest.approx(1 + 1 + 3)
    assert "3 jobs: 1 announced, 1 that nobody announced, 1 cancelled." in lines
    assert (
        "Announced work would have rung 2 times; 1 of these stayed quiet, listed as expected."
        in lines
    )


def test_a_ring_in_the_aftermath_is_about_its_fault() -> None:
    """The split agrees with the false alarms that are counted elsewhere."""
    soon = event(4000 + AFTERMATH_S - 10)
    assert said(cell(), [soon])[0].startswith("1 alert: 1 about the 1 fault.")
    late = event(4000 + AFTERMATH_S + 10)
    assert said(cell(), [late])[0].startswith("1 alert: 1 other (3 a day")
    assert said(cell(), [])[0] == "Nothing rang."


def test_one_late_ring_does_not_hide_behind_the_median() -> None:
    """Median and longest, and that work had hidden the late one."""
    hiding = msgspec.structs.replace(JOB, asset="r1", begin_ns=12_000 * S, end_ns=13_000 * S)
    late = msgspec.structs.replace(
        FAULT, fault_id="f2", begin_ns=12_100 * S, end_ns=16_000 * S, situation="during_job"
    )
    held = event(12_050, decision="SUPPRESSED")
    rang = later(held, 13_130, decision="ALERT", active=1, suppressed=0)
    lines = said(cell(faults=(FAULT, late), jobs=(JOB, hiding)), [*SHIFT, held, rang])
    assert "2 faults happened; Andon rang for 2, after 9 min in the median and 17 min at the " in (
        lines[1] + " "
    )
    assert lines[2] == (
        "One was hidden by a calibration of r1 and rang 17 min after it began, when that work "
        "had ended and settled."
    )
    broke_out = later(held, 12_500, decision="ALERT", active=1, suppressed=0)
    lines = said(cell(faults=(FAULT, late), jobs=(JOB, hiding)), [*SHIFT, held, broke_out])
    assert not any("hidden" in line for line in lines)


def test_lost_faults_are_named_and_once_is_no_plural() -> None:
    """Undetected and missed apart."""
    assert "Faults that stayed hidden: 0; not seen at all: 1." in said(cell(), SHIFT[2:])
    lines = said(cell(), SHIFT)
    assert "1 fault happened; Andon rang for 1, 11 s after it began." in lines
    assert "Announced work would have rung once; it stayed quiet, listed as expected." in lines
    assert "Wrong suppressions: none of 1." in lines


def test_a_shift_in_which_nothing_happened_says_so() -> None:
    """Instead of zeros; and what to try."""
    lines = said(cell(faults=(), jobs=(), hours=1, twins=None), [])
    assert lines[0] == "Nothing rang."
    assert "nothing happened that could be shown" in lines[1]
    assert lines[1].endswith("Try --hours 8 --robots 4.")
    assert "no job fell into it" in said(cell(jobs=(), hours=2, twins=None), [])[-1]
    assert "look alike" in said(cell(hours=4, twins=None), [])[-1]


def test_the_summary_fits_a_narrow_pipe() -> None:
    """The headline first, whole."""
    console = Console(record=True, width=80, file=io.StringIO())
    episodes = episodes_of(SHIFT)
    screen.show_summary(assess(episodes, cell().truth), episodes, cell(), console)
    text = console.export_text()
    assert "This shift: 2 alerts without records, 1 with. Faults missed: 0 of 1." in text
    assert all(len(line) <= 80 for line in text.splitlines())


# --- options and replay ---


@pytest.mark.parametrize(
    "options",
    [
        DemoOptions(hours=math.nan),
        DemoOptions(hours=math.inf),
        DemoOptions(hours=0.0),
        DemoOptions(hours=1e6),
        DemoOptions(seconds=math.nan),
        DemoOptions(seconds=math.inf),
        DemoOptions(seconds=0.0),
        DemoOptions(robots=0),
    ],
)
def test_numbers_out_of_range_are_refused_with_their_option(options: DemoOptions) -> None:
    """Before anything is simulated or started."""
    with pytest.raises(AndonError, match=r"--(hours|seconds|robots) is .*, expected"):
        run_demo(options, console=Console(file=io.StringIO()))


def test_a_replay_that_fails_says_why(tmp_path: Path) -> None:
    """The thread ends with its reason, for the screen to raise."""
    replay = Replay(tmp_path, Endpoint(port=1), DemoOptions())
    replay.start()
    replay.join(10)
    assert not replay.is_alive()
    assert not replay.done
    assert "recording" in replay.failure
