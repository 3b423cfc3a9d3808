"""Silence by hand: shelved for a bounded time, or out of service; detection goes on."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tests.edge.rig import START, Rig, S, settings

SHELVE = {"asset": "r1", "minutes": 10, "reason": "tip is being changed"}
OUT = {"asset": "r1", "minutes": 10, "reason": "gearbox out", "owner": "Maintenance B"}


def flags(rig: Rig, track: str = "process") -> tuple[int, int, int, int]:
    """Rings, shelved, out of service, and their summary, as last said."""
    event = rig.events(track=track)[-1]
    return (
        event["active"],
        event["shelved"],
        event["out_of_service"],
        event["suppressed_or_shelved"],
    )


def listed(rig: Rig) -> list[dict[str, Any]]:
    """What the job list says of silences."""
    found = [m for m in rig.published if m.topic == "andon/s/job/r1"]
    silences: list[dict[str, Any]] = msgspec.json.decode(found[-1].payload)["silences"]
    return silences


@pytest.mark.parametrize(
    ("name", "body", "expected"),
    [("shelve", SHELVE, (0, 1, 0, 1)), ("oos", OUT, (0, 0, 1, 1))],
)
def test_what_is_silenced_is_listed_and_does_not_ring(
    name: str, body: dict[str, Any], expected: tuple[int, ...]
) -> None:
    """Its state goes on; ten minutes later what is still there rings by itself."""
    rig = Rig()
    rig.run(100)
    assert rig.command(name, **body)["done"]
    rig.run(100)
    rig.run(30, {"c1": 8})
    assert flags(rig) == expected
    assert rig.events()[-1]["state"] == "ACTIVE_UNACK"
    assert rig.events()[-1]["decision"] == "ALERT"
    (silence,) = listed(rig)
    assert silence["operator"] == "ann"
    assert silence["owner"] == body.get("owner", "ann")
    assert silence["end_ms"] - silence["begin_ms"] == 600_000
    rig.run(480, {"c1": 8})
    assert flags(rig) == (1, 0, 0, 0)
    assert rig.seconds(rig.events()[-1]) == pytest.approx(699.75)
    assert listed(rig) == []


def test_what_rings_already_falls_silent_and_an_acknowledged_one_rings_again() -> None:
    """ISA-18.2: after the shelf an active alert is news."""
    rig = Rig()
    rig.run(300)
    rig.run(10, {"c1": 8})
    alert_id = rig.events()[-1]["id"]
    rig.command("ack", alert_id=alert_id)
    assert rig.command("shelve", alert_id=alert_id, minutes=1, reason="known")["done"]
    rig.run(5, {"c1": 8})
    assert flags(rig) == (0, 1, 0, 1)
    assert rig.events()[-1]["state"] == "ACTIVE_ACK"
    rig.run(60, {"c1": 8})
    assert flags(rig) == (1, 0, 0, 0)
    assert rig.events()[-1]["state"] == "ACTIVE_UNACK"
    assert rig.audited() == ["acknowledged", "shelved", "unshelved"]
    assert len({event["id"] for event in rig.events()}) == 1


def test_a_shelf_of_one_track_silences_no_other() -> None:
    """A noisy sensor hides no process anomaly, and r1 not r11."""
    rig = Rig()
    rig.run(100)
    rig.command("shelve", **SHELVE, track="sensor")
    rig.run(100, stuck=["c3"])
    rig.run(30, {"c1": 8}, other={"c1": 8})
    assert flags(rig, "sensor") == (0, 1, 0, 1)
    assert flags(rig)[0] == 1
    assert rig.said("r11") == ["ALERT"]


def test_unshelving_and_coming_back_in_end_it_at_once() -> None:
    """Each ends its own kind; what both silence rings when the second ends."""
    rig = Rig()
    rig.run(300)
    rig.command("shelve", **SHELVE)
    rig.command("oos", **OUT)
    rig.run(20, {"c1": 8})
    assert flags(rig) == (0, 1, 1, 1)
    assert rig.command("shelve", action="unshelve", asset="r1")["done"]
    rig.run(2, {"c1": 8})
    assert flags(rig) == (0, 0, 1, 1)
    assert rig.command("oos", action="in", asset="r1")["done"]
    rig.run(2, {"c1": 8})
    assert flags(rig) == (1, 0, 0, 0)
    assert not rig.command("oos", action="in", asset="r1")["done"]
    assert not rig.command("shelve", action="unshelve", asset="r1")["done"]
    assert rig.audited() == ["shelved", "out_of_service", "unshelved", "in_service"]


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("shelve", {**SHELVE, "reason": " "}),
        ("shelve", {"asset": "r1", "reason": "no end"}),
        ("shelve", {**SHELVE, "until": (START + 900 * S) // 10**6}),
        ("shelve", {**SHELVE, "minutes": 481}),
        ("shelve", {**SHELVE, "asset": "r9"}),
        ("shelve", {**SHELVE, "asset": ""}),
        ("shelve", {"alert_id": "r1-process-x", "minutes": 5, "reason": "r"}),
        ("shelve", {"asset": "r1", "reason": "past", "until": START // 10**6}),
        ("oos", {**OUT, "asset": "r9"}),
        ("oos", {"asset": "r1", "reason": "no end"}),
        ("oos", {**OUT, "reason": ""}),
        ("oos", {**OUT, "minutes": 7 * 24 * 60 + 1}),
    ],
)
def test_a_silence_needs_a_reason_an_end_and_something_to_silence(
    name: str, body: dict[str, Any]
) -> None:
    """Nothing is silenced for ever, by nobody, for nothing."""
    rig = Rig()
    rig.run(300)
    answer = rig.command(name, **body)
    assert not answer["done"]
    assert answer["detail"]
    rig.run(10, {"c1": 8})
    assert flags(rig)[0] == 1
    assert rig.audited() == ["command_refused"], "somebody has tried"


def test_a_new_end_replaces_the_old_one() -> None:
    """There is never more than one silence of a kind and track; a shorter one counts too."""
    rig = Rig()
    rig.run(300)
    for minutes in (60, 30, 1):
        rig.command("shelve", asset="r1", minutes=minutes, reason="again")
    rig.run(50, {"c1": 8})
    assert len(listed(rig)) == 1
    rig.run(20, {"c1": 8})
    assert flags(rig) == (1, 0, 0, 0)


def test_silenced_and_suppressed_are_two_things() -> None:
    """A job's suppression stays listed as one, and its fuse still rings after the shelf."""
    rig = Rig()
    rig.run(300)
    rig.context["cal"] = 1.0
    rig.command("shelve", **SHELVE)
    rig.run(30, {"c1": 6})
    assert (flags(rig), rig.events()[-1]["suppressed"]) == ((0, 1, 0, 1), 1)
    rig.run(680, {"c1": 6})
    assert rig.events()[-1]["active"] == 1


def test_silence_holds_over_a_restart_and_ends_though_nothing_comes() -> None:
    """The checkpoint knows it, and the clock alone ends it."""
    rig = Rig(conf=settings(engine={"comms_gap_s": 3600}))
    rig.run(300)
    rig.command("shelve", asset="r1", minutes=1, reason="r")
    rig.run(20, {"c1": 8})
    rig.restart()
    rig.run(10, {"c1": 8})
    assert flags(rig) == (0, 1, 0, 1)
    rig.run(40, silent=["r1"])
    assert flags(rig) == (1, 0, 0, 0)


def test_what_clears_while_silenced_waits_for_nobody_to_ring() -> None:
    """It is listed as cleared and not acknowledged, before and after."""
    rig = Rig()
    rig.run(300)
    rig.command("shelve", **SHELVE)
    rig.run(10, {"c1": 8})
    rig.run(700)
    assert [event["active"] for event in rig.events()] == [0, 0, 0]
    assert rig.events()[-1]["state"] == "CLEARED_UNACK"


def test_what_is_unshelved_in_the_same_moment_leaves_both_lines() -> None:
    """A person's word is never only half of it in the trail."""
    rig = Rig()
    rig.run(50)
    assert rig.command("shelve", **SHELVE)["done"]
    assert rig.command("shelve", action="unshelve", asset="r1")["done"]
    rig.run(30)
    assert rig.audited() == ["shelved", "unshelved"]
    assert listed(rig) == []
