"""Worn against unworn tools of the CNC mill data, as one area under the ROC curve over runs.

System-level Manufacturing and Automation Research Testbed, University of Michigan, 2018. A run's
score is the mean of its rows' scores, each cut at SCORE_MAX so that no single row decides. The fit
sees unworn runs only. Each unworn run is scored by the model of the other unworn ones; each worn
run by all those models, and has the mean: so no run is scored by a model that knew it.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np

from models.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

SCORE_MAX: Final = 10.0


def run_score(scores: NDArray[np.float64]) -> float:
    """Score of a run of rows (n,), those not ready (NaN) left out; NaN where none is ready."""
    known = scores[~np.isnan(scores)]
    return float(np.minimum(known, SCORE_MAX).mean()) if len(known) else math.nan


def score_auc(worn: Sequence[float], unworn: Sequence[float]) -> float:
    """Share of pairs in which the worn run scores higher, half for equal ones (Mann-Whitney).

    A run without a score counts as the lowest. Raises ModelError where a side is empty.
    """
    if not worn or not unworn:
        raise ModelError(f"{len(worn)} worn and {len(unworn)} unworn runs: both are needed")
    a = np.nan_to_num(np.array(worn, np.float64), nan=-np.inf)[:, None]
    b = np.nan_to_num(np.array(unworn, np.float64), nan=-np.inf)[None, :]
    return float(((a > b) + 0.5 * (a == b)).mean())
