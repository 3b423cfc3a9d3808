"""Announcing: an alert, a list of jobs or a score as the messages that leave.

No decision is made here.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from edge.alerts import explain
from edge.alerts.alerts import AlertState
from edge.alerts.rationale import audience, of_record
from edge.records import Publish, Track, Verdict
from edge.samples.sensor_faults import SENSOR_CLASSES
from edge.wire import outgoing as out
from edge.wire.topics import Topics
from edge.work.jobs import Stage
from models.fitting.thresholds import FLAG_SCORE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge.alerts.alerts import AlertRecord, Resemblance, Sentence
    from edge.records import ShellFault
    from edge.settings import AssetSettings, EngineSettings, GatewaySettings
    from edge.state import AssetState
    from edge.work.jobs import JobRun
    from kb.records import Citation, Proposal
    from models.bundles.bundle import AssetModel

MILLISECOND_NS: Final = 1_000_000
SEVERITIES: Final = ((800, "CRITICAL", 1), (600, "HIGH", 2), (400, "MEDIUM", 3), (0, "LOW", 4))
ANNOTATED_SEVERITY_MAX: Final = 399  # rings at lower priority


def alert(
    record: AlertRecord,
    settings: AssetSettings,
    *,
    site: GatewaySettings,
    lineage: dict[str, str],
) -> list[Publish]:
    """One revision on its topics.

    The flat state, the full event, and the suppression where there is one.
    """
    topics = Topics(site.prefix, site.site)
    key = (record.alert_id, record.revision)
    flat = _fields(record, settings, site)
    event = out.EventPayload(
        **{**flat, "schema": out.EVENT_SCHEMA},
        clauses=_clauses(record),
        contributions=tuple(
            out.ContributionPayload(
                channel=part.channel,
                unit=part.unit,
                share=round(part.share, 4),
                value=_finite(part.value),
                usual_low=_finite(part.usual_low),
                usual_high=_finite(part.usual_high),
                direction=part.direction,
            )
            for part in record.contributions
        ),
        explanation=tuple(_sentence(sentence) for sentence in record.sentences),
        resembles=tuple(_resemblance(one) for one in record.resembles),
        explained=record.explained,
        history=tuple(
            out.TurnPayload(
                revision=turn.revision,
                ts_ms=turn.t_ns // MILLISECOND_NS,
                state=told_state(turn.state, site.engine),
                decision=turn.verdict or "",
                reason=turn.reason,
            )
            for turn in record.history
        ),
        lineage=dict(lineage),
    )
    messages = [
        _durable(
            topics.alert(record.asset, record.track), out.AlertPayload(**flat), key, retain=True
        ),
        _durable(topics.event(record.asset), event, key, retain=False),
    ]
    if record.suppressed or record.was_suppressed:
        listed = _suppressed(record, flat)
        messages.append(_durable(topics.suppressed(record.asset), listed, key, retain=False))
    return messages


def _fields(record: AlertRecord, settings: AssetSettings, site: GatewaySettings) -> dict[str, Any]:
    severity_num = severity_now(record, settings)
    severity, priority = severity_of(severity_num)
    top = record.contributions[0] if record.contributions else None
    cited = [sentence for sentence in record.sentences if sentence.citation is not None]
    first = next((s for s in cited if s.role == "check_first"), cited[0] if cited else None)
    means = of_record(record, settings)
    return {
        "schema": out.ALERT_SCHEMA,
        "id": record.alert_id,
        "revision": record.revision,
        "site": site.site,
        "area": settings.area,
        "asset": record.asset,
        "functional_location": settings.functional_location,
        "track": record.track,
        "klass": record.klass,
        "state": told_state(record.state, site.engine),
        "active": int(record.rings),
        "acked": int(record.acked and not site.engine.scada_acks),
        "suppressed": int(record.suppressed),
        "shelved": int(record.shelved),
        "out_of_service": int(record.out_of_service),
        "suppressed_or_shelved": int(record.silenced),
        "severity": severity,
        "severity_num": severity_num,
        "priority": priority,
        "audience": audience(means, shadow=record.shadow),
        "decision": record.decision.verdict if record.decision else "",
        "job_id": record.job_id,
        "rings_again_ms": record.rings_again_ns // MILLISECOND_NS or None,
        "score": _finite(record.score),
        "threshold": record.threshold,
        "ts": iso(record.changed_ns),
        "ts_ms": record.changed_ns // MILLISECOND_NS,
        "begin_ms": record.begin_ns // MILLISECOND_NS,
        "first_seen": iso(record.begin_ns),
        "count": record.count,
        "rings": 0 if record.shadow else record.rung,
        "message": explain.headline(record),
        "top_channel": top.channel if top else "",
        "top_value": _finite(top.value) if top else None,
        "top_unit": top.unit if top else "",
        "usual_low": _finite(top.usual_low) if top else None,
        "usual_high": _finite(top.usual_high) if top else None,
        "advice": means.action or _advice(record.sentences),
        "source": _source(first.citation) if first and first.citation else "",
        "respond_min": means.respond_min,
        "sensor_class": SENSOR_CLASSES.get(top.direction, "") if top else "",
        "group_id": record.group_id,
        "annunciate": int(record.annunciates),
        "shadow": int(record.shadow),
        "fault_class": record.fault.name if record.fault else "",
        "fault_probability": round(record.fault.probability, 3) if record.fault else None,
    }


def told_state(state: AlertState, engine: EngineSettings) -> str:
    """A state as it is published: where the SCADA acknowledges, what was seen is not told."""
    if not engine.scada_acks:
        return state
    return "ACTIVE" if state in (AlertState.ACTIVE_UNACK, AlertState.ACTIVE_ACK) else "NORMAL"


def severity_now(record: AlertRecord, settings: AssetSettings) -> int:
    """The severity that an alert has as it stands, 1 to 1000."""
    severity_num = of_record(record, settings).severity or settings.severity
    annotated = record.decision is not None and record.decision.verdict is Verdict.ANNOTATED
    if annotated:
        severity_num = min(severity_num, ANNOTATED_SEVERITY_MAX)
    return a_class_higher(severity_num) if record.escalated else severity_num


def severity_of(severity_num: int) -> tuple[str, int]:
    """The class of a severity of 0 to 1000, and its priority, 1 the highest."""
    _, severity, priority = next(row for row in SEVERITIES if severity_num >= row[0])
    return severity, priority


def a_class_higher(severity_num: int) -> int:
    """The lowest severity of the next class; that of the highest class stays."""
    return min((row[0] for row in SEVERITIES if row[0] > severity_num), default=severity_num)


def _suppressed(record: AlertRecord, flat: dict[str, Any]) -> out.SuppressedPayload:
    return out.SuppressedPayload(
        id=record.alert_id,
        revision=record.revision,
        asset=record.asset,
        track=record.track,
        suppressed=int(record.suppressed),
        job_id=record.job_id,
        rings_again_ms=flat["rings_again_ms"],
        ts_ms=flat["ts_ms"],
        reason=record.history[-1].reason if record.history else "",
        message=flat["message"],
        clauses=_clauses(record),
    )


def jobs(
    state: AssetState, proposals: Sequence[Proposal], *, site: GatewaySettings, t_ns: int
) -> Publish:
    """The full list of an asset's jobs, of proposals that nobody has witnessed, and of silences."""
    witnessed = {run.job.job_id for run in state.runs}
    payload = out.JobsPayload(
        asset=state.asset,
        ts_ms=t_ns // MILLISECOND_NS,
        jobs=tuple(_job(run) for run in state.runs),
        proposals=tuple(
            _proposal(proposal) for proposal in proposals if proposal.proposal_id not in witnessed
        ),
        silences=tuple(
            out.SilencePayload(
                kind=silence.kind,
                track=silence.track or "",
                operator=silence.operator,
                owner=silence.owner,
                reason=silence.reason,
                begin_ms=silence.begin_ns // MILLISECOND_NS,
                end_ms=silence.end_ns // MILLISECOND_NS,
            )
            for silence in state.silences
        ),
    )
    topic = Topics(site.prefix, site.site).job(state.asset)
    return Publish(topic=topic, payload=out.encode(payload), qos=1, retain=True)


def _job(run: JobRun) -> out.JobPayload:
    job = run.job
    return out.JobPayload(
        job_id=job.job_id,
        kind=job.kind,
        instrument=job.functional_location,
        state=job.state,
        witness=job.witness,
        opened_by=job.opened_by,
        source=job.source,
        valid_from_ms=job.valid_from_ns // MILLISECOND_NS,
        valid_to_ms=None if job.valid_to_ns is None else job.valid_to_ns // MILLISECOND_NS,
        fuse_ms=run.fuse_end_ns // MILLISECOND_NS if run.stage is not Stage.SCHEDULED else None,
        scope=job.scope,
        quotes=job.quotes,
        told_ms=run.told_ns // MILLISECOND_NS,
        extensions=tuple(
            out.ExtensionPayload(
                operator=extension.operator,
                ts_ms=extension.t_ns // MILLISECOND_NS,
                until_ms=extension.until_ns // MILLISECOND_NS,
                reason=extension.reason,
            )
            for extension in run.extensions
        ),
    )


def _proposal(proposal: Proposal) -> out.JobPayload:
    begin, end = proposal.valid_from_ns, proposal.valid_to_ns
    return out.JobPayload(
        job_id=proposal.proposal_id,
        kind=proposal.kind,
        instrument=proposal.instrument,
        state="proposed",
        witness="",
        opened_by="",
        source=proposal.source,
        valid_from_ms=None if begin is None else begin // MILLISECOND_NS,
        valid_to_ms=None if end is None else end // MILLISECOND_NS,
        fuse_ms=None,
        scope=(),
        quotes=(proposal.citation.quote,),
    )


def score(model: AssetModel, value: float, *, site: GatewaySettings, t_ns: int) -> Publish:
    """A decimated score."""
    payload = out.ScorePayload(
        asset=model.asset,
        ts_ms=t_ns // MILLISECOND_NS,
        score=_finite(value),
        threshold=model.threshold_on,
        flag=int(value >= FLAG_SCORE) if math.isfinite(value) else None,
    )
    topic = Topics(site.prefix, site.site).score(model.asset)
    return Publish(topic=topic, payload=out.encode(payload), qos=0, retain=False)


def result(operator: str, payload: out.ResultPayload, *, site: GatewaySettings) -> Publish:
    """The answer to an operator."""
    topic = Topics(site.prefix, site.site).command_result(operator)
    return Publish(topic=topic, payload=out.encode(payload), qos=1, retain=False)


def system(fault: ShellFault, *, site: GatewaySettings, t_ns: int) -> Publish:
    """Our own trouble."""
    payload = out.SystemPayload(
        active=int(fault.active),
        name=fault.name,
        message=fault.detail,
        ts_ms=t_ns // MILLISECOND_NS,
    )
    topic = Topics(site.prefix, site.site).alert("_gateway", Track.SYSTEM)
    return Publish(topic=topic, payload=out.encode(payload), qos=1, retain=True)


def iso(t_ns: int) -> str:
    """A plant time as ISO 8601, UTC, milliseconds."""
    moment = datetime.fromtimestamp(t_ns // 1_000_000_000, tz=UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{t_ns // MILLISECOND_NS % 1000:03d}Z"


def _durable(topic: str, payload: Any, key: tuple[str, int], *, retain: bool) -> Publish:  # noqa: ANN401
    return Publish(topic=topic, payload=out.encode(payload), qos=1, retain=retain, key=key)


def _clauses(record: AlertRecord) -> tuple[out.ClausePayload, ...]:
    clauses = record.decision.clauses if record.decision else ()
    return tuple(
        out.ClausePayload(name=clause.name, outcome=clause.outcome, detail=clause.detail)
        for clause in clauses
    )


def _sentence(sentence: Sentence) -> out.SentencePayload:
    return out.SentencePayload(
        role=sentence.role,
        text=sentence.text,
        citation=_citation(sentence.citation),
        quoted=sentence.quoted,
    )


def _resemblance(one: Resemblance) -> out.ResemblancePayload:
    return out.ResemblancePayload(
        kind=one.kind,
        mode_id=one.mode_id,
        name=one.name,
        score=round(one.score, 4),
        reason=one.reason,
        citation=_citation(one.citation),
    )


def _citation(cited: Citation | None) -> out.CitationPayload | None:
    if cited is None:
        return None
    return out.CitationPayload(
        doc_id=cited.doc_id,
        revision=cited.revision,
        chunk_id=str(cited.chunk_id),
        start=cited.start,
        end=cited.end,
        sha256=cited.sha256,
        quote=cited.quote,
    )


def _advice(sentences: Sequence[Sentence]) -> str:
    return next((s.text for s in sentences if s.role == "check_first"), "")


def _source(citation: Citation) -> str:
    return f"{citation.doc_id}@{citation.revision}#{citation.chunk_id}"


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
