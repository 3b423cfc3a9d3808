"""The demo: one shift of a weld cell, sped up on the plant clock.

Through a real broker into a real gateway process.

What is shown is what the gateway published; the truth is used only to say what that was worth.
"""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec
from rich.live import Live

from edge.assessment.assess import assess
from edge.brokers.endpoint import Endpoint
from edge.brokers.mqtt import Collector, Publisher
from edge.errors import AndonError
from edge.replays.backtest import episodes_of
from simulator import demo_screen as screen
from simulator.broker import embedded_broker
from simulator.cells import weld
from simulator.replay import ReplayOptions, open_recording, play
from simulator.trial import BUNDLE, SNAPSHOT, fit_scenario, read_texts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.console import Console

    from edge.assessment.assess import Figures
    from simulator.scenario import Scenario

START_S_MAX: Final = 30.0
FINISH_S_MAX: Final = 60.0  # without any progress
STOP_S_MAX: Final = 15.0
REFRESH_S: Final = 0.25
HOURS_MIN: Final = 0.05
SECONDS_MIN: Final = 1.0
SECONDS_MAX: Final = 86_400.0  # a replay that takes longer is no demo


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoOptions:
    """What to show.

    `seconds`: how long the replay should take; `keep`: a directory for everything, None: a scratch
    one.
    """

    seed: int = 1
    report: Path | None = None
    hours: float = 8.0
    robots: int = 4
    seconds: float = 60.0
    keep: Path | None = None


@dataclass(slots=True)
class Heard:
    """What came from the gateway: event revisions in order, and how it says it is."""

    revisions: list[dict[str, Any]]
    online: bool = False
    plant_ms: int = 0
    waiting: int = 0

    def take(self, collector: Collector) -> None:
        """Take what has come since the last call."""
        while collector.queue:
            message = collector.queue.popleft()
            kind = message.topic.split("/")[2]
            if kind not in ("event", "status", "health"):
                continue
            body = msgspec.json.decode(message.payload)
            if kind == "event":
                self.revisions.append(body)
            elif kind == "status":
                self.online = body["online"]
            else:
                self.plant_ms = body["plant_ms"]
                self.waiting = body["outbox_pending"] + body["queue_depth"]


class Replay(threading.Thread):
    """The replay, beside the screen. `done`: all was sent; else `failure` says why not."""

    def __init__(self, folder: Path, endpoint: Endpoint, options: DemoOptions) -> None:
        super().__init__(name="replay", daemon=True)
        self.done = False
        self.failure = "see the error above"
        self._folder = folder
        self._endpoint = endpoint
        self._speed = options.hours * 3600 / options.seconds
        self._leave = threading.Event()

    def run(self) -> None:
        """Send the recording; returns early after `leave`."""
        options = ReplayOptions(speed=self._speed)
        try:
            recording = open_recording(self._folder / "recording", options, now_ns=time.time_ns())
            with Publisher(self._endpoint) as publisher:
                played = play(recording, publisher, options, sleep=self._sleep)
            self.done = not played.interrupted
        except (AndonError, OSError) as error:
            self.failure = str(error)

    def leave(self) -> None:
        """End it soon."""
        self._leave.set()
        if self.is_alive():
            self.join(STOP_S_MAX)

    def _sleep(self, seconds: float) -> None:
        if self._leave.wait(seconds):
            raise KeyboardInterrupt  # what `play` ends early on


def run_demo(options: DemoOptions, *, console: Console) -> int:
    """Run the demo; returns the exit code. Raises AndonError where something does not start."""
    _check_options(options)
    with ExitStack() as stack:
        stack.enter_context(_terminated_as_interrupted())
        if options.keep is not None:
            folder = options.keep
            folder.mkdir(parents=True, exist_ok=True)
        else:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="andon-demo-")))
        scenario = _prepare(folder, options, console)
        broker = stack.enter_context(embedded_broker())
        _say(console, f"Broker: {broker.name} on 127.0.0.1:{broker.port}")
        _say(console, f"Shift: {options.hours:g} h of plant time in {options.seconds:g} s")
        heard = _watch(scenario, folder, broker.port, options, console)
    episodes = episodes_of(heard.revisions)
    figures = assess(episodes, scenario.truth)
    console.print()
    console.print(screen.final_table(figures, heard.revisions))
    screen.show_twins(scenario, heard.revisions, console)
    screen.show_summary(figures, episodes, scenario, console)
    if options.report is not None:
        options.report.write_bytes(_report(figures, heard.revisions))
        _say(console, f"Report: {options.report}")
    return 0


def _check_options(options: DemoOptions) -> None:
    """Refuse what cannot be shown before anything starts. Raises AndonError."""
    ranges = (
        ("--hours", options.hours, HOURS_MIN, weld.HOURS_MAX),
        ("--seconds", options.seconds, SECONDS_MIN, SECONDS_MAX),
        ("--robots", float(options.robots), 1.0, float(weld.ROBOTS_MAX)),
    )
    for name, value, low, high in ranges:
        if not (math.isfinite(value) and low <= value <= high):
            raise AndonError(f"{name} is {value:g}, expected {low:g} to {high:g}")
    if options.report is not None and not options.report.parent.is_dir():
        raise AndonError(f"{options.report.parent} is no directory: --report needs one")


@contextmanager
def _terminated_as_interrupted() -> Iterator[None]:
    """Let SIGTERM end the demo as Ctrl-C does, so that no gateway and no broker stays behind."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _say(console: Console, text: str) -> None:
    console.print(text, highlight=False, markup=False, soft_wrap=True)


def _prepare(folder: Path, options: DemoOptions, console: Console) -> Scenario:
    """Simulate, fit on the normal stretch before the shift, and read the plant's texts."""
    with console.status("Simulating a weld cell and the day before it"):
        scenario = weld.simulate(seed=options.seed, robots=options.robots, hours=options.hours)
        scenario.write(folder)
    begin_s = time.monotonic()
    with console.status("Learning what is normal from the day before"):
        bundle = fit_scenario(folder)
    rows = sum(model.training.rows_used for model in bundle.assets)
    _say(
        console,
        f"Detector: {len(bundle.assets)} robots, {rows} rows of normal operation, "
        f"{time.monotonic() - begin_s:.0f} s",
    )
    begin_s = time.monotonic()
    with console.status("Reading manuals, orders, schedules and logs"):
        manifest = read_texts(folder, scenario)
    _say(
        console,
        f"Knowledge: {manifest.counts.documents} documents, {manifest.counts.chunks} passages, "
        f"{time.monotonic() - begin_s:.0f} s",
    )
    return scenario


def _watch(
    scenario: Scenario, folder: Path, port: int, options: DemoOptions, console: Console
) -> Heard:
    """Run the gateway on the replayed shift and show what it says."""
    heard = Heard(revisions=[])
    endpoint = Endpoint(port=port)
    with Collector(endpoint, ("andon/#",)) as collector, _gateway(folder, port) as gateway:
        _until(lambda: heard.online, heard, collector, gateway, START_S_MAX, "start")
        replay = Replay(folder, endpoint, options)
        replay.start()
        try:
            _follow(scenario, replay, heard, collector, gateway, console)
        finally:
            replay.leave()
        _stop(gateway)
        heard.take(collector)
    return heard


def _follow(
    scenario: Scenario,
    replay: Replay,
    heard: Heard,
    collector: Collector,
    gateway: subprocess.Popen[bytes],
    console: Console,
) -> None:
    """Show the shift until the gateway has seen its end. Raises AndonError."""
    with Live(console=console, auto_refresh=False, transient=True) as live:

        def show() -> None:
            if console.is_interactive:
                live.update(
                    screen.live_table(
                        scenario, heard.revisions, heard.plant_ms, lines_max=console.height
                    ),
                    refresh=True,
                )

        while replay.is_alive():
            replay.join(REFRESH_S)
            heard.take(collector)
            show()
            _check(gateway)
        if not replay.done:
            raise AndonError(f"the replay broke off: {replay.failure}")
        end_ms = scenario.truth.end_ns // 1_000_000 - 2_000

        def finished() -> bool:
            show()
            return heard.plant_ms >= end_ms and heard.waiting == 0

        _until(finished, heard, collector, gateway, FINISH_S_MAX, "finish the shift")


@contextmanager
def _gateway(folder: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """The gateway as a process of its own, as a service manager would start it, and end it."""
    environment = os.environ | {
        "ANDON__MQTT__PORT": str(port),
        "ANDON__MODEL__BUNDLE": BUNDLE,
        "ANDON__KB__SNAPSHOT": SNAPSHOT,
        "ANDON__JOURNAL__DIR": "state",
        "ANDON__ENGINE__HEALTH_PUBLISH_S": "1",
    }
    with (folder / "gateway.log").open("wb") as log:
        process = subprocess.Popen(  # noqa: S603 - this interpreter and our own file
            [sys.executable, "-m", "andon", "run", str(folder / "gateway.toml")],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        yield process
    finally:
        _stop(process)


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End a process, if need be by force."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_S_MAX)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _until(
    done: Callable[[], bool],
    heard: Heard,
    collector: Collector,
    gateway: subprocess.Popen[bytes],
    seconds_max: float,
    what: str,
) -> None:
    """Wait, as long as it gets on. Raises AndonError after `seconds_max` without progress."""
    seen, deadline_s = heard.plant_ms, time.monotonic() + seconds_max
    while not done():
        collector.arrived.wait(REFRESH_S)
        collector.arrived.clear()
        heard.take(collector)
        _check(gateway)
        if heard.plant_ms > seen:
            seen, deadline_s = heard.plant_ms, time.monotonic() + seconds_max
        if time.monotonic() > deadline_s:
            raise AndonError(f"the gateway did not {what} within {seconds_max:.0f} s")


def _check(gateway: subprocess.Popen[bytes]) -> None:
    if gateway.poll() is not None:
        raise AndonError(
            f"the gateway ended with code {gateway.returncode}; "
            "run with --keep DIR and read DIR/gateway.log"
        )


def _report(figures: Figures, revisions: list[dict[str, Any]]) -> bytes:
    """The figures by their names, every fault's outcome, and the last revision of every alert."""
    last = {(event["id"], event["count"]): event for event in revisions}
    body = msgspec.to_builtins(figures)
    body["outcomes"] = body.pop("faults")
    body["alerts"] = list(last.values())
    return msgspec.json.format(msgspec.json.encode(body), indent=1)
