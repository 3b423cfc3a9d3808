"""What a question asks for: how often, how long, how much, when, or how to do it.

An answer has a form: "every four weeks" answers how often, a list of steps how to. The forms are of
English and, for the plainest questions, of German.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Final

UNLABELLED: Final = 0.7


class Asked(StrEnum):
    """What an answer has to hold."""

    STEPS = "steps"
    OFTEN = "often"
    LONG = "long"
    WHEN = "when"
    AMOUNT = "amount"
    OTHER = "other"


_UNIT: Final = (
    r"(?:seconds?|minutes?|hours?|shifts?|days?|nights?|weeks?|weekdays?|months?|quarters?|years?|"
    r"sekunden?|minuten?|stunden?|schicht(?:en)?|tage?n?|wochen?|monate?n?|jahre?n?|"
    r"(?:mon|tues|wednes|thurs|fri|satur|sun)days?)"
)
_COUNT: Final = (
    r"\d[\d.,]*|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|fifteen|twenty|"
    r"thirty|forty|fifty|sixty|ninety|hundred|half|several|zwei|drei|vier|sechs|zw\u00f6lf"
)
_NUMBER: Final = rf"(?:{_COUNT})"
_SPAN: Final = rf"{_NUMBER}(?:[ -](?:to|or|and|bis)?[ -]?{_NUMBER})?[ -]{_UNIT}"
_LASTING: Final = (
    rf"\b{_SPAN}\b(?! (?:after|before|later|ago)\b)"
    r"|\ban? (?:minute|hour|day|week|month|year)\b|\buntil\b|\bbis\b"
)
_RECURRING: Final = (
    r"\b(?:every|each|per|once an?|twice an?|times an?|all[ei]?|jede[nrs]?) (?:[\w-]+ ){0,2}"
    rf"{_UNIT}\b|\b(?:after|nach) {_SPAN}\b"
    r"|\b(?:hourly|daily|nightly|weekly|fortnightly|monthly|quarterly|yearly|annual(?:ly)?|"
    r"(?:bi|semi)-?(?:weekly|monthly|annual(?:ly)?)|continuous(?:ly)?|once|twice|never|always|"
    r"t\u00e4glich|w\u00f6chentlich|monatlich|j\u00e4hrlich|intervalle?|intervals?|frequency)\b"
    r"|\b(?:after|before|at|with|on|for|nach|vor) (?:each|every|jede[mnrs]?)\b"
    rf"|\b{_NUMBER} times (?:an?|per|each|every|in|within)\b"
)
_AT_A_TIME: Final = (
    r"\b(?:when|whenever|before|unless|as soon as|once|wenn|sobald|bevor)\b|\d{4}-\d\d|\d:\d\d"
)
_LABELS: Final = {
    Asked.OFTEN: r"interval|frequency|when|how often|schedule|intervall|h\u00e4ufigkeit|turnus",
    Asked.LONG: r"duration|time|takes|dauer|zeit",
    Asked.WHEN: r"when|date|time|interval|effective|due|wann|datum|termin",
}
# in this order: the first that fits counts
_ASKED: Final = (
    (Asked.OFTEN, r"\bhow (?:often|frequently|regularly)\b|\bwie (?:oft|h\u00e4ufig)\b"),
    (Asked.OFTEN, r"\b(?:what|which)\b.{0,40}\b(?:interval|frequency)\b"),
    (Asked.LONG, rf"\bhow long\b|\bhow (?:much time|many {_UNIT})\b|\bwie lange\b"),
    (Asked.LONG, r"\bwhat\b.{0,40}\bduration\b"),
    (Asked.STEPS, r"\bhow (?:do|can|should|must|shall|would|could) (?:i|we|you|one|they|people)\b"),
    (Asked.STEPS, r"\bhow to\b|\bhow (?:is|are|must|should|can) .+ed\b|\bhow .+ done\b"),
    (Asked.STEPS, r"\b(?:steps|instructions|procedure) (?:of|for|to|when|in)\b"),
    (Asked.STEPS, r"\bwie (?:kann|muss|soll|wird|werden) \w+"),
    (Asked.WHEN, r"^\W*(?:when|wann)\b|\b(?:at )?what time\b"),
    (Asked.AMOUNT, r"\bhow (?:much|many|high|low|warm|hot|cold|far|fast|slow|large|big|small)\b"),
    (Asked.AMOUNT, r"\bhow (?:thick|deep|wide|heavy|old|close|hard|tight|strong)\b"),
    (Asked.AMOUNT, r"\bwie ?(?:viele?|hoch|gro\u00df|weit|warm|schnell)\b"),
    (Asked.AMOUNT, r"\b(?:what|which)\b.{0,40}\b(?:maximum|minimum|limits?|torque|threshold)\b"),
    (Asked.AMOUNT, r"\b(?:what|which)\b.{0,40}\b(?:tolerance|set ?points?|dose|amount|number)\b"),
)
_FORMS: Final = tuple((asked, re.compile(said, re.IGNORECASE)) for asked, said in _ASKED)
_HOLDS: Final = {
    Asked.OFTEN: re.compile(_RECURRING, re.IGNORECASE),
    Asked.LONG: re.compile(_LASTING, re.IGNORECASE),
    Asked.WHEN: re.compile(f"{_AT_A_TIME}|{_RECURRING}|{_LASTING}", re.IGNORECASE),
    Asked.AMOUNT: re.compile(rf"\d|\b(?:no|none|{_COUNT})\b", re.IGNORECASE),
}
_LEANING: Final = re.compile(
    r"(?:it|they|this|these|those|both|he|she|then|otherwise|see|refer to|siehe|er|sie|es)\b",
    re.IGNORECASE,
)
_LABELLED: Final = {
    asked: re.compile(rf"(?:{words})\s*:", re.IGNORECASE) for asked, words in _LABELS.items()
}
# Words by which a question asks, and not what about.
_ASKING: Final = re.compile(
    r"\b(?:how (?:often|frequently|regularly|long)|wie (?:oft|h\u00e4ufig|lange))\b"
    r"|\bmean(?:s|ing)?\b(?=\W*$)|\bstand for\b",
    re.IGNORECASE,
)


def asked_by(question: str) -> Asked:
    """What a question asks for."""
    return next((asked for asked, form in _FORMS if form.search(question)), Asked.OTHER)


def subject_of(question: str) -> str:
    """A question without the words that only ask."""
    return _ASKING.sub(" ", question)


def holds(asked: Asked, sentence: str) -> float:
    """How far a sentence has what was asked for: 1 under a label that says so ("Interval: ...").

    0 for what has no form of its own, and without it.
    """
    form, label = _HOLDS.get(asked), _LABELLED.get(asked)
    if form is None or form.search(sentence) is None:
        return 0.0
    return 1.0 if label is not None and label.match(sentence) else UNLABELLED


def leans(sentence: str) -> bool:
    """Whether a sentence says little by itself: it points elsewhere, or goes on from another."""
    return _LEANING.match(sentence) is not None
