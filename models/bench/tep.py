"""Figures of the Tennessee Eastman process: share of faulty rows found, at which false alarm rate.

Downs and Vogel 1993, doi:10.1016/0098-1354(93)80018-I; the protocol of row rates with the fault
from row 161 on is that of Russell, Chiang and Braatz 2000, doi:10.1016/S0169-7439(00)00058-7.
Faults 3, 9 and 15 change next to nothing that is measured; the mean leaves them out, as is usual.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np

from models.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    Flags = NDArray[np.bool_]

FAULT_ROW: Final = 160  # the first row under the fault, counted from 0
HIDDEN: Final = (3, 9, 15)


class TepScore(msgspec.Struct, frozen=True, kw_only=True):
    """Shares of rows, 0 to 1; NaN where there is no row.

    detection: mean over faults without the HIDDEN of the share of flagged rows under the fault
    detection_all: over all faults given   far: share of flagged rows of normal operation that was
    not fitted on   far_before_faults: of the rows before the faults   per_fault: by number
    """

    detection: float
    detection_all: float
    far: float
    far_before_faults: float
    per_fault: dict[str, float]


def score_tep(faults: Mapping[int, Flags], normal: Flags) -> TepScore:
    """Score flags (n,) of fault files by number, and of normal rows (m,) not fitted on.

    Raises ModelError for a file that ends before its fault begins.
    """
    short = [number for number, flags in faults.items() if len(flags) <= FAULT_ROW]
    if short:
        raise ModelError(f"faults {short}: no row after the first {FAULT_ROW}, where they begin")
    rates = {number: float(flags[FAULT_ROW:].mean()) for number, flags in sorted(faults.items())}
    before = [flags[:FAULT_ROW] for flags in faults.values()]
    return TepScore(
        detection=_mean([rate for number, rate in rates.items() if number not in HIDDEN]),
        detection_all=_mean(list(rates.values())),
        far=float(normal.mean()) if len(normal) else math.nan,
        far_before_faults=float(np.concatenate(before).mean()) if before else math.nan,
        per_fault={str(number): rate for number, rate in rates.items()},
    )


def _mean(rates: list[float]) -> float:
    return sum(rates) / len(rates) if rates else math.nan
