"""Two bundles over the same samples: the count is the engine's own, and the rule is as written."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import msgspec
import pytest

from edge.assembly.assembly import Assembly, ready
from edge.records import MessageReceived, TickDue, Track
from edge.settings import GatewaySettings
from edge.verdicts.second_look import Comparison, SecondLook
from edge.wire.readings import encode_rows
from models.bundles.store import sealed
from tests.edge import test_season as season
from tests.edge.app_broker import BEGIN_NS
from tests.edge.test_bundle_watch import S, Site, first, incident, jumpy
from tests.models.hours import follows
from tests.models.plants import plant, two_assets

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
    return look.compare(now, before, ["r1"], since_ns=since_ns, go_on=lambda: True)


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
    assert found.alike


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
    assert not opened(site, other, mine, 0).alike
    assert ring.written == written
    assert ring.values.tobytes() == values.tobytes()
    assert all((a == b).all() for a, b in zip(rows, site.assembly.engine.state.rows, strict=True))


def test_a_season_is_judged_off_its_hour() -> None:
    """As the engine does it: one night like a day, and not a bundle that rings at every hour."""
    ran = season.run(follows(4, seed=1, first=14, at_night=[2]), 14)
    good = ready(season.known())
    low = msgspec.structs.replace(good.bundle.assets[0], threshold_on=1.0, threshold_off=0.9)
    loud = ready(sealed(replace(good.bundle, assets=(low,))))
    look = SecondLook(season.site(), ran._engine.state, None)
    found = look.compare(loud, good, ["r1"], since_ns=0, go_on=lambda: True)
    assert found.before == sum(one.track == "process" for one in ran.episodes()) == 1
    assert not found.alike


def test_an_asset_without_its_time_counts_for_neither() -> None:
    """Nothing half looked at: what was through before counts, the rest is told."""
    bundle = two_assets()
    assembly = Assembly(GatewaySettings(site="s", clock="plant"), bundle=bundle, snapshot=None)
    t_ns = [BEGIN_NS + i * S for i in range(600)]
    for name, c, seed in (("r1", 4, 5), ("r2", 3, 6)):
        rows = plant(600, seed=seed, c=c)
        rows[400:450, 1] += 90.0 * rows[:, 1].std()
        names = [f"c{i}" for i in range(c)]
        for payload in encode_rows(names, t_ns, rows.tolist(), shape="columnar"):
            message = MessageReceived(topic=f"plant/{name}", payload=payload, received_ns=t_ns[-1])
            assembly.engine.handle(message, now_ns=t_ns[-1])
    assembly.engine.handle(TickDue(), now_ns=t_ns[-1])
    mine, look = ready(bundle), SecondLook(assembly.settings, assembly.engine.state, None)

    def compare(assets: list[str], most: int) -> tuple[Comparison, list[bool]]:
        said: list[bool] = []  # whether there was time for one more block

        def go_on() -> bool:
            said.append(len(said) < most)
            return said[-1]

        return look.compare(mine, mine, assets, since_ns=0, go_on=go_on), said

    alone, blocks = compare(["r1"], 10**6)
    assert alone.now == alone.before > 0
    assert len(blocks) > 2 * 4, "asked within an asset, too"
    cut, said = compare(["r1", "r2"], len(blocks))
    assert cut == replace(alone, rest=1)
    assert cut.alike
    assert said.count(False) == 1, "then no more is scored"
    assert "1 more were not asked" in str(cut)
    nothing, said = compare(["r1", "r2"], len(blocks) - 1)
    assert nothing == Comparison(now=0, before=0, assets=0, rows=0, rest=2)
    assert not nothing.alike
    assert said.count(False) == 1


@pytest.mark.parametrize(
    ("now", "before", "alike"),
    [(6, 6, True), (6, 4, True), (6, 3, False), (6, 0, False), (0, 0, False), (2, 9, True)],
)
def test_alike_is_two_thirds_and_of_something(now: int, before: int, alike: bool) -> None:  # noqa: FBT001
    """Without any event in what is still there nothing speaks for the bundle."""
    found = Comparison(now=now, before=before, assets=1, rows=9)
    assert found.alike is alike
    assert ("nothing speaks for it" in str(found)) is (now == 0)
