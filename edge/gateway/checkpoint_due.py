"""When the next checkpoint is due: by time, and by what a restart would have to do again.

A restart takes the journal behind the checkpoint again, which costs what it cost the first time. So
a busy plant is kept more often than a small one, which saves its flash; and a process that was
killed soon after its start leaves no more behind than it found.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge.configuration.sections import JournalConfig
    from edge.storage.disk import Clock

FIRST_S_MIN: Final = 1.0  # after a start, which is to connect and score first
# One that is due waits so long for a moment in which it makes no tick late, and not for more than
# a part of what is between two: each brings the journal to the disk, too. A journal that is not
# there when a write fails has to be brought there before it can go on.
WAITS_S_MAX: Final = 0.25
WAITS_SHARE: Final = 1 / 16
# However busy: each one costs 50 to 90 ms of processor time at 1,000 assets and the disk its bytes,
# and a restart behind it does again what the engine does in so long.
EVERY_S_MIN: Final = 4.0
# Processor time that the engine needs on a small core, taken as three times that of the machine in
# docs/performance.md: for a message of a row with all that follows from it at its tick (12 to 16 us
# there), and for an asset at a tick to which nothing has come (0.05 to 0.26 us there).
MESSAGE_S: Final = 50e-6
LOOK_S: Final = 0.8e-6


def every_s(
    journal: JournalConfig, *, messages_per_s: float, assets: int, ticks_per_s: float
) -> float:
    """How often a plant's checkpoints come, about."""
    share = messages_per_s * MESSAGE_S + assets * ticks_per_s * LOOK_S
    if not journal.replay_s or share * journal.checkpoint_s <= journal.replay_s:
        return journal.checkpoint_s
    return min(max(journal.replay_s / share, EVERY_S_MIN), journal.checkpoint_s)


class CheckpointDue:
    """What was done since the newest checkpoint; `with` it, what is done counts."""

    def __init__(self, journal: JournalConfig, *, clock: Clock) -> None:
        self._every_s = journal.checkpoint_s
        self._replay_s = journal.replay_s or math.inf
        self._busy_s, self._clock_s = clock.busy_s, clock.monotonic_s
        self._spent_s = 0.0  # of processor time, that a restart would spend again
        self._begun_s = 0.0
        self._asked_s = math.inf  # on the loop's clock
        self._rest_s = min(FIRST_S_MIN, self._every_s)
        self._waits_s = min(WAITS_S_MAX, WAITS_SHARE * self._every_s)
        self._told_s = self._took_s = 0.0  # when to begin one, and how long that took

    def __enter__(self) -> None:
        self._begun_s = self._busy_s()

    def __exit__(self, *_: object) -> None:
        self._spent_s += self._busy_s() - self._begun_s

    def now(self, now_s: float, suits: Callable[[float], bool]) -> bool:
        """Whether to begin one; what cannot be begun is asked for again.

        suits: whether the moment does, for what takes so many seconds.
        """
        if self._asked_s == math.inf:  # let it first do what it was started for
            self._asked_s = now_s
            return False
        costly = self._spent_s >= self._replay_s
        waited_s = now_s - self._asked_s - (self._rest_s if costly else self._every_s)
        if waited_s < 0.0 or (waited_s < self._waits_s and not suits(self._took_s)):
            return False
        self._told_s = self._clock_s()
        self._asked_s, self._rest_s = now_s, min(EVERY_S_MIN, self._every_s)
        return True

    def begun(self) -> None:
        """What was done so far is in a checkpoint."""
        self._spent_s, self._took_s = 0.0, self._clock_s() - self._told_s
