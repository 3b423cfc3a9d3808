"""What a method is given and what it must answer: the two nouns that all benchmarks share.

Row flags and alarm episodes are two outputs. Flags say of each row by itself whether it is strange;
alarms are what an operator would hear. Hysteresis that makes alarms few makes row flags wrong.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from models.fitting.extremes import OFF_SHARE, OPEN_AFTER
from models.fitting.thresholds import CLEAR_AFTER

if TYPE_CHECKING:
    from numpy.typing import NDArray

Rows = tuple[int, int]  # half-open


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Series:
    """One recording, in the order of time.

    values: (n, c) float64, NaN: no value   channels: c names
    train_rows: the first rows may be fitted on, no others   period_s: usual time between rows
    mode: (n,) int, the operating mode of each row; None: not told
    Rows that are blank throughout stand between stretches that do not follow on one another.
    """

    name: str
    values: NDArray[np.float64]
    channels: tuple[str, ...]
    train_rows: int
    period_s: float
    mode: NDArray[np.int64] | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Judged:
    """What a method says of the rows of a series.

    scores: (n,) float64, higher is stranger, NaN: not ready   news: (n,) the same where a row is
    stranger than all within the cool-down before it, else NaN: what would ring anew
    threshold: that made the rest   flags: (n,) bool
    alarms: episodes, in order, apart; the first row is the one that rings
    """

    scores: NDArray[np.float64]
    news: NDArray[np.float64]
    threshold: float
    flags: NDArray[np.bool_]
    alarms: tuple[Rows, ...]


Method = Callable[[Series], Judged]
"""Judges a series causally: what it says of a row depends on that row, earlier ones and the fit."""


def judge(
    scores: NDArray[np.float64],
    threshold: float,
    *,
    flag_threshold: float | None = None,
    cool_down: int = 0,
) -> Judged:
    """Flag scores (n,), and ring as the gateway does by default.

    Rows at or over flag_threshold are flagged (None: the threshold). An alarm opens with the
    OPEN_AFTER-th row in a row at the threshold, and ends with the CLEAR_AFTER-th in a row under
    OFF_SHARE of it. NaN neither opens nor clears. cool_down: rows in which what is no stranger than
    before is no news.
    """
    flag = threshold if flag_threshold is None else flag_threshold
    return Judged(
        scores=scores,
        news=_news(scores, cool_down),
        threshold=threshold,
        flags=np.asarray(np.nan_to_num(scores, nan=-np.inf) >= flag),
        alarms=_alarms(scores, threshold),
    )


def at_threshold(judged: Judged, threshold: float) -> Judged:
    """The same scores with another threshold, for rows and alarms."""
    return replace(judge(judged.scores, threshold), news=judged.news)


def _alarms(scores: NDArray[np.float64], threshold: float) -> tuple[Rows, ...]:
    alarms: list[Rows] = []
    over = under = 0
    begin = -1
    for row, score in enumerate(scores.tolist()):
        if math.isnan(score):
            continue
        if begin < 0:
            over = over + 1 if score >= threshold else 0
            if over >= OPEN_AFTER:
                begin, under = row, 0
        else:
            under = under + 1 if score < OFF_SHARE * threshold else 0
            if under >= CLEAR_AFTER:
                alarms.append((begin, row))
                begin, over = -1, 0
    if begin >= 0:
        alarms.append((begin, len(scores)))
    return tuple(alarms)


def _news(scores: NDArray[np.float64], cool_down: int) -> NDArray[np.float64]:
    """Scores (n,) above all those of the cool-down before them, NaN elsewhere."""
    if not cool_down or not len(scores):
        return scores
    known = np.nan_to_num(scores, nan=-np.inf)
    before = np.concatenate([np.full(cool_down, -np.inf), known[:-1]])
    highest = sliding_window_view(before, cool_down).max(axis=1)
    return np.where(known > highest, scores, np.nan)


def stretches(marked: NDArray[np.bool_]) -> tuple[Rows, ...]:
    """Half-open ranges of rows that are marked (n,), in order."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], marked, [False]])))
    return tuple((int(a), int(b)) for a, b in edges.reshape(-1, 2))
