"""The doctor beside a real broker and a real gateway: before it, while it runs, and behind it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from edge.brokers.endpoint import Endpoint
from edge.brokers.mqtt import Publisher
from edge.configuration.config import load
from edge.doctor.finding import Finding, Level
from edge.doctor.look import looked
from edge.wire.topics import Topics
from tests.broker.cells import listener
from tests.broker.gateways import GatewayProcess, online

if TYPE_CHECKING:
    from pathlib import Path

    from tests.broker.cells import Cell
    from tests.broker.conftest import Mosquitto


@pytest.fixture
def gateway(
    cell: Cell, mosquitto: Mosquitto, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> GatewayProcess:
    """A gateway of the cell, with the same variables as the doctor of this process."""
    monkeypatch.setenv("ANDON__JOURNAL__DIR", str(tmp_path / "state"))
    monkeypatch.setenv("ANDON__MQTT__PORT", str(mosquitto.port))
    monkeypatch.setenv("ANDON__ENGINE__HEALTH_PUBLISH_S", "1")
    return GatewayProcess(cell.config, port=mosquitto.port, state=tmp_path / "state")


def _found(cell: Cell) -> dict[str, Finding]:
    return {one.what: one for one in looked(cell.config).findings}


def test_it_tells_a_gateway_that_runs_from_one_that_has_ended(
    cell: Cell, mosquitto: Mosquitto, tmp_path: Path, gateway: GatewayProcess
) -> None:
    """By its retained status and its live health."""
    before = _found(cell)["gateway"]
    assert (before.level, "was ever heard" in before.found) == (Level.WRONG, True)
    with gateway, listener(mosquitto, tmp_path / "heard") as heard:
        gateway.start()
        online(heard, gateway)
        idle = _found(cell)
        assert idle["gateway"].level is Level.FINE
        assert idle["messages"].level is Level.WRONG, "nothing is published"
    ended = _found(cell)
    assert (ended["gateway"].level, "not running" in ended["gateway"].found) == (Level.WRONG, True)
    assert "health" not in ended
    assert ended["audit trail"].level is Level.FINE


@pytest.mark.parametrize("said", [b'{"online": "yes"}', b"{}", b"\xff"])
def test_what_it_cannot_read_is_not_taken_for_silence(
    cell: Cell, mosquitto: Mosquitto, monkeypatch: pytest.MonkeyPatch, said: bytes
) -> None:
    """A gateway of another version is there, whatever it says: nobody is to start a second one."""
    monkeypatch.setenv("ANDON__MQTT__PORT", str(mosquitto.port))
    monkeypatch.setenv("ANDON__PREFIX", "elsewhere")  # no topic of a gateway that is looked at
    config = load(cell.config)
    topic = Topics(config.prefix, config.site).status
    with Publisher(Endpoint(port=mosquitto.port)) as publisher:
        publisher.publish(topic, said, retain=True)
    told = _found(cell)["gateway"]
    assert (told.level, topic in told.found) == (Level.WRONG, True)
    assert "another version" in told.found
    with Publisher(Endpoint(port=mosquitto.port)) as publisher:
        publisher.publish(topic, b"", retain=True)
    assert "was ever heard" in _found(cell)["gateway"].found
