"""Times in log lines: what they mean on the day of the line, and what is no time."""

from __future__ import annotations

from datetime import datetime, time, timedelta
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kb.wording.said_times import BACK_MAX, SLACK, span_of, timed

WRITTEN: Final = datetime(2026, 3, 10, 15, 45)  # noqa: DTZ001 - a wall clock, as lines have it
SHIFTS: Final = {"late": (time(14), time(22))}

SAID: Final = (
    ("cal 0610-0640 done", "done", "10 06:10", "10 06:40"),
    ("ca 14h done", "done", "10 14:00", ""),
    ("took from 2 till 3:30", "done", "10 14:00", "10 15:30"),
    ("from 6 till 7:15", "done", "10 06:00", "10 07:15"),
    ("since 9", "begun", "10 09:00", ""),
    ("until 17", "begun", "", "10 17:00"),
    ("6h10 à 6h35", "done", "10 06:10", "10 06:35"),
    ("13:30 hrs to 14:00 hrs", "done", "10 13:30", "10 14:00"),
    ("moved to 16:00", "planned", "10 16:00", ""),
    ("rescheduled from 10:00 to 17:30", "planned", "10 17:30", ""),
    ("22:00 to 02:00", "planned", "10 22:00", "11 02:00"),
    ("06:30 - 07:00", "planned", "11 06:30", "11 07:00"),
    ("tomorrow 9", "planned", "11 09:00", ""),
    ("2pm-3pm", "done", "10 14:00", "10 15:00"),
    ("in 20 min", "planned", "10 16:05", ""),
    ("late shift", "planned", "10 14:00", "10 22:00"),
)
NO_TIMES: Final = (
    "alarm at 4.5 bar", "order 4711823", "zones 1-2", "0.25-0.30 mm", "plan 2026-2030", "r1-r4",
    "parts 4711-4712", "ref 12/7", "v1.20", "took 5 min", "at 80 %", "3 of 4",
)  # fmt: skip


@pytest.mark.parametrize(("line", "stage", "begin", "end"), SAID)
def test_times_are_read_as_of_the_line(line: str, stage: str, begin: str, end: str) -> None:
    """A time lies near the line, before it when the work is done, after it when it is planned."""
    rest, times = timed(line)
    span = span_of(times, stage, written=WRITTEN, tomorrow="tomorrow" in rest, shifts=SHIFTS)
    assert span is not None
    assert tuple(at.strftime("%d %H:%M") if at else "" for at in span) == (begin, end)


@pytest.mark.parametrize("line", NO_TIMES)
def test_numbers_are_no_times(line: str) -> None:
    """Measures, ids, ranges of machines, years and durations."""
    assert timed(line) == (line, [])


def test_what_could_be_meant_twice_is_no_time() -> None:
    """Seven in a line of half past seven in the evening is morning or evening."""
    late = WRITTEN.replace(hour=19, minute=30)
    assert span_of(timed("at 7")[1], "done", written=late) is not None  # the morning is too far
    assert span_of(timed("at 4")[1], "done", written=WRITTEN.replace(hour=16, minute=0)) is None
    assert span_of(timed("0610-0640 and 0700-0710")[1], "done", written=WRITTEN) is None
    assert span_of(timed("late shift")[1], "planned", written=WRITTEN) is None  # not declared


@given(minute=st.integers(0, 24 * 60 - 1), ago=st.integers(0, 11 * 60), lasted=st.integers(1, 600))
def test_a_span_of_done_work_is_found_again(minute: int, ago: int, lasted: int) -> None:
    """Any span that ended within the shift before its line is read to the minute."""
    written = datetime(2026, 3, 10) + timedelta(minutes=minute)  # noqa: DTZ001
    end = written - timedelta(minutes=ago)
    begin = end - timedelta(minutes=lasted)
    line = f"cal done {begin:%H:%M}-{end:%H:%M}, ok"
    assert span_of(timed(line)[1], "done", written=written) == (begin, end)


@given(minute=st.integers(0, 24 * 60 - 1), hour=st.integers(0, 23))
def test_done_work_never_lies_ahead(minute: int, hour: int) -> None:
    """Whatever hour is named, what is done ended by the writing, at most a shift before."""
    written = datetime(2026, 3, 10) + timedelta(minutes=minute)  # noqa: DTZ001
    span = span_of(timed(f"at {hour}")[1], "done", written=written)
    if span is not None:
        assert span[0] is not None
        assert written - BACK_MAX <= span[0] <= written + SLACK
