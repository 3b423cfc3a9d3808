"""Calendars that are broken, endless or called off: told, bounded, and never half-read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest

from kb.reading import calendars
from kb.reading.calendars import calendar_rows
from kb.reading.front_matter import SourceError
from tests.counting import calls_of

if TYPE_CHECKING:
    import re

NOW_NS: Final = 1_795_000_000 * 1_000_000_000  # 2026-11-18
START: Final = "DTSTART:20260302T060000Z"


def calendar(*events: tuple[str, ...], head: str = "") -> str:
    """A calendar of events of these lines; each has its own UID unless it names one."""
    told = [head] if head else []
    for number, lines in enumerate(events):
        uid = () if any(line.startswith("UID:") for line in lines) else (f"UID:u{number}",)
        told += ["BEGIN:VEVENT", *uid, *lines, "SUMMARY:gas flow calibration", "END:VEVENT"]
    return "\n".join(("BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:x", *told, "END:VCALENDAR", ""))


@pytest.mark.parametrize(
    ("lines", "cause"),
    [
        ((START, "RRULE:FREQ=WEAKLY"), "WEAKLY"),
        ((START, "RRULE:FREQ=WEEKLY;COUNT=3", "EXDATE:garbage"), "garbage"),
        ((START, "RRULE:FREQ=SECONDLY"), "several times a day"),
        ((START, "RRULE:FREQ=DAILY;BYMINUTE=" + ",".join(map(str, range(60)))), "60 times a day"),
        ((START, "RRULE:FREQ=WEEKLY;INTERVAL=0"), "interval"),
        ((START, "RRULE:FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30"), "never comes true"),
        ((START, "RRULE:FREQ=MONTHLY;BYDAY=6MO;COUNT=3"), "never comes true"),
        (("DTSTART:00010302T060000Z", "RRULE:FREQ=DAILY"), "begins before"),
        ((START, "DTEND:20260301T060000Z"), "ends before"),
        ((START, "DURATION:-PT45M"), "ends before"),
        (("DTSTART;TZID=Mars/Base:20260302T060000",), "Mars/Base"),
        ((), "without DTSTART"),
    ],
)
def test_a_broken_event_is_told_and_takes_no_other_with_it(
    lines: tuple[str, ...], cause: str
) -> None:
    """Its line and cause; the event beside it is read."""
    text = calendar(lines, (START,))
    found, bad = calendar_rows(text, now_ns=NOW_NS, zone="Europe/Berlin")
    assert [row.cells["planned_start"] for row in found] == ["2026-03-02T06:00:00+00:00"]
    (error,) = bad
    assert cause in error.cause
    assert text.splitlines()[error.line - 1] == "BEGIN:VEVENT"
    assert error.said.startswith("BEGIN:VEVENT")


@pytest.mark.parametrize(
    "lines",
    [
        (START, "RRULE:FREQ=SECONDLY"),
        (START, "RRULE:FREQ=DAILY;BYMINUTE=" + ",".join(map(str, range(60)))),
        (START, "RRULE:FREQ=WEEKLY;INTERVAL=0"),
        ("DTSTART:00010302T060000Z", "RRULE:FREQ=DAILY"),
        (START, "RRULE:FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30"),
    ],
)
def test_nobody_runs_through_a_series_without_measure(lines: tuple[str, ...]) -> None:
    """It is told by its rule: read with fewer calls than a weekly one, which is run through."""
    calendar_rows(calendar((START,)), now_ns=NOW_NS)  # imports its readers
    weekly = calendar((START, "RRULE:FREQ=WEEKLY"))
    run_through = calls_of(lambda: calendar_rows(weekly, now_ns=NOW_NS))
    assert calls_of(lambda: calendar_rows(calendar(lines), now_ns=NOW_NS)) < run_through / 5


def test_what_is_rare_still_recurs() -> None:
    """A Monday that is 29 February comes once in 28 years."""
    text = calendar(
        ("DTSTART:20080229T060000Z", "RRULE:FREQ=DAILY;BYMONTH=2;BYMONTHDAY=29;BYDAY=MO")
    )
    assert calendar_rows(text, now_ns=NOW_NS)[1] == []


def test_words_of_a_series_are_looked_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A long text that recurs is one text."""
    said: list[str] = []
    monkeypatch.setattr(calendars, "kind_said", said.append)
    found, _ = calendar_rows(calendar((START, "RRULE:FREQ=DAILY;COUNT=50")), now_ns=NOW_NS)
    assert len(found) == 50
    assert said == ["gas flow calibration"]


def test_occurrences_that_quote_too_much_are_refused() -> None:
    """A series is as large as a table that had each of its times as a row."""
    event = (START, "RRULE:FREQ=DAILY;COUNT=100", "COMMENT:" + "x" * 70_000)
    assert len(calendar_rows(calendar(event), now_ns=NOW_NS)[0]) == 100
    event = (START, "RRULE:FREQ=DAILY;COUNT=100", "COMMENT:" + "x" * 90_000)
    with pytest.raises(SourceError, match="occurrences of over 8000000 characters; split it"):
        calendar_rows(calendar(event), now_ns=NOW_NS)


def test_a_calendar_is_not_counted_through_for_each_event(monkeypatch: pytest.MonkeyPatch) -> None:
    """Events that begin and never end are looked for once; lines are counted once."""
    looked = 0

    class Counted:
        def __init__(self, pattern: re.Pattern[str]) -> None:
            self.pattern = pattern

        def search(self, text: str, at: int = 0) -> re.Match[str] | None:
            nonlocal looked
            found = self.pattern.search(text, at)
            looked += (found.end() if found else len(text)) - at
            return found

    monkeypatch.setattr(calendars, "_BEGIN", Counted(calendars._BEGIN))
    monkeypatch.setattr(calendars, "_END", Counted(calendars._END))
    text = "BEGIN:VEVENT\n" * 1_000
    assert list(calendars._events(text)) == []
    assert looked <= 2 * len(text)
    text += "END:VEVENT\n" + text + "END:VEVENT\n"
    assert [text[a:b].count("END") for a, b in calendars._events(text)] == [1, 1]
    assert [calendars._line_of("a\nb\n")(at) for at in range(5)] == [1, 1, 2, 2, 3]


def test_a_broken_exception_takes_its_series_with_it() -> None:
    """Nobody knows which of its times it called off."""
    series = ("UID:s", START, "RRULE:FREQ=WEEKLY;COUNT=3")
    other = ("UID:s", "RECURRENCE-ID:20260309T060000Z", "STATUS:CANCELLED")  # without DTSTART
    found, bad = calendar_rows(calendar(series, other), now_ns=NOW_NS)
    assert found == []
    assert len(bad) == 1


def test_an_id_that_stands_twice_is_told() -> None:
    """Two events of one id would be read as one of them."""
    text = calendar(("UID:s", START), ("UID:s", "DTSTART:20260303T060000Z"))
    found, bad = calendar_rows(text, now_ns=NOW_NS)
    assert found == []
    assert "twice" in bad[0].cause


@pytest.mark.parametrize(
    ("event", "length"),
    [((START, "DURATION:PT45M"), ("2026-03-02T06:00:00+00:00", "2026-03-02T06:45:00+00:00")),
     (("DTSTART;VALUE=DATE:20260302",), ("2026-03-02", "2026-03-02"))],
)  # fmt: skip
def test_what_is_long_past_is_read_too(event: tuple[str, ...], length: tuple[str, str]) -> None:
    """A backtest of last spring needs its schedule; a duration or a day is an end."""
    (row,), bad = calendar_rows(calendar(event), now_ns=NOW_NS)
    assert (row.cells["planned_start"], row.cells["planned_end"]) == length
    assert bad == []


def test_a_series_without_end_is_read_around_now() -> None:
    """Of thousands of times those that matter, and not one of a year from then."""
    text = calendar(("DTSTART:20000102T060000Z", "RRULE:FREQ=DAILY"))
    found, bad = calendar_rows(text, now_ns=NOW_NS)
    assert 395 < len(found) < 405
    assert found[0].cells["planned_start"].startswith("2026-10")
    assert bad == []


def test_a_whole_calendar_and_the_rest_of_a_series_are_called_off() -> None:
    """By METHOD:CANCEL, and by an exception for this and all that follow."""
    series = ("UID:s", START, "RRULE:FREQ=WEEKLY;COUNT=4")
    found, _ = calendar_rows(calendar(series, head="METHOD:CANCEL"), now_ns=NOW_NS)
    assert [row.cells["status"] for row in found] == ["CANCELLED"] * 4
    onwards = (
        "UID:s", "RECURRENCE-ID;RANGE=THISANDFUTURE:20260309T060000Z",
        "DTSTART:20260309T060000Z", "STATUS:CANCELLED",
    )  # fmt: skip
    found, _ = calendar_rows(calendar(series, onwards), now_ns=NOW_NS)
    assert [row.cells["status"] for row in found] == ["", *["CANCELLED"] * 3]


PLANT: Final = """BEGIN:VTIMEZONE
TZID:Plant
BEGIN:STANDARD
DTSTART:19961027T030000
RRULE:FREQ=YEARLY;BYDAY=-1SU;BYMONTH=10
TZOFFSETFROM:+0200
TZOFFSETTO:+0100
END:STANDARD
BEGIN:DAYLIGHT
DTSTART:19960331T020000
RRULE:FREQ=YEARLY;BYDAY=-1SU;BYMONTH=3
TZOFFSETFROM:+0100
TZOFFSETTO:+0200
END:DAYLIGHT
END:VTIMEZONE"""
ZONES: Final = (
    (";TZID=Europe/Berlin", "", ""),
    (";TZID=W. Europe Standard Time", "", ""),
    (";TZID=Plant", PLANT, ""),
    ("", "X-WR-TIMEZONE:Europe/Berlin", ""),
    ("", "", "Europe/Berlin"),
)


@pytest.mark.parametrize(("named", "head", "declared"), ZONES)
@pytest.mark.parametrize(
    ("begin", "end", "planned"),
    [
        ("20261025T013000", "DTEND{}:20261025T023000", ("01:30:00+02:00", "02:30:00+02:00")),
        ("20261025T023000", "DTEND{}:20261025T033000", ("02:30:00+01:00", "03:30:00+01:00")),
        ("20261025T021000", "DTEND{}:20261025T024000", ("02:10:00+01:00", "02:40:00+01:00")),
        ("20261025T021000", "DURATION:PT20M", ("02:10:00+01:00", "02:30:00+01:00")),
        ("20261025T013000", "DURATION:PT2H", ("01:30:00+02:00", "02:30:00+01:00")),
    ],
)
def test_the_hour_that_happens_twice_is_read_as_in_a_log(
    named: str, head: str, declared: str, begin: str, end: str, planned: tuple[str, str]
) -> None:
    """Its second for a begin, its first for an end, its second for both; hours stay hours."""
    event = (f"DTSTART{named}:{begin}", end.format(named))
    (row,), bad = calendar_rows(calendar(event, head=head), now_ns=NOW_NS, zone=declared)
    told = (row.cells["planned_start"], row.cells["planned_end"])
    assert told == tuple(f"2026-10-25T{time}" for time in planned)
    assert bad == []


@pytest.mark.parametrize(("named", "head", "declared"), ZONES)
@pytest.mark.parametrize(
    ("begin", "end"),
    [("20260329T023000", "20260329T031500"), ("20260329T013000", "20260329T023000")],
)
def test_the_hour_that_the_clocks_skip_is_refused(
    named: str, head: str, declared: str, begin: str, end: str
) -> None:
    """With its line; of a series, only that night."""
    event = (f"DTSTART{named}:{begin}", f"DTEND{named}:{end}")
    text = calendar((START,), event, head=head)
    found, bad = calendar_rows(text, now_ns=NOW_NS, zone=declared)
    assert len(found) == 1
    (error,) = bad
    assert "02:30 does not exist" in error.cause
    assert text.splitlines()[error.line - 1] == "BEGIN:VEVENT"
    nightly = (
        f"DTSTART{named}:20260327T023000",
        f"DTEND{named}:20260327T031500",
        "RRULE:FREQ=DAILY;COUNT=4",
    )
    found, bad = calendar_rows(calendar(nightly, head=head), now_ns=NOW_NS, zone=declared)
    assert [row.cells["planned_start"][8:16] for row in found] == [
        "27T02:30",
        "28T02:30",
        "30T02:30",
    ]
    assert len(bad) == 1
