"""Maintenance work on a machine: what it disturbs, how long, and how a gateway hears of it.

A job is planned with its mark in the signals and its witness: the plant (edges of a function-check
bit), a person (check-in and check-out over MQTT), an order (approved, with real times, recorded
before), or nobody.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from kb.records import WorkKind
from simulator.faults import Shape

if TYPE_CHECKING:
    from simulator.faults import Mark

SECOND_NS: Final = 1_000_000_000
MILLISECOND_NS: Final = 1_000_000
LASTING_SIGMA_MAX: Final = 0.2  # two in a row stay below the scope table's expected effect
EXPECTED_EFFECT: Final = 0.5  # sigmas; what the scope table allows to last
DURATION_MIN_MAX: Final = 60  # longest duration in the scope table
assert 2 * LASTING_SIGMA_MAX < EXPECTED_EFFECT, (
    "a normal job must end within what its scope row expects"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """One approved kind of work on one instrument: a row of the scope table.

    signs: how the channels move against each other; (): all the same way. toward: the way of the
    first; 0: either.
    """

    kind: WorkKind
    instrument: str
    channels: tuple[str, ...]
    shapes: tuple[Shape, ...]
    settle_s: int
    words: tuple[str, ...]  # how the shop floor calls it
    signs: tuple[int, ...] = ()
    toward: int = 0

    @property
    def key(self) -> tuple[WorkKind, str]:
        """What a witness states and a scope row is found by."""
        return (self.kind, self.instrument)


TCP: Final = Work(
    kind=WorkKind.CALIBRATION,
    instrument="tcp",
    channels=("TCP Deviation",),
    shapes=(Shape.RAMP, Shape.STEP, Shape.SPAN),
    settle_s=180,
    words=("tcp cal", "TCP calibration", "tool centre point recal"),
)
GAS_FLOW: Final = Work(
    kind=WorkKind.CALIBRATION,
    instrument="gas_flow",
    channels=("CO2 Weld Flow", "Pressure"),
    shapes=(Shape.STEP, Shape.SPAN),
    settle_s=240,
    words=("gas flow cal", "CO2 flow calibration", "flowmeter cal"),
)
ARC_METER: Final = Work(
    kind=WorkKind.CALIBRATION,
    instrument="arc_meter",
    channels=("Secondary Weld Voltage", "Primary Weld Current"),
    shapes=(Shape.STEP, Shape.SPAN),
    settle_s=180,
    words=("A/V meter cal", "arc meter calibration", "amp/volt cal"),
)
WIRE_FEED: Final = Work(
    kind=WorkKind.CALIBRATION,
    instrument="wire_feed",
    channels=("Wire Consumed", "Feed"),
    shapes=(Shape.BURSTS, Shape.STEP),
    settle_s=180,
    words=("wire feed cal", "feeder encoder calibration", "WFS cal"),
)
JOINT_CHECK: Final = Work(
    kind=WorkKind.VERIFICATION,
    instrument="joint_temp",
    channels=("Joint Temperature",),
    shapes=(Shape.STEP, Shape.FLAT),
    settle_s=300,
    words=("joint temp check", "J2 temp probe verification", "temp sensor check"),
)
GAS_CHECK: Final = Work(
    kind=WorkKind.VERIFICATION,
    instrument="gas_flow",
    channels=("CO2 Weld Flow", "Pressure"),
    shapes=(Shape.FLAT, Shape.STEP),
    settle_s=240,
    words=("gas flow check", "flow verif w/ test meter", "gas check at cup"),
)
TIP_CHANGE: Final = Work(
    kind=WorkKind.REPLACEMENT,
    instrument="contact_tip",
    channels=("Primary Weld Current", "Secondary Weld Voltage"),
    shapes=(Shape.SPIKES, Shape.STEP),
    settle_s=120,
    words=("tip change", "contact tip replcd", "new tip + test welds"),
)
TORCH_CLEANING: Final = Work(
    kind=WorkKind.CLEANING,
    instrument="torch",
    channels=("CO2 Weld Flow", "Pressure"),
    shapes=(Shape.SPIKES, Shape.STEP),
    settle_s=120,
    words=("torch clean", "nozzle cleaning", "torch reamed + antispatter"),
)
CALIBRATIONS: Final = (TCP, GAS_FLOW, ARC_METER, WIRE_FEED)
WORKS: Final = (*CALIBRATIONS, JOINT_CHECK, GAS_CHECK, TIP_CHANGE, TORCH_CLEANING)
WORK_BY_KEY: Final = {work.key: work for work in WORKS}
assert len(WORK_BY_KEY) == len(WORKS), "a scope row is found by kind and instrument"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedJob:
    """Work on one machine, as it will happen, or as it was planned before it was cancelled.

    robot: the machine's number, a robot's in the weld cell.
    witness: plant | person | order | "". cancelled_by: order | person | "". begin_s and end_s are
    what the witness states; the marks lie within. lasting: sigmas that the channels keep
    afterwards. approved_s: when its order was recorded; told_s: when it was called off. Both may
    lie before the scenario.
    """

    job_id: str
    order_id: str
    robot: int
    work: Work
    begin_s: int
    end_s: int
    witness: str
    operator: str
    size: float
    marks: tuple[Mark, ...] = ()
    lasting: tuple[tuple[str, float], ...] = ()
    cancelled_by: str = ""
    check_in_s: int = 0  # of a job that a person cancelled: when it had been checked in
    approved_s: int = 0
    told_s: int = 0
    wording: int = 0  # which of the texts' variants speaks of it
    told: tuple[str, ...] = ()  # in a messy cell: planned, begun, done (logs), late_order


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One message of an operator."""

    t_ns: int
    topic: str
    payload: bytes


def commands(job: PlannedJob, *, asset: str, site: str, start_ns: int) -> tuple[Command, ...]:
    """What a person tells the gateway about a job over MQTT; () where nobody does."""
    if job.cancelled_by == "person":
        steps = (("check_in", job.check_in_s), ("cancel", job.told_s))
    elif job.witness == "person":
        steps = (("check_in", job.begin_s), ("check_out", job.end_s))
    else:
        return ()
    reasons = {
        "check_in": f"{job.work.words[0]} {asset}",
        "check_out": "done, back in production",
        "cancel": "called away, not done today",
    }
    return tuple(
        _command(
            job, action, start_ns + at_s * SECOND_NS, asset=asset, site=site, reason=reasons[action]
        )
        for action, at_s in steps
    )


def _command(
    job: PlannedJob, action: str, t_ns: int, *, asset: str, site: str, reason: str
) -> Command:
    body = {
        "ts": t_ns // MILLISECOND_NS,
        "action": action,
        "job_id": job.job_id,
        "kind": job.work.kind.value,
        "asset": asset,
        "instrument": job.work.instrument,
        "reason": reason,
    }
    return Command(
        t_ns=t_ns,
        topic=f"andon/{site}/cmd/{job.operator}/job",
        payload=json.dumps(body, separators=(",", ":")).encode(),
    )
