"""Facts: what is known about an event and the jobs of its asset, looked up for the decision rule.

`decide` judges; this file looks things up; `rulings` moves alerts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np

from edge.decide import ANNOTATE_MINUTES_MAX, Facts, decide
from edge.records import Decision, Track, Verdict
from kb.records import WorkKind

if TYPE_CHECKING:
    from edge.alerts import Contribution
    from edge.desk import Desk
    from edge.jobs import JobRun
    from edge.state import AssetState
    from kb.records import Proposal
    from models.bundle import AssetModel

SHIFT_NS: Final = 8 * 3600 * 1_000_000_000
MINUTE_NS: Final = 60 * 1_000_000_000


class FactFinder:
    """Finds the facts about one asset's events and has them judged."""

    def __init__(self, model: AssetModel, *, state: AssetState, desk: Desk) -> None:
        self._model = model
        self._state = state
        self._desk = desk
        self._channels = tuple(channel.name for channel in model.channels)

    def decide(
        self, track: Track, *, t_ns: int, parts: tuple[Contribution, ...], begin_ns: int
    ) -> tuple[JobRun | None, Decision]:
        """The first job whose every clause holds, the one that suppresses now before all others.

        Else the newest job's decision, else one without a job.
        """
        mine = self._state.alerts[track].job_id if self._state.alerts[track].suppressed else ""
        near = self.near_proposals(t_ns)
        knowledge = self._desk.knowledge
        common = Facts(
            begin_ns=begin_ns,
            now_ns=t_ns,
            suppressions_left=self._left(t_ns, track),
            source_alive=track is Track.COMMS or not self._state.tracks[Track.COMMS].active,
            clock_agrees=self._desk.clock_agrees(self._model.asset),
            knowledge_verified=knowledge is not None and knowledge.verified,
            proposal=near[0].proposal_id if near else "",
        )
        best: tuple[JobRun | None, Decision] = (None, decide(common))
        for run in sorted(self._state.runs, key=lambda run: run.job.job_id != mine):
            if not run.live:
                continue
            facts = msgspec.structs.replace(
                common,
                job=run.job,
                job_live=run.live,
                fuse_end_ns=run.fuse_end_ns,
                mask=tuple(np.array(self._channels)[run.mask].tolist()),
                rest_quiet=self._rest_quiet(track, run, parts),
                masked_share=self._masked_share(track, run, parts),
                top_masked=self._top_masked(track, run, parts),
            )
            decision = decide(facts)
            if decision.verdict is Verdict.SUPPRESSED:
                return run, decision
            best = (run, decision)
        return best

    def _rest_quiet(
        self, track: Track, run: JobRun, parts: tuple[Contribution, ...]
    ) -> bool | None:
        if track is Track.PROCESS:
            if not run.masked or not run.rest_ready:
                return None
            return not run.track.active
        if track is Track.SENSOR:
            return all(part.channel in self._masked(run) for part in parts)
        return run.job.kind is WorkKind.PLANNED_STOP

    def _masked_share(
        self, track: Track, run: JobRun, parts: tuple[Contribution, ...]
    ) -> float | None:
        if track is Track.COMMS:  # silence has no channels; only a planned stop expects it
            return 1.0
        masked = self._masked(run)
        return sum(part.share for part in parts if part.channel in masked) if parts else None

    def _top_masked(
        self, track: Track, run: JobRun, parts: tuple[Contribution, ...]
    ) -> bool | None:
        if track is Track.COMMS:
            return True
        return parts[0].channel in self._masked(run) if parts else None

    def _masked(self, run: JobRun) -> set[str]:
        return {name for name, hidden in zip(self._channels, run.mask, strict=True) if hidden}

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

    def _left(self, t_ns: int, track: Track) -> int:
        shift = t_ns // SHIFT_NS
        spent = self._state.suppressed_in_shift.get(track, 0) if shift == self._state.shift else 0
        already = 1 if self._state.alerts[track].suppressed else 0  # it was paid for when it began
        return self._desk.settings.engine.suppressions_per_shift_max - spent + already

    def spend(self, t_ns: int, track: Track) -> None:
        """One suppression more in this shift."""
        shift = t_ns // SHIFT_NS
        if shift != self._state.shift:
            self._state.shift, self._state.suppressed_in_shift = shift, {}
        spent = self._state.suppressed_in_shift
        spent[track] = spent.get(track, 0) + 1
