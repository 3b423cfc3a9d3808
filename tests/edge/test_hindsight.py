"""Jobs that become known late: what rang before is explained, or goes on ringing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from edge.records import JobTold, SnapshotSwapped
from edge.work.jobs import Stage
from kb.records import Proposal, WorkKind
from tests.edge.rig import START, Rig, S, knowledge, order, scope, settings
from tests.edge.test_jobs import TOLD

if TYPE_CHECKING:
    from edge.desk import Knowledge

LOG = {"approved": False, "real_times": False, "source": "log"}


def noted(**change: Any) -> Proposal:  # noqa: ANN401
    """A log line that names the times of a calibration, from second 295 to 420."""
    return order(**{**LOG, "valid_from_ns": START + 295 * S, **change})


def rang(*proposals: Proposal, seconds: int = 60, quiet: int = 60, **more: Any) -> Rig:  # noqa: ANN401
    """r1 rings for a disturbance of c1 at second 300, before anybody said what it was."""
    rig = Rig(known=knowledge(proposals=proposals or [noted()], **more))
    rig.run(300)
    rig.run(seconds, {"c1": 6})
    if quiet:
        rig.run(quiet)
    return rig


def last(rig: Rig, track: str = "process") -> dict[str, Any]:
    """The newest revision."""
    return rig.events(track=track)[-1]


def test_what_rang_is_expected_once_somebody_says_so() -> None:
    """A later revision, annotated; it rang and still counts as rung."""
    rig = rang(quiet=120)
    assert rig.said() == ["ANNOTATED", "CLEARED_UNACK"]
    assert rig.command("confirm", proposal_id="wo-1")["done"]
    rig.run(2)
    event = last(rig)
    assert (event["class"], event["decision"], event["suppressed"]) == ("expected", "ANNOTATED", 0)
    assert (event["state"], event["job_id"]) == ("CLEARED_UNACK", "wo-1")
    assert "told later" in event["history"][-1]["reason"]
    assert any("told later" in sentence["text"] for sentence in event["explanation"])
    assert all(clause["outcome"] is True for clause in event["clauses"])
    assert rig.audited() == ["confirmed", "reclassified"]
    assert len({one["id"] for one in rig.events()}) == 1


def test_a_job_confirmed_after_its_end_is_closed_and_explains() -> None:
    """And nothing that comes later is of it."""
    rig = rang(quiet=200)
    answer = rig.command("confirm", proposal_id="wo-1")
    assert "closed" in answer["detail"]
    rig.run(2)
    assert [run.stage for run in rig.runs] == [Stage.DONE]
    assert last(rig)["class"] == "expected"
    rig.run(20, {"c1": 8})
    assert (last(rig)["class"], last(rig)["decision"]) == ("process anomaly", "ALERT")


def test_an_order_recorded_late_and_a_job_told_late_do_the_same() -> None:
    """Whoever tells it."""
    late = order(valid_from_ns=START + 295 * S, recorded_at_ns=START + 430 * S)
    rig = rang(late, quiet=100)
    assert last(rig)["class"] == "expected"
    other = rang(noted(valid_from_ns=START, valid_to_ns=START + S), quiet=100)
    told = {"valid_from_ns": START + 295 * S, "recorded_at_ns": START + 455 * S}
    other.give(JobTold(job=msgspec.structs.replace(TOLD, **told)))
    other.run(3)
    assert (last(other)["class"], last(other)["job_id"]) == ("expected", "j1")


def test_a_person_checks_in_what_is_over() -> None:
    """With the times at which it was done."""
    rig = rang(noted(asset="r11"), quiet=200)
    body = {"action": "check_in", "asset": "r1", "kind": "calibration", "instrument": "x"}
    times = {"valid_from": (START + 290 * S) // 10**6, "valid_to": (START + 400 * S) // 10**6}
    assert "closed" in rig.command("job", **body, **times)["detail"]
    rig.run(2)
    assert last(rig)["class"] == "expected"
    assert rig.audited() == ["checked_in", "reclassified"]


def test_acknowledged_stays_acknowledged() -> None:
    """Nobody has to look twice."""
    rig = rang(quiet=120)
    rig.command("ack", alert_id=last(rig)["id"])
    rig.command("confirm", proposal_id="wo-1")
    rig.run(2)
    assert (last(rig)["class"], last(rig)["state"]) == ("expected", "CLEARED_ACK")


def test_what_still_rings_is_judged_when_the_job_ends() -> None:
    """Told in the middle: annotated while the work goes on, over when it is over."""
    rig = rang(noted(valid_to_ns=START + 500 * S), quiet=0)
    rig.command("confirm", proposal_id="wo-1")
    rig.run(5, {"c1": 6})
    assert (last(rig)["class"], last(rig)["state"]) == ("expected", "ACTIVE_UNACK")
    rig.run(300)
    assert (last(rig)["class"], last(rig)["state"]) == ("expected", "CLEARED_UNACK")
    assert rig.said().count("ALERT") == 0


@pytest.mark.parametrize("size", [3.0, 6.0])
def test_a_lasting_fault_that_somebody_explained_rings_after_the_job(size: float) -> None:
    """A wrong word bounds nothing but the job's own time."""
    rig = Rig(known=knowledge(proposals=[noted(valid_to_ns=START + 500 * S)]))
    rig.run(300)
    rig.run(40, {"c1": size})
    rig.command("confirm", proposal_id="wo-1")
    rig.run(20, {"c1": size})
    assert last(rig)["class"] == "expected"
    rig.run(260, {"c1": size})
    assert (last(rig)["class"], last(rig)["decision"]) == ("process anomaly", "ALERT")
    assert last(rig)["state"] == "ACTIVE_UNACK"
    assert "rang_again" in rig.audited()


def test_another_channel_that_joins_ends_the_excuse() -> None:
    """At once, while the work goes on."""
    rig = rang(noted(valid_to_ns=START + 500 * S), quiet=0)
    rig.command("confirm", proposal_id="wo-1")
    rig.run(5, {"c1": 6})
    rig.run(10, {"c1": 6, "c3": 6})
    assert (last(rig)["class"], last(rig)["active"]) == ("process anomaly", 1)
    assert "explain" in last(rig)["history"][-1]["reason"]


def test_a_cancelled_job_explains_nothing_any_more() -> None:
    """What it had explained waits to be seen again, over or not."""
    rig = rang(quiet=120)
    rig.command("ack", alert_id=last(rig)["id"])
    rig.command("confirm", proposal_id="wo-1")
    rig.run(80)
    assert rig.command("job", action="cancel", job_id="wo-1")["done"]
    rig.run(2)
    event = last(rig)
    assert (event["class"], event["state"]) == ("process anomaly", "CLEARED_UNACK")
    assert "cancelled" in event["history"][-1]["reason"]
    assert rig.audited()[-2:] == ["cancelled", "rang_again"]
    assert not rig.command("job", action="cancel", job_id="wo-1")["done"]


def test_what_rings_under_a_cancelled_job_rings_as_before() -> None:
    """Within the next sample."""
    rig = rang(noted(valid_to_ns=START + 900 * S), quiet=0)
    rig.command("confirm", proposal_id="wo-1")
    rig.run(5, {"c1": 6})
    rig.command("job", action="cancel", job_id="wo-1")
    rig.run(2, {"c1": 6}, step=1)
    assert (last(rig)["class"], last(rig)["active"]) == ("process anomaly", 1)


def test_an_order_that_is_called_off_or_moved_later_explains_nothing_any_more() -> None:
    """Its newest word counts, also of what is over."""
    late = order(valid_from_ns=START + 295 * S, recorded_at_ns=START + 430 * S)
    for change in ({"cancelled": True}, {"approved": False}, {"valid_from_ns": START + 380 * S}):
        newer = msgspec.structs.replace(late, recorded_at_ns=START + 470 * S, **change)
        rig = rang(late, newer, quiet=105)
        assert last(rig)["class"] == "expected"
        rig.run(20)
        assert last(rig)["class"] == "process anomaly", change


# --- what it does not explain ---


@pytest.mark.parametrize(
    "change",
    [
        {"valid_from_ns": START + 310 * S},
        {"valid_to_ns": START + 299 * S},
        {"asset": "r11"},
        {"instrument": "y"},
        {"kind": WorkKind.REPAIR},
    ],
)
def test_other_times_and_other_work_explain_nothing(change: dict[str, Any]) -> None:
    """It began before the work, after it, or is not what the work may disturb."""
    rig = rang(noted(**change), quiet=120)
    rig.command("confirm", proposal_id="wo-1")
    rig.run(2)
    assert last(rig)["class"] == "process anomaly"


@pytest.mark.parametrize("shift", [{"c3": 6.0}, {"c1": 6.0, "c3": 6.0}, {"c0": 5.0, "c1": 9.0}])
def test_what_other_channels_showed_is_not_explained(shift: dict[str, float]) -> None:
    """The rest of the asset was over threshold as well."""
    rig = Rig(known=knowledge(proposals=[noted()]))
    rig.run(300)
    rig.run(30, shift)
    rig.run(120)
    rig.command("confirm", proposal_id="wo-1")
    rig.run(2)
    assert last(rig)["class"] == "process anomaly"


def test_a_condition_that_outlasted_the_job_is_not_explained() -> None:
    """It went on ten minutes after the work was done."""
    rig = rang(noted(valid_to_ns=START + 310 * S), seconds=600, quiet=150)
    rig.command("confirm", proposal_id="wo-1")
    rig.run(2)
    assert last(rig)["class"] == "process anomaly"


@pytest.mark.parametrize(("expected_effect", "explained"), [(0.3, True), (-0.3, False)])
def test_a_level_that_did_not_come_back_is_not_explained(
    expected_effect: float, *, explained: bool
) -> None:
    """The score has cleared, but the channel is a part of a sigma from where it was."""
    lasting = scope(expected_effect=expected_effect)
    rig = Rig(known=knowledge(proposals=[noted()], scopes=[lasting]))
    rig.run(300)
    rig.run(60, {"c1": 6})
    rig.run(200, {"c1": 0.4})
    assert rig.said()[-1] == "CLEARED_UNACK"
    rig.command("confirm", proposal_id="wo-1")
    rig.run(2, {"c1": 0.4})
    assert (last(rig)["class"] == "expected") is explained


@pytest.mark.parametrize(("left", "explained"), [(0.0, True), (1.0, False)])
def test_work_goes_on_while_its_events_come_and_go(left: float, *, explained: bool) -> None:
    """The level is away as the events clear; what counts is whether it came back since."""
    strict = scope(expected_effect=0.0)
    rig = Rig(
        known=knowledge(proposals=[noted(valid_to_ns=START + 700 * S)], scopes=[strict]),
        conf=settings(engine={"clear_samples": 30}),
    )
    rig.run(300)
    for _ in range(2):
        rig.run(20, {"c1": 8})
        rig.run(160, {"c1": 0.4})
    assert last(rig)["count"] == 2
    rig.run(300, {"c1": left})
    rig.command("confirm", proposal_id="wo-1")
    rig.run(2, {"c1": left})
    assert (last(rig)["class"] == "expected") is explained


def test_what_is_judged_when_it_clears_is_still_known_an_hour_later() -> None:
    """The samples are long gone; the scope row was approved before."""
    rig = rang(quiet=3000)
    rig.command("confirm", proposal_id="wo-1")
    rig.run(2)
    assert last(rig)["class"] == "expected"


@pytest.mark.not_counted
def test_what_cannot_be_judged_any_more_goes_on_as_it_was() -> None:
    """The scope row came after the samples had gone."""
    rig = rang(quiet=120, scopes=[scope(recorded_at_ns=START + 3000 * S)])
    rig.run(2800)
    rig.command("confirm", proposal_id="wo-1")
    rig.run(2)
    assert last(rig)["class"] == "process anomaly"


def test_all_that_rang_under_one_id_must_be_explained() -> None:
    """One alert of two events, of which the work explains the second only."""
    rig = Rig(
        known=knowledge(proposals=[noted(valid_from_ns=START + 420 * S, valid_to_ns=None)]),
        conf=settings(engine={"clear_samples": 30}),
    )
    rig.run(300)
    for _ in range(2):
        rig.run(20, {"c1": 6})
        rig.run(120)
    assert last(rig)["count"] == 2
    rig.command("confirm", proposal_id="wo-1")
    rig.run(2)
    assert last(rig)["class"] == "process anomaly"


def test_a_stuck_channel_is_explained_by_its_work() -> None:
    """The sensor track has its own alert."""
    rig = Rig(known=knowledge(proposals=[noted(valid_to_ns=START + 420 * S)]))
    rig.run(300)
    rig.run(90, stuck=["c1"])
    rig.run(5)
    rig.command("confirm", proposal_id="wo-1")
    rig.run(2)
    assert (last(rig, "sensor")["class"], last(rig, "sensor")["decision"]) == (
        "expected",
        "ANNOTATED",
    )


@pytest.mark.not_counted
def test_it_is_the_same_after_a_restart_and_under_another_cut() -> None:
    """The journal decides, not the process."""
    stories = []
    for restart, step in ((False, 5), (True, 5), (False, 1), (False, 30)):
        rig = Rig(known=knowledge(proposals=[noted()]))
        rig.run(300, step=step)
        rig.run(60, {"c1": 6}, step=step)
        rig.run(120, step=step)
        if restart:
            rig.restart()
        rig.command("confirm", proposal_id="wo-1")
        rig.run(60, step=step)
        stories.append([(e["revision"], e["class"], e["ts_ms"], e["state"]) for e in rig.events()])
    assert stories[0][-1][1] == "expected"
    assert all(story == stories[0] for story in stories)


def test_a_snapshot_that_brings_the_order_late_explains_too() -> None:
    """Recorded in time, known to us only with the next snapshot."""
    rig = Rig(known=knowledge())
    found = order(valid_from_ns=START + 295 * S, recorded_at_ns=START + 10 * S)
    rig.swapped["kb2"] = knowledge(proposals=[found], sha256="kb2")
    rig.run(300)
    rig.run(60, {"c1": 6})
    rig.run(120)
    assert last(rig)["class"] == "process anomaly"
    rig.give(SnapshotSwapped(snapshot_sha256="kb2"))
    rig.run(10)
    assert last(rig)["class"] == "expected"


def test_a_spent_budget_is_no_excuse() -> None:
    """What began under the job was judged then; telling nothing new explains nothing."""
    rig = Rig(conf=settings(engine={"suppressions_per_shift_max": 0}))
    rig.run(300)
    rig.context["cal"] = 1.0
    rig.run(20, {"c1": 6})
    rig.context["cal"] = 0.0
    rig.run(200)
    assert {event["class"] for event in rig.events()} == {"process anomaly"}


@pytest.mark.parametrize(
    "known",
    [
        knowledge(verified=False, sha256="next"),
        knowledge(scopes=[scope(asset="r11")], sha256="next"),
        knowledge(scopes=[scope(channels=("c2",))], sha256="next"),
    ],
)
def test_doubt_ends_an_excuse_while_the_work_goes_on(known: Knowledge) -> None:
    """A snapshot that nobody verified, or that does not approve of the work any more."""
    rig = rang(noted(valid_to_ns=START + 500 * S), quiet=0)
    rig.command("confirm", proposal_id="wo-1")
    rig.run(5, {"c1": 6})
    assert last(rig)["class"] == "expected"
    rig.swapped["next"] = known
    rig.give(SnapshotSwapped(snapshot_sha256="next"))
    rig.run(5, {"c1": 6})
    assert (last(rig)["class"], last(rig)["active"]) == ("process anomaly", 1)
    assert rig.audited()[-1] == "rang_again"
