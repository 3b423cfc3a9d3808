"""What Andon publishes: one struct a topic, encoded with its fields in this order, NaN as null.

`AlertPayload` is flat and never empty, because SCADA clients bind top-level keys of one fixed topic
and choke on empty payloads. The nested detail is in `EventPayload`.
"""

from __future__ import annotations

from typing import Final

import msgspec

from edge.wire.commissioning import CommissioningPayload
from edge.wire.drifting import DriftPayload
from edge.wire.linked import LinkPayload
from edge.wire.overloading import OverloadPayload
from edge.wire.speaking import SparkplugPayload
from edge.wire.timekeeping import ClockPayload
from edge.wire.timing import LatencyPayload
from edge.wire.told_outputs import OutputPayload

ALERT_SCHEMA: Final = "andon/alert/1"
EVENT_SCHEMA: Final = "andon/event/1"
GROUP_SCHEMA: Final = "andon/group/1"


class StatusPayload(msgspec.Struct, frozen=True, kw_only=True):
    """status: retained; the last will is the same with `online` false."""

    online: bool
    version: str = ""
    bundle: str = ""
    snapshot: str = ""
    ts_ms: int = 0


class AlertFields(msgspec.Struct, frozen=True, kw_only=True):
    """The flat facts that an alert and its event share. Times: plant time, ms since 1970, UTC."""

    schema: str
    id: str
    revision: int
    site: str
    area: str
    asset: str
    functional_location: str
    track: str
    klass: str = msgspec.field(name="class")
    state: str
    active: int
    acked: int
    suppressed: int
    shelved: int
    out_of_service: int
    suppressed_or_shelved: int  # any of the three: whatever its state, it does not ring
    severity: str
    severity_num: int
    priority: int
    audience: str
    decision: str
    job_id: str
    rings_again_ms: int | None
    score: float | None
    threshold: float
    ts: str
    ts_ms: int
    begin_ms: int
    first_seen: str
    count: int
    rings: int  # times that this event has asked for attention: a horn sounds again when it grows
    message: str
    top_channel: str
    top_value: float | None
    top_unit: str
    usual_low: float | None
    usual_high: float | None
    advice: str
    source: str
    respond_min: int
    sensor_class: str = ""  # stuck, missing, drift ...; "" on the other tracks
    group_id: str = ""  # of the group alert that it belongs to
    annunciate: int = 0  # it rings now, and by itself: its group does not ring for it
    shadow: int = 0  # its asset is not in service yet: it is for engineers, whatever its state
    fault_class: str = ""  # failure mode that the detector's head names; "": none, or it abstains
    fault_probability: float | None = None  # of that class


class AlertPayload(AlertFields, frozen=True, kw_only=True):
    """alert/{asset}/{track}: retained last state and revision."""


class GroupAlertPayload(AlertFields, frozen=True, kw_only=True):
    """alert/_group/{cause}: retained, an alert for many; flat, with what the group adds."""

    cause_kind: str  # utility | line | area | time
    cause: str
    first_out_asset: str
    first_out_channel: str
    first_out_id: str
    members_total: int
    members_active: int


class MemberPayload(msgspec.Struct, frozen=True, kw_only=True):
    """One alert of a group. over_ms: when it ceased to ring, null not yet."""

    id: str
    count: int
    asset: str
    track: str
    top_channel: str
    severity_num: int
    begin_ms: int
    rang_ms: int
    over_ms: int | None


class GroupPayload(msgspec.Struct, frozen=True, kw_only=True):
    """group/{cause}: retained, the members of the group alert of the same id and revision."""

    schema: str
    id: str
    revision: int
    state: str
    active: int
    cause_kind: str
    cause: str
    first_out_asset: str
    first_out_channel: str
    ts_ms: int
    reason: str
    members_total: int
    members: tuple[MemberPayload, ...]  # the first to begin come first; long lists are cut


class ContributionPayload(msgspec.Struct, frozen=True, kw_only=True):
    """One channel's share of the score."""

    channel: str
    unit: str
    share: float
    value: float | None
    usual_low: float | None
    usual_high: float | None
    direction: str


class CitationPayload(msgspec.Struct, frozen=True, kw_only=True):
    """A verbatim span; sha256 of the UTF-8 bytes of `quote`."""

    doc_id: str
    revision: str
    chunk_id: str  # a 63-bit number as text: JSON readers lose its last digits otherwise
    start: int
    end: int
    sha256: str
    quote: str


class SentencePayload(msgspec.Struct, frozen=True, kw_only=True):
    """One sentence of the explanation.

    quoted: the words of the text that it repeats, each verbatim in the cited quote.
    """

    role: str
    text: str
    citation: CitationPayload | None
    quoted: tuple[str, ...] = ()


class ResemblancePayload(msgspec.Struct, frozen=True, kw_only=True):
    """What the event looks like, best first: a failure mode of a table, or a past event.

    score: 0 to 1, comparable within one alert only.
    """

    kind: str
    mode_id: str
    name: str
    score: float
    reason: str
    citation: CitationPayload | None


class ClausePayload(msgspec.Struct, frozen=True, kw_only=True):
    """One clause of the decision; `outcome` null could not be judged."""

    name: str
    outcome: bool | None
    detail: str


class TurnPayload(msgspec.Struct, frozen=True, kw_only=True):
    """One step of the alert's history."""

    revision: int
    ts_ms: int
    state: str
    decision: str
    reason: str


class EventPayload(AlertFields, frozen=True, kw_only=True):
    """event/{asset}: a transition or revision in full."""

    clauses: tuple[ClausePayload, ...]
    contributions: tuple[ContributionPayload, ...]
    explanation: tuple[SentencePayload, ...]
    resembles: tuple[ResemblancePayload, ...]
    explained: bool
    history: tuple[TurnPayload, ...]
    lineage: dict[str, str]


class SuppressedPayload(msgspec.Struct, frozen=True, kw_only=True):
    """suppressed/{asset}: a suppression as it begins and as it ends."""

    id: str
    revision: int
    asset: str
    track: str
    suppressed: int
    job_id: str
    rings_again_ms: int | None
    ts_ms: int
    reason: str
    message: str
    clauses: tuple[ClausePayload, ...]


class ExtensionPayload(msgspec.Struct, frozen=True, kw_only=True):
    """A person let a job go on."""

    operator: str
    ts_ms: int
    until_ms: int
    reason: str


class JobPayload(msgspec.Struct, frozen=True, kw_only=True):
    """One job or proposal of an asset."""

    job_id: str
    kind: str
    instrument: str
    state: str
    witness: str
    opened_by: str
    source: str
    valid_from_ms: int | None
    valid_to_ms: int | None
    fuse_ms: int | None
    scope: tuple[str, ...]
    quotes: tuple[str, ...]
    told_ms: int | None = None  # when it became known; null for a proposal
    extensions: tuple[ExtensionPayload, ...] = ()


class SilencePayload(msgspec.Struct, frozen=True, kw_only=True):
    """What an operator silences by hand: shelved, or out_of_service with its owner."""

    kind: str
    track: str  # "" is every track
    operator: str
    owner: str
    reason: str
    begin_ms: int
    end_ms: int


class JobsPayload(msgspec.Struct, frozen=True, kw_only=True):
    """job/{asset}: retained, the full list."""

    asset: str
    ts_ms: int
    jobs: tuple[JobPayload, ...]
    proposals: tuple[JobPayload, ...]
    silences: tuple[SilencePayload, ...] = ()


class ScorePayload(msgspec.Struct, frozen=True, kw_only=True):
    """score/{asset}: for trends; null is not ready.

    threshold: that opens an event   flag: 1 where the sample by itself is strange, whatever rings
    """

    asset: str
    ts_ms: int
    score: float | None
    threshold: float
    flag: int | None = None


class SystemPayload(msgspec.Struct, frozen=True, kw_only=True):
    """alert/_gateway/system: our own troubles."""

    active: int
    name: str
    message: str
    ts_ms: int


class ResultPayload(msgspec.Struct, frozen=True, kw_only=True):
    """cmd_result/{operator}: what became of a command."""

    command: str
    done: bool
    detail: str
    ts_ms: int
    rule: str = ""  # by which it was refused, as counted; not_done: it could not be done
    shared: int = 0  # 1: several people use this operator's name


class LoadPayload(msgspec.Struct, frozen=True, kw_only=True):
    """How much an operator position has heard in a shift, by the measures of ISA-18.2."""

    position: str
    begin_ms: int
    rings: int
    per_10_min: float
    peak_10_min: int
    flood_share: float  # of ten-minute intervals with more than ten


class FrequentPayload(msgspec.Struct, frozen=True, kw_only=True):
    """An alert topic that has rung often."""

    asset: str
    track: str
    rings: int


class HealthPayload(msgspec.Struct, frozen=True, kw_only=True):
    """health: how the gateway is, and everything that was not accepted, by reason."""

    ts_ms: int
    plant_ms: int
    uptime_s: float
    messages_per_s: float
    queue_depth: int
    queue_depth_max: int
    lag_ms: float | None
    tick_ms_max: float
    rss_mb: float
    journal_mb: float
    outbox_pending: int
    counts: dict[str, int]
    drops: dict[str, int]
    blind: tuple[str, ...]
    snapshot: str = ""  # sha256 of the knowledge in use
    load: tuple[LoadPayload, ...] = ()  # of this shift and the one before
    frequent: tuple[FrequentPayload, ...] = ()  # ten at most, in these shifts
    chattering: tuple[str, ...] = ()  # alert ids
    stale: tuple[str, ...] = ()  # alert ids
    drift: tuple[DriftPayload, ...] = ()  # the surest first; long lists are cut
    drifting: int = 0  # assets that drift, listed or not
    drift_unknown: int = 0  # assets of which it cannot be said yet, or nothing was learned
    drift_left_out: dict[str, int] = {}  # samples of all assets that do not count, by reason
    learning: int = 0  # assets that learn
    in_shadow: int = 0  # assets that ring for engineers alone
    commissioning: tuple[CommissioningPayload, ...] = ()  # not in service; long lists are cut
    links: tuple[LinkPayload, ...] = ()
    overload: OverloadPayload = OverloadPayload()
    sparkplug: SparkplugPayload = SparkplugPayload()
    durable: int = 1  # 0: the disk does not take what must survive
    not_durable: str = ""  # why
    not_durable_s: float = 0.0  # for how long
    outbox_mb: float = 0.0  # of messages that wait
    outbox_in_memory: int = 0  # of these, messages that are in no file
    clock: ClockPayload = ClockPayload()
    latency: LatencyPayload = LatencyPayload()
    outputs: tuple[OutputPayload, ...] = ()


def encode(payload: msgspec.Struct) -> bytes:
    """The bytes of a payload; the same payload gives the same bytes. NaN and inf become null."""
    return msgspec.json.encode(payload)
