"""From a backup to a box that scores: how long it takes, with the commands that people type.

    python -m benchmarks.replacement [--assets 1000] [--channels 8] [--json]

A gateway runs under a load of one sample a second and asset. It is backed up while it runs, then
killed; the backup is restored to another directory, and the gateway there started. The time that
counts goes from the begin of the backup to the first score of the restored gateway. What people do
in between (unpack a box, connect it) is not in it. Processor time is of the commands alone.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np

from benchmarks.plant import Load, asset_name, channel_names, signals
from edge.brokers.endpoint import Endpoint
from edge.brokers.mqtt import Collector, Publisher
from edge.errors import AndonError
from edge.wire.readings import encode_rows
from models.bundles.assemble import make_bundle
from models.bundles.bundle import Channel
from models.bundles.store import save
from models.fitting.fit import FitOptions, fit_asset
from models.samples import TrainingSamples
from simulator.broker import embedded_broker

if TYPE_CHECKING:
    from collections.abc import Callable

TRAINED_ROWS: Final = 2_000
PERIOD_MS: Final = 1_000
WAIT_S_MAX: Final = 150.0
WARM_S: Final = 15.0  # behind the first score: checkpoints are written every five seconds
LIMIT_S: Final = 600.0  # live in ten minutes
CONFIG: Final = """\
site = "bench"

[mqtt]
port = {port}

[model]
bundle = "bundle"

[journal]
checkpoint_s = 5

[engine]
score_publish_s = 1
health_publish_s = 1
"""


@dataclass(slots=True)
class Ears:
    """What gateways say."""

    collector: Collector
    scores: int = 0  # that are no null
    claims: int = 0
    fenced_s: float | None = None

    def take(self) -> None:
        """Take what has come."""
        while self.collector.queue:
            message = self.collector.queue.popleft()
            kind = message.topic.split("/")[2]
            if kind == "score":
                self.scores += b'"score":null' not in message.payload
            elif kind == "fence" and message.payload:
                self.claims = max(self.claims, msgspec.json.decode(message.payload)["generation"])


class Plant:
    """One sample a second of every asset, until it is stopped. A context manager."""

    def __init__(self, load: Load, port: int) -> None:
        self._values = signals(load, rows=64, training=False)
        self._load, self._port = load, port
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Plant:  # noqa: PYI034 - it is this one
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        tags = channel_names(self._load)
        with Publisher(Endpoint(port=self._port), in_flight_max=2_000) as publisher:
            row = 0
            while not self._stop.wait(max(0.0, PERIOD_MS / 1000 - time.time() % 1)):
                t_ns = time.time_ns()
                for i in range(self._load.assets):
                    values = self._values[i, row % 64].tolist()
                    (payload,) = encode_rows(tags, [t_ns], [values], shape="wide")
                    publisher.publish(f"plant/{asset_name(i)}", payload)
                row += 1


def main() -> int:
    """Measure and print; returns the exit code, 1 when it took longer than ten minutes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--assets", type=int, default=1_000)
    parser.add_argument("--channels", type=int, default=8)
    parser.add_argument("--json", action="store_true", help="JSON alone on stdout")
    options = parser.parse_args()
    try:
        with tempfile.TemporaryDirectory(prefix="andon-replacement-") as scratch:
            told = measure(options.assets, options.channels, Path(scratch))
    except AndonError as error:
        sys.stderr.write(f"benchmarks.replacement: {error}\n")
        return 2
    if options.json:
        sys.stdout.write(json.dumps(told, indent=1) + "\n")
    else:
        for name, value in told.items():
            sys.stdout.write(f"{name:28} {value}\n")
    return 0 if told["backup_to_first_score_s"] <= LIMIT_S else 1


def measure(assets: int, channels: int, folder: Path) -> dict[str, float]:
    """The figures, seconds unless the name says otherwise. Raises AndonError."""
    load = Load(assets=assets, channels=channels, period_ms=PERIOD_MS, rows=64, batch_rows=1)
    _site(load, folder / "old")
    told: dict[str, float] = {"assets": assets, "channels": channels}
    with embedded_broker() as broker:
        config = folder / "old" / "gateway.toml"
        config.write_text(CONFIG.format(port=broker.port), encoding="utf-8")
        endpoint = Endpoint(port=broker.port)
        with (
            Collector(endpoint, ("andon/+/score/+", "andon/+/fence")) as collector,
            Plant(load, broker.port),
        ):
            ears = Ears(collector)
            with _gateway(config) as old:
                _until(lambda: ears.scores > 0, ears, old, folder / "old")
                began_s = time.monotonic()
                _until(lambda: time.monotonic() - began_s > WARM_S, ears, old, folder / "old")
                file = folder / "backup.zip"
                start_s = time.monotonic()
                told |= _command("backup", ["backup", str(config), "-o", str(file)])
                old.kill()
                told["backup_mb"] = round(file.stat().st_size / 1e6, 1)
            told |= _command("restore", ["restore", str(file), "-o", str(folder / "new")])
            new_config = folder / "new" / "gateway.toml"
            with _gateway(new_config) as new:
                begun_s = time.monotonic()
                ears.take()
                ears.scores = 0
                _until(lambda: ears.scores > 0, ears, new, folder / "new")
                told["start_to_first_score_s"] = round(time.monotonic() - begun_s, 2)
                told["backup_to_first_score_s"] = round(time.monotonic() - start_s, 2)
                with _gateway(config) as again, suppress(subprocess.TimeoutExpired):
                    told["old_box_exit_code"] = again.wait(WAIT_S_MAX)
                new.terminate()
                new.wait(60)
            told["generation"] = ears.claims
    return told


def _site(load: Load, folder: Path) -> None:
    """A bundle for all assets: fitted once, since it is not the fit that is measured."""
    folder.mkdir(parents=True)
    one = replace_load(load, assets=1)
    record = TrainingSamples(
        asset=asset_name(0),
        channels=tuple(Channel(name=name) for name in channel_names(load)),
        values=np.asarray(signals(one, rows=TRAINED_ROWS, training=True)[0]),
        period_ns=PERIOD_MS * 1_000_000,
    )
    fit = fit_asset(record, FitOptions(alignment="rows"))
    fits = [replace(fit, asset=asset_name(i)) for i in range(load.assets)]
    save(make_bundle(fits), folder / "bundle")


def replace_load(load: Load, *, assets: int) -> Load:
    """The same plant with another number of assets."""
    return msgspec.structs.replace(load, assets=assets)


class _gateway:  # noqa: N801 - used like a function
    """`andon run` of a configuration, killed at the end."""

    def __init__(self, config: Path) -> None:
        log = (config.parent / "run.log").open("ab")
        command = [sys.executable, "-m", "andon", "run", str(config)]
        self._process = subprocess.Popen(command, stdout=log, stderr=log)  # noqa: S603 - our own
        log.close()

    def __enter__(self) -> subprocess.Popen[bytes]:
        return self._process

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait(30)


def _command(name: str, arguments: list[str]) -> dict[str, float]:
    """Run a command; its wall and processor time. Raises AndonError when it fails."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    begun_s = time.monotonic()
    done = subprocess.run(  # noqa: S603 - our own
        [sys.executable, "-m", "andon", *arguments],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ,
    )
    wall_s = time.monotonic() - begun_s
    if done.returncode:
        raise AndonError(f"andon {arguments[0]} ended with {done.returncode}: {done.stdout[-800:]}"
                         f"{done.stderr[-800:]}")  # fmt: skip
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {f"{name}_s": round(wall_s, 2), f"{name}_processor_s": round(spent_s, 2)}


def _until(
    done: Callable[[], bool], ears: Ears, gateway: subprocess.Popen[bytes], folder: Path
) -> None:
    """Wait. Raises AndonError when the gateway ends, or nothing comes."""
    deadline_s = time.monotonic() + WAIT_S_MAX
    while not done():
        ears.take()
        if gateway.poll() is not None or time.monotonic() > deadline_s:
            said = (folder / "run.log").read_text(encoding="utf-8", errors="replace")[-1500:]
            raise AndonError(f"the gateway did not go on ({gateway.poll()}): {said}")
        time.sleep(0.01)


if __name__ == "__main__":
    sys.exit(main())
