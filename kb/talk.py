"""Shop-floor language: what a line of an operator log says about work, asset and time.

Terse, misspelt, with times of its own: "R12 gas flow cal finshed 0610-0640, JT", "cal R3, not R2". A clause names
work only by words of the table below. What reports trouble, asks, wishes or tells of a repair names none; what
was called off is told as cancelled. Nothing here decides: the result proposes, and a person may confirm it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from kb.records import WorkKind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

ASSETS_A_LINE_MAX: Final = 8
CONFIDENCE_STATED: Final = 0.8  # the line says that it was done, or has begun
CONFIDENCE_PLANNED: Final = 0.5
CONFIDENCE_BARE: Final = 0.5  # work is named and nothing is said about it
SEVERAL_ASSETS: Final = 0.75  # factor: a list of assets may be loosely meant
MINUTES_MAX: Final = 24 * 60

_GAUGE: Final = r"(?:temp(?:erature)?|flow|gas|press(?:ure)?|sens(?:o?r|or)|probe|meter|gauge|tcp|level|torque|weight|scale)"
_PART: Final = (
    r"(?:tips?|nozzles?|liners?|roll(?:er)?s?|sens(?:o?r|or)s?|probes?|filters?|electrodes?|hoses?|diffusers?"
    r"|bearings?|belts?|valves?|meters?|transmitters?|gauges?|seals?|cables?|tools?|inserts?|pads?|brush(?:es)?)"
)
_SWAP: Final = r"(?:ch(?:an)?ge?d?|chg'?d?|repl(?:ace?d?|cd|\.?)|swap(?:ped)?|renew(?:ed)?|exch(?:anged)?)"
KINDS: Final = (  # the first that matches names the work
    (WorkKind.FUNCTION_TEST, re.compile(r"\b(?:func?t?(?:ion(?:al)?)?|proof|loop|interlock|trip|e-?stop)[ -]?(?:test|chk|check)(?:ed|s)?\b")),
    (WorkKind.CALIBRATION, re.compile(r"\b(?:re-?)?cal(?:'?d|s)?\b|\b(?:re-?)?cal(?:i)?b\w*|\b(?:span|zero)[ -]?(?:adj\w*|set)\b|\bzeroed\b")),
    (WorkKind.VERIFICATION, re.compile(rf"\bverif\w*|\bvalidat\w+|\b{_GAUGE}s?(?: {_GAUGE})? (?:chk|check)(?:'?d|ed)?\b")),
    (WorkKind.REPLACEMENT, re.compile(rf"\b{_PART} {_SWAP}\b|\b{_SWAP} (?:\w+ ){{0,2}}{_PART}\b|\bnew {_PART}\b")),
    (WorkKind.CLEANING, re.compile(r"\bcle(?:a|e)n(?:ed|ing|'?d)?\b|\bcleand\b|\breamed\b|\bantispatter\b|\bflush(?:ed|ing)?\b|\bblown out\b|\brins(?:ed|ing)\b")),
    (WorkKind.PLANNED_STOP, re.compile(r"\b(?:planned|scheduled|pm) (?:stop|shutdown|shut-down|outage|downtime)\b")),
)  # fmt: skip

_CALLED_OFF: Final = re.compile(
    r"\bnot\b|\bno\b|\bn't\b|n't\b|\bnever\b|\bw/o\b|\bwithout\b|\bcan(?:ce?l|cle)\w*\b|\bcan'?t\b|\bcannot\b"
    r"|\babort\w*|\bcalled off\b|\bpostpon\w*|\bmoved\b|\bre-?sched\w*|\bskip\w*|\bput off\b|\bdelayed\b|\bon hold\b"
    r"|\bunable\b|\binstead\b|\bnext (?:week|month)\b|\bgave up\b|\bundone\b|\bincomplete\b"
)
_HARMLESS_NO: Final = re.compile(
    r"\bno (?:issues?|problems?|probs?|faults?|leaks?|change|deviation|drift|alarms?|adj\w*|further|more|spatter)\b|\bnot? bad\b"
)
_TROUBLE: Final = re.compile(
    r"\?|\brepair\w*|\bfix(?:ed|ing|es)?\b|\bmend\w*|\bbrok\w*|\bbreak-?down\b|\bfail\w*|\bfault\w*|\bleak\w*|\btripp?\w*"
    r"|\balarm\w*|\bdrift\w*|\bfrozen\b|\bstuck\b|\bodd\b|\bstrange\b|\bnoisy\b|\brough\b|\bwrong\b|\bdead\b|\bbad\b|\bpores?\b"
    r"|\bporosity\b|\bstutter\w*|\bloo?ks\b|\bseems?\b|\bcreep\w*|\bjam\w*|\bcrash\w*|\bdamag\w*|\btorn\b|\bburn\w*|\bsmok\w*"
    r"|\btoo (?:high|low|hot|cold)\b|\bout of (?:range|tol\w*|spec|order)\b|\berr(?:or)?s?\b|\bworn\b|\bcomplain\w*|\bemergency\b"
)
_WISH: Final = re.compile(
    r"\bneed\w*|\bshould\b|\bpl(?:ea)?se?\b|\bpls\b|\brequest\w*|\b(?:over)?due\b|\basap\b|\bwant\w*|\bwould\b|\bcould\b|\bmust\b"
    r"|\bto be\b|\bto do\b|\btodo\b|\bask(?:ed)?\b|\bif\b|\bwhy\b|\bwhen\b|\bwho\b|\bremind\w*|\bsuggest\w*|\bhope\w*|\bmaybe\b|\bmay\b"
    r"|\blast (?:week|month|year)\b|\byesterday\b|\b(?:days?|weeks?|months?) ago\b|\bsince (?:the )?(?:last )?cal\w*"
    r"|\bafter (?:the )?(?:last )?(?:cal|clean|tip)\w*|\bbefore (?:the )?(?:next )?(?:cal|clean|tip)\w*|\bexpired\b"
)
_DONE: Final = re.compile(
    r"\bdone\b|\bdne\b|\bfin(?:i?sh|shed|ished)\w*|\bcompl\w*|\bok\b|\bsigned off\b|\bback in prod\w*|\bready\b|\b100 ?%"
    r"|\b(?:re-?)?cal(?:ib\w*)?'?(?:ed|d)\b|\bcle(?:a|e)ned\b|\bcleand\b|\breamed\b|\bflushed\b|\bverified\b|\bchecked\b|\bchk'?d\b"
    r"|\bchange?d\b|\bchg'?d\b|\breplaced\b|\breplcd\b|\bswapped\b|\brenewed\b|\bzeroed\b|\btested\b"
)
_BEGUN: Final = re.compile(r"\bstart(?:ed|ing|s)?\b|\bbeg[aiu]n\w*|\bin progress\b|\bongoing\b|\bnow\b|\bunder way\b|\bunderway\b")
_AHEAD: Final = re.compile(r"\bwill\b|\bplann?(?:ed)?\b|\bsched\w*|\btomorrow\b|\btonight\b|\blater\b|\bnext shift\b|\bgoing to\b")
_TOMORROW: Final = re.compile(r"\btomorrow\b")
_CLOCK: Final = r"(?:([01]?\d|2[0-3])[:h]([0-5]\d)|([01]\d|2[0-3])([0-5]\d))"
_RANGE: Final = re.compile(rf"\b{_CLOCK}\s*(?:-|–|—|to|til+|until)\s*{_CLOCK}\b")
_FROM: Final = re.compile(rf"\b(?:at|from|since)\s+{_CLOCK}\b")
_MINUTES: Final = re.compile(r"\b(\d{1,3})\s*min(?:s|utes?)?\b")
_CLAUSE: Final = re.compile(r"[,;.!](?=\s|$)|\s-\s|\bbut\b|\bthen\b|(?<=\?)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Talk:
    """Work that a line speaks of. Times are local and aware; None where it gives none.

    words: the clause in lower case, without assets, for finding the instrument.
    """

    kind: WorkKind
    asset: str
    begin: datetime | None
    end: datetime | None
    cancelled: bool
    confidence: float
    words: str


def hear(
    said: str,
    moment: datetime,
    assets: AssetNames,
    *,
    kind_of: Callable[[str], WorkKind | None] = lambda words: None,
) -> list[Talk]:
    """Return what a line says about work: at most one Talk for each asset and kind.

    said: the line without its stamp; moment: the stamp, aware.
    kind_of: names the work of a clause whose words are not in the table, such as the site's own phrases.
    """
    lowered = said.lower()
    found: list[Talk] = []
    current: tuple[str, ...] = ()
    for clause in _CLAUSE.split(lowered):
        named, words = assets.find(clause, said)
        current = named or current
        kind = _kind(words) or kind_of(words)
        told = _HARMLESS_NO.sub(" ", words)
        if kind is None:
            found = _comment(found, told, named)
        elif not _TROUBLE.search(told) and not _wished(told):
            found += [_talk(kind, asset, told, moment, len(current)) for asset in current]
    unique = {(talk.asset, talk.kind): talk for talk in found}  # a later clause corrects an earlier one
    return [_timed(talk, lowered, moment) for talk in unique.values()]


class AssetNames:
    """The exact ids of a site, found in text in either case; names that differ only in case need theirs."""

    def __init__(self, ids: Iterable[str]) -> None:
        self._ids = frozenset(ids)
        self._by_lower: dict[str, list[str]] = {}
        for name in sorted(self._ids):
            self._by_lower.setdefault(name.lower(), []).append(name)
        names = sorted(self._by_lower, key=len, reverse=True)
        some = "|".join(map(re.escape, names)) or r"(?!)"
        # An id ends where no letter, digit or joining mark follows: r1 is neither in r12 nor in r1-b.
        self._name = re.compile(rf"(?<![\w/-])(?<!\w[.:])(?:{some})(?![\w/-]|[.:]\w)")
        self._not = re.compile(rf"\b(?:not|no|except|excl\.?|without)\s+(?:on\s+|at\s+)?({self._name.pattern})")

    def find(self, clause: str, said: str) -> tuple[tuple[str, ...], str]:
        """Assets that a clause in lower case names, "not R2" left out, and the clause without names."""
        denied = self._not.sub(" ", clause)
        named: dict[str, None] = {}
        for match in self._name.finditer(denied):
            held = self._by_lower[match.group()]
            exact = [name for name in held if len(held) == 1 or re.search(rf"(?<!\w){re.escape(name)}(?!\w)", said)]
            if len(exact) == 1:
                named[exact[0]] = None
        words = " ".join(self._name.sub(" ", denied).split())
        return (tuple(named) if len(named) <= ASSETS_A_LINE_MAX else ()), words

    def mentioned(self, said: str) -> tuple[str, ...]:
        """Every asset that a line names, in whatever way."""
        spoken = (self._by_lower[match.group()] for match in self._name.finditer(said.lower()))
        return tuple(dict.fromkeys(name for held in spoken for name in held))


def content_words(words: str) -> str:
    """What is left of a clause when it is said what work it is: no times, no states, no names of people."""
    for pattern in (_RANGE, _FROM, _MINUTES, _DONE, _BEGUN, _AHEAD, re.compile(r"\bop-?\d+\b")):
        words = pattern.sub(" ", words)
    return " ".join(re.findall(r"[a-z0-9/+]+", words))


def _kind(words: str) -> WorkKind | None:
    return next((kind for kind, pattern in KINDS if pattern.search(words)), None)


def _wished(told: str) -> bool:
    return _WISH.search(told) is not None


def _comment(found: list[Talk], told: str, named: tuple[str, ...]) -> list[Talk]:
    """A clause without work of its own may take back what the clauses before it said."""
    if not found or (named and named[0] != found[-1].asset):
        return found
    if _CALLED_OFF.search(told):
        return [replace(talk, cancelled=True) for talk in found]
    stated = found[-1].confidence >= CONFIDENCE_STATED * SEVERAL_ASSETS
    if _wished(told) and not stated:
        return []
    return found


def _talk(kind: WorkKind, asset: str, told: str, moment: datetime, assets: int) -> Talk:
    del moment
    stated = _DONE.search(told) or (_BEGUN.search(told) and not _AHEAD.search(told))
    confidence = CONFIDENCE_STATED if stated else CONFIDENCE_BARE
    if _AHEAD.search(told) and not _DONE.search(told):
        confidence = CONFIDENCE_PLANNED
    return Talk(
        kind=kind,
        asset=asset,
        begin=None,
        end=None,
        cancelled=_CALLED_OFF.search(told) is not None,
        confidence=confidence * (SEVERAL_ASSETS if assets > 1 else 1.0),
        words=told,
    )


def _timed(talk: Talk, line: str, moment: datetime) -> Talk:
    """Add the times that the line gives, on the day of its stamp or the next one."""
    done, ahead = _DONE.search(line), _AHEAD.search(line)
    if spoken := _RANGE.search(line):
        numbers = [int(part) for part in spoken.groups() if part is not None]
        begin, end = _at(moment, *numbers[:2]), _at(moment, *numbers[2:])
        end += timedelta(days=end <= begin)
    elif spoken := _FROM.search(line):
        begin, end = _at(moment, *(int(part) for part in spoken.groups() if part is not None)), None
    elif done:
        minutes = _MINUTES.search(line)
        length = int(minutes.group(1)) if minutes else 0
        begin = moment - timedelta(minutes=length) if 0 < length <= MINUTES_MAX else None
        return replace(talk, begin=begin, end=moment)
    else:
        return replace(talk, begin=moment if _BEGUN.search(line) and not ahead else None)
    if _TOMORROW.search(line):
        shift = 1
    else:
        shift = -1 if done and (end or begin) > moment else 0  # written after midnight
    days = timedelta(days=shift)
    return replace(talk, begin=begin + days, end=end + days if end else (moment if done else None))


def _at(moment: datetime, hour: int, minute: int) -> datetime:
    return moment.replace(hour=hour, minute=minute, second=0, microsecond=0)
