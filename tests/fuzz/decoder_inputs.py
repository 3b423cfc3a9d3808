"""Random messages of every payload format: bytes, golden ones damaged, and ones that writers make.

An input is a topic, a line end, and the payload: what a message means may depend on its topic.
"""

from __future__ import annotations

import json
import math
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec
import numpy as np

from edge.settings import Source
from edge.wire import block
from edge.wire.readings import SHAPES, encode_rows
from tests.edge.format_writers import WRITERS, Cell
from tests.fuzz import sparkplug_inputs
from tests.fuzz.mutate import (
    FLOATS,
    INPUT_BYTES_MAX,
    TEXTS,
    json_of,
    mutate_bytes,
    mutate_json,
    mutate_text,
)
from tests.fuzz.shapes import START

if TYPE_CHECKING:
    import random

    from tests.fuzz.target import Mutate

GOLDEN: Final = Path(__file__).resolve().parent.parent / "golden" / "payloads"
HEX: Final = "@hex"  # the key of a golden payload that is no text
# Shares: bytes alone; golden messages, damaged; of the rest, which is written, how many damaged.
SHARES: Final = (0.12, 0.38, 0.4)
OF_STREAMS: Final = (0.05, 0.2, 0.15)  # where a message means little without those before it
NOISE_BYTES_MAX: Final = 600
MS: Final = START // 10**6
ASSETS: Final = ("press7", "press8", "p 9", "line/4", "a+b", "#", "x" * 70, "presse\u0301")
TAGS: Final = ("Force", "Heat", "Flow", "Mode", "a/b", "c,d=e", "T" * 65)
JSON_TEXT: Final = ("influx", "raw")  # formats whose payloads may be no JSON

# Lone surrogates are left to mutations: no writer can send them.
WORDS: Final = ("AUTO", "7.5", *(text for text in TEXTS if "\ud800" not in text))


def told(payload: object) -> bytes:
    """A payload of a golden file: text as it stands, bytes as hexadecimal digits, else JSON."""
    if isinstance(payload, dict) and HEX in payload:
        return bytes.fromhex(payload[HEX])
    return (payload if isinstance(payload, str) else json.dumps(payload)).encode()


@cache
def golden(format_: str) -> dict[str, Any]:
    """The golden file of a format."""
    found: dict[str, Any] = json.loads((GOLDEN / f"{format_}.json").read_text("utf-8"))
    return found


def sources(format_: str) -> list[Source]:
    """The source of its golden payloads, and that of its writer."""
    found = [msgspec.convert(golden(format_)["source"], Source)]
    if format_ == "sparkplug":
        return [*found, sparkplug_inputs.SOURCE]
    return found + ([WRITERS[format_].source] if format_ in WRITERS else [])


@cache
def seeds(format_: str) -> tuple[bytes, ...]:
    """Its golden messages as inputs."""
    return tuple(
        one["topic"].encode() + b"\n" + told(one["payload"]) for one in golden(format_)["messages"]
    )


def mutator(format_: str) -> Mutate:
    """Another message each time, whatever the seed was: golden ones are taken from all of them."""
    inner = _damage(format_)
    noise, damaged, too = OF_STREAMS if format_ == "sparkplug" else SHARES

    def mutate(chance: random.Random, seed: bytes) -> bytes:
        way = chance.random()
        topic, _, payload = seed.partition(b"\n")
        if way < noise:
            size = int(chance.random() ** 2 * NOISE_BYTES_MAX)
            return topic + b"\n" + chance.randbytes(size)
        if way < noise + damaged:
            if chance.random() < 0.15:
                payload = _crossed(chance, payload, seeds(format_))
            return topic + b"\n" + inner(chance, payload)
        topic, payload = written(format_, chance)
        if chance.random() < too:
            payload = inner(chance, payload)
        return topic + b"\n" + payload

    return mutate


def written(format_: str, chance: random.Random) -> tuple[bytes, bytes]:
    """Topic and payload of a message as somebody might send it."""
    if format_ == "sparkplug":
        return sparkplug_inputs.message(chance)
    if format_ == "json":
        return b"plant/" + _of(chance, ("press7", "press8")).encode(), _readings(chance)
    if format_ == "databus" and chance.random() < 0.3:
        return _metadata(chance)
    made = list(WRITERS[format_].messages(_cells(chance)))
    topic, payload = made[int(chance.random() * len(made))]
    if format_ == "databus":
        topic = topic.replace("/s7/", f"/s{int(chance.random() * 12)}/")
    return topic.encode("utf-8", "replace"), payload


def _damage(format_: str) -> Mutate:
    """Half of it as bytes, half as what the format is made of."""

    def damage(chance: random.Random, payload: bytes) -> bytes:
        if format_ == "sparkplug" or chance.random() < 0.05:
            return mutate_bytes(chance, payload)
        if format_ in JSON_TEXT and chance.random() < 0.5:
            return mutate_text(chance, payload)
        try:
            return mutate_json(chance, payload)
        except (ValueError, RecursionError):  # it was no JSON to begin with
            return mutate_bytes(chance, payload)

    return damage


def _crossed(chance: random.Random, payload: bytes, others: tuple[bytes, ...]) -> bytes:
    """The beginning of one message, and the end of another."""
    other: bytes = _of(chance, others).partition(b"\n")[2]
    at, to = int(chance.random() * (len(payload) + 1)), int(chance.random() * (len(other) + 1))
    return (payload[:at] + other[to:])[:INPUT_BYTES_MAX]


def _of(chance: random.Random, found: Any) -> Any:  # noqa: ANN401 - any sequence
    return found[int(chance.random() * len(found))]


def _value(chance: random.Random) -> float | str:
    way = chance.random()
    if way < 0.5:
        return chance.uniform(-1e3, 1e3)
    if way < 0.7:
        return float(chance.randint(-(10**6), 10**6))
    if way < 0.85:
        return float(_of(chance, FLOATS))
    return str(_of(chance, WORDS))


def _time_ms(chance: random.Random) -> int:
    return MS + chance.randint(0, 5_000) if chance.random() < 0.9 else chance.randint(0, 4 * 10**12)


def _cells(chance: random.Random) -> list[Cell]:
    """Values that repeat tags and times now and then, so that they meet."""
    return [
        Cell(
            asset=_of(chance, ASSETS[: 2 if chance.random() < 0.9 else len(ASSETS)]),
            tag=_of(chance, TAGS[: 4 if chance.random() < 0.9 else len(TAGS)]),
            t_ms=_time_ms(chance),
            value=_value(chance),
            good=chance.random() < 0.8,
        )
        for _ in range(1 + int(chance.random() ** 3 * 40))
    ]


def _readings(chance: random.Random) -> bytes:
    """Our own shapes: single, wide, by columns, lists of objects, binary blocks."""
    tags = list(dict.fromkeys(_of(chance, TAGS) for _ in range(1 + int(chance.random() * 4))))
    t_ns = [_time_ms(chance) * 10**6 for _ in range(1 + int(chance.random() ** 3 * 30))]
    rows = [[_number(chance) for _ in tags] for _ in t_ns]
    way = chance.random()
    if way < 0.15:
        exact = chance.random() < 0.5
        values = np.array(rows) if exact else np.clip(rows, -1e37, 1e37)
        return block.encode_block(tags, np.array(t_ns), values, exact=exact)
    if way < 0.5:
        shape = _of(chance, SHAPES[:3])
        sound = [[x if math.isfinite(x) else math.nan for x in row] for row in rows]
        payloads: list[bytes] = list(encode_rows(tags, t_ns, sound, shape=shape))
        return payloads[int(chance.random() * len(payloads))]
    bodies = [_object(chance, tags, one) for one in t_ns]
    return json_of(bodies if way < 0.7 else bodies[0])


def _object(chance: random.Random, tags: list[str], t_ns: int) -> dict[str, Any]:
    stamps = (t_ns // 10**6, t_ns // 10**9, t_ns / 10**9, "2025-10-09T08:53:20.123Z", t_ns)
    time: dict[str, Any] = {"ts": _of(chance, stamps)} if chance.random() < 0.8 else {}
    more = {"quality": _of(chance, ("GOOD", "BAD", True, 192))} if chance.random() < 0.3 else {}
    if chance.random() < 0.5:
        return time | {"tag": tags[0], "value": _value(chance)} | more
    return time | {tag: _value(chance) for tag in tags} | more


def _number(chance: random.Random) -> float:
    found = _value(chance)
    return math.nan if isinstance(found, str) else found


def _metadata(chance: random.Random) -> tuple[bytes, bytes]:
    """What the databus says of the ids of one of its applications."""
    points = [
        {
            "name": one.tag,
            "id": f"{one.asset}/{one.tag}",
            "dataType": _of(chance, ("Real", "Int", "Bool", "String", "")),
        }
        for one in _cells(chance)
    ]
    body = {
        "connections": [
            {"name": _of(chance, ASSETS), "dataPoints": [{"dataPointDefinitions": points}]}
        ]
    }
    application = int(chance.random() * 12)
    return f"ie/m/j/simatic/v1/s{application}/dp".encode(), json_of(body)
