"""One value a topic, as in a Unified Namespace: the payload is the value, or an object around it.

    42.5   +42.5   .5   true   "RUN"   RUN
    {"value": 42.5, "timestamp": "2025-10-09T08:53:20.123Z"}
    {"timestamp_ms": 1733904005123, "value": 42.5}             United Manufacturing Hub
    {"d": 1.2, "dt": 5, "ts": "2021-06-17T22:46:07Z", "q": 192}     AVEVA, JSON-VTQ

The topic alone names it. Quality is that of OPC DA.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from edge.caps import TAG_CHARS_MAX
from edge.errors import WireError
from edge.wire.quality_codes import da_good
from edge.wire.told import Told, as_number

if TYPE_CHECKING:
    from edge.wire.told import Message

VALUE_KEYS: Final = ("value", "Value", "val", "v", "d")  # the first that is there
TIME_KEYS: Final = (
    "timestamp", "timestamp_ms", "Timestamp", "ts", "time", "t", "SourceTimestamp",
)  # fmt: skip
QUALITY_KEYS: Final = ("quality", "Quality", "q", "qc")
NO_NUMBERS: Final = ("nan", "inf", "infinity")  # where a number should be: absent
UNIT_KEYS: Final = ("unit", "units", "uom", "engUnit")


def read_scalar(message: Message) -> list[Told]:
    """The value of a topic. Raises WireError."""
    message.check_size()
    try:
        body = message.json()
    except WireError:
        return [_words(message)]
    if not isinstance(body, dict):
        value, text = message.value(body, "the value")
        return [Told({}, None, value, text)]
    value_key = _first(body, VALUE_KEYS)
    if value_key is None:
        raise message.error(f"an object without a value; expected one of {', '.join(VALUE_KEYS)}")
    value, text = message.value(body[value_key], value_key)
    good = da_good(body[key]) if (key := _first(body, QUALITY_KEYS)) else True
    unit = body[key] if (key := _first(body, UNIT_KEYS)) else ""
    t_ns = message.time(body[key]) if (key := _first(body, TIME_KEYS)) else None
    return [Told({}, t_ns, value, text, good, unit if isinstance(unit, str) else "")]


def _words(message: Message) -> Told:
    """A payload that is no JSON: a number as C prints or reads it, or a word such as RUN."""
    try:
        text = message.payload.decode().strip()
    except UnicodeDecodeError as error:
        raise message.error(f"no number and no text: {error}", "not_json") from error
    if not text or len(text) > TAG_CHARS_MAX or not text.isprintable():
        raise message.error(
            f"no number, and no text of 1 to {TAG_CHARS_MAX} characters", "not_json"
        )
    if text.startswith(("{", "[", '"')):
        raise message.error("not JSON, though it begins like it", "not_json")
    lower = text.casefold()
    if lower in ("true", "false"):
        return Told({}, None, float(lower == "true"))
    if lower.lstrip("+-") in NO_NUMBERS:
        return Told({}, None, None)
    if (number := as_number(text)) is not None:
        return Told({}, None, number)
    return Told({}, None, None, text)


def _first(body: dict[str, Any], keys: tuple[str, ...]) -> str | None:
    return next((key for key in keys if key in body), None)
