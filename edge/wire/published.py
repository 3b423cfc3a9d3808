"""What is published on which kind of topic, and its JSON Schemas, generated from the types."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from edge.wire import outgoing as out
from edge.wire.cloudevent import CloudEventPayload
from edge.wire.commissioning import CommissioningPayload
from edge.wire.fence import FencePayload

PAYLOADS: Final[dict[str, type[msgspec.Struct]]] = {
    "status": out.StatusPayload,
    "fence": FencePayload,
    "alert": out.AlertPayload,
    "alert_group": out.GroupAlertPayload,
    "group": out.GroupPayload,
    "event": out.EventPayload,
    "suppressed": out.SuppressedPayload,
    "job": out.JobsPayload,
    "score": out.ScorePayload,
    "system": out.SystemPayload,
    "cmd_result": out.ResultPayload,
    "health": out.HealthPayload,
    "commissioning": CommissioningPayload,
    "cloudevent": CloudEventPayload,
}


def schemas() -> dict[str, Any]:
    """JSON Schemas of every payload by kind of topic; shared definitions under "$defs"."""
    found, definitions = msgspec.json.schema_components(PAYLOADS.values())
    return {**dict(zip(PAYLOADS, found, strict=True)), "$defs": definitions}
