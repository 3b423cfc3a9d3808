"""A gateway as a process on a disk that is full: it goes on, says so, and recovers by itself.

The limit of a process on the size of its files is a full disk that begins and ends while it runs,
without root: whatever would grow a file beyond it fails with EFBIG.
"""

from __future__ import annotations

import resource
from typing import TYPE_CHECKING

import pytest

from edge.records import JournalHole
from edge.storage.journal import read_journal
from tests.broker.cells import listener
from tests.broker.gateways import newest_health, online, publish
from tests.broker.test_gateway_live import keyed_heard, without_repeats

if TYPE_CHECKING:
    from pathlib import Path

    from tests.broker.cells import Cell
    from tests.broker.conftest import Mosquitto
    from tests.broker.gateways import GatewayProcess


def limit(gateway: GatewayProcess, size: int) -> None:
    """No file of the process grows beyond so many bytes; -1: as far as the disk goes."""
    assert gateway._process is not None
    try:
        resource.prlimit(gateway._process.pid, resource.RLIMIT_FSIZE, (size, -1))
    except PermissionError:
        pytest.skip("this system does not let a process limit its child")


@pytest.mark.parametrize("dies", [False, True])
def test_a_disk_that_fills_up_and_is_freed_stops_neither_detection_nor_alerts(
    cell: Cell, mosquitto: Mosquitto, tmp_path: Path, *, dies: bool
) -> None:
    """Full before the event opens; killed in it or not, no key ever has two contents."""
    with (
        cell.gateway(mosquitto, tmp_path / "state") as gateway,
        listener(mosquitto, tmp_path / "heard") as heard,
    ):
        gateway.start()
        online(heard, gateway)
        publish(mosquitto.port, cell.messages[: cell.opening - 40])
        newest_health(heard, lambda h: h["queue_depth"] == 0 and h["durable"] == 1, what="health")
        limit(gateway, 4096)
        publish(mosquitto.port, cell.messages[cell.opening - 40 : cell.opening + 200])
        full = newest_health(
            heard,
            lambda h: h["durable"] == 0 and h["queue_depth"] == 0 and bool(keyed_heard(heard)),
            what="an alert while nothing is durable",
        )
        assert "not_durable" not in full["not_durable"]
        assert full["drops"]["not_journaled"] > 0
        if dies:
            gateway.kill()
            gateway.start()
            online(heard, gateway, times=2)
        else:
            limit(gateway, -1)
        publish(mosquitto.port, cell.messages[cell.opening + 200 :])
        newest_health(
            heard,
            lambda h: (
                h["durable"] == 1
                and h["plant_ms"] >= cell.end_ns // 1_000_000
                and h["queue_depth"] == h["outbox_pending"] == 0
            ),
            what="durable operation",
        )
        assert gateway.stop() == 0
        said = without_repeats(keyed_heard(heard))
        kept = {message[:3]: message[3] for message in gateway.outbox()}
        if not dies:
            assert {message[:3]: message[3] for message in said} == kept
            holes = [
                entry.stimulus
                for entry in read_journal(gateway.state / "journal")
                if isinstance(entry.stimulus, JournalHole)
            ]
            assert len(holes) >= 1
            assert sum(hole.stimuli for hole in holes) >= full["drops"]["not_journaled"]
        last = {
            topic: (alert, revision) for topic, alert, revision, _ in said if "/alert/" in topic
        }
        for topic, key in last.items():
            assert kept.get((topic, *key)) is not None, "the last word is ours, and durable"
