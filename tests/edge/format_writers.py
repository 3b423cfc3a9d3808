"""Small writers of each format, for properties: what they write is what the readers must read."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from edge.settings import Source
from edge.wire.databus import Point
from edge.wire.paths import Paths

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Messages = Iterator[tuple[str, bytes]]


@dataclass(frozen=True)
class Cell:
    """One value as a plant has it."""

    asset: str
    tag: str
    t_ms: int
    value: float | str
    good: bool


@dataclass(frozen=True)
class Writer:
    """How a format is written, and the source that reads it."""

    source: Source
    messages: Callable[[list[Cell]], Messages]
    tells_quality: bool = True
    points: Callable[[list[Cell]], dict[str, dict[str, Point]]] = lambda _: {}


def _iso(t_ms: int) -> str:
    moment = datetime.fromtimestamp(t_ms // 1000, tz=UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{t_ms % 1000:03}0000Z"


def _json(body: Any) -> bytes:  # noqa: ANN401 - whatever JSON may hold
    return json.dumps(body).encode()


def _raw(cells: list[Cell]) -> Messages:
    for c in cells:
        body = {"value": c.value, "timestamp": _iso(c.t_ms), "quality": 192 if c.good else 0}
        yield f"acme/{c.asset}/{c.tag}", _json(body)


def _kepware(cells: list[Cell]) -> Messages:
    values = [{"id": f"L.{c.asset}.{c.tag}", "v": c.value, "q": c.good, "t": c.t_ms} for c in cells]
    yield "k", _json({"timestamp": 0, "values": values})


def _neuron(cells: list[Cell]) -> Messages:
    for c in cells:
        body: dict[str, Any] = {"timestamp": c.t_ms, "node": "n", "group": c.asset}
        told = {"values": {c.tag: c.value}} if c.good else {"errors": {c.tag: 2014}}
        yield "n", _json(body | told)


def _telegraf(cells: list[Cell]) -> Messages:
    metrics = [
        {"name": "m", "tags": {"host": c.asset}, "fields": {c.tag: c.value}, "timestamp": c.t_ms}
        for c in cells
    ]
    yield "t", _json({"metrics": metrics})


def _influx(cells: list[Cell]) -> Messages:
    lines = []
    for c in cells:
        if isinstance(c.value, str):
            value = '"' + c.value.replace("\\", "\\\\").replace('"', '\\"') + '"'
        else:
            value = repr(c.value)
        lines.append(f"m,host={c.asset} {c.tag}={value} {c.t_ms * 10**6}")
    yield "i", "\n".join(lines).encode()


def _opcua(cells: list[Cell]) -> Messages:
    messages = [
        {
            "DataSetWriterName": c.asset,
            "Payload": {
                c.tag: {
                    "Value": c.value,
                    "SourceTimestamp": _iso(c.t_ms),
                    "StatusCode": 0 if c.good else 0x80000000,
                }
            },
        }
        for c in cells
    ]
    yield "o", _json({"MessageType": "ua-data", "PublisherId": 7, "Messages": messages})


def _senml(cells: list[Cell]) -> Messages:
    yield (
        "s",
        _json(
            [
                {
                    "bn": f"{c.asset}:",
                    "bt": c.t_ms / 1000,
                    "n": c.tag,
                    "vs" if isinstance(c.value, str) else "v": c.value,
                }
                for c in cells
            ]
        ),
    )


def _databus(cells: list[Cell]) -> Messages:
    values = [
        {
            "id": f"{c.asset}/{c.tag}",
            "qc": 3 if c.good else 0,
            "ts": _iso(c.t_ms),
            "val": c.value if isinstance(c.value, str) else repr(c.value),
        }
        for c in cells
    ]
    yield "ie/d/j/simatic/v1/s7/dp/r/c/d", _json({"seq": 1, "vals": values})


def _points(cells: list[Cell]) -> dict[str, dict[str, Point]]:
    texts = {(c.asset, c.tag) for c in cells if isinstance(c.value, str)}
    numbers = {(c.asset, c.tag) for c in cells if not isinstance(c.value, str)}
    return {
        "j/simatic/v1/s7": {
            f"{asset}/{tag}": Point(
                connection=asset, name=tag, text=(asset, tag) in texts - numbers
            )
            for asset, tag in texts | numbers
        }
    }


def _paths(cells: list[Cell]) -> Messages:
    points = [
        {"at": c.t_ms, "of": {"id": c.asset}, "n": c.tag, "v": c.value, "q": c.good} for c in cells
    ]
    yield "p", _json({"data": [points]})


WRITERS: Final = {
    "raw": Writer(Source(topic="acme/{asset}/{tag}", format="raw"), _raw),
    "kepware": Writer(
        Source(topic="k", format="kepware", asset_from="{device}", tag_from="{name}"), _kepware
    ),
    "neuron": Writer(Source(topic="n", format="neuron", asset_from="{group}"), _neuron),
    "telegraf": Writer(
        Source(topic="t", format="telegraf", asset_from="{host}"), _telegraf, tells_quality=False
    ),
    "influx": Writer(
        Source(topic="i", format="influx", asset_from="{host}"), _influx, tells_quality=False
    ),
    "opcua": Writer(Source(topic="o", format="opcua", asset_from="{writer}"), _opcua),
    "senml": Writer(
        Source(topic="s", format="senml", asset_from="{base}"), _senml, tells_quality=False
    ),
    "databus": Writer(
        Source(topic="ie/d/j/simatic/v1/+/dp/r/#", format="databus"), _databus, points=_points
    ),
    "paths": Writer(
        Source(
            topic="p",
            format="paths",
            paths=Paths(
                records="data.0", time="at", asset="of.id", tag="n", value="v", quality="q"
            ),
        ),
        _paths,
    ),
}
