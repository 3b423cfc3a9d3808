"""The decision: was this event expected? Text finds, a witness opens, a mask bounds, a fuse closes.

Synchronous, typed and without text: every clause is a fact about jobs, masks, clocks and budgets.
An event is SUPPRESSED only when every clause holds; a clause that cannot be judged (None) does not
hold.
"""

from __future__ import annotations

from typing import Final

import msgspec

from edge.records import Clause, Decision, Job, JobState, Verdict

# Less, and something else disturbs the asset as much as this work. Not half: where channels move
# together a disturbance of one spreads its shares over the others.
MASKED_SHARE_MIN: Final = 1 / 3
# a proposal this far from the event is not worth an operator's look
ANNOTATE_MINUTES_MAX: Final = 60


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What is known at the moment of decision about one event and one job. None: could not look.

    mask: channels of the job's scope without the safety-listed ones.
    rest_quiet: the asset scored without those channels is below threshold.
    """

    begin_ns: int
    now_ns: int
    job: Job | None = None
    job_live: bool = False  # open, or closed and still settling
    fuse_end_ns: int = 0
    mask: tuple[str, ...] = ()
    rest_quiet: bool | None = None
    masked_share: float | None = None  # how much of the score the masked channels carried
    top_masked: bool | None = None  # the channel that carried most is masked
    suppressions_left: int = 0
    source_alive: bool | None = True
    clock_agrees: bool | None = True
    knowledge_verified: bool | None = True
    proposal: str = ""  # id of a proposal near the event, "" for none


def decide(facts: Facts) -> Decision:
    """Judge one event. Returns the verdict with every clause's outcome, in a fixed order."""
    job = facts.job
    if job is None:
        none = Clause(
            name="witness", outcome=False, detail="no witnessed job is open on this asset"
        )
        verdict = Verdict.ANNOTATED if facts.proposal else Verdict.ALERT
        return Decision(verdict=verdict, clauses=(none, _proposal_clause(facts)))
    clauses = (*_job_clauses(facts, job), *_doubt_clauses(facts))
    if all(clause.outcome is True for clause in clauses):
        return Decision(verdict=Verdict.SUPPRESSED, clauses=clauses, job_id=job.job_id)
    unscoped = not facts.mask and facts.job_live and facts.begin_ns >= job.opened_at_ns
    verdict = Verdict.ANNOTATED if unscoped else Verdict.ALERT
    return Decision(verdict=verdict, clauses=clauses, job_id=job.job_id)


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
            outcome=bool(facts.mask),
            detail=f"approved scope {job.scope_id or 'none'}: may disturb {scope}",
        ),
        Clause(
            name="mask",
            outcome=facts.rest_quiet,
            detail={
                True: "the asset without these channels is below threshold",
                False: "the asset without these channels is over threshold",
                None: "the asset without these channels could not be scored",
            }[facts.rest_quiet],
        ),
        Clause(
            name="channels",
            outcome=_carried(facts),
            detail="what this work may disturb carried the largest share of the score",
        ),
        Clause(
            name="fuse",
            outcome=facts.now_ns < facts.fuse_end_ns,
            detail=f"the job stops suppressing {job.fuse_s} s after it opened, whatever happens",
        ),
    )


def _carried(facts: Facts) -> bool | None:
    if facts.masked_share is None or facts.top_masked is None:
        return None
    return facts.top_masked and facts.masked_share >= MASKED_SHARE_MIN


def _doubt_clauses(facts: Facts) -> tuple[Clause, ...]:
    left = facts.suppressions_left
    return (
        Clause(
            name="budget",
            outcome=left > 0,
            detail=f"{max(left, 0)} suppressions left for this asset in this shift",
        ),
        Clause(
            name="source",
            outcome=facts.source_alive,
            detail="the asset's source spoke within its declared interval",
        ),
        Clause(
            name="clock",
            outcome=facts.clock_agrees,
            detail="the asset's clock agrees with the others",
        ),
        Clause(
            name="knowledge",
            outcome=facts.knowledge_verified,
            detail="scope tables come from a snapshot whose hashes were verified",
        ),
    )
