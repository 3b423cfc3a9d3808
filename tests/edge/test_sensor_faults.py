"""Sensor faults through the whole engine: what the alert says, and that the others stay watched."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest

from edge.alerts.alerts import Contribution
from edge.alerts.explain import describe
from edge.samples.sensor_faults import DIRECTIONS, SENSOR_CLASSES
from tests.edge.rig import START, Rig, S

if TYPE_CHECKING:
    from typing import Any

STUCK_S: Final = 200  # second at which a channel begins to stand still


def stuck_rig(seconds: int = 100, **more: Any) -> Rig:  # noqa: ANN401
    """A plant of which c2 stands still from second 200 on."""
    rig = Rig()
    rig.run(STUCK_S)
    rig.run(seconds, stuck=["c2"], **more)
    return rig


def test_a_stuck_sensor_says_what_where_and_since_when() -> None:
    """The class in the flat payload, the value with its unit, and when it began."""
    rig = stuck_rig()
    (event,) = rig.events(track="sensor")[:1]
    assert event["sensor_class"] == "stuck"
    assert event["top_channel"] == "c2"
    assert "has been frozen at" in event["message"]
    assert event["message"].endswith("bar since 2025-10-09 08:56:40Z")


def test_what_is_not_of_the_sensor_track_has_no_sensor_class() -> None:
    """The field is empty elsewhere."""
    rig = Rig()
    rig.run(STUCK_S)
    rig.run(60, {"c1": 8})
    assert {event["sensor_class"] for event in rig.events()} == {""}


def test_a_stuck_sensor_does_not_blind_the_others() -> None:
    """Another channel that moves while one stands still rings on the process track at once."""
    rig = stuck_rig(200)
    before = rig.events()
    assert rig.said(track="sensor")[-1] == "ALERT"
    rig.run(40, {"c1": 8}, stuck=["c2"])
    event = next(e for e in rig.events()[len(before) :] if e["active"])
    assert event["top_channel"] == "c1"
    shares = {part["channel"]: part["share"] for part in event["contributions"]}
    assert "c2" not in shares
    assert shares["c1"] > 0.5


def test_what_was_called_stuck_is_out_of_the_score_until_it_moves() -> None:
    """It rings on its own track only, clears there when it moves, and is scored again then."""
    rig = stuck_rig(300)
    assert not [e for e in rig.events() if e["ts_ms"] * 1_000_000 > START + (STUCK_S + 130) * S]
    rig.run(60)
    assert rig.said(track="sensor")[-1].startswith("CLEARED")
    rig.run(40, {"c2": 8})
    assert rig.said()[-1] == "ALERT"
    assert rig.events()[-1]["top_channel"] == "c2"


def test_a_source_that_repeats_itself_is_called_so() -> None:
    """Every value of the asset with ever new time stamps: one alert, and no score."""
    rig = Rig()
    rig.run(STUCK_S)
    rig.run(100, stuck=["c0", "c1", "c2", "c3"])
    event = rig.events(track="sensor")[0]
    assert event["sensor_class"] == "stale_clock"
    assert {part["direction"] for part in event["contributions"]} == {"stale"}
    assert len(event["contributions"]) == 4
    assert "r1" in rig.engine.blind()
    assert "r11" not in rig.engine.blind()


@pytest.mark.parametrize("cut", [1, 7, 40])
def test_however_the_stream_is_cut_the_alerts_are_the_same(cut: int) -> None:
    """Sensor and process, with a channel that goes out of the score and comes back."""

    def story(step: int) -> list[tuple[str, str, str, int]]:
        rig = Rig()
        rig.run(STUCK_S, step=step)
        rig.run(120, stuck=["c2"], step=step)
        rig.run(80, {"c1": 8}, stuck=["c2"], step=step)
        rig.run(160, step=step)
        events = rig.events() + rig.events(track="sensor")
        return [(e["track"], e["state"], e["top_channel"], e["begin_ms"]) for e in events]

    assert story(cut) == story(5)


def test_every_direction_has_words_in_engineering_units() -> None:
    """What an operator reads: the channel, a value with its unit, and what is usual."""
    texts = {
        name: describe(
            Contribution(
                channel="gas flow", unit="l/min", share=1.0, value=0.02, usual_low=0.3,
                usual_high=0.5, direction=name, partner="gas flow B",
            )
        )
        for _, name in DIRECTIONS
    }  # fmt: skip
    assert set(texts) == set(SENSOR_CLASSES)
    assert texts["noise_low"] == (
        "noise of gas flow fell to 0.02 l/min, usual 0.3 to 0.5 l/min: the transmitter may be"
        " frozen, or its filter set otherwise"
    )
    assert texts["drift"].startswith("gas flow differs from gas flow B by 0.02 l/min, usual 0.3")
    assert len(set(texts.values())) == len(texts)
