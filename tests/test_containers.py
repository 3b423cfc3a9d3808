"""What is shipped for containers locks them in, and fits the commands and files that there are."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from typer.testing import CliRunner

import andon
from andon.commands import COMMANDS
from edge.configuration.config import load
from tests.test_deploy import DEPLOY, PAGE, UNIT, seconds, unit

FOLDER: Final = DEPLOY / "container"
IMAGE: Final = "andon:${ANDON_VERSION:-latest}"
COMPOSE: Final[dict[str, Any]] = yaml.safe_load((FOLDER / "compose.yaml").read_text("utf-8"))
SERVICES: Final[dict[str, Any]] = COMPOSE["services"]
OURS: Final = {"gateway": UNIT, "page": PAGE}
USER: Final = "10001:10001"


def lines() -> list[tuple[str, str]]:
    """Instructions of the Containerfile and what follows each."""
    text = (FOLDER / "Containerfile").read_text(encoding="utf-8").replace("\\\n", " ")
    found = [line.split(None, 1) for line in text.splitlines() if line and line[0] != "#"]
    return [(head, rest) for head, rest in found]


def last(name: str) -> str:
    """The instruction of a name that counts in the end."""
    return next(rest for head, rest in reversed(lines()) if head == name)


def mounts(service: dict[str, Any]) -> dict[str, tuple[str, bool]]:
    """By place within: what is mounted there, and whether it may be written."""
    found = {}
    for volume in service["volumes"]:
        source, place, *options = volume.split(":")
        found[place] = (source, options != ["ro"])
    return found


@pytest.mark.parametrize("name", SERVICES)
def test_each_service_is_locked_in(name: str) -> None:
    """Nothing to write but its own, no rights, nobody's user, bounds on all that it may take."""
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "cap_add" not in service
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["user"] == USER
    assert {"mem_limit", "cpus", "pids_limit"} <= set(service)
    open_doors = {"privileged", "network_mode", "pid", "ipc", "userns_mode", "devices", "uts"}
    assert not open_doors & set(service)
    assert all("docker.sock" not in volume for volume in service["volumes"])
    assert all("noexec" in place and "size=" in place for place in service["tmpfs"])
    assert set(service["logging"]["options"]) == {"max-size", "max-file"}


def test_ports_are_published_on_this_box_unless_somebody_says_so() -> None:
    """Broker and page; the gateway listens nowhere."""
    ports = {name: service.get("ports", []) for name, service in SERVICES.items()}
    assert ports["gateway"] == []
    for name in ("broker", "page"):
        (port,) = ports[name]
        assert re.fullmatch(r"\$\{[A-Z_]+:-127\.0\.0\.1\}:\d+:\d+", port)


def test_only_the_gateway_may_write_what_it_keeps() -> None:
    """The page reads it; of the broker only its store is writable."""
    state = load(FOLDER / "gateway.toml").journal.dir
    assert mounts(SERVICES["gateway"])[state] == ("state", True)
    assert mounts(SERVICES["page"])[state] == ("state", False)
    assert [place for place, (_, open_) in mounts(SERVICES["broker"]).items() if open_] == [
        "/mosquitto/config/store"
    ]
    for name in OURS:
        source, may_write = mounts(SERVICES[name])["/etc/andon"]
        assert (source, may_write) == ("./site/andon", False), "a folder: see the comment there"


@pytest.mark.parametrize("name", OURS)
def test_our_services_call_commands_that_there_are(name: str) -> None:
    """With options that they have, and the bounds of the units of systemd."""
    service, limits = SERVICES[name], unit(OURS[name])["Service"]
    assert service["image"] == IMAGE
    command, config, *options = service["command"]
    assert command in COMMANDS
    assert config == "/etc/andon/gateway.toml"
    told = CliRunner().invoke(andon.app, [command, "--help"], env={"COLUMNS": "200"}).output
    assert all(option in told for option in options if option.startswith("--"))
    assert service["mem_limit"].upper() == limits["MemoryMax"]
    assert service["pids_limit"] == int(limits["TasksMax"])
    stop = unit(UNIT)["Service"]["TimeoutStopSec"]
    assert seconds(service["stop_grace_period"]) == seconds(stop)
    test = service.get("healthcheck", {}).get("test", ["CMD", "andon", "doctor"])
    assert test[:2] == ["CMD", "andon"]
    assert test[2] in COMMANDS


def test_the_image_is_built_of_a_wheelhouse_and_is_nobody() -> None:
    """No index, no shell around it; its state belongs to who it is."""
    copied = [rest for head, rest in lines() if head == "COPY"]
    assert copied == [". /wheelhouse", "--from=build /opt/andon /opt/andon"]
    runs = [rest for head, rest in lines() if head == "RUN"]
    assert runs[0] == "sh /wheelhouse/install.sh /opt/andon"
    assert (DEPLOY / "wheelhouse" / "install.sh").is_file()
    assert not any(word in run for run in runs for word in ("pip ", "curl", "wget", "apt"))
    assert last("USER") == USER
    user, group = USER.split(":")
    state = load(FOLDER / "gateway.toml").journal.dir
    assert f"install -d -o {user} -g {group} -m 0700 {state}" in runs
    assert last("VOLUME") == state
    assert last("ENTRYPOINT") == '["andon"]'
    assert last("CMD") == '["run", "/etc/andon/gateway.toml"]'
    assert [head for head, _ in lines()].count("FROM") == 2


def test_the_configuration_fits_the_services() -> None:
    """Broker, port, users and secrets are where the services have them."""
    config = load(FOLDER / "gateway.toml")
    assert config.mqtt.host in SERVICES
    (port,) = SERVICES[config.mqtt.host]["ports"]
    assert port.endswith(f":{config.mqtt.port}:{config.mqtt.port}")
    named = {"gateway": config.mqtt.password_file, "page": config.page.broker_password_file}
    for name, file in named.items():
        (secret,) = SERVICES[name]["secrets"]
        assert file == f"/run/secrets/{secret}"
        assert COMPOSE["secrets"][secret]["file"] == f"./site/secrets/{secret}"
    assert not Path(config.page.users_file).is_absolute(), "in the folder that both mount"
