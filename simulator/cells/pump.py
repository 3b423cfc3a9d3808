"""The pump loops as data: what they measure, what breaks, what is done, how their people talk."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from kb.records import WorkKind
from simulator.cells.cell import CellType, Mode, Place
from simulator.cells.pump_signals import CHANNEL_NAMES, CHANNELS, STREAM, normal, seeds
from simulator.faults import FaultForm, Shape
from simulator.jobs import Work


class PumpFault(StrEnum):
    """What breaks on a pump loop."""

    CAVITATION = "cavitation"
    VALVE_STICKING = "valve_sticking"
    LEAK = "leak"
    PUMP_BEARING_WEAR = "pump_bearing_wear"
    BLOCKED_STRAINER = "blocked_strainer"
    DRIFTING_SENSOR = "drifting_sensor"
    STUCK_SENSOR = "stuck_sensor"
    DEAD_SENSOR = "dead_sensor"


# Physics of the signs: vapour at the inlet shakes the pump and takes its head; a plug that binds
# throttles, and to hold the flow the controller opens its actuator further; a leak between the two
# meters is missing in the return and in the pressure; a strainer that clogs starves the inlet, and
# the outlet with it.
FORMS: Final[dict[StrEnum, FaultForm]] = {
    PumpFault.CAVITATION: FaultForm(
        signs=(("Pump Vibration", 1), ("Suction Pressure", -1), ("Discharge Pressure", -1)),
        shape=Shape.BURSTS,
        noise=0.2,
    ),
    PumpFault.VALVE_STICKING: FaultForm(
        signs=(("Valve Position", 1), ("Discharge Pressure", 1)), shape=Shape.STEP
    ),
    PumpFault.LEAK: FaultForm(signs=(("Flow B", -1), ("Discharge Pressure", -1)), shape=Shape.STEP),
    PumpFault.PUMP_BEARING_WEAR: FaultForm(
        signs=(("Pump Vibration", 1), ("Motor Vibration", 1)), shape=Shape.RAMP
    ),
    PumpFault.BLOCKED_STRAINER: FaultForm(
        signs=(("Suction Pressure", -1), ("Discharge Pressure", -1)), shape=Shape.STEP
    ),
    PumpFault.DRIFTING_SENSOR: FaultForm(signs=(), shape=Shape.RAMP),
    PumpFault.STUCK_SENSOR: FaultForm(signs=(), shape=Shape.FLAT),
    PumpFault.DEAD_SENSOR: FaultForm(signs=(), shape=Shape.FLAT, zero_share=1.0),
}
FLOW_METER: Final = Work(
    kind=WorkKind.CALIBRATION,
    instrument="flow_a",
    channels=("Flow A",),
    shapes=(Shape.RAMP, Shape.STEP, Shape.SPAN),
    settle_s=180,
    words=("flow meter cal", "FT-A calibration", "flow A cal w/ clamp-on"),
)
PRESSURE_ZERO: Final = Work(
    kind=WorkKind.CALIBRATION,
    instrument="pressure",
    channels=("Suction Pressure", "Discharge Pressure"),
    shapes=(Shape.STEP, Shape.SPAN),
    settle_s=180,
    words=("pressure cal", "PT zero calibration", "both PTs zeroed"),
)
VALVE_TEST: Final = Work(
    kind=WorkKind.FUNCTION_TEST,
    instrument="valve",
    channels=("Valve Position", "Discharge Pressure"),
    shapes=(Shape.STEP, Shape.SPAN),
    settle_s=240,
    words=("valve function test", "valve func test", "CV stroke func check"),
)
VIBRATION_CHECK: Final = Work(
    kind=WorkKind.VERIFICATION,
    instrument="vibration",
    channels=("Pump Vibration", "Motor Vibration"),
    shapes=(Shape.RAMP, Shape.STEP),
    settle_s=180,
    words=("vibration verification", "vib sensor check", "vib verif w/ shaker"),
)
TEMPERATURE_CHECK: Final = Work(
    kind=WorkKind.VERIFICATION,
    instrument="motor_temp",
    channels=("Motor Temperature",),
    shapes=(Shape.STEP, Shape.FLAT),
    settle_s=300,
    words=("motor temp check", "motor temp probe verification", "temp sensor check"),
)
FLOW_CHECK: Final = Work(
    kind=WorkKind.VERIFICATION,
    instrument="flow_b",
    channels=("Flow B",),
    shapes=(Shape.FLAT, Shape.STEP),
    settle_s=180,
    words=("flow B check", "return flow verification", "flow B verif w/ clamp-on"),
)
STRAINER_CLEANING: Final = Work(
    kind=WorkKind.CLEANING,
    instrument="strainer",
    channels=("Suction Pressure", "Flow A", "Flow B", "Discharge Pressure"),
    shapes=(Shape.STEP,),
    settle_s=180,
    words=("strainer clean", "strainer cleaning", "suction strainer cleaned"),
    toward=-1,
)
PLANNED_STOP: Final = Work(
    kind=WorkKind.PLANNED_STOP,
    instrument="pump",
    channels=("Flow A", "Flow B", "Motor Current", "Discharge Pressure", "Suction Pressure"),
    shapes=(Shape.STEP,),
    settle_s=240,
    words=("planned stop to min flow", "planned downtime", "planned stop"),
    signs=(1, 1, 1, -1, -1),
    toward=-1,
)
LEADING: Final = (FLOW_METER, PRESSURE_ZERO, VALVE_TEST, VIBRATION_CHECK)
MODES: Final[dict[StrEnum, Mode]] = {
    PumpFault.CAVITATION: Mode(
        signs={
            "Pump Vibration": "high",
            "Suction Pressure": "low",
            "Discharge Pressure": "low",
        },
        cause="vapour at the inlet: suction head too low or liquid too warm",
        action="read level and temperature of the tank, open the suction valve fully",
    ),
    PumpFault.VALVE_STICKING: Mode(
        signs={"Valve Position": "high", "Discharge Pressure": "high"},
        cause="stem or packing of the control valve binds",
        action="stroke the valve by hand over its range, look at the packing",
    ),
    PumpFault.LEAK: Mode(
        signs={"Flow B": "low", "Discharge Pressure": "low"},
        cause="leak between the two flow meters",
        action="walk the line from flow meter A to B, look at flanges and drains",
    ),
    PumpFault.PUMP_BEARING_WEAR: Mode(
        signs={"Pump Vibration": "high", "Motor Vibration": "high"},
        cause="bearing worn, coupling out of line",
        action="listen at both bearings, measure the alignment in the next standby",
    ),
    PumpFault.BLOCKED_STRAINER: Mode(
        signs={"Suction Pressure": "low", "Discharge Pressure": "low"},
        cause="strainer clogged",
        action="read the differential gauge of the strainer, clean it",
    ),
    PumpFault.DRIFTING_SENSOR: Mode(
        signs=dict.fromkeys(CHANNEL_NAMES, "any"),
        cause="one transmitter drifts: moisture, deposits, or its reference lost",
        action="compare with its partner or a hand instrument",
    ),
    PumpFault.STUCK_SENSOR: Mode(
        signs=dict.fromkeys(CHANNEL_NAMES, "stuck"),
        cause="output frozen: converter or bus node hung",
        action="look at the lamp of the transmitter, cut its supply for a moment",
    ),
    PumpFault.DEAD_SENSOR: Mode(
        signs=dict.fromkeys(CHANNEL_NAMES, "low"),
        cause="reads zero: loop current lost",
        action="measure the loop current at the terminal, then the plug",
    ),
}
FAULT_TALK: Final[dict[StrEnum, tuple[str, ...]]] = {
    PumpFault.CAVITATION: ("gravel sound at inlet", "pump rattles", "crackling, tank low?"),
    PumpFault.VALVE_STICKING: ("CV slow to answer", "valve hangs", "stem squeaks"),
    PumpFault.LEAK: ("puddle under flange 3", "return lower than feed", "drip tray full"),
    PumpFault.PUMP_BEARING_WEAR: ("bearing howls", "coupling side loud", "runs rough"),
    PumpFault.BLOCKED_STRAINER: ("strainer dp red", "suction starved?", "leaves in inlet"),
    PumpFault.DRIFTING_SENSOR: ("A and B disagree", "gauge says other", "reading creeps"),
    PumpFault.STUCK_SENSOR: ("value frozen on DCS", "trend dead flat", "number never moves"),
    PumpFault.DEAD_SENSOR: ("transmitter at 0", "4 mA lost?", "no signal on DCS"),
}
SMALL_TALK: Final = (
    "round done, all normal",
    "tank topped up",
    "sample taken to lab",
    "pit pump alarm upstairs, not ours",
    "lamp in pump house out",
    "seal water ok",
    "contractor on site until noon",
    "duty swapped as usual",
)

PUMP: Final = CellType(
    name="pump",
    site="pumphouse",
    prefix="p",
    call="P",
    noun="loop",
    stream=STREAM,
    channels=CHANNELS,
    mode_tag="mode",
    normal=normal,
    wired=lambda seed, number: LEADING[int(seeds(seed, 11, number).integers(len(LEADING)))],
    forms=FORMS,
    one_sided=frozenset(),
    works=(*LEADING, TEMPERATURE_CHECK, FLOW_CHECK, STRAINER_CLEANING, PLANNED_STOP),
    leading=LEADING,
    checks=(TEMPERATURE_CHECK, FLOW_CHECK),
    upkeep=(STRAINER_CLEANING, PLANNED_STOP),
    renewing=STRAINER_CLEANING,
    twins={
        FLOW_METER.key: PumpFault.DRIFTING_SENSOR,
        PRESSURE_ZERO.key: PumpFault.BLOCKED_STRAINER,
        VALVE_TEST.key: PumpFault.VALVE_STICKING,
        VIBRATION_CHECK.key: PumpFault.PUMP_BEARING_WEAR,
    },
    fault_talk=FAULT_TALK,
    small_talk=SMALL_TALK,
    place=Place(
        functional_location="PH1-LOOP{n}",
        area="pump house 1",
        consequence="cooling water short; consumers trip within the hour",
        cause="pump, strainer, control valve, pipe, or a transmitter of these",
        action="look at the local gauges of loop {n}, then what the manual lists first",
    ),
    limit_groups={
        "limits_pump": (
            "Pump Vibration",
            "Motor Vibration",
            "Motor Current",
            "Motor Voltage",
            "Motor Temperature",
        ),
        "limits_hydraulic": (
            "Suction Pressure",
            "Discharge Pressure",
            "Flow A",
            "Flow B",
            "Liquid Temperature",
        ),
        "limits_valve": ("Valve Position", "Discharge Pressure"),
        "limits_all": CHANNEL_NAMES,
    },
    modes=MODES,
    aliases={
        "Suction Pressure": ("PT-1", "inlet pressure"),
        "Discharge Pressure": ("PT-2", "outlet pressure"),
        "Flow A": ("FT-A", "feed flow"),
        "Flow B": ("FT-B", "return flow"),
        "Motor Current": ("amps", "motor amps"),
        "Motor Voltage": ("volts", "supply voltage"),
        "Motor Temperature": ("motor temp", "winding temp"),
        "Liquid Temperature": ("liquid temp", "water temp"),
        "Pump Vibration": ("pump vib", "vib DE"),
        "Motor Vibration": ("motor vib", "vib NDE"),
        "Valve Position": ("CV", "valve"),
    },
)
