"""What Sparkplug B is told of an asset: a folder of metrics a track, and the score of the process.

    Anomaly/Active   process track      Sensor/Active   sensor track      Comms/Active   comms track

All are null until they are known, and again when the broker is to forget the alert. Times are plant
time, of the alert or the score.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import msgspec

from edge.wire.sparkplug_node import Kind, Told
from edge.wire.sparkplug_writing import BOOLEAN_TYPE, DOUBLE_TYPE, INT32_TYPE, STRING_TYPE

FOLDERS: Final = {"process": "Anomaly", "sensor": "Sensor", "comms": "Comms"}  # by track
SCORE: Final = "Anomaly/Score"
THRESHOLD: Final = "Anomaly/Threshold"
# metric below the folder of its track, datatype, field of the alert
_OF_ALERT: Final = (
    ("Active", BOOLEAN_TYPE, "active"),
    ("State", STRING_TYPE, "state"),
    ("Severity", INT32_TYPE, "severity_num"),
    ("Priority", INT32_TYPE, "priority"),
    ("Class", STRING_TYPE, "klass"),
    ("Reason", STRING_TYPE, "message"),
    ("Advice", STRING_TYPE, "advice"),
    ("Channel", STRING_TYPE, "top_channel"),
    ("AlertId", STRING_TYPE, "id"),
    ("Acknowledged", BOOLEAN_TYPE, "acked"),
    ("Suppressed", BOOLEAN_TYPE, "suppressed"),
    ("Shelved", BOOLEAN_TYPE, "shelved"),
    ("OutOfService", BOOLEAN_TYPE, "out_of_service"),
)
KINDS: Final = (
    Kind(SCORE, DOUBLE_TYPE),
    Kind(THRESHOLD, DOUBLE_TYPE),
    *(
        Kind(f"{folder}/{metric}", datatype)
        for folder in FOLDERS.values()
        for metric, datatype, _ in _OF_ALERT
    ),
)


class _Alert(msgspec.Struct, frozen=True, kw_only=True):
    """What is read of an alert."""

    active: int
    state: str
    severity_num: int
    priority: int
    message: str
    id: str
    acked: int
    suppressed: int
    shelved: int
    out_of_service: int
    ts_ms: int
    klass: str = msgspec.field(name="class")
    advice: str = ""
    top_channel: str = ""


class _Score(msgspec.Struct, frozen=True):
    """What is read of a score."""

    ts_ms: int
    threshold: float
    score: float | None = None


class Values(NamedTuple):
    """Values by metric, and since when they hold."""

    values: dict[str, Told]
    t_ms: int


_ALERTS: Final = msgspec.json.Decoder(_Alert)
_SCORES: Final = msgspec.json.Decoder(_Score)


def of_alert(track: str, payload: bytes, *, now_ms: int) -> Values:
    """Metrics of a track; payload empty: the alert is forgotten, now.

    Raises ValueError or msgspec.MsgspecError for what is no alert of ours.
    """
    folder = FOLDERS[track]
    if not payload:
        return Values({f"{folder}/{metric}": None for metric, _, _ in _OF_ALERT}, now_ms)
    alert = _ALERTS.decode(payload)
    return Values(
        {f"{folder}/{metric}": getattr(alert, field) for metric, _, field in _OF_ALERT},
        alert.ts_ms,
    )


def of_score(payload: bytes) -> Values:
    """The score and what it is held against. Raises as `of_alert`."""
    score = _SCORES.decode(payload)
    return Values({SCORE: score.score, THRESHOLD: score.threshold}, score.ts_ms)
