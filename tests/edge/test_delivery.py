"""Delivery: whatever fails between outbox and broker, nothing is lost and no topic steps back."""

from __future__ import annotations

import sqlite3
import tempfile
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.brokers.delivery import IN_FLIGHT_MAX, READ_MAX, Delivery
from edge.errors import JournalError
from edge.records import Publish
from edge.storage.outbox import Outbox
from edge.wire.topics import whose

TOPICS: Final = ("p/s/alert/a/process", "p/s/alert/b/process", "p/s/event/a")
# Nine revisions of three topics, twice the same topic in a row among them.
STORY: Final = tuple((TOPICS[i], number) for number, i in enumerate((0, 1, 2, 0, 0, 1, 2, 1, 0)))


def message(topic: str, number: int) -> Publish:
    """Make the number-th message; its bytes name it, its flags differ from its neighbours'."""
    payload = b"%d \x00\xff" % number
    key = (f"id-{number}", 1)
    return Publish(topic=topic, payload=payload, qos=1, retain=number % 2 == 0, key=key)


class Client:
    """What paho does for one process: it keeps what is in flight, and repeats it on a connection.

    `heard` outlives it: what the broker's subscribers got, repetitions included.
    """

    def __init__(self, heard: list[tuple[str, bytes, int, bool]]) -> None:
        self.heard = heard
        self.connected = True
        self.in_flight: dict[int, tuple[str, bytes, int, bool]] = {}
        self.calls = 0
        self.refuse_at = 0  # this call of publish is not taken
        self.break_at = 0  # this call is taken, and then the connection breaks before it is heard
        self._confirmed: list[int] = []

    def publish(self, topic: str, payload: bytes, *, qos: int, retain: bool) -> int | None:
        """Take a message, or not."""
        self.calls += 1
        if self.calls == self.refuse_at or not self.connected:
            return None
        said = (topic, payload, qos, retain)
        assert topic not in {other for other, *_ in self.in_flight.values()}, "topic in flight"
        self.in_flight[self.calls] = said
        if self.calls == self.break_at:
            self.connected = False
        else:
            self.heard.append(said)
        return self.calls

    def confirmed(self) -> list[int]:
        """Tell each id once; one that is none of delivery's is among them."""
        told, self._confirmed = self._confirmed, []
        return [*told, 1_000_000]

    def confirm(self, place: int = 0) -> None:
        """The broker confirms one of those in flight, in any order."""
        if self.connected and self.in_flight:
            mid = sorted(self.in_flight)[place % len(self.in_flight)]
            del self.in_flight[mid]
            self._confirmed.append(mid)

    def reconnect(self) -> None:
        """Repeat what was in flight, in its order."""
        self.connected = True
        self.heard.extend(self.in_flight.values())


class Process:
    """A gateway's way out over any number of lives, on one outbox file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.heard: list[tuple[str, bytes, int, bool]] = []
        self.put_so_far: list[Publish] = []
        self._begin()

    def _begin(self) -> None:
        self.outbox = Outbox(self._path)
        self.client = Client(self.heard)
        self.delivery = Delivery(self.outbox, self.client)

    def restart(self) -> None:
        """Die and begin again: what the client had in flight is forgotten."""
        self.outbox.close()
        self._begin()

    def put(self, topic: str) -> None:
        """Decide one more message."""
        self.put_so_far.append(message(topic, len(self.put_so_far)))
        self.outbox.put(self.put_so_far[-1:])

    def finish(self) -> None:
        """Let everything work again until nothing waits."""
        if not self.client.connected:
            self.client.reconnect()
        self.client.refuse_at = self.client.break_at = 0
        for _ in range(3 * len(self.put_so_far) + 3):
            self.delivery.turn()
            while self.client.in_flight:
                self.client.confirm()
        self.delivery.turn()
        assert self.outbox.pending_count() == 0
        assert self.delivery.in_flight == 0

    def check(self) -> None:
        """Each asset's subscribers heard every message of it, in order, byte for byte."""
        sent = [(m.topic, m.payload, m.qos, m.retain) for m in self.put_so_far]
        for asset in map(whose, TOPICS):
            mine = [said for said in sent if whose(said[0]) == asset]
            places = [mine.index(said) for said in self.heard if whose(said[0]) == asset]
            assert places == sorted(places), "the asset stepped back, over all its topics"
            assert set(places) == set(range(len(mine))), "something was lost"


class FailingDatabase:
    """A connection of which some calls fail, counted from now."""

    def __init__(self, database: sqlite3.Connection, failing: set[int]) -> None:
        self._database = database
        self._failing = failing
        self.calls = 0

    def _call(self, name: str, *args: Any) -> Any:  # noqa: ANN401
        self.calls += 1
        if self.calls in self._failing:
            raise sqlite3.OperationalError("database or disk is full")
        return getattr(self._database, name)(*args)

    def execute(self, *args: Any) -> Any:  # noqa: ANN401
        """Pass on, or fail."""
        return self._call("execute", *args)

    def executemany(self, *args: Any) -> Any:  # noqa: ANN401
        """Pass on, or fail."""
        return self._call("executemany", *args)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        return getattr(self._database, name)


@pytest.mark.parametrize("died", [False, True])
@pytest.mark.parametrize("kind", ["refuse_at", "break_at"])
@pytest.mark.parametrize("n", range(1, len(STORY) + 1))
def test_whichever_publication_fails_nothing_is_lost_or_swapped(
    n: int,
    kind: str,
    *,
    died: bool,
    tmp_path: Path,
) -> None:
    """Not taken, or taken and cut off; the process goes on or dies there: the broker gets all."""
    process = Process(tmp_path / "outbox.sqlite")
    for topic, _ in STORY:
        process.put(topic)
    setattr(process.client, kind, n)
    while process.client.calls < n:
        process.delivery.turn()
        process.client.confirm()
    if died:
        process.restart()
    process.finish()
    process.check()
    process.outbox.close()


def test_without_faults_each_message_is_sent_exactly_once_in_the_order_of_decisions(
    tmp_path: Path,
) -> None:
    """Also over topics, and nothing again after a restart."""
    process = Process(tmp_path / "outbox.sqlite")
    for topic, _ in STORY:
        process.put(topic)
    process.finish()
    process.check()
    once = sorted((m.topic, m.payload, m.qos, m.retain) for m in process.put_so_far)
    assert sorted(process.heard) == once
    process.restart()
    process.finish()
    assert sorted(process.heard) == once
    process.outbox.close()


ACTIONS: Final = st.one_of(
    st.tuples(st.just("put"), st.sampled_from(TOPICS)),
    st.tuples(st.just("turn"), st.none()),
    st.tuples(st.just("confirm"), st.integers(0, 5)),
    st.tuples(st.just("refuse"), st.integers(1, 3)),
    st.tuples(st.just("break"), st.integers(1, 3)),
    st.tuples(st.just("reconnect"), st.none()),
    st.tuples(st.just("disk"), st.integers(1, 6)),
    st.tuples(st.just("restart"), st.none()),
)


def act(process: Process, name: str, value: Any) -> None:  # noqa: ANN401 - what the action takes
    """Let one thing happen."""
    client = process.client
    match name:
        case "put":
            process.put(value)
        case "confirm":
            client.confirm(value)
        case "refuse":
            client.refuse_at = client.calls + value
        case "break":
            client.break_at = client.calls + value
        case "reconnect" if not client.connected:
            client.reconnect()
        case "restart":
            process.restart()
        case "disk":
            real = process.outbox._db
            failing: Any = FailingDatabase(real, {value})
            process.outbox._db = failing
            try:
                process.delivery.turn()
            except JournalError:
                assert failing.calls >= value
            process.outbox._db = real
        case "turn":
            process.delivery.turn()


@settings(max_examples=60)
@given(st.lists(ACTIONS, max_size=40))
def test_no_order_of_faults_loses_a_message_or_lets_a_topic_step_back(
    actions: list[tuple[str, Any]],
) -> None:
    """Refusals, broken connections, a failing disk and deaths, in any order."""
    with tempfile.TemporaryDirectory() as folder:
        process = Process(Path(folder) / "outbox.sqlite")
        for name, value in actions:
            act(process, name, value)
        process.finish()
        process.check()
        process.outbox.close()


def ready(tmp_path: Path) -> Process:
    """Make a process of which three messages are sent and two confirmed, with one more to go."""
    process = Process(tmp_path / "outbox.sqlite")
    for topic in (*TOPICS, TOPICS[0]):
        process.put(topic)
    process.delivery.turn()
    process.client.confirm()
    process.client.confirm()
    return process


def test_whichever_call_to_the_disk_fails_a_confirmation_is_not_forgotten(tmp_path: Path) -> None:
    """An id is told once: what could not be noted is noted at the next turn, and sent just once."""
    counted = ready(tmp_path / "counted")
    real = counted.outbox._db
    counting: Any = FailingDatabase(real, set())
    counted.outbox._db = counting
    counted.delivery.turn()
    counted.outbox._db = real
    counted.outbox.close()
    assert counting.calls >= 4, "begin, note, commit and read"
    for n in range(1, counting.calls + 1):
        process = ready(tmp_path / str(n))
        real = process.outbox._db
        failing: Any = FailingDatabase(real, {n})
        process.outbox._db = failing
        with pytest.raises(JournalError):
            process.delivery.turn()
        process.outbox._db = real
        process.finish()
        process.check()
        assert len(process.heard) == len(process.put_so_far)
        process.outbox.close()


def test_an_asset_waits_for_its_confirmation_and_another_overtakes_it(tmp_path: Path) -> None:
    """Over all its topics nothing of an asset overtakes; assets do not wait for each other."""
    process = Process(tmp_path / "outbox.sqlite")
    alert_a, alert_b, event_a = TOPICS
    for topic in (alert_a, event_a, alert_a, alert_b):
        process.put(topic)
    for _ in range(3):
        process.delivery.turn()
    assert [topic for topic, *_ in process.heard] == [alert_a, alert_b]
    for _ in range(3):
        process.client.confirm()
        process.delivery.turn()
    assert [topic for topic, *_ in process.heard] == [alert_a, alert_b, event_a, alert_a]
    process.outbox.close()


def test_no_more_than_the_cap_is_in_flight_and_a_confirmation_lets_one_follow(
    tmp_path: Path,
) -> None:
    """A broker that confirms nothing does not get the whole outbox; a turn is bounded too."""
    process = Process(tmp_path / "outbox.sqlite")
    count = IN_FLIGHT_MAX + READ_MAX
    process.outbox.put([message(f"t/{i}", i) for i in range(count)])
    process.delivery.turn()
    assert process.delivery.in_flight == READ_MAX
    for _ in range(count):
        process.delivery.turn()
    assert process.delivery.in_flight == len(process.client.in_flight) == IN_FLIGHT_MAX
    process.client.confirm()
    process.delivery.turn()
    process.delivery.turn()
    assert [payload for _, payload, *_ in process.heard] == [
        message("t", i).payload for i in range(IN_FLIGHT_MAX + 1)
    ]
    process.outbox.close()


def test_a_broker_that_forgot_hears_the_last_word_of_every_retained_topic_again(
    tmp_path: Path,
) -> None:
    """Whichever publication of them fails: all of them, the same bytes, and nothing else."""
    said = [
        Publish(
            topic=topic, payload=b"%d" % i, qos=1, retain=topic != TOPICS[2], key=(f"id-{i}", 1)
        )
        for i, (topic, _) in enumerate(STORY)
    ]
    last = {m.topic: m.payload for m in said if m.retain}
    for n in range(1, len(last) + 2):
        process = Process(tmp_path / f"{n}.sqlite")
        process.put_so_far = said
        process.outbox.put(said)
        process.finish()
        del process.heard[:]
        process.delivery.say_again()
        process.client.refuse_at = process.client.calls + n
        process.delivery.turn()
        assert len(process.heard) == min(n - 1, len(last))
        process.finish()
        assert len(process.heard) == len(last)
        assert {topic: payload for topic, payload, *_ in process.heard} == last
        process.delivery.turn()
        assert len(process.heard) == len(last), "it is said once"
        process.outbox.close()


def test_what_is_newer_and_waits_is_not_preceded_by_what_it_replaces(tmp_path: Path) -> None:
    """Said again, the older word would reach people for whom the newer one is on its way."""
    process = Process(tmp_path / "outbox.sqlite")
    process.outbox.put([message(TOPICS[0], 0), message(TOPICS[1], 2)])
    process.finish()
    process.outbox.put([message(TOPICS[0], 4)])
    del process.heard[:]
    process.delivery.say_again()
    process.finish()
    assert {(topic, payload) for topic, payload, *_ in process.heard} == {
        (TOPICS[1], message(TOPICS[1], 2).payload),
        (TOPICS[0], message(TOPICS[0], 4).payload),
    }
    process.outbox.close()


def test_without_a_connection_confirmations_are_noted_and_nothing_is_sent(tmp_path: Path) -> None:
    """The broker's word counts although it has gone since, and a restart does not repeat it."""
    process = ready(tmp_path)
    process.client.connected = False
    process.delivery.turn()
    assert process.outbox.pending_count() == 2
    process.restart()
    process.finish()
    process.check()
    payloads = [payload for _, payload, *_ in process.heard]
    assert [payloads.count(m.payload) for m in process.put_so_far] == [1, 1, 1, 1]
    process.outbox.close()


def test_last_words_do_not_pile_up_over_connections_that_break_at_once(tmp_path: Path) -> None:
    """However often the broker comes and goes before it takes them, each is said once."""
    process = Process(tmp_path / "outbox.sqlite")
    process.outbox.put([message(TOPICS[0], 0), message(TOPICS[1], 2)])
    process.finish()
    del process.heard[:]
    for _ in range(50):
        process.client.refuse_at = process.client.calls + 1
        process.delivery.say_again()
        process.delivery.turn()
    process.finish()
    assert sorted(payload for _, payload, *_ in process.heard) == [
        message(TOPICS[0], 0).payload,
        message(TOPICS[1], 2).payload,
    ]
    process.outbox.close()
