"""Health of channels: what each sample says of the sensors themselves, whatever they measure.

    stuck          one finite value for longer than it ever lasted in normal running, gaps or not
    missing        nothing usable for as long, or far less often than ever
    out of range   beyond what the instrument can show at all, three times in a row
    noise          its noise floor far above what was ever seen, or far below
    drift          apart from channels that measure the same, as they never were
    stale clock    time stamps go on while every value of the asset repeats

Runs are counted along the samples. Noise and distances are looked at once in a hop of running
samples (`looks`), over the newest WINDOW of them, at the same samples however the stream is cut;
what a look finds holds until the next one, and must be found twice in a row. Only running samples
count: a machine that stands still may well have constant signals.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

import msgspec
import numpy as np

from edge.samples.looks import (
    MISSING,
    OUT_OF_RANGE,
    STALE,
    STUCK,
    Measured,
    WindowState,
    follow_pairs,
    take_looks,
)
from models.fitting.health import carried, run_lengths

if TYPE_CHECKING:
    from edge.batches import Batch
    from edge.samples.looks import F32, F64, I64, Bounds, Codes, Flags

# A value that is reported by exception and does not change is not sent: its silence is no sign, and
# only far more of it than ever is one.
ON_CHANGE_PATIENCE: Final = 4
RANGE_SAMPLES: Final = 3  # beyond the range in a row: one may be a spike


class HealthState(msgspec.Struct, kw_only=True):
    """value: (c,) newest finite value; equal: (c,) running samples that showed it in a row.

    absent: (c,) without any. beyond: (c,) beyond the range in a row, None: none. repeats: samples
    in a row that repeat every value. windows: None before the first sample.
    """

    value: np.ndarray
    equal: np.ndarray
    absent: np.ndarray
    beyond: np.ndarray | None = None
    repeats: int = 0
    windows: WindowState | None = None

    @classmethod
    def empty(cls, channels: int) -> Self:
        """Nothing seen yet."""
        return cls(
            value=np.full(channels, np.nan, np.float32),
            equal=np.zeros(channels, np.int64),
            absent=np.zeros(channels, np.int64),
        )


@dataclass(frozen=True, slots=True)
class Findings:
    """codes (n, c): bits of what is wrong at each sample; None: nothing is.

    looks: (first sample for which it holds, what it found), in order.
    """

    codes: Codes | None
    looks: tuple[tuple[int, Measured], ...]

    def measured(self, i: int) -> Measured | None:
        """What the newest look at or before sample i found; None: nothing is looked at."""
        return next((found for first, found in reversed(self.looks) if first <= i), None)


def check_health(
    state: HealthState, batch: Batch, bounds: Bounds, *, span: tuple[F64, F64] | None = None
) -> Findings:
    """What is wrong with the sensors at each sample (n, c); moves `state` on.

    span: what each instrument can show at all (c,), NaN: not known; None: of none.
    """
    counted = batch.running if batch.heard is None else batch.running & batch.heard
    codes, lasting = _runs(state, batch.values, counted, bounds)
    if span is not None:
        codes = _both(codes, _ranges(state, batch.values, counted, span))
    if bounds.usual is None:
        return Findings(codes, ())
    if state.windows is None:
        state.windows = WindowState.empty(
            batch.values.shape[1], len(bounds.pairs), asset=batch.asset, hop=bounds.hop
        )
    follow_pairs(state.windows, bounds.pairs)
    before = Measured(state.windows.noise, state.windows.apart)
    held, looks = take_looks(state.windows, batch.values, counted, bounds, lasting)
    return Findings(_both(codes, held), ((0, before), *looks))


def _both(codes: Codes | None, others: Codes | None) -> Codes | None:
    if codes is None or others is None:
        return others if codes is None else codes
    return codes | others


def _runs(
    state: HealthState, values: F32, counted: Flags, bounds: Bounds
) -> tuple[Codes | None, I64 | None]:
    """Stuck, missing and stale (n, c), and how long each value has lasted; None: nothing, 0."""
    finite = np.isfinite(values)
    shown = np.concatenate([state.value[None], values])  # (n + 1, c)
    if finite.all():
        same = shown[1:] == shown[:-1]
        if not same.any():  # the usual tick: every value is new
            state.value, state.repeats = shown[-1], 0
            state.equal = np.zeros_like(state.equal)
            state.absent = np.zeros_like(state.absent)
            return None, None
    else:
        shown = carried(shown)
        same = (shown[1:] == shown[:-1]) & finite
    ran = counted[:, None]
    equal = run_lengths(state.equal, grows=same & ran, resets=finite & ~same)
    absent = run_lengths(state.absent, grows=~finite & ran, resets=finite)
    moved = (finite & ~same).any(axis=1)
    told = same.any(axis=1) & ~moved & counted
    repeats = run_lengths(np.asarray(state.repeats), grows=told, resets=moved)
    state.value, state.equal, state.absent = shown[-1], equal[-1], absent[-1]
    state.repeats = int(repeats[-1])
    stuck, missing = equal >= bounds.stuck, absent >= bounds.absent
    stale = (repeats >= bounds.repeats)[:, None] & np.isfinite(shown[1:]) & ~missing
    codes = (stuck * STUCK | missing * MISSING | stale * STALE).astype(np.uint8)
    return (codes if codes.any() else None), equal


def _ranges(
    state: HealthState,
    values: F32,
    counted: Flags,
    span: tuple[F64, F64],
) -> Codes | None:
    """What is beyond what an instrument can show (n, c); None: nothing."""
    out = (values < span[0]) | (values > span[1])  # NaN is not
    if state.beyond is None:
        if not out.any():
            return None
        state.beyond = np.zeros(values.shape[1], np.int64)
    within = np.isfinite(values) & ~out
    beyond = run_lengths(state.beyond, grows=out & counted[:, None], resets=within)
    state.beyond = beyond[-1] if beyond[-1].any() else None
    return ((beyond >= RANGE_SAMPLES) * OUT_OF_RANGE).astype(np.uint8)
