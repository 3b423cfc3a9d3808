"""A flood through the real engine: one ring for many, nothing lost, whatever the cut."""

from __future__ import annotations

import functools
from typing import Any, Final

import msgspec
import pytest

from edge.alerts.annunciate import known_causes
from edge.alerts.causes import topic_of
from edge.desk import Knowledge
from edge.records import AlertStands, Audited, Note, TickDue, Track
from edge.replays.backtest import Backtest
from edge.storage.checkpoint import pack
from edge.storage.restore import not_as_published
from edge.wire.topics import Topics
from kb.records import Limit
from tests.edge.flood_rig import AIR, ALONE, ASSETS, FED, FloodRig, bundle, settings, starved
from tests.edge.rig import QUOTE, START, S
from tests.edge.test_engine import alike

GROUP: Final = f"alert/_group/{AIR}"
FAULTS: Final = {**starved(), "p1": (330, 600)}


@functools.cache
def flooded(step: int = 5) -> FloodRig:
    """The compressor fails, and half a minute later a pump that it does not feed."""
    rig = FloodRig()
    rig.run(800, FAULTS, step=step)
    return rig


@pytest.mark.not_counted
def test_fourteen_starved_assets_are_one_group_with_the_first_out_named() -> None:
    """It rings once, lists every member, and ends when the last has cleared."""
    rig = flooded()
    alerts, lists = rig.said(GROUP), rig.said(f"group/{AIR}")
    assert [one["revision"] for one in alerts] == list(range(1, len(alerts) + 1))
    assert len({one["id"] for one in alerts}) == 1
    assert {one["rings"] for one in alerts} == {1}
    assert {one["class"] for one in alerts} == {"alarm flood"}
    assert [(one["id"], one["revision"]) for one in lists] == [
        (one["id"], one["revision"]) for one in alerts
    ]
    first, last = alerts[0], alerts[-1]
    assert (first["state"], last["state"]) == ("ACTIVE_UNACK", "CLEARED_UNACK")
    assert (last["cause_kind"], last["cause"]) == ("utility", "compressed-air-2")
    assert (last["first_out_asset"], last["first_out_channel"]) == ("m00", "c1")
    assert first["ts_ms"] - START // 1_000_000 < 346_000  # 11th at 340: a step later it is known
    members = lists[-1]["members"]
    assert [member["asset"] for member in members] == list(FED)
    assert members[0]["begin_ms"] == START // 1_000_000 + 300_000
    assert all(member["over_ms"] for member in members)
    for member in members:
        ids = {one["id"] for one in rig.said(f"alert/{member['asset']}/process")}
        assert member["id"] in ids


def test_members_stay_alerts_and_say_that_their_group_rings() -> None:
    """Each is published, active and listed; who comes later does not ring by itself."""
    rig = flooded()
    group_id = rig.said(GROUP)[0]["id"]
    for i, asset in enumerate(FED):
        said = rig.said(f"alert/{asset}/process")
        assert said[0]["active"] == 1
        assert said[0]["state"] == "ACTIVE_UNACK"
        assert said[0]["annunciate"] == (0 if i >= 12 else 1)
        assert (said[-1]["group_id"], said[-1]["annunciate"]) == (group_id, 0)
        assert rig.said(f"event/{asset}")[-1]["group_id"] == group_id
    grouped = [e for e in rig.effects if isinstance(e, Audited) and e.what == "grouped"]
    assert {entry.asset for entry in grouped} == set(FED)


def test_a_fault_of_its_own_at_the_same_time_is_not_swallowed() -> None:
    """The pump rings by itself, in no group."""
    rig = flooded()
    said = rig.said("alert/p1/process")
    assert [(one["group_id"], one["annunciate"]) for one in said] == [("", 1), ("", 0)]
    assert said[-1]["active"] == 0
    assert all(m["asset"] != "p1" for one in rig.said(f"group/{AIR}") for m in one["members"])


@pytest.mark.parametrize("step", [1, 7, 30, 60])
@pytest.mark.not_counted
def test_the_cut_of_the_stream_changes_no_group_and_no_member(step: int) -> None:
    """The same revisions on every topic, word for word but for the rounding of scores."""
    expected, found = flooded().contents(), flooded(step).contents()
    assert found.keys() == expected.keys()
    for key, content in expected.items():
        assert alike(found[key], content), key


@pytest.mark.not_counted
def test_the_same_stimuli_give_the_same_bytes() -> None:
    """And a restart anywhere in the flood changes none."""
    first = flooded()
    for places in ((), (330,), (341, 343), (344, 500, 690)):
        second = FloodRig()
        stops = {START + second_ * S for second_ in places}
        for now_ns, stimulus in first.sent:
            for stop in [each for each in stops if each <= now_ns]:
                stops.discard(stop)
                second.restart()
            second.give(stimulus, now_ns=now_ns)
        assert second.effects == first.effects
        assert pack(second.engine.state) == pack(first.engine.state)


def test_who_is_graver_than_the_group_rings_by_itself() -> None:
    """It is listed with the others all the same."""
    rig = FloodRig(settings(assets={"m13": {"severity": 900}}))
    rig.run(420, FAULTS, step=5)
    said = rig.said("alert/m13/process")
    assert [one["annunciate"] for one in said] == [1, 1]
    assert said[-1]["group_id"] == rig.said(GROUP)[0]["id"]
    assert rig.said(GROUP)[-1]["severity_num"] == 900


def test_a_limit_on_a_safety_channel_rings_by_itself() -> None:
    """Whatever else fails at the time."""
    model = next(m for m in bundle().assets if m.asset == "m13")
    limit = Limit(
        limit_id="l1",
        asset="m13",
        channel="c1",
        unit=model.channels[1].unit,
        high=float(model.usual_high[1]) + 3 * float(model.sigma[1]),
        high_high=None,
        low=None,
        low_low=None,
        recorded_at_ns=0,
        approved_by="qa",
        citation=QUOTE,
    )
    rig = FloodRig(
        settings(assets={"m13": {"safety": ("c1",)}}), known=Knowledge(sha256="kb", limits=(limit,))
    )
    rig.run(420, FAULTS, step=5)
    assert {one["annunciate"] for one in rig.said("alert/m13/process")} == {1}
    assert {one["annunciate"] for one in rig.said("alert/m12/process")} == {0}


def test_a_member_that_escalates_rings_by_itself() -> None:
    """Nobody has answered for it either."""
    rig = FloodRig(settings(assets={"m13": {"respond_min": 2}}, escalate=True))
    rig.run(600, FAULTS, step=5)
    said = rig.said("alert/m13/process")
    assert [one["annunciate"] for one in said] == [0, 1]
    assert said[-1]["severity_num"] == 600
    assert said[-1]["rings"] == 2


def test_what_an_operator_had_silenced_rings_by_itself_when_that_is_over() -> None:
    """That was promised; the group has rung before, without it."""
    rig = FloodRig()
    rig.run(290, FAULTS, step=5)
    rig.send("andon/s/cmd/anna/shelve", {"asset": "m05", "minutes": 2, "reason": "filter"})
    rig.run(500, FAULTS, step=5)
    said = rig.said("alert/m05/process")
    shelved, over = said[0], next(one for one in said if one["active"])
    assert (shelved["shelved"], shelved["annunciate"]) == (1, 0)
    assert over["ts_ms"] >= START // 1_000_000 + 405_000
    assert over["annunciate"] == 1
    assert said[-1]["group_id"] == rig.said(GROUP)[0]["id"]


@pytest.mark.not_counted
def test_acknowledging_the_group_acknowledges_what_it_rings_for() -> None:
    """One answer for fourteen; the pump still waits for its own."""
    rig = FloodRig()
    rig.run(420, FAULTS, step=5)
    rig.send(
        "andon/s/cmd/anna/ack", {"alert_id": rig.said(GROUP)[-1]["id"], "reason": "compressor"}
    )
    assert rig.said("cmd_result/anna")[-1]["detail"].startswith("acknowledged, with 14 alerts")
    assert rig.said(GROUP)[-1]["state"] == "ACTIVE_ACK"
    assert all(rig.said(f"alert/{asset}/process")[-1]["acked"] for asset in FED)
    assert rig.said("alert/p1/process")[-1]["acked"] == 0
    rig.run(800, FAULTS, step=5)
    assert rig.said(GROUP)[-1]["state"] == "CLEARED_ACK"


def test_ten_assets_are_no_group() -> None:
    """They ring one by one, as ever."""
    rig = FloodRig()
    rig.run(500, starved(FED[:10]), step=5)
    assert not rig.said(GROUP)
    assert [rig.said(f"alert/{asset}/process")[0]["annunciate"] for asset in FED[:10]] == [1] * 10


def test_time_alone_lists_and_lets_ring() -> None:
    """Without a cause that anybody has named, all of them ring by themselves."""
    bare = {asset: {"utilities": ()} for asset in FED}
    conf = settings()
    kept = tuple(msgspec.structs.replace(one, **bare.get(one.id, {})) for one in conf.asset)
    rig = FloodRig(msgspec.structs.replace(conf, asset=kept))
    rig.run(500, FAULTS, step=5)
    last = rig.said("alert/_group/time")[-1]
    assert (last["cause_kind"], last["members_total"]) == ("time", 15)
    for asset in FAULTS:
        said = rig.said(f"alert/{asset}/process")[-1]
        assert (said["annunciate"], said["group_id"]) == (1, last["id"])


def test_topics_of_groups_are_listed_before_they_are_used() -> None:
    """`andon check` names every one of them."""
    conf = settings()
    causes = [topic_of(cause) for cause in known_causes(conf.asset, ASSETS)]
    listed = Topics("andon", "s").published(ASSETS, causes)
    used = {key[0] for key in flooded().contents()}
    assert used <= set(listed)
    assert known_causes(conf.asset, FED[:10]) == []


def test_a_group_that_another_configuration_published_is_ended() -> None:
    """What stands on its topic after a restart is not what the engine says."""
    old, rig = flooded(), FloodRig()
    rig.run(10, {}, step=5)
    newest = {
        f"andon/s/{GROUP}": (old.said(GROUP)[0]["id"], 3),
    }
    stands = not_as_published(
        rig.engine,
        newest.get,
        lambda _topic, _id: 0,
        topics=Topics("andon", "s"),
        contested=(),
    )
    assert [(one.group, one.revision) for one in stands] == [(AIR, 3)]
    rig.give(stands[0], now_ns=START + 10 * S)
    said = rig.said(GROUP)[-1]
    assert (said["id"], said["revision"], said["active"]) == (newest[f"andon/s/{GROUP}"][0], 4, 0)
    assert said["state"] == "CLEARED_ACK"
    known = {f"andon/s/{GROUP}": (said["id"], 4)}
    assert not not_as_published(
        rig.engine, known.get, lambda _t, _i: 0, topics=Topics("andon", "s"), contested=()
    )
    assert isinstance(stands[0], AlertStands)
    assert stands[0].track is Track.SYSTEM


def test_the_load_counts_what_was_heard() -> None:
    """Twelve rings and the group's in the west, one in the east, and one log line for the flood."""
    rig = flooded()
    load = {one.position: one for one in rig.engine.load().load}
    assert (load["west"].rings, load["west"].peak_10_min) == (13, 13)
    assert (load["east"].rings, load["east"].flood_share) == (1, 0.0)
    assert load["west"].flood_share > 0
    notes = [e for e in rig.effects if isinstance(e, Note) and e.name == "alarm_flood"]
    assert [(n.fields["first_out"], n.level) for n in notes] == [("m00 c1", "warning")]


def test_what_stands_for_a_day_is_stale_and_told_once() -> None:
    """In the log once, and on health as long as it stands."""
    rig = FloodRig(settings(stale_s=120))
    rig.run(300, {}, step=5)
    rig.run(600, {"p2": (300, 800)}, step=5)
    notes: list[dict[str, Any]] = [
        dict(e.fields) for e in rig.effects if isinstance(e, Note) and e.name == "alert_stale"
    ]
    assert [note["asset"] for note in notes] == ["p2"]
    assert rig.engine.load().stale == (rig.said("alert/p2/process")[-1]["id"],)
    rig.give(TickDue(), now_ns=START + 600 * S)
    assert set(ALONE) == {"p1", "p2"}


@pytest.mark.not_counted
def test_a_backtest_tells_the_same_groups_and_load() -> None:
    """Read back from what was published."""
    live = flooded()
    backtest = Backtest(FloodRig().engine)
    backtest.run(live.sent)
    assert backtest.groups() == live.said(GROUP)
    load = {one.position: one for one in backtest.load().load}
    assert {name: one.rings for name, one in load.items()} == {"west": 13, "east": 1}
    assert len(backtest.episodes()) == 15
    assert all(episode.rang for episode in backtest.episodes())


def test_what_comes_and_goes_chatters_and_is_told_once() -> None:
    """Three times in its window; the fourth is no news."""
    rig = FloodRig(settings(chatter_window_s=1_000, clear_samples=5))
    for begin in (300, 550, 800, 1_050):
        rig.run(begin + 200, {"p2": (begin, begin + 3)}, step=10)
    assert rig.said("alert/p2/process")[-1]["count"] == 4
    notes = [e.fields for e in rig.effects if isinstance(e, Note) and e.name == "alert_chatters"]
    assert [note["asset"] for note in notes] == ["p2"]
    assert rig.engine.load().chattering == (rig.said("alert/p2/process")[-1]["id"],)
