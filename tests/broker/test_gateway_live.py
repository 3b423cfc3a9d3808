"""The whole gateway as a process against a real mosquitto."""

from __future__ import annotations

import os
import signal
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import msgspec
import numpy as np
import pytest

from edge.assembly import Assembly, assemble
from edge.backtest import Backtest
from edge.checkpoint import newest
from edge.config import load
from edge.journal import read_journal
from edge.mqtt import Endpoint, Publisher
from edge.records import MessageReceived, RetrievalDone, TickDue
from edge.training import fit_bundle
from kb.build import build
from models.fit import TrainingSamples
from models.store import save as save_bundle
from simulator.cells import weld
from simulator.publish import SECOND_NS, with_clock
from tests.broker.gateways import (
    GatewayProcess,
    Keyed,
    Subscriber,
    finished,
    newest_health,
    online,
    publish,
)
from tests.broker.skab_all import run_file
from tests.waiting import wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from edge.recording import TimedMessage
    from simulator.scenario import Scenario
    from tests.broker.conftest import Mosquitto

SEED: Final = 3
HOURS: Final = 2.0
KEYED: Final = ("alert", "event", "suppressed")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """A weld cell on disk, with what a replay of it sends."""

    scenario: Scenario
    config: Path
    messages: list[TimedMessage]
    opening: int  # number of the message after which the first event rings or is suppressed

    @property
    def end_ns(self) -> int:
        """When all of its samples are closed."""
        return self.scenario.truth.end_ns

    def assembly(self) -> Assembly:
        """A fresh engine with everything it needs."""
        return assemble(load(self.config, environment={}))

    def gateway(self, broker: Mosquitto, state: Path, **settings: str) -> GatewayProcess:
        """A gateway for it."""
        return GatewayProcess(self.config, port=broker.port, state=state, **settings)


@pytest.fixture(scope="module")
def cell(tmp_path_factory: pytest.TempPathFactory) -> Cell:
    """Two robots for two hours: a calibration by command, one by a plant signal, a fault in it."""
    folder = tmp_path_factory.mktemp("cell")
    scenario = weld.simulate(seed=SEED, robots=2, hours=HOURS)
    for name, text in scenario.texts.items():
        path = folder / "kb" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    normal = weld.training(seed=SEED, robots=2, hours=10.0)
    samples = [
        TrainingSamples(
            asset=asset,
            channels=normal.channels,
            values=normal.values[asset],
            period_ns=normal.period_ns,
            running=normal.running(asset),
        )
        for asset in normal.assets
    ]
    save_bundle(fit_bundle([(one, "rows") for one in samples]), folder / "bundle")
    build(folder / "kb", folder / "snapshot", now_ns=scenario.begin_ns)
    config = folder / "gateway.toml"
    config.write_text(scenario.gateway, encoding="utf-8")
    messages = list(with_clock(scenario.messages(), topic="plant/_clock", cadence_ns=5 * SECOND_NS))
    opening = _opening(assemble(load(config, environment={})), messages)
    return Cell(scenario=scenario, config=config, messages=messages, opening=opening)


def _opening(assembly: Assembly, messages: list[TimedMessage]) -> int:
    """The number of messages that it takes until something is decided, found without a broker."""
    for i, message in enumerate(messages):
        stimulus = MessageReceived(
            topic=message.topic, payload=message.payload, received_ns=message.t_ns
        )
        effects = assembly.engine.handle(stimulus, now_ns=message.t_ns)
        effects += assembly.engine.handle(TickDue(), now_ns=message.t_ns)
        if any(getattr(effect, "key", None) for effect in effects):
            return i + 1
    pytest.fail("nothing happens in this cell; take another seed")


def listener(broker: Mosquitto, file: Path) -> Subscriber:
    """Hear everything that Andon says."""
    return Subscriber(broker.port, file, "andon/#")


def replayed(cell: Cell, state: Path) -> tuple[list[Keyed], Assembly]:
    """What a fresh engine publishes over a journal, and the engine after it."""
    assembly = cell.assembly()
    backtest = Backtest(assembly.engine)
    backtest.run((entry.now_ns, entry.stimulus) for entry in read_journal(state / "journal"))
    keyed: list[Keyed] = []
    for message in backtest.published:
        assert message.key is not None
        keyed.append((message.topic, *message.key, message.payload))
    return keyed, assembly


def keyed_heard(heard: Subscriber) -> list[Keyed]:
    """What a subscriber heard of alerts, events and suppressions, repetitions included."""
    messages = [m for m in heard.all() if m.kind in KEYED and "_gateway" not in m.topic]
    return [(m.topic, m.body["id"], m.body["revision"], m.payload) for m in messages]


def without_repeats(messages: list[Keyed]) -> list[Keyed]:
    """Each (topic, id, revision) once, where it came first; two contents of one fail."""
    contents: dict[tuple[str, str, int], set[bytes]] = defaultdict(set)
    for topic, alert_id, revision, payload in messages:
        contents[topic, alert_id, revision].add(payload)
    assert all(len(found) == 1 for found in contents.values()), "one key has two contents"
    return list(dict.fromkeys(messages))


def test_skab_alerts_open_inside_the_labelled_fault(
    mosquitto: Mosquitto, data_dir: Path, tmp_path: Path
) -> None:
    """Fit, run and replay by the command line: an alert opens in the fault, with all it owes."""
    for name in ("0", "5"):
        source = data_dir / "skab" / "valve1" / f"{name}.csv"
        inside = run_file(source, tmp_path / name, port=mosquitto.port)
        assert inside, f"{source.name}: no alert inside the labelled interval"
        for event in inside:
            assert event["contributions"]
            assert event["contributions"][0]["share"] > 0
            assert event["explanation"]
            assert len(event["lineage"]["bundle_sha256"]) == 64
            assert event["lineage"]["version"]


def test_a_live_run_is_the_backtest_of_its_journal(
    cell: Cell, mosquitto: Mosquitto, tmp_path: Path
) -> None:
    """Topics, keys and payloads of every alert, event and suppression, in order, byte for byte."""
    with (
        cell.gateway(mosquitto, tmp_path / "state") as gateway,
        listener(mosquitto, tmp_path / "heard") as heard,
    ):
        gateway.start()
        online(heard, gateway)
        publish(mosquitto.port, cell.messages)
        finished(heard, cell.end_ns)
        assert gateway.stop() == 0
        wait_until(lambda: not heard.of("status")[-1].body["online"], what="the goodbye")
        expected, _ = replayed(cell, gateway.state)
        kinds = {topic.split("/")[2] for topic, *_ in expected}
        assert kinds == set(KEYED), "the cell shows too little"
        assert keyed_heard(heard) == expected
        assert gateway.outbox() == expected
    answers = [e.stimulus for e in read_journal(gateway.state / "journal")]
    cited = [a for a in answers if isinstance(a, RetrievalDone) and a.hits]
    assert cited, "no answer of the documents is in the journal"


def test_kills_lose_nothing_and_change_nothing(
    cell: Cell, mosquitto: Mosquitto, tmp_path: Path
) -> None:
    """SIGKILL in mid-event, unconfirmed, and with the broker down: the alerts are the same."""
    # Ticks far apart: between the journal and the decision there is time to stop the broker.
    settings = {"ANDON__ENGINE__TICK_MS": "1500", "ANDON__JOURNAL__CHECKPOINT_S": "1"}
    with (
        cell.gateway(mosquitto, tmp_path / "state", **settings) as gateway,
        listener(mosquitto, tmp_path / "heard") as heard,
    ):
        gateway.start()
        online(heard, gateway)
        publish(mosquitto.port, cell.messages[: cell.opening - 40])
        wait_until(lambda: list((gateway.state / "checkpoints").glob("*.checkpoint")), what="one")
        publish(mosquitto.port, cell.messages[cell.opening - 40 : cell.opening + 2])
        mosquitto.signal(signal.SIGSTOP)
        wait_until(gateway.outbox, what="the decision")
        gateway.kill()
        assert gateway.outbox(delivered=False), "a broker that hangs has confirmed nothing"
        mosquitto.signal(signal.SIGCONT)
        wait_until(lambda: not heard.of("status")[-1].body["online"], what="the last will")
        publish(mosquitto.port, cell.messages[cell.opening + 2 : cell.opening + 400])
        mosquitto.stop()
        gateway.start()  # restores without a broker
        wait_until(lambda: gateway.said("restored") == 2, what="the restoring", seconds_max=30)
        gateway.kill()
        mosquitto.start()
        gateway.start()
        online(heard, gateway, times=2)
        middle = (cell.opening + len(cell.messages)) // 2
        publish(mosquitto.port, cell.messages[cell.opening + 400 : middle])
        wait_until(lambda: keyed_heard(heard), what="the first alert")
        gateway.kill()  # whatever it was doing
        said = without_repeats(keyed_heard(heard))
        gateway.forget_deliveries()  # as if the broker's confirmations had never come
        gateway.start()
        online(heard, gateway, times=3)
        publish(mosquitto.port, cell.messages[middle:])
        finished(heard, cell.end_ns)
        assert gateway.stop() == 0
        came = keyed_heard(heard)
    decided = gateway.outbox()
    expected, assembly = replayed(cell, gateway.state)
    assert decided == expected, "a run without the kills would have decided otherwise"
    assert set(without_repeats(came)) == set(decided), "not everything reached the topic"
    assert all(came.count(message) > 1 for message in said), "unconfirmed, and not said again"
    assert_history_kept(decided)
    assert_all_scored(cell, gateway.state, assembly)


def assert_history_kept(decided: list[Keyed]) -> None:
    """The revisions of each event follow one another, and each tells all those before it."""
    for topic, _, revision, payload in decided:
        if topic.split("/")[2] == "event":
            turns = msgspec.json.decode(payload)["history"]
            assert [turn["revision"] for turn in turns] == list(range(1, revision + 1))


def assert_all_scored(cell: Cell, state: Path, assembly: Assembly) -> None:
    """Every sample that was sent was scored once, and the state is that of the journal."""
    found, troubles = newest(state / "checkpoints", fingerprint=assembly.fingerprint)
    assert found is not None
    assert not troubles
    for asset in cell.scenario.assets:
        assert found.state.ring.assets[asset].written == cell.scenario.rows
    np.testing.assert_array_equal(found.state.rows, assembly.engine.state.rows)
    assert found.state.counts == assembly.engine.state.counts
    assert found.state.align.counts == assembly.engine.state.align.counts


def test_nothing_invalid_stops_it(cell: Cell, mosquitto: Mosquitto, tmp_path: Path) -> None:
    """Garbage is counted by reason on health, and the first of each kind is logged."""
    gateway = cell.gateway(mosquitto, tmp_path / "state")
    command = "andon/weldcell/cmd/op-1"
    garbage = {
        "invalid_not_json": ("plant/r1", b"\xff\x00{"),
        "invalid_wrong_shape": ("plant/r1", b"42"),
        "invalid_wrong_type": ("plant/r1", b'{"tags":["a"],"ts":[1],"v":[["x"]]}'),
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
            payload = msgspec.json.encode({"ts": now_ms, **body})
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
        assert not ask("confirm", proposal_id=proposal)["done"], "twice"
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


def test_an_error_of_our_own_is_said_before_the_end(
    cell: Cell, mosquitto: Mosquitto, tmp_path: Path
) -> None:
    """A bug in the engine ends the process with 70, after an alert of its own and a goodbye."""
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "sitecustomize.py").write_text(
        "import sys\n"
        "if 'run' in sys.argv:\n"
        "    from edge.engine import Engine\n"
        "    def _readings(self, message, *, now_ns):\n"
        "        raise RuntimeError('a bug')\n"
        "    Engine._readings = _readings\n",
        encoding="utf-8",
    )
    paths = os.pathsep.join([str(broken), os.environ.get("PYTHONPATH", "")])
    with (
        cell.gateway(mosquitto, tmp_path / "state", PYTHONPATH=paths) as gateway,
        listener(mosquitto, tmp_path / "heard") as heard,
    ):
        gateway.start()
        online(heard, gateway)
        publish(mosquitto.port, cell.messages[:1])
        assert gateway.wait() == 70
        wait_until(lambda: not heard.of("status")[-1].body["online"], what="the goodbye")
        fault = [m.body for m in heard.of("alert") if m.topic.endswith("_gateway/system")][-1]
        assert fault["active"] == 1
        assert "a bug" in fault["message"]
        gateway.start()  # the journal has what broke it: the start fails, and says so as well
        assert gateway.wait() == 70
    with (
        cell.gateway(mosquitto, tmp_path / "state") as repaired,
        listener(mosquitto, tmp_path / "after") as heard,
    ):
        repaired.start()
        wait_until(
            lambda: [m.body["active"] for m in heard.of("alert")][-1:] == [0],
            what="the end of the fault",
            seconds_max=60,
        )
        newest_health(heard, lambda h: h["counts"].get("messages", 0) >= 1, what="the message")
        assert repaired.stop() == 0
