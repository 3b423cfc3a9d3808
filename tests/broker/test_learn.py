"""`andon learn`: record, fit, adopt, broken off in between and gone on with."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

from typer.testing import CliRunner

import andon
from edge.configuration.config import load
from edge.storage.journal import read_journal
from models.bundles.bundle import is_unfitted
from models.bundles.store import load as load_bundle
from models.errors import ModelError
from tests.broker.four_formats import ASSETS, FourFormats
from tests.waiting import wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.broker.conftest import Mosquitto

MINUTES = "0.4"


class Learning:
    """`andon learn` in a process of its own."""

    def __init__(self, config: Path, *options: str) -> None:
        command = [sys.executable, "-m", "andon", "learn", str(config), *options]
        self._process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=os.environ | {"COLUMNS": "200"},
        )

    @property
    def running(self) -> bool:
        """Whether it is there."""
        return self._process.poll() is None

    def interrupt(self) -> None:
        """Press Ctrl-C."""
        self._process.send_signal(signal.SIGINT)

    def end(self) -> tuple[int, str]:
        """Its exit code and what it printed."""
        output, _ = self._process.communicate(timeout=120)
        return self._process.returncode, output.decode()


def recorded(folder: Path) -> int:
    """How many messages a recording holds so far."""
    journal = folder / "learned" / "recording"
    return sum(1 for _ in read_journal(journal)) if journal.is_dir() else 0


def test_a_bundle_of_what_comes_in_two_sittings(mosquitto: Mosquitto, tmp_path: Path) -> None:
    """Ctrl-C loses nothing: the second call goes on, fits, and the configuration names it."""
    config = tmp_path / "gateway.toml"
    at = f"127.0.0.1:{mosquitto.port}"
    with FourFormats(mosquitto.port):
        command = ["discover", "--broker", at, "--seconds", "3", "-o", str(config)]
        found = CliRunner().invoke(andon.app, command)
        assert found.exit_code == 0, found.output

        first = Learning(config, "--minutes", MINUTES)
        wait_until(lambda: recorded(tmp_path) > 300, what="something recorded", seconds_max=60.0)
        assert first.running
        first.interrupt()
        code, said = first.end()
        assert code == 1, said
        assert "Call the same command again to go on" in said
        assert f"messages of {len(ASSETS)} assets" in said
        assert load(config, environment={}).model.bundle == ""
        before = recorded(tmp_path)
        assert before > 300

        code, said = Learning(config, "--minutes", MINUTES).end()
        assert code == 0, said
    assert "minutes are there already" in said
    assert recorded(tmp_path) > before
    settings = load(config, environment={})
    bundle = load_bundle(settings.path(settings.model.bundle))
    assert {one.asset for one in bundle.assets} == ASSETS
    assert not [one.asset for one in bundle.assets if is_unfitted(one.metrics)]
    assert "is learned/bundle" in said
    assert "andon accept" in said
    checked = CliRunner().invoke(andon.app, ["check", str(config)])
    assert checked.exit_code == 0, checked.output
    assert config.read_text("utf-8").count("# guess") > len(ASSETS), "comments stay"


def test_too_little_is_refused_in_words(mosquitto: Mosquitto, tmp_path: Path) -> None:
    """A few seconds make no bundle; the configuration stays as it was."""
    config = tmp_path / "gateway.toml"
    text = f"""
site = "s"
[mqtt]
port = {mosquitto.port}
[commissioning]
[[source]]
topic = "works/hall2/{{asset}}"
"""
    config.write_text(text, encoding="utf-8")
    with FourFormats(mosquitto.port):
        refused = CliRunner().invoke(andon.app, ["learn", str(config), "--minutes", "0.05"])
    assert isinstance(refused.exception, ModelError)
    assert "record longer with --minutes" in str(refused.exception)
    assert "oven-1: not learned:" in refused.output
    assert config.read_text("utf-8") == text
    assert not (tmp_path / "learned" / "bundle").exists()
