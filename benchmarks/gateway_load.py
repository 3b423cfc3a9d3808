"""From the broker to alerts: a gateway process under a paced load, judged from outside.

Everything is counted at its ends: what the publisher sent, what the gateway says that it took and
refused, and when each alert arrived at a subscriber. All clocks are this machine's.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final

import msgspec
import numpy as np

from benchmarks.plant import STEP_ROWS, Load, asset_name, bundle_for
from benchmarks.publisher import planned_steps
from edge.brokers.endpoint import Endpoint
from edge.brokers.mqtt import Collector
from edge.errors import AndonError
from models.bundles.store import save as save_bundle
from simulator.broker import embedded_broker

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

START_S_MAX: Final = 60.0
FINISH_S_MAX: Final = 60.0
POLL_S: Final = 0.2
TICKS_PER_S: Final = os.sysconf("SC_CLK_TCK")
LATE_ROWS_MAX: Final = 40  # an alert belongs to a step when it opened this soon after its begin
# Counted on health beside what was not accepted; the link's losses stand under `drops`.
NO_LOSS: Final = frozenset({"messages", "starts", "commands", "faults_active"})
CONFIG: Final = """\
site = "bench"

[mqtt]
port = {port}

[model]
bundle = "bundle"

[engine]
health_publish_s = 1
"""


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """The figures. `dropped` by reason holds what is not zero; `lost` adds up what must not be."""

    broker: str
    seconds: float
    values_per_s_target: float
    values_per_s: float
    messages_sent: int
    messages_received: int
    values_sent: int
    dropped: dict[str, int]
    steps: int
    alerts: int
    alerts_missing: int
    alerts_beside_steps: int
    publish_to_alert_ms_p50: float | None
    publish_to_alert_ms_p99: float | None
    publish_to_alert_ms_max: float | None
    cpu_share: float
    publisher_cpu_share: float
    rss_mb_max: float
    tick_ms_max: float
    queue_depth_max: int
    fit_s: float

    @property
    def lost(self) -> int:
        """Messages, values and alerts that did not come through."""
        missing = self.messages_sent - self.messages_received
        return missing + sum(self.dropped.values()) + self.alerts_missing


@dataclass(slots=True)
class Heard:
    """What arrived from the gateway."""

    opened: dict[tuple[str, int], tuple[int, int]] = field(default_factory=dict)
    """(asset, begin_ms) -> (ts_ms of the sample that opened it, arrival in ns)."""
    online: bool = False
    health: dict[str, Any] = field(default_factory=dict)
    first_health: dict[str, Any] = field(default_factory=dict)
    rss_mb_max: float = 0.0
    tick_ms_max: float = 0.0
    queue_depth_max: int = 0

    def take(self, collector: Collector) -> None:
        """Take what has come since the last call."""
        while collector.queue:
            message = collector.queue.popleft()
            kind = message.topic.split("/")[2]
            if kind == "alert":
                self._alert(msgspec.json.decode(message.payload), message.received_ns)
            elif kind == "health":
                self._health(msgspec.json.decode(message.payload))
            elif kind == "status":
                self.online = msgspec.json.decode(message.payload)["online"]

    def _alert(self, body: dict[str, Any], received_ns: int) -> None:
        if body.get("track") == "process" and body["active"]:
            key = (body["asset"], body["begin_ms"])
            self.opened.setdefault(key, (body["ts_ms"], received_ns))

    def _health(self, body: dict[str, Any]) -> None:
        self.health = body
        self.first_health = self.first_health or body
        self.rss_mb_max = max(self.rss_mb_max, body["rss_mb"])
        self.tick_ms_max = max(self.tick_ms_max, body["tick_ms_max"])
        self.queue_depth_max = max(self.queue_depth_max, body["queue_depth"])

    @property
    def dropped(self) -> dict[str, int]:
        """What was not accepted since the first report of health, by reason."""
        found: dict[str, int] = {}
        for part in ("counts", "drops"):
            before = self.first_health.get(part, {})
            for name, n in self.health.get(part, {}).items():
                lost = int(n) - int(before.get(name, 0))
                if lost and name not in NO_LOSS and not name.startswith("link_"):
                    found[name] = lost
        return found

    @property
    def taken(self) -> int:
        """Messages that the gateway has put through its engine, refused ones included."""
        counts = self.health.get("counts", {})
        refused = sum(n for name, n in counts.items() if name.startswith("invalid_"))
        return int(counts.get("messages", 0)) + int(refused)


def measure(load: Load, folder: Path, *, say: Callable[[str], object]) -> Report:
    """Fit, start everything, send, count. Raises AndonError where something does not start."""
    begin_s = time.monotonic()
    say(f"Fitting {load.assets} assets")
    bundle = bundle_for(load, on_asset=str)
    save_bundle(bundle, folder / "bundle")
    fit_s = time.monotonic() - begin_s
    with embedded_broker() as broker:
        (folder / "gateway.toml").write_text(CONFIG.format(port=broker.port), encoding="utf-8")
        heard = Heard()
        with Collector(Endpoint(port=broker.port), ("andon/#",)) as collector:
            with (folder / "gateway.log").open("wb") as log:
                gateway = _start(["andon", "run", str(folder / "gateway.toml")], log)
            try:
                until(
                    lambda: bool(heard.online and heard.health),
                    heard,
                    collector,
                    gateway,
                    START_S_MAX,
                )
                used = _load(load, folder, broker.port, heard, collector, gateway, say)
            finally:
                end(gateway)
            heard.take(collector)
    return _report(load, folder, heard, used, broker=broker.name, fit_s=fit_s)


def _start(module: list[str], log: IO[bytes]) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", *module]
    return subprocess.Popen(  # noqa: S603 - this interpreter and our own modules
        command, stdin=subprocess.DEVNULL, stdout=log, stderr=log
    )


def end(process: subprocess.Popen[bytes]) -> None:
    """Ask a process to stop, and wait for it; one that does not is killed."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _load(
    load: Load,
    folder: Path,
    port: int,
    heard: Heard,
    collector: Collector,
    gateway: subprocess.Popen[bytes],
    say: Callable[[str], object],
) -> tuple[float, float]:
    """Send everything and wait for the end of it; returns CPU shares of gateway and publisher."""
    say(f"Sending {load.values_per_s:,.0f} values/s")
    arguments = [str(port), msgspec.json.encode(load).decode(), str(folder / "sent.npz")]
    with (folder / "publisher.log").open("wb") as log:
        publisher = _start(["benchmarks.publisher", *arguments], log)
    begin_s, begin_cpu_s = time.monotonic(), _cpu_s(gateway.pid)
    publisher_cpu_s = 0.0
    try:
        while publisher.poll() is None:
            pause(heard, collector)
            if heard.taken == 0:  # it is still making its messages
                begin_s, begin_cpu_s = time.monotonic(), _cpu_s(gateway.pid)
            publisher_cpu_s = _cpu_s(publisher.pid) or publisher_cpu_s
            check_alive(gateway, folder)
    finally:
        end(publisher)
    took_s = time.monotonic() - begin_s
    share = (_cpu_s(gateway.pid) - begin_cpu_s) / took_s
    if publisher.returncode:
        raise AndonError(f"the publisher failed: {(folder / 'publisher.log').read_text()[-500:]}")
    say("Waiting for the last alerts")
    _settled(load, heard, collector)
    return share, publisher_cpu_s / took_s


def _settled(load: Load, heard: Heard, collector: Collector) -> None:
    """Return when everything was taken and two more reports of health came, or too late."""
    deadline_s = time.monotonic() + FINISH_S_MAX
    reports, newest = 0, 0
    while reports < 3 and time.monotonic() < deadline_s:
        pause(heard, collector)
        if heard.taken >= load.messages and heard.health["ts_ms"] != newest:
            reports, newest = reports + 1, heard.health["ts_ms"]


def pause(heard: Heard, collector: Collector) -> None:
    """Wait for something to be heard, a fifth of a second at most, and take it."""
    collector.arrived.wait(POLL_S)
    collector.arrived.clear()
    heard.take(collector)
    time.sleep(POLL_S / 4)  # the measuring itself must not take the CPU


def until(
    done: Callable[[], bool],
    heard: Heard,
    collector: Collector,
    gateway: subprocess.Popen[bytes],
    seconds_max: float,
) -> None:
    """Wait until the gateway is as far. Raises AndonError when it ends or takes too long."""
    deadline_s = time.monotonic() + seconds_max
    while not done():
        pause(heard, collector)
        if gateway.poll() is not None or time.monotonic() > deadline_s:
            raise AndonError(f"the gateway did not start within {seconds_max:.0f} s")


def check_alive(gateway: subprocess.Popen[bytes], folder: Path) -> None:
    """Raise AndonError with the end of its log when the gateway has ended."""
    if gateway.poll() is not None:
        told = (folder / "gateway.log").read_text(encoding="utf-8", errors="replace")
        raise AndonError(f"the gateway ended with code {gateway.returncode}: {told[-800:]}")


def _cpu_s(pid: int) -> float:
    """CPU time of a process so far, user and system, all threads; 0 when it is gone."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return 0.0
    fields = stat.rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_S


def _report(
    load: Load,
    folder: Path,
    heard: Heard,
    used: tuple[float, float],
    *,
    broker: str,
    fit_s: float,
) -> Report:
    with np.load(folder / "sent.npz") as sent:
        t0_ms, sent_ns = int(sent["t0_ms"]), sent["sent_ns"]
    took_s = float(sent_ns.max() - sent_ns.min()) / 1e9 * load.messages / (load.messages - 1)
    delays_ms, beside, missing = _delays(load, heard, t0_ms=t0_ms, sent_ns=sent_ns)
    found = np.percentile(delays_ms, (50, 99, 100)).tolist() if delays_ms else (None,) * 3
    p50, p99, most = found
    return Report(
        broker=broker,
        seconds=took_s,
        values_per_s_target=load.values_per_s,
        values_per_s=load.values / took_s,
        messages_sent=load.messages,
        messages_received=heard.taken,
        values_sent=load.values,
        dropped=heard.dropped,
        steps=len(planned_steps(load)),
        alerts=len(delays_ms),
        alerts_missing=missing,
        alerts_beside_steps=beside,
        publish_to_alert_ms_p50=p50,
        publish_to_alert_ms_p99=p99,
        publish_to_alert_ms_max=most,
        cpu_share=used[0],
        publisher_cpu_share=used[1],
        rss_mb_max=heard.rss_mb_max,
        tick_ms_max=heard.tick_ms_max,
        queue_depth_max=heard.queue_depth_max,
        fit_s=fit_s,
    )


def _delays(
    load: Load, heard: Heard, *, t0_ms: int, sent_ns: NDArray[np.int64]
) -> tuple[list[float], int, int]:
    """From the publication of the sample that opened each step's event to its alert, ms.

    Also how many alerts opened beside any step, and how many steps have none.
    """
    opened: dict[str, list[tuple[int, int, int]]] = {}
    for (asset, begin_ms), (ts_ms, arrived_ns) in heard.opened.items():
        begin_row = (begin_ms - t0_ms) // load.period_ms
        row = (ts_ms - t0_ms) // load.period_ms
        opened.setdefault(asset, []).append((begin_row, row, arrived_ns))
    delays_ms, missing = [], 0
    for index, step_row in planned_steps(load):
        of_step = [
            (row, arrived_ns)
            for begin_row, row, arrived_ns in opened.get(asset_name(index), [])
            if step_row <= begin_row < step_row + STEP_ROWS + LATE_ROWS_MAX
        ]
        if not of_step:
            missing += 1
            continue
        row, arrived_ns = min(of_step)
        delays_ms.append((arrived_ns - int(sent_ns[row // load.batch_rows, index])) / 1e6)
    return delays_ms, len(heard.opened) - len(delays_ms), missing
