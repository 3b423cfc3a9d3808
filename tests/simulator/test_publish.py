"""Pacing, clock tags and moved times, under a clock that tests turn by hand."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.recordings.recording import TimedMessage
from simulator.publish import SILENCE_TAGS_MAX, Pace, shift_payload, shifted, with_clock

SECOND = 10**9
START = 1_700_000_000 * SECOND


class FakeTime:
    """A clock that only moves when somebody sleeps or works."""

    def __init__(self) -> None:
        self.now_s = 1_000.0
        self.slept_s: list[float] = []

    def clock(self) -> float:
        """Return the time."""
        return self.now_s

    def sleep(self, seconds: float) -> None:
        """Pass time."""
        assert seconds > 0
        self.slept_s.append(seconds)
        self.now_s += seconds


def message(t_s: float, begin_s: float | None = None) -> TimedMessage:
    """Return a message at `t_s` plant seconds after START, with rows since `begin_s`."""
    return TimedMessage(
        t_ns=START + round(t_s * SECOND),
        topic="plant/a",
        payload=b"{}",
        begin_ns=None if begin_s is None else START + round(begin_s * SECOND),
    )


def woven(messages: list[TimedMessage], cadence_s: float = 1.0) -> list[str | float]:
    """Weave clock tags in: "d" for data and the plant second for a tag."""
    cadence_ns = round(cadence_s * SECOND)
    return [
        "d" if m.topic == "plant/a" else (json.loads(m.payload)["ts"] * 10**6 - START) / SECOND
        for m in with_clock(messages, topic="plant/_clock", cadence_ns=cadence_ns)
    ]


@pytest.mark.parametrize("speed", [0.5, 1.0, 60.0])
def test_messages_are_sent_at_their_own_pace(speed: float) -> None:
    """Distances in plant time become distances in wall time, divided by the speed."""
    time = FakeTime()
    pace = Pace(speed=speed, clock=time.clock, sleep=time.sleep)
    sent = []
    for t_s in (0.0, 1.0, 4.0, 4.0, 10.0):
        pace.wait(START + round(t_s * SECOND))
        sent.append(time.now_s)
    assert [s - sent[0] for s in sent] == pytest.approx([t / speed for t in (0, 1, 4, 4, 10)])
    assert pace.late_s_max == pytest.approx(0)


#  due     0   1   2   3   4
#  sent    0   (3 s of work)3 3 3   4      late ones follow at once, the schedule stands
def test_lateness_is_caught_up_and_does_not_add_up() -> None:
    """After a stall messages follow at once until the schedule is met again."""
    time = FakeTime()
    pace = Pace(speed=1.0, clock=time.clock, sleep=time.sleep)
    sent = []
    for i in range(5):
        pace.wait(START + i * SECOND)
        sent.append(time.now_s - 1_000.0)
        if i == 0:
            time.now_s += 3.0
    assert sent == [0, 3, 3, 3, 4]
    assert pace.late_s_max == 2.0


def test_as_fast_as_possible_never_sleeps() -> None:
    """Speed inf waits for nothing."""
    time = FakeTime()
    pace = Pace(speed=math.inf, clock=time.clock, sleep=time.sleep)
    for i in range(5):
        pace.wait(START + i * SECOND)
    assert time.slept_s == []


def test_rows_that_go_back_in_time_are_sent_at_once() -> None:
    """A backward stamp neither waits nor pulls later ones forward."""
    time = FakeTime()
    pace = Pace(speed=1.0, clock=time.clock, sleep=time.sleep)
    for t_s in (0, 10, 5, 11):
        pace.wait(START + t_s * SECOND)
    assert time.slept_s == [10, 1]


def test_a_clock_tag_follows_every_plant_second() -> None:
    """A tag comes after the data of its second; one more lets the last samples close."""
    assert woven([message(0), message(0.5), message(1), message(2.5)]) == [
        "d", 0, "d", "d", 1, 2, "d", 4,
    ]  # fmt: skip


def test_a_batch_is_not_overtaken_by_the_clock() -> None:
    """While a batch waits for its last row no tag may make its first rows late."""
    assert woven([message(3, 0), message(7, 4)], cadence_s=4.0) == ["d", 3, "d", 7, 9]


def test_rows_far_apart_get_ten_tags_each() -> None:
    """A tag a second would drown a table of five-minute rows."""
    tags = woven([message(0), message(300), message(600)], cadence_s=300.0)
    assert tags[:4] == ["d", 0, 10, 40]  # whole steps of the Unix clock, 30 s apart
    assert [tag for tag in tags if tag == "d"] == ["d"] * 3
    assert len(tags) == 3 * 2 + 2 * 10 + 1  # rows and their own tags, tags between, the last one


def test_an_hour_of_silence_ticks_every_second() -> None:
    """Fuses burn while nothing is said; a longer silence ticks in as many, longer steps."""
    tags = woven([message(0), message(3_600)])
    assert tags[1:3602] == [*range(3_600), "d"]
    tags = woven([message(0), message(86_400)])
    assert SILENCE_TAGS_MAX - 2 <= len(tags) - 3 <= SILENCE_TAGS_MAX + 2


def test_moving_by_nothing_keeps_every_byte() -> None:
    """Even spacing and key order of a payload stay, because nobody looks into it."""
    odd = TimedMessage(t_ns=START, topic="t", payload=b'{ "ts":1760000000123 }')
    assert list(shifted([odd], 0)) == [odd]


@given(
    shift_s=st.integers(0, 10**7),
    unit=st.sampled_from([1, 10**3, 10**6, 10**9]),
    value=st.floats(allow_nan=False, allow_infinity=False),
)
def test_times_in_payloads_move_in_their_own_unit(shift_s: int, unit: int, value: float) -> None:
    """Seconds, milli-, micro- and nanoseconds all move by the same time; values stay exact."""
    stamp = 1_700_000_000 * unit
    body = {"ts": [stamp, stamp + unit], "tags": ["a"], "v": [[value], [None]]}
    moved = json.loads(shift_payload(json.dumps(body).encode(), shift_s * SECOND))
    assert moved == body | {"ts": [stamp + shift_s * unit, stamp + unit + shift_s * unit]}


@pytest.mark.parametrize(
    "payload", [b"", b"\xff\x00", b"[1,2]", b'{"state":"on"}', b'{"ts":true}', b'{"ts":"soon"}']
)
def test_payloads_without_a_time_are_left_alone(payload: bytes) -> None:
    """What is not understood is passed on as it is."""
    assert shift_payload(payload, SECOND) == payload


def test_iso_times_move_and_keep_their_zone() -> None:
    """Stamps as text stay text."""
    moved = shift_payload(b'{"ts":"2024-01-01T00:00:00+01:00","a":1.5}', 90 * SECOND)
    assert json.loads(moved) == {"ts": "2024-01-01T00:01:30+01:00", "a": 1.5}
