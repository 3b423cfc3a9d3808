"""Rulings: what becomes of an asset's events. Has the facts judged and moves the alert.

The only place that turns a decision into a published revision.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from edge.alerts import explain, resemblance
from edge.alerts.alerts import CLASSES
from edge.alerts.contributions import contributions_of
from edge.alerts.escalation import Escalation
from edge.alerts.inherited import inherit
from edge.alerts.naming import Naming
from edge.caps import RING_SAMPLES
from edge.records import AlertStands, Decision, Track, Verdict
from edge.samples import sensor_faults
from edge.samples.limits import newest_limits
from edge.verdicts.aftermath import Aftermath, Voice
from edge.verdicts.facts import FactFinder
from edge.verdicts.hindsight import Hindsight
from edge.verdicts.news import News
from edge.work.jobs import Ending, JobRun, Stage
from edge.work.shelf import Shelf

if TYPE_CHECKING:
    from edge.alerts.alerts import AlertRecord, Contribution, Resemblance, Sentence
    from edge.desk import Desk
    from edge.samples.sensor_faults import Wrong
    from edge.settings import AssetSettings
    from edge.state import AssetState
    from edge.verdicts.lookback import Lookback
    from kb.records import Hit, Limit
    from models.bundles.bundle import AssetModel


# Each channel's share (c,) of the score that is left without a job's channels; None: there is none.
RestShares = Callable[[JobRun], "np.ndarray | None"]


def no_rest(_run: JobRun) -> None:
    """No score is kept of the rest."""


class Rulings:
    """Opens, rechecks, clears and rings the alerts of one asset."""

    def __init__(
        self,
        model: AssetModel,
        settings: AssetSettings,
        *,
        state: AssetState,
        desk: Desk,
        lookback: Lookback,
    ) -> None:
        self._model = model
        self._settings = settings
        self._state = state
        self._desk = desk
        self._lookback = lookback
        self._facts = FactFinder(model, settings, state=state, desk=desk, lookback=lookback)
        self._channels = tuple(channel.name for channel in model.channels)
        voice = Voice(
            ring=self._ring,
            publish=self._publish,
            contributions=self._parts,
            hand_over=self._hand_over,
            sentences=self._sentences,
        )
        self._shelf = Shelf(state, desk=desk, publish=self._publish)
        engine = desk.settings.engine
        self.escalation = Escalation(settings, engine, state=state, publish=self._publish)
        self._aftermath = Aftermath(model, state=state, desk=desk, voice=voice)
        self.news = News(
            self._channels,
            period_ns=model.period_ns,
            state=state,
            desk=desk,
            facts=self._facts,
            voice=voice,
        )
        self.naming = Naming(model, state=state, desk=desk, lookback=lookback, voice=voice)
        self._hindsight = Hindsight(
            model,
            settings,
            state=state,
            desk=desk,
            facts=self._facts,
            lookback=lookback,
            voice=voice,
        )

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
        parts = () if shares is None else self._parts(shares, begin_ns, t_ns)
        self._open(track, t_ns=t_ns, parts=parts, rest_shares=rest_shares)

    def sensor_opened(self, wrong: Sequence[Wrong], *, t_ns: int) -> None:
        """Channels whose sensors are wrong."""
        self._open(Track.SENSOR, t_ns=t_ns, parts=self._bad_channels(wrong, t_ns))

    def sensor_changed(self, wrong: Sequence[Wrong], *, t_ns: int) -> None:
        """An event is judged again with every channel whose sensor is wrong now.

        Another bad channel is news: what rings says so, and rings again where it was acknowledged.
        """
        record = self._state.alerts[Track.SENSOR]
        bad = {self._channels[one.channel] for one in wrong}
        known = {part.channel for part in record.contributions}
        if bad <= known and not record.suppressed and not record.excused_by:
            return  # the usual sample of a fault that goes on
        parts = self._bad_channels(wrong, t_ns)
        joined = bad - known
        if record.suppressed or (record.excused_by and joined):
            record.contributions = parts
            self.recheck(Track.SENSOR, t_ns=t_ns)
        elif joined and record.active and record.decision is not None:
            parts = (*parts, *(part for part in record.contributions if part.channel not in bad))
            parts = tuple(msgspec.structs.replace(part, share=1 / len(parts)) for part in parts)
            reason = f"also {', '.join(sorted(joined))}"
            self.news.tell(record, parts, decision=record.decision, t_ns=t_ns, reason=reason)

    def _bad_channels(self, wrong: Sequence[Wrong], t_ns: int) -> tuple[Contribution, ...]:
        shares = np.zeros(len(self._channels))
        shares[[one.channel for one in wrong]] = 1.0 / len(wrong)
        parts = self._parts(shares, t_ns, t_ns)
        past = self._lookback.until(t_ns, RING_SAMPLES)
        return sensor_faults.told(parts, wrong, names=self._channels, history=past)

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
        again_ns = self._desk.cooldown_ns
        record.begin_event(begin_ns=state.begin_ns, job_id=decision.job_id, cooldown_ns=again_ns)
        record.klass = CLASSES[track]
        record.contributions = parts
        record.score, record.threshold = state.peak, self._model.threshold_on
        if track is Track.PROCESS:
            record.level = tuple(self._lookback.level_before(state.begin_ns).tolist())
        if decision.verdict is Verdict.SUPPRESSED and run is not None:
            record.klass = "expected"
            record.suppress(decision, rings_again_ns=_rings_again_ns(run))
            run.hides(record.alert_id)
            record.contributions = self._facts.disturbed(run, parts)
            self._facts.spend(t_ns)
        else:
            record.ring(decision)
            self._tell_rest(record, run, rest_shares, t_ns=t_ns)
            self._tell_budget(decision, t_ns=t_ns)
        record.sentences = self._sentences(record, run, t_ns=t_ns)
        self._publish(record, t_ns=t_ns, reason="opened")
        if record.suppressed:
            self._desk.audited_alert("suppressed", record, t_ns=t_ns, detail=_by(run))
        self._desk.ask(record)
        self._hindsight.look(record, t_ns=t_ns)

    def _tell_budget(self, decision: Decision, *, t_ns: int) -> None:
        """Once a shift: whatever this asset's jobs disturb rings from now on."""
        spent = any(c.name == "budget" and c.outcome is not True for c in decision.clauses)
        if spent and self._state.budget_spent_until_ns <= t_ns:
            until_ns = self._facts.shift_end_ns(t_ns)
            self._state.budget_spent_until_ns = until_ns
            until = explain.clock_text(until_ns)
            self._desk.budget(self._model.asset, spent=True, t_ns=t_ns, until=until)

    def recheck(
        self,
        track: Track,
        *,
        t_ns: int,
        rest_shares: RestShares = no_rest,
        but: frozenset[str] = frozenset(),
    ) -> None:
        """Judge again what is suppressed or excused, with every sample: what fails rings.

        but: clauses that are left to another occasion, where no others fail.
        """
        record = self._state.alerts[track]
        if record.excused_by and record.active:
            self._hindsight.recheck(record, t_ns=t_ns, but=but)
        if not record.suppressed or (but and self._facts.spares(record, t_ns=t_ns, but=but)):
            return
        if self._hand_over(record, t_ns=t_ns) is not None:
            return
        parts = record.contributions
        run, decision = self._facts.decide(track, t_ns=t_ns, parts=parts, begin_ns=record.begin_ns)
        failed = [clause.name for clause in decision.clauses if clause.outcome is not True]
        record.decision = decision
        news = self._tell_rest(record, run, rest_shares, t_ns=t_ns)
        if news:
            record.sentences, record.explained = (), False
        self._ring(record, decision, run, t_ns=t_ns, reason=f"no longer expected: {failed}")
        if news:
            self._desk.ask(record)

    def _hand_over(self, record: AlertRecord, *, t_ns: int) -> JobRun | None:
        """The job that explains a suppressed event now; None: no job does, or it is not suppressed.

        Another than before has to hold in every clause: so it was open before the event began, and
        none told while it goes on can lengthen it; each has its own fuse.
        """
        if not record.suppressed:
            return None
        run, decision = self._facts.decide(
            record.track, t_ns=t_ns, parts=record.contributions, begin_ns=record.begin_ns
        )
        if run is None or decision.verdict is not Verdict.SUPPRESSED:
            return None
        if decision.job_id != record.job_id:
            reason = f"handed over from {record.job_id} to {decision.job_id}"
            record.suppress(decision, rings_again_ns=_rings_again_ns(run))
            run.hides(record.alert_id)
            kept = explain.from_documents(record)
            record.sentences = (*self._sentences(record, run, t_ns=t_ns), *kept)
            self._publish(record, t_ns=t_ns, reason=reason)
            self._desk.audited_alert("handed_over", record, t_ns=t_ns, detail=reason)
        return run

    def _tell_rest(
        self, record: AlertRecord, run: JobRun | None, rest_shares: RestShares, *, t_ns: int
    ) -> bool:
        """Where what a job does not disturb rings, that is the news, and not what it disturbs."""
        clauses = record.decision.clauses if record.decision is not None else ()
        over = any(clause.name == "mask" and clause.outcome is False for clause in clauses)
        shares = rest_shares(run) if run is not None and over else None
        if run is None or shares is None or not shares.any():
            return False
        record.contributions = self._parts(shares, run.track.begin_ns, t_ns)
        return True

    def cleared(self, track: Track, *, t_ns: int) -> None:
        """The condition is gone; a suppressed event ends as quietly as it began, but listed."""
        record = self._state.alerts[track]
        rang, hidden = record.active, record.suppressed
        if rang:
            self._state.past = resemblance.remember(record, self._state.past)
        record.clear(t_ns=t_ns)
        if rang:
            self._hindsight.keep(record, t_ns=t_ns)
        self._publish(record, t_ns=t_ns, reason="cleared")
        if hidden:
            detail = "cleared by itself; it has not rung"
            self._desk.audited_alert("suppression_over", record, t_ns=t_ns, detail=detail)
        if rang:
            self._hindsight.look(record, t_ns=t_ns)

    # --- jobs and operators along the timeline ---

    def judge(self, run: JobRun, *, t_ns: int, ending: Ending, fresh: bool | None) -> None:
        """A job is over: what is still abnormal rings."""
        self._aftermath.judge(run, t_ns=t_ns, ending=ending, fresh=fresh)

    def told_later(self, run: JobRun, *, t_ns: int) -> None:
        """A job has become known after it began: what rang meanwhile is looked at again."""
        self._hindsight.told(run, t_ns=t_ns)

    def withdrawn(self, run: JobRun, *, t_ns: int) -> None:
        """A job was cancelled: what it kept quiet is told, and what it explained rings again."""
        self._aftermath.withdrawn(run, t_ns=t_ns)
        self._hindsight.withdrawn(run, t_ns=t_ns)

    def extended(self, run: JobRun, *, by: str, t_ns: int) -> None:
        """A person lengthened a job: what it keeps quiet says when it would ring now."""
        for record in self._state.alerts.values():
            if record.suppressed and record.job_id == run.job.job_id:
                record.rings_again_ns = _rings_again_ns(run)
                self._publish(record, t_ns=t_ns, reason=f"{run.job.job_id} extended by {by}")

    def turn(self, t_ns: int) -> None:
        """Silences of operators begin and end, and so do budgets."""
        if 0 < self._state.budget_spent_until_ns <= t_ns:
            self._state.budget_spent_until_ns = 0
            self._desk.budget(self._model.asset, spent=False, t_ns=t_ns, until="")
        self._shelf.turn(t_ns)

    def _ring(
        self, record: AlertRecord, decision: Decision, run: JobRun | None, *, t_ns: int, reason: str
    ) -> None:
        record.klass, job_id = CLASSES[record.track], record.job_id or decision.job_id
        record.ring(decision)
        record.score = max(record.score, self._state.tracks[record.track].peak)
        kept = explain.from_documents(record)
        record.sentences = (*self._sentences(record, run, t_ns=t_ns), *kept)
        self._publish(record, t_ns=t_ns, reason=reason)
        self._tell_budget(decision, t_ns=t_ns)
        self._desk.audited_alert("rang_again", record, t_ns=t_ns, job_id=job_id, detail=reason)

    # --- explanation and operators ---

    def explained(
        self, hits: tuple[Hit, ...] | None, *, alert_id: str, reason: str, t_ns: int
    ) -> bool:
        """The documents answered: a later revision that never changes the newest verdict."""
        for record in self._state.alerts.values():
            if record.alert_id == alert_id != "" and not record.explained:
                named = tuple(part.channel for part in record.contributions[:2])
                said = explain.cited(hits, reason=reason, channels=named)
                record.sentences = (*record.sentences, *said)
                record.explained = True
                self._publish(record, t_ns=t_ns, reason="explained")
                return True
        return False

    def acknowledge(self, alert_id: str, *, operator: str, t_ns: int) -> bool:
        """An operator has seen it; False when there was nothing to acknowledge."""
        for record in self._state.alerts.values():
            if record.alert_id == alert_id and record.acknowledge():
                self._publish(record, t_ns=t_ns, reason=f"acknowledged by {operator}")
                self._desk.audited_alert("acknowledged", record, t_ns=t_ns, operator=operator)
                return True
        return False

    def say_again(self, stands: AlertStands, *, t_ns: int) -> None:
        """Our word becomes a revision behind the one that stands; an unknown alert is ended."""
        record = self._state.alerts[stands.track]
        t_ns, reason = inherit(record, stands, t_ns=t_ns)
        self._publish(record, t_ns=t_ns, reason=reason)

    def jobs_changed(self, t_ns: int) -> None:
        """Publish the asset's jobs and proposals."""
        proposals = self._desk.proposed.listed(self._model.asset, now_ns=t_ns)
        self._desk.jobs_changed(self._state, proposals, t_ns=t_ns)

    def _sentences(
        self, record: AlertRecord, run: JobRun | None, *, t_ns: int
    ) -> tuple[Sentence, ...]:
        annotated = record.decision is not None and record.decision.verdict is Verdict.ANNOTATED
        near = self._facts.near_proposals(t_ns) if annotated else ()
        record.resembles = self._resembles(record, t_ns=t_ns)
        state = explain.state_text(self._settings, self._state.context, t_ns=t_ns)
        return (
            *explain.measured(record, now_ns=t_ns, state=state),
            *explain.beyond_limits(record, self._limits(t_ns)),
            *explain.considered(record, run=run, proposals=near),
            *explain.resembling(record.resembles),
        )

    def _limits(self, t_ns: int) -> dict[str, tuple[Limit, ...]]:
        """The engineering limits that stand, by channel."""
        return newest_limits(self._desk.limits_of(self._model.asset), now_ns=t_ns)

    def _resembles(self, record: AlertRecord, *, t_ns: int) -> tuple[Resemblance, ...]:
        """What an event looks like, of the tables known by now and of the asset's own past."""
        knowledge = self._desk.knowledge
        known = knowledge.failure_modes if knowledge is not None else ()
        asset, parts = self._model.asset, record.contributions
        modes = resemblance.modes(
            known, parts, asset=asset, channels=self._channels, now_ns=t_ns, fault=record.fault
        )
        return (*modes, *resemblance.past_events(self._state.past, record))

    def _parts(self, shares: np.ndarray, begin_ns: int, t_ns: int) -> tuple[Contribution, ...]:
        """Shares (c,) with engineering values, largest first."""
        history = self._desk.ring.since(self._model.asset, 0)
        modes = self._desk.ring.modes(self._model.asset, history[0])
        span, runs = (begin_ns, t_ns), self._state.runs
        return contributions_of(self._model, history, shares, span=span, runs=runs, modes=modes)

    def _publish(self, record: AlertRecord, *, t_ns: int, reason: str) -> None:
        self._shelf.flag(record, t_ns=t_ns)
        record.turn(t_ns=t_ns, reason=reason)
        self._desk.alert_changed(record, self._settings)


def _by(run: JobRun | None) -> str:
    return "" if run is None else f"{run.job.kind}, {run.job.witness}: {run.job.opened_by}"


def _rings_again_ns(run: JobRun) -> int:
    """The latest time at which a suppressed event is judged again."""
    if run.stage is Stage.SETTLING:
        return run.settle_end_ns
    end = run.job.valid_to_ns
    settle_ns = run.job.settle_s * 1_000_000_000
    return run.fuse_end_ns if end is None else min(run.fuse_end_ns, end + settle_ns)
