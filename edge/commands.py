"""Commands of named operators: they confirm, check in and out, extend, acknowledge, silence."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, assert_never

from edge.errors import WireError
from edge.jobs import (
    EXTENSIONS_MAX,
    Extension,
    Stage,
    Told,
    extend_run,
    job_id_of,
    make_job,
)
from edge.records import TextTold, Track, Witness
from edge.resemblance import labelled
from edge.silencing import Silence, SilenceKind, end, put
from edge.wire.commands import (
    Ack,
    Confirm,
    Feedback,
    JobCommand,
    OutOfService,
    Shelve,
    Text,
    decode_command,
)
from edge.wire.readings import T_NS_MAX
from edge.witness import add_job, end_job

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edge.asset import Asset
    from edge.desk import Desk
    from edge.records import Job, MessageReceived
    from edge.wire.commands import Command


STAGES_MEANT: Final = (Stage.OPEN, Stage.SETTLING, Stage.SCHEDULED, Stage.DONE)
MILLISECOND_NS: Final = 1_000_000
SECOND_NS: Final = 1_000_000_000
MINUTE_NS: Final = 60 * SECOND_NS


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
        desk.check_signature(command)
        done, detail = _carry_out(command, assets=assets, desk=desk, now_ns=now_ns)
    except WireError as error:
        if not message.retain:
            desk.answer(operator, name, done=False, detail=f"refused: {error}", t_ns=now_ns)
        raise
    desk.answer(operator, name, done=done, detail=detail, t_ns=now_ns)


def _carry_out(
    command: Command, *, assets: Mapping[str, Asset], desk: Desk, now_ns: int
) -> tuple[bool, str]:
    operator = command.operator
    match command.body:
        case Ack() as body:
            answer = _acknowledge(body, operator, assets=assets, now_ns=now_ns)
        case Feedback() as body:
            answer = _feedback(body, operator, assets=assets, desk=desk)
        case Confirm() as body:
            answer = _confirm(body, operator, assets=assets, desk=desk, now_ns=now_ns)
        case JobCommand() as body:
            answer = _job(body, operator, assets=assets, desk=desk, now_ns=now_ns)
        case Shelve() as body:
            answer = _shelve(body, operator, assets=assets, desk=desk, now_ns=now_ns)
        case OutOfService() as body:
            answer = _service(body, operator, assets=assets, desk=desk, now_ns=now_ns)
        case Text() as body:
            answer = _text(body, operator, assets=assets, desk=desk)
        case _:
            assert_never(command.body)
    return answer


def _acknowledge(
    body: Ack, operator: str, *, assets: Mapping[str, Asset], now_ns: int
) -> tuple[bool, str]:
    done = any(
        asset.acknowledge(body.alert_id, operator=operator, t_ns=now_ns)
        for asset in assets.values()
    )
    return done, "acknowledged" if done else f"no alert {body.alert_id} waits for it"


def _feedback(
    body: Feedback, operator: str, *, assets: Mapping[str, Asset], desk: Desk
) -> tuple[bool, str]:
    alert_id = body.alert_id
    desk.note("feedback", operator=operator, alert=alert_id, label=body.label)
    known = [labelled(asset.state, alert_id, body.label) for asset in assets.values()]
    return True, "noted" if any(known) else f"noted; {alert_id} is no current alert"


def _added(asset: Asset, job: Job, *, word: str) -> tuple[bool, str]:
    """The same for a person, with an answer that says what became of it."""
    if not add_job(asset, job):
        return False, f"{job.job_id} is known already, or too many jobs wait"
    run = next(run for run in asset.state.runs if run.job.job_id == job.job_id)
    if run.stage is Stage.DONE:
        return True, f"{job.job_id} is over already: closed"
    hides = "" if run.masks else "; nothing will be suppressed: no approved scope row for this work"
    return True, f"{job.job_id} {word}{hides}"


def _text(
    body: Text, operator: str, *, assets: Mapping[str, Asset], desk: Desk
) -> tuple[bool, str]:
    """A line for the log of an asset; what it proposes is for a person to confirm."""
    if not desk.settings.texts:
        return False, "texts are not taken here: [kb] source is not configured"
    if body.asset not in assets:
        return False, f"no asset {body.asset}; there are {', '.join(sorted(assets))}"
    if not body.line:
        return False, "the text is empty"
    t_ns = body.ts * MILLISECOND_NS
    told = TextTold(asset=body.asset, operator=operator, t_ns=t_ns, text=body.line)
    desk.effects.append(told)
    return True, "noted; it is searched when the knowledge base has been updated"


def _confirm(
    body: Confirm, operator: str, *, assets: Mapping[str, Asset], desk: Desk, now_ns: int
) -> tuple[bool, str]:
    """A person confirms a proposal: open now or in future, never backwards.

    What rang in its times before is looked at again; confirmed after its end, it is closed at once.
    """
    proposal = desk.proposed.get(body.proposal_id, now_ns=now_ns)
    if proposal is None or proposal.asset not in assets:
        return False, f"no open proposal {body.proposal_id}"
    instrument = body.instrument or proposal.instrument
    scope = desk.scope_of(proposal.kind, proposal.asset, instrument, now_ns=now_ns)
    begin_ns = proposal.valid_from_ns or now_ns
    if body.valid_from is not None:
        begin_ns = body.valid_from * MILLISECOND_NS
    end_ns = proposal.valid_to_ns
    told = Told(
        job_id=proposal.proposal_id,
        kind=proposal.kind,
        asset=proposal.asset,
        instrument=instrument,
        valid_from_ns=begin_ns,
        valid_to_ns=None if end_ns is not None and end_ns <= begin_ns else end_ns,
        witness=Witness.PERSON,
        opened_by=operator,
        now_ns=now_ns,
        source=proposal.source,
        signed=desk.settings.trust.require_signed,  # unsigned, it would not have come here
        quotes=(proposal.citation.quote,),
    )
    job = make_job(told, scope=scope, settings=desk.settings.engine)
    word = "open" if told.valid_from_ns <= now_ns else "scheduled"
    done, detail = _added(assets[proposal.asset], job, word=word)
    if done:
        _audit_job(desk, "confirmed", job, operator, t_ns=now_ns, reason=body.reason)
    return done, detail


def _audit_job(desk: Desk, what: str, job: Job, operator: str, *, t_ns: int, reason: str) -> None:
    desk.audited(
        what, asset=job.asset, t_ns=t_ns, job_id=job.job_id, operator=operator, detail=reason
    )


def _job(
    body: JobCommand, operator: str, *, assets: Mapping[str, Asset], desk: Desk, now_ns: int
) -> tuple[bool, str]:
    if body.action == "check_in":
        return _check_in(body, operator, assets=assets, desk=desk, now_ns=now_ns)
    if body.action == "extend":
        return _extend(body, operator, assets=assets, desk=desk, now_ns=now_ns)
    action = "close" if body.action == "check_out" else "cancel"
    found = [
        (run, asset)
        for asset in assets.values()
        for run in asset.state.runs
        if _means(body, run.job)
    ]
    # who names no id means the work that is going on, not what is planned for next week
    for run, asset in sorted(found, key=lambda pair: STAGES_MEANT.index(pair[0].stage)):
        if end_job(asset, run.job.job_id, action=action, t_ns=now_ns, operator=operator):
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
    done, detail = _added(assets[body.asset], job, word=word)
    if done:
        _audit_job(desk, "checked_in", job, operator, t_ns=now_ns, reason=body.reason)
    return done, detail


def _extend(
    body: JobCommand, operator: str, *, assets: Mapping[str, Asset], desk: Desk, now_ns: int
) -> tuple[bool, str]:
    """Work takes longer: only a person says so, only while it is open, and never without end."""
    until_ns = _until_ns(body.valid_to, body.minutes, now_ns)
    if until_ns is None:
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
    elif until_ns <= boundary_ns:
        refused = "that is not later than its end"
    elif until_ns > run.job.opened_at_ns + longest_s * SECOND_NS:
        hours = f"{longest_s / 3600:g} h"
        refused = f"more than {hours} after it opened; take the asset out of service (oos)"
    elif len(run.extensions) >= EXTENSIONS_MAX:
        refused = f"it was extended {EXTENSIONS_MAX} times"
    if refused:
        return False, f"{run.job.job_id} is not extended: {refused}"
    extension = Extension(operator=operator, t_ns=now_ns, until_ns=until_ns, reason=body.reason)
    extend_run(run, extension)
    asset.extended(run, by=operator, t_ns=now_ns)
    _audit_job(desk, "extended", run.job, operator, t_ns=now_ns, reason=body.reason)
    return True, f"{run.job.job_id}: extended by {(until_ns - boundary_ns) // SECOND_NS} s"


def _until_ns(until_ms: int | None, minutes: int | None, now_ns: int) -> int | None:
    """The end that a command names in one of two ways; None: in none, or in both."""
    if (until_ms is None) == (minutes is None):
        return None
    return now_ns + minutes * MINUTE_NS if minutes is not None else (until_ms or 0) * MILLISECOND_NS


# --- silence by hand ---


def _shelve(
    body: Shelve, operator: str, *, assets: Mapping[str, Asset], desk: Desk, now_ns: int
) -> tuple[bool, str]:
    """Silence the track of an alert, a track, or all of an asset, for a bounded time."""
    name, track = body.asset, Track(body.track) if body.track else None
    if body.alert_id:
        meant = [
            (asset, record.track)
            for asset in assets.values()
            for record in asset.state.alerts.values()
            if record.alert_id == body.alert_id
        ]
        name, track = (meant[0][0].model.asset, meant[0][1]) if meant else ("", None)
    if name not in assets:
        return False, "it needs the alert_id of a current alert, or an asset of this gateway"
    what = f"{name} {track}" if track else name
    asset = assets[name]
    if body.action == "unshelve":
        silences = asset.state.silences
        done = end(silences, SilenceKind.SHELVED, track, operator=operator, t_ns=now_ns)
        return done, f"{what}: unshelved" if done else f"{what} is not shelved"
    return _silence(
        asset,
        Silence(
            kind=SilenceKind.SHELVED,
            track=track,
            operator=operator,
            owner=operator,
            reason=body.reason.strip(),
            begin_ns=now_ns,
            end_ns=_until_ns(body.until, body.minutes, now_ns) or 0,
        ),
        longest_s=desk.settings.engine.shelve_s_max,
    )


def _service(
    body: OutOfService, operator: str, *, assets: Mapping[str, Asset], desk: Desk, now_ns: int
) -> tuple[bool, str]:
    """Take an asset out of service, with owner and end, or back in."""
    asset = assets.get(body.asset)
    if asset is None:
        return False, f"no asset {body.asset}; there are {', '.join(sorted(assets))}"
    if body.action == "in":
        silences = asset.state.silences
        done = end(silences, SilenceKind.OUT_OF_SERVICE, None, operator=operator, t_ns=now_ns)
        return done, f"{body.asset}: in service" if done else f"{body.asset} is in service"
    return _silence(
        asset,
        Silence(
            kind=SilenceKind.OUT_OF_SERVICE,
            track=None,
            operator=operator,
            owner=body.owner.strip() or operator,
            reason=body.reason.strip(),
            begin_ns=now_ns,
            end_ns=_until_ns(body.until, body.minutes, now_ns) or 0,
        ),
        longest_s=desk.settings.engine.out_of_service_s_max,
    )


def _silence(asset: Asset, silence: Silence, *, longest_s: int) -> tuple[bool, str]:
    lasts_ns = silence.end_ns - silence.begin_ns
    if not silence.reason:
        return False, "it needs a reason"
    if not 0 < lasts_ns <= longest_s * SECOND_NS:
        return False, f"it needs an end, until or minutes, at most {longest_s / 3600:g} h from now"
    put(asset.state.silences, silence)
    word = silence.kind.replace("_", " ")
    what = f"{asset.model.asset} {silence.track}" if silence.track else asset.model.asset
    return True, f"{what}: {word} for {lasts_ns // MINUTE_NS} min"
