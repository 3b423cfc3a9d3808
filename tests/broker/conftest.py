"""A real mosquitto on a free port of the loopback, that tests may stop and start again."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
from typing import TYPE_CHECKING, Final

import pytest

from tests.broker.cells import Cell, make_cell
from tests.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MOSQUITTO: Final = shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
CONFIG: Final = """\
listener {port} 127.0.0.1
allow_anonymous true
set_tcp_nodelay true
max_inflight_messages 1000
max_queued_messages 100000
persistence true
persistence_location {store}/
{user}
{more}
"""
# Started by root it would become a user who may not write to the directories of a test.
USER: Final = "user root" if os.geteuid() == 0 else ""


class Mosquitto:
    """One broker with its own store; `port` stays the same over restarts."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._process: subprocess.Popen[bytes] | None = None
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])

    def start(self, *, more: str = "") -> None:
        """Start it, with further lines of configuration; returns when it answers."""
        assert MOSQUITTO is not None
        config = self._directory / "mosquitto.conf"
        text = CONFIG.format(port=self.port, store=self._directory, user=USER, more=more)
        config.write_text(text, encoding="utf-8")
        command = [MOSQUITTO, "-c", str(config)]
        self._process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        wait_until(self._answers, what=f"mosquitto on port {self.port}")

    def stop(self) -> None:
        """Stop it cleanly: it writes its store."""
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)  # a test may have left it hanging
            self._process.send_signal(signal.SIGTERM)
            self._process.wait(20.0)
            self._process = None

    def kill(self) -> None:
        """End it as a power cut would: its store is what it saved last."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(20.0)
            self._process = None

    def forget(self) -> None:
        """Lose the store, sessions and retained messages with it; only while it is stopped."""
        assert self._process is None
        (self._directory / "mosquitto.db").unlink(missing_ok=True)

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal, as SIGSTOP to make it hang."""
        assert self._process is not None
        self._process.send_signal(number)

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, "mosquitto ended"
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


@pytest.fixture
def mosquitto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mosquitto]:
    """Run mosquitto for one test."""
    if MOSQUITTO is None:
        pytest.skip("needs mosquitto, which is not installed")
    directory = tmp_path_factory.mktemp("mosquitto")
    broker = Mosquitto(directory)
    broker.start()
    try:
        yield broker
    finally:
        broker.stop()


@pytest.fixture(scope="session")
def cell(tmp_path_factory: pytest.TempPathFactory) -> Cell:
    """The weld cell of the tests of whole gateways; it is only read."""
    return make_cell(tmp_path_factory.mktemp("cell"))
