"""Which baseline each sample of an asset belongs to: running, standing still, an operating mode.

The mode is told by a tag, or guessed from the levels of the channels where the record showed modes
that no tag tells. A guess never keeps a sample from being scored: it is also scored as one of all
running, and the higher score counts. While a job is open nothing new is guessed: what its work does
to the channels says nothing of the mode.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from edge.caps import MODES_UNSEEN_MAX
from edge.samples.scoring import pad, pad_valid
from edge.work.jobs import Stage
from models.bundles.check import own_rows
from models.fitting.mode_track import ModeTrack, hold_mode, tell_modes
from models.fitting.season import off_season

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge.batches import Batch
    from edge.desk import Desk
    from edge.samples.ring import Ring
    from edge.samples.scoring import F32, Mask, Parts
    from edge.state import AssetState
    from models.bundles.bundle import AssetModel


def with_mode(model: AssetModel, state: AssetState, segment: Batch, unsound: Mask | None) -> Batch:
    """The segment with the mode of each sample, where it has to be guessed.

    No job opens or closes within it. unsound: (n, c) values that are no measurements; None: none.
    """
    if model.found is None:
        return segment
    if any(run.stage is Stage.OPEN and run.masks for run in state.runs):
        return replace(segment, mode=hold_mode(state.guess, len(segment.t_ns)))
    values = segment.values if unsound is None else np.where(unsound, np.nan, segment.values)
    return replace(segment, mode=tell_modes(state.guess, model.found, values, segment.running))


def guess_again(
    before: AssetModel | None, model: AssetModel, state: AssetState, ring: Ring
) -> None:
    """The modes of the history by another bundle than the one that guessed them."""
    asset = model.asset
    history = ring.state.assets[asset]
    if before is not None and before.found is not None:
        history.mode = None
    state.guess = ModeTrack()
    if model.found is None:
        return
    times, values, running = ring.last(asset, len(history.t_ns))
    unsound = ring.unsound(asset, times)
    sound = values if unsound is None else np.where(unsound, np.float32(np.nan), values)
    ring.tell_modes(asset, times, tell_modes(state.guess, model.found, sound, running))


def baselines(model: AssetModel) -> list[int]:
    """The rows of the bundle that are an asset's: running, stopped, operating modes, the season."""
    return own_rows(model)


def rows_at(model: AssetModel, running: Mask, mode: np.ndarray | None) -> np.ndarray:
    """The row of the bundle that each sample (n,) belongs to; -1: none, it cannot be scored.

    running: (n,)   mode: (n,), NaN: not told; None: never. A mode that was never seen has no row.
    """
    rows = np.full(len(running), model.row_running)
    if mode is not None and model.modes:
        rows[np.isfinite(mode)] = -1
        for known in model.modes:
            rows[mode == known.value] = known.row
    return np.where(running, rows, model.row_stopped)


def given(
    model: AssetModel, values: np.ndarray, t_ns: np.ndarray, at: np.ndarray, *, width: int
) -> list[tuple[int, F32, Mask]]:
    """Each row of an asset with what it is given of values (n, c) at times (n,): x, valid (n, w).

    at: (n,) rows that the samples belong to. NaN is not valid. The row of the season is given what
    values are off the usual of their hour, the others what they are.
    """
    x = pad(values, width)
    rows = []
    for row in baselines(model):
        mine, seen, own = sees(model, row, at), values, x
        if model.season is not None and row == model.row_season:
            seen = off_season(model.season, values, t_ns).astype(np.float32)
            own = pad(seen, width)
        rows.append((row, own, pad_valid(seen, mine, width)))
    return rows


def of_baseline(scores: Sequence[F32], rows: np.ndarray, *, model: AssetModel) -> F32:
    """One score a sample (n,), of the baseline it belongs to by `rows` (n,); NaN: of none.

    scores: of each baseline, in their order. Where the mode is a guess, the score as one of all
    running counts if it is higher, or the only one; that of the season likewise.
    """
    told = np.full(len(rows), np.nan, np.float32)
    for row, own in zip(baselines(model), scores, strict=False):
        told = np.where(rows == row, own, told)
    if model.found is not None:
        told = np.where(rows == model.row_stopped, told, np.fmax(told, scores[0]))
    if model.season is not None:
        told = np.where(rows == model.row_running, np.fmax(told, scores[-1]), told)
    return told


def say_unseen(
    model: AssetModel, state: AssetState, desk: Desk, segment: Batch, at: np.ndarray
) -> None:
    """A mode that was never seen is not scored; that is said once, not left to be wondered.

    at: (n,) rows that the samples belong to.
    """
    if segment.mode is None or not model.modes:
        return
    unseen = np.unique(segment.mode[segment.running & (at < 0)])
    for value in unseen[np.isfinite(unseen)].tolist():
        known = state.modes_unseen
        if value not in known and len(known) < MODES_UNSEEN_MAX:
            known.append(value)
            told = {"asset": model.asset, "mode": value, "then": "andon propose-bundle"}
            desk.note("mode_unseen", level="warning", **told)


def sees(model: AssetModel, row: int, at: np.ndarray) -> Mask:
    """Which samples (n,) a row of the bundle is given, by the rows that they belong to."""
    mine: Mask = at == row
    if model.found is not None and row == model.row_running:
        mine = at != model.row_stopped
    if model.season is not None and row == model.row_season:
        mine = at == model.row_running
    return mine


def within_mode(model: AssetModel, parts: Parts, values: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Values (n, c) as if all were of one mode: as far from the middle as they are in their own.

    NaN where the mode has no baseline of its own. at: (n,) rows that the samples belong to.
    """
    mine = of_own(model, at)
    if mine is None:
        return values
    c, part = len(model.channels), parts.of(model.row_running)
    index = np.where(mine, at, model.row_running) - part.first
    center, scale = part.parameters["center"], part.parameters["scale"]
    off = (values - center[index, :c]) * scale[index, :c]
    return np.asarray(np.where(mine[:, None], model.center + model.sigma * off, np.nan))


def of_own(model: AssetModel, at: np.ndarray) -> Mask | None:
    """Which samples (n,) belong to a mode with a baseline of its own; None: no mode has one.

    at: (n,) rows that the samples belong to.
    """
    own = [mode.row for mode in model.modes if mode.row != model.row_running]
    return np.isin(at, own) if own else None
