"""The description for machines: whole, and held against what is published and taken."""

from __future__ import annotations

from typing import Any

import jsonschema
import msgspec
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from edge.wire import outgoing
from edge.wire.asyncapi import as_yaml, command_schemas, described
from edge.wire.channels import COMMANDS, SAID, channel_of
from edge.wire.commands import BODIES, EXAMPLES
from edge.wire.outgoing import ScorePayload
from edge.wire.published import PAYLOADS
from edge.wire.topics import Topics
from tests.schema_checks import CHECKED, check, shape

TOPICS = Topics("andon", "s")
TEXT = st.text(st.characters(categories=["L", "N", "P", "S", "Zs"], include_characters="\n\t"))
JSON = st.recursive(
    # eighths: YAML 1.1 takes 1e-7, without a point, for a text; schemas have no such number
    st.none() | st.booleans() | st.integers() | st.integers(-999, 999).map(lambda n: n / 8) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)


def references(value: Any) -> set[str]:  # noqa: ANN401 - whatever JSON holds
    """All that it refers to."""
    if isinstance(value, dict):
        own = {value["$ref"]} if isinstance(value.get("$ref"), str) else set()
        return own.union(*map(references, value.values()))
    return set[str]().union(*map(references, value)) if isinstance(value, list) else set()


def test_whatever_it_refers_to_is_there() -> None:
    """Channels, messages and schemas."""
    whole = described("1")
    for reference in references(whole):
        place: Any = whole
        for key in reference.removeprefix("#/").split("/"):
            place = place[key]
    for operation in whole["operations"].values():
        assert set(operation["bindings"]["mqtt"]) == {"qos", "retain", "bindingVersion"}
    assert whole["servers"]["plant"]["bindings"]["mqtt"]["lastWill"]["retain"]


def test_every_topic_and_every_payload_has_a_channel() -> None:
    """What a gateway lists, and no payload that nobody publishes."""
    listed = [*TOPICS.published(["r1"], ["time"]), TOPICS.commissioning("r1")]
    found = {channel_of(topic, TOPICS) for topic in [*listed, TOPICS.cloudevent("r1")]}
    assert found == set(SAID)
    assert {one.payload for one in SAID} == set(PAYLOADS)
    assert channel_of("plant/r1", TOPICS) is None
    assert channel_of("andon/s/alert/r1", TOPICS) is None
    assert set(COMMANDS) == set(BODIES) == set(EXAMPLES)


@pytest.mark.parametrize("name", COMMANDS)
def test_commands_are_described_as_they_are_taken(name: str) -> None:
    """Its example fits, also signed; one with another key does not."""
    kinds = command_schemas()
    schema = kinds[f"Command{name[:1].upper()}{name[1:]}"]
    validator = jsonschema.Draft202012Validator(
        {**schema, "components": {"schemas": kinds}, "$id": "x:y"}
    )
    body = msgspec.json.decode(EXAMPLES[name])
    assert validator.is_valid(body)
    assert validator.is_valid({**body, "signature": "AAAA"})
    assert not validator.is_valid({**body, "alertid": "x"})
    assert not validator.is_valid({key: one for key, one in body.items() if key != "ts"})


@given(value=st.dictionaries(TEXT, JSON, max_size=5))
def test_yaml_of_ours_is_read_as_what_it_was(value: dict[str, Any]) -> None:
    """Any keys and texts that can be seen, empty lists and tables included."""
    assert yaml.safe_load(as_yaml(value)) == (value or None)


def score(**given: Any) -> ScorePayload:  # noqa: ANN401 - what a mistake of ours would put there
    """A payload that may be wrong."""
    fields = {"asset": "r1", "ts_ms": 1, "score": 0.5, "threshold": 3.0, "flag": None, **given}
    return ScorePayload(**fields)


@pytest.mark.parametrize(
    "wrong", [{"threshold": float("nan")}, {"ts_ms": 1.5}, {"asset": None}, {"score": "high"}]
)
def test_a_wrong_payload_is_caught_where_it_is_made(wrong: dict[str, Any]) -> None:
    """A NaN where a number is promised leaves as null, which msgspec does not mind."""
    before = CHECKED["payloads"]
    outgoing.encode(score())
    assert CHECKED["payloads"] == before + 1
    with pytest.raises(AssertionError, match="ScorePayload at"):
        outgoing.encode(score(**wrong))


def test_a_key_that_nobody_described_is_caught() -> None:
    """And one that is missing; a shape that was found wrong is not remembered as right."""
    made = msgspec.json.decode(outgoing.encode(score()))
    for payload in ({**made, "unit": "mm"}, {"asset": "r1"}):
        for _ in range(2):
            with pytest.raises(AssertionError):
                check("ScorePayload", msgspec.json.encode(payload))


def test_a_shape_tells_types_apart_wherever_they_stand() -> None:
    """What repeats is not looked at again: an element of a list counts as well."""
    assert shape({"a": [1, 2]}) == shape({"a": [7]}) != shape({"a": [1, None]})
    assert shape({"a": 1}) != shape({"a": 1.0}) != shape({"a": True})
