"""Time and fate: what happens when, drawn from one seed, and the end of a process at any effect.

Nothing happens by itself. Whoever waits lets time pass, and what is due by then happens in its
order; a process that does something may be interrupted by what is due, or end there.
"""

from __future__ import annotations

import hashlib
import heapq
import random
from typing import TYPE_CHECKING, Final

from edge.storage.disk import Clock

if TYPE_CHECKING:
    from collections.abc import Callable

SECOND_NS: Final = 1_000_000_000
START_NS: Final = 1_760_000_000 * SECOND_NS
BOOT_S: Final = 20.0  # of 1970
HURRY_S: Final = 0.25  # how far an idle wait may jump: a loop on a busy machine wakes late, too
LOOK_S: Final = 0.01  # of processor time between two looks at it
TRACED: Final = 400  # newest lines of what happened, for whoever looks into a failure


class Killed(BaseException):
    """The end of a process: nothing of it runs on."""


class Time(Clock):
    """Virtual clocks: one that only advances, and a wall clock that steps and drifts beside it."""

    def __init__(self) -> None:
        self.now_s = self._busy_s = 0.0
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._number = 0
        self._offset_s, self._since_s, self._drift = 0.0, 0.0, 0.0

    def monotonic_s(self) -> float:
        """Seconds since the simulation began."""
        return self.now_s

    def busy_s(self) -> float:
        """Processor seconds: with each look it has done some more."""
        self._busy_s += LOOK_S
        return self._busy_s

    def wall_ns(self) -> int:
        """The machine's idea of the time."""
        return START_NS + self.true_ns(self._wall_s())

    def _wall_s(self) -> float:
        return self.now_s + self._offset_s + (self.now_s - self._since_s) * self._drift

    @staticmethod
    def true_ns(seconds: float) -> int:
        """Nanoseconds, to the microsecond: floats are no finer after a day."""
        return round(seconds * 1e6) * 1_000

    def step(self, by_s: float, *, drift: float) -> None:
        """Let the wall clock jump, and run faster or slower from here on."""
        self._offset_s = self._wall_s() - self.now_s + by_s
        self._since_s, self._drift = self.now_s, drift

    def steady(self) -> None:
        """Let the wall clock be right from here on."""
        self._offset_s, self._since_s, self._drift = 0.0, self.now_s, 0.0

    def forget(self) -> None:
        """Let the wall clock show what a box without a battery shows after it was switched on."""
        self._offset_s = BOOT_S - START_NS / SECOND_NS - self.now_s
        self._since_s, self._drift = self.now_s, 0.0

    def at(self, when_s: float, happens: Callable[[], None]) -> None:
        """Have something happen; what is due at one time happens in the order in which it came."""
        self._number += 1
        heapq.heappush(self._due, (max(when_s, self.now_s), self._number, happens))

    @property
    def next_s(self) -> float:
        """When something is due next."""
        return self._due[0][0] if self._due else float("inf")

    def pass_until(self, when_s: float, *, enough: Callable[[], bool] = bool) -> None:
        """Let time pass and everything due happen, up to a time or until `enough`."""
        while self._due and self._due[0][0] <= when_s:
            due_s, _, happens = heapq.heappop(self._due)
            self.now_s = max(self.now_s, due_s)
            happens()
            if enough():
                return
        self.now_s = max(self.now_s, when_s)


class Fate:
    """Draws, counts effects, ends processes, and keeps a trace whose hash says what happened."""

    def __init__(self, seed: int) -> None:
        self.draw = random.Random(seed)
        self.time = Time()
        self.effects = 0
        self.dead = False
        self.dies_at = 0  # number of the effect before which the process ends; 0: it does not
        self._ambush, self._ambush_count, self._ambush_after = "", 0, 0
        self.kills = self.steps = self.lives = 0
        self.trace: list[str] = []
        self._digest = hashlib.sha256()
        self._busy = False

    @property
    def digest(self) -> str:
        """A hash of everything that happened so far."""
        return self._digest.hexdigest()

    def note(self, what: str, content: bytes = b"") -> None:
        """Something happened that must happen again with the same seed."""
        line = f"{self.time.now_s:.6f} {what}"
        self._digest.update(line.encode() + b"\0" + content + b"\0")
        self.trace.append(f"{line} {content[:120]!r}" if content else line)
        if len(self.trace) > 2 * TRACED:
            del self.trace[:TRACED]

    def chance(self, probability: float) -> bool:
        """Whether something happens that does so often."""
        return self.draw.random() < probability

    def live(self, effects: int, *, ambush: str = "", count: int = 1) -> None:
        """A process begins that has so many effects before it ends; 0: as many as it likes.

        ambush: it ends so many effects behind the `count`th one whose name begins so.
        """
        self.dead = False
        self.lives += 1
        self.dies_at = self.effects + effects if effects and not ambush else 0
        self._ambush, self._ambush_count, self._ambush_after = ambush, count, effects

    def over(self) -> None:
        """A process has ended: what it has begun beside its loop is done no more."""
        self.dead = False
        self.lives += 1

    def spare(self) -> None:
        """The process that lives now does not end before it wants to."""
        self.dies_at, self._ambush = 0, ""

    def effect(self, what: str) -> bool:
        """The process does something that the world sees. Returns whether it is its last act.

        Raises Killed when it has ended already. What the network or a thread has for it may come
        just before.
        """
        if self.dead:
            raise Killed
        self.effects += 1
        if self._ambush and what.startswith(self._ambush):
            self._ambush_count -= 1
            if not self._ambush_count:
                self._ambush, self.dies_at = "", self.effects + self._ambush_after
        if self.effects % 7 == 0 and not self._busy:
            self._interrupt()
        return self.effects == self.dies_at and self._dies(what)

    def end(self, what: str) -> None:
        """End the process here, if it is its time."""
        if self.effect(what):
            raise Killed

    def _dies(self, what: str) -> bool:
        self.dead = True
        self.kills += 1
        self.note(f"killed at {what}")
        return True

    def _interrupt(self) -> None:
        """Let time pass in the middle of what the process does."""
        self._busy = True
        try:
            took_s = self.draw.choice((0.0, 0.0, 0.0, 0.0001, 0.001, 0.02))
            self.time.pass_until(self.time.now_s + took_s)
        finally:
            self._busy = False

    def wait(self, seconds: float, *, enough: Callable[[], bool] = bool) -> None:
        """The process waits."""
        self.end("wait")
        self.steps += 1
        if enough():
            return
        self._busy = True
        try:
            until_s = self.time.now_s + seconds
            if seconds:
                until_s = max(until_s, min(self.time.next_s, self.time.now_s + HURRY_S))
            self.time.pass_until(until_s, enough=enough)
        finally:
            self._busy = False
