"""Our own clock, judged by what the plant shows: a box may start in 1970.

    wall      ...|----|----|                         |----|----
    offset       + 56 years, as sources agree        0, it was set

No value can come from the future. So where more sources show a time ahead of our clock, and agree
among each other, than there are clocks that agree with ours, ours is the wrong one: what they agree
on is added to it until it agrees again. Values from the past prove nothing: they may have waited.

It depends on nothing but stimuli and their times, so a journal replays it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np

from edge.caps import PLAUSIBLE_NS
from edge.samples.clock import STEP_FORWARD_NS

if TYPE_CHECKING:
    from edge.settings import GatewaySettings

MILLISECOND_NS: Final = 1_000_000
SECOND_NS: Final = 1_000_000_000
MINUTE_NS: Final = 60 * SECOND_NS
STEP_BACK_NS: Final = MINUTE_NS  # a wall clock set right; smaller steps are waited out
LIVE_NS: Final = 600 * SECOND_NS  # who says nothing for so long has no say
APART_NS: Final = SECOND_NS  # what is said in between is the same word
ALIKE_MIN: Final = 3  # messages in a row before a source has a say: one may be nonsense
JUDGED_NS: Final = 10 * SECOND_NS  # in between only what is new is looked at
ZONE_NS_MIN, ZONE_NS_MAX = 1_800 * SECOND_NS, 50_400 * SECOND_NS  # half an hour to fourteen
ODD_ZONES_MIN: Final = (345, 525, 765)  # Nepal, Eucla, Chatham; all others are on half hours


class Shown(msgspec.Struct, kw_only=True):
    """How far the newest time of a source was ahead of our clock, and what that showed then, ns.

    alike: so many messages in a row were ahead by much the same.
    """

    ahead_ns: int
    at_ns: int
    alike: int = 1


class OwnClockState(msgspec.Struct, kw_only=True):
    """What is remembered of our clock.

    wall_ns: what it showed last, 0: nothing. offset_ns: what is added to it, never negative; 0: it
    is believed. agree, of: so many sources of so many agreed on that; 0: nobody has spoken since a
    process began behind the time that was known before, when our clock showed unknown_ns.
    """

    wall_ns: int = 0
    offset_ns: int = 0
    agree: int = 0
    of: int = 0
    judged_ns: int = 0
    unknown_ns: int = 0
    sources: dict[str, Shown] = {}

    @property
    def doubted(self) -> bool:
        """Whether our clock is not believed."""
        return self.offset_ns > 0

    @property
    def unknown(self) -> bool:
        """Whether nobody knows what time it is."""
        return self.offset_ns > 0 and not self.agree


class OwnClock:
    """Our clock, with what has to be added to it."""

    def __init__(self, settings: GatewaySettings, *, state: OwnClockState) -> None:
        self._counts = settings.clock == "wall"  # else nobody asks it
        self._ahead_ns = settings.engine.future_ms_max * MILLISECOND_NS
        self._behind_ns = settings.engine.behind_ms_max * MILLISECOND_NS
        self.state = state

    def shows(self, wall_ns: int) -> int:
        """Return what time it is when our clock shows `wall_ns`, ns.

        While ours is believed, a step of it is one of time. Else time goes on as before, and what
        was stepped over is no longer missing. Where nobody knows the time and no source shows one
        ahead of ours for LIVE_NS, ours counts again: what was known before came of a clock as well,
        and that one may have been the wrong one.
        """
        state = self.state
        moved_ns = wall_ns - state.wall_ns
        if state.wall_ns and not -STEP_BACK_NS <= moved_ns <= STEP_FORWARD_NS:
            state.sources.clear()
            state.judged_ns = 0
            state.unknown_ns += moved_ns
            if state.offset_ns:
                self._add(state.offset_ns - moved_ns, agree=state.agree, of=state.of)
        state.wall_ns = wall_ns
        if state.unknown and wall_ns >= PLAUSIBLE_NS and wall_ns - state.unknown_ns > LIVE_NS:
            live = (s for s in state.sources.values() if s.at_ns >= wall_ns - LIVE_NS)
            if not any(s.ahead_ns > self._ahead_ns for s in live):
                self._add(0, agree=0, of=0)
        return wall_ns + state.offset_ns

    def begins(self, wall_ns: int, *, known_ns: int) -> None:
        """A process begins. Time has not gone back behind `known_ns` while there was none.

        What the one before has waited for sources counts, but for a minute in which they may speak.
        """
        state = self.state
        waited_ns = state.wall_ns - state.unknown_ns
        if not state.unknown or state.wall_ns < PLAUSIBLE_NS:
            waited_ns = 0
        state.sources.clear()
        state.wall_ns, state.judged_ns = wall_ns, 0
        state.unknown_ns = wall_ns - min(max(waited_ns, 0), LIVE_NS - MINUTE_NS)
        ahead_ns = known_ns - wall_ns if self._counts else 0
        self._add(ahead_ns if ahead_ns > STEP_BACK_NS else 0, agree=0, of=0)

    def says_the_same(self, source: str, t_ns: int, *, wall_ns: int) -> bool:
        """Whether a source shows what it showed a moment ago: `heard` would change nothing."""
        shown = self.state.sources.get(source)
        return (
            shown is not None
            and 0 <= wall_ns - shown.at_ns < APART_NS
            and abs(t_ns - wall_ns - shown.ahead_ns) <= self._ahead_ns
        )

    def heard(self, source: str, t_ns: int, *, wall_ns: int) -> None:
        """A source shows a time of its own, its newest, live, while our clock shows `wall_ns`."""
        if self.says_the_same(source, t_ns, wall_ns=wall_ns):
            return
        state, ahead_ns = self.state, t_ns - wall_ns
        shown = state.sources.get(source)
        if shown is None:
            shown = state.sources[source] = Shown(ahead_ns=ahead_ns, at_ns=wall_ns)
        else:
            alike = abs(ahead_ns - shown.ahead_ns) <= self._behind_ns
            shown.alike = min(shown.alike + 1, ALIKE_MIN + 1) if alike else 1
            shown.ahead_ns, shown.at_ns = ahead_ns, wall_ns
        odd = not -self._behind_ns <= ahead_ns - state.offset_ns <= self._ahead_ns
        if not odd and not state.offset_ns:
            return  # the usual message: it agrees with our clock
        news = shown.alike == ALIKE_MIN and (odd or state.unknown)
        if news or abs(wall_ns - state.judged_ns) >= JUDGED_NS:
            self._judge(wall_ns)

    def _judge(self, wall_ns: int) -> None:
        """Count who agrees with whom."""
        state = self.state
        state.judged_ns = wall_ns
        oldest_ns = wall_ns - LIVE_NS
        state.sources = {name: s for name, s in state.sources.items() if s.at_ns >= oldest_ns}
        live = state.sources.values()
        ours = sum(s.ahead_ns <= self._ahead_ns for s in live)  # or what they send has waited
        said = (s.ahead_ns for s in live if s.alike >= ALIKE_MIN)
        sure = sorted(one for one in said if one > self._ahead_ns)
        ahead = np.array(sure, np.float64)  # (n,) floats: no clock is so wrong that they overflow
        # Ours has a word of its own, but where it is known to be wrong.
        own = int(not state.offset_ns and wall_ns >= PLAUSIBLE_NS)
        end = np.searchsorted(ahead, ahead + self._ahead_ns, side="right")
        near = end - np.searchsorted(ahead, ahead - self._ahead_ns)  # (n,) say the same
        agree = end - np.searchsorted(ahead, ahead - self._behind_ns)  # (n,) or waited a little
        wins = (agree > ours + own) & (2 * agree > len(live))
        if not wins.any():
            # ours counts again where sources went over to it, not where they went silent; where
            # nobody knows the time, also by those that are usually a little late
            low_ns = self._behind_ns if state.unknown else self._ahead_ns
            near_ours = (s for s in live if -low_ns <= s.ahead_ns <= self._ahead_ns)
            same = sum(s.alike >= ALIKE_MIN for s in near_ours)
            if state.offset_ns and 2 * same > len(live) and wall_ns >= PLAUSIBLE_NS:
                self._add(0, agree=0, of=0)
            return
        best = np.flatnonzero(wins & (near > 1) if (wins & (near > 1)).any() else wins)[-1]
        self._take(sure[best], agree=int(agree[best]), of=len(live))

    def _take(self, ahead_ns: int, *, agree: int, of: int) -> None:
        """Sources agree that it is so much later: at once; that it is less, not where all wait."""
        state = self.state
        less_ns = state.offset_ns - ahead_ns
        usual = 0 <= less_ns <= self._behind_ns // 2  # it has waited, or will be less again
        slewed = not usual and 0 < less_ns <= STEP_BACK_NS
        if usual:
            state.agree, state.of = max(agree, state.agree), of
        elif less_ns < 0 or slewed or agree > state.of:  # more than there were to ask
            self._add(ahead_ns, agree=agree, of=of)

    def _add(self, offset_ns: int, *, agree: int, of: int) -> None:
        """From here on so much is added to our clock: nothing where it is (nearly) right."""
        state = self.state
        state.offset_ns, state.agree, state.of = offset_ns, agree, of
        if offset_ns <= self._ahead_ns // 2:
            state.offset_ns = state.agree = state.of = 0
            state.judged_ns = 0


def zone_like(offset_ns: int) -> str:
    """Return the zone of which the local time is so far from UTC, such as "+02:00"; "" none is.

    A minute less counts too, since what is shown has been under way.
    """
    minutes = round(abs(offset_ns) / MINUTE_NS)
    half = 30 * round(minutes / 30)
    near = min((half, *ODD_ZONES_MIN), key=lambda zone: abs(abs(offset_ns) - zone * MINUTE_NS))
    off_ns = abs(abs(offset_ns) - near * MINUTE_NS)
    if not ZONE_NS_MIN <= near * MINUTE_NS <= ZONE_NS_MAX or off_ns > MINUTE_NS:
        return ""
    return f"{'-' if offset_ns < 0 else '+'}{near // 60:02d}:{near % 60:02d}"
