"""A project for FUXA binds exact topics and top-level keys that Andon really publishes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import msgspec

from edge.configuration.config import load
from edge.configuration.fuxa_project import ASSETS_A_VIEW, DEVICE, fuxa_project
from edge.wire.outgoing import AlertPayload, StatusPayload
from edge.wire.topics import Topics
from tests.broker.plants import ASSETS, invoke, settings

if TYPE_CHECKING:
    from pathlib import Path


def made(folder: Path, assets: tuple[str, ...] = ASSETS, **tables: object) -> dict[str, Any]:
    """The project of a small plant."""
    return fuxa_project(load(settings(folder, **tables), environment={}), assets)


def test_tags_are_topics_and_keys_of_ours(tmp_path: Path) -> None:
    """Nothing else would ever get a value in FUXA: no wildcard, no nested key."""
    topics = set(Topics("andon", "s").published(ASSETS))
    tags = made(tmp_path)["devices"][DEVICE]["tags"]
    assert {tag["address"] for tag in tags.values()} <= topics
    status = {field.encode_name for field in msgspec.structs.fields(StatusPayload)}
    alert = {field.encode_name for field in msgspec.structs.fields(AlertPayload)}
    assert {tag["memaddress"] for tag in tags.values()} <= alert | status
    for tag in tags.values():
        if tag["address"] == "andon/s/status":
            assert tag["memaddress"] in status
        assert tag["options"]["subs"] == [tag["memaddress"]]
    assert all(identity == tag["id"] for identity, tag in tags.items())


def test_views_show_every_asset_and_their_ids_are_unique(tmp_path: Path) -> None:
    """Ids of an SVG that meet break FUXA; each item of a view is drawn, and bound to a tag."""
    assets = tuple(f"a<{i}&" for i in range(ASSETS_A_VIEW + 1))
    project = made(tmp_path, assets)
    tags = project["devices"][DEVICE]["tags"]
    assert len(project["hmi"]["views"]) == 2
    shown = ""
    for view in project["hmi"]["views"]:
        tree = ET.fromstring(view["svgcontent"])  # noqa: S314 - ours
        ids = [node.attrib["id"] for node in tree.iter() if "id" in node.attrib]
        assert len(ids) == len(set(ids))
        assert set(view["items"]) <= set(ids)
        assert all(item["property"]["variableId"] in tags for item in view["items"].values())
        shown += "".join(tree.itertext())
    assert all(asset in shown for asset in assets)


def test_alarms_are_ranges_that_hold_only_while_it_rings(tmp_path: Path) -> None:
    """One for each track of each asset, on `active`, at exactly 1."""
    project = made(tmp_path)
    tags = project["devices"][DEVICE]["tags"]
    bound = [tags[alarm["property"]["variableId"]] for alarm in project["alarms"]]
    assert {tag["memaddress"] for tag in bound} == {"active"}
    assert len({tag["address"] for tag in bound}) == 3 * len(ASSETS) == len(project["alarms"])
    for alarm in project["alarms"]:
        assert (alarm["high"]["min"], alarm["high"]["max"]) == (1, 1)
        assert not any(alarm[name]["enabled"] for name in ("highhigh", "low", "info"))


def test_the_broker_is_the_one_that_alerts_go_to_and_no_secret_is_told(tmp_path: Path) -> None:
    """With two brokers it is the output; names of accounts and passwords stay out."""
    output = {"host": "10.0.0.9", "port": 8883, "username": "u", "tls_ca_file": "ca.pem"}
    project = made(tmp_path, mqtt={"port": 1883}, mqtt__output=output)
    assert project["devices"][DEVICE]["property"] == {"address": "mqtts://10.0.0.9:8883"}


def test_the_command_writes_it_and_says_what_it_is_of(tmp_path: Path) -> None:
    """`andon deploy fuxa`: a file that FUXA opens."""
    said = invoke("deploy", "fuxa", settings(tmp_path), "-o", tmp_path / "project.json")
    assert "2 assets" in said
    assert "mqtt://127.0.0.1:1883" in said
    project = json.loads((tmp_path / "project.json").read_bytes())
    assert project["hmi"]["layout"]["start"] == project["hmi"]["views"][0]["id"]
