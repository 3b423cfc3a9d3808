"""Whatever anybody says: nothing is suppressed without an open, witnessed job."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import settings as limits
from hypothesis import strategies as st

from edge.records import Publish, SnapshotSwapped, TickDue, Witness
from edge.settings import ContextTag
from edge.storage.checkpoint import pack
from kb.records import Proposal, WorkKind
from tests.edge.rig import CHANNELS, START, Rig, S, knowledge, order, settings

SECONDS = st.integers(-400, 900)
TEXTS = st.builds(
    lambda begin, end, recorded, approved, real, cancelled, number: order(
        proposal_id=f"wo-{number}",
        valid_from_ns=None if begin is None else START + begin * S,
        valid_to_ns=None if end is None else START + end * S,
        recorded_at_ns=START + recorded * S,
        approved=approved,
        real_times=real,
        cancelled=cancelled,
    ),
    st.none() | SECONDS,
    st.none() | SECONDS,
    st.integers(-100, 900),
    st.booleans(),
    st.booleans(),
    st.booleans(),
    st.integers(1, 3),
)
STEPS = st.one_of(
    st.tuples(st.just("run"), st.integers(1, 80), st.sampled_from(CHANNELS)),
    st.tuples(st.just("run"), st.integers(1, 80), st.just("c1")),
    st.tuples(st.just("cal"), st.sampled_from([0.0, 1.0])),
    st.tuples(st.just("confirm"), st.sampled_from(["wo-1", "wo-2", "wo-3"])),
    st.tuples(st.just("check_in"), st.none() | SECONDS, st.none() | SECONDS),
    st.tuples(st.just("end"), st.sampled_from(["check_out", "cancel"])),
    st.tuples(st.just("extend"), st.integers(1, 800)),
    st.tuples(st.just("shelve"), st.integers(1, 20)),
    st.tuples(st.just("oos"), st.integers(1, 20)),
    st.tuples(st.just("unshelve")),
    st.tuples(st.just("swap")),
    st.tuples(st.just("restart")),
)


def act(rig: Rig, step: tuple[Any, ...]) -> None:
    """One step of a random script."""
    work = {"asset": "r1", "kind": "calibration", "instrument": "x"}
    match step:
        case "run", seconds, channel:
            rig.run(seconds, {channel: 6})
        case "cal", value:
            rig.context["cal"] = value
        case "confirm", proposal_id:
            rig.command("confirm", proposal_id=proposal_id)
        case "check_in", begin, end:
            times = {"valid_from": begin, "valid_to": end}
            ms = {k: (START + v * S) // 10**6 for k, v in times.items() if v is not None}
            rig.command("job", action="check_in", **work, **ms)
        case "end", action:
            rig.command("job", action=action, **work)
        case "extend", minutes:
            for run in rig.runs[-2:]:
                rig.command("job", action="extend", job_id=run.job.job_id, minutes=minutes)
        case ("swap",):
            rig.give(SnapshotSwapped(snapshot_sha256="kb2"))
        case ("restart",):
            rig.restart()
        case _:
            silence(rig, step)


def silence(rig: Rig, step: tuple[Any, ...]) -> None:
    """What an operator silences by hand in a random script."""
    match step:
        case ("shelve" | "oos") as name, minutes:
            rig.command(name, asset="r1", minutes=minutes, reason="r")
        case ("unshelve",):
            rig.command("shelve", action="unshelve", asset="r1")


def check(rig: Rig, seen: dict[str, tuple[int, int]]) -> None:
    """Every suppression names a job that a witness opened before, and that is not over.

    seen: job -> (opened, latest end), gathered along the way: a job of a flapping list may go.
    """
    for run in rig.runs:
        if run.fuse_end_ns and run.job.witness in set(Witness) and run.masks:
            latest_ns = max(run.ended_ns, run.fuse_end_ns, run.settle_end_ns)
            seen[run.job.job_id] = (run.job.opened_at_ns, latest_ns)
    for effect in rig.effects:
        if isinstance(effect, Publish) and "/event/" in effect.topic:
            event = msgspec.json.decode(effect.payload)
            assert not (event["decision"] == "SUPPRESSED" and event["active"])
            if event["class"] == "expected" and not event["suppressed"]:
                assert event["decision"] in ("ANNOTATED", "SUPPRESSED")
            if event["suppressed"]:
                opened_ns, latest_ns = seen[event["job_id"]]
                assert opened_ns <= event["begin_ms"] * 10**6 + 10**6
                assert event["ts_ms"] * 10**6 <= latest_ns
                assert all(clause["outcome"] is True for clause in event["clauses"])
    rig.effects.clear()
    for record in rig.engine.state.assets["r1"].alerts.values():
        if record.suppressed:
            assert any(run.live for run in rig.runs if run.job.job_id == record.job_id)
        if record.excused_by:
            assert not record.suppressed


@limits(max_examples=40)
@given(st.lists(TEXTS, max_size=4), st.lists(TEXTS, max_size=4), st.lists(STEPS, max_size=12))
@pytest.mark.not_counted
def test_nothing_is_suppressed_without_an_open_witnessed_job(
    texts: list[Proposal], later: list[Proposal], script: list[tuple[Any, ...]]
) -> None:
    """And in the end, with every job and silence over, nothing is kept quiet at all."""
    rig = Rig(known=knowledge(proposals=texts))
    rig.swapped["kb2"] = knowledge(proposals=[*texts, *later], sha256="kb2")
    rig.run(280, step=20)
    seen: dict[str, tuple[int, int]] = {}
    for step in script:
        act(rig, step)
        rig.run(3, step=1)
        check(rig, seen)
    rig.context["cal"] = 0.0
    rig.run(5)
    check(rig, seen)
    rig.give(TickDue(), now_ns=rig.now_ns + 24 * 3_600 * S)
    check(rig, seen)
    state = rig.engine.state.assets["r1"]
    assert not any(run.live for run in rig.runs)
    assert not any(record.silenced for record in state.alerts.values() if record.alert_id)
    assert state.silences == []
    pack(rig.engine.state)


@pytest.mark.parametrize(
    ("proposals", "said", "by"),
    [
        ([], "", []),
        ([order(approved=False)], "", []),
        ([], "edge", ["plant"]),
        ([], "check_in", ["person"]),
        ([order(real_times=False)], "confirm", ["person"]),
        ([order()], "", ["order"]),
    ],
)
def test_each_witness_alone_suppresses_and_without_one_nothing_does(
    proposals: list[Proposal], said: str, by: list[str]
) -> None:
    """A plant's edge, a person's word, an approved order; a text alone only annotates."""
    rig = Rig(known=knowledge(proposals=proposals))
    rig.run(299)
    if said == "edge":
        rig.context["cal"] = 1.0
    elif said:
        act(rig, (said, "wo-1") if said == "confirm" else (said, None, None))
    rig.run(3)
    rig.run(30, {"c1": 6})
    assert [run.job.witness for run in rig.runs] == by
    assert (rig.said() == ["suppressed"]) is bool(by)
    rig.context["cal"] = 0.0
    rig.run(700)
    assert not any(record.suppressed for record in rig.engine.alerts())


def test_a_function_check_bit_of_another_asset_opens_nothing_here() -> None:
    """A tag witnesses for the asset that names it."""
    tag = ContextTag(tag="test", role="witness", kind=WorkKind.FUNCTION_TEST, instrument="x")
    rig = Rig(conf=settings(context=(tag,)))
    rig.run(300)
    rig.send("plant/r11", b'{"ts": %d, "test": 1}' % (rig.now_ns // 10**6))
    rig.run(10)
    assert rig.runs == []
