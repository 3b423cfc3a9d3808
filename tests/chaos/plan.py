"""What happens in a campaign, drawn from a seed: where kills strike, and what else goes wrong."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from random import Random

# Where a kill may strike, and the highest call of it that is drawn. The campaign ends with an
# error when a place is not there any more.
POINTS: Final = {
    "edge.storage.disk:Disk.write:half": 150,
    "edge.storage.disk:Disk.write:after": 150,
    "edge.storage.disk:Disk.sync:before": 8,
    "edge.storage.disk:Disk.sync:after": 8,
    "edge.brokers.link:Link.ack:before": 150,
    "edge.brokers.link:Link.ack:after": 150,
    "edge.engine:Engine.handle_group:before": 400,
    "edge.audit.trail:AuditTrail.write:after": 4,
    "edge.storage.outbox:Outbox.put:before": 4,
    "edge.storage.outbox:Outbox.put:after": 4,
    "edge.storage.outbox:Outbox._insert:after": 6,
    "edge.storage.outbox:Outbox.delivered:before": 4,
    "edge.storage.outbox:Outbox.delivered:after": 4,
    "edge.storage.outbox:Outbox.covered:before": 2,
    "edge.storage.checkpoint:pack:after": 2,
    "edge.storage.disk:Disk.replace:before": 2,
    "edge.storage.disk:Disk.replace:after": 2,
    "edge.storage.restore:not_as_published:before": 1,
    "edge.brokers.delivery:Delivery._send:after": 6,
}
SWAP_POINTS: Final = {
    "edge.assembly.assembly:Assembly.swap:after": 1,
    "edge.assembly.assembly:Assembly.adopt:after": 1,
    "edge.gateway.upkeep:Upkeep.taken:before": 1,
    "edge.gateway.upkeep:Upkeep.taken:after": 1,
    "edge.takeover:_warm:after": 1,
}
CYCLE_S_MAX: Final = 3.0
FAULTS: Final = (
    "broker restarted",
    "broker restarted without its store",
    "broker killed",
    "broker hangs",
    "gateway hangs",
    "connection cut",
    "nothing comes",
    "nothing leaves",
    "nothing passes",
    "everything late",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Something besides the kill: at_s after the gateway has restored, for_s long."""

    name: str
    at_s: float
    for_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Cycle:
    """One life of the gateway: how it ends, and what happens to it before.

    point: where the kill strikes, "" at a time; ends_s: at the latest, after it has restored;
    in_start: in shares of what a start takes, from its begin. stop_s: asked to stop so long before
    the end, 0 not at all. whole_stop: it is asked and not killed. swap: what takes over, "" none.
    """

    point: str
    ends_s: float
    in_start: bool
    stop_s: float
    whole_stop: bool
    swap: str
    faults: tuple[Fault, ...]


def drawn(random: Random) -> Cycle:
    """The next life of the gateway."""
    swap = random.choices(("", "snapshot", "bundle"), (0.7, 0.15, 0.15))[0]
    points = SWAP_POINTS if swap and random.random() < 0.5 else POINTS
    point = ""
    stop_s, whole_stop = 0.0, False
    how = random.random()
    if how < 0.45:
        place = random.choice(sorted(points))
        point = f"{place}:{random.randint(1, points[place])}"
        ends_s = CYCLE_S_MAX
    elif how < 0.60:  # in mid-start
        ends_s = random.uniform(0.02, 1.1)
    elif how < 0.75:  # while it stops
        stop_s, whole_stop = random.uniform(0.0, 0.8), random.random() < 0.3
        ends_s = random.uniform(0.5, CYCLE_S_MAX) + stop_s
    else:
        ends_s = random.uniform(0.1, CYCLE_S_MAX)
    faults = []
    for name in random.sample(FAULTS, random.choices((0, 1, 2), (0.5, 0.35, 0.15))[0]):
        at_s = random.uniform(0.0, ends_s)
        faults.append(Fault(name=name, at_s=at_s, for_s=random.uniform(0.2, 3.0)))
    return Cycle(
        point=point,
        ends_s=ends_s,
        in_start=0.45 <= how < 0.60,
        stop_s=stop_s,
        whole_stop=whole_stop,
        swap=swap,
        faults=tuple(faults),
    )
