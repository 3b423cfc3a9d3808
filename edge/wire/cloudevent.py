"""The payload of an event as a CloudEvent."""

from __future__ import annotations

from typing import Final

import msgspec

from edge.wire.outgoing import EventPayload

TYPE: Final = "andon.event.1"


class Envelope(msgspec.Struct, frozen=True, kw_only=True):
    """The attributes of CloudEvents 1.0; source and id together name the revision."""

    specversion: str = "1.0"
    id: str  # of the alert, a slash and the revision
    source: str
    type: str = TYPE
    subject: str  # the track
    time: str
    datacontenttype: str = "application/json"


class CloudEventPayload(Envelope, frozen=True, kw_only=True):
    """cloudevent/{asset}: an event in that envelope."""

    data: EventPayload


class WrappedEvent(Envelope, frozen=True, kw_only=True):
    """The same, where the event is bytes already."""

    data: msgspec.Raw
