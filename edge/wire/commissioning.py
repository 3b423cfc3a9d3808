"""The payload that tells how far an asset is on its way into service."""

from __future__ import annotations

from typing import Final

import msgspec

COMMISSIONING_SCHEMA: Final = "andon/commissioning/1"


class CommissioningPayload(msgspec.Struct, frozen=True, kw_only=True):
    """commissioning/{asset}: retained, how far an asset is on its way into service; flat.

    Counts are of this stage alone; rows and minutes are of running samples while no work went on.
    """

    schema: str
    asset: str
    stage: str  # LEARNING | SHADOW | IN_SERVICE
    stage_num: int  # 0 | 1 | 2
    ts_ms: int
    since_ms: int  # when the stage began; 0 not yet
    by: str  # whose word counts, "" nobody's yet
    because: str
    bundle: str  # sha256 of the bundle that scores
    rows: int
    rows_needed: int
    minutes: float
    minutes_needed: float
    minutes_left: float | None  # live minutes until it is fitted; null: nothing seen yet
    share: float  # 0 to 1 of what is needed for a fit
    days: int  # dates with samples, UTC
    hours_of_day: int  # of 24, UTC
    rows_stopped: int  # samples while it stood still
    modes: str  # values of the mode tag that were seen
    channels: int
    blind: str  # channels that showed next to nothing, or that the detector leaves out
    blind_count: int
    shadow_alerts: int  # events that would have rung
    trouble: str  # why the last fit failed; "" nothing did
