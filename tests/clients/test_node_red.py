"""Node-RED with Dashboard 2 shows, acknowledges and shelves alerts, by deploy/node-red."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from playwright.sync_api import expect

from tests.broker.conftest import free_port
from tests.broker.gateways import online
from tests.clients.install import ROOT
from tests.clients.plant import ALERT, LATER_S, OVER_S, RINGING_S
from tests.clients.screens import picture, screen
from tests.clients.services import SEEN_S_MAX, Service, installed, program
from tests.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.clients.plant import Plant

FLOW: Final = ROOT / "deploy" / "node-red" / "flows.json"
TAB: Final = "andon_tab"
SETTINGS: Final = """\
module.exports = {
  uiHost: "127.0.0.1", uiPort: %d, flowFile: "flows.json", credentialSecret: false,
  telemetry: { enabled: false }, editorTheme: { tours: false },
  logging: { console: { level: "info" } },
}
"""


def flow_for(port: int) -> list[dict[str, Any]]:
    """The flow as it is shipped, with the port of its broker changed in the one place it has."""
    nodes: list[dict[str, Any]] = json.loads(FLOW.read_text(encoding="utf-8"))
    settings = next(node for node in nodes if node["type"] == "global-config")["env"]
    next(one for one in settings if one["name"] == "ANDON_BROKER_PORT")["value"] = str(port)
    return nodes


@contextmanager
def node_red(folder: Path, broker_port: int) -> Iterator[Service]:
    """Node-RED with that flow, on the loopback."""
    place, node = installed("node-red"), program("node")
    folder.mkdir()
    port = free_port()
    (folder / "settings.js").write_text(SETTINGS % port, encoding="utf-8")
    (folder / "flows.json").write_text(json.dumps(flow_for(broker_port)), encoding="utf-8")
    red = place / "node_modules" / "node-red" / "red.js"
    command: list[str | Path] = [node, red, "-s", folder / "settings.js", "-u", folder]
    url = f"http://127.0.0.1:{port}"
    with Service(command, folder=folder, url=url, log=folder / "log") as service:
        service.ready("/dashboard/alerts")
        yield service


def kept(service: Service) -> dict[str, Any]:
    """What the flow has kept of robot 1's alert, by Node-RED's own API."""
    context = service.json(f"/context/flow/{TAB}") or {}
    alerts = context.get("memory", {}).get("alerts", {"msg": "{}"})["msg"]
    found: dict[str, Any] = json.loads(alerts).get(ALERT, {})
    return found


def test_node_red_shows_acknowledges_and_shelves(plant: Plant, tmp_path: Path) -> None:
    """An alert rings with its reasons, is acknowledged, outlives a kill, is shelved, and clears."""
    with (
        plant.cell.gateway(plant.broker, tmp_path / "state") as gateway,
        node_red(tmp_path / "node-red", plant.broker.port) as service,
        screen(height=1240) as page,
    ):
        gateway.start()
        online(plant.heard, gateway)
        page.goto(f"{service.url}/dashboard/alerts")
        expect(page.get_by_text("weldcell: online", exact=False)).to_be_visible()
        expect(page.get_by_text("No alert stands.")).to_be_visible()
        plant.until(RINGING_S)
        rings = plant.alert(state="ACTIVE_UNACK", active=1)
        wait_until(lambda: kept(service).get("state") == "ACTIVE_UNACK", what="Node-RED's copy")
        row = page.locator("tbody tr").filter(has_text=rings["message"])
        row.click()
        expect(page.locator(".andon-message")).to_have_text(rings["message"])
        expect(page.locator(".andon-tag")).to_have_text("HIGH 600")
        expect(page.locator(".andon-why")).to_contain_text("contact tip worn oval")
        expect(page.locator(".andon-cite").first).to_contain_text("failure_modes.csv")
        expect(row).to_contain_text("rings")
        expect(row).to_contain_text("HIGH")
        picture(page, "node-red-rings")

        page.get_by_role("button", name="Acknowledge").click()
        expect(page.get_by_text("ack: done", exact=False)).to_be_visible()
        assert plant.alert(acked=1)["state"] == "ACTIVE_ACK"
        expect(row).to_contain_text("active, acknowledged")

        gateway.kill()
        expect(page.get_by_text("weldcell: OFFLINE", exact=False)).to_be_visible()
        gateway.start()
        online(plant.heard, gateway, times=2)
        expect(page.get_by_text("weldcell: online", exact=False)).to_be_visible()
        assert kept(service)["id"] == rings["id"]
        assert kept(service)["state"] == "ACTIVE_ACK"
        expect(row).to_contain_text("active, acknowledged")

        shelve = page.get_by_role("button", name="Shelve for 60 min")
        expect(shelve).to_be_disabled()
        page.get_by_label("Reason").fill("waiting for the contact tip")
        shelve.click()
        expect(page.get_by_text("shelve: done", exact=False)).to_be_visible()
        plant.until(LATER_S)  # silences begin at a plant time
        assert plant.alert(shelved=1)["active"] == 0
        expect(row).to_contain_text("shelved")
        picture(page, "node-red-shelved")

        plant.until(OVER_S)
        over = plant.alert(active=0, shelved=1, state="CLEARED_ACK")
        assert over["id"] == rings["id"]
        wait_until(
            lambda: kept(service).get("state") == "CLEARED_ACK",
            seconds_max=SEEN_S_MAX,
            what="Node-RED's copy of the end",
        )
        expect(page.locator(".andon-state")).to_contain_text("CLEARED_ACK")
        assert gateway.stop() == 0
        assert "Failed to parse" not in service.said()
