"""Drift through the engine: published and noted, never acted upon, and never healed by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import pytest

from edge.caps import DRIFT_CHANNELS_MAX, DRIFTS_MAX
from edge.gateway.telemetry import _drift
from edge.records import Note, Phase, Track
from edge.samples.drift import Drifting, DriftingChannel, drift_payload, surest
from edge.storage.checkpoint import pack
from edge.wire.drifting import DriftPayload
from edge.wire.outgoing import encode
from edge.wire.published import schemas
from models.fitting.drift import LEVELS
from models.fitting.drift_live import HOLD_BLOCKS
from tests.edge.rig import START, Rig, bundle

if TYPE_CHECKING:
    from models.fitting.drift import DriftState

QUIETLY = {"c1": 0.4}  # does not ring


def state_of(rig: Rig, asset: str = "r1") -> DriftState:
    """What is remembered of an asset's normal operation."""
    found = rig.engine.state.assets[asset].drift
    assert found is not None
    return found


def drifting(rig: Rig, asset: str = "r1") -> Drifting:
    """How an asset stands to its fit."""
    return next(one for one in rig.engine.drifts() if one is not None and one.asset == asset)


def notes(rig: Rig, name: str) -> list[Note]:
    """Log lines of one name."""
    return [one for one in rig.effects if isinstance(one, Note) and one.name == name]


def test_a_plant_that_goes_on_as_before_does_not_drift() -> None:
    """For an hour of two assets; before that it cannot be said, and that is told."""
    rig = Rig()
    rig.run(600, step=50)
    assert _drift(tuple(rig.engine.drifts()))["drift_unknown"] == 2
    rig.run(3000, step=50)
    told = _drift(tuple(rig.engine.drifts()))
    assert (told["drift"], told["drifting"], told["drift_unknown"]) == ((), 0, 0)
    assert not notes(rig, "drift_began")


def test_a_small_lasting_shift_is_published_and_noted_once_and_rings_not() -> None:
    """In its channel, with its size, for an engineer."""
    rig = Rig()
    rig.run(3600, QUIETLY, step=50)
    assert rig.engine.state.assets["r1"].alerts[Track.PROCESS].alert_id == ""
    told = _drift(tuple(rig.engine.drifts()))
    assert told["drifting"] == 1
    (payload,) = told["drift"]
    assert (payload.asset, payload.audience) == ("r1", "engineer")
    (channel,) = payload.channels
    assert (channel.channel, channel.kinds, channel.direction) == ("c1", ("level",), "up")
    assert channel.sigmas == pytest.approx(0.4, abs=0.1)
    assert 0 <= payload.since_ms - START // 1_000_000 < 300_000
    (note,) = notes(rig, "drift_began")
    assert note.fields["asset"] == "r1"
    assert note.fields["channels"] == "c1"
    back = msgspec.json.decode(encode(payload), type=DriftPayload)
    assert back == payload


def test_it_changes_nothing_else() -> None:
    """Alerts and scores are those of an engine that knows no drift."""
    rigs = [Rig(), Rig()]
    for asset in rigs[1].engine._assets.values():
        asset.drift._model = msgspec.structs.replace(asset.model, drift=None)
    for rig in rigs:
        rig.run(2400, QUIETLY, step=50)
        rig.run(300, {"c1": 8.0}, step=50)
    found, without = ([e for e in rig.effects if not isinstance(e, Note)] for rig in rigs)
    assert next(rigs[0].engine.drifts()) is not None
    assert tuple(rigs[1].engine.drifts()) == (None, None)
    assert found == without


def test_events_jobs_stops_and_warm_up_do_not_count_and_are_counted_apart() -> None:
    """A fault that rings for good does not make what is said of drift go away."""
    rig = Rig()
    rig.run(2400, QUIETLY, step=50)
    assert drifting(rig).channels
    blocks = len(state_of(rig).blocks)
    rig.run(900, {"c1": 8.0}, step=50)
    assert rig.engine.state.assets["r1"].tracks[Track.PROCESS].phase is Phase.OPEN
    state = state_of(rig)
    assert len(state.blocks) <= blocks + 1
    assert state.left_out["event"] > 800
    assert drifting(rig).channels[0].channel == "c1"
    rig.run(120, QUIETLY)
    events = state.left_out["event"]
    rig.context["run"] = 0.0
    rig.run(100, step=50)
    assert state_of(rig).left_out["stopped"] >= 99
    rig.context["run"] = 1.0
    rig.run(100, step=50)
    rig.context["cal"] = 1.0
    rig.run(200, step=50)
    assert state_of(rig).left_out["job"] >= 195
    assert state_of(rig).left_out["not_ready"] >= 2
    assert state_of(rig).left_out["event"] >= events
    told = _drift(tuple(rig.engine.drifts()))
    assert told["drift_left_out"]["job"] == state_of(rig).left_out["job"]


def test_the_cut_and_a_restart_make_no_difference() -> None:
    """Samples in ones or in hundreds, through packed state: the same to the bit."""
    rigs = [Rig(), Rig(), Rig()]
    for rig, step in zip(rigs, (3, 100, 50), strict=True):
        rig.run(900, QUIETLY, step=step)
        if step == 50:
            rig.restart()
        rig.run(100, {"c1": 8.0}, step=step)
        rig.run(200, QUIETLY, step=step)
        if step == 50:
            rig.restart()
        rig.run(1100, QUIETLY, step=step)
    one, *others = (state_of(rig) for rig in rigs)
    for other in others:
        assert one.left_out == other.left_out
        assert np.array_equal(one.begins, other.begins)
        assert np.allclose(one.blocks, other.blocks, atol=1e-5)
        assert np.array_equal(one.drifts, other.drifts)
        assert np.array_equal(one.since_ns, other.since_ns)
    assert one.drifts.any()


def test_another_bundle_begins_anew() -> None:
    """What was remembered against another reference says nothing of this one."""
    rig = Rig()
    rig.run(2400, QUIETLY, step=50)
    state = state_of(rig)
    state.mark += 1
    rig.engine._taking.stir()  # who changes a state from aside says so
    rig.run(100, step=50)
    assert state_of(rig) is not state
    assert not state_of(rig).drifts.any()


def test_it_ends_only_when_the_plant_is_back() -> None:
    """Not while it stays; when a horizon is as before it does, with a line in the log."""
    rig = Rig()
    rig.run(2400, QUIETLY, step=50)
    model = bundle().assets[0]
    assert model.drift is not None
    state = state_of(rig)
    state.blocks = np.tile(model.drift.mean.astype(np.float32), (len(state.blocks), 1))
    rig.run(model.drift.block_samples * (HOLD_BLOCKS - 1), step=50)
    assert state_of(rig).drifts[LEVELS + 1], "some looks in a row, not the first"
    rig.run(model.drift.block_samples * 4, step=50)
    assert not state_of(rig).drifts.any()
    assert len(notes(rig, "drift_over")) == 1


def made(asset: str, confidence: float, channels: int = 1) -> Drifting:
    """An asset that drifts."""
    parts = tuple(
        DriftingChannel(
            channel=f"c{i}",
            kinds=("spread",),
            sigmas=np.nan,
            times=0.5,
            share=0.1,
            share_usual=0.2,
            confidence=confidence - i,
            since_ns=START,
        )
        for i in range(channels)
    )
    return Drifting(
        asset=asset,
        known=True,
        since_ns=START,
        drift_score=np.nan,
        scores_since_ns=0,
        channels=parts,
        left_out={},
    )


def test_what_health_says_is_bounded_and_valid() -> None:
    """The surest assets and channels, how many there are in all, and null for what is not known."""
    found = [made(f"a{i}", float(i)) for i in range(3 * DRIFTS_MAX)]
    told = _drift(found)
    assert told["drifting"] == 3 * DRIFTS_MAX
    assert [one.asset for one in told["drift"]][:2] == [f"a{3 * DRIFTS_MAX - 1}", "a94"]
    assert len(told["drift"]) == DRIFTS_MAX
    payload = drift_payload(made("a", 9.0, channels=20))
    assert len(payload.channels) == DRIFT_CHANNELS_MAX
    assert payload.channels_total == 20
    data: dict[str, Any] = msgspec.json.decode(encode(payload))
    assert data["drift_score"] is None
    assert data["channels"][0]["sigmas"] is None
    assert data["channels"][0]["direction"] == "down"
    assert surest(made("a", 9.0)) < surest(made("a", 8.0))
    fields = schemas()["$defs"]["DriftPayload"]["properties"]
    assert set(data) == set(fields)


def test_memory_an_asset_is_stated() -> None:
    """Eight kilobytes for four channels, however long it runs."""
    rig = Rig()
    rig.run(5000, step=100)
    assert len(pack(state_of(rig))) < 8_000
