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
from tests.broker.overheard import LOG, Overheard
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
{log}
{more}
"""
# Started by root it would become a user who may not write to the directories of a test.
USER: Final = "user root" if os.geteuid() == 0 else ""


class Mosquitto:
    """One broker with its own store; `port` stays the same over restarts."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._process: subprocess.Popen[bytes] | None = None
        self.port = free_port()
        self.overheard = Overheard(self.port, directory)

    def start(self, *, more: str = "", **environment: str) -> None:
        """Start it, with further lines of configuration; returns when it answers."""
        config = self._directory / "mosquitto.conf"
        log = LOG.format(log=self.overheard.log)
        text = CONFIG.format(port=self.port, store=self._directory, user=USER, log=log, more=more)
        config.write_text(text, encoding="utf-8")
        self.serve(config, **environment)
        if "allow_anonymous false" not in more:
            self.overheard.listen()

    def serve(self, config: Path, **environment: str) -> None:
        """Start it with a configuration of somebody else's making, for its own port.

        What ears need is added: a log of who says what. Whom they come as, the caller knows.
        """
        assert MOSQUITTO is not None
        text, log = config.read_text(encoding="utf-8"), LOG.format(log=self.overheard.log)
        more = [lines for lines in (USER, log) if lines not in text]
        config.write_text("\n".join([*more, text]), encoding="utf-8")
        self._process = subprocess.Popen(
            [MOSQUITTO, "-c", str(config)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=os.environ | environment,
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


def free_port() -> int:
    """A port of the loopback that nobody has now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def mosquitto_of() -> type[Mosquitto]:
    """Brokers to be made by a test, each in a directory of its own."""
    if MOSQUITTO is None:
        pytest.skip("needs mosquitto, which is not installed")
    return Mosquitto


@pytest.fixture
def mosquitto(
    mosquitto_of: type[Mosquitto], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Mosquitto]:
    """Run mosquitto for one test, and listen to all of it."""
    broker = mosquitto_of(tmp_path_factory.mktemp("mosquitto"))
    broker.start()
    try:
        yield broker
    finally:
        broker.overheard.stop()
        broker.stop()
    broker.overheard.check()


@pytest.fixture(scope="session")
def cell(tmp_path_factory: pytest.TempPathFactory) -> Cell:
    """The weld cell of the tests of whole gateways; it is only read."""
    return make_cell(tmp_path_factory.mktemp("cell"))
