"""An embedded broker on loopback for the demo and for tests.

Mosquitto where it is installed, else amqtt.

amqtt loses acknowledged messages under fast publishers, so a plant never runs on it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

from edge.errors import AndonError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

START_S_MAX: Final = 15.0
_CONFIG: Final = """\
listener {port} 127.0.0.1
allow_anonymous true
set_tcp_nodelay true
max_inflight_messages 1000
max_queued_messages 100000
persistence {persistence}
persistence_location {directory}/
autosave_interval 1
log_dest file {directory}/mosquitto.log
"""


def find_mosquitto() -> str | None:
    """Path of the mosquitto program, None where it is not installed.

    Debian keeps it out of users' PATH.
    """
    return shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")


def free_port() -> int:
    """A loopback port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Mosquitto:
    """A mosquitto of our own.

    A context manager; may be stopped and started again on the same port.
    """

    def __init__(self, *, persistence: bool = False) -> None:
        """Raises AndonError where mosquitto is not installed."""
        program = find_mosquitto()
        if program is None:
            raise AndonError("mosquitto is not installed; on Debian: apt-get install mosquitto")
        self.name = "mosquitto"
        self.port = free_port()
        self._program = program
        self._persistence = persistence
        self._directory = tempfile.TemporaryDirectory(prefix="andon-broker-")
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self._directory.cleanup()

    def start(self) -> None:
        """Start it and wait until it listens. Raises AndonError with its log when it does not."""
        directory = Path(self._directory.name)
        directory.chmod(0o777)  # started by root, mosquitto becomes a user of its own
        config = directory / "mosquitto.conf"
        config.write_text(
            _CONFIG.format(
                port=self.port, directory=directory, persistence=str(self._persistence).lower()
            ),
            encoding="utf-8",
        )
        process = self._process = subprocess.Popen(  # noqa: S603 - a program that `which` has found
            [self._program, "-c", str(config)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        if not _listens(self.port, alive=lambda: process.poll() is None):
            self.stop()
            log = directory / "mosquitto.log"
            told = log.read_text(encoding="utf-8", errors="replace") if log.is_file() else ""
            raise AndonError(f"mosquitto did not start on port {self.port}: {told[-500:]}")

    def stop(self) -> None:
        """End it; with persistence its sessions are there at the next start."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None

    def kill(self) -> None:
        """End it as a power cut would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


class Amqtt:
    """amqtt in a thread. A context manager."""

    def __init__(self) -> None:
        self.name = "amqtt"
        self.port = free_port()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="amqtt", daemon=True)
        self._broker: Any = None

    def __enter__(self) -> Self:
        from amqtt.broker import Broker  # noqa: PLC0415 - slow, and needed only without mosquitto

        for name in ("amqtt", "transitions"):
            logging.getLogger(name).setLevel(logging.CRITICAL)
        self._thread.start()
        config = {
            "listeners": {"default": {"type": "tcp", "bind": f"127.0.0.1:{self.port}"}},
            "plugins": {
                "amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}
            },
        }

        async def start() -> None:
            self._broker = Broker(config)
            await self._broker.start()

        asyncio.run_coroutine_threadsafe(start(), self._loop).result(START_S_MAX)
        if not _listens(self.port, alive=lambda: True):
            raise AndonError(f"the embedded broker did not start on port {self.port}")
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(Exception):  # it is a demo's broker, and the demo is over
            asyncio.run_coroutine_threadsafe(self._broker.shutdown(), self._loop).result(5.0)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=5.0)


@contextlib.contextmanager
def embedded_broker() -> Iterator[Mosquitto | Amqtt]:
    """The best broker that is here, on a free loopback port."""
    broker: Mosquitto | Amqtt = Mosquitto() if find_mosquitto() else Amqtt()
    with broker:
        yield broker


def _listens(port: int, *, alive: Callable[[], bool]) -> bool:
    deadline_s = time.monotonic() + START_S_MAX
    while time.monotonic() < deadline_s and alive():
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 0.2):
            return True
        time.sleep(0.02)
    return False
