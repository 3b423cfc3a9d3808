"""What health says of more than the gateway can take, and of topics that it does not read."""

from __future__ import annotations

import msgspec


class OverloadPayload(msgspec.Struct, frozen=True, kw_only=True):
    """Messages given up before they were accepted, since the start; long lists are cut.

    active: 1 while it goes on. queue_limit: messages that may wait now. set_aside: topics whose
    messages could not be read too often, with the newest reason.
    """

    active: int = 0
    queue_limit: int = 0
    queue_bytes: int = 0
    turn_messages_max: int = 0  # that the loop takes at once now
    shed: int = 0
    shed_by_importance: dict[str, int] = {}
    shed_by_asset: dict[str, int] = {}  # those with most
    shed_assets: int = 0  # listed or not
    set_aside: dict[str, str] = {}
    set_aside_topics: int = 0  # listed or not
