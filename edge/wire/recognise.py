"""Which format a message has, by its topic and what is in it: for whoever meets a strange broker.

A source in service names its format; nothing is guessed there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from edge.errors import WireError
from edge.wire import formats
from edge.wire.block import is_block
from edge.wire.line_protocol import read_line_protocol
from edge.wire.scalar import VALUE_KEYS, read_scalar
from edge.wire.sparkplug import NAMESPACE, parse_topic
from edge.wire.told import Message
from edge.wire.topics import databus_application

if TYPE_CHECKING:
    from collections.abc import Callable

UNKNOWN: Final = ""
SENML_KEYS: Final = frozenset({"v", "vs", "vb", "vd", "s", "bn", "bt", "bu", "bv", "bver"})
SCALAR_KEYS_MAX: Final = 4  # a value with its time, quality and unit


def recognise(topic: str, payload: bytes) -> str:
    """A name of `formats.FORMATS`, or "": nobody knows, or it holds no values."""
    if topic.startswith(f"{NAMESPACE}/"):
        return formats.SPARKPLUG if parse_topic(topic) is not None else UNKNOWN
    if databus_application(topic):
        return formats.DATABUS
    return formats.JSON if is_block(payload) else _of_content(Message(payload, topic))


def _of_content(message: Message) -> str:
    try:
        body = message.json()
    except WireError:
        texts = {"influx": read_line_protocol, "raw": read_scalar}
        return next((name for name, read in texts.items() if _reads(read, message)), UNKNOWN)
    if isinstance(body, list):
        return _of_list(body)
    if isinstance(body, dict):
        return _of_object(body)
    return UNKNOWN if body is None else "raw"


def _reads(read: Callable[[Message], object], message: Message) -> bool:
    try:
        read(message)
    except WireError:
        return False
    return True


def _of_object(body: dict[str, Any]) -> str:
    """By the keys that only one of them has, the surest first."""
    nested = [key for key, found in body.items() if isinstance(found, dict | list)]
    plain = len(body) - len(nested)
    rules = {
        "opcua": _is_opcua(body),
        "kepware": _is_kepware(body.get("values")),
        "neuron": {"node", "group"} <= set(body) and bool({"values", "tags"} & set(body)),
        "telegraf": isinstance(body.get("fields"), dict) or isinstance(body.get("metrics"), list),
        "json": {"tag", "value"} <= set(body) or {"tags", "v"} <= set(body),
        "raw": any(key in body for key in VALUE_KEYS) and plain <= SCALAR_KEYS_MAX,
    }
    found = next((name for name, holds in rules.items() if holds), UNKNOWN)
    return found or (formats.JSON if plain and nested in ([], ["units"]) else UNKNOWN)


def _is_opcua(body: dict[str, Any]) -> bool:
    """A network message, one of a data set, a sample, or fields that are all DataValues."""
    written = "Payload" in body and bool({"DataSetWriterId", "DataSetWriterName"} & set(body))
    fields = bool(body) and all(_is_data_value(one) for one in body.values())
    kind = str(body.get("MessageType", ""))
    return kind.startswith("ua-") or written or fields or _is_data_value(body.get("Value"))


def _is_kepware(values: object) -> bool:
    return (
        isinstance(values, list)
        and bool(values)
        and isinstance(values[0], dict)
        and {"id", "v"} <= set(values[0])
    )


def _of_list(body: list[Any]) -> str:
    if not body or not all(isinstance(one, dict) for one in body):
        return UNKNOWN
    if all(SENML_KEYS & set(one) for one in body) and {"n", "bn"} & set(body[0]):
        return "senml"
    found = {_of_object(one) for one in body}
    return found.pop() if len(found) == 1 and found <= {formats.JSON, "opcua"} else UNKNOWN


def _is_data_value(found: object) -> bool:
    return isinstance(found, dict) and "Value" in found
