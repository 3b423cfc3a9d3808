"""Lag moments of a record that is cut by stops: they never contradict each other."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.fitting.var import graph_weights, lag_moments


def stretches(rng: np.random.Generator, *, lengths: list[int], c: int) -> np.ndarray:
    """Channels (n, c) that hardly leave a residual, each stretch from a level of its own."""
    parts = []
    for n in lengths:
        walk = np.cumsum(0.02 * rng.standard_normal((n, c)), axis=0)
        parts += [walk + rng.standard_normal(c), np.full((1, c), np.nan)]
    return np.concatenate(parts)


def plain(z: np.ndarray, lags: int) -> np.ndarray:
    """The mean of products over windows of which no row is blank, one by one."""
    windows = [z[t - lags : t + 1].ravel() for t in range(lags, len(z))]
    whole = [w for w in windows if np.isfinite(w).all()]
    return np.asarray(np.mean([np.outer(w, w) for w in whole], axis=0))


def test_without_stops_moments_are_means_of_products() -> None:
    """Every window counts."""
    z = np.random.default_rng(0).standard_normal((50, 3))
    assert np.allclose(lag_moments(z, 2), plain(z, 2), atol=1e-12)


def test_of_very_predictable_channels_only_windows_within_stretches_count() -> None:
    """Levels that hardly move in a stretch leave less residual than its ends contradict."""
    z = stretches(np.random.default_rng(3), lengths=[30] * 12, c=4)
    assert np.allclose(lag_moments(z, 2), plain(z, 2), atol=1e-12)


@given(
    lengths=st.lists(st.integers(1, 40), min_size=1, max_size=12),
    c=st.integers(1, 5),
    lags=st.integers(1, 3),
    seed=st.integers(0, 99),
)
@settings(max_examples=80, deadline=None)
def test_moments_never_contradict_each_other_by_more_than_a_residual(
    lengths: list[int], c: int, lags: int, seed: int
) -> None:
    """No combination has a variance below 0, but for less than what any channel leaves."""
    z = stretches(np.random.default_rng(seed), lengths=lengths, c=c)
    found = lag_moments(z, lags)
    if max(lengths) <= lags:  # no whole window
        return
    past, now = found[: lags * c, : lags * c], found[lags * c :, lags * c :]
    left = np.diag(now) - np.diag(
        found[lags * c :, : lags * c] @ np.linalg.pinv(past) @ found[: lags * c, lags * c :]
    )
    bound = max(float(left.min()), 0.0) + 0.05 * float(np.diag(now).max()) + 4e-4
    assert np.linalg.eigvalsh(found)[0] > -bound


def test_a_single_hole_costs_only_its_own_pairs() -> None:
    """A channel that is missing for a moment leaves the others' windows as they are."""
    z = np.random.default_rng(1).standard_normal((60, 3))
    holed = z.copy()
    holed[30, 1] = np.nan
    others = [0, 2, 3, 5]  # of two channels with one lag
    assert np.array_equal(
        lag_moments(holed, 1)[np.ix_(others, others)], lag_moments(z, 1)[np.ix_(others, others)]
    )


def test_unseen_rows_of_a_record_with_stops_whiten_to_one() -> None:
    """Of very predictable channels the whitened residuals stay of unit power behind many stops."""
    rng = np.random.default_rng(7)
    level = np.cumsum(0.02 * rng.standard_normal((4000, 1)), axis=0)
    level = np.sin(level)  # bounded, slow, common to all
    z = level @ np.ones((1, 6)) + 0.005 * rng.standard_normal((4000, 6))
    z[::97] = np.nan
    z = (z - np.nanmean(z, axis=0)) / np.nanstd(z, axis=0)
    train, rest = z[:3000], z[3000:]
    rows = int(np.isfinite(train).all(axis=1).sum())
    none, every = np.zeros(6, bool), np.ones(6, bool)
    weights, _ = graph_weights(lag_moments(train, 2), none, every, lags=2, rows=float(rows))
    window = np.hstack([rest[j : len(rest) - 2 + j] for j in range(3)]) @ weights[:, :6]
    power = np.nanmean(window**2)
    assert power == pytest.approx(1.0, abs=0.5)
