"""The payload with which a box says that it is the one that counts."""

from __future__ import annotations

from typing import Final

import msgspec

from edge.errors import UNREADABLE

FENCE_SCHEMA: Final = "andon/fence/1"
CLAIM_BYTES_MAX: Final = 4096  # a claim is a few fields; a longer one is none of ours


class FencePayload(msgspec.Struct, frozen=True, kw_only=True):
    """fence: retained, the box that speaks for the site. Of two the higher generation counts.

    run, run_ms: the process of that box and when it began: two of one box are a copied disk.
    to: the newest other process of this box that it has heard; "" none. mac: proves who made it.
    """

    schema: str
    box: str
    generation: int
    since_ms: int  # when the box began
    run: str
    run_ms: int
    ts_ms: int
    to: str = ""
    mac: str = ""


def decode_claim(payload: bytes) -> FencePayload | None:
    """A claim; None: this is none of ours, whatever it is."""
    if len(payload) > CLAIM_BYTES_MAX:
        return None
    try:
        claim = msgspec.json.decode(payload, type=FencePayload)
    except UNREADABLE:
        return None
    return claim if claim.schema == FENCE_SCHEMA and claim.box else None
