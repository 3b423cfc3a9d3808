"""A bundle that takes over in the middle of a flood: assets that are gone break nothing."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import msgspec
import pytest

from edge.engine import Engine
from edge.records import BundleSwapped
from models.bundles.assemble import make_bundle
from models.fitting.fit import FitOptions, fit_asset
from tests.edge.flood_rig import ASSETS, FloodRig, bundle, detectors, settings
from tests.edge.rig import START, S, fitted_of, var
from tests.models.plants import samples

if TYPE_CHECKING:
    from edge.state import EngineState
    from edge.takeover import Fitted


@functools.cache
def _without(gone: int) -> Fitted:
    """The plant's bundle fitted anew, without its first assets."""
    options = FitOptions(alignment="rows")
    fits = [
        fit_asset(samples(var(1500, seed=i), asset=asset), options)
        for i, asset in enumerate(ASSETS)
        if i >= gone
    ]
    return fitted_of(make_bundle(fits))


class _Swapping(FloodRig):
    """A flood in which another bundle may take over."""

    def _engine(self, state: EngineState | None) -> Engine:
        known = {one.bundle.sha256: one for one in (_without(1), _without(8))}
        return Engine(
            self.settings,
            bundle=bundle(),
            detectors=detectors(),
            derive=fitted_of(bundle()).derive,
            state=state,
            bundle_of=known.get,
        )

    def swap(self, to: Fitted) -> None:
        """Another bundle takes over now."""
        told = BundleSwapped(bundle_sha256=to.bundle.sha256, because="a test")
        self.give(told, now_ns=START + self.at * S)


def _rig() -> _Swapping:
    return _Swapping(msgspec.structs.replace(settings(flood_time_quiets=True), asset=()))


@pytest.mark.parametrize("at", [330, 470])
@pytest.mark.not_counted
def test_assets_that_are_gone_leave_a_flood_in_peace(at: int) -> None:
    """Before it is found and while it rings: the engine goes on, and it can be acknowledged."""
    rig = _rig()
    faults = {asset: (300 + 4 * i, 520) for i, asset in enumerate(ASSETS)}
    rig.run(at, faults, step=5)
    rig.swap(_without(1))
    assert ASSETS[0] not in rig.engine.state.assets
    rig.run(560, faults, step=5)
    for group in filter(None, rig.engine.groups().values()):
        told = rig.engine._annunciator.acknowledge(
            group.group_id, operator="ann", t_ns=START + rig.at * S
        )
        assert told is None or all(asset != ASSETS[0] for asset, _ in told)


@pytest.mark.not_counted
def test_a_flood_of_a_large_plant_ends_in_a_small_one() -> None:
    """With eight assets left there are no new groups; the one that rings is over when they are."""
    rig = _rig()
    rig.run(470, {asset: (300 + 4 * i, 520) for i, asset in enumerate(ASSETS)}, step=5)
    assert any(group is not None and group.active for group in rig.engine.groups().values())
    rig.swap(_without(8))
    rig.run(900, {}, step=5)
    assert not any(alert.active for alert in rig.engine.alerts())
    assert not any(group is not None and group.active for group in rig.engine.groups().values())
