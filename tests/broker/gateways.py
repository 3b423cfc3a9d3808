"""A gateway as a process, and mosquitto_sub beside it: what tests of the whole need."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections import defaultdict
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Self

import msgspec

from edge.brokers.endpoint import Endpoint
from edge.brokers.mqtt import Publisher
from tests.broker.overheard import gateway_starts
from tests.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from edge.recordings.recording import TimedMessage

START_S_MAX: Final = 60.0
PROBE_S: Final = 0.3  # between two looks whether a subscriber hears
Keyed = tuple[str, str, int, bytes]  # topic, id, revision, payload


@dataclass(frozen=True, slots=True)
class Heard:
    """One message as a subscriber got it."""

    topic: str
    payload: bytes

    @property
    def kind(self) -> str:
        """What it is about: the third level of the topic, "" without one."""
        return "/".join(self.topic.split("/")[2:3])

    @property
    def body(self) -> Any:  # noqa: ANN401 - whatever JSON holds
        """The payload, decoded."""
        return msgspec.json.decode(self.payload)


class Subscriber:
    """mosquitto_sub with a session that lasts, writing to a file. A context manager."""

    def __init__(self, port: int, file: Path, *topics: str) -> None:
        program = shutil.which("mosquitto_sub")
        assert program is not None, "mosquitto comes with its clients"
        self._file = file
        self._command = [program, "-h", "127.0.0.1", "-p", str(port), "-q", "1", "-F", "%t %x"]
        self._command += ["-i", f"witness of {file}", "-c"]
        for topic in topics:
            self._command += ["-t", topic]
        self._port = port
        self._process: subprocess.Popen[bytes] | None = None
        self._read_bytes = 0
        self._heard: list[Heard] = []
        self._by_kind: dict[str, list[Heard]] = defaultdict(list)

    def __enter__(self) -> Self:
        with self._file.open("wb") as out:
            self._process = subprocess.Popen(self._command, stdout=out, stderr=subprocess.DEVNULL)
        wait_until(self._listening, what="mosquitto_sub's subscription")
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process is not None
        self._process.terminate()
        self._process.wait(10)

    def listen_again(self, *, seconds_max: float = 30.0) -> None:
        """Wait until it is subscribed again, behind a broker that lost its session."""
        before = len(self.of("probe"))
        due_s = 0.0

        def heard() -> bool:
            nonlocal due_s
            if time.monotonic() >= due_s:
                due_s = time.monotonic() + PROBE_S
                return self._listening(before)
            return len(self.of("probe")) > before

        wait_until(heard, what="mosquitto_sub's return", seconds_max=seconds_max)

    def _listening(self, probes: int = 0) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, "mosquitto_sub ended"
        with Publisher(Endpoint(port=self._port)) as publisher:
            publisher.publish("andon/probe/probe", b"probe")
            publisher.drain()
        return len(self.of("probe")) > probes

    def all(self) -> list[Heard]:
        """Everything heard so far, in order; a line that is still being written is left out."""
        self._read()
        return list(self._heard)

    def of(self, kind: str) -> list[Heard]:
        """What was heard of one kind."""
        self._read()
        return list(self._by_kind[kind])

    def _read(self) -> None:
        """Take what came since the last time: who waits asks often, and must not keep a core."""
        with self._file.open("rb") as file:
            file.seek(self._read_bytes)
            whole, end, _ = file.read().rpartition(b"\n")
        self._read_bytes += len(whole) + len(end)
        for line in whole.decode().split("\n") if whole else ():
            topic, _, payload = line.rpartition(" ")
            heard = Heard(topic, bytes.fromhex(payload))
            self._heard.append(heard)
            self._by_kind[heard.kind].append(heard)


class GatewayProcess:
    """`andon run` with its state in a directory; may be killed and started again.

    A context manager that leaves no process behind.
    """

    def __init__(self, config: Path, *, port: int, state: Path, **settings: str) -> None:
        self.state = state
        self.log = state.parent / f"{state.name}.log"
        self._config = config
        self._environment = os.environ | {
            "ANDON__MQTT__PORT": str(port),
            "PYTHONFAULTHANDLER": "1",
            "ANDON__JOURNAL__DIR": str(state),
            "ANDON__ENGINE__HEALTH_PUBLISH_S": "1",
            **settings,
        }
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.running:
            self.kill()

    def start(self) -> None:
        """Start it; it is not ready yet."""
        gateway_starts(self._config, self._environment)
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "andon", "run", str(self._config)],
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def said(self, text: str) -> int:
        """How often its log has a text."""
        return self.log.read_text(encoding="utf-8", errors="replace").count(text)

    def kill(self) -> None:
        """End it as a power cut would."""
        assert self._process is not None
        self._process.kill()
        self._process.wait(20)

    def stop(self) -> int:
        """Ask it to end; returns its exit code."""
        assert self._process is not None
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        try:
            return self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.send_signal(signal.SIGABRT)  # its log says where it hangs
            self._process.wait(10)
            raise

    @property
    def running(self) -> bool:
        """Whether the process is there."""
        return self._process is not None and self._process.poll() is None

    def wait(self, seconds_max: float = 30.0) -> int:
        """Its exit code, when it ends by itself."""
        assert self._process is not None
        return self._process.wait(seconds_max)

    def outbox(self, *, delivered: bool | None = None) -> list[Keyed]:
        """What it has decided, in order; `delivered` True or False: only that."""
        path = self.state / "outbox.sqlite"
        if not path.is_file():
            return []
        where = "" if delivered is None else f" WHERE delivered = {int(delivered)}"
        database = sqlite3.connect(path)
        try:
            query = f"SELECT topic, id, revision, payload FROM outbox{where} ORDER BY row"  # noqa: S608 - ours
            return [(t, i, r, bytes(p)) for t, i, r, p in database.execute(query)]
        except sqlite3.OperationalError:  # it is being made
            return []
        finally:
            database.close()

    def forget_deliveries(self) -> None:
        """Take back every note of what the broker has confirmed; only while it does not run."""
        assert not self.running
        with closing(sqlite3.connect(self.state / "outbox.sqlite")) as database, database:
            database.execute("UPDATE outbox SET delivered = 0")


def online(heard: Subscriber, gateway: GatewayProcess, times: int = 1) -> None:
    """Wait until a gateway has said `times` that it is there; fail at once when it ends."""

    def said() -> bool:
        assert gateway.running, gateway.log.read_text(encoding="utf-8", errors="replace")[-2000:]
        told = [message for message in heard.of("status") if message.body["online"]]
        return len(told) >= times

    wait_until(said, seconds_max=START_S_MAX, what="the gateway being online")


def publish(port: int, messages: Iterable[TimedMessage | tuple[str, bytes]]) -> None:
    """Publish with QoS 1; returns when the broker has confirmed all."""
    with Publisher(Endpoint(port=port)) as publisher:
        for message in messages:
            if isinstance(message, tuple):
                publisher.publish(*message)
            else:
                publisher.publish(message.topic, message.payload, retain=message.retain)
        publisher.drain()


def newest_health(heard: Subscriber, fits: Callable[[Any], bool], *, what: str) -> Any:  # noqa: ANN401
    """The newest report of health that fits, waited for."""
    found: list[Any] = []

    def look() -> bool:
        reports = heard.of("health")
        if reports and fits(reports[-1].body):
            found.append(reports[-1].body)
        return bool(found)

    wait_until(look, seconds_max=60.0, what=what)
    return found[0]


def finished(heard: Subscriber, end_ns: int) -> None:
    """Wait until a gateway has taken everything up to a plant time, and delivered it."""
    newest_health(
        heard,
        lambda h: (
            h["plant_ms"] >= end_ns // 1_000_000
            and h["queue_depth"] == 0
            and h["outbox_pending"] == 0
        ),
        what="the end of the recording",
    )
