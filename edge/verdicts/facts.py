"""Facts: what is known about an event and the jobs of its asset, looked up for the decision rule.

`decide` judges; this file looks things up; `rulings` and `hindsight` move alerts.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np

from edge.records import Decision, Track, Verdict
from edge.samples.limits import newest_limits
from edge.verdicts.bystanders import (
    PARTNER_SAMPLES,
    limits_kept,
    partners_of,
    partners_usual,
)
from edge.verdicts.decide import ANNOTATE_MINUTES_MAX, Facts
from edge.work.shed import has_gap
from kb.records import WorkKind
from models.bundles.bundle import cannot_mask

if TYPE_CHECKING:
    from edge.alerts.alerts import AlertRecord, Contribution
    from edge.desk import Desk
    from edge.samples.ring import History
    from edge.samples.scoring import Mask
    from edge.settings import AssetSettings
    from edge.state import AssetState
    from edge.verdicts.lookback import Lookback
    from edge.work.jobs import JobRun
    from kb.records import Proposal
    from models.bundles.bundle import AssetModel

SECOND_NS: Final = 1_000_000_000
MINUTE_NS: Final = 60 * SECOND_NS
MILLISECOND_NS: Final = 1_000_000


class FactFinder:
    """Finds the facts about one asset's events and has them judged."""

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
        self._channels = tuple(channel.name for channel in model.channels)

    def decide(
        self, track: Track, *, t_ns: int, parts: tuple[Contribution, ...], begin_ns: int
    ) -> tuple[JobRun | None, Decision]:
        """The first job whose every clause holds, the one that suppresses now before all others.

        Else the newest job's decision, else one without a job.
        """
        mine = self._state.alerts[track].job_id if self._state.alerts[track].suppressed else ""
        near = self.near_proposals(t_ns)
        common = msgspec.structs.replace(
            self.common(track, t_ns=t_ns, begin_ns=begin_ns),
            proposal=near[0].proposal_id if near else "",
        )
        best: tuple[JobRun | None, Decision] = (None, self._desk.rule(common))
        for run in sorted(self._state.runs, key=lambda run: run.job.job_id != mine):
            if not run.live:
                continue
            decision = self._desk.rule(self.of_job(common, run, track, parts))
            if decision.verdict is Verdict.SUPPRESSED:
                return run, decision
            best = (run, decision)
        return best

    def spares(self, record: AlertRecord, *, t_ns: int, but: frozenset[str]) -> bool:
        """Whether no clauses but those of `but` speak against the job that suppresses an alert."""
        runs = (run for run in self._state.runs if run.job.job_id == record.job_id)
        run = next(runs, None)
        if run is None or not run.live:
            return False
        common = self.common(record.track, t_ns=t_ns, begin_ns=record.begin_ns)
        decision = self._desk.rule(self.of_job(common, run, record.track, record.contributions))
        failed = {clause.name for clause in decision.clauses if clause.outcome is not True}
        return decision.verdict is Verdict.SUPPRESSED or (bool(failed) and failed <= but)

    def of_job(
        self, common: Facts, run: JobRun, track: Track, parts: tuple[Contribution, ...]
    ) -> Facts:
        """What is known of an event and one job."""
        partners, limits = self._bystanders_now(track, run, common.now_ns)
        return msgspec.structs.replace(
            common,
            job=run.job,
            job_live=run.live,
            fuse_end_ns=run.fuse_end_ns,
            mask=tuple(np.array(self._channels)[run.mask].tolist()),
            scope_stands=self.scope_stands(run, t_ns=common.now_ns),
            rest_quiet=self.rest_quiet(track, run, parts),
            masked_share=self._masked_share(track, run, parts),
            top_masked=self._top_masked(track, run, parts),
            rest_calm=self._rest_calm(track, run),
            partners_usual=partners,
            limits_kept=limits,
            unsigned=self._desk.unsigned(run.job, t_ns=common.now_ns),
            clock_agrees=common.clock_agrees if self._desk.time_is_known(run.job) else None,
        )

    def scope_stands(self, run: JobRun, *, t_ns: int) -> bool:
        """Whether what a job hides is still approved: a row may be narrowed or withdrawn since.

        A job without a row of the scope table brought its own scope with it.
        """
        job = run.job
        if not job.scope_id:
            return True
        asset, instrument = self._model.asset, job.functional_location
        row = self._desk.scope_of(job.kind, asset, instrument, now_ns=t_ns)
        return row is not None and self.masked(run) <= set(row.channels)

    def common(self, track: Track, *, t_ns: int, begin_ns: int) -> Facts:
        """What is known of the asset and its source, whatever the job."""
        knowledge = self._desk.knowledge
        return Facts(
            begin_ns=begin_ns,
            now_ns=t_ns,
            unmaskable=_unmaskable(self._model),
            suppressions_left=self._left(t_ns, track),
            gave_up=has_gap(self._state, begin_ns=begin_ns, now_ns=t_ns),
            names_known=not self._state.doubted_ns,
            source_alive=track is Track.COMMS or not self._state.tracks[Track.COMMS].active,
            heartbeat_alive=self._heartbeat_alive(track, t_ns),
            clock_agrees=self._desk.clock_agrees(self._model.asset),
            knowledge_verified=knowledge is not None and knowledge.verified,
            severity=self._settings.severity,
            severity_max=self._desk.settings.engine.suppress_severity_max,
            not_durable=self._desk.not_durable,
        )

    def rest_quiet(self, track: Track, run: JobRun, parts: tuple[Contribution, ...]) -> bool | None:
        """Whether nothing is wrong but what the job may disturb; None: could not be scored."""
        if track is Track.PROCESS:
            if not run.masked or not run.rest_ready:
                return None
            return not run.track.active
        if track is Track.SENSOR:
            return all(part.channel in self.masked(run) for part in parts)
        return run.job.kind is WorkKind.PLANNED_STOP

    def _masked_share(
        self, track: Track, run: JobRun, parts: tuple[Contribution, ...]
    ) -> float | None:
        if track is Track.COMMS:  # silence has no channels; only a planned stop expects it
            return 1.0
        masked = self.masked(run)
        return sum(part.share for part in parts if part.channel in masked) if parts else None

    def _top_masked(
        self, track: Track, run: JobRun, parts: tuple[Contribution, ...]
    ) -> bool | None:
        if track is Track.COMMS:
            return True
        return parts[0].channel in self.masked(run) if parts else None

    def _rest_calm(self, track: Track, run: JobRun) -> bool:
        """Whether the rest is where an event would end; not so where it is not known."""
        calm = run.rest_score <= self._model.threshold_off
        return track is Track.PROCESS and bool(run.masked) and calm

    def disturbed(self, run: JobRun, parts: tuple[Contribution, ...]) -> tuple[Contribution, ...]:
        """What carried an event that a job suppresses: of its own channels, where not at first.

        Shares spread over channels that move together; without the masked ones nothing was left.
        """
        masked = self.masked(run)
        if not parts or parts[0].channel in masked:
            return parts
        mine = [part for part in parts if part.channel in masked]
        total = sum(part.share for part in mine)
        return tuple(msgspec.structs.replace(part, share=part.share / total) for part in mine)

    def masked(self, run: JobRun) -> set[str]:
        """Names of the channels that a job hides."""
        return {name for name, hidden in zip(self._channels, run.mask, strict=True) if hidden}

    # --- bystanders ---

    def _bystanders_now(
        self, track: Track, run: JobRun, t_ns: int
    ) -> tuple[bool | None, bool | None]:
        if track is Track.COMMS:  # nothing comes that could be looked at
            return True, True
        newest = self._lookback.until(t_ns, PARTNER_SAMPLES) if self._watches(run.mask) else None
        return self.bystanders(run.mask, newest, t_ns=t_ns, samples=1)

    def bystanders(
        self, mask: Mask, past: History | None, *, t_ns: int, samples: int
    ) -> tuple[bool | None, bool | None]:
        """Whether redundant partners were as usual, and limits of unmasked channels kept.

        past: the samples to look at; of these the newest `samples` for the limits. mask: (c,).
        """
        if not self._watches(mask):
            return True, True
        if past is None:
            return None, None
        _, values, running = past
        partners = partners_of(self._settings.redundant, self._channels, mask)
        limits = newest_limits(self._desk.limits_of(self._model.asset), now_ns=t_ns)
        return (
            partners_usual(values, running, partners, model=self._model),
            limits_kept(values[-samples:], limits, model=self._model, mask=mask),
        )

    def _watches(self, mask: Mask) -> bool:
        limits = self._desk.limits_of(self._model.asset)
        return bool(limits) or bool(partners_of(self._settings.redundant, self._channels, mask))

    # --- doubt, texts, budget ---

    def _heartbeat_alive(self, track: Track, t_ns: int) -> bool | None:
        """None: one is declared, but no beat of it was seen yet."""
        if track is Track.COMMS:  # a stop that is planned silences the heart too
            return True
        alive: bool | None = True
        for tag in self._settings.context:
            if tag.role != "heartbeat":
                continue
            beats = self._state.beats.get(tag.tag, [])
            seen = bisect_right(beats, t_ns)
            if not seen:
                alive = None
            elif t_ns - beats[seen - 1] > tag.interval_ms_max * MILLISECOND_NS:
                return False
        return alive

    def near_proposals(self, t_ns: int) -> tuple[Proposal, ...]:
        """Proposals whose time is near enough that an operator should be asked."""
        margin = ANNOTATE_MINUTES_MAX * MINUTE_NS
        witnessed = {run.job.job_id for run in self._state.runs}
        near = []
        for proposal in self._desk.proposed.of_asset(self._model.asset, now_ns=t_ns):
            begin = proposal.valid_from_ns or proposal.recorded_at_ns
            end = proposal.valid_to_ns or begin
            if proposal.proposal_id not in witnessed and begin - margin <= t_ns <= end + margin:
                near.append(proposal)
        return tuple(near[:2])

    def shift_of(self, t_ns: int) -> int:
        """Number of the shift that a time belongs to."""
        engine = self._desk.settings.engine
        return (t_ns - engine.shift_start_s * SECOND_NS) // (engine.shift_s * SECOND_NS)

    def shift_end_ns(self, t_ns: int) -> int:
        """When the shift of a time is over."""
        engine = self._desk.settings.engine
        return ((self.shift_of(t_ns) + 1) * engine.shift_s + engine.shift_start_s) * SECOND_NS

    def _left(self, t_ns: int, track: Track) -> int:
        spent = self._state.suppressions_spent if self.shift_of(t_ns) == self._state.shift else 0
        already = 1 if self._state.alerts[track].suppressed else 0  # it was paid for when it began
        return self._desk.settings.engine.suppressions_per_shift_max - spent + already

    def spend(self, t_ns: int) -> None:
        """One suppression more in this shift."""
        shift = self.shift_of(t_ns)
        if shift != self._state.shift:
            self._state.shift, self._state.suppressions_spent = shift, 0
        self._state.suppressions_spent += 1


def _unmaskable(model: AssetModel) -> str:
    """Why an asset cannot be judged without the channels that work disturbs, "": it can."""
    if cannot_mask(model.metrics):
        return (
            "this asset's detector was imported without an input for missing values: it cannot be"
            " scored without some channels"
        )
    if model.found is not None:
        return "this asset's operating mode is guessed, and what work disturbs may change the guess"
    return ""
