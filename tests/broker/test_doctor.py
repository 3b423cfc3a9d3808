"""The doctor beside a real broker and a real gateway: before it, while it runs, and behind it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from edge.doctor.finding import Finding, Level
from edge.doctor.look import looked
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
