"""Another bundle takes over while the plant runs: nothing is lost, and it scores as if it knew."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, Final

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.records import BundleSwapped, Job, JobState, JobTold, Note, TickDue, Track, Witness
from edge.samples.layouts import asset_layouts
from edge.state import EngineState
from edge.storage.checkpoint import pack, unpack
from kb.records import WorkKind
from models.bundles.assemble import make_bundle
from models.bundles.bundle import Channel
from models.fitting.fit import FitOptions, fit_asset
from models.samples import TrainingSamples
from tests.edge.rig import ASSETS, CHANNELS, START, Rig, S, bundle, fitted_of, var

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge.takeover import Fitted
    from models.bundles.bundle import AssetFit

END: Final = 420
FAULT: Final = range(200, 300)  # seconds in which c3 of r1 is far off
SCORES_AGREE, SCORES_AGREE_SHARE = 1e-4, 1e-5  # float32: of small scores, of large ones


def fit(
    asset: str, *, seed: int, channels: Sequence[str] = CHANNELS, unit: str = "bar"
) -> AssetFit:
    """One asset fitted on another recording of the same plant, or of some of its channels."""
    chosen = [CHANNELS.index(name) for name in channels if name in CHANNELS]
    values = var(3000, seed=seed)
    more = [values[:, :1] for name in channels if name not in CHANNELS]
    return fit_asset(
        TrainingSamples(
            asset=asset,
            channels=tuple(Channel(name=name, unit=unit) for name in channels),
            values=np.hstack([values[:, chosen], *more]),
            period_ns=S,
        ),
        FitOptions(alignment="rows"),
    )


@functools.cache
def successor() -> Fitted:
    """Both assets, fitted on other rows, with another asset first: every row stands elsewhere."""
    named = [("r0", 50), *((asset, 60 + i) for i, asset in enumerate(reversed(ASSETS)))]
    return fitted_of(make_bundle([fit(asset, seed=seed) for asset, seed in named]))


@functools.cache
def narrowed() -> Fitted:
    """r1 has lost c0 and has c9; r11 is gone; r0 has come. Five channels wide at most."""
    r1 = fit("r1", seed=70, channels=("c1", "c2", "c3", "c9"))
    r0 = fit("r0", seed=71, channels=("c0", "c1", "c2", "c3", "c9"))
    return fitted_of(make_bundle([r1, r0]))


def rig(**more: Any) -> Rig:  # noqa: ANN401
    """A rig that knows the other bundles too."""
    others = {one.bundle.sha256: one for one in (successor(), narrowed())}
    return Rig(others=others, **more)


def swap(to: Fitted) -> BundleSwapped:
    """The stimulus."""
    return BundleSwapped(bundle_sha256=to.bundle.sha256, because="test")


def run_to(one: Rig, until: int, *, step: int = 5) -> None:
    """The plant with its fault."""
    while one.at < until:
        shift = {"c3": 25.0} if one.at in FAULT else {}
        edges = [edge for edge in (FAULT.start, FAULT.stop, until) if edge > one.at]
        one.run(min(edges) - one.at, shift, step=step)


def scores(one: Rig) -> dict[str, float]:
    """The newest score of each asset of the plant."""
    return {name: one.engine.state.assets[name].last_score for name in ASSETS}


@functools.cache
def always() -> tuple[dict[int, dict[str, float]], list[str]]:
    """A run with the successor from the first sample on: its scores by second, its alert ids."""
    one = rig(fitted=successor())
    found = {}
    while one.at < END:
        run_to(one, one.at + 1)
        found[one.at] = scores(one)
    return found, [event["id"] for event in one.events()]


@settings(max_examples=25)
@given(at=st.integers(1, END - 30), step=st.integers(1, 9))
@pytest.mark.not_counted
def test_after_a_swap_anywhere_it_scores_as_if_it_had_always_been_there(at: int, step: int) -> None:
    """The ring holds all that was seen, so not even the warming up shows; no sample is lost."""
    expected, _ = always()
    one = rig()
    run_to(one, at, step=step)
    one.give(swap(successor()))
    assert one.engine.state.bundle_sha256 == successor().bundle.sha256
    for _ in range(25):
        run_to(one, one.at + 1)
        for asset, score in scores(one).items():
            assert score == pytest.approx(
                expected[one.at][asset], rel=SCORES_AGREE_SHARE, abs=SCORES_AGREE, nan_ok=True
            )
    assert one.engine.state.ring.assets["r1"].written == one.at


@settings(max_examples=20)
@given(at=st.integers(1, END - 60))
@pytest.mark.not_counted
def test_an_event_that_is_open_goes_on_under_its_id(at: int) -> None:
    """However the swap falls, there is one alert of the fault, of one id, that rings once."""
    one = rig()
    run_to(one, at)
    before = one.engine.state.assets["r1"]
    was_open = before.tracks[Track.PROCESS].active
    one.give(swap(successor()))
    after = one.engine.state.assets["r1"]
    assert after.tracks[Track.PROCESS].active is was_open
    told = one.events()
    if was_open:
        assert told[-1]["history"][-1]["reason"].startswith("detector")
        assert told[-1]["lineage"]["bundle_sha256"] == successor().bundle.sha256
        model = next(m for m in successor().bundle.assets if m.asset == "r1")
        assert told[-1]["threshold"] == pytest.approx(model.threshold_on, abs=1e-3)
    run_to(one, END)
    ids = {event["id"] for event in one.events()}
    assert len(ids) == 1
    assert max(event["count"] for event in one.events()) == 1
    assert max(event["rings"] for event in one.events()) <= 1 + (at in FAULT)


@pytest.mark.parametrize("at", [60, 205, 250, 310, 400])
@pytest.mark.parametrize("restart_at", [30, 250, 330, 415])
def test_a_journal_with_a_swap_and_a_restart_gives_the_same_bytes(at: int, restart_at: int) -> None:
    """Replayed from its begin, and gone on from a checkpoint before or after the swap."""
    one = rig()
    one.run(20, {})
    one.send("plant/r1", b"not a payload")
    for second in sorted({at, restart_at, END}):
        run_to(one, second)
        if second == at:
            one.give(swap(successor()))
        if second == restart_at:
            one.restart()
    again = rig()
    for now_ns, stimulus in one.sent:
        again.give(stimulus, now_ns=now_ns)
    assert [p.payload for p in again.published] == [p.payload for p in one.published]
    assert pack(again.engine.state) == pack(one.engine.state)


def calibration(scope: tuple[str, ...] = ("c1",)) -> Job:
    """Work on r1 that hides c1, told by a file."""
    return Job(
        job_id="job-1",
        kind=WorkKind.CALIBRATION,
        asset="r1",
        functional_location="x",
        valid_from_ns=START + 100 * S,
        valid_to_ns=START + 200 * S,
        witness=Witness.PERSON,
        opened_by="ann",
        opened_at_ns=START + 100 * S,
        recorded_at_ns=START + 90 * S,
        source="test",
        scope=scope,
        expected_effect=0.3,
        settle_s=60,
        fuse_s=600,
        state=JobState.SCHEDULED,
    )


def at_work(one: Rig, until: int) -> None:
    """The calibration disturbs its channel and nothing else."""
    while one.at < until:
        edges = [edge for edge in (110, 195, until) if edge > one.at]
        one.run(min(edges) - one.at, {"c1": 20.0} if 110 <= one.at < 195 else {}, step=3)


@settings(max_examples=30)
@given(at=st.integers(85, 330))
@pytest.mark.not_counted
def test_work_that_goes_on_goes_on(at: int) -> None:
    """What a job keeps quiet stays quiet, settles, and is judged as if nothing had happened.

    Its masked and fresh rows are those of the new bundle.
    """
    plain, one = rig(fitted=successor()), rig()
    for each in (plain, one):
        each.run(80)
        each.give(JobTold(job=calibration()))
    at_work(plain, at)
    at_work(one, at)
    one.give(swap(successor()))
    for _ in range(4):
        at_work(one, one.at + 6)
        at_work(plain, plain.at + 6)
        reference_scores = scores(plain)
        for asset, score in scores(one).items():
            wanted = reference_scores[asset]
            assert score == pytest.approx(
                wanted, rel=SCORES_AGREE_SHARE, abs=SCORES_AGREE, nan_ok=True
            ), asset
        for own, reference in zip(one.runs, plain.runs, strict=True):
            assert own.stage == reference.stage
            if own.masked:
                rest = reference.rest_score
                assert own.rest_score == pytest.approx(
                    rest, rel=SCORES_AGREE_SHARE, abs=SCORES_AGREE, nan_ok=True
                )
            for mine, other in zip(own.fresh, reference.fresh, strict=True):
                assert mine.state == pytest.approx(other.state, abs=1e-3)
    at_work(one, 400)
    assert "ALERT" not in one.said(), "it rang"
    assert "suppressed" in one.said()
    assert [run.stage for run in one.runs] == ["done"]


@pytest.mark.parametrize("at", [90, 150, 220, 300])
def test_assets_that_go_say_so_and_those_that_come_or_change_begin_to_warm_up(at: int) -> None:
    """The job of the changed asset stays with its mask by name, its edges are not forgotten."""
    one = rig()
    one.run(80)
    one.give(JobTold(job=calibration(("c1", "c9"))))
    at_work(one, at - 10)
    one.run(10, {"c3": 25.0}, other={"c2": 25.0})
    ids = {asset: one.events(asset)[-1]["id"] for asset in ASSETS}
    states = {asset: one.engine.state.assets[asset] for asset in ASSETS}
    assert all(states[asset].tracks[Track.PROCESS].active for asset in ASSETS)
    one._rows("r1", 2, {}, ())
    one.at += 2
    one.give(swap(narrowed()))
    for asset in ASSETS:
        last = one.events(asset)[-1]
        assert (last["id"], last["state"]) == (ids[asset], "CLEARED_UNACK")
        assert "took over" in last["history"][-1]["reason"]
    state = one.engine.state
    assert set(state.assets) == {"r0", "r1"}
    assert set(state.ring.assets) == set(state.align.assets) == {"r0", "r1"}
    (run,) = one.runs
    assert run.mask.tolist() == [True, False, False, True], "c1 and c9 by name"
    note = next(e for e in one.effects if isinstance(e, Note) and e.name == "bundle_swapped")
    assert note.fields["begin_anew"] == "r1"
    assert note.fields["gone"] == "r11"
    assert note.fields["come"] == "r0"
    assert state.ring.assets["r1"].written == 0
    assert len(state.align.assets["r1"].t_ns) == 2
    one.run(30)
    state = one.engine.state
    assert state.ring.assets["r1"].written == 32, "what waited is not lost"
    assert np.isfinite(state.assets["r1"].last_score), "it has warmed up"
    assert one.engine.counts()["unknown_asset"] > 0, "r11 is counted as what it is now"
    restored = unpack(pack(one.engine.state), EngineState)
    assert restored.bundle_sha256 == narrowed().bundle.sha256


def test_a_swap_back_and_forth_leaves_nothing_behind() -> None:
    """State has the size of the bundle that scores, and nothing of those before."""
    one = rig()
    run_to(one, 150)
    plain = set(msgspec.to_builtins(one.engine.state.counts))
    for to in (narrowed(), successor(), narrowed(), fitted_of(bundle())):
        one.give(swap(to))
        run_to(one, one.at + 5)
        state = one.engine.state
        layouts = asset_layouts(one.settings, to.bundle)
        assert {lay.asset: lay.width for lay in layouts} == {
            name: align.values.shape[1] for name, align in state.align.assets.items()
        }
        assert [len(rows) for rows in state.rows] == [to.bundle.rows]
    assert set(one.engine.state.counts) - plain == {"bundles_swapped"}


def test_a_bundle_that_nobody_kept_changes_nothing_and_is_said() -> None:
    """A journal may name one that is gone; scoring goes on with the one before."""
    one = rig()
    run_to(one, 50)
    one.give(BundleSwapped(bundle_sha256="f" * 64))
    assert one.engine.state.bundle_sha256 == bundle().sha256
    assert one.engine.counts()["bundles_missing"] == 1
    one.give(TickDue())


def test_orders_of_an_asset_that_has_come_are_taken() -> None:
    """They were passed over while it was not known."""
    one = rig()
    one.run(30)
    one.engine.state.orders_taken = 7
    one.give(swap(successor()))
    assert one.engine.state.orders_taken == 0


def test_a_ring_that_has_wrapped_is_enough() -> None:
    """Older samples than it holds are forgotten by every rate of a bundle anyway."""
    plain, one = rig(fitted=successor()), rig()
    for each in (plain, one):
        each.run(1500, step=60)
    one.give(swap(successor()))
    for each in (plain, one):
        each.run(5)
    wanted = scores(plain)
    assert {
        a: pytest.approx(s, rel=SCORES_AGREE_SHARE, abs=SCORES_AGREE)
        for a, s in scores(one).items()
    } == wanted
