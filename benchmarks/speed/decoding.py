"""What it costs to decode a value of each format, beside the same values as plain JSON.

`python -m benchmarks.speed.decoding` prints it. A message holds 100 values of one machine at one
time, as its sender would write them; of columns 125 rows of 8 channels. Timed is all from bytes to
readings by asset and tag: no alignment behind it.
"""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec
import numpy as np

from benchmarks.speed.figure import Figure
from benchmarks.speed.interleaved import pinned
from edge.samples.decoders import Decoders
from edge.samples.sparkplug import Sparkplug
from edge.settings import Source
from edge.wire.databus import Point
from edge.wire.paths import Paths
from edge.wire.readings import encode_rows

if TYPE_CHECKING:
    from collections.abc import Callable

VALUES: Final = 100
ROWS, CHANNELS = 125, 8
START_MS: Final = 1_760_000_000_000
DECIMALS: Final = 3  # as a transmitter of four or five digits shows
ROUNDS: Final = 400
ASSET: Final = "press7"
COLUMNAR_NS_MAX: Final = 60.0
YARDSTICK: Final = "msgspec.json.decode of the same values as wide JSON"


class Case(NamedTuple):
    """One format. payload: of the values (k,) of some tags and a time."""

    name: str
    source: Source
    topic: str
    payload: Callable[[list[str], list[float], int], Any]


CASES: Final = (
    Case(
        "wide", Source(topic="plant/{asset}"), f"plant/{ASSET}",
        lambda tags, values, t_ms: {"ts": t_ms, **dict(zip(tags, values, strict=True))},
    ),
    Case(
        "kepware", Source(topic="k", format="kepware", asset_from="{device}", tag_from="{name}"),
        "k",
        lambda tags, values, t_ms: {
            "timestamp": t_ms,
            "values": [
                {"id": f"L1.{ASSET}.{tag}", "v": value, "q": True, "t": t_ms}
                for tag, value in zip(tags, values, strict=True)
            ],
        },
    ),
    Case(
        "databus", Source(topic="ie/d/j/simatic/v1/+/dp/r/#", format="databus"),
        "ie/d/j/simatic/v1/s7/dp/r/c/d",
        lambda tags, values, t_ms: {
            "seq": 1,
            "records": [
                {
                    "ts": _iso(t_ms),
                    "vals": [
                        {"id": tag, "val": value, "qc": 3}
                        for tag, value in zip(tags, values, strict=True)
                    ],
                }
            ],
        },
    ),
    Case(
        "telegraf", Source(topic="t", format="telegraf", asset_from="{host}"), "t",
        lambda tags, values, t_ms: {
            "name": "m", "tags": {"host": ASSET}, "timestamp": t_ms,
            "fields": dict(zip(tags, values, strict=True)),
        },
    ),
    Case(
        "influx", Source(topic="i", format="influx", asset_from="{host}"), "i",
        lambda tags, values, t_ms: (
            f"m,host={ASSET} "
            + ",".join(f"{tag}={value}" for tag, value in zip(tags, values, strict=True))
            + f" {t_ms * 10**6}"
        ),
    ),
    Case(
        "opcua", Source(topic="o/{asset}", format="opcua"), f"o/{ASSET}",
        lambda tags, values, t_ms: {
            "MessageType": "ua-data", "PublisherId": "p",
            "Messages": [{
                "DataSetWriterId": 1, "Timestamp": _iso(t_ms),
                "Payload": {tag: {"Value": value} for tag, value in zip(tags, values, strict=True)},
            }],
        },
    ),
    Case(
        "senml", Source(topic="s", format="senml", asset_from="{base}"), "s",
        lambda tags, values, t_ms: [
            {"bn": f"{ASSET}:", "bt": t_ms / 1000, "n": tags[0], "v": values[0]},
            *({"n": tag, "v": value} for tag, value in zip(tags[1:], values[1:], strict=True)),
        ],
    ),
    Case(
        "neuron", Source(topic="n", format="neuron", asset_from="{group}"), "n",
        lambda tags, values, t_ms: {
            "timestamp": t_ms, "node": "plc", "group": ASSET, "errors": {}, "metas": {},
            "values": dict(zip(tags, values, strict=True)),
        },
    ),
    Case(
        "paths",
        Source(
            topic="p/{asset}", format="paths",
            paths=Paths(records="data", time="/at", tag="n", value="v"),
        ),
        f"p/{ASSET}",
        lambda tags, values, t_ms: {
            "at": t_ms,
            "data": [{"n": tag, "v": value} for tag, value in zip(tags, values, strict=True)],
        },
    ),
)  # fmt: skip


def figures(*, rounds: int = ROUNDS) -> list[Figure]:
    """Nanoseconds of processor time a value, of every format and of columns."""
    with pinned():
        return [_columnar(rounds=rounds), *(_of(case, rounds=rounds) for case in CASES)]


def _of(case: Case, *, rounds: int) -> Figure:
    tags = [f"channel_{i:03}" for i in range(VALUES)]
    values = _signals(VALUES).tolist()
    counts: dict[str, int] = {}
    points = {"j/simatic/v1/s7": {tag: Point(connection=ASSET, name=tag) for tag in tags}}
    decoders = Decoders(counts, sparkplug=Sparkplug({}, counts), points=points)
    told = case.payload(tags, values, START_MS)
    payload = told.encode() if isinstance(told, str) else json.dumps(told).encode()
    asset = ASSET if "{asset}" in case.source.topic else ""

    def decode() -> int:
        found = decoders.take(
            payload, topic=case.topic, source=case.source, asset=asset, received_ns=0
        )
        return sum(int(np.count_nonzero(~np.isnan(one.values))) for one in found)

    assert decode() == VALUES, case.name
    ns, ratio = _timed(decode, tags, values, rounds=rounds)
    return _figure(f"decode_{case.name}", ns, ratio, f"{VALUES} values a message")


def _columnar(*, rounds: int) -> Figure:
    tags = [f"channel_{i:03}" for i in range(CHANNELS)]
    rows = _signals(ROWS * CHANNELS).reshape(ROWS, CHANNELS)
    t_ns = [(START_MS + 8 * i) * 10**6 for i in range(ROWS)]
    (payload,) = encode_rows(tags, t_ns, rows.tolist(), shape="columnar")
    counts: dict[str, int] = {}
    decoders = Decoders(counts, sparkplug=Sparkplug({}, counts), points={})
    source = Source()

    def decode() -> object:
        return decoders.take(
            payload, topic=f"plant/{ASSET}", source=source, asset=ASSET, received_ns=0
        )

    flat = [f"channel_{i:03}" for i in range(rows.size)]
    ns, ratio = _timed(decode, flat, rows.reshape(-1).tolist(), rounds=rounds)
    note = f"{ROWS} rows of {CHANNELS} a message, numbers of {DECIMALS} decimals"
    return _figure("decode_columnar", ns, ratio, note, at_most=COLUMNAR_NS_MAX)


def _figure(
    id_: str, ns: float, ratio: float, note: str, *, at_most: float | None = None
) -> Figure:
    return Figure(
        id=id_,
        figure=ns,
        unit="ns a value",
        ratio=ratio,
        against=YARDSTICK,
        note=note,
        at_most=at_most,
        of_figure=at_most is not None,
    )


def _timed(
    decode: Callable[[], object], tags: list[str], values: list[float], *, rounds: int
) -> tuple[float, float]:
    """Nanoseconds a value, and how many times those of plain JSON; medians, both in turn."""
    (plain,) = encode_rows(tags, [START_MS * 10**6], [values], shape="wide")
    took = np.empty((rounds, 2))
    for i in range(rounds):
        begin = time.thread_time_ns()
        decode()
        between = time.thread_time_ns()
        msgspec.json.decode(plain)
        took[i] = between - begin, time.thread_time_ns() - between
    return float(np.median(took[:, 0])) / len(values), float(np.median(took[:, 0] / took[:, 1]))


def _signals(count: int) -> np.ndarray:
    """Values of a plant (count,), as a transmitter shows them."""
    return (np.random.default_rng(7).normal(size=count) * 50.0).round(DECIMALS)


def _iso(t_ms: int) -> str:
    return f"{np.datetime64(t_ms, 'ms')}Z"


def main() -> None:
    """Print every figure."""
    for one in figures():
        print(
            f"{one.id:20} {one.figure:9.1f} {one.unit}  {one.ratio:.3g} x plain JSON  ({one.note})"
        )


if __name__ == "__main__":
    main()
