"""JSON as gateways of plants send it: Kepware, EMQX Neuron, Telegraf, SenML (RFC 8428).

Kepware     {"timestamp": 1579516307016,
"values": [{"id": "Line1.Press7.Force", "v": 10, "q": true, "t": 1579516306266}]}
Neuron      {"timestamp": 1650006388943, "node": "modbus", "group": "press7",
"values": {"force": 123}, "errors": {"heat": 2014}, "metas": {}}
Telegraf    {"name": "press", "tags": {"host": "press7"}, "fields": {"force": 30.0},
"timestamp": 1458229140}      or {"metrics": [...]}
SenML       [{"bn": "urn:dev:press7:", "bt": 1760000000, "bu": "kN", "n": "force", "v": 3.14},
{"n": "heat", "u": "Cel", "v": 54.2, "t": 1}]
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from edge.wire.quality_codes import da_good
from edge.wire.readings import T_NS_MAX
from edge.wire.told import Told

if TYPE_CHECKING:
    from edge.wire.told import Message

SECOND_NS: Final = 1_000_000_000
SENML_ABSOLUTE_S: Final = 1 << 28  # RFC 8428, 4.5.3: smaller times are relative to now


def read_kepware(message: Message) -> list[Told]:
    """Values of a Kepware IoT Gateway, by its standard template. Raises WireError."""
    body = message.json_object()
    sent_ns = message.time(body.get("timestamp"))
    found = []
    for one in message.as_list(body.get("values"), "values"):
        told = message.as_object(one, "an entry of values")
        name = message.name(told.get("id"), "id")
        value, text = message.value(told.get("v"), name)
        stamp = told.get("t")
        t_ns = sent_ns if stamp is None else message.time(stamp)
        found.append(Told(_kepware_parts(name), t_ns, value, text, da_good(told.get("q"))))
    return found


def _kepware_parts(name: str) -> dict[str, str]:
    """Channel, device, and whatever groups and tag follow; an id of fewer levels is a name.

    place: device and groups, which hold the tag; leaf: the tag alone.
    """
    levels = name.split(".", 2)
    if len(levels) < 3 or not all(levels):
        return {"id": name, "name": name}
    channel, device, rest = levels
    groups, _, leaf = rest.rpartition(".")
    place = f"{device}.{groups}" if groups else device
    where = {"id": name, "channel": channel, "device": device, "name": rest}
    return {**where, "place": place, "leaf": leaf}


def read_neuron(message: Message) -> list[Told]:
    """Values of EMQX Neuron: by name, or as a list of tags; what has an error is bad."""
    body = message.json_object()
    t_ns = message.time(body.get("timestamp"))
    place = {part: str(body[part]) for part in ("node", "group") if isinstance(body.get(part), str)}
    found = []
    if "tags" in body:
        for one in message.as_list(body["tags"], "tags"):
            told = message.as_object(one, "an entry of tags")
            name = message.name(told.get("name"), "name")
            value, text = message.value(told.get("value"), name)
            found.append(Told({**place, "name": name}, t_ns, value, text, not told.get("error")))
        return found
    values = message.as_object(body.get("values", {}), "values")
    errors = message.as_object(body.get("errors", {}), "errors")
    message.as_list([*values, *errors], "values and errors")
    for name, one in values.items():
        value, text = message.value(one, name)
        where = {**place, "name": message.name(name, "a tag")}
        found.append(Told(where, t_ns, value, text, name not in errors))
    lost = [name for name, error in errors.items() if error and name not in values]
    for name in lost:
        where = {**place, "name": message.name(name, "a tag")}
        found.append(Told(where, t_ns, 0.0, good=False))
    return found


def read_telegraf(message: Message) -> list[Told]:
    """Metrics of Telegraf's JSON; times are of any unit, by their size. Raises WireError."""
    body = message.json_object()
    metrics = message.as_list(body["metrics"], "metrics") if "metrics" in body else [body]
    found: list[Told] = []
    for one in metrics:
        metric = message.as_object(one, "a metric")
        fields = message.as_object(metric.get("fields"), "fields")
        tags = message.as_object(metric.get("tags", {}), "tags")
        place = {str(key): str(value) for key, value in tags.items()}
        place["measurement"] = message.name(metric.get("name"), "name")
        t_ns = message.time(metric.get("timestamp"))
        message.as_list([*found, *fields], "fields")
        for name, field in fields.items():
            value, text = message.value(field, name)
            where = {**place, "name": message.name(name, "a field")}
            found.append(Told(where, t_ns, value, text))
    return found


def read_senml(message: Message) -> list[Told]:
    """Records of a SenML pack, resolved. Raises WireError."""
    found = []
    base: dict[str, Any] = {}
    for one in message.as_list(message.json(), "the pack"):
        record = message.as_object(one, "a record")
        base |= {key: record[key] for key in ("bn", "bt", "bu", "bv", "bver") if key in record}
        kinds = [key for key in ("v", "vs", "vb", "vd", "s") if key in record]
        if not kinds:
            continue  # base values alone
        head, tail = str(base.get("bn", "")), str(record.get("n", ""))
        name = message.name(head + tail, "n")
        where = {"id": name, "base": head.rstrip(":/"), "name": tail or name}
        value, text = message.value(record.get("v", record.get("vs", record.get("vb"))), name)
        if value is not None and "bv" in base and "v" in record:
            offset, _ = message.value(base["bv"], "bv")
            value += offset or 0.0
        unit = record.get("u", base.get("bu", ""))
        unit = unit if isinstance(unit, str) else ""
        t_ns, shift_ns = _senml_time(message, base.get("bt"), record.get("t"))
        found.append(Told(where, t_ns, value, text, unit=unit, shift_ns=shift_ns))
    return found


def _senml_time(message: Message, base: object, own: object) -> tuple[int | None, int]:
    """Base time and time together: a time in ns, or None and ns from now, which is the arrival."""
    total = Decimal(0)
    for stamp in (base, own):
        if stamp is None:
            continue
        if isinstance(stamp, bool) or not isinstance(stamp, int | float):
            raise message.error(f"time is {stamp!r}, expected seconds", "bad_time")
        total += Decimal(repr(stamp))
    if not -SENML_ABSOLUTE_S < total <= T_NS_MAX // SECOND_NS:
        raise message.error("time is out of range", "bad_time")
    t_ns = round(total * SECOND_NS)
    return (None, t_ns) if total < SENML_ABSOLUTE_S else (t_ns, 0)
