"""Guesses by the name of a tag: its unit, and what a tag of state may be for.

A name is a hint and no proof: whoever writes a guess down marks it as one.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from kb.records import WorkKind

_PARTS: Final = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|\d+|%")

# Units that are one word though their letters change case within it, where they stand alone.
_MIXED: Final = re.compile(r"(?<![A-Za-z])(?:kHz|kN|mA|mV|dB)(?![A-Za-z])")

# Units that stand in names themselves, as in oil_temp_degC or flow_lpm.
STATED: Final = {
    "bar": "bar", "mbar": "mbar", "kpa": "kPa", "mpa": "MPa", "psi": "psi", "degc": "degC",
    "celsius": "degC", "degf": "degF", "rpm": "rpm", "hz": "Hz", "khz": "kHz", "kw": "kW",
    "kwh": "kWh", "lpm": "l/min", "pct": "%", "percent": "%", "%": "%", "mm": "mm", "nm": "Nm",
    "kn": "kN", "ma": "mA", "mv": "mV", "kg": "kg", "ppm": "ppm", "db": "dB",
}  # fmt: skip
# Quantities, with the unit that plants of ours mostly send them in. More than one word may fit: the
# last of the name does, as in "motor current temperature".
QUANTITIES: Final = {
    "temperature": "degC", "temp": "degC", "pressure": "bar", "pres": "bar", "vibration": "mm/s",
    "vib": "mm/s", "current": "A", "amps": "A", "voltage": "V", "volt": "V", "volts": "V",
    "power": "kW", "energy": "kWh", "speed": "rpm", "flow": "l/min", "level": "%",
    "humidity": "%", "torque": "Nm", "force": "N", "position": "mm", "stroke": "mm",
    "displacement": "mm", "frequency": "Hz", "freq": "Hz", "weight": "kg", "mass": "kg",
    "acceleration": "m/s2", "accel": "m/s2", "ph": "pH", "conductivity": "uS/cm", "noise": "dB",
    "load": "%",
}  # fmt: skip
# Loops as ISA-5.1 names them: PT_101, TIC-12.
LOOPS: Final = {"P": "bar", "T": "degC", "F": "l/min", "L": "%"}
_LOOP: Final = re.compile(r"^([PTFL])(?:T|I|IT|IC|IR)[ _.-]?\d")

HEARTBEATS: Final = frozenset(["heartbeat", "watchdog", "alive", "keepalive", "hb", "lifebit"])
RUNS: Final = frozenset(["run", "running", "runs", "runstate", "isrunning"])
MODES: Final = frozenset(["mode", "opmode", "recipe", "program", "programme"])
ALARMS: Final = frozenset(["alarm", "alarms", "fault", "faults", "error", "err", "trip", "warning"])
STATES: Final = frozenset(["state", "status", "step", "phase", "code", "batch", "lot", "operator"])
# What work a bit may tell of: never believed without a person, as it may keep alerts quiet.
WORKS: Final = {
    "calibration": WorkKind.CALIBRATION, "calib": WorkKind.CALIBRATION, "cal": WorkKind.CALIBRATION,
    "verification": WorkKind.VERIFICATION, "bypass": WorkKind.FUNCTION_TEST,
    "override": WorkKind.FUNCTION_TEST, "inhibit": WorkKind.FUNCTION_TEST,
    "test": WorkKind.FUNCTION_TEST, "check": WorkKind.FUNCTION_TEST,
    "functioncheck": WorkKind.FUNCTION_TEST, "maintenance": WorkKind.REPAIR,
    "maint": WorkKind.REPAIR, "service": WorkKind.REPAIR, "cleaning": WorkKind.CLEANING,
    "cip": WorkKind.CLEANING, "clean": WorkKind.CLEANING,
}  # fmt: skip


class Unit(NamedTuple):
    """A unit, and where it was found."""

    unit: str
    why: str


def words_of(tag: str) -> tuple[str, ...]:
    """The words of a name in lower case, whatever joins them: `OilTemp_degC` is oil, temp, degc."""
    spelled = _MIXED.sub(lambda one: one[0].lower(), tag)
    spelled = spelled.replace("degC", "Degc").replace("degF", "Degf").replace("kPa", "Kpa")
    spelled = spelled.replace("MPa", "Mpa").replace("kWh", "Kwh").replace("kW", "Kw")
    return tuple(part.lower() for part in _PARTS.findall(spelled))


def unit_of(tag: str) -> Unit | None:
    """What unit a name suggests; None: nothing."""
    words = words_of(tag)
    if words and words[-1] in STATED:
        return Unit(STATED[words[-1]], "the name ends in it")
    for word in reversed(words):
        if word in QUANTITIES:
            return Unit(QUANTITIES[word], f"by the word {word}")
    loop = next(filter(None, map(_LOOP.match, re.split(r"[./]", tag))), None)
    return Unit(LOOPS[loop.group(1)], "by the letters of a loop") if loop else None


class Role(NamedTuple):
    """What a tag of state may be for. role: of the configuration; work: of a candidate witness."""

    role: str
    why: str
    work: WorkKind | None = None


def role_of(tag: str, *, binary: bool, state: bool, beating: bool) -> Role | None:
    """What a name suggests of a tag that is no measurement; None: nothing.

    binary, state: whether it has shown nothing but 0 and 1, few whole numbers. beating: whether it
    counts, or toggles.
    """
    words = words_of(tag)
    named = set(words) | {"".join(words)}
    if beating and (found := next((w for w in words if w in HEARTBEATS), "")):
        return Role("heartbeat", f"by the word {found}")
    if binary and (found := next((w for w in (*words, "".join(words)) if w in WORKS), "")):
        return Role("info", f"by the word {found}", WORKS[found])
    if binary and named & RUNS:
        return Role("run", "by the word run, and it is 0 or 1")
    if state and not binary and named & MODES:
        return Role("mode", "by its name, and it takes few whole numbers")
    if state and named & (ALARMS | STATES | MODES | RUNS):
        return Role("info", "by its name, and it takes few whole numbers")
    return None
