"""The rounds: once a second a gateway looks at itself, and says what begins, ends and how it is."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Final

from edge.audit.chain import CHAIN_BROKEN
from edge.gateway.collecting import Collecting
from edge.gateway.overload import aside_words
from edge.gateway.telemetry import health
from edge.gateway.timekeeping import ClockWatch
from edge.wire.timing import LatencyPayload

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edge.assembly.assembly import Assembly
    from edge.boxes.fencing import Fence
    from edge.boxes.retirement import Retirement
    from edge.brokers.link import Link
    from edge.brokers.links import LinkPair
    from edge.gateway.cleared import Cleared
    from edge.gateway.durable import Durable
    from edge.gateway.faults import Faults
    from edge.gateway.overload import Overload
    from edge.gateway.pace import Pace
    from edge.gateway.telemetry import Telemetry
    from edge.gateway.upkeep import Upkeep
    from edge.knowledge.retrieve import Retriever
    from edge.records import CommissionTold, Shed, ShellFault
    from edge.samples.drift import Drifting
    from edge.state import EngineState
    from edge.storage.dead_letters import DeadLetters
    from edge.wire.told_outputs import OutputPayload

ASKED_AT_ONCE: Final = 16  # assets: half a millisecond


class Rounds:
    """Asks everybody who may have found something wrong."""

    def __init__(  # noqa: PLR0913 - whom it asks, each by its name
        self,
        faults: Faults,
        *,
        link: Link | LinkPair,
        durable: Durable,
        overload: Overload,
        retirement: Retirement,
        cleared: Cleared,
        fence: Fence,
        upkeep: Upkeep,
        letters: DeadLetters,
        telemetry: Telemetry,
        pace: Pace,
        retriever: Retriever,
    ) -> None:
        """faults: knows what has been told."""
        self._asking: Iterator[Drifting | None] | None = None
        self._asked_of = ""  # the bundle that scored then
        self._drifts: list[Drifting | None] = []
        self._faults, self._link, self._durable = faults, link, durable
        self._overload, self._retirement, self._cleared = overload, retirement, cleared
        self._fence = fence
        self._upkeep, self._letters, self._telemetry = upkeep, letters, telemetry
        self._pace, self._retriever = pace, retriever
        self._clocks = ClockWatch()
        self._collecting = Collecting()

    def look(
        self, now_s: float, *, wall_ns: int, state: EngineState
    ) -> list[Shed | ShellFault | CommissionTold]:
        """What there is to tell. now_s: of a clock that never steps; state: only read."""
        trouble = self._durable.checkpoint_trouble
        told = [*self._faults.look(self._link, self._durable.outbox, checkpoint=trouble)]
        self._durable.keep(self._retirement.look())
        told += self._cleared.judge(self._retirement, self._faults)
        told += self._faults.judge("fence_forged", self._fence.forged)
        told += self._clocks.look(now_s, state=state, faults=self._faults)
        told += self._faults.judge(CHAIN_BROKEN, self._durable.trail_broken)
        told += self._faults.judge("audit_full", state.audit_budget.words(state.now_ns))
        return [
            *told,
            *self.load(now_s, wall_ns=wall_ns, state=state),
            *self._upkeep.judge(self._faults),
        ]

    def load(self, now_s: float, *, wall_ns: int, state: EngineState) -> list[Shed | ShellFault]:
        """What was given up, whether that begins or ends, and which topics are not read."""
        told = self._overload.look(now_s, wall_ns=wall_ns, state=state, faults=self._faults)
        return [*told, *self._faults.judge("topics_set_aside", aside_words(state), anew=True)]

    def collect(self, now_s: float) -> None:
        """Let what refers to itself be looked for, where that is due and makes no tick late."""
        self._collecting.turn(self._pace, now_s)

    def gathered(self, assembly: Assembly) -> bool:
        """Gather for health what has to be asked of every asset, until a tick is due.

        Returns whether that is all; else it goes on with the next call.
        """
        scores = assembly.bundle.sha256
        if self._asking is None or scores != self._asked_of:  # else of assets that may be gone
            self._asking, self._drifts, self._asked_of = assembly.engine.drifts(), [], scores
        now_s = self._telemetry.clock.monotonic_s
        until_s = now_s() + self._pace.turn_s
        while some := list(islice(self._asking, ASKED_AT_ONCE)):
            self._drifts += some
            if now_s() >= until_s:
                return False
        self._asking = None
        return True

    def health(
        self, assembly: Assembly, queue_depth_max: int, outputs: tuple[OutputPayload, ...] = ()
    ) -> bytes:
        """The payload of `health`: how it is just now, with what was `gathered`."""
        return health(
            self._telemetry,
            engine=assembly.engine,
            link=self._link,
            journal=self._durable.journal,
            outbox=self._durable.outbox,
            lapse=self._durable.lapse,
            faults=self._faults,
            queue_depth_max=queue_depth_max,
            overload=self._overload,
            letters=self._letters,
            snapshot=assembly.snapshot_sha256,
            fence=self._fence,
            drifts=self._drifts,
            outputs=outputs,
            latency=LatencyPayload(ticks=self._pace.told(), retrieval=self._retriever.told()),
        )
