"""`python -m tests.soak` (`make soak HOURS=8`): what a gateway grows by under load.

One gateway, and against it a plant that sends, documents and detectors that change, operators who
acknowledge, a broker that restarts, and payloads that nobody can read. With `--accelerated` as fast
as this machine takes it. The last line is one JSON object; exit code 1 when memory grows by 1 MB
per million messages or more, when handles or threads grow, or when the gateway ends.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from edge.brokers.endpoint import Endpoint
from edge.brokers.mqtt import BrokerError, Collector, Publisher
from tests.chaos.plant import make_plant, remove
from tests.chaos.rig import Rig, missing_programs
from tests.soak.load import POISON, Endless
from tests.soak.usage import Usage, look, slope_of, warm, write_page, write_table
from tests.soak.verdict import faults, outcome

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edge.brokers.inbox import Incoming

WINDOW: Final = 4_000  # messages ahead of the gateway: a broker forgets what it cannot queue
EVERY_ROWS: Final = 1_500  # between two disturbances of an asset
RATE: Final = 100.0  # messages a second, where it is not accelerated
JOURNAL_BYTES: Final = 256 << 20


class Soak:
    """One soak: what it does in turns, and what it saw."""

    def __init__(self, rig: Rig, collector: Collector) -> None:
        self._rig, self._collector = rig, collector
        self._publisher_port = rig.broker.port
        self.taken = 0
        self.plant_ms = 0
        self.done: dict[str, int] = {}
        self._unseen: list[str] = []
        self._acts = self._endless_acts()

    def hear(self) -> None:
        """Read what the gateway says: how far it is, and what it wants acknowledged."""
        while self._collector.queue:
            message = self._collector.queue.popleft()
            kind = message.topic.split("/")[2]
            if kind == "health":
                body: Any = msgspec.json.decode(message.payload)
                # What waits in its queue does not count: a sender ahead of that fills the queue,
                # and its memory would be measured.
                drops = body["drops"]
                taken = body["counts"].get("messages", 0) + drops["redelivered"] + drops["shed"]
                self.taken = max(self.taken, int(taken))
                self.plant_ms = int(body["plant_ms"])
            elif kind == "alert":
                self._alert(message)

    def _alert(self, message: Incoming) -> None:
        body: Any = msgspec.json.decode(message.payload)
        self.done["alerts"] = self.done.get("alerts", 0) + 1
        if str(body.get("state", "")).endswith("_UNACK") and "id" in body:
            self._unseen.append(str(body["id"]))

    def act(self) -> None:
        """Do the next of what happens to a gateway."""
        name = next(self._acts)
        self.done[name] = self.done.get(name, 0) + 1

    def acknowledge(self) -> None:
        """Acknowledge what is unseen, as operators do."""
        seen, self._unseen = sorted(set(self._unseen)), []
        self._send(
            [
                (
                    "andon/weldcell/cmd/op-1/ack",
                    msgspec.json.encode({"ts": self.plant_ms, "alert_id": one}),
                )
                for one in seen
            ]
        )
        self.done["acknowledged"] = self.done.get("acknowledged", 0) + len(seen)

    def _endless_acts(self) -> Iterator[str]:
        while True:
            self._rig.swap("snapshot")
            yield "snapshots swapped"
            self._send([("plant/r1", payload) for payload in POISON])
            yield "rounds of poison"
            self._rig.swap("bundle")
            yield "bundles swapped"
            out = {"ts": self.plant_ms, "asset": "r2", "minutes": 5}
            self._send(
                [
                    ("andon/weldcell/cmd/op-1/oos", msgspec.json.encode(out)),
                    ("andon/weldcell/cmd/op-1/oos", b"not JSON"),
                    ("andon/weldcell/cmd/op-1/nothing", b"{}"),
                ]
            )
            yield "rounds of commands"
            self._rig.broker.stop()
            self._rig.broker.start()
            yield "brokers restarted"

    def _send(self, messages: list[tuple[str, bytes]]) -> None:
        with suppress(BrokerError), Publisher(Endpoint(port=self._publisher_port)) as publisher:
            for topic, payload in messages:
                publisher.publish(topic, payload)
            publisher.drain()


def main(arguments: list[str] | None = None) -> int:
    """Soak; returns the exit code."""
    options = _options(arguments)
    if lacks := missing_programs():
        sys.stderr.write(
            f"soak needs {' and '.join(lacks)}, not found on PATH or in /usr/sbin."
            " On Debian and Ubuntu: apt-get install mosquitto mosquitto-clients\n"
        )
        return 2
    folder = Path(tempfile.mkdtemp(prefix="andon-soak-", dir=options.directory))
    plant = make_plant(folder, seed=options.seed, kills=1, every_rows=EVERY_ROWS)
    settings = {
        "ANDON__JOURNAL__BYTES_MAX": str(JOURNAL_BYTES),
        "ANDON__JOURNAL__CHECKPOINT_S": "10",
    }
    rig = Rig(plant, folder, messages=Endless(plant), hears=False, settings=settings)
    looks, done, code = _soak(rig, options)
    behind = warm(looks)
    slope = slope_of(behind)
    first, last = behind[:10], behind[-10:]
    figures = {
        "hours": round(looks[-1].seconds / 3600, 3),
        "messages": looks[-1].messages,
        "slope_mb_per_million": round(slope.slope, 3),
        "slope_low": round(slope.low, 3),
        "slope_high": round(slope.high, 3),
        "rss_mb_begin": round(statistics.median(one.rss_mb for one in first), 1),
        "rss_mb_end": round(statistics.median(one.rss_mb for one in last), 1),
        "handles_begin": int(statistics.median(one.handles for one in first)),
        "handles_end": int(statistics.median(one.handles for one in last)),
        "threads_begin": int(statistics.median(one.threads for one in first)),
        "threads_end": int(statistics.median(one.threads for one in last)),
        "journal_mb_max": round(max(one.journal_mb for one in looks), 1),
        "wal_mb_max": round(max(one.wal_mb for one in looks), 1),
        **{name.replace(" ", "_"): count for name, count in sorted(done.items())},
        "exit_code": code,
    }
    options.out.mkdir(parents=True, exist_ok=True)
    write_table(options.out / "soak.csv", looks)
    write_page(options.out / "soak.html", looks, msgspec.json.encode(figures).decode())
    wrong = faults(figures, slope)
    failed = bool(wrong)
    sys.stderr.write(f"{outcome(wrong, messages=looks[-1].messages)}\n")
    sys.stderr.write(f"figures in {options.out}; {'kept ' if failed else ''}{folder}\n")
    if not failed:
        remove(folder)
    sys.stdout.write(msgspec.json.encode(figures).decode() + "\n")
    return int(failed)


def _soak(rig: Rig, options: Any) -> tuple[list[Usage], dict[str, int], int]:  # noqa: ANN401
    """What was seen, what was done, and with which code the gateway ended."""
    looks: list[Usage] = []
    step_s = 1.0 if options.accelerated else 10.0
    with rig, Collector(Endpoint(port=rig.broker.port), ["andon/#"]) as collector:
        rig.gateway.begin()
        soak = Soak(rig, collector)
        while not any("status" in m.topic for m in list(collector.queue)):
            time.sleep(0.05)
        begin_s = time.monotonic()
        look_s = act_s = ack_s = told_s = begin_s
        until_s = begin_s + options.hours * 3600
        while (now_s := time.monotonic()) < until_s and soak.taken < options.messages:
            soak.hear()
            if options.accelerated:
                rig.sender.release(soak.taken + WINDOW, over_s=0.0)
            else:
                rig.sender.release(int(RATE * (now_s - begin_s)) + 1, over_s=0.0)
            if now_s >= look_s:
                look_s = now_s + step_s
                seen = look(
                    rig.gateway.pid,
                    rig.gateway.state,
                    seconds=now_s - begin_s,
                    messages=soak.taken,
                )
                if seen is None:
                    break
                looks.append(seen)
            if now_s >= ack_s:
                ack_s = now_s + 2 * step_s
                soak.acknowledge()
            if now_s >= act_s:
                act_s = now_s + options.every
                soak.act()
            if now_s >= told_s and looks:
                told_s = now_s + 15.0
                one = looks[-1]
                sys.stderr.write(
                    f"{one.seconds:8.0f} s  {one.messages:,} messages  {one.rss_mb:.1f} MB"
                    f"  {one.handles} handles  {one.threads} threads\n"
                )
                sys.stderr.flush()
            time.sleep(0.02)
        code = rig.gateway.stop()
    return looks, soak.done, code


def _options(arguments: list[str] | None) -> Any:  # noqa: ANN401 - argparse's namespace
    parser = argparse.ArgumentParser(
        prog="make soak", description="One gateway under months of load: what it grows by."
    )
    parser.add_argument("--hours", type=float, default=1.0, help="how long (1); fractions too")
    parser.add_argument("--accelerated", action="store_true", help="as fast as it goes")
    parser.add_argument("--messages", type=int, default=1 << 60, help="end after so many")
    parser.add_argument("--every", type=float, default=20.0, help="seconds between acts (20)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--directory", type=Path, default=None, help="where to work (temporary)")
    parser.add_argument("--out", type=Path, default=Path("soak"), help="for soak.csv, soak.html")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
