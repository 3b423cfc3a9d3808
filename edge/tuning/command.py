"""`andon tune`: labels to a child bundle that names failure modes and rings where it should.

First it says what retrieval alone achieves, and goes on only for a reason. What it makes is refused
where an event that was found before is missed, unless somebody overrides that in the audit trail.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

import msgspec

from edge.assessment.label_words import undisputed
from edge.assessment.labelled import Event, events_of
from edge.audit.chain import iso
from edge.audit.trail import AuditTrail
from edge.bundles.child import PROPOSED
from edge.configuration.config import need_bundle
from edge.errors import RecordingError
from edge.labels.book import read_labels
from edge.records import Audited
from edge.tuning.heads import Heads, answers, learn
from edge.tuning.replay import Recorded, Replay, open_recording, replay
from edge.tuning.report import Report, ranking_of, retrieved, rings_per_day, side
from edge.tuning.thresholds import found_in, move_thresholds, with_shifts
from kb.snapshots.snapshot import Snapshot
from models.bundles.store import load as load_bundle
from models.bundles.store import save as save_bundle
from models.bundles.store import sealed
from models.bundles.tuned import Tuned

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from models.bundles.bundle import AssetModel, Bundle

AUDIT_FOLDER: Final = "tuning-audit"  # beside the bundle: a gateway writes its own trail alone
AUDIT_BYTES_MAX: Final = 64 << 20
AUDIT_DAYS_MAX: Final = 3650
LOST_SHOWN_MAX: Final = 40
NEEDS_REASON: Final = (
    "Nothing was learned: say why retrieval alone is not enough, with --because; the reason is kept"
    " in the bundle and the audit trail."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TuneRequest:
    """What to tune with what. Empty and None are: not given.

    out None: `proposed/HASH` beside the bundle. audit None: `tuning-audit` beside that. at_ns: when
    the child was made; None: when the recordings end, so that the same input gives the same bytes.
    """

    bundle: Path
    labels: Path
    recordings: tuple[Path, ...]
    kb: Path | None = None
    config: Path | None = None
    mapping: Path | None = None
    because: str = ""
    override: str = ""
    out: Path | None = None
    audit: Path | None = None
    at_ns: int | None = None
    seed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuning:
    """What became of it. stage: needs_reason, nothing, refused or made."""

    stage: str
    report: Report


@dataclass(slots=True, kw_only=True)
class Work:
    """What all steps share: labels and recordings read, and `runs`, replays with the parent."""

    request: TuneRequest
    parent: Bundle
    snapshot: Snapshot | None
    recorded: list[Recorded]
    events: list[Event]
    report: Report
    tell: Callable[[str], object]
    runs: list[Replay] = field(default_factory=list)  # with the parent


def tune_bundle(
    request: TuneRequest,
    *,
    tell: Callable[[str], object] = str,
    heard: Callable[[Report], object] = id,
) -> Tuning:
    """Tune a bundle. tell: hears what goes on; heard: the report as soon as retrieval is in it.

    Raises AndonError, ModelError or KnowledgeError.
    """
    if request.out is not None and request.out.exists():
        raise RecordingError(f"{request.out} exists; a bundle is never changed: name a new one")
    snapshot = Snapshot.open(request.kb) if request.kb else None
    try:
        work = begun(request, snapshot, tell)
        heard(work.report)
        if not request.because.strip():
            return Tuning(stage="needs_reason", report=work.report)
        return _tuned(work)
    finally:
        if snapshot is not None:
            snapshot.close()


def begun(request: TuneRequest, snapshot: Snapshot | None, tell: Callable[[str], object]) -> Work:
    """Labels and recordings read, the parent replayed, and what retrieval makes of it."""
    parent = load_bundle(need_bundle(request.bundle))
    try:
        stored = request.labels.read_bytes()
    except OSError as error:
        message = f"{request.labels}: {error.strerror}; `andon label` makes a file of labels"
        raise RecordingError(message) from error
    labels, disputes = undisputed(read_labels(request.labels))
    recorded = []
    for path in request.recordings:
        tell(f"reading {path}")
        one = open_recording(path, parent, config=request.config, mapping=request.mapping)
        recorded.append(one)
    events, outside = events_of(labels, [one.span for one in recorded])
    if not any(event.is_fault or event.is_quiet for event in events):
        raise RecordingError(
            f"{request.labels}: none of its {len(labels)} labels that may be learned from is of an"
            " alert or a fault in these recordings; `andon label` shows what it has"
        )
    notes = []
    if disputes:
        notes.append(f"{len(disputes)} conflicts keep labels out: `andon label {request.labels}`")
    if outside:
        notes.append(f"{len(outside)} labels are of other assets or times than these recordings")
    runs = []
    for one in recorded:
        tell(f"replaying {one.path} with {parent.sha256[:12]}")
        runs.append(replay(one, parent, snapshot=snapshot, retrieve=snapshot is not None))
    if snapshot is None:
        notes.append("without --kb nothing was ranked: retrieval alone cannot be judged")
    counted: dict[str, dict[str, int]] = {}
    for event in events:
        of_label = counted.setdefault(event.label, {})
        of_label[event.asset] = of_label.get(event.asset, 0) + 1
    report = Report(
        bundle_sha256=parent.sha256,
        labels_sha256=hashlib.sha256(stored).hexdigest(),
        recordings=tuple(one.sha256 for one in recorded),
        counts=counted,
        windows={},
        notes=tuple(notes),
        retrieval=retrieved(events, runs, sha256=snapshot.sha256 if snapshot else ""),
        because=" ".join(request.because.split()),
        override=" ".join(request.override.split()),
    )
    return Work(
        request=request,
        parent=parent,
        snapshot=snapshot,
        recorded=recorded,
        events=events,
        report=report,
        tell=tell,
        runs=runs,
    )


def _tuned(work: Work) -> Tuning:
    """Head and thresholds learned, judged, and written where nothing speaks against it."""
    heads = learn(
        work.parent, work.recorded, work.runs, work.events, seed=work.request.seed, tell=work.tell
    )
    moved = move_thresholds(
        work.recorded,
        work.parent,
        work.events,
        before=work.runs,
        snapshot=work.snapshot,
        progress=work.tell,
    )
    work.report = msgspec.structs.replace(
        work.report,
        windows=heads.windows,
        notes=(*work.report.notes, *heads.notes),
        curve=tuple(heads.curve),
        sizes_skipped=heads.skipped,
        heads={asset: fit.metrics for asset, fit in heads.fits.items()},
        moved=tuple(moved),
    )
    shifts = {one.asset: one.shift for one in moved}
    if not heads.fits and not any(shifts.values()):
        return Tuning(stage="nothing", report=work.report)
    return settled(work, with_shifts(work.parent, shifts), heads)


def settled(work: Work, moved: Bundle, heads: Heads) -> Tuning:
    """The child judged, and written unless it misses what was found before. moved: without heads.

    An override that is there is audited before the bundle is written.
    """
    child = heads.put_on(moved, created_at_ns=_made_ns(work))
    report = _judged(work, child, heads)
    child = _recorded(child, work, report)
    if report.lost and not report.override:
        return Tuning(stage="refused", report=report)
    out = work.request.out or work.request.bundle.parent / PROPOSED / child.sha256[:12]
    report = msgspec.structs.replace(report, child_sha256=child.sha256, out=str(out))
    _audit(work, report, out)
    if not out.exists():  # the same input gives the same bytes
        save_bundle(child, out)
    return Tuning(stage="made", report=report)


def _judged(work: Work, child: Bundle, heads: Heads) -> Report:
    """Before and after on all labelled events and on those held back, by replay of both bundles."""
    runs = []
    for one in work.recorded:
        work.tell(f"replaying {one.path} with what was learned")
        runs.append(replay(one, child, snapshot=work.snapshot))
    found = [found_in(work.recorded, each, work.events) for each in (work.runs, runs)]
    lost = lost_events(*found)
    ranked = {
        event.event_id: (ranking_of(event, work.runs[event.recording]) or (None,))[0]
        for event in work.events
        if event.names_mode
    }
    named = (
        answers(child, heads, work.recorded, runs, work.events)
        if heads.fits
        else {i: mode for i, mode in ranked.items() if i in found[1]}
    )
    held = [event for event in work.events if event.held]
    before, before_all = (
        side(some, work.runs, found=found[0], named=ranked) for some in (held, work.events)
    )
    after, after_all = (
        side(some, runs, found=found[1], named=named) for some in (held, work.events)
    )
    return msgspec.structs.replace(
        work.report,
        before=before,
        after=after,
        before_all=before_all,
        after_all=after_all,
        alerts_per_day=(
            rings_per_day(work.recorded, work.runs),
            rings_per_day(work.recorded, runs),
        ),
        lost=tuple(lost),
        lost_lines=tuple(_line(event) for event in work.events if event.event_id in lost),
    )


def lost_events(before: Mapping[str, float], after: Mapping[str, float]) -> list[str]:
    """Ids of events that were found before and are not any more: one of them refuses a bundle."""
    return sorted(set(before) - set(after))


def _line(event: Event) -> str:
    """An event for whoever has to look at it."""
    return f"{event.label} of {event.asset} at {iso(event.begin_ns)} [{event.event_id}]"


def _made_ns(work: Work) -> int:
    if work.request.at_ns is not None:
        return work.request.at_ns
    return max(one.span.end_ns for one in work.recorded)


def _recorded(child: Bundle, work: Work, report: Report) -> Bundle:
    """The child with what it was made of written into every asset that has labels."""
    held = report.after
    assert held is not None
    metrics = {
        "recall": held.recall,
        "precision": held.precision,
        "named right": held.right / held.named if held.named else float("nan"),
        "named wrong": held.wrong / held.named if held.named else float("nan"),
    }

    start = {model.asset: model.threshold_on for model in work.parent.assets}

    def of(model: AssetModel) -> AssetModel:
        counts = {
            label: per_asset[model.asset]
            for label, per_asset in sorted(report.counts.items())
            if model.asset in per_asset
        }
        if not counts:
            return model
        before = model.tuned.shift if model.tuned is not None else 0.0
        applied = round(model.threshold_on - start[model.asset], 9)  # a bound may have cut it
        tuned = Tuned(
            labels_sha256=report.labels_sha256,
            recordings=report.recordings,
            counts=counts,
            because=report.because,
            override=report.override if report.lost else "",
            shift=before + applied,
            metrics={name: value for name, value in metrics.items() if not math.isnan(value)},
        )
        return msgspec.structs.replace(model, tuned=tuned)

    assets = tuple(of(model) for model in child.assets)
    return sealed(
        replace(child, assets=assets, parent=work.parent.sha256, created_at_ns=_made_ns(work))
    )


def _audit(work: Work, report: Report, out: Path) -> None:
    """The reason, and the override with the events that it gives up, before the bundle is."""
    facts: dict[str, str | int] = {
        "bundle": report.child_sha256,
        "parent": report.bundle_sha256,
        "labels": report.labels_sha256,
        "because": report.because,
    }
    entries = [Audited(what="tuned", asset="", t_ns=_made_ns(work), facts=facts)]
    if report.lost:
        more = len(report.lost) - LOST_SHOWN_MAX
        said = "; ".join(report.lost_lines[:LOST_SHOWN_MAX])
        detail = said + (f"; and {more} more" if more > 0 else "")
        against = facts | {"although": detail, "override": report.override}
        entries.append(Audited(what="tuned_although", asset="", t_ns=_made_ns(work), facts=against))
    place = work.request.audit or out.parent / AUDIT_FOLDER
    trail = AuditTrail(place, bytes_max=AUDIT_BYTES_MAX, days_max=AUDIT_DAYS_MAX)
    try:
        trail.write(entries)
    finally:
        trail.close()
