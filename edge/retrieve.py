"""Retrieval beside the loop: a bounded worker that answers before its deadline or says why it could not.

A verdict never waits for it. The answer is a stimulus like any other, so it stands in the journal.
"""

from __future__ import annotations

import queue
import threading
import time
from typing import TYPE_CHECKING, Final, Protocol

from edge.records import RetrievalDone

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge.records import Retrieve
    from kb.records import Hit, Query

QUEUE_MAX: Final = 64  # more questions than this at once is a flood; the rest is told so


class Searcher(Protocol):
    """What retrieval needs of a snapshot; `kb.snapshot.Snapshot` is one."""

    def search(self, query: Query, *, now_ns: int) -> tuple[Hit, ...]:
        """Passages, best first, that were known at `now_ns`."""


def look_up(searcher: Searcher | None, effect: Retrieve, *, now_ns: int) -> RetrievalDone:
    """Answer one question here and now; a failure is an answer too."""
    if searcher is None:
        return RetrievalDone(alert_id=effect.alert_id, hits=None, reason="no knowledge base is configured")
    try:
        hits = searcher.search(effect.query, now_ns=now_ns)
    except Exception as error:  # noqa: BLE001 - whatever breaks in there, the alert stands and says so
        return RetrievalDone(
            alert_id=effect.alert_id, hits=None, reason=f"{type(error).__name__}: {error}"[:200]
        )
    return RetrievalDone(alert_id=effect.alert_id, hits=hits)


class Retriever:
    """One worker thread. `answer` is called from it, or at once when a question cannot be taken."""

    def __init__(self, searcher: Searcher | None, answer: Callable[[RetrievalDone], None]) -> None:
        self._searcher = searcher
        self._answer = answer
        self._queue: queue.Queue[tuple[Retrieve, int, float] | None] = queue.Queue(QUEUE_MAX)
        self._thread = threading.Thread(target=self._work, name="retrieve", daemon=True)
        self._thread.start()

    def ask(self, effect: Retrieve, *, now_ns: int) -> None:
        """Queue a question; `now_ns` is plant time, which decides what was known."""
        deadline_s = time.monotonic() + effect.deadline_ms / 1000
        try:
            self._queue.put_nowait((effect, now_ns, deadline_s))
        except queue.Full:
            self._answer(
                RetrievalDone(alert_id=effect.alert_id, hits=None, reason="too many questions at once")
            )

    def stop(self) -> None:
        """Let the worker end."""
        self._queue.put(None)
        self._thread.join(timeout=5.0)

    def _work(self) -> None:
        while (item := self._queue.get()) is not None:
            effect, now_ns, deadline_s = item
            if time.monotonic() > deadline_s:
                self._answer(
                    RetrievalDone(alert_id=effect.alert_id, hits=None, reason="the deadline had passed")
                )
                continue
            self._answer(look_up(self._searcher, effect, now_ns=now_ns))
