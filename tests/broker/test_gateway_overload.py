"""A gateway that gets more than it can take, over a real broker: it is slow on purpose."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import msgspec
from typer.testing import CliRunner

import andon
from benchmarks.overload import NAMES, Site, run_phase
from edge.storage.dead_letters import read_letters
from tests.broker.cells import listener
from tests.broker.gateways import newest_health, online, publish
from tests.broker.overheard import gateway_starts

if TYPE_CHECKING:
    from pathlib import Path

    from tests.broker.cells import Cell
    from tests.broker.conftest import Mosquitto

DELAY_US = 30_000  # so that 33 messages a second are all that it can take
ANSWER_MS_MAX = 20_000.0  # of a machine on which much else runs; a stale command is 300 s old


def test_twice_as_much_as_it_can_take(mosquitto: Mosquitto, tmp_path: Path) -> None:
    """Every message is accounted for, critical assets lose none, commands and alerts get through.

    It is told, and over by itself; and no asset is called silent for what the gateway gave up.
    """
    site = Site(tmp_path, mosquitto.port)
    gateway_starts(site.config("twice"), os.environ)
    phase = run_phase(site, per_s=60, seconds=12.0, name="twice", delay_us=DELAY_US)
    assert phase.sent == phase.taken + phase.shed + phase.refused == 720
    assert phase.refused == 0
    assert phase.shed == sum(phase.shed_by.values()) > 0
    assert phase.shed_by.get("CRITICAL", 0) == 0
    lost = [phase.shed_by.get(name, 0) for name in NAMES]
    few = 10  # of the first seconds, before anybody knows that it is too much
    assert lost[0] + few >= lost[1], "what counts least gives most"
    assert lost[1] + few >= lost[2] > lost[3] - few
    assert phase.commands_unanswered == 0
    assert max(phase.command_ms) < ANSWER_MS_MAX
    assert phase.alerts_missing == 0
    assert max(phase.alert_ms) < ANSWER_MS_MAX
    assert phase.comms_alerts == 0
    assert phase.told[0][0] == 1
    assert phase.told[-1][0] == 0
    assert f"{phase.shed} messages given up by their importance" in phase.told[-1][1]


def test_poison_stops_nobody_and_is_kept(cell: Cell, mosquitto: Mosquitto, tmp_path: Path) -> None:
    """A topic of rubbish is set aside and named; its neighbours are read, and a file shows it."""
    gateway = cell.gateway(mosquitto, tmp_path / "state")
    sent = [("plant/r9", b"[" * 5_000)] * 5
    with gateway, listener(mosquitto, tmp_path / "heard") as heard:
        gateway.start()
        online(heard, gateway)
        good = cell.messages[:40]
        for message in good:
            publish(mosquitto.port, [message, *sent])

        def all_taken(health: Any) -> bool:  # noqa: ANN401 - a report of health
            counts = health["counts"]
            return bool(counts.get("invalid_not_json", 0) + counts.get("set_aside", 0) == 200)

        health = newest_health(heard, all_taken, what="all of the rubbish")
        assert health["overload"]["set_aside"] == {"plant/r9": "not_json"}
        taken = [m for m in good if not m.topic.endswith("/_clock")]
        newest_health(heard, lambda h: h["counts"]["messages"] == len(taken), what="the others")
        system = [m.body for m in heard.of("alert") if m.topic.endswith("/_gateway/system")]
        assert any("plant/r9" in body["message"] for body in system if body["active"])
        assert gateway.stop() == 0
    folder = tmp_path / "state" / "dead_letters"
    assert 20 <= len(list(read_letters(folder, topic="plant/r9"))) < 200
    shown = CliRunner().invoke(andon.app, ["dead-letters", str(folder), "--json", "--limit", "1"])
    assert msgspec.json.decode(shown.output)["size_bytes"] == 5_000
