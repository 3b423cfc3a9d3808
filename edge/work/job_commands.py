"""Commands about jobs: a person checks one in or out, extends or cancels it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from edge.alerts.explain import clock_text
from edge.records import Witness
from edge.wire.commands import seen_text
from edge.wire.readings import T_NS_MAX
from edge.work.jobs import (
    EXTENSIONS_MAX,
    Extension,
    Stage,
    Told,
    extend_run,
    job_id_of,
    make_job,
)
from edge.work.witness import add_job, end_job

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from edge.asset import Asset
    from edge.desk import Desk
    from edge.records import Job
    from edge.wire.commands import JobCommand
    from edge.work.jobs import JobRun

MILLISECOND_NS: Final = 1_000_000
SECOND_NS: Final = 1_000_000_000
MINUTE_NS: Final = 60 * SECOND_NS


def job_command(
    body: JobCommand, operator: str, *, assets: Mapping[str, Asset], desk: Desk, now_ns: int
) -> tuple[bool, str]:
    """Carry out one; returns whether it was done, and what to answer. now_ns: plant time."""
    if body.action == "check_in":
        return _check_in(body, operator, assets=assets, desk=desk, now_ns=now_ns)
    if body.action == "extend":
        return _extend(body, operator, assets=assets, desk=desk, now_ns=now_ns)
    ended = _end(body, operator, assets=assets, now_ns=now_ns)
    if not ended:
        return False, "no such job is open or scheduled"
    action = "close" if body.action == "check_out" else "cancel"
    return True, f"{', '.join(ended)}: {action}"


def _end(body: JobCommand, operator: str, *, assets: Mapping[str, Asset], now_ns: int) -> list[str]:
    """End all that a command means; gives their ids.

    Who names no id means the work that is going on, all of it: one that was overlooked would go on
    to hide. Only where nothing is going on what is planned is meant, and then what is over.
    """
    found = [
        (run, asset)
        for asset in assets.values()
        for run in asset.state.runs
        if _means(body, run.job)
    ]
    going_on = [pair for pair in found if pair[0].live or _due(pair[0], now_ns)]
    planned = [pair for pair in found if pair[0].stage is Stage.SCHEDULED and pair not in going_on]
    over = [pair for pair in found if pair[0].stage in (Stage.OWED, Stage.DONE)]
    action = "cancel"
    if body.action == "check_out":  # who has finished one has not finished all that is planned
        action, planned = "close", sorted(planned, key=_begins_ns)[:1]
        settling = [pair for pair in going_on if pair[0].stage is Stage.SETTLING]
        going_on = [pair for pair in going_on if pair not in settling] or settling
    for group in (going_on, planned, over):
        ended = [
            run.job.job_id
            for run, asset in group
            if end_job(asset, run.job.job_id, action=action, t_ns=now_ns, operator=operator)
        ]
        if ended:
            return ended
    return []


def _due(run: JobRun, now_ns: int) -> bool:
    """Whether a job that was told is about to open: it has begun, and its asset has not moved."""
    boundary_ns = run.boundary_ns()
    return run.stage is Stage.SCHEDULED and boundary_ns is not None and boundary_ns <= now_ns


def _begins_ns(pair: tuple[JobRun, Asset]) -> tuple[int, str]:
    return pair[0].job.valid_from_ns, pair[0].job.job_id


def _means(body: JobCommand, job: Job) -> bool:
    if body.job_id:
        return body.job_id == job.job_id
    there = body.instrument in ("", job.functional_location)
    return bool(body.asset) and there and (body.asset, body.kind) == (job.asset, job.kind)


def _check_in(
    body: JobCommand, operator: str, *, assets: Mapping[str, Asset], desk: Desk, now_ns: int
) -> tuple[bool, str]:
    if body.kind is None or body.asset not in assets:
        return False, f"check_in needs a kind and one of the assets {', '.join(sorted(assets))}"
    begin_ns = now_ns if body.valid_from_ns is None else body.valid_from_ns
    if body.valid_to_ns is not None and not begin_ns < body.valid_to_ns <= T_NS_MAX:
        after = "in the future" if body.valid_from_ns is None else "after valid_from"
        return False, f"valid_to is not {after}"
    scope = desk.scope_of(body.kind, body.asset, body.instrument, now_ns=now_ns)
    told = Told(
        # of what was sent, not of when it came: a broker may deliver it twice
        job_id=body.job_id or job_id_of(operator, body.asset, body.kind, body.instrument, body.ts),
        kind=body.kind,
        asset=body.asset,
        instrument=body.instrument,
        valid_from_ns=begin_ns,
        valid_to_ns=body.valid_to_ns,
        witness=Witness.PERSON,
        opened_by=operator,
        now_ns=now_ns,
        source="command",
        signed=desk.settings.trust.require_signed,
    )
    job = make_job(told, scope=scope, settings=desk.settings.engine)
    word = "open" if begin_ns <= now_ns else "scheduled"
    others = _told_and_open(assets[body.asset].state.runs, job)
    done, detail = added(assets[body.asset], job, word=word)
    if done:
        detail += f"; open already: {', '.join(others)}" if others else ""
        audit_job(desk, "checked_in", job, operator, t_ns=now_ns, reason=body.reason)
    return done, detail


def _extend(
    body: JobCommand, operator: str, *, assets: Mapping[str, Asset], desk: Desk, now_ns: int
) -> tuple[bool, str]:
    """Work takes longer: only a person says so, only while it is open, and never without end."""
    end_ns = until_ns(body.valid_to, body.minutes, now_ns)
    if end_ns is None:
        return False, "extend needs valid_to or minutes, one of the two"
    found = [
        (asset, run)
        for asset in assets.values()
        for run in asset.state.runs
        if _means(body, run.job) and run.stage is Stage.OPEN
    ]
    if len(found) != 1:
        return False, "no such job is open" if not found else "several are open: name the job_id"
    asset, run = found[0]
    longest_s = desk.settings.engine.fuse_extension_s_max
    boundary_ns = run.boundary_ns()
    assert boundary_ns is not None, "what is open ends"
    refused = ""
    if not now_ns < boundary_ns:
        refused = "it is over"
    elif end_ns <= boundary_ns:
        refused = "that is not later than its end"
    elif end_ns > run.job.opened_at_ns + longest_s * SECOND_NS:
        hours = f"{longest_s / 3600:g} h"
        refused = f"more than {hours} after it opened; take the asset out of service (oos)"
    elif len(run.extensions) >= EXTENSIONS_MAX:
        refused = f"it was extended {EXTENSIONS_MAX} times"
    if refused:
        return False, f"{run.job.job_id} is not extended: {refused}"
    reason = seen_text(body.reason)
    extension = Extension(operator=operator, t_ns=now_ns, until_ns=end_ns, reason=reason)
    extend_run(run, extension)
    asset.extended(run, by=operator, t_ns=now_ns)
    audit_job(desk, "extended", run.job, operator, t_ns=now_ns, reason=body.reason)
    return True, f"{run.job.job_id}: extended by {(end_ns - boundary_ns) // SECOND_NS} s"


def _told_and_open(runs: Sequence[JobRun], job: Job) -> list[str]:
    """Ids of the same work that a person has told before, and that goes on."""
    what = (job.kind, job.functional_location, Witness.PERSON)
    return [
        run.job.job_id
        for run in runs
        if run.stage is Stage.OPEN
        and (run.job.kind, run.job.functional_location, run.job.witness) == what
    ]


def added(asset: Asset, job: Job, *, word: str) -> tuple[bool, str]:
    """Give an asset a job that a person told of, with an answer that says what became of it."""
    if not add_job(asset, job):
        return False, f"{job.job_id} is known already, or too many jobs wait"
    run = next(run for run in asset.state.runs if run.job.job_id == job.job_id)
    if run.stage is Stage.DONE:
        return True, f"{job.job_id} is over already: closed"
    said = f"{job.job_id} {word}"
    fuse_ns = max(job.valid_from_ns, job.recorded_at_ns) + job.fuse_s * SECOND_NS
    if job.valid_to_ns is not None and job.valid_to_ns > fuse_ns:
        said += f"; its fuse ends it before, at {clock_text(fuse_ns)}, unless it is extended"
    if not run.masks:
        said += "; nothing will be suppressed: no approved scope row for this work"
    return True, said


def audit_job(desk: Desk, what: str, job: Job, operator: str, *, t_ns: int, reason: str) -> None:
    """Note in the audit trail what a person did with a job."""
    seen = seen_text(reason)
    desk.audited(
        what, asset=job.asset, t_ns=t_ns, job_id=job.job_id, operator=operator, detail=seen
    )


def until_ns(until_ms: int | None, minutes: int | None, now_ns: int) -> int | None:
    """The end that a command names in one of two ways; None: in none, or in both."""
    if (until_ms is None) == (minutes is None):
        return None
    return now_ns + minutes * MINUTE_NS if minutes is not None else (until_ms or 0) * MILLISECOND_NS
