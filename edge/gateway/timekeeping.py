"""Whether clocks can be believed: what is told of ours, and of devices that are off.

The engine decides what counts (`edge.samples.own_clock`); this only says so.
"""

from __future__ import annotations

import ctypes
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from edge.caps import PLAUSIBLE_NS
from edge.samples.own_clock import LIVE_NS, zone_like
from edge.wire.timekeeping import ClockPayload, SuspectPayload

if TYPE_CHECKING:
    from edge.gateway.faults import Faults
    from edge.records import ShellFault
    from edge.state import EngineState

OWN: Final = "clock_wrong"  # names of faults
OTHERS: Final = "clocks_suspect"
SECOND_NS: Final = 1_000_000_000
STEADY_S: Final = 10.0  # a device is off for so long before that is told
OVER_S: Final = 30.0  # our clock is right for so long: one at the bound comes and goes
TOLD_S_MIN: Final = 60.0  # off by less is seen on health alone
LISTED_MAX: Final = 32
NAMED_MAX: Final = 3
TIMEX_BYTES: Final = 512  # more than `struct timex` has anywhere
TIME_ERROR: Final = 5  # what adjtimex answers where nothing keeps the clock


def synchronised() -> bool | None:
    """Whether a time service keeps the clock of this machine, as the kernel knows; None: unknown.

    timesyncd, chrony and ntpd all tell it.
    """
    try:
        state = ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.create_string_buffer(TIMEX_BYTES))
    except (OSError, AttributeError):
        return None
    return None if state < 0 else state != TIME_ERROR


class ClockWatch:
    """Tells of clocks that are wrong, once that is sure."""

    def __init__(self) -> None:
        self._since_s: dict[str, float] = {}  # by suspect
        self._own = ""
        self._seen_s = 0.0

    def look(self, now_s: float, *, state: EngineState, faults: Faults) -> list[ShellFault]:
        """What begins or ends. now_s: of a clock that never steps; state: only read."""
        if words := own_words(state):
            self._own, self._seen_s = self._own or words, now_s
        elif now_s - self._seen_s >= OVER_S:
            self._own = ""
        self._since_s = {name: self._since_s.get(name, now_s) for name in state.suspects}
        sure = [name for name, since_s in self._since_s.items() if now_s - since_s >= STEADY_S]
        others = faults.judge(OTHERS, suspect_words(state, sure), anew=True)
        return [*faults.judge(OWN, self._own), *others]


def own_words(state: EngineState) -> str:
    """What is wrong with our clock and what to do, "" nothing."""
    own = state.own_clock
    if not own.doubted:
        return ""
    shows = f"the clock of this box shows {_moment(own.wall_ns)}"
    todo = "orders suppress nothing until it is set: start a time service"
    if own.unknown:
        known = _moment(own.wall_ns + own.offset_ns)
        ours = "; while none does, it counts after 10 min" * (own.wall_ns >= PLAUSIBLE_NS)
        said = f"no source has said yet what time it is{ours}"
        return f"{shows}, and it was {known} before; {said}; {todo}"
    zone = zone_like(own.offset_ns)
    hint = f"; or they send the local time of {zone} as UTC" if zone else ""
    return (
        f"{shows}; {own.agree} of {own.of} sources agree that it is {_span(own.offset_ns)} later,"
        f" and their time counts; {todo}{hint}"
    )


def suspect_words(state: EngineState, names: list[str]) -> str:
    """Which of these assets show times that cannot be, and what that looks like; "" none."""
    off = {name: ahead for name in names if (ahead := _ahead_ns(state, name)) is not None}
    off = {name: ahead for name, ahead in off.items() if abs(ahead) >= TOLD_S_MIN * SECOND_NS}
    if not off:
        return ""
    said = [_one(name, ahead) for name, ahead in sorted(off.items())[:NAMED_MAX]]
    more = f" and {len(off) - len(said)} more" * (len(off) > len(said))
    behind = sum(ahead < 0 for ahead in off.values())
    ours = ""
    if behind > 1 and 2 * behind > len(state.own_clock.sources):
        ours = "; most are behind: the clock of this box may be ahead, or what they send waits"
    return f"wrong clocks: {', '.join(said)}{more}: nothing of these is suppressed{ours}"


def _one(name: str, ahead_ns: int) -> str:
    zone = zone_like(ahead_ns)
    looks = f" (looks like the local time of a zone of {zone}, sent as UTC)" if zone else ""
    return f"{name} is {_span(ahead_ns)} {'ahead' if ahead_ns > 0 else 'behind'}{looks}"


def _ahead_ns(state: EngineState, name: str) -> int | None:
    """How far the newest time of an asset is ahead of now; None: not known."""
    shown = state.own_clock.sources.get(name)
    return None if shown is None else shown.ahead_ns - state.own_clock.offset_ns


def clock_payload(state: EngineState) -> ClockPayload:
    """What health says of clocks."""
    own = state.own_clock
    kept, oldest_ns = synchronised(), own.wall_ns - LIVE_NS
    return ClockPayload(
        synchronised=None if kept is None else int(kept),
        doubted=int(own.doubted),
        behind_s=round(own.offset_ns / SECOND_NS, 3),
        agree=own.agree,
        sources=sum(one.at_ns >= oldest_ns for one in own.sources.values()),
        suspects=tuple(_suspect(state, name) for name in sorted(state.suspects)[:LISTED_MAX]),
        suspect=len(state.suspects),
    )


def _suspect(state: EngineState, name: str) -> SuspectPayload:
    ahead_ns = _ahead_ns(state, name)
    if ahead_ns is None:
        return SuspectPayload(asset=name, ahead_s=None)
    ahead_s = round(ahead_ns / SECOND_NS, 3)
    return SuspectPayload(asset=name, ahead_s=ahead_s, zone=zone_like(ahead_ns))


def _span(ns: int) -> str:
    """A time between two, coarse, so that it stays the same words."""
    seconds = abs(ns) / SECOND_NS
    for most, unit, name in ((120, 1, "s"), (7_200, 60, "min"), (172_800, 3_600, "h")):
        if seconds < most:
            return f"{seconds / unit:.0f} {name}"
    return f"{seconds / 86_400:.0f} days"


def _moment(t_ns: int) -> str:
    try:
        return f"{datetime.fromtimestamp(t_ns // SECOND_NS, UTC):%Y-%m-%d %H:%M} UTC"
    except (ValueError, OverflowError, OSError):  # no year that a calendar has
        return f"{t_ns // SECOND_NS} s since 1970"
