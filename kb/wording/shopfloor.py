"""Terse English of shift logs: which asset, which kind of work, whether it was done.

A line is read clause by clause. It proposes only where a clause plainly says that bounded work was
done, begins or is planned, and on which asset: an asset is carried to the next clause only from one
that is nothing but names, or from the head of a line that names no other. Doubt, wishes,
complaints, repairs, negations, cancelled work and words that nobody knows propose nothing: a missed
proposal costs a question, a wrong one misleads.
"""

from __future__ import annotations

import re
from datetime import datetime, time, timedelta
from typing import TYPE_CHECKING, Final, TypeAlias

import msgspec

from kb.records import WorkKind
from kb.wording.clauses import (
    ALSO,
    BEGUN,
    DONE,
    MOVED,
    NOW,
    PLANNED,
    TOMORROW,
    Clause,
    heads,
    may_tell,
    names_elsewhere,
    read_line,
)
from kb.wording.instrument_words import instrument_meant
from kb.wording.negation import plain
from kb.wording.said_days import ANY_DAY, SaidDay, span_on, without_days
from kb.wording.said_times import SaidTime, span_of, stage_at
from kb.wording.wording import worded
from kb.wording.work_kinds import kind_in, without_kinds

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kb.wording.asset_names import AssetWords
    from kb.wording.instrument_words import Gauges


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """Work that one line names on one asset."""

    asset: str
    kind: WorkKind
    instrument: str
    stage: str  # done, begun, planned or "" where the line does not say
    confidence: float
    begin: datetime | None = None  # on the wall clock of the line, where it says so
    end: datetime | None = None


# Words beside a kind of work that change nothing: places, parts, measures, who and when.
_NEUTRAL: Final = re.compile(
    r"@[\d_]+|\^\d+|op-\d+|[\d.:,]+|w/|[+&/]|"
    r"(?:a|an|the|on|of|at|for|in|by|with|and|all|both|its|after|new|test|reference|tcp|gas|co2|flow|"
    r"wire|feed|feeder|wfs|arc|amp|volt|v|j\d|joint|temp|contact|tip|torch|nozzle|cup|tool|centre|"
    r"center|point|encoder|meter|sensor|probe|gauge|pressure|welds?|collision|master|standard|shift|"
    r"today|now|this|morning|min|h|hrs?|routine|weekly|monthly|daily|annual|quarterly|full|quick|"
    r"only|instead|moved|belt|speed|spindle|axis|load|cell|oil|zone|bearing|vib|vibration|valve|"
    r"thermocouple|handheld|strainer|filter|liner|electrode|we|i|im|i'm|have|is|was|it|just|got)"
)
_CONFIDENCE: Final = {"done": 0.8, "begun": 0.8, "planned": 0.4, "": 0.5}
_TO_DO: Final = re.compile(
    r"\b(?:calibrate|verify|reinigen|putzen|säubern|wechseln|tauschen|prüfen|pruefen)\b"
)  # an order, not a report
# "is being cleaned", of German "wird gerade gereinigt"
_BEING: Final = re.compile(
    r"\bongoing (?:[\w@^]+ ){0,2}?(?:calibrated|verified|cleaned|changed|checked|tested)\b"
    r"|\b(?:calibrated|verified|cleaned|changed|checked|tested) ongoing\b"
)
_PLACES: Final = re.compile(r"\b(?:the|on|of|at|for|by|with|and|a|an|was|is|has|been|our)\b")


_Work: TypeAlias = tuple[str, WorkKind]  # asset and kind


def work_said(
    said: str,
    *,
    assets: AssetWords,
    instruments: Mapping[str, Sequence[str]],
    gauges: Mapping[str, Gauges] | None = None,
    written: datetime | None = None,
    shifts: Mapping[str, tuple[time, time]] | None = None,
) -> list[Said]:
    """Work that a line says was done, begins or is planned; each kind on an asset at most once.

    assets: `asset_words` of every known id; instruments: asset -> names of its instruments; gauges:
    asset -> what those of approved scope rows are called, where tables say it. An asset counts
    only as a whole word: R12 is never r1. written: the line's own wall-clock time,
    without zone; without it no times are read. shifts: begin and end of `early`, `late`, `night`.
    """
    if not may_tell(said):
        return []
    said, day = _without_days(said, written)
    if day is not None and (day.days is None or written is None):
        return []  # of a day that nobody can tell
    line = read_line(said, assets)
    found, told = _found(line.clauses, subject=line.subject)
    says = [
        msgspec.structs.replace(
            _told(work, told[work], line.times, written=written, shifts=shifts, day=day),
            instrument=_instrument(work, told[work], instruments, gauges),
        )
        for work in found
    ]
    if day is not None and day.days:  # of another day only what has its times
        says = [one for one in says if one.begin or one.end]
    sure = [one for one in says if _is_sure(one, told[one.asset, one.kind])]
    return sure or [
        one
        for one in says
        if _is_plain(told[one.asset, one.kind][0], instruments.get(one.asset, ()))
    ]


def _without_days(said: str, written: datetime | None) -> tuple[str, SaidDay | None]:
    """A line without the day that it names, and the day."""
    line = said.lower()
    done = bool(DONE.search(worded(plain(line))))
    return without_days(line, written=written.date() if written else ANY_DAY, done=done)


def work_unnamed(said: str, assets: AssetWords) -> tuple[WorkKind, str, str] | None:
    """Work of one kind that a line plainly tells of a machine that no known name names.

    Returns the kind, the stage and the words that may name the machine; None for any other line.
    """
    if not may_tell(said) or _without_days(said, None)[1] is not None:
        return None
    line = read_line(said, assets)
    if any(clause.own or clause.strange or clause.off or clause.doubt for clause in line.clauses):
        return None
    kinds = {clause.kind for clause in line.clauses if clause.kind is not None}
    text = " , ".join(clause.text for clause in line.clauses)
    if len(kinds) != 1 or not (stage := _stage(kind := kinds.pop(), [text])):
        return None
    told = next(clause.text for clause in line.clauses if clause.kind is not None)
    for words in (DONE, BEGUN, PLANNED, NOW, _PLACES):
        told = words.sub(" ", told)
    phrase = " ".join(re.findall(r"[^\W_]+", without_kinds(re.sub(r"\^\d+", " ", told))))
    return (kind, stage, phrase) if phrase else None


def kind_said(said: str) -> WorkKind | None:
    """The kind of bounded work that a text names first in our order of kinds."""
    return kind_in(worded(plain(said)))


def _told(
    work: _Work,
    told: Sequence[str],
    times: Sequence[SaidTime],
    *,
    written: datetime | None,
    shifts: Mapping[str, tuple[time, time]] | None,
    day: SaidDay | None = None,
) -> Said:
    """What the clauses about one piece of work say."""
    asset, kind = work
    text = " , ".join(told)
    stage = _stage(kind, told)
    span = None
    if not stage and "^" in text and any(_TO_DO.search(one) for one in told):
        stage = "planned"  # "calibrate at 7:15": a plan where its time is to come
    if written is not None and day is not None and day.days:
        mine = [times[int(number)] for number in dict.fromkeys(re.findall(r"\^(\d+)", text))]
        span = span_on(mine, written.date() + timedelta(days=day.days), shifts)
        stage = "planned" if day.days > 0 else "done"
    elif written is not None:
        mine = [times[int(number)] for number in dict.fromkeys(re.findall(r"\^(\d+)", text))]
        tomorrow = bool(TOMORROW.search(text))
        span = span_of(mine, stage, written=written, tomorrow=tomorrow, shifts=shifts)
        if span is None and stage == "begun":  # "start 14:30" at noon
            span = span_of(mine, "planned", written=written, tomorrow=tomorrow, shifts=shifts)
        stage = stage_at(span, stage, written) if span else stage
    if kind is WorkKind.PLANNED_STOP:
        stage = stage or "planned"
    return Said(
        asset=asset,
        kind=kind,
        instrument="",
        stage=stage,
        confidence=_CONFIDENCE[stage],
        begin=span[0] if span else None,
        end=span[1] if span else None,
    )


def _found(
    clauses: Sequence[Clause], *, subject: tuple[str, ...]
) -> tuple[list[_Work], dict[_Work, list[str]]]:
    """Work by asset and kind, and what was said of each; nothing when doubt speaks of all."""
    told: dict[_Work, list[str]] = {}
    off: set[str] = set()
    carried: tuple[str, ...] = ()
    orphan: Clause | None = None  # names work, and no asset
    seen = False
    head: list[Clause] = []
    for i, clause in enumerate(clauses):
        last = i == len(clauses) - 1
        seen = seen or bool(clause.own)
        if clause.only_names and not (last and orphan):
            carried += clause.own
            continue
        who = carried + clause.own or (() if clause.strange or not seen else subject)
        doubted_of = carried + clause.own
        carried = ()
        off.update(clause.left_out)
        if clause.off or clause.doubt:
            if not doubted_of or clause.strange:  # it speaks of all that was said before
                return [], {}
            off.update(who)
            continue
        if re.search(r"\b(?:only|instead)\b", clause.text) and clause.own:
            off.update({asset for asset, _ in told} - set(who))
        if clause.kind is not None and names_elsewhere(clause):
            return [], {}
        kind = clause.kind or _inherited(clause, orphan, told)
        if kind is None:
            _add(clause, told)
            if not told and orphan is None and heads(clause):
                head.append(clause)
            continue
        before = [*_before(clause, orphan, told), *(one.text for one in head if _is_of(one, who))]
        head = head if not who else []
        for asset in who:
            told.setdefault((asset, kind), list(before)).append(clause.text)
        orphan = orphan if who or clause.strange else _with_orphan(clause, orphan)
    return [work for work in told if work[0] not in off], told


def _with_orphan(clause: Clause, orphan: Clause | None) -> Clause:
    """Work without an asset, with what was said before of the same work."""
    if orphan is None or orphan.kind is not clause.kind:
        return clause
    return msgspec.structs.replace(clause, text=f"{orphan.text} , {clause.text}")


def _is_of(head: Clause, who: Sequence[str]) -> bool:
    """Whether what a line begins with is of the assets of the work after it."""
    return not head.own or not who or set(head.own) == set(who)


def _add(clause: Clause, told: Mapping[_Work, list[str]]) -> None:
    """What a clause without work says of the work before it."""
    for work, texts in told.items():
        if not clause.own or work[0] in clause.own:
            texts.append(clause.text)


def _inherited(
    clause: Clause, orphan: Clause | None, told: Mapping[_Work, object]
) -> WorkKind | None:
    """Kind of a clause that names assets only: "tcp cal: R1 done", "R1 tcp cal done, R2 too"."""
    if not clause.own or not (orphan or ALSO.search(clause.text)):
        return None
    return orphan.kind if orphan else next((kind for _, kind in told), None)


def _before(
    clause: Clause, orphan: Clause | None, told: Mapping[_Work, Sequence[str]]
) -> Sequence[str]:
    """What was said before that is of the assets of a clause too."""
    if orphan:
        return [orphan.text]
    return next(iter(told.values()), []) if clause.kind is None else []


def _is_sure(said: Said, told: Sequence[str]) -> bool:
    """Whether words tell the stage of work, or times: a span of it, or one that lies ahead."""
    if said.kind is WorkKind.PLANNED_STOP or _stage(said.kind, told):
        return True
    span = said.begin is not None and said.end is not None
    to_do = any(_TO_DO.search(text) for text in told)
    return said.stage == "planned" or (span and not to_do)


def _is_plain(text: str, instruments: Sequence[str]) -> bool:
    """Whether a clause holds nothing beside its work that could change what it says."""
    if _TO_DO.search(text):
        return False
    return not unknown_words(text, instruments)


def unknown_words(text: str, instruments: Sequence[str]) -> set[str]:
    """Words of a clause beside its work that are not known to change nothing."""
    parts = {word for name in instruments for word in re.findall(r"[a-z0-9]+", name.lower())}
    rest = without_kinds(text).strip(" .:!").split()
    return {word for word in rest if word not in parts and not _NEUTRAL.fullmatch(word)}


def _stage(kind: WorkKind, told: Sequence[str]) -> str:
    text = " , ".join(told)
    if MOVED.search(text):
        return "planned"
    if _BEING.search(text):
        return "begun"
    if kind is WorkKind.PLANNED_STOP:
        text = re.sub(r"\bplanned\b", " ", text)
    for stage, words in (
        ("planned", PLANNED),
        ("done", DONE),
        ("begun", BEGUN),
        ("begun", NOW),
    ):
        if words.search(text):
            return stage
    return ""


def _instrument(
    work: _Work,
    told: Sequence[str],
    instruments: Mapping[str, Sequence[str]],
    gauges: Mapping[str, Gauges] | None,
) -> str:
    """The one instrument that is meant; "" when none or several may be."""
    asset, kind = work
    own = gauges.get(asset) if gauges else None
    if own is None or not any(row.kind == kind for row in own.rows):
        return _by_name(" , ".join(told), instruments.get(asset, ()))
    about = " , ".join(text for text in told if kind_in(text) is not None) or " , ".join(told)
    return instrument_meant(about, kind, own, rest=without_kinds(about))


def instrument_named(
    work: _Work,
    text: str,
    instruments: Mapping[str, Sequence[str]],
    gauges: Mapping[str, Gauges] | None,
) -> str:
    """The instrument that a text names and means; "" lets work on any of them be taken back."""
    named = _by_name(text, instruments.get(work[0], ()))
    return named if named == _instrument(work, [text], instruments, gauges) else ""


def _by_name(text: str, names: Sequence[str]) -> str:
    """The one instrument all of whose words a text has; "" when none or several fit."""
    words = set(re.findall(r"[a-z0-9]+", text))
    fits = [name for name in names if set(re.findall(r"[a-z0-9]+", name.lower())) <= words]
    return fits[0] if len(fits) == 1 else ""
