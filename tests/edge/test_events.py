"""The phase table against a slow reading of its rules, and the rules one by one."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.records import Phase, Reading
from edge.verdicts.events import ACTIVE, TrackState, read_score

OVER, UNDER, UNKNOWN = Reading.OVER, Reading.UNDER, Reading.UNKNOWN


def walk(readings: list[Reading], *, open_after: int = 2, clear_after: int = 3) -> list[Phase]:
    """Phases after each reading."""
    track = TrackState()
    phases = []
    for t, reading in enumerate(readings):
        track.step(reading, t_ns=t, score=1.0, open_after=open_after, clear_after=clear_after)
        phases.append(track.phase)
    return phases


def is_open_oracle(readings: list[Reading], *, open_after: int, clear_after: int) -> list[bool]:
    """Slow and obvious: look back over the whole history each time, UNKNOWN left out."""
    answers = []
    open_now = False
    since = 0  # index in the known readings from which the present side counts
    known: list[Reading] = []
    for reading in readings:
        if reading is not UNKNOWN:
            known.append(reading)
        tail = known[since:]
        if not open_now and tail[-open_after:] == [OVER] * open_after:
            open_now, since = True, len(known)
        elif open_now and tail[-clear_after:] == [UNDER] * clear_after:
            open_now, since = False, len(known)
        answers.append(open_now)
    return answers


@given(
    readings=st.lists(st.sampled_from(list(Reading)), max_size=60),
    open_after=st.integers(1, 4),
    clear_after=st.integers(1, 4),
)
def test_an_event_is_open_exactly_when_the_slow_reading_says_so(
    readings: list[Reading], open_after: int, clear_after: int
) -> None:
    """Enough OVER in a row opens, enough UNDER in a row clears, UNKNOWN counts for neither."""
    phases = walk(readings, open_after=open_after, clear_after=clear_after)
    expected = is_open_oracle(readings, open_after=open_after, clear_after=clear_after)
    assert [phase in ACTIVE for phase in phases] == expected


def opens_oracle(readings: list[Reading], k: int, n: int) -> int | None:
    """Where a window of the newest n known readings first holds k OVER; None: nowhere."""
    known: list[tuple[int, Reading]] = []
    for i, reading in enumerate(readings):
        if reading is not UNKNOWN:
            known.append((i, reading))
        if sum(each is OVER for _, each in known[-n:]) >= k:
            return i
    return None


@given(
    readings=st.lists(st.sampled_from(list(Reading)), max_size=60),
    k=st.integers(1, 5),
    spare=st.integers(0, 5),
)
def test_k_of_n_opens_where_a_sliding_window_says_so(
    readings: list[Reading], k: int, spare: int
) -> None:
    """And it begins with the oldest reading over threshold of that window."""
    track = TrackState()
    opened = None
    for t, reading in enumerate(readings):
        track.step(reading, t_ns=t, score=1.0, open_after=k, clear_after=9, open_among=k + spare)
        if track.active:
            opened = t
            break
    assert opened == opens_oracle(readings, k, k + spare)
    if opened is not None:
        known = [i for i in range(opened + 1) if readings[i] is not UNKNOWN][-(k + spare) :]
        assert track.begin_ns == next(i for i in known if readings[i] is OVER)


def test_one_sample_over_threshold_only_rises() -> None:
    """A single outlier opens nothing when two are asked for."""
    assert walk([OVER, UNDER, OVER, OVER]) == [Phase.RISING, Phase.QUIET, Phase.RISING, Phase.OPEN]


def test_unknown_neither_opens_nor_clears() -> None:
    """NaN is not an answer."""
    assert walk([OVER, UNKNOWN, OVER])[-1] is Phase.OPEN
    assert walk([OVER, OVER, UNDER, UNDER, UNKNOWN, UNKNOWN])[-1] is Phase.FALLING


def test_the_stretch_begins_with_its_first_sample_over() -> None:
    """Begin time is not the time of opening."""
    track = TrackState()
    for t, reading in enumerate([UNDER, OVER, OVER]):
        track.step(reading, t_ns=10 * t, score=5.0, open_after=2, clear_after=2)
    assert (track.begin_ns, track.phase, track.peak) == (10, Phase.OPEN, 5.0)


@pytest.mark.parametrize(
    ("score", "phase", "expected"),
    [
        (math.nan, Phase.OPEN, UNKNOWN),
        (4.0, Phase.QUIET, OVER),
        (3.9, Phase.QUIET, UNDER),
        (3.0, Phase.OPEN, OVER),
        (2.9, Phase.FALLING, UNDER),
    ],
)
def test_hysteresis_keeps_an_open_event_open(score: float, phase: Phase, expected: Reading) -> None:
    """On at 4, off at 3."""
    assert read_score(score, phase, on=4.0, off=3.0) is expected
