"""A gateway whose bundle holds several kinds of detector: each asset as if it were alone."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, Final

import msgspec
import numpy as np
import pytest
from rich.console import Console

from edge.bundles.model_life import changes_of
from edge.bundles.training import FitRequest, fit_recording
from edge.records import BundleSwapped, MessageReceived
from edge.replays.backtest_command import BacktestRequest, backtest_command
from edge.samples.layouts import asset_layouts
from edge.samples.scoring import Parts, Request, pad, pad_valid, score_rows
from edge.state import EngineState
from edge.storage.checkpoint import pack, unpack
from edge.storage.journal_writer import JournalWriter
from edge.wire.readings import encode_rows
from models.bundles.assemble import make_bundle
from models.bundles.bundle import Channel, kind_of
from models.bundles.store import load
from models.detector import detectors_of
from models.fitting.fit import FitOptions, fit_asset
from models.samples import TrainingSamples
from tests.edge.rig import ASSETS, CHANNELS, START, Rig, S, bundle, fitted_of, var

if TYPE_CHECKING:
    from pathlib import Path

    from edge.takeover import Fitted
    from models.bundles.bundle import AssetFit, Bundle

END: Final = 700
FAULT: Final = slice(500, 560)


def level(rows: int, *, seed: int) -> np.ndarray:
    """A tank: one slow channel with noise (n, 1)."""
    chance = np.random.default_rng(seed)
    slow = np.zeros(rows)
    for i in range(1, rows):
        slow[i] = 0.95 * slow[i - 1] + chance.normal(scale=0.1)
    return np.asarray((5.0 + slow + chance.normal(scale=0.1, size=rows))[:, None])


@functools.cache
def tank() -> AssetFit:
    """The asset of one channel."""
    samples = TrainingSamples(
        asset="tank", channels=(Channel(name="l"),), values=level(2000, seed=1), period_ns=S
    )
    return fit_asset(samples, FitOptions(alignment="rows"))


@functools.cache
def mixed() -> Fitted:
    """What the rig's plant has, with the tank beside it."""
    return fitted_of(make_bundle([tank()], parent=bundle()))


@functools.cache
def values() -> np.ndarray:
    """What the tank shows: normal, and a fault (n, 1)."""
    told = level(END, seed=2)
    told[FAULT] += 4.0
    return told


class Plant(Rig):
    """The rig's plant with the tank beside it."""

    def run(self, seconds: int, *args: Any, **more: Any) -> None:  # noqa: ANN401
        """As the rig runs, the tank in between."""
        for _ in range(seconds // 5):
            rows = values()[self.at : self.at + 5]
            t_ns = [START + (self.at + i) * S for i in range(len(rows))]
            for payload in encode_rows(["l"], t_ns, rows.tolist(), shape="columnar"):
                told = MessageReceived(topic="plant/tank", payload=payload, received_ns=t_ns[-1])
                self.give(told, now_ns=t_ns[-1])
            super().run(5, *args, **more)

    @property
    def scores(self) -> dict[str, float]:
        """The newest score of each asset."""
        return {name: one.last_score for name, one in self.engine.state.assets.items()}


def plant(**more: Any) -> Plant:  # noqa: ANN401
    """A plant under the mixed bundle, which knows the plain one too."""
    return Plant(fitted=mixed(), others={bundle().sha256: fitted_of(bundle())}, **more)


def requests_of(made: Bundle, values_of: dict[str, np.ndarray]) -> dict[str, Request]:
    """One request for the running row of each asset."""
    found = {}
    for model in made.assets:
        own = values_of[model.asset].astype(np.float32)
        x = pad(own, made.width)
        valid = pad_valid(own, np.ones(len(own), bool), made.width)
        found[model.asset] = Request(x=x, valid=valid, index=model.row_running)
    return found


def test_a_tick_is_one_call_for_each_part_and_length() -> None:
    """Scores and states are those of bundles of one kind; rows stay where they belong."""
    both = mixed().bundle
    parts = Parts(both, detectors_of(both))
    plain = Parts(bundle(), detectors_of(bundle()))
    alone = make_bundle([tank()])
    single = Parts(alone, detectors_of(alone))
    state, plain_state, single_state = (p.initial_state() for p in (parts, plain, single))
    assert sorted(len(rows) for rows in state) == [1, 2]
    for tick in range(4):
        rows = slice(tick * 30, tick * 30 + 30)
        told = {"tank": values()[rows], **{a: var(120, seed=5)[rows] for a in ASSETS}}
        ours = requests_of(both, told)
        assert score_rows(list(ours.values()), parts=parts, state=state) == 2
        theirs = requests_of(bundle(), told)
        assert score_rows(list(theirs.values()), parts=plain, state=plain_state) == 1
        lone = requests_of(alone, told)
        score_rows(list(lone.values()), parts=single, state=single_state)
        for asset, request in {**theirs, **lone}.items():
            mine = ours[asset].scores
            assert mine is not None
            assert request.scores is not None
            assert np.array_equal(mine, request.scores, equal_nan=True)
    for expected in (*plain_state, *single_state):
        assert any(np.array_equal(expected, mine) for mine in state)


def test_assets_of_both_kinds_ring_and_tell_their_shares() -> None:
    """The tank's fault rings on the tank; what the others say is what they say without it."""
    ours, theirs = plant(), Rig()
    for one in (ours, theirs):
        one.run(500)
        one.run(60, {"c3": 8.0})
        one.run(100)
    first = ours.events("tank")[0]
    assert 498 <= ours.seconds(first) <= 515
    assert [part["channel"] for part in first["contributions"]] == ["l"]
    assert ours.said("r1") == theirs.said("r1")
    for asset in ASSETS:
        assert ours.engine.state.assets[asset].last_score == pytest.approx(
            theirs.engine.state.assets[asset].last_score, rel=1e-5, abs=1e-5
        )


def test_a_job_masks_in_a_part_as_it_does_alone() -> None:
    """Masked and fresh rows find the graph of the asset that they are of."""
    ours, theirs = plant(), Rig()
    for one in (ours, theirs):
        one.run(300)
        one.context["cal"] = 1.0
        one.run(20)
        one.run(60, {"c1": 8.0})
        one.context["cal"] = 0.0
        one.run(160)
    assert "suppressed" in ours.said("r1")
    assert ours.said("r1") == theirs.said("r1")


def test_a_part_comes_and_goes_while_the_plant_runs() -> None:
    """Rows are warmed from the ring, also those of a part; and a restart finds all of them."""
    one, always = plant(), plant()
    one.run(200)
    always.run(200)
    one.give(BundleSwapped(bundle_sha256=bundle().sha256))
    assert [len(rows) for rows in one.engine.state.rows] == [2]
    assert "tank" not in one.engine.state.assets
    one.run(20)
    always.run(20)
    one.give(BundleSwapped(bundle_sha256=mixed().bundle.sha256))
    assert sorted(len(rows) for rows in one.engine.state.rows) == [1, 2]
    one.run(180)
    always.run(180)
    restored = unpack(pack(one.engine.state), EngineState)
    for mine, kept in zip(one.engine.state.rows, restored.rows, strict=True):
        assert np.array_equal(mine, kept)
    one.restart()
    one.run(60)
    always.run(60)
    for asset in ASSETS:
        assert one.scores[asset] == pytest.approx(always.scores[asset], abs=1e-4)
    assert np.isfinite(one.scores["tank"]), "it has come back and warmed up"
    assert {lay.asset for lay in asset_layouts(one.settings, mixed().bundle)} == set(one.scores)


def test_a_swap_between_mixed_bundles_warms_each_part() -> None:
    """A successor of the same assets goes on as if it had been there from the start."""
    wider = [
        fit_asset(
            TrainingSamples(
                asset=asset,
                channels=tuple(Channel(name=name, unit="bar") for name in CHANNELS),
                values=var(3000, seed=40 + i),
                period_ns=S,
            ),
            FitOptions(alignment="rows"),
        )
        for i, asset in enumerate(ASSETS)
    ]
    after = fitted_of(make_bundle([*wider, tank()]))
    swapped = Plant(fitted=mixed(), others={after.bundle.sha256: after})
    always = Plant(fitted=after)
    for one in (swapped, always):
        one.run(400)
    swapped.give(BundleSwapped(bundle_sha256=after.bundle.sha256))
    for one in (swapped, always):
        one.run(40)
    for asset in (*ASSETS, "tank"):
        assert swapped.scores[asset] == pytest.approx(always.scores[asset], abs=1e-3), asset


def test_what_differs_between_kinds_is_said() -> None:
    """An asset that is scored otherwise, and a part more."""
    samples = TrainingSamples(
        asset="tank", channels=(Channel(name="l"),), values=level(2000, seed=1), period_ns=S
    )
    as_var = fit_asset(samples, FitOptions(alignment="rows", detector="var"))
    changes = changes_of(mixed().bundle, make_bundle([as_var], parent=bundle()))
    said = {(change.asset, change.what): (change.before, change.after) for change in changes}
    assert said["tank", "detector"] == ("stream", "var")
    before, after = said["", "detector"]
    assert "streams of one channel" in before
    assert "streams of one channel" not in after


def test_a_journal_of_both_kinds_is_fitted_and_judged(tmp_path: Path) -> None:
    """From a recording to alerts: `auto` chooses by asset, and each rings for its own fault."""
    normal, faulty = tmp_path / "normal", tmp_path / "faulty"
    for place, seed, fault in ((normal, 1, False), (faulty, 2, True)):
        writer = JournalWriter(place)
        press, tank_rows = var(1500, seed=seed), level(1500, seed=seed)
        if fault:
            press[900:960, 2] += 8 * press[:, 2].std()
            tank_rows[1200:1260] += 4.0
        for i in range(0, 1500, 10):
            t_ns = [START + j * S for j in range(i, i + 10)]
            for asset, tags, rows in (("press", CHANNELS, press), ("tank", ("l",), tank_rows)):
                for payload in encode_rows(
                    list(tags), t_ns, rows[i : i + 10].tolist(), shape="columnar"
                ):
                    told = MessageReceived(
                        topic=f"plant/{asset}", payload=payload, received_ns=t_ns[-1]
                    )
                    writer.append([(t_ns[-1], told)])
        writer.close()
    console = Console(quiet=True)
    fit_recording(FitRequest(recording=normal, out=tmp_path / "b"), console=console)
    made = load(tmp_path / "b")
    kinds = {m.asset: kind_of(made.place(m.row_running)[0].spec) for m in made.assets}
    assert kinds == {"press": "var", "tank": "stream"}
    request = BacktestRequest(
        recording=faulty, bundle=tmp_path / "b", report=tmp_path / "report.json"
    )
    backtest_command(request, console=console)
    report = msgspec.json.decode((tmp_path / "report.json").read_bytes())
    rang = {alert["asset"] for alert in report["alerts"]}
    assert rang == {"press", "tank"}


def as_kind(kind: str, *, seed: int) -> Fitted:
    """The rig's plant with r1 scored by another kind; r11 and the tank as they are."""
    samples = TrainingSamples(
        asset="r1",
        channels=tuple(Channel(name=name, unit="bar") for name in CHANNELS),
        values=var(4000, seed=seed),
        period_ns=S,
    )
    fit = fit_asset(samples, FitOptions(alignment="rows", detector=kind))
    return fitted_of(make_bundle([fit], parent=mixed().bundle))


@pytest.mark.parametrize("kind", ["pca", "ensemble"])
def test_a_job_masks_rows_of_every_kind(kind: str) -> None:
    """What the work may disturb is suppressed, and a fault beside it rings."""
    masked, faulty = (Plant(fitted=as_kind(kind, seed=0)) for _ in range(2))
    for one, shift in ((masked, {"c1": 12.0}), (faulty, {"c1": 12.0, "c3": 12.0})):
        one.run(300)
        assert one.said("r1") == []
        one.context["cal"] = 1.0
        one.run(20)
        one.run(60, shift)
        one.context["cal"] = 0.0
        one.run(160)
    assert masked.said("r1")[0] == "suppressed"
    assert "ALERT" not in masked.said("r1")
    assert "ALERT" in faulty.said("r1")


@pytest.mark.parametrize("kind", ["pca", "ensemble"])
def test_rows_of_every_kind_are_warmed_and_restored(kind: str) -> None:
    """A takeover and a restart in between, and the scores are those of an undisturbed engine."""
    after = as_kind(kind, seed=0)
    swapped = Plant(fitted=mixed(), others={after.bundle.sha256: after})
    always = Plant(fitted=after)
    for one in (swapped, always):
        one.run(300)
    swapped.give(BundleSwapped(bundle_sha256=after.bundle.sha256))
    for one in (swapped, always):
        one.run(20, {"c2": 1.5})
    swapped.restart()
    for one in (swapped, always):
        one.run(20, {"c2": 1.5})
    for asset in (*ASSETS, "tank"):
        assert swapped.scores[asset] == pytest.approx(always.scores[asset], abs=1e-3), asset
    assert swapped.scores["r1"] > 0.0
