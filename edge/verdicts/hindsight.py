"""Hindsight: a job becomes known after something rang, and what rang is looked at again.

It is told as a later revision: class expected, ANNOTATED, never SUPPRESSED, with the job and that
it was told later; whoever acknowledged it has acknowledged it. What the job does not explain goes
on ringing, and what it explained rings again when the job is cancelled or does not explain it any
more. Only the current alert of each track is looked at: an older id is history.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np

from edge.alerts.alerts import CLASSES, AlertState, Heard, Rest, Sentence
from edge.alerts.explain import clock_text
from edge.records import Clause, Decision, Track, Verdict
from edge.verdicts.decide import CARRIED_SHARE_MIN, LateFacts, excuse
from edge.work.jobs import LEVEL_MARGIN_SIGMA, SECOND_NS
from kb.records import WorkKind

if TYPE_CHECKING:
    from collections.abc import Iterable

    from edge.alerts.alerts import AlertRecord
    from edge.desk import Desk
    from edge.samples.scoring import Mask
    from edge.settings import AssetSettings
    from edge.state import AssetState
    from edge.verdicts.aftermath import Voice
    from edge.verdicts.facts import FactFinder
    from edge.verdicts.lookback import Lookback
    from edge.work.jobs import JobRun
    from models.bundles.bundle import AssetModel

RESTS_MAX: Final = 8  # masks that a cleared event is judged without; each costs a replay
LOOKED_AT: Final = (
    *(AlertState.ACTIVE_UNACK, AlertState.ACTIVE_ACK),
    *(AlertState.CLEARED_UNACK, AlertState.CLEARED_ACK),
)


class Hindsight:
    """Looks again at what rang on one asset. Times are plant time, ns."""

    def __init__(
        self,
        model: AssetModel,
        settings: AssetSettings,
        *,
        state: AssetState,
        desk: Desk,
        facts: FactFinder,
        lookback: Lookback,
        voice: Voice,
    ) -> None:
        self._model = model
        self._settings = settings
        self._state = state
        self._desk = desk
        self._facts = facts
        self._lookback = lookback
        self._voice = voice
        self._channels = tuple(channel.name for channel in model.channels)

    def told(self, run: JobRun, *, t_ns: int) -> None:
        """A job has become known: whatever rang in its times is looked at."""
        for record in self._state.alerts.values():
            if record.excused_by != run.job.job_id:
                self._look(record, run, t_ns=t_ns)
            elif excuse(self._late_facts(record, run, t_ns)).verdict is not Verdict.ANNOTATED:
                why = f"{run.job.job_id} was told anew, and does not explain it any more"
                self._blame(record, why, t_ns=t_ns)

    def look(self, record: AlertRecord, *, t_ns: int) -> None:
        """An event rings, or has cleared: it may be of a job that was told since it began."""
        for run in self._state.runs:
            if run.late:
                self._look(record, run, t_ns=t_ns)

    def withdrawn(self, run: JobRun, *, t_ns: int) -> None:
        """A job was cancelled: what it explained rings again."""
        for record in self._state.alerts.values():
            if record.excused_by == run.job.job_id:
                why = f"{run.job.job_id} was cancelled; it explains nothing"
                self._blame(record, why, t_ns=t_ns)

    def recheck(self, record: AlertRecord, *, t_ns: int, but: frozenset[str] = frozenset()) -> bool:
        """What rings with an excuse is judged with every sample; False: it rings again without.

        but: clauses that are not asked.
        """
        runs = (run for run in self._state.runs if run.job.job_id == record.excused_by)
        run = next(runs, None)
        if run is not None and run.live and self._holds(record, run, t_ns=t_ns, but=but):
            return True
        self._blame(record, f"{record.excused_by} does not explain it any more", t_ns=t_ns)
        return False

    def _holds(self, record: AlertRecord, run: JobRun, *, t_ns: int, but: frozenset[str]) -> bool:
        """Whether what can change while an event goes on still speaks for the job."""
        common = self._facts.common(record.track, t_ns=t_ns, begin_ns=record.begin_ns)
        facts = self._facts.of_job(common, run, record.track, record.contributions)
        # when it began does not change; what it leaves behind is judged when the job ends
        late = LateFacts(facts=facts, inside=True, over_in_time=True, level_kept=True)
        clauses = excuse(late).clauses
        return all(clause.outcome is True or clause.name in but for clause in clauses)

    def keep(self, record: AlertRecord, *, t_ns: int) -> None:
        """An event that rang has cleared: judge it while its samples are there.

        For the masks of the approved work that may have disturbed what it showed, in case somebody
        tells of such work later.
        """
        if record.track is not Track.PROCESS or not record.heard:
            return
        newest = record.heard[-1]
        if newest.begin_ns != record.begin_ns:
            return
        masks = {}
        for row in self._desk.scopes_of(self._model.asset, now_ns=t_ns):
            mask = np.array(
                [n in row.channels and n not in self._settings.safety for n in self._channels], bool
            )
            if _carried(newest, self._names(mask), record.track):
                masks[self._names(mask)] = mask
        rests = [
            self._rest(masks[names], newest.begin_ns, t_ns) for names in sorted(masks)[:RESTS_MAX]
        ]
        kept = msgspec.structs.replace(
            newest, rests=tuple(rests), shift=self._shift(record, t_ns=t_ns)
        )
        record.heard = (*record.heard[:-1], kept)

    # --- one alert and one job ---

    def _look(self, record: AlertRecord, run: JobRun, *, t_ns: int) -> None:
        rang = record.state in LOOKED_AT and record.heard and not record.suppressed
        if not rang or record.excused_by or t_ns < run.told_ns or not run.masks:
            return
        if not self._inside(record.heard[-1], run):
            return
        decision = excuse(self._late_facts(record, run, t_ns))
        if decision.verdict is not Verdict.ANNOTATED:
            return
        record.excuse(decision)
        record.klass = "expected"
        job, told = run.job, clock_text(run.told_ns)
        text = (
            f"Expected: {job.kind} {job.job_id} from {clock_text(job.valid_from_ns)}, told later, "
            f"at {told}, by {job.witness} ({job.opened_by})."
        )
        kept = tuple(s for s in record.sentences if s.role != "considered")
        record.sentences = (*kept, Sentence(role="considered", text=text))
        reason = f"expected: {job.kind} {job.job_id} was told later, at {told}"
        self._voice.publish(record, t_ns=t_ns, reason=reason)
        self._desk.audited_alert("reclassified", record, t_ns=t_ns, detail=reason)

    def _blame(self, record: AlertRecord, why: str, *, t_ns: int) -> None:
        before = record.rang_as
        clause = Clause(name="told_later", outcome=False, detail=why)
        verdict = Verdict.ALERT
        clauses: tuple[Clause, ...] = (clause,)
        if before is not None and before.verdict is not Verdict.SUPPRESSED:
            verdict, clauses = before.verdict, (*before.clauses, clause)
        job_id = record.excused_by
        record.klass = CLASSES[record.track]
        record.blame(Decision(verdict=verdict, clauses=clauses, job_id=job_id))
        kept = tuple(s for s in record.sentences if s.role != "considered")
        record.sentences = (*kept, Sentence(role="considered", text=f"{why}."))
        self._voice.publish(record, t_ns=t_ns, reason=why)
        self._desk.audited_alert("rang_again", record, t_ns=t_ns, detail=why)

    def _late_facts(self, record: AlertRecord, run: JobRun, t_ns: int) -> LateFacts:
        names = self._names(run.mask)
        carried = all(_carried(heard, names, record.track) for heard in record.heard)
        rest = self._rests(record, run, t_ns)
        facts = msgspec.structs.replace(
            self._facts.common(record.track, t_ns=t_ns, begin_ns=record.begin_ns),
            job=run.job,
            job_live=run.live,
            fuse_end_ns=run.fuse_end_ns,
            mask=names,
            scope_stands=self._facts.scope_stands(run, t_ns=t_ns),
            masked_share=1.0 if carried else 0.0,
            top_masked=carried,
            rest_quiet=rest.quiet,
            partners_usual=rest.partners,
            limits_kept=rest.limits,
            unsigned=self._desk.unsigned(run.job, t_ns=t_ns),
        )
        inside = all(self._inside(heard, run) for heard in record.heard)
        return LateFacts(
            facts=facts,
            inside=None if inside and record.heard_lost else inside,
            over_in_time=self._over_in_time(record, run),
            level_kept=self._level_kept(record, run, t_ns),
        )

    def _inside(self, heard: Heard, run: JobRun) -> bool:
        return run.job.valid_from_ns <= heard.begin_ns < run.began_by_ns()

    def _over_in_time(self, record: AlertRecord, run: JobRun) -> bool:
        """A live job judges what goes on when it ends; one that is over judges nothing any more."""
        if run.live:
            return True
        if not record.cleared_ns:
            return False
        engine = self._desk.settings.engine
        # under threshold for so long before it counts as cleared
        over_ns = (
            record.cleared_ns - engine.clear_after(self._model.period_ns) * self._model.period_ns
        )
        end_ns = run.began_by_ns() if run.job.valid_to_ns is None else run.job.valid_to_ns
        return over_ns <= end_ns + run.job.settle_s * SECOND_NS

    # --- the rest and the level, meanwhile ---

    def _rests(self, record: AlertRecord, run: JobRun, t_ns: int) -> Rest:
        names = self._names(run.mask)
        if record.track is Track.COMMS:
            stop = run.job.kind is WorkKind.PLANNED_STOP
            return Rest(channels=names, quiet=stop, partners=True, limits=True)
        if record.track is Track.SENSOR:
            quiet = all(set(heard.shares) <= set(names) for heard in record.heard)
            return Rest(channels=names, quiet=quiet, partners=True, limits=True)
        found = []
        for heard in record.heard:
            kept = next((rest for rest in heard.rests if rest.channels == names), None)
            if kept is None and heard.begin_ns == record.begin_ns:
                kept = self._rest(run.mask, heard.begin_ns, record.cleared_ns or t_ns)
            found.append(kept or Rest(channels=names, quiet=None, partners=None, limits=None))
        return Rest(
            channels=names,
            quiet=_all(rest.quiet for rest in found),
            partners=_all(rest.partners for rest in found),
            limits=_all(rest.limits for rest in found),
        )

    def _rest(self, mask: Mask, begin_ns: int, end_ns: int) -> Rest:
        past = self._lookback.span(begin_ns, end_ns)
        samples = 0 if past is None else len(past[0])
        partners, limits = self._facts.bystanders(mask, past, t_ns=end_ns, samples=samples)
        return Rest(
            channels=self._names(mask),
            quiet=self._lookback.rest_quiet(mask, begin_ns, end_ns),
            partners=partners,
            limits=limits,
        )

    def _level_kept(self, record: AlertRecord, run: JobRun, t_ns: int) -> bool | None:
        """Whether the masked channels came back to where they were before the first event.

        At once when the newest had cleared, or by now: work goes on while its events come and go.
        What is active under a live job is judged when that ends; not so what came before it, which
        that job can no longer see.
        """
        if record.track is not Track.PROCESS:
            return True
        if record.active and run.live:
            return _all(self._came_back(run, heard.shift) for heard in record.heard[:-1])
        newest = record.heard[-1].shift if record.heard else ()
        found = [self._came_back(run, shift) for shift in (newest, self._shift(record, t_ns=t_ns))]
        return True if True in found else _all(found)

    def _came_back(self, run: JobRun, shift: tuple[float, ...]) -> bool | None:
        """Whether a shift of each channel, sigmas, is what the work may leave behind."""
        masked = np.array(shift)[run.mask] if shift else np.full(1, np.nan)
        if (masked > run.job.expected_effect + LEVEL_MARGIN_SIGMA).any():
            return False
        known = np.isfinite(masked).all() and np.isfinite(run.job.expected_effect)
        return True if known else None

    def _shift(self, record: AlertRecord, *, t_ns: int) -> tuple[float, ...]:
        """How far each channel's mean is now from before the first event, sigmas; () unknown."""
        before = record.heard[0].level if record.heard else ()
        if not before or not record.cleared_ns:
            return ()
        engine = self._desk.settings.engine
        over_ns = (
            record.cleared_ns - engine.clear_after(self._model.period_ns) * self._model.period_ns
        )
        after = self._lookback.level_after(over_ns, t_ns)
        shift = np.abs(after - np.array(before)) / self._model.sigma
        return tuple(shift.tolist()) if np.isfinite(shift).any() else ()

    def _names(self, mask: Mask) -> tuple[str, ...]:
        return tuple(n for n, hidden in zip(self._channels, mask, strict=True) if hidden)


def _carried(heard: Heard, masked: tuple[str, ...], track: Track) -> bool:
    """Whether every channel that carried a part of the score is masked. Silence has none."""
    if track is Track.COMMS:
        return True
    carriers = {name for name, share in heard.shares.items() if share >= CARRIED_SHARE_MIN}
    top = max(heard.shares, key=lambda name: heard.shares[name], default="")
    return (carriers | {top}) <= set(masked)


def _all(outcomes: Iterable[bool | None]) -> bool | None:
    """True where all are; False where one is; else not known."""
    seen = list(outcomes)
    return False if False in seen else None if None in seen else True
