"""`andon bench` on small folders of each benchmark's shape, made up here."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from bs4 import BeautifulSoup
from typer.testing import CliRunner

import andon
from models.bench.run import run_benchmark
from models.errors import ModelError
from tests.models.plants import plant

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np

KEYS = {
    "skab": {
        "f1", "far", "mar", "events_total", "events_found", "events_standing",
        "delay_median_rows", "false_episodes_per_hour", "vus_pr", "files",
    },
    "nab": {"standard", "low_fp", "low_fn", "threshold", "vus_pr", "files"},
    "tep": {"detection", "far", "far_before_faults", "per_fault", "vus_pr", "files"},
    "cnc": {"auc", "files"},
}  # fmt: skip


def _lines(path: Path, header: str, rows: list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([header, *rows]) + "\n")


def _skab(path: Path) -> None:
    for k in range(2):
        x = plant(700, seed=k, c=3)
        x[550:650] += 6 * x.std(axis=0)
        rows = [
            f"2026-01-01 00:{i // 60:02}:{i % 60:02};{a};{b};{c};{float(550 <= i < 650)};0.0"
            for i, (a, b, c) in enumerate(x.tolist())
        ]
        _lines(path / "valve" / f"{k}.csv", "datetime;A;B;C;anomaly;changepoint", rows)
    _lines(path / "normal.csv", "datetime;A;B;C", ["2026-01-01 00:00:00;1;2;3"])


def _nab(path: Path) -> None:
    windows = {}
    for k in range(2):
        x = plant(1200, seed=k, c=1)[:, 0]
        x[800:805] += 12 * x.std()
        times = [
            f"2026-01-{1 + i // 288:02} {i // 12 % 24:02}:{i % 12 * 5:02}:00" for i in range(1200)
        ]
        rows = [f"{t},{v}" for t, v in zip(times, x.tolist(), strict=True)]
        _lines(path / "data" / "real" / f"{k}.csv", "timestamp,value", rows)
        windows[f"real/{k}.csv"] = [[times[780], times[840]]]
    (path / "combined_windows.json").write_text(json.dumps(windows))


def _tep(path: Path) -> None:
    def save(name: str, x: np.ndarray) -> None:
        (path / name).write_text("\n".join(" ".join(f"{v:.6e}" for v in row) for row in x))

    path.mkdir(parents=True, exist_ok=True)
    normal = plant(1500, seed=0, c=52)
    save("d00.dat", normal[:500].T)
    save("d00_te.dat", normal[500:])
    for fault in (1, 3):
        x = plant(300, seed=fault, c=52)
        x[160:] += (6.0 if fault == 1 else 0.0) * x.std(axis=0)
        save(f"d{fault:02}_te.dat", x)


def _cnc(path: Path) -> None:
    _lines(
        path / "train.csv",
        "No,tool_condition",
        [f"{k},{'worn' if k > 3 else 'unworn'}" for k in range(1, 6)],
    )
    for k in range(1, 6):
        x = plant(400, seed=k, c=3)
        x += (3.0 if k > 3 else 0.0) * x.std(axis=0)
        rows = [",".join(map(str, row)) + ",Prep" for row in x.tolist()]
        _lines(path / f"experiment_{k:02}.csv", "X,Y,S,Machining_Process", rows)


MAKERS = {"skab": _skab, "nab": _nab, "tep": _tep, "cnc": _cnc}


def _told(*arguments: str) -> dict[str, Any]:
    """What the command says as JSON, on standard output alone."""
    done = CliRunner().invoke(andon.app, ["bench", *arguments, "--json", "--processes", "1"])
    assert done.exit_code == 0, (done.output, done.exception)
    told = json.loads(done.stdout)
    assert isinstance(told, dict)
    return told


@pytest.mark.parametrize("name", MAKERS)
@pytest.mark.not_counted
def test_json_alone_and_a_report_hold_the_figures_that_are_agreed(
    name: str, tmp_path: Path
) -> None:
    """On faults that are plain to see the default configuration is right, whatever the shape."""
    MAKERS[name](tmp_path / "data")
    told = _told(name, str(tmp_path / "data"), "--html", str(tmp_path / "report.html"))
    assert KEYS[name] <= set(told)
    _check_plots(name, tmp_path / "report.html", [file["name"] for file in told["files"]])
    if name == "skab":
        assert told["f1"] > 0.7
        assert (told["events_total"], told["events_found"]) == (2, 2)
        assert [file["name"] for file in told["files"]] == ["valve/0.csv", "valve/1.csv"]
        assert "normal.csv" in told["notes"][0]
    elif name == "nab":
        assert told["standard"] > 50.0
        assert told["chosen"] is True
    elif name == "tep":
        assert told["detection"] == told["per_fault"]["1"] > 0.9
        assert told["per_fault"]["3"] < 0.2
        assert told["far"] < 0.05
    else:
        assert told["auc"] == 1.0
        assert [run["worn"] for run in told["files"]] == [False] * 3 + [True] * 2


def _check_plots(name: str, report: Path, files: list[str]) -> None:
    """The report has a plot for each file, or fold, with lines in it, and nothing that runs."""
    soup = BeautifulSoup(report.read_text("utf-8"), "html.parser")
    plots = soup.find_all("svg")
    folds = [f"without experiment_{k:02}" for k in (1, 2, 3)]
    assert [svg["aria-label"] for svg in plots] == (folds if name == "cnc" else files)
    assert all(len(svg.find_all("polyline")) >= 2 for svg in plots)
    assert not soup.find_all(["script", "link", "img"])


def test_a_threshold_of_ones_own_takes_the_place_of_the_fits(tmp_path: Path) -> None:
    """Out of reach nothing is flagged, at nothing everything; NAB then chooses none."""
    _skab(tmp_path / "skab")
    silent = _told("skab", str(tmp_path / "skab"), "--threshold", "1e9")
    assert (silent["f1"], silent["far"], silent["mar"]) == (0.0, 0.0, 100.0)
    assert silent["delay_median_rows"] is None
    loud = _told("skab", str(tmp_path / "skab"), "--threshold", "-1")
    assert (loud["far"], loud["mar"]) == (100.0, 0.0)
    _nab(tmp_path / "nab")
    told = _told("nab", str(tmp_path / "nab"), "--threshold", "1e9")
    assert (told["standard"], told["threshold"], told["chosen"]) == (0.0, 1e9, False)
    assert set(told["thresholds"].values()) == {1e9}


def test_the_best_threshold_given_again_scores_the_same(tmp_path: Path) -> None:
    """What NAB's rule chose can be used on other files, and means the same there."""
    _nab(tmp_path)
    chosen = _told("nab", str(tmp_path))
    again = _told("nab", str(tmp_path), "--threshold", repr(chosen["threshold"]))
    assert again["standard"] == chosen["standard"]
    assert again["low_fp"] <= chosen["low_fp"]


@pytest.mark.not_counted
def test_processes_change_nothing_but_the_time(tmp_path: Path) -> None:
    """Two spawned processes, started as a user starts the command, say the same to the byte."""
    _skab(tmp_path)
    command = [sys.executable, "-m", "andon", "bench", "skab", str(tmp_path), "--json"]
    one, two = (
        subprocess.run(
            [*command, "--processes", n], capture_output=True, check=True, text=True
        ).stdout
        for n in ("1", "2")
    )
    assert one == two


def test_without_json_the_figures_stand_in_tables(tmp_path: Path) -> None:
    """Every file by name, the figures below, and where the report is."""
    _skab(tmp_path / "data")
    report = tmp_path / "report.html"
    arguments = ["bench", "skab", str(tmp_path / "data"), "--html", str(report)]
    done = CliRunner().invoke(andon.app, [*arguments, "--processes", "1"])
    assert done.exit_code == 0, (done.output, done.exception)
    for said in ("valve/0.csv", "valve/1.csv", "missing alarm rate", "2 of 2"):
        assert said in done.stdout
    assert f"Report: {report}" in done.stdout


def test_what_cannot_be_judged_is_silent_and_named(tmp_path: Path) -> None:
    """A file without a value to fit on scores as saying nothing, and the rest counts."""
    _nab(tmp_path)
    text = (tmp_path / "data" / "real" / "0.csv").read_text().splitlines()
    blank = [text[0], *(line.split(",")[0] + "," for line in text[1:])]
    (tmp_path / "data" / "real" / "0.csv").write_text("\n".join(blank))
    done = CliRunner().invoke(
        andon.app, ["bench", "nab", str(tmp_path), "--json", "--processes", "1"]
    )
    told = json.loads(done.stdout)
    assert told["files"][0]["error"]
    assert told["files"][0]["points"] == -1.0
    assert "real/0.csv: not judged, so silent" in done.stderr
    assert told["files"][1]["windows_found"] == 1


def test_a_folder_of_another_shape_is_refused(tmp_path: Path) -> None:
    """With what was expected, and where."""
    _skab(tmp_path)
    for name in ("nab", "tep", "cnc"):
        with pytest.raises(ModelError, match=str(tmp_path)):
            run_benchmark(name, tmp_path)


def test_a_threshold_must_be_a_number(tmp_path: Path) -> None:
    """NaN would flag nothing, in silence."""
    done = CliRunner().invoke(andon.app, ["bench", "skab", str(tmp_path), "--threshold", "nan"])
    assert done.exit_code == 2
    assert "is no score" in done.stderr
