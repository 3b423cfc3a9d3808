"""Rows as the page lists them: what of a payload a list needs, and whether it is listed at all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from edge.wire.outgoing import LoadPayload

if TYPE_CHECKING:
    from edge.wire.outgoing import AlertFields, HealthPayload

BLIND_MAX: Final = 200  # that are named; all are counted
QUIET: Final = ("NORMAL", "CLEARED_ACK")


class AlertRow(msgspec.Struct, frozen=True, kw_only=True):
    """An alert as lists show it. members: of a group, else null."""

    id: str
    revision: int
    asset: str
    area: str
    track: str
    state: str
    active: int
    acked: int
    suppressed: int
    shelved: int
    out_of_service: int
    severity: str
    severity_num: int
    priority: int
    audience: str
    decision: str
    job_id: str
    rings_again_ms: int | None
    score: float | None
    threshold: float
    ts_ms: int
    begin_ms: int
    count: int
    rings: int
    message: str
    top_channel: str
    top_value: float | None
    top_unit: str
    usual_low: float | None
    usual_high: float | None
    advice: str
    respond_min: int
    sensor_class: str
    group_id: str
    annunciate: int
    shadow: int
    fault_class: str
    members_total: int | None = None
    members_active: int | None = None


_OF_ALERT: Final = tuple(n for n in AlertRow.__struct_fields__ if not n.startswith("members"))


class HealthRow(msgspec.Struct, frozen=True, kw_only=True):
    """How the gateway is, as the status strip shows it."""

    ts_ms: int
    plant_ms: int
    uptime_s: float
    messages_per_s: float
    queue_depth: int
    lag_ms: float | None
    rss_mb: float
    outbox_pending: int
    dropped: int  # of all reasons
    drops: dict[str, int]
    blind: tuple[str, ...]
    blind_total: int
    durable: int
    not_durable: str
    learning: int
    in_shadow: int
    drifting: int
    stale: int
    chattering: int
    snapshot: str
    load: tuple[LoadPayload, ...]


def listed(said: AlertFields) -> bool:
    """Whether a list has to show it: it rings, waits for somebody, or something keeps it quiet."""
    return said.state not in QUIET or bool(said.suppressed_or_shelved)


def alert_row(said: AlertFields) -> AlertRow:
    """What lists show of an alert, or of a group of them."""
    return AlertRow(
        **{name: getattr(said, name) for name in _OF_ALERT},
        members_total=getattr(said, "members_total", None),
        members_active=getattr(said, "members_active", None),
    )


def health_row(said: HealthPayload) -> HealthRow:
    """What the status strip shows of a report of health."""
    return HealthRow(
        ts_ms=said.ts_ms,
        plant_ms=said.plant_ms,
        uptime_s=said.uptime_s,
        messages_per_s=said.messages_per_s,
        queue_depth=said.queue_depth,
        lag_ms=said.lag_ms,
        rss_mb=said.rss_mb,
        outbox_pending=said.outbox_pending,
        dropped=sum(said.drops.values()),
        drops=said.drops,
        blind=said.blind[:BLIND_MAX],
        blind_total=len(said.blind),
        durable=said.durable,
        not_durable=said.not_durable,
        learning=said.learning,
        in_shadow=said.in_shadow,
        drifting=said.drifting,
        stale=len(said.stale),
        chattering=len(said.chattering),
        snapshot=said.snapshot,
        load=said.load,
    )
