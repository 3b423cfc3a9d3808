"""Scoring: the rows of the detector that each asset owns, and one model call for all of them.

A row is one set of parameters with its state. Every asset has a row for each baseline that its
bundle
holds (running, stopped); each sees the samples of its own baseline and a gap for the others. An
open job adds rows of its own: a masked one, and a fresh one while the job settles.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Sequence

COLD_SAMPLES: Final = 8  # of the first block of a replay
REPLAYED_SAMPLES: Final = 128  # of the others: beyond it a block costs more than it saves

F32 = NDArray[np.float32]
Mask = NDArray[np.bool_]
Parameters = dict[str, NDArray[Any]]


class Score(Protocol):
    """What the engine needs of a detector; `models.detector.Detector` is one."""

    def initial_state(self, rows: int) -> F32:
        """State of rows that have seen nothing (rows, s)."""

    def score(self, x: F32, valid: Mask, state: F32, parameters: Parameters) -> tuple[F32, F32]:
        """Score x (a, n, c) -> score (a, n), NaN is not ready; state (a, s)."""

    def contribute(self, x: F32, valid: Mask, state: F32, parameters: Parameters) -> F32:
        """Shares of the score (a, n, c), non-negative, summing to 1."""


class Row(msgspec.Struct, kw_only=True):
    """One row outside the bundle's own: a masked or a fresh one.

    `keep` (c,) are the channels it sees.
    """

    state: np.ndarray
    keep: np.ndarray


@dataclass(slots=True, kw_only=True, eq=False)
class Request:
    """One row to be scored over one segment.

    `index` is a row of the bundle, or -1 for a `row` of its own.

    `score_rows` fills in `scores` (n,) and keeps the state it began with in `before` (s,).
    """

    x: F32  # (n, c) c padded to the bundle's widest asset
    valid: Mask  # (n, c)
    index: int = -1
    row: Row | None = None
    parameters: Parameters | None = None  # stack of one; None for a row of the bundle
    scores: F32 | None = None
    before: F32 | None = None


def pad(values: F32, width: int) -> F32:
    """Values (n, c) as wide as the bundle's widest asset (n, width), NaN beyond their own."""
    padded = np.full((len(values), width), np.nan, np.float32)
    padded[:, : values.shape[1]] = values
    return padded


def pad_valid(values: F32, mine: Mask, width: int) -> Mask:
    """Which values a baseline sees (n, width): finite ones of its own samples, `mine` (n,)."""
    valid = np.zeros((len(values), width), bool)
    valid[:, : values.shape[1]] = np.isfinite(values) & mine[:, None]
    return valid


def score_rows(
    requests: Sequence[Request], *, detector: Score, state: F32, parameters: Parameters
) -> int:
    """Score all requests, one model call for each block length; returns the number of calls.

    state: (rows, s) of the bundle's rows, updated in place; parameters: their stack.
    """
    by_length: dict[int, list[Request]] = {}
    for request in requests:
        by_length.setdefault(len(request.x), []).append(request)
    for group in by_length.values():
        group.sort(key=lambda request: (request.index < 0, request.index))
        _score_group(group, detector=detector, state=state, parameters=parameters)
    return len(by_length)


def _score_group(
    group: list[Request], *, detector: Score, state: F32, parameters: Parameters
) -> None:
    own = [request for request in group if request.index < 0]
    index = np.array([request.index for request in group if request.index >= 0], np.intp)
    x = np.stack([request.x for request in group])
    valid = np.stack([request.valid for request in group])
    before = state[index]
    stacked = _rows_of(parameters, index)
    if own:
        before = np.concatenate([before, np.stack([_row(r).state for r in own])])
        stacked = _with_own(stacked, own, bundle_rows=len(index))
    scores, after = detector.score(x, valid, before, stacked)
    state[index] = after[: len(index)]
    for i, request in enumerate(group):
        request.scores, request.before = scores[i], before[i]
        if request.index < 0:
            _row(request).state = after[i].copy()


def contributions(request: Request, *, detector: Score, parameters: Parameters) -> F32:
    """Shares of each channel for every sample of a scored segment (n, c)."""
    assert request.before is not None, "score the segment first"
    own = request.parameters
    if own is None:
        own = _rows_of(parameters, np.array([request.index], np.intp))
    shares: F32 = detector.contribute(
        request.x[None], request.valid[None], request.before[None], own
    )[0]
    return shares


def replay_row(row: Row, parameters: Parameters, x: F32, valid: Mask, *, detector: Score) -> F32:
    """Take one row over past samples (n, c); returns their scores (n,)."""
    if len(x) == 0:
        return np.empty(0, np.float32)
    scores, after = replay(
        row.state[None], parameters, x[None], (valid & row.keep)[None], detector=detector
    )
    row.state = after[0].copy()
    mine: F32 = scores[0]
    return mine


def replay(
    state: F32, parameters: Parameters, x: F32, valid: Mask, *, detector: Score
) -> tuple[F32, F32]:
    """Take several rows over past samples (a, n, c), together; returns scores (a, n), state (a, s).

    The first blocks are short: while a row is cold, a sample of a block costs a hundred times more.
    """
    parts, begin, step = [], 0, COLD_SAMPLES
    while begin < x.shape[1]:
        block = slice(begin, begin + step)
        scores, state = detector.score(x[:, block], valid[:, block], state, parameters)
        parts.append(scores)
        begin, step = begin + step, min(2 * step, REPLAYED_SAMPLES)
    return (np.concatenate(parts, axis=1) if parts else np.empty(x.shape[:2], np.float32)), state


def fresh_row(detector: Score, keep: Mask) -> Row:
    """A row that has seen nothing."""
    return Row(state=detector.initial_state(1)[0].copy(), keep=keep)


def one_row(parameters: Parameters, index: int) -> Parameters:
    """The parameters of one row of the bundle as a stack of one."""
    return {name: value[index : index + 1] for name, value in parameters.items()}


def goes_on_learning(parameters: Parameters) -> bool:
    """Whether rows of this detector remember days and count in service: they never begin anew."""
    return "tail_counts" in parameters


def _row(request: Request) -> Row:
    assert request.row is not None, "a request without an index brings its own row"
    return request.row


def _rows_of(parameters: Parameters, index: NDArray[np.intp]) -> Parameters:
    total = len(next(iter(parameters.values())))
    if len(index) == total:  # sorted and unique, so every row is there: no copy in the usual tick
        return parameters
    return {name: value[index] for name, value in parameters.items()}


def _with_own(stacked: Parameters, own: list[Request], *, bundle_rows: int) -> Parameters:
    joined: Parameters = {}
    for name, value in stacked.items():
        parts = [r.parameters[name] for r in own if r.parameters is not None]
        joined[name] = np.concatenate([value[:bundle_rows], *parts])
    return joined
