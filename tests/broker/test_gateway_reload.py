"""A running gateway takes over a changed configuration: nothing is lost, and what is open stays."""

from __future__ import annotations

import os
import signal
import threading
from typing import TYPE_CHECKING, Final

import msgspec
import pytest
from typer.testing import CliRunner

import andon
from edge.gateway.reloading import RUNNING, Running
from edge.records import MessageReceived, Started
from edge.storage.journal import read_journal
from tests.broker.cells import listener
from tests.broker.gateways import GatewayProcess, finished, online, publish
from tests.waiting import wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.broker.cells import Cell
    from tests.broker.conftest import Mosquitto

REFUSED: Final = "configuration_refused"


@pytest.fixture
def config(cell: Cell) -> Path:
    """A copy of the cell's configuration that may be changed, beside its bundle and snapshot."""
    path = cell.config.parent / "reloaded.toml"
    path.write_text(cell.config.read_text(encoding="utf-8"), encoding="utf-8")
    return path


@pytest.fixture
def gateway(
    config: Path, mosquitto: Mosquitto, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> GatewayProcess:
    """A gateway of it, with the same variables as the commands of this process."""
    monkeypatch.setenv("ANDON__JOURNAL__DIR", str(tmp_path / "state"))
    monkeypatch.setenv("ANDON__MQTT__PORT", str(mosquitto.port))
    monkeypatch.setenv("ANDON__ENGINE__HEALTH_PUBLISH_S", "1")
    return GatewayProcess(config, port=mosquitto.port, state=tmp_path / "state")


def _running(gateway: GatewayProcess) -> Running:
    return msgspec.json.decode((gateway.state / RUNNING).read_bytes(), type=Running)


def _reload(config: Path, *options: str) -> tuple[int, str]:
    result = CliRunner().invoke(andon.app, ["reload", str(config), *options])
    return result.exit_code, f"{result.output}{result.exception or ''}"


def _with(config: Path, old: str, new: str) -> None:
    text = config.read_text(encoding="utf-8")
    assert old in text
    config.write_text(text.replace(old, new, 1), encoding="utf-8")


def test_a_reload_under_load_loses_nothing_and_open_alerts_stay(
    cell: Cell, config: Path, mosquitto: Mosquitto, tmp_path: Path, gateway: GatewayProcess
) -> None:
    """Each message of the stream is journaled once, in one process, and alerts keep their ids.

    The context tags change too, so that the state of alignment gets other columns.
    """
    with gateway, listener(mosquitto, tmp_path / "heard") as heard:
        gateway.start()
        online(heard, gateway)
        pid = _running(gateway).pid
        publish(mosquitto.port, cell.messages[: cell.opening])
        wait_until(lambda: bool(gateway.outbox()), what="the first verdict")
        ids = {key[1] for key in gateway.outbox()}
        rest = cell.messages[cell.opening :]
        loading = threading.Thread(target=publish, args=(mosquitto.port, rest))
        loading.start()
        asset = cell.scenario.assets[0]
        _with(config, "severity = 600", "severity = 701")
        recipe = '  { tag = "recipe", role = "info" },\n'
        _with(config, recipe, "")
        _with(config, "context = [\n", f"context = [\n{recipe}")
        code, said = _reload(config, "--yes")
        assert code == 0, said
        assert f"asset {asset} severity: " in said
        assert "-> 701" in said
        loading.join()
        finished(heard, cell.end_ns)
        assert _running(gateway).pid == pid
        assert heard.of("status")[-1].body["online"]
        assert gateway.stop() == 0
    entries = [entry.stimulus for entry in read_journal(gateway.state / "journal")]
    came = [(s.topic, s.payload) for s in entries if isinstance(s, MessageReceived)]
    plant = [(m.topic, m.payload) for m in cell.messages]
    assert sorted(came) == sorted(plant), "each once"
    hashes = [s.settings_sha256 for s in entries if isinstance(s, Started)]
    assert len(set(hashes)) == 2, "the journal says from where on other settings count"
    decided = gateway.outbox()
    assert ids <= {key[1] for key in decided}
    assert gateway.said("checkpoint_skipped") == 0, "the state was handed over"
    assert gateway.said("alerts_decided_anew") == 0


def test_what_cannot_be_taken_over_changes_nothing_and_rings(
    config: Path, mosquitto: Mosquitto, tmp_path: Path, gateway: GatewayProcess
) -> None:
    """A broken file, and one that needs a restart; the alert ends with a file that is well."""
    whole = config.read_text(encoding="utf-8")
    with gateway, listener(mosquitto, tmp_path / "heard") as heard:
        gateway.start()
        online(heard, gateway)
        before = _running(gateway)

        def rings(*, active: bool, times: int) -> bool:
            told = [m.body for m in heard.of("alert") if m.body.get("name") == REFUSED]
            return sum(bool(body["active"]) is active for body in told) >= times

        for times, broken in enumerate(("site = ", 'prefix = "other"\n' + whole), 1):
            config.write_text(broken, encoding="utf-8")
            code, said = _reload(config, "--yes")
            assert code != 0, said
            os.kill(before.pid, signal.SIGHUP)  # as whoever does not ask first
            wait_until(
                lambda times=times: rings(active=True, times=times),  # type: ignore[misc]
                what="the alert",
            )
        assert _running(gateway).config == before.config
        assert "prefix" in _running(gateway).refused
        config.write_text(whole, encoding="utf-8")
        assert _reload(config, "--dry-run") == (0, "nothing changes\n")
        os.kill(before.pid, signal.SIGHUP)
        wait_until(lambda: rings(active=False, times=1), what="the end of the alert")
        other = config.with_name("elsewhere.toml")
        other.write_text(whole.replace("severity = 600", "severity = 702"), encoding="utf-8")
        code, said = _reload(other, "--yes")
        assert code == 1, said
        assert "-> 702" in said
        assert "the gateway reads another file" in said
        assert _running(gateway).config == before.config
        assert gateway.stop() == 0
