"""What a restored box learns of the time since its backup, and what it does not say again."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Final

import msgspec

from edge.boxes.inherit import Learned, learn
from edge.records import Publish
from edge.storage.outbox import Outbox
from edge.wire.topics import Topics

if TYPE_CHECKING:
    from pathlib import Path

TOPICS: Final = Topics("andon", "s")
ALERT: Final = TOPICS.alert("r1", "process")


def message(revision: int, *, topic: str = ALERT, alert: str = "a") -> Publish:
    """A message as the engine decides it."""
    payload = msgspec.json.encode({"id": alert, "revision": revision, "topic": topic})
    retain = topic == ALERT
    return Publish(topic=topic, payload=payload, qos=1, retain=retain, key=(alert, revision))


def waiting(path: Path) -> list[tuple[str, str, int]]:
    """Keys that are still to be said."""
    with closing(sqlite3.connect(path)) as database:
        query = "SELECT topic, id, revision FROM outbox WHERE delivered = 0 ORDER BY row"
        return list(database.execute(query))


def learned(path: Path, standing: dict[str, bytes], *, until_row: int) -> Learned:
    """Taken over into a file that no gateway has open; its counts agree with it then."""
    outbox = Outbox(path)
    found = learn(outbox, standing, until_row=until_row)
    assert outbox.pending_count() == len(waiting(path))
    outbox.close()
    return found


def decided(path: Path, *revisions: int, alert: str = "a") -> None:
    """What had been decided, on the alert's topic and on that of its events."""
    outbox = Outbox(path)
    for revision in revisions:
        outbox.put([message(revision, topic=t, alert=alert) for t in (ALERT, TOPICS.event("r1"))])
    outbox.close()


def test_what_the_old_box_delivered_since_the_backup_is_not_said_again(tmp_path: Path) -> None:
    """Up to the word that stands at the broker; its event may be missing, and is said."""
    path = tmp_path / "outbox.sqlite"
    decided(path, 1, 2, 3)
    found = learned(path, {ALERT: message(2).payload}, until_row=6)
    assert waiting(path) == [
        (TOPICS.event("r1"), "a", 2),
        (ALERT, "a", 3),
        (TOPICS.event("r1"), "a", 3),
    ]
    assert (found.newer, found.delivered, found.other_bytes) == (0, 3, 0)


def test_behind_a_word_that_the_backup_does_not_know_nothing_of_it_is_said(tmp_path: Path) -> None:
    """Messages leave in order: whoever said that has said all of the backup before."""
    path = tmp_path / "outbox.sqlite"
    decided(path, 1, 2, 3)
    found = learned(path, {ALERT: message(7).payload}, until_row=6)
    assert not waiting(path)
    assert found.newer == 1
    outbox = Outbox(path)
    assert outbox.newest(ALERT) == ("a", 7), "the engine says its own word behind it"
    assert [row.payload for row in outbox.standing()] == [message(7).payload]
    outbox.close()


def test_what_the_end_of_the_journal_decides_anew_gives_way_to_what_was_said(
    tmp_path: Path,
) -> None:
    """On another processor a figure may differ in its last digit: said is said."""
    path = tmp_path / "outbox.sqlite"
    decided(path, 1)
    decided(path, 2)  # after the restore
    said = message(2).payload + b" "
    found = learned(path, {ALERT: said}, until_row=2)
    assert found.other_bytes == 1
    assert not waiting(path)
    with closing(sqlite3.connect(path)) as database:
        ((kept,),) = database.execute(
            "SELECT payload FROM outbox WHERE topic = ? AND revision = 2", (ALERT,)
        ).fetchall()
    assert kept == said


def test_what_is_not_ours_is_not_learned(tmp_path: Path) -> None:
    """Our own troubles have no id, and anybody may have written anything."""
    path = tmp_path / "outbox.sqlite"
    decided(path, 1)
    found = learned(path, {ALERT: b"{", TOPICS.group("x"): b"", "t": b'{"id": 1}'}, until_row=2)
    assert (found.newer, found.delivered, found.other_bytes) == (0, 0, 0)
    assert len(waiting(path)) == 2
