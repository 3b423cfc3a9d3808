"""`andon reload` speaks to the gateway alone: what it left behind may name somebody else."""

from __future__ import annotations

import fcntl
import subprocess
import sys
from typing import TYPE_CHECKING, Final

import msgspec
import pytest
from typer.testing import CliRunner

import andon
from edge.configuration.config import load
from edge.gateway.reloading import RUNNING, Running, placed
from edge.storage.journal_writer import JournalWriter

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CONFIG: Final = """site = "s"
[model]
bundle = ""
[commissioning]
[[source]]
topic = "plant/{{asset}}"
[[asset]]
id = "r1"
severity = {severity}
[asset.tags]
"a" = "a"
"""
# Says that it was asked to reload, and goes on until its input ends.
SOMEBODY: Final = """
import signal, sys
signal.signal(signal.SIGHUP, lambda *_: print("asked", flush=True))
print("here", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A configuration whose gateway, by what it has left, runs with another severity."""
    monkeypatch.setattr("edge.gateway.reloading.REOPENED_S", 0.2)
    monkeypatch.setattr("andon.reloading.WAIT_S", 0.5)
    # a detector is not what is asked here, and without one nobody would come as far as the signal
    monkeypatch.setattr("edge.gateway.reloading.try_out", lambda _: None)
    path = tmp_path / "gateway.toml"
    path.write_text(CONFIG.format(severity=400), encoding="utf-8")
    return path


@pytest.fixture
def somebody() -> Iterator[subprocess.Popen[str]]:
    """A process that is no gateway."""
    with subprocess.Popen(
        [sys.executable, "-c", SOMEBODY],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stdout.readline() == "here\n"
        yield process
        process.kill()


def left_behind(config: Path, pid: int) -> None:
    """What a gateway of this number has written of itself."""
    found = placed(load(config, environment={}))
    state = found.path(found.journal.dir)
    state.mkdir(exist_ok=True)
    running = Running(pid=pid, taken=0, asked=0, refused="", config=found)
    (state / RUNNING).write_bytes(msgspec.json.encode(running))


def reload(config: Path) -> tuple[int, str]:
    """Exit code, and what was said."""
    found = CliRunner().invoke(andon.app, ["reload", str(config), "--yes"])
    return found.exit_code, f"{found.output}{found.exception or ''}"


def test_a_number_that_is_another_process_by_now_is_not_signalled(
    config: Path, somebody: subprocess.Popen[str]
) -> None:
    """The gateway ended, and what it wrote of itself stays: a signal would end whoever it is."""
    left_behind(config, somebody.pid)
    state = config.parent / "state"
    config.write_text(CONFIG.format(severity=500), encoding="utf-8")
    told = []
    for _ in ("without a journal", "with one that nobody holds"):
        code, said = reload(config)
        assert code != 0
        told.append(said)
        JournalWriter(state / "journal").close()
    assert somebody.stdin is not None
    assert somebody.stdout is not None
    somebody.stdin.close()
    assert somebody.stdout.read() == "", "it was told nothing"
    assert all("no gateway holds its journal" in said for said in told)


def test_the_lock_that_tells_is_that_of_the_journal(tmp_path: Path) -> None:
    """Whoever looks takes nothing away from who writes."""
    writer = JournalWriter(tmp_path)
    with next(tmp_path.iterdir()).open("rb") as file, pytest.raises(BlockingIOError):
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    writer.close()
