"""Faults of the shell: told once when they begin, and the topic never reads well while one is on.

The alert topic of the gateway is retained and holds one fault: what was told last is what it says.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Final

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from paho.mqtt.client import MQTTMessage
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.reasoncodes import ReasonCode

from edge.audit.chain import audit_files
from edge.audit.trail import AuditTrail
from edge.brokers.endpoint import Endpoint
from edge.brokers.link import Link
from edge.brokers.transport import Will
from edge.errors import JournalError
from edge.gateway.faults import Faults
from edge.records import Audited, Publish, ShellFault
from edge.storage.outbox import Outbox
from edge.storage.patience import NoPatience
from edge.storage.standby import StandbyOutbox
from models.bundles.assemble import make_bundle
from models.bundles.store import save
from tests.edge.test_app import SYSTEM, Killed, Steps, World
from tests.models.plants import fitted

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NAMES: Final = ("a", "b", "c")


@given(st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from(("", "d1", "d2"))), max_size=30))
def test_the_topic_reads_well_exactly_when_nothing_is_wrong(
    judged: list[tuple[str, str]],
) -> None:
    """The last word is an active fault with its newest detail, or that the last one is over."""
    faults = Faults()
    wrong: dict[str, str] = {}
    for name, detail in judged:
        told = faults.judge(name, detail)
        ends = not detail and name in wrong
        begins = detail and name not in wrong
        if detail:
            wrong[name] = detail
        else:
            wrong.pop(name, None)
        assert bool(told) == (begins or ends), "only a beginning and an end are told"
        assert set(faults.active) == set(wrong)
        for fault in told:
            assert fault.active is (fault.name in wrong)
            assert not fault.active or fault.detail == wrong[fault.name]
        if told:
            assert told[-1].active is bool(wrong), "the last word is what the topic says"
        if ends:
            assert {fault.name for fault in told} == {name, *wrong}
            assert len(told) == 1 + len(wrong)
        if begins:
            assert told == [ShellFault(name=name, detail=detail)]


class Shell:
    """A real link that nobody has started and a real outbox, with faults that look at both."""

    def __init__(self, folder: Path) -> None:
        self.link = Link(
            Endpoint(client_id="andon"),
            filters=["plant/#", "andon/s/cmd/+/+"],
            queue_messages_max=1,
            will=Will(topic="status", payload=b"gone"),
            on_connected=lambda: None,
            wake=threading.Event(),
        )
        self.outbox = StandbyOutbox(lambda: Outbox(folder / "outbox.sqlite"), patience=NoPatience())
        self.checkpoint = ""
        self.faults = Faults()

    def look(self) -> list[tuple[str, bool]]:
        """What a look tells, in short."""
        told = self.faults.look(self.link, self.outbox, checkpoint=self.checkpoint)
        return [(fault.name, fault.active) for fault in told]

    def detail(self, name: str) -> str:
        """What a look says about a fault that begins with it."""
        told = self.faults.look(self.link, self.outbox, checkpoint=self.checkpoint)
        (found,) = [fault.detail for fault in told if fault.name == name]
        return found

    def arrive(self, count: int) -> None:
        """Let messages come as paho hands them over; the queue holds one."""
        for mid in range(count):
            message = MQTTMessage(mid, b"plant/r1")
            self.link._client.on_message(self.link._client, None, message)

    def answer_subscription(self, *codes: int) -> None:
        """The broker's answer, a code a filter."""
        reasons = [ReasonCode(PacketTypes.SUBACK, identifier=code) for code in codes]
        self.link._client.on_subscribe(self.link._client, None, 1, reasons, None)

    def decide(self, first: int, last: int, payload: bytes = b"x") -> None:
        """Put alerts [first, last) into the outbox."""
        self.outbox.put(
            [
                Publish(topic="t", payload=payload, qos=1, retain=True, key=(f"a{i}", 1))
                for i in range(first, last)
            ]
        )


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    """Put the parts together."""
    made = Shell(tmp_path)
    yield made
    made.outbox.close()
    made.link.stop()


def test_a_shell_without_faults_tells_nothing(shell: Shell) -> None:
    """Neither at the first look nor later."""
    shell.arrive(1)
    shell.decide(0, 3)
    shell.answer_subscription(1, 1)
    assert [shell.look() for _ in range(3)] == [[], [], []]
    assert shell.faults.active == ()


def test_alerts_given_up_are_told_until_somebody_restarts_us(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the broker is away nobody hears of them: said and over, it would never be heard."""
    monkeypatch.setattr("edge.storage.outbox.PENDING_ROWS_MAX", 5)
    shell.decide(0, 7)
    assert shell.detail("alerts_given_up").startswith("2 ")
    shell.outbox.delivered([row.row for row in shell.outbox.pending()])
    assert shell.look() == []
    assert shell.faults.active == ("alerts_given_up",)


def test_a_refused_subscription_is_told_with_its_topic_until_it_is_granted(shell: Shell) -> None:
    """A gateway that hears nothing must not look well."""
    shell.answer_subscription(1, 128)
    assert "andon/s/cmd/+/+" in shell.detail("broker_refuses")
    assert shell.look() == []
    shell.answer_subscription(1, 1)
    assert shell.look() == [("broker_refuses", False)]


def test_a_failed_callback_stays_until_somebody_restarts_us(shell: Shell) -> None:
    """It is a bug of ours; a later message that goes well does not undo what it has lost."""
    shell.link._client.on_message(shell.link._client, None, None)
    assert "AttributeError" in shell.detail("link_callback_failed")
    shell.arrive(1)
    assert shell.look() == []
    assert shell.faults.active == ("link_callback_failed",)


def test_a_topic_that_is_no_text_is_taken_like_any_other(shell: Shell) -> None:
    """Not every broker refuses one; kept back it would fill the broker's window, for ever."""
    shell.link._client.on_message(shell.link._client, None, MQTTMessage(1, b"plant/\xff"))
    assert shell.look() == []
    assert [message.topic for message in shell.link.drain(9)] == ["(not UTF-8)"]


def test_two_contents_under_one_key_are_told_by_topic_and_key(shell: Shell) -> None:
    """What was published and what was decided differ: that stays until somebody restarts us."""
    shell.decide(0, 1, b"first")
    shell.decide(0, 1, b"other")
    detail = shell.detail("outbox_conflict")
    assert "t ('a0', 1)" in detail
    shell.decide(1, 2)
    assert shell.look() == []
    assert shell.faults.active == ("outbox_conflict",)


def test_a_failed_checkpoint_is_told_until_one_works(shell: Shell) -> None:
    """With the reason as it was given."""
    shell.checkpoint = "c: cannot write: No space left on device; free disk space"
    assert shell.detail("checkpoint_failed") == shell.checkpoint
    assert shell.look() == []
    shell.checkpoint = ""
    assert shell.look() == [("checkpoint_failed", False)]


def test_when_one_of_many_ends_the_others_are_said_again(shell: Shell) -> None:
    """Whichever ends first, the last word of its look is about one that goes on."""
    shell.checkpoint = "disk"
    shell.answer_subscription(128, 1)
    assert len(shell.look()) == 2
    shell.answer_subscription(1, 1)
    assert shell.look() == [("broker_refuses", False), ("checkpoint_failed", True)]
    shell.checkpoint = ""
    assert shell.look() == [("checkpoint_failed", False)]


def test_a_fault_of_a_process_that_was_killed_does_not_stay_on_the_topic(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It stands in the journal and is taken again, but the process that had it is gone."""
    bundle = save(make_bundle([fitted()]), tmp_path / "bundle")
    world = World(tmp_path, bundle, monkeypatch)
    real = world.broker.publish

    def publish(topic: str, payload: bytes, **more: Any) -> int | None:  # noqa: ANN401
        said = real(topic, payload, **more)
        if topic == SYSTEM and b"checkpoint_failed" in payload:
            raise Killed
        return said

    world.broker.__dict__["publish"] = publish
    with pytest.raises(Killed):
        world.live(Steps(1, error=JournalError), "write")
    assert world.broker.last(SYSTEM)["active"] == 1
    world.unwatch()
    assert world.live() == 0
    assert world.broker.last(SYSTEM)["active"] == 0


def test_a_trail_that_was_changed_is_told_by_who_finds_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While that process runs; the next one begins behind the record that says so."""
    bundle = save(make_bundle([fitted()]), tmp_path / "bundle")
    world = World(tmp_path, bundle, monkeypatch)
    trail = AuditTrail(world.broker.state / "audit", bytes_max=1 << 20, days_max=30)
    trail.write([Audited(what="suppressed", asset="r1", t_ns=i, facts={}) for i in range(3)])
    trail.close()
    ((_, file),) = audit_files(world.broker.state / "audit")
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join([*lines[:2], b"{}\n", *lines[3:]]))
    for times in (1, 0):
        world.broker.heard.clear()
        assert world.live() == 0
        told = [msgspec.json.decode(body) for topic, body in world.broker.heard if topic == SYSTEM]
        found = [one for one in told if one["name"] == "chain_broken" and one["active"]]
        assert len(found) == times
        assert all(
            f"{file.name}, line 3" in one["message"] and "andon audit verify" in one["message"]
            for one in found
        )
