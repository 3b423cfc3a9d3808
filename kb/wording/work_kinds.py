"""Kinds of bounded work by the words that name them, after `kb.wording.wording`."""

from __future__ import annotations

import re
from typing import Final

from kb.records import WorkKind

_PARTS: Final = (
    r"(?:tip|nozzle|liner|filter|electrode|insert|tool insert|blade|cap|strainer|element|core|"
    r"diffuser|shroud|"
    r"cartridge|oil)s?(?! (?:box|housing|bracket|holder|cover|cooler|pump|seal|line|hose|sump|tank|"
    r"screen|pressure|switch|sensor|gauge|alarm|"
    r"program\w*)\b)"
)
_MEASURED: Final = (
    r"(?:temp|flow|gas|sensor|probe|gauge|pressure|tcp|meter|thermocouple|instr\w*|scale|cell|"
    r"encoder|shunt|rdg|reading|vibration)"
)
_AGAINST: Final = (
    r"(?:reference|master|handheld|gauge|pointer|standard|std|(?:dry )?block|bath|tester|meter|"
    r"weights?|calibrator|pyrometer|multimeter|clamp|endma\u00df|wrench|ruler|ring)"
)
_CHECK: Final = r"(?:check(?:ed|ing)?|prüfen|pruefen)"
_SOME: Final = r"(?:[\w@^/&'+.-]+ ){0,4}?"
_ITS: Final = r"(?:(?!on |of |in |from |at |for )[\w@^/&'+.-]+ ){0,4}?"
# "cal kit", "cal sticker": a thing, not the work
_THINGS: Final = (
    r"(?! (?:kits?|stickers?|labels?|cert\w*|gas\b(?! flow)|bottles?|lab|tools?|date|intervals?|"
    r"report|sheets?|cart|blocks?|weights?|standards?|equipment|gauge|guy|tech|team|vendor|data|"
    r"values?|offsets?|factors?|curves?|stand|fixture|bracket|rig|records?|procedure|program|"
    r"software|form|template|course|training|constants?|mode|menu|station|stations?|page|faults?|"
    r"status|history|due|seal|cable|jig|protocol|window|kit|man|engineer|company|contractor)\b)"
)
_NO_WIRES: Final = (
    r"(?! (?:wir\w+|cabl\w+|plugs?|connect\w+|hoses?|lines?|alarm\w*|filter\w*|mount\w*|bracket\w*|"
    r"screws?|bolts?|housing|history|trend|log)\b)"
)
_TESTED: Final = r"(?:test(?:ed)?|check(?:ed|ing)?)"
_SAFETY: Final = (
    r"(?:estop|safety|interlock|guard|light curtain|gate|scanner|loop|stroke|bump|proof|trip|"
    r"function|ops(?= test))"
)
# Order matters: "flow cal check" is a calibration, "torch clean + check" a cleaning.
_KINDS: Final = (
    (
        WorkKind.VERIFICATION,
        r"calibration (?:was )?verified|verified calibration",
    ),
    (
        WorkKind.CALIBRATION,
        rf"(?:calibration|calibrated|calibrate|calibrating|kalib\w*)(?!\w){_THINGS}",
    ),
    (
        WorkKind.FUNCTION_TEST,
        (
            rf"{_SAFETY} (?:\w+ ){{0,2}}?{_TESTED}|(?:trial|test|dry) run|trial done"
            rf"|test (?:of )?(?:the )?{_SAFETY}|{_TESTED} (?:of )?(?:the )?estop"
            r"|(?:spindle|valve) (?:warm-?up |run-?in |stroke )?test(?:ed)?"
            r"|test(?:ed)? (?:the )?(?:spindle|valve)"
        ),
    ),
    (
        WorkKind.VERIFICATION,
        (
            rf"verified|verify|verification|ball ?bar (?:\w+ )?{_TESTED}"
            rf"|ball ?bar(?= (?:was )?done)|{_MEASURED} (?:\w+ )?{_CHECK}"
            r"|(?:spot|intermediate) check"
            rf"|{_CHECK} of (?:the )?(?:\w+ )?{_MEASURED}"
            rf"|checked (?:the )?(?:\w+ )?{_MEASURED}{_NO_WIRES}"
            rf"|{_CHECK} of (?:the )?[a-z]t-?\w+"
            rf"|{_CHECK} (?:[\w@^/&'+.-]+ ){{0,7}}?(?:against|vs\.?|with|to) {_SOME}{_AGAINST}"
            rf"|{_CHECK} (?:against|with) \w+"
            rf"|{_MEASURED} test with (?:\w+ ){{0,2}}?{_AGAINST}|control of {_SOME}with {_AGAINST}"
        ),
    ),
    (
        WorkKind.REPLACEMENT,
        (
            rf"(?:changed|change|changing|new) {_ITS}{_PARTS}"
            rf"|{_PARTS} {_SOME}(?:changed|change|changing|wechseln|tauschen)"
            r"|(?:tool|cutter) (?:\w+ )?(?:changed|change|changing|wechseln)"
            r"(?! (?:alarm|error|arm|time|pos)\w*)"
        ),
    ),
    (
        WorkKind.CLEANING,
        (
            r"(?<!all )(?<!is )(?<!looks )(?<!running )(?<!very )(?<!alles )(?<!ist )"
            r"(?:cleaned|cleaning|clean|reinigen|putzen|säubern)"
            r"(?! (?:station|unit|run|shift|start|parts?|welds?|air|room|water|agent|"
            r"cloth|coolant|emulsion|gas|oil|tank|bottle|crew|desk|clothes)\b)"
            r"|anti-? ?spatter"
        ),
    ),
    (
        WorkKind.PLANNED_STOP,
        r"planned (?:[\w@^-]+ ){0,2}?stop|stop (?:[\w@^-]+ ){0,6}?(?:planned|asplanned)",
    ),
)
KINDS: Final = tuple(
    (kind, re.compile(rf"(?<![\w-])(?:{words})(?![\w-])")) for kind, words in _KINDS
)


def kind_in(text: str) -> WorkKind | None:
    """The kind of work that a worded text names, first in our order of kinds."""
    return next((kind for kind, words in KINDS if words.search(text)), None)


def without_kinds(text: str) -> str:
    """A worded text without the words that name work."""
    for _, words in KINDS:
        text = words.sub(" ", text)
    return text
