"""Everything that tests publish is held to the schemas that are shipped.

`encode` makes every payload of ours, so in this process it is asked there; what processes publish
is heard by the second pair of ears of each broker. A payload of a shape that was found right is not
looked at again: a shape is the keys and the types of the values, wherever they stand.
"""

from __future__ import annotations

import functools
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final
from unittest import mock

import jsonschema
import msgspec

from edge.wire import outgoing
from edge.wire.channels import channel_of
from edge.wire.published import PAYLOADS, schemas

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edge.wire.topics import Topics

SHAPES_MAX: Final = 50_000  # that are remembered
CHECKED: Final = {"payloads": 0, "validated": 0}  # since the start
_right: set[tuple[str, Any]] = set()


@functools.cache
def _validators() -> dict[str, jsonschema.Draft202012Validator]:
    """By name of the type. Stricter than what is shipped: no key that nobody has described."""
    found = schemas()
    definitions = {
        name: {"additionalProperties": False, **schema} if "properties" in schema else schema
        for name, schema in found["$defs"].items()
    }
    return {
        kind.__name__: jsonschema.Draft202012Validator(
            {"$ref": f"#/$defs/{kind.__name__}", "$defs": definitions}
        )
        for kind in PAYLOADS.values()
    }


def shape(value: Any) -> Any:  # noqa: ANN401 - whatever JSON holds
    """Keys and types, and of a list those that occur in it."""
    if isinstance(value, dict):
        return tuple((key, shape(one)) for key, one in value.items())
    if isinstance(value, list):
        return frozenset(map(shape, value))
    return type(value)


def check(kind: str, payload: bytes) -> None:
    """Fail where a payload is not as its schema says. kind: the name of its type."""
    validator = _validators().get(kind)
    if validator is None:  # a part of another one, by itself
        return
    CHECKED["payloads"] += 1
    value = msgspec.json.decode(payload)
    known = kind, shape(value)
    if known in _right:
        return
    CHECKED["validated"] += 1
    error = jsonschema.exceptions.best_match(validator.iter_errors(value))
    assert error is None, f"{kind} at {error.json_path}: {error.message[:300]}"
    if len(_right) < SHAPES_MAX:
        _right.add(known)


def check_heard(topic: str, payload: bytes, topics: Topics) -> None:
    """The same of a message; empty ones clear a topic, others than ours are none of ours."""
    channel = channel_of(topic, topics)
    if channel is not None and payload:
        check(PAYLOADS[channel.payload].__name__, payload)


@contextmanager
def every_payload_checked() -> Iterator[None]:
    """Whatever is encoded meanwhile is checked, too."""
    real = outgoing.encode

    def encode(payload: msgspec.Struct) -> bytes:
        made = real(payload)
        check(type(payload).__name__, made)
        return made

    with mock.patch.object(outgoing, "encode", encode):
        yield
