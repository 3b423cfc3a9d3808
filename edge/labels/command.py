"""`andon label`: what people have said of alerts and intervals, collected into one file."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from edge.assessment.label_words import WITHDRAWN, Conflict, Label, counts, standing, undisputed
from edge.errors import RecordingError
from edge.labels.book import add_labels, read_labels
from edge.labels.feedback import feedback_labels
from edge.labels.modes import ModeNames
from edge.labels.orders import order_labels
from edge.labels.table import Bad, codes_of, table_labels
from edge.samples.timestamps import zone_of
from kb.snapshots.snapshot import Snapshot

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edge.replays.rerun import Kept


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelRequest:
    """From where to collect into `file`. Empty and None are: not given.

    feedback: a journal with what it takes to put it through the engine. kb: a snapshot, for the ids
    of failure modes; orders: also take its closed orders. codes: what other systems call our
    labels. zone: of times in tables that state none. asset: of tables without such a column.
    """

    file: Path
    feedback: Kept | None = None
    tables: tuple[Path, ...] = ()
    kb: Path | None = None
    orders: bool = False
    codes: Path | None = None
    zone: str = ""
    asset: str = ""


class Collected(msgspec.Struct, frozen=True, kw_only=True):
    """What a call of `andon label` did, and what the file says now.

    counts: of labels that stand, label -> asset -> number; stand: these by id. passed:
    orders that are not closed, or of planned work.
    """

    file: str
    lines: int
    standing: int
    added: tuple[Label, ...] = ()
    known: int = 0  # read again, and in the file already
    bad: tuple[Bad, ...] = ()
    passed: int = 0
    notes: tuple[str, ...] = ()
    counts: dict[str, dict[str, int]] = {}
    conflicts: tuple[Conflict, ...] = ()
    stand: dict[str, Label] = {}


def collect(request: LabelRequest, *, progress: Callable[[int], object] = int) -> Collected:
    """Add what the sources say. progress: hears bytes of the journal.

    Raises AndonError, KnowledgeError or ModelError, and then nothing was added.
    """
    read_labels(request.file)  # a file that cannot be read is said before a long run
    if request.zone:
        zone_of(request.zone)
    codes = codes_of(request.codes) if request.codes else {}
    snapshot = Snapshot.open(request.kb) if request.kb else None
    found: list[Label] = []
    bad: list[Bad] = []
    notes: list[str] = []
    passed = 0
    try:
        names = ModeNames(snapshot.failure_modes() if snapshot else None, codes)
        for path in request.tables:
            more, worse = table_labels(path, names=names, zone=request.zone, asset=request.asset)
            found, bad = found + more, bad + worse
        if request.orders:
            if snapshot is None:
                raise RecordingError("closed orders are those of a snapshot: name it with --kb")
            more, worse, passed = order_labels(snapshot, names=names, zone=request.zone)
            found, bad = found + more, bad + worse
        if request.feedback is not None:
            more, worse, notes = feedback_labels(request.feedback, names=names, progress=progress)
            found, bad = found + more, bad + worse
    finally:
        if snapshot is not None:
            snapshot.close()
    added = add_labels(request.file, found) if found else []
    said = state_of(request.file)
    return msgspec.structs.replace(
        said,
        added=tuple(added),
        known=len(found) - len(added),
        bad=tuple(bad),
        passed=passed,
        notes=tuple(notes),
    )


def state_of(file: Path) -> Collected:
    """What a file of labels says now. Raises RecordingError."""
    labels = read_labels(file)
    stand = standing(labels)
    return Collected(
        file=str(file),
        lines=len(labels),
        standing=len(stand),
        counts=counts(stand),
        conflicts=tuple(undisputed(labels)[1]),
        stand={label.label_id: label for label in stand},
    )


def withdraw(file: Path, label_id: str, *, by: str, because: str) -> Label:
    """Say that a label stands no more; returns the one that stood. Raises RecordingError."""
    found = [one for one in standing(read_labels(file)) if one.label_id.startswith(label_id)]
    if len(found) != 1 or not label_id:
        what = f"{len(found)} labels that stand begin" if found else "no label that stands begins"
        raise RecordingError(f"{file}: {what} with {label_id!r}; `andon label {file}` lists them")
    if not because.strip():
        raise RecordingError("withdrawing a label needs a reason: --because")
    word = Label(
        asset=found[0].asset,
        begin_ns=found[0].begin_ns,
        end_ns=found[0].end_ns,
        label=WITHDRAWN,
        source="person",
        reference=found[0].label_id,
        said_by=by,
        recorded_at_ns=time.time_ns(),
        quote=because.strip(),
    )
    add_labels(file, [word])
    return found[0]
