"""Days that log lines name, against a Monday."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kb.wording.asset_names import asset_words
from kb.wording.said_days import without_days
from kb.wording.shopfloor import Said, work_said

WRITTEN: Final = datetime(2026, 3, 2, 8, 50)  # noqa: DTZ001 - on the wall clock


def _said(line: str) -> list[Said]:
    return work_said(line, assets=asset_words(["r1"]), instruments={}, written=WRITTEN)


@pytest.mark.parametrize(
    ("said", "day"),
    [
        ("2026-03-04", 4), ("on 04.03.", 4), ("04.03.2026", 4), ("am 4.3.", 4), ("March 4th", 4),
        ("4 march", 4), ("4th of March", 4), ("4. März", 4), ("on the 4th", 4), ("wed", 4),
        ("on Wednesday", 4), ("Mittwoch", 4), ("next monday", 9), ("übermorgen", 4),
        ("day after tomorrow", 4), ("in 2 days", 4), ("on 13/3", 13), ("on 3/3", 3),
    ],
)  # fmt: skip
def test_a_plan_for_another_day(said: str, day: int) -> None:
    """Its times are of that day, and it is a plan."""
    (work,) = _said(f"r1 gas flow cal {said} 0900-1000")
    assert work.begin == datetime(2026, 3, day, 9)  # noqa: DTZ001
    assert work.stage == "planned"


@pytest.mark.parametrize(
    ("said", "at"),
    [("done on 26.02.", date(2026, 2, 26)), ("done last friday", date(2026, 2, 27)),
     ("done on friday", date(2026, 2, 27)), ("done feb 26th", date(2026, 2, 26))],
)  # fmt: skip
def test_what_was_done_on_another_day(said: str, at: date) -> None:
    """It is over since then."""
    (work,) = _said(f"r1 gas flow cal {said} 0900-1000")
    assert work.end is not None
    assert (work.end.date(), work.stage) == (at, "done")


@pytest.mark.parametrize(
    "said",
    ["on 4/3", "03/04/2026", "next wednesday", "next week", "in kw 12", "wed or thu", "on the 31st",
     "on 30.02. or wed", "planned for thursday"],
)  # fmt: skip
def test_a_day_that_is_not_clear_proposes_nothing_today(said: str) -> None:
    """What may be of any day is none of today's."""
    times = "" if "planned" in said else " 0900-1000"
    found = _said(f"r1 gas flow cal {said}{times}")
    assert all(work.begin and work.begin.date() > WRITTEN.date() for work in found)
    assert not found or said == "on the 31st"


@pytest.mark.parametrize(
    "said",
    ["done 0700-0730", "done at 7.30.", "on monday 0900-1000", "done 0700-0730, weld 4/3 ok",
     "2026-03-02 0900-1000", "0900-1000, 3rd joint"],
)  # fmt: skip
def test_today_is_today(said: str) -> None:
    """Times, fractions and ordinals of things are no days."""
    line = f"r1 gas flow cal {said}"
    rest, day = without_days(line, written=WRITTEN.date(), done="done" in said)
    assert day is None or (day.days == 0 and rest != line)


@given(
    days=st.integers(-170, 170),
    form=st.sampled_from(["%Y-%m-%d", "on %d.%m.", "%d.%m.%Y", "%B %d"]),
)
def test_a_date_is_read_as_it_was_written(days: int, form: str) -> None:
    """Whichever way, near the day of writing."""
    at = WRITTEN.date() + timedelta(days=days)
    line = f"r1 cal {at.strftime(form).lower()} 0900-1000"
    rest, day = without_days(line, written=WRITTEN.date(), done=False)
    assert day is not None
    assert day.days == days
    assert rest.split() == ["r1", "cal", "0900-1000"]


@given(st.text(alphabet="0123456789./- thondmrcwe", max_size=24))
def test_any_text_is_read(text: str) -> None:
    """Nothing breaks on what looks like days, and all but the day is left, in its order."""
    rest, day = without_days(text, written=WRITTEN.date(), done=False)
    said = iter(text.replace(" ", ""))
    assert all(letter in said for letter in rest.replace(" ", ""))
    assert day is not None or rest == text
