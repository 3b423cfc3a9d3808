"""Pace: when the next tick is due, how late ticks come, and how long anything else may take.

    tick_ms          at the latest so long after the last one was due
    tick_ms / 5      at the soonest, and 10 ms, where something came that a tick may close

So an alert does not wait for a pace that is made for a plant that stands still, and a plant that
stands still costs no ticks. The next one comes sooner only behind a rest as long as the last one
took: where ticks cost more than half of the time, they keep their usual pace, and find more at
once.

A tick that comes later than the next one was due stands for that one too. Those that are left out
so are counted, each as late as the moment was from its own time; none is made up for, because it
would find nothing to do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Self

from edge.spread import Spread
from edge.wire.timing import TicksPayload

if TYPE_CHECKING:
    import threading

    from edge.brokers.link import Link
    from edge.brokers.links import LinkPair
    from edge.gateway.world import World
    from edge.storage.disk import Clock

GROUP_MAX: Final = 1_000  # messages a group; behind a backlog of small ones the loop still ticks
IDLE_S: Final = 0.02  # the loop looks up at least this often
# A message waits so long for others, one write and one turn for all, where the client does not wait
# for them (`edge.brokers.read_ahead`).
GROUP_WAIT_S: Final = 0.002
SOONER: Final = 5  # times as often as `tick_ms`, at most,
SOONEST_S: Final = 0.01  # and no sooner after the last one: whoever wants that asks for it
TURN_S_MIN: Final = 0.002  # of other work between two ticks, however late they are
EASE_S: Final = 0.05  # until the next tick, for what is not urgent
EBB: Final = 2.0  # times as long as the next tick, and
EBB_SHARE: Final = 0.1  # of the time between two: such a tick was a long one
EBB_TICKS: Final = 4  # behind it, in which the next such one is not due yet
MOST: Final = 0.75  # of the time between two ticks
NEARLY: Final = 1 - 1e-6  # of a sum of seconds
MISSED_SPREAD_MAX: Final = 1_000  # of those left out at once, how many stand among the late


def ticks_per_s_max(tick_ms: float, *, messages_per_s: float) -> float:
    """How many ticks a second there are at most where messages come one by one."""
    usual = 1e3 / tick_ms
    most = max(min(SOONER * usual, 1 / SOONEST_S), usual)
    return min(usual + messages_per_s, most)


class Pace:
    """For one loop; seconds are of a clock that never steps."""

    def __init__(self, tick_ms: float, *, clock: Clock) -> None:
        self._tick_s, self._now_s = tick_ms / 1e3, clock.monotonic_s
        self._due_s = self._begun_s = self._now_s()
        self._rest_until_s = 0.0
        self._took_s = 0.0
        self._was_due_s = self._whole_s = self._due_s
        self._spent_ms = 0.0
        self._ebbed = EBB_TICKS  # ticks since one that was much shorter than the one before it
        self._late, self._ends, self._missed = Spread(), Spread(), 0

    def started(self) -> Self:
        """The first tick is due now; returns itself."""
        self._due_s = self._was_due_s = self._whole_s = self._now_s()
        return self

    @property
    def left_s(self) -> float:
        """Until the next tick is due; below 0 since then."""
        return self._due_s - self._now_s()

    @property
    def turn_s(self) -> float:
        """How long other work may take now: until the next tick, or as long as the last one took.

        The latter where ticks are due all the time, so that what comes is taken too.
        """
        left_s = self.left_s
        return max(left_s if left_s > 0.0 else self._took_s, TURN_S_MIN)

    @property
    def eases(self) -> bool:
        """Whether there is time before the next tick for what could wait for it."""
        return self.left_s >= EASE_S

    def suits(self, seconds: float) -> bool:
        """Whether to begin now what takes so long, and goes on for some ticks.

        Best behind a tick that closed much: until the next such one the most is done.
        """
        needs_s = min(seconds, MOST * self._tick_s)  # what takes longer makes one late anyway
        return self.eases or (self._ebbed < EBB_TICKS and self.left_s >= needs_s)

    def came(self) -> None:
        """Something came that a tick may close."""
        apart_s = max(self._tick_s / SOONER, SOONEST_S)
        soonest_s = max(self._begun_s + apart_s, self._rest_until_s)
        self._due_s = min(self._due_s, max(soonest_s, self._now_s()))

    def rest(self, world: World, wake: threading.Event, link: Link | LinkPair) -> float:
        """Until something comes, and then a little for more of it, or until a tick is due.

        Returns how long nobody had anything for us, seconds.
        """
        begun_s = self._now_s()
        # a turn may have left some
        wait_s = 0.0 if link.queue_depth else min(self.left_s, IDLE_S)
        woken = world.wait(wake, max(wait_s, 0.0))
        rested_s = self._now_s() - begun_s
        if woken and link.reads_plainly and link.queue_depth < GROUP_MAX:
            world.sleep(max(0.0, min(self.left_s, GROUP_WAIT_S)))
        wake.clear()
        return rested_s

    def begin(self) -> None:
        """A tick begins."""
        self._begun_s = self._now_s()
        late_s = max(self._begun_s - self._due_s, 0.0)
        self._late.add(late_s * 1e3)
        left_out = int(late_s / self._tick_s) if self._tick_s else 0
        for n in range(1, min(left_out, MISSED_SPREAD_MAX) + 1):
            self._late.add((late_s - n * self._tick_s) * 1e3)
        self._missed += left_out
        self._was_due_s = self._due_s
        self._due_s += (left_out + 1) * self._tick_s

    def end(self) -> tuple[float, float | None]:
        """It is over. Returns how long it took in ms, and all ticks of about `tick_ms` together.

        The latter only once they are complete, else None.
        """
        now_s = self._now_s()
        before_s, self._took_s = self._took_s, now_s - self._begun_s
        ebbs = before_s > max(EBB * self._took_s, EBB_SHARE * self._tick_s)
        self._ebbed = 0 if ebbs else self._ebbed + 1
        self._ends.add((now_s - self._was_due_s) * 1e3)
        self._rest_until_s = now_s + self._took_s
        self._spent_ms += self._took_s * 1e3
        if self._due_s - self._whole_s < self._tick_s * NEARLY:
            return self._took_s * 1e3, None
        spent_ms, self._spent_ms, self._whole_s = self._spent_ms, 0.0, self._due_s
        return self._took_s * 1e3, spent_ms

    def told(self) -> TicksPayload:
        """What health says of ticks since it was last asked."""
        missed, self._missed = self._missed, 0
        return TicksPayload(late_ms=self._late.told(), end_ms=self._ends.told(), missed=missed)
