"""What rings already gets worse: another channel carries twice the score, and it rings again."""

from __future__ import annotations

from typing import Any

import pytest

from tests.edge.rig import Rig, knowledge

WEAK, LARGE = 5.0, 20.0


def ringing(*, known: Any = None, channel: str = "c0") -> Rig:  # noqa: ANN401
    """r1 rings for a small disturbance of one channel, which goes on."""
    rig = Rig(known=known)
    rig.run(300)
    rig.run(30, {channel: WEAK})
    assert rig.events()[-1]["rings"] == 1
    return rig


@pytest.mark.parametrize("acknowledged", [False, True])
def test_another_channel_with_a_larger_disturbance_rings_again(*, acknowledged: bool) -> None:
    """With its own words, once, whoever acknowledged the first; the id and the event stay."""
    rig = ringing()
    first = rig.events()[-1]
    if acknowledged:
        rig.command("ack", alert_id=first["id"])
    rig.run(60, {"c0": WEAK, "c3": LARGE})
    told = [event for event in rig.events() if event["rings"] == 2]
    assert {event["state"] for event in told} == {"ACTIVE_UNACK"}
    assert told[0]["top_channel"] == "c3"
    assert "c3" in told[0]["message"]
    assert (told[0]["id"], told[0]["count"]) == (first["id"], first["count"])
    assert told[0]["decision"] == first["decision"]
    assert max(event["rings"] for event in rig.events()) == 2


def test_the_same_channel_or_a_small_addition_does_not() -> None:
    """What was said still stands."""
    for more in ({"c0": LARGE}, {"c0": WEAK, "c3": 0.5}):
        rig = ringing()
        rig.run(60, more)
        assert max(event["rings"] for event in rig.events()) == 1


def test_what_open_work_may_disturb_is_no_news() -> None:
    """It began before the work; what the work does to its own channel is expected."""
    rig = ringing(known=knowledge())
    rig.command("job", action="check_in", asset="r1", kind="calibration", instrument="x")
    rig.run(60, {"c0": WEAK, "c1": LARGE})
    assert max(event["rings"] for event in rig.events()) == 1


def test_a_suppressed_event_is_not_told() -> None:
    """The decision alone brings it back."""
    rig = Rig(known=knowledge())
    rig.run(300)
    rig.command("job", action="check_in", asset="r1", kind="calibration", instrument="x")
    rig.run(5)
    rig.run(30, {"c1": WEAK})
    rig.run(60, {"c1": LARGE})
    assert {event["rings"] for event in rig.events()} == {0}
