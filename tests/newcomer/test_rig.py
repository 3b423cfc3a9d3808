"""Steps that are timed: a failure says where and what, and no process outlives the run."""

from __future__ import annotations

import io
import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.newcomer import __main__ as newcomer
from tests.newcomer.rig import PLANT, WAIT, Rig, Step, StepError, environment_of, listens_on, table
from tests.waiting import wait_until

# A process with a child, of which neither ends when it is asked to.
STUBBORN = """
import signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-c", "import signal, time\\n"
    "signal.signal(signal.SIGTERM, signal.SIG_IGN)\\nprint('up', flush=True)\\ntime.sleep(600)"])
print(child.pid, flush=True)
time.sleep(600)
"""


def alive(pid: int) -> bool:
    """Whether a process is there and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    """A rig in an empty folder that says what it does to nobody."""
    return Rig(tmp_path, dict(os.environ), out=io.StringIO())


def test_a_step_that_fails_is_told_with_what_was_said(rig: Rig) -> None:
    """Name, exit code and the command's own words; the steps before it stay."""
    with rig.step("first", "true"):
        rig.run(["true"], seconds_max=30.0)
    said = "import sys; print('no such broker'); sys.exit(3)"
    refused = pytest.raises(StepError, match=r"(?s)exit code 3, expected 0.*no such broker")
    with refused, rig.step("second", "python ..."):
        rig.run([sys.executable, "-c", said], seconds_max=30.0)
    assert [(one.name, bool(one.trouble)) for one in rig.steps] == [
        ("first", False),
        ("second", True),
    ]
    assert "no such broker" in rig.steps[1].trouble
    assert "| 2 | second | `python ...` |" in table(rig.steps)
    assert "**failed**" in table(rig.steps)


def test_a_step_that_hangs_is_ended_in_time(rig: Rig) -> None:
    """What it said until then is told, and its process is gone."""
    hangs = "import os, time; print(os.getpid(), flush=True); time.sleep(600)"
    with rig, pytest.raises(StepError, match="no end after 2 s") as refused:
        rig.run([sys.executable, "-c", hangs], seconds_max=2.0)
    pid = int(str(refused.value).split()[-1])
    assert not alive(pid)


def test_nothing_that_was_started_outlives_the_run(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither a process that ignores the request to end, nor its child, where a step fails."""
    monkeypatch.setattr("tests.newcomer.rig.STOP_S", 0.2)
    log = rig.folder / "stubborn.log"
    started = rig.start([sys.executable, "-c", STUBBORN], log="stubborn.log")
    wait_until(lambda: len(log.read_text().split()) == 2, what="both processes", seconds_max=30)
    child = next(int(word) for word in log.read_text().split() if word != "up")
    assert alive(started.pid)
    assert alive(child)
    with pytest.raises(StepError), rig, rig.step("third", "false"):
        rig.run(["false"], seconds_max=30.0)
    assert started.returncode is not None
    wait_until(lambda: not alive(child), what="the end of the child", seconds_max=10)


def test_what_should_go_on_and_ended_is_told(rig: Rig) -> None:
    """With its last words."""
    with rig:
        ended = rig.start([sys.executable, "-c", "raise SystemExit('port in use')"], log="a.log")
        ended.wait(30)
        with pytest.raises(StepError, match=r"(?s)exit code 1.*port in use"):
            rig.still_there(ended, log="a.log")


def test_the_clone_is_on_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Its own `andon` comes first, and nothing leads back to where it was cloned from."""
    monkeypatch.setenv("PYTHONPATH", "/elsewhere")
    monkeypatch.setenv("GIT_DIR", "/elsewhere")
    monkeypatch.setenv("MAKEFLAGS", "k")
    monkeypatch.setenv("ARGS", "--json figures.json")
    monkeypatch.setenv("PIP_CERT", "own.pem")
    found = environment_of(tmp_path)
    assert not {"PYTHONPATH", "GIT_DIR", "MAKEFLAGS", "ARGS"} & set(found)
    assert found["PATH"].split(os.pathsep)[0] == str(tmp_path / ".venv" / "bin")
    assert found["PIP_CERT"] == "own.pem"


def test_a_port_counts_once_somebody_listens_there() -> None:
    """Before that a client that does not wait would fail for no fault of the product."""
    with socket.socket() as there:
        there.bind(("127.0.0.1", 0))
        port = there.getsockname()[1]
        assert not listens_on(port)
        there.listen()
        assert listens_on(port)


def test_waiting_and_the_plant_are_summed_apart() -> None:
    """What is work, what was waited for, and what a plant has already."""
    steps = [Step("a", "a", "work", 2.0), Step("b", "b", WAIT, 30.0), Step("c", "c", PLANT, 4.0)]
    assert table(steps).endswith("total 36 s: work 2 s, wait 30 s, plant 4 s")


def test_a_run_that_fails_says_so_and_writes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A repository that cannot be cloned: exit code 1, the step, and the same as JSON."""
    monkeypatch.setattr(newcomer, "ROOT", tmp_path / "nowhere")
    monkeypatch.setattr(newcomer, "NEEDED", {"git": "git"})
    file = tmp_path / "figures.json"
    assert newcomer.main(["--json", str(file)]) == 1
    said = capsys.readouterr()
    assert "FAILED: clone: exit code 128" in said.err
    assert "nowhere" in said.err
    assert "| 1 | clone |" in said.out
    figures = json.loads(file.read_text())
    assert figures["steps"][0]["trouble"]
    assert figures["trouble"].startswith("clone: ")


def test_too_long_is_a_failure(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """More than a quarter of an hour is told, though every step did what it should."""
    monkeypatch.setattr(newcomer, "NEEDED", {"git": "git"})
    monkeypatch.setattr(newcomer, "LIMIT_S", 0.01)
    monkeypatch.setattr(newcomer.Newcomer, "go", _slow)
    assert newcomer.main([]) == 1
    assert "expected at most 0 s" in capsys.readouterr().err


def _slow(one: newcomer.Newcomer) -> None:
    with one._rig.step("slow", "sleep"):
        time.sleep(0.05)


def test_it_needs_nothing_that_has_to_be_installed() -> None:
    """The bare interpreter runs it: whoever has just cloned has no environment."""
    called = [sys.executable, "-S", "-m", "tests.newcomer", "--help"]
    ran = subprocess.run(called, cwd=newcomer.ROOT, capture_output=True, timeout=60, check=False)
    assert ran.returncode == 0, ran.stderr.decode()
    assert b"--minutes" in ran.stdout
    assert b"make newcomer ARGS=" in ran.stdout
