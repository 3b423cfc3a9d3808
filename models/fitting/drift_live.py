"""Drift of a live stream: its samples counted in blocks, and its newest blocks held to its record.

See `drift` for what is compared, and by which method. Many streams may be counted together: what is
done to a stack of them is done to each, bit for bit.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self

import numpy as np

from models.fitting.drift import (
    BLOCKS_A_TERM,
    BLOCKS_MIN,
    FAR_SIGMAS,
    HELD_MAX,
    HORIZON_BLOCKS,
    KNOWN_MIN,
    LEVELS,
    TERMS,
    long_run_of,
    terms_of,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from models.fitting.drift import DriftReference, DriftState

    F32 = NDArray[np.float32]
    F64 = NDArray[np.float64]
    I64 = NDArray[np.int64]
    Mask = NDArray[np.bool_]

LOOKED_TOGETHER: Final = 32  # streams whose blocks stay in the cache
SCORE_MAX: Final = 30.0  # -log10 p; beyond it every difference is equally sure
BEGINS_SCORE: Final = 3.0  # -log10 p of all columns of a kind together, that begins a drift
ENDS_SCORE: Final = 2.0
LEVEL_SIGMAS: Final = 0.25  # a surer but smaller change of level is of no use to anybody
SPREAD_RATIO: Final = 1.25  # likewise of the mean absolute deviation, up or down
ODDS_RATIO: Final = 2.0  # likewise of samples over a quantile of scores, up
ENDS_EFFECT: Final = 0.5  # of these, in logarithms where they are ratios
HOLD_BLOCKS: Final = 6  # looks in a row that begin a drift, or end it


def count_samples(
    state: DriftState,
    reference: DriftReference,
    *,
    t_ns: I64,
    scores: NDArray[np.floating],
    values: NDArray[np.floating],
) -> Mask | None:
    """Count samples of normal operation; returns what has begun or ended to drift (m,).

    None: nothing has. t_ns (n,), scores (n,) finite, values (n, c), NaN: none. Samples are summed
    up one after the other, so it does not matter how the stream was cut.
    """
    before = state.drifts
    at = 0
    while at < len(t_ns):
        if state.samples == 0:
            state.begin_ns = int(t_ns[at])
        rest = reference.block_samples - state.samples
        end = min(len(t_ns), at + min(HELD_MAX - state.waiting, rest))
        place = slice(state.waiting, state.waiting + end - at)
        state.held[place, 0], state.held[place, 1:] = scores[at:end], values[at:end]
        state.waiting += end - at
        state.samples += end - at
        full = state.samples == reference.block_samples
        if full or state.waiting == HELD_MAX:
            held = state.held[None, : state.waiting]
            sums, known = add_held(held, state.sums[None], state.known[None], Reach.of([reference]))
            state.sums, state.known, state.waiting = sums[0].copy(), known[0].copy(), 0
        if full:
            close_blocks([state], [reference])
        at = end
    changed: Mask = np.not_equal(state.drifts, before)
    return changed if changed.any() else None


class Reach(NamedTuple):
    """By what samples of some streams are taken: center, sigma (k, c), levels (k, LEVELS)."""

    center: F64
    sigma: F64
    levels: F64

    @classmethod
    def of(cls, references: Sequence[DriftReference]) -> Self:
        """Those of some references."""
        return cls(
            *(
                np.stack([getattr(one, name) for one in references])
                for name in ("center", "sigma", "levels")
            )
        )


def add_held(held: F32, sums: F64, known: I64, reach: Reach) -> tuple[F64, I64]:
    """Sums (k, m) and numbers of known values (k, 2 c) with what is held (k, w, 1 + c) added.

    One sample after the other: sums do not depend on how they were held.
    """
    k, w, c = held.shape[0], held.shape[1], held.shape[2] - 1
    rows = held.astype(np.float64)
    z = rows[:, :, 1:] - reach.center[:, None]
    z /= reach.sigma[:, None]
    np.minimum(z, FAR_SIGMAS, out=z)
    np.maximum(z, -FAR_SIGMAS, out=z)
    lacks = np.isnan(z)
    if lacks.any():
        z[lacks] = 0.0
        known = known + np.tile(w - lacks.sum(axis=1), 2)
    else:
        known = known + w
    parts = np.empty((k, 1 + w, LEVELS + 2 * c))
    parts[:, 0] = sums
    parts[:, 1:, :LEVELS] = rows[:, :, :1] > reach.levels[:, None]
    parts[:, 1:, LEVELS : LEVELS + c] = z
    np.abs(z, out=parts[:, 1:, LEVELS + c :])
    # columns lie side by side, so a sum over samples takes one whole row after the other
    return np.add.reduce(parts, axis=1), known


def close_blocks(states: Sequence[DriftState], references: Sequence[DriftReference]) -> None:
    """A block of some streams is full, and all of it in the sums: keep it and look."""
    size = np.array([reference.block_samples for reference in references])[:, None]
    known = np.stack([state.known for state in states])
    counts = np.concatenate([np.repeat(size, LEVELS, axis=1), known], axis=1)
    sums = np.stack([state.sums for state in states])
    means = np.where(counts >= KNOWN_MIN * size, sums / np.maximum(counts, 1), np.nan)
    long: dict[tuple[int, int], list[int]] = {}
    for i, (state, block) in enumerate(zip(states, means.astype(np.float32), strict=True)):
        state.blocks = _behind(state.blocks, block)
        state.begins = _behind(state.begins, state.begin_ns)
        state.samples = 0
        state.sums[:], state.known[:] = 0.0, 0
        if len(state.blocks) >= BLOCKS_MIN:
            long.setdefault(state.blocks.shape, []).append(i)
    for alike in long.values():
        for first in range(0, len(alike), LOOKED_TOGETHER):
            some = alike[first : first + LOOKED_TOGETHER]
            _look([states[i] for i in some], [references[i] for i in some])


def _behind(kept: NDArray[Any], newest: NDArray[Any] | int) -> NDArray[Any]:
    """What is kept of the newest blocks (k, ...), with another one behind them."""
    if len(kept) < HORIZON_BLOCKS:
        return np.concatenate([kept, np.asarray(newest, kept.dtype)[None]])
    kept[:-1] = kept[1:]
    kept[-1] = newest
    return kept


def _look(states: Sequence[DriftState], references: Sequence[DriftReference]) -> None:
    """Compare the newest blocks with the record, and move on what is said to drift."""
    from scipy import special  # noqa: PLC0415 - it loads slowly, and the first look is far off

    usual, long_run, blocks = (
        np.stack([getattr(one, name) for one in references])
        for name in ("mean", "long_run", "blocks")
    )
    newest = np.stack([state.blocks for state in states])
    mean, live, count = long_run_of(newest)
    # the live side is never taken for much calmer than the record
    of_live = np.fmax(live, (live + long_run) / 2.0) / np.maximum(count, 1.0)
    of_record = long_run / blocks
    shift = np.where(count >= BLOCKS_MIN, mean - usual, np.nan)
    with np.errstate(invalid="ignore", divide="ignore"):
        t = np.abs(shift) / np.sqrt(of_live + of_record)
        terms = np.clip(blocks // BLOCKS_A_TERM, 1, TERMS)
        spent = of_live**2 / terms_of(newest.shape[1]) + of_record**2 / terms
        freedom = (of_live + of_record) ** 2 / spent  # Welch 1947
        log_p = np.log10(2.0 * special.stdtr(freedom, -t))
    channels = t.shape[1] - LEVELS
    times = np.repeat([float(LEVELS), float(channels)], [LEVELS, channels])
    score = np.clip(-log_p - np.log10(times), 0.0, SCORE_MAX)
    shift = np.where(np.isfinite(score), shift, np.nan)
    _move_on(states, references, score, shift, effect(shift, usual))


def _move_on(
    states: Sequence[DriftState],
    references: Sequence[DriftReference],
    score: F64,
    shift: F64,
    size: F64,
) -> None:
    """What drifts stays so until as many looks say otherwise; what is not known says nothing.

    score, shift, size: (k, m) of this look, NaN: not known.
    """
    drifts = np.stack([state.drifts for state in states])
    against = np.stack([state.against for state in states])
    known = np.isfinite(score)
    begins = known & (score >= BEGINS_SCORE) & (size >= 1.0)
    ends = known & ((score < ENDS_SCORE) | (size < ENDS_EFFECT))
    says = np.where(drifts, ends, begins)
    against = np.where(known, np.where(says, against + 1, 0), against)
    turned: Mask = np.asarray(against >= HOLD_BLOCKS)
    against[turned] = 0
    turns = np.flatnonzero(turned.any(axis=1)).tolist()
    for i, state in enumerate(states):
        state.score[:], state.shift[:], state.against[:] = score[i], shift[i], against[i]
        if i in turns:
            state.drifts = state.drifts ^ turned[i]
            state.since_ns = state.since_ns.copy()
            for j in np.flatnonzero(turned[i]).tolist():
                since_ns = _since_ns(state, references[i], j) if state.drifts[j] else 0
                state.since_ns[j] = since_ns


def effect(shift: F64, usual: F64) -> F64:
    """How large shifts (k, m) of means from the usual are, 1: just of use to somebody.

    NaN stays. Fewer scores over a quantile than was usual are none: the detector has less to wonder
    at.
    """
    c = (shift.shape[-1] - LEVELS) // 2
    over, level, spread = np.split(shift, [LEVELS, LEVELS + c], axis=-1)
    usual_over, _, usual_spread = np.split(usual, [LEVELS, LEVELS + c], axis=-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        odds = _odds(usual_over + over) / _odds(usual_over)
        sizes = (
            np.log(np.maximum(odds, 1.0)) / math.log(ODDS_RATIO),
            np.abs(level) / LEVEL_SIGMAS,
            np.abs(np.log1p(spread / usual_spread)) / math.log(SPREAD_RATIO),
        )
    return np.concatenate(sizes, axis=-1)


def _odds(share: F64) -> F64:
    tame = np.clip(share, 1e-6, 1.0 - 1e-6)
    return np.asarray(tame / (1.0 - tame))


def _since_ns(state: DriftState, reference: DriftReference, j: int) -> int:
    """When column j began to differ: the change point of most likelihood for a lasting step.

    That of the cumulative sum of what is beyond half the shift (Page 1954; Hinkley 1970).
    """
    off = state.blocks[:, j].astype(np.float64) - reference.mean[j]
    beyond = np.sign(state.shift[j]) * off - abs(state.shift[j]) / 2.0
    path = np.concatenate([[0.0], np.cumsum(np.nan_to_num(beyond))])
    return int(state.begins[min(int(path.argmin()), len(state.begins) - 1)])
