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

from edge.records import RetrievalDone

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge.records import Retrieve
    from kb.records import Hit, Query

STOP_S_MAX: Final = 0.5
QUEUE_MAX: Final = 64  # more questions than this at once is a flood; the rest is told so


class Searcher(Protocol):
    """What retrieval needs of a snapshot; `kb.snapshots.snapshot.Snapshot` is one."""

    def search(self, query: Query, *, now_ns: int) -> tuple[Hit, ...]:
        """Passages, best first, that were known at `now_ns`."""


def look_up(searcher: Searcher | None, effect: Retrieve, *, now_ns: int) -> RetrievalDone:
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
        self._searcher = searcher
        self._answer = answer
        self._queue: queue.Queue[tuple[Retrieve, int, float] | None] = queue.Queue(QUEUE_MAX)
        self._search: queue.Queue[tuple[Retrieve, int, _Slot] | _Swap | None] = queue.Queue()
        self._stopping = False
        self._thread = threading.Thread(target=self._work, name="retrieve", daemon=True)
        self._searching = threading.Thread(target=self._work_search, name="search", daemon=True)
        self._thread.start()
        self._searching.start()

    def ask(self, effect: Retrieve, *, now_ns: int) -> None:
        """Queue a question; `now_ns` is plant time, which decides what was known."""
        deadline_s = time.monotonic() + effect.deadline_ms / 1000
        try:
            self._queue.put_nowait((effect, now_ns, deadline_s))
        except queue.Full:
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

    def _work(self) -> None:
        running: _Slot | None = None  # a search that was given up and still goes on
        while (item := self._queue.get()) is not None and not self._stopping:
            effect, now_ns, deadline_s = item
            if running is not None and not running.wait(deadline_s):
                self._late(effect)
                continue
            running = None
            if time.monotonic() > deadline_s:
                self._late(effect)
                continue
            slot = _Slot()
            self._search.put((effect, now_ns, slot))
            if slot.wait(deadline_s) and slot.done is not None:
                self._answer(slot.done)
            else:
                self._late(effect)
                running = slot

    def _late(self, effect: Retrieve) -> None:
        self._answer(
            RetrievalDone(alert_id=effect.alert_id, hits=None, reason="the deadline had passed")
        )

    def _work_search(self) -> None:
        while (item := self._search.get()) is not None:
            if isinstance(item, _Swap):
                self._searcher = item.searcher
                item.unused()
                del item  # the next question may be long in coming, and it holds a whole snapshot
                continue
            effect, now_ns, slot = item
            slot.done = look_up(self._searcher, effect, now_ns=now_ns)
            slot.ready.set()


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
