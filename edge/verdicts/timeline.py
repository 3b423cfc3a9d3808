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

from edge.records import JobState, Witness
from edge.samples.mode_rows import baselines
from edge.samples.scoring import fresh_row
from edge.state import EndedOrder, Pending
from edge.verdicts.events import TrackState
from edge.verdicts.lookback import WARM_SAMPLES, step_score
from edge.work.jobs import (
    DONE_RUNS_MAX,
    ENDED_ORDERS_MAX,
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

if TYPE_CHECKING:
    from edge.desk import Desk
    from edge.state import AssetState
    from edge.verdicts.lookback import Lookback
    from edge.verdicts.rulings import Rulings
    from models.bundles.bundle import AssetModel

JUDGE_SAMPLES: Final = 180  # what a fuse or a cancellation is judged by
OWED_RUNS_MAX: Final = 8  # one more is judged by what is known
OWED_S_MAX: Final = 86_400  # a job that closed before a stop is judged when the machine runs again


class Timeline:
    """Moves the jobs of one asset on; `rulings` turns what comes of it into alerts."""

    def __init__(
        self,
        model: AssetModel,
        *,
        state: AssetState,
        desk: Desk,
        rulings: Rulings,
        lookback: Lookback,
    ) -> None:
        self._model = model
        self._state = state
        self._desk = desk
        self._rulings = rulings
        self._lookback = lookback
        self._channels = len(model.channels)

    def next_boundary_ns(self) -> int | None:
        """The next plant time at which something happens to a job by itself or by command.

        Or at which an operator's silence begins or ends, a spent budget's shift is over, an
        alert has waited too long for an answer, or joins a group.
        """
        # Asked of every asset at every tick, and mostly there is nothing of any kind.
        state, times = self._state, self._rulings.escalation.due()
        if state.pending:
            times += [pending.t_ns for pending in state.pending]
        if state.runs:
            times += [t for run in state.runs if (t := run.boundary_ns()) is not None]
        if state.silences:
            times += [silence.boundary_ns for silence in state.silences]
        if state.budget_spent_until_ns:
            times.append(state.budget_spent_until_ns)
        if state.joins:
            times += [join.t_ns for join in state.joins]
        return min(times) if times else None

    def advance(self, until_ns: int) -> None:
        """Take everything that happens to jobs up to and at `until_ns`, in time order."""
        while (t_ns := self.next_boundary_ns()) is not None and t_ns <= until_ns:
            before = self._as_listed()
            told = any(pending.t_ns <= t_ns for pending in self._state.pending)
            self._boundary(t_ns)
            if told or self._as_listed() != before:
                self._rulings.jobs_changed(t_ns)
        if self._state.runs:
            self._forget()

    def _as_listed(self) -> list[tuple[object, ...]]:
        """What the published list shows; a job that only waits on has not changed it."""
        jobs = [(run.job, run.stage) for run in self._state.runs]
        return [*jobs, *((one.kind, one.begun) for one in self._state.silences)]

    def _forget(self) -> None:
        """Of the jobs that are over only the newest few stay listed."""
        live = [run for run in self._state.runs if run.stage is not Stage.DONE]
        done = [run for run in self._state.runs if run.stage is Stage.DONE]
        if len(done) > DONE_RUNS_MAX:
            self._remember(done[:-DONE_RUNS_MAX])
            self._state.runs = [*done[-DONE_RUNS_MAX:], *live]

    def _remember(self, runs: list[JobRun]) -> None:
        """An order that was ended before its time is told again with every snapshot."""
        now_ns, ended = self._state.last_t_ns, self._state.ended_orders
        kept = {name: one for name, one in ended.items() if one.planned_to_ns > now_ns}
        for run in runs:
            if run.job.witness is Witness.ORDER and run.planned_to_ns > now_ns:
                word = EndedOrder(planned_to_ns=run.planned_to_ns, ended_ns=run.ended_ns)
                kept[run.job.job_id] = word
        self._state.ended_orders = kept

    def _boundary(self, t_ns: int) -> None:
        self._rulings.turn(t_ns)
        self._rulings.escalation.turn(t_ns)
        self._desk.annunciator.enact(self._state, t_ns=t_ns)
        due = [pending for pending in self._state.pending if pending.t_ns <= t_ns]
        self._state.pending = [pending for pending in self._state.pending if pending.t_ns > t_ns]
        for pending in due:
            for run in self._state.runs:
                if run.job.job_id == pending.job_id:
                    self._act(run, pending, t_ns)
        for run in self._state.runs:
            end = run.boundary_ns()
            if end is not None and end <= t_ns:
                self._by_itself(run, t_ns)
        told = {pending.job_id for pending in due if pending.action == "tell"}
        for run in self._state.runs:  # what opened with it has its masked rows now
            if run.job.job_id in told:
                self._rulings.told_later(run, t_ns=t_ns)

    def _by_itself(self, run: JobRun, t_ns: int) -> None:
        if run.stage is Stage.SCHEDULED:
            self._open(run, t_ns)
        elif run.stage in (Stage.SETTLING, Stage.OWED):
            self._settled(run, t_ns)
        elif run.fuse_end_ns <= t_ns:
            self._cut_short(run, t_ns, Ending.FUSE)
        else:
            self._close(run, t_ns)

    def _act(self, run: JobRun, pending: Pending, t_ns: int) -> None:
        action = pending.action
        if action == "close" and run.stage is Stage.OPEN:
            self._close(run, t_ns)
        elif action == "close" and run.stage is Stage.SCHEDULED:
            self._end(run, t_ns, Ending.CLOSED, None)  # over before it began
        elif action == "cancel" and run.stage is not Stage.DONE:
            self._audit_cancel(run, pending, t_ns)
            self._cut_short(run, t_ns, Ending.CANCELLED)
            self._rulings.withdrawn(run, t_ns=t_ns)
        elif action == "cancel":  # it is over, but what rang before is still explained by it
            self._audit_cancel(run, pending, t_ns)
            run.job = msgspec.structs.replace(run.job, state=JobState.CANCELLED)
            self._rulings.withdrawn(run, t_ns=t_ns)

    def _audit_cancel(self, run: JobRun, pending: Pending, t_ns: int) -> None:
        self._desk.audited(
            "cancelled",
            asset=self._model.asset,
            t_ns=t_ns,
            job_id=run.job.job_id,
            operator=pending.operator,
            detail=f"{run.job.kind}, was {run.stage}",
        )

    def add_job(self, run: JobRun) -> bool:
        """Take a new job; the caller publishes the list.

        Ids are unique. A job that is over when it becomes known, or that nobody witnessed, masks
        nothing. What rang before it became known is looked at again. False: it is known already, or
        too many wait.
        """
        known = self._state.runs
        if any(other.job.job_id == run.job.job_id for other in known):
            return False
        run.told_ns = max(run.job.recorded_at_ns, self._state.last_t_ns + 1)
        run.planned_to_ns = run.job.valid_to_ns or 0
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
        if may_open and self._may_explain(run):
            told = Pending(t_ns=run.told_ns, action="tell", job_id=run.job.job_id)
            self._state.pending = [*self._state.pending, told]
        return True

    def _may_explain(self, run: JobRun) -> bool:
        """Whether something rang in the job's times, or may have in samples not taken yet."""
        begin_ns, end_ns = run.job.valid_from_ns, run.began_by_ns()
        alerts = self._state.alerts.values()
        if any(alert.excused_by == run.job.job_id for alert in alerts):
            return True  # told anew
        rang = [heard.begin_ns for alert in alerts for heard in alert.heard]
        return run.late and (
            end_ns > self._state.last_t_ns or any(begin_ns <= t_ns < end_ns for t_ns in rang)
        )

    def _room_for(self, run: JobRun) -> bool:
        waiting = [other.job for other in self._state.runs if other.stage is not Stage.DONE]
        if run.job.witness is Witness.ORDER:
            if len(self._state.ended_orders) >= ENDED_ORDERS_MAX:
                return False  # one more could not be kept ended
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
        run.before = self._lookback.level_before(t_ns, but=run)
        run.found = self._lookback.level_after(0, t_ns - 1)
        past = self._lookback.until(t_ns - 1, WARM_SAMPLES)
        run.masked, _ = self._lookback.replayed(self._lookback.without(run.mask), past)

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

    def _close(self, run: JobRun, t_ns: int) -> None:
        shortest = LEVEL_SAMPLES_MIN * 2 * self._model.period_ns  # a third of it does not count
        longest = self._desk.settings.engine.settle_s_max * SECOND_NS
        close_run(run, t_ns=t_ns, settle_ns_min=min(shortest, longest) if run.masks else 0)
        told = {"asset": self._model.asset, "job": run.job.job_id, "then": "andon propose-bundle"}
        self._desk.note("job_closed", t_ns=t_ns, **told)
        if run.masks:
            keep = np.ones(self._desk.width, bool)
            run.fresh = [
                fresh_row(self._desk.parts.of(index), keep) for index in baselines(self._model)
            ]

    def _settled(self, run: JobRun, t_ns: int) -> None:
        latest_ns = run.close_ns + OWED_S_MAX * SECOND_NS
        hides = any(
            (alert.suppressed or (alert.active and alert.excused_by))
            and alert.job_id == run.job.job_id
            for alert in self._state.alerts.values()
        )
        owed = sum(one.stage is Stage.OWED for one in self._state.runs if one is not run)
        may_wait = not hides and owed < OWED_RUNS_MAX and t_ns < latest_ns
        # It stood still, or sent nothing: wait for a level, unless that keeps something quiet.
        if may_wait and level_pending(run, enough=self._enough(run)):
            more_ns = LEVEL_SAMPLES_MIN * self._model.period_ns
            run.settle_end_ns = min(t_ns + more_ns, latest_ns)
            run.stage = Stage.OWED  # this time judges, it excuses nothing
            return
        self._end(run, t_ns, Ending.CLOSED, run.fresh_track.active if run.fresh_ready else None)

    def _enough(self, run: JobRun) -> int:
        """Samples of a level; who has waited for a start sees as many as settling gives."""
        usual = 2 * run.job.settle_s * SECOND_NS // (3 * self._model.period_ns)
        return max(LEVEL_SAMPLES_MIN, usual if run.stage is Stage.OWED else 0)

    def clock_stepped_back(self, t_ns: int) -> None:
        """No time of the past can be held against the new one: what is open or silenced ends.

        t_ns: the newest time before the step. What is planned opens when its time has come.
        """
        for run in self._state.runs:
            if run.unjudged:
                self._cut_short(run, t_ns, Ending.FUSE)
        for silence in self._state.silences:
            silence.end_ns = min(silence.end_ns, max(t_ns, silence.begin_ns))
            silence.ended_by = silence.ended_by or "a clock that stepped back"
        self._rulings.turn(t_ns)
        self._rulings.jobs_changed(t_ns)

    def _cut_short(self, run: JobRun, t_ns: int, ending: Ending) -> None:
        due = run.unjudged and run.masks
        self._end(run, t_ns, ending, self._look_fresh(run) if due else False)

    def _end(self, run: JobRun, t_ns: int, ending: Ending, fresh: bool | None) -> None:  # noqa: FBT001
        rows, due = run.fresh if run.fresh_ready else [], run.unjudged and run.masks
        if ending is not Ending.CLOSED:
            name, asset = f"job_{ending}", self._model.asset
            self._desk.note(name, asset=asset, job=run.job.job_id, t_ns=t_ns)
        end_run(run, t_ns=t_ns, ending=ending)
        if not due:
            return
        # the smoothed score still remembers the job; the fresh one does not
        for index, row in zip(baselines(self._model), rows, strict=False):
            part = self._desk.parts.of(index)
            if not part.learns:
                self._desk.state[self._desk.parts.numbers[index]][index - part.first] = row.state
        self._rulings.judge(run, t_ns=t_ns, ending=ending, fresh=fresh)

    def _look_fresh(self, run: JobRun) -> bool | None:
        """Score the newest samples from a fresh state, at once; None: too few to say."""
        keep = np.ones(self._desk.width, bool)
        past = self._desk.ring.last(self._model.asset, JUDGE_SAMPLES)
        t, values, running = past
        run.fresh, scores = self._lookback.replayed(keep, past)
        track, engine = TrackState(), self._desk.settings.engine
        for t_i, score in zip(t, scores, strict=True):
            step_score(track, float(score), int(t_i), model=self._model, engine=engine)
        level_reset(run, self._channels)
        newest = np.arange(len(t)) >= len(t) - JUDGE_SAMPLES // 3
        level_add(run, self._lookback.compared(t, values, running), running & newest)
        run.fresh_ready = bool(np.isfinite(scores).any())
        return track.active if run.fresh_ready else None
