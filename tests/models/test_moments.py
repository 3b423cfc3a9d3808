"""Lag moments of a record that is cut by stops: they never contradict each other."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.var import graph_weights, lag_moments


def stretches(rng: np.random.Generator, *, lengths: list[int], c: int) -> np.ndarray:
    """Channels (n, c) that hardly leave a residual, each stretch from a level of its own."""
    parts = []
    for n in lengths:
        walk = np.cumsum(0.02 * rng.standard_normal((n, c)), axis=0)
        parts += [walk + rng.standard_normal(c), np.full((1, c), np.nan)]
    return np.concatenate(parts)


@given(
    lengths=st.lists(st.integers(1, 40), min_size=1, max_size=12),
    c=st.integers(1, 5),
    lags=st.integers(1, 3),
    seed=st.integers(0, 99),
)
@settings(max_examples=80, deadline=None)
def test_moments_are_those_of_the_windows_within_stretches(
    lengths: list[int], c: int, lags: int, seed: int
) -> None:
    """The mean of products over windows, one by one; no combination of channels is below 0."""
    z = stretches(np.random.default_rng(seed), lengths=lengths, c=c)
    windows = [z[t - lags : t + 1].ravel() for t in range(lags, len(z))]
    whole = [w for w in windows if np.isfinite(w).all()]
    if not whole:
        return
    found = lag_moments(z, lags)
    assert np.allclose(found, np.mean([np.outer(w, w) for w in whole], axis=0), atol=1e-12)
    assert np.linalg.eigvalsh(found)[0] > -1e-12 * max(np.trace(found), 1.0)


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
