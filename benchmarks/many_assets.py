"""A plant of many assets for benchmarks of what is kept: bundle, messages, an engine in mid-life.

A few detectors are fitted and carry the names of all: what is measured depends on their size alone.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import msgspec

from benchmarks.plant import MILLISECOND_NS, Load, asset_name, channel_names, signals
from edge.assembly.assembly import Assembly
from edge.records import MessageReceived, TickDue
from edge.settings import GatewaySettings
from models.bundles.assemble import make_bundle
from models.bundles.bundle import Channel
from models.fitting.fit import FitOptions, fit_asset
from models.samples import TrainingSamples

if TYPE_CHECKING:
    import argparse

    import numpy as np
    from numpy.typing import NDArray

    from models.bundles.bundle import Bundle

FITTED: Final = 4
TRAINED_ROWS: Final = 2_000
BLOCK_ROWS: Final = 64
FIRST_NS: Final = 1_790_000_000 * 10**9


def ask_for_load(parser: argparse.ArgumentParser, *, rate: float) -> None:
    """Options of a plant, with this many values a second unless somebody says otherwise."""
    parser.add_argument("--assets", type=int, default=1_000)
    parser.add_argument("--channels", type=int, default=8)
    parser.add_argument("--rate", type=float, default=rate, help=f"values a second ({rate:.0f})")
    parser.add_argument("--batch-rows", type=int, default=1, help="rows in a message (1)")


def load_of(options: argparse.Namespace, *, batches: int) -> Load:
    """What these options ask for; the period is in whole milliseconds, as near as they come."""
    period_ms = max(1, round(1000 * options.assets * options.channels / options.rate))
    return Load(
        assets=options.assets,
        channels=options.channels,
        period_ms=period_ms,
        rows=batches * options.batch_rows,
        batch_rows=options.batch_rows,
    )


def bundle_of(load: Load, *, alignment: str = "rows", trained_s: float = 0.0) -> Bundle:
    """A bundle of `load.assets`, of which only FITTED were fitted.

    trained_s: on so many seconds at least. Drift is looked at in as many stretches as the record
    gives: after a record of seconds several times a second, as no plant has it.
    """
    few = msgspec.structs.replace(load, assets=min(FITTED, load.assets))
    rows = max(TRAINED_ROWS, round(trained_s * 1000 / load.period_ms))
    values = signals(few, rows=rows, training=True)
    channels = tuple(Channel(name=name) for name in channel_names(load))
    fits = [
        fit_asset(
            TrainingSamples(
                asset=asset_name(i),
                channels=channels,
                values=own,
                period_ns=load.period_ms * MILLISECOND_NS,
            ),
            FitOptions(alignment=alignment),
        )
        for i, own in enumerate(values)
    ]
    every = [replace(fits[i % len(fits)], asset=asset_name(i)) for i in range(load.assets)]
    return make_bundle(every)


def payload(load: Load, rows: NDArray[np.float64], t_ns: int) -> bytes:
    """One message of some rows (k, c), the first at t_ns."""
    tags, t_ms = channel_names(load), t_ns // MILLISECOND_NS
    if len(rows) == 1:
        return msgspec.json.encode({"ts": t_ms, **dict(zip(tags, rows[0].tolist(), strict=True))})
    body = {"t0": t_ms, "dt_ms": load.period_ms, "tags": tags, "v": rows.tolist()}
    return msgspec.json.encode(body)


def messages(load: Load, *, first_ns: int, rows: int, qos: int = 1) -> list[MessageReceived]:
    """Messages of all assets over some rows, in the order in which they would come."""
    # values of their own for as many assets as fit into memory: equal ones compress too well
    few = msgspec.structs.replace(load, assets=min(load.assets, max(16, 200_000 // rows)))
    values = signals(few, rows=rows, training=False)
    found: list[MessageReceived] = []
    for first in range(0, rows - load.batch_rows + 1, load.batch_rows):
        t_ns = first_ns + first * load.period_ms * MILLISECOND_NS
        received_ns = t_ns + (load.batch_rows - 1) * load.period_ms * MILLISECOND_NS
        for i in range(load.assets):
            body = payload(load, values[i % few.assets, first : first + load.batch_rows], t_ns)
            found.append(
                MessageReceived(
                    topic=f"plant/{asset_name(i)}",
                    payload=body,
                    received_ns=received_ns,
                    qos=qos,
                    mid=len(found) % 65_535 + 1,
                )
            )
    return found


def lived(bundle: Bundle, load: Load, *, rows: int) -> tuple[Assembly, int]:
    """An engine that has taken some rows of every asset, and the time at which it stands."""
    assembly = Assembly(GatewaySettings(site="bench"), bundle=bundle, snapshot=None)
    blocks = msgspec.structs.replace(load, batch_rows=BLOCK_ROWS)
    now_ns = FIRST_NS
    for message in messages(blocks, first_ns=FIRST_NS, rows=rows):
        if message.received_ns > now_ns:
            assembly.engine.handle(TickDue(), now_ns=now_ns)
            now_ns = message.received_ns
        assembly.engine.handle(message, now_ns=now_ns)
    assembly.engine.handle(TickDue(), now_ns=now_ns)
    return assembly, now_ns
