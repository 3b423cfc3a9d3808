"""Sequence numbers of Sparkplug B: what is missing is found, doubted, and asked for if we may."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np
import pytest

from edge.records import MessageReceived, Publish, TickDue
from edge.samples.sparkplug_nodes import Nodes
from edge.settings import Source
from edge.state import EngineState
from edge.storage.checkpoint import pack, unpack
from edge.wire.sparkplug import LONG
from edge.wire.sparkplug_writing import encode_birth, encode_data, encode_metric, encode_payload
from tests.edge.rig import CHANNELS, START, S, normal
from tests.edge.tahu import payload_type
from tests.edge.test_sparkplug_engine import DEVICES, T0_MS, engine_of, message

if TYPE_CHECKING:
    from edge.records import Stimulus

ASKS: Final = msgspec.structs.replace(DEVICES, rebirth=True)
STEP_MS: Final = 1_000


class Node:
    """A node with two devices, which counts its messages as it should."""

    def __init__(self) -> None:
        self.seq, self.t_ms = 0, T0_MS

    def _sent(self, kind: str, asset: str, payload: bytes) -> MessageReceived:
        self.seq = (self.seq + 1) % 256
        return message(kind, payload, asset=asset, t_ms=self.t_ms)

    def node_birth(self) -> MessageReceived:
        """It counts from 0 on."""
        self.seq = 0
        session = encode_metric(name="bdSeq", field=LONG, value=3.0)
        return self._sent("NBIRTH", "", encode_payload([session], seq=0))

    def births(self) -> list[MessageReceived]:
        """Of itself and of its devices."""
        return [self.node_birth(), self.birth("r1"), self.birth("r11")]

    def birth(self, asset: str) -> MessageReceived:
        """Of one device."""
        return self._sent("DBIRTH", asset, encode_birth(CHANNELS, t_ms=self.t_ms, seq=self.seq))

    def data(self, asset: str, row: int = 0) -> MessageReceived:
        """A row of one device, by alias; of the node itself without values."""
        if not asset:
            return self._sent("NDATA", "", encode_payload([], t_ms=self.t_ms, seq=self.seq))
        values = normal(asset)[row].tolist()
        return self._sent("DDATA", asset, encode_data(values, t_ms=self.t_ms, seq=self.seq))


@pytest.mark.parametrize("seed", range(8))
def test_every_run_of_lost_messages_is_one_gap_and_nothing_else_is(seed: int) -> None:
    """Whoever sends, over the end of the count, quickly or not; a run of 256 cannot be seen."""
    chance = np.random.default_rng(seed)
    engine, node, gaps, lost = engine_of(), Node(), 0, False
    engine.handle_group(node.births(), now_ns=START)
    for i in range(900):
        node.t_ms += 20
        who = str(chance.choice(["r1", "r11", ""]))
        one = node.data(who, i % 200)
        if chance.random() < 0.02:
            lost = True
            continue
        gaps, lost = gaps + lost, False
        engine.handle_group([one, TickDue()], now_ns=node.t_ms * 10**6)
    assert engine.counts().get("sparkplug_gaps", 0) == gaps > 0
    assert engine.state.nodes["g/n"].gaps == gaps


def test_a_part_of_a_node_is_not_counted() -> None:
    """Who listens to one device alone hears gaps in a count that has none."""
    alone = Source(topic="spBv1.0/g/+/n/r1", asset="r1", format="sparkplug")
    engine, node = engine_of(alone), Node()
    for _ in range(9):
        engine.handle(node.birth("r1"), now_ns=START)
        node.data("r11")
    assert "sparkplug_gaps" not in engine.counts()
    assert not engine.state.nodes


def test_what_is_told_again_takes_no_number() -> None:
    """A retained birth of a node, and what the broker delivers twice."""
    engine, node = engine_of(), Node()
    births = node.births()
    engine.handle_group(births, now_ns=START)
    for i in range(5):
        one = node.data("r1", i)
        again = msgspec.structs.replace(one, dup=True)
        retained = msgspec.structs.replace(births[0], retain=True)
        engine.handle_group([one, again, retained], now_ns=START)
    assert "sparkplug_gaps" not in engine.counts()
    assert not engine.state.assets["r1"].doubted_ns


def test_a_gap_puts_aliases_in_doubt_until_each_device_is_born_again() -> None:
    """The first missing message may have been the birth of any of them."""
    engine, node = engine_of(), Node()
    engine.handle_group(node.births(), now_ns=START)
    node.data("r1")  # is lost
    engine.handle(node.data("r1"), now_ns=START + 5 * S)
    states = engine.state.assets
    assert [one.doubted_ns > 0 for one in states.values()] == [True, True]
    engine.handle(node.birth("r11"), now_ns=START + 6 * S)
    assert [one.doubted_ns > 0 for one in states.values()] == [True, False]
    engine.handle_group(node.births(), now_ns=START + 7 * S)
    assert not any(one.doubted_ns for one in states.values())


def test_a_node_that_counts_wrongly_is_told_once_a_second_and_after_each_birth() -> None:
    """Some have a count for each device: every message is a gap, and none costs a look at all."""
    engine, node = engine_of(), Node()
    engine.handle_group(node.births(), now_ns=START)
    doubted = []
    for i in range(40):  # every 100 ms, each behind a message that is lost
        node.t_ms = T0_MS + 100 * (i + 1)
        node.data("r11")
        engine.handle(node.data("r1", i), now_ns=START + S)
        doubted.append(engine.state.assets["r11"].doubted_ns)
    assert engine.counts()["sparkplug_gaps"] == 40
    assert all(doubted)
    engine.handle(node.birth("r11"), now_ns=START + S)
    assert not engine.state.assets["r11"].doubted_ns
    node.data("r1")  # is lost, 0 ms behind the birth
    engine.handle(node.data("r1"), now_ns=START + S)
    assert engine.state.assets["r11"].doubted_ns


@pytest.mark.parametrize(("after_ns", "told"), [(0, False), (S, False), (S + 1, True), (-1, True)])
def test_a_gap_right_behind_another_is_only_counted(after_ns: int, *, told: bool) -> None:
    """Also where the box's clock was set back between them."""
    heard, counts = Source(topic="spBv1.0/g/+/n/#", format="sparkplug"), dict[str, int]()
    nodes = Nodes({}, counts, sources=[heard])
    nodes.begins("g/n", 0)
    assert nodes.misses("g/n", 9, now_ns=START)
    assert nodes.misses("g/n", 99, now_ns=START + after_ns) is told
    assert counts["sparkplug_gaps"] == 2


def test_a_gap_over_a_restart_is_found() -> None:
    """What is missing was sent while the gateway stood."""
    before, node = engine_of(), Node()
    before.handle_group([*node.births(), node.data("r1")], now_ns=START)
    after = engine_of(state=unpack(pack(before.state), EngineState))
    after.handle(node.data("r1"), now_ns=START + S)
    assert "sparkplug_gaps" not in after.counts()
    node.data("r11")
    after.handle(node.data("r1"), now_ns=START + 2 * S)
    assert after.counts()["sparkplug_gaps"] == 1
    assert after.state.assets["r1"].doubted_ns


@pytest.mark.parametrize("kind", ["DDEATH", "NDEATH"])
def test_a_death_is_a_comms_gap_at_once_and_a_birth_ends_it(kind: str) -> None:
    """Nobody waits for the silence to be long; the alert says what was said."""
    engine, node = engine_of(), Node()
    engine.handle_group(node.births(), now_ns=START)
    for i in range(20):
        node.t_ms += STEP_MS
        data: list[Stimulus] = [node.data("r1", i), node.data("r11", i), TickDue()]
        engine.handle_group(data, now_ns=node.t_ms * 10**6)
    dead = encode_payload([], seq=node.seq) if kind == "DDEATH" else b""
    node.seq += kind == "DDEATH"
    node.t_ms += STEP_MS
    told = engine.handle_group([message(kind, dead), TickDue()], now_ns=node.t_ms * 10**6)
    alerts = _alerts(told)
    assert alerts["andon/s/alert/r1/comms"]["state"] == "ACTIVE_UNACK"
    assert "said that it is gone" in str(alerts["andon/s/alert/r1/comms"]["message"])
    assert ("andon/s/alert/r11/comms" in alerts) == (kind == "NDEATH")
    node.t_ms += STEP_MS
    again: list[Stimulus] = [*node.births(), node.data("r1", 30), node.data("r11", 30), TickDue()]
    told = engine.handle_group(again, now_ns=node.t_ms * 10**6)
    assert _alerts(told)["andon/s/alert/r1/comms"]["state"] == "CLEARED_UNACK"
    assert "sparkplug_gaps" not in engine.counts()


def test_of_a_nodes_devices_one_may_die() -> None:
    """Where the node is the asset, it speaks on through the others."""
    engine = engine_of(Source(topic="spBv1.0/g/+/{asset}/#", format="sparkplug"))
    births = [("NBIRTH", "r1"), ("DBIRTH", "r1/one"), ("DBIRTH", "r1/two")]
    for seq, (kind, path) in enumerate(births):
        payload = encode_birth(CHANNELS[seq : seq + 1], t_ms=T0_MS, seq=seq)
        engine.handle(_at(f"spBv1.0/g/{kind}/{path}", payload), now_ns=START)
    engine.handle(_at("spBv1.0/g/DDEATH/r1/one", encode_payload([], seq=3)), now_ns=START)
    assert not engine.state.assets["r1"].dead_ns
    engine.handle(_at("spBv1.0/g/NDEATH/r1", b""), now_ns=START)
    assert engine.state.assets["r1"].dead_ns


def test_who_speaks_by_name_after_its_death_lives() -> None:
    """Names need no birth."""
    engine = engine_of()
    named = encode_payload([encode_metric(name="c0", t_ms=T0_MS, value=1.0)], t_ms=T0_MS)
    engine.handle_group([message("DDATA", named), message("DDEATH", b"")], now_ns=START)
    assert engine.state.assets["r1"].dead_ns
    engine.handle(message("DDATA", named), now_ns=START)
    assert not engine.state.assets["r1"].dead_ns


def test_values_without_names_are_noted_until_their_birth() -> None:
    """So that health can say who waits."""
    engine, node = engine_of(), Node()
    engine.handle(node.data("r1"), now_ns=START + S)
    engine.handle(node.data("r1"), now_ns=START + 2 * S)
    assert engine.state.assets["r1"].nameless_ns == START + S
    engine.handle(node.birth("r1"), now_ns=START + 3 * S)
    assert not engine.state.assets["r1"].nameless_ns


def test_a_node_is_asked_for_its_births_only_where_that_was_allowed() -> None:
    """The command is what Eclipse Tahu reads as one; a node that does not answer is asked less."""
    quiet, asks, node = engine_of(), engine_of(ASKS), Node()
    asked: list[int] = []
    for second in range(7_200):
        one = node.data("r1")
        now_ns = START + second * S
        assert not _commands(quiet.handle(one, now_ns=now_ns))
        for command in _commands(asks.handle(one, now_ns=now_ns)):
            asked.append(second)
            assert (command.topic, command.qos, command.retain) == ("spBv1.0/g/NCMD/n", 0, False)
            told = payload_type().FromString(command.payload)
            assert [(m.name, m.boolean_value) for m in told.metrics] == [
                ("Node Control/Rebirth", True)
            ]
    assert asked == [0, 60, 180, 420, 900, 1860, 3780]
    now_ns = START + 7_200 * S
    asks.handle_group(node.births(), now_ns=now_ns)
    node.data("r1")
    assert len(_commands(asks.handle(node.data("r1"), now_ns=now_ns))) == 1, "it was born meanwhile"
    assert asks.counts()["sparkplug_rebirths_asked"] == len(asked) + 1


def test_counts_of_nodes_have_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """Strangers cannot fill the memory."""
    monkeypatch.setattr("edge.samples.sparkplug_nodes.SPARKPLUG_BIRTHS_MAX", 3)
    nodes = Nodes({}, {}, sources=[DEVICES, Source(topic="spBv1.0/+/+/+/#", format="sparkplug")])
    for i in range(9):
        assert not nodes.misses(f"g/n{i}", 0, now_ns=0)
        assert nodes.may_ask(f"h/n{i}", now_ns=0)
    assert len(nodes.known) == 3


def _at(topic: str, payload: bytes) -> MessageReceived:
    return MessageReceived(topic=topic, payload=payload, received_ns=START)


def _commands(effects: tuple[object, ...]) -> list[Publish]:
    return [one for one in effects if isinstance(one, Publish) and one.topic.startswith("spB")]


def _alerts(effects: tuple[object, ...]) -> dict[str, dict[str, object]]:
    said = (one for one in effects if isinstance(one, Publish) and "/alert/" in one.topic)
    return {one.topic: msgspec.json.decode(one.payload) for one in said}
