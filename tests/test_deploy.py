"""What is shipped for systemd can be read by it, and locks the gateway in."""

from __future__ import annotations

import configparser
import re
import shutil
import subprocess
from pathlib import Path
from typing import Final

import pytest

from andon.commands import COMMANDS
from edge.brokers.mqtt import BREAK_S_MAX, GOODBYE_S_MAX
from edge.configuration.sections import MqttConfig
from edge.gateway.app import DELIVER_S_MAX, DRAIN_S_MAX
from edge.knowledge.retrieve import STOP_S_MAX
from kb.snapshots.snapshot import FILE_BYTES_MAX

DEPLOY: Final = Path(__file__).resolve().parent.parent / "deploy"
UNIT: Final = DEPLOY / "andon.service"
PAGE: Final = DEPLOY / "andon-page.service"
EXPOSURE_BELOW: Final = 1.5  # of 10
GATEWAY_BYTES: Final = 512 << 20  # 320 MB in a soak (docs/reliability.md), and some room


def unit(path: Path = UNIT) -> configparser.ConfigParser:
    """A unit as systemd reads it; of keys that come several times the last."""
    parser = configparser.ConfigParser(strict=False, interpolation=None, delimiters=("=",))
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(path.read_text(encoding="utf-8"))
    return parser


def seconds(said: str) -> float:
    """A time of systemd in seconds."""
    found = re.fullmatch(r"(\d+)(s|min)", said)
    assert found is not None, said
    return float(found[1]) * (60 if found[2] == "min" else 1)


def test_it_has_the_sections_and_is_fed_by_the_gateway() -> None:
    """Notified, watched, restarted; the watchdog is patient enough for an answered ping."""
    service = unit()["Service"]
    assert set(unit().sections()) == {"Unit", "Service", "Install"}
    assert service["Type"] == "notify"
    assert service["Restart"] == "always"
    assert unit()["Unit"]["StartLimitIntervalSec"] == "0"
    assert seconds(service["WatchdogSec"]) > 2 * MqttConfig().keepalive_s
    stop_s = DRAIN_S_MAX + DELIVER_S_MAX + GOODBYE_S_MAX + BREAK_S_MAX + STOP_S_MAX
    assert stop_s < 5.0 < seconds(service["TimeoutStopSec"])
    assert service["MemoryDenyWriteExecute"] == service["NoNewPrivileges"] == "yes"
    assert service["IPAddressDeny"] == "any"


def test_the_gateway_may_ask_whether_anybody_keeps_the_clock() -> None:
    """Asked, not set: the filter allows the call, and there is no capability to set it with."""
    service = unit()["Service"]
    assert {"adjtimex", "clock_adjtime"} <= set(service["SystemCallFilter"].split())
    assert "ProtectClock" not in service, "it would take the call away again"
    assert service["CapabilityBoundingSet"] == ""


def test_a_snapshot_fits_beside_the_one_before_while_it_is_opened() -> None:
    """Its bytes, SQLite's copy and the old one, and what a gateway needs besides."""
    memory = re.fullmatch(r"(\d+)M", unit()["Service"]["MemoryMax"])
    assert memory is not None
    assert int(memory[1]) << 20 >= 3 * FILE_BYTES_MAX + GATEWAY_BYTES


def test_the_page_changes_nothing_of_what_the_gateway_keeps() -> None:
    """The gateway's user, since its files are closed to others; its directory only to be read."""
    page, gateway = unit(PAGE)["Service"], unit()["Service"]
    assert page["User"] == gateway["User"]
    state = gateway["StateDirectory"]
    its, own = page["StateDirectory"].split()
    closed = page["ReadOnlyPaths"].split()
    assert its == state
    users = (DEPLOY.parent / "docs" / "operator-page.md").read_text("utf-8")
    assert f'users_file = "/var/lib/{own}/' in users, "root's own would be closed to the page"
    assert not any(Path(f"/var/lib/{own}").is_relative_to(path) for path in closed)
    assert {f"/var/lib/{state}", f"/var/lib/private/{state}"} <= set(closed)
    assert page["ProtectSystem"] == "strict"
    assert "ReadWritePaths" not in page


@pytest.mark.parametrize("path", [UNIT, PAGE], ids=lambda path: path.stem)
def test_a_unit_calls_a_command_that_there_is(path: Path) -> None:
    """`ExecStart` is the path of an installation, a command and its configuration."""
    program, command, file = unit(path)["Service"]["ExecStart"].split()
    assert Path(program).name == "andon"
    assert command in COMMANDS
    assert file == "/etc/andon/gateway.toml"


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")
@pytest.mark.parametrize("path", [UNIT, PAGE], ids=lambda path: path.stem)
def test_systemd_finds_little_exposed(path: Path) -> None:
    """`systemd-analyze security`, without root and without installing it."""
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--no-pager", str(path)],
        capture_output=True,
        text=True,
        check=False,
    )
    if "offline" in done.stderr:
        pytest.skip("needs a systemd-analyze that knows --offline")
    assert "Unknown" not in done.stderr, done.stderr
    found = re.search(rf"Overall exposure level for {path.name}: ([\d.]+)", done.stdout)
    assert found is not None, done.stdout + done.stderr
    assert float(found[1]) < EXPOSURE_BELOW
