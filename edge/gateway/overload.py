"""Overload: more comes than the gateway can take; it is told, bounded, and over by itself.

Three signs, each of which is enough:

    shed     the queue was full, in messages or bytes, and something had to go
    waiting  what comes waits longer than `queue_ms_max` before it is taken, and the plant's newest
             times do not come nearer: a backlog that shrinks, as after a restart, is taken whole
    behind   the plant's newest times fall behind while the loop never rests: the broker keeps what
             the gateway's window does not let through, and would drop it in the end, unasked

Then less may wait: of what counts as LOW half of what can be taken within `queue_ms_max`, for each
class above twice as much, and half of the broker's window where that is what holds it back. So
what is taken is of now, and what does not fit is shed by its importance (`edge.brokers.inbox`)
instead of by the broker. It is over when for OVER_S there was no sign. One turn of the loop takes
as many messages as it can in TURN_S.
"""

from __future__ import annotations

import statistics
from collections import Counter, deque
from typing import TYPE_CHECKING, Final

import msgspec

from edge.brokers.lanes import Rank
from edge.caps import SHED_LISTED_MAX
from edge.gateway.turns import TurnCost
from edge.records import Phase, Shed
from edge.wire.overloading import OverloadPayload
from edge.work.set_aside import set_aside_now

if TYPE_CHECKING:
    from edge.brokers.inbox import Inbox
    from edge.brokers.lanes import Lanes
    from edge.gateway.faults import Faults
    from edge.records import ShellFault
    from edge.state import AssetState, EngineState

SECOND_NS: Final = 1_000_000_000
OVER_S: Final = 10.0  # without a sign
AGAIN_S: Final = 60.0  # while it goes on it is told again, with what was given up by then
LOOKS: Final = 10  # over which what falls behind is judged, one a second
LEAP_S: Final = 2.0  # of our clock within one look; a loop that stands still leaps by no clock
BEHIND_S: Final = 2.0  # that the plant must have fallen behind in them
IDLE_SHARE_MAX: Final = 0.1  # of the time: a loop that rests more is not what holds it up
LIMIT_MIN: Final = 20  # messages that may always wait,
WINDOW_MIN: Final = 8  # where the broker's window is not smaller: as installed it is 20
WINDOW_WIDE: Final = 200  # that can be divided by importance
TURN_S: Final = 0.2
TURN_MESSAGES_MAX: Final = 1_000
TURN_MESSAGES_MIN: Final = 10
TURN_MESSAGES_FIRST: Final = 50  # until it is known how long they take: a stop waits for a turn
NAMED_MAX: Final = 5
PLANT: Final = (Rank.LOW, Rank.MEDIUM, Rank.HIGH, Rank.CRITICAL)  # whose gaps are of our assets
NAME: Final = "overloaded"


class Overload:
    """Judges once a second how much comes, and what of it may wait."""

    def __init__(self, inbox: Inbox, lanes: Lanes, *, queue_ms_max: int, wall: bool) -> None:
        """`wall`: times of the plant are those of our clock, so that it can fall behind."""
        self._inbox, self._lanes = inbox, lanes
        self._queue_s, self._wall = queue_ms_max / 1e3, wall
        self.turn_max = TURN_MESSAGES_FIRST
        self.active = False
        self._taken = 0
        self._cost = TurnCost()
        self._idle_s = 0.0
        self._rate = 0.0  # messages a second, the most since it began
        self._window: int | None = None
        self._looked_s: float | None = None
        self._wall_ns, self._leapt_s = 0, float("-inf")
        self._told: dict[tuple[str, Rank], int] = {}  # shed at the last look
        self._begun: dict[tuple[str, Rank], int] = {}  # and when it began
        self._begun_s = self._sign_s = self._said_s = 0.0
        self._newest: dict[str, int] = {}
        self._lags_s: deque[float] = deque(maxlen=LOOKS)
        self._idle: deque[float] = deque(maxlen=LOOKS)

    def waited(self, seconds: float) -> None:
        """The loop had nothing to do for so long."""
        self._idle_s += seconds

    def within(self, seconds: float) -> int:
        """How many messages a turn may take that is to be over in so long; 1 at least."""
        if seconds >= TURN_S:
            return self.turn_max
        return min(self.turn_max, self._cost.fit(seconds))

    def turned(self, messages: int, seconds: float) -> None:
        """A turn took so many messages in so long: the next one shall take about TURN_S."""
        self._taken += messages
        if messages:
            self._cost.took(messages, seconds)
        if seconds > TURN_S:
            self.turn_max = max(TURN_MESSAGES_MIN, min(self.turn_max, messages) // 2)
        elif seconds < TURN_S / 4 and messages >= self.turn_max:
            self.turn_max = min(TURN_MESSAGES_MAX, 2 * self.turn_max)

    def look(
        self, now_s: float, *, wall_ns: int, state: EngineState, faults: Faults
    ) -> list[Shed | ShellFault]:
        """What to tell the engine: what was given up since the last look, and what begins or ends.

        now_s: of a clock that never steps. state: the engine's, only read.
        """
        self._lanes.know(state.assets)
        self._lanes.watch(name for name, asset in state.assets.items() if _is_watched(asset))
        passed_s = 0.0 if self._looked_s is None else now_s - self._looked_s
        self._looked_s = now_s
        new, shed = self._shed()
        idle_share = self._idle_s / passed_s if passed_s else 1.0
        age_s = self._age_s(self._inbox.oldest_ns(), now_s, passed_s, wall_ns=wall_ns)
        behind = self._is_behind(passed_s, idle_share, wall_ns=wall_ns, state=state)
        # while it rests, what was shed fell to a limit that is too low by now
        rests = idle_share > IDLE_SHARE_MAX
        waits = self._wall and age_s > self._queue_s and not self._catches_up()
        sign = waits or behind or (bool(new) and not (self.active and rests))
        if sign:
            self._sign_s = now_s
            if not self.active:
                self._begun, self._begun_s = {k: n - new.get(k, 0) for k, n in shed.items()}, now_s
                self._rate = 0.0
        told: list[Shed | ShellFault] = list(_gap(new))
        told += self._judge(now_s, sign=sign, age_s=age_s, behind=behind, faults=faults)
        self._rate = max(self._rate, self._taken / passed_s if passed_s else 0.0)
        self._limit(behind=behind, rests=rests)
        self._taken, self._idle_s = 0, 0.0
        self._inbox.forget_depth()
        return told

    def _age_s(
        self, oldest_ns: int | None, now_s: float, passed_s: float, *, wall_ns: int
    ) -> float:
        """How long what is next has waited: our clock may have leapt meanwhile, and says nothing.

        What came before such a leap has waited since then at least.
        """
        leapt_s = (wall_ns - self._wall_ns) / 1e9 - passed_s if self._wall_ns else 0.0
        self._wall_ns = wall_ns
        if abs(leapt_s) > LEAP_S:
            self._leapt_s = now_s
            self._lags_s.clear()
        if oldest_ns is None:
            return 0.0
        return min((wall_ns - oldest_ns) / 1e9, now_s - self._leapt_s)

    def untold(self) -> list[Shed]:
        """What was given up since the last look, when there will be no other."""
        return _gap(self._shed()[0])

    def _shed(self) -> tuple[dict[tuple[str, Rank], int], dict[tuple[str, Rank], int]]:
        """What was given up since the last call, and in all."""
        shed = self._lanes.shed()
        new = {key: n - self._told.get(key, 0) for key, n in shed.items()}
        self._told = shed
        return {key: n for key, n in new.items() if n}, shed

    def _limit(self, *, behind: bool, rests: bool) -> None:
        """How much may wait until the next look."""
        if rests or not self.active:
            self._window = None
        elif behind and self._window is None:
            self._window = self._inbox.depth_max  # the broker sends no more until some of it goes
        if rests or not self.active:  # a burst that it takes in time is nobody's trouble
            self._inbox.limit_to(self._inbox.messages_max)
            return
        limit = max(LIMIT_MIN, int(self._rate * self._queue_s / 2))
        if self._window is None:
            self._inbox.limit_to(limit, graded=True)
        elif self._window >= WINDOW_WIDE:  # what counts as CRITICAL may fill half of it
            self._inbox.limit_to(min(limit, self._window // 16), graded=True)
        else:
            self._inbox.limit_to(max(WINDOW_MIN, self._window // 2))

    def _judge(
        self, now_s: float, *, sign: bool, age_s: float, behind: bool, faults: Faults
    ) -> list[ShellFault]:
        was_active, self.active = (
            self.active,
            sign or (self.active and now_s - self._sign_s < OVER_S),
        )
        if not self.active and not was_active:
            return []
        lost = Counter({k: n - self._begun.get(k, 0) for k, n in self._told.items()})
        lasted_s = now_s - self._begun_s
        if not self.active:
            over, *others = faults.judge(NAME, "")
            detail = f"it is over after {lasted_s:.0f} s: {_words(lost)}"
            return [msgspec.structs.replace(over, detail=detail), *others]
        why = (
            f"what comes waits for {age_s:.1f} s" if age_s > self._queue_s else "the queue is full"
        )
        why = "the plant's times fall behind" if behind else why
        detail = f"more comes than can be taken ({why}): {_words(lost)}"
        if was_active and now_s - self._said_s >= AGAIN_S:
            faults.judge(NAME, "")  # what follows is told as news; the others go on unsaid
        if not was_active or now_s - self._said_s >= AGAIN_S:
            self._said_s = now_s
        return faults.judge(NAME, detail)

    def _is_behind(
        self, passed_s: float, idle_share: float, *, wall_ns: int, state: EngineState
    ) -> bool:
        """Whether the plant's newest times have fallen behind for a while, and the loop is why."""
        newest = {name: asset.last_t_ns for name, asset in state.assets.items() if asset.last_t_ns}
        moved = [t_ns for name, t_ns in newest.items() if t_ns != self._newest.get(name)]
        self._newest = newest
        if not self._wall or not passed_s:
            return False
        self._idle.append(idle_share)
        if moved:
            self._lags_s.append((wall_ns - statistics.median(moved)) / 1e9)
        if len(self._lags_s) < LOOKS or len(self._idle) < LOOKS:
            return False
        if statistics.fmean(self._idle) > IDLE_SHARE_MAX:
            return False
        return self._lags_s[-1] - min(self._lags_s) >= BEHIND_S and (
            self._lags_s[-1] >= self._lags_s[LOOKS // 2] >= self._lags_s[0]
        )

    def _catches_up(self) -> bool:
        """Whether the plant's newest times come nearer to our clock."""
        return len(self._lags_s) > 1 and self._lags_s[-1] < self._lags_s[0]

    def payload(self, state: EngineState) -> OverloadPayload:
        """For health: what was given up since the start, and which topics are not read."""
        by_rank: Counter[str] = Counter()
        by_asset: Counter[str] = Counter()
        for (name, rank), count in self._lanes.shed().items():
            by_rank[rank.name] += count
            by_asset[name or f"({rank.name.lower()})"] += count
        aside = sorted(set_aside_now(state).items(), key=lambda item: item[1].aside_ns)
        return OverloadPayload(
            active=int(self.active),
            queue_limit=self._inbox.limit,
            queue_bytes=self._inbox.bytes_held,
            turn_messages_max=self.turn_max,
            shed=sum(by_rank.values()),
            shed_by_importance=dict(by_rank),
            shed_by_asset=dict(by_asset.most_common(SHED_LISTED_MAX)),
            shed_assets=len(by_asset),
            set_aside={name: one.reason for name, one in aside[:SHED_LISTED_MAX]},
            set_aside_topics=len(aside),
        )


def aside_words(state: EngineState) -> str:
    """Which topics are not read now, for an alert; "": all are."""
    found = set_aside_now(state)
    first = sorted(found, key=lambda name: found[name].aside_ns)[:NAMED_MAX]
    named = ", ".join(first)
    more = f" and {len(found) - len(first)} more" if len(found) > len(first) else ""
    return f"messages of {named}{more} could not be read, and are only tried now" if found else ""


def _gap(new: dict[tuple[str, Rank], int]) -> list[Shed]:
    messages: Counter[str] = Counter()
    for (name, rank), count in new.items():
        if rank in PLANT:
            messages[name] += count
    return [Shed(messages=dict(messages))] if messages else []


def _words(lost: Counter[tuple[str, Rank]]) -> str:
    """How much was given up, of what importance, and of whom most."""
    if not lost.total():
        return "nothing was given up"
    ranks: Counter[Rank] = Counter()
    assets: Counter[str] = Counter()
    for (name, rank), count in lost.items():
        ranks[rank] += count
        if name:
            assets[name] += count
    said = ", ".join(f"{rank.name} {n}" for rank, n in sorted(ranks.items()) if n)
    most = ", ".join(f"{name} {n}" for name, n in assets.most_common(NAMED_MAX) if n)
    of = f" of {sum(n > 0 for n in assets.values())} assets, most of {most}" if most else ""
    return f"{lost.total()} messages given up by their importance ({said}){of}"


def _is_watched(asset: AssetState) -> bool:
    """Whether an event or a job of it is open."""
    if any(track.phase is not Phase.QUIET for track in asset.tracks.values()):
        return True
    return any(run.unjudged for run in asset.runs)
