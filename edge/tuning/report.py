"""What `andon tune` tells: retrieval alone, the learning curve, before and after. Pure.

Every figure is of labelled events; alerts that nobody labelled are counted apart and judged by
nobody.
"""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING

import msgspec

from edge.assessment.labelled import rang_in
from edge.tuning.thresholds import Moved, other_rings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from edge.assessment.assess import Episode
    from edge.assessment.labelled import Event
    from edge.tuning.replay import Recorded, Replay


class Retrieved(msgspec.Struct, frozen=True, kw_only=True):
    """What retrieval alone achieves: of the events whose label names a failure mode, how many rang.

    first, first_three: of how many the labelled mode stood there in the ranking of their alert.
    """

    events: int
    rang: int
    first: int
    first_three: int
    snapshot_sha256: str = ""  # "": no snapshot was given, so nothing was ranked

    @property
    def first_share(self) -> float:
        """Of all that were labelled, 0 of none."""
        return self.first / self.events if self.events else 0.0

    @property
    def first_three_share(self) -> float:
        """Likewise."""
        return self.first_three / self.events if self.events else 0.0


class CurveRow(msgspec.Struct, frozen=True, kw_only=True):
    """One point of the learning curve of assets that share a head; shares of all windows asked."""

    assets: tuple[str, ...]
    size: int
    accuracy: float
    answered: float
    abstained: float


class Side(msgspec.Struct, frozen=True, kw_only=True):
    """One bundle on some labelled events.

    faults, found: events that have to ring, and do in time. quiet, quiet_rang: alerts of nothing,
    and those that still ring. precision: of the labelled alerts that rang, the share that had to;
    recall: found of faults; NaN of none. named: events that say which mode; of these right, wrong,
    and abstained or not rung. delay_s_median: of those found, NaN of none.
    """

    faults: int
    found: int
    quiet: int
    quiet_rang: int
    precision: float
    recall: float
    named: int
    right: int
    wrong: int
    abstained: int
    delay_s_median: float


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """Everything. alerts_per_day: of the process, all that rang, labelled or not, before and after.

    lost: ids of events that were found before and are missed now, held back or not.
    """

    bundle_sha256: str
    labels_sha256: str
    recordings: tuple[str, ...]
    counts: dict[str, dict[str, int]]  # label -> asset -> events
    windows: dict[str, int]  # label -> windows that the head learned from
    notes: tuple[str, ...]
    retrieval: Retrieved
    because: str = ""
    curve: tuple[CurveRow, ...] = ()
    sizes_skipped: tuple[int, ...] = ()
    heads: dict[str, dict[str, float]] = {}  # asset -> metrics of its head, by folds
    moved: tuple[Moved, ...] = ()
    before: Side | None = None  # on events that were held back
    after: Side | None = None
    before_all: Side | None = None
    after_all: Side | None = None
    alerts_per_day: tuple[float, float] | None = None
    lost: tuple[str, ...] = ()
    lost_lines: tuple[str, ...] = ()
    override: str = ""
    child_sha256: str = ""
    out: str = ""


def unproved(report: Report) -> list[str]:
    """What the labels cannot prove, in words: a class of one event, or nothing held back at all."""
    single = sorted(label for label, of in report.counts.items() if sum(of.values()) == 1)
    lines = []
    if report.before is not None and not report.before.faults + report.before.quiet:
        lines.append(
            "Warning: no fault and no alert of nothing was held back, so nothing is proved: every"
            " figure is of events that were learned from. Label two events or more of a class"
        )
    if single:
        lines.append(
            f"Warning: a class of one event cannot be judged, however many windows it has:"
            f" {', '.join(single)}"
        )
    return lines


def first_ring(event: Event, episodes: Sequence[Episode]) -> Episode | None:
    """The first alert that rang in an event, on whatever track; None where none did."""
    rang = [
        one
        for one in episodes
        if one.rang
        and one.asset == event.asset
        and one.rang_ns < event.end_ns
        and (one.ended_ns or event.begin_ns + 1) > event.begin_ns
    ]
    return min(rang, key=lambda one: (one.rang_ns, one.alert_id, one.count), default=None)


def retrieved(events: Sequence[Event], runs: Sequence[Replay], *, sha256: str) -> Retrieved:
    """How well the ranking of each event's first alert names what was labelled."""
    named = [event for event in events if event.names_mode]
    rang = first = three = 0
    for event in named:
        ranking = ranking_of(event, runs[event.recording])
        rang += ranking is not None
        first += event.label in (ranking or ())[:1]
        three += event.label in (ranking or ())[:3]
    return Retrieved(
        events=len(named), rang=rang, first=first, first_three=three, snapshot_sha256=sha256
    )


def ranking_of(event: Event, run: Replay) -> tuple[str, ...] | None:
    """Failure modes that retrieval gave an event's first alert, best first; None: none rang."""
    ring = first_ring(event, run.episodes)
    return None if ring is None else run.ranked.get((ring.alert_id, ring.count), ())


def side(
    events: Sequence[Event],
    runs: Sequence[Replay],
    *,
    found: Mapping[str, float],
    named: Mapping[str, str | None],
) -> Side:
    """How one bundle did on some events. found: id -> delay in s; named: id -> mode, None: none."""
    faults = [event for event in events if event.is_fault]
    quiet = [event for event in events if event.is_quiet]
    modes = [event for event in events if event.names_mode]
    rang = sum(bool(rang_in(event, runs[event.recording].episodes)) for event in quiet)
    hit = [event for event in faults if event.event_id in found]
    said = [named.get(event.event_id) for event in modes]
    right = sum(one == event.label for one, event in zip(said, modes, strict=True))
    silent = sum(one is None for one in said)
    delays = [found[event.event_id] for event in hit]
    nan = float("nan")
    return Side(
        faults=len(faults),
        found=len(hit),
        quiet=len(quiet),
        quiet_rang=rang,
        precision=len(hit) / (len(hit) + rang) if hit or rang else nan,
        recall=len(hit) / len(faults) if faults else nan,
        named=len(modes),
        right=right,
        wrong=len(modes) - right - silent,
        abstained=silent,
        delay_s_median=statistics.median(delays) if delays else nan,
    )


def rings_per_day(recorded: Sequence[Recorded], runs: Sequence[Replay]) -> float:
    """All alerts of the process that rang, a day of the recordings together."""
    days = sum(one.days for one in recorded)
    assets = sorted({asset for one in recorded for asset in one.tables})
    return sum(len(other_rings((), runs, asset=asset)) for asset in assets) / days
