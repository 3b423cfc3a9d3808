"""Aftermath: a job is over, by itself or cut short, and what is still abnormal rings.

What it hid, and what rang before it became known and was explained by it, is judged by a fresh
score and by the level of its channels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from edge.alerts.alerts import CLASSES
from edge.alerts.contributions import against_before
from edge.records import Clause, Decision, Phase, Track, Verdict
from edge.work.jobs import Ending, JobRun, lasting_shift, left_to, level_abnormal

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge.alerts.alerts import AlertRecord, Contribution, Sentence
    from edge.desk import Desk
    from edge.state import AssetState
    from models.bundles.bundle import AssetModel


@dataclass(frozen=True, slots=True, kw_only=True)
class Voice:
    """How an alert speaks, lent by the rulings to whoever judges it on another occasion."""

    ring: Callable[..., None]
    publish: Callable[..., None]
    contributions: Callable[..., tuple[Contribution, ...]]
    hand_over: Callable[..., JobRun | None]
    sentences: Callable[..., tuple[Sentence, ...]]


class Aftermath:
    """Judges the ends of one asset's jobs."""

    def __init__(self, model: AssetModel, *, state: AssetState, desk: Desk, voice: Voice) -> None:
        self._model = model
        self._state = state
        self._desk = desk
        self._voice = voice

    def judge(self, run: JobRun, *, t_ns: int, ending: Ending, fresh: bool | None) -> None:
        """A job is over: what is still abnormal rings.

        fresh: what a fresh state says of the asset: True over threshold, False not, None could not
        say. What cleared meanwhile is told on cancellation.
        """
        record = self._state.alerts[Track.PROCESS]
        excused = record.active and record.excused_by == run.job.job_id
        mine = excused or (record.suppressed and record.job_id == run.job.job_id)
        level = level_abnormal(run, sigma=self._model.sigma)
        heir = self._heir(record, run, t_ns=t_ns, ending=ending)
        if heir is not None and (level is False or left_to(run, heir, sigma=self._model.sigma)):
            self._others(run, t_ns=t_ns, ending=ending)
            return
        abnormal = fresh is True or level is True
        unknown = fresh is None or level is None
        if abnormal or ((mine or run.hid) and unknown):
            why = _why_abnormal(ending, fresh, level)
            self._ring_after(run, record, level=level is True, t_ns=t_ns, why=why)
        elif mine:
            self._state.tracks[Track.PROCESS].reset()
            if excused or ending is not Ending.CANCELLED:
                record.clear(t_ns=t_ns)
            if ending is not Ending.CANCELLED:
                reason = f"job {ending}; back to normal"
                self._voice.publish(record, t_ns=t_ns, reason=reason)
                if not excused:
                    self._desk.audited_alert("suppression_over", record, t_ns=t_ns, detail=reason)
        self._others(run, t_ns=t_ns, ending=ending)

    def _heir(
        self, record: AlertRecord, run: JobRun, *, t_ns: int, ending: Ending
    ) -> JobRun | None:
        """The work that explains what is suppressed when this job is over; None: there is none.

        What a cancelled job hid rings, whatever else goes on.
        """
        cut = ending is Ending.CANCELLED and record.job_id == run.job.job_id
        return None if cut else self._voice.hand_over(record, t_ns=t_ns)

    def _others(self, run: JobRun, *, t_ns: int, ending: Ending) -> None:
        """The other tracks, and what cleared before a cancellation."""
        for other in (self._state.alerts[Track.SENSOR], self._state.alerts[Track.COMMS]):
            quiet = other.suppressed or (other.active and other.excused_by)
            mine = quiet and other.job_id == run.job.job_id
            if mine and self._heir(other, run, t_ns=t_ns, ending=ending) is None:
                why = f"{other.track} event is still there after the job"
                self._voice.ring(other, after_job(run, why), run, t_ns=t_ns, reason=why)

    def withdrawn(self, run: JobRun, *, t_ns: int) -> None:
        """A job was cancelled, while it went on or later: what it hid and has cleared is told.

        Of an alert whose place another one has taken only the audit trail and the log can tell.
        """
        records = self._state.alerts.values()
        for each in records:
            if each.job_id == run.job.job_id and _last_said(each) is Verdict.SUPPRESSED:
                self._tell_cleared(each, run, t_ns=t_ns)
        asset, job_id = self._model.asset, run.job.job_id
        for alert_id in sorted(set(run.hid) - {each.alert_id for each in records}):
            why = "the job was cancelled; a later alert stands in its place"
            ids = {"alert_id": alert_id, "job_id": job_id}
            self._desk.audited("rang_again", asset=asset, t_ns=t_ns, detail=why, **ids)
            self._desk.note("hidden_by_cancelled", level="warning", asset=asset, **ids)

    def _ring_after(
        self, run: JobRun, record: AlertRecord, *, level: bool, t_ns: int, why: str
    ) -> None:
        track = self._state.tracks[Track.PROCESS]
        if record.active and not level and record.excused_by != run.job.job_id:
            return  # it rings already
        if not (record.suppressed or record.active):
            begin_ns = run.close_ns or t_ns
            record.begin_event(begin_ns=begin_ns, job_id=run.job.job_id)
            record.score, record.threshold = 0.0, self._model.threshold_on
        if level or not record.contributions:
            shift = np.nan_to_num(lasting_shift(run, sigma=self._model.sigma))
            total = float((shift**2).sum())
            if total > 0.0:
                begin_ns = run.close_ns or t_ns
                parts = self._voice.contributions(shift**2 / total, begin_ns, t_ns)
                names = tuple(channel.name for channel in self._model.channels)
                record.contributions = against_before(parts, run, names, shift)
        if not track.active:
            track.phase, track.count = Phase.OPEN, 0
            track.begin_ns = t_ns
        self._voice.ring(record, after_job(run, why), run, t_ns=t_ns, reason=why)
        self._desk.ask(record)

    def _tell_cleared(self, record: AlertRecord, run: JobRun, *, t_ns: int) -> None:
        record.ring(after_job(run, "the job was cancelled; the condition had cleared before"))
        record.clear(t_ns=t_ns)
        record.klass = CLASSES[record.track]
        self._voice.publish(record, t_ns=t_ns, reason="job cancelled")
        self._desk.audited_alert("rang_again", record, t_ns=t_ns, detail="the job was cancelled")


def _last_said(record: AlertRecord) -> Verdict | None:
    return record.decision.verdict if record.decision is not None else None


def after_job(run: JobRun, why: str) -> Decision:
    """It rings, because a job that kept it quiet is over."""
    return not_any_more("after_job", f"{run.job.job_id}: {why}", job_id=run.job.job_id)


def not_any_more(name: str, why: str, *, job_id: str = "") -> Decision:
    """It rings, because of one clause that does not hold any more."""
    clause = Clause(name=name, outcome=False, detail=why)
    return Decision(verdict=Verdict.ALERT, clauses=(clause,), job_id=job_id)


def _why_abnormal(ending: Ending, fresh: bool | None, level: bool | None) -> str:  # noqa: FBT001
    ended = {
        Ending.CLOSED: "the job closed and settled",
        Ending.FUSE: "the job's fuse burned down",
        Ending.CANCELLED: "the job was cancelled",
    }[ending]
    if level is True:
        return f"{ended}, but a channel's level has not come back"
    if fresh is True:
        return f"{ended}, but the score from a fresh state is over threshold"
    return f"{ended}, and it could not be shown that the asset is normal again"
