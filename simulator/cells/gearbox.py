"""The gearboxes as data: what they publish, what breaks, what is done, how their people talk."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from kb.records import WorkKind
from simulator.cells.cell import CellType, Mode, Place, Waves
from simulator.cells.gearbox_blocks import BLOCK_CHANNELS, block_messages, waveform_toml
from simulator.cells.gearbox_signals import (
    CHANNEL_NAMES,
    CHANNELS,
    PERIOD_S,
    STREAM,
    normal,
    seeds,
    stricken,
)
from simulator.cells.gearbox_waves import Defect
from simulator.faults import FaultForm, Shape
from simulator.jobs import Work


class GearboxFault(StrEnum):
    """What breaks on a gearbox. The first five are `gearbox_waves.Defect`, made in the waveform."""

    BEARING_OUTER_RACE = "bearing_outer_race"
    BEARING_INNER_RACE = "bearing_inner_race"
    GEAR_TOOTH = "gear_tooth"
    MISALIGNMENT = "misalignment"
    IMBALANCE = "imbalance"
    DRIFTING_SENSOR = "drifting_sensor"
    STUCK_SENSOR = "stuck_sensor"
    DEAD_SENSOR = "dead_sensor"


SETTLE_S: Final = 600  # sixty rows: what work leaves behind is judged by their mean
INSIDE: Final = frozenset(GearboxFault(defect.value) for defect in Defect)
# The first channel is the one that states a fault's size; what else the waveform moves, it moves.
FORMS: Final[dict[StrEnum, FaultForm]] = {
    GearboxFault.BEARING_OUTER_RACE: FaultForm(
        signs=(("Envelope Outer Race", 1), ("Kurtosis", 1)), shape=Shape.RAMP
    ),
    GearboxFault.BEARING_INNER_RACE: FaultForm(
        signs=(("Envelope Inner Race", 1), ("Kurtosis", 1)), shape=Shape.RAMP
    ),
    GearboxFault.GEAR_TOOTH: FaultForm(
        signs=(("Envelope Shaft", 1), ("Mesh Sidebands", 1)), shape=Shape.STEP
    ),
    GearboxFault.MISALIGNMENT: FaultForm(
        signs=(("Shaft 2x", 1), ("Vibration Velocity", 1)), shape=Shape.STEP
    ),
    GearboxFault.IMBALANCE: FaultForm(
        signs=(("Shaft 1x", 1), ("Vibration Velocity", 1)), shape=Shape.STEP
    ),
    GearboxFault.DRIFTING_SENSOR: FaultForm(signs=(), shape=Shape.RAMP),
    GearboxFault.STUCK_SENSOR: FaultForm(signs=(), shape=Shape.FLAT),
    GearboxFault.DEAD_SENSOR: FaultForm(signs=(), shape=Shape.FLAT, zero_share=1.0),
}
TACHO: Final = Work(
    kind=WorkKind.CALIBRATION,
    instrument="tacho",
    channels=("Shaft Speed",),
    shapes=(Shape.RAMP, Shape.STEP, Shape.SPAN),
    settle_s=SETTLE_S,
    words=("tacho cal", "speed sensor calibration", "tacho cal w/ strobe"),
)
PULSE_TEST: Final = Work(
    kind=WorkKind.FUNCTION_TEST,
    instrument="vibration",
    channels=("Envelope Outer Race", "Kurtosis"),
    shapes=(Shape.RAMP, Shape.STEP),
    settle_s=SETTLE_S,
    words=("vib pulse function test", "accelerometer func test", "pulser func check"),
    toward=1,
)
TRIAL_WEIGHT: Final = Work(
    kind=WorkKind.VERIFICATION,
    instrument="balance",
    channels=("Shaft 1x", "Vibration Velocity"),
    shapes=(Shape.STEP,),
    settle_s=SETTLE_S,
    words=("balance check", "balance verification", "trial weight verif"),
    toward=1,
)
ALIGNMENT_CHECK: Final = Work(
    kind=WorkKind.VERIFICATION,
    instrument="alignment",
    channels=("Shaft 2x", "Vibration Velocity"),
    shapes=(Shape.STEP,),
    settle_s=SETTLE_S,
    words=("alignment check", "coupling alignment verification", "laser alignment verif"),
    toward=1,
)
TEMPERATURE_CHECK: Final = Work(
    kind=WorkKind.VERIFICATION,
    instrument="bearing_temp",
    channels=("Bearing Temperature",),
    shapes=(Shape.STEP, Shape.FLAT),
    settle_s=SETTLE_S,
    words=("bearing temp check", "bearing temp probe verification", "temp sensor check"),
)
LOAD_CHECK: Final = Work(
    kind=WorkKind.VERIFICATION,
    instrument="load_meter",
    channels=("Motor Load",),
    shapes=(Shape.FLAT, Shape.STEP),
    settle_s=SETTLE_S,
    words=("load meter check", "motor load verification", "load verif w/ clamp"),
)
OIL_FILTER: Final = Work(
    kind=WorkKind.CLEANING,
    instrument="oil_filter",
    channels=("Bearing Temperature", "Mesh Level"),
    shapes=(Shape.STEP,),
    settle_s=SETTLE_S,
    words=("oil filter clean", "oil filter cleaning", "gear oil filter cleaned"),
)
COUPLING_EXCHANGE: Final = Work(
    kind=WorkKind.REPLACEMENT,
    instrument="coupling",
    channels=("Shaft 1x", "Shaft 2x"),
    shapes=(Shape.SPIKES, Shape.STEP),
    settle_s=SETTLE_S,
    words=("coupling insert change", "coupling star replcd", "new coupling insert + test run"),
)
LEADING: Final = (TACHO, PULSE_TEST, TRIAL_WEIGHT, ALIGNMENT_CHECK)
_BEARING_ACTION: Final = "listen at the bearing, look for metal in the grease, order the bearing"
MODES: Final[dict[StrEnum, Mode]] = {
    GearboxFault.BEARING_OUTER_RACE: Mode(
        signs={"Envelope Outer Race": "high", "Kurtosis": "high"},
        cause="pit in the outer race: every ball hits it in the load zone",
        action=_BEARING_ACTION,
    ),
    GearboxFault.BEARING_INNER_RACE: Mode(
        signs={"Envelope Inner Race": "high", "Kurtosis": "high"},
        cause="pit in the inner race, which turns through the load zone",
        action=_BEARING_ACTION,
    ),
    GearboxFault.GEAR_TOOTH: Mode(
        signs={"Envelope Shaft": "high", "Mesh Sidebands": "high"},
        cause="tooth of the pinion cracked or chipped",
        action="open the inspection cover at the next stop, look at every tooth of the pinion",
    ),
    GearboxFault.MISALIGNMENT: Mode(
        signs={"Shaft 2x": "high", "Vibration Velocity": "high"},
        cause="shafts of motor and gearbox out of line, or a soft foot",
        action="check the feet, then measure the alignment with the laser",
    ),
    GearboxFault.IMBALANCE: Mode(
        signs={"Shaft 1x": "high", "Vibration Velocity": "high"},
        cause="coupling or fan wheel out of balance: dirt, a lost weight",
        action="clean fan wheel and coupling, then balance with a trial weight",
    ),
    GearboxFault.DRIFTING_SENSOR: Mode(
        signs=dict.fromkeys(CHANNEL_NAMES, "any"),
        cause="one output of the monitor drifts: loose stud, moist plug, or its reference lost",
        action="compare with a hand-held collector",
    ),
    GearboxFault.STUCK_SENSOR: Mode(
        signs=dict.fromkeys(CHANNEL_NAMES, "stuck"),
        cause="output frozen: the monitor's processor or the bus node hung",
        action="look at the lamp of the monitor, cut its supply for a moment",
    ),
    GearboxFault.DEAD_SENSOR: Mode(
        signs=dict.fromkeys(CHANNEL_NAMES, "low"),
        cause="reads zero: cable broken or supply lost",
        action="measure the bias voltage at the plug, then the cable",
    ),
}
FAULT_TALK: Final[dict[StrEnum, tuple[str, ...]]] = {
    GearboxFault.BEARING_OUTER_RACE: ("bearing ticks evenly", "DE side rattles", "dry sound at DE"),
    GearboxFault.BEARING_INNER_RACE: ("ticking swells + fades", "grinds at DE", "howl w/ load"),
    GearboxFault.GEAR_TOOTH: ("knock once per rev", "clack clack from gears", "chips in oil??"),
    GearboxFault.MISALIGNMENT: ("coupling dust on floor", "coupling warm", "feet buzz"),
    GearboxFault.IMBALANCE: ("base shakes", "fan wheel dirty?", "shakes at high speed"),
    GearboxFault.DRIFTING_SENSOR: ("collector says other", "reading creeps", "display odd"),
    GearboxFault.STUCK_SENSOR: ("value frozen on panel", "trend dead flat", "number never moves"),
    GearboxFault.DEAD_SENSOR: ("monitor shows 0", "cable pinched?", "no signal on panel"),
}
SMALL_TALK: Final = (
    "round done, all normal",
    "belt tracking ok",
    "oil level ok",
    "swept under conveyor 2",
    "spillage at transfer point, cleared",
    "guard door lamp out",
    "greaser comes tomorrow",
    "changed to coarse ore",
)

GEARBOX: Final = CellType(
    name="gearbox",
    site="conveyors",
    prefix="g",
    call="G",
    noun="gearbox",
    stream=STREAM,
    channels=CHANNELS,
    mode_tag="mode",
    normal=normal,
    wired=lambda seed, number: LEADING[int(seeds(seed, 12, number).integers(len(LEADING)))],
    forms=FORMS,
    one_sided=frozenset(),
    works=(*LEADING, TEMPERATURE_CHECK, LOAD_CHECK, OIL_FILTER, COUPLING_EXCHANGE),
    leading=LEADING,
    checks=(TEMPERATURE_CHECK, LOAD_CHECK),
    upkeep=(OIL_FILTER, COUPLING_EXCHANGE),
    renewing=None,
    twins={
        TACHO.key: GearboxFault.DRIFTING_SENSOR,
        PULSE_TEST.key: GearboxFault.BEARING_OUTER_RACE,
        TRIAL_WEIGHT.key: GearboxFault.IMBALANCE,
        ALIGNMENT_CHECK.key: GearboxFault.MISALIGNMENT,
    },
    fault_talk=FAULT_TALK,
    small_talk=SMALL_TALK,
    place=Place(
        functional_location="CV1-GEAR{n}",
        area="conveyor hall 1",
        consequence="the conveyor stands; the mill behind it runs empty within the hour",
        cause="bearing, gears, coupling, alignment, or the monitor of these",
        action="listen at gearbox {n} with the rod, then what the manual lists first",
    ),
    limit_groups={
        "limits_drive": ("Shaft Speed", "Motor Load", "Bearing Temperature"),
        "limits_vibration": (
            "Vibration Velocity",
            "Vibration Acceleration",
            "Shaft 1x",
            "Shaft 2x",
        ),
        "limits_gear": ("Mesh Level", "Mesh Sidebands", "Envelope Shaft"),
        "limits_bearing": ("Envelope Outer Race", "Envelope Inner Race", "Kurtosis"),
        "limits_all": CHANNEL_NAMES,
    },
    modes=MODES,
    aliases={
        "Shaft Speed": ("tacho", "input speed"),
        "Motor Load": ("load", "motor torque"),
        "Bearing Temperature": ("DE temp", "bearing temp"),
        "Vibration Velocity": ("vib velocity", "VRMS"),
        "Vibration Acceleration": ("vib acceleration", "ARMS"),
        "Kurtosis": ("K4", "impulsiveness"),
        "Shaft 1x": ("1x", "running speed line"),
        "Shaft 2x": ("2x", "twice running speed"),
        "Mesh Level": ("GMF", "gear mesh"),
        "Mesh Sidebands": ("sidebands", "GMF sidebands"),
        "Envelope Outer Race": ("BPFO", "outer race line"),
        "Envelope Inner Race": ("BPFI", "inner race line"),
        "Envelope Shaft": ("envelope 1x", "tooth line"),
    },
    period_s=PERIOD_S,
    stricken=stricken,
    inside=INSIDE,
    # levels of an accelerometer of 50 g, whichever machine it sits on
    ranges={
        "Vibration Velocity": 100.0,
        "Vibration Acceleration": 500.0,
        "Shaft 1x": 500.0,
        "Shaft 2x": 500.0,
        "Mesh Level": 500.0,
    },
    waves=Waves(blocks=block_messages, channels=BLOCK_CHANNELS, toml=waveform_toml()),
)
