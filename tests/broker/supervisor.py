"""A supervisor as systemd is one: a datagram socket that hears what a gateway says of itself."""

from __future__ import annotations

import shutil
import socket
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Mapping

FED = "WATCHDOG=1"


class Supervisor:
    """A context manager; `environment` is what it starts a gateway with."""

    def __init__(self, *, watchdog_s: float) -> None:
        # a directory of its own: the name of a socket has at most 107 bytes
        self._folder = Path(tempfile.mkdtemp(prefix="andon-notify-"))
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(self._folder / "notify"))
        self._socket.settimeout(0)
        self._watchdog_s = watchdog_s
        self._heard: list[str] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()
        shutil.rmtree(self._folder)

    @property
    def environment(self) -> Mapping[str, str]:
        """What systemd would set."""
        return {
            "NOTIFY_SOCKET": str(self._folder / "notify"),
            "WATCHDOG_USEC": str(int(self._watchdog_s * 1e6)),
        }

    def heard(self) -> list[str]:
        """Every line so far, in order."""
        while True:
            try:
                self._heard += self._socket.recv(65_536).decode().splitlines()
            except BlockingIOError:
                return list(self._heard)

    def fed(self) -> int:
        """How often the watchdog was fed."""
        return self.heard().count(FED)

    def after(self, begin: str) -> list[str]:
        """What was heard behind the last line that begins so; nothing where there is none."""
        lines = self.heard()
        places = [i for i, line in enumerate(lines) if line.startswith(begin)]
        return lines[places[-1] :] if places else []
