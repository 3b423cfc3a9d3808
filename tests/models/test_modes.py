"""Modes that no tag tells: found where they are, not where they are not, and told causally."""

from __future__ import annotations

import functools
from itertools import pairwise
from typing import TYPE_CHECKING, Final

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import lfilter

from models.bundles.assemble import make_bundle
from models.bundles.bundle import MODE_OF_PARENT
from models.bundles.card import model_card
from models.bundles.check import own_rows
from models.bundles.store import load, save
from models.fitting.fit import FitOptions, fit_asset
from models.fitting.mode_track import FoundModes, ModeTrack, hold_mode, tell_modes
from models.fitting.modes import find_modes
from models.samples import F32_MAX
from tests.models.plants import plant, samples

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    F64 = NDArray[np.float64]

LEVELS: Final = np.array([[0.0, 0.0, 0.0, 0.0], [12.0, -9.0, 0.0, 0.0], [24.0, 9.0, 0.0, 0.0]])
ROWS: Final = FitOptions(alignment="rows")
UNTOLD: Final = FitOptions(alignment="rows", find_modes=True)


def recipes(n: int, *, seed: int, lag: float = 0.0) -> tuple[F64, NDArray[np.int64]]:
    """A machine of four channels with three recipes in a random order: values (n, 4), recipe (n,).

    lag: samples that its first-order change takes.
    """
    chance = np.random.default_rng(seed)
    recipe, at, now = np.zeros(n, np.int64), 0, 0
    while at < n:
        stay = int(chance.uniform(150, 400))
        recipe[at : at + stay] = now
        at, now = at + stay, (now + int(chance.integers(1, 3))) % 3
    calm = lfilter([0.8], [1.0, -0.6], chance.normal(size=(n, 4)), axis=0)
    level = LEVELS[recipe]
    if lag:
        a = float(np.exp(-1.0 / lag))
        level = lfilter([1.0 - a], [1.0, -a], level, axis=0, zi=a * level[:1])[0]
    return np.asarray(level + calm), recipe


@functools.cache
def found() -> FoundModes:
    """The modes of a record of recipes."""
    modes = find_modes(recipes(8000, seed=1)[0], lags=2)
    assert modes is not None
    return modes


@pytest.mark.parametrize("lag", [0.0, 5.0])
def test_recipes_are_found_and_told(lag: float) -> None:
    """Each recipe is one mode; in rows never seen nearly all samples are told rightly."""
    modes = find_modes(recipes(8000, seed=2, lag=lag)[0], lags=2)
    assert modes is not None
    assert len(modes.low) == 3
    values, recipe = recipes(6000, seed=3, lag=lag)
    told = tell_modes(ModeTrack(), modes, values, np.ones(6000, np.bool_))
    names = [
        np.unique(told[(recipe == r) & np.isfinite(told)], return_counts=True) for r in (0, 1, 2)
    ]
    usual = [float(kind[count.argmax()]) for kind, count in names]
    assert sorted(usual) == [0.0, 1.0, 2.0]
    assert (told == np.array(usual)[recipe]).mean() > 0.9


def _season(chance: np.random.Generator, n: int) -> F64:
    swing = np.sin(2 * np.pi * np.arange(n)[:, None] / (n / 6) + chance.uniform(0, 6, 4))
    return np.asarray(8.0 * swing + chance.normal(size=(n, 4)))


NO_MODES: Final[dict[str, Callable[[np.random.Generator, int], F64]]] = {
    "noise": lambda chance, n: chance.normal(size=(n, 4)),
    "slow noise": lambda chance, n: lfilter([1], [1, -0.99], chance.normal(size=(n, 4)), axis=0),
    "walk": lambda chance, n: chance.normal(size=(n, 4)).cumsum(axis=0),
    "season": _season,
    "ramp": lambda chance, n: np.linspace(0, 40, n)[:, None] + chance.normal(size=(n, 4)),
    "saw": lambda chance, n: 5.0 * (np.arange(n)[:, None] / 700 % 1) + chance.normal(size=(n, 4)),
    "step": lambda chance, n: 20.0 * (np.arange(n)[:, None] > n / 3) + chance.normal(size=(n, 4)),
    "wild": lambda chance, n: chance.standard_t(2, size=(n, 4)),
}


@pytest.mark.parametrize("kind", sorted(NO_MODES))
def test_none_are_found_where_there_are_none(kind: str) -> None:
    """What wanders, swings or grows has no modes, and a change that comes once is none either."""
    for seed in range(12):
        values = NO_MODES[kind](np.random.default_rng(seed), 4000)
        assert find_modes(values, lags=2) is None, seed


@settings(max_examples=30, deadline=None)
@given(cuts=st.lists(st.integers(1, 1499), max_size=12), seed=st.integers(0, 50))
def test_it_does_not_matter_how_the_stream_was_cut(cuts: list[int], seed: int) -> None:
    """With holes, stops and a fault in it, in one piece or in many."""
    values, _ = recipes(1500, seed=seed)
    chance = np.random.default_rng(seed)
    values[chance.random(values.shape) < 0.05] = np.nan
    values[700:760, 0] += 40.0
    running = np.ones(1500, np.bool_)
    running[300:320] = False
    whole, pieces = ModeTrack(), ModeTrack()
    once = tell_modes(whole, found(), values, running)
    edges = [0, *sorted(set(cuts)), 1500]
    parts = [tell_modes(pieces, found(), values[a:b], running[a:b]) for a, b in pairwise(edges)]
    assert np.array_equal(once, np.concatenate(parts), equal_nan=True)
    assert whole == pieces


def by_hand(**change: object) -> FoundModes:
    """Two modes of one channel: at 0 and at 10."""
    known: dict[str, object] = {
        "low": np.array([[-3.0], [7.0]]),
        "high": np.array([[3.0], [13.0]]),
        "low_in": np.array([[-2.0], [8.0]]),
        "high_in": np.array([[2.0], [12.0]]),
        "transit": 4,
        "follows": np.ones((2, 2)),
        "shortest": np.zeros(2),
        "longest": np.full(2, F32_MAX),
    }
    return FoundModes(**(known | change))  # type: ignore[arg-type]


def told_of(modes: FoundModes, *runs: tuple[float, int]) -> str:
    """Modes of a stream of (value, samples), a letter a sample; - between modes."""
    values = np.concatenate([np.full(n, value) for value, n in runs])[:, None]
    told = tell_modes(ModeTrack(), modes, values, np.ones(len(values), np.bool_))
    return "".join("-" if np.isnan(one) else str(int(one)) for one in told)


def test_a_change_takes_three_samples() -> None:
    """Worked out by hand; also from a start."""
    assert told_of(by_hand(), (0.0, 5), (10.0, 5)) == "--000--111"


def test_what_is_at_no_level_stays_with_the_mode_before_it() -> None:
    """After the samples that a change takes it is judged by the mode that it left."""
    assert told_of(by_hand(), (0.0, 5), (5.0, 8)) == "--000----0000"


def test_a_sample_without_values_changes_nothing() -> None:
    """NaN says nothing of the mode."""
    assert told_of(by_hand(), (0.0, 4), (np.nan, 3), (10.0, 4)) == "--00000--11"


def test_a_change_that_never_was_is_not_believed() -> None:
    """From 0 to 1 was never seen: the machine is still in 0, and what is there is strange."""
    modes = by_hand(follows=np.array([[0.0, 0.0], [1.0, 0.0]]))
    assert told_of(modes, (10.0, 4), (0.0, 5), (10.0, 8)) == "--11--000----0000"


def test_a_change_after_too_short_a_stay_is_not_believed() -> None:
    """0 stays for ten at least; after five something else has happened."""
    modes = by_hand(shortest=np.array([10.0, 0.0]), transit=1)
    assert told_of(modes, (10.0, 3), (0.0, 5), (10.0, 4)) == "--1-1000-000"
    assert told_of(modes, (10.0, 3), (0.0, 12), (10.0, 4)).endswith("11")


def test_who_stays_far_too_long_never_came() -> None:
    """1 is left after six samples; later it is as if it were 0, at a wrong level."""
    modes = by_hand(longest=np.array([F32_MAX, 6.0]))
    assert told_of(modes, (0.0, 4), (10.0, 9)) == "--00--1111000"


def test_work_holds_the_mode_and_after_it_any_change_is_believed() -> None:
    """What a job does to the channels tells nothing of the mode, and may leave another one."""
    modes, track = by_hand(follows=np.zeros((2, 2))), ModeTrack()
    running = np.ones(4, np.bool_)
    tell_modes(track, modes, np.zeros((4, 1)), running)
    assert hold_mode(track, 3).tolist() == [0.0, 0.0, 0.0]
    told = tell_modes(track, modes, np.full((4, 1), 10.0), running)
    assert told[2:].tolist() == [1.0, 1.0]


def test_a_fit_has_a_baseline_of_each_mode_and_says_so(tmp_path: Path) -> None:
    """Through the disk; the card names the levels."""
    fit = fit_asset(samples(recipes(8000, seed=1)[0]), UNTOLD)
    bundle = load(save(make_bundle([fit]), tmp_path / "b"))
    model = bundle.assets[0]
    assert [mode.value for mode in model.modes] == [0.0, 1.0, 2.0]
    assert len(own_rows(model)) == 4
    assert model.found is not None
    assert np.array_equal(model.found.low, found().low)
    assert "3 modes that no tag tells were found" in model_card(bundle)
    assert fit_asset(samples(plant(4000, seed=1)), UNTOLD).found is None


def test_modes_that_a_child_s_record_did_not_show_keep_the_parent_s_baselines() -> None:
    """The child says which; a sample of such a mode is scored as by the parent."""
    calm = plant(4000, seed=1)
    mode = np.where(np.arange(4000) // 100 % 2 == 0, 1.0, 2.0)
    both = calm + (mode == 2.0)[:, None] * 8.0 * calm.std(axis=0)
    parent = make_bundle([fit_asset(samples(both, mode=mode), ROWS)])
    one = fit_asset(samples(plant(2000, seed=3), mode=np.ones(2000)), ROWS)
    child = make_bundle([one], parent=parent)
    model, before = child.assets[0], parent.assets[0]
    assert [known.value for known in model.modes] == [1.0, 2.0]
    row, old = model.modes[1].row, before.modes[1].row
    assert model.modes[0].row != row != model.row_running
    assert np.allclose(child.only.parameters["center"][row], parent.only.parameters["center"][old])
    assert f"{MODE_OF_PARENT}2" in model.metrics
    assert "did not show, with the baselines of before: 2" in model_card(child)
    assert "did not show" not in model_card(parent)


def test_a_child_says_that_modes_found_before_are_gone() -> None:
    """What it never saw rings: that is to be known before it is adopted, not after."""
    parent = make_bundle([fit_asset(samples(recipes(8000, seed=1)[0]), UNTOLD)])
    calm = lfilter([0.8], [1.0, -0.6], np.random.default_rng(5).normal(size=(1500, 4)), axis=0)
    child = make_bundle([fit_asset(samples(calm), UNTOLD)], parent=parent)
    assert child.assets[0].found is None
    assert "3 modes were found before, and none in this record" in model_card(child)
    assert "found before" not in model_card(parent)
