"""Phases of a track: when a stretch of samples becomes an event, and when it is over.

All transitions live in the table below; nothing else moves a phase. The file does not know what the
readings mean (a score over its threshold, a stuck channel, a silent source): each track feeds it.
"""

from __future__ import annotations

import math
from typing import Final

import msgspec

from edge.records import Phase, Reading

# (phase, reading) -> phase to go to. A move into OPEN or QUIET out of RISING or FALLING also needs
# the readings that `TrackState.step` counts; until then the phase stays.
TRANSITIONS: Final = {
    (Phase.QUIET, Reading.OVER): Phase.RISING,
    (Phase.QUIET, Reading.UNDER): Phase.QUIET,
    (Phase.QUIET, Reading.UNKNOWN): Phase.QUIET,
    (Phase.RISING, Reading.OVER): Phase.OPEN,
    (Phase.RISING, Reading.UNDER): Phase.QUIET,
    (Phase.RISING, Reading.UNKNOWN): Phase.RISING,
    (Phase.OPEN, Reading.OVER): Phase.OPEN,
    (Phase.OPEN, Reading.UNDER): Phase.FALLING,
    (Phase.OPEN, Reading.UNKNOWN): Phase.OPEN,
    (Phase.FALLING, Reading.OVER): Phase.OPEN,
    (Phase.FALLING, Reading.UNDER): Phase.QUIET,
    (Phase.FALLING, Reading.UNKNOWN): Phase.FALLING,
}
assert len(TRANSITIONS) == len(Phase) * len(Reading), "every phase answers every reading"

ACTIVE: Final = frozenset({Phase.OPEN, Phase.FALLING})


class TrackState(msgspec.Struct, kw_only=True):
    """One track of one asset.

    count: readings that push towards the next phase.
    begin_ns: plant time of the first OVER sample of the stretch; 0 while QUIET.
    peak: highest score of the stretch.
    over: while RISING between UNDER readings, (time, UNDER readings before it) of each OVER that
    may still count. unders: UNDER readings since it began to rise.
    """

    phase: Phase = Phase.QUIET
    count: int = 0
    begin_ns: int = 0
    peak: float = 0.0
    over: list[tuple[int, int]] = []
    unders: int = 0

    @property
    def active(self) -> bool:
        """Whether an event is open, falling included."""
        return self.phase in ACTIVE

    @property
    def at_rest(self) -> bool:
        """Whether one more UNDER reading changes nothing."""
        return self.phase is Phase.QUIET and not (self.count or self.begin_ns or self.over)

    def step(
        self,
        reading: Reading,
        *,
        t_ns: int,
        score: float,
        open_after: int,
        clear_after: int,
        open_among: int = 0,
    ) -> Phase:
        """Take one reading; returns the phase before it.

        open_after: OVER readings that open an event, among the newest `open_among` readings ("k of
        n"); an `open_among` that is not larger asks for them in a row. clear_after: UNDER readings
        in a row that clear it. UNKNOWN is left out of all three.
        """
        before = self.phase
        if reading is Reading.OVER:
            self._over(t_ns, score, open_after)
        elif reading is Reading.UNDER:
            self._under(clear_after, spare=max(open_among - open_after, 0))
        return before

    def _over(self, t_ns: int, score: float, open_after: int) -> None:
        if self.phase is Phase.QUIET:
            self.begin_ns, self.count, self.peak = t_ns, 0, 0.0
            self.over, self.unders = [], 0
        if self.phase is Phase.FALLING:
            self.count = 0
        self.peak = max(self.peak, score)
        target = TRANSITIONS[self.phase, Reading.OVER]
        self.count += 1
        if self.phase in (Phase.QUIET, Phase.RISING):
            target = Phase.OPEN if self.count >= open_after else Phase.RISING
            self.over = [*self.over, (t_ns, self.unders)] if target is Phase.RISING else []
        self.phase = target

    def _under(self, clear_after: int, *, spare: int) -> None:
        """spare: UNDER readings that may lie between those that open an event."""
        target = TRANSITIONS[self.phase, Reading.UNDER]
        if self.phase is Phase.OPEN:
            self.count = 0
        if self.phase in ACTIVE:
            self.count += 1
            target = Phase.QUIET if self.count >= clear_after else Phase.FALLING
        elif self.phase is Phase.RISING:
            self.unders += 1
            self.over = [one for one in self.over if self.unders - one[1] <= spare]
            if self.over:
                target = Phase.RISING
                self.count, self.begin_ns = len(self.over), self.over[0][0]
        self.phase = target
        if target is Phase.QUIET:
            self.count, self.begin_ns, self.over = 0, 0, []

    def reset(self) -> None:
        """Back to QUIET, as after a judged job."""
        self.phase, self.count, self.begin_ns, self.over = Phase.QUIET, 0, 0, []


def read_score(score: float, phase: Phase, *, on: float, off: float) -> Reading:
    """What a score says, with hysteresis: an open event goes on until the score is under `off`.

    NaN is UNKNOWN. `off <= on`.
    """
    if math.isnan(score):
        return Reading.UNKNOWN
    return Reading.OVER if score >= (off if phase in ACTIVE else on) else Reading.UNDER
