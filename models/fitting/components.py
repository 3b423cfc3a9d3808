"""The forms that T-squared and Q are made with, from a covariance."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    F64 = NDArray[np.float64]

PLANE_SHARE: Final = 0.9  # of the variance that the components have together, at least


def plane_and_rest(covariance: F64, present: NDArray[np.bool_]) -> tuple[F64, F64, F64]:
    """Covariance of the channels that are scored, P L^-1 P' and I - P P' of it, all (c, c).

    As few components as have PLANE_SHARE of the variance, and at least one direction is left to
    Q. Channels that are not `present` (c,) have variance 1 and take part in nothing.
    """
    at = np.flatnonzero(present)
    inner = np.ix_(at, at)
    own = np.eye(len(present))
    own[inner] = covariance[inner]
    plane, rest = np.zeros_like(own), np.zeros_like(own)
    if len(at):
        values, vectors = np.linalg.eigh(covariance[inner])
        values, vectors = values[::-1], vectors[:, ::-1]
        share = np.cumsum(values) / values.sum()
        k = min(int(np.searchsorted(share, PLANE_SHARE)) + 1, max(len(at) - 1, 1))
        p = vectors[:, :k]
        plane[inner] = (p / values[:k]) @ p.T
        rest[inner] = np.eye(len(at)) - p @ p.T
    return own, plane, rest
