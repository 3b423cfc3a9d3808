"""Retrieval: one answer to each question, in time or with the reason for none."""

from __future__ import annotations

import threading
import weakref
from collections import deque

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from edge.knowledge.remembered import ANSWERS_MAX, Remembered
from edge.knowledge.retrieve import QUEUE_MAX, Retriever, look_up
from edge.records import RetrievalDone, Retrieve
from edge.wire.timing import RetrievalPayload
from kb.records import Hit, Query
from tests.edge.rig import QUOTE
from tests.waiting import wait_until


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


class Counting:
    """A searcher that finds what its time makes of it; something else is known each ten ns."""

    def __init__(self, name: str = "") -> None:
        self.name = name
        self.searches = 0
        self.fails = False

    def search(self, query: Query, *, now_ns: int) -> tuple[Hit, ...]:
        """One hit that says of what and when."""
        self.searches += 1
        if self.fails:
            raise RuntimeError("cannot look")
        said = f"{self.name} {query.asset} {query.text} {self.era(now_ns)}"
        cited = msgspec.structs.replace(QUOTE, quote=said)
        return (Hit(citation=cited, title="", section="", kind="manual", score=1, similarity=1),)

    def era(self, now_ns: int) -> int:
        """Ten ns each."""
        return now_ns // 10


@given(
    st.lists(
        st.tuples(st.sampled_from("ab"), st.sampled_from("xy"), st.integers(0, 39)), max_size=60
    )
)
def test_a_remembered_answer_is_the_one_that_a_search_would_give(
    asked: list[tuple[str, str, int]],
) -> None:
    """Of each asset, question and time; and none is searched twice for."""
    searcher = Counting()
    remembered = Remembered(searcher)
    for asset, text, now_ns in asked:
        query = Query(asset=asset, text=text)
        assert remembered.search(query, now_ns=now_ns) == Counting().search(query, now_ns=now_ns)
    assert searcher.searches == len({(asset, text, ns // 10) for asset, text, ns in asked})
    assert remembered.counted() == (searcher.searches, len(asked) - searcher.searches)
    assert remembered.counted() == (0, 0)


def test_what_could_not_be_searched_is_searched_again() -> None:
    """A failure is no answer."""
    searcher, query = Counting(), Query(asset="a", text="x")
    remembered = Remembered(searcher)
    searcher.fails = True
    for _ in range(2):
        assert look_up(remembered, question(1), now_ns=0).hits is None
    searcher.fails = False
    assert remembered.search(query, now_ns=0)
    assert searcher.searches == 3


def test_remembered_answers_are_bounded_and_the_oldest_goes() -> None:
    """What is asked again and again stays."""
    searcher = Counting()
    remembered = Remembered(searcher)
    often = Query(asset="often", text="x")
    for n in range(3 * ANSWERS_MAX):
        remembered.search(often, now_ns=0)
        remembered.search(Query(asset=f"a{n}", text="x"), now_ns=0)
    assert len(remembered._found) == ANSWERS_MAX
    assert searcher.searches == 3 * ANSWERS_MAX + 1
    remembered.search(Query(asset="a0", text="x"), now_ns=0)
    assert searcher.searches == 3 * ANSWERS_MAX + 2


def test_another_snapshot_is_asked_anew_and_everything_is_counted() -> None:
    """Behind a swap no answer of the one before is given; health tells all of it once."""
    answers: deque[RetrievalDone] = deque()
    retriever = Retriever(Counting("old"), answers.append)
    for n in range(3):
        retriever.ask(question(n), now_ns=0)
    wait_until(lambda: len(answers) == 3, what="three answers")
    retriever.swap(Counting("new"), lambda: None)
    retriever.ask(question(3), now_ns=0)
    wait_until(lambda: len(answers) == 4, what="the fourth answer")
    said = [done.hits[0].citation.quote.split()[0] for done in answers if done.hits]
    assert said == ["old", "old", "old", "new"]
    told = retriever.told()
    assert (told.searches, told.cached, told.late, told.refused) == (2, 2, 0, 0)
    assert told.answer_ms.count == 4
    assert retriever.told() == RetrievalPayload()
    retriever.stop()


def test_late_and_refused_questions_are_counted() -> None:
    """Each as what it is; those that were refused took no time."""
    searcher = Hanging()
    answers: deque[RetrievalDone] = deque()
    retriever = Retriever(searcher, answers.append)
    for n in range(QUEUE_MAX + 5):
        retriever.ask(question(n, deadline_ms=50), now_ns=0)
    wait_until(lambda: len(answers) == QUEUE_MAX + 5, what="all answers")
    told = retriever.told()
    assert told.refused == sum("too many" in done.reason for done in answers) >= 4
    assert told.late == told.answer_ms.count == QUEUE_MAX + 5 - told.refused
    searcher.go.set()
    retriever.stop()


class _Holding:
    """A callback that holds something, and nothing else does."""

    def __init__(self, held: object) -> None:
        self._held = held

    def __call__(self) -> None:
        """Do nothing."""
