"""Health of channels: stuck and missing.

Counted along the samples so that no cut of the stream matters.

A channel is stuck when it has shown the very same finite value for longer than it ever did in
normal running; gaps in between do not end the run. It is missing when it has sent nothing usable
for as long. Only running samples count: a machine that stands still may well have constant signals.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Self

import msgspec
import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from edge.records import Batch

Flags = NDArray[np.bool_]

ABSENT_SAMPLES_MAX: Final = 600  # ten minutes at 1 Hz; longer than any rate that a model can use


class HealthState(msgspec.Struct, kw_only=True):
    """value: (c,) newest finite value; equal: (c,) running samples that showed it in a row.

    Absent: (c,) without any.
    """

    value: np.ndarray
    equal: np.ndarray
    absent: np.ndarray

    @classmethod
    def empty(cls, channels: int) -> Self:
        """Nothing seen yet."""
        return cls(
            value=np.full(channels, np.nan, np.float32),
            equal=np.zeros(channels, np.int64),
            absent=np.zeros(channels, np.int64),
        )


def channel_health(
    state: HealthState, batch: Batch, *, stuck_samples_max: NDArray[np.int64]
) -> tuple[Flags, Flags]:
    """Which channels are stuck and which are missing at each sample, each (n, c); moves `state` on.

    stuck_samples_max: (c,) longest run of one value that is normal; it bounds absence too, up to
    ABSENT_SAMPLES_MAX, because a channel that may rest for ever may not be silent for ever.
    """
    values, running = batch.values, batch.running[:, None]  # (n, c), (n, 1)
    finite = np.isfinite(values)
    shown = np.concatenate([state.value[None], values])  # (n + 1, c)
    shown = _carried(shown)
    same = (shown[1:] == shown[:-1]) & finite
    equal = _run_lengths(state.equal, grows=same & running, resets=finite & ~same)
    absent = _run_lengths(state.absent, grows=~finite & running, resets=finite)
    state.value, state.equal, state.absent = shown[-1], equal[-1], absent[-1]
    return equal >= stuck_samples_max, absent >= np.minimum(stuck_samples_max, ABSENT_SAMPLES_MAX)


def _carried(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Each NaN replaced by the newest finite value above it (n, c)."""
    rows = np.arange(len(values))[:, None]
    newest = np.maximum.accumulate(np.where(np.isfinite(values), rows, 0), axis=0)
    carried: NDArray[np.float32] = np.take_along_axis(values, newest, axis=0)
    return carried


def _run_lengths(start: NDArray[np.int64], *, grows: Flags, resets: Flags) -> NDArray[np.int64]:
    """Counters (n, c) that go on from `start` (c,).

    Up where they grow, to zero where they reset, else unchanged.
    """
    total = start + np.cumsum(grows, axis=0)
    base = np.maximum.accumulate(np.where(resets, total, 0), axis=0)
    lengths: NDArray[np.int64] = total - base
    return lengths
