"""How people write of work when they write late, in a few words, in two languages, with slips."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from simulator.cells import cnc, gearbox, pump
from simulator.cells.cell import Disturbance
from simulator.jobs import (
    ARC_METER,
    GAS_CHECK,
    GAS_FLOW,
    JOINT_CHECK,
    TCP,
    TIP_CHANGE,
    TORCH_CLEANING,
    WIRE_FEED,
)

if TYPE_CHECKING:
    from kb.records import WorkKind

    Words = dict[tuple[WorkKind, str], tuple[str, ...]]

DONE_MARK: Final = "~"  # before words that only speak of done work
WELD_SLANG: Final[Words] = {
    TCP.key: ("~TCP neu eingemessen", "tcp calibrtion", "4-pt TCP cal", "~Werkzeugpkt kalibr."),
    GAS_FLOW.key: (
        "~gas meter calibrated",
        "~Gasmenge kalibriert",
        "shield gas flow calib",
        "CO2 flow kalib.",
    ),
    ARC_METER.key: (
        "A/V kalibrierung",
        "weld current + voltage calib",
        "~arc meter caled",
        "Strom/Spg kalibr",
    ),
    WIRE_FEED.key: (
        "~Drahtvorschub kalibriert",
        "wirefeed calib",
        "WFS recalibration",
        "~feeder calibratd",
    ),
    JOINT_CHECK.key: (
        "~J2 temp verified w/ hand probe",
        "~Temperatur Gelenk geprueft",
        "~joint temp verfied",
        "~temp probe checked against ref",
        "J2 temp verif",
    ),
    GAS_CHECK.key: (
        "~gas at cup verified",
        "~Gasdurchfluss geprüft",
        "flow verif.",
        "gas chk with testmeter",
    ),
    TIP_CHANGE.key: (
        "neue Stromdüse",
        "tip swap",
        "~contct tip changed",
        "~Kontaktdüse gewechselt",
        "~new tip in",
    ),
    TORCH_CLEANING.key: (
        "~Brenner gereinigt",
        "~torch cleand + sprayed",
        "nozzel cleaning",
        "~Düse ausgefräst, clean",
    ),
}
CNC_SLANG: Final[Words] = {
    cnc.SPINDLE_METER.key: (
        "spindle load calib",
        "~Spindellast kalibriert",
        "load meter recal",
        "~load% calibratd",
    ),
    cnc.BALL_BAR.key: (
        "Kreisformtest verif.",
        "~ballbar verified x/y",
        "ball bar verificaton",
        "axes verif ballbar",
    ),
    cnc.COOLANT_SENSOR.key: (
        "~KSS Durchfluss kalibriert",
        "coolant flw calibration",
        "emulsion meter cal",
        "coolant snsr calib",
    ),
    cnc.SPINDLE_RUN.key: (
        "spindle func test",
        "Spindel Funktionstest",
        "functional test spindle",
        "spindel func. chk",
    ),
    cnc.PROBE.key: (
        "~Messtaster kalibriert",
        "probe recal on ring",
        "touch probe calibr",
        "taster calib",
    ),
    cnc.TEMPERATURE_CHECK.key: (
        "~spindle temp verified",
        "~Spindeltemp. geprüft mit Handfühler",
        "temp probe verif",
        "~head temp checked w/ hand probe",
    ),
    cnc.TOOL_EXCHANGE.key: (
        "~WSP gewechselt",
        "~inserts swapped",
        "new inserts",
        "~tool insrt changed",
        "~Platten getauscht",
    ),
    cnc.CHIP_CLEANING.key: (
        "~Späne raus, gereinigt",
        "~chip tray cleand",
        "chip tray clean",
        "~swarf cleaned out",
        "~Spänewanne sauber gemacht",
    ),
}
PUMP_SLANG: Final[Words] = {
    pump.FLOW_METER.key: (
        "~FT-A calibrated",
        "~Durchfluss A kalibriert",
        "flow A calibr. clamp-on",
        "flowmeter A recal",
    ),
    pump.PRESSURE_ZERO.key: (
        "~PTs zeroed",
        "~Druck Nullpunkt kalibriert",
        "both press. transmitter cal",
        "PT zero adj / cal",
    ),
    pump.VALVE_TEST.key: (
        "Regelventil Funktionstest",
        "CV func test w/ bypass",
        "valve functn test",
        "valve func. chk",
    ),
    pump.VIBRATION_CHECK.key: (
        "~vib sensors verified",
        "Schwingung verif. m. Shaker",
        "vibr verificaton",
        "shaker verif",
    ),
    pump.TEMPERATURE_CHECK.key: (
        "~motor temp verified",
        "~Motortemp. geprüft",
        "winding temp probe verif",
        "~temp sensr checked",
    ),
    pump.FLOW_CHECK.key: (
        "~return flow verified",
        "Rücklauf verif clamp-on",
        "FT-B verif",
        "~flow B checked w/ clamp-on",
    ),
    pump.STRAINER_CLEANING.key: (
        "~strainer cleand",
        "~Sieb gereinigt",
        "strainr clean",
        "~suction strainer rinsed, clean",
        "~Filterkorb sauber",
    ),
    pump.PLANNED_STOP.key: (
        "planned stop, min flow",
        "geplanter Stillstand (planned stop)",
        "pm stop",
        "planned shutdwn",
    ),
}

GEARBOX_SLANG: Final[Words] = {
    gearbox.TACHO.key: (
        "~Drehzahlgeber kalibriert",
        "tacho calib w/ strobe",
        "speed sensr cal",
        "~tacho calibratd",
    ),
    gearbox.PULSE_TEST.key: (
        "Aufnehmer Funktionstest",
        "accel func test",
        "pulser functn test DE",
        "vib sensor func. chk",
    ),
    gearbox.TRIAL_WEIGHT.key: (
        "~balance verified w/ trial weight",
        "~Wuchtung geprüft",
        "balance verif",
        "~trial wt run, balance checked",
    ),
    gearbox.ALIGNMENT_CHECK.key: (
        "~alignment verified w/ laser",
        "~Ausrichtung geprüft",
        "laser align verif",
        "alignmt verificaton",
    ),
    gearbox.TEMPERATURE_CHECK.key: (
        "~bearing temp verified",
        "~Lagertemp. geprüft",
        "DE temp probe verif",
        "~temp sensr checked",
    ),
    gearbox.LOAD_CHECK.key: (
        "~motor load verified",
        "load meter verif w/ clamp",
        "~Motorlast geprüft",
        "~load reading checked",
    ),
    gearbox.OIL_FILTER.key: (
        "~oil filter cleand",
        "~Ölfilter gereinigt",
        "oil fltr clean",
        "~gear oil filter rinsed, clean",
    ),
    gearbox.COUPLING_EXCHANGE.key: (
        "neuer Kupplungsstern",
        "~coupling star replaced",
        "coupling insrt change",
        "~Kupplung getauscht",
        "new cplg insert, test run",
    ),
}

# What moves the signals and is neither work nor a fault.
WELD_CAUSES: Final = (
    Disturbance(
        name="changeover",
        signs={"Primary Weld Current": 1.0, "Feed": 0.8, "Wire Consumed": 0.8},
        fades=False,
        minutes=(8, 20),
        said=("Umrüsten auf Teil C", "fixture swap, running part C settings", "variant change"),
    ),
    Disturbance(
        name="material_lot",
        signs={"Feed": 1.0, "Secondary Weld Voltage": -0.7},
        fades=True,
        minutes=(20, 40),
        said=("neue Drahtcharge", "other wire make on", "drum 2 opened, wire a bit stiff"),
    ),
    Disturbance(
        name="warm_up",
        signs={"Joint Temperature": -1.0, "TCP Deviation": 0.7},
        fades=True,
        minutes=(12, 25),
        said=("cold start, arm stiff", "nach Pause noch kalt", "slow first parts"),
    ),
)
CNC_CAUSES: Final = (
    Disturbance(
        name="changeover",
        signs={"Spindle Load": 1.0, "Z Following Error": 0.7},
        fades=False,
        minutes=(8, 20),
        said=("gerüstet auf Flansch", "job change, 2nd clamping", "setup part 4711"),
    ),
    Disturbance(
        name="material_lot",
        signs={"Spindle Load": 1.0, "X Following Error": 0.7, "Y Following Error": 0.7},
        fades=True,
        minutes=(20, 40),
        said=("bar from other supplier", "Charge 88 härter", "new heat of steel started"),
    ),
    Disturbance(
        name="warm_up",
        signs={"Spindle Temperature": -1.0, "Coolant Temperature": -0.7},
        fades=True,
        minutes=(12, 25),
        said=("warm-up prog skipped", "Maschine noch kalt", "first part after break"),
    ),
)
PUMP_CAUSES: Final = (
    Disturbance(
        name="changeover",
        signs={"Discharge Pressure": 1.0, "Motor Current": -0.7},
        fades=False,
        minutes=(8, 20),
        said=("Verbraucher 3 zugeschaltet", "line B opened for batch", "other consumer on"),
    ),
    Disturbance(
        name="material_lot",
        signs={"Liquid Temperature": 1.0, "Suction Pressure": -0.7},
        fades=True,
        minutes=(20, 40),
        said=("fresh water topped up warm", "Tank nachgespeist", "new inhibitor dosed"),
    ),
    Disturbance(
        name="warm_up",
        signs={"Motor Temperature": -1.0, "Motor Vibration": 0.7},
        fades=True,
        minutes=(12, 25),
        said=("duty back on, still cold", "nach Standby angefahren", "starts a bit loud"),
    ),
)
GEARBOX_CAUSES: Final = (
    Disturbance(
        name="changeover",
        signs={"Motor Load": 1.0, "Mesh Level": 0.7},
        fades=False,
        minutes=(8, 20),
        said=("second feeder on", "Band 3 zugeschaltet", "belt scraper pressed on"),
    ),
    Disturbance(
        name="material_lot",
        signs={"Vibration Acceleration": 1.0, "Motor Load": 0.7},
        fades=True,
        minutes=(20, 40),
        said=("coarse lumps today", "grobes Material", "wet ore, heavy"),
    ),
    Disturbance(
        name="warm_up",
        signs={"Bearing Temperature": -1.0, "Mesh Level": 0.7},
        fades=True,
        minutes=(12, 25),
        said=("oil still cold", "nach Pause Öl zäh", "runs stiff first minutes"),
    ),
)
SLANG: Final[dict[str, Words]] = {
    "weld": WELD_SLANG,
    "cnc": CNC_SLANG,
    "pump": PUMP_SLANG,
    "gearbox": GEARBOX_SLANG,
}
CAUSES: Final = {
    "weld": WELD_CAUSES,
    "cnc": CNC_CAUSES,
    "pump": PUMP_CAUSES,
    "gearbox": GEARBOX_CAUSES,
}
