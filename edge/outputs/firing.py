"""An alert of ours as Alertmanager has them: labels that say which it is, annotations that explain.

What changes while an alert rings is no label, but for its severity: another severity is another
alert there, since routes go by it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import msgspec

from edge.alerts.announce import iso
from edge.wire.topics import Topics

if TYPE_CHECKING:
    from edge.configuration.config import GatewayConfig

MILLISECOND_NS: Final = 1_000_000
CHARS_MAX: Final = 1_000  # of an annotation
SYSTEM_SEVERITY: Final = "MEDIUM"  # of our own troubles, which name none

Labels: TypeAlias = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Fired:
    """An alert that rings."""

    labels: Labels
    annotations: dict[str, str]
    begin_ms: int


class _Alert(msgspec.Struct, frozen=True, kw_only=True):
    """What is read of an alert topic: flat alerts, those of groups, and our own troubles."""

    active: int
    message: str
    ts_ms: int
    name: str = ""  # of a trouble of ours
    id: str = ""
    revision: int = 0
    area: str = ""
    asset: str = ""
    functional_location: str = ""
    track: str = ""
    klass: str = msgspec.field(name="class", default="")
    severity: str = SYSTEM_SEVERITY
    audience: str = "engineer"
    begin_ms: int = 0
    score: float | None = None
    threshold: float | None = None
    top_channel: str = ""
    top_value: float | None = None
    top_unit: str = ""
    usual_low: float | None = None
    usual_high: float | None = None
    advice: str = ""
    source: str = ""
    respond_min: int = 0
    group_id: str = ""
    annunciate: int = 1
    cause_kind: str = ""  # of a group


_DECODER: Final = msgspec.json.Decoder(_Alert)


def head_of(config: GatewayConfig) -> str:
    """How topics of alerts begin."""
    return Topics(config.prefix, config.site).alerts


def fired_of(payload: bytes, *, site: str) -> Fired | None:
    """The alert in a payload; None where nothing rings, or its group rings for it.

    Raises ValueError for what is no alert of ours.
    """
    if not payload:
        return None
    alert = _DECODER.decode(payload)
    if not alert.active or (alert.group_id and not alert.annunciate):
        return None
    kind = "Gateway" if alert.name else "Group" if alert.cause_kind else alert.track.capitalize()
    labels = {
        "alertname": f"Andon{kind}",
        "site": site,
        "area": alert.area,
        "asset": alert.asset or "_gateway",
        "track": alert.track or "system",
        "trouble": alert.name,
        "class": alert.klass,
        "severity": alert.severity,
        "audience": alert.audience,
    }
    annotations = {
        "summary": alert.message,
        "action": alert.advice,
        "source": alert.source,
        "id": alert.id,
        "functional_location": alert.functional_location,
        "value": _measured(alert),
        "usual": _range(alert),
        "score": _number(alert.score),
        "threshold": _number(alert.threshold),
        "respond_min": str(alert.respond_min or ""),
        "ts": iso(alert.ts_ms * MILLISECOND_NS),
    }
    return Fired(
        labels=tuple((name, value) for name, value in labels.items() if value),
        annotations={name: text[:CHARS_MAX] for name, text in annotations.items() if text},
        begin_ms=alert.begin_ms or alert.ts_ms,
    )


def posted(fired: Fired, *, begin_ms: int, now_ms: int, end_ms: int) -> dict[str, Any]:
    """As Alertmanager takes it. It refuses what ends before it begins.

    All times are of a clock on the wall.
    """
    begins_ms = min(begin_ms, now_ms, end_ms)
    return {
        "labels": dict(fired.labels),
        "annotations": fired.annotations,
        "startsAt": iso(begins_ms * MILLISECOND_NS),
        "endsAt": iso(end_ms * MILLISECOND_NS),
    }


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"


def _measured(alert: _Alert) -> str:
    if alert.top_value is None:
        return alert.top_channel
    return f"{alert.top_channel} {_number(alert.top_value)} {alert.top_unit}".strip()


def _range(alert: _Alert) -> str:
    if alert.usual_low is None or alert.usual_high is None:
        return ""
    return f"{_number(alert.usual_low)} to {_number(alert.usual_high)} {alert.top_unit}".strip()
