"""Times that a log line says work has: "0610-0640", "ca 14h", "from 6 till 7:15", "since 9".

A line is read as of the minute it was written, on the wall clock of its place. A time that could be
meant in two ways is no time.
"""

from __future__ import annotations

import re
from datetime import datetime, time, timedelta
from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

BACK_MAX: Final = timedelta(hours=12)  # a shift is written up within it
AHEAD_MAX: Final = timedelta(hours=16)
SLACK: Final = timedelta(minutes=10)  # clocks on walls
DURATION_MAX: Final = timedelta(hours=12)
NOON: Final = 12
YEARS: Final = frozenset(
    map(str, range(2020, 2060))
)  # as a bare number rather a year than a minute past eight

_UNIT: Final = r"(?:\s?(?:hrs?|uhr|o'?clock|am|pm|h)\b)"
_STRONG: Final = r"(?:[01]?\d|2[0-3])[:h][0-5]\d|(?:[01]\d|2[0-3])[0-5]\d"
_WEAK: Final = r"(?:[01]?\d|2[0-3])[.][0-5]\d|[1-9][0-5]\d|(?:[01]?\d|2[0-3])"
_ANY: Final = rf"(?:{_STRONG}|{_WEAK})"
_EDGE: Final = r"(?<![\w.,:/@^#-])"
# what follows a number that is no time: units, decimals, more of a number
_END: Final = (
    r"(?![\w/]|[:.,]\d|-[\da-z]|\s?(?:%|m?bar|psi|°|deg|grad|mm|cm|µm|um\b|m\b|m/|m3|m³|min|sec|s\b|l/|l\b|"
    r"kg|g\b|t\b|k?hz|rpm|u/min|1/min|a\b|ma\b|k?v\b|k?w\b|k\b|c\b|nm|k?n\b|k?pa\b|mpa|ml|ppm|times|"
    r"days?|weeks?|wks?|months?|parts?|pcs|stk|stück|teile|hours?|stunden|of\b))"
)
_TO: Final = r"\s?(?:-|\u2013|\u2014|to|till|til|until|bis|à|thru|through)\s?"
_STRONG_RANGE: Final = rf"{_EDGE}(?P<s1>{_STRONG}){_UNIT}?{_TO}(?P<s2>{_STRONG}){_UNIT}?{_END}"
_WEAK_RANGE: Final = (
    rf"{_EDGE}(?:(?:from|between|von|zwischen|at)\s)(?P<w1>{_ANY})(?P<u1>{_UNIT})?"
    rf"(?:{_TO}|\s(?:and|und)\s)(?P<w2>{_ANY})(?P<u2>{_UNIT})?{_END}"
    rf"|{_EDGE}(?P<v1>{_ANY}){_UNIT}?{_TO}(?P<v2>{_ANY})(?P<u3>{_UNIT}){_END}"
)
# hours and minutes that only a word before them tells from a measure
_DOTTED: Final = r"(?:[01]?\d|2[0-3])[.:h][0-5]\d|(?:[01]\d|2[0-3])[0-5]\d"
_FULL: Final = r"(?:[01]\d|2[0-3])[.:][0-5]\d|(?:[01]\d|2[0-3])[0-5]\d"
_DOTTED_RANGE: Final = (
    rf"{_EDGE}(?P<x1>(?:[01]\d|2[0-3])[.][0-5]\d){_UNIT}?{_TO}"
    rf"(?P<x2>(?:[01]\d|2[0-3])[.][0-5]\d){_UNIT}?{_END}"
)
_ABOUT: Final = r"(?:(?:ca|c|approx|around|about|abt|circa|gegen|~)\.?\s?)"
_AT: Final = (
    rf"{_EDGE}(?P<j>{_DOTTED})(?P<uj>{_UNIT})?(?=\sbackrunning)"
    rf"|{_EDGE}(?:(?P<how>since|from|seit|ab|at|@(?=\s\d)|um|by|until|till|til|bis|{_ABOUT})"
    rf"\s?(?:at\s|@\s)?{_ABOUT}?)(?P<a>{_ANY})(?P<ua>{_UNIT})?{_END}"
    rf"|{_EDGE}(?P<b>(?:[01]?\d|2[0-3])[:h][0-5]\d)(?P<ub>{_UNIT})?{_END}"
    rf"|(?:(?<=planned )|(?<=started ))(?P<e>{_ANY})(?P<ue>{_UNIT})?{_END}"
    rf"|(?:(?<=planned for )|(?<=planned für )|(?<=planned fuer ))(?:the )?{_ABOUT}?"
    rf"(?P<f>{_ANY})(?P<uf>{_UNIT})?{_END}"
    rf"|{_EDGE}(?:for|für|fuer)\s(?P<g>{_FULL})(?P<ug>{_UNIT})?{_END}"
    rf"|(?P<over>(?<![\w@^-])(?:done|backrunning)\s(?:(?:since|seit|at|@|um|by|from|ab)\s)?{_ABOUT}?)"
    rf"(?P<i>{_DOTTED})(?P<ui>{_UNIT})?{_END}"
    rf"|^(?P<l>(?:[01]\d|2[0-3])[.][0-5]\d)(?P<ul>{_UNIT})?(?=\s[a-z@]){_END}"
    rf"|{_EDGE}(?P<n>{_DOTTED})(?P<un>{_UNIT})?(?=\sstarted\b)"
    rf"|(?<=[/|] )(?P<k>{_FULL})(?P<uk>{_UNIT})?(?=\s*(?:$|[/|;]))"
    rf"|{_EDGE}(?P<c>{_ANY})(?P<uc>{_UNIT}){_END}"
    rf"|tomorrow\s(?P<d>{_ANY})(?P<ud>{_UNIT})?{_END}"
)
_PUT: Final = (
    r"(?:moved|postponed|resched\w*|bumped|pushed(?: back)?|put back|put off|delayed|"
    r"brought forward|changed|verschoben|verlegt)"
)
_MOVED: Final = (
    rf"(?P<put>\b{_PUT}\s(?:from\s{_ANY}{_UNIT}?\s)?(?:to|2|till|until|auf|for)\s(?:the\s)?"
    rf"(?:today\s|tomorrow\s)?(?:at\s)?)(?P<m>{_ANY})(?P<um>{_UNIT})?{_END}"
)
_SOON: Final = r"\bin (?P<soon>\d{1,2})\s?(?:min(?:ute)?s?)\b"
_SPAN: Final = re.compile(f"{_MOVED}|{_STRONG_RANGE}|{_WEAK_RANGE}|{_DOTTED_RANGE}|{_SOON}|{_AT}")
_SHIFT: Final = re.compile(
    r"\b(?:(early|earlies|morning|früh|frueh|late|lates|afternoon|spät|spaet|night|nights|nacht|"
    r"day)[ -]?(?:shift|schicht))\b"
)
_SHIFTS: Final = {
    "early": "early earlies morning früh frueh day",
    "late": "late lates afternoon spät spaet",
    "night": "night nights nacht",
}
_OF_SHIFT: Final = {word: name for name, words in _SHIFTS.items() for word in words.split()}
_CLOCK: Final = re.compile(r"(\d{1,2})[:.h]?([0-5]\d)?")


class Clock(msgspec.Struct, frozen=True, kw_only=True):
    """A time of day; `sure` when it can only be meant on a clock of 24 hours."""

    at: time
    sure: bool


class SaidTime(msgspec.Struct, frozen=True, kw_only=True):
    """A time or a span that a line says; `moved`: the one before it no longer holds."""

    begin: Clock | None = None
    end: Clock | None = None
    moved: bool = False
    soon: timedelta | None = None
    shift: str = ""


def timed(line: str) -> tuple[str, list[SaidTime]]:
    """A line in lower case with `^2` for its third time, and the times."""
    found: list[SaidTime] = []

    def mark(match: re.Match[str]) -> str:
        said = _said(match)
        if said is None:
            return match[0]
        found.append(said)
        kept = "moved " if said.moved else "tomorrow " if match["d"] else match["over"] or ""
        return f" {kept}^{len(found) - 1} "

    line = _SPAN.sub(mark, line)

    def shift(match: re.Match[str]) -> str:
        found.append(SaidTime(shift=_OF_SHIFT[match[1]]))
        return f" ^{len(found) - 1} "

    return " ".join(_SHIFT.sub(shift, line).split()), found


def span_of(
    said: Sequence[SaidTime],
    stage: str,
    *,
    written: datetime,
    tomorrow: bool = False,
    shifts: Mapping[str, tuple[time, time]] | None = None,
) -> tuple[datetime | None, datetime | None] | None:
    """Begin and end on the wall clock of what was said of work; None where that is not clear.

    written: on the same clock, without zone. `stage` as of `kb.wording.shopfloor.Said`.
    """
    exact = [one for one in said if not one.shift]
    if len(exact) > 1:
        moved = [one for one in exact if one.moved]
        exact = moved if len(moved) == 1 else _joined(exact)
    elif not exact and len(said) == 1 and shifts and said[0].shift in shifts:
        begin, end = shifts[said[0].shift]
        exact = [SaidTime(begin=Clock(at=begin, sure=True), end=Clock(at=end, sure=True))]
        stage = "planned" if stage == "planned" else "within"
    if not exact:
        return None
    one = exact[0]
    if one.soon is not None:
        return written + one.soon, None
    fits = {
        found
        for begin in _readings(one.begin)
        for end in _readings(one.end)
        if (found := _placed(begin, end, stage, written, tomorrow=tomorrow))
    }
    if stage == "planned" and fits:  # the next such time is meant
        return min(fits, key=lambda span: abs((span[0] or span[1] or written) - written))
    return fits.pop() if len(fits) == 1 else None


def _joined(said: Sequence[SaidTime]) -> list[SaidTime]:
    """A begin and an end that a line says apart, as one: "from 10:49 on ..., backrunning 11:09"."""
    begins = [one for one in said if one.begin is not None and one.end is None]
    ends = [one for one in said if one.end is not None and one.begin is None]
    if len(said) != 2 or len(begins) != 1 or len(ends) != 1:
        return []
    return [SaidTime(begin=begins[0].begin, end=ends[0].end)]


def stage_at(span: tuple[datetime | None, datetime | None], stage: str, written: datetime) -> str:
    """The stage of work that its times tell where the words do not, or tell too little."""
    begin, end = span
    if stage in ("begun", "") and begin is not None and begin > written + SLACK:
        return "planned"
    if stage in ("planned", "") and end is not None and end <= written:
        return "done" if stage == "" else stage
    if stage == "" and begin is not None and begin <= written and end is None:
        return "begun"
    return stage


_RANGES: Final = (("s1", "s2", None), ("w1", "w2", "u2"), ("v1", "v2", "u3"), ("x1", "x2", None))


def _said(match: re.Match[str]) -> SaidTime | None:
    groups = match.groupdict()
    if groups["soon"]:
        return SaidTime(soon=timedelta(minutes=int(groups["soon"])))
    if groups["m"]:
        begin = _clock(groups["m"], groups["um"])
        return SaidTime(begin=begin, moved=True) if begin else None
    for first, second, unit in _RANGES:
        if groups[first]:
            of = groups[unit] if unit else None
            unit_of_first = groups["u1"] if first == "w1" and groups["u1"] else of
            years = {groups[first], groups[second]} <= YEARS
            begin = _clock(groups[first], unit_of_first, years=years)
            end = _clock(groups[second], of, years=years)
            return SaidTime(begin=begin, end=end) if begin and end else None
    for name in "abcdefgijkln":
        if groups[name]:
            clock = _clock(groups[name], groups[f"u{name}"])
            if clock is None:
                return None
            ends = groups["how"] in ("by", "until", "till", "til", "bis") or name in "ij"
            return SaidTime(end=clock) if ends else SaidTime(begin=clock)
    return None


def _clock(text: str, unit: str | None, *, years: bool = True) -> Clock | None:
    """A time of day; None for what only looks like one."""
    digits = text if ":" in text or "h" in text or "." in text else ""
    if not digits and len(text) > 2:
        if years and text in YEARS and not unit:
            return None
        text = f"{text[:-2]}:{text[-2:]}"
    match = _CLOCK.fullmatch(text)
    if match is None:
        return None
    hour, minute = int(match[1]), int(match[2] or 0)
    unit = (unit or "").strip()
    if unit in ("am", "pm"):
        if not 1 <= hour <= NOON:
            return None
        return Clock(at=time(hour % NOON + NOON * (unit == "pm"), minute), sure=True)
    written_out = len(match[1]) == 2 and bool(match[2])
    sure = hour > NOON or text[0] == "0" or written_out or unit in ("h", "hr", "hrs", "uhr")
    return Clock(at=time(hour, minute), sure=sure or "h" in text)


def _readings(clock: Clock | None) -> list[time | None]:
    """What a time may mean: as it stands, and in the afternoon."""
    if clock is None or clock.sure:
        return [clock.at if clock else None]
    return [clock.at, clock.at.replace(hour=clock.at.hour % NOON + NOON)]


def _placed(
    begin: time | None, end: time | None, stage: str, written: datetime, *, tomorrow: bool
) -> tuple[datetime | None, datetime | None] | None:
    """The day on which these times fit what was said; None when they fit none."""
    found = []
    for days in (1,) if tomorrow else (-1, 0, 1):
        day = (written + timedelta(days=days)).date()
        first = datetime.combine(day, begin) if begin else None
        last = datetime.combine(day, end) if end else None
        if first and last and last <= first:
            last += timedelta(days=1)
        if first and last and last - first > DURATION_MAX:
            continue
        if _fits(first, last, stage, written, tomorrow=tomorrow):
            found.append((first, last))
        if found and not stage:  # the day of the writing rather than the next
            break
    return found[0] if len(found) == 1 else None


def _fits(
    first: datetime | None, last: datetime | None, stage: str, written: datetime, *, tomorrow: bool
) -> bool:
    """Whether a span lies as the stage of its work says, near the minute of writing."""
    begin, end = first or last, last or first
    assert begin is not None
    assert end is not None
    before, after = begin <= written + SLACK, end >= written - SLACK
    near = end >= written - BACK_MAX and (tomorrow or begin <= written + AHEAD_MAX)
    match stage:
        case "done":
            return near and end <= written + SLACK
        case "begun":
            return near and (before or first is None) and (last is None or after)
        case "planned":
            return near and after
        case _:
            return near
