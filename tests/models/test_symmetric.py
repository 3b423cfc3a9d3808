"""Symmetric matrices by halves, against the whole ones."""

from __future__ import annotations

import numpy as np

from models.bundles.symmetric import ROWS, Symmetric, halved, taken


def test_one_half_says_all_to_the_bit() -> None:
    """Whole, by row and taken; in half the bytes and a little."""
    made = np.random.default_rng(1).normal(size=(ROWS + 3, 6, 6))
    whole = made + made.transpose(0, 2, 1)
    whole[0, 1, 2] = whole[0, 2, 1] = -0.0
    half = halved(whole)
    assert isinstance(half, Symmetric)
    assert (half.shape, half.dtype, len(half)) == (whole.shape, whole.dtype, len(whole))
    assert np.asarray(half).tobytes() == whole.tobytes()
    assert half[3].tobytes() == whole[3].tobytes()
    rows = np.array([5, 0, 5])
    assert np.asarray(taken(half, rows)).tobytes() == whole[rows].tobytes()
    assert half._half.nbytes == whole.nbytes * 7 // 12


def test_what_is_not_symmetric_to_the_bit_stays_whole() -> None:
    """Rounding, a sign of zero, other shapes and kinds."""
    for entry in (np.nextafter(0.0, 1.0), -0.0):
        whole = np.zeros((ROWS + 3, 4, 4))
        whole[-1, 1, 2] = entry
        assert halved(whole) is whole
        assert taken(halved(whole), np.array([0])).shape == (1, 4, 4)
    for one in (
        np.empty((3, 0, 0)),
        np.zeros((3, 4)),
        np.zeros((2, 3, 4)),
        np.zeros((2, 4, 4), int),
    ):
        assert halved(one) is one
