"""A product as a process with a log, on the loopback, that is gone when its test is over."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from typing import TYPE_CHECKING, Any, Final, Self

import httpx
import pytest

from tests.clients.install import CLIENTS
from tests.waiting import wait_until

if TYPE_CHECKING:
    from pathlib import Path

READY_S_MAX: Final = 120.0
SEEN_S_MAX: Final = 60.0  # until a client shows what the broker has


def installed(name: str) -> Path:
    """Where `make clients` has put a product; without it the test is skipped."""
    if not (CLIENTS / name / "installed").is_file():
        pytest.skip(f"needs {name}, which is not installed: make clients")
    return CLIENTS / name


def program(name: str) -> str:
    """A program on PATH; without it the test is skipped."""
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"needs {name}, which is not installed")
    return found


class Service:
    """A process group with its output in a file. A context manager that leaves nothing behind."""

    def __init__(self, command: list[str | Path], *, folder: Path, url: str, log: Path) -> None:
        self.url = url
        self.log = log
        self._command = [str(part) for part in command]
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process is not None
        for number, seconds in ((signal.SIGTERM, 5.0), (signal.SIGKILL, 10.0)):
            try:
                os.killpg(self._process.pid, number)
                self._process.wait(seconds)
            except ProcessLookupError:
                break
            except subprocess.TimeoutExpired:
                continue
        self._process.wait(10.0)

    def said(self) -> str:
        """Its log."""
        return self.log.read_text(encoding="utf-8", errors="replace")

    def answers(self, path: str, **headers: str) -> httpx.Response | None:
        """What it answers with success; None while it does not."""
        assert self._process is not None
        assert self._process.poll() is None, f"it ended:\n{self.said()[-3000:]}"
        try:
            found = httpx.get(self.url + path, headers=headers, timeout=10.0)
        except httpx.HTTPError:
            return None
        return found if found.is_success else None

    def ready(self, path: str) -> None:
        """Wait until it answers there."""
        wait_until(lambda: self.answers(path), seconds_max=READY_S_MAX, what=f"{self.url}{path}")

    def json(self, path: str, **headers: str) -> Any:  # noqa: ANN401 - whatever it holds
        """What it answers, decoded; None while it does not answer."""
        found = self.answers(path, **headers)
        return None if found is None else found.json()
