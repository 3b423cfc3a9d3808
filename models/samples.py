"""What a fit is given: rows of one asset that are known to be normal operation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from models.errors import ModelError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from models.bundles.bundle import Channel

    F64 = NDArray[np.float64]
    Mask = NDArray[np.bool_]

F32_MAX: Final = float(np.finfo(np.float32).max)
MODE_ROWS_MIN: Final = 200  # fewer make no baseline of their own
MODES_MAX: Final = 64  # values of a mode tag that are modes
HOLE_PERIODS: Final = 3.0  # a longer step in time is a hole; lags do not reach over it


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingSamples:
    """Rows of one asset that are known to be normal operation.

    values: (n, c) float64 in time order, NaN: no value   t_ns: (n,) int64 or None: evenly spaced
    running: (n,) bool or None: always   mode: (n,) float64 or None: value of the mode tag, NaN: not
    told   sha256, rows: of the recording, half-open
    excluded: (n,) bool or None: rows not to learn from, as those of `jobs_excluded`
    zone: IANA name of the place whose clocks the asset's day follows
    """

    asset: str
    channels: tuple[Channel, ...]
    values: NDArray[np.float64]
    period_ns: int
    t_ns: NDArray[np.int64] | None = None
    running: NDArray[np.bool_] | None = None
    mode: NDArray[np.float64] | None = None
    excluded: NDArray[np.bool_] | None = None
    jobs_excluded: tuple[str, ...] = ()
    sha256: str = ""
    rows: tuple[int, int] = (0, 0)
    zone: str = "UTC"


def segmented(samples: TrainingSamples, *, by_time: bool) -> tuple[F64, Mask, F64]:
    """Values (m, c), run state (m,) and mode (m,), NaN: not told.

    Excluded rows are blank, and a blank row stands at each hole in time, so that lags do not reach
    over it. by_time: rows have times, else they follow on one another as they are. Raises
    ModelError for values of another shape than stated.
    """
    values = np.asarray(samples.values, np.float64)
    n, c = values.shape if values.ndim == 2 else (0, 0)
    if c == 0 or c != len(samples.channels):
        raise ModelError(
            f"{samples.asset}: values have shape {np.shape(samples.values)},"
            f" expected (n, {len(samples.channels)}), a column a channel"
        )
    if samples.period_ns <= 0:
        raise ModelError(f"{samples.asset}: the sampling period is {samples.period_ns} ns")
    values = np.where(np.abs(values) <= F32_MAX, values, np.nan)
    running = np.ones(n, np.bool_) if samples.running is None else np.asarray(samples.running, bool)
    mode = np.full(n, np.nan) if samples.mode is None else np.asarray(samples.mode, np.float64)
    if samples.excluded is not None:
        values = np.where(np.asarray(samples.excluded, bool)[:, None], np.nan, values)
    holes = _holes(samples) if by_time else None
    if holes is None:
        return values, running, mode
    return (
        np.insert(values, holes, np.nan, axis=0),
        np.insert(running, holes, False),
        np.insert(mode, holes, np.nan),
    )


def segmented_times(samples: TrainingSamples, *, by_time: bool) -> NDArray[np.int64] | None:
    """Times (m,) of the rows of `segmented`; None: they have none."""
    holes = _holes(samples)
    if samples.t_ns is None or holes is None or not by_time:
        return samples.t_ns
    return np.insert(samples.t_ns, holes, samples.t_ns[holes] - samples.period_ns)


def _holes(samples: TrainingSamples) -> NDArray[np.intp] | None:
    """Before which rows (k,) there is a hole in time; None: rows have no times."""
    if samples.t_ns is None:
        return None
    return np.flatnonzero(np.diff(samples.t_ns) > HOLE_PERIODS * samples.period_ns) + 1


def bridged(values: F64) -> F64:
    """Values (n, c) with each channel's holes interpolated within rows that have any value."""
    seen = np.isfinite(values).any(axis=1)
    index = np.arange(len(values))
    filled = values.copy()
    for j in range(values.shape[1]):
        known = np.isfinite(values[:, j])
        if known.any():
            filled[seen, j] = np.interp(index[seen], index[known], values[known, j])
    return filled


def too_few(values: F64, stretch: int, *, who: str, period_ns: int) -> str:
    """Why values (n, c) hold too few stretches of rows, and what to do about it."""
    every = float(np.median(np.diff(np.flatnonzero(np.isfinite(values).any(axis=1)))))
    told = f"{who}: too few stretches of {stretch} rows in a row"
    if every < 2.0:
        return f"{told}; use a longer record, or one with fewer holes"
    return (
        f"{told}: only one in {every:g} has values, so the rate seems to be 1/{every:g} of the"
        f" stated one; state a period of {every * period_ns / 1e9:g} s instead of"
        f" {period_ns / 1e9:g} s (period_s or rate_hz in [time] of the mapping), or leave out the"
        " blank rows"
    )
