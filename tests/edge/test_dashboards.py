"""Dashboards that are shipped name what there is: metrics of ours, fields of an alert."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest

from edge.outputs.metrics import Published, families
from edge.wire.outgoing import AlertPayload, HealthPayload, StatusPayload, encode
from tests.edge.test_outgoing import sample

DEPLOY: Final = Path(__file__).resolve().parent.parent.parent / "deploy"
TOPIC: Final = "[{provider}]{prefix}/{site}/alert/{asset}/{track}/"


def metrics() -> dict[str, set[str]]:
    """Labels by name, as Prometheus has them, of a gateway that has said something."""
    counts = {"link_received": 1, "commands": 1, "faults_active": 0}
    health = msgspec.structs.replace(sample(HealthPayload), counts=counts, lag_ms=1.0)
    said = Published(status=encode(sample(StatusPayload)), health=encode(health))
    found = families(said, now_s=2.0, knowledge_s=1.0)
    return {f"{one.name}{'_total' * (one.kind == 'counter')}": set(one.labels) for one in found}


def expressions(value: Any) -> list[str]:  # noqa: ANN401 - whatever JSON holds
    """Every query in a dashboard."""
    if isinstance(value, dict):
        own = [value[k] for k in ("expr", "query", "definition") if isinstance(value.get(k), str)]
        return own + [one for inner in value.values() for one in expressions(inner)]
    return [one for inner in value for one in expressions(inner)] if isinstance(value, list) else []


def test_every_metric_of_the_dashboard_is_one_that_we_have() -> None:
    """With the labels that it asks for; and what matters most is on it."""
    told, known = (DEPLOY / "grafana" / "andon.json").read_text(encoding="utf-8"), metrics()
    queries = expressions(json.loads(told))
    named = {name for query in queries for name in re.findall(r"\bandon_\w+", query)}
    assert not sorted(named - known.keys())
    assert {"andon_alert_active", "andon_score", "andon_drops_total", "andon_lag_seconds"} <= named
    asked = {
        (name, label)
        for query in queries
        for name, labels in re.findall(r"\b(andon_\w+)\{([^}]*)\}", query)
        for label in re.findall(r"(\w+)\s*[=!]", labels)
    }
    assert asked
    assert not {(name, label) for name, label in asked if label not in known[name]}


def test_ids_of_panels_are_their_own() -> None:
    """Grafana drops one of two alike."""
    panels = json.loads((DEPLOY / "grafana" / "andon.json").read_text(encoding="utf-8"))["panels"]
    assert len({one["id"] for one in panels}) == len(panels) > 10


def test_every_metric_is_told_on_the_page() -> None:
    """A name that nobody finds is not used."""
    page = (DEPLOY.parent / "docs" / "scada.md").read_text(encoding="utf-8")
    assert not sorted(name for name in metrics() if f"`{name}`" not in page)


def test_members_of_the_udt_are_fields_of_an_alert() -> None:
    """At the topic's path, each once, of its type."""
    udt = json.loads((DEPLOY / "ignition" / "andon-udt.json").read_text(encoding="utf-8"))
    bound = [one["sourceTagPath"]["binding"] for one in udt["tags"]]
    assert all(one.startswith(TOPIC) for one in bound)
    alert = json.loads(encode(sample(AlertPayload)))
    fields = [one.removeprefix(TOPIC) for one in bound]
    assert not sorted(set(fields) - alert.keys())
    assert len(set(fields)) == len(fields)
    for name in re.findall(r"\{(\w+)\}", TOPIC):
        assert name in udt["parameters"]
    assert "NOT PROVEN IN CI" in udt["documentation"]


@pytest.mark.parametrize("name", ["andon-view.json"])
def test_the_view_shows_members_of_the_udt(name: str) -> None:
    """Its labels are bound below the instance that it is given."""
    folder = DEPLOY / "ignition"
    udt = json.loads((folder / "andon-udt.json").read_text(encoding="utf-8"))
    view = json.loads((folder / name).read_text(encoding="utf-8"))
    paths = [
        one["propConfig"]["props.text"]["binding"]["config"]["tagPath"]
        for one in view["root"]["children"]
    ]
    members = {one["name"] for one in udt["tags"]}
    assert {path.removeprefix("{path}/") for path in paths} <= members
