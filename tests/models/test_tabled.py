"""What every kind whose views have stored tails promises, under masks and cuts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.bundles.assemble import make_bundle
from models.bundles.bundle import kind_of
from models.bundles.card import model_card
from models.bundles.store import load, save
from models.errors import ModelError
from models.fitting.fit import fit_asset, options_of
from tests.models.plants import fitted, plant, samples
from tests.models.tabled_plants import block, bundle, detector, line, options

if TYPE_CHECKING:
    from pathlib import Path

KINDS = pytest.mark.parametrize("kind", ["pca", "ensemble"])


@KINDS
@settings(max_examples=20, deadline=None)
@given(sizes=st.lists(st.integers(1, 40), min_size=1, max_size=6), seed=st.integers(0, 99))
def test_the_cut_of_a_stream_changes_nothing(kind: str, sizes: list[int], seed: int) -> None:
    """One call or many: the same scores and the same memory."""
    x, valid = block(sum(sizes), seed=seed, holes=0.1)
    parameters, state, parts, at = (
        bundle(kind).only.parameters,
        detector(kind).initial_state(2),
        [],
        0,
    )
    whole, end = detector(kind).score(x, valid, state, parameters)
    for size in sizes:
        part = slice(at, at + size)
        told, state = detector(kind).score(x[:, part], valid[:, part], state, parameters)
        parts.append(told)
        at += size
    assert np.allclose(np.concatenate(parts, axis=1), whole, rtol=1e-3, atol=1e-3, equal_nan=True)
    assert np.allclose(state, end, rtol=1e-3, atol=1e-3)


@KINDS
def test_a_masked_channel_influences_nothing(kind: str) -> None:
    """Not the score, not the state, not another's share, whatever it shows."""
    x, valid = block(80, seed=7, holes=0.0)
    valid[0, 20:, 2] = False
    other = np.where(valid, x, np.float32(1e9))
    start, parameters = detector(kind).initial_state(2), bundle(kind).only.parameters
    ours, theirs = (detector(kind).score(v, valid, start, parameters) for v in (x, other))
    assert np.array_equal(ours[0], theirs[0], equal_nan=True)
    assert np.array_equal(ours[1], theirs[1])
    shares = [detector(kind).contribute(v, valid, start, parameters) for v in (x, other)]
    assert np.array_equal(shares[0], shares[1])
    assert (shares[0][~valid] == 0.0).all()
    known = np.isfinite(ours[0])
    assert np.allclose(shares[0].sum(axis=2)[known], 1.0, atol=1e-4)
    assert (shares[0][~known] == 0.0).all()


@KINDS
@pytest.mark.parametrize("gone", [(), (0,), (1, 4), (0, 1, 2, 3)])
def test_the_score_keeps_its_meaning_under_a_mask(kind: str, gone: tuple[int, ...]) -> None:
    """Of unseen normal rows about one in 10^s goes over s, whichever channels are left."""
    x = line(20_000, seed=9).astype(np.float32)[None]
    valid = np.ones(x.shape, bool)
    valid[:, :, list(gone)] = False
    own = {name: value[:1] for name, value in bundle(kind).only.parameters.items()}
    score, _ = detector(kind).score(x, valid, detector(kind).initial_state(1), own)
    for level in (1.0, 2.0):
        over = float((score[np.isfinite(score)] >= level).mean())
        assert 10**-level / 3.0 < over < 3.0 * 10**-level, level


@KINDS
def test_it_lives_beside_other_kinds(kind: str, tmp_path: Path) -> None:
    """Saved, loaded, told in the card, and kept by a child that fits the asset again."""
    mixed = make_bundle([fitted(c=4, asset="z")], parent=bundle(kind))
    back = load(save(mixed, tmp_path / "b"))
    kinds = {m.asset: kind_of(back.place(m.row_running)[0].spec) for m in back.assets}
    assert kinds == {"r1": kind, "r2": kind, "z": "var"}
    assert f"### {kind}: r1, r2" in model_card(back)
    assert options_of(back, "r1").detector == kind
    again = make_bundle([], parent=back)
    ours = {m.asset: back.place(m.row_running) for m in back.assets}
    for model in again.assets:
        (part, row), (was, at) = again.place(model.row_running), ours[model.asset]
        for name, value in part.parameters.items():
            assert np.allclose(value[row], was.parameters[name][at], atol=1e-5), name


@KINDS
def test_one_channel_is_refused(kind: str) -> None:
    """It has a kind of its own."""
    with pytest.raises(ModelError, match="for assets of several"):
        fit_asset(samples(plant(400, seed=1, c=1)), options(kind))
