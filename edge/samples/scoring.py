"""Scoring: the rows of the detector that each asset owns, and one model call for all of a part.

A row is one set of parameters with its state. Every asset has a row for each baseline that its
bundle holds (running, stopped, modes); each sees the samples of its own baseline and a gap for the
others. An open job adds rows of its own: a masked one, and a fresh one while the job settles.

Rows are named by their number in the bundle. Those that one graph scores are a part of it, with a
width of state and a number of channels of their own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray

from models.steady.prepared import Prepared, beside, taken

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from models.bundles.bundle import Bundle

COLD_SAMPLES: Final = 8  # of the first block of a replay
REPLAYED_SAMPLES: Final = 128  # of the others: beyond it a block costs more than it saves

F32 = NDArray[np.float32]
Mask = NDArray[np.bool_]
Parameters = Mapping[str, NDArray[Any]]


class Score(Protocol):
    """What the engine needs of a loaded graph; `models.detector.Detector` is one."""

    def initial_state(self, rows: int) -> F32:
        """State of rows that have seen nothing (rows, s)."""

    def score(self, x: F32, valid: Mask, state: F32, parameters: Parameters) -> tuple[F32, F32]:
        """Score x (a, n, c) -> score (a, n), NaN is not ready; state (a, s)."""

    def contribute(self, x: F32, valid: Mask, state: F32, parameters: Parameters) -> F32:
        """Shares of the score (a, n, c), non-negative, summing to 1."""

    def prepared(self, parameters: Parameters) -> Parameters:
        """Parameters (a, ...) for many calls; as they are, where nothing is made of them."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LoadedPart:
    """Rows of the bundle that one graph scores: `first` is the number of their first.

    width: channels that the graph takes   parameters: their stack   learns: they remember days and
    count in service, and never begin anew
    """

    detector: Score
    parameters: Parameters
    first: int
    width: int
    learns: bool

    def stack(self, rows: Sequence[int] | NDArray[np.intp]) -> Parameters:
        """Parameters of some rows of the bundle (m,), in their order, as a stack (m, ...)."""
        return taken(self.parameters, np.asarray(rows, np.intp) - self.first)

    def plain(self, row: int) -> Parameters:
        """Parameters of a row of the bundle for one look at it, a stack of one.

        What a short way would make of them is 50 kB, and would be kept.
        """
        at = np.array([row - self.first])
        return (
            self.parameters.of(at) if isinstance(self.parameters, Prepared) else self.stack([row])
        )

    def score(self, x: F32, valid: Mask, state: F32, parameters: Parameters) -> tuple[F32, F32]:
        """Score x (a, n, c) -> score (a, n), NaN is not ready; state (a, s).

        c: of the bundle's widest asset; what the graph has no channels for is padding.
        """
        if x.shape[2] != self.width:
            x, valid = self._narrow(x, valid)
        return self.detector.score(x, valid, state, parameters)

    def contribute(self, x: F32, valid: Mask, state: F32, parameters: Parameters) -> F32:
        """Shares of the score (a, n, width), non-negative, summing to 1; arguments as `score`."""
        return self.detector.contribute(*self._narrow(x, valid), state, parameters)

    def _narrow(self, x: F32, valid: Mask) -> tuple[F32, Mask]:
        if x.shape[2] == self.width:
            return x, valid
        return np.ascontiguousarray(x[:, :, : self.width]), valid[:, :, : self.width]


class Parts:
    """The parts of a bundle, and which of them a row belongs to."""

    def __init__(self, bundle: Bundle, detectors: Sequence[Score]) -> None:
        """`detectors`: the loaded graphs of the bundle, one a part."""
        every: list[LoadedPart] = []
        self.numbers: list[int] = []  # which part each row is of
        for part, detector in zip(bundle.parts, detectors, strict=True):
            every.append(
                LoadedPart(
                    detector=detector,
                    parameters=detector.prepared(part.parameters),
                    first=len(self.numbers),
                    width=part.width,
                    learns="tail_counts" in part.parameters,
                )
            )
            self.numbers += [len(every) - 1] * part.rows
        self.numbers_of = np.array(self.numbers, np.intp)  # the same (rows,)
        self.every = tuple(every)
        self.width = bundle.width

    def of(self, row: int) -> LoadedPart:
        """The part that holds a row."""
        return self.every[self.numbers[row]]

    def initial_state(self) -> list[F32]:
        """State of all rows that have seen nothing, (rows, s) a part."""
        sizes = np.bincount(self.numbers, minlength=len(self.every)).tolist()
        return [
            part.detector.initial_state(rows) for part, rows in zip(self.every, sizes, strict=True)
        ]


class Row(msgspec.Struct, kw_only=True):
    """One row outside the bundle's own: a masked or a fresh one.

    `keep` (c,) are the channels it sees.
    """

    state: np.ndarray
    keep: np.ndarray


@dataclass(slots=True, kw_only=True, eq=False)
class Request:
    """One row to be scored over one segment.

    `index` is a row of the bundle; where there is a `row` of its own, that is scored instead, with
    `parameters`, a stack of one.

    `score_rows` fills in `scores` (n,) and keeps the state it began with in `before` (s,).
    """

    x: F32  # (n, c) c padded to the bundle's widest asset
    valid: Mask  # (n, c)
    index: int
    row: Row | None = None
    parameters: Parameters | None = None
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


@dataclass(slots=True, kw_only=True, eq=False)
class Stack:
    """Rows of the bundle, of one part, to be scored over segments of one length: many requests.

    `score_rows` fills in `scores` (m, n) and keeps the states they began with in `before` (m, s).
    """

    x: F32  # (m, n, c) c padded to the bundle's widest asset
    valid: Mask  # (m, n, c)
    index: NDArray[np.intp]  # (m,)
    scores: F32 | None = None
    before: F32 | None = None

    def answer(self, request: Request, k: int) -> None:
        """Tell a request what came of its row, which is the k-th."""
        assert self.scores is not None, "score the rows first"
        assert self.before is not None, "likewise"
        # copies: a view would keep the states of all rows for as long as the asset is calm
        request.scores, request.before = self.scores[k].copy(), self.before[k].copy()


def score_rows(
    requests: Sequence[Request],
    *,
    parts: Parts,
    state: list[F32],
    stacks: Sequence[Stack] = (),
) -> int:
    """Score all requests, a model call for each part and block length; returns how many calls.

    state: (rows, s) of the bundle's rows, a part; updated in place, or replaced where all are new.
    """
    groups: dict[tuple[int, int], tuple[list[Stack], list[Request]]] = {}
    numbers = parts.numbers
    for stack in stacks:
        key = numbers[int(stack.index[0])], stack.x.shape[1]
        groups.setdefault(key, ([], []))[0].append(stack)
    for request in requests:
        key = numbers[request.index], len(request.x)
        groups.setdefault(key, ([], []))[1].append(request)
    for (at, _), (many, single) in groups.items():
        single.sort(key=lambda request: (request.row is not None, request.index))
        _score_group(many, single, part=parts.every[at], at=at, state=state)
    return len(groups)


def _score_group(
    stacks: list[Stack], requests: list[Request], *, part: LoadedPart, at: int, state: list[F32]
) -> None:
    """One call: rows of the bundle in their order, whoever asks, then those of jobs."""
    own = [request for request in requests if request.row is not None]
    singles = requests[: len(requests) - len(own)]
    if singles:
        stacks = [*stacks, _stacked(singles)]
    index, order = _in_order(stacks, part)
    x, valid = (_gathered(stacks, name, order, own) for name in ("x", "valid"))
    whole = len(index) == len(state[at])  # sorted and unique, so every row is there
    before = state[at] if whole else state[at][index]
    stacked = part.parameters if whole else part.stack(index + part.first)
    if own:
        before = np.concatenate([before, np.stack([_row(r).state for r in own])])
        stacked = _with_own(stacked, own, bundle_rows=len(index))
    scores, after = part.score(x, valid, before, stacked)
    if whole:  # no copy in the usual tick
        state[at] = after[: len(index)].copy() if own else after
    else:
        state[at][index] = after[: len(index)]
    _tell(stacks, order, scores, before)
    for k, request in enumerate(singles):
        stacks[-1].answer(request, k)
    for i, request in enumerate(own, start=len(index)):
        request.scores, request.before = scores[i].copy(), before[i].copy()
        _row(request).state = after[i].copy()


def _stacked(requests: Sequence[Request]) -> Stack:
    return Stack(
        x=np.stack([request.x for request in requests]),
        valid=np.stack([request.valid for request in requests]),
        index=np.array([request.index for request in requests], np.intp),
    )


def _in_order(
    stacks: Sequence[Stack], part: LoadedPart
) -> tuple[NDArray[np.intp], NDArray[np.intp] | None]:
    """The rows (m,) of a part that stacks ask for, sorted; by which order, None: as they come."""
    if not stacks:
        return np.empty(0, np.intp), None
    index = np.concatenate([stack.index for stack in stacks]) - part.first
    if (index[1:] > index[:-1]).all():
        return index, None
    order = np.argsort(index)
    return index[order], order


def _gathered(
    stacks: Sequence[Stack], name: str, order: NDArray[np.intp] | None, own: Sequence[Request]
) -> NDArray[Any]:
    """`x` or `valid` of all rows of a call (m, n, c)."""
    arrays = [getattr(stack, name) for stack in stacks]
    if order is not None:
        arrays = [(arrays[0] if len(arrays) == 1 else np.concatenate(arrays))[order]]
    if own:
        arrays.append(np.stack([getattr(request, name) for request in own]))
    found: NDArray[Any] = arrays[0] if len(arrays) == 1 else np.concatenate(arrays)
    return found


def _tell(
    stacks: Sequence[Stack], order: NDArray[np.intp] | None, scores: F32, before: F32
) -> None:
    """Give each stack what came of its rows."""
    places = None if order is None else np.argsort(order)
    first = 0
    for stack in stacks:
        rows: Any = slice(first, first + len(stack.index))
        rows = rows if places is None else places[rows]
        stack.scores, stack.before = scores[rows], before[rows]
        first += len(stack.index)


def contributions(request: Request, *, parts: Parts) -> F32:
    """Shares of each channel for every sample of a scored segment (n, width of its part)."""
    assert request.before is not None, "score the segment first"
    part, own = parts.of(request.index), request.parameters
    if own is None:
        own = part.plain(request.index)
    shares: F32 = part.contribute(request.x[None], request.valid[None], request.before[None], own)[
        0
    ]
    return shares


def replay_row(row: Row, parameters: Parameters, x: F32, valid: Mask, *, part: LoadedPart) -> F32:
    """Take one row over past samples (n, c); returns their scores (n,)."""
    if len(x) == 0:
        return np.empty(0, np.float32)
    scores, after = replay(
        row.state[None], parameters, x[None], (valid & row.keep)[None], part=part
    )
    row.state = after[0].copy()
    mine: F32 = scores[0]
    return mine


def replay(
    state: F32, parameters: Parameters, x: F32, valid: Mask, *, part: LoadedPart
) -> tuple[F32, F32]:
    """Take several rows over past samples (a, n, c) together; scores (a, n), state (a, s)."""
    told = []
    for block in blocks(x.shape[1]):
        scores, state = part.score(x[:, block], valid[:, block], state, parameters)
        told.append(scores)
    return (np.concatenate(told, axis=1) if told else np.empty(x.shape[:2], np.float32)), state


def blocks(n: int) -> Iterator[slice]:
    """How n past samples are divided, in their order.

    The first blocks are short: while a row is cold, a sample of a block costs a hundred times more.
    """
    begin, step = 0, COLD_SAMPLES
    while begin < n:
        yield slice(begin, min(begin + step, n))
        begin, step = begin + step, min(2 * step, REPLAYED_SAMPLES)


def fresh_row(part: LoadedPart, keep: Mask) -> Row:
    """A row of a part that has seen nothing. keep: (c,) of the bundle's widest asset."""
    return Row(state=part.detector.initial_state(1)[0].copy(), keep=keep)


def _row(request: Request) -> Row:
    assert request.row is not None, "asked of those that bring their own row"
    return request.row


def _with_own(stacked: Parameters, own: list[Request], *, bundle_rows: int) -> Parameters:
    assert len(stacked["present"]) == bundle_rows
    return beside(stacked, [r.parameters for r in own if r.parameters is not None])
