"""Jobs along plant time: what is suppressed meanwhile, and what rings when they end."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from edge.records import Audited, JobTold, SnapshotSwapped, TickDue, Track
from edge.verdicts.timeline import JUDGE_SAMPLES
from edge.work.jobs import DONE_RUNS_MAX, LIVE_RUNS_MAX, WAITING_RUNS_MAX, Stage
from kb.records import WorkKind
from tests.edge.rig import START, Rig, S, knowledge, order, scope, settings
from tests.edge.test_jobs import TOLD

if TYPE_CHECKING:
    from edge.desk import Knowledge


def at_work(known: Knowledge | None = None, **conf: object) -> Rig:
    """Five quiet minutes, then the calibration begins."""
    rig = Rig(known=known, conf=settings(**conf) if conf else None)
    rig.run(300)
    rig.context["cal"] = 1.0
    return rig


def test_a_disturbance_of_the_masked_channel_is_suppressed_and_leaves_no_mark() -> None:
    """The whole course of an expected event: listed, over, and silence afterwards."""
    rig = at_work()
    rig.run(60, {"c1": 6})
    rig.run(20)
    rig.context["cal"] = 0.0
    rig.run(400)
    assert rig.said() == ["suppressed", "NORMAL"]
    first, last = rig.events()
    assert (first["state"], first["active"], first["suppressed"]) == ("NORMAL", 0, 1)
    assert first["class"] == "expected"
    assert rig.seconds(last) == 440


@pytest.mark.parametrize("masked", [0.0, 6.0])
def test_a_fault_of_another_channel_rings_within_a_few_samples(masked: float) -> None:
    """Whether or not the work disturbs its own channel at the same time."""
    rig = at_work()
    rig.run(30, {"c1": masked})
    rig.run(10, {"c1": masked, "c3": 6})
    assert rig.said()[-1] == "ALERT"
    assert rig.seconds(rig.events()[-1]) <= 335
    assert len({event["id"] for event in rig.events()}) == 1


def test_a_fault_of_the_neighbour_rings() -> None:
    """r1 is at work; r11 is not r1."""
    rig = at_work()
    rig.run(30, {"c1": 6}, other={"c1": 6})
    assert rig.said() == ["suppressed"]
    assert rig.said("r11") == ["ALERT"]


@pytest.mark.parametrize("size", [1.5, 3.0, 6.0])
def test_a_fault_that_the_mask_hid_rings_after_settling_under_its_id(size: float) -> None:
    """Small lasting shifts too, which the score has long adapted to."""
    rig = at_work()
    rig.run(120, {"c1": size})
    rig.context["cal"] = 0.0
    rig.run(90, {"c1": size})
    assert rig.said()[0] == "suppressed"
    assert rig.said()[-1] == "ALERT"
    assert len({event["id"] for event in rig.events()}) == 1
    assert rig.seconds(rig.events()[-1]) == 480


def test_a_small_fault_under_work_that_follows_work_rings() -> None:
    """The first job's disturbance is no level to compare the second one's with."""
    rig = at_work()
    rig.run(200, {"c1": 2})
    rig.context["cal"] = 0.0
    rig.run(1)
    rig.context["cal"] = 1.0
    rig.run(60, {"c1": 2})
    rig.context["cal"] = 0.0
    rig.run(90, {"c1": 2})
    assert rig.said()[-1] == "ALERT"


def test_a_hidden_fault_is_told_although_another_one_rings() -> None:
    """One alert for both, but it names the channel that nobody could see."""
    rig = at_work()
    rig.run(60, {"c1": 2})
    rig.context["cal"] = 0.0
    rig.run(90, {"c1": 2, "c3": 6})
    assert rig.events()[-1]["top_channel"] == "c1"
    assert "level" in rig.events()[-1]["history"][-1]["reason"]


def test_silence_while_settling_rings() -> None:
    """What could not be shown to be normal is not."""
    rig = at_work()
    rig.run(30, {"c1": 6})
    rig.context["cal"] = 0.0
    rig.run(1, {"c1": 6})
    rig.run(90, silent=["r1"])
    assert rig.said()[-1] == "ALERT"


def test_the_fuse_ends_it_within_a_second_though_the_asset_is_silent() -> None:
    """The gap is declared long, so that only time can do it."""
    long = [msgspec.structs.replace(s, interval_ms_max=3_600_000) for s in settings().source]
    rig = at_work(knowledge(scopes=[scope(duration_s_max=60)]), source=tuple(long))
    rig.run(40, {"c1": 6})
    for tenth in range(300):
        rig.give(TickDue(), now_ns=START + 340 * S + tenth * S // 10)
    assert rig.said() == ["suppressed", "ALERT"]
    assert rig.seconds(rig.events()[-1]) == 360
    rang = next(i for i, sent in enumerate(rig.sent) if sent[0] >= START + 361 * S)
    again = Rig(known=rig.known, conf=rig.settings)
    for now_ns, stimulus in rig.sent[:rang]:
        again.give(stimulus, now_ns=now_ns)
    assert again.said() == ["suppressed", "ALERT"]


def test_cancellation_rings_at_once() -> None:
    """The work does not take place: what goes on is a fault."""
    rig = at_work()
    rig.run(30, {"c1": 6})
    assert rig.command("job", action="cancel", asset="r1", kind="calibration")["done"]
    rig.run(2, {"c1": 6}, step=1)
    assert rig.said() == ["suppressed", "ALERT"]
    assert rig.seconds(rig.events()[-1]) <= 331


def test_what_cleared_before_a_cancellation_is_told() -> None:
    """Nobody was told, so it waits for somebody as cleared and not acknowledged."""
    rig = at_work()
    rig.run(20, {"c1": 6})
    rig.run(JUDGE_SAMPLES + 20)
    assert rig.said() == ["suppressed", "NORMAL"]
    rig.command("job", action="cancel", asset="r1", kind="calibration")
    rig.run(5)
    assert rig.said()[-1] == "CLEARED_UNACK"


def test_closing_twice_and_ending_the_unknown_change_nothing() -> None:
    """The answer says so."""
    rig = at_work()
    rig.run(10)
    body = {"action": "check_out", "asset": "r1", "kind": "calibration"}
    assert rig.command("job", **body)["done"]
    rig.run(100)
    assert [run.stage for run in rig.runs] == [Stage.DONE]
    assert not rig.command("job", **body)["done"]
    assert not rig.command("job", action="cancel", job_id="nothing")["done"]
    assert not rig.command("job", action="check_out", asset="r11", kind="calibration")["done"]


@pytest.mark.parametrize("action", ["cancel", "check_out"])
def test_a_job_ended_before_it_opens_never_opens(action: str) -> None:
    """Checked out is over, not postponed."""
    rig = Rig(known=knowledge(proposals=[order()]))
    rig.run(200)
    assert rig.command("job", action=action, job_id="wo-1")["done"]
    rig.run(130)
    assert [run.stage for run in rig.runs] == [Stage.DONE]


def test_checking_out_means_the_work_that_goes_on() -> None:
    """Not the order of next week, which comes first in the list."""
    later = order(valid_from_ns=START + 9000 * S, valid_to_ns=START + 9100 * S)
    rig = at_work(knowledge(proposals=[later]))
    rig.run(10)
    rig.command("job", action="check_out", asset="r1", kind="calibration")
    rig.run(5)
    assert [run.stage for run in rig.runs] == [Stage.SCHEDULED, Stage.SETTLING]


def test_two_jobs_at_once_each_excuse_their_own() -> None:
    """What both jobs' channels show together is not expected from either."""
    two = [scope(), scope(instrument="y", channels=("c3",), scope_id="s2")]
    rig = at_work(knowledge(scopes=two))
    rig.command("job", action="check_in", asset="r1", kind="calibration", instrument="y")
    rig.run(30, {"c3": 6})
    assert rig.said() == ["suppressed"]
    assert rig.events()[0]["job_id"] == rig.runs[0].job.job_id
    rig.run(10, {"c1": 6, "c3": 6})
    assert rig.said()[-1] == "ALERT"


def test_a_job_that_cannot_be_scored_without_its_channels_suppresses_nothing() -> None:
    """A mask over everything leaves nothing to vouch for the asset."""
    everything = scope(channels=("c0", "c1", "c2", "c3"))
    rig = at_work(knowledge(scopes=[everything]))
    rig.run(30, {"c1": 6})
    assert rig.said() == ["ALERT"]
    mask = next(c for c in rig.events()[0]["clauses"] if c["name"] == "mask")
    assert mask["outcome"] is None


def test_a_masked_row_that_is_not_ready_suppresses_nothing() -> None:
    """Without a past to warm it on, an event in the first seconds rings."""
    rig = Rig()
    rig.run(1)
    rig.context["cal"] = 1.0
    rig.run(3)
    run = rig.runs[0]
    run.masked[0].state[:] = 0.0
    run.rest_ready = False
    rig.run(2, {"c1": 9}, step=1)
    assert "suppressed" not in rig.said()


def test_work_on_a_stopped_asset_and_across_a_start() -> None:
    """Stops and starts inside a job neither raise nor hide the fault that remains."""
    rig = at_work()
    rig.context["run"] = 0.0
    rig.run(60, {"c1": 6})
    rig.context["run"] = 1.0
    rig.run(60, {"c1": 6})
    rig.context["cal"] = 0.0
    rig.run(100, {"c1": 6})
    assert rig.said()[-1] == "ALERT"
    assert not any(run.live for run in rig.runs)


# --- taken back ---


@pytest.mark.parametrize("recorded_s", [440, 600])
def test_a_cancellation_after_the_end_tells_what_was_kept_quiet(recorded_s: int) -> None:
    """While it settles, or when it is long over; once, however often the order is told."""
    called_off = order(cancelled=True, recorded_at_ns=START + recorded_s * S)
    rig = Rig(known=knowledge(proposals=[order(), called_off]))
    rig.swapped["kb2"] = knowledge(proposals=[order(), called_off], sha256="kb2")
    rig.run(310)
    rig.run(30, {"c1": 6})
    rig.run(400)
    rig.give(SnapshotSwapped(snapshot_sha256="kb2"))
    rig.run(20)
    assert rig.said() == ["suppressed", "NORMAL", "CLEARED_UNACK"]
    assert rig.audited() == ["suppressed", "suppression_over", "cancelled", "rang_again"]


def test_a_cancellation_names_what_it_hid_though_another_alert_has_its_place() -> None:
    """Two jobs at a time: the second one's event came after the first one's."""
    both = [
        order(valid_to_ns=START + 800 * S),
        order(proposal_id="wo-2", instrument="y", valid_to_ns=START + 800 * S),
    ]
    rows = [scope(), scope(scope_id="s2", instrument="y", channels=("c2",))]
    rig = Rig(known=knowledge(proposals=both, scopes=rows))
    rig.run(310)
    rig.run(15, {"c1": 6})
    rig.run(150)
    rig.run(15, {"c2": 6})
    rig.run(10)
    first, second = dict.fromkeys(event["id"] for event in rig.events())
    assert rig.command("job", action="cancel", job_id="wo-1")["done"]
    rig.run(10)
    told = [effect for effect in rig.effects if isinstance(effect, Audited)][-2:]
    assert [effect.what for effect in told] == ["cancelled", "rang_again"]
    assert told[1].facts["alert_id"] == first
    assert rig.events()[-1]["id"] == second


def test_a_clock_that_is_set_back_ends_what_is_open_and_silenced() -> None:
    """Their ends lie in a time that does not come for a month; nobody may be blind for that."""
    stop = scope(scope_id="s2", kind=WorkKind.PLANNED_STOP, instrument="", channels=("c1",))
    rig = Rig(known=knowledge(scopes=[scope(), stop]))
    rig.run(300)
    assert rig.command("job", action="check_in", asset="r1", kind="planned_stop")["done"]
    assert rig.command("shelve", asset="r1", minutes=10, reason="x")["done"]
    rig.run(10)
    for minute in range(1, 30):
        rig.give(TickDue(), now_ns=rig.now_ns - 30 * 86_400 * S + 60 * minute * S)
    comms = rig.engine.state.assets["r1"].alerts[Track.COMMS]
    assert comms.rings
    assert not any(run.live for run in rig.runs)
    assert "unshelved" in rig.audited()


# --- bounds ---


def test_a_flapping_witness_stays_bounded() -> None:
    """Rows to score, finished jobs and what waits have caps."""
    rig = Rig(known=knowledge(scopes=[scope(settle_s=900)]))
    rig.run(20)
    for i in range(200):
        rig.context["cal"] = float(i % 2)
        rig.run(1, step=1)
        assert sum(run.live for run in rig.runs) <= LIVE_RUNS_MAX
    assert len(rig.runs) <= LIVE_RUNS_MAX + DONE_RUNS_MAX + 1
    assert len(rig.engine.state.assets["r1"].pending) <= 1


def test_jobs_that_wait_and_commands_that_repeat_stay_bounded() -> None:
    """A thousand orders for tomorrow, a thousand times the same command on a clock that stands."""
    rig = Rig()
    rig.run(5)
    for i in range(WAITING_RUNS_MAX + 50):
        rig.give(JobTold(job=msgspec.structs.replace(TOLD, job_id=f"j{i}")))
        rig.command("job", action="cancel", job_id="j0")
    assert len(rig.runs) <= WAITING_RUNS_MAX
    assert len(rig.engine.state.assets["r1"].pending) == 1


def test_thousands_of_past_orders_are_taken_in_one_go() -> None:
    """A first start beside ten years of orders: one list, not thousands of lists."""
    past = [
        order(proposal_id=f"wo-{i}", valid_from_ns=START - 9000 * S, valid_to_ns=START - 8000 * S)
        for i in range(3000)
    ]
    rig = Rig(known=knowledge(proposals=past))
    rig.run(5)
    assert len([p for p in rig.published if p.topic == "andon/s/job/r1"]) <= 2
    assert len(rig.runs) == DONE_RUNS_MAX
