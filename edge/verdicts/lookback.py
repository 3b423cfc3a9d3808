"""Lookback: what the ring says about the past of one asset.

Rows scored again from nothing, without some channels, and levels before and after. Rare: jobs that
open or end, events that open or clear, work that becomes known later.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from edge.records import Track
from edge.samples.mode_rows import given, of_baseline, of_own, rows_at, within_mode
from edge.samples.scoring import fresh_row, replay_row
from edge.settings import samples_in
from edge.verdicts.events import TrackState, read_score
from edge.work.jobs import LEVEL_SAMPLES_MIN
from models.fitting.season import of_no_hour

if TYPE_CHECKING:
    from edge.desk import Desk
    from edge.samples.ring import History
    from edge.samples.scoring import F32, Mask, Parameters, Row
    from edge.settings import EngineSettings
    from edge.state import AssetState
    from edge.work.jobs import JobRun
    from models.bundles.bundle import AssetModel

WARM_SAMPLES: Final = 256  # a masked row settles on this many past samples before it may judge
BEFORE_SAMPLES: Final = 600  # the level before a job or an event: ten minutes at 1 Hz
BEFORE_SAMPLES_MIN: Final = 60  # of slower ones, so that this level is surer than the one after
AFTER_SAMPLES: Final = 60  # the level after an event


class Lookback:
    """Looks back on one asset. Times are plant time, ns."""

    def __init__(self, model: AssetModel, *, state: AssetState, desk: Desk) -> None:
        self._model = model
        self._state = state
        self._desk = desk
        self._derived: dict[tuple[int, bytes], Parameters] = {}

    def parameters(self, index: int, keep: Mask) -> Parameters:
        """Parameters of a row of the bundle, without some channels; derived once for each mask.

        keep: (width,).
        """
        if keep.all():
            return self._desk.parts.of(index).stack([index])
        key = (index, keep.tobytes())
        if key not in self._derived:
            self._derived[key] = self._desk.derive(index, keep)
        return self._derived[key]

    def without(self, mask: Mask) -> Mask:
        """What a row may see that leaves out the channels of `mask` (c,): (width,)."""
        keep = np.zeros(self._desk.width, bool)
        keep[: len(mask)] = ~mask
        return keep

    def replayed(self, keep: Mask, past: History) -> tuple[list[Row], F32]:
        """Rows that start from nothing, a baseline each, taken over past samples (n, c).

        With their scores (n,), each of the baseline that the sample belongs to. keep: (width,).
        """
        times, values, running = past
        unsound = self._desk.ring.unsound(self._model.asset, times)
        if unsound is not None:
            values = np.where(unsound, np.float32(np.nan), values)
        at = rows_at(self._model, running, self._desk.ring.modes(self._model.asset, times))
        rows, scores = [], []
        for index, x, valid in given(self._model, values, times, at, width=self._desk.width):
            part = self._desk.parts.of(index)
            row = fresh_row(part, keep)
            of_row = replay_row(row, self.parameters(index, keep), x, valid, part=part)
            rows.append(row)
            scores.append(of_row)
        return rows, of_baseline(scores, at, model=self._model)

    def until(self, t_ns: int, samples: int) -> History:
        """The newest samples before and at a time, of those that are still there."""
        times, values, running = self._desk.ring.last(self._model.asset, len(self._ring_t_ns))
        end = int(np.searchsorted(times, t_ns, side="right"))
        begin = max(end - samples, 0)
        return times[begin:end], values[begin:end], running[begin:end]

    def span(self, begin_ns: int, end_ns: int) -> History | None:
        """All samples from a begin to an end, both inside; None: not all are there any more."""
        times, values, running = self._desk.ring.last(self._model.asset, len(self._ring_t_ns))
        if not len(times) or times[0] >= begin_ns:
            return None
        inside = (times >= begin_ns) & (times <= end_ns)
        return times[inside], values[inside], running[inside]

    def rest_quiet(self, mask: Mask, begin_ns: int, end_ns: int) -> bool | None:
        """Whether the asset without the channels of `mask` (c,) stayed below threshold meanwhile.

        None: the samples are gone, or too few came before them for a score.
        """
        times, values, running = self.until(end_ns, len(self._ring_t_ns))
        first = int(np.searchsorted(times, begin_ns, side="left"))
        if first in (0, len(times)):
            return None
        warm = slice(max(first - WARM_SAMPLES, 0), None)
        past = times[warm], values[warm], running[warm]
        times, inside = times[warm], times[warm] >= begin_ns
        _, scores = self.replayed(self.without(mask), past)
        ready = np.isfinite(scores)
        if not ready[~inside].any() or not ready[inside].any():
            return None
        track, engine = TrackState(), self._desk.settings.engine
        over = False
        for t_ns, score, counts in zip(times, scores, inside, strict=True):
            step_score(track, float(score), int(t_ns), model=self._model, engine=engine)
            over = over or (bool(counts) and track.active)
        return not over

    def level_before(self, t_ns: int, *, but: JobRun | None = None) -> np.ndarray:
        """Mean of each channel (c,) before a time, NaN where too little is known.

        What an event or a job (another one than `but`) may have moved does not count.
        """
        t, values, running = self.until(t_ns, len(self._ring_t_ns))
        process = self._state.tracks[Track.PROCESS]
        until_ns = min(t_ns, process.begin_ns) if process.begin_ns else t_ns
        values = self.compared(t, values, running)
        chosen = np.isfinite(values) & (running & (t < until_ns))[:, None]
        for other in self._state.runs:
            if other is not but and other.fuse_end_ns and other.masks:  # it was open once
                end_ns = other.ended_ns or t_ns
                inside = (t >= other.job.opened_at_ns) & (t < end_ns)
                chosen &= ~(inside[:, None] & other.mask)
        newest = np.cumsum(chosen[::-1], axis=0)[::-1] <= samples_in(
            BEFORE_SAMPLES, self._model.period_ns, least=BEFORE_SAMPLES_MIN
        )
        return _means(values, chosen & newest)

    def level_after(self, begin_ns: int, t_ns: int) -> np.ndarray:
        """Mean of each channel (c,) of the newest samples since an event was over, NaN unknown."""
        times, values, running = self.until(t_ns, samples_in(AFTER_SAMPLES, self._model.period_ns))
        values = self.compared(times, values, running)
        return _means(values, np.isfinite(values) & (running & (times > begin_ns))[:, None])

    def compared(self, times: np.ndarray, values: np.ndarray, running: np.ndarray) -> np.ndarray:
        """Past values (n, c) as `comparable` has them."""
        at = rows_at(self._model, running, self._desk.ring.modes(self._model.asset, times))
        return self.comparable(times, values, at)

    def comparable(self, times: np.ndarray, values: np.ndarray, at: np.ndarray) -> np.ndarray:
        """Values (n, c) as if all were of one mode and one hour, so that levels can be compared.

        NaN where nothing is known of a mode, or of an hour. at: (n,) rows that the samples belong
        to. An asset whose modes have baselines of their own is not judged by the hour.
        """
        alike = within_mode(self._model, self._desk.parts, values, at)
        season = self._model.season
        if season is None or of_own(self._model, at) is not None:
            return alike
        return of_no_hour(season, alike, times, self._model.center)

    @property
    def _ring_t_ns(self) -> np.ndarray:
        return self._desk.ring.state.assets[self._model.asset].t_ns


def _means(values: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """Means (c,) of the chosen values, both (n, c); NaN of fewer than say anything."""
    count = chosen.sum(axis=0)
    total = np.where(chosen, values, 0.0).sum(axis=0, dtype=np.float64)
    unknown = np.full(len(count), np.nan)
    means: np.ndarray = np.divide(total, count, out=unknown, where=count >= LEVEL_SAMPLES_MIN)
    return means


def step_score(
    track: TrackState, score: float, t_ns: int, *, model: AssetModel, engine: EngineSettings
) -> None:
    """One score against the asset's thresholds."""
    reading = read_score(score, track.phase, on=model.threshold_on, off=model.threshold_off)
    track.step(
        reading,
        t_ns=t_ns,
        score=score,
        open_after=engine.min_duration_samples,
        open_among=engine.open_window_samples,
        clear_after=engine.clear_after(model.period_ns),
    )
