"""Days that a log line names: "on Wednesday", "04.03.", "March 4th", "übermorgen".

A day that can be meant in one way only is read, against the day of the writing; 4/3 is none.
"""

from __future__ import annotations

import calendar
import re
from datetime import date, datetime, time, timedelta
from typing import TYPE_CHECKING, Final

import msgspec

from kb.wording.said_times import SaidTime, span_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_WEEKDAYS: Final = (
    "monday mon montag", "tuesday tues tue dienstag", "wednesday wed mittwoch",
    "thursday thurs thur thu donnerstag", "friday fri freitag", "saturday samstag sonnabend",
    "sunday sonntag",
)  # fmt: skip
_OF_WEEKDAY: Final = {name: i for i, names in enumerate(_WEEKDAYS) for name in names.split()}
_MONTHS: Final = (
    "january jan januar jänner", "february feb februar", "march mar märz maerz", "april apr",
    "may mai", "june jun juni", "july jul juli", "august aug", "september sept sep",
    "october oct oktober okt", "november nov", "december dec dezember dez",
)  # fmt: skip
_OF_MONTH: Final = {name: i for i, names in enumerate(_MONTHS, 1) for name in names.split()}
_MONTH: Final = "|".join(sorted(_OF_MONTH, key=len, reverse=True))
_WEEKDAY: Final = "|".join(sorted(_OF_WEEKDAY, key=len, reverse=True))
_YEAR: Final = r"(?:[ .,/-]{0,2}(?P<year>20\d\d))?"
_WORDS: Final = re.compile(
    rf"(?<![\w.,:/-])"
    rf"(?:(?:on|(?<!\d )am|for|the|vom|der|den|dated?|by|this|coming|kommenden?)\s+)*(?:"
    rf"(?P<iso>20\d\d-\d\d-\d\d)"
    rf"|(?P<d>0?[1-9]|[12]\d|3[01])\.(?P<m>0?[1-9]|1[0-2])\."
    rf"(?P<y>20\d\d|\d\d(?![\d:.]))?(?=[\s,;)]|$)"
    rf"|(?P<slash>\d{{1,2}}/\d{{1,2}}/(?:20)?\d\d)(?![\d/])"
    rf"|(?P<d1>\d{{1,2}})(?:st|nd|rd|th|\.)?\s?(?:of\s)?(?P<m1>{_MONTH})\b\.?{_YEAR}"
    rf"|(?P<m2>{_MONTH})\.?\s(?:the\s)?(?P<d2>\d{{1,2}})(?:st|nd|rd|th|\.)?(?![\d:.\w-])"
    rf"|(?<=the )(?P<nth>\d{{1,2}})(?:st|nd|rd|th)(?=\W*$|[,;]|\s(?:at|um|from|von|@|\d\d))"
    rf"|(?:(?P<which>next|last|n[aä]chste[nr]?|letzte[nr]?)\s)?(?P<weekday>{_WEEKDAY})(?![\w'])"
    rf"|(?P<after>[uü]bermorgen|uebermorgen|(?:the )?day after tomorrow)"
    rf"|(?P<before>vorgestern|(?:the )?day before yesterday)"
    rf"|in (?P<n>\d{{1,2}}|two|three|four|five) (?:days|tagen)"
    rf")"
)
_OF_TIMES: Final = re.compile(r"(?:at|um|ca\.?|gegen|since|seit|from|von|to|till?|bis|-)\s*$")
# "on 4/3": the fourth of March, or the third of April; without such a word it is no day
_SLASHED: Final = re.compile(
    r"(?<![\w.,:/-])(?:on|am|for|dated?|by|vom)\s+(?:the\s+)?(?P<slash>\d{1,2}/\d{1,2})(?![\d/])"
)
_FAR: Final = re.compile(
    r"\b(?:next|last|coming|n[aä]chste[nrsm]?|letzte[nrsm]?|kommende[nrsm]?) "
    r"(?:week|month|year|woche|monat|jahr)\b|\b(?:kw|cw|wk) ?\d{1,2}\b|\bin \w+ weeks?\b"
)
_NUMBERS: Final = {"two": 2, "three": 3, "four": 4, "five": 5}
_MONTHS_A_YEAR: Final = 12
DAYS_MAX: Final = 180  # a day without a year is the nearest one
_WEEK: Final = 7
ANY_DAY: Final = date(2000, 1, 1)  # of a line of which nobody knows when it was written


class SaidDay(msgspec.Struct, frozen=True):
    """A day that a line names: from the day of writing on, or back; None where it is not clear."""

    days: int | None


def without_days(line: str, *, written: date, done: bool) -> tuple[str, SaidDay | None]:
    """A line in lower case without the day that it names, and the day; None where it names none.

    done: the line tells of work that is over, so that a Friday is the one before.
    """
    named = (match for match in _WORDS.finditer(line) if not _is_time(match))
    found = [*_SLASHED.finditer(line), *named]
    if not found:
        return line, SaidDay(None) if _FAR.search(line) else None
    days = {_days(match.groupdict(), written, done=done) for match in found}
    rest = line
    for match in sorted(found, key=lambda one: one.start(), reverse=True):
        rest = f"{rest[: match.start()]} {rest[match.end() :]}"
    return rest, SaidDay(days.pop() if len(days) == 1 and not _FAR.search(line) else None)


def span_on(
    said: Sequence[SaidTime], day: date, shifts: Mapping[str, tuple[time, time]] | None
) -> tuple[datetime | None, datetime | None] | None:
    """Begin and end on a day that a line names; None where its times are not clear on that day."""
    noon = datetime.combine(day, time(12))
    span = span_of(said, "", written=noon, shifts=shifts)
    begun = (span[0] or span[1]) if span else None
    return span if begun and begun.date() == day else None


def _is_time(match: re.Match[str]) -> bool:
    """Whether what looks like a day is a time with a full stop after it: "done at 10.11."."""
    if not match["d"] or match["y"]:
        return False
    before = match.string[: match.start("d")]
    told = match.start("d") > match.start()
    return bool(_OF_TIMES.search(before)) or (match.end() == len(match.string) and not told)


def _days(said: dict[str, str | None], written: date, *, done: bool) -> int | None:
    """How many days ahead of the writing a day is."""
    if said.get("weekday"):
        return _of_weekday(said["weekday"] or "", said["which"] or "", written, done=done)
    if said.get("after") or said.get("before"):
        return 2 if said["after"] else -2
    if n := said.get("n"):
        return _NUMBERS.get(n) or int(n)
    if nth := said.get("nth"):
        return _of_day(int(nth), written, done=done)
    fits = {day for day in _dates(said, written) if day is not None}
    return (fits.pop() - written).days if len(fits) == 1 else None


def _of_weekday(name: str, which: str, written: date, *, done: bool) -> int | None:
    """Days to a weekday; the next one of another name may be of this week or of the next."""
    ahead = (_OF_WEEKDAY[name] - written.weekday()) % _WEEK
    if which[:1] == "l":
        return ahead - _WEEK
    if which:
        return None if ahead else _WEEK
    return ahead - _WEEK if done and ahead else ahead


def _of_day(day: int, written: date, *, done: bool) -> int | None:
    """Days to a day of a month, the first such one ahead, or back for what is over."""
    months = (0, -1) if done else (0, 1)
    for more in months:
        year, month = divmod(written.year * 12 + written.month - 1 + more, _MONTHS_A_YEAR)
        at = _date(year, month + 1, day)
        if at is not None and (at <= written if done else at >= written):
            return (at - written).days
    return None


def _dates(said: dict[str, str | None], written: date) -> Sequence[date | None]:
    """What a date may mean."""
    if iso := said.get("iso"):
        return [_date(*(int(part) for part in iso.split("-")))]
    if slash := said.get("slash"):
        first, second, *more = (int(part) for part in slash.split("/"))
        year = _year(more[0]) if more else None
        return [_nearest(second, first, year, written), _nearest(first, second, year, written)]
    if said.get("d"):
        year = _year(int(said["y"] or 0)) if said["y"] else None
        return [_nearest(int(said["m"] or 0), int(said["d"] or 0), year, written)]
    of, day = said.get("m1") or said.get("m2") or "", said.get("d1") or said.get("d2") or "0"
    year = int(said["year"] or 0) if said.get("year") else None
    return [_nearest(_OF_MONTH[of], int(day), year, written)]


def _nearest(month: int, day: int, year: int | None, written: date) -> date | None:
    """A day of a month, of the year that is said, else of the one in which it is nearest."""
    years = [year] if year else [written.year - 1, written.year, written.year + 1]
    near = [at for one in years if (at := _date(one, month, day)) is not None]
    at = min(near, key=lambda one: abs(one - written), default=None)
    return at if at and (year or abs(at - written) <= timedelta(days=DAYS_MAX)) else None


def _date(year: int, month: int, day: int) -> date | None:
    if not 1 <= month <= _MONTHS_A_YEAR or not 1 <= day <= calendar.monthrange(year, month)[1]:
        return None
    return date(year, month, day)


def _year(number: int) -> int:
    return number if number >= 100 else 2000 + number
