"""What `andon bench speed` refuses before it measures, and how it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

import pytest
from typer.testing import CliRunner

import andon
from tests.waiting import wait_until

PAGE: Final = Path(__file__).resolve().parent.parent / "docs" / "performance.md"


def refused(*arguments: str) -> str:
    """What is said, in one line of words; nothing may be measured."""
    done = CliRunner().invoke(andon.app, ["bench", "speed", *arguments])
    assert done.exit_code == 2, done.output
    assert "part 1 of" not in done.output
    return " ".join(done.output.replace("│", " ").split())


@pytest.mark.parametrize(
    "content", ["", "no JSON", '[{"id":"a"}]', '{"figures":[{"id":"x"}]}', '{"figures":[1]}']
)
def test_what_is_no_run_is_not_shown(tmp_path: Path, content: str) -> None:
    """The list of --json, too: with what is wrong, and what was expected."""
    file = tmp_path / "told.json"
    file.write_text(content, encoding="utf-8")
    said = refused("--again", str(file))
    assert "told.json" in said
    assert "expected a run as --docs writes it" in said


def test_what_cannot_be_written_is_told_before_anything_is_measured(tmp_path: Path) -> None:
    """A file below a file, or a directory; and a file that nobody would write."""
    (tmp_path / "file").write_bytes(b"")
    for option in ("--html", "--docs"):
        assert "cannot be written" in refused(option, str(tmp_path / "file" / "x"))
        assert "name another file" in refused(option, str(tmp_path))
        assert "cannot be written" in refused(option, str(tmp_path / "typo" / "x"))
    assert not (tmp_path / "typo").exists()
    assert "cannot be written" in refused("--json", str(tmp_path))
    assert "add --json" in refused(str(tmp_path / "figures.json"))


def test_where_peers_cannot_be_kept_is_told_once_and_before_anything_is_measured(
    tmp_path: Path,
) -> None:
    """Not once a peer, behind minutes of measuring; by the directory's name."""
    (tmp_path / "file").write_bytes(b"")
    said = refused("--peers", "--peers-directory", str(tmp_path / "file" / "peers"))
    assert said.count("nothing can be written in") == 1
    assert "name another one" in said


@pytest.mark.parametrize(
    "idle", [("--peers",), ("--quick",), ("--parts", "limits"), ("--peers-directory", "here")]
)
def test_options_that_would_change_nothing_are_refused_by_name(
    tmp_path: Path, idle: tuple[str, ...]
) -> None:
    """A run that is shown again was measured before; a directory is for peers alone."""
    html = tmp_path / "r.html"
    said = refused("--again", str(PAGE.with_suffix(".json")), *idle, "--html", str(html))
    assert idle[0] in said
    assert not html.exists(), "nothing was begun"


def test_who_is_ended_leaves_nothing_that_runs_on(tmp_path: Path) -> None:
    """Parts run in sessions of their own: they end with the command, and their files go."""
    command = [sys.executable, "-m", "andon", "bench", "speed", "--quick", "--parts", "hot_loop"]
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as started:
        children = Path(f"/proc/{started.pid}/task/{started.pid}/children")
        parts: list[str] = []
        for _ in range(600):
            if parts := children.read_text("ascii").split():
                break
            time.sleep(0.05)
        assert parts
        started.send_signal(signal.SIGTERM)
        started.wait(30)
    assert started.returncode == 128 + signal.SIGTERM
    gone = [Path(f"/proc/{part}") for part in parts]  # by who adopts them, a little later
    wait_until(lambda: not any(one.exists() for one in gone), what="the end of its parts")
    assert not list(tmp_path.iterdir())
