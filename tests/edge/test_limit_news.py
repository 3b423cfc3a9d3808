"""An open event that passes another engineering limit is news: it rings again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.edge.rig import START, Rig, S, order
from tests.edge.test_limits import Unfitted, known, limit

if TYPE_CHECKING:
    from kb.records import Limit


def levels(inner: float, outer: float, channel: str = "c3") -> Limit:
    """H and HH of a channel, so many sigmas above its centre."""
    return limit(channel, sigmas=inner, high_high=limit(channel, sigmas=outer).high)


def passed(event: dict[str, Any]) -> list[str]:
    """What an event says of limits."""
    return [s["text"] for s in event["explanation"] if "beyond its limit" in s["text"]]


@pytest.mark.parametrize("kind", [Rig, Unfitted])
def test_an_open_event_that_passes_the_outer_limit_rings_again(kind: type[Rig]) -> None:
    """Once, whoever acknowledged the inner one, over a restart too."""
    rig = kind(known=known(levels(12.0, 40.0)))
    rig.run(60)
    rig.run(30, {"c3": 25})
    (first,) = rig.events()
    assert rig.command("ack", alert_id=first["id"])["done"]
    rig.run(30, {"c3": 25})
    assert rig.events()[-1]["state"] == "ACTIVE_ACK"
    rig.run(20, {"c3": 60})
    last = rig.events()[-1]
    assert (last["id"], last["state"], last["active"]) == (first["id"], "ACTIVE_UNACK", 1)
    assert last["history"][-1]["reason"] == "c3 has passed its limit HH"
    assert "limit HH," in passed(last)[0]
    assert last["top_channel"] == "c3"
    assert sum(part["share"] for part in last["contributions"]) == pytest.approx(1.0, abs=1e-3)
    assert rig.command("ack", alert_id=first["id"])["done"]
    said = len(rig.events())
    rig.restart()
    for _ in range(3):
        rig.run(10, {"c3": 25})
        rig.run(10, {"c3": 60})
    assert len(rig.events()) == said


def test_another_channel_beyond_its_limit_is_news_and_a_new_event_says_all_anew() -> None:
    """Each channel and level once an event."""
    rig = Rig(known=known(levels(12.0, 40.0), limit("c1")))
    rig.run(60)
    for _ in range(2):
        rig.run(20, {"c3": 25})
        assert rig.command("ack", alert_id=rig.events()[-1]["id"])["done"]
        rig.run(20, {"c3": 25, "c1": 25})
        event = rig.events()[-1]
        assert event["state"] == "ACTIVE_UNACK"
        assert {part["channel"] for part in event["contributions"]} >= {"c1", "c3"}
        assert event["history"][-1]["reason"] == "c1 has passed its limit H"
        assert rig.command("ack", alert_id=event["id"])["done"]
        rig.run(300)


def test_an_annotated_event_that_passes_a_limit_is_annotated_no_more() -> None:
    """A text may suggest work, but a limit is a limit."""
    near = order(approved=False, real_times=False, valid_from_ns=None, valid_to_ns=None)
    rig = Rig(known=known(limit(sigmas=40.0), proposals=[near]))
    rig.run(60)
    rig.run(20, {"c3": 20})
    (first,) = rig.events()
    assert (first["decision"], first["severity_num"]) == ("ANNOTATED", 399)
    rig.run(10, {"c3": 60})
    last = rig.events()[-1]
    assert (last["decision"], last["severity_num"]) == ("ALERT", 500)
    assert last["clauses"][-1]["name"] == "limit_passed"
    assert any("confirm?" in sentence["text"] for sentence in last["explanation"])


def test_a_masked_channel_that_passes_its_outer_limit_stays_quiet_under_its_job() -> None:
    """An approved scope says that this work disturbs it."""
    rig = Rig(known=known(levels(4.0, 15.0, "c1"), proposals=[order()]))
    rig.run(310)
    rig.run(40, {"c1": 8})
    rig.run(40, {"c1": 25})
    assert rig.said() == ["suppressed"]


@pytest.mark.parametrize(
    ("shift", "said"),
    [({"c1": 25.0}, "ANNOTATED"), ({"c1": 6.0, "c3": 60.0}, "ALERT")],
)
def test_what_a_job_explained_later_rings_again_for_what_it_may_not_disturb(
    shift: dict[str, float], said: str
) -> None:
    """Its own channel may pass a limit, as under its mask; another one may not."""
    near = order(approved=False, real_times=False, source="log", valid_to_ns=START + 500 * S)
    limits = (levels(12.0, 15.0, "c1"), levels(12.0, 40.0))
    rig = Rig(known=known(*limits, proposals=[near]))
    rig.run(301)
    rig.run(20, {"c1": 8})
    assert rig.command("confirm", proposal_id="wo-1")["done"]
    rig.run(5, {"c1": 8})
    assert rig.events()[-1]["class"] == "expected"
    rig.run(20, shift)
    assert rig.said()[-1] == said
