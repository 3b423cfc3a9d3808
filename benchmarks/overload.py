"""More than a gateway can take: what it gives up, what it keeps, and who still hears of it in time.

`python -m benchmarks.overload` offers a slow gateway half of what it can take to four times as
much, at QoS 1 over a real broker, and prints for each what was taken, what was shed of which
importance, and how long commands and alerts of critical assets took. Exit code 1 where a count
does not add up: sent = taken + shed + refused.
"""

from __future__ import annotations

import argparse
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec
from rich.console import Console
from rich.table import Table

from benchmarks.plant import STEP_SIGMA, Load, asset_name, bundle_for, channel_names, signals
from benchmarks.publisher import Sender
from edge.brokers.endpoint import Endpoint
from edge.brokers.mqtt import Collector
from models.bundles.store import save as save_bundle
from simulator.broker import embedded_broker

if TYPE_CHECKING:
    from collections.abc import Callable

ASSETS: Final = 12
SEVERITIES: Final = (200, 500, 700, 900)  # of one asset after the other
NAMES: Final = ("LOW", "MEDIUM", "HIGH", "CRITICAL")
DELAY_US: Final = 16_000  # much more than the gateway itself takes, so that it is steady
COMMAND_S: Final = 0.5
STEPS_S: Final = (0.4, 0.6, 0.8)  # of the sending, when a critical asset begins to ring
STEP_S: Final = 2.5
LEAD_S: Final = 1.0
WAIT_S_MAX: Final = 90.0
CONFIG: Final = """\
site = "bench"

[mqtt]
port = {port}
queue_ms_max = 1000

[model]
bundle = "{bundle}"

[journal]
dir = "{state}"

[engine]
health_publish_s = 1
"""


class Phase(msgspec.Struct, kw_only=True):
    """What came of one offer. Latencies in ms; `over_s`: until it said that it is over."""

    offered_per_s: float
    seconds: float
    sent: int = 0
    sent_by: Counter[str] = msgspec.field(default_factory=Counter)
    taken: int = 0
    refused: int = 0
    shed: int = 0
    shed_by: dict[str, int] = {}
    taken_per_s: float = 0.0
    command_ms: list[float] = []
    commands_unanswered: int = 0
    alert_ms: list[float] = []
    alerts_missing: int = 0
    told: list[tuple[int, str]] = []  # what the alert of the gateway said: active, detail
    over_s: float | None = None
    comms_alerts: int = 0
    depth_max: int = 0
    tick_ms_max: float = 0.0

    @property
    def adds_up(self) -> bool:
        """Whether every message is accounted for."""
        return self.sent == self.taken + self.shed + self.refused


class Site:
    """A bundle on disk and a broker; a phase has a gateway of its own."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder, self.port = folder, port
        self.load = Load(assets=ASSETS, channels=4, period_ms=50, rows=2_000, batch_rows=1)
        self.values = signals(self.load, rows=self.load.rows, training=False)
        self.tags = channel_names(self.load)
        save_bundle(bundle_for(self.load, on_asset=str), folder / "bundle")

    def config(self, name: str) -> Path:
        """The configuration of a phase."""
        text = CONFIG.format(
            port=self.port, bundle=self.folder / "bundle", state=self.folder / name
        )
        for i in range(ASSETS):
            severity = SEVERITIES[i % len(SEVERITIES)]
            text += f'\n[[asset]]\nid = "{asset_name(i)}"\nseverity = {severity}\n'
        path = self.folder / f"{name}.toml"
        path.write_text(text, encoding="utf-8")
        return path


class Listener:
    """What the gateway says, as it comes."""

    def __init__(self, collector: Collector) -> None:
        self._collector = collector
        self.health: dict[str, Any] = {}
        self.online = False
        self.answers: dict[str, int] = {}
        self.rang: dict[str, int] = {}
        self.phase: Phase | None = None
        self.over_ns = 0

    def take(self) -> None:
        """Take what has come."""
        while self._collector.queue:
            message = self._collector.queue.popleft()
            kind = message.topic.split("/")[2]
            body = msgspec.json.decode(message.payload)
            if kind == "health":
                self._health(body)
            elif kind == "status":
                self.online = body["online"]
            elif kind == "cmd_result":
                named = re.search(r"none-\d+", body["detail"])  # no alert none-7 waits for it
                if named is not None:
                    self.answers.setdefault(named[0], message.received_ns)
            elif kind == "alert" and self.phase is not None:
                self._alert(message.topic, body, message.received_ns)

    def _health(self, body: dict[str, Any]) -> None:
        self.health = body
        if self.phase is not None:
            self.phase.depth_max = max(self.phase.depth_max, body["queue_depth"])
            self.phase.tick_ms_max = max(self.phase.tick_ms_max, body["tick_ms_max"])

    def _alert(self, topic: str, body: dict[str, Any], received_ns: int) -> None:
        assert self.phase is not None
        if topic.endswith("/_gateway/system"):
            if body["name"] == "overloaded":
                self.phase.told.append((body["active"], body["message"]))
                self.over_ns = 0 if body["active"] else received_ns
        elif body["active"] and body["track"] == "comms":
            self.phase.comms_alerts += 1
        elif body["active"] and body["track"] == "process":
            self.rang.setdefault(body["asset"], received_ns)

    def until(self, done: Callable[[], bool], *, what: str) -> None:
        """Wait for something. Raises TimeoutError."""
        deadline_s = time.monotonic() + WAIT_S_MAX
        while not done():
            if time.monotonic() > deadline_s:
                raise TimeoutError(f"{what}; newest health: {self.health}")
            time.sleep(0.02)
            self.take()


def run_phase(
    site: Site, *, per_s: float, seconds: float, name: str, delay_us: int = DELAY_US
) -> Phase:
    """Start a slow gateway, send, wait until all is accounted for, and stop it."""
    phase = Phase(offered_per_s=per_s, seconds=seconds)
    command = [
        sys.executable,
        "-m",
        "benchmarks.slow_gateway",
        str(site.config(name)),
        str(delay_us),
    ]
    with (
        (site.folder / f"{name}.log").open("wb") as log,
        Collector(Endpoint(port=site.port), ("andon/#",)) as collector,
    ):
        listener = Listener(collector)
        gateway = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)  # noqa: S603 - ours
        try:
            listener.until(lambda: listener.online and bool(listener.health), what="the start")
            listener.phase = phase
            asked, stepped = _send(site, phase, listener)
            listener.until(lambda: _accounted(phase, listener), what="every message accounted for")
            end_ns = time.time_ns()
            if any(active for active, _ in phase.told):
                listener.until(lambda: bool(listener.over_ns), what="the end of the overload")
                phase.over_s = max(0.0, (listener.over_ns - end_ns) / 1e9)
            _latencies(phase, listener, asked, stepped)
        finally:
            gateway.terminate()
            gateway.wait(30)
    return phase


def _send(site: Site, phase: Phase, listener: Listener) -> tuple[dict[str, int], dict[str, int]]:
    """Send at the pace of the phase; returns when each command and each step left, ns."""
    sender = Sender(site.port)
    critical = [i for i in range(ASSETS) if SEVERITIES[i % len(SEVERITIES)] == SEVERITIES[-1]]
    steps = {i: share * phase.seconds for i, share in zip(critical, STEPS_S, strict=True)}
    asked: dict[str, int] = {}
    stepped: dict[str, int] = {}
    begin_s, step = time.monotonic() + LEAD_S, 1.0 / phase.offered_per_s
    count, row, due_command_s = int(phase.offered_per_s * phase.seconds), 0, 0.0
    for k in range(count):
        at_s, i = k * step, k % ASSETS
        while (left_s := begin_s + at_s - time.monotonic()) > 0:
            time.sleep(min(left_s, 0.01))
            listener.take()
        row = (k // ASSETS) % site.load.rows
        values = site.values[i, row].copy()
        if i in steps and steps[i] <= at_s < steps[i] + STEP_S:
            values[0] += STEP_SIGMA * 2.0
            stepped.setdefault(asset_name(i), time.time_ns())
        body = {"ts": time.time_ns() // 1_000, **dict(zip(site.tags, values.tolist(), strict=True))}
        sender.publish(f"plant/{asset_name(i)}".encode(), msgspec.json.encode(body))
        phase.sent += 1
        phase.sent_by[NAMES[i % len(NAMES)]] += 1
        if at_s >= due_command_s:
            due_command_s += COMMAND_S
            alert_id = f"none-{len(asked)}"
            asked[alert_id] = time.time_ns()
            told = {"ts": time.time_ns() // 1_000_000, "alert_id": alert_id}
            sender.publish(b"andon/bench/cmd/ann/ack", msgspec.json.encode(told))
    sender.drain()
    phase.seconds = time.monotonic() - begin_s
    return asked, stepped


def _accounted(phase: Phase, listener: Listener) -> bool:
    counts, load = listener.health["counts"], listener.health["overload"]
    phase.taken = counts.get("messages", 0)
    phase.refused = sum(n for reason, n in counts.items() if reason.startswith("invalid_"))
    phase.shed, phase.shed_by = load["shed"], load["shed_by_importance"]
    phase.taken_per_s = phase.taken / phase.seconds
    return phase.adds_up


def _latencies(
    phase: Phase, listener: Listener, asked: dict[str, int], stepped: dict[str, int]
) -> None:
    for alert_id, at_ns in asked.items():
        if alert_id in listener.answers:
            phase.command_ms.append((listener.answers[alert_id] - at_ns) / 1e6)
        else:
            phase.commands_unanswered += 1
    for asset, at_ns in stepped.items():
        if listener.rang.get(asset, 0) >= at_ns:
            phase.alert_ms.append((listener.rang[asset] - at_ns) / 1e6)
        else:
            phase.alerts_missing += 1


def main() -> int:
    """Measure and print; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.overload", description=__doc__)
    parser.add_argument("--seconds", type=float, default=15.0, help="of each offer (15)")
    parser.add_argument("--json", type=Path, help="write the figures there")
    options = parser.parse_args()
    console = Console(width=150)
    with tempfile.TemporaryDirectory(prefix="andon-overload-") as scratch, embedded_broker() as at:
        site = Site(Path(scratch), at.port)
        first = run_phase(site, per_s=3e6 / DELAY_US, seconds=8.0, name="capacity")
        capacity = first.taken_per_s
        offers = (0.5, 1.0, 2.0, 4.0)
        phases = [
            run_phase(site, per_s=x * capacity, seconds=options.seconds, name=f"offer{x:g}")
            for x in offers
        ]
    console.print(f"broker {at.name}, {ASSETS} assets, {capacity:.0f} messages/s can be taken")
    console.print(_table(offers, phases))
    if options.json is not None:
        body = {
            "messages_per_s": capacity,
            "offers": dict(zip(map(str, offers), phases, strict=True)),
        }
        options.json.write_bytes(msgspec.json.format(msgspec.json.encode(body), indent=1) + b"\n")
    return 0 if all(phase.adds_up for phase in phases) else 1


def _table(offers: tuple[float, ...], phases: list[Phase]) -> Table:
    table = Table()
    times = ("command ms p50 / max", "alert ms p50 / max", "overload told", "over after")
    for head in (
        "offered",
        "sent",
        "taken",
        "taken/s",
        *(f"shed {n}" for n in NAMES),
        "adds up",
        *times,
    ):
        table.add_column(head, justify="right")
    for x, phase in zip(offers, phases, strict=True):
        shed = [f"{phase.shed_by.get(n, 0)} of {phase.sent_by[n]}" for n in NAMES]
        table.add_row(
            f"{x:g}x", str(phase.sent), str(phase.taken), f"{phase.taken_per_s:.0f}", *shed,
            "yes" if phase.adds_up else "NO",
            _span(phase.command_ms, phase.commands_unanswered),
            _span(phase.alert_ms, phase.alerts_missing),
            "yes" if any(active for active, _ in phase.told) else "no",
            "" if phase.over_s is None else f"{phase.over_s:.0f} s",
        )  # fmt: skip
    return table


def _span(found: list[float], missing: int) -> str:
    said = f"{statistics.median(found):.0f} / {max(found):.0f}" if found else "-"
    return f"{said}, {missing} missing" if missing else said


if __name__ == "__main__":
    sys.exit(main())
