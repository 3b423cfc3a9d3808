"""Retrieval beside the loop.

A bounded worker that answers before its deadline or says why it could not.

A verdict never waits for it. The answer is a stimulus like any other, so it stands in the journal.
"""

from __future__ import annotations

import queue
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol

from edge.knowledge.remembered import Remembered
from edge.records import RetrievalDone
from edge.spread import Spread
from edge.wire.timing import RetrievalPayload

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge.knowledge.remembered import Searcher
    from edge.records import Retrieve
    from kb.records import Hit, Query

STOP_S_MAX: Final = 0.5
QUEUE_MAX: Final = 64  # more questions than this at once is a flood; the rest is told so


class Asked(Protocol):
    """What can be asked; `kb.snapshots.snapshot.Snapshot` is one."""

    def search(self, query: Query, *, now_ns: int) -> tuple[Hit, ...]:
        """Passages, best first, that were known at `now_ns`."""


def look_up(searcher: Asked | None, effect: Retrieve, *, now_ns: int) -> RetrievalDone:
    """Answer one question here and now; a failure is an answer too."""
    if searcher is None:
        return RetrievalDone(
            alert_id=effect.alert_id, hits=None, reason="no knowledge base is configured"
        )
    try:
        hits = searcher.search(effect.query, now_ns=now_ns)
    except Exception as error:  # noqa: BLE001 - whatever breaks in there, the alert stands and says so
        return RetrievalDone(
            alert_id=effect.alert_id, hits=None, reason=f"{type(error).__name__}: {error}"[:200]
        )
    return RetrievalDone(alert_id=effect.alert_id, hits=hits)


class Retriever:
    """One thread that searches and one that keeps the deadlines.

    So that none waits for a hung search.

    `answer` is called once for each question: from a thread, or at once when it cannot be taken.
    """

    def __init__(self, searcher: Searcher | None, answer: Callable[[RetrievalDone], None]) -> None:
        self._searcher = _remembered(searcher)
        self._answer = answer
        self._lock = threading.Lock()  # of what is counted
        self._took, self._late_total, self._refused_total = Spread(), 0, 0
        self._searches = self._cached = 0
        self._queue: queue.Queue[_Question | None] = queue.Queue(QUEUE_MAX)
        self._search: queue.Queue[tuple[_Question, _Slot] | _Swap | None] = queue.Queue()
        self._stopping = False
        self._thread = threading.Thread(target=self._work, name="retrieve", daemon=True)
        self._searching = threading.Thread(target=self._work_search, name="search", daemon=True)
        self._thread.start()
        self._searching.start()

    def ask(self, effect: Retrieve, *, now_ns: int) -> None:
        """Queue a question; `now_ns` is plant time, which decides what was known."""
        question = _Question(effect, now_ns, time.monotonic())
        try:
            self._queue.put_nowait(question)
        except queue.Full:
            with self._lock:
                self._refused_total += 1
            self._answer(
                RetrievalDone(
                    alert_id=effect.alert_id, hits=None, reason="too many questions at once"
                )
            )

    def swap(self, searcher: Searcher | None, unused: Callable[[], None]) -> None:
        """Search in another from the next question on; `unused` is called when none does before."""
        self._search.put(_Swap(searcher, unused))

    def stop(self) -> None:
        """Let the threads end; what has not been answered is asked again after a restart."""
        self._stopping = True
        with suppress(queue.Full):  # the thread looks at `_stopping` before each question
            self._queue.put_nowait(None)
        self._search.put(None)
        until_s = time.monotonic() + STOP_S_MAX
        for thread in (self._thread, self._searching):
            thread.join(timeout=max(0.0, until_s - time.monotonic()))

    def told(self) -> RetrievalPayload:
        """How it went since this was last asked."""
        with self._lock:
            late, refused = self._late_total, self._refused_total
            searches, cached = self._searches, self._cached
            self._late_total = self._refused_total = self._searches = self._cached = 0
            took = self._took.told()
        return RetrievalPayload(
            answer_ms=took, searches=searches, cached=cached, late=late, refused=refused
        )

    def _work(self) -> None:
        running: _Slot | None = None  # a search that was given up and still goes on
        while (question := self._queue.get()) is not None and not self._stopping:
            if running is not None and not running.wait(question.deadline_s):
                self._late(question)
                continue
            running = None
            if time.monotonic() > question.deadline_s:
                self._late(question)
                continue
            slot = _Slot()
            self._search.put((question, slot))
            if slot.wait(question.deadline_s) and slot.done is not None:
                self._give(question, slot.done)
            else:
                self._late(question)
                running = slot

    def _late(self, question: _Question) -> None:
        with self._lock:
            self._late_total += 1
        why = "the deadline had passed"
        self._give(
            question, RetrievalDone(alert_id=question.effect.alert_id, hits=None, reason=why)
        )

    def _give(self, question: _Question, done: RetrievalDone) -> None:
        with self._lock:
            self._took.add((time.monotonic() - question.asked_s) * 1e3)
        self._answer(done)

    def _work_search(self) -> None:
        while (item := self._search.get()) is not None:
            if isinstance(item, _Swap):
                self._searcher = _remembered(item.searcher)
                item.unused()
                del item  # the next question may be long in coming, and it holds a whole snapshot
                continue
            question, slot = item
            slot.done = look_up(self._searcher, question.effect, now_ns=question.now_ns)
            self._count()
            slot.ready.set()

    def _count(self) -> None:
        if self._searcher is not None:
            searches, cached = self._searcher.counted()
            with self._lock:
                self._searches += searches
                self._cached += cached


def _remembered(searcher: Searcher | None) -> Remembered | None:
    return None if searcher is None else Remembered(searcher)


@dataclass(frozen=True, slots=True)
class _Question:
    """One question; `now_ns` is plant time, `asked_s` of the monotonic clock."""

    effect: Retrieve
    now_ns: int
    asked_s: float

    @property
    def deadline_s(self) -> float:
        """When its answer is too late."""
        return self.asked_s + self.effect.deadline_ms / 1000


@dataclass(frozen=True, slots=True)
class _Swap:
    """Another searcher, between two searches."""

    searcher: Searcher | None
    unused: Callable[[], None]


@dataclass(slots=True)
class _Slot:
    """Where the answer to one question appears."""

    ready: threading.Event = field(default_factory=threading.Event)
    done: RetrievalDone | None = None

    def wait(self, deadline_s: float) -> bool:
        """Whether it is there before `deadline_s` of the monotonic clock."""
        return self.ready.wait(max(0.0, deadline_s - time.monotonic()))
