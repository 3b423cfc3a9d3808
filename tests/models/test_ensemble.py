"""The ensemble of histograms against its slow twin, and what it promises under masks and cuts."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.assemble import make_bundle
from models.bundle import kind_of
from models.card import model_card
from models.detector import TabledDetector, detector_of
from models.errors import ModelError
from models.fit import FitOptions, fit_asset, options_of
from models.rows import without
from models.store import load, save
from models.tabled_kinds import EnsembleSpec
from tests.models.plants import fitted, plant, samples
from tests.models.test_pca import block, line
from tests.oracles_ensemble import EnsembleTwin

if TYPE_CHECKING:
    from pathlib import Path

    from models.bundle import Bundle

OPTIONS = FitOptions(alignment="rows", detector="ensemble", settle_samples=3)


@functools.cache
def bundle() -> Bundle:
    """A wide asset and a narrow one, so that one row is padded."""
    return make_bundle(
        [
            fit_asset(samples(line(3000, seed=1), asset="r1"), OPTIONS),
            fit_asset(samples(line(3000, seed=2)[:, :3], asset="r2"), OPTIONS),
        ]
    )


@functools.cache
def detector() -> TabledDetector:
    """The real graph."""
    made = detector_of(bundle().only.graph)
    assert isinstance(made, TabledDetector)
    return made


@pytest.mark.parametrize("holes", [0.0, 0.2])
def test_scores_equal_the_slow_twin(holes: float) -> None:
    """Loops over projections and channels come to the same, with and without holes."""
    x, valid = block(90, seed=5, holes=holes)
    own = bundle().only.parameters
    score, _ = detector().score(x, valid, detector().initial_state(2), own)
    spec = bundle().only.spec
    assert isinstance(spec, EnsembleSpec)
    for row in range(2):
        p = {name: value[row].astype(np.float64) for name, value in own.items()}
        twin = EnsembleTwin(spec=spec, p=p, present=own["present"][row])
        told = np.array(
            [
                twin.step(values.astype(np.float64), seen)
                for values, seen in zip(x[row], valid[row], strict=True)
            ]
        )
        assert (np.isnan(told) == np.isnan(score[row])).all()
        known = np.isfinite(told)
        # a value at the edge of a bin may fall on either side of it, in float32
        close = np.abs(score[row] - told)[known] <= 5e-3 * np.maximum(1.0, told[known])
        assert close.mean() > 0.95
        assert np.nanmax(score[row]) > 2.0


@settings(max_examples=20, deadline=None)
@given(sizes=st.lists(st.integers(1, 40), min_size=1, max_size=6), seed=st.integers(0, 99))
def test_the_cut_of_a_stream_changes_nothing(sizes: list[int], seed: int) -> None:
    """One call or many: the same scores and the same memory."""
    x, valid = block(sum(sizes), seed=seed, holes=0.1)
    parameters, state, parts, at = bundle().only.parameters, detector().initial_state(2), [], 0
    whole, end = detector().score(x, valid, state, parameters)
    for size in sizes:
        part = slice(at, at + size)
        told, state = detector().score(x[:, part], valid[:, part], state, parameters)
        parts.append(told)
        at += size
    assert np.allclose(np.concatenate(parts, axis=1), whole, rtol=1e-3, atol=1e-3, equal_nan=True)
    assert np.allclose(state, end, rtol=1e-3, atol=1e-3)


def test_a_masked_channel_influences_nothing() -> None:
    """Not the score, not the state, not another's share, whatever it shows."""
    x, valid = block(80, seed=7, holes=0.0)
    valid[0, 20:, 2] = False
    other = np.where(valid, x, np.float32(1e9))
    start, parameters = detector().initial_state(2), bundle().only.parameters
    ours, theirs = (detector().score(v, valid, start, parameters) for v in (x, other))
    assert np.array_equal(ours[0], theirs[0], equal_nan=True)
    assert np.array_equal(ours[1], theirs[1])
    shares = [detector().contribute(v, valid, start, parameters) for v in (x, other)]
    assert np.array_equal(shares[0], shares[1])
    assert (shares[0][~valid] == 0.0).all()
    known = np.isfinite(ours[0])
    assert np.allclose(shares[0].sum(axis=2)[known], 1.0, atol=1e-4)
    assert (shares[0][~known] == 0.0).all()


@pytest.mark.parametrize("gone", [(), (0,), (1, 4), (0, 1, 2, 3)])
def test_the_score_keeps_its_meaning_under_a_mask(gone: tuple[int, ...]) -> None:
    """Of unseen normal rows about one in 10^s goes over s, whichever channels are left."""
    x = line(20_000, seed=9).astype(np.float32)[None]
    valid = np.ones(x.shape, bool)
    valid[:, :, list(gone)] = False
    own = {name: value[:1] for name, value in bundle().only.parameters.items()}
    score, _ = detector().score(x, valid, detector().initial_state(1), own)
    for level in (1.0, 2.0):
        over = float((score[np.isfinite(score)] >= level).mean())
        assert 10**-level / 4.0 < over < 4.0 * 10**-level, level


def test_a_row_without_channels_is_a_mask_for_good() -> None:
    """A job's masked row scores as if the channel never had a value."""
    keep = np.array([True, False, True, True, True])
    derived = without(bundle(), 0, keep)
    x, valid = block(60, seed=3, holes=0.0)
    start = detector().initial_state(1)
    ours, _ = detector().score(x[:1], valid[:1], start, derived)
    own = {name: value[:1] for name, value in bundle().only.parameters.items()}
    theirs, _ = detector().score(x[:1], valid[:1] & keep, start, own)
    assert np.allclose(ours, theirs, atol=1e-5, equal_nan=True)


def test_a_fault_is_told_by_its_channel() -> None:
    """The channel that is far off has the largest share."""
    values = line(300, seed=21)
    values[200:240, 3] += 12.0 * values[:, 3].std()
    x = values.astype(np.float32)[None]
    own = {name: value[:1] for name, value in bundle().only.parameters.items()}
    start, valid = detector().initial_state(1), np.ones(x.shape, bool)
    score, _ = detector().score(x, valid, start, own)
    share = detector().contribute(x, valid, start, own)
    assert score[0, 205:240].min() > 3.0
    assert (share[0, 205:240].argmax(axis=1) == 3).all()


def test_a_few_strange_rows_in_the_record_hardly_move_it() -> None:
    """Two per cent of wild rows, and the fault is still far over any threshold."""
    clean, dirty = line(3000, seed=1), line(3000, seed=1)
    wild = np.random.default_rng(4).choice(len(dirty), size=60, replace=False)
    dirty[wild] += 30.0 * dirty.std(axis=0)
    values = line(300, seed=22)
    values[200:240, 1] += 6.0 * values[:, 1].std()
    x = values.astype(np.float32)[None]
    found = []
    for record in (clean, dirty):
        part = make_bundle([fit_asset(samples(record), OPTIONS)]).only
        made = detector_of(part.graph)
        score, _ = made.score(x, np.ones(x.shape, bool), made.initial_state(1), part.parameters)
        found.append(float(np.median(score[0, 210:240])))
    assert min(found) > 4.0


def test_it_lives_beside_other_kinds(tmp_path: Path) -> None:
    """Saved, loaded, told in the card, and kept by a child that fits the asset again."""
    mixed = make_bundle([fitted(c=4, asset="z")], parent=bundle())
    back = load(save(mixed, tmp_path / "b"))
    kinds = {m.asset: kind_of(back.place(m.row_running)[0].spec) for m in back.assets}
    assert kinds == {"r1": "ensemble", "r2": "ensemble", "z": "var"}
    assert "### ensemble: r1, r2" in model_card(back)
    assert options_of(back, "r1").detector == "ensemble"
    again = make_bundle([], parent=back)
    ours = {m.asset: back.place(m.row_running) for m in back.assets}
    for model in again.assets:
        (part, row), (was, at) = again.place(model.row_running), ours[model.asset]
        for name, value in part.parameters.items():
            assert np.allclose(value[row], was.parameters[name][at], atol=1e-5), name


def test_one_channel_makes_no_ensemble() -> None:
    """It has a kind of its own."""
    with pytest.raises(ModelError, match="for assets of several"):
        fit_asset(samples(plant(400, seed=1, c=1)), OPTIONS)
