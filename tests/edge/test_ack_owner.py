"""Acknowledgements that are the SCADA's: two states, no `ack`, ids that follow the events."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pytest

from edge.configuration.config import load
from edge.errors import ConfigError
from edge.records import Started
from tests.edge.flood_rig import FloodRig, starved
from tests.edge.flood_rig import settings as flood_settings
from tests.edge.rig import Rig, settings

if TYPE_CHECKING:
    from pathlib import Path

STRANGE: Final = {"c1": 12.0}
LASTS_S: Final = 40  # of an event
CAUSE: Final = "utility-compressed-air-2"
OVER_S: Final = 200  # until it has cleared


def rig_of(owner: str = "scada", **engine: Any) -> Rig:  # noqa: ANN401 - as settings have them
    """A plant that has run for a while."""
    rig = Rig(conf=settings(engine={"ack_owner": owner, **engine}))
    rig.run(100)
    return rig


def test_an_alert_is_active_or_normal_and_nothing_else() -> None:
    """On every topic and in its history; never acked."""
    rig = rig_of()
    for _ in range(2):
        rig.run(LASTS_S, STRANGE)
        rig.run(OVER_S)
    events = rig.events()
    assert [event["state"] for event in events if event["history"][-1]["reason"] == "cleared"] == [
        "NORMAL",
        "NORMAL",
    ]
    told = {turn["state"] for event in events for turn in event["history"]}
    assert told | {event["state"] for event in events} == {"ACTIVE", "NORMAL"}
    assert all(event["active"] == (event["state"] == "ACTIVE") for event in events)
    assert {event["acked"] for event in events} == {0}


@pytest.mark.parametrize(("cooldown_s", "ids"), [(0, 2), (3_600, 1)])
def test_a_recurrence_is_another_alert_unless_it_comes_within_the_cool_down(
    cooldown_s: int, ids: int
) -> None:
    """Nothing waits to be seen, so nothing is counted up for that."""
    rig = rig_of(cooldown_s=cooldown_s)
    for _ in range(2):
        rig.run(LASTS_S, STRANGE)
        rig.run(OVER_S)
    assert len({event["id"] for event in rig.events()}) == ids
    assert rig.events()[-1]["count"] == 3 - ids


def test_ack_is_refused_with_a_word_and_changes_nothing() -> None:
    """Whoever acknowledges here believes that the SCADA knows."""
    rig = rig_of()
    rig.run(LASTS_S, STRANGE)
    before = rig.events()
    answer = rig.command("ack", alert_id=before[-1]["id"])
    assert (answer["done"], answer["rule"]) == (False, "not_done")
    assert "acknowledged in the SCADA" in answer["detail"]
    assert rig.events() == before
    assert "acknowledged" not in rig.audited()


def test_everything_but_acknowledgements_is_as_it_was() -> None:
    """Same decisions at the same times: scores, rings, messages, revisions."""
    kept = ("decision", "rings", "active", "annunciate", "ts_ms", "message", "score", "revision")
    found = []
    for owner in ("andon", "scada"):
        rig = rig_of(owner)
        rig.run(LASTS_S, STRANGE)
        rig.run(OVER_S)
        found.append([{key: event[key] for key in kept} for event in rig.events()])
    assert found[0] == found[1]


def test_the_same_stimuli_give_the_same_bytes_over_a_restart() -> None:
    """It is a setting, and needs no state of its own."""
    whole = rig_of()
    cut = rig_of()
    for rig in (whole, cut):
        rig.run(LASTS_S, STRANGE)
        if rig is cut:
            rig.restart()
        rig.run(OVER_S)
        rig.run(LASTS_S, STRANGE)
    assert [one.payload for one in whole.published if one.key] == [
        one.payload for one in cut.published if one.key
    ]


def test_what_waits_at_the_change_waits_no_more() -> None:
    """From the first tick behind the next start, as a revision of its own."""
    rig = rig_of("andon")
    rig.run(LASTS_S, STRANGE)
    rig.run(OVER_S)
    assert rig.events()[-1]["state"] == "CLEARED_UNACK"
    rig.settings = settings(engine={"ack_owner": "scada"})
    rig.restart()
    assert rig.known is not None
    began = Started(
        version="1", settings_sha256="", bundle_sha256="", snapshot_sha256=rig.known.sha256
    )
    rig.give(began)
    rig.run(10)
    last = rig.events()[-1]
    assert (last["state"], last["acked"]) == ("NORMAL", 0)
    assert "the SCADA" in last["history"][-1]["reason"]
    revisions = [event["revision"] for event in rig.events()]
    assert revisions == sorted(set(revisions))


@pytest.mark.not_counted
def test_groups_have_no_other_states_either() -> None:
    """A flood that is over is NORMAL, and the next one is another alert."""
    rig = FloodRig(flood_settings(ack_owner="scada"))
    rig.run(900, starved(), step=5)
    told = [one for kind in ("alert/_group", "group") for one in rig.said(f"{kind}/{CAUSE}")]
    assert {one["state"] for one in told} == {"ACTIVE", "NORMAL"}
    assert all(one["active"] == (one["state"] == "ACTIVE") for one in told)
    assert {one.get("acked", 0) for one in told} == {0}


def test_it_goes_with_no_escalation(tmp_path: Path) -> None:
    """That waits for what never comes here; and only two owners are known."""
    path = tmp_path / "gateway.toml"
    for engine, expected in (
        ("ack_owner = 'scada'\nescalate = true", "leaves to the SCADA"),
        ("ack_owner = 'nobody'", "ack_owner"),
    ):
        path.write_text(f"site = 's'\n[model]\nbundle = 'b'\n[engine]\n{engine}\n")
        with pytest.raises(ConfigError, match=expected):
            load(path, environment={})
