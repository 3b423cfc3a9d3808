"""Modes that no tag tells, in the engine; levels and drift of an asset with modes."""

from __future__ import annotations

import functools
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np
import pytest

from edge.engine import Engine
from edge.records import BundleSwapped, MessageReceived, Publish, TickDue
from edge.samples.mode_rows import of_own, rows_at
from edge.settings import AssetSettings, ContextTag, GatewaySettings
from edge.state import EngineState
from edge.storage.checkpoint import pack, unpack
from edge.wire.readings import encode_rows
from kb.records import WorkKind
from models.bundles.assemble import make_bundle
from models.bundles.rows import without
from models.detector import detectors_of
from models.fitting.drift import LEVELS
from models.fitting.fit import FitOptions, fit_asset
from tests.edge.rig import CHANNELS, START, S, fitted_of, knowledge, var
from tests.models.plants import samples

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from edge.records import Effect
    from models.bundles.bundle import Bundle

    F64 = NDArray[np.float64]

ROWS: Final = FitOptions(alignment="rows", find_modes=True)
CAL: Final = ContextTag(tag="cal", role="witness", kind=WorkKind.CALIBRATION, instrument="x")
MODE: Final = ContextTag(tag="mode", role="mode")
SIGMA: Final = var(4000, seed=0).std(axis=0)
STEP: Final = 12.0 * SIGMA * np.array([0.0, 1.0, 0.0, 0.0])  # from mode 1 to mode 2


def plant(n: int, *, seed: int, stay: int = 100) -> tuple[F64, F64]:
    """A machine in two modes by turns, twelve sigmas apart in c1: (n, 4), mode (n,)."""
    mode = np.where(np.arange(n) // stay % 2 == 0, 1.0, 2.0)
    return var(n, seed=seed) + STEP * (mode == 2.0)[:, None], mode


@functools.cache
def bundle(*, told: bool) -> Bundle:
    """Fitted on the modes as told, or on the channels alone."""
    values, mode = plant(8000, seed=1)
    record = samples(values, asset="r1")
    return make_bundle([fit_asset(replace(record, mode=mode) if told else record, ROWS)])


def engine_of(made: Bundle, context: Sequence[ContextTag], state: EngineState | None) -> Engine:
    """A gateway of one asset with these context tags."""
    conf = GatewaySettings(site="s", asset=(AssetSettings(id="r1", context=tuple(context)),))
    return Engine(
        conf,
        bundle=made,
        detectors=detectors_of(made),
        derive=lambda row, keep: without(made, row, keep),
        bundle_of=lambda sha256: next(
            (fitted_of(b) for b in (bundle(told=True), bundle(told=False)) if b.sha256 == sha256),
            None,
        ),
        knowledge=knowledge(),
        state=state,
    )


def fed(
    made: Bundle,
    values: F64,
    told: dict[ContextTag, F64] | None = None,
    *,
    step: int = 20,
    restart_at: int = -1,
) -> tuple[Engine, list[Effect]]:
    """An engine that has seen these samples and context tags, and what left it."""
    context = told or {}
    engine = engine_of(made, list(context), None)
    effects: list[Effect] = []
    rows = np.column_stack([values, *context.values()])
    tags = [*CHANNELS, *(tag.tag for tag in context)]
    for begin in range(0, len(rows), step):
        part = rows[begin : begin + step]
        t_ns = [START + (begin + i) * S for i in range(len(part))]
        for payload in encode_rows(tags, t_ns, part.tolist(), shape="columnar"):
            heard = MessageReceived(topic="plant/r1", payload=payload, received_ns=t_ns[-1])
            effects += engine.handle(heard, now_ns=t_ns[-1])
        effects += engine.handle(TickDue(), now_ns=t_ns[-1] + 3 * S // 4)
        if begin <= restart_at < begin + step:
            state = unpack(pack(engine.state), EngineState)
            engine = engine_of(made, list(context), state)
    return engine, effects


def alerts(effects: Sequence[Effect]) -> list[bytes]:
    """Revisions of the process alert, in order."""
    return [e.payload for e in effects if isinstance(e, Publish) and e.topic.endswith("r1/process")]


# --- guessed ---


@pytest.mark.parametrize("step", [3, 20])
def test_recipes_that_nobody_tells_are_no_events(step: int) -> None:
    """Each sample is of a mode soon after a change; nothing rings, and a restart is none either."""
    values, mode = plant(900, seed=2)
    engine, effects = fed(bundle(told=False), values, step=step, restart_at=450)
    assert not alerts(effects)
    guessed = engine.state.ring.assets["r1"].mode
    assert guessed is not None
    assert (guessed[: len(mode)] == mode - 1.0).mean() > 0.9


def test_a_small_shift_within_a_mode_rings_and_one_baseline_of_all_misses_it() -> None:
    """Two and a half sigmas of one channel, a fifth of what lies between the modes."""
    made = bundle(told=False)
    values, _ = plant(900, seed=3)
    values[520:600, 1] += 2.5 * SIGMA[1]
    _, effects = fed(made, values)
    assert alerts(effects)
    record = samples(plant(8000, seed=1)[0], asset="r1")
    alone = make_bundle([fit_asset(record, FitOptions(alignment="rows"))])
    _, effects = fed(alone, values)
    assert not alerts(effects)


def test_what_is_far_from_all_modes_rings() -> None:
    """It may be the fault: a level that no mode has is never a mode that was not seen."""
    values, _ = plant(900, seed=4)
    values[520:580] += STEP / 2.0
    engine, effects = fed(bundle(told=False), values)
    assert alerts(effects)
    assert np.isfinite(engine.state.assets["r1"].last_score)


def test_every_sample_has_a_score_where_a_baseline_of_all_had_one() -> None:
    """Between modes, and until the baseline of a mode is ready, that of all running counts."""
    made = bundle(told=False)
    values, _ = plant(400, seed=5)
    scores = []
    for end in range(100, 125):
        engine, _ = fed(made, values[:end], step=end)
        scores.append(engine.state.assets["r1"].last_score)
    assert np.isfinite(scores).all()


def test_while_a_job_is_open_the_mode_is_held() -> None:
    """Work that brings a channel to the level of another mode does not change the mode."""
    values, _ = plant(600, seed=6, stay=1000)
    values[300:400] += STEP
    cal = np.where((np.arange(600) >= 290) & (np.arange(600) < 410), 1.0, 0.0)
    engine, _ = fed(bundle(told=False), values, {CAL: cal})
    guessed = engine.state.ring.assets["r1"].mode
    assert guessed is not None
    assert (guessed[300:400] == guessed[280]).all()


def test_a_guess_never_suppresses_and_says_why() -> None:
    """What work disturbs may change the guess, so what it leaves alone cannot be judged by it."""
    values, _ = plant(600, seed=6, stay=1000)
    values[300:400] += STEP
    cal = np.where((np.arange(600) >= 290) & (np.arange(600) < 410), 1.0, 0.0)
    _, effects = fed(bundle(told=False), values, {CAL: cal})
    said = [e.payload for e in effects if isinstance(e, Publish) and "/event/" in e.topic]
    assert any(b"mode is guessed" in one for one in said)
    assert not any(b'"SUPPRESSED"' in one for one in said)


def test_a_swap_guesses_the_history_again() -> None:
    """From modes of a tag to such as are guessed: the ring has those of the new bundle."""
    values, mode = plant(700, seed=7)
    engine, _ = fed(bundle(told=True), values, {MODE: mode})
    now_ns = START + 701 * S
    swap = BundleSwapped(bundle_sha256=bundle(told=False).sha256)
    engine.handle(swap, now_ns=now_ns)
    guessed = engine.state.ring.assets["r1"].mode
    assert guessed is not None
    assert (guessed[:700] == mode - 1.0).mean() > 0.9
    assert engine.state.assets["r1"].guess.mode == int(mode[-1]) - 1


# --- levels ---


def _after_a_job(fault: float) -> list[bytes]:
    """What is said of a job on c1 at the end of one mode, judged in the other. fault: sigmas."""
    values, mode = plant(900, seed=8)
    cal = np.where((np.arange(900) >= 550) & (np.arange(900) < 595), 1.0, 0.0)
    values[550:595, 1] += 6.0 * SIGMA[1]
    values[595:, 1] += fault * SIGMA[1]
    _, effects = fed(bundle(told=True), values[:680], {MODE: mode[:680], CAL: cal[:680]})
    assert alerts(effects)
    said = [e.payload for e in effects if isinstance(e, Publish) and "/event/" in e.topic]
    return [one for one in said if b"level has not come back" in one]


def test_another_mode_after_a_job_is_no_lasting_shift() -> None:
    """Half of the samples before it were in the mode twelve sigmas off."""
    assert not _after_a_job(0.0)


def test_a_small_lasting_shift_after_a_job_rings_on_an_asset_with_modes() -> None:
    """A sigma and a half of the mode, which is a quarter of all running."""
    assert _after_a_job(1.5)


# --- drift ---


@pytest.mark.parametrize("told", [True, False])
def test_an_asset_with_modes_has_a_drift_reference_within_modes(told: bool) -> None:  # noqa: FBT001
    """Spread is that of a mode, not of the distance between modes."""
    model = bundle(told=told).assets[0]
    assert model.drift is not None
    spread = model.drift.mean[LEVELS + 4 :]
    assert np.allclose(spread, np.sqrt(2 / np.pi), atol=0.12)


def test_another_mixture_of_modes_is_no_drift_and_a_moved_mode_is() -> None:
    """Mode 2 alone for an hour says nothing; mode 2 a little higher does."""
    calm = var(7200, seed=9)
    other = calm + STEP
    mode = np.full(7200, 2.0)
    engine, _ = fed(bundle(told=True), other, {MODE: mode}, step=200)
    report = next(engine.drifts())
    assert report is not None
    assert report.known
    assert not report.channels
    moved = other + np.array([0.0, 0.0, 0.4, 0.0]) * SIGMA
    engine, _ = fed(bundle(told=True), moved, {MODE: mode}, step=200)
    report = next(engine.drifts())
    assert report is not None
    assert [one.channel for one in report.channels] == ["c2"]


def test_samples_of_a_mode_without_a_baseline_do_not_count() -> None:
    """They are counted apart, and belong to no baseline of their own."""
    model = bundle(told=True).assets[0]
    at = rows_at(model, np.ones(3, np.bool_), np.array([1.0, np.nan, 9.0]))
    own = of_own(model, at)
    assert own is not None
    assert own.tolist() == [True, False, False]
    values, mode = plant(400, seed=10)
    mode[200:] = np.nan
    state = fed(bundle(told=True), values[:200], {MODE: np.full(200, np.nan)})[0].state
    drift = state.assets["r1"].drift
    assert drift is not None
    assert drift.left_out["mode"] > 150
