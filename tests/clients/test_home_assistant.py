"""Home Assistant finds our entities by itself and shows them, with deploy/home-assistant."""

from __future__ import annotations

import json
import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import httpx
import msgspec
import yaml
from playwright.sync_api import expect

from edge.wire.outgoing import AlertPayload, GroupAlertPayload, encode
from tests.broker.conftest import free_port
from tests.broker.gateways import online
from tests.clients.install import ROOT
from tests.clients.plant import OVER_S, RINGING_S
from tests.clients.screens import picture, screen
from tests.clients.services import Service, installed
from tests.edge.test_outgoing import sample
from tests.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.broker.conftest import Mosquitto
    from tests.clients.plant import Plant

DEPLOY: Final = ROOT / "deploy" / "home-assistant"
PROCESS: Final = "binary_sensor.andon_weldcell_r1_process"
ONLINE: Final = "binary_sensor.andon_weldcell_online"
OUTPUT: Final = "\n[output.home_assistant]\n"
CONFIGURATION: Final = """\
homeassistant: {{ name: Weld shop, latitude: 0, longitude: 0, time_zone: UTC, unit_system: metric }}
http: {{ server_host: 127.0.0.1, server_port: {port} }}
api:
frontend:
"""
PERSON: Final = {"name": "Op", "username": "op", "password": "of one test", "language": "en"}


def broker_entry(port: int) -> dict[str, Any]:
    """What the form for MQTT leaves in Home Assistant's own store."""
    entry = {
        "entry_id": "mqtt",
        "version": 1,
        "minor_version": 1,
        "domain": "mqtt",
        "title": "broker",
        "data": {"broker": "127.0.0.1", "port": port, "discovery": True},
        "options": {},
        "pref_disable_new_entities": False,
        "pref_disable_polling": False,
        "source": "user",
        "unique_id": None,
        "disabled_by": None,
    }
    key = "core.config_entries"
    return {"version": 1, "minor_version": 1, "key": key, "data": {"entries": [entry]}}


@contextmanager
def home_assistant(folder: Path, broker_port: int) -> Iterator[Service]:
    """Home Assistant with our dashboard, on the loopback, before anybody signed in."""
    place = installed("home-assistant")
    (folder / ".storage").mkdir(parents=True)
    port = free_port()
    configuration = CONFIGURATION.format(port=port)
    configuration += (DEPLOY / "configuration.yaml").read_text(encoding="utf-8")
    (folder / "configuration.yaml").write_text(configuration, encoding="utf-8")
    shutil.copy(DEPLOY / "andon.yaml", folder / "andon.yaml")
    entries = json.dumps(broker_entry(broker_port))
    (folder / ".storage" / "core.config_entries").write_text(entries, encoding="utf-8")
    command: list[str | Path] = [place / "bin" / "hass", "-c", folder, "--skip-pip"]
    url = f"http://127.0.0.1:{port}"
    with Service(command, folder=folder, url=url, log=folder / "log") as service:
        service.ready("/api/onboarding")
        yield service


def signed_in(service: Service) -> dict[str, Any]:
    """Make the first person, as a browser would; returns what it is given."""
    client = f"{service.url}/"
    person = {**PERSON, "client_id": client}
    made = httpx.post(f"{service.url}/api/onboarding/users", json=person, timeout=60.0)
    made.raise_for_status()
    code = {"grant_type": "authorization_code", "code": made.json()["auth_code"]}
    given = httpx.post(
        f"{service.url}/auth/token", data={**code, "client_id": client}, timeout=60.0
    )
    given.raise_for_status()
    tokens: dict[str, Any] = given.json()
    headers = {"Authorization": f"Bearer {tokens['access_token']}"}
    for step in ("core_config", "analytics"):
        httpx.post(f"{service.url}/api/onboarding/{step}", json={}, headers=headers, timeout=60.0)
    done = {"client_id": client, "redirect_uri": client}
    httpx.post(f"{service.url}/api/onboarding/integration", json=done, headers=headers, timeout=60)
    return tokens | {"hassUrl": service.url, "clientId": client, "expires": 1 << 50}


def test_the_dashboard_shows_every_kind_of_alert(mosquitto: Mosquitto, tmp_path: Path) -> None:
    """A card is one template: what it cannot show of one alert hides all the others."""
    cards = yaml.safe_load((DEPLOY / "andon.yaml").read_text(encoding="utf-8"))
    (stack,) = cards["views"][0]["cards"]
    rings, quiet, _gateways = (card["content"] for card in stack["cards"])
    one = msgspec.structs.replace(sample(AlertPayload), asset="r1", score=7.26, message="too hot")
    group = msgspec.structs.replace(sample(GroupAlertPayload), score=None, message="5 assets")
    over = msgspec.structs.replace(one, asset="r2", state="CLEARED_UNACK", message="told once")
    with home_assistant(tmp_path / "home", mosquitto.port) as service:
        headers = {"Authorization": f"Bearer {signed_in(service)['access_token']}"}

        def posted(path: str, body: dict[str, Any]) -> str:
            done = httpx.post(f"{service.url}/api/{path}", json=body, headers=headers, timeout=60.0)
            assert done.is_success, done.text
            return " ".join(done.text.split())

        for name, told, state in (
            ("one", one, "on"),
            ("group", group, "on"),
            ("over", over, "off"),
        ):
            fields = json.loads(encode(told))
            fields |= {"alert_state": fields.pop("state"), "trouble": ""}
            posted(f"states/binary_sensor.{name}", {"state": state, "attributes": fields})
        shown = posted("template", {"template": rings})
        assert "too hot" in shown
        assert "score 7.3, threshold 1.0" in shown
        assert "5 assets" in shown
        assert shown.count("score") == 1, "a group has none"
        assert posted("template", {"template": quiet}).count("told once") == 1


def test_home_assistant_finds_and_shows(plant: Plant, tmp_path: Path) -> None:
    """Entities come by discovery, ring with every field, go with the gateway, and clear."""
    with plant.cell.config.open("a", encoding="utf-8") as config:
        config.write(OUTPUT)
    with (
        plant.cell.gateway(plant.broker, tmp_path / "state") as gateway,
        home_assistant(tmp_path / "home", plant.broker.port) as service,
        screen(height=700) as page,
    ):
        gateway.start()
        online(plant.heard, gateway)
        tokens = signed_in(service)

        def entity(name: str) -> dict[str, Any]:
            headers = {"Authorization": f"Bearer {tokens['access_token']}"}
            return service.json(f"/api/states/{name}", **headers) or {}

        def becomes(name: str, state: str) -> dict[str, Any]:
            what = f"{name} {state}"
            wait_until(lambda: entity(name).get("state") == state, seconds_max=60.0, what=what)
            found: dict[str, Any] = entity(name)["attributes"]
            return found

        becomes(ONLINE, "on")
        plant.until(RINGING_S)
        rings = plant.alert(state="ACTIVE_UNACK", active=1)
        told = becomes(PROCESS, "on")
        assert told["alert_state"] == rings.pop("state")
        assert {key: told[key] for key in rings} == rings, "an attribute for every field"
        page.add_init_script(f"localStorage.setItem('hassTokens', '{json.dumps(tokens)}')")
        page.goto(f"{service.url}/lovelace-andon/alerts")
        expect(page.get_by_text(rings["message"])).to_be_visible()
        expect(page.get_by_text("HIGH 600", exact=False)).to_be_visible()
        expect(page.get_by_text(rings["advice"], exact=False)).to_be_visible()
        expect(page.get_by_text(rings["source"], exact=False)).to_be_visible()
        picture(page, "home-assistant-rings")

        gateway.kill()
        becomes(ONLINE, "off")
        becomes(PROCESS, "unavailable")
        expect(page.get_by_text("OFFLINE", exact=False)).to_be_visible()
        gateway.start()
        online(plant.heard, gateway, times=2)
        becomes(ONLINE, "on")
        assert becomes(PROCESS, "on")["id"] == rings["id"]
        expect(page.get_by_text(rings["message"])).to_be_visible()

        plant.until(OVER_S)
        plant.alert(active=0, state="CLEARED_UNACK")
        assert becomes(PROCESS, "off")["alert_state"] == "CLEARED_UNACK"
        expect(page.get_by_text("r1 · CLEARED_UNACK", exact=False)).to_be_visible()
        picture(page, "home-assistant-cleared")
        assert gateway.stop() == 0
