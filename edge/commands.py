"""What opens, confirms, closes and cancels jobs.

Edges of plant signals and commands of named operators.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from edge.errors import WireError
from edge.jobs import Ending, Stage, Told, end_run, job_id_of, make_job, new_run
from edge.records import Witness
from edge.state import Pending
from edge.wire.commands import (
    Ack,
    Confirm,
    Feedback,
    JobCommand,
    decode_command,
)
from edge.wire.readings import T_NS_MAX

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edge.asset import Asset
    from edge.desk import Desk
    from edge.records import ContextChange, Job, MessageReceived
    from edge.settings import ContextTag
    from edge.wire.commands import Command
    from kb.records import Proposal


STAGES_MEANT: Final = (Stage.OPEN, Stage.SETTLING, Stage.SCHEDULED, Stage.DONE)


def plant_edge(asset: Asset, change: ContextChange, *, desk: Desk) -> None:
    """A live edge of a witness tag: rising opens one job at its own time, falling closes it.

    A retained value, the first value ever seen and a change out of the unknown open nothing.
    """
    tag = next((t for t in asset.settings.context if t.tag == change.tag), None)
    if tag is None or tag.role != "witness" or tag.kind is None:
        return
    up = change.value != 0.0 and change.previous == 0.0
    down = change.value == 0.0 and not math.isnan(change.previous)
    if up and change.live:
        if not _open_by_edge(asset, tag, change, desk=desk):
            name = asset.model.asset
            desk.note("job_refused", level="warning", asset=name, tag=tag.tag, t_ns=change.t_ns)
    elif down:
        for run in asset.state.runs:
            if run.job.source == tag.tag:
                end_job(asset, run.job.job_id, action="close", t_ns=change.t_ns)


def _open_by_edge(asset: Asset, tag: ContextTag, change: ContextChange, *, desk: Desk) -> bool:
    """False: too many jobs wait."""
    assert tag.kind is not None
    name = asset.model.asset
    scope = desk.scope_of(tag.kind, name, tag.instrument, now_ns=change.t_ns)
    told = Told(
        job_id=job_id_of(name, tag.tag, change.t_ns),
        kind=tag.kind,
        asset=name,
        instrument=tag.instrument,
        valid_from_ns=change.t_ns,
        valid_to_ns=None,
        witness=Witness.PLANT,
        opened_by=tag.tag,
        now_ns=change.t_ns,
        source=tag.tag,
    )
    return add_job(asset, make_job(told, scope=scope, settings=desk.settings.engine))


def add_job(asset: Asset, job: Job, *, publish: bool = True) -> bool:
    """Give an asset a job; False when it has one of that id, or too many."""
    run = new_run(job, channels=asset.channels, safety=asset.settings.safety)
    done = asset.add_job(run)
    if done and publish:
        asset.proposals_changed(job.recorded_at_ns)
    return done


def order_told(asset: Asset, order: Proposal, job: Job | None) -> bool:
    """An order is told again and again: the newest word counts. job: what it witnesses, or None.

    What was planned follows it. Work that goes on is never lengthened by it: it ends when the order
    now says, at once when the order is no witness any more or speaks of another time. Of two words
    of one moment the one that withdraws counts. False: too many jobs wait to take it.
    """
    told_ns = order.recorded_at_ns
    known = (run for run in asset.state.runs if run.job.job_id == order.proposal_id)
    run = next(known, None)
    if run is None:
        return job is None or add_job(asset, job, publish=False)
    known_ns = max(run.job.recorded_at_ns, run.ended_ns)
    if known_ns > told_ns or (known_ns == told_ns and job is not None):
        return True
    if order.cancelled and run.stage is Stage.SCHEDULED:
        end_run(run, t_ns=told_ns, ending=Ending.CANCELLED)
    elif order.cancelled:
        end_job(asset, order.proposal_id, action="cancel", t_ns=told_ns)
    elif run.job.witness is not Witness.ORDER:
        pass  # a person's word stands
    elif run.fuse_end_ns == 0:  # it never opened: planned anew
        asset.state.runs.remove(run)
        return job is None or add_job(asset, job, publish=False)
    elif job is None or job.valid_from_ns > told_ns:
        end_job(asset, order.proposal_id, action="cancel", t_ns=told_ns)
    else:
        assert job.valid_to_ns is not None, "an order witnesses a bounded time"
        end_job(asset, order.proposal_id, action="close", t_ns=max(job.valid_to_ns, told_ns))
    return True


def _added(asset: Asset, job: Job, *, word: str) -> tuple[bool, str]:
    """The same for a person, with an answer that says what became of it."""
    if not add_job(asset, job):
        return False, f"{job.job_id} is known already, or too many jobs wait"
    run = next(run for run in asset.state.runs if run.job.job_id == job.job_id)
    if run.stage is Stage.DONE:
        return True, f"{job.job_id} is over already: closed"
    hides = "" if run.masks else "; nothing will be suppressed: no approved scope row for this work"
    return True, f"{job.job_id} {word}{hides}"


def end_job(asset: Asset, job_id: str, *, action: str, t_ns: int) -> bool:
    """Close or cancel a job at a plant time; False when it is not there or over already.

    Said more than once, the earliest time counts.
    """
    if not any(r.job.job_id == job_id and r.stage is not Stage.DONE for r in asset.state.runs):
        return False
    others = [p for p in asset.state.pending if (p.job_id, p.action) != (job_id, action)]
    same = [p.t_ns for p in asset.state.pending if (p.job_id, p.action) == (job_id, action)]
    asset.state.pending = [*others, Pending(t_ns=min([t_ns, *same]), action=action, job_id=job_id)]
    return True


def operator_command(
    message: MessageReceived,
    *,
    operator: str,
    name: str,
    assets: Mapping[str, Asset],
    desk: Desk,
    now_ns: int,
) -> None:
    """Carry out a command and answer it. Raises WireError for what a sender can do wrong.

    What is refused is answered too, so that nobody waits; only what a broker repeats at every
    connection is not: it was answered when it was sent.
    """
    try:
        command = decode_command(
            message.payload,
            topic=message.topic,
            operator=operator,
            name=name,
            retain=message.retain,
            now_ns=now_ns,
        )
        done, detail = _carry_out(command, assets=assets, desk=desk, now_ns=now_ns)
    except WireError as error:
        if not message.retain:
            desk.answer(operator, name, done=False, detail=f"refused: {error}", t_ns=now_ns)
        raise
    desk.answer(operator, name, done=done, detail=detail, t_ns=now_ns)


def _carry_out(
    command: Command, *, assets: Mapping[str, Asset], desk: Desk, now_ns: int
) -> tuple[bool, str]:
    match command.body:
        case Ack(alert_id=alert_id):
            done = any(
                asset.acknowledge(alert_id, operator=command.operator, t_ns=now_ns)
                for asset in assets.values()
            )
            return done, "acknowledged" if done else f"no alert {alert_id} waits for it"
        case Feedback():
            alert_id = command.body.alert_id
            desk.note(
                "feedback", operator=command.operator, alert=alert_id, label=command.body.label
            )
            current = any(
                record.alert_id == alert_id
                for asset in assets.values()
                for record in asset.state.alerts.values()
            )
            return True, "noted" if current else f"noted; {alert_id} is no current alert"
        case Confirm():
            return _confirm(command.body, command.operator, assets=assets, desk=desk, now_ns=now_ns)
        case JobCommand():
            return _job(command.body, command.operator, assets=assets, desk=desk, now_ns=now_ns)
    raise WireError(
        "command is not carried out here", reason="unknown_command", topic=command.topic
    )


def _confirm(
    body: Confirm, operator: str, *, assets: Mapping[str, Asset], desk: Desk, now_ns: int
) -> tuple[bool, str]:
    """A person confirms a proposal: open now or in future, never backwards."""
    proposal = desk.proposed.get(body.proposal_id, now_ns=now_ns)
    if proposal is None or proposal.asset not in assets:
        return False, f"no open proposal {body.proposal_id}"
    scope = desk.scope_of(proposal.kind, proposal.asset, proposal.instrument, now_ns=now_ns)
    told = Told(
        job_id=proposal.proposal_id,
        kind=proposal.kind,
        asset=proposal.asset,
        instrument=proposal.instrument,
        valid_from_ns=max(now_ns, proposal.valid_from_ns or now_ns),
        valid_to_ns=proposal.valid_to_ns,
        witness=Witness.PERSON,
        opened_by=operator,
        now_ns=now_ns,
        source=proposal.source,
        quotes=(proposal.citation.quote,),
    )
    job = make_job(told, scope=scope, settings=desk.settings.engine)
    word = "open" if told.valid_from_ns <= now_ns else "scheduled"
    return _added(assets[proposal.asset], job, word=word)


def _job(
    body: JobCommand, operator: str, *, assets: Mapping[str, Asset], desk: Desk, now_ns: int
) -> tuple[bool, str]:
    if body.action == "check_in":
        return _check_in(body, operator, assets=assets, desk=desk, now_ns=now_ns)
    action = "close" if body.action == "check_out" else "cancel"
    found = [
        (run, asset)
        for asset in assets.values()
        for run in asset.state.runs
        if _means(body, run.job)
    ]
    # who names no id means the work that is going on, not what is planned for next week
    for run, asset in sorted(found, key=lambda pair: STAGES_MEANT.index(pair[0].stage)):
        if end_job(asset, run.job.job_id, action=action, t_ns=now_ns):
            return True, f"{run.job.job_id}: {action}"
    return False, "no such job is open or scheduled"


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
    if body.valid_to_ns is not None and not now_ns < body.valid_to_ns <= T_NS_MAX:
        return False, "valid_to is not in the future"
    scope = desk.scope_of(body.kind, body.asset, body.instrument, now_ns=now_ns)
    told = Told(
        # of what was sent, not of when it came: a broker may deliver it twice
        job_id=body.job_id or job_id_of(operator, body.asset, body.kind, body.instrument, body.ts),
        kind=body.kind,
        asset=body.asset,
        instrument=body.instrument,
        valid_from_ns=now_ns,
        valid_to_ns=body.valid_to_ns,
        witness=Witness.PERSON,
        opened_by=operator,
        now_ns=now_ns,
        source="command",
    )
    job = make_job(told, scope=scope, settings=desk.settings.engine)
    return _added(assets[body.asset], job, word="open")
