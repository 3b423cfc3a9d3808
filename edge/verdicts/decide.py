"""The decision: was this event expected? Text finds, a witness opens, a mask bounds, a fuse closes.

Synchronous, typed and without text: every clause is a fact about jobs, masks, clocks and budgets.
An event is SUPPRESSED only when every clause holds; a clause that cannot be judged (None) does not
hold. A job that became known after something rang never suppresses it: at most it annotates.
"""

from __future__ import annotations

from typing import Final

import msgspec

from edge.records import Clause, Decision, Job, JobState, Verdict

# Less, and something else disturbs the asset as much as this work. Not half: where channels move
# together a disturbance of one spreads its shares over the others.
MASKED_SHARE_MIN: Final = 1 / 3
# a channel with less of the score is a bystander
CARRIED_SHARE_MIN: Final = 0.1
# a proposal this far from the event is not worth an operator's look
ANNOTATE_MINUTES_MAX: Final = 60
# clauses of suppressing: a job that became known after something rang suppresses nothing
NOW_ONLY: Final = frozenset({"witness", "began_after_witness", "fuse", "budget"})


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What is known at the moment of decision about one event and one job. None: could not look.

    mask: channels of the job's scope without the safety-listed ones. scope_stands: they are still
    approved now.
    rest_quiet: the asset scored without those channels is below threshold. unmaskable: why its
    detector cannot be asked that, "": it can.
    partners_usual: channels that measure the same as a masked one, and are not masked, are in their
    usual range. limits_kept: so are unmasked channels in their approved engineering limits.
    heartbeat_alive: the heartbeat of the asset's source changed in time, or none is declared.
    severity, severity_max: of the asset, and from which on nothing is suppressed.
    """

    begin_ns: int
    now_ns: int
    job: Job | None = None
    job_live: bool = False  # open, or closed and still settling
    fuse_end_ns: int = 0
    mask: tuple[str, ...] = ()
    scope_stands: bool = True
    rest_quiet: bool | None = None
    unmaskable: str = ""
    masked_share: float | None = None  # how much of the score the masked channels carried
    top_masked: bool | None = None  # the channel that carried most is masked
    rest_calm: bool = False  # what is not masked is where an event would end
    partners_usual: bool | None = True
    limits_kept: bool | None = True
    severity: int = 1
    severity_max: int = 1_000
    suppressions_left: int = 0
    source_alive: bool | None = True
    gave_up: bool = False  # the gateway gave up messages of the asset: it was overloaded
    names_known: bool = True  # no birth that says what its source means can have been missed
    heartbeat_alive: bool | None = True
    clock_agrees: bool | None = True
    knowledge_verified: bool | None = True
    unsigned: str = ""  # what lacks a signature that is required, "" for nothing
    not_durable: str = ""  # why nothing can be audited now, "" it can
    proposal: str = ""  # id of a proposal near the event, "" for none


class LateFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What is known when a job becomes known after something rang. None: could not look.

    facts: as for a decision now, where what carried the score and the rest are those of all events
    that rang under the alert. inside: they began within the job's times and before it was told.
    over_in_time: the condition was gone when the job had settled, or will be judged then.
    level_kept: the masked channels came back to their level.
    """

    facts: Facts
    inside: bool | None
    over_in_time: bool | None
    level_kept: bool | None


def decide(facts: Facts) -> Decision:
    """Judge one event. Returns the verdict with every clause's outcome, in a fixed order."""
    job = facts.job
    if job is None:
        none = Clause(
            name="witness", outcome=False, detail="no witnessed job is open on this asset"
        )
        verdict = Verdict.ANNOTATED if facts.proposal else Verdict.ALERT
        return Decision(verdict=verdict, clauses=(none, _proposal_clause(facts)))
    clauses = _clauses(facts, job)
    if _hold(clauses):
        return Decision(verdict=Verdict.SUPPRESSED, clauses=clauses, job_id=job.job_id)
    unscoped = not facts.mask and facts.job_live and facts.begin_ns >= job.opened_at_ns
    verdict = Verdict.ANNOTATED if unscoped else Verdict.ALERT
    return Decision(verdict=verdict, clauses=clauses, job_id=job.job_id)


def excuse(late: LateFacts) -> Decision:
    """Whether a job that was told later explains what rang: ANNOTATED if every clause holds.

    Else ALERT: what rang goes on as it was. Never SUPPRESSED.
    """
    facts, job = late.facts, late.facts.job
    assert job is not None, "nothing is explained by no job"
    clauses = (
        *_late_clauses(late, job),
        *(clause for clause in _clauses(facts, job) if clause.name not in NOW_ONLY),
    )
    verdict = Verdict.ANNOTATED if _hold(clauses) else Verdict.ALERT
    return Decision(verdict=verdict, clauses=clauses, job_id=job.job_id)


def _hold(clauses: tuple[Clause, ...]) -> bool:
    return all(clause.outcome is True for clause in clauses)


def _clauses(facts: Facts, job: Job) -> tuple[Clause, ...]:
    return (*_job_clauses(facts, job), *_doubt_clauses(facts))


def _late_clauses(late: LateFacts, job: Job) -> tuple[Clause, ...]:
    told = job.state in (JobState.SCHEDULED, JobState.OPEN, JobState.CLOSED)
    return (
        Clause(
            name="told_later",
            outcome=told,
            detail=f"{job.kind} {job.job_id} became known later, by {job.witness}: "
            f"{job.opened_by}; {job.state}",
        ),
        Clause(
            name="inside",
            outcome=late.inside,
            detail="all that rang began within the job's times, and before it became known",
        ),
        Clause(
            name="over_in_time",
            outcome=late.over_in_time,
            detail="the condition did not outlast the job and its settling",
        ),
        Clause(
            name="level",
            outcome=late.level_kept,
            detail="the channels that this work may disturb came back to their level",
        ),
    )


def _proposal_clause(facts: Facts) -> Clause:
    if facts.proposal:
        return Clause(
            name="proposal",
            outcome=True,
            detail=f"{facts.proposal} suggests work at this time; nobody has confirmed it",
        )
    return Clause(name="proposal", outcome=False, detail="no text suggests work at this time")


def _job_clauses(facts: Facts, job: Job) -> tuple[Clause, ...]:
    live = facts.job_live and job.state in (JobState.OPEN, JobState.CLOSED)
    scope = ", ".join(facts.mask) or "nothing"
    return (
        Clause(
            name="witness",
            outcome=live,
            detail=f"{job.kind} {job.job_id} opened by {job.witness}: {job.opened_by}; {job.state}",
        ),
        Clause(
            name="began_after_witness",
            outcome=facts.begin_ns >= max(job.opened_at_ns, job.valid_from_ns),
            detail="only events that begin after the witness can be expected",
        ),
        Clause(
            name="scope",
            outcome=bool(facts.mask) and facts.scope_stands,
            detail=f"approved scope {job.scope_id or 'none'}: may disturb {scope}"
            + ("" if facts.scope_stands else ", which has been narrowed or withdrawn since"),
        ),
        Clause(
            name="mask",
            outcome=None if facts.unmaskable else facts.rest_quiet,
            detail=_mask_text(facts),
        ),
        Clause(
            name="channels",
            outcome=_carried(facts),
            detail=_carried_text(facts),
        ),
        *_bystander_clauses(facts),
        Clause(
            name="fuse",
            outcome=facts.now_ns < facts.fuse_end_ns,
            detail=f"the job stops suppressing {_fuse_s(facts, job)} s after it opened, "
            "whatever happens",
        ),
    )


def _mask_text(facts: Facts) -> str:
    if facts.unmaskable:
        return f"{facts.unmaskable}, so it never suppresses"
    return {
        True: "the asset without these channels is below threshold",
        False: "the asset without these channels is over threshold",
        None: "the asset without these channels could not be scored",
    }[facts.rest_quiet]


def _bystander_clauses(facts: Facts) -> tuple[Clause, ...]:
    return (
        Clause(
            name="partner",
            outcome=facts.partners_usual,
            detail={
                True: "channels that measure the same as a masked one are as usual",
                False: "a channel that measures the same as a masked one is beyond its usual range",
                None: "a channel that measures the same as a masked one could not be read",
            }[facts.partners_usual],
        ),
        Clause(
            name="limits",
            outcome=facts.limits_kept,
            detail={
                True: "no other channel is beyond its engineering limits",
                False: "another channel is beyond its engineering limits",
                None: "another channel could not be held against its engineering limits",
            }[facts.limits_kept],
        ),
        Clause(
            name="severity",
            outcome=facts.severity < facts.severity_max,
            detail=f"severity {facts.severity}; from {facts.severity_max} on nothing is suppressed",
        ),
    )


def _fuse_s(facts: Facts, job: Job) -> int:
    lasts_ns = facts.fuse_end_ns - job.opened_at_ns  # a person may have lengthened it
    return max(job.fuse_s, lasts_ns // 1_000_000_000)


def _carried(facts: Facts) -> bool | None:
    if facts.masked_share is None or facts.top_masked is None:
        return None
    # a calibration disturbs what its channel moves with: of two that share the score alike either
    # may come first, but only a disturbance of the other one is left when the first is masked
    return (facts.top_masked or facts.rest_calm) and facts.masked_share >= MASKED_SHARE_MIN


def _carried_text(facts: Facts) -> str:
    if facts.top_masked is False and facts.rest_calm:
        return "what this work may disturb carried the score; without it the asset was calm"
    return "what this work may disturb carried the largest share of the score"


def _source_text(facts: Facts) -> str:
    if facts.gave_up:
        return (
            "the gateway was overloaded and gave up messages of this asset, nobody can say what"
            " they would have shown"
        )
    if not facts.names_known:
        return (
            "messages of this asset's node are missing (Sparkplug B sequence), a birth may be"
            " among them, and nobody can say what its aliases mean until the next one"
        )
    return "the asset's source spoke within its declared interval"


def _doubt_clauses(facts: Facts) -> tuple[Clause, ...]:
    left = facts.suppressions_left
    return (
        Clause(
            name="budget",
            outcome=left > 0,
            detail=f"{left} suppressions left for this asset in this shift"
            if left > 0
            else "the suppression budget of this asset is spent in this shift",
        ),
        Clause(
            name="source",
            outcome=None if facts.gave_up or not facts.names_known else facts.source_alive,
            detail=_source_text(facts),
        ),
        Clause(
            name="heartbeat",
            outcome=facts.heartbeat_alive,
            detail="the heartbeat of the asset's source changed in time, where one is declared",
        ),
        Clause(
            name="clock",
            outcome=facts.clock_agrees,
            detail="the asset's clock is neither ahead nor behind"
            if facts.clock_agrees is not None
            else "this box's own clock is wrong, nobody can say whether the work's times are now",
        ),
        Clause(
            name="knowledge",
            outcome=facts.knowledge_verified,
            detail="scope tables come from a snapshot whose hashes were verified",
        ),
        Clause(
            name="signed",
            outcome=not facts.unsigned,
            detail=facts.unsigned or "every signature that is required is there and valid",
        ),
        Clause(
            name="durable",
            outcome=not facts.not_durable,
            detail=f"this gateway is not durable: {facts.not_durable}"
            if facts.not_durable
            else "what keeps it quiet can be audited",
        ),
    )
