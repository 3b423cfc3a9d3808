"""What a benchmark run tells: figures for all files and for each, and what its plots need.

Figures go out as JSON; NaN, where there is nothing to divide by, is null there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from models.bench.skab import SkabScore
from models.bench.tep import TepScore

if TYPE_CHECKING:
    from models.bench.judged import Judged, Rows


class SkabFileResult(SkabScore, frozen=True, kw_only=True):
    """One file. error: why it could not be judged, which counts as silence; "" for none."""

    name: str
    vus_pr: float
    threshold: float
    error: str = ""


class SkabResult(SkabScore, frozen=True, kw_only=True):
    """All files together; vus_pr is their mean."""

    vus_pr: float
    files: tuple[SkabFileResult, ...]
    notes: tuple[str, ...] = ()


class NabFileResult(msgspec.Struct, frozen=True, kw_only=True):
    """One file at the standard profile's threshold.

    points: before they are normalised   windows_found: with a flagged row after the probation
    false_rows: flagged outside windows and after the probation
    """

    name: str
    points: float
    windows_total: int
    windows_found: int
    false_rows: int
    vus_pr: float
    error: str = ""


class NabResult(msgspec.Struct, frozen=True, kw_only=True):
    """Scores of the three profiles, 0: silence, 100: perfect.

    threshold: of the standard profile   thresholds: by the profile's published name
    chosen: by NAB's own rule on these files; false: it was given
    """

    standard: float
    low_fp: float
    low_fn: float
    threshold: float
    chosen: bool
    thresholds: dict[str, float]
    windows_total: int
    windows_found: int
    vus_pr: float
    files: tuple[NabFileResult, ...]
    notes: tuple[str, ...] = ()


class TepFileResult(msgspec.Struct, frozen=True, kw_only=True):
    """One file. flagged: share of rows under the fault, or of held-back rows of the normal file."""

    name: str
    fault: int
    flagged: float
    vus_pr: float
    threshold: float
    error: str = ""


class TepResult(TepScore, frozen=True, kw_only=True):
    """All faults; vus_pr is the mean over those that `detection` is a mean of."""

    vus_pr: float
    files: tuple[TepFileResult, ...]
    notes: tuple[str, ...] = ()


class CncRunResult(msgspec.Struct, frozen=True, kw_only=True):
    """One run. score: mean of its rows' cut scores   flagged: share of rows at the threshold."""

    name: str
    worn: bool
    score: float
    flagged: float


class CncResult(msgspec.Struct, frozen=True, kw_only=True):
    """Area under the ROC curve over runs. errors: folds that could not be judged, with reasons."""

    auc: float
    files: tuple[CncRunResult, ...]
    errors: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


Result = SkabResult | NabResult | TepResult | CncResult


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Plot:
    """What one file's plot shows, over rows from `first_row` of what was judged."""

    name: str
    judged: Judged
    truth: tuple[Rows, ...]
    first_row: int = 0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Outcome:
    """Figures, and a plot a file."""

    result: Result
    plots: tuple[Plot, ...]
