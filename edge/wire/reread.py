"""What a gateway has published, read again by whoever shows it: bytes to the same structs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from edge.errors import UNREADABLE, WireError
from edge.wire.outgoing import (
    AlertPayload,
    EventPayload,
    GroupAlertPayload,
    GroupPayload,
    HealthPayload,
    JobsPayload,
    ResultPayload,
    ScorePayload,
    StatusPayload,
    SuppressedPayload,
    SystemPayload,
)

if TYPE_CHECKING:
    from edge.wire.topics import Topics

PUBLISHED_BYTES_MAX: Final = 4 << 20
Published = (
    AlertPayload
    | EventPayload
    | GroupAlertPayload
    | GroupPayload
    | HealthPayload
    | JobsPayload
    | ResultPayload
    | ScorePayload
    | StatusPayload
    | SuppressedPayload
    | SystemPayload
)
_BY_KIND: Final[dict[str, type[Published]]] = {
    "status": StatusPayload,
    "health": HealthPayload,
    "alert": AlertPayload,
    "group": GroupPayload,
    "event": EventPayload,
    "suppressed": SuppressedPayload,
    "job": JobsPayload,
    "score": ScorePayload,
    "cmd_result": ResultPayload,
}
_UNDER_ALERT: Final[dict[str, type[Published]]] = {
    "_group": GroupAlertPayload,
    "_gateway": SystemPayload,
}
_LEVELS: Final = {"status": 0, "health": 0, "alert": 2}  # below the kind; 1 of all others
_DECODERS: Final[dict[type[Published], msgspec.json.Decoder[Published]]] = {
    kind: msgspec.json.Decoder(kind)
    for kind in (*_BY_KIND.values(), GroupAlertPayload, SystemPayload)
}


def kind_of(topic: str, topics: Topics) -> type[Published] | None:
    """What a topic of a gateway holds; None for topics that nobody shows."""
    head = f"{topics.root}/"
    if not topic.startswith(head):
        return None
    kind, *names = topic.removeprefix(head).split("/")
    found = _BY_KIND.get(kind)
    if found is None or len(names) != _LEVELS.get(kind, 1) or not all(names):
        return None
    if kind == "alert" and names[0].startswith("_"):
        return _UNDER_ALERT.get(names[0])
    return found


def reread(payload: bytes, *, topic: str, topics: Topics) -> Published | None:
    """The payload of a topic of ours; None for a topic that nobody shows.

    Fields that we do not know are left out: the gateway may be newer than who shows it. Raises
    WireError for what no gateway of ours has published.
    """
    kind = kind_of(topic, topics)
    if kind is None:
        return None
    if len(payload) > PUBLISHED_BYTES_MAX:
        raise WireError(f"over {PUBLISHED_BYTES_MAX} B", reason="published_oversize", topic=topic)
    try:
        return _DECODERS[kind].decode(payload)
    except UNREADABLE as error:
        expected = f"{error}; expected what a gateway publishes there"
        raise WireError(expected, reason="published_unreadable", topic=topic) from error
