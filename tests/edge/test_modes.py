"""Operating modes: each is judged by its own baseline, and one never seen says so."""

from __future__ import annotations

import functools
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np
import pytest

from edge.engine import Engine
from edge.records import MessageReceived, Note, Publish, TickDue, Track
from edge.samples.mode_rows import rows_at
from edge.settings import AssetSettings, ContextTag, GatewaySettings
from edge.state import EngineState
from edge.storage.checkpoint import pack, unpack
from edge.wire.readings import encode_rows
from models.bundles.assemble import make_bundle
from models.bundles.bundle import CONTAMINATED
from models.bundles.card import model_card
from models.bundles.check import own_rows
from models.bundles.rows import without
from models.bundles.store import load, save
from models.detector import detectors_of
from models.errors import ModelError
from models.fitting.fit import FitOptions, fit_asset
from tests.edge.rig import CHANNELS, START, S, var
from tests.models.plants import samples

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from edge.records import Effect
    from edge.samples.scoring import Score
    from models.bundles.bundle import Bundle
    from models.samples import TrainingSamples

    F64 = NDArray[np.float64]

CONF: Final = GatewaySettings(
    site="s",
    asset=(AssetSettings(id="r1", context=(ContextTag(tag="mode", role="mode"),)),),
)
DWELL: Final = 100  # samples in a mode


def _plant(n: int, *, seed: int) -> tuple[F64, F64]:
    """A machine in two modes by turns: values (n, 4), in mode 2 far higher and twice as rough."""
    calm = var(n, seed=seed)
    mode = np.where(np.arange(n) // DWELL % 2 == 0, 1.0, 2.0)
    center, sigma = calm.mean(axis=0), calm.std(axis=0)
    rough = center + 8.0 * sigma + 2.0 * (calm - center)
    return np.where((mode == 2.0)[:, None], rough, calm), mode


def _training(n: int = 6000, *, seed: int = 1) -> TrainingSamples:
    values, mode = _plant(n, seed=seed)
    return replace(samples(values, asset="r1"), mode=mode)


@functools.cache
def _bundle() -> Bundle:
    return make_bundle([fit_asset(_training(), FitOptions(alignment="rows"))])


@functools.cache
def _detectors() -> tuple[Score, ...]:
    return detectors_of(_bundle())


def _engine(state: EngineState | None = None) -> Engine:
    return Engine(
        CONF,
        bundle=_bundle(),
        detectors=_detectors(),
        derive=lambda row, keep: without(_bundle(), row, keep),
        state=state,
    )


def _fed(
    values: F64, mode: F64, *, step: int = 20, restart: bool = False
) -> tuple[Engine, list[Effect]]:
    """An engine that has seen these samples, and what left it."""
    engine = _engine()
    effects: list[Effect] = []
    rows = np.column_stack([values, mode])
    for begin in range(0, len(rows), step):
        part = rows[begin : begin + step]
        t_ns = [START + (begin + i) * S for i in range(len(part))]
        for payload in encode_rows([*CHANNELS, "mode"], t_ns, part.tolist(), shape="columnar"):
            told = MessageReceived(topic="plant/r1", payload=payload, received_ns=t_ns[-1])
            effects += engine.handle(told, now_ns=t_ns[-1])
        effects += engine.handle(TickDue(), now_ns=t_ns[-1] + 3 * S // 4)
        if restart and begin == step * 10:
            engine = _engine(unpack(pack(engine.state), EngineState))
    return engine, effects


def _rang(effects: list[Effect]) -> bool:
    return any(isinstance(e, Publish) and e.topic.endswith("r1/process") for e in effects)


def test_a_mode_has_a_row_of_its_own() -> None:
    """The rows of the bundle are running and two modes; the card names them."""
    model = _bundle().assets[0]
    assert [mode.value for mode in model.modes] == [1.0, 2.0]
    assert own_rows(model) == [0, 1, 2]
    assert "modes with a baseline of their own: 1, 2" in model_card(_bundle())


def test_modes_survive_the_disk_and_a_child(tmp_path: Path) -> None:
    """What is loaded, and what a child takes over, scores each mode as before."""
    loaded = load(save(_bundle(), tmp_path / "b"))
    assert loaded.assets[0].modes == _bundle().assets[0].modes
    other = fit_asset(samples(var(2000, seed=9), asset="r2"), FitOptions(alignment="rows"))
    child = make_bundle([other], parent=_bundle())
    model = next(m for m in child.assets if m.asset == "r1")
    for old, new in zip(_bundle().assets[0].modes, model.modes, strict=True):
        for name, value in _bundle().only.parameters.items():
            assert np.allclose(value[old.row], child.only.parameters[name][new.row], atol=1e-5)


@pytest.mark.parametrize("step", [1, 7, 20])
@pytest.mark.not_counted
def test_changing_modes_is_no_event(step: int) -> None:
    """Eight sigmas up and down every hundred seconds: nothing rings, however it is cut."""
    engine, effects = _fed(*_plant(900, seed=2), step=step)
    assert not _rang(effects)
    assert np.isfinite(engine.state.assets["r1"].last_score)


def test_the_level_of_one_mode_is_a_fault_in_another() -> None:
    """A channel that stays at the level of mode 1 while in mode 2 rings, though it is in range."""
    values, mode = _plant(900, seed=3)
    calm = var(900, seed=3)
    values[520:590, 2] = calm[520:590, 2]
    assert (mode[520:590] == 2.0).all()
    _, effects = _fed(values, mode)
    assert _rang(effects)


def test_a_mode_never_seen_says_so_instead_of_ringing() -> None:
    """In mode 7 nothing is scored; the log has it once, and the next known mode is judged again."""
    values, mode = _plant(900, seed=4)
    values[410:490] *= 3.0
    mode[410:490] = 7.0
    engine, effects = _fed(values[:480], mode[:480])
    assert np.isnan(engine.state.assets["r1"].last_score)
    assert engine.blind() == ("r1",)
    notes = [e for e in effects if isinstance(e, Note) and e.name == "mode_unseen"]
    assert [note.fields["mode"] for note in notes] == [7.0]
    engine, effects = _fed(values, mode, restart=True)
    assert not _rang(effects)
    assert np.isfinite(engine.state.assets["r1"].last_score)
    assert sum(isinstance(e, Note) and e.name == "mode_unseen" for e in effects) == 1


def test_before_a_mode_is_told_all_of_them_are_normal() -> None:
    """Without a value of the mode tag the row of all running counts: no alert, no silence."""
    values, mode = _plant(300, seed=5)
    engine, effects = _fed(values, np.full(len(mode), np.nan))
    assert not _rang(effects)
    assert np.isfinite(engine.state.assets["r1"].last_score)
    assert not engine.state.assets["r1"].tracks[Track.PROCESS].active


def test_a_counter_is_no_mode() -> None:
    """A tag with a value a row is refused, and the message asks what it is."""
    wrong = replace(_training(1000), mode=np.arange(1000, dtype=np.float64))
    with pytest.raises(ModelError, match="is it a counter"):
        fit_asset(wrong, FitOptions(alignment="rows"))


def test_a_short_mode_shares_the_row_of_all() -> None:
    """A mode of fifty rows was seen: it is scored by the baseline of all running, not blind."""
    values, mode = _plant(3000, seed=6)
    mode[1450:1500] = 3.0
    fit = fit_asset(replace(samples(values, asset="r1"), mode=mode), FitOptions(alignment="rows"))
    model = make_bundle([fit]).assets[0]
    rows = {known.value: known.row for known in model.modes}
    assert rows[3.0] == model.row_running
    assert rows[1.0] != rows[2.0] != model.row_running


def test_a_rare_mode_is_no_contamination_of_the_others() -> None:
    """Fifteen per cent of the rows in another mode, in three stretches, keep a baseline."""
    calm = var(6000, seed=8)
    mode = np.ones(len(calm))
    for begin in (1000, 3000, 5000):
        mode[begin : begin + 300] = 2.0
    values = np.where((mode == 2.0)[:, None], calm + 8.0 * calm.std(axis=0), calm)
    fit = fit_asset(replace(samples(values, asset="r1"), mode=mode), FitOptions(alignment="rows"))
    assert [value for value, row in fit.modes if row is not None] == [1.0, 2.0]
    assert CONTAMINATED not in fit.metrics


def test_of_a_record_of_one_mode_any_other_was_never_seen() -> None:
    """One value told makes it the mode of all running; another is not scored by its row."""
    values, _ = _plant(100, seed=1)
    calm = np.vstack([values[:DWELL], var(2000, seed=9)])
    fit = fit_asset(
        replace(samples(calm, asset="r1"), mode=np.ones(len(calm))), FitOptions(alignment="rows")
    )
    model = make_bundle([fit]).assets[0]
    assert [(known.value, known.row) for known in model.modes] == [(1.0, model.row_running)]
    at = rows_at(model, np.ones(3, np.bool_), np.array([1.0, 2.0, np.nan]))
    assert at.tolist() == [model.row_running, -1, model.row_running]
