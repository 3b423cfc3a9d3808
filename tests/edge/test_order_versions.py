"""Orders are told more than once: planned work follows the newest word, open work never grows.

The order of the rig is approved for seconds 300 to 420 and recorded at second 0; a disturbance of 6
sigmas on its channel tells whether it hides anything.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from edge.caps import EDGES_MAX, EDGES_S
from edge.records import SnapshotSwapped
from edge.work.jobs import DONE_RUNS_MAX, Stage
from tests.edge.rig import START, Rig, S, knowledge, order, scope

if TYPE_CHECKING:
    from kb.records import ScopeRow

LATER = {"valid_from_ns": START + 600 * S, "valid_to_ns": START + 700 * S}


def told_again(at_s: int, **change: Any) -> Rig:  # noqa: ANN401
    """A gateway that hears of the order at once, and of a second version at second `at_s`."""
    second = order(recorded_at_ns=START + at_s * S, **change)
    return Rig(known=knowledge(proposals=[order(), second]))


def stages(rig: Rig) -> list[Stage]:
    """Where the jobs of r1 stand."""
    return [run.stage for run in rig.runs]


def test_work_that_was_moved_before_it_began_hides_at_its_new_time_only() -> None:
    """The old hour rings."""
    rig = told_again(100, **LATER)
    rig.run(310)
    rig.run(30, {"c1": 6})
    assert rig.said()[-1] != "suppressed"
    assert stages(rig) == [Stage.SCHEDULED]
    rig.run(280)
    rig.run(30, {"c1": 6})
    assert rig.said()[-1] == "suppressed"


@pytest.mark.parametrize("change", [{"approved": False}, {"real_times": False}, LATER])
def test_open_work_that_is_no_witness_any_more_stops_hiding_at_once(change: dict[str, Any]) -> None:
    """Approval withdrawn, times that nobody kept, another day: what it hid rings."""
    rig = told_again(350, **change)
    rig.run(310)
    rig.run(35, {"c1": 6})
    assert rig.said() == ["suppressed"]
    rig.run(15, {"c1": 6})
    assert rig.said()[-1] == "ALERT"
    assert stages(rig) == [Stage.DONE]


def test_planned_work_that_is_no_witness_any_more_never_opens() -> None:
    """It is only a proposal then."""
    rig = told_again(200, approved=False)
    rig.run(330)
    assert rig.runs == []


def test_open_work_is_cut_short_but_never_lengthened() -> None:
    """Its end is the earliest that any word named."""
    shorter = told_again(330, valid_to_ns=START + 360 * S)
    shorter.run(370)
    assert stages(shorter) == [Stage.SETTLING]
    longer = told_again(330, valid_to_ns=START + 900 * S)
    longer.run(430)
    assert stages(longer) == [Stage.SETTLING]


def test_an_older_word_that_comes_later_changes_nothing() -> None:
    """Each snapshot tells every version again, the first ones too."""
    texts = [
        order(),
        order(cancelled=True, recorded_at_ns=START + 50 * S),
        order(recorded_at_ns=START + 100 * S, **LATER),
    ]
    rig = Rig(known=knowledge(proposals=texts[2:]))
    rig.swapped["kb2"] = knowledge(proposals=texts, sha256="kb2")
    rig.run(200)
    before = [run.job for run in rig.runs]
    rig.give(SnapshotSwapped(snapshot_sha256="kb2"))
    rig.run(20)
    assert [run.job for run in rig.runs] == before


def test_what_a_person_confirmed_stands_until_it_is_cancelled() -> None:
    """A version without approval does not undo a person's word; a cancellation does."""
    texts = [order(approved=False), order(approved=False, recorded_at_ns=START + 250 * S)]
    rig = Rig(
        known=knowledge(proposals=[*texts, order(cancelled=True, recorded_at_ns=START + 340 * S)])
    )
    rig.run(200)
    assert rig.command("confirm", proposal_id="wo-1")["done"]
    rig.run(120)
    assert stages(rig) == [Stage.OPEN]
    rig.run(30)
    assert stages(rig) == [Stage.DONE]


def test_a_restart_with_another_snapshot_reads_its_orders_from_the_first() -> None:
    """A cancellation that was entered late, with an early date, is not passed over."""
    rig = Rig(
        known=knowledge(proposals=[order(), order(proposal_id="wo-2", recorded_at_ns=START + S)])
    )
    rig.run(200)
    rig.known = knowledge(
        proposals=[order(), order(cancelled=True, recorded_at_ns=START + S // 2)], sha256="kb2"
    )
    rig.restart()
    rig.run(10)
    assert {run.job.job_id: run.stage for run in rig.runs}["wo-1"] is Stage.DONE


def test_a_check_out_ends_work_that_an_order_lengthened() -> None:
    """The earliest end that anybody named, whoever spoke first."""
    rig = told_again(310, valid_to_ns=START + 900 * S)
    rig.run(330)
    assert rig.command("job", action="check_out", job_id="wo-1")["done"]
    rig.run(10)
    assert stages(rig) == [Stage.SETTLING]


@pytest.mark.parametrize("later", [scope(channels=("c3",), recorded_at_ns=START + 100 * S), None])
def test_what_work_may_disturb_is_what_stands_when_it_opens(later: ScopeRow | None) -> None:
    """A scope that was narrowed or withdrawn after the order was read hides nothing any more."""
    rig = Rig(known=knowledge(proposals=[order()]))
    rig.run(200)
    rows = [scope(), later] if later else [scope(asset="r11")]
    rig.swapped["kb2"] = knowledge(proposals=[order()], scopes=rows, sha256="kb2")
    rig.give(SnapshotSwapped(snapshot_sha256="kb2"))
    rig.run(120)
    assert stages(rig) == [Stage.OPEN]
    rig.run(30, {"c1": 6})
    assert "suppressed" not in rig.said()


def test_orders_leave_room_for_people_and_signals() -> None:
    """A year planned ahead does not shut out whoever stands at the machine."""
    ahead = [
        order(
            proposal_id=f"wo-{i}",
            valid_from_ns=START + (9000 + 100 * i) * S,
            valid_to_ns=START + (9050 + 100 * i) * S,
        )
        for i in range(300)
    ]
    rig = Rig(known=knowledge(proposals=ahead))
    rig.run(20)
    assert rig.engine.counts()["orders_refused"] == 100
    assert rig.command("job", action="check_in", asset="r1", kind="calibration", instrument="x")[
        "done"
    ]


def test_a_list_of_proposals_is_short_whatever_the_past_was() -> None:
    """Ten years of orders, one of them for today."""
    old = [
        order(
            proposal_id=f"old-{i}",
            approved=False,
            valid_from_ns=START - (90_000 + i) * S,
            valid_to_ns=START - (89_000 + i) * S,
        )
        for i in range(500)
    ]
    rig = Rig(known=knowledge(proposals=[*old, order(approved=False)]))
    rig.run(10)
    lists = [sent for sent in rig.published if sent.topic == "andon/s/job/r1"]
    listed = msgspec.json.decode(lists[-1].payload)
    assert [job["job_id"] for job in listed["proposals"]] == ["wo-1"]


@pytest.mark.parametrize("change", [{"cancelled": True}, {"approved": False}])
def test_of_two_words_of_one_moment_the_one_that_withdraws_counts(change: dict[str, Any]) -> None:
    """A column that holds when the order was made does not change when it is called off."""
    rig = Rig(known=knowledge(proposals=[order()]))
    rig.swapped["kb2"] = knowledge(proposals=[order(**change)], sha256="kb2")
    rig.run(200)
    rig.give(SnapshotSwapped(snapshot_sha256="kb2"))
    rig.run(120)
    rig.run(30, {"c1": 6})
    assert "suppressed" not in rig.said()


def test_called_off_and_planned_anew_it_opens_at_its_new_time() -> None:
    """All three words come in one snapshot; the newest counts."""
    texts = [
        order(),
        order(cancelled=True, recorded_at_ns=START + 30 * S),
        order(recorded_at_ns=START + 60 * S, **LATER),
    ]
    rig = Rig(known=knowledge(proposals=texts))
    rig.run(310)
    assert stages(rig) == [Stage.SCHEDULED]
    rig.run(300)
    rig.run(30, {"c1": 6})
    assert rig.said()[-1] == "suppressed"


def crowd_out(rig: Rig) -> None:
    """So many short jobs that whatever is over is not listed any more; as fast as edges count."""
    rig.run(5)
    for _ in range(DONE_RUNS_MAX + 4):  # the last few settle
        rig.context["cal"] = 1.0
        rig.run(1, step=1)
        rig.context["cal"] = 0.0
        rig.run(EDGES_S // EDGES_MAX, step=1)


@pytest.mark.parametrize(("action", "at_s"), [("cancel", 100), ("check_out", 320)])
@pytest.mark.not_counted
def test_an_order_that_was_ended_stays_so_however_much_happens_since(
    action: str, at_s: int
) -> None:
    """Each snapshot tells it again, and of what is over only the newest few are listed."""
    late = order(valid_to_ns=START + 900 * S)
    rig = Rig(known=knowledge(proposals=[late], scopes=[scope(settle_s=1)]))
    rig.swapped["kb2"] = knowledge(proposals=[late], scopes=[scope(settle_s=1)], sha256="kb2")
    rig.run(at_s)
    assert rig.command("job", action=action, job_id="wo-1")["done"]
    crowd_out(rig)
    rig.run(20)
    assert "wo-1" not in {run.job.job_id for run in rig.runs}
    rig.restart()
    rig.give(SnapshotSwapped(snapshot_sha256="kb2"))
    rig.run(600 - rig.at)
    rig.run(30, {"c1": 6})
    assert rig.said() == ["ANNOTATED"]


def test_an_order_that_was_ended_counts_again_with_a_newer_word() -> None:
    """Somebody planned it anew; and what is over for good is not kept in mind."""
    anew = order(recorded_at_ns=START + 500 * S, **LATER)
    rig = Rig(known=knowledge(proposals=[order()], scopes=[scope(settle_s=1)]))
    rig.swapped["kb2"] = knowledge(proposals=[order(), anew], sha256="kb2")
    rig.run(100)
    assert rig.command("job", action="cancel", job_id="wo-1")["done"]
    crowd_out(rig)
    rig.run(510 - rig.at)
    rig.give(SnapshotSwapped(snapshot_sha256="kb2"))
    rig.run(620 - rig.at)
    rig.run(30, {"c1": 6})
    assert rig.said() == ["suppressed"]
