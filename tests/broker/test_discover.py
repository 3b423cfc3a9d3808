"""From a broker that nobody described to a gateway that learns: discover, check, run."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

import andon
from edge.configuration.config import load
from edge.errors import ConfigError
from tests.broker.cells import listener
from tests.broker.four_formats import ASSETS, FORMATS, STRANGE, TAGS, FourFormats
from tests.broker.gateways import GatewayProcess, newest_health, online
from tests.waiting import wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from typer.testing import Result

    from tests.broker.conftest import Mosquitto

LISTEN_S = "4"


def discover(mosquitto: Mosquitto, *options: str) -> Result:
    """Run the command beside whoever publishes."""
    command = ["discover", "--broker", f"127.0.0.1:{mosquitto.port}", "--seconds", LISTEN_S]
    return CliRunner().invoke(andon.app, [*command, *options])


def stages(heard: Any) -> dict[str, str]:  # noqa: ANN401 - a subscriber
    """The newest stage of each asset."""
    return {one.topic.split("/")[-1]: one.body["stage"] for one in heard.of("commissioning")}


def test_a_gateway_runs_on_what_was_discovered(mosquitto: Mosquitto, tmp_path: Path) -> None:
    """Four formats at once: every value reaches an asset, and every asset learns."""
    config = tmp_path / "gateway.toml"
    with FourFormats(mosquitto.port) as plant:
        wait_until(lambda: plant.steps > 2, what="the plant")
        before = {client for client, _ in mosquitto.overheard.published()}
        found = discover(mosquitto, "-o", str(config), "--site", "s")
        assert found.exit_code == 0, found.output
        assert f"not read: {STRANGE}" in found.output
        speakers = {client for client, _ in mosquitto.overheard.published()}
        assert speakers == before == {"plant"}, "discover says nothing"
        written = load(config, environment={})
        assert {one.id for one in written.asset} == ASSETS
        assert {source.format for source in written.source} == FORMATS
        assert all(set(one.tags) == set(TAGS) for one in written.asset)

        checked = CliRunner().invoke(andon.app, ["check", str(config)])
        assert checked.exit_code == 0, checked.output

        gateway = GatewayProcess(
            config,
            port=mosquitto.port,
            state=tmp_path / "state",
            ANDON__COMMISSIONING__LEARN_MINUTES="0.1",
            ANDON__COMMISSIONING__LEARN_ROWS="100",
        )
        with gateway, listener(mosquitto, tmp_path / "heard") as heard:
            gateway.start()
            online(heard, gateway)
            wait_until(
                lambda: stages(heard) == dict.fromkeys(ASSETS, "SHADOW"),
                seconds_max=120.0,
                what="every asset having learned",
            )
            health = newest_health(heard, lambda h: h["in_shadow"] == len(ASSETS), what="health")
            drops = health["drops"]
            assert not {name for name in drops if name.startswith("unknown")}, drops
            gateway.stop()


def test_a_file_that_is_there_stays(mosquitto: Mosquitto, tmp_path: Path) -> None:
    """What somebody has edited is not lost; with --force it is meant."""
    config = tmp_path / "gateway.toml"
    config.write_text("mine")
    with FourFormats(mosquitto.port):
        refused = discover(mosquitto, "-o", str(config))
        assert isinstance(refused.exception, ConfigError)
        assert "--force" in str(refused.exception)
        assert config.read_text() == "mine"
        told = discover(mosquitto, "-o", str(config), "--force", "--json", "--topic", "works/#")
        assert told.exit_code == 0, told.output
    found = json.loads(told.stdout)
    assert {one["shape"] for one in found["assets"]} == {"JSON, wide", "JSON, columns"}
    assert {one.id for one in load(config, environment={}).asset} == {
        one["id"] for one in found["assets"]
    }


@pytest.mark.parametrize("topic", ["plant/+/set", "spBv1.0/+/NCMD/#", "spBv1.0/g/DCMD/n/d"])
def test_topics_of_commands_are_refused(mosquitto: Mosquitto, topic: str) -> None:
    """Andon has no business there."""
    refused = discover(mosquitto, "--topic", topic)
    assert isinstance(refused.exception, ConfigError)
    assert "commands to machines" in str(refused.exception)


def test_an_empty_broker_writes_nothing(mosquitto: Mosquitto, tmp_path: Path) -> None:
    """It says so, and what to look at."""
    config = tmp_path / "gateway.toml"
    found = discover(mosquitto, "-o", str(config), "--seconds", "1")
    assert found.exit_code == 1
    assert "no asset on #" in found.output
    assert not list(tmp_path.iterdir())
