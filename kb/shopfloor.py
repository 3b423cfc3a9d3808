"""Terse English of shift logs: which asset, which kind of work, whether it was done.

A line is read clause by clause. It proposes only where a clause plainly says that bounded work was
done, begins or is planned, and on which asset: an asset is carried to the next clause only from one
that is nothing but names, or from the head of a line that names no other. Doubt, wishes,
complaints, repairs, negations, cancelled work and words that nobody knows propose nothing: a missed
proposal costs a question, a wrong one misleads.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import msgspec

from kb.asset_names import marked
from kb.negation import negates, plain
from kb.records import WorkKind

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kb.asset_names import AssetWords


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
# "cal kit", "cal sticker": a thing, not the work
_THINGS: Final = (
    r"(?! (?:kits?|stickers?|labels?|cert\w*|gas\b(?! flow)|bottles?|lab|tools?|date|interval|"
    r"report|sheets?|cart|blocks?|weights?|standards?|equipment|gauges?|guy|tech|team|vendor|data|values?|"
    r"offsets?|factors?|curves?)\b)"
)
_KINDS: Final = (
    (
        WorkKind.CALIBRATION,
        (
            r"(?:(?:re)?cal(?:s|ed|'?d)?|(?:re)?cali?br?\w*|kalib\w*|span (?:adj|set)\w*|zeroed)"
            rf"(?!\w){_THINGS}"
        ),
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

_WISH: Final = re.compile(
    r"\?|\b(?:need(?:s|ed)?|pls|plz|please|should|shall|would|could|must|requests?|requested|req'?d|"
    r"reqd|wants?|wanted|wish\w*|asks?|asked|overdue|due|maybe|perhaps|probably|prob|poss\w*|might|"
    r"recommend\w*|suggest\w*|todo|to do|to be|when free|waiting|waits?|if|supposed|intended|meant|"
    r"tried|trying|attempt\w*|wait for|bitte|f[aä]llig|soll\w*|m[uü]ss\w*|wartet)\b"
)
_COMPLAINT: Final = re.compile(
    r"\b(?:repair\w*|fix|fixed|broken?|bent|leak\w*|pores?|porosity|rough|noisy|stutter\w*|odd|weird|"
    r"frozen|creeping|drift\w*|jam\w*|stuck|birdnest|trip(?:ped|s)|dead|worn|oval|faulty?|wrong|"
    r"spatter up|again|smells?|hot|cracked|loose|low|lower|high|higher|hi|dropping|rising|clogged|"
    r"blocked|missing|lost|lacks?|empty|expired|bad|poor|short|deviat\w*|out of|beyond|exceed\w*|"
    r"over limit|too (?:much|many|long|big|small)|alarms?|errors?|nok|n\.? ?ok|n\.? ?i\.? ?o|ng|"
    r"not ok|shows|showed|reads|reading|looks|crash\w*|unstable|fluctuat\w*|suspect|defekt\w*|"
    r"kaputt|undicht|fehlt|st[oö]rung)\b|(?<!signed )(?<!sign )\boff\b"
)
_ELSEWHEN: Final = re.compile(
    r"\b(?:since|after|before|prior to|last|previous|yesterday'?s?|old|next|until)\s+"
    r"(?:the\s+)?(?:\w+\s+){0,3}?"
    r"(?:re)?(?:cal\w*|kalib\w*|verif\w*|check|chk|clean\w*|change|chg\w*)\b"
    r"|\byesterday\b|\b(?:days?|weeks?|months?) ago\b|\blast (?:shift|night|week|month)\b"
    r"|\bgestern\b"
)
_RUN: Final = r"@[\d_]+(?:\s*(?:\+|&|/|,|\band\b|\bor\b|\bund\b)\s*@[\d_]+)*"
_EXCLUDED: Final = re.compile(
    rf"\b(?:not|except|excl\w*|instead of|rather than|without)\s+(?:on\s+|for\s+|of\s+)?({_RUN})"
)

_DONE: Final = re.compile(
    r"\b(?:done|finished|finshed|fin|completed?|compl|signed off|passed|ok|replcd|replaced|chgd|"
    r"changed|cleaned|clnd|reamed|(?:re)?calibrated|verified|checked|zeroed|swapped|fitted|"
    r"cal'?d|did|good|fine|erledigt|fertig|gemacht|durchgef\w+|abgeschlossen|kalibriert)\b"
    r"|\bwithin (?:tol\w*|spec\w*|limits?)\b|\bblown out\b|(?<![\w.])i\.?o\.?(?!\w)"
)
_BEGUN: Final = re.compile(
    r"\b(?:start(?:ed|ing)?|begun|began|begin|in progress|ongoing|running|l[aä]uft|begonnen)\b"
)
_PLANNED: Final = re.compile(
    r"\b(?:planned|scheduled|sched|tomorrow|later|tonight|will|geplant|morgen)\b"
)
# Words beside a kind of work that change nothing: places, parts, measures, who and when.
_NEUTRAL: Final = re.compile(
    r"@[\d_]+|op-\d+|[\d.:,]+|w/|[+&/]|"
    r"(?:a|an|the|on|of|at|for|in|by|with|and|all|both|its|after|new|test|ref|tcp|gas|co2|flow|wire|"
    r"feed|feeder|wfs|arc|amp|volt|v|j\d|joint|temp|contact|tip|torch|nozzle|cup|tool|centre|center|"
    r"point|encoder|meter|sensor|probe|gauge|pressure|welds?|collision|master|standard|shift|today|"
    r"now|this|morning|min|h|hrs?|routine|weekly|monthly|daily|annual|quarterly|full|quick|only|instead)"
)
_CLAUSE: Final = re.compile(
    r"[;()]|,(?!\d)|\.\s|:\s|\s[-\u2013\u2014]+\s|\b(?:but|then|while|whereas|however|although|though|so|"
    r"because|aber|sondern|dann|daf[uü]r)\b"
)
# "R1 cal done and R2 waiting": a new subject after "and"
_SUBJECT: Final = re.compile(
    r"(?:\band\b|\bund\b|[+&])\s*(?=@[\d_]+\s+(?!and\b|or\b|und\b|[+&/,])\w)"
)
_CONFIDENCE: Final = {"done": 0.8, "begun": 0.8, "planned": 0.4, "": 0.5}
_ALSO: Final = re.compile(r"\b(?:too|also|as well|same|likewise|ditto|auch|ebenso)\b")


class _Clause(msgspec.Struct, frozen=True, kw_only=True):
    """One clause: its words, the assets that it names and leaves out, its kind of work."""

    text: str
    own: tuple[str, ...]
    left_out: tuple[str, ...]
    strange: bool  # names an id that nobody knows
    kind: WorkKind | None
    doubt: bool

    @property
    def only_names(self) -> bool:
        """Whether it says nothing beyond names."""
        rest = re.sub(r"@[\d_]+|[+&/]|\b(?:and|or|und)\b", " ", self.text)
        return bool(self.own or self.strange) and not rest.strip(" .:!-")


def work_said(
    said: str, *, assets: AssetWords, instruments: Mapping[str, Sequence[str]]
) -> list[Said]:
    """Work that a line says was done, begins or is planned; each asset at most once.

    assets: `asset_words` of every known id; instruments: asset -> names of its instruments. An
    asset counts only as a whole word: R12 is never r1.
    """
    line, named = marked(plain(said), assets)
    parts = [part for half in _CLAUSE.split(line) for part in _by_subject(half)]
    clauses = [_clause(part, named) for part in parts if part.strip(" .:!-")]
    head = line.lstrip().startswith("@0") and len(set(named)) == 1 and "@_" not in line
    found, told = _found(clauses, subject=(named[0],) if head else ())
    texts = {asset: " , ".join(told[asset]) for asset in found}
    sure = {asset for asset, text in texts.items() if _stage(text)}
    return [
        Said(
            asset=asset,
            kind=kind,
            instrument=_instrument(texts[asset], instruments.get(asset, ())),
            stage=(stage := _stage(texts[asset])),
            confidence=_CONFIDENCE[stage],
        )
        for asset, kind in found.items()
        if asset in sure or (not sure and _is_plain(told[asset][0], instruments.get(asset, ())))
    ]


def kind_said(said: str) -> WorkKind | None:
    """The kind of bounded work that a text names first in our order of kinds."""
    return _kind(plain(said))


def _found(
    clauses: Sequence[_Clause], *, subject: tuple[str, ...]
) -> tuple[dict[str, WorkKind], dict[str, list[str]]]:
    """Kinds of work by asset, and what was said of each; nothing when doubt speaks of all."""
    found: dict[str, WorkKind] = {}
    told: dict[str, list[str]] = {}
    off: set[str] = set()
    carried: tuple[str, ...] = ()
    orphan: _Clause | None = None  # names work, and no asset
    for i, clause in enumerate(clauses):
        last = i == len(clauses) - 1
        if clause.only_names and not (last and orphan):
            carried += clause.own
            continue
        who = carried + clause.own or (() if clause.strange else subject)
        carried = ()
        off.update(clause.left_out)
        if clause.doubt:
            if not clause.own or clause.strange:  # it speaks of all that was said before
                return {}, {}
            off.update(who)
            continue
        if re.search(r"\b(?:only|instead)\b", clause.text) and clause.own:
            off.update(set(told) - set(who))
        if clause.kind is not None and _elsewhere(clause):
            return {}, {}
        kind = clause.kind or _inherited(clause, orphan, found)
        if kind is None:
            for asset in clause.own or told:
                told.get(asset, []).append(clause.text)
            continue
        before = _before(clause, orphan, told)
        for asset in who:
            found.setdefault(asset, kind)
            told.setdefault(asset, list(before)).append(clause.text)
        orphan = clause if not who and not clause.strange else orphan
    return {asset: kind for asset, kind in found.items() if asset not in off}, told


def _inherited(
    clause: _Clause, orphan: _Clause | None, found: Mapping[str, WorkKind]
) -> WorkKind | None:
    """Kind of a clause that names assets only: "tcp cal: R1 done", "R1 tcp cal done, R2 too"."""
    if not clause.own or not (orphan or _ALSO.search(clause.text)):
        return None
    return orphan.kind if orphan else next(iter(found.values()), None)


def _before(
    clause: _Clause, orphan: _Clause | None, told: Mapping[str, Sequence[str]]
) -> Sequence[str]:
    """What was said before that is of the assets of a clause too."""
    if orphan:
        return [orphan.text]
    return next(iter(told.values()), []) if clause.kind is None else []


def _by_subject(part: str) -> list[str]:
    """A clause cut before each new subject; "R1 and R2 cal ok" and "cal on R1 and R2" are one."""
    pieces: list[str] = []
    begin = 0
    for match in _SUBJECT.finditer(part):
        before = part[begin : match.start()]
        if re.sub(rf"{_RUN}|[+&]", " ", before).strip():
            pieces.append(before)
            begin = match.end()
    return [*pieces, part[begin:]]


def _clause(part: str, named: Sequence[str]) -> _Clause:
    excluded = _EXCLUDED.search(part)
    left_out: tuple[str, ...] = ()
    if excluded and "@_" not in excluded[1]:
        left_out = _names(excluded[1], named)
        part = f"{part[: excluded.start()]} {part[excluded.end() :]}"
    doubt = negates(part) or _WISH.search(part) or _COMPLAINT.search(part) or _ELSEWHEN.search(part)
    return _Clause(
        text=part,
        own=_names(part, named),
        left_out=left_out,
        strange="@_" in part,
        kind=_kind(part),
        doubt=bool(doubt),
    )


def _names(text: str, named: Sequence[str]) -> tuple[str, ...]:
    numbers = re.findall(r"@(\d+)", text)
    return tuple(dict.fromkeys(named[int(number)] for number in numbers))


def _elsewhere(clause: _Clause) -> bool:
    """Whether a clause names assets in two places: "R1 gas cal done on R2" may be of either."""
    return len(re.findall(_RUN, clause.text)) > 1


def _is_plain(text: str, instruments: Sequence[str]) -> bool:
    """Whether a clause holds nothing beside its work that could change what it says."""
    for _, words in KINDS:
        text = words.sub(" ", text)
    parts = {word for name in instruments for word in re.findall(r"[a-z0-9]+", name.lower())}
    return all(word in parts or _NEUTRAL.fullmatch(word) for word in text.strip(" .:!").split())


def _kind(clause: str) -> WorkKind | None:
    return next((kind for kind, words in KINDS if words.search(clause)), None)


def _stage(text: str) -> str:
    for stage, words in (("planned", _PLANNED), ("done", _DONE), ("begun", _BEGUN)):
        if words.search(text):
            return stage
    return ""


def _instrument(text: str, names: Sequence[str]) -> str:
    """The one instrument all of whose words a text has; "" when none or several fit."""
    words = set(re.findall(r"[a-z0-9]+", text))
    fits = [name for name in names if set(re.findall(r"[a-z0-9]+", name.lower())) <= words]
    return fits[0] if len(fits) == 1 else ""
