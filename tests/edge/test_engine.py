"""The engine as a whole: the same journal, the same alerts; nothing hides; nothing raises."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import msgspec
import pytest
from hypothesis import given
from hypothesis import settings as limits
from hypothesis import strategies as st

from edge.records import (
    MessageReceived,
    Publish,
    RetrievalDone,
    ShellFault,
    SnapshotSwapped,
    Started,
    TickDue,
)
from edge.storage.checkpoint import pack
from edge.wire.readings import encode_rows
from tests.edge.rig import CHANNELS, START, Rig, S, knowledge, order, settings

if TYPE_CHECKING:
    from edge.records import Stimulus

FLOATS: Final = 1e-3  # a score under another cut is the same to 1e-5; shares are rounded to 1e-4


def story(step: int = 5) -> Rig:
    """A job with a masked disturbance, an unmasked fault in it, one that outlasts it, an order."""
    second = order(valid_from_ns=START + 700 * S, valid_to_ns=START + 760 * S)
    rig = Rig(known=knowledge(proposals=[second]))
    rig.run(300, step=step)
    rig.context["cal"] = 1.0
    rig.run(60, {"c1": 6}, step=step)
    rig.run(30, {"c1": 6, "c3": 6}, other={"c0": 5}, step=step)
    rig.context["cal"] = 0.0
    rig.run(315, step=step)
    rig.run(60, {"c1": 2}, step=step)
    rig.run(160, {"c1": 2}, step=step)
    return rig


def contents(rig: Rig) -> dict[tuple[str, tuple[str, int]], Any]:
    """Keyed payloads by topic, id and revision."""
    found = {}
    for effect in rig.published:
        if effect.key is not None:
            assert (effect.topic, effect.key) not in found, "one key, one content"
            found[effect.topic, effect.key] = msgspec.json.decode(effect.payload)
    return found


def alike(a: Any, b: Any) -> bool:  # noqa: ANN401
    """Equal, but for the rounding of floats."""
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(alike(a[key], b[key]) for key in a)
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(alike, a, b))
    if isinstance(a, float) or isinstance(b, float):
        return math.isclose(a, b, rel_tol=FLOATS, abs_tol=FLOATS)
    return bool(a == b)


def test_the_same_stimuli_give_the_same_bytes() -> None:
    """Twice the same journal: every effect equal, and every bit of the state."""
    first = story()
    second = Rig(known=first.known)
    for now_ns, stimulus in first.sent:
        second.give(stimulus, now_ns=now_ns)
    assert second.effects == first.effects
    assert pack(second.engine.state) == pack(first.engine.state)


@pytest.mark.parametrize("step", [1, 7, 30])
def test_the_cut_of_the_stream_changes_no_alert(step: int) -> None:
    """Batches and ticks of 1, 7 and 30 seconds against 5: the same revisions, word for word."""
    expected, found = contents(story()), contents(story(step))
    assert len(expected) > 10
    assert found.keys() == expected.keys()
    for key, content in expected.items():
        assert alike(found[key], content), key


def test_fewer_ticks_change_no_alert() -> None:
    """The same messages, but only every twelfth tick, as in a backtest."""
    first = story()
    second = Rig(known=first.known)
    ticks = 0
    for now_ns, stimulus in first.sent:
        ticks += isinstance(stimulus, TickDue)
        if not isinstance(stimulus, TickDue) or ticks % 12 == 0:
            second.give(stimulus, now_ns=now_ns)
    second.at = first.at
    second.give(TickDue(final=True))
    expected = contents(first)
    comms = {key for key in contents(second) if key[0].endswith("comms")}
    found = {key: value for key, value in contents(second).items() if key not in comms}
    assert found.keys() == expected.keys()
    assert all(alike(found[key], expected[key]) for key in expected)


@pytest.mark.parametrize("place", [0.3, 0.37, 0.45, 0.8])
def test_a_restart_in_the_middle_goes_on_identically(place: float) -> None:
    """From packed state: the same effects, the same state at the end."""
    first = story()
    second = Rig(known=first.known)
    stop = int(len(first.sent) * place)
    for i, (now_ns, stimulus) in enumerate(first.sent):
        if i == stop:
            second.restart()
        second.give(stimulus, now_ns=now_ns)
    assert second.effects == first.effects
    assert pack(second.engine.state) == pack(first.engine.state)


# --- doubt and clocks ---


def test_a_value_from_the_future_makes_its_clock_suspect() -> None:
    """While an asset's clock is in doubt nothing of it is suppressed."""
    rig = Rig()
    rig.run(300)
    rig.context["cal"] = 1.0
    rig.run(30, {"c1": 6})
    assert rig.said() == ["suppressed"]
    rig.send("plant/r1", b'{"ts": %d, "c0": 1}' % ((START + 9999 * S) // 10**6))
    rig.give(TickDue())
    assert rig.engine.state.suspects == ["r1"]
    rig.restart()
    assert rig.engine.state.suspects == ["r1"]
    rig.run(5, {"c1": 6})
    assert rig.engine.state.suspects == []


def test_a_wall_clock_that_was_wrong_for_a_moment_is_forgiven() -> None:
    """A jump of a year forward and back: commands and jobs work again."""
    rig = Rig()
    rig.run(60)
    rig.give(TickDue(), now_ns=rig.now_ns + 365 * 86_400 * S)
    rig.run(60)
    assert rig.engine.counts()["clock_steps_back"] == 1
    assert rig.engine.now_ns == rig.now_ns
    answer = rig.command("job", action="check_in", asset="r1", kind="calibration", instrument="x")
    assert answer["done"]
    assert rig.said(track="comms") == [], "nobody was silent for as long as a clock leapt"


def test_a_silent_source_ends_a_suppression() -> None:
    """Silence is doubt; it is noticed by ticks alone, and is an alert of its own."""
    rig = Rig()
    rig.run(300)
    rig.context["cal"] = 1.0
    rig.run(30, {"c1": 6})
    rig.run(40, silent=["r1"])
    assert rig.said() == ["suppressed", "ALERT"]
    assert rig.said(track="comms") == ["ALERT"]
    assert "source" in rig.events()[-1]["history"][-1]["reason"]
    rig.run(10)
    assert rig.said(track="comms")[-1] == "CLEARED_UNACK"


@pytest.mark.parametrize("known", [None, knowledge(verified=False)])
def test_without_verified_knowledge_nothing_is_suppressed(known: Any) -> None:  # noqa: ANN401
    """No snapshot, or one whose hashes were not checked."""
    rig = Rig(known=known, without_knowledge=known is None)
    rig.run(300)
    rig.context["cal"] = 1.0
    rig.run(30, {"c1": 6})
    assert "suppressed" not in rig.said()
    assert rig.said()


def test_an_order_is_taken_once_however_often_a_snapshot_is_swapped() -> None:
    """What was cancelled stays cancelled, what is over stays over."""
    rig = Rig(known=knowledge(proposals=[order()]))
    both = [order(), order(proposal_id="wo-2")]
    rig.swapped["kb2"] = knowledge(proposals=both, sha256="kb2")
    rig.run(310)
    rig.command("job", action="cancel", job_id="wo-1")
    rig.run(5)
    rig.give(SnapshotSwapped(snapshot_sha256="kb2"))
    rig.run(20)
    assert [(run.job.job_id, run.stage) for run in rig.runs] == [
        ("wo-1", "done"),
        ("wo-2", "open"),
    ]
    assert rig.runs[1].job.opened_at_ns > START + 310 * S, "known late, open late"


def test_everything_else_is_taken_without_a_word() -> None:
    """Starts, answers to forgotten questions, troubles of the shell, topics of nobody."""
    rig = Rig()
    ours = rig.engine._state.orders_of
    rig.give(Started(version="0", bundle_sha256="", snapshot_sha256=ours, settings_sha256=""))
    rig.give(RetrievalDone(alert_id="", hits=()))
    rig.give(RetrievalDone(alert_id="gone", hits=None, reason="late"))
    rig.give(ShellFault(name="disk_full", detail="0 B left"))
    rig.send("elsewhere", b"{}")
    rig.send("plant/r1", b"{")
    rig.send("plant/_clock", b"{}")
    counts = rig.engine.counts()
    assert counts["retrievals_stale"] == 2
    assert (counts["invalid_no_source"], counts["invalid_not_json"]) == (1, 1)
    assert [p.topic for p in rig.published] == ["andon/s/alert/_gateway/system"]


# --- whatever comes ---

SIZES = st.sampled_from([0.0, 0.0, 1.5, 4.0, 8.0, math.nan, 1e30])
STEPS = st.one_of(
    st.tuples(st.just("run"), st.integers(1, 90), st.sampled_from(CHANNELS), SIZES),
    st.tuples(st.just("cal"), st.sampled_from([0.0, 1.0, math.nan])),
    st.tuples(st.just("stop"), st.sampled_from([0.0, 1.0])),
    st.tuples(st.just("in"), st.sampled_from([None, -10, 30, 10**9, 10**16])),
    st.tuples(st.just("end"), st.sampled_from(["check_out", "cancel"])),
    st.tuples(st.just("silent"), st.integers(1, 60)),
    st.tuples(st.just("jump"), st.sampled_from([-1000, 5, 90, 10**6])),
    st.tuples(st.just("restart")),
    st.tuples(st.just("ack")),
    st.tuples(st.just("junk"), st.binary(max_size=20)),
)


def act(rig: Rig, step: tuple[Any, ...]) -> None:
    """One step of a random script."""
    match step:
        case "run", seconds, channel, size:
            rig.run(seconds, {channel: size})
        case "cal", value:
            rig.context["cal"] = value
        case "stop", value:
            rig.context["run"] = value
        case "silent", seconds:
            rig.run(seconds, silent=["r1"])
        case "jump", seconds:
            rig.give(TickDue(), now_ns=rig.now_ns + seconds * S)
        case ("restart",):
            rig.restart()
        case "junk", payload:
            rig.send("plant/r1", payload)
            rig.send("andon/s/cmd/ann/job", payload)
        case _:
            say(rig, step)


def say(rig: Rig, step: tuple[Any, ...]) -> None:
    """What an operator does in a random script."""
    match step:
        case "in", seconds:
            until = None if seconds is None else (rig.now_ns // 10**6) + seconds * 1000
            body = {"asset": "r1", "kind": "calibration", "instrument": "x", "valid_to": until}
            rig.command("job", action="check_in", **body)
        case "end", action:
            rig.command("job", action=action, asset="r1", kind="calibration")
        case ("ack",):
            for event in rig.events()[-1:]:
                rig.command("ack", alert_id=event["id"])


def check(rig: Rig, jobs: dict[str, tuple[int, int, bool]]) -> None:
    """Nothing is suppressed but by a job with a mask, opened before, and not over.

    jobs: id -> (opened, over, masks), gathered along the way.
    """
    for run in rig.runs:
        opened = run.job.opened_at_ns if run.fuse_end_ns else 2**62
        over = run.ended_ns or run.fuse_end_ns + 900 * S
        jobs[run.job.job_id] = (opened, over, run.masks)
    for effect in rig.published:
        if "/event/" in effect.topic:
            event = msgspec.json.decode(effect.payload)
            if event["suppressed"]:
                opened, over, masks = jobs[event["job_id"]]
                assert masks
                assert event["begin_ms"] * 10**6 + 10**6 > opened
                assert event["ts_ms"] * 10**6 <= over
    for record in rig.engine.state.assets["r1"].alerts.values():
        if record.suppressed:
            run = next(run for run in rig.runs if run.job.job_id == record.job_id)
            assert run.live, "suppressed by a job that is over"


@limits(max_examples=25)
@given(st.lists(STEPS, max_size=14))
@pytest.mark.not_counted
def test_whatever_comes_nothing_raises_and_nothing_hides(script: list[tuple[Any, ...]]) -> None:
    """Random plants, edges, commands, clocks and restarts; in the end nothing is suppressed."""
    rig = Rig(known=knowledge(proposals=[order()]))
    rig.run(270, step=30)
    jobs: dict[str, tuple[int, int, bool]] = {}
    for step in script:
        act(rig, step)
        check(rig, jobs)
    rig.context = {"run": 1.0, "cal": 0.0}
    rig.run(5)
    rig.give(TickDue(), now_ns=rig.now_ns + 5 * 3600 * S)
    check(rig, jobs)
    assert not any(run.live for run in rig.runs)
    assert not any(a.suppressed for a in rig.engine.state.assets["r1"].alerts.values())
    keys = [(p.topic, p.key) for p in rig.published if p.key is not None]
    assert len(set(keys)) == len(keys)
    pack(rig.engine.state)


def test_the_plant_clock_does_the_same() -> None:
    """On plant time no wall clock matters: hours between stimuli, or none."""
    runs: list[list[Publish]] = []
    for wall in (1, 7 * S):
        rig = Rig(conf=settings(clock="plant"))
        stimuli: list[Stimulus] = [
            MessageReceived(topic=f"plant/{asset}", payload=payload, received_ns=0)
            for at in range(0, 120, 10)
            for asset in ("r1", "r11")
            for payload in encode_rows(
                CHANNELS, [START + at * S], [[9e9 if at > 90 else 1.0] * 4], shape="wide"
            )
        ]
        for i, stimulus in enumerate(stimuli):
            rig.give(stimulus, now_ns=i * wall)
            rig.give(TickDue(), now_ns=i * wall)
        runs.append(rig.published)
    assert runs[0] == runs[1]


def test_a_wall_clock_that_was_set_back_is_not_silent() -> None:
    """All that comes is late then: the asset is not seen, and that rings."""
    rig = Rig()
    rig.run(400)
    rig.at = 100
    rig.run(60, {"c1": 8})
    assert rig.said() == []
    assert rig.said(track="comms") == ["ALERT"]


def test_a_retained_value_of_unknown_age_is_no_sample() -> None:
    """It may be of last year: it neither fills the history nor ends a silence."""
    rig = Rig()
    rig.run(100)
    before = rig.engine.state.ring.assets["r1"].written
    for tag in ("c1", "c2"):
        body = msgspec.json.encode({"tag": tag, "value": 99.0})
        rig.send("plant/r1", body, retain=True)
    rig.at += 60
    rig.give(TickDue())
    assert rig.engine.state.ring.assets["r1"].written == before
    assert rig.engine.counts()["retained_untimed"] == 2
    assert rig.said(track="comms") == ["ALERT"]


def test_whoever_is_not_ours_has_no_say_on_plant_time() -> None:
    """One message of ten years ahead on a topic of somebody else blinds nobody."""
    rig = Rig(conf=settings(clock="plant"))
    rig.run(50)
    now_ns = rig.engine.now_ns
    for stranger in ("x1", "x2"):
        body = msgspec.json.encode({"ts": (START + 10**9 * S) // 10**6, "c1": 1.0})
        rig.send(f"plant/{stranger}", body)
    rig.give(TickDue())
    assert rig.engine.now_ns == now_ns
