"""All that the engine remembers of one asset: what a checkpoint keeps and a restart brings back."""

from __future__ import annotations

import math
from typing import Final

import msgspec

from edge.alerts import AlertRecord
from edge.events import TrackState
from edge.jobs import JobRun
from edge.quality import HealthState
from edge.records import Track

TRACKS: Final = (Track.PROCESS, Track.SENSOR, Track.COMMS)


class Pending(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happens to the asset's jobs at a plant time."""

    t_ns: int
    action: str  # open | close | cancel
    job_id: str


class AssetState(msgspec.Struct, kw_only=True):
    """All mutable state of one asset."""

    asset: str
    health: HealthState
    tracks: dict[str, TrackState]
    alerts: dict[str, AlertRecord]
    runs: list[JobRun] = []
    pending: list[Pending] = []
    last_t_ns: int = 0  # newest sample taken
    last_score: float = math.nan
    shift: int = -1  # number of the eight-hour shift that the budget counts in
    suppressed_in_shift: int = 0
    events_total: int = 0  # events opened, whatever became of them


def new_state(asset: str, channels: int) -> AssetState:
    """An asset that has seen nothing."""
    return AssetState(
        asset=asset,
        health=HealthState.empty(channels),
        tracks={track: TrackState() for track in TRACKS},
        alerts={track: AlertRecord(asset=asset, track=track) for track in TRACKS},
    )
