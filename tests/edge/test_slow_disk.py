"""A disk that answers too late: what it was asked comes, and nobody is contradicted."""

from __future__ import annotations

import threading
from contextlib import closing
from typing import TYPE_CHECKING, TypeVar

import pytest

from edge.brokers.delivery import Delivery
from edge.records import Publish
from edge.storage.outbox import Outbox
from edge.storage.patience import NoPatience, Patience, SlowDiskError
from edge.storage.standby import StandbyOutbox

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

T = TypeVar("T")
TOPIC = "andon/s/alert/r1/process"
OTHER = "andon/s/alert/r2/process"


def revision(number: int, topic: str = TOPIC) -> Publish:
    """One of the revisions of an alert."""
    return Publish(
        topic=topic, payload=b"revision %d" % number, qos=1, retain=True, key=("r1-1", number)
    )


class Hanging(NoPatience):
    """A disk that stops answering, or answers again, when a test says so."""

    hangs = False

    @property
    def busy(self) -> str:
        """Why nothing can be asked of it."""
        return "it hangs" if self.hangs else ""


class Wire:
    """A connection that takes everything and confirms it at once."""

    connected = True

    def __init__(self) -> None:
        self.said: list[bytes] = []

    def publish(self, topic: str, payload: bytes, *, qos: int, retain: bool) -> int | None:
        """Send."""
        assert topic
        assert qos
        assert retain
        self.said.append(payload)
        return len(self.said)

    def confirmed(self) -> list[int]:
        """All of them, once and again."""
        return list(range(1, len(self.said) + 1))


def test_what_was_opened_too_late_is_had_by_whoever_asks_again() -> None:
    """Opened a second time it would meet its own lock, and the gateway would never be durable."""
    patience, answers, opened = Patience(wait_s_max=0.02), threading.Event(), []

    def slowly() -> object:
        answers.wait(30)
        opened.append(object())
        return opened[-1]

    with pytest.raises(SlowDiskError):
        patience.opened("audit", slowly)
    answers.set()
    patience._late.done.wait(30)  # type: ignore[union-attr]
    assert patience.opened("audit", slowly) is opened[0]
    assert len(opened) == 1
    assert patience.opened("audit", slowly) is opened[1], "whoever had it may want another"
    patience.stop()


def test_a_word_that_waits_in_a_file_that_hangs_does_not_follow_a_newer_one(tmp_path: Path) -> None:
    """The newer word is said at once, and the older one would hide it on a retained topic."""
    patience = Hanging()
    outbox = StandbyOutbox(lambda: Outbox(tmp_path / "outbox.sqlite"), patience=patience)
    outbox.put([revision(1), revision(1, OTHER)])
    patience.hangs = True
    outbox.put([revision(2)])
    wire = Wire()
    delivery = Delivery(outbox, wire)
    delivery.turn()
    assert wire.said == [b"revision 2"]
    patience.hangs = False
    outbox.put([revision(3, OTHER)])
    for _ in range(3):
        delivery.turn()
    assert wire.said == [b"revision 2", b"revision 3"], "nor is that of another topic overtaken"
    numbers, anew = outbox.recover()
    delivery.moved(numbers, anew=anew)
    for _ in range(3):
        delivery.turn()
    assert b"revision 1" not in wire.said
    assert not outbox.pending_count()
    outbox.close()


def test_last_words_are_said_again_once_the_file_can_tell_them(tmp_path: Path) -> None:
    """A broker may lose its store while the disk hangs."""
    patience = Hanging()
    outbox = StandbyOutbox(lambda: Outbox(tmp_path / "outbox.sqlite"), patience=patience)
    wire = Wire()
    delivery = Delivery(outbox, wire)
    outbox.put([revision(1)])
    delivery.turn()
    delivery.turn()
    assert wire.said == [b"revision 1"]
    patience.hangs = True
    delivery.say_again()
    delivery.turn()
    assert wire.said == [b"revision 1"]
    patience.hangs = False
    delivery.turn()
    assert wire.said == [b"revision 1", b"revision 1"]
    outbox.close()


class Late(Hanging):
    """While it hangs, what it is asked to do waits until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[Callable[[], object]] = []

    def run(self, work: Callable[[], T]) -> T:
        """At once, or too late."""
        if not self.hangs:
            return super().run(work)
        self.asked.append(work)
        raise SlowDiskError("it hangs")

    def lets_go(self) -> None:
        """What waited is done."""
        self.hangs = False
        for work in self.asked:
            work()


@pytest.mark.parametrize("after", [0, 1, 2])
@pytest.mark.parametrize("turns", [0, 1, 2, 3])
def test_what_is_put_too_late_and_stands_in_part_is_said_in_order(
    turns: int, after: int, tmp_path: Path
) -> None:
    """A replay at a start: of what it puts the file had some, and takes the rest behind our back.

    turns: of the connection, before the disk has answered; after: until all is in the file.
    """
    patience = Late()
    outbox = StandbyOutbox(lambda: Outbox(tmp_path / "outbox.sqlite"), patience=patience)
    outbox.put([revision(1), revision(1, OTHER)])
    outbox.delivered([row.row for row in outbox.pending()])
    wire = Wire()
    delivery = Delivery(outbox, wire)
    patience.hangs = True
    outbox.put([revision(n, topic) for n in (1, 2, 3) for topic in (TOPIC, OTHER)])
    for _ in range(turns):
        delivery.turn()
    patience.lets_go()
    for _ in range(after):
        delivery.turn()
    numbers, anew = outbox.recover()
    delivery.moved(numbers, anew=anew)
    for _ in range(9):
        delivery.turn()
    assert wire.said == sorted(wire.said), "no older one behind a newer one"
    assert min(wire.said.count(b"revision 2"), wire.said.count(b"revision 3")) >= 2
    assert not outbox.pending_count()
    outbox.close()
    with closing(Outbox(tmp_path / "outbox.sqlite")) as again_open:
        assert again_open.pending() == []
