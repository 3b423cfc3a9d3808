"""What a message costs the engine until its values are closed samples, by its shape.

`python -m benchmarks.speed.intake` prints each shape beside the decoding of its JSON alone, both
of the same run. What is timed is a group of messages of all assets, and what a tick does to close
them; no detector, broker or journal.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec
import numpy as np

from benchmarks.many_assets import FIRST_NS, bundle_of
from benchmarks.plant import MILLISECOND_NS, Load, asset_name, channel_names, signals
from benchmarks.speed import sparkplug
from benchmarks.speed.figure import Figure
from benchmarks.speed.interleaved import pinned
from edge.assembly.assembly import Assembly
from edge.records import MessageReceived
from edge.settings import GatewaySettings
from edge.wire.readings import encode_rows

if TYPE_CHECKING:
    from edge.engine import Engine

ASSETS: Final = 250
CHANNELS: Final = 8
PERIOD_MS: Final = 8
ROUNDS: Final = 41  # groups of messages
WARM: Final = 4  # before them, in which forms are learned
VALUES_PER_S: Final = 1_000_000
YARDSTICK: Final = "msgspec.json.decode of the same values as JSON"


class Shape(NamedTuple):
    """One way of sending: rows in a message, and which shape of the wire."""

    id: str
    rows: int
    shape: str
    assets: int


SHAPES: Final = (
    Shape("intake_wide", 1, "wide", ASSETS),
    Shape("intake_single_value", 1, "single", ASSETS),
    Shape("intake_columnar_16", 16, "columnar", ASSETS),
    Shape("intake_columnar_125", 125, "columnar", ASSETS // 5),
    Shape("intake_block_125", 125, "block", ASSETS // 5),
)


def _engine(load: Load) -> Engine:
    settings = GatewaySettings(site="bench")
    return Assembly(settings, bundle=bundle_of(load), snapshot=None).engine


def _take(engine: Engine, now_ns: int, messages: list[MessageReceived]) -> None:
    """Take a group, and close what is complete: the part of a tick that is measured here."""
    engine.handle_group(messages, now_ns=now_ns)
    engine._arrivals.settle()  # noqa: SLF001
    engine._aligner.close(now_ns=now_ns)  # noqa: SLF001


def _group(
    load: Load, shape: Shape, values: np.ndarray, number: int
) -> tuple[int, list[MessageReceived]]:
    """One message (or one a value) of every asset, and when they come."""
    step_ns = load.period_ms * MILLISECOND_NS
    begin_ns = FIRST_NS + number * shape.rows * step_ns
    now_ns = begin_ns + shape.rows * step_ns
    t_ns = [begin_ns + i * step_ns for i in range(shape.rows)]
    at, tags = number * shape.rows, channel_names(load)
    found = []
    for asset in range(load.assets):
        rows = values[asset, at : at + shape.rows].tolist()
        for payload in encode_rows(tags, t_ns, rows, shape=shape.shape):
            topic = f"plant/{asset_name(asset)}"
            found.append(MessageReceived(topic=topic, payload=payload, received_ns=now_ns))
    return now_ns, found


def figures(*, rounds: int = ROUNDS) -> list[Figure]:
    """CPU microseconds a message of every shape, and nanoseconds a value."""
    found: list[Figure] = []
    with pinned():
        for shape in SHAPES:
            found += _figures_of(shape, rounds=rounds)
        found += sparkplug.figures(_take, rounds=rounds)
    return found


def _figures_of(shape: Shape, *, rounds: int) -> list[Figure]:
    load = Load(
        assets=shape.assets,
        channels=CHANNELS,
        period_ms=PERIOD_MS,
        rows=shape.rows * (rounds + WARM),
        batch_rows=shape.rows,
    )
    engine, values = _engine(load), signals(load, rows=load.rows, training=False)
    json = shape if shape.shape != "block" else shape._replace(shape="columnar")
    seconds: list[tuple[float, float]] = []
    messages: list[MessageReceived] = []
    for number in range(rounds + WARM):
        now_ns, messages = _group(load, shape, values, number)
        payloads = [message.payload for message in _group(load, json, values, number)[1]]
        begin = time.thread_time()
        _take(engine, now_ns, messages)
        between = time.thread_time()
        for payload in payloads:
            msgspec.json.decode(payload)
        seconds.append((between - begin, time.thread_time() - between))
    took = np.array(seconds[WARM:])  # (rounds, 2)
    ratio = float(np.median(took[:, 0] / took[:, 1]))
    take_s = float(np.median(took[:, 0]))
    per_message = take_s / len(messages)
    per_value = take_s / (shape.assets * shape.rows * CHANNELS)
    rows = f"{shape.rows} x {CHANNELS}" if shape.rows > 1 else ""
    note = f"{shape.assets} assets, {rows or shape.shape}, wire to closed samples"
    share = Figure(
        id=f"{shape.id}_core",
        figure=per_value * VALUES_PER_S * 100,
        unit="% of a core",
        ratio=per_value * VALUES_PER_S,
        against="one core",
        note="at a million values a second; the engine alone",
    )
    message = Figure(
        id=shape.id,
        figure=per_message * 1e6,
        unit="us a message",
        ratio=ratio,
        against=YARDSTICK,
        note=note,
    )
    return [message, share] if shape.rows > 1 else [message]


def main() -> None:
    """Print every figure."""
    for one in figures():
        print(
            f"{one.id:28} {one.figure:9.2f} {one.unit}  {one.ratio:.3g} x {one.against}"
            f"  ({one.note})"
        )


if __name__ == "__main__":
    main()
