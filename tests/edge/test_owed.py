"""What a job kept quiet must be shown to be over: a level that nobody saw counts as away.

A burst in a job is suppressed and clears, and a shift stays to which the score has adapted, for the
channels here remember for long: only the level tells it from normal operation.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import numpy as np
import pytest
from scipy.signal import lfilter

from edge.records import SnapshotSwapped
from edge.verdicts.timeline import OWED_RUNS_MAX
from edge.work.jobs import Stage
from tests.edge import rig as rig_module
from tests.edge.rig import START, Rig, S, knowledge, order, scope

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

BURST = {"c1": 9.0}
STAYS = {"c1": 2.6}
ROW = scope(expected_effect=1.0, duration_s_max=900, settle_s=600)
MEMORY = 0.97  # lag-1 autocorrelation
CACHED = (rig_module.bundle, rig_module.detectors, rig_module.normal)


def slow(rows: int, *, seed: int) -> NDArray[np.float64]:
    """Normal operation whose channels wander slowly (rows, 4)."""
    noise = np.random.default_rng(seed).normal(size=(rows, 4))
    noise[:, 1:] += 0.15 * noise[:, :-1]
    course = lfilter([1.0], [1.0, -MEMORY], noise, axis=0)
    return np.asarray(course * np.geomspace(0.01, 50.0, 4) + np.linspace(-3.0, 400.0, 4))


@pytest.fixture(autouse=True, scope="module")
def _slow_plant() -> Iterator[None]:
    """The rig's plant and bundle, made of slow channels while this module runs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rig_module, "var", slow)
        for cached in CACHED:
            cached.cache_clear()
        yield
    for cached in CACHED:
        cached.cache_clear()


def worked(rig: Rig, left: dict[str, float]) -> None:
    """A calibration with a burst that is over before it, and what it leaves."""
    rig.context["cal"] = 1.0
    rig.run(20)
    rig.run(15, BURST)
    rig.run(400, left)
    rig.context["cal"] = 0.0
    rig.run(5, left)


def stand(rig: Rig, seconds: int, left: dict[str, float]) -> None:
    """The machine stands still."""
    rig.context["run"] = 0.0
    rig.run(seconds, left)
    rig.context["run"] = 1.0


@pytest.mark.parametrize(("before_s", "after_s"), [(0, 0), (500, 0), (0, 1000), (500, 1000)])
@pytest.mark.parametrize("left", [{}, STAYS], ids=["normal", "fault"])
@pytest.mark.not_counted
def test_a_stop_beside_the_work_neither_hides_what_stays_nor_makes_it_up(
    before_s: int, after_s: int, left: dict[str, float]
) -> None:
    """The level is taken from samples of running, however long the machine stood in between."""
    rig = Rig(known=knowledge(scopes=[ROW]))
    rig.run(700)
    stand(rig, before_s, {})
    rig.run(10)
    worked(rig, left)
    stand(rig, after_s, left)
    rig.run(640, left)
    assert rig.said()[:2] == ["suppressed", "NORMAL"]
    assert ("rang_again" in rig.audited()) is bool(left)


def test_while_it_is_owed_nothing_is_hidden_and_the_list_is_quiet() -> None:
    """A restart does not forget it, and a disturbance rings at once."""
    rig = Rig()
    rig.run(400)
    worked(rig, STAYS)
    stand(rig, 300, STAYS)
    assert [run.stage for run in rig.runs] == [Stage.OWED]
    (run,) = rig.runs
    assert not rig.command("job", action="check_out", job_id=run.job.job_id)["done"]
    lists = len([p for p in rig.published if p.topic == "andon/s/job/r1"])
    rig.restart()
    rig.context["run"] = 0.0
    rig.run(700, STAYS)
    assert len([p for p in rig.published if p.topic == "andon/s/job/r1"]) == lists
    rig.context["run"] = 1.0
    rig.run(60, BURST)
    assert rig.said()[-1] in ("ALERT", "ANNOTATED")


def test_few_jobs_wait_for_a_level_at_a_time() -> None:
    """A bit that flickers while the machine stands leaves room for work."""
    rig = Rig(known=knowledge(scopes=[scope(settle_s=1)]))
    rig.run(400)
    rig.context["run"] = 0.0
    for _ in range(2 * OWED_RUNS_MAX):
        rig.context["cal"] = 1.0
        rig.run(5)
        rig.context["cal"] = 0.0
        rig.run(60)
    stages = [run.stage for run in rig.runs]
    assert stages.count(Stage.OWED) == OWED_RUNS_MAX
    assert "rang_again" not in rig.audited(), "none of them has hidden anything"


def test_an_order_that_came_late_cannot_show_how_it_was_before() -> None:
    """Its begin is not in the history any more: what it hid rings when it is over."""
    late = order(valid_from_ns=START + 60 * S, valid_to_ns=START + 1900 * S)
    known = knowledge(proposals=[late], scopes=[scope(duration_s_max=3000)])
    rig = Rig(known=knowledge(scopes=[scope(duration_s_max=3000)]))
    rig.run(1500)
    rig.swapped["kb2"] = msgspec.structs.replace(known, sha256="kb2")
    rig.give(SnapshotSwapped(snapshot_sha256="kb2"))
    rig.run(20)
    rig.run(15, BURST)
    rig.run(700)
    assert rig.said()[:2] == ["suppressed", "NORMAL"]
    last = [event for event in rig.events() if event["active"]][-1]
    assert "could not be shown" in last["clauses"][0]["detail"]
