"""The outbox over an outage of days: bounded in rows, bytes and days, no last word lost."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Final

import pytest

from edge.brokers.delivery import Delivery
from edge.records import Publish
from edge.storage import outbox as outboxes
from edge.storage.checkpoint import KEPT
from edge.storage.disk import Clock
from edge.storage.outbox import Outbox
from edge.wire.topics import whose

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


MIB: Final = 1 << 20
DAY_S: Final = 86_400.0


class Running(Clock):
    """A clock that a test moves on."""

    def __init__(self) -> None:
        self.at_s = 0.0

    def monotonic_s(self) -> float:
        """Seconds that it has run."""
        return self.at_s


def story(count: int, *, seed: int, size: int = 2_000) -> Iterator[list[Publish]]:
    """Alerts of ten assets, each a retained state and an event, in one put."""
    draw = random.Random(seed)
    revisions: dict[str, int] = {}
    for n in range(count):
        asset = f"r{draw.randrange(10)}"
        revision = revisions[asset] = revisions.get(asset, 0) + 1
        body = b"%d " % n + bytes(draw.randrange(size))
        yield [
            Publish(topic=topic, payload=body, qos=1, retain=retain, key=(f"{asset}-1", revision))
            for topic, retain in (
                (f"p/s/alert/{asset}/process", True),
                (f"p/s/event/{asset}", False),
            )
        ]


class Broker:
    """Takes what it is sent, and confirms it at once; `connected` when it is there."""

    def __init__(self) -> None:
        self.connected = False
        self.heard: list[tuple[str, bytes]] = []
        self._told: list[int] = []

    def publish(self, topic: str, payload: bytes, *, qos: int, retain: bool) -> int | None:
        """Hear it."""
        assert qos == 1
        assert retain == ("/alert/" in topic)
        self.heard.append((topic, payload))
        self._told.append(len(self.heard))
        return len(self.heard)

    def confirmed(self) -> list[int]:
        """All of it."""
        told, self._told = self._told, []
        return told


def size_of(folder: Path) -> int:
    """Bytes on the disk, write-ahead log included."""
    return sum(path.stat().st_size for path in folder.iterdir())


@pytest.mark.not_counted
def test_days_without_a_broker_stay_within_their_bytes_and_lose_the_oldest_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Thousands of alerts, restarts in the middle; then all that is left leaves in order."""
    monkeypatch.setattr(outboxes, "PENDING_ROWS_MAX", 1_400)
    monkeypatch.setattr(outboxes, "KEPT_ROWS_MAX", 500)
    broker, clock = Broker(), Running()
    said: dict[str, list[bytes]] = {}
    outbox = Outbox(tmp_path / "outbox.sqlite", bytes_max=MIB, clock=clock)
    worst = given_up = 0
    for n, group in enumerate(story(1_500, seed=1)):
        outbox.put(group)
        clock.at_s += 60.0  # an alert a minute, for a day
        for message in group:
            said.setdefault(whose(message.topic), []).append(message.payload)
        if n % 50 == 0:
            outbox.covered()
            worst = max(worst, size_of(tmp_path))
        if n % 400 == 399:
            given_up = outbox.given_up_total
            outbox.close()
            outbox = Outbox(tmp_path / "outbox.sqlite", bytes_max=MIB, clock=clock)
            assert outbox.given_up_total == given_up, "nobody has heard of it yet"
        assert outbox.waiting_bytes <= MIB
    assert given_up > 500
    assert worst < 2 * MIB + 9 * MIB, "twice the cap and the write-ahead log"
    delivery = Delivery(outbox, broker)
    broker.connected = True
    while outbox.pending_count():
        delivery.turn()
    for asset, payloads in said.items():
        heard = [body for topic, body in broker.heard if whose(topic) == asset]
        places = [2 * (payloads.index(body) // 2) for body in heard]
        assert places == sorted(places), f"{asset} stepped back"
        last = [body for topic, body in broker.heard if topic == f"p/s/alert/{asset}/process"]
        assert last[-1] == payloads[-1], "the last word of its topic"
    for _ in range(10 * KEPT):
        outbox.covered()
    assert size_of(tmp_path) < MIB + 9 * MIB, "what was forgotten is given back to the disk"
    outbox.close()


def test_the_last_word_of_a_topic_stays_however_old(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a hundred topics each spoke once, long ago; one goes on for ever."""
    monkeypatch.setattr(outboxes, "PENDING_ROWS_MAX", 150)
    outbox = Outbox(tmp_path / "outbox.sqlite")

    def alert(topic: str, revision: int) -> Publish:
        return Publish(topic=topic, payload=b"x", qos=1, retain=True, key=("a", revision))

    outbox.put([alert(f"p/s/alert/quiet{i}/process", 1) for i in range(100)])
    for revision in range(1, 200):
        outbox.put([alert("p/s/alert/loud/process", revision)])
    waiting = {row.topic for row in outbox.pending()}
    assert len(waiting) == 101
    assert outbox.pending_count() <= 150
    assert outbox.pending()[-1].topic == "p/s/alert/loud/process"
    outbox.close()


def test_what_waited_for_too_many_days_is_given_up_whatever_the_wall_clock_does(
    tmp_path: Path,
) -> None:
    """Days of running count, over restarts; a clock that jumps by months makes nothing old."""
    clock = Running()
    outbox = Outbox(tmp_path / "outbox.sqlite", days_max=2.0, clock=clock)
    groups = list(story(30, seed=2))
    for group in groups[:15]:
        outbox.put(group)
    clock.at_s += 1.5 * DAY_S
    outbox.covered()
    assert outbox.given_up_total == 0
    for group in groups[15:]:
        outbox.put(group)
    outbox.close()
    clock.at_s = 5.0  # another boot
    outbox = Outbox(tmp_path / "outbox.sqlite", days_max=2.0, clock=clock)
    clock.at_s += 0.6 * DAY_S
    outbox.covered()
    assert 15 <= outbox.given_up_total < 30
    left = {row.topic for row in outbox.pending()}
    assert left >= {m.topic for group in groups for m in group if m.retain}
    outbox.close()


def test_a_file_of_an_older_version_is_taken_over(tmp_path: Path) -> None:
    """Without the column of ages; what waits in it waits on."""
    outbox = Outbox(tmp_path / "outbox.sqlite")
    (group,) = story(1, seed=3)
    outbox.put(group)
    outbox._db.execute("ALTER TABLE outbox DROP COLUMN put_s")
    outbox._db.execute("DROP TABLE running")
    outbox.close()
    again = Outbox(tmp_path / "outbox.sqlite")
    assert [row.payload for row in again.pending()] == [m.payload for m in group]
    assert again.put(group) == []
    again.close()
