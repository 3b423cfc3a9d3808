"""Patience with a disk: what may block is done by a thread, and who waits for it does so briefly.

A card or a network drive may take seconds for one sync. The loop that scores must not stand still
for that: it waits at most `WAIT_S_MAX`, and goes on without the disk from then on, until the thread
has come back.
"""

from __future__ import annotations

import threading
from queue import SimpleQueue
from typing import TYPE_CHECKING, Final, TypeVar, cast

from edge.errors import JournalError
from edge.storage.disk import CLOCK

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge.storage.disk import Clock

T = TypeVar("T")
WAIT_S_MAX: Final = 5.0  # the longest that the loop stands still for one call
STOP_S_MAX: Final = 0.5  # at a stop, which is to be over soon whatever hangs
HURRY_S: Final = 0.2  # for one call, when the time of a stop is over: sound disks answer in that
LOOK_S: Final = 0.05  # how often who waits looks whether a stop was asked for


class SlowDiskError(JournalError):
    """The disk has not answered in time; what it was asked goes on."""


class Job:
    """Something to do, and what came of it: a result, or an error."""

    def __init__(self, work: Callable[[], object], *, begun_s: float) -> None:
        self._work, self.begun_s = work, begun_s
        self.done = threading.Event()
        self.result: object = None
        self.error: BaseException | None = None

    def run(self) -> None:
        """Do it."""
        try:
            self.result = self._work()
        except BaseException as error:  # noqa: BLE001 - whoever asked gets it
            self.error = error
        self.done.set()


class Patience:
    """One thread that does one thing after another, for one loop."""

    def __init__(self, *, wait_s_max: float = WAIT_S_MAX, clock: Clock = CLOCK) -> None:
        self._wait_s_max, self._clock_s = wait_s_max, clock.monotonic_s
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()
        self._late: Job | None = None  # asked for, and not waited for to its end
        self._beside: Job | None = None  # asked for without waiting
        self._thread: threading.Thread | None = None
        self._came: dict[str, object] = {}  # what was opened, too late for who asked
        self._until_s = float("inf")

    def hurry(self, until_s: float) -> None:
        """Have all waiting end by a time, but for HURRY_S a call; safe from a signal handler."""
        self._until_s = until_s

    @property
    def busy(self) -> str:
        """Why nothing can be asked of it now; "" it can."""
        for job in (self._late, self._beside):
            if job is not None and not job.done.is_set():
                waited_s = self._clock_s() - job.begun_s
                if job is self._late or waited_s > self._wait_s_max:
                    return f"the disk has not answered for {waited_s:.0f} s"
        return ""

    def run(self, work: Callable[[], T]) -> T:
        """Do something and wait for it. Raises what it raises, and SlowDiskError."""
        if why := self.busy:
            raise SlowDiskError(why)
        job = self._ask(work)
        if not self._wait(job, self._wait_s_max):
            self._late = job
            waited_s = self._clock_s() - job.begun_s
            raise SlowDiskError(f"the disk has not answered for {waited_s:.2g} s")
        if job.error is not None:
            raise job.error
        return cast("T", job.result)

    def opened(self, name: str, work: Callable[[], T]) -> T:
        """Open something as `run` does; what comes too late is had by whoever asks again.

        Opened a second time it would find itself: a lock that somebody holds, and that is us.
        """

        def keep() -> None:
            self._came[name] = work()

        if name not in self._came:
            self.run(keep)
        return cast("T", self._came.pop(name))

    @property
    def idle(self) -> bool:
        """Whether something may be started beside the loop."""
        return self._beside is None and not self.busy

    @property
    def beside_s(self) -> float:
        """How long what was started beside the loop has taken so far, 0: nothing was."""
        job = self._beside
        return 0.0 if job is None or job.done.is_set() else self._clock_s() - job.begun_s

    def start(self, work: Callable[[], object]) -> None:
        """Do something beside the loop, which has to be idle; `finished` tells what came of it."""
        assert self.idle, "one thing at a time"
        self._beside = self._ask(work)

    def finished(self) -> Job | None:
        """What was done beside the loop, told once; None: nothing, or it goes on."""
        job = self._beside
        if job is None or not job.done.is_set():
            return None
        self._beside = None
        return job

    def settle(self, seconds_max: float) -> None:
        """Return when what was started beside the loop is done, or takes too long."""
        if self._beside is not None:
            left_s = max(self._until_s - self._clock_s(), 0.0)  # a stop has no time for more
            self._wait(self._beside, min(seconds_max, left_s))

    def stop(self) -> None:
        """End the thread when it has done what it was asked to do; a disk that hangs is left."""
        if self._thread is not None:
            self._jobs.put(None)
            most_s = min(STOP_S_MAX, self._wait_s_max)
            self._thread.join(timeout=self._left_s(self._clock_s(), most_s))

    def _ask(self, work: Callable[[], object]) -> Job:
        if self._thread is None:  # with the first thing that there is to do
            self._thread = threading.Thread(target=self._work, name="disk", daemon=True)
            self._thread.start()
        job = Job(work, begun_s=self._clock_s())
        self._jobs.put(job)
        return job

    def _wait(self, job: Job, seconds_max: float) -> bool:
        """Until it is done, at most so long; returns whether it is."""
        begun_s = self._clock_s()
        while not job.done.is_set() and (left_s := self._left_s(begun_s, seconds_max)) > 0.0:
            job.done.wait(min(left_s, LOOK_S))
        return job.done.is_set()

    def _left_s(self, begun_s: float, seconds_max: float) -> float:
        """How long somebody may wait on who has waited since a time."""
        until_s = min(begun_s + seconds_max, max(self._until_s, begun_s + HURRY_S))
        return until_s - self._clock_s()

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            job.run()


class NoPatience(Patience):
    """Everything is done at once by whoever asks for it, as in a simulation."""

    def _ask(self, work: Callable[[], object]) -> Job:
        job = Job(work, begun_s=self._clock_s())
        job.run()
        return job

    def stop(self) -> None:
        """Nothing to end."""
