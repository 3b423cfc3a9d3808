"""Overlapping jobs of the same work: an event is handed on, each keeps its fuse, no chain grows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from edge.records import SnapshotSwapped
from edge.storage.checkpoint import pack
from edge.work.jobs import Stage
from tests.edge.rig import START, Rig, S, knowledge, order, scope

if TYPE_CHECKING:
    from kb.records import Proposal, ScopeRow


def until(second: int, name: str = "wo-2", **change: Any) -> Proposal:  # noqa: ANN401
    """Another order of the same work, from second 300 to `second`."""
    return order(proposal_id=name, valid_to_ns=START + second * S, **change)


def two(*others: Proposal, **more: Any) -> Rig:  # noqa: ANN401
    """The order of the rig (300 to 420) beside others, quiet until second 310."""
    rig = Rig(known=knowledge(proposals=[order(), *others], **more))
    rig.run(310)
    return rig


def reasons(rig: Rig) -> list[str]:
    """Why each revision was made."""
    return [event["history"][-1]["reason"] for event in rig.events()]


@pytest.mark.parametrize("name", ["wo-0", "wo-2"])
def test_the_job_that_is_still_open_takes_over(name: str) -> None:
    """It was open before the event began; the alert keeps its id and says when it would ring."""
    rig = two(until(600, name))
    rig.run(250, {"c1": 6})
    rig.run(200)
    assert rig.said() == ["suppressed", "suppressed", "NORMAL"]
    assert [event["job_id"] for event in rig.events()] == ["wo-1", name, name]
    assert reasons(rig)[1] == f"handed over from wo-1 to {name}"
    opened, handed, _ = rig.events()
    assert opened["id"] == handed["id"]
    assert opened["rings_again_ms"] == (START + 480 * S) // 10**6
    assert handed["rings_again_ms"] == (START + 660 * S) // 10**6
    assert rig.audited() == ["suppressed", "handed_over", "suppression_over"]
    assert [run.stage for run in rig.runs] == [Stage.DONE, Stage.DONE]


def test_each_keeps_its_own_fuse() -> None:
    """What outlasts the last of them rings when that is over, and not a sample later."""
    rig = two(until(600))
    rig.run(500, {"c1": 6})
    assert rig.said() == ["suppressed", "suppressed", "ALERT"]
    assert rig.seconds(rig.events()[-1]) == pytest.approx(660, abs=1)
    assert rig.audited() == ["suppressed", "handed_over", "rang_again"]


def test_a_chain_of_jobs_told_while_it_goes_on_lengthens_nothing() -> None:
    """However many there are, and whoever tells them."""
    rig = two()
    said: list[str] = []
    for _ in range(6):
        rig.run(25, {"c1": 6})
        said.append(rig.said()[-1])
        body = {"asset": "r1", "kind": "calibration", "instrument": "x"}
        assert rig.command("job", action="check_in", **body)["done"]
    rig.run(60, {"c1": 6})
    assert set(said) == {"suppressed"}
    assert rig.said() == ["suppressed", "ALERT"]
    assert rig.seconds(rig.events()[-1]) == pytest.approx(480, abs=1)
    assert "handed_over" not in rig.audited()


@pytest.mark.parametrize(
    "change",
    [{"kind": "cleaning"}, {"instrument": "y"}, {"asset": "r11"}, {"approved": False}],
)
def test_other_work_takes_nothing_over(change: dict[str, Any]) -> None:
    """Nor work that nobody witnessed."""
    rig = two(until(600, **change))
    rig.run(250, {"c1": 6})
    assert rig.said() == ["suppressed", "ALERT"]


def test_what_a_cancelled_job_hid_rings_whatever_else_is_open() -> None:
    """Somebody said that it is no work."""
    rig = two(until(600))
    rig.run(30, {"c1": 6})
    rig.command("job", action="cancel", job_id="wo-1")
    rig.run(5, {"c1": 6})
    assert rig.said() == ["suppressed", "ALERT"]


@pytest.mark.parametrize("size", [3.0, 6.0])
def test_a_lasting_fault_is_not_lost_between_two_jobs(size: float) -> None:
    """It began under both: whichever is over last judges it."""
    rig = two(until(600))
    rig.run(500, {"c1": size})
    assert rig.said()[-1] == "ALERT"
    assert rig.seconds(rig.events()[-1]) <= 661


def test_a_fault_that_the_second_job_found_rings_when_the_first_is_over() -> None:
    """It cannot answer for what was there before it."""
    rig = Rig(known=knowledge(proposals=[order()]))
    rig.run(310)
    rig.run(60, {"c1": 6})
    rig.command("job", action="check_in", asset="r1", kind="calibration", instrument="x")
    rig.run(5)
    rig.run(200, {"c1": 6})
    assert rig.said()[-1] == "ALERT"
    assert rig.seconds(rig.events()[-1]) <= 481


def test_it_is_the_same_after_a_restart_and_under_another_cut() -> None:
    """Before, at and after the hand-over."""
    plain = two(until(600))
    plain.run(250, {"c1": 6})
    cut = two(until(600))
    for _ in range(10):
        cut.run(25, {"c1": 6}, step=1)
        cut.restart()
    assert [e["history"] for e in cut.events()] == [e["history"] for e in plain.events()]
    assert pack(cut.engine.state)


@pytest.mark.parametrize(
    "rows",
    [
        [scope(asset="r11")],
        [scope(channels=("c2",))],
        [scope(), scope(scope_id="s2", channels=(), recorded_at_ns=START + 340 * S)],
    ],
)
def test_a_scope_row_that_is_withdrawn_in_mid_job_hides_nothing_any_more(
    rows: list[ScopeRow],
) -> None:
    """Gone, narrowed or newly approved without the channel: what it hid rings at once."""
    rig = two()
    rig.run(30, {"c1": 6})
    assert rig.said() == ["suppressed"]
    rig.swapped["next"] = knowledge(proposals=[order()], scopes=rows, sha256="next")
    rig.give(SnapshotSwapped(snapshot_sha256="next"))
    rig.run(10, {"c1": 6})
    assert rig.said() == ["suppressed", "ALERT"]
    scope_clause = next(c for c in rig.events()[-1]["clauses"] if c["name"] == "scope")
    assert "narrowed or withdrawn" in scope_clause["detail"]


def test_a_scope_row_that_is_approved_again_or_widened_changes_nothing() -> None:
    """Wider than what the job opened with is of no use to it either."""
    rig = two()
    rig.run(30, {"c1": 6})
    wider = scope(scope_id="s2", channels=("c1", "c3"), recorded_at_ns=START + 330 * S)
    rig.swapped["next"] = knowledge(proposals=[order()], scopes=[wider], sha256="next")
    rig.give(SnapshotSwapped(snapshot_sha256="next"))
    rig.run(10, {"c1": 6})
    assert rig.said() == ["suppressed"]
    rig.run(10, {"c1": 6, "c3": 6})
    assert rig.said()[-1] == "ALERT"
