"""An imported detector that cannot leave channels out rings, and nothing it says is suppressed."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import msgspec
import numpy as np
import pytest

from edge.records import Publish
from models.bundles.assemble import make_bundle
from models.foreign.adopt import ImportOptions, import_asset
from tests.edge.rig import ASSETS, Rig, fitted_of, knowledge, order, var
from tests.models import foreign_models as theirs
from tests.models.plants import samples

if TYPE_CHECKING:
    from models.bundles.bundle import Bundle

WHY = "imported without an input for missing values"


@functools.cache
def imported(*, masks: bool) -> Bundle:
    """The rig's two assets, watched by a forecaster that somebody brought: half the newest."""
    turn = 0.5 * np.eye(4)
    return make_bundle(
        [
            import_asset(
                samples(var(4000, seed=i), asset=asset),
                theirs.forecast(3, 4, turn, masks=masks),
                file="theirs.onnx",
                options=ImportOptions(alignment="rows", scaling="standard"),
            )
            for i, asset in enumerate(ASSETS)
        ]
    )


def calibrated(rig: Rig) -> None:
    """A calibration that disturbs what its scope says, told by a live edge of the plant."""
    rig.run(300)
    rig.context["cal"] = 1.0
    rig.run(20)
    rig.run(60, {"c1": 8})


def events(rig: Rig) -> list[dict[str, object]]:
    """Every revision of an event that was published."""
    return [
        msgspec.json.decode(effect.payload)
        for effect in rig.effects
        if isinstance(effect, Publish) and "/event/" in effect.topic
    ]


def test_a_model_without_masks_rings_under_a_job_and_says_why() -> None:
    """With masks the same event is expected; without, the clause names the reason."""
    rig = Rig(fitted=fitted_of(imported(masks=True)))
    calibrated(rig)
    assert any(event["suppressed"] for event in events(rig))
    rig = Rig(fitted=fitted_of(imported(masks=False)))
    calibrated(rig)
    told = [event for event in events(rig) if event["asset"] == "r1"]
    assert told
    assert not any(event["suppressed"] for event in told)
    clauses = told[-1]["clauses"]
    assert isinstance(clauses, list)
    (mask,) = [clause for clause in clauses if clause["name"] == "mask"]
    assert mask["outcome"] is None
    assert WHY in mask["detail"]


@pytest.mark.parametrize("stuck", [(), ("c1",)])
def test_neither_a_stuck_sensor_nor_a_limit_opens_a_way(stuck: tuple[str, ...]) -> None:
    """Whatever track rings: an asset that cannot be scored without channels suppresses nothing."""
    rig = Rig(fitted=fitted_of(imported(masks=False)), known=knowledge(proposals=(order(),)))
    calibrated(rig)
    rig.run(400, {"c1": 4}, stuck=stuck)
    rig.restart()
    rig.run(60, {"c1": 4})
    assert not any(event["suppressed"] for event in events(rig))


def test_it_warms_scores_and_rings_after_a_restart() -> None:
    """Its state is the window line, and is kept as every other."""
    rig = Rig(fitted=fitted_of(imported(masks=False)))
    rig.run(200)
    rig.restart()
    rig.run(3)
    before = rig.engine.state.assets["r1"].last_score
    assert before == before  # ready at once: NaN is not  # noqa: PLR0124
    rig.run(30, {"c2": 9})
    assert any(event["active"] for event in events(rig))


@pytest.mark.parametrize("masks", [True, False])
def test_a_state_of_another_shape_is_warmed_from_the_ring(*, masks: bool) -> None:
    """What an older version kept of its windows; rows of open jobs likewise."""
    one, other = (Rig(fitted=fitted_of(imported(masks=masks))) for _ in range(2))
    for rig in (one, other):
        calibrated(rig)
    state = other.engine.state
    state.rows = [rows[:, :-7].copy() for rows in state.rows]
    for asset in state.assets.values():
        for run in asset.runs:
            for row in (*run.masked, *run.fresh):
                row.state = row.state[:-7].copy()
    for rig in (one, other):
        rig.restart()
        rig.run(60, {"c2": 9})
    scores = [rig.engine.state.assets["r1"].last_score for rig in (one, other)]
    assert scores[0] == pytest.approx(scores[1], abs=0.05)
    assert [event["active"] for event in events(one)] == [e["active"] for e in events(other)]
