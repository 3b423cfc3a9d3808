"""Commands of named operators: they confirm, check in and out, extend, acknowledge, silence."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, assert_never

from edge.alerts.resemblance import labelled
from edge.errors import WireError
from edge.records import TextTold, Track, Witness
from edge.wire.commands import (
    Ack,
    Confirm,
    EarlyCommandError,
    Feedback,
    JobCommand,
    OutOfService,
    Shelve,
    Text,
    decode_command,
    seen_text,
)
from edge.work.command_book import Refusal, may_silence
from edge.work.durable import refuse_undurable
from edge.work.job_commands import added, audit_job, job_command, until_ns
from edge.work.jobs import Told, make_job
from edge.work.rights import check_rights
from edge.work.silencing import Silence, SilenceKind, end, put

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edge.asset import Asset
    from edge.desk import Desk
    from edge.records import MessageReceived
    from edge.state import EngineState
    from edge.wire.commands import Command


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
    state: EngineState,
    now_ns: int,
) -> None:
    """Carry out a command and answer it. Raises WireError for what a sender can do wrong.

    What is refused is answered too, so that nobody waits; only what a broker repeats at every
    connection is not: it was answered when it was sent. Refused or not done, what was to keep
    something quiet stands in the audit trail.
    """
    command: Command | None = None
    listed = frozenset(one.name for one in desk.settings.operator)
    try:
        command = _read(
            message, operator, name, desk=desk, now_ns=now_ns, listed=listed, state=state
        )
        check_rights(command, assets=assets, desk=desk, now_ns=now_ns)
        before = state.commands.before(command, now_ns=now_ns, dup=message.dup)
        if before is not None:
            _count(state, "commands_redelivered")
            first = "taken" if before.done else "answered"
            said = f"delivered again by the broker; it was {first} the first time"
            desk.answer(operator, name, done=before.done, detail=said, t_ns=now_ns)
            return
        refuse_undurable(command, desk)
        state.audit_budget.check(command, listed=listed, now_ns=now_ns)
        done, detail = _carry_out(command, assets=assets, desk=desk, now_ns=now_ns)
    except WireError as error:
        if command is not None and error.reason != "command_too_many":
            state.commands.note(command, done=False, listed=listed)
        if may_silence(name, command):
            about = getattr(command.body, "asset", "") if command is not None else ""
            refusal = Refusal(rule=error.reason, detail=str(error), asset=about, t_ns=now_ns)
            state.commands.refused(message, operator, name, refusal, desk=desk)
        if not message.retain:
            said = f"refused: {error}"
            desk.answer(operator, name, done=False, detail=said, rule=error.reason, t_ns=now_ns)
        raise
    state.commands.note(command, done=done, listed=listed)
    _count(state, "commands")
    if done:
        state.audit_budget.charge(command, listed=listed, now_ns=now_ns)
    else:
        _count(state, "commands_not_done")
        if command.keeps_quiet:
            about = getattr(command.body, "asset", "")
            refusal = Refusal(rule="not_done", detail=detail, asset=about, t_ns=now_ns)
            state.commands.refused(message, operator, name, refusal, desk=desk)
    rule = "" if done else "not_done"
    desk.answer(operator, name, done=done, detail=detail, rule=rule, t_ns=now_ns)


def _read(
    message: MessageReceived,
    operator: str,
    name: str,
    *,
    desk: Desk,
    state: EngineState,
    listed: frozenset[str],
    now_ns: int,
) -> Command:
    """A command whose signature, where it needs one, is its operator's. Raises WireError.

    One that comes before its time is refused, and remembered: whoever heard it must not bring it
    again once that has come.
    """
    try:
        command = decode_command(
            message.payload,
            topic=message.topic,
            operator=operator,
            name=name,
            retain=message.retain,
            now_ns=now_ns,
            doubted=desk.own_clock.doubted,
        )
    except EarlyCommandError as error:
        desk.check_signature(error.command)
        state.commands.note(error.command, done=False, listed=listed, early=True)
        raise
    desk.check_signature(command)
    return command


def _count(state: EngineState, name: str) -> None:
    state.counts[name] = state.counts.get(name, 0) + 1


def _carry_out(
    command: Command, *, assets: Mapping[str, Asset], desk: Desk, now_ns: int
) -> tuple[bool, str]:
    operator = command.operator
    match command.body:
        case Ack() as body:
            answer = _acknowledge(body, operator, assets=assets, desk=desk, now_ns=now_ns)
        case Feedback() as body:
            answer = _feedback(body, operator, assets=assets, desk=desk)
        case Confirm() as body:
            answer = _confirm(body, operator, assets=assets, desk=desk, now_ns=now_ns)
        case JobCommand() as body:
            answer = job_command(body, operator, assets=assets, desk=desk, now_ns=now_ns)
        case Shelve() as body:
            answer = _shelve(command, body, assets=assets, desk=desk, now_ns=now_ns)
        case OutOfService() as body:
            answer = _service(command, body, assets=assets, desk=desk, now_ns=now_ns)
        case Text() as body:
            unsigned = desk.lacks_signature(command)
            answer = _text(body, operator, unsigned=unsigned, assets=assets, desk=desk)
        case _:
            assert_never(command.body)
    return answer


SCADA_ACKS: Final = (
    'alerts are acknowledged in the SCADA here ([engine] ack_owner = "scada"); nothing was changed'
)


def _acknowledge(
    body: Ack, operator: str, *, assets: Mapping[str, Asset], desk: Desk, now_ns: int
) -> tuple[bool, str]:
    """An alert, or a group with every alert that it rings for."""
    if desk.settings.engine.scada_acks:
        return False, SCADA_ACKS
    covered = desk.annunciator.acknowledge(body.alert_id, operator=operator, t_ns=now_ns)
    if covered is not None:
        seen = [
            assets[name].acknowledge(alert_id, operator=operator, t_ns=now_ns)
            for name, alert_id in covered
        ]
        return True, f"acknowledged, with {sum(seen)} alerts that it rings for"
    done = any(
        asset.acknowledge(body.alert_id, operator=operator, t_ns=now_ns)
        for asset in assets.values()
    )
    return done, "acknowledged" if done else f"no alert {body.alert_id} waits for it"


def _feedback(
    body: Feedback, operator: str, *, assets: Mapping[str, Asset], desk: Desk
) -> tuple[bool, str]:
    alert_id = body.alert_id
    said = {
        "operator": operator,
        "alert": alert_id,
        "label": body.label,
        "note": seen_text(body.note),
    }
    desk.note("feedback", **said)
    known = [labelled(asset.state, alert_id, body.label) for asset in assets.values()]
    return True, "noted" if any(known) else f"noted; {alert_id} is no current alert"


def _text(
    body: Text, operator: str, *, unsigned: bool, assets: Mapping[str, Asset], desk: Desk
) -> tuple[bool, str]:
    """A line for the log of an asset; what it proposes is for a person to confirm.

    unsigned: a signature is required and not there; it is noted all the same, and says so.
    """
    if not desk.settings.texts:
        return False, "texts are not taken here: [kb] source is not configured"
    if body.asset not in assets:
        return False, f"no asset {body.asset}; there are {', '.join(sorted(assets))}"
    if not body.line:
        return False, "the text is empty"
    t_ns = body.ts * MILLISECOND_NS
    told = TextTold(
        asset=body.asset, operator=operator, t_ns=t_ns, text=body.line, unsigned=unsigned
    )
    desk.effects.append(told)
    noted = "noted as unsigned" if unsigned else "noted"
    said = f"{noted}; it is searched when the knowledge base has been updated"
    if not desk.settings.texts_zone and any(c.isdigit() for c in body.line):
        said += "; times in it are not read: [kb] timezone is not configured"
    return True, said


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
    done, detail = added(assets[proposal.asset], job, word=word)
    if done:
        audit_job(desk, "confirmed", job, operator, t_ns=now_ns, reason=body.reason)
    return done, detail


# --- silence by hand ---


def _shelve(
    command: Command, body: Shelve, *, assets: Mapping[str, Asset], desk: Desk, now_ns: int
) -> tuple[bool, str]:
    """Silence the track of an alert, a track, or all of an asset, for a bounded time."""
    operator = command.operator
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
            reason=seen_text(body.reason),
            begin_ns=now_ns,
            end_ns=until_ns(body.until, body.minutes, now_ns) or 0,
        ),
        longest_s=desk.settings.engine.shelve_s_max,
        topic=command.topic,
    )


def _service(
    command: Command, body: OutOfService, *, assets: Mapping[str, Asset], desk: Desk, now_ns: int
) -> tuple[bool, str]:
    """Take an asset out of service, with owner and end, or back in."""
    operator = command.operator
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
            owner=seen_text(body.owner) or operator,
            reason=seen_text(body.reason),
            begin_ns=now_ns,
            end_ns=until_ns(body.until, body.minutes, now_ns) or 0,
        ),
        longest_s=desk.settings.engine.out_of_service_s_max,
        topic=command.topic,
    )


def _silence(asset: Asset, silence: Silence, *, longest_s: int, topic: str) -> tuple[bool, str]:
    """Begin a silence. Raises WireError where it lacks a reason, or an end in time."""
    lasts_ns = silence.end_ns - silence.begin_ns
    if not silence.reason:
        raise WireError("it needs a reason", reason="command_unreasoned", topic=topic)
    if not 0 < lasts_ns <= longest_s * SECOND_NS:
        message = f"it needs an end, until or minutes, at most {longest_s / 3600:g} h from now"
        reason = "command_too_long" if lasts_ns > 0 else "command_invalid"
        raise WireError(message, reason=reason, topic=topic)
    put(asset.state.silences, silence)
    word = silence.kind.replace("_", " ")
    what = f"{asset.model.asset} {silence.track}" if silence.track else asset.model.asset
    return True, f"{what}: {word} for {lasts_ns // MINUTE_NS} min"
