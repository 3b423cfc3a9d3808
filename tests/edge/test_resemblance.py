"""Resemblance: failure modes and past events, ranked for reasons that can be checked."""

from __future__ import annotations

import math
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.alerts import resemblance
from edge.alerts.alerts import AlertRecord, Contribution
from edge.alerts.resemblance import alike, match_mode, modes
from edge.records import Track
from kb.records import FailureMode, Sign
from kb.retrieval.cite import cite
from simulator.cells.weld_signals import CHANNEL_NAMES
from simulator.faults import FORMS, FaultKind, fault_marks

CHANNELS = ("flow", "pressure", "feed", "wire")
DIRECTIONS = ("high", "low", "within", "stuck", "missing")


def part(channel: str, share: float, direction: str = "within", **more: Any) -> Contribution:  # noqa: ANN401
    """One contribution; its value does not matter here."""
    usual = {"unit": "", "value": 1.0, "usual_low": 0.0, "usual_high": 2.0}
    return Contribution(channel=channel, share=share, direction=direction, **{**usual, **more})


def mode(mode_id: str, *signs: str, **change: Any) -> FailureMode:  # noqa: ANN401
    """A row of a table; signs as "flow low", "flow" is any."""
    said = f"{mode_id}: name of {mode_id}; cause; action"
    read = [
        sign.rpartition(" ") if sign.split()[-1] in DIRECTIONS else (sign, "", "any")
        for sign in signs
    ]
    row = FailureMode(
        mode_id=mode_id,
        name=f"name of {mode_id}",
        asset="",
        signs=tuple(Sign(channel=channel, direction=direction) for channel, _, direction in read),
        cause="cause",
        action="action",
        recorded_at_ns=0,
        citation=cite(said, 0, len(said), doc_id="fm", revision="1", chunk_id=1),
    )
    return msgspec.structs.replace(row, **change)


def ranked(table: list[FailureMode], parts: list[Contribution], **change: Any) -> list[str]:  # noqa: ANN401
    """Ids in order of rank."""
    where = {"asset": "r1", "channels": CHANNELS, "now_ns": 10, **change}
    return [one.mode_id for one in modes(table, parts, **where)]


GAS = mode("gas", "flow low", "pressure low")
LEAK = mode("leak", "flow high", "pressure low")
SLIP = mode("slip", "wire low", "feed high")
DRIFT = mode("drift", *CHANNELS)
DEAD = mode("dead", *(f"{name} stuck" for name in CHANNELS))
TABLE = [GAS, LEAK, SLIP, DRIFT, DEAD]
BOTH_LOW = [part("flow", 0.6, "low"), part("pressure", 0.35, "low"), part("feed", 0.05)]


def test_the_mode_whose_signs_are_there_comes_first() -> None:
    """Both channels, both the right way; the one that has a sign turned round comes behind."""
    assert ranked(TABLE, BOTH_LOW)[0] == "gas"
    assert ranked([LEAK, GAS], BOTH_LOW) == ["gas", "leak"]


def test_a_move_within_the_usual_range_still_has_a_direction() -> None:
    """A small lasting shift never leaves the range, and its sign tells two modes apart."""
    small = [part("flow", 0.5, shift=-1.5), part("pressure", 0.4, shift=-1.2)]
    assert ranked([LEAK, GAS], small)[0] == "gas"
    turned = [part("flow", 0.5, shift=1.5), part("pressure", 0.4, shift=-1.2)]
    assert ranked([LEAK, GAS], turned)[0] == "leak"


def test_one_lonely_channel_is_a_sensor_and_a_frozen_one_is_dead() -> None:
    """A row that lists alternatives is met by one of them."""
    lonely = [part("flow", 0.95, "low"), part("pressure", 0.0, shift=0.1)]
    assert "drift" in ranked(TABLE, lonely)[:2]
    frozen = [part("flow", 1.0, "stuck", flat=True)]
    assert ranked(TABLE, frozen)[0] == "dead"


def test_only_what_was_known_of_this_asset_by_now_is_ranked() -> None:
    """And of one row that was told twice the newest counts."""
    other = mode("other", "flow low", "pressure low", asset="r2")
    later = mode("later", "flow low", "pressure low", recorded_at_ns=11)
    foreign = mode("foreign", "spindle high")
    assert ranked([other, later, foreign], BOTH_LOW) == []
    newer = mode("gas", "wire low", recorded_at_ns=9)
    assert ranked([GAS, newer], BOTH_LOW) == []
    assert ranked([GAS, newer], BOTH_LOW, now_ns=8) == ["gas"]


def test_the_reason_names_the_signs() -> None:
    """Those that match, those that are not to be seen, those that go the other way."""
    (leak,) = modes([LEAK], BOTH_LOW, asset="r1", channels=CHANNELS, now_ns=10)
    assert leak.reason == (
        "pressure low fits; goes the other way: flow high; explains 35% of the score"
    )


contributions = st.lists(
    st.builds(
        part,
        st.sampled_from(CHANNELS),
        st.floats(0.0, 1.0),
        st.sampled_from(DIRECTIONS),
        shift=st.one_of(st.just(math.nan), st.floats(-20, 20)),
        flat=st.booleans(),
    ),
    max_size=4,
    unique_by=lambda one: one.channel,
)
signs = st.lists(
    st.builds(
        Sign,
        channel=st.sampled_from((*CHANNELS, "elsewhere")),
        direction=st.sampled_from(("high", "low", "stuck", "missing", "any")),
    ),
    min_size=1,
    max_size=6,
    unique_by=lambda one: one.channel,
)


@given(signs, contributions)
def test_a_score_is_a_share_and_every_sign_has_one_place(
    some: list[Sign], parts: list[Contribution]
) -> None:
    """0 to 1, whatever the table says, and no sign counts twice."""
    total = sum(one.share for one in parts) or 1.0
    parts = [msgspec.structs.replace(one, share=one.share / total) for one in parts]
    match = match_mode(some, parts)
    assert 0.0 <= match.score <= 1.0
    assert len(match.met) + len(match.absent) + len(match.opposite) == len(some)


@given(st.permutations(TABLE), contributions)
def test_the_order_of_the_table_does_not_matter(
    table: list[FailureMode], parts: list[Contribution]
) -> None:
    """Ties are broken by the row itself."""
    assert ranked(list(table), parts) == ranked(TABLE, parts)


@given(contributions, contributions)
def test_two_events_are_as_alike_either_way_round(
    a: list[Contribution], b: list[Contribution]
) -> None:
    """Symmetric, 0 to 1."""
    assert alike(a, b) == pytest.approx(alike(b, a))
    assert 0.0 <= alike(a, b) <= 1.0


def test_a_past_event_of_the_same_shape_is_told_with_its_label() -> None:
    """An event is not its own past, and another shape is not told."""
    record = AlertRecord(asset="r1", track=Track.PROCESS, alert_id="a-1", klass="process anomaly")
    record.contributions, record.count = tuple(BOTH_LOW), 1
    past = resemblance.remember(record, [])
    assert resemblance.past_events(past, record) == ()
    past[0] = msgspec.structs.replace(past[0], label="nuisance")
    record.alert_id, record.begin_ns = "a-2", 3 * 86_400 * 10**9
    (found,) = resemblance.past_events(past, record)
    assert found.mode_id == "a-1"
    assert "called it nuisance" in found.reason
    assert "3 d before" in found.reason
    record.contributions = (part("wire", 1.0, "low"),)
    assert resemblance.past_events(past, record) == ()


def test_only_so_many_events_are_remembered() -> None:
    """The oldest go."""
    past: list[Any] = []
    for i in range(resemblance.REMEMBERED_MAX + 5):
        record = AlertRecord(asset="r1", track=Track.PROCESS, alert_id=f"a-{i}")
        past = resemblance.remember(record, past)
    assert [past[0].alert_id, len(past)] == ["a-5", resemblance.REMEMBERED_MAX]


def weld_table() -> list[FailureMode]:
    """A row for each kind of fault of the weld cell, as its physics says."""
    table = []
    for kind, form in FORMS.items():
        told = [f"{name} {'high' if sign > 0 else 'low'}" for name, sign in form.signs]
        stuck = " stuck" if kind is FaultKind.DEAD_SENSOR else ""
        table.append(mode(kind.value, *(told or [f"{name}{stuck}" for name in CHANNEL_NAMES])))
    return table


@pytest.mark.parametrize("kind", list(FaultKind))
def test_the_kind_of_a_weld_fault_is_in_the_top_three(kind: FaultKind) -> None:
    """Shares as a score without coupling has them, blurred: 95 of 100 draws at the least."""
    table, right = weld_table(), 0
    for seed in range(100):
        rng = np.random.default_rng(seed)
        size = float(rng.uniform(1.5, 6.0))
        marks = fault_marks(kind, channels=CHANNEL_NAMES, size=size, begin_s=0, end_s=9, rng=rng)
        move = rng.normal(size=len(CHANNEL_NAMES)) * 0.6
        for mark in marks:
            move[CHANNEL_NAMES.index(mark.channel)] += mark.size
        shares = move**2 / (move**2).sum()
        dead = kind is FaultKind.DEAD_SENSOR
        parts = [
            part(name, float(share), shift=float(by), flat=dead and name == marks[0].channel)
            for name, share, by in zip(CHANNEL_NAMES, shares, move, strict=True)
        ]
        found = modes(table, parts, asset="r1", channels=CHANNEL_NAMES, now_ns=1)
        right += kind.value in [one.mode_id for one in found]
    assert right >= 95
