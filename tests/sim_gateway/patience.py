"""What may block on a slow disk, done beside the loop in simulated time, and waited for in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from edge.storage.patience import Job, Patience
from tests.sim_gateway.fate import Killed

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.sim_gateway.disk import ForgetfulDisk
    from tests.sim_gateway.fate import Fate

T = TypeVar("T")


class SlowPatience(Patience):
    """One thing after another, each as long as the disk takes; what a process began ends with it.

    A piece of work happens at one moment, at its end: before it the loop goes on without it.
    """

    def __init__(self, fate: Fate, disk: ForgetfulDisk, *, syncs: bool) -> None:
        """syncs: it is the one that syncs the journal."""
        super().__init__(clock=fate.time)
        self._syncs = syncs
        self._fate, self._disk, self._life = fate, disk, fate.lives
        self._free_s = 0.0

    def stop(self) -> None:
        """What has not been done by now is left."""
        self._life = -1

    def _ask(self, work: Callable[[], object]) -> Job:
        now_s = self._fate.time.now_s
        job = Job(work, begun_s=now_s)
        took_s = self._disk.took_s()
        if not took_s and self._free_s <= now_s:
            job.run()
        else:
            self._free_s = max(self._free_s, now_s) + took_s
            if self._syncs:
                self._disk.syncs_until_s = self._free_s
            self._fate.time.at(self._free_s, lambda: self._do(job))
        if isinstance(job.error, Killed):
            raise job.error
        return job

    def _do(self, job: Job) -> None:
        if self._life == self._fate.lives and not self._fate.dead:
            job.run()

    def _wait(self, job: Job, seconds_max: float) -> bool:
        begun_s = self._clock_s()
        while not job.done.is_set() and (left_s := self._left_s(begun_s, seconds_max)) > 0.0:
            asked_s = self._until_s

            def enough(asked_s: float = asked_s) -> bool:
                return job.done.is_set() or self._until_s != asked_s

            self._fate.wait(left_s, enough=enough)
        return job.done.is_set()
