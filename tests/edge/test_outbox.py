"""The outbox: what was decided is kept and sent, whichever call to the disk fails."""

from __future__ import annotations

import random
import sqlite3
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Any

import pytest

from edge.errors import JournalError
from edge.records import Publish
from edge.storage.checkpoint import KEPT
from edge.storage.outbox import Outbox
from edge.storage.outbox_table import WITHHELD
from edge.storage.patience import NoPatience
from edge.storage.standby import StandbyOutbox
from tests.told import refused_with

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[Outbox]:
    """Open an outbox in a new directory."""
    opened = Outbox(tmp_path / "state" / "outbox.sqlite")
    yield opened
    opened.close()


def alert(i: int, revision: int = 1, payload: bytes = b"x", topic: str = "t") -> Publish:
    """Make a keyed message."""
    return Publish(topic=topic, payload=payload, qos=1, retain=True, key=(f"a{i}", revision))


def waiting(outbox: Outbox) -> list[bytes]:
    """Return what waits, in order."""
    return [row.payload for row in outbox.pending()]


class FailingDatabase:
    """A connection whose n-th call fails, as a full disk would have it."""

    def __init__(self, database: sqlite3.Connection, n: int) -> None:
        self._database = database
        self.left = n

    def _call(self, name: str, *args: Any) -> Any:  # noqa: ANN401
        self.left -= 1
        if self.left == 0:
            message = "database or disk is full"
            raise sqlite3.OperationalError(message)
        return getattr(self._database, name)(*args)

    def execute(self, *args: Any) -> Any:  # noqa: ANN401
        """Pass on, or fail."""
        return self._call("execute", *args)

    def executemany(self, *args: Any) -> Any:  # noqa: ANN401
        """Pass on, or fail."""
        return self._call("executemany", *args)

    def rollback(self) -> None:
        """Pass on, or fail."""
        self._call("rollback")

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        return getattr(self._database, name)


def test_messages_wait_in_the_order_in_which_they_were_decided(outbox: Outbox) -> None:
    """Over several puts, with every field as it was."""
    outbox.put([alert(1, payload=b"1"), alert(2, payload=b"2")])
    outbox.put([alert(1, 2, payload=b"3")])
    rows = outbox.pending()
    assert [row.payload for row in rows] == [b"1", b"2", b"3"]
    assert [row.row for row in rows] == sorted(row.row for row in rows)
    assert {(row.topic, row.qos, row.retain) for row in rows} == {("t", 1, True)}
    assert outbox.pending(after=rows[0].row, limit=1) == [rows[1]]
    assert outbox.pending_count() == 3


def test_the_same_bytes_again_are_a_replay(outbox: Outbox) -> None:
    """Neither a second copy nor a conflict, before delivery and after it."""
    assert outbox.put([alert(1)]) == []
    assert outbox.put([alert(1), alert(1)]) == []
    rows = outbox.pending()
    outbox.delivered([row.row for row in rows])
    assert outbox.put([alert(1)]) == []
    assert outbox.pending_count() == 0
    assert outbox.conflicts_total == 0


def test_other_bytes_under_a_key_are_a_conflict(outbox: Outbox) -> None:
    """The first content stands; the other is named and counted; its neighbours are kept."""
    outbox.put([alert(1, payload=b"first")])
    conflicts = outbox.put([alert(1, payload=b"other"), alert(2, payload=b"fine")])
    assert conflicts == ["t ('a1', 1)"]
    assert outbox.conflicts_total == 1
    assert waiting(outbox) == [b"first", b"fine"]
    assert outbox.put([alert(3, payload=b"1"), alert(3, payload=b"2")]) == ["t ('a3', 1)"]


def test_a_key_is_topic_id_and_revision(outbox: Outbox) -> None:
    """Another topic or revision is another message."""
    messages = [alert(1), alert(1, 2, b"y"), alert(1, payload=b"z", topic="u")]
    assert outbox.put(messages) == []
    assert outbox.pending_count() == 3


def test_an_empty_payload_is_a_payload(outbox: Outbox) -> None:
    """It is not mistaken for a key that nothing stands under."""
    outbox.put([alert(1, payload=b"")])
    assert outbox.put([alert(1, payload=b"x")]) == ["t ('a1', 1)"]


@pytest.mark.parametrize("n", range(1, 15))
def test_any_failing_call_of_put_keeps_all_or_nothing(n: int, tmp_path: Path) -> None:
    """And the next try, after a restart or without one, keeps each message once."""
    for restart in (False, True):
        path = tmp_path / f"{restart}.sqlite"
        outbox = Outbox(path)
        outbox.put([alert(0, payload=b"0")])
        messages = [alert(i, payload=b"%d" % i) for i in range(4)]
        real = outbox._db
        failing: Any = FailingDatabase(real, n)
        outbox._db = failing
        failed = False
        try:
            outbox.put(messages)
        except JournalError:
            failed = True
        assert failed is (n <= 10), "the test names every call there is"
        assert outbox.given_up_total == 0
        outbox._db = real
        if restart:
            outbox.close()
            outbox = Outbox(path)
            assert waiting(outbox) == ([b"0"] if failed else [b"0", b"1", b"2", b"3"])
        assert outbox.put(messages) == []
        assert waiting(outbox) == [b"0", b"1", b"2", b"3"]
        outbox.close()


@pytest.mark.parametrize("n", range(1, 6))
def test_any_failing_call_of_delivered_loses_nothing(n: int, outbox: Outbox) -> None:
    """What is not marked is sent again; once marked it never is; writing goes on."""
    outbox.put([alert(i, payload=b"%d" % i) for i in range(3)])
    rows = [row.row for row in outbox.pending()]
    real = outbox._db
    failing: Any = FailingDatabase(real, n)
    outbox._db = failing
    try:
        outbox.delivered(rows[:2])
    except JournalError:
        outbox._db = real
        assert waiting(outbox) == [b"0", b"1", b"2"]
        outbox.delivered(rows[:2])
    outbox._db = real
    assert waiting(outbox) == [b"2"]
    outbox.put([alert(9, payload=b"9")])
    assert waiting(outbox) == [b"2", b"9"]


def test_a_failing_read_is_an_error_of_the_outbox(outbox: Outbox) -> None:
    """No foreign exception leaves the adapter."""
    for read in (outbox.pending, outbox.standing):
        real = outbox._db
        failing: Any = FailingDatabase(real, 1)
        outbox._db = failing
        with pytest.raises(JournalError):
            read()
        outbox._db = real


def test_what_waits_survives_a_restart(tmp_path: Path) -> None:
    """Without a close, as after a kill."""
    path = tmp_path / "outbox.sqlite"
    first = Outbox(path)
    first.put([alert(1, payload=b"1"), alert(2, payload=b"2")])
    first.delivered([first.pending()[0].row])
    second = Outbox(path)
    assert waiting(second) == [b"2"]
    assert second.put([alert(1, payload=b"other")]) != []
    first.close()
    second.close()


def test_delivered_keys_are_kept_within_a_cap(
    outbox: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The newest stay; what still waits is never dropped, however old."""
    monkeypatch.setattr("edge.storage.outbox.KEPT_ROWS_MAX", 10)
    outbox.put([alert(i, payload=b"%d" % i) for i in range(100)])
    rows = [row.row for row in outbox.pending()]
    outbox.delivered(rows[1:])
    assert stored(outbox) == 100, "no checkpoint covers them yet"
    for _ in range(KEPT):
        assert stored(outbox) == 100, "a restart may begin from the checkpoint before it"
        outbox.covered()
    assert stored(outbox) == 11
    assert waiting(outbox) == [b"0"]


def stored(outbox: Outbox) -> int:
    """Count all rows, delivered or not."""
    (count,) = outbox._db.execute("SELECT count(*) FROM outbox").fetchone()
    return int(count)


def test_keys_younger_than_the_oldest_checkpoint_are_kept(
    outbox: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A restart from it decides them again; forgotten, they would go out a second time, late."""
    monkeypatch.setattr("edge.storage.outbox.KEPT_ROWS_MAX", 1)
    for i in range(6):
        turn = [alert(i, revision, b"%d" % revision) for revision in (1, 2, 3)]
        outbox.put(turn)
        outbox.delivered([row.row for row in outbox.pending()])
        outbox.covered()
        assert outbox.put(turn) == []
        assert outbox.pending_count() == 0, "forgotten, although the older checkpoint is before it"
    assert stored(outbox) == 3


def test_a_broker_that_stays_away_does_not_fill_the_disk(
    outbox: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beyond the cap the oldest are given up, counted, and never sent or said anew."""
    monkeypatch.setattr("edge.storage.outbox.PENDING_ROWS_MAX", 5)
    outbox.put([alert(i, payload=b"%d" % i) for i in range(4)])
    assert outbox.given_up_total == 0
    outbox.put([alert(i, payload=b"%d" % i) for i in range(4, 8)])
    assert outbox.given_up_total == 3
    assert waiting(outbox) == [b"3", b"4", b"5", b"6", b"7"]
    assert outbox.put([alert(0, payload=b"0")]) == []
    assert outbox.put([alert(1, payload=b"other")]) != []
    assert waiting(outbox) == [b"3", b"4", b"5", b"6", b"7"]


@pytest.mark.parametrize("n", range(1, 6))
def test_any_failing_call_of_covered_forgets_nothing_too_early(
    n: int, outbox: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What waits is there, and a later checkpoint forgets what this one did not."""
    monkeypatch.setattr("edge.storage.outbox.KEPT_ROWS_MAX", 2)
    outbox.put([alert(i, payload=b"%d" % i) for i in range(9)])
    outbox.delivered([row.row for row in outbox.pending()][:8])
    outbox.covered()
    real = outbox._db
    failing: Any = FailingDatabase(real, n)
    outbox._db = failing
    with suppress(JournalError):
        outbox.covered()
    outbox._db = real
    assert waiting(outbox) == [b"8"]
    outbox.covered()
    assert stored(outbox) == 2


def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    """The error says which file it was."""
    path = tmp_path / "outbox.sqlite"
    path.write_bytes(b"x" * 5000)
    with pytest.raises(JournalError, match=r"outbox\.sqlite"):
        Outbox(path)


def test_what_was_withheld_is_the_last_word_of_no_process(tmp_path: Path) -> None:
    """It stands, so that its key has no other bytes; the word before it is what is said again."""
    path = tmp_path / "outbox.sqlite"
    loud, quiet = alert(1, 1, b"loud"), alert(1, 2, b"quiet")
    outbox = StandbyOutbox(lambda: Outbox(path), patience=NoPatience())
    outbox.put([loud])
    outbox.delivered([row.row for row in outbox.pending()])
    outbox.put([quiet])
    outbox.withhold([quiet])
    for again in (outbox, None):  # and of the next process
        one = again or StandbyOutbox(lambda: Outbox(path), patience=NoPatience())
        assert [row.payload for row in one.standing() or ()] == [loud.payload]
        assert one.pending() == []
        assert one.newest(quiet.topic) == quiet.key
        one.close()


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TRIGGER spy AFTER INSERT ON outbox BEGIN DELETE FROM outbox; END",
        "CREATE VIEW spy AS SELECT load_extension('x')",
    ],
)
def test_what_a_file_would_run_is_refused(tmp_path: Path, statement: str) -> None:
    """It may come from somebody's backup: by name, before a statement of ours meets it."""
    path = tmp_path / "outbox.sqlite"
    Outbox(path).close()
    database = sqlite3.connect(path)
    database.execute(statement)
    database.commit()
    database.close()
    with pytest.raises(
        JournalError, match=r"(trigger|view) spy, which no outbox of ours has"
    ) as caught:
        Outbox(path)
    refused_with(caught.value)


def test_the_outbox_is_opened_with_defensive_settings(tmp_path: Path) -> None:
    """What a file's schema calls is not trusted, and each page is checked as it is read."""
    with closing(Outbox(tmp_path / "outbox.sqlite")) as outbox:
        names = ("trusted_schema", "cell_size_check")
        told = [outbox._db.execute(f"PRAGMA {name}").fetchone()[0] for name in names]
    assert told == [0, 1]


def test_what_was_said_before_a_withheld_word_is_neither_forgotten_nor_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is what the broker retains, or has to: a broker that forgot is told it again."""
    monkeypatch.setattr("edge.storage.outbox.KEPT_ROWS_MAX", 0)
    monkeypatch.setattr("edge.storage.outbox.PENDING_ROWS_MAX", 5)
    outbox = Outbox(tmp_path / "outbox.sqlite")
    for topic in ("heard", "waits"):
        outbox.put([alert(1, 1, b"loud", topic), alert(1, 2, b"quiet", topic)])
    heard, quiet, waits, quiet_too = [row.row for row in outbox.pending()]
    outbox.delivered([heard])
    outbox.delivered([quiet, quiet_too], mark=WITHHELD)
    outbox.put([alert(i, topic="other") for i in range(2, 12)])
    assert waits in [row.row for row in outbox.pending()], "never the last word"
    for _ in range(KEPT + 1):
        outbox.covered()
    assert [(row.topic, row.payload) for row in outbox.standing()] == [("heard", b"loud")]
    assert outbox.put([alert(1, 2, b"other", "heard")]), "and what was decided last is known"
    outbox.close()


def test_what_was_withheld_in_memory_hides_no_word_before_it(tmp_path: Path) -> None:
    """Neither one of the file nor one in memory; and what waits in the file is not done with."""
    opens: list[Exception | None] = [JournalError("away"), None]

    def opened() -> Outbox:
        if (error := opens.pop(0)) is not None:
            raise error
        return Outbox(tmp_path / "outbox.sqlite")

    before = Outbox(tmp_path / "outbox.sqlite")
    before.put([alert(1, 1, b"of the file", "t")])
    before.close()
    outbox = StandbyOutbox(opened, patience=NoPatience())
    outbox.put([alert(2, 1, b"of memory", "u")])
    outbox.delivered([row.row for row in outbox.pending()])
    for topic, i in (("t", 1), ("u", 2)):
        quiet = alert(i, 2, b"quiet", topic)
        outbox.put([quiet])
        outbox.withhold([quiet])
    assert [row.payload for row in outbox.standing() or ()] == [b"of memory"]
    outbox.recover()
    assert [row.payload for row in outbox.pending()] == [b"of the file"]
    assert [row.payload for row in outbox.standing() or ()] == [b"of memory"]
    outbox.close()


@pytest.mark.parametrize("in_memory", [False, True])
def test_what_waits_before_what_the_broker_holds_is_not_said(
    in_memory: bool,  # noqa: FBT001
    tmp_path: Path,
) -> None:
    """A process whose outbox was lost has said it, and maybe otherwise."""

    def opened() -> Outbox:
        if in_memory:
            raise JournalError("away")
        return Outbox(tmp_path / "outbox.sqlite")

    outbox = StandbyOutbox(opened, patience=NoPatience())
    for revision in (1, 2, 3):
        for topic in ("alert", "event"):
            outbox.put([alert(1, revision, b"%d" % revision, topic)])
    outbox.put([alert(2, 1, b"of another", "alert")])
    outbox.overtaken({"alert": ("a1", 2)})
    left = [(row.topic, row.payload) for row in outbox.pending()]
    assert left == [("event", b"2"), ("alert", b"3"), ("event", b"3"), ("alert", b"of another")]
    assert outbox.pending_count() == 4
    outbox.close()


def test_a_damaged_file_says_what_to_do(tmp_path: Path) -> None:
    """Not only what SQLite calls it."""
    path = tmp_path / "outbox.sqlite"
    path.write_bytes(random.Random(1).randbytes(20_000))
    with pytest.raises(JournalError, match="move the file and its -wal and -shm aside"):
        Outbox(path)
