"""The knowledge base changes under a running gateway: nothing is lost, and what comes counts."""

from __future__ import annotations

import shutil
import threading
from contextlib import closing
from typing import TYPE_CHECKING, Any

import msgspec

from edge.assembly.assembly import assemble
from edge.configuration.config import load
from edge.records import SnapshotSwapped
from edge.replays.backtest import Backtest
from edge.storage.journal import read_journal
from kb.snapshots.build import build
from kb.snapshots.snapshot import VECTORS, read_manifest
from kb.snapshots.update import Updater
from tests.broker.cells import listener
from tests.broker.gateways import finished, newest_health, online, publish
from tests.broker.test_gateway_live import assert_all_scored
from tests.waiting import wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.broker.cells import Cell
    from tests.broker.conftest import Mosquitto
    from tests.broker.gateways import Subscriber


def _settings(tmp_path: Path) -> dict[str, str]:
    return {
        "ANDON__KB__SNAPSHOT": str(tmp_path / "current"),
        "ANDON__KB__SOURCE": str(tmp_path / "texts"),
    }


def _said(heard: Subscriber, sha256: str) -> None:
    wait_until(
        lambda: heard.of("status")[-1].body["snapshot"] == sha256,
        what="the new snapshot",
        seconds_max=60,
    )


def _faults(heard: Subscriber, name: str) -> list[int]:
    return [m.body["active"] for m in heard.of("alert") if m.body.get("name") == name]


def test_a_swap_under_load_loses_nothing_and_counts(
    cell: Cell, mosquitto: Mosquitto, tmp_path: Path
) -> None:
    """Without a scope table nothing is suppressed; with it, swapped in while samples stream, it is.

    The journal over the change gives the same alerts again, each part with its own snapshot.
    """
    texts, current = tmp_path / "texts", tmp_path / "current"
    shutil.copytree(cell.config.parent / "kb", texts)
    aside = {p: p.read_bytes() for p in texts.rglob("*scope*") if p.is_file()}
    assert aside
    for path in aside:
        path.unlink()
    before = build(texts, current, now_ns=cell.scenario.begin_ns)
    settings = _settings(tmp_path)
    gateway = cell.gateway(mosquitto, tmp_path / "state", **settings)
    with gateway, listener(mosquitto, tmp_path / "heard") as heard, closing(Updater(current)) as up:
        gateway.start()
        online(heard, gateway)
        assert heard.of("status")[-1].body["snapshot"] == before.sha256
        early = cell.opening // 2
        load_thread = threading.Thread(target=publish, args=(mosquitto.port, cell.messages[:early]))
        load_thread.start()
        for path, stored in aside.items():
            path.write_bytes(stored)
        update = up.update(now_ns=cell.scenario.begin_ns + 1)
        assert update is not None
        load_thread.join()
        _said(heard, update.after.sha256)
        publish(mosquitto.port, cell.messages[early:])
        finished(heard, cell.end_ns)
        assert heard.of("health")[-1].body["snapshot"] == update.after.sha256
        assert heard.of("suppressed"), "the scope table that came later lets jobs suppress"
        assert gateway.stop() == 0
    decided = gateway.outbox()
    assembly = assemble(load(cell.config, environment=settings))
    backtest = Backtest(assembly.engine)
    entries = [(e.now_ns, e.stimulus) for e in read_journal(gateway.state / "journal")]
    swaps = [s.snapshot_sha256 for _, s in entries if isinstance(s, SnapshotSwapped)]
    assert swaps == [update.after.sha256]
    backtest.run(entries)
    again = [(m.topic, *(m.key or ("", 0)), m.payload) for m in backtest.published]
    assert again == decided
    assert not assembly.missing
    assert_all_scored(cell, gateway.state, assembly)


def test_a_damaged_snapshot_is_refused_until_it_is_mended(
    cell: Cell, mosquitto: Mosquitto, tmp_path: Path
) -> None:
    """The one in use stays, and the trouble is said while it lasts."""
    texts, current = tmp_path / "texts", tmp_path / "current"
    shutil.copytree(cell.config.parent / "kb", texts)
    before = build(texts, current, now_ns=cell.scenario.begin_ns)
    gateway = cell.gateway(mosquitto, tmp_path / "state", **_settings(tmp_path))
    with gateway, listener(mosquitto, tmp_path / "heard") as heard:
        gateway.start()
        online(heard, gateway)
        whole = (current / VECTORS).read_bytes()
        (current / VECTORS).write_bytes(whole[:-1] + b"?")
        wait_until(lambda: _faults(heard, "snapshot_refused") == [1], what="the fault")
        assert heard.of("status")[-1].body["snapshot"] == before.sha256
        (current / VECTORS).write_bytes(whole)
        wait_until(lambda: _faults(heard, "snapshot_refused") == [1, 0], what="its end")
        assert gateway.stop() == 0


def _ask(heard: Subscriber, broker: Mosquitto, **body: object) -> Any:  # noqa: ANN401 - an answer
    before = len(heard.of("cmd_result"))
    publish(broker.port, [("andon/weldcell/cmd/op-7/text", msgspec.json.encode(body))])
    wait_until(lambda: len(heard.of("cmd_result")) > before, what="the answer")
    return heard.of("cmd_result")[-1].body


def _proposed(heard: Subscriber) -> list[str]:
    lists = [m.body for m in heard.of("job") if m.topic.endswith("/r1")]
    return [q for p in lists[-1]["proposals"] for q in p["quotes"]] if lists else []


def test_a_text_becomes_a_proposal_once(cell: Cell, mosquitto: Mosquitto, tmp_path: Path) -> None:
    """Answered, noted once over redelivery and a kill, searched after the background update."""
    texts, current = tmp_path / "texts", tmp_path / "current"
    shutil.copytree(cell.config.parent / "kb", texts)
    before = build(texts, current, now_ns=cell.scenario.begin_ns)
    gateway = cell.gateway(mosquitto, tmp_path / "state", **_settings(tmp_path))
    with gateway, listener(mosquitto, tmp_path / "heard") as heard:
        gateway.start()
        online(heard, gateway)
        publish(mosquitto.port, cell.messages[:20])
        now_ms = cell.messages[19].t_ns // 1_000_000
        # Commands are taken before values that wait: without a time of the plant it is too early.
        newest_health(heard, lambda h: h["plant_ms"] >= now_ms - 60_000, what="the first values")
        told = {"ts": now_ms, "asset": "r1", "text": "gas flow\u200b cal\n done, JT"}
        assert _ask(heard, mosquitto, **told)["done"]
        assert not _ask(heard, mosquitto, **told)["done"], "said again by whoever overheard it"
        assert not _ask(heard, mosquitto, **{**told, "asset": "r99"})["done"]
        assert not _ask(heard, mosquitto, **{**told, "text": "\u200b \n"})["done"]
        assert not _ask(heard, mosquitto, **{**told, "kind": "order"})["done"]
        gateway.kill()
        gateway.start()
        online(heard, gateway, times=2)
        wait_until(
            lambda: read_manifest(current).sha256 != before.sha256,
            what="the update",
            seconds_max=90,
        )
        _said(heard, read_manifest(current).sha256)
        publish(mosquitto.port, cell.messages[20:40])
        wait_until(
            lambda: any("gas flow cal done, JT, op-7" in said for said in _proposed(heard)),
            what="the proposal",
        )
        assert gateway.stop() == 0
    (day,) = (texts / "inbox").iterdir()
    (line,) = day.read_text(encoding="utf-8").splitlines()
    assert line.endswith("Z r1 gas flow cal done, JT, op-7")
