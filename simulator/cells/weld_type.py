"""The weld cell as data: what its robots measure, what breaks, how its people talk."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from simulator.cells.cell import CellType, Mode, Place
from simulator.cells.weld_signals import (
    CHANNEL_NAMES,
    CHANNELS,
    CURRENT,
    DEVIATION,
    FEED,
    FLOW,
    JOINT,
    PRESSURE,
    VOLTAGE,
    WIRE,
    character,
    normal,
)
from simulator.faults import FORMS, ONE_SIDED, FaultKind
from simulator.jobs import (
    ARC_METER,
    CALIBRATIONS,
    GAS_CHECK,
    GAS_FLOW,
    JOINT_CHECK,
    TCP,
    TIP_CHANGE,
    TORCH_CLEANING,
    WIRE_FEED,
    WORKS,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from enum import StrEnum

    from simulator.cells.signals import Course
    from simulator.jobs import Work

FAULT_TALK: Final[dict[StrEnum, tuple[str, ...]]] = {
    FaultKind.CONTACT_TIP_WEAR: (
        "arc sounds rough, spatter up",
        "tip looks oval??",
        "V hi, watching",
    ),
    FaultKind.GAS_FLOW_LOSS: (
        "pores on 2 parts, chkd cup ok",
        "gas low?? told setter",
        "porosity!",
    ),
    FaultKind.WIRE_FEED_SLIP: (
        "wire stutters",
        "birdnest cleared at rolls",
        "feeder noisy, rolls?",
    ),
    FaultKind.DRIFTING_SENSOR: (
        "display looks odd, parts ok",
        "reading creeping",
        "sensr drifting?",
    ),
    FaultKind.DEAD_SENSOR: (
        "value stands still on panel",
        "display frozen, reset no help",
        "stuck??",
    ),
}
SMALL_TALK: Final = (
    "prod ok",
    "1st part insp ok",
    "spool chgd",
    "fixture 2 clamp sticky, greased",
    "waiting for parts 5 min",
    "curtain torn, reported",
    "part mix changed to B",
    "all ok, no issues",
)
_ANY: Final = dict.fromkeys(CHANNEL_NAMES, "any")
MODES: Final[dict[StrEnum, Mode]] = {
    FaultKind.CONTACT_TIP_WEAR: Mode(
        signs={"Secondary Weld Voltage": "high", "Primary Weld Current": "low"},
        cause="contact tip worn oval, the arc path grows longer",
        action="look at the bore of the tip with the plug gauge, change the tip",
    ),
    FaultKind.GAS_FLOW_LOSS: Mode(
        signs={"CO2 Weld Flow": "low", "Pressure": "low"},
        cause="ring main starved, regulator closing or inlet filter clogged",
        action="read the gauge of the ring main, then look at the regulator's inlet filter",
    ),
    FaultKind.WIRE_FEED_SLIP: Mode(
        signs={"Wire Consumed": "low", "Feed": "high"},
        cause="drive rolls slip on the wire, or the liner is clogged",
        action="check pressure and grooves of the drive rolls, then pull the wire by hand",
    ),
    FaultKind.DRIFTING_SENSOR: Mode(
        signs=_ANY,
        cause="one sensor ages, its plug is moist or its reference lost",
        action="read the instrument on the spot with a hand meter",
    ),
    FaultKind.DEAD_SENSOR: Mode(
        signs=dict.fromkeys(CHANNEL_NAMES, "stuck"),
        cause="output frozen, wire broken, plug pulled or bus node hung",
        action="look at supply and lamp of the node, then at the plug",
    ),
}


def _normal(
    seed: int,
    number: int,
    *,
    phase: int,
    n: int,
    calm: Sequence[tuple[int, int]] = (),
    renewed: Sequence[int] = (),
) -> Course:
    return normal(seed, number, phase=phase, n=n, calm=calm, tips=renewed)


def _wired(seed: int, number: int) -> Work:
    return character(seed, number).wired


def _names(*channels: int) -> tuple[str, ...]:
    return tuple(CHANNEL_NAMES[k] for k in channels)


WELD: Final = CellType(
    name="weld",
    site="weldcell",
    prefix="r",
    call="R",
    noun="robot",
    stream=(),
    channels=CHANNELS,
    mode_tag="recipe",
    normal=_normal,
    wired=_wired,
    forms=FORMS,
    one_sided=ONE_SIDED,
    works=WORKS,
    leading=CALIBRATIONS,
    checks=(JOINT_CHECK, GAS_CHECK),
    upkeep=(TIP_CHANGE, TORCH_CLEANING),
    renewing=TIP_CHANGE,
    twins={
        TCP.key: FaultKind.DRIFTING_SENSOR,
        GAS_FLOW.key: FaultKind.GAS_FLOW_LOSS,
        ARC_METER.key: FaultKind.CONTACT_TIP_WEAR,
        WIRE_FEED.key: FaultKind.WIRE_FEED_SLIP,
    },
    fault_talk=FAULT_TALK,
    small_talk=SMALL_TALK,
    place=Place(
        functional_location="WC1-ROB{n}",
        area="weld cell 1",
        consequence="porosity, lack of fusion or bead beside the joint; parts go to rework",
        cause="arc, shielding gas, wire feed, tool centre point, or a sensor of these",
        action="compare the channel with the display of robot {n},"
        " then what the manual lists first",
    ),
    limit_groups={
        "limits_arc": _names(CURRENT, VOLTAGE),
        "limits_gas": _names(FLOW, PRESSURE),
        "limits_feed": _names(FEED, WIRE),
        "limits_arm": _names(JOINT, DEVIATION),
        "limits_all": CHANNEL_NAMES,
    },
    modes=MODES,
    aliases={
        "Pressure": ("gas pressure", "p gas"),
        "CO2 Weld Flow": ("gas flow", "CO2 flow", "shielding gas"),
        "Feed": ("wire feed speed", "WFS"),
        "Primary Weld Current": ("weld current", "amps"),
        "Wire Consumed": ("wire usage", "wire rate"),
        "Secondary Weld Voltage": ("arc voltage", "volts"),
        "Joint Temperature": ("J2 temp", "joint temp"),
        "TCP Deviation": ("tcp", "tool centre deviation"),
    },
)
