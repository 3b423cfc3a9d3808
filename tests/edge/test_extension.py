"""Fuses: a person may lengthen a job, never without end; a stuck bit burns down and rings."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from edge.work.jobs import EXTENSIONS_MAX, Stage
from tests.edge.rig import START, Rig, S, knowledge, order, settings
from tests.edge.test_rulings import at_work


def listed(rig: Rig) -> dict[str, Any]:
    """The first job of r1 as the list shows it."""
    found = [m for m in rig.published if m.topic == "andon/s/job/r1"]
    job: dict[str, Any] = msgspec.json.decode(found[-1].payload)["jobs"][0]
    return job


@pytest.mark.not_counted
def test_an_extended_job_goes_on_and_its_new_fuse_rings() -> None:
    """The scope row gave ten minutes; a person adds twenty, and the alert says until when."""
    rig = at_work(Rig())
    rig.run(500, {"c1": 6})
    answer = rig.command("job", action="extend", job_id=rig.runs[0].job.job_id, minutes=20)
    assert answer["done"], answer
    rig.run(300, {"c1": 6})
    assert rig.events()[-1]["suppressed"] == 1
    assert rig.events()[-1]["rings_again_ms"] == rig.runs[0].fuse_end_ns // 10**6
    rig.run(1200, {"c1": 6})
    assert rig.said()[-1] == "ALERT"
    assert rig.seconds(rig.events()[-1]) == pytest.approx(800 + 1200, abs=1)
    (extension,) = listed(rig)["extensions"]
    assert extension["operator"] == "ann"
    assert extension["until_ms"] - extension["ts_ms"] == 20 * 60_000
    assert rig.audited() == ["suppressed", "extended", "rang_again"]


def test_an_order_that_is_extended_closes_and_settles_at_its_new_end() -> None:
    """It still ends as work ends, and not as a fuse."""
    rig = Rig(known=knowledge(proposals=[order()]))
    rig.run(310)
    until = (START + 1500 * S) // 10**6
    assert rig.command("job", action="extend", job_id="wo-1", valid_to=until)["done"]
    rig.run(1185)
    assert [run.stage for run in rig.runs] == [Stage.OPEN]
    rig.run(10)
    assert [run.stage for run in rig.runs] == [Stage.SETTLING]
    assert listed(rig)["valid_to_ms"] == until


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"minutes": 5, "valid_to": (START + 5000 * S) // 10**6},
        {"minutes": 1},
        {"valid_to": (START + 350 * S) // 10**6},
        {"minutes": 12 * 60},
        {"minutes": 100_000},
        {"valid_to": (START + 400 * 86_400 * S) // 10**6},
        {"minutes": 60, "job_id": "another"},
    ],
)
def test_what_is_no_extension_is_refused(body: dict[str, Any]) -> None:
    """No end, two ends, an earlier one, one beyond the hard bound, or another job's."""
    rig = at_work(Rig())
    rig.run(60)
    fuse_ns = rig.runs[0].fuse_end_ns
    body = {"job_id": rig.runs[0].job.job_id, **body}
    assert not rig.command("job", action="extend", **body)["done"]
    assert rig.runs[0].fuse_end_ns == fuse_ns
    assert rig.audited() == ["command_refused"], "somebody has tried"


@pytest.mark.parametrize("ended", ["scheduled", "settling", "done", "fuse due"])
def test_only_what_is_open_can_be_extended(ended: str) -> None:
    """Not before it opens, not after it closed, and not when its fuse should have burned."""
    planned = order(valid_from_ns=START + 9000 * S, valid_to_ns=START + 9100 * S)
    rig = Rig(known=knowledge(proposals=[planned] if ended == "scheduled" else []))
    if ended == "scheduled":
        rig.run(300)
    else:
        at_work(rig).run(30)
    job_id = rig.runs[0].job.job_id
    if ended in ("settling", "done"):
        rig.context["cal"] = 0.0
        rig.run(10 if ended == "settling" else 200)
    if ended == "fuse due":
        rig.at += 700  # nothing was taken meanwhile
    assert not rig.command("job", action="extend", job_id=job_id, minutes=60)["done"]


def test_extensions_add_up_to_the_bound_and_are_counted() -> None:
    """However small the steps."""
    conf = settings(engine={"fuse_extension_s_max": 3_600})
    rig = at_work(Rig(conf=conf))
    rig.run(10)
    job_id = rig.runs[0].job.job_id
    done = [
        rig.command("job", action="extend", job_id=job_id, minutes=11 + i)["done"]
        for i in range(EXTENSIONS_MAX + 3)
    ]
    assert sum(done) == EXTENSIONS_MAX
    assert rig.runs[0].fuse_end_ns <= START + (300 + 3_600) * S


@pytest.mark.not_counted
def test_a_bypass_bit_that_never_falls_burns_the_fuse_and_opens_nothing_more() -> None:
    """One job an edge: what comes under the stuck bit later rings."""
    rig = at_work(Rig())
    rig.run(100, {"c1": 6})
    assert rig.said() == ["suppressed"]
    rig.run(400)
    rig.run(200, {"c1": 6})
    assert rig.said()[-1] == "ALERT"
    rig.run(500)
    rig.run(30, {"c1": 8})
    assert rig.said()[-1] == "ALERT"
    assert [run.stage for run in rig.runs] == [Stage.DONE]
    assert len(rig.runs) == 1


@pytest.mark.not_counted
def test_an_extension_and_a_cancellation_hold_over_a_restart() -> None:
    """The checkpoint knows both; cancelled rings with the next sample."""
    rig = at_work(Rig())
    rig.run(30, {"c1": 6})
    job_id = rig.runs[0].job.job_id
    rig.command("job", action="extend", job_id=job_id, minutes=60, reason="second probe")
    rig.restart()
    rig.run(900, {"c1": 6})
    assert rig.events()[-1]["suppressed"] == 1
    rig.command("job", action="cancel", job_id=job_id)
    at = rig.at
    rig.restart()
    rig.run(2, {"c1": 6}, step=1)
    assert rig.said()[-1] == "ALERT"
    assert rig.seconds(rig.events()[-1]) <= at + 1
    assert rig.audited() == ["suppressed", "extended", "cancelled", "rang_again"]
