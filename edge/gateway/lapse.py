"""A lapse of durability: since when the disk does not take what must survive, why, what is lost.

Three parts may lapse, each by itself: the journal (then stimuli stand nowhere, and it gets a hole),
the outbox (then alerts wait in memory) and the audit trail (then its lines do). Whichever it is,
the gateway says that it is not durable, and which of them. They recover one by one; all is well
when the last has.

A disk that works again for moments only is looked at ever more seldom, over lapses too: a lapse a
minute at most.
"""

from __future__ import annotations

import secrets
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from edge.records import JournalHole, ShellFault
from edge.work.durable import NOT_DURABLE

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge.gateway.faults import Faults
    from edge.storage.disk import Clock

PROBE_S_MIN: Final = 2.0  # between two looks whether the disk works again
PROBE_S_MAX: Final = 60.0
CALM_S: Final = 600.0  # durable for so long, the next lapse is looked at soon again
LEAP_MIN: Final = 1 << 16  # more revisions than an alert gets in a hole
LEAP_MAX: Final = 1 << 20  # a thousand holes, each twice, fit into 32 bits with a sign


class Part(StrEnum):
    """What must survive."""

    JOURNAL = "journal"
    OUTBOX = "outbox"
    AUDIT = "audit trail"


def drawn_leap() -> int:
    """A number that no other process draws, as far as one can tell: one in a million."""
    return LEAP_MIN + secrets.randbelow(LEAP_MAX - LEAP_MIN)


class Lapse:
    """For one process: whether there is one now, and all that there were."""

    def __init__(self, faults: Faults, *, clock: Clock, leap: Callable[[], int]) -> None:
        """leap: draws a number as `drawn_leap` does."""
        self._faults, self._clock, self._draw = faults, clock, leap
        self.parts: dict[Part, str] = {}  # what has lapsed, and why
        self.leap = 0
        self.since_ns = self.journal_since_ns = 0
        self._since_s = self._probe_due_s = 0.0
        self._probe_s = PROBE_S_MIN
        self._ended_s = float("-inf")
        self.stimuli = 0  # that stand in no journal, of this lapse
        self.stimuli_total = self.unaudited_lost_total = 0
        self.lapses_total = 0
        self._news: list[ShellFault] = []

    @property
    def why(self) -> str:
        """What does not work, "" everything does."""
        return "; ".join(f"{part}: {why}" for part, why in self.parts.items())

    @property
    def lasts_s(self) -> float:
        """How long it has lasted, 0 there is none."""
        return self._clock.monotonic_s() - self._since_s if self.parts else 0.0

    @property
    def has_news(self) -> bool:
        """Whether the engine is to be told something."""
        return bool(self._news)

    def untold(self, part: Part) -> bool:
        """Whether a part has lapsed, and the engine does not know yet of all that has."""
        return part in self.parts and any(one.name == NOT_DURABLE for one in self._news)

    def told(self) -> list[ShellFault]:
        """What the engine is to be told, once."""
        news, self._news = self._news, []
        return news

    def begin(self, part: Part, why: str) -> None:
        """A part has lapsed; the engine is to be told once.

        What stands in no journal has a leap of its own: a journal that holds the one of another
        part does not tell it.
        """
        began, known = not self.parts, part in self.parts
        self.parts[part] = why
        if known:
            return
        now_s, now_ns = self._clock.monotonic_s(), self._clock.wall_ns()
        if part is Part.JOURNAL:
            self.journal_since_ns, self.stimuli = now_ns, 0
        if began or part is Part.JOURNAL:
            self.leap = self._draw()
        if began:
            self.lapses_total += 1
            self.since_ns, self._since_s = now_ns, now_s
            if now_s - self._ended_s >= CALM_S:
                self._probe_s = PROBE_S_MIN
            self._probe_due_s = now_s + self._probe_s
        self._tell()

    def skipped(self, stimuli: int) -> None:
        """So many more stand in no journal."""
        self.stimuli += stimuli
        self.stimuli_total += stimuli

    def probe_due(self) -> bool:
        """Whether it is time to look if the disk works again; asked once each time."""
        now_s = self._clock.monotonic_s()
        if not self.parts or now_s < self._probe_due_s:
            return False
        self._probe_s = min(self._probe_s * 2, PROBE_S_MAX)
        self._probe_due_s = now_s + self._probe_s
        return True

    def hole(self) -> JournalHole:
        """What the journal is told when it goes on."""
        return JournalHole(
            from_ns=self.journal_since_ns,
            to_ns=self._clock.wall_ns(),
            stimuli=self.stimuli,
            because=self.parts[Part.JOURNAL],
            leap=self.leap,
        )

    def mended(self, part: Part, *, told: bool = False) -> None:
        """A part works again. told: that it was the last one, the engine is told by another way."""
        del self.parts[part]
        if part is Part.JOURNAL:
            self.stimuli = 0
        if self.parts:
            self._tell()
            return
        self._ended_s = self._clock.monotonic_s()
        over, *others = self._with_leap(self._faults.judge(NOT_DURABLE, ""))
        if told:  # and what had lapsed before is no news any more
            self._news = [one for one in self._news if one.name != NOT_DURABLE]
        self._news += others if told else [over, *others]

    def _tell(self) -> None:
        """Which parts there are has changed; what was not told yet is no news any more."""
        self._news = [one for one in self._news if one.name != NOT_DURABLE]
        self._news += self._with_leap(self._faults.judge(NOT_DURABLE, self.why, anew=True))

    def _with_leap(self, faults: list[ShellFault]) -> list[ShellFault]:
        return [
            ShellFault(name=one.name, detail=one.detail, active=one.active, leap=self.leap)
            if one.name == NOT_DURABLE
            else one
            for one in faults
        ]
