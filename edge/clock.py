"""Plant time: what the sources agree on, for replays and the demo.

One bad clock moves nobody but itself.
"""

from __future__ import annotations

from typing import Final

import msgspec

from edge.errors import WireError
from edge.wire.readings import T_NS_MAX

MILLISECOND_NS: Final = 1_000_000
QUIET_OBSERVATIONS_MAX: Final = 256  # a source that says nothing for so long has no say


class SourceTime(msgspec.Struct, kw_only=True):
    """The highest time a source has shown, and when it last showed any (count of observations)."""

    t_ns: int
    seen: int


class PlantClockState(msgspec.Struct, kw_only=True):
    """What the clock remembers."""

    now_ns: int = 0
    observations: int = 0
    sources: dict[str, SourceTime] = {}


class PlantClock:
    """now = the highest time that two live sources share within `future_ms_max`.

    A single source is trusted.

    It never runs backwards. It depends on nothing but the observations, so a journal replays it.
    """

    def __init__(self, future_ms_max: int, *, state: PlantClockState) -> None:
        self._slack_ns = future_ms_max * MILLISECOND_NS
        self.state = state

    @property
    def now_ns(self) -> int:
        """Plant time, ns; 0 before anything was observed."""
        return self.state.now_ns

    def observe(self, source: str, t_ns: int) -> None:
        """A source shows a time."""
        state = self.state
        state.observations += 1
        known = state.sources.get(source)
        if known is None:
            state.sources[source] = SourceTime(t_ns=t_ns, seen=state.observations)
        else:
            known.t_ns = max(known.t_ns, t_ns)
            known.seen = state.observations
        oldest = state.observations - QUIET_OBSERVATIONS_MAX
        if (
            len(state.sources) > QUIET_OBSERVATIONS_MAX
        ):  # names come from payloads: they must not pile up
            state.sources = {name: s for name, s in state.sources.items() if s.seen > oldest}
        state.now_ns = max(state.now_ns, self._agreed_ns())

    def observe_message(self, payload: bytes, *, topic: str) -> None:
        """A clock tag, {"ts": ms}. Raises WireError for anything else."""
        try:
            stamp = msgspec.json.decode(payload, type=_ClockTag).ts
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise WireError(f"no clock tag: {error}", reason="bad_time", topic=topic) from error
        if not 0 <= stamp <= T_NS_MAX // MILLISECOND_NS:
            raise WireError(f"clock tag {stamp} is out of range", reason="bad_time", topic=topic)
        self.observe("_clock", stamp * MILLISECOND_NS)

    def _agreed_ns(self) -> int:
        oldest = self.state.observations - QUIET_OBSERVATIONS_MAX
        live = sorted(s.t_ns for s in self.state.sources.values() if s.seen > oldest)
        if len(live) == 1:
            return live[0]
        # Neighbours in the sorted list: the highest one with another at most the slack below it.
        for lower, higher in zip(reversed(live[:-1]), reversed(live[1:]), strict=True):
            if higher - lower <= self._slack_ns:
                return higher
        return live[0]  # nobody agrees: the lowest promises least


class _ClockTag(msgspec.Struct, frozen=True):
    """Plant time in ms."""

    ts: int
