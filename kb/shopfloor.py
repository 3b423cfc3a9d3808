"""Terse English of shift logs: which asset, which kind of work, whether it was done.

A line proposes only when it plainly says that bounded work was done, begins or is planned. Doubt,
wishes, complaints, repairs, negations and cancelled work propose nothing: a missed proposal costs a
question, a wrong one misleads.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import msgspec

from kb.records import WorkKind

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """Work that one line names on one asset."""

    asset: str
    kind: WorkKind
    instrument: str
    stage: str  # done, begun, planned or "" where the line does not say
    confidence: float


# Order matters: "flow cal check" is a calibration, "torch clean + check" a cleaning.
_PARTS: Final = r"(?:tip|nozzle|liner|filter|electrode|insert|blade|cap)s?"
_MEASURED: Final = r"(?:temp|flow|gas|sensor|probe|gauge|pressure|tcp|meter|instr\w*)"
_KINDS: Final = (
    (
        WorkKind.CALIBRATION,
        r"(?:re)?cal(?:s|ed|'?d)?|(?:re)?cali?br?\w*|kalib\w*|span (?:adj|set)\w*|zeroed",
    ),
    (
        WorkKind.FUNCTION_TEST,
        r"func(?:tion(?:al)?)?\.? ?(?:test|chk|check)\w*|(?:proof|e-?stop|safety) ?test\w*",
    ),
    (
        WorkKind.VERIFICATION,
        (
            rf"verif\w*|vrf\w*|{_MEASURED} (?:\w+ )?(?:check(?:ed)?|chk(?:d|ed)?)"
            r"|checked (?:against|w/|with) \w+"
        ),
    ),
    (
        WorkKind.REPLACEMENT,
        (
            rf"(?:new|changed|chgd|replaced|replcd|swapped|fitted) (?:\w+ )?{_PARTS}|{_PARTS} "
            r"(?:was |been )?(?:change\w*|chgd?|chng\w*|replac\w*|replcd?|swap\w*|exch\w*)"
        ),
    ),
    (WorkKind.CLEANING, r"clean(?:ed|ing)?|clnd?|ream(?:ed|ing)?|blown out|anti-?spatter"),
    (WorkKind.PLANNED_STOP, r"planned (?:stop|shutdown|down ?time)|pm stop"),
)
KINDS: Final = tuple(
    (kind, re.compile(rf"(?<![\w-])(?:{words})(?![\w-])")) for kind, words in _KINDS
)

_BENIGN: Final = re.compile(
    r"\b(?:no|w/o|without)\s+(?:further\s+|more\s+|other\s+|new\s+|any\s+)?"
    r"(?:issues?|problems?|faults?|findings?|leaks?|errors?|alarms?|deviations?|adj\w*|trouble|"
    r"remarks?)\b|\bleak (?:check|test|chk)\b|\bno[. ]?\d+\b"
)
_NEGATED: Final = re.compile(
    r"\b(?:not?|never|none|w/o|without|nothing|nobody|didn'?t|don'?t|wasn'?t|isn'?t|hasn'?t|"
    r"haven'?t|won'?t|can'?t|cannot|couldn'?t|un(?:done|finished|able)|neither|nor|instead|"
    r"cancel\w*|cancl\w*|cncl\w*|canx|postpon\w*|called[- ]off|skip\w*|abort\w*|delayed|"
    r"resched\w*|put (?:off|back)|interrupt\w*|halted|scrapped|broken? off|gave up|"
    r"moved to|on hold|forgot\w*|missed|refused|rejected|failed|fail|n/a|"
    r"stopped early|incomplete|except|excl\w*)\b"
)
_WISH: Final = re.compile(
    r"\?|\b(?:needs?|needed|pls|plz|please|should|shall|would|could|must|requests?|requested|req'?d|reqd|"
    r"wants?|wish\w*|asks?|asked|overdue|due|maybe|perhaps|probably|prob|poss\w*|might|recommend\w*|"
    r"suggest\w*|todo|to do|to be|when free|waiting|if)\b"
)
_COMPLAINT: Final = re.compile(
    r"\b(?:repair\w*|fix|fixed|broken?|bent|leak\w*|pores?|porosity|rough|noisy|stutter\w*|odd|weird|"
    r"frozen|creeping|drift(?:s|ing)|jam\w*|stuck|birdnest|trip(?:ped|s)|dead|worn|oval|faulty?|wrong|"
    r"spatter up|again|smells?|hot|cracked|loose)\b"
)
_ELSEWHEN: Final = re.compile(
    r"\b(?:since|after|before|prior to|last|previous|yesterday'?s?|old|next|until)\s+"
    r"(?:the\s+)?(?:\w+\s+){0,3}?"
    r"(?:re)?(?:cal\w*|kalib\w*|verif\w*|check|chk|clean\w*|change|chg\w*)\b"
    r"|\byesterday\b|\b(?:days?|weeks?|months?) ago\b|\blast (?:shift|night|week|month)\b"
)
_EXCLUDED: Final = re.compile(
    r"\b(?:not|except|excl\w*)\s+(?:on\s+|for\s+|of\s+)?([\w.:/-]+(?:\s*(?:\+|&|/|\band|\bor)\s*[\w.:/-]+)*)"
)
_OTHER_PLACE: Final = re.compile(r"\b(?:on|of|at|for|from|to)\s+$")
_DONE: Final = re.compile(
    r"\b(?:done|finished|finshed|fin|completed?|compl|signed off|passed|ok|replcd|replaced|chgd|"
    r"changed|cleaned|clnd|reamed|calibrated|verified|cal'?d)\b"
)
_BEGUN: Final = re.compile(
    r"\b(?:start(?:ed|ing)?|begun|began|begin|in progress|ongoing|running)\b"
)
_PLANNED: Final = re.compile(r"\b(?:planned|scheduled|sched|tomorrow|later|tonight|will)\b")
_CLAUSE: Final = re.compile(r"[,;]|\.\s|\bbut\b|\bthen\b")
_TOKEN: Final = re.compile(r"[\w][\w.:/-]*")
_CONFIDENCE: Final = {"done": 0.8, "begun": 0.8, "planned": 0.4, "": 0.5}


def work_said(
    said: str, *, assets: Mapping[str, str], instruments: Mapping[str, Sequence[str]]
) -> list[Said]:
    """Work that a line says was done, begins or is planned; each asset at most once.

    assets: `asset_words` of every known id; instruments: asset -> names of its instruments. An
    asset counts only as a whole word: R12 is never r1.
    """
    line = _BENIGN.sub(" ", said.lower())
    if _WISH.search(line) or _COMPLAINT.search(line) or _ELSEWHEN.search(line):
        return []
    clauses = [part for part in _CLAUSE.split(line) if part.strip()]
    called_off: set[str] = set()
    found: dict[str, WorkKind] = {}
    named: list[str] = []
    carry: list[str] = []
    for part in clauses:
        clause, excluded = _without_excluded(part, assets)
        called_off.update(excluded)
        own = assets_in(clause, assets)
        strangers = _strangers(clause, assets)
        if _NEGATED.search(clause):
            if not own or strangers:  # it speaks of all that was said before
                return []
            called_off.update(own)
            named, carry = [], []
            continue
        kind = _kind(clause)
        if kind is not None and _elsewhere(clause, assets):
            return []
        if own or strangers:
            named = carry + own
        carry = named if own and kind is None and not _DONE.search(clause) else []
        if kind is not None:
            for asset in named:
                found.setdefault(asset, kind)
    stage = _stage(line)
    return [
        Said(
            asset=asset,
            kind=kind,
            instrument=_instrument(line, instruments.get(asset, ())),
            stage=stage,
            confidence=_CONFIDENCE[stage],
        )
        for asset, kind in found.items()
        if asset not in called_off
    ]


def asset_words(ids: Iterable[str]) -> dict[str, str]:
    """Known ids by how a line may write them; ids that differ in case only are left out."""
    words: dict[str, list[str]] = {}
    for asset in sorted(set(ids)):
        words.setdefault(asset.lower(), []).append(asset)
    return {word: same[0] for word, same in words.items() if len(same) == 1}


def assets_in(said: str, assets: Mapping[str, str]) -> list[str]:
    """Known assets that a line names as whole words, in order, each once."""
    found: dict[str, None] = {}
    for token in _TOKEN.findall(said.lower()):
        for part in (token.rstrip(".:/-"), *re.split(r"[/:]", token)):
            if part in assets:
                found.setdefault(assets[part])
    return list(found)


def _strangers(clause: str, assets: Mapping[str, str]) -> bool:
    """Whether a clause names something that looks like an asset's id and is none: R12 beside r1."""
    shapes = {re.sub(r"\d+", "0", word) for word in assets if re.search(r"\d", word)}
    tokens = (token.rstrip(".:/-") for token in _TOKEN.findall(clause))
    return any(t not in assets and re.sub(r"\d+", "0", t) in shapes for t in tokens)


def _without_excluded(clause: str, assets: Mapping[str, str]) -> tuple[str, list[str]]:
    """A clause without "not R1", and the assets that it so leaves out."""
    match = _EXCLUDED.search(clause)
    left_out = assets_in(match[1], assets) if match else []
    if not match or not left_out or _strangers(match[1], assets):
        return clause, []
    return f"{clause[: match.start()]} {clause[match.end() :]}", left_out


def _elsewhere(clause: str, assets: Mapping[str, str]) -> bool:
    """Whether a clause names one asset before its work and another as the place of it.

    "R1 gas cal done on R2" may be of either.
    """
    before: set[str] = set()
    for token in _TOKEN.finditer(clause):
        word = token[0].rstrip(".:/-")
        if word not in assets:
            continue
        place = _OTHER_PLACE.search(clause[: token.start()])
        if place and before - {word} and _kind(clause[: token.start()]) is not None:
            return True
        before.add(word)
    return False


def _kind(clause: str) -> WorkKind | None:
    return next((kind for kind, words in KINDS if words.search(clause)), None)


def _stage(line: str) -> str:
    for stage, words in (("planned", _PLANNED), ("done", _DONE), ("begun", _BEGUN)):
        if words.search(line):
            return stage
    return ""


def _instrument(line: str, names: Sequence[str]) -> str:
    """The one instrument all of whose words the line has; "" when none or several fit."""
    words = set(re.findall(r"[a-z0-9]+", line))
    fits = [name for name in names if set(re.findall(r"[a-z0-9]+", name.lower())) <= words]
    return fits[0] if len(fits) == 1 else ""
