"""Retrieval: one answer to each question, in time or with the reason for none."""

from __future__ import annotations

import threading
import weakref
from collections import deque
from typing import TYPE_CHECKING

from edge.knowledge.retrieve import QUEUE_MAX, Retriever, look_up
from edge.records import RetrievalDone, Retrieve
from kb.records import Query
from tests.waiting import wait_until

if TYPE_CHECKING:
    from kb.records import Hit


def question(i: int, deadline_ms: int = 60_000) -> Retrieve:
    """Make a question about alert i."""
    query = Query(asset="r1", text="x")
    return Retrieve(alert_id=f"a{i}", query=query, deadline_ms=deadline_ms)


class Hanging:
    """A searcher that answers once it is let go."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.asked: list[int] = []

    def search(self, query: Query, *, now_ns: int) -> tuple[Hit, ...]:
        """Wait, then find nothing."""
        del query
        self.asked.append(now_ns)
        assert self.go.wait(30)
        return ()

    def era(self, now_ns: int) -> int:
        """At each time something else is known."""
        return now_ns


class Breaking:
    """A searcher that raises."""

    def search(self, query: Query, *, now_ns: int) -> tuple[Hit, ...]:
        """Raise."""
        raise RuntimeError(f"index of {query.asset} at {now_ns} is gone")

    def era(self, now_ns: int) -> int:
        """At each time something else is known."""
        return now_ns


def test_failures_are_answers() -> None:
    """No knowledge base and a broken one both say why, and find None rather than nothing."""
    none = look_up(None, question(1), now_ns=5)
    assert none.hits is None
    assert "no knowledge base" in none.reason
    broken = look_up(Breaking(), question(1), now_ns=5)
    assert broken.hits is None
    assert broken.reason == "RuntimeError: index of r1 at 5 is gone"


def test_answers_come_in_order_with_the_time_asked_for() -> None:
    """Plant time goes to the search: it decides what was known."""
    searcher = Hanging()
    searcher.go.set()
    answers: deque[RetrievalDone] = deque()
    retriever = Retriever(searcher, answers.append)
    for i in range(20):
        retriever.ask(question(i), now_ns=i)
    wait_until(lambda: len(answers) == 20, what="20 answers")
    retriever.stop()
    assert [done.alert_id for done in answers] == [f"a{i}" for i in range(20)]
    assert all(done.hits == () for done in answers)
    assert searcher.asked == list(range(20))


def test_a_search_that_hangs_is_answered_at_its_deadline() -> None:
    """So are the ones behind it; once it is over, questions are answered again, each once."""
    searcher = Hanging()
    answers: deque[RetrievalDone] = deque()
    retriever = Retriever(searcher, answers.append)
    for i in range(3):
        retriever.ask(question(i, deadline_ms=50), now_ns=0)
    wait_until(lambda: len(answers) == 3, what="three answers")
    assert all(done.hits is None and "deadline" in done.reason for done in answers)
    assert len(searcher.asked) == 1
    searcher.go.set()
    retriever.ask(question(9), now_ns=0)
    wait_until(lambda: len(answers) == 4, what="the fourth answer")
    assert answers[-1] == RetrievalDone(alert_id="a9", hits=())
    retriever.stop()
    assert len(answers) == 4


def test_a_flood_is_answered_at_once_and_stopping_does_not_hang() -> None:
    """The queue is bounded; what does not fit is told so."""
    searcher = Hanging()
    answers: deque[RetrievalDone] = deque()
    retriever = Retriever(searcher, answers.append)
    for i in range(QUEUE_MAX + 10):
        retriever.ask(question(i), now_ns=0)
    told = [done for done in answers if "too many" in done.reason]
    assert 9 <= len(told) <= 10
    stopper = threading.Thread(target=retriever.stop)
    stopper.start()
    stopper.join(20)
    assert not stopper.is_alive()
    searcher.go.set()


def test_what_nobody_searches_any_more_is_not_held() -> None:
    """After a swap the searcher before is let go at once, not with the next question."""
    before = Breaking()
    alive, swapped = weakref.ref(before), threading.Event()
    retriever = Retriever(before, lambda _: None)
    retriever.swap(None, swapped.set)
    del before
    assert swapped.wait(30)
    wait_until(lambda: alive() is None)
    bound = Hanging()
    alive_bound = weakref.ref(bound)
    retriever.swap(None, _Holding(bound))  # a callback may be the last to hold it
    del bound
    wait_until(lambda: alive_bound() is None)
    retriever.stop()


class _Holding:
    """A callback that holds something, and nothing else does."""

    def __init__(self, held: object) -> None:
        self._held = held

    def __call__(self) -> None:
        """Do nothing."""
