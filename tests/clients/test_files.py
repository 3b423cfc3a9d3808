"""Files for other products name only topics that Andon has; no product is needed to see that."""

from __future__ import annotations

import json
import re
from typing import Any, Final

from edge.wire.topics import Topics
from tests.clients.install import PACKAGES, ROOT

FLOW: Final = ROOT / "deploy" / "node-red" / "flows.json"


def flow() -> list[dict[str, Any]]:
    """The nodes of the flow for Node-RED."""
    nodes: list[dict[str, Any]] = json.loads(FLOW.read_text(encoding="utf-8"))
    return nodes


def covers(pattern: str, topic: str) -> bool:
    """Whether a subscription gets a topic."""
    text = re.escape(pattern).replace(r"\+", "[^/]+").replace(r"/\#", "/.+").replace("/#", "/.+")
    return re.fullmatch(text, topic) is not None


def test_what_the_flow_subscribes_to_is_published() -> None:
    """Each of its topics is one of ours, and alerts of every kind are among them."""
    topics = Topics("andon", "s")
    published = [*topics.published(["r1"], ["line-1"]), topics.command_result("op-1")]
    wanted = [node["topic"] for node in flow() if node["type"] == "mqtt in"]
    assert len(wanted) == 5
    for pattern in wanted:
        assert any(covers(pattern, topic) for topic in published), pattern
    alerts = [topic for topic in published if topic.startswith(topics.alerts)]
    assert len(alerts) == 5
    assert all(any(covers(pattern, topic) for pattern in wanted) for topic in alerts)


def test_the_flow_is_whole_and_retains_no_command() -> None:
    """Every wire and group leads to a node; what it sends is not kept by the broker."""
    nodes = flow()
    ids = [node["id"] for node in nodes]
    assert len(ids) == len(set(ids))
    named = {wire for node in nodes for wires in node.get("wires", []) for wire in wires}
    keys = ("z", "group", "page", "ui", "theme", "broker")
    named |= {node[key] for node in nodes for key in keys if node.get(key, "").startswith("andon")}
    assert named <= set(ids)
    (out,) = [node for node in nodes if node["type"] == "mqtt out"]
    assert out["retain"] == "false"


def test_locks_of_the_products_name_no_registry() -> None:
    """Where packages come from is for each machine to say; versions and hashes are exact."""
    for name in ("node-red", "fuxa"):
        wanted = json.loads((PACKAGES / name / "package.json").read_text(encoding="utf-8"))
        lock = json.loads((PACKAGES / name / "package-lock.json").read_text(encoding="utf-8"))
        packages = {path: one for path, one in lock["packages"].items() if path}
        assert all("resolved" not in one for one in packages.values())
        assert all("integrity" in one for one in packages.values() if not one.get("inBundle"))
        for package, version in wanted["dependencies"].items():
            assert packages[f"node_modules/{package}"]["version"] == version
    pins = (PACKAGES / "home-assistant.txt").read_text(encoding="utf-8").splitlines()
    assert all(re.fullmatch(r"#.*|[A-Za-z0-9._-]+==[0-9a-z.]+", pin) for pin in pins)
