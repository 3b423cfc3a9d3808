"""The site that is shipped for containers: its broker lets in whom it should, nobody else."""

from __future__ import annotations

import subprocess
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import msgspec
import pytest
from typer.testing import CliRunner

import andon
from edge.brokers.endpoint import Endpoint
from edge.brokers.mqtt import BrokerError, Collector, Publisher
from edge.doctor.finding import Level
from edge.doctor.look import looked
from edge.records import MessageReceived
from edge.storage.journal import read_journal
from tests.broker.gateways import GatewayProcess
from tests.test_containers import FOLDER
from tests.waiting import wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.broker.conftest import Mosquitto

ROOT: Final = "andon/plant"
FORBIDDEN: Final = (f"{ROOT}/alert/press4/process", f"{ROOT}/cmd/ann/ack")
ACCOUNTS: Final = ("andon", "press4", "dashboard", "page", "ears")


def test_the_shipped_site_has_a_broker_that_keeps_everybody_apart(
    mosquitto_of: type[Mosquitto], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As docs/how-to/containers.md sets it up; the doctor finds the gateway with its account."""
    folder = tmp_path / "broker"
    folder.mkdir()
    broker = mosquitto_of(folder)
    secret = tmp_path / "mqtt-password"
    secret.write_text("pw-andon")
    secret.chmod(0o600)
    for name, value in {
        "MQTT__HOST": "127.0.0.1",
        "MQTT__PORT": str(broker.port),
        "MQTT__PASSWORD_FILE": str(secret),
        "JOURNAL__DIR": str(tmp_path / "state"),
        "ENGINE__HEALTH_PUBLISH_S": "1",
    }.items():
        monkeypatch.setenv(f"ANDON__{name}", value)
    config = tmp_path / "gateway.toml"
    config.write_text((FOLDER / "gateway.toml").read_text(encoding="utf-8"), encoding="utf-8")
    command = ["broker", str(config), "-o", str(folder), "--dashboard", "dashboard"]
    made = CliRunner().invoke(andon.app, [*command, "--dashboard", "ears"])
    assert made.exit_code == 0, made.output
    for i, name in enumerate(ACCOUNTS):
        new = ["-c"] if i == 0 else []
        told = ["mosquitto_passwd", "-b", *new, str(folder / "passwd"), name, f"pw-{name}"]
        subprocess.run(told, check=True, capture_output=True)
    broker.serve(folder / "mosquitto.conf")
    try:
        broker.overheard.listen("-u", "ears", "-P", "pw-ears")
        gateway = GatewayProcess(config, port=broker.port, state=tmp_path / "state")
        with gateway:
            gateway.start()
            with Collector(_as(broker, "dashboard"), [f"{ROOT}/#"]) as seen:
                wait_until(lambda: f"{ROOT}/health" in _topics(seen), what="the gateway")
                with Publisher(_as(broker, "press4")) as press:
                    for topic in ("plant/press4", *FORBIDDEN):
                        _say(press, topic)
                with Publisher(_as(broker, "page")) as page:
                    _say(page, "plant/press4")
                journal = tmp_path / "state" / "journal"
                wait_until(lambda: _heard(journal), what="the value that may be sent")
                found = {one.what: one for one in looked(config).findings}
                assert found["gateway"].level is Level.FINE, found["gateway"].found
                assert not _topics(seen) & set(FORBIDDEN)
            assert gateway.stop() == 0
        assert [topic for topic, _ in _heard(journal)] == ["plant/press4"], "nobody else's"
        with pytest.raises(BrokerError), Collector(Endpoint(port=broker.port), ["#"]):
            pass
    finally:
        broker.overheard.stop()
        broker.stop()
    broker.overheard.check()


def _as(broker: Mosquitto, name: str) -> Endpoint:
    return Endpoint(port=broker.port, username=name, password=f"pw-{name}", client_id=name)


def _say(publisher: Publisher, topic: str) -> None:
    row = {"ts": time.time_ns() // 10**6, "PT_101": 6.2, "TT_101": 61.0, "MotorCurrent": 14.1}
    publisher.publish(topic, msgspec.json.encode(row))
    with suppress(BrokerError):
        publisher.drain()


def _topics(seen: Collector) -> set[str]:
    """What has come; nothing is taken away."""
    return {came.topic for came in list(seen.queue)}


def _heard(journal: Path) -> list[tuple[str, bytes]]:
    """What the gateway has taken from the broker."""
    return [
        (entry.stimulus.topic, entry.stimulus.payload)
        for entry in read_journal(journal)
        if isinstance(entry.stimulus, MessageReceived)
        and not entry.stimulus.topic.startswith(f"{ROOT}/")
    ]
