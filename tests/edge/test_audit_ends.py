"""Every suppression that the audit trail tells of has an end there, loud or quiet."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from edge.records import Audited
from tests.edge.rig import Rig, knowledge, order, settings

if TYPE_CHECKING:
    from collections.abc import Callable

ENDS = ("rang_again", "suppression_over")


def at_work(**engine: int) -> Rig:
    """Five quiet minutes, then a calibration that an order tells."""
    rig = Rig(known=knowledge(proposals=[order()]), conf=settings(engine=engine))
    rig.run(305)
    return rig


def by_itself(rig: Rig) -> None:
    """The condition goes while the job is open; the smoothed score forgets it."""
    rig.run(20, {"c1": 8})
    rig.run(85)


def with_the_job(rig: Rig) -> None:
    """It is judged when the job has settled."""
    rig.run(120, {"c1": 8})
    rig.run(120)


def stuck(rig: Rig) -> None:
    """A channel stands still for a while, which is an event of its own track."""
    rig.run(85, stuck=["c1"])
    rig.run(20)


def lasting(rig: Rig) -> None:
    """It outlasts the job."""
    rig.run(300, {"c1": 8})


def cancelled(rig: Rig) -> None:
    """What had cleared is told; the job says nothing any more."""
    rig.run(60, {"c1": 8})
    assert rig.command("job", action="cancel", job_id="wo-1")["done"]
    rig.run(100)


@pytest.mark.parametrize(
    ("story", "ends"),
    [
        (by_itself, "suppression_over"),
        (with_the_job, "suppression_over"),
        (stuck, "suppression_over"),
        (lasting, "rang_again"),
        (cancelled, "rang_again"),
    ],
)
def test_each_suppression_ends_in_the_trail(story: Callable[[Rig], None], ends: str) -> None:
    """One line for its begin and one for its end, of the same alert and job, in that order."""
    rig = at_work(clear_samples=5)
    story(rig)
    lines = [e for e in rig.effects if isinstance(e, Audited)]
    begun = [e.facts["alert_id"] for e in lines if e.what == "suppressed"]
    over = [e.facts["alert_id"] for e in lines if e.what in ENDS]
    assert begun
    assert over == begun
    (end,) = {e.what for e in lines if e.what in ENDS}
    assert end == ends
    assert all(e.facts["job_id"] == "wo-1" for e in lines if e.what in ENDS)
    assert all(e.facts["detail"] for e in lines if e.what in ENDS)
