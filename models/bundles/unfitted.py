"""An asset before anything was learned of it: channels and their limits, and no score.

Its rows see no channel, so its score is never ready. What rings is what approved limits say; the
first fit of the asset takes its place in a child bundle.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from models.bundles.bundle import UNFITTED, AssetFit, RowFit, Spec, Training
from models.errors import ModelError
from models.fitting.extremes import AlarmTail
from models.fitting.health import STUCK_NEVER

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from models.bundles.bundle import Channel

# of nothing, an episode a day at score 1: any budget gives a threshold that can be compared with
_TAIL: Final = AlarmTail(score=1.0, episodes_per_day=1.0)


def unfitted(
    asset: str,
    channels: Sequence[Channel],
    *,
    period_ns: int,
    usual_low: NDArray[np.float64],
    usual_high: NDArray[np.float64],
) -> AssetFit:
    """An asset of which only channels and limits are known.

    usual_low, usual_high: (c,) the limits of normal operation, NaN where there is none. Raises
    ModelError without a channel or a period.
    """
    c = len(channels)
    if not c or period_ns <= 0:
        raise ModelError(f"{asset}: {c} channels every {period_ns} ns; both must be more than 0")
    spec = Spec(channels=c)
    nothing = RowFit(
        center=np.zeros(c),
        sigma=np.ones(c),
        present=np.zeros(c, np.bool_),
        wanders=np.zeros(c, np.bool_),
        moments=np.eye((spec.lags + 1) * c),
        learned=1,  # rows; there must be one, and nothing comes of it
        knots=np.tile(np.arange(spec.knots, dtype=np.float64), (spec.views, 1)),
        slopes=np.ones((spec.views, spec.knots)),
        evenness=np.ones((len(spec.lambdas), c)),
        fusion=0.0,
        settle=0,
    )
    return AssetFit(
        asset=asset,
        channels=tuple(channels),
        period_ns=period_ns,
        alignment="grid",
        spec=spec,
        running=nothing,
        stopped=None,
        usual_low=usual_low,
        usual_high=usual_high,
        stuck_samples_max=np.full(c, float(STUCK_NEVER)),
        tail=_TAIL,
        training=Training(sha256="", rows=(0, 0), rows_used=0),
        metrics={UNFITTED: 1.0},
    )
