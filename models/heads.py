"""Heads: from labelled windows of a detector's features to named failure modes.

A head belongs to a type of asset: windows of several assets, each against its own baseline, may
train it, and one fit may be put on several assets. It names a failure mode with a calibrated
probability or abstains, and never decides anything.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from models.bundle import Bundle

NORMAL: Final = "normal"  # the label of a window in which nothing is wrong
SIZES: Final = (5, 20, 100, 500)  # labelled windows a class, of a learning curve


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LabelledWindow:
    """A stretch of samples of which somebody has said what was wrong.

    values: (n, c) float64 in engineering units, NaN missing; rows before `begin` are what went
    before, the labelled ones are values[begin:]. label: id of a failure mode, or NORMAL.
    group: what must not be split between train and test, as a machine or an event.
    asset: whose baseline it is read against; "" for the asset that a call names.
    mode: of operation, NaN where none is told.
    """

    values: NDArray[np.float64]
    begin: int
    label: str
    group: str
    asset: str = ""
    mode: float = float("nan")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class HeadFit:
    """A fitted head, ready to be put into a bundle.

    classes: labels in order, k of them. arrays: what the graph needs, by name.
    counts: labelled windows of each class, (k,) by class.
    metrics: `accuracy` of all windows, `answered` the share of right ones among those answered,
    `abstained` the share not answered, `calibration_error` (expected, 10 bins); all from folds in
    which no group is on both sides, NaN where there are too few groups for that.
    """

    classes: tuple[str, ...]
    channels: tuple[str, ...]
    arrays: dict[str, NDArray[Any]]
    counts: dict[str, int]
    metrics: dict[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Classified:
    """What a head says of one window. label: None where it abstains.

    probability: of the likeliest class, also where it abstains; NaN where nothing could be seen.
    """

    label: str | None
    probability: float
    probabilities: dict[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class CurvePoint:
    """How well a head does with `size` labelled windows a class; shares of all that was asked.

    accuracy: right and answered, of all. answered: right, of those answered. seconds: of the fit.
    """

    size: int
    accuracy: float
    answered: float
    abstained: float
    seconds: float


def train_head(
    bundle: Bundle, asset: str, windows: Sequence[LabelledWindow], *, seed: int = 0
) -> HeadFit:
    """Fit a head on windows of `asset`, and of others that name theirs.

    Raises ModelError where assets or shapes do not fit, or there are fewer than two classes.
    """
    raise NotImplementedError


def with_heads(bundle: Bundle, heads: Mapping[str, HeadFit], *, created_at_ns: int) -> Bundle:
    """A child bundle whose graph names failure modes of these assets; thresholds stay.

    Heads of other assets stay too. Raises ModelError where an asset or its channels do not fit.
    """
    raise NotImplementedError


def heads_of(bundle: Bundle) -> dict[str, HeadFit]:
    """The heads of a bundle by asset; {} without any."""
    raise NotImplementedError


def classify(bundle: Bundle, asset: str, windows: Sequence[LabelledWindow]) -> list[Classified]:
    """What the head of `asset` says of each window (labels are not looked at).

    Raises ModelError where the asset has no head.
    """
    raise NotImplementedError


def learning_curve(
    bundle: Bundle,
    asset: str,
    windows: Sequence[LabelledWindow],
    *,
    sizes: Sequence[int] = SIZES,
    seed: int = 0,
) -> list[CurvePoint]:
    """What more labels bring: heads of `size` windows a class, asked on groups left out of them.

    Sizes of which there are too few windows are left out.
    """
    raise NotImplementedError
