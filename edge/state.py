"""All that the engine remembers: what a checkpoint keeps and a restart brings back."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np

from edge.alerts.alerts import AlertRecord, PastEvent
from edge.alerts.flood import FloodState
from edge.alerts.group import Join
from edge.alerts.load import LoadState
from edge.records import Track
from edge.samples.clock import PlantClockState
from edge.samples.limits import Starts
from edge.samples.own_clock import OwnClockState
from edge.samples.pending import AlignState
from edge.samples.quality import HealthState
from edge.samples.ring import RingState
from edge.samples.sparkplug import Birth
from edge.samples.sparkplug_nodes import NodeCount
from edge.samples.waveforms import WaveState
from edge.verdicts.events import TrackState
from edge.wire.databus import Point
from edge.work.audit_budget import AuditBudget
from edge.work.command_book import CommandBook
from edge.work.commission import Commission
from edge.work.jobs import JobRun
from edge.work.set_aside import TopicErrors
from edge.work.silencing import Silence
from models.fitting.drift import DriftState
from models.fitting.mode_track import ModeTrack

if TYPE_CHECKING:
    from edge.batches import ContextChange
    from models.bundles.bundle import Bundle

TRACKS: Final = (Track.PROCESS, Track.SENSOR, Track.COMMS)
TOPICS_MAX: Final = (
    256  # that bring an asset's channels, a tag each at worst; more forget the oldest
)
TOPIC_CHARS_MAX: Final = 256  # of a name that is remembered
CONTEXT_VALUES_MAX: Final = 16  # of one tag: a batch may bring some that lie ahead of an event


class Pending(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happens to the asset's jobs at a plant time."""

    t_ns: int
    action: str  # close | cancel | tell
    job_id: str
    operator: str = ""  # who said so; "" nobody did


class EndedOrder(msgspec.Struct, frozen=True, kw_only=True):
    """An order whose job was ended before its planned end, and is not listed any more."""

    planned_to_ns: int
    ended_ns: int


class AssetState(msgspec.Struct, kw_only=True):
    """All mutable state of one asset."""

    asset: str
    health: HealthState
    tracks: dict[str, TrackState]
    alerts: dict[str, AlertRecord]
    runs: list[JobRun] = []
    pending: list[Pending] = []
    ended_orders: dict[str, EndedOrder] = {}  # by job id, until their planned end
    last_t_ns: int = 0  # newest sample taken
    last_score: float = math.nan
    shift: int = -1  # number of the shift that the budget counts in
    suppressions_spent: int = 0  # in that shift
    budget_spent_until_ns: int = 0  # end of the shift in which it was said that it is spent; 0: no
    beats: dict[str, list[int]] = {}  # newest times at which each heartbeat changed
    shed_ns: int = 0  # newest time at which the gateway gave up messages of it, 0: never
    unread_ns: int = 0  # newest time at which one came on a topic that is set aside, 0: never
    dead_ns: int = 0  # when its source said that it is gone, 0: it did not, or spoke since
    nameless_ns: int = 0  # since when it sends values that no birth names, 0: none
    doubted_ns: int = 0  # newest time at which a birth may have been missed, 0: none since the last
    topics: dict[str, int] = {}  # that have brought values of its channels -> when first, ns
    edges_ns: dict[str, list[int]] = {}  # newest rising edges of each witness tag
    modes_unseen: list[float] = []  # values of the mode tag without a baseline, told already
    guess: ModeTrack = msgspec.field(default_factory=ModeTrack)  # of a mode that no tag tells
    silences: list[Silence] = []
    listed: bool = False  # whether its list of jobs and proposals was ever published
    starts: Starts = msgspec.field(default_factory=Starts)
    past: list[PastEvent] = []  # events that rang and are over, newest last
    joins: list[Join] = []  # what becomes of its alerts in a group, at a time to come
    commission: Commission | None = None  # None: in service, it is not commissioned here
    drift: DriftState | None = None  # None: nothing was learned to compare with, or nothing seen
    context: dict[str, list[tuple[int, float]]] = {}  # newest (t_ns, value) of each context tag


class EngineState(msgspec.Struct, kw_only=True):
    """Everything a checkpoint has to keep."""

    align: AlignState
    clock: PlantClockState
    ring: RingState
    rows: list[np.ndarray]  # (rows, s) detector state of the bundle's rows, a part
    assets: dict[str, AssetState]
    counts: dict[str, int] = {}
    waves: dict[str, WaveState] = {}  # by asset and tag of a waveform
    noted: list[str] = []
    bundle_sha256: str = ""  # of the bundle that scores; "": as the checkpoint's fingerprint says
    orders_of: str = ""  # snapshot of which orders were taken
    orders_taken: int = 0  # of its proposals, in the order in which they were recorded
    now_ns: int = 0
    stepped_ns: int = 0  # when the wall clock last leapt forward, or nobody was there to look
    starts: list[int] = []  # when the newest processes began
    unheard_ns: int = 0  # from when on who was not heard since the start may be silent
    score_published_ns: int = 0
    flood: FloodState = msgspec.field(default_factory=FloodState)
    load: LoadState = msgspec.field(default_factory=LoadState)
    suspects: list[str] = []  # assets whose newest message was ahead of everybody
    commands: CommandBook = msgspec.field(default_factory=CommandBook)
    audit_budget: AuditBudget = msgspec.field(default_factory=AuditBudget)
    topic_errors: dict[str, TopicErrors] = {}  # of topics with messages that could not be read
    not_durable: str = ""  # why the disk does not take what must survive; "" it does
    leap: int = 0  # by which revisions leapt as that began
    own_clock: OwnClockState = msgspec.field(default_factory=OwnClockState)
    births: dict[str, Birth] = {}  # of Sparkplug B, by group, node and device
    nodes: dict[str, NodeCount] = {}  # likewise, by group and node
    points: dict[str, dict[str, Point]] = {}  # of Siemens' databus, by application and id
    anew: bool = False  # what is kept quiet has yet to be judged by what is known now


def first_state(bundle: Bundle, *, rows: list[np.ndarray]) -> EngineState:
    """An engine that has seen nothing. rows: (rows, s) of each part, likewise."""
    return EngineState(
        align=AlignState(),
        clock=PlantClockState(),
        ring=RingState(),
        rows=rows,
        assets={m.asset: new_state(m.asset, len(m.channels)) for m in bundle.assets},
        bundle_sha256=bundle.sha256,
    )


def with_align(state: EngineState, align: AlignState) -> EngineState:
    """The same with another state of alignment, for whoever writes it."""
    return msgspec.structs.replace(state, align=align)


def new_state(asset: str, channels: int) -> AssetState:
    """An asset that has seen nothing."""
    return AssetState(
        asset=asset,
        health=HealthState.empty(channels),
        tracks={track: TrackState() for track in TRACKS},
        alerts={track: AlertRecord(asset=asset, track=track) for track in TRACKS},
    )


def seen_topic(state: AssetState, topic: str, *, t_ns: int) -> None:
    """Note a topic that has brought values of the asset's channels."""
    if topic not in state.topics and len(topic) <= TOPIC_CHARS_MAX:
        state.topics[topic] = t_ns
        if len(state.topics) > TOPICS_MAX:
            del state.topics[next(iter(state.topics))]


def seen_change(state: AssetState, change: ContextChange) -> None:
    """Note the newest values of a context tag, which say in what state of operation it is."""
    past = state.context.setdefault(change.tag, [])
    past.append((change.t_ns, change.value))
    del past[:-CONTEXT_VALUES_MAX]
