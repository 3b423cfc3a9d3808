"""Two bundles over the same samples: the count is the engine's own, and the rule is as written."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from edge.records import Track
from edge.verdicts.second_look import Comparison, SecondLook
from tests.edge.test_bundle_watch import Site, first, incident, jumpy

if TYPE_CHECKING:
    from pathlib import Path

    from edge.takeover import Fitted


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """A gateway through an incident, with a sensor that hangs for a while at its end."""
    one = Site(tmp_path / "site")
    one.run(60)
    incident(one)
    stuck = one.row + 700
    one.values[stuck : stuck + 120, 3] = one.values[stuck, 3]
    return one


def opened(site: Site, now: Fitted, before: Fitted, since_ns: int) -> Comparison:
    """Both over the ring of the site's engine."""
    look = SecondLook(site.assembly.settings, site.assembly.engine.state, None)
    return look.compare(now, before, ["r1"], since_ns=since_ns)


def test_it_counts_what_the_engine_opened(site: Site) -> None:
    """Scores and sensors, in the same samples; the engine never saw them as one block."""
    since_ns = site.assembly.engine.now_ns
    began = set()
    for _ in range(0, 900, 5):
        site.run(5, look=False)
        for record in site.assembly.engine.alerts():
            if record.alert_id and record.track is not Track.COMMS:
                began.add((record.track, record.begin_ns))
    assert {track for track, _ in began} == {Track.PROCESS, Track.SENSOR}
    mine = site.assembly.opened(first().sha256)
    assert mine is not None
    found = opened(site, mine, mine, since_ns)
    assert (found.now, found.before) == (len(began), len(began))
    assert found.rows == 959, "the newest row waits for the next"
    assert not found.louder


def test_it_changes_nothing_of_the_engine(site: Site) -> None:
    """A look back must not move what scores on."""
    site.run(300, look=False)
    mine = site.assembly.opened(first().sha256)
    site.promote(jumpy())
    site.look()
    other = site.assembly.opened(jumpy().sha256)
    assert mine is not None
    assert other is not None
    ring = site.assembly.engine.state.ring.assets["r1"]
    rows = [part.copy() for part in site.assembly.engine.state.rows]
    written, values = ring.written, ring.values.copy()
    assert opened(site, other, mine, 0).louder
    assert ring.written == written
    assert ring.values.tobytes() == values.tobytes()
    assert all((a == b).all() for a, b in zip(rows, site.assembly.engine.state.rows, strict=True))


@pytest.mark.parametrize(
    ("now", "before", "louder"),
    [(6, 6, False), (6, 4, False), (6, 3, True), (6, 0, True), (0, 0, False), (2, 9, False)],
)
def test_louder_is_half_as_many_again(now: int, before: int, louder: bool) -> None:  # noqa: FBT001
    """Without any event in what is still there nothing speaks against the bundle."""
    assert Comparison(now=now, before=before, assets=1, rows=9).louder is louder
