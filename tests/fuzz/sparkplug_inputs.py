"""Messages of Sparkplug B in random order: births that give aliases another meaning, data, deaths.

Few nodes, devices, aliases and names, so that every message meets what others have said.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from edge.settings import Source
from edge.wire.sparkplug import BOOLEAN, DOUBLE, FLOAT, INT, LONG, STRING
from edge.wire.sparkplug_writing import (
    bytes_field,
    encode_metric,
    encode_payload,
    number_field,
)
from tests.fuzz.mutate import FLOATS, TEXTS
from tests.fuzz.shapes import START

if TYPE_CHECKING:
    import random

MS: Final = START // 10**6
SOURCE: Final = Source(topic="spBv1.0/acme/+/+/{asset}", format="sparkplug")
NODES: Final = ("n1", "n2")
DEVICES: Final = ("d1", "d2", "d3")
NAMES: Final = ("Force", "Heat", "Flow", "Speed", "Mode", "a/b")
ALIASES: Final = (0, 1, 2, 3, 130, 2**40)
FIELDS: Final = (FLOAT, DOUBLE, DOUBLE, INT, LONG, BOOLEAN)
# How often what is said: mostly data, so that births and deaths stand between them.
KINDS: Final = (
    ("DDATA",) * 60 + ("DBIRTH",) * 24 + ("NBIRTH", "NDATA", "DDEATH", "NDEATH", "DCMD")
)  # fmt: skip


def message(chance: random.Random) -> tuple[bytes, bytes]:
    """Topic and payload."""
    kind = _of(chance, KINDS)
    topic = f"spBv1.0/acme/{kind}/{_of(chance, NODES)}"
    if kind[0] == "D":
        device = f"x{int(chance.random() * 400)}" if chance.random() < 0.05 else None
        topic += "/" + (device or _of(chance, DEVICES))
    seq = int(chance.random() * 256) if chance.random() < 0.2 else None  # with none, none is missed
    t_ms = MS + int(chance.random() * 5_000) if chance.random() < 0.9 else None
    if chance.random() < 0.01:
        t_ms = 2**63
    return topic.encode(), encode_payload(_metrics(chance, kind), t_ms=t_ms, seq=seq)


def _metrics(chance: random.Random, kind: str) -> list[bytes]:
    if kind == "NDEATH" or (kind == "NBIRTH" and chance.random() < 0.8):
        session = int(chance.random() * 4)
        return [encode_metric(name="bdSeq", field=LONG, datatype=8, value=float(session))]
    if kind.endswith("BIRTH"):
        return _birth(chance)
    if kind == "DDEATH":
        return []
    if chance.random() < 0.7:
        return _usual(chance)
    return [_metric(chance) for _ in range(1 + int(chance.random() ** 2 * 9))]


def _usual(chance: random.Random) -> list[bytes]:
    """What comes again and again, so that its layout is known: aliases, numbers, times or none."""
    told = chance.sample(ALIASES[:5], 1 + int(chance.random() * 3))
    field, times = _of(chance, (DOUBLE, FLOAT, INT)), _of(chance, ("none", "one", "each"))
    return [
        encode_metric(
            alias=alias,
            t_ms=None if times == "none" else MS + (i % 2 if times == "each" else 0),
            field=field,
            value=float(int(chance.random() * 900)),
        )
        for i, alias in enumerate(told)
    ]


def _birth(chance: random.Random) -> list[bytes]:
    """Names in another order each time, with the same aliases, or some without one."""
    most = chance.random() < 0.7
    names = chance.sample(NAMES, len(NAMES) if most else 1 + int(chance.random() * len(NAMES)))
    aliases: list[Any] = chance.sample(ALIASES, len(names))
    if chance.random() < 0.1:
        aliases[0] = aliases[-1]  # one alias for two: nobody may
    if chance.random() < 0.2:
        aliases[-1] = None
    return [
        encode_metric(
            name=name, alias=alias, t_ms=MS, datatype=_of(chance, (0, 1, 3, 4, 7, 9, 10, 11))
        )
        for name, alias in zip(names, aliases, strict=True)
    ]


def _metric(chance: random.Random) -> bytes:
    named = chance.random() < 0.2
    field = STRING if chance.random() < 0.05 else _of(chance, FIELDS)
    value: Any = chance.uniform(-1e6, 1e6)
    if field == STRING:
        value = _of(chance, TEXTS).encode("utf-8", "replace").decode()
    elif field in (FLOAT, DOUBLE) and chance.random() < 0.1:
        value = _of(chance, FLOATS)
        value = value if field == DOUBLE or abs(value) < 1e38 else 0.5
    return encode_metric(
        name=_of(chance, NAMES) if named else "",
        alias=None if named and chance.random() < 0.5 else _of(chance, ALIASES),
        t_ms=MS + int(chance.random() * 4) if chance.random() < 0.8 else None,
        datatype=_of(chance, (0, 3, 10)) if chance.random() < 0.2 else 0,
        field=field,
        value=None if chance.random() < 0.05 else value,
        more=_more(chance),
    )


def _more(chance: random.Random) -> bytes:
    """Now and then a value of the past, or a quality."""
    way = chance.random()
    if way < 0.04:
        return number_field(5, 1)
    if way < 0.12:
        quality = bytes_field(2, number_field(3, _of(chance, (192, 0, 64))))
        return bytes_field(9, bytes_field(1, b"Quality") + quality)
    return b""


def _of(chance: random.Random, found: Any) -> Any:  # noqa: ANN401 - any sequence
    return found[int(chance.random() * len(found))]
