"""How late ticks come, how long an alert takes, and how long enrichment does, on this machine.

    python -m benchmarks.speed.latency [--only ID ...] [--rate 30000] [--seconds 20] [--first]

    lateness_p999         100 Hz with 1,000 assets while values arrive, one a message: from when a
                          tick was due to when its work began, as the gateway says on health; beside
                          it an empty loop of 100 Hz in a process of its own, at the same time
    publish_to_alert_p99  50,000 values/s through a real broker: from the publication of the sample
                          that opened an event to its alert at a subscriber
    retrieval_p99         a question about an event, 20,000 passages, from the worker's door to its
                          answer; beside it one that is remembered

Each runs real processes for a minute or so. A busy machine makes every one of them late, and the
empty loop says how late; `--first` runs those of the first before what else the machine does.
"""

from __future__ import annotations

import argparse
import math
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec
import numpy as np

from benchmarks import gateway_load
from benchmarks.gateway_load import Heard
from benchmarks.many_assets import bundle_of
from benchmarks.plant import Load
from benchmarks.speed.figure import Figure, Measured
from benchmarks.speed.retrieving import retrieval_p99
from edge.brokers.endpoint import Endpoint
from edge.brokers.mqtt import Collector
from edge.errors import AndonError
from models.bundles.store import save as save_bundle
from simulator.broker import embedded_broker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

LATENESS: Final = "lateness_p999"
ALERT: Final = "publish_to_alert_p99"
RETRIEVAL: Final = "retrieval_p99"
TICK_MS: Final = 10
ASSETS: Final = 1_000
CHANNELS: Final = 6
LATENESS_MS_MAX: Final = 5.0
ALERT_MS_MAX: Final = 50.0
ALERT_S_MIN: Final = 12.0
START_S_MAX: Final = 60.0
SECONDS: Final = 20
SECONDS_QUICK: Final = 5
REACHED_MIN: Final = 0.95  # of the load: what is late under less is not what was asked
CONFIG: Final = """\
site = "bench"

[mqtt]
port = {port}

[model]
bundle = "bundle"

[engine]
tick_ms = {tick_ms}
health_publish_s = {health_s}
"""


def lateness_p999(
    folder: Path,
    *,
    rate: float = 30_000.0,
    assets: int = ASSETS,
    seconds: int = SECONDS,
    qos: int = 1,
    first: bool = False,
) -> Figure:
    """Ticks at 100 Hz while `rate` values a second arrive.

    seconds: of the report of health that is told; the one before it covers the start. Raises
    AndonError where something does not start, RuntimeError where the load was not taken as a whole.
    """
    period_ms = max(1, round(1_000 * assets * CHANNELS / rate))
    reports = 3
    load = Load(
        assets=assets,
        channels=CHANNELS,
        period_ms=period_ms,
        rows=math.ceil((reports * seconds + 5) * 1_000 / period_ms),
        batch_rows=1,
    )
    save_bundle(bundle_of(load, alignment="grid"), folder / "bundle")
    with embedded_broker() as broker, Collector(Endpoint(port=broker.port), ("andon/#",)) as heard:
        text = CONFIG.format(port=broker.port, tick_ms=TICK_MS, health_s=seconds)
        (folder / "gateway.toml").write_text(text, encoding="utf-8")
        run = ["andon", "run", str(folder / "gateway.toml")]
        plant = ["benchmarks.speed.single_values", str(broker.port)]
        plant += [msgspec.json.encode(load).decode(), str(qos)]
        empty = ["benchmarks.speed.latency", "--empty", str(reports * seconds)]
        with _process(run, folder, first=first) as gateway:
            told = Heard()
            begin_s = time.monotonic()
            while not (told.online and told.health):
                _look(told, heard, gateway, folder)
                if time.monotonic() - begin_s > START_S_MAX:
                    raise AndonError(f"the gateway did not start within {START_S_MAX:.0f} s")
            with (
                _process(plant, folder, first=first),
                _process(empty, folder, first=first) as beside,
            ):
                before = told.health["uptime_s"]
                while told.health["uptime_s"] < before + (reports - 0.5) * seconds:
                    told.first_health = told.health  # what is dropped counts from the one before
                    _look(told, heard, gateway, folder)
                said = beside.communicate()[0]
    if why := shortfall(told, rate=load.values_per_s):
        raise RuntimeError(why)
    return _lateness(told.health, rate=load.values_per_s, empty=msgspec.json.decode(said))


def shortfall(told: Heard, *, rate: float) -> str:
    """What of a load was not taken since the report of health before the last; "" all was.

    A loop that is spared work is not late: what it shows then is no figure.
    """
    taken = told.health["messages_per_s"]
    if taken < REACHED_MIN * rate:
        return (
            f"the load was not reached: {taken:,.0f} of {rate:,.0f} messages/s were taken; measure"
            " `--parts latency` again when this machine does nothing else"
        )
    lost = ", ".join(f"{name} {n:,}" for name, n in told.dropped.items())
    return f"not all of the load was taken: {lost}" if lost else ""


def _lateness(health: dict[str, Any], *, rate: float, empty: dict[str, float]) -> Figure:
    """What the last report says."""
    ticks = health["latency"]["ticks"]
    late, end = ticks["late_ms"], ticks["end_ms"]
    note = (
        f"{rate:,.0f} values/s sent, {health['messages_per_s']:,.0f} messages/s taken,"
        f" {health['queue_depth']} waited; {late['count']} ticks, {ticks['missed']} left out;"
        f" p50 {late['p50']}, p99 {late['p99']}, max {late['max']} ms late;"
        f" ended p50 {end['p50']}, p99 {end['p99']}, p99.9 {end['p999']} ms behind;"
        f" empty loop p50 {empty['p50']:.2f}, p99 {empty['p99']:.2f}, p99.9 {empty['p999']:.2f} ms"
    )
    return Figure(
        id=LATENESS,
        figure=late["p999"],
        unit="ms",
        ratio=late["p999"] / empty["p999"],
        against="an empty loop of 100 Hz at the same time",
        note=note,
        at_most=LATENESS_MS_MAX / empty["p999"],
    )


def publish_to_alert_p99(folder: Path, *, seconds: float = 30.0) -> Figure:
    """100 assets of 8 channels, 50,000 values/s, as a gateway is installed. Raises AndonError."""
    load = Load(assets=100, channels=8, period_ms=16, rows=0, batch_rows=10)
    rows = int(seconds * 1_000 / load.period_ms)
    load = msgspec.structs.replace(load, rows=rows - rows % load.batch_rows)
    told = gateway_load.measure(load, folder, say=lambda _: None)
    note = (
        f"{told.values_per_s:,.0f} values/s, {told.alerts} alerts, {told.lost} lost; p50"
        f" {told.publish_to_alert_ms_p50:.0f}, max {told.publish_to_alert_ms_max:.0f} ms; gateway"
        f" {told.cpu_share:.2f} of a core"
    )
    p99 = told.publish_to_alert_ms_p99
    assert p99 is not None, "the load has steps"
    return Figure(
        id=ALERT, figure=p99, unit="ms", ratio=math.nan, against="", note=note, at_most=ALERT_MS_MAX
    )


def measure(*, quick: bool = False) -> Measured:
    """What can be measured here, and why the rest cannot."""
    return measured(seconds=SECONDS_QUICK if quick else SECONDS)


def measured(
    *,
    only: Sequence[str] = (),
    rate: float = 30_000.0,
    assets: int = ASSETS,
    seconds: int = SECONDS,
    first: bool = False,
) -> Measured:
    """Measure what is asked for, one after another; all of it by default.

    seconds: with less than 20 all of them are shorter, or smaller, and say so.
    """
    ways: dict[str, Callable[[Path], Figure]] = {
        LATENESS: lambda at: lateness_p999(
            at, rate=rate, assets=assets, seconds=seconds, first=first
        ),
        ALERT: lambda at: publish_to_alert_p99(at, seconds=max(1.5 * seconds, ALERT_S_MIN)),
        RETRIEVAL: lambda at: retrieval_p99(at, passages=1_000 * min(seconds, 20)),
    }
    told = Measured()
    for name in only or ways:
        with tempfile.TemporaryDirectory(prefix="andon-bench-") as scratch:
            try:
                told.figures.append(ways[name](Path(scratch)))
            except (AndonError, RuntimeError) as error:  # one that fails takes no other with it
                told.not_measured[name] = str(error)
    return told


def empty_loop(seconds: float) -> dict[str, float]:
    """How late a loop of 100 Hz is that does nothing, ms."""
    late_ms, due_s = [], time.monotonic()
    for _ in range(int(seconds * 1_000 / TICK_MS)):
        due_s += TICK_MS / 1e3
        time.sleep(max(0.0, due_s - time.monotonic()))
        late_ms.append(max(0.0, time.monotonic() - due_s) * 1e3)
    p50, p99, p999 = np.percentile(late_ms, (50, 99, 99.9)).tolist()
    return {"p50": p50, "p99": p99, "p999": p999}


@contextmanager
def _process(module: list[str], folder: Path, *, first: bool) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", *module]
    if first:
        command = ["chrt", "--rr", "1", *command]
    with (folder / f"{module[0]}.log").open("wb") as log:
        process = subprocess.Popen(  # noqa: S603 - this interpreter and our own modules
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log
        )
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _look(told: Heard, heard: Collector, gateway: subprocess.Popen[bytes], folder: Path) -> None:
    """Take what has come. Raises AndonError when the gateway has ended."""
    told.take(heard)
    time.sleep(0.2)  # the measuring itself must not take the CPU
    if gateway.poll() is not None:
        log = (folder / "andon.log").read_text(encoding="utf-8", errors="replace")
        raise AndonError(f"the gateway ended with code {gateway.returncode}: {log[-800:]}")


def main() -> int:
    """Measure and print, as JSON last."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", default=[], choices=[LATENESS, ALERT, RETRIEVAL])
    parser.add_argument("--rate", type=float, default=30_000.0, help="values a second (30,000)")
    parser.add_argument("--assets", type=int, default=ASSETS, help="that have them (1,000)")
    parser.add_argument(
        "--seconds", type=int, default=SECONDS, help="that lateness is told of (20)"
    )
    parser.add_argument("--first", action="store_true", help="before all else on the machine")
    parser.add_argument("--empty", type=float, default=0.0, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.empty:
        sys.stdout.buffer.write(msgspec.json.encode(empty_loop(options.empty)))
        return 0
    told = measured(
        only=options.only,
        rate=options.rate,
        assets=options.assets,
        seconds=options.seconds,
        first=options.first,
    )
    for one in told.figures:
        beside = "" if math.isnan(one.ratio) else f", {one.ratio:.2f} of {one.against}"
        sys.stdout.write(f"{one.id}: {one.figure:.2f} {one.unit}{beside}\n  {one.note}\n")
    for name, why in told.not_measured.items():
        sys.stdout.write(f"{name}: not measured: {why}\n")
    sys.stdout.buffer.write(msgspec.json.encode(told.figures) + b"\n")
    return 2 if told.not_measured else 0


if __name__ == "__main__":
    sys.exit(main())
