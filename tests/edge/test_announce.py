"""What leaves: flat retained states, full events, listed suppressions, one content a key."""

from __future__ import annotations

import functools
from typing import Any, Final

import jsonschema
import msgspec
import pytest

from edge.wire import published
from tests.edge.rig import Rig, knowledge, order
from tests.edge.test_engine import story

STATES = ("NORMAL", "ACTIVE_UNACK", "ACTIVE_ACK", "CLEARED_UNACK", "CLEARED_ACK")
TYPES: Final[dict[str, Any]] = {
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "null": type(None),
    "array": list,
    "object": dict,
}


@functools.cache
def shift() -> Rig:
    """A run with everything in it, acknowledged and cleared in between."""
    rig = story()
    rig.command("ack", alert_id=rig.events()[-1]["id"])
    rig.run(60, silent=["r11"])
    return rig


def payloads(kind: str) -> list[dict[str, Any]]:
    """Everything published on a kind of topic."""
    return [
        msgspec.json.decode(message.payload)
        for message in shift().published
        if message.topic.split("/")[2] == kind
    ]


def fits(value: Any, schema: dict[str, Any], definitions: dict[str, Any]) -> bool:  # noqa: ANN401
    """The part of JSON Schema that the schemas use."""
    if "$ref" in schema:
        return fits(value, definitions[schema["$ref"].rsplit("/", 1)[-1]], definitions)
    if "anyOf" in schema:
        return any(fits(value, one, definitions) for one in schema["anyOf"])
    if not isinstance(value, TYPES[schema["type"]]):
        return False
    if isinstance(value, dict) and "properties" in schema:
        named = schema["properties"]
        return set(schema.get("required", ())) <= value.keys() <= named.keys() and all(
            fits(value[key], named[key], definitions) for key in value
        )
    if isinstance(value, list):
        return all(fits(one, schema.get("items", {"type": "object"}), definitions) for one in value)
    return True


@pytest.mark.parametrize("kind", ["alert", "event", "suppressed", "job", "score", "cmd_result"])
@pytest.mark.not_counted
def test_every_payload_fits_its_published_schema(kind: str) -> None:
    """By a library, and by a few lines of ours that read the schemas otherwise."""
    schemas = published.schemas()
    found = payloads(kind)
    assert found
    assert all(fits(payload, schemas[kind], schemas["$defs"]) for payload in found)
    validator = jsonschema.Draft202012Validator({**schemas[kind], "$defs": schemas["$defs"]})
    for payload in found:
        validator.validate(payload)


def test_the_retained_state_is_flat_and_never_empty() -> None:
    """Dashboards bind top-level scalars of one fixed topic."""
    kept = [m for m in shift().published if m.topic.startswith("andon/s/alert/")]
    assert all(message.retain and message.qos == 1 and message.payload for message in kept)
    for payload in payloads("alert"):
        assert not any(isinstance(value, dict | list) for value in payload.values())
        assert payload["state"] in STATES
        silenced = payload["suppressed"] or payload["shelved"] or payload["out_of_service"]
        assert payload["suppressed_or_shelved"] == silenced
        assert payload["active"] == int(payload["state"].startswith("ACTIVE") and not silenced)
        assert not (payload["active"] and payload["suppressed"])
        assert not (payload["active"] and payload["decision"] == "SUPPRESSED")


def test_a_suppressed_alert_is_normal_and_listed_twice() -> None:
    """Once as it begins, with its job and clauses, and once as it ends."""
    listed = payloads("suppressed")
    begins = [one for one in listed if one["suppressed"]]
    assert begins
    assert all(one["job_id"] and one["clauses"] and one["rings_again_ms"] for one in begins)
    assert sum(not one["suppressed"] for one in listed) == len(begins)
    for payload in payloads("alert"):
        if payload["suppressed"]:
            assert (payload["state"], payload["active"]) in (("NORMAL", 0), ("CLEARED_UNACK", 0))


def test_revisions_only_go_up_and_no_key_has_two_contents() -> None:
    """Per id from 1 without a hole, on every topic."""
    seen: dict[tuple[str, str], int] = {}
    for message in shift().published:
        if message.key is not None:
            alert_id, revision = message.key
            if "/suppressed/" not in message.topic:
                assert revision == seen.get((message.topic, alert_id), 0) + 1
            assert revision > seen.get((message.topic, alert_id), 0)
            seen[message.topic, alert_id] = revision
    assert len(seen) > 3


def test_a_recurrence_keeps_its_id_and_counts() -> None:
    """Before anybody has seen it."""
    rig = Rig()
    rig.run(300)
    for _ in range(2):
        rig.run(10, {"c1": 8})
        rig.run(120)
    assert rig.said() == ["ALERT", "CLEARED_UNACK", "ALERT", "CLEARED_UNACK"]
    assert [event["count"] for event in rig.events()] == [1, 1, 2, 2]
    assert len({event["id"] for event in rig.events()}) == 1


def test_every_event_names_every_clause_and_its_history() -> None:
    """Nobody has to guess why."""
    for event in payloads("event"):
        assert event["clauses"]
        assert event["history"][-1]["revision"] == event["revision"]
        assert event["lineage"]["snapshot_sha256"] == "kb"


def test_jobs_are_listed_with_proposals_that_nobody_witnessed() -> None:
    """A witnessed order is a job, not a proposal as well."""
    rig = Rig(known=knowledge(proposals=[order(), order(proposal_id="wo-2", approved=False)]))
    rig.run(10)
    last = [m for m in rig.published if m.topic == "andon/s/job/r1"][-1]
    listed = msgspec.json.decode(last.payload)
    assert [job["job_id"] for job in listed["jobs"]] == ["wo-1"]
    assert [job["job_id"] for job in listed["proposals"]] == ["wo-2"]
    assert last.retain
