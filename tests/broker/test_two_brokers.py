"""Separate zones: values from one broker that is only read, everything of ours over another."""

from __future__ import annotations

import io
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from rich.console import Console

from edge.checks.check import check_file
from tests.broker.certificates import Authority
from tests.broker.conftest import free_port
from tests.broker.gateways import GatewayProcess, Subscriber, newest_health, online, publish
from tests.broker.plants import ROOT, settings
from tests.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.broker.conftest import Mosquitto


@dataclass(frozen=True, slots=True)
class Zones:
    """The broker of the machines, the broker of the people, and a gateway between them."""

    machines: Mosquitto
    people: Mosquitto
    gateway: GatewayProcess

    def values(self, broker: Mosquitto, *topics: str) -> None:
        """Publish a value on each topic of one of the two."""
        body = msgspec.json.encode({"ts": time.time_ns() // 1_000_000, "current": 1.0})
        publish(broker.port, [(topic, body) for topic in topics])


@pytest.fixture
def zones(
    mosquitto: Mosquitto,
    mosquitto_of: type[Mosquitto],
    tmp_path: Path,
) -> Iterator[Zones]:
    """Start both brokers; the gateway is not started yet, and listens to all of its input."""
    (tmp_path / "people").mkdir()
    people = mosquitto_of(tmp_path / "people")
    people.start()
    config = settings(
        tmp_path,
        mqtt={"port": mosquitto.port},
        mqtt__output={"port": people.port, "client_id": "andon-out"},
        source=[{"topic": "#"}],
    )
    with GatewayProcess(config, port=mosquitto.port, state=tmp_path / "state") as gateway:
        yield Zones(mosquitto, people, gateway)
    people.overheard.stop()
    people.stop()
    people.overheard.check()


def system(heard: Subscriber, name: str, *, active: int) -> list[Any]:
    """What the alert topic of the gateway said about a fault."""
    told = [m.body for m in heard.of("alert") if m.topic.endswith("/_gateway/system")]
    return [one for one in told if one["name"] == name and one["active"] == active]


def of_the_gateway(broker: Mosquitto) -> list[str]:
    """Topics that it has published on a broker."""
    return [topic for client, topic in broker.overheard.published() if client.startswith("andon")]


def links(health: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    """What a report says of each connection, by name."""
    return {one["broker"]: one for one in health["links"]}


def test_nothing_is_published_on_the_input_and_no_command_taken_from_it(
    zones: Zones, tmp_path: Path
) -> None:
    """Not even a last will when it is killed; values count from the input alone."""
    ack = f"{ROOT}/cmd/ann/ack"
    now_ms = time.time_ns() // 1_000_000
    body = msgspec.json.encode({"ts": now_ms, "alert_id": "nobody"})
    with (
        Subscriber(zones.people.port, tmp_path / "people.heard", "andon/#") as people,
        Subscriber(zones.machines.port, tmp_path / "machines.heard", "#") as machines,
    ):
        zones.gateway.start()
        online(people, zones.gateway)
        zones.values(zones.machines, *["plant/r1"] * 5)
        zones.values(zones.people, *["plant/r1"] * 5)
        publish(zones.machines.port, [(ack, body)])
        publish(zones.people.port, [(ack, body)])
        health = newest_health(
            people,
            lambda h: links(h)["input"]["misplaced"] and links(h)["output"]["received"],
            what="both commands",
        )
        wait_until(lambda: people.of("cmd_result"), what="the answer")
        assert len(people.of("cmd_result")) == 1, "the command on the input was taken"
        assert links(health)["input"]["received"] >= 6
        assert links(health)["output"]["received"] == 1
        assert links(health)["input"]["connected"] == links(health)["output"]["connected"] == 1
        assert health["drops"]["misplaced"] >= 1
        zones.gateway.kill()
        wait_until(lambda: not people.of("status")[-1].body["online"], what="the last will")
        ours = {m.topic for m in machines.all() if m.topic.startswith("andon/")}
        assert ours <= {ack, "andon/probe/probe"}
    assert not of_the_gateway(zones.machines)
    assert of_the_gateway(zones.people)
    log = zones.machines.overheard.log.read_text(encoding="utf-8", errors="replace")
    assert "Will message specified" not in log


def test_the_loss_of_either_broker_is_told_by_name(zones: Zones, tmp_path: Path) -> None:
    """Of the input as an alert over the output; what was decided without the output comes later."""
    with Subscriber(zones.people.port, tmp_path / "people.heard", "andon/#") as people:
        zones.gateway.start()
        online(people, zones.gateway)
        zones.machines.stop()
        wait_until(
            lambda: system(people, "input_broker_lost", active=1), seconds_max=40, what="the alert"
        )
        (told,) = system(people, "input_broker_lost", active=1)
        assert f":{zones.machines.port}" in told["message"]
        health = newest_health(people, lambda h: not links(h)["input"]["connected"], what="health")
        assert links(health)["input"]["cause"].startswith("nothing listens")
        zones.machines.start()
        wait_until(
            lambda: system(people, "input_broker_lost", active=0), seconds_max=60, what="its end"
        )
        zones.people.stop()
        wait_until(
            lambda: zones.gateway.said("disconnected") >= 2, seconds_max=20, what="its absence"
        )
        zones.values(zones.machines, *["plant/r1"] * 3)
        zones.people.start()
        online(people, zones.gateway, times=2)
        newest_health(
            people, lambda h: links(h)["input"]["received"] >= 3, what="what came meanwhile"
        )
        assert zones.gateway.stop() == 0
    for words in ("broker=input", "broker=output"):
        assert zones.gateway.said(words)


@pytest.mark.parametrize("which", ["input", "output"])
def test_a_broker_that_cannot_be_verified_is_told_by_name(
    zones: Zones, tmp_path: Path, which: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the log, by `andon check`, and of the input in an alert: with what to do."""
    own, foreign = Authority(tmp_path / "own"), Authority(tmp_path / "foreign", "foreign")
    server, port = own.issue("server"), free_port()
    broker = zones.machines if which == "input" else zones.people
    broker.overheard.reached_by(port)
    broker.stop()
    lines = [f"cafile {own.file}", f"certfile {server.cert}", f"keyfile {server.key}"]
    broker.start(more="\n".join([f"listener {port} 127.0.0.1", *lines]))
    section = "ANDON__MQTT" if which == "input" else "ANDON__MQTT__OUTPUT"
    changed = {f"{section}__PORT": str(port), f"{section}__TLS_CA_FILE": str(foreign.file)}
    with monkeypatch.context() as patch:
        for name, value in changed.items():
            patch.setenv(name, value)
        out = io.StringIO()
        assert check_file(tmp_path / "gateway.toml", console=Console(file=out, width=500)) == 1
    (line,) = [line for line in out.getvalue().splitlines() if "FAULT" in line]
    assert f"{which} broker" in line
    assert "not in tls_ca_file" in line
    with (
        GatewayProcess(
            tmp_path / "gateway.toml",
            state=tmp_path / "other",
            port=zones.machines.port,
            **changed,
        ) as gateway,
        Subscriber(zones.people.port, tmp_path / "people.heard", "andon/#") as people,
    ):
        gateway.start()
        wait_until(lambda: gateway.said("not in tls_ca_file"), seconds_max=60, what="the log")
        if which == "input":
            name = "input_broker_refuses"
            wait_until(lambda: system(people, name, active=1), what="the alert")
            message = system(people, name, active=1)[0]["message"]
            assert f":{port}: " in message
            assert "not in tls_ca_file" in message
