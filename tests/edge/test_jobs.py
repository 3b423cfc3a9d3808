"""Jobs: what opens one, what it may disturb, and when it stops."""

from __future__ import annotations

import math

import msgspec
import numpy as np
import pytest

from edge.records import Job, JobState, JobTold, Witness
from edge.work.jobs import JobRun, Stage, level_abnormal, new_run, resolve_scope
from kb.records import WorkKind
from tests.edge.rig import CHANNELS, START, Rig, S, knowledge, order, scope, settings

TOLD = Job(
    job_id="j1",
    kind=WorkKind.CALIBRATION,
    asset="r1",
    functional_location="x",
    valid_from_ns=START + 300 * S,
    valid_to_ns=START + 360 * S,
    witness=Witness.PERSON,
    opened_by="ann",
    opened_at_ns=START,
    recorded_at_ns=START,
    source="file",
    scope=("c1",),
    expected_effect=0.3,
    settle_s=60,
    fuse_s=600,
    state=JobState.SCHEDULED,
)


def opened(rig: Rig) -> list[str]:
    """Who opened r1's live jobs."""
    return [run.job.opened_by for run in rig.runs if run.live]


# --- witnesses ---


def test_a_live_edge_opens_one_job_and_its_fall_closes_it() -> None:
    """However often the value repeats, one edge is one job."""
    rig = Rig()
    rig.run(20)
    rig.context["cal"] = 1.0
    rig.run(20)
    assert [run.job.witness for run in rig.runs] == [Witness.PLANT]
    assert rig.runs[0].job.opened_at_ns == START + 20 * S
    rig.context["cal"] = 0.0
    rig.run(5)
    assert [run.stage for run in rig.runs] == [Stage.SETTLING]


def test_a_first_value_opens_nothing() -> None:
    """A gateway that starts in the middle of something did not see the edge."""
    rig = Rig()
    rig.context["cal"] = 1.0
    rig.run(20)
    assert rig.runs == []


def test_a_retained_value_opens_nothing() -> None:
    """A broker's memory is no witness; nor is a repeat of what it said."""
    rig = Rig()
    rig.run(20)
    del rig.context["cal"]
    rig.send("plant/r1", b'{"ts": %d, "cal": 1}' % (START // 10**6 + 20_000), retain=True)
    rig.run(5)
    rig.context["cal"] = 1.0
    rig.run(20)
    assert rig.runs == []


def test_a_value_in_between_is_no_edge() -> None:
    """Only 0 to something opens; 1 to 2 does not."""
    rig = Rig()
    rig.context["cal"] = 1.0
    rig.run(10)
    rig.context["cal"] = 2.0
    rig.run(10)
    assert rig.runs == []


def test_a_person_checks_in_and_out() -> None:
    """A named operator opens from now on, and closes."""
    rig = Rig()
    rig.run(20)
    answer = rig.command("job", action="check_in", asset="r1", kind="calibration", instrument="x")
    rig.run(10)
    assert answer["done"]
    assert opened(rig) == ["ann"]
    assert rig.command("job", action="check_out", asset="r1", kind="calibration")["done"]
    rig.run(5)
    assert [run.stage for run in rig.runs] == [Stage.SETTLING]


def test_a_person_confirms_a_proposal() -> None:
    """An order with default times only proposes, until somebody says so."""
    vague = order(real_times=False, valid_from_ns=None, valid_to_ns=None)
    rig = Rig(known=knowledge(proposals=[vague]))
    rig.run(20)
    assert rig.runs == []
    assert rig.command("confirm", proposal_id="wo-1")["done"]
    rig.run(10)
    assert opened(rig) == ["ann"]
    assert rig.runs[0].job.quotes == ("cal",)


def test_an_approved_order_with_real_times_opens_by_itself() -> None:
    """From its start to its end, and not a second earlier."""
    rig = Rig(known=knowledge(proposals=[order()]))
    rig.run(300)
    assert [run.stage for run in rig.runs] == [Stage.SCHEDULED]
    rig.run(10)
    assert opened(rig) == ["wo-1"]
    assert rig.runs[0].job.opened_at_ns == START + 300 * S
    rig.run(115)
    assert [run.stage for run in rig.runs] == [Stage.SETTLING]


@pytest.mark.parametrize(
    "change",
    [
        {"approved": False},
        {"real_times": False},
        {"valid_to_ns": None},
        {"valid_to_ns": START + 300 * S},
        {"asset": "r11"},
    ],
)
def test_any_other_order_opens_nothing_on_the_asset(change: dict[str, object]) -> None:
    """Unapproved, default, open-ended, empty, or somebody else's."""
    rig = Rig(known=knowledge(proposals=[order(**change)]))
    rig.run(330)
    assert rig.runs == []


def test_an_order_cancelled_in_time_never_opens() -> None:
    """The later word counts."""
    later = order(cancelled=True, recorded_at_ns=START + 100 * S)
    rig = Rig(known=knowledge(proposals=[order(), later]))
    rig.run(330)
    assert [run.job.state for run in rig.runs] == [JobState.CANCELLED]


@pytest.mark.parametrize("state", [JobState.PROPOSED, JobState.CLOSED, JobState.CANCELLED])
def test_a_told_job_that_nobody_witnessed_never_opens(state: JobState) -> None:
    """A file of jobs may hold proposals; they stay what they are."""
    rig = Rig()
    rig.give(JobTold(job=msgspec.structs.replace(TOLD, state=state)))
    rig.run(330)
    assert [(run.stage, run.job.state) for run in rig.runs] == [(Stage.DONE, state)]


def test_a_job_told_after_its_end_is_closed_at_once() -> None:
    """Never backwards."""
    rig = Rig()
    rig.run(400)
    rig.give(JobTold(job=TOLD))
    rig.run(5)
    assert [(run.stage, run.job.state) for run in rig.runs] == [(Stage.DONE, JobState.CLOSED)]


def test_a_job_told_late_opens_after_what_was_seen() -> None:
    """Half of it is over: only what comes from now on can be expected."""
    rig = Rig()
    rig.run(330)
    rig.give(JobTold(job=TOLD))
    rig.run(5)
    assert rig.runs[0].job.opened_at_ns > START + 329 * S
    assert rig.runs[0].fuse_end_ns == START + 900 * S, "the fuse burns from when it could have"


def test_an_inverted_job_masks_nothing() -> None:
    """Its end is before its begin: it is over before it opens, settling included."""
    rig = Rig()
    rig.give(JobTold(job=msgspec.structs.replace(TOLD, valid_to_ns=START + 250 * S)))
    rig.run(310)
    assert [run.stage for run in rig.runs] == [Stage.DONE]


# --- scope ---


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({}, True),
        ({"asset": "r11"}, False),
        ({"asset": "r"}, False),
        ({"instrument": "x1"}, False),
        ({"instrument": ""}, False),
        ({"kind": WorkKind.VERIFICATION}, False),
        ({"recorded_at_ns": 11}, False),
    ],
)
def test_a_scope_is_found_by_exactly_its_work(change: dict[str, object], *, found: bool) -> None:
    """No prefix, no wildcard, nothing from the future."""
    row = resolve_scope(
        [scope(**change)], kind=WorkKind.CALIBRATION, asset="r1", instrument="x", now_ns=10
    )
    assert (row is not None) == found


def test_the_newest_row_known_counts() -> None:
    """A scope table is amended, not rewritten."""
    rows = [scope(recorded_at_ns=t, scope_id=f"s{t}") for t in (1, 7, 5, 99)]
    row = resolve_scope(rows, kind=WorkKind.CALIBRATION, asset="r1", instrument="x", now_ns=10)
    assert row is not None
    assert row.scope_id == "s7"


def test_channels_that_are_not_there_and_safety_channels_are_not_masked() -> None:
    """The mask holds what the scope names, the asset has and nobody protects."""
    job = msgspec.structs.replace(TOLD, scope=("c1", "c2", "zz"))
    run = new_run(job, channels=CHANNELS, safety=("c2",))
    assert run.mask.tolist() == [False, True, False, False]


def test_work_without_a_scope_row_only_annotates() -> None:
    """It rings, and says which work is on."""
    rig = Rig(known=knowledge(scopes=[scope(asset="r11")]))
    rig.run(300)
    rig.context["cal"] = 1.0
    rig.run(30, {"c1": 6})
    assert rig.said() == ["ANNOTATED"]
    assert rig.events()[0]["job_id"] == rig.runs[0].job.job_id


# --- the level ---


def level_run(before: float, after: float, *, samples: int = 40) -> JobRun:
    """A job on c1 with a level before and after it, in units of sigma 1."""
    run = new_run(TOLD, channels=CHANNELS, safety=())
    run.before = np.full(4, before)
    run.after_sum, run.after_count = np.full(4, after * samples), np.full(4, float(samples))
    return run


def test_a_level_is_judged_by_the_scope_and_only_where_it_is_known() -> None:
    """Above the expected effect: abnormal; too few samples or none before: not known."""
    sigma = np.ones(4)
    assert level_abnormal(level_run(0.0, 0.7), sigma=sigma) is False
    assert level_abnormal(level_run(0.0, -0.9), sigma=sigma) is True
    assert level_abnormal(level_run(0.0, 0.7, samples=19), sigma=sigma) is None
    assert level_abnormal(level_run(math.nan, 0.7), sigma=sigma) is None


@pytest.mark.parametrize("effect", [math.nan, math.inf, -math.inf])
def test_an_effect_that_is_no_number_excuses_nothing(effect: float) -> None:
    """A broken scope row must not hide every shift."""
    run = level_run(0.0, 0.9)
    run.job = msgspec.structs.replace(TOLD, expected_effect=effect)
    assert level_abnormal(run, sigma=np.ones(4)) is True


def test_a_short_settling_time_is_long_enough_to_see_a_level() -> None:
    """A scope row of zero seconds would otherwise never judge anything."""
    rig = Rig(known=knowledge(scopes=[scope(settle_s=0)]))
    rig.run(300)
    rig.context["cal"] = 1.0
    rig.run(60, {"c1": 1.5})
    rig.context["cal"] = 0.0
    rig.run(60, {"c1": 1.5})
    assert rig.said()[-1] == "ALERT"


def test_a_safety_listed_channel_rings_during_its_own_job() -> None:
    """Whatever the scope table says."""
    rig = Rig(conf=settings(safety=("c1",)))
    rig.run(300)
    rig.context["cal"] = 1.0
    rig.run(30, {"c1": 6})
    assert "suppressed" not in rig.said()
    assert rig.said()


@pytest.mark.parametrize("stopped_s", [100, 2000])
def test_a_lasting_shift_is_seen_though_the_asset_stood_still_while_settling(
    stopped_s: int,
) -> None:
    """Too small for the score; the level waits for samples, also longer than settling may last."""
    rig = Rig()
    rig.run(300)
    rig.context["cal"] = 1.0
    rig.run(30)
    rig.context |= {"cal": 0.0, "run": 0.0}
    rig.run(stopped_s)
    rig.context["run"] = 1.0
    rig.run(120, {"c1": 0.9})
    assert rig.said()[-1:] == ["ALERT"]


def test_waiting_for_a_level_excuses_nothing() -> None:
    """Settling is over as the scope row says; what comes in the time that only judges rings."""
    rig = Rig()
    rig.run(300)
    rig.context["cal"] = 1.0
    rig.run(30)
    rig.context |= {"cal": 0.0, "run": 0.0}
    rig.run(100)
    rig.context["run"] = 1.0
    rig.run(15, {"c1": 8})
    assert "suppressed" not in rig.said()


def test_nobody_waits_for_a_level_that_was_never_known() -> None:
    """A job in the first seconds has nothing to be compared with."""
    rig = Rig()
    rig.run(5)
    rig.context["cal"] = 1.0
    rig.run(30)
    rig.context["cal"] = 0.0
    rig.run(80)
    assert [run.stage for run in rig.runs] == [Stage.DONE]
