"""What the operator page has heard of jobs and of what is blind, for a sheet that it shows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from edge.errors import UNREADABLE
from edge.reports.handover import Now
from edge.wire.outgoing import JobsPayload

if TYPE_CHECKING:
    from collections.abc import Mapping


def heard_now(rows: Mapping[str, bytes], *, blind: tuple[str, ...], t_ms: int) -> Now | None:
    """From the rows of the page's board; None: the gateway was not heard yet.

    blind: every asset, of which the board's rows name some. t_ms: when the gateway was heard last.
    """
    try:
        if "health" not in rows:
            return None
        jobs = [
            msgspec.json.decode(body, type=JobsPayload)
            for key, body in sorted(rows.items())
            if key.startswith("job/")
        ]
    except UNREADABLE:
        return None
    return Now(t_ms=t_ms, jobs=tuple(jobs), blind=blind)
