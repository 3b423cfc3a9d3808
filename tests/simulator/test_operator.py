"""The simulated operator: taps what is really done, late, and nothing twice."""

from __future__ import annotations

from typing import Any, Final

import msgspec
import pytest

from edge.recording import TimedMessage
from edge.records import Publish
from edge.truth import TrueJob, Truth
from kb.records import WorkKind
from simulator.operator import Habits, Operator

S: Final = 1_000_000_000
END: Final = 7200


def job(**change: Any) -> TrueJob:  # noqa: ANN401
    """A calibration of r1's flow from second 1000 to 1600."""
    true = TrueJob(
        job_id="j1",
        kind=WorkKind.CALIBRATION,
        asset="r1",
        instrument="flow",
        channels=("c1",),
        begin_ns=1000 * S,
        end_ns=1600 * S,
    )
    return msgspec.structs.replace(true, **change)


def listed(*proposals: dict[str, Any], jobs: tuple[dict[str, Any], ...] = ()) -> Publish:
    """A list of r1's jobs as the gateway publishes it."""
    body = {"asset": "r1", "ts_ms": 0, "jobs": jobs, "proposals": proposals}
    payload = msgspec.json.encode(body)
    return Publish(topic="andon/s/job/r1", payload=payload, qos=1, retain=True)


def proposal(name: str = "p1", **change: Any) -> dict[str, Any]:  # noqa: ANN401
    """A proposal of the calibration, without a time of its own."""
    return {
        "job_id": name, "kind": "calibration", "instrument": "", "state": "proposed",
        "valid_from_ms": None, "valid_to_ms": None, **change,
    }  # fmt: skip


def told(operator: Operator) -> list[tuple[int, str, dict[str, Any]]]:
    """Everything that he sends while a plant speaks every ten seconds: second, name, body."""
    plant = (TimedMessage(t_ns=t * S, topic="plant/r1", payload=b"") for t in range(0, END, 10))
    return [
        (m.t_ns // S, m.topic.rsplit("/", 1)[-1], msgspec.json.decode(m.payload))
        for m in operator.among(plant)
        if not m.topic.startswith("plant")
    ]


def operator(*jobs: TrueJob, **habits: Any) -> Operator:  # noqa: ANN401
    """An operator of one plant."""
    truth = Truth(begin_ns=0, end_ns=END * S, jobs=jobs)
    return Operator(truth=truth, site="s", seed=1, habits=Habits(delay_s=60.0, **habits))


@pytest.mark.parametrize(("seen", "tap"), [(900, 1060), (1200, 1260), (3000, 3060)])
def test_he_confirms_a_while_after_both_have_come(seen: int, tap: int) -> None:
    """The proposal and the work, whichever is later; and checks out a while after the work."""
    he = operator(job(), wrong_rate=0.0)
    he.saw(listed(proposal()), seen * S)
    sent = told(he)
    assert [(t, name) for t, name, _ in sent] == [
        (tap, "confirm"),
        (max(1600, tap) + 60, "job"),
    ]
    assert sent[0][2]["proposal_id"] == sent[1][2]["job_id"] == "p1"
    assert he.taps == {"p1": "j1"}


@pytest.mark.parametrize(
    "other",
    [{"kind": WorkKind.CLEANING}, {"asset": "r2"}, {"cancelled": True}, {"instrument": "arc"}],
)
def test_what_nobody_does_is_confirmed_at_the_stated_rate(other: dict[str, Any]) -> None:
    """Never at 0, always at 1, and then counted as wrong."""
    for rate, wrong in ((0.0, 0), (1.0, 1)):
        he = operator(job(**other), wrong_rate=rate)
        he.saw(listed(proposal(instrument="flow")), 1200 * S)
        told(he)
        assert (len(he.taps), he.wrong) == (wrong, wrong)


def test_one_job_is_confirmed_once_and_not_when_it_is_listed() -> None:
    """An order, a log line and a schedule speak of the same work."""
    he = operator(job(), wrong_rate=0.0)
    he.saw(listed(proposal("p1"), proposal("p2")), 1200 * S)
    assert [name for _, name, _ in told(he)] == ["confirm", "job"]
    known = operator(job(), wrong_rate=0.0)
    going_on = {"kind": "calibration", "instrument": "flow", "state": "open"}
    known.saw(listed(proposal("p1"), jobs=(going_on,)), 1200 * S)
    assert told(known) == []
    assert known.taps == {}
