"""What the gateway says of itself: its measures on health, whether it is there, what is wrong."""

from __future__ import annotations

import resource
import statistics
from collections import Counter, deque
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from edge.caps import COMMISSIONS_MAX, DRIFTS_MAX
from edge.gateway.timekeeping import clock_payload
from edge.records import Publish
from edge.samples.drift import drift_payload, surest
from edge.storage.disk import CLOCK
from edge.wire import outgoing
from edge.wire.linked import LinkPayload
from edge.wire.overloading import OverloadPayload
from edge.wire.speaking import SPEAKERS_MAX, SparkplugPayload
from edge.wire.timing import LatencyPayload
from edge.work.commission import Stage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge.alerts.load import LoadReport
    from edge.assembly.assembly import Assembly
    from edge.boxes.fencing import Fence
    from edge.brokers.link import Link
    from edge.brokers.link_counts import LinkCounts
    from edge.brokers.links import LinkPair
    from edge.engine import Engine
    from edge.gateway.faults import Faults
    from edge.gateway.lapse import Lapse
    from edge.gateway.overload import Overload
    from edge.records import ShellFault
    from edge.samples.drift import Drifting
    from edge.state import EngineState
    from edge.storage.dead_letters import DeadLetters
    from edge.storage.disk import Clock
    from edge.storage.journal_writer import JournalWriter
    from edge.storage.standby import StandbyOutbox
    from edge.wire.commissioning import CommissioningPayload
    from edge.wire.told_outputs import OutputPayload
    from edge.wire.topics import Topics

LAG_SAMPLES_MAX: Final = 4096
TICKS_MAX: Final = 600  # a minute by default
LATE_TICKS_MIN: Final = 5  # fewer may have waited for something else,
LATE_S_MIN: Final = 10.0  # as may those that take no longer together
IN_TIME_SHARE: Final = 0.8  # of tick_ms, below which late ticks are over: not each time about it


@dataclass(slots=True)
class Telemetry:
    """Rates and lag since the last report."""

    clock: Clock = CLOCK
    started_s: float = field(init=False)
    messages: int = 0
    redelivered: int = 0  # that were journaled before: acknowledged, not taken again
    ticks: int = 0
    tick_ms_max: float = 0.0
    lags_ms: deque[float] = field(default_factory=lambda: deque(maxlen=LAG_SAMPLES_MAX))
    # the newest; where they come sooner than `tick_ms` says, those within about so long as one
    ticks_ms: deque[float] = field(default_factory=lambda: deque(maxlen=TICKS_MAX))
    _reported_s: float = field(init=False)
    _messages_reported: int = 0
    _late: str = ""

    def __post_init__(self) -> None:
        self.started_s = self._reported_s = self.clock.monotonic_s()

    def took(self, received_ns: Sequence[int], *, now_ns: int) -> None:
        """Messages that came at these times have left the queue."""
        self.messages += len(received_ns)
        self.lags_ms.extend([(now_ns - one) / 1e6 for one in received_ns])

    def ticked(self, took_ms: float, together_ms: float | None = None) -> None:
        """A tick took so long; with it, all within about `tick_ms` did. None: more of them come."""
        self.ticks += 1
        self.tick_ms_max = max(self.tick_ms_max, took_ms)
        if together_ms is not None:
            self.ticks_ms.append(together_ms)

    def late(self, tick_ms: float) -> str:
        """How ticks fall behind their pace, "" they do not: most of the newest take longer.

        That begins above `tick_ms` and ends below IN_TIME_SHARE of it; in between, and of too few
        ticks, it stays what it was. A tick in time covers its whole `tick_ms`.
        """
        taken = self.ticks_ms
        if len(taken) < LATE_TICKS_MIN:
            return self._late
        usual = statistics.median(taken)
        if usual > tick_ms:
            if sum(taken) >= 1e3 * LATE_S_MIN:
                self._late = (
                    f"every other tick takes {usual:.0f} ms or more, {tick_ms:g} are between them"
                )
        elif usual < IN_TIME_SHARE * tick_ms:
            covered_ms = sum(max(one, tick_ms) for one in taken)
            if covered_ms >= min(1e3 * LATE_S_MIN, TICKS_MAX * tick_ms):
                self._late = ""
        return self._late

    def report(self) -> tuple[float, float | None, float]:
        """Messages a second, median lag and longest tick in ms since the last report."""
        now_s = self.clock.monotonic_s()
        rate = (self.messages - self._messages_reported) / max(now_s - self._reported_s, 1e-3)
        lags = sorted(self.lags_ms)
        lag_ms = lags[len(lags) // 2] if lags else None
        tick_ms = self.tick_ms_max
        self._reported_s, self._messages_reported, self.tick_ms_max = now_s, self.messages, 0.0
        self.lags_ms.clear()
        return rate, lag_ms, tick_ms


def health(  # noqa: PLR0913 - all that there is to tell
    telemetry: Telemetry,
    *,
    engine: Engine,
    link: Link | LinkPair,
    journal: JournalWriter | None,
    outbox: StandbyOutbox,
    lapse: Lapse,
    faults: Faults,
    fence: Fence,
    queue_depth_max: int,
    overload: Overload | None = None,
    letters: DeadLetters | None = None,
    snapshot: str = "",
    latency: LatencyPayload | None = None,
    drifts: Sequence[Drifting | None] | None = None,
    outputs: tuple[OutputPayload, ...] = (),
) -> bytes:
    """How the gateway is since the last report, and everything that was not taken, by reason.

    drifts: as `engine.drifts` told them, where somebody has asked already.
    """
    rate, lag_ms, tick_ms = telemetry.report()
    total = link.counts
    payload = outgoing.HealthPayload(
        ts_ms=telemetry.clock.wall_ns() // 1_000_000,
        plant_ms=engine.now_ns // 1_000_000,
        uptime_s=round(telemetry.clock.monotonic_s() - telemetry.started_s, 1),
        messages_per_s=round(rate, 1),
        queue_depth=link.queue_depth,
        queue_depth_max=queue_depth_max,
        lag_ms=lag_ms,
        tick_ms_max=round(tick_ms, 2),
        rss_mb=round(rss_mb(), 1),
        journal_mb=round(journal.bytes_kept() / 1e6, 1) if journal is not None else 0.0,
        outbox_pending=outbox.pending_count(),
        counts={**engine.counts(), **_linked(total), "faults_active": len(faults.active)},
        drops={
            "shed": total.shed,
            "dead_letters": letters.dropped if letters is not None else 0,
            "broker": total.broker_dropped,
            "callback_error": total.callback_errors,
            "misplaced": total.misplaced,
            "fence_refused": fence.refused_total,
            "not_sent": total.not_sent,
            "outbox_conflict": outbox.conflicts_total,
            "outbox_given_up": outbox.given_up_total,
            "journal_torn_bytes": journal.torn_bytes_total if journal else 0,
            "journal_segments_retired": journal.dropped_segments_total if journal else 0,
            "not_journaled": lapse.stimuli_total,
            "not_audited": lapse.unaudited_lost_total,
            "redelivered": telemetry.redelivered,
            "journal_damaged_segments": journal.damaged_segments_total if journal else 0,
            "journal_damaged_bytes": journal.damaged_bytes_total if journal else 0,
        },
        **_durability(lapse),
        outbox_mb=round(outbox.waiting_bytes / 1e6, 1),
        outbox_in_memory=outbox.in_memory,
        blind=engine.blind(),
        snapshot=snapshot,
        latency=latency or LatencyPayload(),
        sparkplug=_speaking(engine.outline),
        overload=OverloadPayload() if overload is None else overload.payload(engine.outline),
        **_load(engine.load()),
        **_drift(tuple(engine.drifts()) if drifts is None else drifts),
        **_commissioning(engine.commissioning.report()),
        clock=clock_payload(engine.outline),
        links=tuple(_link(one, telemetry.clock.wall_ns() / 1e9) for one in link.links),
        outputs=outputs,
    )
    return outgoing.encode(payload)


def _linked(total: LinkCounts) -> dict[str, int]:
    return {f"link_{name}": count for name, count in asdict(total).items()}


def _link(link: Link, now_s: float) -> LinkPayload:
    days = [span.days_left(now_s) for span in link.spans]
    return LinkPayload(
        broker=link.name or "broker",
        to=link.broker,
        connected=int(link.connected),
        received=link.counts.received,
        connects=link.counts.connects,
        disconnects=link.counts.disconnects,
        refused=link.counts.refused,
        not_sent=link.counts.not_sent,
        misplaced=link.counts.misplaced,
        certificate_days=round(min(days), 2) if days else None,
        cause="" if link.connected else link.cause,
        reads_plainly=link.reads_plainly,
    )


def _durability(lapse: Lapse) -> dict[str, Any]:
    """The fields of what the disk does not take."""
    lasts_s = round(lapse.lasts_s, 1)
    return {"durable": int(not lapse.why), "not_durable": lapse.why, "not_durable_s": lasts_s}


def _speaking(state: EngineState) -> SparkplugPayload:
    """The field of what comes by Sparkplug B; the sorted first of each list."""
    assets = sorted(state.assets.items())
    gaps = sorted((node, one.gaps) for node, one in state.nodes.items() if one.gaps)
    return SparkplugPayload(
        waiting_for_birth=tuple(name for name, one in assets if one.nameless_ns)[:SPEAKERS_MAX],
        dead=tuple(name for name, one in assets if one.dead_ns)[:SPEAKERS_MAX],
        in_doubt=tuple(name for name, one in assets if one.doubted_ns)[:SPEAKERS_MAX],
        nodes_with_gaps=dict(gaps[:SPEAKERS_MAX]),
    )


def _load(found: LoadReport) -> dict[str, Any]:
    """The fields of the alarm load."""
    load = (
        outgoing.LoadPayload(
            position=one.position,
            begin_ms=one.begin_ns // 1_000_000,
            rings=one.rings,
            per_10_min=one.per_10_min,
            peak_10_min=one.peak_10_min,
            flood_share=one.flood_share,
        )
        for one in found.load
    )
    frequent = (
        outgoing.FrequentPayload(asset=one.asset, track=one.track, rings=one.rings)
        for one in found.frequent
    )
    return {
        "load": tuple(load),
        "frequent": tuple(frequent),
        "chattering": found.chattering,
        "stale": found.stale,
    }


def _drift(found: Sequence[Drifting | None]) -> dict[str, Any]:
    """The fields of what drifts, the surest first."""
    left_out: Counter[str] = Counter()
    for one in found:
        left_out.update(one.left_out if one is not None else {})
    drifting = sorted((one for one in found if one is not None and one.since_ns), key=surest)
    return {
        "drift": tuple(drift_payload(one) for one in drifting[:DRIFTS_MAX]),
        "drifting": len(drifting),
        "drift_unknown": sum(one is None or not one.known for one in found),
        "drift_left_out": dict(left_out),
    }


def _commissioning(found: Sequence[CommissioningPayload]) -> dict[str, Any]:
    """The fields of what is not in service, what learns first."""
    waiting = sorted(
        (one for one in found if one.stage != Stage.IN_SERVICE), key=lambda one: one.stage_num
    )
    return {
        "learning": sum(one.stage == Stage.LEARNING for one in waiting),
        "in_shadow": sum(one.stage == Stage.SHADOW for one in waiting),
        "commissioning": tuple(waiting[:COMMISSIONS_MAX]),
    }


def rss_mb() -> float:
    """Resident memory of this process now, MB; the peak where the system does not tell."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
        return pages * resource.getpagesize() / 1e6
    except (OSError, ValueError, IndexError):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


def status(assembly: Assembly, *, online: bool, clock: Clock = CLOCK) -> bytes:
    """The payload of the status topic: birth, goodbye and last will."""
    payload = outgoing.StatusPayload(
        online=online,
        version=assembly.version,
        bundle=assembly.bundle.sha256,
        snapshot=assembly.snapshot_sha256,
        ts_ms=clock.wall_ns() // 1_000_000,
    )
    return outgoing.encode(payload)


def system_fault(fault: ShellFault, topics: Topics, *, clock: Clock = CLOCK) -> Publish:
    """A fault said past the engine: it may be the engine that failed."""
    payload = outgoing.SystemPayload(
        active=int(fault.active),
        name=fault.name,
        message=fault.detail,
        ts_ms=clock.wall_ns() // 1_000_000,
    )
    topic = topics.alert("_gateway", "system")
    return Publish(topic=topic, payload=outgoing.encode(payload), qos=1, retain=True)
