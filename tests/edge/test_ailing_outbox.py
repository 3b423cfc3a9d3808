"""An outbox whose file fails or answers late in the middle: nothing stays unsaid, or steps back."""

from __future__ import annotations

import threading
import types
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

from edge.brokers.delivery import Delivery
from edge.configuration.config import GatewayConfig
from edge.configuration.sections import JournalConfig, ModelConfig, MqttConfig
from edge.errors import JournalError
from edge.gateway.durable import Durable
from edge.gateway.faults import Faults
from edge.gateway.lapse import Part
from edge.gateway.standing import otherwise
from edge.gateway.world import World
from edge.records import Publish, TickDue, Track
from edge.storage.journal import read_journal
from edge.storage.outbox import Outbox
from edge.storage.patience import Patience
from edge.storage.standby import StandbyOutbox
from edge.wire.topics import Topics
from tests.edge.test_slow_disk import OTHER, TOPIC, Hanging, Late, Wire, revision

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def refuses(*_: object, **_more: object) -> None:
    """A disk that is full."""
    raise JournalError("the disk is full")


def said_by(outbox: StandbyOutbox, wire: Wire, turns: int = 9) -> list[bytes]:
    """What a connection hears from now on."""
    delivery = Delivery(outbox, wire)
    for _ in range(turns):
        delivery.turn()
    return wire.said


def test_what_stands_in_the_file_is_said_although_it_is_put_again_in_vain(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each restore puts again what waits; one that meets a full disk may not hide it."""
    before = Outbox(tmp_path / "outbox.sqlite")
    before.put([revision(1)])
    before.close()
    outbox = StandbyOutbox(lambda: Outbox(tmp_path / "outbox.sqlite"), patience=Hanging())
    with monkeypatch.context() as patch:
        patch.setattr(Outbox, "put", refuses)
        outbox.put([revision(1), revision(2, OTHER)])
        assert sorted(said_by(outbox, Wire(), 2)) == [b"revision 1", b"revision 2"]
    wire = Wire()
    delivery = Delivery(outbox, wire)
    numbers, anew = outbox.recover()
    delivery.moved(numbers, anew=anew)
    for _ in range(9):
        delivery.turn()
    assert not outbox.pending_count()
    outbox.close()


def test_what_was_delivered_and_could_not_be_marked_so_is_said_again_to_who_forgot_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last word of a topic, and no other: nothing waits, whatever the file believes."""
    outbox = StandbyOutbox(lambda: Outbox(tmp_path / "outbox.sqlite"), patience=Hanging())
    outbox.put([revision(1), revision(2), revision(1, OTHER)])
    wire = Wire()
    delivery = Delivery(outbox, wire)
    monkeypatch.setattr(Outbox, "delivered", refuses)
    for _ in range(5):
        delivery.turn()
    assert sorted(wire.said) == [b"revision 1", b"revision 1", b"revision 2"]
    assert outbox.trouble
    assert not outbox.pending_count()
    wire.said.clear()
    delivery.say_again()
    for _ in range(5):
        delivery.turn()
    assert sorted(wire.said) == [b"revision 1", b"revision 2"]
    outbox.close()


def test_rows_that_come_into_the_file_too_late_are_said_in_their_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A recovery that is given up and happens all the same leaves them in both places."""
    patience = Late()
    outbox = StandbyOutbox(lambda: Outbox(tmp_path / "outbox.sqlite"), patience=patience)
    with monkeypatch.context() as patch:
        patch.setattr(Outbox, "put", refuses)
        outbox.put([revision(1)])
        outbox.put([revision(2)])
    patience.hangs = True
    with pytest.raises(JournalError):
        outbox.recover()
    patience.lets_go()
    assert said_by(outbox, Wire()) == [b"revision 1", b"revision 2"]
    outbox.close()


def test_what_was_said_from_memory_is_not_followed_by_what_waited_before_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The broker retains a revision; the one before stands in the file as if nobody had said it."""
    before = Outbox(tmp_path / "outbox.sqlite")
    for number in (1, 2):
        before.put([revision(number)])
    before.close()
    outbox = StandbyOutbox(lambda: Outbox(tmp_path / "outbox.sqlite"), patience=Hanging())
    with monkeypatch.context() as patch:
        patch.setattr(Outbox, "put", refuses)
        outbox.put([revision(3)])
        outbox.delivered([max(row.row for row in outbox.pending())])
    outbox.recover()
    assert said_by(outbox, Wire()) == []
    outbox.close()


def test_who_was_decided_twice_is_not_forgotten_while_the_file_hangs(tmp_path: Path) -> None:
    """Two contents of one key are followed by a third revision, once they can be looked up."""
    patience = Hanging()
    outbox = StandbyOutbox(lambda: Outbox(tmp_path / "outbox.sqlite"), patience=patience)
    outbox.put([revision(1)])
    outbox.put([Publish(topic=TOPIC, payload=b"other", qos=1, retain=True, key=("r1-1", 1))])
    record = types.SimpleNamespace(asset="r1", track=Track.PROCESS, alert_id="r1-1", said=1)
    engine: Any = types.SimpleNamespace(alerts=lambda: [record], groups=dict)
    patience.hangs = True
    assert otherwise(engine, outbox, Topics("andon", "s"), leap=int) == ()
    patience.hangs = False
    assert [one.alert_id for one in otherwise(engine, outbox, Topics("andon", "s"), leap=int)] == [
        "r1-1"
    ]
    assert otherwise(engine, outbox, Topics("andon", "s"), leap=int) == (), "it has been said"
    outbox.close()


class Impatient(World):
    """Waits for a disk for a moment only."""

    def patience(self) -> Patience:
        """A thread of its own."""
        return Patience(wait_s_max=0.2)


@pytest.fixture
def durable(tmp_path: Path) -> Iterator[Durable]:
    """What a gateway keeps, without the gateway."""
    config = GatewayConfig(
        site="s",
        clock="plant",
        mqtt=MqttConfig(client_id="a"),
        model=ModelConfig(bundle="b"),
        journal=JournalConfig(dir="state"),
        base=str(tmp_path),
    )
    made = Durable(config, Impatient(), faults=Faults(), conflict=lambda _: None)
    yield made
    with ExitStack() as stack:
        made.close(stack)


def journaled(path: Path) -> list[str]:
    """Kinds of what the journal has."""
    return [type(entry.stimulus).__name__ for entry in read_journal(path / "state" / "journal")]


def test_the_engine_is_given_nothing_that_the_journal_has_not(
    durable: Durable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever a look at what was done beside the loop finds out in the middle of a group."""
    monkeypatch.setattr(Outbox, "covered", refuses)
    durable._saving._row = 7
    durable._saving._patience.start(lambda: "")
    durable._saving._patience.settle(5)
    given = [type(one).__name__ for one in durable.take([TickDue()], now_ns=2)]
    assert given == ["ShellFault", "TickDue"]
    durable.take([TickDue()], now_ns=3)
    assert journaled(tmp_path) == [*given, "TickDue"]


def test_a_folder_of_documents_that_hangs_keeps_no_journal_from_coming_back(
    durable: Durable, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is on another disk, or on a server that is away."""
    monkeypatch.setattr("edge.gateway.saving.write", lambda *_, **__: None)
    monkeypatch.setattr(durable, "_packed", lambda *_: None)
    engine: Any = types.SimpleNamespace(
        version="1", snapshot_sha256="", settings_sha256="", fingerprint="",
        bundle=types.SimpleNamespace(sha256=""),
    )  # fmt: skip
    hang = threading.Event()
    try:
        durable.lapse.begin(Part.JOURNAL, "full for a moment")

        def moved(*_: object, **__: object) -> None:
            """Rows have other numbers."""

        def texts() -> None:
            hang.wait(20)

        assert durable.look(engine, moved=moved, texts=texts, at_once=True)
        assert not durable.lapse.parts
        assert not durable.patience.busy
    finally:
        hang.set()


def test_an_outbox_that_cannot_note_what_was_confirmed_is_told_at_the_next_look(
    durable: Durable, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not with the next alert, which may be days away."""
    durable.outbox.put([revision(1)])
    monkeypatch.setattr(Outbox, "delivered", refuses)
    durable.outbox.delivered([row.row for row in durable.outbox.pending()])
    assert durable.outbox.trouble
    durable.look(types.SimpleNamespace(), moved=refuses, texts=refuses)  # type: ignore[arg-type]
    assert set(durable.lapse.parts) == {Part.OUTBOX}


def test_what_memory_decided_otherwise_is_contested_when_it_comes_into_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file that was away may hold another content of the same key."""
    before = Outbox(tmp_path / "outbox.sqlite")
    before.put([revision(1)])
    before.close()
    with monkeypatch.context() as patch:
        patch.setattr(Outbox, "__init__", refuses)
        outbox = StandbyOutbox(lambda: Outbox(tmp_path / "outbox.sqlite"), patience=Hanging())
        outbox.put([Publish(topic=TOPIC, payload=b"other", qos=1, retain=True, key=("r1-1", 1))])
        assert not outbox.contested
    outbox.recover()
    assert outbox.contested == {"r1-1"}
    outbox.resolved()
    assert not outbox.contested
    outbox.close()
