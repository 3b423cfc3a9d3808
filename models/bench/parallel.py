"""A method over many series, on all cores, in the order in which they were given."""

from __future__ import annotations

import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from models.bench.judged import Judged, at_threshold, judge
from models.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from models.bench.judged import Method, Series


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Answer:
    """What a method said of a series; where it could not judge, silence and the reason."""

    judged: Judged
    error: str = ""


def judge_all(
    method: Method,
    series: Sequence[Series],
    *,
    threshold: float | None = None,
    processes: int = 0,
    progress: Callable[[str, int, int], None] | None = None,
) -> list[Answer]:
    """Judge each series by itself. The method must be found by its name in its module.

    threshold: takes the place of the method's own   processes: at a time; 0: one a core
    progress: is told the name of what was done, how many are, and of how many
    """
    workers = min(processes or os.cpu_count() or 1, len(series))
    told = progress or _silent
    if workers <= 1:
        answers = []
        for done, one in enumerate(series, 1):
            answers.append(_answer(method, one, threshold))
            told(one.name, done, len(series))
        return answers
    # Spawned: a fork of a process with threads (its broker's, its console's) may lock up.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context) as pool:
        futures = {pool.submit(_answer, method, one, threshold): one.name for one in series}
        for done, future in enumerate(as_completed(futures), 1):
            future.result()  # a bug ends the run here, not at the end of it
            told(futures[future], done, len(series))
        return [future.result() for future in futures]


def _answer(method: Method, series: Series, threshold: float | None) -> Answer:
    try:
        judged = method(series)
    except ModelError as error:
        return Answer(judged=judge(np.full(len(series.values), np.nan), np.inf), error=str(error))
    if threshold is not None:
        judged = at_threshold(judged, threshold)
    return Answer(judged=judged)


def _silent(_name: str, _done: int, _total: int) -> None:
    """Tell nobody."""
