"""Shapes and rows of the kinds of detector whose views have stored tails, beside the VAR."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Of the graph of principal components; `models.fitting.pca` says what they mean.
PCA_PARAMETERS: Final = (
    "center",
    "scale",
    "present",
    "covariance",
    "plane",
    "rest",
    "settle",
    "tail_knots",
    "tail_slopes",
    "fusion",
)


# Of the graph of the ensemble; `models.fitting.ensemble` says what they mean.
ENSEMBLE_PARAMETERS: Final = (
    "center",
    "scale",
    "present",
    "directions",
    "low",
    "width",
    "table",
    "spread",
    "settle",
    "tail_knots",
    "tail_slopes",
    "fusion",
)


class PcaSpec(msgspec.Struct, frozen=True, kw_only=True, tag="pca"):
    """Shape of the detector of principal components; it determines the graph's bytes.

    channels, lambdas, knots: as of Spec.
    """

    channels: int
    lambdas: tuple[float, ...] = (1.0, 0.05)
    knots: int = 8

    @property
    def views(self) -> int:
        """V, the statistics that are fused: T-squared of each EWMA, and Q."""
        return 2 * len(self.lambdas)

    @property
    def state_sizes(self) -> tuple[int, int, int]:
        """Widths in the state: EWMAs; mean and freedom of T and of Q, and samples; run."""
        k = len(self.lambdas)
        return (k * self.channels, 5 * k, 1)

    @property
    def state_width(self) -> int:
        """Width s of the state (a, s)."""
        return sum(self.state_sizes)


class EnsembleSpec(msgspec.Struct, frozen=True, kw_only=True, tag="ensemble"):
    """Shape of the robust ensemble; it determines the graph's bytes.

    channels, lambdas, knots: as of Spec   projections: random ones   bins: of each histogram
    """

    channels: int
    projections: int = 32
    bins: int = 24
    lambdas: tuple[float, ...] = (1.0, 0.05)
    knots: int = 8

    @property
    def members(self) -> int:
        """M, the histograms: of each projection and of each channel."""
        return self.projections + self.channels

    @property
    def views(self) -> int:
        """V, the statistics that are fused: one of each EWMA."""
        return len(self.lambdas)

    @property
    def state_sizes(self) -> tuple[int, int, int]:
        """Widths in the state: EWMAs; samples that count in them; run."""
        k = len(self.lambdas)
        return (k, k, 1)

    @property
    def state_width(self) -> int:
        """Width s of the state (a, s)."""
        return sum(self.state_sizes)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PcaRow:
    """One baseline of one asset for principal components, unpadded.

    center, sigma, present, knots, slopes, fusion, settle, learned: as of RowFit
    covariance: (c, c) of normalised values
    """

    center: NDArray[np.float64]
    sigma: NDArray[np.float64]
    present: NDArray[np.bool_]
    covariance: NDArray[np.float64]
    learned: int
    knots: NDArray[np.float64]
    slopes: NDArray[np.float64]
    fusion: float
    settle: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class EnsembleRow:
    """One baseline of one asset for the ensemble, unpadded.

    center, sigma, present, knots, slopes, fusion, settle, learned: as of RowFit
    directions: (c, M) projections, those of single channels last   low, width: (M,) of their bins
    table: (M, B) surprise of each bin, of mean 0   spread: (M, M) covariance of the surprises
    """

    center: NDArray[np.float64]
    sigma: NDArray[np.float64]
    present: NDArray[np.bool_]
    directions: NDArray[np.float64]
    low: NDArray[np.float64]
    width: NDArray[np.float64]
    table: NDArray[np.float64]
    spread: NDArray[np.float64]
    learned: int
    knots: NDArray[np.float64]
    slopes: NDArray[np.float64]
    fusion: float
    settle: int


def no_tails(spec: PcaSpec | EnsembleSpec) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Knots and slopes (V, J) of a row whose tails are still to come."""
    knots = np.tile(np.arange(spec.knots, dtype=np.float64), (spec.views, 1))
    return knots, np.ones((spec.views, spec.knots))
