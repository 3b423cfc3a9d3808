"""The simulated operator: taps what is really done, late, and nothing twice."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec
import pytest

from edge.assessment.truth import TrueJob, Truth
from edge.recordings.recording import TimedMessage
from edge.records import Publish
from kb.records import WorkKind
from simulator.operator import Habits, Operator

if TYPE_CHECKING:
    from collections.abc import Iterator

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


@pytest.mark.parametrize(
    ("seen", "says", "tap"),
    [
        *[(1200, None, 1260), (3000, None, 3060)],
        *[(100, 1000, 160), (100, 1200, 160), (900, None, 960)],  # it tells the plan
        (500, 500, 560),  # it has begun, it says, and is about to
        *[(100, None, 1060), (100, 1300, 1060)],  # it does not: once the work has begun
    ],
)
def test_he_confirms_a_while_after_he_has_seen_what_is_right(
    seen: int, says: int | None, tap: int
) -> None:
    """With the begin once there is one; and checks out a while after the work."""
    he = operator(job(), wrong_rate=0.0)
    he.saw(listed(proposal(valid_from_ms=None if says is None else says * 1000)), seen * S)
    sent = told(he)
    assert [(t, name) for t, name, _ in sent] == [
        (tap, "confirm"),
        (max(1600, tap) + 60, "job"),
    ]
    assert sent[0][2]["proposal_id"] == sent[1][2]["job_id"] == "p1"
    assert sent[0][2].get("valid_from") == (1_000_000 if tap >= 1000 else None)
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
    going_on = {"kind": "calibration", "instrument": "flow", "state": "open", "job_id": "x"}
    known.saw(listed(proposal("p1"), jobs=(going_on,)), 1200 * S)
    assert told(known) == []
    assert known.taps == {}


def test_he_acknowledges_each_ring_once_and_looks_at_proposals_only_where_told_to() -> None:
    """Ten minutes after it rang; a recurrence is a ring of its own."""
    he = operator(job(), wrong_rate=0.0)
    he.confirms = False
    he.saw(listed(proposal()), 1200 * S)
    for second, count, state in (
        *((100, 1, "ACTIVE_UNACK"), (130, 1, "ACTIVE_UNACK"), (200, 1, "CLEARED_UNACK")),
        *((900, 2, "ACTIVE_UNACK"), (950, 3, "NORMAL")),
    ):
        body = msgspec.json.encode({"id": "a1", "count": count, "state": state})
        he.saw(Publish(topic="andon/s/event/r1", payload=body, qos=1, retain=False), second * S)
    assert [(t, name, body["alert_id"]) for t, name, body in told(he)] == [
        (700, "ack", "a1"),
        (1500, "ack", "a1"),
    ]


def test_work_that_takes_longer_than_its_job_is_extended_once() -> None:
    """A minute before the end that the list shows; not what he did not confirm."""
    he = operator(job(), wrong_rate=0.0)
    he.saw(listed(proposal()), 1000 * S)
    going_on = {
        "job_id": "p1", "kind": "calibration", "instrument": "flow", "state": "open",
        "valid_to_ms": None, "fuse_ms": 1_500_000,
    }  # fmt: skip
    other = {**going_on, "job_id": "p9"}
    sent: list[tuple[int, str, Any]] = []
    for t, name, body in _told_and_shown(he, 1100, listed(jobs=(going_on, other))):
        sent.append((t, body.get("action", name), body.get("valid_to")))
    assert sent == [(1060, "confirm", None), (1440, "extend", 1_720_000), (1660, "check_out", None)]


def _told_and_shown(
    he: Operator, second: int, shown: Publish
) -> list[tuple[int, str, dict[str, Any]]]:
    """What he sends, where the list is published twice from a second on."""

    def plant() -> Iterator[TimedMessage]:
        for t in range(0, END, 10):
            if t in (second, second + 10):
                he.saw(shown, t * S)
            yield TimedMessage(t_ns=t * S, topic="plant/r1", payload=b"")

    return [
        (m.t_ns // S, m.topic.rsplit("/", 1)[-1], msgspec.json.decode(m.payload))
        for m in he.among(plant())
        if not m.topic.startswith("plant")
    ]
