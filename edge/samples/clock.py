"""Plant time: what the sources agree on, for replays and the demo.

One bad clock moves nobody but itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from edge.records import Track
from edge.wire.readings import decode_clock

if TYPE_CHECKING:
    from edge.state import AssetState, EngineState

MILLISECOND_NS: Final = 1_000_000
# Ticks are at most a minute apart: the wall clock has leapt, or the process was not there.
STEP_FORWARD_NS: Final = 90_000_000_000
APART_NS_MAX: Final = 5_000_000_000  # between two looks of a gateway, with much to spare
STARTS_MAX: Final = 4
QUIET_OBSERVATIONS_MAX: Final = 256  # a source that says nothing for so long has no say


def process_began(engine: EngineState) -> None:
    """A process began: nobody was there to hear what was sent meanwhile."""
    engine.starts = [*engine.starts, engine.now_ns][-STARTS_MAX:]
    engine.unheard_ns = engine.now_ns


def time_moved(engine: EngineState, now_ns: int, *, leaps: bool) -> None:
    """It is `now_ns`. leaps: time is a clock's, which may be set; else it is what sources show."""
    moved_ns = now_ns - engine.now_ns
    if leaps and moved_ns > STEP_FORWARD_NS:
        known = engine.counts.get("clock_steps_forward", 0)
        engine.counts["clock_steps_forward"] = known + (engine.now_ns > 0)
        engine.stepped_ns = now_ns
    if moved_ns > APART_NS_MAX:
        engine.unheard_ns = now_ns  # a box that knows the time only now, sources that come back
    engine.now_ns = max(engine.now_ns, now_ns)


def time_went_back(engine: EngineState, now_ns: int) -> None:
    """A clock was set back: nothing that is counted from is in what is the future again."""
    engine.now_ns = engine.score_published_ns = now_ns
    engine.stepped_ns = min(engine.stepped_ns, now_ns)
    engine.unheard_ns = min(engine.unheard_ns, now_ns)
    engine.starts = [min(t_ns, now_ns) for t_ns in engine.starts]


def allowed_ns(asset: AssetState, limit_ns: int, engine: EngineState) -> int:
    """How long an asset may have been silent: `limit_ns`, counted from where we could hear it.

    It has not been silent for as long as our clock leapt, nor while no process was there; but who
    says nothing over several starts is silent, however short-lived the processes are. What was
    silent before stays so.
    """
    if asset.tracks[Track.COMMS].active:
        return limit_ns
    from_ns, starts = engine.stepped_ns, engine.starts
    unheard = bool(starts) and asset.last_t_ns <= starts[-1]
    if unheard and not (len(starts) == STARTS_MAX and asset.last_t_ns <= starts[0]):
        from_ns = max(from_ns, engine.unheard_ns)
    return limit_ns + max(0, from_ns - asset.last_t_ns)


class SourceTime(msgspec.Struct, kw_only=True):
    """The highest time a source has shown since its clock was put back, and when it showed any.

    `seen` is a number of observations.
    """

    t_ns: int
    seen: int


class PlantClockState(msgspec.Struct, kw_only=True):
    """What the clock remembers."""

    now_ns: int = 0
    observations: int = 0
    sources: dict[str, SourceTime] = {}


class PlantClock:
    """now = the highest time that two live sources share within `future_ms_max`.

    A single source is trusted. A source that goes back by more than that had its clock put right.

    It never runs backwards. It depends on nothing but the observations, so a journal replays it.
    """

    def __init__(self, future_ms_max: int, *, state: PlantClockState) -> None:
        self._slack_ns = future_ms_max * MILLISECOND_NS
        self.state = state
        self._ahead = True  # some source may have shown more than now

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
            if len(state.sources) > 2 * QUIET_OBSERVATIONS_MAX:
                self._forget_quiet()  # names come from payloads: they must not pile up
        else:
            put_right = t_ns < known.t_ns - self._slack_ns
            known.t_ns = t_ns if put_right else max(known.t_ns, t_ns)
            known.seen = state.observations
        if t_ns <= state.now_ns and not self._ahead:
            return  # the usual message: everybody shows what is known
        state.now_ns = max(state.now_ns, self._agreed_ns())
        self._ahead = max(s.t_ns for s in state.sources.values()) > state.now_ns

    def _forget_quiet(self) -> None:
        oldest = self.state.observations - QUIET_OBSERVATIONS_MAX
        live = {name: s for name, s in self.state.sources.items() if s.seen > oldest}
        self.state.sources = live

    def observe_message(self, payload: bytes, *, topic: str) -> None:
        """A clock tag, {"ts": ...}. Raises WireError for anything else."""
        self.observe("_clock", decode_clock(payload, topic=topic))

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
