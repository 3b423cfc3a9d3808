"""Rulings: what becomes of an asset's events. Has the facts judged and moves the alert.

The only place that turns a decision into a published revision.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np

from edge import explain
from edge.alerts import AlertRecord, Contribution, Sentence
from edge.facts import FactFinder
from edge.jobs import Ending, JobRun, Stage, lasting_shift, level_abnormal
from edge.records import Clause, Decision, Phase, Track, Verdict

if TYPE_CHECKING:
    from edge.desk import Desk
    from edge.records import AlertStands
    from edge.settings import AssetSettings
    from edge.state import AssetState
    from kb.records import Hit
    from models.bundle import AssetModel

# the engineering value shown is the mean of the newest samples of the event
VALUE_SAMPLES: Final = 30
CLASSES: Final = {
    Track.PROCESS: "process anomaly",
    Track.SENSOR: "sensor fault",
    Track.COMMS: "comms gap",
}


# Each channel's share (c,) of the score that is left without a job's channels; None: there is none.
RestShares = Callable[[JobRun], "np.ndarray | None"]


def no_rest(_run: JobRun) -> None:
    """No score is kept of the rest."""


class Sight(msgspec.Struct, frozen=True, kw_only=True):
    """What a fresh state says after a job: True over threshold, False not, None could not say."""

    fresh: bool | None


class Rulings:
    """Opens, rechecks, clears and rings the alerts of one asset."""

    def __init__(
        self, model: AssetModel, settings: AssetSettings, *, state: AssetState, desk: Desk
    ) -> None:
        self._model = model
        self._settings = settings
        self._state = state
        self._desk = desk
        self._facts = FactFinder(model, state=state, desk=desk)
        self._channels = tuple(channel.name for channel in model.channels)

    # --- events ---

    def opened(
        self,
        track: Track,
        *,
        t_ns: int,
        shares: np.ndarray | None,
        rest_shares: RestShares = no_rest,
    ) -> None:
        """Decide at once; documents come as a later revision. shares: (c,) of the score."""
        begin_ns = self._state.tracks[track].begin_ns
        parts = () if shares is None else self._contributions(shares, begin_ns, t_ns)
        self._open(track, t_ns=t_ns, parts=parts, rest_shares=rest_shares)

    def sensor_opened(self, stuck: np.ndarray, missing: np.ndarray, *, t_ns: int) -> None:
        """Channels that are stuck or send nothing usable, (c,) each."""
        self._open(Track.SENSOR, t_ns=t_ns, parts=self._bad_channels(stuck, missing, t_ns))

    def sensor_changed(self, stuck: np.ndarray, missing: np.ndarray, *, t_ns: int) -> None:
        """An event is judged again with every channel that is bad now, (c,) each.

        Another bad channel is news: what rings says so, and rings again where it was acknowledged.
        """
        record = self._state.alerts[Track.SENSOR]
        parts = self._bad_channels(stuck, missing, t_ns)
        bad = {part.channel for part in parts}
        joined = bad - {part.channel for part in record.contributions}
        if record.suppressed:
            record.contributions = parts
            self.recheck(Track.SENSOR, t_ns=t_ns)
        elif joined and record.active and record.decision is not None:
            parts = (*parts, *(part for part in record.contributions if part.channel not in bad))
            record.contributions = tuple(
                msgspec.structs.replace(part, share=1 / len(parts)) for part in parts
            )
            record.ring(record.decision)
            record.sentences = self._sentences(record, None, t_ns=t_ns)
            record.explained = False
            self._publish(record, t_ns=t_ns, reason=f"also {', '.join(sorted(joined))}")
            self._desk.ask(record)

    def _bad_channels(
        self, stuck: np.ndarray, missing: np.ndarray, t_ns: int
    ) -> tuple[Contribution, ...]:
        names = dict.fromkeys(np.flatnonzero(stuck).tolist(), "stuck")
        names |= dict.fromkeys(np.flatnonzero(missing & ~stuck).tolist(), "missing")
        shares = np.zeros(len(self._channels))
        shares[list(names)] = 1.0 / len(names)
        return tuple(
            msgspec.structs.replace(part, direction=names[self._channels.index(part.channel)])
            for part in self._contributions(shares, t_ns, t_ns)
        )

    def _open(
        self,
        track: Track,
        *,
        t_ns: int,
        parts: tuple[Contribution, ...],
        rest_shares: RestShares = no_rest,
    ) -> None:
        state = self._state.tracks[track]
        record = self._state.alerts[track]
        run, decision = self._facts.decide(track, t_ns=t_ns, parts=parts, begin_ns=state.begin_ns)
        record.begin_event(begin_ns=state.begin_ns, t_ns=t_ns, job_id=decision.job_id)
        record.klass = CLASSES[track]
        record.contributions = parts
        record.score, record.threshold = state.peak, self._model.threshold_on
        self._state.events_total += 1
        if decision.verdict is Verdict.SUPPRESSED and run is not None:
            record.klass = "expected"
            record.suppress(decision, rings_again_ns=_rings_again_ns(run))
            self._facts.spend(t_ns, track)
        else:
            record.ring(decision)
            self._tell_rest(record, run, rest_shares, t_ns=t_ns)
        record.sentences = self._sentences(record, run, t_ns=t_ns)
        self._publish(record, t_ns=t_ns, reason="opened")
        self._desk.ask(record)

    def recheck(
        self,
        track: Track,
        *,
        t_ns: int,
        rest_shares: RestShares = no_rest,
    ) -> None:
        """A suppressed event is judged again with every sample: what no longer holds rings."""
        record = self._state.alerts[track]
        if not record.suppressed:
            return
        parts = record.contributions
        run, decision = self._facts.decide(track, t_ns=t_ns, parts=parts, begin_ns=record.begin_ns)
        if decision.verdict is Verdict.SUPPRESSED:
            if decision.job_id == record.job_id:
                return
            # another job would excuse it too, but its fuse must not lengthen this one's
            decision = _not_any_more("same_job", f"{record.job_id} does not explain it any more")
        failed = [clause.name for clause in decision.clauses if clause.outcome is not True]
        record.decision = decision
        news = self._tell_rest(record, run, rest_shares, t_ns=t_ns)
        if news:
            record.sentences, record.explained = (), False
        self._ring(record, decision, run, t_ns=t_ns, reason=f"no longer expected: {failed}")
        if news:
            self._desk.ask(record)

    def _tell_rest(
        self, record: AlertRecord, run: JobRun | None, rest_shares: RestShares, *, t_ns: int
    ) -> bool:
        """Where what a job does not disturb rings, that is the news, and not what it disturbs."""
        clauses = record.decision.clauses if record.decision is not None else ()
        over = any(clause.name == "mask" and clause.outcome is False for clause in clauses)
        shares = rest_shares(run) if run is not None and over else None
        if run is None or shares is None or not shares.any():
            return False
        record.contributions = self._contributions(shares, run.track.begin_ns, t_ns)
        return True

    def cleared(self, track: Track, *, t_ns: int) -> None:
        """The condition is gone; a suppressed event ends as quietly as it began, but listed."""
        record = self._state.alerts[track]
        record.clear(t_ns=t_ns)
        self._publish(record, t_ns=t_ns, reason="cleared")

    def judge(self, run: JobRun, *, t_ns: int, ending: Ending, sight: Sight) -> None:
        """A job is over: what is still abnormal rings.

        What cleared meanwhile is told on cancellation.
        """
        record = self._state.alerts[Track.PROCESS]
        mine = record.suppressed and record.job_id == run.job.job_id
        level = level_abnormal(run, sigma=self._model.sigma)
        abnormal = sight.fresh is True or level is True
        unknown = sight.fresh is None or level is None
        if abnormal or (mine and unknown):
            why = _why_abnormal(ending, sight.fresh, level)
            self._ring_after(run, record, level=level is True, t_ns=t_ns, why=why)
        elif mine:
            self._state.tracks[Track.PROCESS].reset()
            if ending is not Ending.CANCELLED:
                record.clear(t_ns=t_ns)
                self._publish(record, t_ns=t_ns, reason=f"job {ending}; back to normal")
        for other in (self._state.alerts[Track.SENSOR], self._state.alerts[Track.COMMS]):
            if other.suppressed and other.job_id == run.job.job_id:
                why = f"{other.track} event is still there after the job"
                self._ring(other, _after_job(run, why), run, t_ns=t_ns, reason=why)
        if ending is Ending.CANCELLED:
            for each in self._state.alerts.values():
                if each.job_id == run.job.job_id and _last_said(each) is Verdict.SUPPRESSED:
                    self._tell_cleared(each, run, t_ns=t_ns)

    def _ring_after(
        self, run: JobRun, record: AlertRecord, *, level: bool, t_ns: int, why: str
    ) -> None:
        track = self._state.tracks[Track.PROCESS]
        if record.active and not level:
            return  # it rings already
        if not (record.suppressed or record.active):
            begin_ns = run.close_ns or t_ns
            record.begin_event(begin_ns=begin_ns, t_ns=t_ns, job_id=run.job.job_id)
            record.score, record.threshold = 0.0, self._model.threshold_on
            self._state.events_total += 1
        if level or not record.contributions:
            shift = np.nan_to_num(lasting_shift(run, sigma=self._model.sigma))
            total = float((shift**2).sum())
            if total > 0.0:
                begin_ns = run.close_ns or t_ns
                record.contributions = self._contributions(shift**2 / total, begin_ns, t_ns)
        if not track.active:
            track.phase, track.count = Phase.OPEN, 0
            track.begin_ns = track.last_over_ns = t_ns
        self._ring(record, _after_job(run, why), run, t_ns=t_ns, reason=why)
        self._desk.ask(record)

    def _tell_cleared(self, record: AlertRecord, run: JobRun, *, t_ns: int) -> None:
        record.ring(_after_job(run, "the job was cancelled; the condition had cleared before"))
        record.clear(t_ns=t_ns)
        record.klass = CLASSES[record.track]
        self._publish(record, t_ns=t_ns, reason="job cancelled")

    def _ring(
        self, record: AlertRecord, decision: Decision, run: JobRun | None, *, t_ns: int, reason: str
    ) -> None:
        record.klass = CLASSES[record.track]
        record.ring(decision)
        record.score = max(record.score, self._state.tracks[record.track].peak)
        kept = tuple(sentence for sentence in record.sentences if sentence.citation is not None)
        record.sentences = (*self._sentences(record, run, t_ns=t_ns), *kept)
        self._publish(record, t_ns=t_ns, reason=reason)

    # --- explanation and operators ---

    def explained(
        self, hits: tuple[Hit, ...] | None, *, alert_id: str, reason: str, t_ns: int
    ) -> bool:
        """The documents answered: a later revision that never changes the newest verdict."""
        for record in self._state.alerts.values():
            if record.alert_id == alert_id != "" and not record.explained:
                record.sentences = (*record.sentences, *explain.cited(hits, reason=reason))
                record.explained = True
                self._publish(record, t_ns=t_ns, reason="explained")
                return True
        return False

    def acknowledge(self, alert_id: str, *, operator: str, t_ns: int) -> bool:
        """An operator has seen it; False when there was nothing to acknowledge."""
        for record in self._state.alerts.values():
            if record.alert_id == alert_id and record.acknowledge():
                self._publish(record, t_ns=t_ns, reason=f"acknowledged by {operator}")
                return True
        return False

    def say_again(self, stands: AlertStands, *, t_ns: int) -> None:
        """Our word becomes a revision behind the one that stands; an unknown alert is ended."""
        record = self._state.alerts[stands.track]
        if record.alert_id in ("", stands.alert_id):
            record.alert_id = stands.alert_id
            record.revision = max(record.revision, stands.revision)
        record.revision = max(record.revision, stands.own_revision)
        record.klass = record.klass or CLASSES[stands.track]
        reason = "decided anew after a restart: what was said before came of another configuration"
        self._publish(record, t_ns=t_ns, reason=reason)

    def jobs_changed(self, t_ns: int) -> None:
        """Publish the asset's jobs and proposals."""
        proposals = self._desk.proposed.listed(self._model.asset, now_ns=t_ns)
        self._desk.jobs_changed(self._model.asset, self._state.runs, proposals, t_ns=t_ns)

    def _sentences(
        self, record: AlertRecord, run: JobRun | None, *, t_ns: int
    ) -> tuple[Sentence, ...]:
        annotated = record.decision is not None and record.decision.verdict is Verdict.ANNOTATED
        near = self._facts.near_proposals(t_ns) if annotated else ()
        return (
            *explain.measured(record),
            *explain.considered(record, run=run, proposals=near),
        )

    def _contributions(
        self, shares: np.ndarray, begin_ns: int, t_ns: int
    ) -> tuple[Contribution, ...]:
        """Shares (c,) with engineering values, largest first.

        The value is the mean of the event's newest samples up to t_ns.
        """
        times, values, running = self._desk.ring.since(self._model.asset, begin_ns)
        values, running = values[times <= t_ns], running[times <= t_ns]
        newest = values[running][-VALUE_SAMPLES:]
        if not len(newest):
            newest = values[-VALUE_SAMPLES:]
        parts = []
        for i in np.argsort(-shares, kind="stable"):
            if shares[i] <= 0.0:
                break
            column = newest[:, i][np.isfinite(newest[:, i])]
            value = float(column.mean()) if len(column) else float("nan")
            parts.append(self._contribution(int(i), float(shares[i]), value))
        return tuple(parts)

    def _contribution(self, i: int, share: float, value: float) -> Contribution:
        low, high = float(self._model.usual_low[i]), float(self._model.usual_high[i])
        direction = "high" if value > high else "low" if value < low else "within"
        return Contribution(
            channel=self._channels[i],
            unit=self._model.channels[i].unit,
            share=share,
            value=value,
            usual_low=low,
            usual_high=high,
            direction=direction,
        )

    def _publish(self, record: AlertRecord, *, t_ns: int, reason: str) -> None:
        record.turn(t_ns=t_ns, reason=reason)
        self._desk.alert_changed(record, self._settings)


def _rings_again_ns(run: JobRun) -> int:
    """The latest time at which a suppressed event is judged again."""
    if run.stage is Stage.SETTLING:
        return run.settle_end_ns
    end = run.job.valid_to_ns
    settle_ns = run.job.settle_s * 1_000_000_000
    return run.fuse_end_ns if end is None else min(run.fuse_end_ns, end + settle_ns)


def _last_said(record: AlertRecord) -> Verdict | None:
    return record.decision.verdict if record.decision is not None else None


def _after_job(run: JobRun, why: str) -> Decision:
    return _not_any_more("after_job", f"{run.job.job_id}: {why}", job_id=run.job.job_id)


def _not_any_more(name: str, why: str, *, job_id: str = "") -> Decision:
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
