"""Queries: what has moved is asked about, in words of the plant, and nothing else."""

from __future__ import annotations

from typing import Any

import msgspec

from edge.alerts.alerts import AlertRecord, Contribution, Resemblance
from edge.alerts.query import query_of
from edge.records import Track
from kb.records import Sensor
from tests.edge.rig import QUOTE


def part(channel: str, share: float, direction: str = "within", **more: Any) -> Contribution:  # noqa: ANN401
    """One contribution."""
    usual = {"unit": "", "value": 1.0, "usual_low": 0.0, "usual_high": 2.0}
    return Contribution(channel=channel, share=share, direction=direction, **{**usual, **more})


def record(*parts: Contribution, **change: Any) -> AlertRecord:  # noqa: ANN401
    """A process anomaly of r1."""
    one = AlertRecord(asset="r1", track=Track.PROCESS, klass="process anomaly")
    one.contributions = parts
    for name, value in change.items():
        setattr(one, name, value)
    return one


def sensor(asset: str, *aliases: str) -> Sensor:
    """A row of a sensor schema about the flow."""
    return Sensor(
        asset=asset, channel="Flow", unit="l", low=None, high=None, aliases=aliases, citation=QUOTE
    )


def test_a_bystander_that_has_not_moved_is_not_asked_about() -> None:
    """A share alone blurs the question; a move, however small its share, sharpens it."""
    near, moved = part("Feed", 0.2, shift=0.2), part("Pressure", 0.03, shift=-1.5)
    text = query_of(record(part("Flow", 0.7, "low"), near, moved)).text
    assert "Flow too low; Pressure too low;" in text
    assert "Feed" not in text


def test_the_first_channel_is_always_asked_about() -> None:
    """Even where nobody knows which way it went; alone, that is said."""
    query = query_of(record(part("Flow", 0.7)))
    assert query.text.startswith("process anomaly: Flow drifts; one channel alone")
    assert query.asset == "r1"
    assert query_of(record()).text.startswith("process anomaly: ")


def test_what_stands_still_is_asked_about_as_a_dead_sensor() -> None:
    """At one value, or at exactly zero."""
    assert "frozen" in query_of(record(part("Flow", 1.0, "low", flat=True))).text
    assert "reads zero" in query_of(record(part("Flow", 1.0, "low", flat=True, value=0.0))).text


def test_names_that_people_use_join_the_question() -> None:
    """Of exactly this asset or of all; plain, few, and short."""
    rows = [
        sensor("r1", "gas\x1b[2J flow"),
        sensor("r2", "spindle load"),
        sensor("", "cup flow", "third"),
    ]
    text = query_of(record(part("Flow", 1.0, "low")), sensors=rows).text
    assert "gas[2J flow; cup flow" in text
    assert "spindle" not in text
    assert "third" not in text


def test_the_failure_mode_that_fits_best_joins_the_question() -> None:
    """If it fits well."""
    mode = Resemblance(
        kind="failure_mode", mode_id="m", name="Gas lost", score=0.8, reason="", cause="Regulator"
    )
    alert = record(part("Flow", 1.0, "low"), resembles=(mode,))
    assert "Gas lost; Regulator" in query_of(alert).text
    alert.resembles = (msgspec.structs.replace(mode, score=0.3),)
    assert "Gas lost" not in query_of(alert).text
