"""Row flags: what became of every sample by itself, whatever rings.

An alarm takes several rows and lasts over calm ones; a flag is of one row alone, as the `flag` of
`score/{asset}` is. The class says what a row is, by the first of these that holds: the machine was
not running, nothing was sent, a sensor was called wrong, the mode was never seen, the detector was
not ready; of flagged rows, that work explains it or not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from edge.records import RowsScored
from models.fitting.thresholds import FLAG_SCORE

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from edge.batches import Batch
    from edge.samples.quality import Findings
    from edge.samples.scoring import F32
    from models.bundles.bundle import AssetModel

NORMAL: Final = "normal"
PROCESS: Final = "process anomaly"
EXPECTED: Final = "expected"
WARM_UP: Final = "warm-up"
MODE: Final = "unknown mode"
SENSOR: Final = "sensor fault"
COMMS: Final = "comms gap"
STANDS: Final = "not running"


def rows_scored(
    model: AssetModel,
    segment: Batch,
    scores: F32,
    rows: NDArray[np.intp],
    findings: Findings | None,
    rest: Iterable[F32],
) -> RowsScored:
    """What became of the samples of a segment.

    scores: (n,) of each, NaN: not ready, what is beyond a limit does not count   rows: (n,) of the
    bundle, -1: no baseline   rest: (n,) scores without what each open job may disturb
    """
    ready = np.isfinite(scores)
    flags = ready & (scores.astype(np.float64) >= FLAG_SCORE)  # as `score/{asset}` compares
    explained = np.zeros(len(scores), bool)
    for other in rest:
        np.logical_or(explained, other.astype(np.float64) < FLAG_SCORE, out=explained)
    wrong = np.zeros(len(scores), bool)
    if findings is not None and findings.codes is not None:
        wrong |= (findings.codes != 0).any(axis=1)
    silent = ~np.isfinite(segment.values).any(axis=1)
    classes = np.select(
        [~segment.running, silent, wrong, ~ready & (rows < 0), ~ready, flags & explained, flags],
        [STANDS, COMMS, SENSOR, MODE, WARM_UP, EXPECTED, PROCESS],
        NORMAL,
    )
    return RowsScored(
        asset=model.asset,
        t_ns=segment.t_ns,
        scores=scores,
        threshold=model.threshold_on,
        flags=flags,
        classes=classes,
    )
