"""The CNC cell as data: what its mills measure, what breaks, what is done, how its people talk."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from kb.records import WorkKind
from simulator.cells.cell import CellType, Mode, Place
from simulator.cells.cnc_signals import CHANNEL_NAMES, CHANNELS, STREAM, normal, seeds
from simulator.faults import FaultForm, Shape
from simulator.jobs import Work


class CncFault(StrEnum):
    """What breaks on a mill."""

    TOOL_WEAR = "tool_wear"
    CHATTER = "chatter"
    COOLANT_LOSS = "coolant_loss"
    SPINDLE_BEARING_WEAR = "spindle_bearing_wear"
    AXIS_BACKLASH = "axis_backlash"
    DRIFTING_SENSOR = "drifting_sensor"
    STUCK_SENSOR = "stuck_sensor"
    DEAD_SENSOR = "dead_sensor"


# Physics of the signs: a blunt edge takes more power and shakes; a tool that resonates shakes and
# leaves its path; with less coolant what is left of it gets warmer; a worn bearing shakes and gets
# hot; a loose drive lags behind at each turn of direction.
FORMS: Final[dict[StrEnum, FaultForm]] = {
    CncFault.TOOL_WEAR: FaultForm(
        signs=(("Spindle Load", 1), ("Spindle Vibration", 1)), shape=Shape.STEP, noise=0.2
    ),
    CncFault.CHATTER: FaultForm(
        signs=(("Spindle Vibration", 1), ("Z Following Error", 1)), shape=Shape.BURSTS, noise=0.2
    ),
    CncFault.COOLANT_LOSS: FaultForm(
        signs=(("Coolant Flow", -1), ("Coolant Temperature", 1)), shape=Shape.STEP
    ),
    CncFault.SPINDLE_BEARING_WEAR: FaultForm(
        signs=(("Spindle Vibration", 1), ("Spindle Temperature", 1)), shape=Shape.RAMP
    ),
    CncFault.AXIS_BACKLASH: FaultForm(
        signs=(("X Following Error", 1), ("Y Following Error", 1)), shape=Shape.BURSTS
    ),
    CncFault.DRIFTING_SENSOR: FaultForm(signs=(), shape=Shape.RAMP),
    CncFault.STUCK_SENSOR: FaultForm(signs=(), shape=Shape.FLAT),
    CncFault.DEAD_SENSOR: FaultForm(signs=(), shape=Shape.FLAT, zero_share=1.0),
}
SPINDLE_METER: Final = Work(
    kind=WorkKind.CALIBRATION,
    instrument="spindle_meter",
    channels=("Spindle Load",),
    shapes=(Shape.RAMP, Shape.STEP, Shape.SPAN),
    settle_s=180,
    words=("spindle load cal", "load meter calibration", "spindle power cal"),
)
BALL_BAR: Final = Work(
    kind=WorkKind.VERIFICATION,
    instrument="axes",
    channels=("X Following Error", "Y Following Error"),
    shapes=(Shape.BURSTS, Shape.STEP),
    settle_s=180,
    words=("ballbar check", "ball-bar verification", "axes verif w/ ballbar"),
)
COOLANT_SENSOR: Final = Work(
    kind=WorkKind.CALIBRATION,
    instrument="coolant_flow",
    channels=("Coolant Flow", "Coolant Temperature"),
    shapes=(Shape.STEP, Shape.SPAN),
    settle_s=240,
    words=("coolant flow cal", "coolant sensor calibration", "coolant meter cal"),
    signs=(1, -1),
)
SPINDLE_RUN: Final = Work(
    kind=WorkKind.FUNCTION_TEST,
    instrument="spindle",
    channels=("Spindle Vibration", "Spindle Temperature"),
    shapes=(Shape.RAMP, Shape.STEP),
    settle_s=300,
    words=("spindle function test", "spindle run-up func test", "spindle func check"),
)
PROBE: Final = Work(
    kind=WorkKind.CALIBRATION,
    instrument="probe",
    channels=("Z Following Error",),
    shapes=(Shape.SPIKES, Shape.STEP),
    settle_s=120,
    words=("probe cal", "touch probe calibration", "Z probe recal"),
)
TEMPERATURE_CHECK: Final = Work(
    kind=WorkKind.VERIFICATION,
    instrument="spindle_temp",
    channels=("Spindle Temperature",),
    shapes=(Shape.STEP, Shape.FLAT),
    settle_s=300,
    words=("spindle temp check", "spindle probe verification", "temp sensor check"),
)
TOOL_EXCHANGE: Final = Work(
    kind=WorkKind.REPLACEMENT,
    instrument="tool",
    channels=("Spindle Load", "Spindle Vibration"),
    shapes=(Shape.SPIKES, Shape.STEP),
    settle_s=120,
    words=("insert change", "inserts replcd", "new insert + test cut"),
)
CHIP_CLEANING: Final = Work(
    kind=WorkKind.CLEANING,
    instrument="chip_tray",
    channels=("Coolant Flow", "Coolant Temperature"),
    shapes=(Shape.SPIKES, Shape.STEP),
    settle_s=120,
    words=("chip cleaning", "chip tray cleaned", "swarf + filter clean"),
    signs=(1, -1),
    toward=-1,
)
LEADING: Final = (SPINDLE_METER, BALL_BAR, COOLANT_SENSOR, SPINDLE_RUN)
MODES: Final[dict[StrEnum, Mode]] = {
    CncFault.TOOL_WEAR: Mode(
        signs={"Spindle Load": "high", "Spindle Vibration": "high"},
        cause="cutting edge worn or chipped",
        action="look at the inserts under the lamp, change them, check the last part",
    ),
    CncFault.CHATTER: Mode(
        signs={"Spindle Vibration": "high", "Z Following Error": "high"},
        cause="tool and part resonate: long overhang, loose clamping or wrong speed",
        action="check clamping and overhang, then change the spindle speed by a tenth",
    ),
    CncFault.COOLANT_LOSS: Mode(
        signs={"Coolant Flow": "low", "Coolant Temperature": "high"},
        cause="tank low, filter clogged, or pump sucks air",
        action="read the sight glass of the tank, then the filter's differential pressure",
    ),
    CncFault.SPINDLE_BEARING_WEAR: Mode(
        signs={"Spindle Vibration": "high", "Spindle Temperature": "high"},
        cause="spindle bearing worn or short of grease",
        action="run the spindle up without a tool and compare vibration with the record",
    ),
    CncFault.AXIS_BACKLASH: Mode(
        signs={"X Following Error": "high", "Y Following Error": "high"},
        cause="ball screw or thrust bearing loose, or scale dirty",
        action="measure the reversal with a dial gauge, then a ball-bar run",
    ),
    CncFault.DRIFTING_SENSOR: Mode(
        signs=dict.fromkeys(CHANNEL_NAMES, "any"),
        cause="one sensor ages or its plug is wet with coolant",
        action="compare with a hand instrument on the spot",
    ),
    CncFault.STUCK_SENSOR: Mode(
        signs=dict.fromkeys(CHANNEL_NAMES, "stuck"),
        cause="output frozen: converter or bus node hung",
        action="look at the lamp of the node, restart it in a break",
    ),
    CncFault.DEAD_SENSOR: Mode(
        signs=dict.fromkeys(CHANNEL_NAMES, "low"),
        cause="reads zero: wire broken or plug pulled",
        action="plug and cable of the sensor, chips on the connector",
    ),
}
FAULT_TALK: Final[dict[StrEnum, tuple[str, ...]]] = {
    CncFault.TOOL_WEAR: ("finish looks dull", "burrs on pocket", "load up since part 40"),
    CncFault.CHATTER: ("whistles in the corner", "chatter marks on wall", "sings, lower rpm?"),
    CncFault.COOLANT_LOSS: ("coolant thin jet", "sump low??", "chips blue, coolant weak"),
    CncFault.SPINDLE_BEARING_WEAR: ("spindle rumbles", "head runs warm", "hums at 5000"),
    CncFault.AXIS_BACKLASH: ("circle not round", "step at quadrant", "X clunks on reversal"),
    CncFault.DRIFTING_SENSOR: ("panel value wanders off", "gauge says other", "reading creeps"),
    CncFault.STUCK_SENSOR: ("value frozen on screen", "number never moves", "display stands"),
    CncFault.DEAD_SENSOR: ("shows 0, machine ok", "zero on panel??", "no signal"),
}
SMALL_TALK: Final = (
    "batch ok",
    "first off ok, QA signed",
    "raw material arrived late",
    "deburred 12 parts",
    "door switch sticky, reported",
    "program rev D loaded",
    "bar feeder refilled",
    "nothing special",
)

CNC: Final = CellType(
    name="cnc",
    site="machineshop",
    prefix="m",
    call="M",
    noun="mill",
    stream=STREAM,
    channels=CHANNELS,
    mode_tag="mode",
    normal=normal,
    wired=lambda seed, number: LEADING[int(seeds(seed, 11, number).integers(len(LEADING)))],
    forms=FORMS,
    one_sided=frozenset(),
    works=(*LEADING, PROBE, TEMPERATURE_CHECK, TOOL_EXCHANGE, CHIP_CLEANING),
    leading=LEADING,
    checks=(TEMPERATURE_CHECK, PROBE),
    upkeep=(TOOL_EXCHANGE, CHIP_CLEANING),
    renewing=TOOL_EXCHANGE,
    twins={
        SPINDLE_METER.key: CncFault.DRIFTING_SENSOR,
        BALL_BAR.key: CncFault.AXIS_BACKLASH,
        COOLANT_SENSOR.key: CncFault.COOLANT_LOSS,
        SPINDLE_RUN.key: CncFault.SPINDLE_BEARING_WEAR,
    },
    fault_talk=FAULT_TALK,
    small_talk=SMALL_TALK,
    place=Place(
        functional_location="MS1-MILL{n}",
        area="machine shop 1",
        consequence="parts out of size or with a poor surface; broken tool, damaged spindle",
        cause="tool, spindle, axis drive, coolant, or a sensor of these",
        action="look at the part and the tool of mill {n}, then what the manual lists first",
    ),
    limit_groups={
        "limits_spindle": (
            "Spindle Load",
            "Spindle Speed",
            "Spindle Vibration",
            "Spindle Temperature",
        ),
        "limits_axes": (
            "Feed Rate",
            "X Following Error",
            "Y Following Error",
            "Z Following Error",
        ),
        "limits_coolant": ("Coolant Flow", "Coolant Temperature"),
        "limits_all": CHANNEL_NAMES,
    },
    modes=MODES,
    aliases={
        "Spindle Load": ("load", "spindle power"),
        "Spindle Speed": ("rpm", "spindle rpm"),
        "Feed Rate": ("feed", "feedrate"),
        "X Following Error": ("X lag", "X contour error"),
        "Y Following Error": ("Y lag", "Y contour error"),
        "Z Following Error": ("Z lag", "Z contour error"),
        "Spindle Vibration": ("vib", "spindle vib"),
        "Coolant Flow": ("coolant", "emulsion flow"),
        "Coolant Temperature": ("coolant temp", "sump temp"),
        "Spindle Temperature": ("spindle temp", "head temp"),
    },
)
