"""Escalation: once, a class of severity higher, and only what rings and nobody has seen."""

from __future__ import annotations

import json

import pytest

from tests.edge.rig import START, Rig, S, settings

STRANGE = {"c1": 12.0}
RESPOND_MIN = 3


def rig_of(*, severity: int = 500, escalate: bool = True) -> Rig:
    """A plant of which r1 has to be answered in three minutes."""
    r1 = {"respond_min": RESPOND_MIN, "severity": severity}
    return Rig(conf=settings(r1=r1, engine={"escalate": escalate}))


@pytest.mark.parametrize(
    ("severity", "then"), [(100, 400), (500, 600), (600, 800), (800, 800), (950, 950)]
)
def test_what_nobody_answers_rings_once_more_a_class_higher(severity: int, then: int) -> None:
    """At its time to respond after it rang, whatever the ticks."""
    rig = rig_of(severity=severity)
    rig.run(100)
    rig.run(900, STRANGE, step=7)
    events = rig.events()
    rang = next(event for event in events if event["active"])
    escalated = [event for event in events if event["severity_num"] != severity]
    if severity == then:
        escalated = [event for event in events if event["rings"] == 2]
    else:
        assert {event["severity_num"] for event in escalated} == {then}
    assert escalated[0]["ts_ms"] - rang["ts_ms"] == RESPOND_MIN * 60_000
    assert escalated[0]["rings"] == rang["rings"] + 1
    assert max(event["rings"] for event in events) == 2
    assert "not acknowledged in 3 min" in escalated[0]["history"][-1]["reason"]


def test_without_the_setting_nothing_escalates() -> None:
    """It is off until a plant asks for it."""
    rig = rig_of(escalate=False)
    rig.run(100)
    rig.run(600, STRANGE)
    assert {(event["severity_num"], event["rings"]) for event in rig.events()} == {(500, 1)}


def test_what_was_acknowledged_does_not_escalate() -> None:
    """Somebody is on it."""
    rig = rig_of()
    rig.run(100)
    rig.run(30, STRANGE)
    body = {"ts": (START + rig.at * S) // 1_000_000, "alert_id": rig.events()[-1]["id"]}
    rig.send("andon/s/cmd/anna/ack", json.dumps({**body, "reason": "on it"}).encode())
    rig.run(600, STRANGE)
    assert rig.events()[-1]["acked"] == 1
    assert {event["severity_num"] for event in rig.events()} == {500}


def test_an_escalation_is_there_after_a_restart() -> None:
    """It is neither forgotten nor rung twice."""
    whole, cut = rig_of(), rig_of()
    for rig in (whole, cut):
        rig.run(100)
        rig.run(120, STRANGE)
        if rig is cut:
            rig.restart()
        rig.run(120, STRANGE)
        if rig is cut:
            rig.restart()
        rig.run(120, STRANGE)
    assert [p.payload for p in whole.published] == [p.payload for p in cut.published]
    assert whole.events()[-1]["severity_num"] == 600
