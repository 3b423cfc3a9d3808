"""Patience with a disk: what may block is done by a thread, and who waits for it does so briefly.

A card or a network drive may take seconds for one sync. The loop that scores must not stand still
for that: it waits at most `WAIT_S_MAX`, and goes on without the disk from then on, until the thread
has come back.
"""

from __future__ import annotations

import threading
import time
from queue import SimpleQueue
from typing import TYPE_CHECKING, Final, TypeVar

from edge.errors import JournalError

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")
WAIT_S_MAX: Final = 2.0  # the longest that the loop stands still for one call


class SlowDiskError(JournalError):
    """The disk has not answered in time; what it was asked goes on."""


class _Job:
    """Something to do, and what came of it."""

    def __init__(self, work: Callable[[], object]) -> None:
        self._work = work
        self.done = threading.Event()
        self.begun_s = time.monotonic()
        self.result: object = None
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            self.result = self._work()
        except BaseException as error:  # noqa: BLE001 - whoever asked gets it
            self.error = error
        self.done.set()


class Patience:
    """One thread that does one thing after another, for one loop."""

    def __init__(self, *, wait_s_max: float = WAIT_S_MAX) -> None:
        self._wait_s_max = wait_s_max
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._late: _Job | None = None  # asked for, and not waited for to its end
        self._beside: _Job | None = None  # asked for without waiting
        self._thread = threading.Thread(target=self._work, name="disk", daemon=True)
        self._thread.start()

    @property
    def busy(self) -> str:
        """Why nothing can be asked of it now; "" it can."""
        for job in (self._late, self._beside):
            if job is not None and not job.done.is_set():
                waited_s = time.monotonic() - job.begun_s
                if job is self._late or waited_s > self._wait_s_max:
                    return f"the disk has not answered for {waited_s:.0f} s"
        return ""

    def run(self, work: Callable[[], T]) -> T:
        """Do something and wait for it. Raises what it raises, and SlowDiskError."""
        if why := self.busy:
            raise SlowDiskError(why)
        job = self._ask(work)
        if not job.done.wait(self._wait_s_max):
            self._late = job
            raise SlowDiskError(f"the disk has not answered for {self._wait_s_max:g} s")
        if job.error is not None:
            raise job.error
        return job.result  # type: ignore[return-value] - what `work` has returned

    def start(self, work: Callable[[], object]) -> bool:
        """Do something beside the loop; False: it still does what it was asked to do before."""
        if self.busy or (self._beside is not None and not self._beside.done.is_set()):
            return False
        self._beside = self._ask(work)
        return True

    def failed(self) -> JournalError | None:
        """What became of the last thing that was done beside the loop; None: all is well.

        Told once. Raises what is no trouble of the disk.
        """
        job = self._beside
        if job is None or not job.done.is_set():
            return None
        self._beside = None
        if job.error is None or isinstance(job.error, JournalError):
            return job.error
        raise job.error

    def stop(self) -> None:
        """End the thread when it has done what it was asked to do; a disk that hangs is left."""
        self._jobs.put(None)
        self._thread.join(timeout=self._wait_s_max)

    def _ask(self, work: Callable[[], object]) -> _Job:
        job = _Job(work)
        self._jobs.put(job)
        return job

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            job.run()
