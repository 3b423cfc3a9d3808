"""The page as a process, beside a broker and a gateway, and a browser that is watched."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Self

from edge.brokers.endpoint import Endpoint
from edge.brokers.mqtt import Publisher
from edge.wire.outgoing import StatusPayload, encode
from tests.page.said import T0_MS, TOPICS, message
from tests.waiting import wait_until

if TYPE_CHECKING:
    from pathlib import Path

    import msgspec
    from playwright.sync_api import BrowserContext, ConsoleMessage, Page, Request

    from tests.broker.conftest import Mosquitto

START_S_MAX: Final = 60.0
LOOK_MS: Final = 20_000  # of a browser, for something to appear
ATTACK: Final = "window.broken = true"


def say(broker: Mosquitto, *said: msgspec.Struct) -> None:
    """Publish as a gateway would: what is retained is."""
    with Publisher(Endpoint(port=broker.port)) as publisher:
        status = StatusPayload(online=True, version="1", bundle="b" * 64, ts_ms=T0_MS)
        publisher.publish(TOPICS.status, encode(status), retain=True)
        for one in said:
            topic, payload = message(one)
            publisher.publish(
                topic, payload, retain=topic.split("/")[2] in ("alert", "group", "job")
            )
        publisher.drain()


class PageProcess:
    """`andon page` on a port of its own; may be stopped and started again. A context manager."""

    def __init__(self, config: Path, *, broker_port: int, state: Path, port: int) -> None:
        self._config, self.port = config, port
        self.log = state.parent / f"{state.name}-page.log"
        self._environment = os.environ | {
            "ANDON__MQTT__PORT": str(broker_port),
            "ANDON__JOURNAL__DIR": str(state),
            "ANDON__CLOCK": "plant",
        }
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.port}/"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start it; returns when it answers."""
        command = [sys.executable, "-m", "andon", "page", str(self._config)]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*command, "--listen", f"127.0.0.1:{self.port}"],
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        wait_until(self._answers, seconds_max=START_S_MAX, what="the page")

    def stop(self) -> int:
        """Ask it to end; returns its exit code."""
        assert self._process is not None
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        return self._process.wait(20)

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self.log.read_text(encoding="utf-8")[-2000:]
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


@dataclass(slots=True)
class Watched:
    """A browser of which every request, error and dialog is noted."""

    context: BrowserContext
    elsewhere: list[str] = field(default_factory=list)  # requests that would leave the page's own
    wrong: list[str] = field(default_factory=list)
    requests: int = 0

    def open(self, url: str) -> Page:
        """A tab with the page, once it shows what the server says."""
        own = url.partition("#")[0]

        def asked(request: Request) -> None:
            self.requests += 1
            if not request.url.startswith((own, "data:")):
                self.elsewhere.append(request.url)

        def told(message: ConsoleMessage) -> None:
            text = message.text
            if message.type == "error" and "ERR_" not in text and "Failed to load" not in text:
                self.wrong.append(text)

        self.context.on("request", asked)
        page = self.context.new_page()
        page.set_default_timeout(LOOK_MS)
        page.on("console", told)
        page.on("pageerror", lambda error: self.wrong.append(str(error)))
        page.on("dialog", lambda dialog: self.wrong.append(f"dialog {dialog.message}"))
        page.goto(url)
        page.wait_for_selector("html[data-ready]")
        return page

    def check(self) -> None:
        """Nothing left the machine, and nothing went wrong."""
        assert self.requests, "no page was opened"
        assert not self.elsewhere
        assert not self.wrong
