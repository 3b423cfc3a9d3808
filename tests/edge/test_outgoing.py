"""What Andon publishes: flat alerts, NaN as null, the same bytes each time, schemas that fit."""

from __future__ import annotations

import json
import math
from typing import Any, get_args, get_type_hints

import msgspec
import pytest

from edge.wire.outgoing import AlertPayload, EventPayload, ScorePayload, StatusPayload, encode
from edge.wire.published import PAYLOADS, schemas


def sample(kind: Any) -> Any:  # noqa: ANN401 - any annotation of a payload
    """Make a value of a type that a payload may hold."""
    if kind in (int, float, str, bool):
        return kind(1)
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return kind(**{name: sample(hint) for name, hint in get_type_hints(kind).items()})
    inner = get_args(kind)
    if type(None) in inner:
        return None
    if getattr(kind, "__origin__", None) is dict:
        return {sample(inner[0]): sample(inner[1])}
    return (sample(inner[0]),)


@pytest.mark.parametrize("name", PAYLOADS)
def test_every_payload_is_read_back_and_has_a_schema(name: str) -> None:
    """Encoding is exact and repeatable, and the schema lists exactly the published keys."""
    payload = sample(PAYLOADS[name])
    data = encode(payload)
    assert data == encode(payload)
    assert msgspec.json.decode(data, type=PAYLOADS[name]) == payload
    found = schemas()
    schema = found["$defs"][found[name]["$ref"].rpartition("/")[2]]
    assert set(schema["properties"]) == set(json.loads(data))


def test_alerts_are_flat_and_never_empty() -> None:
    """SCADA clients bind top-level keys; `class` is called so although Python has the word."""
    body = json.loads(encode(sample(AlertPayload)))
    assert body
    assert not any(isinstance(value, dict | list) for value in body.values())
    assert body["class"] == "1"
    event = json.loads(encode(sample(EventPayload)))
    assert set(body) <= set(event), "an event says all that its alert says"


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, None])
def test_what_is_no_number_is_null(value: float | None) -> None:
    """Not ready is null, not a word that JSON does not know."""
    data = encode(ScorePayload(asset="a", ts_ms=1, score=value, threshold=2.0))
    assert json.loads(data)["score"] is None
    assert b"NaN" not in data


def test_keys_come_in_the_order_in_which_they_are_declared() -> None:
    """Byte-identical each time, whatever the interpreter's hash seed."""
    data = encode(StatusPayload(online=True, version="v"))
    assert list(json.loads(data)) == ["online", "version", "bundle", "snapshot", "ts_ms"]
