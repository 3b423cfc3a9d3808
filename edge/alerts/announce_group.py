"""Announcing a group alert: one revision as the messages that leave. No decision is made here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from edge.alerts.announce import iso, severity_of, told_state
from edge.alerts.causes import topic_of
from edge.alerts.group import GROUP
from edge.alerts.rationale import audience, rationale
from edge.caps import MEMBERS_LISTED_MAX
from edge.records import Publish
from edge.wire import outgoing as out
from edge.wire.topics import Topics

if TYPE_CHECKING:
    from edge.alerts.group import Group, Member
    from edge.settings import AssetSettings, GatewaySettings

MILLISECOND_NS: Final = 1_000_000
CLASS: Final = "alarm flood"
WORDS: Final = {"utility": "utility", "line": "line", "area": "area", "time": "time alone"}


def group(found: Group, *, site: GatewaySettings) -> list[Publish]:
    """The flat alert and the list of its members, both under the id and revision of the group."""
    topics, cause = Topics(site.prefix, site.site), topic_of(found.cause)
    key = (found.group_id, found.revision)
    payloads = (
        (topics.alert(GROUP, cause), _flat(found, site)),
        (topics.group(cause), _list(found, site)),
    )
    return [
        Publish(topic=topic, payload=out.encode(payload), qos=1, retain=True, key=key)
        for topic, payload in payloads
    ]


def _flat(found: Group, site: GatewaySettings) -> out.GroupAlertPayload:
    first = found.first_out
    settings: AssetSettings = site.of_asset(first.asset)
    severity, priority = severity_of(found.severity)
    active = sum(not member.over_ns for member in found.members)
    return out.GroupAlertPayload(
        schema=out.ALERT_SCHEMA,
        id=found.group_id,
        revision=found.revision,
        site=site.site,
        area=found.name if found.kind == "area" else settings.area,
        asset=GROUP,
        functional_location=found.name if found.kind == "line" else "",
        track=topic_of(found.cause),
        klass=CLASS,
        state=told_state(found.state, site.engine),
        active=int(found.active),
        acked=int(found.acked and not site.engine.scada_acks),
        suppressed=0,
        shelved=0,
        out_of_service=0,
        suppressed_or_shelved=0,
        severity=severity,
        severity_num=found.severity,
        priority=priority,
        audience=_audience(found, site),
        decision="ALERT",
        job_id="",
        rings_again_ms=None,
        score=None,
        threshold=0.0,
        ts=iso(found.changed_ns),
        ts_ms=found.changed_ns // MILLISECOND_NS,
        begin_ms=first.begin_ns // MILLISECOND_NS,
        first_seen=iso(first.begin_ns),
        count=found.count,
        rings=1,
        message=_message(found, active),
        top_channel=first.channel,
        top_value=None,
        top_unit="",
        usual_low=None,
        usual_high=None,
        advice=rationale(settings, first.track, first.channel).action,
        source="",
        respond_min=found.respond_min,
        annunciate=int(found.active),
        cause_kind=found.kind,
        cause=found.name,
        first_out_asset=first.asset,
        first_out_channel=first.channel,
        first_out_id=first.alert_id,
        members_total=len(found.members) + found.lost,
        members_active=active,
    )


def _audience(found: Group, site: GatewaySettings) -> str:
    """An operator's where one of what it rings for is; nobody's alerts are hidden in a group."""
    rings = [member.ring for member in found.members]
    means = (rationale(site.of_asset(r.asset), r.track, r.channel) for r in rings)
    return (
        "operator" if not rings or any(audience(one) == "operator" for one in means) else "engineer"
    )


def _message(found: Group, active: int) -> str:
    if not found.members:
        return f"group alert of {WORDS[found.kind]} {found.name}".strip() + ", not known any more"
    first, assets = found.first_out, len({member.ring.asset for member in found.members})
    shared = f"{WORDS[found.kind]} {found.name}".strip()
    channel = f" ({first.channel})" if first.channel else ""
    head = f"{assets} assets, common {shared}; first out {first.asset}{channel}"
    return f"{head} at {iso(first.begin_ns)}; {active} of its alerts active"


def _list(found: Group, site: GatewaySettings) -> out.GroupPayload:
    first = found.first_out
    members = sorted(
        found.members, key=lambda m: (m.ring.begin_ns, m.ring.t_ns, m.ring.asset, m.ring.track)
    )
    return out.GroupPayload(
        schema=out.GROUP_SCHEMA,
        id=found.group_id,
        revision=found.revision,
        state=told_state(found.state, site.engine),
        active=int(found.active),
        cause_kind=found.kind,
        cause=found.name,
        first_out_asset=first.asset,
        first_out_channel=first.channel,
        ts_ms=found.changed_ns // MILLISECOND_NS,
        reason=found.reason,
        members_total=len(found.members) + found.lost,
        members=tuple(_member(member) for member in members[:MEMBERS_LISTED_MAX]),
    )


def _member(member: Member) -> out.MemberPayload:
    ring = member.ring
    return out.MemberPayload(
        id=ring.alert_id,
        count=ring.count,
        asset=ring.asset,
        track=ring.track,
        top_channel=ring.channel,
        severity_num=ring.severity,
        begin_ms=ring.begin_ns // MILLISECOND_NS,
        rang_ms=ring.t_ns // MILLISECOND_NS,
        over_ms=member.over_ns // MILLISECOND_NS or None,
    )
