"""The jobs of one asset along plant time.

Starts, ends, fuses, settling, cancellations, in their order.

A job's masked row begins warmed on the ring; when the job closes normally a fresh row begins from
nothing, and when it settled, or at once when its fuse burned down or it was cancelled, what is
still abnormal rings.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np

from edge.events import TrackState, read_score
from edge.jobs import (
    DONE_RUNS_MAX,
    LEVEL_SAMPLES_MIN,
    LIVE_RUNS_MAX,
    SECOND_NS,
    WAITING_ORDERS_MAX,
    WAITING_RUNS_MAX,
    Ending,
    JobRun,
    Stage,
    close_run,
    end_run,
    level_add,
    level_pending,
    level_reset,
    new_run,
    open_run,
    scoped,
)
from edge.records import JobState, Track, Witness
from edge.rulings import Rulings, Sight
from edge.scoring import fresh_row, one_row, pad, pad_valid, replay_row

if TYPE_CHECKING:
    from edge.desk import Desk
    from edge.scoring import F32, Mask, Parameters, Row
    from edge.settings import EngineSettings
    from edge.state import AssetState
    from models.bundle import AssetModel

WARM_SAMPLES: Final = 256  # a masked row settles on this many past samples before it may judge
BEFORE_SAMPLES: Final = 600  # the level before a job: ten minutes at 1 Hz
JUDGE_SAMPLES: Final = 180  # what a fuse or a cancellation is judged by


class Timeline:
    """Moves the jobs of one asset on; `rulings` turns what comes of it into alerts."""

    def __init__(
        self, model: AssetModel, *, state: AssetState, desk: Desk, rulings: Rulings
    ) -> None:
        self._model = model
        self._state = state
        self._desk = desk
        self._rulings = rulings
        self._channels = len(model.channels)
        self._derived: dict[tuple[int, bytes], Parameters] = {}

    def next_boundary_ns(self) -> int | None:
        """The next plant time at which something happens to a job by itself or by command."""
        times = [pending.t_ns for pending in self._state.pending]
        times += [t for run in self._state.runs if (t := run.boundary_ns()) is not None]
        return min(times, default=None)

    def advance(self, until_ns: int) -> None:
        """Take everything that happens to jobs up to and at `until_ns`, in time order."""
        while (t_ns := self.next_boundary_ns()) is not None and t_ns <= until_ns:
            self._boundary(t_ns)
            self._rulings.jobs_changed(t_ns)
        self._forget()

    def _forget(self) -> None:
        """Of the jobs that are over only the newest few stay listed."""
        live = [run for run in self._state.runs if run.stage is not Stage.DONE]
        done = [run for run in self._state.runs if run.stage is Stage.DONE]
        if len(done) > DONE_RUNS_MAX:
            self._state.runs = [*done[-DONE_RUNS_MAX:], *live]

    def _boundary(self, t_ns: int) -> None:
        due = [pending for pending in self._state.pending if pending.t_ns <= t_ns]
        self._state.pending = [pending for pending in self._state.pending if pending.t_ns > t_ns]
        for pending in due:
            for run in self._state.runs:
                if run.job.job_id == pending.job_id:
                    self._act(run, pending.action, t_ns)
        for run in self._state.runs:
            end = run.boundary_ns()
            if end is None or end > t_ns:
                continue
            if run.stage is Stage.SCHEDULED:
                self._open(run, t_ns)
            elif run.stage is Stage.SETTLING:
                self._settled(run, t_ns)
            elif run.fuse_end_ns <= t_ns:
                self._cut_short(run, t_ns, Ending.FUSE)
            else:
                self._close(run, t_ns)

    def _act(self, run: JobRun, action: str, t_ns: int) -> None:
        if action == "close" and run.stage is Stage.OPEN:
            self._close(run, t_ns)
        elif action == "close" and run.stage is Stage.SCHEDULED:
            self._end(run, t_ns, Ending.CLOSED, Sight(fresh=None))  # over before it began
        elif action == "cancel" and run.stage is not Stage.DONE:
            self._cut_short(run, t_ns, Ending.CANCELLED)

    def add_job(self, run: JobRun) -> bool:
        """Take a new job; the caller publishes the list.

        Ids are unique. A job that is over when it becomes known, or that nobody witnessed, masks
        nothing. False: it is known already, or too many wait.
        """
        known = self._state.runs
        if any(other.job.job_id == run.job.job_id for other in known):
            return False
        seen_ns = max(run.job.valid_from_ns, run.job.recorded_at_ns, self._state.last_t_ns)
        may_open = run.job.state in (JobState.SCHEDULED, JobState.OPEN)
        if run.over_by_ns() <= seen_ns or not may_open:
            state = JobState.CLOSED if may_open else run.job.state
            run.job = msgspec.structs.replace(run.job, state=state)
            run.stage = Stage.DONE
        elif not self._room_for(run):
            return False
        known.append(run)
        self._forget()
        return True

    def _room_for(self, run: JobRun) -> bool:
        waiting = [other.job for other in self._state.runs if other.stage is not Stage.DONE]
        if run.job.witness is Witness.ORDER:
            orders = sum(job.witness is Witness.ORDER for job in waiting)
            return orders < WAITING_ORDERS_MAX
        return len(waiting) < WAITING_RUNS_MAX

    def _open(self, run: JobRun, t_ns: int) -> None:
        if sum(other.live for other in self._state.runs) >= LIVE_RUNS_MAX:
            end_run(run, t_ns=t_ns, ending=Ending.CANCELLED)
            self._desk.note("job_refused", level="warning", job=run.job.job_id, t_ns=t_ns)
            return
        self._rescope(run, t_ns)
        open_run(run, t_ns=t_ns, seen_ns=self._state.last_t_ns)
        self._desk.note("job_opened", asset=self._model.asset, job=run.job.job_id, t_ns=t_ns)
        if not run.masks:
            return
        run.before = self._level_before(run, t_ns)
        keep = np.zeros(self._desk.width, bool)
        keep[: len(run.mask)] = ~run.mask
        t, values, running = self._desk.ring.last(self._model.asset, WARM_SAMPLES)
        past = t < t_ns
        run.masked = [
            self._replayed(index, keep, values[past], running[past], stopped=stopped)[0]
            for index, stopped in baselines(self._model)
        ]

    def _rescope(self, run: JobRun, t_ns: int) -> None:
        """What was approved when the job was planned may have been narrowed or withdrawn since.

        A job without a row of the scope table brought its own scope with it.
        """
        job, settings = run.job, self._desk.settings
        if job.scope and not job.scope_id:
            return
        asset, instrument = self._model.asset, job.functional_location
        row = self._desk.scope_of(job.kind, asset, instrument, now_ns=t_ns)
        channels = [channel.name for channel in self._model.channels]
        safety = settings.of_asset(asset).safety
        rescoped = new_run(
            scoped(job, row, settings=settings.engine), channels=channels, safety=safety
        )
        run.job, run.mask = rescoped.job, rescoped.mask

    def _replayed(
        self, index: int, keep: Mask, values: F32, running: Mask, *, stopped: bool
    ) -> tuple[Row, F32]:
        """A row that starts from nothing, taken over past samples (n, c), and its scores (n,)."""
        row = fresh_row(self._desk.detector, keep)
        scores = replay_row(
            row,
            self.parameters(index, keep),
            pad(values, self._desk.width),
            pad_valid(values, running, self._desk.width, stopped=stopped),
            detector=self._desk.detector,
        )
        return row, scores

    def _level_before(self, run: JobRun, t_ns: int) -> np.ndarray:
        """Mean of each channel (c,) before the job, NaN where too little is known.

        What an event or another job may have moved does not count.
        """
        t, values, running = self._desk.ring.last(self._model.asset, BEFORE_SAMPLES)
        process = self._state.tracks[Track.PROCESS]
        until_ns = min(t_ns, process.begin_ns) if process.begin_ns else t_ns
        chosen = np.isfinite(values) & (running & (t < until_ns))[:, None]
        for other in self._state.runs:
            if other is not run and other.fuse_end_ns and other.masks:  # it was open once
                end_ns = t_ns if other.live else other.ended_ns
                inside = (t >= other.job.opened_at_ns) & (t < end_ns)
                chosen &= ~(inside[:, None] & other.mask)
        count = chosen.sum(axis=0)
        total = np.where(chosen, values, 0.0).sum(axis=0, dtype=np.float64)
        unknown = np.full(len(count), np.nan)
        enough = count >= LEVEL_SAMPLES_MIN
        level: np.ndarray = np.divide(total, count, out=unknown, where=enough)
        return level

    def _close(self, run: JobRun, t_ns: int) -> None:
        shortest = LEVEL_SAMPLES_MIN * 2 * self._model.period_ns  # a third of it does not count
        longest = self._desk.settings.engine.settle_s_max * SECOND_NS
        close_run(run, t_ns=t_ns, settle_ns_min=min(shortest, longest) if run.masks else 0)
        self._desk.note("job_closed", asset=self._model.asset, job=run.job.job_id, t_ns=t_ns)
        if run.masks:
            keep = np.ones(self._desk.width, bool)
            run.fresh = [fresh_row(self._desk.detector, keep) for _ in baselines(self._model)]

    def _settled(self, run: JobRun, t_ns: int) -> None:
        latest_ns = run.close_ns + self._desk.settings.engine.settle_s_max * SECOND_NS
        hides = any(
            alert.suppressed and alert.job_id == run.job.job_id
            for alert in self._state.alerts.values()
        )
        # It stood still, or sent nothing: wait for a level, unless that keeps something quiet.
        if level_pending(run) and not hides and t_ns < latest_ns:
            more_ns = LEVEL_SAMPLES_MIN * self._model.period_ns
            run.settle_end_ns = min(t_ns + more_ns, latest_ns)
            run.fuse_end_ns = min(run.fuse_end_ns, t_ns)  # this time judges, it excuses nothing
            return
        sight = Sight(fresh=run.fresh_track.active if run.fresh_ready else None)
        self._end(run, t_ns, Ending.CLOSED, sight)

    def _cut_short(self, run: JobRun, t_ns: int, ending: Ending) -> None:
        was_live = run.live and run.masks
        sight = Sight(fresh=self._look_fresh(run)) if was_live else Sight(fresh=False)
        self._end(run, t_ns, ending, sight)

    def _end(self, run: JobRun, t_ns: int, ending: Ending, sight: Sight) -> None:
        fresh, was_live, masks = run.fresh if run.fresh_ready else [], run.live, run.masks
        if ending is not Ending.CLOSED:
            name, asset = f"job_{ending}", self._model.asset
            self._desk.note(name, asset=asset, job=run.job.job_id, t_ns=t_ns)
        end_run(run, t_ns=t_ns, ending=ending)
        if not (was_live and masks):
            return
        # the smoothed score still remembers the job; the fresh one does not
        for (index, _), row in zip(baselines(self._model), fresh, strict=False):
            self._desk.state[index] = row.state
        self._rulings.judge(run, t_ns=t_ns, ending=ending, sight=sight)

    def _look_fresh(self, run: JobRun) -> bool | None:
        """Score the newest samples from a fresh state, at once; None: too few to say."""
        keep = np.ones(self._desk.width, bool)
        t, values, running = self._desk.ring.last(self._model.asset, JUDGE_SAMPLES)
        scores = np.full(len(t), np.nan, np.float32)
        run.fresh = []
        for index, stopped in baselines(self._model):
            row, of_row = self._replayed(index, keep, values, running, stopped=stopped)
            run.fresh.append(row)
            scores = np.where(running ^ stopped, of_row, scores)
        track, engine = TrackState(), self._desk.settings.engine
        for t_i, score in zip(t, scores, strict=True):
            step_score(track, float(score), int(t_i), model=self._model, engine=engine)
        level_reset(run, self._channels)
        newest = np.arange(len(t)) >= len(t) - JUDGE_SAMPLES // 3
        level_add(run, values, running & newest)
        run.fresh_ready = bool(np.isfinite(scores).any())
        return track.active if run.fresh_ready else None

    def parameters(self, index: int, keep: Mask) -> Parameters:
        """Parameters of a row of the bundle, without some channels; derived once for each mask."""
        if keep.all():
            return one_row(self._desk.parameters, index)
        key = (index, keep.tobytes())
        if key not in self._derived:
            self._derived[key] = self._desk.derive(index, keep)
        return self._derived[key]


def baselines(model: AssetModel) -> list[tuple[int, bool]]:
    """The rows of an asset: (row of the bundle, whether it is the baseline of standing still)."""
    rows = [(model.row_running, False)]
    return rows if model.row_stopped < 0 else [*rows, (model.row_stopped, True)]


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
        clear_after=engine.clear_samples,
    )
