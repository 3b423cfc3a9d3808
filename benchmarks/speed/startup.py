"""How soon a gateway scores, and `andon --help` answers.

    python -m benchmarks.speed.startup [--assets 100] [--starts 7] [--helps 9]

A gateway process with an empty state, a bundle and a snapshot is started at a real broker over
which every asset already sends, ten times a second. Measured is from the start of the process to
the first sample scored that came over the connection: the command `andon run`, which notes when it
came how far (`benchmarks.restart_gateway`). In turn with it the command starts as it is, and is
looked at from outside, until it says that it is online; the note tells both. Wall time is what
somebody waits; processor time says the same of a machine that does nothing else. Modules are
compiled, as where Andon was installed. The last line is JSON, a list of figures.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec
import numpy as np

from benchmarks.knowledge_folder import write_folder
from benchmarks.many_assets import bundle_of
from benchmarks.plant import Load, asset_name
from benchmarks.publisher import Sender, _head, bodies
from benchmarks.restart import PHASES, WORDS
from benchmarks.speed.figure import Figure, shown
from edge.brokers.endpoint import Endpoint
from edge.brokers.mqtt import Collector
from edge.errors import AndonError
from kb.snapshots.build import build
from models.bundles.store import save
from simulator.broker import embedded_broker

if TYPE_CHECKING:
    from collections.abc import Callable

FIRST_SCORE_S: Final = 1.0  # with 100 assets
HELP_MS: Final = 150.0
START_S_MAX: Final = 60.0
PERIOD_MS: Final = 100
ROWS: Final = 60
DOCUMENTS: Final = 200
PASSAGES: Final = 2_000
CONFIG: Final = """\
site = "bench"

[mqtt]
port = {port}

[model]
bundle = "{place}/bundle"

[kb]
snapshot = "{place}/snapshot"
"""


def figures(*, assets: int = 100, starts: int = 7, helps: int = 9) -> list[Figure]:
    """`first_score_100_assets`, s, and `help_ms`: medians of wall time. Raises AndonError."""
    with tempfile.TemporaryDirectory(prefix="andon-startup-") as scratch:
        place = Path(scratch)
        found, online_s = _starts(place, assets=assets, starts=starts)
        took_ms, cpu_ms = _helps(place, helps)
    wall_s = [one["scored"] for one in found]
    steps = _steps(found)
    outside = f"`andon run` that notes nothing is online after {np.median(online_s):.2f} s"
    return [
        Figure(
            id=f"first_score_{assets}_assets",
            figure=round(float(np.median(wall_s)), 3),
            unit="s",
            note=f"most {max(wall_s):.2f} s, processor time"
            f" {np.median([one['processor_s'] for one in found]):.2f} s; {steps}; {outside}",
            at_most=FIRST_SCORE_S if assets <= 100 else None,
        ),
        Figure(
            id="help_ms",
            figure=round(float(np.median(took_ms)), 1),
            unit="ms",
            note=f"andon --help; processor time {np.median(cpu_ms):.0f} ms",
            at_most=HELP_MS,
        ),
    ]


def _starts(place: Path, *, assets: int, starts: int) -> tuple[list[dict[str, float]], list[float]]:
    """The timeline of each start but the first, which compiles the modules; how soon it is online.

    The latter in seconds, of a command that notes nothing, started in turn with the others.
    """
    load = Load(assets=assets, channels=8, period_ms=PERIOD_MS, rows=ROWS, batch_rows=1)
    save(bundle_of(load), place / "bundle")
    write_folder(place / "texts", documents=DOCUMENTS, passages=PASSAGES)
    build(place / "texts", place / "snapshot", now_ns=time.time_ns())
    over = threading.Event()
    found, online_s = [], []
    with embedded_broker() as broker:
        sending = threading.Thread(target=_send, args=(load, broker.port, over))
        sending.start()
        try:
            for _ in range(starts + 1):
                found.append(_timeline(place, broker.port))
                online_s.append(_online_s(place, broker.port))
        finally:
            over.set()
            sending.join()
    return found[1:], online_s[1:]


def _send(load: Load, port: int, over: threading.Event) -> None:
    """All assets a row every period, until told."""
    made, sender, batch = bodies(load), Sender(port), 0
    topics = [f"plant/{asset_name(i)}".encode() for i in range(load.assets)]
    while not over.wait(load.period_ms / 1000):
        head = _head(load, time.time_ns() // 1_000_000)
        for topic, body in zip(topics, made[batch % len(made)], strict=True):
            sender.publish(topic, head + body)
        batch += 1
    sender.drain()


def _timeline(place: Path, port: int) -> dict[str, float]:
    """The timeline of one start with nothing of an earlier one. Raises AndonError."""
    out = place / "timeline.json"
    out.unlink(missing_ok=True)
    module = ["benchmarks.restart_gateway", str(place / "gateway" / "gateway.toml")]
    _until(out.exists, place, port, [*module, str(out), repr(time.time())])
    found: dict[str, float] = json.loads(out.read_text(encoding="utf-8"))
    return found


def _online_s(place: Path, port: int) -> float:
    """From the start of the command to when it says at the broker that it is online, s."""
    with Collector(Endpoint(port=port), ("andon/+/status",)) as collector:

        def online() -> bool:
            """Whether it has said so; what is retained is of an earlier one."""
            said = [one.payload for one in tuple(collector.queue) if not one.retain]
            return any(msgspec.json.decode(payload)["online"] for payload in said)

        begin_s = time.monotonic()
        _until(online, place, port, ["andon", "run", str(place / "gateway" / "gateway.toml")])
        return time.monotonic() - begin_s


def _until(reached: Callable[[], bool], place: Path, port: int, module: list[str]) -> None:
    """Start a gateway with nothing of an earlier one, and end it once it got so far.

    Raises AndonError where it does not.
    """
    folder = place / "gateway"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    (folder / "gateway.toml").write_text(CONFIG.format(port=port, place=place), encoding="utf-8")
    with (place / "gateway.log").open("wb") as log:
        gateway = subprocess.Popen(  # noqa: S603 - this interpreter, our module
            [sys.executable, "-m", *module], stdout=log, stderr=log, env=_compiled(place)
        )
    try:
        until_s = time.monotonic() + START_S_MAX
        while not reached():
            if gateway.poll() is not None or time.monotonic() > until_s:
                told = (place / "gateway.log").read_text(encoding="utf-8", errors="replace")
                raise AndonError(f"the gateway scores nothing: {told[-800:]}")
            time.sleep(0.02)
    finally:
        gateway.kill()
        gateway.wait()


def _helps(place: Path, count: int) -> tuple[list[float], list[float]]:
    """Wall and processor time of `andon --help`, ms each; the first call is not among them."""
    wall_ms, cpu_ms = [], []
    for _ in range(count + 1):
        began_s, before = time.monotonic(), os.times()
        subprocess.run(
            [sys.executable, "-m", "andon", "--help"],
            stdout=subprocess.DEVNULL,
            check=True,
            env=_compiled(place),
        )
        after = os.times()
        wall_ms.append((time.monotonic() - began_s) * 1000)
        cpu_ms.append((sum(after[2:4]) - sum(before[2:4])) * 1000)
    return wall_ms[1:], cpu_ms[1:]


def _compiled(place: Path) -> dict[str, str]:
    """The environment of a process that finds its modules compiled."""
    kept = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    return kept | {"PYTHONPYCACHEPREFIX": str(place / "compiled")}


def _steps(found: list[dict[str, float]]) -> str:
    """What each step of a start took in the median, in words."""
    told = []
    for before, phase in zip(("", *PHASES), PHASES, strict=False):
        took = [one[phase] - (one[before] if before else 0.0) for one in found]
        told.append(f"{WORDS[phase]} {np.median(took):.2f}")
    return "; ".join(told)


def main() -> int:
    """Measure and print; returns 1 where something is not as it should be."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.speed.startup", description=__doc__)
    parser.add_argument("--assets", type=int, default=100)
    parser.add_argument("--starts", type=int, default=7)
    parser.add_argument("--helps", type=int, default=9)
    options: Any = parser.parse_args()
    found = figures(assets=options.assets, starts=options.starts, helps=options.helps)
    print(shown(found))
    return int(any(one.reached is False for one in found))


if __name__ == "__main__":
    sys.exit(main())
