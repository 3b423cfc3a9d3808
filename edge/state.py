"""All that the engine remembers: what a checkpoint keeps and a restart brings back."""

from __future__ import annotations

import math
from typing import Final

import msgspec
import numpy as np

from edge.alerts import AlertRecord
from edge.align import AlignState
from edge.clock import PlantClockState
from edge.events import TrackState
from edge.jobs import JobRun
from edge.quality import HealthState
from edge.records import Track
from edge.ring import RingState

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
    suppressed_in_shift: dict[str, int] = {}  # by track, so that none waits for another's verdict
    events_total: int = 0  # events opened, whatever became of them


class EngineState(msgspec.Struct, kw_only=True):
    """Everything a checkpoint has to keep."""

    align: AlignState
    clock: PlantClockState
    ring: RingState
    rows: np.ndarray  # (rows, s) detector state of the bundle's rows
    assets: dict[str, AssetState]
    counts: dict[str, int] = {}
    noted: list[str] = []
    orders_of: str = ""  # snapshot of which orders were taken
    orders_taken: int = 0  # of its proposals, in the order in which they were recorded
    now_ns: int = 0
    score_published_ns: int = 0
    suspects: list[str] = []  # assets whose newest message was ahead of everybody


def new_state(asset: str, channels: int) -> AssetState:
    """An asset that has seen nothing."""
    return AssetState(
        asset=asset,
        health=HealthState.empty(channels),
        tracks={track: TrackState() for track in TRACKS},
        alerts={track: AlertRecord(asset=asset, track=track) for track in TRACKS},
    )
