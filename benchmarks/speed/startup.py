"""How soon a gateway scores, and `andon --help` answers.

    python -m benchmarks.speed.startup [--assets 100] [--starts 7] [--helps 9]

A gateway process with an empty state, a bundle and a snapshot is started at a real broker over
which every asset already sends, ten times a second. Measured is from the start of the process to
the first sample scored that came over the connection. Wall time is what somebody waits; processor
time says the same of a machine that does nothing else. Modules are compiled, as where Andon was
installed. The last line is JSON, a list of figures.
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
from typing import Any, Final

import msgspec
import numpy as np

from benchmarks.knowledge_folder import write_folder
from benchmarks.many_assets import bundle_of
from benchmarks.plant import Load, asset_name
from benchmarks.publisher import Sender, _head, bodies
from benchmarks.restart import PHASES, WORDS
from benchmarks.speed.figure import Figure
from edge.errors import AndonError
from kb.snapshots.build import build
from models.bundles.store import save
from simulator.broker import embedded_broker

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
        found = _starts(place, assets=assets, starts=starts)
        took_ms, cpu_ms = _helps(place, helps)
    wall_s = [one["scored"] for one in found]
    steps = _steps(found)
    return [
        Figure(
            id=f"first_score_{assets}_assets",
            figure=round(float(np.median(wall_s)), 3),
            unit="s",
            ratio=float("nan"),
            against="",
            note=f"most {max(wall_s):.2f} s, processor time"
            f" {np.median([one['processor_s'] for one in found]):.2f} s; {steps}",
            at_most=FIRST_SCORE_S if assets <= 100 else None,
        ),
        Figure(
            id="help_ms",
            figure=round(float(np.median(took_ms)), 1),
            unit="ms",
            ratio=float("nan"),
            against="",
            note=f"andon --help; processor time {np.median(cpu_ms):.0f} ms",
            at_most=HELP_MS,
        ),
    ]


def _starts(place: Path, *, assets: int, starts: int) -> list[dict[str, float]]:
    """The timeline of each start but the first, which compiles the modules."""
    load = Load(assets=assets, channels=8, period_ms=PERIOD_MS, rows=ROWS, batch_rows=1)
    save(bundle_of(load), place / "bundle")
    write_folder(place / "texts", documents=DOCUMENTS, passages=PASSAGES)
    build(place / "texts", place / "snapshot", now_ns=time.time_ns())
    over = threading.Event()
    with embedded_broker() as broker:
        sending = threading.Thread(target=_send, args=(load, broker.port, over))
        sending.start()
        try:
            found = [_start(place, broker.port) for _ in range(starts + 1)]
        finally:
            over.set()
            sending.join()
    return found[1:]


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


def _start(place: Path, port: int) -> dict[str, float]:
    """The timeline of one start with nothing of an earlier one. Raises AndonError."""
    folder, out = place / "gateway", place / "timeline.json"
    shutil.rmtree(folder, ignore_errors=True)
    out.unlink(missing_ok=True)
    folder.mkdir()
    (folder / "gateway.toml").write_text(CONFIG.format(port=port, place=place), encoding="utf-8")
    command = [sys.executable, "-m", "benchmarks.restart_gateway", str(folder / "gateway.toml")]
    with (place / "gateway.log").open("wb") as log:
        gateway = subprocess.Popen(  # noqa: S603 - this interpreter, our module
            [*command, str(out), repr(time.time())], stdout=log, stderr=log, env=_compiled(place)
        )
    try:
        until_s = time.monotonic() + START_S_MAX
        while not out.exists():
            if gateway.poll() is not None or time.monotonic() > until_s:
                told = (place / "gateway.log").read_text(encoding="utf-8", errors="replace")
                raise AndonError(f"the gateway scores nothing: {told[-800:]}")
            time.sleep(0.02)
    finally:
        gateway.kill()
        gateway.wait()
    found: dict[str, float] = json.loads(out.read_text(encoding="utf-8"))
    return found


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
    for one in found:
        print(f"{one.id}: {one.figure} {one.unit}, at most {one.at_most}; {one.note}")
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    print(msgspec.json.encode(found).decode())
    return int(any(one.reached is False for one in found))


if __name__ == "__main__":
    sys.exit(main())
