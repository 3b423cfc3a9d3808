"""The detector changes under a running gateway: nothing is lost, and the journal tells it again."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING

import msgspec
import pytest
from typer.testing import CliRunner

import andon
from edge.assembly.assembly import assemble
from edge.bundles.store import CURRENT, store_of
from edge.configuration.config import load
from edge.records import BundleSwapped
from edge.replays.backtest import Backtest
from edge.storage.journal import read_journal
from models.bundles.store import load as load_bundle
from models.bundles.store import save, sealed
from tests.broker.cells import listener
from tests.broker.gateways import finished, online, publish
from tests.broker.test_gateway_live import assert_all_scored
from tests.waiting import wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from models.bundles.bundle import Bundle
    from tests.broker.cells import Cell
    from tests.broker.conftest import Mosquitto
    from tests.broker.gateways import GatewayProcess, Subscriber


def _child(cell: Cell, folder: Path) -> Bundle:
    """The running bundle again, with thresholds a little higher: another hash, the same rows."""
    parent = load_bundle(cell.config.parent / "bundle")
    models = tuple(
        msgspec.structs.replace(model, threshold_on=model.threshold_on * 1.01)
        for model in parent.assets
    )
    child = sealed(replace(parent, assets=models, parent=parent.sha256))
    save(child, folder / "child")
    return child


def _model(cell: Cell, *arguments: str) -> int:
    return (
        CliRunner()
        .invoke(
            andon.app, ["model", *arguments, "--config", str(cell.config)], catch_exceptions=False
        )
        .exit_code
    )


def _scores(heard: Subscriber, sha256: str) -> None:
    wait_until(
        lambda: heard.of("status")[-1].body["bundle"] == sha256,
        what="the other bundle",
        seconds_max=60,
    )


@pytest.fixture
def gateway(
    cell: Cell, mosquitto: Mosquitto, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> GatewayProcess:
    """A gateway whose state the commands of this process see."""
    monkeypatch.setenv("ANDON__JOURNAL__DIR", str(tmp_path / "state"))
    return cell.gateway(mosquitto, tmp_path / "state")


def test_a_promotion_and_a_rollback_under_load_lose_nothing(
    cell: Cell, mosquitto: Mosquitto, tmp_path: Path, gateway: GatewayProcess
) -> None:
    """Every sample is scored once, and the journal gives the same alerts byte by byte.

    Also over a kill between the two.
    """
    child = _child(cell, tmp_path)
    first = load_bundle(cell.config.parent / "bundle").sha256
    with gateway, listener(mosquitto, tmp_path / "heard") as heard:
        gateway.start()
        online(heard, gateway)
        third = len(cell.messages) // 3
        loading = threading.Thread(target=publish, args=(mosquitto.port, cell.messages[:third]))
        loading.start()
        assert _model(cell, "promote", str(tmp_path / "child"), "--by", "ann") == 0
        loading.join()
        _scores(heard, child.sha256)
        gateway.kill()
        gateway.start()
        online(heard, gateway, times=3)
        assert heard.of("status")[-1].body["bundle"] == child.sha256
        loading = threading.Thread(
            target=publish, args=(mosquitto.port, cell.messages[third : 2 * third])
        )
        loading.start()
        assert _model(cell, "rollback", "--by", "bea", "--because", "as a test") == 0
        loading.join()
        _scores(heard, first)
        publish(mosquitto.port, cell.messages[2 * third :])
        finished(heard, cell.end_ns)
        assert gateway.stop() == 0
    decided = gateway.outbox()
    assembly = assemble(load(cell.config))
    entries = [(e.now_ns, e.stimulus) for e in read_journal(gateway.state / "journal")]
    swaps = [s for _, s in entries if isinstance(s, BundleSwapped)]
    assert [(s.bundle_sha256, s.because) for s in swaps] == [
        (child.sha256, "promoted by ann"),
        (first, "rolled back by bea: as a test"),
    ]
    backtest = Backtest(assembly.engine)
    backtest.run(entries)
    again = [(m.topic, *(m.key or ("", 0)), m.payload) for m in backtest.published]
    assert again == decided
    assert decided
    assert not assembly.missing_bundles
    assert_all_scored(cell, gateway.state, assembly)


def test_what_must_not_score_is_refused_and_said(
    cell: Cell, mosquitto: Mosquitto, tmp_path: Path, gateway: GatewayProcess
) -> None:
    """Whoever writes past the commands gets no damaged bundle into the loop."""
    child = _child(cell, tmp_path)
    with gateway, listener(mosquitto, tmp_path / "heard") as heard:
        gateway.start()
        online(heard, gateway)
        store = store_of(load(cell.config))
        place = store.keep(tmp_path / "child")
        (place / "selftest.npz").write_bytes(b"?")
        store.point(child.sha256, by="mallory", because="")

        def refused() -> bool:
            told = [m.body for m in heard.of("alert") if m.body.get("name") == "bundle_refused"]
            return bool(told) and "selftest.npz" in told[-1]["message"]

        wait_until(refused, what="the refusal")
        assert heard.of("status")[-1].body["bundle"] != child.sha256
        assert store.current()[0] != child.sha256
        assert (store.directory / CURRENT).is_file()
        assert gateway.stop() == 0
