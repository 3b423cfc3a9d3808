"""What health says of one connection of the gateway."""

from __future__ import annotations

import msgspec


class LinkPayload(msgspec.Struct, frozen=True, kw_only=True):
    """One of the gateway's connections."""

    broker: str  # broker; input or output where there are two
    to: str
    connected: int
    received: int
    connects: int
    disconnects: int
    refused: int
    not_sent: int
    misplaced: int
    certificate_days: float | None  # until the first of what TLS rests on ends; null without TLS
    cause: str  # why it is not connected
    reads_plainly: str = ""  # why messages are read one by one, which costs more
