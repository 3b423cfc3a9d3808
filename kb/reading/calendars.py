"""iCalendar files into rows of a schedule: one for each occurrence, with zone, exceptions applied.

An event names its asset by `X-ANDON-ASSET` or by a `LOCATION` that is an exact id, its instrument
by `X-ANDON-INSTRUMENT` or `RESOURCES`, its kind by `X-ANDON-KIND`, by a category, or in the words
of its summary. A calendar proposes; nothing in it approves.
"""

from __future__ import annotations

import datetime as dt
import functools
import hashlib
import math
import re
from bisect import bisect_left
from collections.abc import Callable, Iterator
from typing import Any, Final, TypeAlias
from zoneinfo import ZoneInfo

from kb.reading.front_matter import SourceError, is_asset_id
from kb.reading.rows import Row
from kb.records import WorkKind
from kb.wording.shopfloor import kind_said

CALENDARS: Final = (".ics",)
BEFORE: Final = dt.timedelta(days=30)  # how far back of now, where all would be too many
AHEAD: Final = dt.timedelta(days=370)
OCCURRENCES_MAX: Final = 5_000  # of one file
QUOTED_CHARS_MAX: Final = 8_000_000  # by all of them, as in a table that had each as a row
TIMES_A_DAY_MAX: Final = 24
# From here on are 28 years, in which every date falls on every day of the week: what does not come
# true in them never does. The library would try on to the year 9999, which is their end.
YEAR_TRIED: Final = 9972
YEAR_MIN: Final = 2000  # to run through a daily series from the year 1 takes long
Event: TypeAlias = Any  # the library's: a property may be of thirty types
LineOf: TypeAlias = Callable[[int], int]  # offset -> line, from 1
KindOf: TypeAlias = Callable[[str], WorkKind | None]
_TOO_OFTEN: Final = ("SECONDLY", "MINUTELY", "HOURLY")
_OF_A_DAY: Final = ("HOUR", "MINUTE", "SECOND")
_ONWARDS: Final = "THISANDFUTURE"
_BEGIN: Final = re.compile(r"^BEGIN:VEVENT$", re.MULTILINE)
_END: Final = re.compile(r"^END:VEVENT$", re.MULTILINE)
_NEW_LINE: Final = re.compile(r"\n")
_ZONED: Final = re.compile(r"^X-WR-TIMEZONE:(\S+)$", re.MULTILINE)
_KINDS: Final = {kind.value.replace("_", " "): kind.value for kind in WorkKind}


def calendar_rows(text: str, *, now_ns: int, zone: str = "") -> tuple[list[Row], list[SourceError]]:
    """Occurrences of a file and what cannot be read. Raises SourceError for the whole file.

    All from the first event to `AHEAD` of `now_ns`; where they are too many, those from `BEFORE`
    it. A series of which any part cannot be read is left out whole, and told. zone: of times that
    state none, where the calendar does not say either.
    """
    try:
        return _calendar_rows(text, now_ns=now_ns, zone=zone)
    except SourceError:
        raise
    except Exception as error:  # the readers break in many ways on what is no calendar
        said = " ".join(str(error).split())
        cause = f"cannot be read as iCalendar: {type(error).__name__}: {said}"
        raise SourceError(1, cause) from error


def _calendar_rows(text: str, *, now_ns: int, zone: str) -> tuple[list[Row], list[SourceError]]:
    """As `calendar_rows`; the libraries raise what they like."""
    import recurring_ical_events  # noqa: PLC0415 - only where there are calendars
    from icalendar import Calendar  # noqa: PLC0415

    now = dt.datetime.fromtimestamp(now_ns / 1e9, dt.UTC)
    spans, line_of = _spans(text), _line_of(text)
    bad: list[SourceError] = []
    calendar = Calendar.from_ical(text)
    begin = _without_broken(calendar, text, spans, line_of, bad)
    most = sum(_times_at_most(event, now + AHEAD) for event in calendar.walk("VEVENT"))
    since = begin if begin is not None and most <= OCCURRENCES_MAX else now - BEFORE
    query = recurring_ical_events.of(calendar)
    found = sorted(query.between(min(since, now), now + AHEAD), key=_order)
    if len(found) > OCCURRENCES_MAX:
        raise SourceError(1, f"over {OCCURRENCES_MAX} occurrences; split it")
    of_file = _ZONED.search(text)
    declared = of_file[1] if of_file else zone
    ends, lengths = _ends(calendar), _lengths(calendar)
    kind_of = functools.cache(kind_said)  # every occurrence of a series has its words
    quoted = 0
    rows: list[Row] = []
    for event in found:
        uid = str(event.get("UID", ""))
        start, end = spans.get((uid, _recurrence(event))) or spans.get((uid, "")) or (0, 0)
        line = line_of(start)
        quoted += end - start
        if quoted > QUOTED_CHARS_MAX:
            raise SourceError(line, f"occurrences of over {QUOTED_CHARS_MAX} characters; split it")
        if start == end:  # nothing could be quoted
            said = str(event.get("SUMMARY", ""))
            bad.append(
                SourceError(line, "an event that does not stand on lines of its own", said=said)
            )
            continue
        try:
            lasts = lengths.get((uid, _recurrence(event)), lengths.get((uid, "")))
            cells = _cells(event, declared, lasts, kind_of)
        except ValueError as error:
            bad.append(SourceError(line, str(error), said=text[start:end]))
            continue
        if uid in ends and _comparable(event["DTSTART"].dt) >= ends[uid]:
            cells["status"] = "CANCELLED"
        rows.append(Row(line=line, start=start, end=end, cells=cells))
    return rows, bad


def _times_at_most(event: Event, end: dt.datetime) -> int:
    """How often an event occurs until `end`, from above."""
    told = event.get("RRULE", [])
    most = 1
    for rule in told if isinstance(told, list) else [told]:
        days = max((end - _comparable(event["DTSTART"].dt)).days + 1, 0)
        weekly = str(rule["FREQ"][0]).upper() == "WEEKLY"
        often = (days // 7 + 1) * len(rule.get("BYDAY", [""])) if weekly else days
        often *= math.prod(len(rule.get(f"BY{part}", [""])) for part in _OF_A_DAY)
        most += min(often, int(rule.get("COUNT", [often])[0]))
    return most


def _without_broken(
    calendar: Event,
    text: str,
    spans: dict[tuple[str, str], tuple[int, int]],
    line_of: LineOf,
    bad: list[SourceError],
) -> dt.datetime | None:
    """Take series with a broken part out of a calendar; when the first of the others begins."""
    broken: set[str] = set()
    events = calendar.walk("VEVENT")
    seen: set[tuple[str, str, str]] = set()
    for event in events:
        cause = _broken(event)
        key = (str(event.get("UID", "")), _recurrence(event), str(event.get("SEQUENCE", "")))
        if not cause and key in seen:  # the library would take one of them and say nothing
            cause = "its UID stands twice; each event has its own"
        seen.add(key)
        if cause:
            uid = str(event.get("UID", ""))
            broken.add(uid)
            start, end = spans.get((uid, _recurrence(event))) or spans.get((uid, "")) or (0, 0)
            bad.append(SourceError(line_of(start), cause, said=text[start:end]))
    whole = [event for event in events if str(event.get("UID", "")) not in broken]
    gone = {id(event) for event in events} - {id(event) for event in whole}
    calendar.subcomponents = [part for part in calendar.subcomponents if id(part) not in gone]
    begins = [_comparable(event["DTSTART"].dt) for event in whole]
    return min(begins) - dt.timedelta(days=1) if begins else None


def _broken(event: Event) -> str:
    """Why an event cannot be read, "" when it can."""
    for name, cause in event.errors:
        return f"{name}: {cause}"
    if "DTSTART" not in event:
        return "an event without DTSTART"
    return _broken_times(event) or _broken_rules(event)


def _broken_times(event: Event) -> str:
    for name in ("DTSTART", "DTEND", "RECURRENCE-ID"):
        at = event.get(name)
        if at is None:
            continue
        named = at.params.get("TZID", "")
        if named and isinstance(at.dt, dt.datetime) and at.dt.tzinfo is None:
            return f"{name}: time zone {named!r} is not known; describe it in a VTIMEZONE"
    begin, ended = event["DTSTART"].dt, event.get("DTEND")
    if ended is not None and _comparable(ended.dt) < _comparable(begin):
        return "it ends before it begins"
    lasts = event.get("DURATION")
    if lasts is not None and lasts.dt < dt.timedelta(0):
        return "it ends before it begins"
    return ""


def _broken_rules(event: Event) -> str:
    rules = event.get("RRULE", [])
    for rule in rules if isinstance(rules, list) else [rules]:
        if str(rule.get("FREQ", [""])[0]).upper() in _TOO_OFTEN:
            return "work that recurs several times a day; list each time as an event"
        often = [len(rule.get(f"BY{part}", [""])) for part in _OF_A_DAY]
        if math.prod(often) > TIMES_A_DAY_MAX:
            return f"{math.prod(often)} times a day, at most {TIMES_A_DAY_MAX}"
        if int(rule.get("INTERVAL", [1])[0]) < 1:  # it would recur for ever at its first time
            return "RRULE: an interval below 1"
        if _is_never(rule, _comparable(event["DTSTART"].dt)):
            return "RRULE: a rule that never comes true"
    if rules and _comparable(event["DTSTART"].dt).year < YEAR_MIN:
        return f"a series that begins before {YEAR_MIN}"
    return ""


def _is_never(rule: Event, start: dt.datetime) -> bool:
    """Whether a rule is of days that do not exist, as of 30 February."""
    from dateutil.rrule import rrulestr  # noqa: PLC0415 - what the library of calendars uses

    alone = rule.copy()
    for bound in ("COUNT", "UNTIL", "INTERVAL"):
        alone.pop(bound, None)
    tried = start.replace(year=YEAR_TRIED, tzinfo=None)
    return next(iter(rrulestr(alone.to_ical().decode(), dtstart=tried)), None) is None


def _ends(calendar: Event) -> dict[str, dt.datetime]:
    """From when series are called off: by the whole calendar, or by "this and future"."""
    ends: dict[str, dt.datetime] = {}
    whole = str(calendar.get("METHOD", "")).strip().upper() == "CANCEL"
    for event in calendar.walk("VEVENT"):
        uid, replaced = str(event.get("UID", "")), event.get("RECURRENCE-ID")
        off = str(event.get("STATUS", "")).strip().upper() == "CANCELLED"
        if whole:
            ends[uid] = dt.datetime.min.replace(tzinfo=dt.UTC)
        elif off and replaced is not None and replaced.params.get("RANGE", "").upper() == _ONWARDS:
            at = _comparable(replaced.dt)
            ends[uid] = min(ends.get(uid, at), at)
    return ends


def _lengths(calendar: Event) -> dict[tuple[str, str], dt.timedelta | None]:
    """How many hours events last, None of those that state an end or days; like `_spans`.

    The reader of recurrences turns them into ends on the wall clock.
    """
    lengths: dict[tuple[str, str], dt.timedelta | None] = {}
    for event in calendar.walk("VEVENT"):
        lasts = event.get("DURATION")
        hours = lasts.dt if lasts is not None and not lasts.dt.days else None
        lengths[str(event.get("UID", "")), _recurrence(event)] = hours
    return lengths


def _comparable(at: dt.date) -> dt.datetime:
    """A time or a day to compare by; without a zone as if in UTC."""
    if not isinstance(at, dt.datetime):
        at = dt.datetime.combine(at, dt.time())
    return at if at.tzinfo is not None else at.replace(tzinfo=dt.UTC)


def _order(event: Event) -> tuple[str, str]:
    return str(event["DTSTART"].dt), str(event.get("UID", ""))


def _spans(text: str) -> dict[tuple[str, str], tuple[int, int]]:
    """Where each event stands, by its id and, of an exception, the occurrence that it replaces."""
    from icalendar import Event as Parsed  # noqa: PLC0415

    spans = {}
    for start, end in _events(text):
        try:
            event = Parsed.from_ical(text[start:end])
        except ValueError:
            continue
        spans[str(event.get("UID", "")), _recurrence(event)] = (start, end)
    return spans


def _events(text: str) -> Iterator[tuple[int, int]]:
    """Spans of events; where no end is left, nothing that begins is looked through any more."""
    begin = _BEGIN.search(text)
    while begin is not None and (end := _END.search(text, begin.end())) is not None:
        yield begin.start(), end.end()
        begin = _BEGIN.search(text, end.end())


def _line_of(text: str) -> LineOf:
    """What tells lines without counting from the first again each time."""
    ends = [match.start() for match in _NEW_LINE.finditer(text)]
    return lambda offset: bisect_left(ends, offset) + 1


def _recurrence(event: Event) -> str:
    replaced = event.get("RECURRENCE-ID")
    broken = any(name == "RECURRENCE-ID" for name, _ in event.errors)  # to ask it would raise
    return str(replaced.dt) if replaced is not None and not broken else ""


def _cells(event: Event, zone: str, lasts: dt.timedelta | None, kind_of: KindOf) -> dict[str, str]:
    """Cells of a schedule's row. `lasts` where the event states hours. Raises ValueError."""
    summary = " ".join(str(event.get("SUMMARY", "")).split())
    about = " ".join(str(event.get("DESCRIPTION", "")).split())
    begin = event["DTSTART"].dt
    planned_start, planned_end = _planned(event, zone, lasts)
    recorded = next(
        (event[name].dt for name in ("LAST-MODIFIED", "DTSTAMP") if name in event), None
    )
    location = str(event.get("LOCATION", "")).strip()
    asset = str(event.get("X-ANDON-ASSET", "")).strip()
    if not asset and is_asset_id(location):
        asset = location
    cells = {
        "asset": asset,
        "location": location,
        "kind": _kind(event, summary, kind_of),
        "instrument": str(event.get("X-ANDON-INSTRUMENT") or event.get("RESOURCES") or "").strip(),
        "planned_start": planned_start,
        "planned_end": planned_end,
        "description": ", ".join(part for part in (summary, about) if part),
        "status": str(event.get("STATUS", "")),
        "event_id": _event_id(event, begin),
    }
    if isinstance(recorded, dt.datetime) and recorded.tzinfo is not None:
        cells["recorded_at"] = recorded.astimezone(dt.UTC).isoformat()
    return cells


def _event_id(event: Event, begin: dt.date) -> str:
    """Of the series and the occurrence: the same however the file grows."""
    told = f"{event.get('UID', '')}\0{_recurrence(event) or begin}"
    return f"i-{hashlib.sha256(told.encode()).hexdigest()[:12]}"


def _kind(event: Event, summary: str, kind_of: KindOf) -> str:
    told = str(event.get("X-ANDON-KIND", "")).strip().lower().replace(" ", "_")
    if told:
        return told
    named = event.get("CATEGORIES")
    for group in named if isinstance(named, list) else [named] if named is not None else []:
        for category in group.cats:
            kind = _KINDS.get(str(category).strip().lower().replace("_", " "))
            if kind:
                return kind
    said = kind_of(summary)
    return said.value if said is not None else ""


def _planned(event: Event, zone: str, lasts: dt.timedelta | None) -> tuple[str, str]:
    """Begin and end, ISO 8601; "" without a zone, a whole day as its date. Raises ValueError.

    Within the hour that happens twice both are of its second, as in a line of a log.
    """
    begin, ended = event["DTSTART"].dt, event.get("DTEND")
    end = ended.dt if ended is not None else begin
    if not isinstance(begin, dt.datetime) or not isinstance(end, dt.datetime):
        return _day(begin), _day(end - dt.timedelta(days=1))
    start = _instant(begin, zone, first=False)
    if start is None:
        return "", ""
    if lasts is not None:  # hours on a clock that nobody turns
        stop: dt.datetime | None = (start.astimezone(dt.UTC) + lasts).astimezone(start.tzinfo)
    else:
        stop = _instant(end, zone, first=True)
        if stop is not None and stop.astimezone(dt.UTC) < start.astimezone(dt.UTC):
            stop = _instant(end, zone, first=False)
    return start.isoformat(), stop.isoformat() if stop is not None else ""


def _day(at: dt.date) -> str:
    return at.date().isoformat() if isinstance(at, dt.datetime) else at.isoformat()


def _instant(at: dt.datetime, zone: str, *, first: bool) -> dt.datetime | None:
    """A time with its zone, its own or the declared one; None without either. Raises ValueError."""
    if at.tzinfo is None and not zone:
        return None
    try:
        clock = at.tzinfo or ZoneInfo(zone)
    except (KeyError, OSError, RecursionError) as error:
        raise ValueError(f"time zone {zone!r} is not known") from error
    wall = at.replace(tzinfo=None, fold=0)
    found = wall.replace(tzinfo=clock, fold=0 if first else 1)
    if found.astimezone(dt.UTC).astimezone(clock).replace(tzinfo=None, fold=0) != wall:
        raise ValueError(f"{wall:%Y-%m-%d %H:%M} does not exist in {_named(clock)}")
    return found


def _named(clock: dt.tzinfo) -> str:
    """What a clock's zone is called, its own name for itself where it has no key."""
    return str(getattr(clock, "key", None) or clock)
