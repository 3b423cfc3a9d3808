"""What plants and operators send to a running gateway: rubbish, and commands."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from edge.brokers.endpoint import Endpoint
from edge.brokers.mqtt import Publisher
from tests.broker.cells import listener
from tests.broker.gateways import newest_health, online, publish
from tests.waiting import wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.broker.cells import Cell
    from tests.broker.conftest import Mosquitto


def test_nothing_invalid_stops_it(cell: Cell, mosquitto: Mosquitto, tmp_path: Path) -> None:
    """Garbage is counted by reason on health, and the first of each kind is logged."""
    gateway = cell.gateway(mosquitto, tmp_path / "state")
    command = "andon/weldcell/cmd/op-1"
    garbage = {
        "invalid_not_json": ("plant/r1", b"\xff\x00{"),
        "invalid_wrong_shape": ("plant/r1", b"42"),
        "invalid_wrong_type": ("plant/r1", b'{"ts":1,"current":{"is":1}}'),
        "invalid_bad_time": ("plant/r1", b'{"ts":"yesterday","current":1}'),
        "invalid_no_zone": ("plant/r2", b'{"ts":"2026-03-02T06:00:00","current":1}'),
        "invalid_oversize": ("plant/r2", b"[" + b"1," * (1 << 19) + b"1]"),
        "invalid_command_invalid": (f"{command}/ack", b'{"ts":1}'),
        "invalid_unknown_command": (f"{command}/explode", b"{}"),
        "invalid_command_stale": (f"{command}/ack", b'{"ts":1,"alert_id":"a"}'),
        "invalid_command_oversize": (f"{command}/feedback", b" " * 5000),
    }
    begin_ms = cell.scenario.begin_ns // 1_000_000
    accepted = [
        ("plant/r9", b'{"ts":%d,"current":1}' % begin_ms),
        ("plant/r1", b'{"ts":%d,"nonsense":1}' % begin_ms),
        ("plant/r1", b'{"ts":%d,"recipe":"soup"}' % begin_ms),
    ]
    with gateway, listener(mosquitto, tmp_path / "heard") as heard:
        gateway.start()
        online(heard, gateway)
        publish(mosquitto.port, cell.messages[:20])
        publish(mosquitto.port, [*garbage.values(), *accepted] * 3)
        publish(mosquitto.port, cell.messages[20:40])
        health = newest_health(
            heard, lambda h: h["counts"].get("messages", 0) >= 30, what="all the messages"
        )
        counts = health["counts"]
        assert health["drops"]["not_sent"] == 0, "what a start says is heard, or said again"
        assert {name: counts.get(name) for name in garbage} == dict.fromkeys(garbage, 3)
        assert counts["unknown_asset"] == 3
        assert counts["unknown_tag"] == 3
        assert counts["text_value"] == 3
        assert gateway.running
        assert gateway.stop() == 0
    for reason, (topic, _) in garbage.items():
        name = reason.removeprefix("invalid_")
        lines = [
            line
            for line in gateway.log.read_text(encoding="utf-8").splitlines()
            if "payload_refused" in line and f"reason={name}" in line
        ]
        assert len(lines) == 1, f"{name}: {lines}"
        assert topic in lines[0]
        assert "cause=" in lines[0]


def test_operators_commands_are_answered(cell: Cell, mosquitto: Mosquitto, tmp_path: Path) -> None:
    """Ack, feedback, confirm and jobs act and are answered; a retained command is refused."""
    with (
        cell.gateway(mosquitto, tmp_path / "state") as gateway,
        listener(mosquitto, tmp_path / "heard") as heard,
    ):
        gateway.start()
        online(heard, gateway)
        publish(mosquitto.port, cell.messages[: cell.opening + 2])
        wait_until(lambda: heard.of("event"), what="an event", seconds_max=60)
        newest_health(heard, lambda h: h["queue_depth"] == 0, what="an empty queue")
        event = heard.of("event")[-1].body
        now_ms = cell.messages[cell.opening].t_ns // 1_000_000
        proposal = _proposal(cell, now_ns=now_ms * 1_000_000)

        def ask(name: str, **body: object) -> Any:  # noqa: ANN401 - an answer
            before = len(heard.of("cmd_result"))
            reason = {"reason": "as planned"} if name in ("confirm", "job") else {}
            payload = msgspec.json.encode({"ts": now_ms + before, **reason, **body})
            publish(mosquitto.port, [(f"andon/weldcell/cmd/op-7/{name}", payload)])
            wait_until(lambda: len(heard.of("cmd_result")) > before, what=f"the answer to {name}")
            answer = heard.of("cmd_result")[-1]
            assert answer.topic == "andon/weldcell/cmd_result/op-7"
            assert answer.body["command"] == name
            return answer.body

        expected = event["state"] == "ACTIVE_UNACK"
        assert ask("ack", alert_id=event["id"])["done"] is expected
        assert not ask("ack", alert_id="nobody")["done"]
        assert ask("feedback", alert_id=event["id"], label="real")["done"]
        assert ask("confirm", proposal_id=proposal)["done"]
        assert ask("confirm", proposal_id=proposal)["rule"] == "not_done", "twice"
        job = {"asset": "r1", "kind": "calibration", "instrument": "gas_flow"}
        assert ask("job", action="check_in", job_id="J-1", **job)["done"]
        assert ask("job", action="check_out", job_id="J-1")["done"]
        assert ask("job", action="check_in", job_id="J-2", **job)["done"]
        assert ask("job", action="cancel", job_id="J-2")["done"]
        assert not ask("job", action="cancel", job_id="J-3")["done"]
        listed = [m.body for m in heard.of("job") if m.topic.endswith("/r1")][-1]
        assert {"J-1", "J-2"} <= {one["job_id"] for one in listed["jobs"]}
        if expected:
            states = [m.body["state"] for m in heard.of("event") if m.body["id"] == event["id"]]
            assert "ACTIVE_ACK" in states
        before = len(heard.of("cmd_result"))
        _publish_retained(mosquitto, "andon/weldcell/cmd/op-7/job", now_ms)
        wait_until(lambda: len(heard.of("cmd_result")) > before, what="the answer, this once")
        before = len(heard.of("cmd_result"))
        assert gateway.stop() == 0
        gateway.start()
        online(heard, gateway, times=2)
        newest_health(
            heard,
            lambda h: h["counts"].get("invalid_command_retained", 0) == 1,
            what="the refusal of the retained command",
        )
        assert len(heard.of("cmd_result")) == before
        assert gateway.stop() == 0


def _proposal(cell: Cell, *, now_ns: int) -> str:
    """A proposal of the cell's texts that nobody has witnessed yet."""
    snapshot = cell.assembly().snapshot
    assert snapshot is not None
    for proposal in snapshot.proposals():
        known = proposal.recorded_at_ns <= now_ns and proposal.asset in cell.scenario.assets
        if known and not proposal.cancelled and not (proposal.approved and proposal.real_times):
            return proposal.proposal_id
    pytest.fail("the texts propose nothing; take another seed")


def _publish_retained(broker: Mosquitto, topic: str, now_ms: int) -> None:
    body = {"ts": now_ms, "action": "check_in", "asset": "r1", "kind": "calibration"}
    with Publisher(Endpoint(port=broker.port)) as publisher:
        publisher.publish(topic, msgspec.json.encode(body), retain=True)
        publisher.drain()
