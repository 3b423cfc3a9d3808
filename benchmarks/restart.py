"""How soon a gateway that was killed scores again, and where the time goes.

    python -m benchmarks.restart [--assets 1000] [--restarts 30] [--rate 8000] [--batch-rows 1]

A gateway with a real broker under a steady load is killed with SIGKILL at a random age of its
newest checkpoint and started again, as often as told. Measured is from the start of the process to
the first sample scored that came over the connection after it. Wall time is what somebody waits;
processor time of the new process says the same of a machine that does nothing else, so the load of
the machine stands beside them. The gateway finds its modules compiled, as where it was installed.
The last line is JSON. Exit code 1 when p99 of the wall time is over two seconds.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.many_assets import ask_for_load, bundle_of, load_of
from benchmarks.plant import Load, asset_name
from benchmarks.publisher import Sender, _head, _wait_until, bodies
from edge.errors import AndonError
from models.bundles.store import save
from simulator.broker import embedded_broker

LIMIT_S: Final = 2.0
START_S_MAX: Final = 120.0
WARM_S: Final = 14.0  # a checkpoint is there by then
CYCLE_BATCHES: Final = 12  # of messages that are sent over and over
PHASES: Final = ("imported", "opened", "restored", "loop", "heard", "scored")
WORDS: Final = {
    "imported": "start of Python, imports",
    "opened": "bundle, journal, outbox opened",
    "restored": "checkpoint and journal taken",
    "loop": "started: first stimuli, collection",
    "heard": "first message over the new connection",
    "scored": "first new sample scored",
}
CONFIG: Final = """\
site = "bench"

[mqtt]
port = {port}

[model]
bundle = "bundle"

[journal]
checkpoint_s = {checkpoint_s}
"""


def main() -> int:
    """Measure and print; returns the exit code."""
    options = _options()
    if options.publish:
        _publish(msgspec.json.decode(options.publish, type=Load), options.port)
        return 0
    load = load_of(options, batches=CYCLE_BATCHES)
    try:
        with tempfile.TemporaryDirectory(prefix="andon-restart-") as scratch:
            found = _measure(load, Path(scratch), options.restarts, options.checkpoint_s)
    except AndonError as error:
        sys.stderr.write(f"benchmarks.restart: {error}\n")
        return 2
    told = _told(load, found)
    _show(told, Console())
    sys.stdout.write(json.dumps(told) + "\n")
    return 0 if told["seconds_p99"] < LIMIT_S else 1


def _options() -> Any:  # noqa: ANN401 - argparse's namespace
    parser = argparse.ArgumentParser(prog="python -m benchmarks.restart", description=__doc__)
    ask_for_load(parser, rate=8_000)
    parser.add_argument("--restarts", type=int, default=30)
    parser.add_argument("--checkpoint-s", type=float, default=10.0, help="[journal] checkpoint_s")
    parser.add_argument("--publish", help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    return parser.parse_args()


def _publish(load: Load, port: int) -> None:
    """Send until killed, at its pace; the same rows again and again, at the times that it is."""
    made = bodies(load)
    topics = [f"plant/{asset_name(i)}".encode() for i in range(load.assets)]
    sender = Sender(port)
    batch_ms = load.period_ms * load.batch_rows
    batch, t0_ms = 0, time.time_ns() // 1_000_000
    while True:
        first_ms = t0_ms + batch * batch_ms
        late_ms = time.time_ns() // 1_000_000 - first_ms - batch_ms
        if late_ms > 1_000:  # a machine that cannot keep up sends less, not what is old
            t0_ms += late_ms
            continue
        head = _head(load, first_ms)
        step_ns = batch_ms * 1_000_000 // load.assets
        for i, body in enumerate(made[batch % len(made)]):
            _wait_until((first_ms + batch_ms) * 1_000_000 + i * step_ns)
            sender.publish(topics[i], head + body)
        batch += 1


def _measure(
    load: Load, folder: Path, restarts: int, checkpoint_s: float
) -> list[dict[str, float]]:
    save(bundle_of(load), folder / "bundle")
    random_s = random.Random(1)  # noqa: S311 - when to kill
    found: list[dict[str, float]] = []
    with embedded_broker() as broker:
        (folder / "gateway.toml").write_text(
            CONFIG.format(port=broker.port, checkpoint_s=checkpoint_s), encoding="utf-8"
        )
        sending = [sys.executable, "-m", "benchmarks.restart", "--port", str(broker.port)]
        sending += ["--publish", msgspec.json.encode(load).decode()]
        gateway = _start(folder)
        publisher = subprocess.Popen(sending)  # noqa: S603 - this interpreter, this module
        try:
            _scored(gateway, folder)
            time.sleep(WARM_S)
            for i in range(restarts):
                time.sleep(_until_age(folder, random_s.uniform(0.0, checkpoint_s), checkpoint_s))
                gateway.send_signal(signal.SIGKILL)
                gateway.wait()
                age_s = time.time() - _newest_s(folder)
                behind = _journal_bytes(folder)
                gateway = _start(folder)
                found.append(_scored(gateway, folder) | {"age_s": age_s, "journal_bytes": behind})
                sys.stderr.write(f"{i + 1}/{restarts}: {json.dumps(found[-1])}\n")
        finally:
            for process in (publisher, gateway):
                process.kill()
                process.wait()
    return found


def _start(folder: Path) -> subprocess.Popen[bytes]:
    out = folder / "timeline.json"
    out.unlink(missing_ok=True)
    command = [sys.executable, "-m", "benchmarks.restart_gateway", str(folder / "gateway.toml")]
    compiled = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    compiled["PYTHONPYCACHEPREFIX"] = str(folder / "compiled")
    with (folder / "gateway.log").open("ab") as log:
        return subprocess.Popen(  # noqa: S603 - likewise
            [*command, str(out), repr(time.time())], stdout=log, stderr=log, env=compiled
        )


def _scored(gateway: subprocess.Popen[bytes], folder: Path) -> dict[str, float]:
    """The timeline of a gateway, once it has scored something new."""
    deadline_s = time.monotonic() + START_S_MAX
    while not (folder / "timeline.json").exists():
        if gateway.poll() is not None or time.monotonic() > deadline_s:
            told = (folder / "gateway.log").read_text(encoding="utf-8", errors="replace")
            raise AndonError(f"the gateway scores nothing: {told[-800:]}")
        time.sleep(0.02)
    found: dict[str, float] = json.loads((folder / "timeline.json").read_text())
    return found


def _newest_s(folder: Path) -> float:
    """When the newest checkpoint was written; 0 without one."""
    written = [p.stat().st_mtime for p in (folder / "state/checkpoints").glob("*.checkpoint")]
    return max(written, default=0.0)


def _until_age(folder: Path, age_s: float, checkpoint_s: float) -> float:
    """How long to wait until the newest checkpoint, or the next one, is so old."""
    left_s = age_s - (time.time() - _newest_s(folder))
    return max(0.0, left_s if left_s >= 0 else left_s + checkpoint_s)


def _journal_bytes(folder: Path) -> float:
    """Bytes of the journal behind the newest checkpoint."""
    names = sorted(p.stem for p in (folder / "state/checkpoints").glob("*.checkpoint"))
    segment, _, offset = names[-1].partition("-")
    sizes = {p.stem: p.stat().st_size for p in (folder / "state/journal").glob("*.journal")}
    return float(sum(size for name, size in sizes.items() if name >= segment) - int(offset))


def _told(load: Load, found: list[dict[str, float]]) -> dict[str, Any]:
    steps = _steps(found, "")
    seconds = [one["scored"] for one in found]
    return {
        "assets": load.assets,
        "restarts": len(found),
        "values_per_s_sent": load.values_per_s,
        "checkpoint_age_s_max": round(max(one["age_s"] for one in found), 1),
        "journal_mb_max": round(max(one["journal_bytes"] for one in found) / 1e6, 1),
        "stimuli_max": max(one["stimuli"] for one in found),
        "load_average": [round(one, 1) for one in os.getloadavg()],
        "seconds_p50": round(float(np.percentile(seconds, 50)), 3),
        "seconds_p99": round(float(np.percentile(seconds, 99)), 3),
        "processor_s_p50": round(float(np.percentile([o["processor_s"] for o in found], 50)), 3),
        "processor_s_p99": round(float(np.percentile([o["processor_s"] for o in found], 99)), 3),
        "steps_s": steps,
        "steps_processor_s": _steps(found, "processor_"),
    }


def _steps(found: list[dict[str, float]], prefix: str) -> dict[str, float]:
    """What each step of a start took in the median; prefix: of which clock."""
    steps = {}
    for before, phase in zip(("", *PHASES), PHASES, strict=False):
        took = [one[prefix + phase] - (one[prefix + before] if before else 0.0) for one in found]
        steps[phase] = round(float(np.median(took)), 3)
    return steps


def _show(told: dict[str, Any], console: Console) -> None:
    table = Table("from the start of the process to", "median s more", "of processor time")
    for phase in PHASES:
        steps = told["steps_s"][phase], told["steps_processor_s"][phase]
        table.add_row(WORDS[phase], *(f"{one:.3f}" for one in steps))
    console.print(table)
    console.print(
        f"{told['restarts']} kills, {told['assets']} assets, {told['values_per_s_sent']:.0f}"
        f" values/s sent, load {told['load_average'][0]} on {os.cpu_count()} cores;"
        f" checkpoint up to {told['checkpoint_age_s_max']} s old,"
        f" {told['journal_mb_max']} MB behind it: first score after {told['seconds_p50']} s, p99"
        f" {told['seconds_p99']} s; processor time {told['processor_s_p50']} s, p99"
        f" {told['processor_s_p99']} s",
        highlight=False,
    )


if __name__ == "__main__":
    sys.exit(main())
