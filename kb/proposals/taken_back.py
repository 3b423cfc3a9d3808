"""Log lines that take work back: called off, put off, moved, denied, doubted, given to another.

Read wide: what a line may be about, it takes. A line that names no machine is of all of them, if it
speaks of work; one that names no kind of work is of every kind on the machine that it names.
"""

from __future__ import annotations

import functools
import re
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final, Protocol

import msgspec

from kb.letters import clear, is_disguised
from kb.records import WorkKind
from kb.wording.clauses import DONE, may_tell, names_elsewhere, read_line
from kb.wording.negation import doubts, negates, plain, takes_back
from kb.wording.said_times import SLACK
from kb.wording.shopfloor import unknown_words, work_said
from kb.wording.wording import worded

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from kb.wording.asset_names import AssetWords
    from kb.wording.clauses import Clause, Line
    from kb.wording.instrument_words import Gauges

ALL: Final = ""  # in place of a machine
_DAY: Final = timedelta(days=1)
_TOMORROW: Final = re.compile(r"\b(?:tomorrow|morgen|tmrw|[uü]bermorgen)\b")
_DAYS: Final = re.compile(
    r"\b(?:week|woche|kw ?\d+|month|monat|days|tage|further notice|auf weiteres|(?:mon|tues|wednes|"
    r"thurs|fri|satur|sun)day|(?:mon|diens|donners|frei|sams|sonn)tag|mittwoch)\b|\d\.\d{1,2}\."
)
# the work goes on, whoever does it
_HANDED: Final = re.compile(
    r"\b(?:handed|hand|carried|carry|rolled|passed|given) ?over(?: to)?\b|"
    r"\b(?:handed|passed|given) (?:on )?to\b|\bnext shift\b|"
    r"\b(?:[uü]bergeben|uebergeben)\b"
)
_GOES_ON: Final = re.compile(
    r"\bstill (?:going|on\b|at it|busy|ongoing|active)|\bongoing\b|"
    r"\b(?:continu\w+|goes on|carr\w+ on|l[aä](?:e)?uft weiter|geht weiter)\b"
)
_NEW_TIME: Final = re.compile(
    r"\bnow (?:at |from |@ )?\^(\d+)|\d\s*[-=]*[>\u2192]\s*(?:\^|\d)|\u2192"
)
_STILL: Final = re.compile(r"\b(?:yet|still|pas encore|noch)\b")  # it is to be done as before
_EVERYTHING: Final = re.compile(
    r"\b(?:all|alle|every|s[aä]mtliche)\b(?: the)?(?: \w+)? "
    r"(?:calibration|verification|cleaning|robots?|machines?|cells?|assets?|others?|jobs?|orders?|work|pms?|maintenance|auftr[aä]ge|maschinen)\b|"
    r"\beverything\b|\balles\b"
)
_WORK: Final = (
    r"(?:jobs?|orders?|work ?orders?|wos?|pms?|maintenance|cals?|kal|auftr[aä]ge?|arbeiten|"
    r"(?:all|any|the|planned|today'?s|scheduled|remaining|other|more) work)"
)
_OF_WORK: Final = re.compile(rf"\b{_WORK}\b")
_TODAY: Final = re.compile(r"\b(?:today|tonight|tomorrow|this shift|this week|heute)\b")
_NO_WORK: Final = re.compile(rf"\b(?:no|kein\w*|not any)(?: \w+)? (?:{_WORK}|work)\b")
# kinds whose words are seldom said of anything else than planned work
_PLAIN: Final = frozenset({WorkKind.CALIBRATION, WorkKind.VERIFICATION, WorkKind.FUNCTION_TEST})


_REST: Final = re.compile(r"(?:\d+ ?[a-z]+ )?(?:to go|remaining|left to do)\b")
_UNKNOWN_WORD: Final = re.compile(r"(?<![\w-])[a-z\u00df-\u00ff]{3,}(?![\w-])")


# what a machine or an instrument may be called: not the number of a person or a week
_TAG: Final = re.compile(r"(?<![\w@^-])(?!op-|kw|wo|co2|j\d)[a-z]{1,6}-?\d+[a-z]?(?![\w-])")


class Reader(Protocol):
    """What the reading of a line needs of the plant: see `kb.retrieval.passages.Site`."""

    @property
    def assets(self) -> AssetWords:
        """Known ids by how a line may write them."""

    @property
    def instruments(self) -> Mapping[str, Sequence[str]]:
        """Asset -> its instruments."""

    @property
    def gauges(self) -> Mapping[str, Gauges]:
        """Asset -> what its instruments are called."""


class TakenBack(msgspec.Struct, frozen=True):
    """Work that a line takes back: `asset` ALL, or `kind` None, is any.

    ahead: how far ahead of the line it may begin. to_begin: only what has not begun.
    """

    asset: str
    kind: WorkKind | None
    text: str
    ahead: timedelta
    to_begin: bool = False


def taken_back(said: str, site: Reader, *, written: datetime | None) -> list[TakenBack]:
    """What a line takes back; in doubt more than less. written: its minute on its own clock."""
    unbelieved = _unbelieved(said, site, written)
    if not _may_take(said):
        return unbelieved
    line = read_line(clear(said), site.assets)
    whole = _whole(line)
    kinds = {clause.kind for clause in line.clauses if clause.kind is not None}
    ahead = 8 * _DAY if _DAYS.search(whole) else (2 if _TOMORROW.search(whole) else 1) * _DAY
    if goes_on := bool(_GOES_ON.search(whole)):
        line = _without_rest(line)
    disguised = is_disguised(said)
    found: dict[TakenBack, None] = {}
    for clause in line.clauses:
        for asset, kind in _other_asset(clause, kinds):
            found[TakenBack(asset, kind, clause.text, ahead)] = None
        of: set[WorkKind] = {clause.kind} if clause.kind is not None else kinds
        of_work = bool(of or _OF_WORK.search(whole) or _TODAY.search(whole))
        handed = of_work and not goes_on and bool(_HANDED.search(clause.text))
        moved = bool(of) and _is_moved(clause, line, written)
        taken = disguised or _is_off(clause, of_work=of_work)
        elsewhere = bool(of) and names_elsewhere(clause) and not DONE.search(clause.text)
        if not (taken or moved or handed or elsewhere):
            continue
        each: Sequence[WorkKind | None] = sorted(of) or [None]
        for asset in _assets_of(said, clause, line, site.assets, taken=taken):
            for kind in each:
                one = TakenBack(asset, kind, clause.text, ahead, to_begin=not taken)
                found[one] = None
    return [*found, *unbelieved]


def _unbelieved(said: str, site: Reader, written: datetime | None) -> list[TakenBack]:
    """Work that a line names in words that nobody knows, and that has not begun.

    "r1 gas flow cal kicked down the road": what is not understood may have taken it back. Known
    complaints and wishes are understood, and so are names of people.
    """
    if not may_tell(said):
        return []
    line = read_line(clear(said), site.assets)
    if any(clause.doubt or clause.strange for clause in line.clauses):
        return []
    lower = set(_UNKNOWN_WORD.findall(said))
    told = {
        (asset, clause.kind): clause.text
        for clause in line.clauses
        if clause.kind is not None and not DONE.search(clause.text)
        for asset in clause.own or line.subject
        if lower & unknown_words(clause.text, site.instruments.get(asset, ()))
    }
    if not told:
        return []
    believed = work_said(
        said,
        assets=site.assets,
        instruments=site.instruments,
        gauges=site.gauges,
        written=written,
    )
    sure = {(work.asset, work.kind) for work in believed}
    return [
        TakenBack(asset, kind, text, _DAY, to_begin=True)
        for (asset, kind), text in told.items()
        if (asset, kind) not in sure
    ]


def _whole(line: Line) -> str:
    return " , ".join(clause.text for clause in line.clauses)


def _named(line: Line) -> tuple[str, ...]:
    """Machines that a line names, as meant or as not meant."""
    return tuple(dict.fromkeys(name for c in line.clauses for name in (*c.own, *c.left_out)))


def _without_rest(line: Line) -> Line:
    """A line without what is left to do of work that goes on."""
    clauses = tuple(
        msgspec.structs.replace(one, text=(rest := _REST.sub(" ", one.text)), off=negates(rest))
        for one in line.clauses
    )
    return msgspec.structs.replace(line, clauses=clauses)


@functools.lru_cache(maxsize=8_192)
def _may_take(said: str) -> bool:
    """Whether a line has a word that may take anything back; most lines have none."""
    text = worded(plain(clear(said)))
    return (
        is_disguised(said)
        or negates(text)
        or takes_back(text)
        or doubts(text)
        or any(words.search(text) for words in (_HANDED, _NEAR))
    )


# of what counts in one place of a clause only
_NEAR: Final = re.compile(r"[>\u2192]|\b(?:off|open|later|sp[aä]ter|now|moved|not|was|goes)\b")


def _other_asset(
    clause: Clause, kinds: Iterable[WorkKind]
) -> Iterable[tuple[str, WorkKind | None]]:
    """Machines that a clause says are not meant: "r2 gas cal, not r1"."""
    of: Sequence[WorkKind | None] = sorted(kinds) or [None]
    if clause.kind is not None:
        of = [clause.kind]
    return [(asset, kind) for asset in clause.left_out for kind in of]


def _is_off(clause: Clause, *, of_work: bool) -> bool:
    """Whether a clause takes back; denial and doubt count only where a line speaks of work.

    "R1 no signal" and "R1 number never moves" are said of a machine.
    """
    text = _HANDED.sub(" ", clause.text)
    if takes_back(text, of_work=of_work and not DONE.search(text)):
        return True
    return of_work and (doubts(text) or (negates(text) and not _STILL.search(text)))


def _is_moved(clause: Clause, line: Line, written: datetime | None) -> bool:
    """Whether a clause gives work another time than it had, and does not begin it now."""
    if clause.moved:
        return True
    new = _NEW_TIME.search(clause.text)
    if new is None or DONE.search(clause.text):
        return False
    begin = line.times[int(new[1])].begin if new[1] else None
    if begin is None or written is None:
        return True
    at = datetime.combine(written.date(), begin.at)
    return abs(at - written) > SLACK


def _assets_of(
    said: str, clause: Clause, line: Line, assets: AssetWords, *, taken: bool
) -> Sequence[str]:
    """Machines that a clause which takes back may be about.

    A tag that nobody knows is of another machine, or of one whose id is written almost so.
    """
    whole = _whole(line)
    if named := _named(line):
        about = clause.own or (() if clause.left_out else named)
        return (*about, ALL) if taken and _EVERYTHING.search(whole) else about
    kinds = {one.kind for one in line.clauses} - {None}
    of_work = kinds or _OF_WORK.search(whole) or _EVERYTHING.search(whole)
    sure = of_work and takes_back(_HANDED.sub(" ", clause.text))
    denied = kinds & _PLAIN and not DONE.search(whole)
    if not (sure or denied or _NO_WORK.search(whole)):
        return ()
    if tags := {_bare(tag) for tag in _TAG.findall(clear(said).lower())}:
        return sorted({asset for name, asset in assets.items() if _bare(name) in tags})
    return () if any(one.strange for one in line.clauses) else (ALL,)


def _bare(name: str) -> str:
    """A name without what people leave out of it: `R-01` is `r1`."""
    return re.sub(r"(?<!\d)0+(?=\d)", "", re.sub(r"[\W_]", "", name))
