"""Rulings: every clause has its say; budgets, doubts, dead sensors and silence count."""

from __future__ import annotations

import msgspec

from edge.alerts.alerts import AlertRecord, AlertState
from edge.records import Decision, RetrievalDone, Retrieve, Track, Verdict
from edge.work.jobs import Stage
from kb.records import Hit, WorkKind
from tests.edge.rig import QUOTE, START, Rig, S, knowledge, order, scope, settings


def at_work(rig: Rig) -> Rig:
    """Five quiet minutes, then the calibration begins."""
    rig.run(300)
    rig.context["cal"] = 1.0
    return rig


def failed(event: dict[str, object]) -> set[str]:
    """Clauses that did not hold."""
    clauses = event["clauses"]
    assert isinstance(clauses, list)
    return {clause["name"] for clause in clauses if clause["outcome"] is not True}


def test_an_event_that_began_before_the_witness_keeps_ringing() -> None:
    """Whoever calls it a calibration afterwards."""
    rig = Rig()
    rig.run(300)
    rig.run(10, {"c1": 6})
    rig.context["cal"] = 1.0
    rig.run(60, {"c1": 6})
    assert rig.said() == ["ALERT"]


def test_a_spent_budget_rings_and_says_so() -> None:
    """More expected events than a shift may have are not expected any more."""
    rig = at_work(Rig(conf=settings(engine={"suppressions_per_shift_max": 1, "clear_samples": 5})))
    rig.run(10, {"c1": 8})
    rig.run(60)
    rig.run(10, {"c1": 8})
    assert rig.said() == ["suppressed", "NORMAL", "ALERT"]
    assert failed(rig.events()[-1]) == {"budget"}


def test_a_new_shift_has_a_new_budget() -> None:
    """Eight hours of plant time."""
    rig = Rig(conf=settings(engine={"suppressions_per_shift_max": 1}))
    state = rig.engine.state.assets["r1"]
    shift = START // (28_800 * S)
    state.shift, state.suppressions_spent = shift - 1, 99
    at_work(rig).run(10, {"c1": 8})
    assert rig.said() == ["suppressed"]
    assert (state.shift, state.suppressions_spent) == (shift, 1)


def test_knowledge_that_loses_its_trust_ends_a_suppression() -> None:
    """At the next sample."""
    rig = at_work(Rig())
    rig.run(30, {"c1": 6})
    assert rig.engine._desk.knowledge is not None
    rig.engine._desk.knowledge = knowledge(verified=False)
    rig.run(5, {"c1": 6})
    assert rig.said() == ["suppressed", "ALERT"]
    assert "knowledge" in failed(rig.events()[-1])


def test_a_job_that_was_told_since_does_not_take_over_a_suppression() -> None:
    """A chain of jobs would be a fuse without an end; and a ring never says SUPPRESSED."""
    rig = at_work(Rig())
    rig.run(30, {"c1": 6})
    assert rig.said() == ["suppressed"]
    rig.command("job", action="check_in", asset="r1", kind="calibration", instrument="x")
    rig.run(5, {"c1": 6})
    first, second = rig.runs
    assert rig.events()[0]["job_id"] == first.job.job_id
    first.masked = []
    rig.run(5, {"c1": 6})
    assert second.live
    assert rig.said() == ["suppressed", "ALERT"]


def test_the_job_that_suppresses_is_asked_first() -> None:
    """An older one that comes to hold as well changes nothing."""
    rig = at_work(Rig())
    rig.run(2)
    rig.command("job", action="check_in", asset="r1", kind="calibration", instrument="x")
    rig.run(5)
    rig.runs[0].rest_ready = False
    rig.runs.reverse()
    rig.run(30, {"c1": 6})
    by = rig.events()[0]["job_id"]
    rig.runs.reverse()
    rig.run(30, {"c1": 6})
    assert rig.said() == ["suppressed"]
    assert rig.engine.state.assets["r1"].alerts["process"].job_id == by


def test_a_text_near_an_event_annotates_it() -> None:
    """An unapproved order rings at lower priority, with its quote and a question."""
    vague = order(approved=False)
    rig = Rig(known=knowledge(proposals=[vague]))
    rig.run(300)
    rig.run(10, {"c1": 6})
    assert rig.said() == ["ANNOTATED"]
    event = rig.events()[0]
    assert event["severity"] == "LOW"
    assert any("confirm?" in sentence["text"] for sentence in event["explanation"])


# --- sensors ---


def test_a_stuck_channel_under_work_rings_when_the_job_is_over() -> None:
    """Work holds a value still; nobody works any more."""
    rig = at_work(Rig(known=knowledge(scopes=[scope(duration_s_max=3000)])))
    rig.run(200, stuck=["c1"])
    assert rig.said(track="sensor") == ["suppressed"]
    rig.context["cal"] = 0.0
    rig.run(90, stuck=["c1"])
    assert rig.said(track="sensor")[-1] == "ALERT"


def test_another_channel_that_sticks_beside_a_suppressed_one_rings() -> None:
    """The event is the same, what it is about is not."""
    rig = at_work(Rig(known=knowledge(scopes=[scope(duration_s_max=3000)])))
    rig.run(100, stuck=["c1"])
    assert rig.said(track="sensor") == ["suppressed"]
    rig.run(100, stuck=["c1", "c3"])
    assert rig.said(track="sensor")[-1] == "ALERT"
    named = {part["channel"] for part in rig.events(track="sensor")[-1]["contributions"]}
    assert named == {"c1", "c3"}
    assert any(run.live for run in rig.runs)


# --- silence ---


def test_silence_of_a_planned_stop_is_expected_and_rings_after_it() -> None:
    """A stop that ends without the asset coming back is a fault."""
    stop = scope(kind=WorkKind.PLANNED_STOP, settle_s=60)
    rig = Rig(known=knowledge(scopes=[stop]))
    rig.run(300)
    body = {"asset": "r1", "kind": "planned_stop", "instrument": "x"}
    rig.command("job", action="check_in", **body)
    rig.run(5)
    rig.run(60, silent=["r1"])
    assert rig.said(track="comms") == ["suppressed"]
    rig.command("job", action="check_out", **body)
    rig.run(100, silent=["r1"])
    assert rig.said(track="comms")[-1] == "ALERT"
    assert [run.stage for run in rig.runs] == [Stage.DONE]


def test_silence_of_a_calibration_is_not_expected() -> None:
    """Only a planned stop is."""
    rig = at_work(Rig())
    rig.run(20)
    rig.run(60, silent=["r1"])
    assert rig.said(track="comms") == ["ALERT"]


# --- explanations and ids ---


def test_documents_come_as_a_later_revision_and_change_no_verdict() -> None:
    """Revision 1 never waits for them; a second answer is stale."""
    rig = Rig()
    rig.run(300)
    rig.run(5, {"c1": 8})
    asked = [effect for effect in rig.effects if isinstance(effect, Retrieve)]
    hit = Hit(citation=QUOTE, title="Manual", section="4", kind="manual", score=1.0, similarity=0.5)
    rig.give(RetrievalDone(alert_id=asked[0].alert_id, hits=(hit,)))
    rig.give(RetrievalDone(alert_id=asked[0].alert_id, hits=()))
    events = rig.events()
    assert [event["revision"] for event in events] == [1, 2]
    assert events[1]["advice"].startswith("Manual, 4")
    assert events[0]["decision"] == events[1]["decision"] == "ALERT"
    assert rig.engine.counts()["retrievals_stale"] == 1


def test_two_events_that_begin_at_one_time_share_no_revision() -> None:
    """Acknowledged, cleared, and opened again with the same begin: revisions go on."""
    record = AlertRecord(asset="r1", track=Track.PROCESS)
    seen = set()
    for _ in range(3):
        record.begin_event(begin_ns=START, job_id="")
        record.ring(Decision(verdict=Verdict.ALERT, clauses=()))
        record.turn(t_ns=START, reason="opened")
        assert (record.alert_id, record.revision) not in seen
        seen.add((record.alert_id, record.revision))
        record.acknowledge()
        record.clear(t_ns=START)
        assert record.state is AlertState.CLEARED_ACK
    assert msgspec.json.encode(record.history)


def test_questions_are_asked_again_after_a_restart() -> None:
    """An answer that never came is not lost."""
    rig = Rig()
    rig.run(300)
    rig.run(5, {"c1": 8})
    rig.restart()
    (question,) = rig.engine.open_questions()
    assert isinstance(question, Retrieve)
    assert question.alert_id == rig.events()[0]["id"]


def test_the_alert_names_the_time_at_which_it_would_ring_again() -> None:
    """The fuse, or the end of the settling."""
    rig = at_work(Rig())
    rig.run(30, {"c1": 6})
    assert rig.events()[0]["rings_again_ms"] * 10**6 == START + 900 * S


def test_what_rings_from_under_a_mask_names_the_fault_and_not_the_work() -> None:
    """The operator must not be sent to the instrument that is being calibrated."""
    rig = at_work(Rig())
    rig.run(40, {"c1": 8})
    assert rig.said() == ["suppressed"]
    assert rig.events()[-1]["top_channel"] == "c1"
    asked = len([e for e in rig.effects if isinstance(e, Retrieve)])
    rig.run(20, {"c1": 8, "c3": 6})
    assert rig.said()[-1] == "ALERT"
    event = rig.events()[-1]
    assert event["top_channel"] == "c3"
    assert "c1" not in [part["channel"] for part in event["contributions"]]
    assert "c3" in event["message"]
    again = [e for e in rig.effects if isinstance(e, Retrieve)][asked:]
    assert len(again) == 1, "what was found was about the work"
    assert "c3" in again[0].query.text


def test_a_fault_that_begins_with_the_work_is_named_too() -> None:
    """Both disturb at once; the work's channel carries more."""
    rig = at_work(Rig())
    rig.run(30, {"c1": 9, "c3": 5})
    assert rig.said()[-1] == "ALERT"
    assert rig.events()[-1]["top_channel"] == "c3"


def test_a_second_dead_sensor_is_news() -> None:
    """Also where the first one was acknowledged; one that comes and goes is told once."""
    rig = Rig()
    rig.run(300)
    rig.run(80, stuck=["c1"])
    rig.command("ack", alert_id=rig.events(track="sensor")[-1]["id"])
    for _ in range(2):
        rig.run(80, stuck=["c1", "c3"])
        rig.run(5, stuck=["c1"])
    said = rig.events(track="sensor")
    assert [event["state"] for event in said] == ["ACTIVE_UNACK", "ACTIVE_ACK", "ACTIVE_UNACK"]
    assert [part["channel"] for part in said[-1]["contributions"]] == ["c1", "c3"]
