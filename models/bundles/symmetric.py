"""Symmetric matrices, of which one half is kept: what is said twice to the bit need not be."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    F64 = NDArray[np.float64]

ROWS: Final = 256  # that are looked at together: they are copied


class Symmetric:
    """Matrices (rows, m, m) float64, read as an array of them is; they must not change."""

    __slots__ = ("_half", "_place", "shape")
    dtype = np.dtype(np.float64)

    def __init__(self, half: F64, place: NDArray[np.intp]) -> None:
        """half: (rows, m (m + 1) / 2)   place: (m, m) where in it each entry stands."""
        self._half, self._place = half, place
        self.shape = (len(half), *place.shape)

    def __len__(self) -> int:
        return len(self._half)

    def __getitem__(self, row: int) -> F64:
        found: F64 = self._half[row][self._place]
        return found

    def taken(self, rows: NDArray[np.intp]) -> Symmetric:
        """Some of the rows (k,), in their order and as often as they are named."""
        return Symmetric(self._half[rows], self._place)

    def __array__(self, dtype: np.dtype[Any] | None = None, copy: object = None) -> NDArray[Any]:
        return np.asarray(self._half[:, self._place], dtype)


Matrices = np.ndarray | Symmetric  # (rows, m, m) float64


def halved(matrices: NDArray[Any]) -> Matrices:
    """One half of matrices (rows, m, m) where the other says the same to the bit, else as it is."""
    if matrices.ndim != 3 or matrices.dtype != np.float64 or matrices.shape[1] < 2:
        return matrices
    if matrices.shape[1] != matrices.shape[2]:
        return matrices
    bits = np.ascontiguousarray(matrices).view(np.int64)
    for first in range(0, len(bits), ROWS):
        some = bits[first : first + ROWS]
        if not np.array_equal(some, some.transpose(0, 2, 1)):
            return matrices
    m = matrices.shape[1]
    at, of = np.tril_indices(m)
    place = np.empty((m, m), np.intp)
    place[at, of] = place[of, at] = np.arange(len(at))
    return Symmetric(matrices[:, at, of], place)


def taken(matrices: Matrices, rows: NDArray[np.intp]) -> Matrices:
    """Some of the rows (k,) of matrices, in their order and as often as they are named."""
    return matrices.taken(rows) if isinstance(matrices, Symmetric) else matrices[rows]
