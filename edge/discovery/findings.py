"""Findings: what a broker carries, as it can be configured, each guess with its reason."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edge.discovery.observed import Counts, Refused
    from edge.discovery.offset import Offset
    from edge.discovery.rhythm import Rhythm
    from kb.records import WorkKind


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundChannel:
    """A tag that is scored. unit_guess: why the unit is supposed, "" where the payload states it.

    held: why it is written into `on_change`, "" where it is cyclic.
    """

    tag: str
    unit: str
    unit_guess: str
    rhythm: Rhythm
    held: str
    low: float
    high: float
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundContext:
    """A tag that is not scored. work: what it may be a witness of; only a person can say so."""

    tag: str
    role: str
    why: str
    shown: str  # values that it took
    work: WorkKind | None = None
    interval_ms_max: int = 0  # of a heartbeat


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundAsset:
    """One asset with what it sends. mute: tags without any value so far, whatever they are."""

    id: str
    form: str
    shape: str
    topics: tuple[str, ...]
    channels: tuple[FoundChannel, ...]
    context: tuple[FoundContext, ...]
    mute: tuple[str, ...]
    offset: Offset | None
    timed: bool
    messages: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundSource:
    """A topic filter for the configuration. asset: as of `Source`. quiet: nothing comes evenly."""

    topic: str
    asset: str
    form: str
    asset_from: str = ""
    tag_from: str = ""
    interval_ms_max: int = 0
    quiet: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """All of it. late_ms_max 0: the default will do. notes: what a person should know."""

    assets: tuple[FoundAsset, ...]
    sources: tuple[FoundSource, ...]
    period_ns: int
    late_ms_max: int
    seconds: float
    counts: Counts
    refused: dict[str, Refused]
    notes: tuple[str, ...]
