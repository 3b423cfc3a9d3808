"""What is withheld of a group whose lines the audit trail did not take."""

from __future__ import annotations

import msgspec

from edge.gateway.withheld import withheld
from edge.records import Publish


def said(alert: str, revision: int, *, rings: bool, kind: str = "alert") -> Publish:
    """One revision on one topic."""
    payload = msgspec.json.encode({"id": alert, "revision": revision, "annunciate": int(rings)})
    topic = f"andon/s/{kind}/r1/process"
    return Publish(topic=topic, payload=payload, qos=1, retain=True, key=(alert, revision))


def test_what_is_as_quiet_behind_it_in_the_same_group_is_withheld_too() -> None:
    """Out of service, a moment later: the trail says nothing of that revision."""
    group = [
        said("a", 1, rings=False),
        said("a", 1, rings=False, kind="event"),
        said("a", 2, rings=False),
        said("a", 2, rings=False, kind="event"),
        said("b", 4, rings=False),
        said("a", 3, rings=True),
        said("a", 3, rings=True, kind="event"),
        said("a", 4, rings=False),  # acknowledged, as after any alert that rang
    ]
    assert withheld(group, {("a", 1)}) == group[:4]
    assert withheld(group, {("b", 4)}) == [group[4]]
    assert withheld(group, set()) == []
