"""Fit the detector of streams of one channel: its memory bank and the tails that it starts with.

The tails come from rows of which the bank knows nothing: each half of the record is scored with the
windows of the other. From there on they go on counting in service; see `models.graphs.stream`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from models.bundles.bundle import StreamRow, StreamSpec
from models.bundles.rows import graph_of, padded
from models.detector import detector_of
from models.detector_tabled import StreamDetector
from models.errors import ModelError
from models.fitting.tails import fusion_of
from models.fitting.var import location_scale

if TYPE_CHECKING:
    from numpy.typing import NDArray

    F64 = NDArray[np.float64]

ROWS_MIN: Final = 100
DAY_NS: Final = 86_400 * 10**9
SEASON: Final = (8, 1440)  # samples of a day that are followed: hours to minutes
FAR: Final = 1e4  # sigmas from everything: a place of the bank that holds no window


def stream_spec(period_ns: int) -> StreamSpec:
    """The shape for a sampling period: days are followed where a day is so many samples."""
    day = round(DAY_NS / period_ns)
    return StreamSpec(season=day if SEASON[0] <= day <= SEASON[1] else 0)


def fit_stream_row(values: F64, spec: StreamSpec, *, who: str) -> tuple[StreamRow, F64]:
    """A baseline of values (n, 1), NaN: no value; and the scores (m,) of its own rows.

    Raises ModelError where the record is too short.
    """
    seen = np.isfinite(values[:, 0])
    if seen.sum() < ROWS_MIN:
        raise ModelError(
            f"{who}: {seen.sum()} rows with values, at least {ROWS_MIN} are needed; use a longer"
            " record"
        )
    center, sigma = location_scale(values)
    row = StreamRow(
        center=center,
        sigma=sigma,
        present=np.ones(1, np.bool_),
        bank=np.full((spec.bank, spec.window), FAR),
        counts=np.zeros((spec.views, spec.bins)),
        sums=np.zeros((spec.views, spec.bins)),
        fusion=0.0,
        learned=int(seen.sum()),
    )
    z = (values[:, 0] - center) / sigma
    detector = detector_of(graph_of(spec))
    assert isinstance(detector, StreamDetector), "made for streams"
    half = int(np.searchsorted(np.cumsum(seen), seen.sum() / 2)) + 1
    counts, sums, scores = row.counts, row.sums, []
    for own, other in (((0, half), (half, len(z))), ((half, len(z)), (0, half))):
        trial = replace(row, bank=windows_of(z[slice(*other)], spec))
        told, more_counts, more_sums = _scored(detector, trial, values, own)
        counts, sums = counts + more_counts, sums + more_sums
        scores.append(told[np.isfinite(told)])
    known = np.concatenate(scores)
    if not len(known):
        raise ModelError(
            f"{who}: no row could be scored; use a longer record, or one with fewer holes"
        )
    fusion = fusion_of(known, views=spec.views)
    whole = replace(row, bank=windows_of(z, spec), counts=counts, sums=sums, fusion=fusion)
    return whole, np.maximum(known - fusion, 0.0)


def windows_of(z: F64, spec: StreamSpec) -> F64:
    """At most B whole windows (B, w) of a normalised record (n,), evenly over it."""
    bank = np.full((spec.bank, spec.window), FAR)
    if len(z) < spec.window:
        return bank
    windows = sliding_window_view(z, spec.window)
    whole = np.flatnonzero(np.isfinite(windows).all(axis=1))
    if len(whole):
        chosen = whole[
            np.linspace(0, len(whole) - 1, min(spec.bank, len(whole))).round().astype(int)
        ]
        bank[: len(chosen)] = windows[chosen]
    return bank


def _scored(
    detector: StreamDetector, row: StreamRow, values: F64, own: tuple[int, int]
) -> tuple[F64, F64, F64]:
    """Scores (m,) of the rows `own`, after those before them, and what their tails came to."""
    spec = detector.spec
    arrays = padded(row, spec)
    stack = {name: np.asarray(value)[None] for name, value in arrays.items()}
    x = np.nan_to_num(values).astype(np.float32)[None]
    valid = np.isfinite(values)[None]
    begin, end = own
    _, before = detector.score(x[:, :begin], valid[:, :begin], detector.initial_state(1), stack)
    told, after = detector.score(x[:, begin:end], valid[:, begin:end], before, stack)
    line, averages, tails, _ = spec.state_sizes
    first = line + averages
    gained = (after - before)[0, first:].astype(np.float64).reshape(2, spec.views, spec.bins)
    assert tails == spec.views * spec.bins
    return told[0].astype(np.float64), gained[0], gained[1]
