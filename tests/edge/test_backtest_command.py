"""`andon fit` and `andon backtest` of tables: what a mapping says of witnesses counts here too."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np
import pytest
from rich.console import Console

from edge.backtest_command import BacktestRequest, backtest_command
from edge.errors import RecordingError
from edge.journal import JournalWriter
from edge.records import MessageReceived, Started, TickDue
from edge.training import FitRequest, fit_recording
from kb.build import build
from tests.models.plants import plant

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

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
def test_a_journal_refuses_what_only_a_table_can_take(
    folder: Path, rows: str, asset: str
) -> None:
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
