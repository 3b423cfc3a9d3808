"""FUXA shows and alarms what rings, with the project that `andon deploy fuxa` writes."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import httpx
from playwright.sync_api import expect

from edge.configuration.fuxa_project import DEVICE, tag_id
from tests.broker.conftest import free_port
from tests.broker.gateways import newest_health, online
from tests.broker.plants import invoke
from tests.clients.plant import LATER_S, OVER_S, RINGING_S, ROOT
from tests.clients.screens import picture, screen
from tests.clients.services import Service, installed, program
from tests.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import pytest

    from tests.broker.gateways import Subscriber
    from tests.clients.plant import Plant

# What its settings.default.js has, but for the address, and a limit that tests run into.
SETTINGS: Final = """\
module.exports = Object.assign({}, require(%s), {
  uiHost: "127.0.0.1", uiPort: %d, apiRateLimitMax: 1000000,
})
"""
COMMAND: Final = "t_command"  # a tag that publishes
LOOK_S: Final = 0.25


@contextmanager
def fuxa(folder: Path) -> Iterator[Service]:
    """FUXA without a project, on the loopback."""
    place, node = installed("fuxa"), program("node")
    package = place / "node_modules" / "@frangoteam" / "fuxa"
    (folder / "_appdata").mkdir(parents=True)
    port = free_port()
    settings = SETTINGS % (json.dumps(str(package / "settings.default.js")), port)
    (folder / "_appdata" / "settings.js").write_text(settings, encoding="utf-8")
    command: list[str | Path] = [node, package / "main.js", "--userDir", folder]
    url = f"http://127.0.0.1:{port}"
    with Service(command, folder=folder, url=url, log=folder / "log") as service:
        service.ready("/api/project")
        yield service


def deployed(plant: Plant, out: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The project that the command writes for this cell and broker."""
    monkeypatch.setenv("ANDON__MQTT__PORT", str(plant.broker.port))
    said = invoke("deploy", "fuxa", plant.cell.config, "-o", out)
    assert "2 assets" in said
    monkeypatch.delenv("ANDON__MQTT__PORT")
    project: dict[str, Any] = json.loads(out.read_bytes())
    return project


def with_command(project: dict[str, Any]) -> dict[str, Any]:
    """The same with a tag that publishes, as somebody might add one for a button."""
    project["devices"][DEVICE]["tags"][COMMAND] = {
        "id": COMMAND,
        "name": COMMAND,
        "type": "raw",
        "address": f"{ROOT}/cmd/op-1/ack",
    }
    return project


def tag(service: Service, key: str, track: str = "process") -> Any:  # noqa: ANN401 - any value
    """The value of a tag of robot 1, by FUXA's own API; None while it has none."""
    return by_id(service, tag_id("r1", track, key))


def by_id(service: Service, identity: str) -> Any:  # noqa: ANN401 - any value
    """The value of a tag."""
    found = service.json(f"/api/getTagValue?ids=%5B%22{identity}%22%5D")
    return found[0].get("value") if found else None


def alarms(service: Service) -> list[dict[str, Any]]:
    """FUXA's own alarms that stand."""
    found: list[dict[str, Any]] = service.json("/api/alarms") or []
    return [one for one in found if one["name"].startswith("andon r1 process")]


def test_fuxa_shows_and_alarms(
    plant: Plant, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Values and its own alarm come, outlive a kill, and end; what it sent is not repeated."""
    project = with_command(deployed(plant, tmp_path / "project.json", monkeypatch))
    with (
        plant.cell.gateway(plant.broker, tmp_path / "state") as gateway,
        fuxa(tmp_path / "fuxa") as service,
        screen(height=420) as page,
    ):
        gateway.start()
        online(plant.heard, gateway)
        posted = httpx.post(f"{service.url}/api/project", json=project, timeout=30.0)
        assert posted.is_success, posted.text
        plant.until(RINGING_S)
        rings = plant.alert(state="ACTIVE_UNACK", active=1)
        seen(service, state="ACTIVE_UNACK", severity_num=600, message=rings["message"])
        wait_until(lambda: alarms(service), seconds_max=60.0, what="FUXA's alarm")
        assert alarms(service)[0]["status"] == "N"
        page.goto(f"{service.url}/home")
        for text in ("ACTIVE_UNACK", "HIGH", "600", rings["message"], rings["advice"]):
            expect(page.get_by_text(text, exact=True).first).to_be_visible()
        picture(page, "fuxa-rings")

        acknowledged = command(service, rings, plant.heard)
        plant.until(LATER_S)
        plant.alert(acked=1)
        seen(service, state="ACTIVE_ACK", active=1)

        gateway.kill()
        wait_until(lambda: not by_id(service, "gateway_online"), seconds_max=60.0, what="offline")
        gateway.start()
        online(plant.heard, gateway, times=2)
        wait_until(lambda: by_id(service, "gateway_online"), seconds_max=60.0, what="online")
        newest_health(
            plant.heard,
            lambda health: health["counts"].get("invalid_command_retained", 0) == 1,
            what="the refusal of what FUXA has left at the broker",
        )
        assert len(answers(plant.heard)) == acknowledged, "it was carried out once"
        seen(service, state="ACTIVE_ACK", severity_num=600, message=rings["message"])

        plant.until(OVER_S)
        plant.alert(active=0, state="CLEARED_ACK")
        seen(service, state="CLEARED_ACK", active=0)
        expect(page.get_by_text("CLEARED_ACK", exact=True).first).to_be_visible()
        wait_until(
            lambda: all(one["status"] != "N" for one in alarms(service)),
            seconds_max=60.0,
            what="the end of FUXA's alarm",
        )
        picture(page, "fuxa-cleared")
        assert gateway.stop() == 0


def command(service: Service, alert: dict[str, Any], heard: Subscriber) -> int:
    """Let FUXA acknowledge it, and wait for the answer; returns how many answers there were.

    It publishes with retain. Andon cannot see that while it listens, only when it comes back.
    """
    body = json.dumps({"ts": alert["ts_ms"], "alert_id": alert["id"]})
    value = {"tags": [{"id": COMMAND, "value": body}]}
    httpx.post(f"{service.url}/api/setTagValue", json=value, timeout=30.0).raise_for_status()
    wait_until(lambda: answers(heard), seconds_max=60.0, what="the answer to FUXA")
    assert answers(heard)[-1]["done"]
    return len(answers(heard))


def answers(heard: Subscriber) -> list[dict[str, Any]]:
    """What Andon answered to FUXA's operator."""
    mine = f"{ROOT}/cmd_result/op-1"
    return [one.body for one in heard.of("cmd_result") if one.topic == mine]


def seen(service: Service, **expected: object) -> None:
    """Wait until FUXA has these values of robot 1."""
    wait_until(
        lambda: all(tag(service, key) == value for key, value in expected.items()),
        seconds_max=60.0,
        what=f"{expected} in FUXA",
    )
