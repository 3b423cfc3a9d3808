"""Commands: what an operator may do, what nobody may, and what the answer says."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from edge.alerts.explain import clock_text
from edge.storage.checkpoint import pack
from edge.work.jobs import Stage
from tests.edge.rig import START, Rig, S, knowledge, order, scope

CHECK_IN = {"action": "check_in", "asset": "r1", "kind": "calibration", "instrument": "x"}


def ringing() -> Rig:
    """r1 rings."""
    rig = Rig()
    rig.run(300)
    rig.run(10, {"c1": 8})
    return rig


def test_an_acknowledged_alert_says_so_once() -> None:
    """Acked, still active; a second time there is nothing to do."""
    rig = ringing()
    alert_id = rig.events()[0]["id"]
    assert rig.command("ack", alert_id=alert_id)["done"]
    assert not rig.command("ack", alert_id=alert_id)["done"]
    last = rig.events()[-1]
    assert (last["state"], last["active"], last["acked"]) == ("ACTIVE_ACK", 1, 1)
    rig.run(120)
    assert rig.said()[-1] == "CLEARED_ACK"


@pytest.mark.parametrize("alert_id", ["", "r1-process-nothing"])
def test_an_alert_that_is_not_there_cannot_be_acknowledged(alert_id: str) -> None:
    """An empty id is nobody's, also of a track that never had an alert."""
    rig = Rig()
    rig.run(10)
    assert rig.command("ack", alert_id=alert_id)["done"] is False
    assert rig.events() == []


def test_feedback_is_noted_and_changes_nothing_else() -> None:
    """It is for whoever tunes later, and for later events that look the same."""
    rig = ringing()
    before, said = pack(rig.engine.state.assets), len(rig.events())
    answer = rig.command("feedback", alert_id=rig.events()[0]["id"], label="nuisance")
    assert answer["done"]
    assert len(rig.events()) == said
    record = rig.engine.state.assets["r1"].alerts["process"]
    assert record.label == "nuisance"
    record.label = ""
    assert pack(rig.engine.state.assets) == before


def test_a_suppressed_event_cannot_be_acknowledged_away() -> None:
    """It is not there to be seen; after the job it rings as if nobody had tried."""
    rig = Rig()
    rig.run(300)
    rig.context["cal"] = 1.0
    rig.run(60, {"c1": 6})
    assert not rig.command("ack", alert_id=rig.events()[0]["id"])["done"]
    rig.context["cal"] = 0.0
    rig.run(90, {"c1": 6})
    assert rig.events()[-1]["state"] == "ACTIVE_UNACK"


@pytest.mark.parametrize(
    "change",
    [
        {"asset": "r9"},
        {"asset": ""},
        {"kind": None},
        {"valid_to": START // 10**6 - 1},
        {"valid_to": 0},
        {"valid_to": -(10**18)},
        {"valid_to": 9 * 10**18},
    ],
)
def test_a_check_in_that_means_nothing_is_refused(change: dict[str, Any]) -> None:
    """Unknown assets, no kind, an end that is past or beyond the calendar; and it is stored."""
    rig = Rig()
    rig.run(10)
    assert rig.command("job", **{**CHECK_IN, **change}).get("done") is not True
    rig.run(5)
    assert rig.runs == []
    pack(rig.engine.state)


def test_a_job_of_a_far_end_is_bounded_by_its_fuse() -> None:
    """A year is no calibration."""
    rig = Rig()
    rig.run(300)
    rig.command("job", **CHECK_IN, valid_to=(START + 365 * 86_400 * S) // 10**6)
    rig.run(605, {"c1": 6})
    assert [run.stage for run in rig.runs] == [Stage.DONE]
    assert rig.said()[-1] == "ALERT"


def test_an_id_is_taken_once() -> None:
    """Checking in under the id of a job that is known opens nothing new."""
    rig = Rig(known=knowledge(proposals=[order()]))
    rig.run(10)
    answer = rig.command("job", **CHECK_IN, job_id="wo-1")
    assert not answer["done"]
    assert "known already" in answer["detail"]
    assert [run.stage for run in rig.runs] == [Stage.SCHEDULED]


def test_a_proposal_confirmed_after_its_end_is_closed_at_once() -> None:
    """And the answer does not say that it is open."""
    rig = Rig(known=knowledge(proposals=[order(real_times=False)]))
    rig.run(500)
    answer = rig.command("confirm", proposal_id="wo-1")
    assert "closed" in answer["detail"]
    assert [run.stage for run in rig.runs] == [Stage.DONE]


@pytest.mark.parametrize("proposal_id", ["wo-2", "", "wo-1 "])
def test_only_a_proposal_that_is_known_can_be_confirmed(proposal_id: str) -> None:
    """Exactly its id."""
    rig = Rig(known=knowledge(proposals=[order(approved=False)]))
    rig.run(10)
    assert not rig.command("confirm", proposal_id=proposal_id)["done"]
    assert rig.runs == []


def test_a_proposal_that_was_cancelled_or_is_not_yet_known_cannot_be_confirmed() -> None:
    """What the newest word is counts."""
    cancelled = order(cancelled=True, recorded_at_ns=START + 5 * S)
    later = order(proposal_id="wo-2", recorded_at_ns=START + 900 * S)
    rig = Rig(known=knowledge(proposals=[order(approved=False), cancelled, later]))
    rig.run(20)
    assert not rig.command("confirm", proposal_id="wo-1")["done"]
    assert not rig.command("confirm", proposal_id="wo-2")["done"]


@pytest.mark.parametrize("late_s", [-301, 301])
def test_a_stale_command_is_refused_counted_and_answered(late_s: int) -> None:
    """It was meant for another moment."""
    rig = Rig()
    rig.run(10)
    answer = rig.command("job", **CHECK_IN, ts=rig.now_ns // 10**6 + late_s * 1000)
    assert not answer["done"]
    word, rule = ("old", "command_stale") if late_s < 0 else ("early", "command_future")
    assert f"more than 300 s too {word}: now is" in answer["detail"]
    assert answer["rule"] == rule
    assert rig.runs == []
    assert rig.engine.counts()[f"invalid_{rule}"] == 1
    assert rig.audited() == ["command_refused"]


@pytest.mark.parametrize(
    ("name", "body"), [("dance", {}), ("stop", {}), ("job", {"action": "explode"})]
)
def test_what_cannot_be_carried_out_is_answered(name: str, body: dict[str, Any]) -> None:
    """Nobody waits for an answer that never comes."""
    rig = Rig()
    rig.run(10)
    answer = rig.command(name, **body)
    assert answer["command"] == name
    assert not answer["done"]
    assert answer["detail"].startswith("refused: ")


def test_a_retained_command_is_refused_without_an_answer() -> None:
    """It would come again with every connection; it was answered when it was sent."""
    rig = Rig()
    rig.run(10)
    body = msgspec.json.encode({"ts": rig.now_ns // 10**6, **CHECK_IN})
    rig.send("andon/s/cmd/ann/job", body, retain=True)
    assert rig.runs == []
    assert not [sent for sent in rig.published if "cmd_result" in sent.topic]
    assert rig.engine.counts()["invalid_command_retained"] == 1


def test_a_check_out_may_name_its_instrument() -> None:
    """Two calibrations go on: the right one ends."""
    rig = Rig()
    rig.run(10)
    rig.command("job", **CHECK_IN)
    rig.command("job", **{**CHECK_IN, "instrument": "y"}, job_id="second")
    rig.run(5)
    rig.command("job", **{**CHECK_IN, "action": "check_out", "instrument": "y"})
    rig.run(5)
    assert [run.stage for run in rig.runs] == [Stage.OPEN, Stage.SETTLING]


def test_a_check_in_that_is_delivered_twice_is_one_job() -> None:
    """QoS 1 may repeat a message; a check-out then ends all there is."""
    rig = Rig()
    rig.run(10)
    ts = rig.now_ns // 10**6
    rig.command("job", **CHECK_IN, ts=ts)
    rig.run(2)
    rig.command("job", **CHECK_IN, ts=ts)
    rig.run(5)
    assert len(rig.runs) == 1


def test_two_check_ins_of_one_moment_are_two_jobs() -> None:
    """Where they are for two instruments."""
    rig = Rig()
    rig.run(10)
    ts = rig.now_ns // 10**6
    for instrument in ("x", "y"):
        assert rig.command("job", **{**CHECK_IN, "instrument": instrument}, ts=ts)["done"]
    assert len(rig.runs) == 2


def test_an_answer_says_when_nothing_will_be_suppressed() -> None:
    """The work is known, but nobody has approved what it may disturb."""
    rig = Rig()
    rig.run(10)
    assert (
        "nothing will be suppressed"
        in rig.command("job", **{**CHECK_IN, "instrument": "unheard of"})["detail"]
    )
    assert "nothing" not in rig.command("job", **CHECK_IN)["detail"]


def test_feedback_on_an_alert_that_is_not_current_says_so() -> None:
    """Noted all the same: an earlier alert's label is worth as much."""
    rig = Rig()
    rig.run(10)
    answer = rig.command("feedback", alert_id="r1-process-2", label="real")
    assert answer["done"]
    assert "no current alert" in answer["detail"]


def three_jobs() -> Rig:
    """Two people check the same work in, a third works on another instrument."""
    rig = Rig(known=knowledge(scopes=[scope(), scope(scope_id="s2", instrument="y")]))
    rig.run(300)
    for job_id, instrument in (("one", "x"), ("two", "x"), ("three", "y")):
        told = {**CHECK_IN, "instrument": instrument, "job_id": job_id}
        assert rig.command("job", **told)["done"]
    return rig


@pytest.mark.parametrize("action", ["cancel", "check_out"])
@pytest.mark.parametrize("seconds", [0, 5])
def test_who_names_no_job_ends_all_that_goes_on(action: str, seconds: int) -> None:
    """One that was overlooked would go on to hide until its fuse; the answer names every one."""
    rig = three_jobs()
    rig.run(seconds)
    answer = rig.command("job", action=action, asset="r1", kind="calibration", instrument="x")
    assert answer["done"]
    assert {"one", "two"} <= set(answer["detail"].partition(":")[0].split(", "))
    assert "three" not in answer["detail"]
    rig.run(5)
    stages = {run.job.job_id: run.stage for run in rig.runs}
    assert stages.pop("three") is Stage.OPEN
    settles = action == "check_out" and seconds > 0  # else it was over before it began
    assert set(stages.values()) == {Stage.SETTLING if settles else Stage.DONE}
    rest = rig.command("job", action=action, asset="r1", kind="calibration", instrument="y")
    assert "three" in rest["detail"]
    rig.run(90)
    rig.run(30, {"c1": 8})
    assert rig.said()[-1] == "ALERT"


@pytest.mark.parametrize(("action", "ended"), [("cancel", {"one", "two"}), ("check_out", {"one"})])
def test_only_where_nothing_goes_on_what_is_planned_is_meant(action: str, ended: set[str]) -> None:
    """A cancellation takes all of it back; who checks out has finished the next at most."""
    rig = Rig()
    rig.run(10)
    for job_id, at_s in (("two", 2000), ("one", 1000)):
        rig.command("job", **CHECK_IN, job_id=job_id, valid_from=(START + at_s * S) // 10**6)
    rig.command("job", **CHECK_IN, job_id="now")
    rig.run(5)
    command = {**CHECK_IN, "action": action}
    assert rig.command("job", **command)["detail"].startswith("now: ")
    rig.run(90)
    detail = rig.command("job", **command)["detail"]
    assert set(detail.partition(":")[0].split(", ")) == ended
    rig.run(5)
    assert {run.job.job_id for run in rig.runs if run.stage is Stage.DONE} == {"now", *ended}


def test_a_second_check_in_of_the_same_work_names_the_first() -> None:
    """It is taken: two may work there; but somebody may have forgotten the first."""
    rig = Rig()
    rig.run(10)
    assert "already" not in rig.command("job", **CHECK_IN, job_id="first")["detail"]
    rig.run(5)
    second = rig.command("job", **CHECK_IN, job_id="second")
    assert second["done"]
    assert "open already: first" in second["detail"]
    other = rig.command("job", **{**CHECK_IN, "instrument": "y"}, job_id="third")
    assert "already" not in other["detail"]


def test_a_check_in_beyond_its_fuse_says_when_it_ends() -> None:
    """The scope row allows ten minutes: whoever asks for twenty learns it at once."""
    rig = Rig()
    rig.run(10)
    end = {"valid_to": (rig.now_ns + 1200 * S) // 10**6}
    detail = rig.command("job", **CHECK_IN, **end)["detail"]
    assert f"at {clock_text(rig.now_ns + 600 * S)}, unless it is extended" in detail
    near = {"valid_to": (rig.now_ns + 500 * S) // 10**6, "job_id": "near"}
    assert "fuse" not in rig.command("job", **CHECK_IN, **near)["detail"]
