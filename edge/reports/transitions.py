"""One published revision of an alert, as far as reports need it."""

from __future__ import annotations

from typing import Final

import msgspec

from edge.errors import UNREADABLE

MESSAGE_CHARS_MAX: Final = 200
MEMBERS_MAX: Final = 500
GROUP_ASSET: Final = "_group"
GATEWAY_ASSET: Final = "_gateway"


class Transition(msgspec.Struct, frozen=True, kw_only=True):
    """A revision. t_ms, begin_ms: plant time. members: assets of a group, of which it rings."""

    t_ms: int = msgspec.field(name="ts_ms")
    asset: str
    track: str
    id: str
    revision: int
    state: str
    count: int
    rings: int
    begin_ms: int
    active: int
    acked: int
    suppressed: int = 0
    shelved: int = 0
    out_of_service: int = 0
    annunciate: int = 0
    shadow: int = 0
    severity: str = ""
    priority: int = 0
    decision: str = ""
    job_id: str = ""
    rings_again_ms: int | None = None
    message: str = ""
    top_channel: str = ""
    sensor_class: str = ""
    group_id: str = ""
    members: tuple[str, ...] = ()

    @property
    def topic(self) -> tuple[str, str]:
        """What it is a state of."""
        return self.asset, self.track

    @property
    def event(self) -> tuple[str, str, str, int]:
        """Which event it is about: an id comes again with another count."""
        return self.asset, self.track, self.id, self.count


class _Member(msgspec.Struct):
    """Of a group's member only whose it is."""

    asset: str


class Members(msgspec.Struct):
    """Of a group's list only who is in it, under the id and revision of its alert."""

    id: str
    revision: int
    members: tuple[_Member, ...] = ()

    @property
    def assets(self) -> tuple[str, ...]:
        """Each asset once, by name."""
        return tuple(sorted({one.asset for one in self.members[:MEMBERS_MAX]}))


_ALERT: Final = msgspec.json.Decoder(Transition)
_MEMBERS: Final = msgspec.json.Decoder(Members)


def transition(payload: bytes, *, asset: str, track: str) -> Transition | None:
    """A revision from the bytes that were published; None for what is none.

    asset, track: as the topic has them, which names a group by its cause.
    """
    try:
        found = _ALERT.decode(payload)
    except UNREADABLE:
        return None
    message = found.message
    if len(message) > MESSAGE_CHARS_MAX:
        message = message[: MESSAGE_CHARS_MAX - 1] + "\u2026"
    return msgspec.structs.replace(found, asset=asset, track=track, message=message)


def members(payload: bytes) -> Members | None:
    """The list of a group's members; None for what is none."""
    try:
        return _MEMBERS.decode(payload)
    except UNREADABLE:
        return None
