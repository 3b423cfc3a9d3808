"""What a value of Sparkplug B costs, by alias: to read it, and until it is in a closed sample.

`python -m benchmarks.speed.intake` prints it with the other shapes. Values are float metrics of one
time in the same layout message after message; beside it stands the same as JSON, decoded alone.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np

from benchmarks.many_assets import FIRST_NS, bundle_of
from benchmarks.plant import MILLISECOND_NS, Load, asset_name, channel_names, signals
from benchmarks.speed.figure import Figure
from edge.assembly.assembly import Assembly
from edge.records import MessageReceived
from edge.settings import GatewaySettings, Source
from edge.wire.readings import encode_rows
from edge.wire.sparkplug import FLOAT, SEQUENCES
from edge.wire.sparkplug_layouts import Layouts
from edge.wire.sparkplug_writing import encode_birth, encode_metric, encode_payload

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge.engine import Engine

FORMS: Final = ((8, 250), (100, 25))  # metrics of a message, assets
PERIOD_MS: Final = 1_000
WARM: Final = 4  # rounds before those that count, in which layouts are learned
READ_US_MAX: Final = 0.6  # a value, of reading alone
SOURCE: Final = Source(topic="spBv1.0/g/+/n/{asset}", format="sparkplug")
YARDSTICK: Final = "msgspec.json.decode of the same values as JSON"


def figures(
    take: Callable[[Engine, int, list[MessageReceived]], None], *, rounds: int
) -> list[Figure]:
    """CPU microseconds a value; `take` is a group through the engine, until its rows are closed."""
    return [one for k, assets in FORMS for one in _figures_of(k, assets, take, rounds=rounds)]


def _figures_of(
    k: int,
    assets: int,
    take: Callable[[Engine, int, list[MessageReceived]], None],
    *,
    rounds: int,
) -> list[Figure]:
    load = Load(assets=assets, channels=k, period_ms=PERIOD_MS, rows=rounds + WARM, batch_rows=1)
    settings = GatewaySettings(site="bench", source=(SOURCE,))
    engine = Assembly(settings, bundle=bundle_of(load), snapshot=None).engine
    values = signals(load, rows=load.rows, training=False)
    take(engine, FIRST_NS, _births(load))
    layouts, seconds = Layouts(), []
    for number in range(rounds + WARM):
        now_ns, messages, json = _group(load, values[:, number], number)
        begin = time.thread_time()
        take(engine, now_ns, messages)
        taken = time.thread_time()
        for message in messages:
            if layouts.read(message.payload) is None:
                layouts.learn(message.payload)
        read = time.thread_time()
        for payload in json:
            msgspec.json.decode(payload)
        seconds.append((taken - begin, read - taken, time.thread_time() - read))
    assert not {"waiting_for_birth", "sparkplug_gaps"} & engine.counts().keys()
    took = np.array(seconds[WARM:])  # (rounds, 3)
    whole_us, read_us = (np.median(took[:, :2], axis=0) / (assets * k) * 1e6).tolist()
    whole, read = np.median(took[:, :2] / took[:, 2:], axis=0).tolist()
    note = f"{assets} assets, {k} metrics a message"
    return [
        Figure(
            id=f"intake_sparkplug_{k}",
            figure=whole_us,
            unit="us a value",
            ratio=whole,
            against=YARDSTICK,
            note=f"{note}, wire to closed samples",
        ),
        Figure(
            id=f"read_sparkplug_{k}",
            figure=read_us,
            unit="us a value",
            ratio=read,
            against=YARDSTICK,
            note=f"{note}, payloads alone",
            at_most=READ_US_MAX,
            of_figure=True,
        ),
    ]


def _births(load: Load) -> list[MessageReceived]:
    """The births of all assets, before anything else."""
    tags, t_ms, said = channel_names(load), FIRST_NS // MILLISECOND_NS, list[MessageReceived]()
    for asset in range(load.assets):
        payload = encode_birth(tags, t_ms=t_ms, seq=asset % SEQUENCES)
        topic = f"spBv1.0/g/DBIRTH/n/{asset_name(asset)}"
        said.append(MessageReceived(topic=topic, payload=payload, received_ns=FIRST_NS))
    return said


def _group(
    load: Load, rows: np.ndarray, number: int
) -> tuple[int, list[MessageReceived], list[bytes]]:
    """One message of every asset (rows: (assets, k)), when they come, and the same as JSON."""
    t_ns = FIRST_NS + (number + 1) * load.period_ms * MILLISECOND_NS
    t_ms, tags = t_ns // MILLISECOND_NS, channel_names(load)
    messages, json = [], []
    for asset, row in enumerate(rows.tolist()):
        metrics = [
            encode_metric(alias=alias, t_ms=t_ms, field=FLOAT, value=value)
            for alias, value in enumerate(row)
        ]
        seq = ((number + 1) * load.assets + asset) % SEQUENCES  # a node and its devices: one count
        payload = encode_payload(metrics, t_ms=t_ms, seq=seq)
        topic = f"spBv1.0/g/DDATA/n/{asset_name(asset)}"
        messages.append(MessageReceived(topic=topic, payload=payload, received_ns=t_ns))
        json += encode_rows(tags, [t_ns], [row], shape="wide")
    return t_ns, messages, json
