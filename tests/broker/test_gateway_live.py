"""The whole gateway as a process against a real mosquitto."""

from __future__ import annotations

import os
import signal
from collections import defaultdict
from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np

from edge.records import RetrievalDone
from edge.replays.backtest import Backtest
from edge.storage.checkpoint import newest
from edge.storage.journal import read_journal
from edge.wire.topics import whose
from tests.broker.cells import listener
from tests.broker.gateways import Keyed, Subscriber, finished, newest_health, online, publish
from tests.broker.skab_all import run_file
from tests.waiting import wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from edge.assembly.assembly import Assembly
    from tests.broker.cells import Cell
    from tests.broker.conftest import Mosquitto

KEYED: Final = ("alert", "event", "suppressed")


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


def by_asset(messages: list[Keyed]) -> dict[str, list[Keyed]]:
    """The messages of each asset in their order, over all its topics: assets do not wait."""
    found: dict[str, list[Keyed]] = defaultdict(list)
    for message in messages:
        found[whose(message[0])].append(message)
    return dict(found)


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
    for name in ("0", "8"):
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
        assert by_asset(keyed_heard(heard)) == by_asset(expected)
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
        wait_until(lambda: gateway.said("restored") == 2, what="the restoring", seconds_max=120)
        gateway.kill()
        mosquitto.start()
        gateway.start()
        online(heard, gateway, times=2)
        middle = (cell.opening + len(cell.messages)) // 2
        publish(mosquitto.port, cell.messages[cell.opening + 400 : middle])
        wait_until(lambda: unproven(keyed_heard(heard)), what="the first alert and its event")
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
    doubtful = unproven(said)
    assert doubtful, "the last word was confirmed by more than the broker's retained one"
    assert all(came.count(message) > 1 for message in doubtful), "unconfirmed, and not said again"
    assert_history_kept(decided)
    assert_all_scored(cell, gateway.state, assembly)


def unproven(said: list[Keyed]) -> list[Keyed]:
    """What a broker may not have taken, as far as its retained words tell a process that asks.

    The messages of an asset leave in their order, each when the one before is confirmed.
    """
    retained = {m[0]: m for m in said if m[0].split("/")[2] == "alert"}
    proven = {(alert_id, revision): topic for topic, alert_id, revision, _ in retained.values()}
    newest: dict[str, int] = dict(iter(proven))
    return [m for m in said if m[2] >= newest.get(m[1], 0) and proven.get((m[1], m[2])) != m[0]]


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


def test_an_error_of_our_own_is_said_before_the_end(
    cell: Cell, mosquitto: Mosquitto, tmp_path: Path
) -> None:
    """A bug in the engine ends the process with 70, after an alert of its own and a goodbye."""
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "sitecustomize.py").write_text(
        "import sys\n"
        "if 'run' in sys.argv:\n"
        "    from edge.samples.arrivals import Arrivals\n"
        "    def take(self, message, *, now_ns):\n"
        "        raise RuntimeError('a bug')\n"
        "    Arrivals.take = take\n",
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
