"""Principal components against their slow twin, and what they promise under masks and cuts."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from models.assemble import make_bundle
from models.bundle import kind_of
from models.card import model_card
from models.components import PLANE_SHARE, plane_and_rest
from models.detector import TabledDetector, detector_of
from models.errors import ModelError
from models.fit import FitOptions, fit_asset, options_of
from models.rows import without
from models.store import load, save
from models.tabled_kinds import PcaSpec
from tests.models.plants import fitted, plant, samples
from tests.oracles_pca import PcaTwin

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from models.bundle import Bundle

    F64 = NDArray[np.float64]
    F32 = NDArray[np.float32]

OPTIONS = FitOptions(alignment="rows", detector="pca", settle_samples=3)


def line(rows: int, *, seed: int, c: int = 5) -> F64:
    """Five channels that two quantities move, with noise of their own (n, c)."""
    chance = np.random.default_rng(seed)
    loads = np.random.default_rng(0).normal(size=(2, c))
    moved = chance.normal(size=(rows, 2)) @ loads
    noise = 0.4 * chance.normal(size=(rows, c))
    return np.asarray((moved + noise) * np.geomspace(0.1, 10.0, c) + 5.0)


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


def block(rows: int, *, seed: int, holes: float) -> tuple[F32, NDArray[np.bool_]]:
    """Samples of both assets (2, n, c) with holes, a gap and a fault, and which are valid."""
    x = np.zeros((2, rows, 5), np.float32)
    for i in range(2):
        x[i] = line(rows, seed=seed + i)
    x[:, rows // 2 : rows // 2 + 8, 1] += 6.0
    valid = np.random.default_rng(seed).random(x.shape) >= holes
    valid[1, :, 3:] = False
    if holes:
        valid[:, rows // 3 : rows // 3 + 2] = False
    return x, valid


def twins() -> list[PcaTwin]:
    """One for each row."""
    made = []
    own = bundle().only.parameters
    spec = bundle().only.spec
    assert isinstance(spec, PcaSpec)
    for row in range(2):
        p = {name: value[row].astype(np.float64) for name, value in own.items()}
        made.append(
            PcaTwin(
                spec=spec,
                center=p["center"],
                scale=p["scale"],
                present=own["present"][row],
                covariance=p["covariance"],
                components=round(float(np.trace(p["plane"] @ p["covariance"]))),
                knots=p["tail_knots"],
                slopes=p["tail_slopes"],
                fusion=float(p["fusion"][0]),
                settle=float(p["settle"][0]),
            )
        )
    return made


@pytest.mark.parametrize("holes", [0.0, 0.2])
def test_scores_equal_the_slow_twin(holes: float) -> None:
    """Sample by sample with dense solves comes to the same, with and without holes."""
    x, valid = block(90, seed=5, holes=holes)
    score, _ = detector().score(x, valid, detector().initial_state(2), bundle().only.parameters)
    for row, twin in enumerate(twins()):
        told = [
            twin.step(values.astype(np.float64), seen)
            for values, seen in zip(x[row], valid[row], strict=True)
        ]
        assert np.allclose(score[row], told, rtol=5e-3, atol=5e-3, equal_nan=True)
        assert np.nanmax(score[row]) > 2.0
    assert np.isnan(score[:, :3]).all(), "a start settles"
    assert np.isfinite(score[:, 3 : 90 // 3]).all()


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


@pytest.mark.parametrize("gone", [(), (0,), (1, 4)])
def test_the_score_keeps_its_meaning_under_a_mask(gone: tuple[int, ...]) -> None:
    """Of unseen normal rows about one in 10^s goes over s, whichever channels are left."""
    x = line(20_000, seed=9).astype(np.float32)[None]
    valid = np.ones(x.shape, bool)
    valid[:, :, list(gone)] = False
    own = {name: value[:1] for name, value in bundle().only.parameters.items()}
    score, _ = detector().score(x, valid, detector().initial_state(1), own)
    for level in (1.0, 2.0):
        over = float((score[np.isfinite(score)] >= level).mean())
        assert 10**-level / 3.0 < over < 3.0 * 10**-level, level


def test_a_row_without_channels_is_that_of_the_others_alone() -> None:
    """What a job's masked row is scored with is solved anew, as a fit of the rest would be."""
    keep = np.array([True, False, True, True, True])
    derived = without(bundle(), 0, keep)
    square = bundle().only.parameters["covariance"][0].astype(np.float64)
    _, plane, rest = plane_and_rest(square[np.ix_(keep, keep)], np.ones(4, bool))
    assert np.allclose(derived["plane"][0][np.ix_(keep, keep)], plane, atol=1e-5)
    assert np.allclose(derived["rest"][0][np.ix_(keep, keep)], rest, atol=1e-5)
    assert (derived["plane"][0][1] == 0.0).all()
    x, valid = block(60, seed=3, holes=0.0)
    wild = x.copy()
    wild[:, :, 1] = 1e6
    start = detector().initial_state(1)
    ours, _ = detector().score(x[:1], valid[:1], start, derived)
    theirs, _ = detector().score(wild[:1], valid[:1], start, derived)
    assert np.array_equal(ours, theirs, equal_nan=True)


def test_a_broken_relation_is_found_where_each_channel_is_usual() -> None:
    """What no channel shows alone leaves the plane."""
    values = line(400, seed=11)
    values[200:260, 4] = line(400, seed=12)[200:260, 4]  # of another day: the same range
    x = values.astype(np.float32)[None]
    own = {name: value[:1] for name, value in bundle().only.parameters.items()}
    score, _ = detector().score(x, np.ones(x.shape, bool), detector().initial_state(1), own)
    assert np.median(score[0, 205:260]) > 1.3
    assert np.max(score[0, 205:260]) > 3.0
    assert np.median(score[0, 20:200]) < 0.5


def test_forms_of_a_covariance_worked_out_by_hand() -> None:
    """Two channels of correlation 0.95: one component along the diagonal, the rest across."""
    covariance = np.array([[1.0, 0.95], [0.95, 1.0]])
    own, plane, rest = plane_and_rest(covariance, np.ones(2, bool))
    assert np.allclose(own, covariance)
    assert np.allclose(plane, np.full((2, 2), 0.5 / 1.95))
    assert np.allclose(rest, [[0.5, -0.5], [-0.5, 0.5]])
    assert PLANE_SHARE < 1.95 / 2.0


def test_deviates_are_normal_where_the_plant_is() -> None:
    """Wilson and Hilferty's cube root makes T-squared and Q of normal values normal deviates."""
    x = line(20_000, seed=13).astype(np.float32)[None]
    own = {name: value[:1] for name, value in bundle().only.parameters.items()}
    _, told = detector().deviates(x, np.ones(x.shape, bool), own)
    for view in (0, 2):  # at rate 1, T and Q
        at = np.quantile(told[0, 100:, view], [0.5, 0.9, 0.99])
        assert np.allclose(at, stats.norm.ppf([0.5, 0.9, 0.99]), atol=0.25)


def test_it_lives_beside_other_kinds(tmp_path: Path) -> None:
    """Saved, loaded, told in the card, and kept by a child that fits the asset again."""
    mixed = make_bundle([fitted(c=4, asset="z")], parent=bundle())
    back = load(save(mixed, tmp_path / "b"))
    kinds = {m.asset: kind_of(back.place(m.row_running)[0].spec) for m in back.assets}
    assert kinds == {"r1": "pca", "r2": "pca", "z": "var"}
    assert "### pca: r1, r2" in model_card(back)
    assert options_of(back, "r1").detector == "pca"
    again = make_bundle([], parent=back)
    ours = {m.asset: back.place(m.row_running) for m in back.assets}
    for model in again.assets:
        (part, row), (was, at) = again.place(model.row_running), ours[model.asset]
        for name, value in part.parameters.items():
            assert np.allclose(value[row], was.parameters[name][at], atol=1e-5), name


def test_one_channel_has_no_components() -> None:
    """A plane takes two."""
    with pytest.raises(ModelError, match="for assets of several"):
        fit_asset(samples(plant(400, seed=1, c=1)), OPTIONS)
