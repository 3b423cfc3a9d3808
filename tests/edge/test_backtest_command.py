"""`andon fit` and `andon backtest` of tables: what a mapping says of witnesses counts here too."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np
import pytest
from rich.console import Console

from edge.assessment.assess import Episode, FaultOutcome, Figures
from edge.bundles.training import FitRequest, fit_recording
from edge.errors import ConfigError, RecordingError
from edge.records import JournalHole, MessageReceived, ShellFault, Started, TickDue
from edge.replays.backtest_command import (
    SHOWN_MAX,
    BacktestRequest,
    Report,
    _show,
    backtest_command,
)
from edge.storage.journal_writer import JournalWriter
from edge.storage.mending import Loss
from kb.snapshots.build import build
from tests.models.plants import plant

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

    from edge.records import Stimulus

MAPPING: Final = """\
asset = "r1"
time = { rate_hz = 1 }
[channels]
c0 = { unit = "bar" }
c1 = { unit = "bar" }
c2 = { unit = "bar" }
c3 = { unit = "bar" }
[context]
cal = { role = "witness", kind = "calibration", instrument = "x" }
"""
SCOPE: Final = """\
kind,asset,instrument,channels,expected_effect,duration_min_max,settle_s,approved_by,approved_at
calibration,r1,x,c1,0.3,10,60,qa,1960-01-01T00:00:00Z
"""
FIT_ROWS: Final = 2000
WORK: Final = slice(2400, 2500)
MARK: Final = slice(2420, 2470)


def quiet() -> Console:
    """A console that nobody reads."""
    return Console(file=io.StringIO())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A table in which a calibration of c1 shows, its mapping, a bundle and a snapshot."""
    values = plant(3000, seed=3)
    values[MARK, 1] += 8 * values[:, 1].std()
    cal = np.zeros(len(values), int)
    cal[WORK] = 1
    rows = [
        ",".join([*(f"{v:.9g}" for v in row), str(on)]) for row, on in zip(values, cal, strict=True)
    ]
    (tmp_path / "line.csv").write_text("\n".join(["c0,c1,c2,c3,cal", *rows]), encoding="utf-8")
    (tmp_path / "line.toml").write_text(MAPPING, encoding="utf-8")
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "scope.csv").write_text(SCOPE, encoding="utf-8")
    build(tmp_path / "docs", tmp_path / "kb", now_ns=0)
    request = FitRequest(
        recording=tmp_path / "line.csv",
        out=tmp_path / "bundle",
        rows=f"0:{FIT_ROWS}",
        mapping=tmp_path / "line.toml",
    )
    fit_recording(request, console=quiet())
    return tmp_path


def backtested(folder: Path, *, kb: bool) -> dict[str, Any]:
    """The report of the rows behind those that were fitted."""
    request = BacktestRequest(
        recording=folder / "line.csv",
        bundle=folder / "bundle",
        kb=folder / "kb" if kb else None,
        rows=f"{FIT_ROWS}:",
        mapping=folder / "line.toml",
        report=folder / "report.json",
    )
    backtest_command(request, console=quiet())
    report: dict[str, Any] = msgspec.json.decode((folder / "report.json").read_bytes())
    return report


def test_a_witness_column_of_a_table_opens_jobs(folder: Path) -> None:
    """With the approved scope the mark is expected, without knowledge it rings."""
    known = backtested(folder, kb=True)
    assert (len(known["alerts"]), len(known["suppressions"])) == (0, 1)
    unknown = backtested(folder, kb=False)
    assert (len(unknown["alerts"]), len(unknown["suppressions"])) == (1, 0)


def test_a_report_that_cannot_be_written_is_said_before_the_run(folder: Path) -> None:
    """A run is long."""
    request = BacktestRequest(
        recording=folder / "line.csv", bundle=folder / "bundle", report=folder / "no" / "r.json"
    )
    with pytest.raises(RecordingError, match="is no directory"):
        backtest_command(request, console=quiet())


@pytest.mark.parametrize(("rows", "asset"), [("0:10", ""), ("", "r9")])
def test_a_journal_refuses_what_only_a_table_can_take(folder: Path, rows: str, asset: str) -> None:
    """An option that does nothing would give another result than was asked for."""
    writer = JournalWriter(folder / "journal")
    writer.append([(1, MessageReceived(topic="plant/r1", payload=b"{}", received_ns=1))])
    writer.close()
    journal, bundle = folder / "journal", folder / "bundle"
    fit = FitRequest(recording=journal, out=folder / "b", rows=rows, asset=asset)
    with pytest.raises(RecordingError, match="is for tables"):
        fit_recording(fit, console=quiet())
    run = BacktestRequest(recording=journal, bundle=bundle, rows=rows, asset=asset)
    with pytest.raises(RecordingError, match="is for tables"):
        backtest_command(run, console=quiet())


def test_a_journal_of_another_bundle_says_that_alerts_may_differ(folder: Path) -> None:
    """A figure of something else must not pass for the live run's."""
    writer = JournalWriter(folder / "journal")
    ran = Started(version="0", bundle_sha256="other", snapshot_sha256="", settings_sha256="")
    writer.append([(1, ran), (2, TickDue())])
    writer.close()
    console = quiet()
    request = BacktestRequest(recording=folder / "journal", bundle=folder / "bundle")
    backtest_command(request, console=console)
    assert isinstance(console.file, io.StringIO)
    assert "another bundle" in console.file.getvalue()
    assert "another snapshot" not in console.file.getvalue()


def test_a_journal_with_holes_says_where_they_are(folder: Path) -> None:
    """A result that covers a hole must not pass for a whole one: from, to, how much."""
    writer = JournalWriter(folder / "journal")
    at_ns, s = 1_760_000_000 * 10**9, 10**9
    ran = Started(version="0", bundle_sha256="", snapshot_sha256="", settings_sha256="")
    full = JournalHole(
        from_ns=at_ns, to_ns=at_ns + 60 * s, stimuli=77, because="no space left", leap=1 << 20
    )
    loss = Loss(
        segment="00000007.journal", why="damaged record at byte 812", lost_bytes=4_711,
        after_ns=at_ns + 100 * s, before_ns=None, kept="journal/aside/00000007.1.journal",
    )  # fmt: skip
    told: list[Stimulus] = [
        ran,
        full,
        ShellFault(name="not_durable", detail="it is over", active=False),
        ShellFault(name="journal_damaged", detail=f"{loss}; {loss} ... (3 segments)"),
        ShellFault(name="journal_damaged", detail="it is over", active=False),
        ShellFault(name="journal_gap", detail="what came between was dropped"),
        TickDue(),
    ]
    writer.append([(at_ns + 200 * s, one) for one in told])
    writer.close()
    console = Console(file=io.StringIO(), width=300)
    report = folder / "report.json"
    request = BacktestRequest(recording=folder / "journal", bundle=folder / "bundle", report=report)
    backtest_command(request, console=console)
    assert isinstance(console.file, io.StringIO)
    said = console.file.getvalue()
    assert "lacks 77 stimuli between 2025-10-09 08:53:20Z and 2025-10-09 08:54:20Z" in said
    assert "lacks 4711 B between 2025-10-09 08:55:00Z and a time not known" in said
    assert "What happened then is not in this result" in said
    holes = msgspec.json.decode(report.read_bytes())["holes"]
    assert [(one["from_ns"], one["to_ns"]) for one in holes] == [
        (at_ns, at_ns + 60 * s),
        (at_ns + 100 * s, None),
        (None, at_ns + 200 * s),
        (None, at_ns + 200 * s),
    ]
    assert [(one["stimuli"], one["lost_bytes"]) for one in holes[:2]] == [(77, None), (None, 4711)]
    assert [one["because"] for one in holes[2:]] == [
        "1 more damaged segments",
        "what came between was dropped",
    ]


def test_what_is_no_bundle_is_said_with_how_to_make_one(folder: Path) -> None:
    """Before the recording is read."""
    request = BacktestRequest(recording=folder / "line.csv", bundle=folder / "docs")
    with pytest.raises(ConfigError, match="make one with `andon fit"):
        backtest_command(request, console=quiet())
    into = FitRequest(recording=folder / "line.csv", out=folder / "b", into=folder / "docs")
    with pytest.raises(ConfigError, match="make one with `andon fit"):
        fit_recording(into, console=quiet())


def test_a_table_refuses_a_configuration(folder: Path) -> None:
    """Its mapping says what is context; a configuration would do nothing."""
    file = folder / "gateway.toml"
    file.write_text('site = "s"\n[model]\nbundle = "b"\n')
    fit = FitRequest(recording=folder / "line.csv", out=folder / "b", config=file)
    with pytest.raises(RecordingError, match="--config is for journals"):
        fit_recording(fit, console=quiet())
    run = BacktestRequest(recording=folder / "line.csv", bundle=folder / "bundle", config=file)
    with pytest.raises(RecordingError, match="--config is for journals"):
        backtest_command(run, console=quiet())


NOON: Final = 1_772_451_457 * 10**9  # 2026-03-02 11:37:37 UTC


def episode(number: int, *, count: int = 1, suppressed: bool = False) -> Episode:
    """An event that rang, or was suppressed."""
    begin_ns = NOON + (number * 3600 + count * 60) * 10**9
    return Episode(
        alert_id=f"r1-process-{number}",
        count=count,
        asset="r1",
        track="process",
        begin_ns=begin_ns,
        opened_ns=begin_ns,
        rang_ns=0 if suppressed else begin_ns,
        suppressed=suppressed,
        decision="SUPPRESSED" if suppressed else "ALERT",
        message="[red] is no markup",
    )


def screen(*episodes: Episode, figures: Figures | None = None) -> str:
    """What is shown of some episodes."""
    console = Console(file=io.StringIO(), width=200)
    report = Report(
        recording="r",
        bundle_sha256="",
        snapshot_sha256="",
        seconds=1.0,
        counts={},
        alerts=tuple(e for e in episodes if e.rang),
        suppressions=tuple(e for e in episodes if e.suppressed),
    )
    _show(report, figures, console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def rows_of(shown: str) -> list[list[str]]:
    """The cells of a table on screen."""
    lines = [line for line in shown.splitlines() if line.startswith("│")]
    return [[cell.strip() for cell in line.strip("│").split("│")] for line in lines]


def test_an_alert_that_came_again_is_one_row_with_its_count() -> None:
    """The title counts the rows; times are for people."""
    shown = screen(
        episode(0), episode(0, count=2), episode(0, count=3), episode(1, suppressed=True)
    )
    assert "1 alerts, 1 suppressed" in shown
    first, second = rows_of(shown)
    what = "[red] is no markup"
    assert first == ["2026-03-02 11:38:37", "r1", "process", "ALERT", "3", what]
    assert second == ["2026-03-02 12:38:37", "r1", "process", "SUPPRESSED", "1", what]


def test_rows_that_are_not_shown_are_counted() -> None:
    """A reader must not take the first ones for all."""
    shown = screen(*(episode(i) for i in range(SHOWN_MAX + 3)))
    assert f"{SHOWN_MAX + 3} alerts, 0 suppressed" in shown
    assert "3 more in the report" in shown
    assert len(rows_of(shown)) == SHOWN_MAX


def test_figures_are_sentences_and_the_report_keeps_its_keys() -> None:
    """No key of the report is on the screen; what was not found is named with what it was."""
    faults = [
        FaultOutcome(
            fault_id=f"f{i}",
            kind="drift",
            asset="r1",
            size_sigma=1.0,
            situation="alone",
            outcome=outcome,
            delay_s=7.0,
        )
        for i, outcome in enumerate(("found", "missed", "undetected"))
    ]
    figures = Figures(
        events_total=3,
        events_found=1,
        delay_median_s=7.0,
        false_alarms_per_day=1.25,
        faults_total=3,
        faults_found=1,
        faults_missed=1,
        faults_undetected=1,
        wrong_suppressions=0,
        jobs_total=4,
        jobs_witnessed=2,
        calibration_false_alarms_without_kb=5,
        calibration_false_alarms_with_kb=1,
        alerts_without_kb=9,
        alerts_with_kb=4,
        suppressions=6,
        faults=tuple(faults),
    )
    shown = screen(episode(0), figures=figures)
    for line in (
        "Faults: 3",
        "found: 1",
        "missed (an event opened, but nothing rang in time): 1",
        "not detected (no event opened): 1",
        "Median delay of those found: 7 s",
        "False alarms a day: 1.2",
        "Alarms of the 2 witnessed jobs: 5 without records, 1 with them",
        "Suppressions, repeats counted: 6, of them wrong: 0",
        "Missed: f1, drift, of r1",
        "Not detected: f2, drift, of r1",
    ):
        assert line in shown, shown
    assert not [key for key in figures.__struct_fields__ if "_" in key and key in shown]
