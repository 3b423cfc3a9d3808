"""Settings that the pure core reads: frozen, keyword-only, units last.

`config` makes them from TOML.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

import msgspec

from edge.samples.waveform_settings import Waveform
from edge.trust import OperatorRights, TrustSettings
from edge.wire.paths import Paths
from kb.records import WorkKind
from models.fitting.positions import OperatorPosition, position_of


class ContextTag(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A tag that is not scored.

    role: `run` says whether the asset is running (value in `running`), `mode` in which operating
    mode, each with a baseline of its own, `witness` opens a job of
    `kind` on `instrument` at its live rising edge and closes it at its falling edge, `heartbeat`
    must take another value at least every `interval_ms_max`, else the asset's source is in doubt.
    """

    tag: str
    role: str  # run | witness | heartbeat | info
    running: tuple[float, ...] = (1.0,)
    kind: WorkKind | None = None
    instrument: str = ""
    interval_ms_max: int = 0  # of a heartbeat


class Rationale(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an alert of an asset means, where that differs by track or channel; see `rationale`."""

    track: Literal["", "process", "sensor", "comms"] = ""  # "": all
    channel: str = ""  # the first of an alert; "": any
    cause: str = ""
    consequence: str = ""
    action: str = ""
    respond_min: Annotated[int, msgspec.Meta(ge=0, le=1_000_000)] | None = None
    severity: Annotated[int, msgspec.Meta(ge=1, le=1_000)] | None = None


class AssetSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One asset. Tags not named in `tags` map to the channel of the same name."""

    id: str
    functional_location: str = ""
    area: str = ""
    utilities: tuple[str, ...] = ()  # what it is fed from: assets that share one may fail at once
    position: str = ""  # operator position that hears its alerts; "" is a position too
    tags: dict[str, str] = {}  # tag -> channel
    units: dict[str, str] = {}  # tag -> unit it is sent in; checked against the bundle's
    on_change: tuple[str, ...] = ()  # channels reported by exception: held while the source lives
    context: tuple[ContextTag, ...] = ()
    waveform: tuple[Waveform, ...] = ()  # fast waveforms, whose features are channels
    safety: tuple[str, ...] = ()  # channels that no mask may hide
    # channels that measure the same: what a mask hides of one, the others must not show
    redundant: tuple[tuple[str, ...], ...] = ()
    consequence: str = ""  # what happens if nobody acts
    action: str = ""  # what the operator does first
    cause: str = ""
    respond_min: int = 60  # time to respond
    severity: int = 500  # 1..1000, from consequence and time to respond, not from the score
    rationale: tuple[Rationale, ...] = ()  # the same by track and channel


class Source(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A topic filter and how its payloads map to assets.

    `topic` may name levels: `{asset}` is the asset, others are parts of names for the templates
    `asset_from` and `tag_from`; the last may be all that follow, `{tag...}`. Where the topic names
    no asset, `asset` does, otherwise the payload.
    """

    topic: str = "plant/{asset}"
    asset: str = ""
    # declared interval; longer silence is doubt and a comms gap. 0: learned from the bundle
    interval_ms_max: int = 0
    format: str = "json"  # as in `edge.wire.formats`; json: `edge.wire.readings`, blocks too
    asset_from: str = ""  # template of the asset's id; "": as its format has it
    tag_from: str = ""  # template of a tag; likewise
    paths: Paths | None = None  # of the format of that name
    rebirth: bool = False  # of Sparkplug B: whether a node may be asked for its births


SECOND_NS: Final = 1_000_000_000
STEADY_SAMPLES: Final = 20  # that say something of a level, and that the slow average remembers


def samples_in(count: int, period_ns: int, *, least: int = STEADY_SAMPLES) -> int:
    """So many samples of a second, where samples are further apart: as long, but at least `least`.

    What a count stands for is mostly a time: a minute to call it over, ten of a level before. At a
    sample every ten seconds the same count would be ten times as long. How little still says
    something is a number of samples, at any rate. Up to a second apart the count itself.
    """
    slower = -(-count * SECOND_NS // max(period_ns, SECOND_NS))
    return min(count, max(least, slower))


class EngineSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Behaviour of the core. Defaults suit a 1 Hz to 100 Hz plant."""

    tick_ms: int = 100
    late_ms_max: int = 500  # a sample closes when all cyclic tags passed it, or this much later
    hold_ms_max: int = 0  # a cyclic value is held this long, then NaN. 0: 1.5 sampling periods
    future_ms_max: int = 2_000  # a source this far ahead of the others is suspect alone
    behind_ms_max: int = 60_000  # a source whose newest time is older than this is suspect too
    min_duration_samples: int = 2  # samples over threshold before an event opens
    # they may lie among this many samples ("k of n"); 0: in a row
    open_window_samples: int = 0
    # samples under the off threshold in a row before it clears; fewer chatter. Of samples further
    # apart than a second those of as many seconds, at least 20; likewise stuck_samples_min
    clear_samples: int = 60
    # an event so soon after the last one cleared goes on under its id, acknowledged or not
    cooldown_s: int = 0
    # once, after its time to respond, what nobody has acknowledged rings a class of severity higher
    escalate: bool = False
    # who keeps acknowledgements: scada: we say ACTIVE and NORMAL only, and take no `ack`
    ack_owner: Literal["andon", "scada"] = "andon"
    # whether a group alert of time alone rings for its members: it says when, not why
    flood_time_quiets: bool = False
    chatter_rings: int = 3  # as often within `chatter_window_s`: an alert chatters
    chatter_window_s: int = 600
    stale_s: int = 86_400  # what is active for longer is stale
    fuse_s: int = 3_600
    fuse_s_max: int = 14_400
    fuse_extension_s_max: int = 43_200  # after the opening; no person extends a job beyond it
    settle_s: int = 300  # where the scope row gives none
    settle_s_max: int = 900
    start_settle_s: int = 30  # after a start, before limits count that were off while it stood
    suppressions_per_shift_max: int = 20  # per asset; spent: alert, and say so
    shift_s: int = 28_800
    shift_start_s: int = 0  # after midnight UTC
    suppress_severity_max: int = 1_000  # an asset of this severity or above is never suppressed
    shelve_s_max: int = 28_800  # an operator silences at most for a shift
    out_of_service_s_max: int = 604_800
    retrieve_ms_max: int = 2_000
    stuck_samples_min: int = 60  # never called stuck before this many equal values
    comms_gap_s: int = 30
    score_publish_s: int = 10
    health_publish_s: int = 10

    @property
    def scada_acks(self) -> bool:
        """Whether acknowledgements are no matter of ours."""
        return self.ack_owner == "scada"

    def clear_after(self, period_ns: int) -> int:
        """Samples under the off threshold in a row that end an event, at this rate."""
        return samples_in(self.clear_samples, period_ns)

    def stuck_after(self, period_ns: int) -> int:
        """Equal values before which no channel is called stuck, at this rate."""
        return samples_in(self.stuck_samples_min, period_ns)


class CommissioningSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which assets begin by learning, and what they have to see before they are fitted."""

    assets: tuple[str, ...] = ()  # (): all
    learn_minutes: float = 60.0  # live: of samples while it ran and no work went on
    learn_rows: int = 600  # of these
    period_s: float = 1.0  # between two samples, where no bundle is named

    def covers(self, asset: str) -> bool:
        """Whether an asset is one of them."""
        return not self.assets or asset in self.assets


class GatewaySettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All that the core knows about its site."""

    site: str
    prefix: str = "andon"
    clock: str = "wall"  # wall | plant
    engine: EngineSettings = EngineSettings()
    source: tuple[Source, ...] = (Source(),)
    asset: tuple[AssetSettings, ...] = ()
    position: tuple[OperatorPosition, ...] = ()  # whose alert budget whose assets share
    trust: TrustSettings = TrustSettings()
    operator: tuple[OperatorRights, ...] = ()  # who may do what
    commissioning: CommissioningSettings | None = None  # None: every asset is in service
    texts: bool = False  # whether texts of operators are taken: there is a folder for them
    texts_zone: str = ""  # of the times in them; "": they are not read

    def of_asset(self, asset: str) -> AssetSettings:
        """The settings of one asset, or the defaults."""
        found = next((one for one in self.asset if one.id == asset), None)
        return found or AssetSettings(id=asset, position=position_of(asset, self.position))
